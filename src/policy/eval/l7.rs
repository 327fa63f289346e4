//! Requests against L7 rules. Owns full match, the path with its query, headers that were not reported, and which rules a
//! request has to pass.
use super::winner::{Entry, Origin};
use super::{Case, Judgement};
use crate::model::observed::{self, Observed};
use crate::model::why::PolicyRef;
use crate::policy::ir::{HttpRule, KafkaRule, L7Rules, Matcher, Policy, Ports};
use crate::policy::kind::kafka;
use crate::policy::selector::Tri;
use crate::world::dns;

/// What the proxy was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Http(Http),
    /// The name, in lower case, without its trailing dot.
    Dns(String),
    Kafka(Kafka),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kafka {
    /// The request's name as reported, or its number.
    pub key: String,
    /// Empty: it speaks of none.
    pub topic: String,
    pub version: i32,
    /// `None`: not reported.
    pub client: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Http {
    pub method: String,
    /// `:path`, with the query string.
    pub path: String,
    /// `:authority`; `None`: not reported.
    pub host: Option<String>,
    pub headers: Vec<(String, String)>,
    /// `headers` is all of them; the agent reports only some.
    pub all_headers: bool,
}

/// Whether a header says which host a request is for: any rule may ask for that.
pub fn names_host(header: &str) -> bool {
    header.eq_ignore_ascii_case(":authority") || header.eq_ignore_ascii_case("host")
}

/// The headers that rules ask for besides, each once, as written.
pub fn asked_headers<'a>(policies: impl Iterator<Item = &'a Policy>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for rule in policies.flat_map(|p| &p.sections).flat_map(|s| &s.rules) {
        let Ports::Of(ports) = &rule.ports else { continue };
        let of = |l7: &'a L7Rules| if let L7Rules::Http(rules) = l7 { rules.as_slice() } else { &[] };
        for header in ports.iter().filter_map(|p| p.l7.as_ref()).flat_map(of).flat_map(|r| &r.headers) {
            if !all.iter().any(|known| known.eq_ignore_ascii_case(&header.name)) {
                all.push(header.name.clone());
            }
        }
    }
    all
}

impl Request {
    /// The request a flow record speaks of.
    pub fn of(o: &Observed) -> Option<Self> {
        match o.l7.as_ref()? {
            observed::L7::Http { method, url, headers, .. } => {
                let (host, path) = split_url(url);
                let named = headers.iter().find(|(k, _)| names_host(k));
                let host = named.map(|(_, v)| v.clone()).or(host);
                Some(Self::Http(Http { method: method.clone(), path, host, headers: headers.clone(), all_headers: false }))
            }
            observed::L7::Dns { query, .. } => Some(Self::Dns(dns::normal(query))),
            observed::L7::Kafka { topic, api_key, api_version, .. } => {
                Some(Self::Kafka(Kafka { key: api_key.clone(), topic: topic.clone(), version: *api_version, client: None }))
            }
            observed::L7::Other => None,
        }
    }

    /// `PUT /v1/exhaust-port`, `api.stripe.com`, `produce orders`.
    pub fn words(&self) -> String {
        match self {
            Self::Http(h) => format!("{} {}", h.method, h.path),
            Self::Dns(q) => q.clone(),
            Self::Kafka(k) if k.topic.is_empty() => k.key.clone(),
            Self::Kafka(k) => format!("{} {}", k.key, k.topic),
        }
    }

    /// `HTTP`, `DNS`, `Kafka`.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Http(_) => "HTTP",
            Self::Dns(_) => "DNS",
            Self::Kafka(_) => "Kafka",
        }
    }
}

/// (authority, path with query) of an absolute or relative URL; the fragment never travels.
fn split_url(url: &str) -> (Option<String>, String) {
    let url = url.split('#').next().unwrap_or(url);
    let Some((_, rest)) = url.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric())) else {
        return (None, if url.is_empty() { "/".to_owned() } else { url.to_owned() });
    };
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(cut);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    ((!host.is_empty()).then(|| host.to_owned()), path)
}

fn full(m: Option<&Matcher>, text: &str) -> Tri {
    Tri::from(m.is_none_or(|m| m.regex.is_match(text)))
}

/// Whether one HTTP rule lets the request pass.
pub fn http(rule: &HttpRule, h: &Http, missing: &mut Vec<String>) -> Tri {
    let mut t = method(rule, h).and(path(rule, h));
    if t == Tri::No {
        return t;
    }
    t = t.and(host(rule, h, missing));
    for header in &rule.headers {
        t = t.and(self::header(header, h, missing));
    }
    t
}

pub fn method(rule: &HttpRule, h: &Http) -> Tri {
    full(rule.method.as_ref(), &h.method)
}

pub fn path(rule: &HttpRule, h: &Http) -> Tri {
    full(rule.path.as_ref(), &h.path)
}

pub fn host(rule: &HttpRule, h: &Http, missing: &mut Vec<String>) -> Tri {
    match (&rule.host, &h.host) {
        (None, _) => Tri::Yes,
        (Some(m), Some(host)) => Tri::from(m.regex.is_match(host)),
        (Some(_), None) if h.all_headers => Tri::No,
        (Some(_), None) => {
            missing.push("http-host".to_owned());
            Tri::Unknown
        }
    }
}

/// What an agent writes instead of a value that is nobody's business (`hubble-redact-enabled`).
const REDACTED: &str = "HUBBLE_REDACTED";

pub fn header(wanted: &crate::policy::ir::Header, h: &Http, missing: &mut Vec<String>) -> Tri {
    let mut found = h.headers.iter().filter(|(k, _)| k.eq_ignore_ascii_case(&wanted.name)).peekable();
    let hidden = wanted.value.is_some() && found.peek().is_some_and(|(_, v)| v == REDACTED);
    if hidden || (found.peek().is_none() && !h.all_headers) {
        missing.push(format!("http-header:{}", wanted.name));
        return Tri::Unknown;
    }
    Tri::from(found.any(|(_, v)| wanted.value.as_ref().is_none_or(|w| w == v)))
}

/// Whether the request is of a kind that the rule allows.
pub fn kafka_key(rule: &KafkaRule, k: &Kafka, missing: &mut Vec<String>) -> Tri {
    if rule.keys.is_empty() {
        return Tri::Yes;
    }
    match kafka::key(&k.key) {
        Some(n) => Tri::from(rule.keys.contains(&n)),
        None => note(missing, format!("kafka-request:{}", k.key)),
    }
}

/// A request that speaks of no topic meets any condition on it.
pub fn kafka_topic(rule: &KafkaRule, k: &Kafka) -> Tri {
    Tri::from(k.topic.is_empty() || rule.topic.as_ref().is_none_or(|t| *t == k.topic))
}

pub fn kafka(rule: &KafkaRule, k: &Kafka, missing: &mut Vec<String>) -> Tri {
    let sure = kafka_topic(rule, k).and(Tri::from(rule.version.is_none_or(|v| v == k.version)));
    if sure == Tri::No {
        return sure;
    }
    let client = match (&rule.client, &k.client) {
        (None, _) => Tri::Yes,
        (Some(wanted), Some(got)) => Tri::from(wanted == got),
        (Some(_), None) => note(missing, "kafka-client".to_owned()),
    };
    sure.and(kafka_key(rule, k, missing)).and(client)
}

fn note(missing: &mut Vec<String>, fact: String) -> Tri {
    if !missing.contains(&fact) {
        missing.push(fact);
    }
    Tri::Unknown
}

/// Whether the connection may go on with this name in its TLS greeting.
fn greeting(e: &Entry<'_>, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
    match &case.traffic.server_name {
        _ if e.server_names.is_empty() => Tri::Yes,
        Some(name) => Tri::from(e.server_names.iter().any(|p| p.regex.is_match(&dns::normal(name)))),
        None => note(missing, "tls-server-name".to_owned()),
    }
}

/// Whether the request passes the L7 rules; books which rules those are, and which of them let it pass.
pub(super) fn verdict(case: &Case<'_>, entries: &[Entry<'_>], favour: bool, out: &mut Judgement, missing: &mut Vec<String>) -> bool {
    let book = |e: &Entry<'_>, list: &mut Vec<PolicyRef>| {
        if let Origin::Rule(r) = &e.origin
            && !list.contains(r)
        {
            list.push(r.clone());
        }
    };
    let allows = || entries.iter().filter(|e| !e.deny);
    for e in allows().filter(|e| e.redirects()) {
        book(e, &mut out.l7_rules);
    }
    if case.traffic.request.is_none() && case.traffic.server_name.is_none() {
        // The packet itself goes to the proxy whatever will be asked of it.
        return true;
    }
    // Without a rule that speaks of such requests, none refuses them.
    let (mut relevant, mut passes) = (false, false);
    for e in allows() {
        let t = match (e.l7, &case.traffic.request) {
            (None, _) | (_, None) => Tri::Yes,
            (Some(L7Rules::Http(list)), Some(Request::Http(h))) => {
                relevant = true;
                if e.l7_open { Tri::Yes } else { list.iter().fold(Tri::No, |t, r| t.or(http(r, h, missing))) }
            }
            (Some(L7Rules::Dns(list)), Some(Request::Dns(q))) => {
                relevant = true;
                Tri::from(e.l7_open || list.iter().any(|r| r.pattern.regex.is_match(q)))
            }
            (Some(L7Rules::Kafka(list)), Some(Request::Kafka(k))) => {
                relevant = true;
                if e.l7_open { Tri::Yes } else { list.iter().fold(Tri::No, |t, r| t.or(kafka(r, k, missing))) }
            }
            (Some(L7Rules::Other(name)), Some(_)) => {
                relevant = true;
                note(missing, format!("parser:{name}"))
            }
            _ => continue,
        };
        relevant |= !e.server_names.is_empty();
        let t = t.and(greeting(e, case, missing));
        if t == Tri::Yes || (t == Tri::Unknown && favour) {
            passes = true;
            book(e, &mut out.passed_by);
        }
    }
    passes || !relevant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_part_of_the_path() {
        let s = |u: &str| split_url(u);
        assert_eq!(s("http://a.b:80/v1?x=1#f"), (Some("a.b:80".into()), "/v1?x=1".into()));
        assert_eq!(s("/v1/x?y=http://z"), (None, "/v1/x?y=http://z".into()));
        assert_eq!(s("http://a"), (Some("a".into()), "/".into()));
    }
}
