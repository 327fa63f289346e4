//! `flowhy serve`: what may be typed. No logic.
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  flowhy serve flows.jsonl.gz
  flowhy serve flows.jsonl --listen 0.0.0.0:4245 --rate recorded --loop
  flowhy serve monday.jsonl tuesday.jsonl.zst --listen unix:///tmp/hubble.sock
  zcat flows.jsonl.gz | flowhy serve - --rate 100";

/// `flowhy serve`.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub struct Serve {
    /// Recordings (plain, .gz, .zst), - for standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// host:port, port 0 for a free one, or unix:///path
    #[arg(long, default_value = "localhost:4245", value_name = "ADDR", help_heading = "Server")]
    pub listen: String,
    /// How flows arrive: N a second, recorded (at their own pace), or max [default: all are there from the start]
    #[arg(long, value_name = "N|recorded|max", help_heading = "Server")]
    pub rate: Option<String>,
    /// Begin again at the end, with times that go on; without --rate: as recorded
    #[arg(long = "loop", help_heading = "Server")]
    pub again: bool,
    /// Hold at most N flows; the oldest fall out. A million take about half a GiB
    #[arg(long, default_value_t = 1_000_000, value_name = "N", help_heading = "Server")]
    pub capacity: usize,
    /// Serve with TLS: the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key_file", help_heading = "Server")]
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert_file", help_heading = "Server")]
    pub tls_key_file: Option<PathBuf>,
    /// Let in only clients with a certificate that one of these has signed
    #[arg(long, value_name = "FILE", requires = "tls_cert_file", help_heading = "Server")]
    pub tls_client_ca_file: Option<PathBuf>,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
}
