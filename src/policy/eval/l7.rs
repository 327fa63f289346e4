//! Requests against L7 rules. Owns full match, the path with its query, and headers that were not reported.
use crate::model::observed::{self, Observed};
use crate::policy::ir::{HttpRule, Matcher};
use crate::policy::selector::Tri;
use crate::world::dns;

/// What the proxy was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Http(Http),
    /// The name, in lower case, without its trailing dot.
    Dns(String),
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

impl Request {
    /// The request a flow record speaks of.
    pub fn of(o: &Observed) -> Option<Self> {
        match o.l7.as_ref()? {
            observed::L7::Http { method, url, headers, .. } => {
                let (host, path) = split_url(url);
                let named = headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(":authority") || k.eq_ignore_ascii_case("host"));
                let host = named.map(|(_, v)| v.clone()).or(host);
                Some(Self::Http(Http { method: method.clone(), path, host, headers: headers.clone(), all_headers: false }))
            }
            observed::L7::Dns { query, .. } => Some(Self::Dns(dns::normal(query))),
            observed::L7::Kafka { .. } | observed::L7::Other => None,
        }
    }

    /// `PUT /v1/exhaust-port`, `api.stripe.com`.
    pub fn words(&self) -> String {
        match self {
            Self::Http(h) => format!("{} {}", h.method, h.path),
            Self::Dns(q) => q.clone(),
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

pub fn header(wanted: &crate::policy::ir::Header, h: &Http, missing: &mut Vec<String>) -> Tri {
    let mut found = h.headers.iter().filter(|(k, _)| k.eq_ignore_ascii_case(&wanted.name)).peekable();
    if found.peek().is_none() && !h.all_headers {
        missing.push(format!("http-header:{}", wanted.name));
        return Tri::Unknown;
    }
    Tri::from(found.any(|(_, v)| wanted.value.as_ref().is_none_or(|w| w == v)))
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
