//! `flowhy serve` → what is served where, and how fast it comes. Owns the grammar of `--listen` and of the rate.
use super::{server, texts};
use crate::cli::Source;
use crate::cli::serve::Serve as Args;
use crate::error::Error;
use crate::serve::Tls;
use std::path::PathBuf;

/// A recording served as an observer.
#[derive(Debug, Clone, PartialEq)]
pub struct Serve {
    pub files: Vec<String>,
    pub at: Address,
    pub tls: Option<Tls>,
    pub pace: Arrival,
    /// From the beginning again at the end.
    pub again: bool,
    /// Most responses held.
    pub capacity: usize,
    pub quiet: bool,
}

/// Where to listen; names are looked up later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Port 0 takes a free one.
    Tcp(String, u16),
    Unix(PathBuf),
}

/// How what is recorded arrives in the ring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrival {
    /// Before the first client is let in.
    Before,
    /// As fast as it can be read, with clients there already.
    Max,
    /// So many responses a second.
    PerSecond(f64),
    /// By its own times.
    Recorded,
}

pub fn serve(source: &Source, s: Args) -> Result<Serve, Error> {
    if server::asks(&source.server).is_some() || !source.policies.is_empty() {
        return Err(Error::usage("a recording is served as it is").hint("leave out --server, --agents and --policies"));
    }
    let mut files = texts(&s.files);
    files.extend(texts(&source.input_file));
    if files.is_empty() {
        return Err(Error::usage("no recording to serve").hint("flowhy serve FILE; the demo cluster: flowhy demo --listen localhost:4245"));
    }
    let stdin = files.iter().filter(|f| *f == "-").count();
    if stdin > 1 || (stdin > 0 && s.again) {
        return Err(Error::usage("standard input can be read only once").hint("write it to a file first"));
    }
    let pace = match s.rate.as_deref() {
        None if s.again => Arrival::Recorded,
        None => Arrival::Before,
        Some("recorded") => Arrival::Recorded,
        Some("max") => Arrival::Max,
        Some(n) => match n.parse::<f64>() {
            Ok(x) if x > 0.0 && x.is_finite() => Arrival::PerSecond(x),
            _ => return Err(Error::usage(format!("--rate {n} is no rate")).hint("responses a second, recorded, or max")),
        },
    };
    if s.again && pace == Arrival::Max {
        return Err(Error::usage("--loop with --rate max would never rest").hint("give a rate: --rate 1000, or --rate recorded"));
    }
    let tls = match (s.tls_cert_file, s.tls_key_file) {
        (Some(cert), Some(key)) => Some(Tls { cert, key, client_ca: s.tls_client_ca_file }),
        _ => None,
    };
    let at = address(&s.listen)?;
    if tls.is_some() && matches!(at, Address::Unix(_)) {
        return Err(Error::usage("a unix socket is not served with TLS").hint("leave out --tls-cert-file, or listen on host:port"));
    }
    Ok(Serve { files, at, tls, pace, again: s.again, capacity: s.capacity, quiet: s.quiet })
}

/// `host:port` or `unix:///path`; without a host: this machine alone.
pub fn address(text: &str) -> Result<Address, Error> {
    let wrong = |cause: &str| {
        Error::usage(format!("cannot listen on {text:?}"))
            .cause(cause)
            .hint("write host:port, or unix:///path; 0.0.0.0:4245 is every interface")
    };
    if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
        return if path.is_empty() { Err(wrong("the socket's path is missing")) } else { Ok(Address::Unix(PathBuf::from(path))) };
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
    let port = port.parse().map_err(|_| wrong("the port is not a number from 0 to 65535"))?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#[]".contains(c)) {
        return Err(wrong("the host name holds a character that no host name has"));
    }
    Ok(Address::Tcp(if host.is_empty() { "localhost".to_owned() } else { host.to_owned() }, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |h: &str, p| Ok(Address::Tcp(h.to_owned(), p));
        assert_eq!(address("localhost:4245"), tcp("localhost", 4245));
        assert_eq!(address(":0"), tcp("localhost", 0));
        assert_eq!(address("[::1]:80"), tcp("::1", 80));
        assert_eq!(address("unix:///tmp/x"), Ok(Address::Unix("/tmp/x".into())));
        for bad in ["", "4245", "a:b", "a:99999", "unix://", "http://x:1"] {
            assert_eq!(address(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
