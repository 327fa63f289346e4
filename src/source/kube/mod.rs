//! Clusters as the Kubernetes API shows them: how we get in, and what we look at there.
//!
//! | file | what it is |
//! | --- | --- |
//! | `config` | kubeconfig, contexts, a pod's own account → clients |
//! | `relay` | where Hubble Relay is: its service, a ready pod, the port |
//! | `forward` | a port-forward as a connection; plain text or TLS |
//! | `secrets` | Relay's authority and a certificate that it accepts |
//! | `discovery` | which kinds of object it has, and where |
//! | `watch`, `follow` | its state as a source; one kind of it, listed and watched |
//! | `clock` | what time it is there |
//! | `canon`, `origin` | an object as a document; who wrote and who keeps it |
//! | `refusal` | what a failed question to the API means in words, and which right is missing |
pub mod canon;
pub mod clock;
pub mod config;
pub mod discovery;
pub mod follow;
pub mod forward;
mod origin;
pub mod refusal;
pub mod relay;
pub mod secrets;
pub mod watch;
