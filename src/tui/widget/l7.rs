//! What a proxy saw, in words: a request of HTTP, DNS or Kafka, its answer, and how long that took.
use crate::engine::Engine;
use crate::model::observed::L7;
use crate::tui::theme::Look;

/// What the proxy saw (`GET 200`, `A api.stripe.com`), and whether it is bad news.
pub fn application(engine: &Engine, seq: u64) -> (String, bool) {
    let Some(o) = engine.observed(seq) else { return (String::new(), false) };
    match &o.l7 {
        Some(L7::Http { method, code, url, .. }) if *code == 0 => (format!("{method} {}", path(url)), false),
        Some(L7::Http { method, code, .. }) => (format!("{method} {code}"), *code >= 500),
        Some(L7::Dns { query, rcode, ips, qtypes, .. }) => {
            let query = query.trim_end_matches('.');
            let kind = qtypes.first().map_or("DNS", String::as_str);
            match (rcode, o.l7_response) {
                (0, true) if ips.is_empty() => (format!("{kind} {query} empty"), false),
                (0, _) => (format!("{kind} {query}"), false),
                (3, _) => (format!("NXDOMAIN {query}"), true),
                (5, _) => (format!("REFUSED {query}"), true),
                (2, _) => (format!("SERVFAIL {query}"), true),
                (n, _) => (format!("rcode {n} {query}"), true),
            }
        }
        Some(L7::Kafka { topic, api_key, error_code, .. }) => {
            let asked = [api_key.as_str(), topic].join(" ");
            match refused(*error_code) {
                Some(wrong) => (format!("{wrong}: {}", asked.trim()), true),
                None => (asked.trim().to_owned(), false),
            }
        }
        Some(L7::Other) | None => (String::new(), false),
    }
}

/// What a number of Kafka's says went wrong; 0 is no error.
fn refused(code: i32) -> Option<String> {
    match code {
        0 => None,
        -1 => Some("unknown error".to_owned()),
        3 => Some("no such topic".to_owned()),
        29..=31 => Some("not authorized".to_owned()),
        n => Some(format!("error {n}")),
    }
}

/// The path of an absolute or relative URL.
pub fn path(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, r)| r);
    if after.starts_with('/') { after } else { after.find('/').and_then(|i| after.get(i..)).unwrap_or("/") }
}

/// The whole of it on one line: `GET /v1/items?page=2 → 200`, `A api.stripe.com → 10.0.0.1, 10.0.0.2`, `produce orders`; and whether it
/// is bad news.
pub fn whole(look: Look, engine: &Engine, seq: u64) -> (String, bool) {
    let Some(o) = engine.observed(seq) else { return (String::new(), false) };
    let (brief, bad) = application(engine, seq);
    let arrow = look.g.arrow;
    let text = match &o.l7 {
        Some(L7::Http { method, code, url, .. }) if *code > 0 => format!("{method} {} {arrow} {code}", path(url)),
        Some(L7::Dns { query, rcode: 0, ips, cnames, qtypes, .. }) if o.l7_response => {
            let kind = qtypes.first().map_or("DNS", String::as_str);
            let answers: Vec<&str> = cnames.iter().map(|c| c.trim_end_matches('.')).chain(ips.iter().map(String::as_str)).collect();
            let answers = if answers.is_empty() { "no address".to_owned() } else { answers.join(", ") };
            format!("{kind} {} {arrow} {answers}", query.trim_end_matches('.'))
        }
        Some(L7::Dns { rcode, .. }) if o.l7_response && *rcode != 0 => {
            let (word, query) = brief.split_once(' ').unwrap_or((&brief, ""));
            format!("{query} {arrow} {word}")
        }
        Some(L7::Kafka { topic, api_key, error_code, .. }) if o.l7_response => {
            let asked = [api_key.as_str(), topic].join(" ");
            format!("{} {arrow} {}", asked.trim(), refused(*error_code).unwrap_or_else(|| "ok".to_owned()))
        }
        _ => brief,
    };
    (text, bad)
}

/// A filter that finds the same: the answer's status, the name that was asked for, the topic.
pub fn term(engine: &Engine, seq: u64) -> Option<String> {
    let plain = |s: &str| !s.is_empty() && !s.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '"' | '*'));
    match engine.observed(seq)?.l7? {
        L7::Http { method, code: 0, .. } if plain(&method) => Some(format!("http.method:{method}")),
        L7::Http { code, .. } if code > 0 => Some(format!("http.status:{code}")),
        L7::Dns { query, .. } if plain(&query) => Some(format!("dns.query:{}", query.trim_end_matches('.'))),
        L7::Kafka { topic, .. } if plain(&topic) => Some(format!("kafka.topic:{topic}")),
        _ => None,
    }
}

/// Microseconds as a person says them: `340 us`, `3.2 ms`, `47 ms`, `1.5 s`.
pub fn took(us: u32) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_figures() {
        assert_eq!([took(340), took(3_210), took(47_900), took(1_540_000)], ["340 us", "3.2 ms", "47 ms", "1.5 s"]);
        assert_eq!([path("http://cart:8080/v1/x?y"), path("/a"), path("cart:80")], ["/v1/x?y", "/a", "/"]);
    }
}
