//! Where a server is: `host:port`, `tls://host:port`, `unix:///path`, or behind a cluster's API. Owns the grammar; opens nothing.
use super::kube::forward::Door;
use crate::error::Error;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// Relay's port, and the port a port-forward to it takes by custom.
pub const PORT: u16 = 4245;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An IPv6 address stands without brackets.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    /// Relay, through a port-forward of our own.
    Relay(Arc<Door>),
}

impl Default for Target {
    fn default() -> Self {
        Self::Tcp { host: "localhost".to_owned(), port: PORT }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let wrong = |cause: &str| {
            Error::usage(format!("cannot use server {text:?}")).cause(cause).hint("write host:port, tls://host:port or unix:///path")
        };
        if text.is_empty() {
            return Ok(Self::default());
        }
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return if path.is_empty() { Err(wrong("the socket's path is missing")) } else { Ok(Self::Unix(PathBuf::from(path))) };
        }
        // Other gRPC clients know these forms; they name the same place.
        let rest = text.strip_prefix("dns:///").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains("://") {
            return Err(wrong("this kind of address is not known"));
        }
        if rest.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self::Tcp { host: rest.to_owned(), port: PORT });
        }
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (host, after) = inner.split_once(']').ok_or_else(|| wrong("the bracket is not closed"))?;
            host.parse::<Ipv6Addr>().map_err(|_| wrong("no IPv6 address stands between the brackets"))?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or_else(|| wrong("a colon and the port must follow the bracket"))?)),
            }
        } else {
            match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        let port = match port {
            None => PORT,
            Some(p) => p.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?,
        };
        if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#".contains(c)) {
            return Err(wrong("the host name holds a character that no host name has"));
        }
        // `:4245` is this machine, as in any Go program.
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

/// A server as it is typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    pub target: Target,
    /// It began with `tls://`.
    pub tls: bool,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        match text.strip_prefix("tls://").or_else(|| text.strip_prefix("https://")) {
            Some(rest) => Ok(Self { target: rest.parse()?, tls: true }),
            None => Ok(Self { target: text.parse()?, tls: false }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.tls { "tls://" } else { "" }, self.target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Relay(door) => door.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Target>().map_or_else(|e| format!("error: {}", e.cause.unwrap_or_default()), |t| t.to_string())
    }

    #[test]
    fn every_form() {
        assert_eq!(shown(""), "localhost:4245");
        assert_eq!(shown("relay"), "relay:4245");
        assert_eq!(shown("10.0.0.1:80"), "10.0.0.1:80");
        assert_eq!(shown(":80"), "localhost:80");
        assert_eq!(shown("::1"), "[::1]:4245");
        assert_eq!(shown("[::1]:80"), "[::1]:80");
        assert_eq!(shown("[::1]"), "[::1]:4245");
        assert_eq!(shown("dns:///relay:1"), "relay:1");
        assert_eq!(shown("unix:///var/run/cilium/hubble.sock"), "unix:///var/run/cilium/hubble.sock");
        assert_eq!(shown("unix:/run/x"), "unix:///run/x");
    }

    #[test]
    fn what_is_refused_says_why() {
        for text in
            ["relay:http", "relay:0", "relay:99999", "[::1:80", "[::1]80", "[x]:80", "unix://", "ftp://x:1", "a b:1", "a/b", "a:1:2"]
        {
            assert!(shown(text).starts_with("error: "), "{text}: {}", shown(text));
        }
    }

    #[test]
    fn tls_is_part_of_an_address() {
        let a: Address = "tls://relay:443".parse().unwrap();
        assert!(a.tls && a.target.to_string() == "relay:443" && a.to_string() == "tls://relay:443");
        assert_eq!("https://[::1]".parse::<Address>().unwrap().to_string(), "tls://[::1]:4245");
        let a: Address = "relay".parse().unwrap();
        assert!(!a.tls && a.to_string() == "relay:4245");
        assert!("tls://relay:x".parse::<Address>().is_err());
    }
}
