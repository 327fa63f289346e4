//! Flags that say which servers are asked, and how the connections to them are protected. Hubble's names and meanings.
use super::yes_or_no;
use clap::Args;
use std::path::PathBuf;

/// Which servers, and how.
#[derive(Debug, Args, Clone, Default)]
#[command(next_help_heading = "Server")]
pub struct Server {
    /// Observer: host:port, tls://host:port, unix:///path (repeatable; merged by time) [default: localhost:4245, else a port-forward]
    #[arg(long, global = true, value_name = "ADDR")]
    pub server: Vec<String>,
    /// Ask every node's agent: the server names them
    #[arg(long, global = true)]
    pub agents: bool,
    /// Reach relay through the Kubernetes API
    #[arg(short = 'P', long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no)]
    pub port_forward: Option<bool>,
    /// Taken for Hubble's sake: the port-forward ends inside flowhy, and no port of this machine is opened
    #[arg(long, global = true, hide_short_help = true, value_name = "PORT")]
    pub port_forward_port: Option<u16>,
    /// A cluster of the kubeconfig (repeatable)
    #[arg(long, global = true, value_name = "NAME")]
    pub kube_context: Vec<String>,
    /// The kubeconfig file [default: $KUBECONFIG, ~/.kube/config, then a pod's own account]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where relay is looked for first; then by its label in all namespaces [default: kube-system]
    #[arg(long, global = true, hide_short_help = true, value_name = "NAMESPACE")]
    pub kube_namespace: Option<String>,
    /// Encrypt the connection
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no)]
    pub tls: Option<bool>,
    /// Encrypt, but do not check who answers
    #[arg(long, global = true, hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no)]
    pub tls_allow_insecure: Option<bool>,
    /// PEM files of the authorities to believe, instead of the system's (comma list, repeatable)
    #[arg(long, global = true, value_name = "FILE", value_delimiter = ',', hide_short_help = true)]
    pub tls_ca_cert_files: Vec<PathBuf>,
    /// Our certificate, for servers that want one (PEM)
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub tls_client_cert_file: Option<PathBuf>,
    /// The key of our certificate (PEM)
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub tls_client_key_file: Option<PathBuf>,
    /// The name to expect in the server's certificate
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// User name for basic authentication (needs TLS)
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub basic_auth_username: Option<String>,
    /// Password for basic authentication
    #[arg(long, global = true, hide_short_help = true, value_name = "PASSWORD")]
    pub basic_auth_password: Option<String>,
    /// How long a server may take to be reached [default: 5s]
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// How long a question with one answer may take [default: 12s]
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION")]
    pub request_timeout: Option<String>,
}
