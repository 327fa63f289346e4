//! The path and the host of a request's URL, as Go's `url.ParseRequestURI` sees them: Hubble's `--http-path` depends on it.
//!
//! Must not allocate unless a path has escapes.
use std::borrow::Cow;

/// The decoded path, if the text is a request URI: an absolute URI, a path, or `*`.
pub fn path(url: &str) -> Option<Cow<'_, str>> {
    let (_, path) = split(url)?;
    decode(path)
}

/// The host without the port; empty where the URL has none.
pub fn host(url: &str) -> &str {
    let Some((authority, _)) = split(url) else { return "" };
    let host = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// (authority, path), both still escaped.
fn split(url: &str) -> Option<(&str, &str)> {
    if url.is_empty() || url.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return None;
    }
    if url == "*" {
        return Some(("", "*"));
    }
    let (scheme, rest) = scheme(url)?;
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.strip_prefix("//") {
        Some(r) if scheme => {
            let (authority, path) = r.find('/').map_or((r, ""), |i| r.split_at(i));
            authority_ok(authority).then_some((authority, path))
        }
        _ if rest.starts_with('/') => Some(("", rest)),
        // `mailto:x`: a scheme and no path.
        _ => scheme.then_some(("", "")),
    }
}

/// Whether there is a scheme, and what follows it.
fn scheme(url: &str) -> Option<(bool, &str)> {
    for (i, b) in url.bytes().enumerate() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' => return (i > 0).then(|| (true, &url[i + 1..])),
            _ => return Some((false, url)),
        }
    }
    Some((false, url))
}

fn authority_ok(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(u, h)| (u, h));
    let user_ok = user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b));
    let port_ok = |p: &str| p.is_empty() || p.strip_prefix(':').is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let host_ok = match host.strip_prefix('[') {
        Some(v6) => v6.rsplit_once(']').is_some_and(|(_, port)| port_ok(port)),
        None => port_ok(host.rfind(':').map_or("", |i| &host[i..])),
    };
    let byte_ok = |b: u8| b >= 0x80 || b.is_ascii_alphanumeric() || b"!$&'()*+,;=:[]<>\"-_.~%".contains(&b);
    user_ok && host_ok && host.bytes().all(byte_ok) && escapes_ok(host.as_bytes(), true) && escapes_ok(user.as_bytes(), false)
}

fn hex(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn escapes_ok(s: &[u8], in_host: bool) -> bool {
    let mut at = 0;
    while let Some(i) = s[at..].iter().position(|b| *b == b'%') {
        let two = s.get(at + i + 1..at + i + 3).unwrap_or_default();
        let [h, l] = two else { return false };
        let (Some(h), Some(_)) = (hex(*h), hex(*l)) else { return false };
        // In a host only bytes over 0x7f and the percent sign itself may be escaped.
        if in_host && h < 8 && two != b"25" {
            return false;
        }
        at += i + 3;
    }
    true
}

fn decode(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let (s, mut out, mut at) = (path.as_bytes(), Vec::with_capacity(path.len()), 0);
    while let Some(b) = s.get(at) {
        if *b == b'%' {
            out.push(hex(*s.get(at + 1)?)? << 4 | hex(*s.get(at + 2)?)?);
            at += 3;
        } else {
            out.push(*b);
            at += 1;
        }
    }
    Some(Cow::Owned(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (url, want) in [
            ("http://h/api/v1?x=1", Some("/api/v1")),
            ("/a%20b?q", Some("/a b")),
            ("http://h", Some("")),
            ("http://h?q", Some("")),
            ("*", Some("*")),
            ("//x/y", Some("//x/y")),
            ("mailto:x", Some("")),
            ("api/v1", None),
            ("/a%2", None),
            ("/a%zz", None),
            ("http://a b/c", None),
            ("http://h:x/c", None),
            ("http://h:80/c#f", Some("/c#f")),
            ("http://[::1]:80/c", Some("/c")),
            (":x", None),
            ("/a\n", None),
            ("", None),
        ] {
            assert_eq!(path(url).as_deref(), want, "{url}");
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(host("http://u:p@api.shop:8080/x"), "api.shop");
        assert_eq!(host("http://[fd00::1]:80/"), "fd00::1");
        assert_eq!(host("/x"), "");
    }
}
