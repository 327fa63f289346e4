//! Clusters as the Kubernetes API shows them: how we get in, and what we look at there.
//!
//! | file | what it is |
//! | --- | --- |
//! | `config` | kubeconfig, contexts, a pod's own account → clients |
//! | `relay` | where Hubble Relay is: its service, a ready pod, the port |
//! | `forward` | a port-forward as a connection; plain text or TLS |
//! | `secrets` | Relay's authority and a certificate that it accepts |
//! | `refusal` | what a failed question to the API means in words, and which right is missing |
pub mod config;
pub mod forward;
pub mod refusal;
pub mod relay;
pub mod secrets;
