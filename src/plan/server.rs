//! The server flags → which servers are asked, and how the connections are protected.
//!
//! Owns the conflicts among them, in Hubble's words. Reads no file: certificates are loaded when the sources start.
use crate::cli;
use crate::error::Error;
use crate::query;
use crate::source::kube::config::Wish;
use crate::source::kube::forward::Wanted;
use crate::source::kube::relay::NAMESPACE;
use crate::source::server::{Basic, Timing};
use crate::source::target::Address;
use crate::source::tls;
use std::time::Duration;

/// Servers to ask.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// Never empty.
    pub addresses: Vec<Address>,
    /// The clusters that are looked at, and what for.
    pub kube: Option<Kube>,
    /// The one server names the agents, and those are asked.
    pub agents: bool,
    /// For those of the addresses that say `tls`.
    pub tls: tls::Options,
    pub auth: Option<Basic>,
    pub timing: Timing,
    /// What else may have been meant, told where nothing listens.
    pub instead: Option<String>,
    /// For stderr.
    pub warnings: Vec<String>,
}

/// Clusters of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kube {
    pub wish: Wish,
    /// Where Relay is looked for first.
    pub namespace: String,
    pub wanted: Wanted,
    pub way: Way,
}

/// What a cluster's API is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Relay is asked through it, and its objects are looked at.
    Forward,
    /// The same, where nothing listens on the default address.
    IfNobody,
    /// Its objects are looked at; the flows come from servers that are named.
    World,
}

impl Servers {
    /// What stands in a title. Empty where that is known only when the kubeconfig has been read.
    pub fn title(&self) -> String {
        let names: Vec<_> = match &self.kube {
            Some(k) if k.way != Way::World => k.wish.contexts.clone(),
            _ => self.addresses.iter().map(|a| a.target.to_string()).collect(),
        };
        match &names[..] {
            [first, rest @ ..] if !rest.is_empty() => format!("{first} +{}", rest.len()),
            [one] if self.agents => format!("agents of {one}"),
            _ => names.concat(),
        }
    }

    /// Whether the answers of several have to be merged.
    pub fn several(&self) -> bool {
        let contexts = self.kube.as_ref().filter(|k| k.way != Way::World).map_or(0, |k| k.wish.contexts.len());
        self.agents || self.addresses.len() > 1 || contexts > 1
    }
}

/// What the flags mean.
pub fn servers(s: &cli::server::Server) -> Result<Servers, Error> {
    let invalid = |what: &str| Error::usage(format!("invalid flag(s): {what}"));
    let given: Vec<&str> = s.server.iter().flat_map(|s| s.split_whitespace()).collect();
    let mut addresses = given.iter().map(|a| a.parse()).collect::<Result<Vec<Address>, _>>()?;
    if addresses.is_empty() {
        addresses.push(Address::default());
    }
    let mut warnings = Vec::new();
    let kube = kube(s, given.first().copied(), &mut warnings)?;
    if kube.as_ref().is_some_and(|k| k.way == Way::Forward) {
        addresses = vec![Address::default()];
    }
    let insecure = s.tls_allow_insecure == Some(true);
    if s.tls == Some(true) {
        addresses.iter_mut().for_each(|a| a.tls = true);
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = addresses.iter().find(|a| !seen.insert(a.target.to_string())) {
        return Err(Error::usage(format!("--server {} is given twice", twice.target)).hint("its flows would come twice"));
    }
    if s.agents && addresses.len() > 1 {
        return Err(Error::usage("cannot use --agents with several --server").hint("one server knows all its cluster's agents"));
    }
    // Agents may speak TLS where the server that names them does not: then the flags are theirs.
    let encrypted = s.agents || addresses.iter().all(|a| a.tls);
    let client = match (&s.tls_client_cert_file, &s.tls_client_key_file) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        _ => {
            return Err(invalid("certificate and private key are both required, but only one was provided")
                .hint("--tls-client-cert-file and --tls-client-key-file go together"));
        }
    };
    // Through a port-forward it is shown if Relay turns out to want TLS.
    let forwarded = kube.as_ref().is_some_and(|k| k.way == Way::Forward) && s.tls.is_none();
    if client.is_some() && !encrypted && !forwarded {
        return Err(invalid("transport layer security required").hint("add --tls, or write tls:// before the address"));
    }
    let set = |v: &Option<String>| v.clone().filter(|v| !v.is_empty());
    let auth = match (set(&s.basic_auth_username), set(&s.basic_auth_password)) {
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(invalid("must specify both basic-auth-username and basic-auth-password"));
        }
        (Some(_), Some(_)) if !encrypted => {
            let name = addresses.iter().find(|a| !a.tls).map(|a| a.target.to_string()).unwrap_or_default();
            let what = "grpc: the credentials require transport level security (use grpc.WithTransportCredentials() to set)";
            return Err(Error::usage(format!("failed to create gRPC client to '{name}': {what}"))
                .cause("a password is not sent in plain text")
                .hint("add --tls, or write tls:// before the address"));
        }
        (Some(name), Some(password)) => {
            Some(Basic::new(&name, &password).ok_or_else(|| invalid("the name and the password cannot stand in a header"))?)
        }
    };
    let standard = Timing::default();
    let timing = Timing {
        connect: duration("timeout", s.timeout.as_deref())?.unwrap_or(standard.connect),
        answer: duration("request-timeout", s.request_timeout.as_deref())?.unwrap_or(standard.answer),
        ..standard
    };
    let tls = tls::Options { insecure, ca: s.tls_ca_cert_files.clone(), client, server_name: set(&s.tls_server_name) };
    if insecure && (s.agents || addresses.iter().any(|a| a.tls)) {
        warnings.push("--tls-allow-insecure: the connection is encrypted, but who answers is not checked".to_owned());
    }
    Ok(Servers { addresses, kube, agents: s.agents, tls, auth, timing, instead: None, warnings })
}

/// Which clusters, and what for. A server that is named may belong to any cluster: then only a context that is named too is looked at,
/// so that no drop is explained by the policies of another cluster.
fn kube(s: &cli::server::Server, server: Option<&str>, warnings: &mut Vec<String>) -> Result<Option<Kube>, Error> {
    let named = !s.kube_context.is_empty() || s.kubeconfig.is_some();
    let forward = s.port_forward == Some(true);
    if forward && s.agents {
        return Err(
            Error::usage("cannot use --agents with --port-forward").hint("relay names no agents; ask an agent: --server ADDR --agents")
        );
    }
    let way = match server {
        _ if forward => Way::Forward,
        None if s.agents || s.port_forward == Some(false) => Way::World,
        Some(_) => Way::World,
        None if named => Way::Forward,
        None => Way::IfNobody,
    };
    if let (Some(server), true) = (server, forward) {
        warnings.push(format!("--server {server} is not asked: --port-forward leads to relay"));
    }
    if way == Way::World && !named {
        return Ok(None);
    }
    let wanted = match s.tls {
        None => Wanted::Either,
        Some(true) => Wanted::Tls,
        Some(false) => Wanted::Plain,
    };
    let contexts = s.kube_context.iter().filter(|c| !c.is_empty()).cloned().collect();
    let namespace = s.kube_namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| NAMESPACE.to_owned());
    Ok(Some(Kube { wish: Wish { kubeconfig: s.kubeconfig.clone(), contexts }, namespace, wanted, way }))
}

/// The flag that asks for something live, if one does.
pub fn asks(s: &cli::server::Server) -> Option<&'static str> {
    match s {
        s if !s.server.is_empty() => Some("--server"),
        s if s.agents => Some("--agents"),
        s if s.port_forward == Some(true) => Some("--port-forward"),
        s if !s.kube_context.is_empty() => Some("--kube-context"),
        s if s.kubeconfig.is_some() => Some("--kubeconfig"),
        _ => None,
    }
}

/// Whether a flag asks for what a server says, and not only for what is in a cluster.
pub fn asks_flows(s: &cli::server::Server) -> bool {
    !s.server.is_empty() || s.agents || s.port_forward == Some(true)
}

fn duration(flag: &str, text: Option<&str>) -> Result<Option<Duration>, Error> {
    let Some(text) = text else { return Ok(None) };
    match query::duration(text).map(u64::try_from) {
        Some(Ok(ns)) if ns > 0 => Ok(Some(Duration::from_nanos(ns))),
        Some(_) => Err(Error::usage(format!("--{flag} {text} leaves no time at all")).hint("write 5s or 500ms")),
        None => {
            let what = format!("invalid argument {text:?} for \"--{flag}\" flag: time: invalid duration {text:?}");
            Err(Error::usage(what).hint("write 5s or 500ms"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn read(line: &str) -> Result<Servers, Error> {
        let cli = crate::cli::Cli::try_parse_from(std::iter::once("flowhy").chain(line.split_whitespace())).unwrap();
        servers(&cli.source.server)
    }

    #[test]
    fn every_form_of_address_and_several_of_them() {
        let shown = |line: &str| read(line).unwrap().addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(""), "localhost:4245");
        assert_eq!(shown("--server a --server tls://b:1 --server unix:///s"), "a:4245 tls://b:1 unix:///s");
        assert_eq!(shown("--tls --server a --server dns:///b:80"), "tls://a:4245 tls://b:80");
        assert_eq!(shown("--tls=false --server a"), "a:4245");
        assert_eq!(read("--server a --server b --server c").unwrap().title(), "a:4245 +2");
        assert_eq!(read("--server a --agents").unwrap().title(), "agents of a:4245");
    }

    #[test]
    fn what_cannot_be_meant_is_said_in_hubbles_words() {
        let what = |line: &str| read(line).unwrap_err().what;
        let both = "invalid flag(s): certificate and private key are both required, but only one was provided";
        assert_eq!(what("--tls --tls-client-cert-file c"), both);
        assert_eq!(what("--tls --tls-client-key-file k"), both);
        assert_eq!(what("--tls-client-cert-file c --tls-client-key-file k"), "invalid flag(s): transport layer security required");
        let name = "invalid flag(s): must specify both basic-auth-username and basic-auth-password";
        assert_eq!(what("--tls --basic-auth-username u"), name);
        assert!(
            what("--server a --basic-auth-username u --basic-auth-password p")
                .starts_with("failed to create gRPC client to 'a:4245': grpc:")
        );
        assert!(what("--server tls://a --server b --basic-auth-username u --basic-auth-password p").contains("'b:4245'"));
        assert_eq!(what("--timeout x"), "invalid argument \"x\" for \"--timeout\" flag: time: invalid duration \"x\"");
        assert!(what("--timeout 0s").ends_with("no time at all") && what("--request-timeout 0").ends_with("no time at all"));
        assert!(what("--server a --server a:4245").ends_with("given twice"));
        assert!(what("--server a --server b --agents").starts_with("cannot use --agents"));
    }

    #[test]
    fn clusters_are_looked_at_for_relay_or_for_what_is_in_them() {
        let way = |line: &str| read(line).unwrap().kube.map(|k| (k.way, k.wish.contexts.join(" "), k.namespace, k.wanted));
        let is = |way, contexts: &str, wanted| Some((way, contexts.to_owned(), "kube-system".to_owned(), wanted));
        assert_eq!(way(""), is(Way::IfNobody, "", Wanted::Either));
        assert_eq!(way("-P"), is(Way::Forward, "", Wanted::Either));
        assert_eq!(way("-P --tls"), is(Way::Forward, "", Wanted::Tls));
        assert_eq!(way("--kube-context a --kube-context b --tls=false"), is(Way::Forward, "a b", Wanted::Plain));
        assert_eq!(way("--kube-namespace cilium").unwrap().2, "cilium");
        assert_eq!(way("-P=false"), None);
        // Nobody has said that the server belongs to the current context.
        assert_eq!(way("--server x"), None);
        assert_eq!(way("--agents"), None);
        assert_eq!(way("--server x --kube-context a"), is(Way::World, "a", Wanted::Either));
        let both = read("--server x -P").unwrap();
        assert_eq!((both.title().as_str(), both.warnings.len()), ("", 1));
        assert!(read("--kube-context a --kube-context b").unwrap().several());
        assert!(!read("--server x --kube-context a --kube-context b").unwrap().several());
        assert!(read("--agents -P").is_err());
        assert!(read("-P --tls-client-cert-file c --tls-client-key-file k").is_ok());
    }

    #[test]
    fn times_files_and_the_warning() {
        let s = read("--tls --tls-ca-cert-files a,b --tls-ca-cert-files c --timeout 1m30s --request-timeout 500ms").unwrap();
        assert_eq!((s.tls.ca.len(), s.timing.connect, s.timing.answer), (3, Duration::from_secs(90), Duration::from_millis(500)));
        assert!(s.warnings.is_empty());
        assert_eq!(read("--tls --tls-allow-insecure").unwrap().warnings.len(), 1);
        assert!(read("--tls-allow-insecure").unwrap().warnings.is_empty(), "nothing is encrypted, nothing is to be warned of");
    }
}
