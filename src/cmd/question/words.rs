//! `flowhy why SRC DST[:PORT[/PROTO]]`: what was typed → what is asked. Pure; whether such a pod exists is found out later.
use crate::error::Error;
use crate::model::observed::L4;
use crate::query;
use std::net::IpAddr;

/// One side as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `ns/name`: a pod, or a workload by its name.
    Pod {
        namespace: String,
        name: String,
    },
    /// `ns:key=value,…`: any pod with just these labels.
    Labels {
        namespace: String,
        labels: Vec<(String, String)>,
    },
    Address(IpAddr),
    /// `world`, `host`, `remote-node`, …
    Reserved(String),
    /// A DNS name, in lower case, without its trailing dot.
    Name(String),
}

/// The question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub src: Place,
    pub dst: Place,
    /// ICMP: the type.
    pub port: Option<u16>,
    /// `None`: nothing was said of a port either.
    pub l4: Option<L4>,
    /// (method, path).
    pub http: Option<(String, String)>,
    /// As typed.
    pub words: (String, String),
}

/// Identities that have a name of their own.
const RESERVED: &[&str] =
    &["world", "world-ipv4", "world-ipv6", "host", "remote-node", "kube-apiserver", "ingress", "health", "init", "unmanaged"];

/// DST with port and protocol, where they are said.
type Target = (Place, Option<u16>, Option<L4>);

impl Place {
    /// `None` where the words mean something else, a filter perhaps.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address(ip));
        }
        if RESERVED.contains(&text) {
            return Some(Self::Reserved(text.to_owned()));
        }
        let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if let Some((namespace, labels)) = text.split_once(':')
            && labels.contains('=')
            && plain(namespace)
            && query::fields::Name::find(namespace.trim_start_matches("from.").trim_start_matches("to.")).is_none()
        {
            // A value has no colon: what follows one is the port.
            let pair = |l: &str| l.split_once('=').filter(|(_, v)| v.is_empty() || plain(v)).map(|(k, v)| (k.to_owned(), v.to_owned()));
            let pairs: Option<Vec<_>> = labels.split(',').map(pair).collect();
            return Some(Self::Labels { namespace: namespace.to_owned(), labels: pairs? });
        }
        if let Some((namespace, name)) = text.split_once('/') {
            let pod = plain(namespace) && plain(name);
            return pod.then(|| Self::Pod { namespace: namespace.to_owned(), name: name.to_owned() });
        }
        let name = text.contains('.') && plain(text) && !text.starts_with('.');
        name.then(|| Self::Name(text.trim_end_matches('.').to_ascii_lowercase()))
    }

    /// With a port behind it: `shop/db:5432/TCP`, `[fd00::1]:443`, `shop:app=db:5432`.
    fn with_port(text: &str) -> Option<Result<Target, String>> {
        if let Some(place) = Self::parse(text) {
            return Some(Ok((place, None, None)));
        }
        let (place, port) = text.rsplit_once(':')?;
        let place = Self::parse(place)?;
        let (port, proto) = port.split_once('/').map_or((port, None), |(port, proto)| (port, Some(proto)));
        let l4 = match proto.unwrap_or("TCP").to_ascii_uppercase().as_str() {
            "TCP" => L4::Tcp,
            "UDP" => L4::Udp,
            "SCTP" => L4::Sctp,
            "ICMP" => L4::Icmp4,
            "ICMPV6" => L4::Icmp6,
            other => return Some(Err(format!("{other} is none of TCP, UDP, SCTP, ICMP, ICMPv6"))),
        };
        let most = if matches!(l4, L4::Icmp4 | L4::Icmp6) { 255 } else { u16::MAX };
        Some(match port.parse::<u16>() {
            Ok(n) if n <= most && (n > 0 || most == 255) => Ok((place, Some(n), Some(l4))),
            _ => Err(format!("{port:?} is no port")),
        })
    }
}

/// An endpoint with a port behind it, taken apart; a filter on a field is none.
fn ported(text: &str) -> Option<(&str, u16)> {
    let Some(Ok((_, Some(port), _))) = Place::with_port(text) else { return None };
    let (place, _) = text.rsplit_once(':')?;
    let field = query::fields::Name::find(place.trim_start_matches("from.").trim_start_matches("to.")).is_some();
    (!field).then_some((place, port))
}

/// Two words that both name an endpoint are a question; anything else is a filter.
pub fn parse(words: &[String], http: Option<&str>) -> Result<Option<Question>, Error> {
    let usage = |what: String| Error::usage(what).hint("for example: flowhy why shop/cart shop/db:5432/TCP --policies k8s/");
    let asked = match words {
        [src, dst] => Place::parse(src).and_then(|place| Some((place, Place::with_port(dst)?, src, dst))),
        _ => None,
    };
    let Some((src, dst, src_text, dst_text)) = asked else {
        if let [src, dst] = words
            && let (Some((place, port)), Some(Ok(_))) = (ported(src), Place::with_port(dst))
        {
            return Err(Error::usage(format!("SRC has a port, {src:?}: which one a client calls from no policy asks")).hint(format!(
                "the port stands behind DST, for example: flowhy why {place} {}:{port}",
                dst.split(':').next().unwrap_or(dst)
            )));
        }
        return match http {
            Some(_) => Err(usage("--http asks about a request from SRC to DST".to_owned())),
            None => Ok(None),
        };
    };
    let (dst, port, l4) = dst.map_err(|e| usage(format!("cannot read {dst_text:?}: {e}")))?;
    let http = match http {
        None => None,
        Some(h) => match h.split_once(' ') {
            Some((method, path)) if !method.is_empty() && path.starts_with('/') => Some((method.to_ascii_uppercase(), path.to_owned())),
            _ => return Err(Error::usage(format!("cannot read the request {h:?}")).hint("write --http \"GET /path\"")),
        },
    };
    if http.is_some() && l4 != Some(L4::Tcp) {
        return Err(usage("--http wants a TCP port behind DST".to_owned()));
    }
    Ok(Some(Question { src, dst, port, l4, http, words: (src_text.clone(), dst_text.clone()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(words: &[&str]) -> Option<Question> {
        parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>(), None).unwrap()
    }

    #[test]
    fn two_endpoints_are_a_question_and_anything_else_a_filter() {
        let q = ask(&["shop/cart", "shop/db:5432"]).unwrap();
        assert_eq!((q.port, q.l4), (Some(5432), Some(L4::Tcp)));
        assert_eq!(q.dst, Place::Pod { namespace: "shop".into(), name: "db".into() });
        let q = ask(&["shop:app=cart,tier=web", "API.Stripe.com.:443/tcp"]).unwrap();
        assert_eq!(
            q.src,
            Place::Labels { namespace: "shop".into(), labels: vec![("app".into(), "cart".into()), ("tier".into(), "web".into())] }
        );
        assert_eq!((q.dst, q.port), (Place::Name("api.stripe.com".into()), Some(443)));
        assert_eq!(ask(&["world", "[fd00::1]:8/icmpv6"]).unwrap().dst, Place::Address("fd00::1".parse().unwrap()));
        assert_eq!(ask(&["10.0.0.1", "fd00::1"]).unwrap().l4, None);
        assert_eq!(ask(&["shop:app=cart", "shop:app=db:53/udp"]).unwrap().l4, Some(L4::Udp));
        for filter in [
            &["ns:shop", "drop:policy"][..],
            &["label:app=cart", "label:app=db"],
            &["cart", "db"],
            &["shop/cart"],
            &["from.port:80", "to.port:443"],
            &[],
        ] {
            assert_eq!(ask(filter), None, "{filter:?}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_words() {
        let bad = |dst: &str, http: Option<&str>| parse(&["shop/a".to_owned(), dst.to_owned()], http).unwrap_err().to_string();
        assert!(bad("shop/b:70000", None).contains("no port"));
        assert!(bad("shop/b:80/gre", None).contains("GRE"));
        assert!(bad("shop/b:80", Some("GET")).contains("cannot read the request"));
        assert!(bad("shop/b:80/udp", Some("GET /")).contains("TCP"));
        let error = parse(&["shop/a:1".to_owned(), "shop/b".to_owned()], None).unwrap_err().to_string();
        assert!(error.contains("SRC has a port") && error.contains("flowhy why shop/a shop/b:1"), "{error}");
    }
}
