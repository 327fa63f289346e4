//! The smallest questions of the reference: does a label selector, an address range, a DNS pattern, a regular expression match?
use super::Side;
use serde_json::Value;
use std::net::IpAddr;

/// `k8s:app` asks for a source, `app` and `any:app` for any.
fn has<'s>(labels: &'s [(String, String, String)], key: &str) -> Option<&'s str> {
    let (source, name) = key.split_once(':').unwrap_or(("any", key));
    labels.iter().find(|(s, k, _)| k == name && (source == "any" || s == source)).map(|(_, _, v)| v.as_str())
}

/// A selector; `prefix` stands before every key (`k8s:` for Kubernetes' own kinds). Null selects everything.
pub fn labels(selector: &Value, side: &Side, prefix: &str) -> bool {
    has_all(selector, &side.labels, prefix)
}

/// A selector of what has labels without a source.
pub fn plain(selector: &Value, labels: &Value) -> bool {
    let own = labels.as_object().into_iter().flatten();
    let own: Vec<_> = own.map(|(k, v)| (String::new(), k.clone(), v.as_str().unwrap_or("").to_owned())).collect();
    has_all(selector, &own, "")
}

pub fn has_all(selector: &Value, side: &[(String, String, String)], prefix: &str) -> bool {
    let key = |k: &str| format!("{prefix}{k}");
    let pairs = selector["matchLabels"].as_object().into_iter().flatten();
    let all = pairs.clone().all(|(k, v)| has(side, &key(k)) == Some(v.as_str().unwrap_or("")));
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    all && expressions.all(|e| {
        let got = has(side, &key(e["key"].as_str().unwrap_or("")));
        let listed = got.is_some_and(|g| e["values"].as_array().into_iter().flatten().any(|v| v == g));
        match e["operator"].as_str() {
            Some("In") => listed,
            Some("NotIn") => !listed,
            Some("Exists") => got.is_some(),
            Some("DoesNotExist") => got.is_none(),
            other => unreachable!("operator {other:?}"),
        }
    })
}

/// Whether any requirement of a selector is about a key for which `is` holds.
pub fn mentions(selector: &Value, is: impl Fn(&str) -> bool) -> bool {
    selector["matchLabels"].as_object().into_iter().flatten().any(|(k, _)| is(k))
        || selector["matchExpressions"].as_array().into_iter().flatten().any(|e| is(e["key"].as_str().unwrap_or("")))
}

/// Bits of an address, at the top of 128.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => v6.into(),
    }
}

/// `10.0.0.0/8` or a bare address.
pub fn cidr(text: &str, ip: IpAddr) -> bool {
    let (net, len) = text.split_once('/').map_or((text, None), |(n, l)| (n, Some(l)));
    let Ok(net) = net.parse::<IpAddr>() else { return false };
    let whole = if net.is_ipv4() { 32 } else { 128 };
    let len: u32 = len.map_or(whole, |l| l.parse().unwrap_or(whole));
    net.is_ipv4() == ip.is_ipv4() && (len == 0 || bits(net) >> (128 - len) == bits(ip) >> (128 - len))
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}

/// One `matchName` or `matchPattern`.
pub fn dns(rule: &Value, name: &str) -> bool {
    let name = lower(name);
    if let Some(exact) = rule["matchName"].as_str() {
        return lower(exact) == name;
    }
    let Some(pattern) = rule["matchPattern"].as_str() else { return false };
    let pattern = lower(pattern);
    if pattern == "*" {
        return true;
    }
    if let Some(rest) = pattern.strip_prefix("**.") {
        // One or more whole labels before it.
        return name
            .match_indices('.')
            .any(|(i, _)| i > 0 && name[..i].split('.').all(word) && glob(rest.as_bytes(), &name.as_bytes()[i + 1..]));
    }
    glob(pattern.as_bytes(), name.as_bytes())
}

fn in_label(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'-' || c == b'_'
}

fn word(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(in_label)
}

/// `*` stands for any run of characters inside one label.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).take_while(|&n| name[..n].iter().all(|&c| in_label(c))).any(|n| glob(rest, &name[n..])),
        Some((c, rest)) => name.first() == Some(c) && glob(rest, &name[1..]),
    }
}

/// A regular expression that has to match as a whole; an absent one matches anything.
pub fn whole(pattern: &Value, text: &str) -> bool {
    let Some(p) = pattern.as_str().filter(|p| !p.is_empty()) else { return true };
    regex::Regex::new(&format!("^(?:{p})$")).is_ok_and(|r| r.is_match(text))
}
