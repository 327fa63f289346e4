//! Expressions of the language → nodes. Checks values and says what is wrong with them, where, and what was probably meant.
//!
//! A field with sides and no prefix means either side, each atom on its own; `!=` is the negation of `:`.
use super::ast::{Atom, Expr, Op, Text as Val, is_address};
use super::check::{Result, any, bad, dropped, each, enumerated, numbers, range, rcode, status, time, truth, unknown};
use super::fields::{Name, nearest};
use super::leaf::{Leaf, Part, Ranges, Text, Word};
use super::pattern::Glob;
use super::selector::Selector;
use super::{Context, Node, hubble, re2, value, when};
use crate::model::view::{End, Field};
use ipnet::IpNet;
use std::sync::Arc;

pub fn node(e: &Expr, ctx: &Context) -> Result<Node> {
    let all = |list: &[Expr]| list.iter().map(|e| node(e, ctx)).collect::<Result<Vec<_>>>();
    Ok(match e {
        Expr::All => Node::True,
        Expr::And(list) => Node::And(all(list)?),
        Expr::Or(list) => Node::Or(all(list)?),
        Expr::Not(e) => Node::Not(Box::new(node(e, ctx)?)),
        Expr::Word(w) if w.text.contains('/') && is_address(&w.text) => {
            let nets = vec![net(w)?];
            either(None, |end| Leaf::Addr(Field::Ip(end), nets.clone()))
        }
        Expr::Word(w) => {
            let word = Arc::new(Word::new(&w.text));
            let told = |e| Node::Leaf(Leaf::Word(e, word.clone()));
            let learnt = |e| Node::Leaf(Leaf::Items(Field::InferredNames(e), Text::Glob(vec![Glob::inside(&w.text, true)])));
            Node::Or(End::BOTH.map(told).into_iter().chain(End::BOTH.map(learnt)).collect())
        }
        Expr::Atom(a) => {
            let n = atom(a, ctx)?;
            if a.op == Op::Not { Node::Not(Box::new(n)) } else { n }
        }
    })
}

fn sides(side: Option<End>) -> &'static [End] {
    match side {
        None => &End::BOTH,
        Some(End::Source) => &[End::Source],
        Some(End::Destination) => &[End::Destination],
    }
}

fn either(side: Option<End>, leaf: impl Fn(End) -> Leaf) -> Node {
    any(sides(side).iter().map(|e| Node::Leaf(leaf(*e))).collect())
}

fn atom(a: &Atom, ctx: &Context) -> Result<Node> {
    let leaf = |l: Leaf| Ok(Node::Leaf(l));
    let plain = |field: Field, fold: bool| leaf(Leaf::Text { field, test: text(a, fold)?, missing: true });
    let sided = |field: fn(End) -> Field| -> Result<Node> {
        let nodes = sides(a.side).iter().map(|e| plain(field(*e), false)).collect::<Result<_>>()?;
        Ok(any(nodes))
    };
    match a.name {
        Name::Ns => sided(Field::Namespace),
        Name::Cluster => sided(Field::Cluster),
        Name::Pod => pairs(a, Field::Namespace, Field::Pod),
        Name::Svc => pairs(a, Field::ServiceNamespace, Field::ServiceName),
        Name::Workload => workload(a),
        Name::Label => {
            let one = |v: &Val| Selector::parse(&v.text).map_err(|e| bad(v, format!("not a label selector: {e}")));
            let list = each(a, one)?;
            Ok(either(a.side, |e| Leaf::Labels(Field::Labels(e), list.clone())))
        }
        Name::Identity => {
            let known = |s: &str| value::identity(&s.to_ascii_lowercase()).ok().map(|n| (i128::from(n), i128::from(n)));
            let ranges = numbers(a, known, "a security identity is a number or a reserved name", 0)?;
            Ok(either(a.side, |e| Leaf::num(Field::Identity(e), ranges.clone())))
        }
        Name::Ip => ip(a),
        Name::Port => {
            let ranges = numbers(a, |s| range(s, 65535), "a port is a number up to 65535, or a range 8000-8100", 0)?;
            Ok(either(a.side, |e| Leaf::num(Field::Port(e), ranges.clone())))
        }
        Name::Fqdn => fqdn(a),
        Name::Verdict => enumerated(a, Field::Verdict, |s| match s {
            "unknown" | "verdict_unknown" => Some(0),
            s => ["forwarded", "dropped", "error", "audit", "redirected", "traced", "translated"]
                .iter()
                .zip(1..)
                .find(|(n, _)| **n == s)
                .map(|(_, i)| i),
        }),
        Name::Drop => Ok(any(each(a, |v| dropped(a, v))?)),
        Name::Dir => {
            enumerated(a, Field::Direction, |s| ["unknown", "ingress", "egress"].iter().zip(0..).find(|(n, _)| **n == s).map(|(_, i)| i))
        }
        Name::Type => {
            let one = |v: &Val| value::event_type(&v.text.to_ascii_lowercase()).map_err(|_| unknown(a, v));
            leaf(Leaf::Event(each(a, |v| one(v).map(|e| (i64::from(e.r#type), e.match_sub_type.then_some(i64::from(e.sub_type)))))?))
        }
        Name::Proto => Ok(any(each(a, |v| hubble::protocol(&v.text).ok_or_else(|| unknown(a, v)))?)),
        Name::Reply => leaf(Leaf::Reply(each(a, |v| truth(a, v))?)),
        Name::Encrypted => leaf(Leaf::Bool { field: Field::Encrypted, any: each(a, |v| truth(a, v))?, missing: None }),
        Name::Node => {
            let mut test = text(a, false)?;
            if let Text::Glob(globs) = &mut test {
                // `node:worker-1` also finds `prod/worker-1`.
                globs.extend(
                    a.values
                        .iter()
                        .filter(|v| !v.text.contains('/') && !v.text.is_empty())
                        .map(|v| Glob::new(&format!("*/{}", v.text), false)),
                );
            }
            leaf(Leaf::Text { field: Field::NodeName, test, missing: true })
        }
        Name::Iface => plain(Field::InterfaceName, false),
        Name::Uuid => plain(Field::Uuid, true),
        Name::Flags => {
            let values = a.name.spec().values;
            let one = |v: &Val| {
                value::flag_set(&v.text).ok_or_else(|| {
                    let wrong = v.text.split('+').find(|w| !values.contains(&w.to_ascii_lowercase().as_str())).unwrap_or_default();
                    bad(v, format!("no TCP flag {wrong:?}; there are {}", values.join(" "))).suggest(nearest(wrong, values.iter().copied()))
                })
            };
            leaf(Leaf::TcpFlags(each(a, one)?))
        }
        Name::Policy if a.op == Op::Regex => leaf(Leaf::PolicyRegex(regexes(a)?)),
        Name::Policy => leaf(Leaf::Policy(each(a, |v| Ok(Glob::new(&v.text, true)))?)),
        Name::Cause => {
            let ids: Ranges = a.values.iter().filter_map(|v| v.text.parse::<u64>().ok()).map(|n| (n.into(), n.into())).collect();
            let by_text = plain(Field::Cause, true)?;
            Ok(if ids.is_empty() { by_text } else { any(vec![by_text, Node::Leaf(Leaf::num(Field::CauseId, ids))]) })
        }
        Name::Outcome => {
            let one = |v: &Val| {
                let word = v.text.to_ascii_lowercase();
                if a.name.spec().values.contains(&word.as_str()) { Ok(word) } else { Err(unknown(a, v)) }
            };
            leaf(Leaf::Text { field: Field::Outcome, test: Text::OneOf(each(a, one)?), missing: false })
        }
        Name::HttpMethod => plain(Field::HttpMethod, true),
        Name::HttpPath => leaf(Leaf::Url(Part::Path, text(a, false)?)),
        Name::HttpHost => {
            let name = Text::Glob(vec![Glob::new("host", true), Glob::new(":authority", true)]);
            Ok(any(vec![Node::Leaf(Leaf::Url(Part::Host, text(a, true)?)), Node::Leaf(Leaf::Header(vec![(name, Some(text(a, true)?))]))]))
        }
        Name::HttpHeader => {
            let one = |v: &Val| {
                let (key, value) = v.text.split_once(['=', ':']).map_or((v.text.as_str(), None), |(k, x)| (k, Some(x)));
                Ok((Text::Glob(vec![Glob::new(key.trim(), true)]), value.map(|x| Text::Glob(vec![Glob::new(x.trim(), false)]))))
            };
            leaf(Leaf::Header(each(a, one)?))
        }
        Name::HttpStatus => leaf(Leaf::num(Field::HttpCode, numbers(a, status, "a status is 404, 5xx or a range 500-503", 1)?)),
        Name::DnsQuery => leaf(Leaf::Text { field: Field::DnsQuery, test: names(a)?, missing: true }),
        Name::DnsRcode => {
            leaf(Leaf::num(Field::DnsRcode, numbers(a, rcode, "an answer code is a number or NXDOMAIN, SERVFAIL, REFUSED, …", 0)?))
        }
        Name::KafkaTopic => plain(Field::KafkaTopic, false),
        Name::Latency => {
            let known = |s: &str| when::duration(s).filter(|d| *d >= 0).map(|d| (i128::from(d), i128::from(d)));
            leaf(Leaf::num(Field::LatencyNs, numbers(a, known, "a latency has a unit: 200ms, 1.5s", 1)?))
        }
        Name::Since | Name::Until | Name::At => time(a, ctx),
    }
}

fn regexes(a: &Atom) -> Result<Vec<regex::Regex>> {
    each(a, |v| re2::compile(&v.text).map_err(|e| bad(v, format!("not a regular expression: {e}"))))
}

fn text(a: &Atom, fold: bool) -> Result<Text> {
    if a.op == Op::Regex {
        regexes(a).map(Text::RegexSome)
    } else {
        Ok(Text::Glob(a.values.iter().map(|v| Glob::new(&v.text, fold)).collect()))
    }
}

/// DNS names: any case, with or without the final dot.
fn names(a: &Atom) -> Result<Text> {
    if a.op == Op::Regex {
        return text(a, true);
    }
    let both = a.values.iter().flat_map(|v| {
        let bare = v.text.strip_suffix('.').unwrap_or(&v.text);
        [Glob::new(bare, true), Glob::new(&format!("{bare}."), true)]
    });
    Ok(Text::Glob(both.collect()))
}

fn fqdn(a: &Atom) -> Result<Node> {
    let mut nodes = Vec::new();
    for e in sides(a.side) {
        for field in [Field::Names(*e), Field::InferredNames(*e)] {
            nodes.push(Node::Leaf(Leaf::Items(field, names(a)?)));
        }
    }
    Ok(any(nodes))
}

/// `name` or `namespace/name`.
fn pairs(a: &Atom, first: fn(End) -> Field, second: fn(End) -> Field) -> Result<Node> {
    let mut nodes = Vec::new();
    for e in sides(a.side) {
        if a.op == Op::Regex {
            nodes.push(Node::Leaf(Leaf::Text { field: second(*e), test: text(a, false)?, missing: false }));
            continue;
        }
        for v in &a.values {
            let glob = |s: &str| Text::Glob(vec![Glob::new(s, false)]);
            nodes.push(Node::Leaf(match v.text.split_once('/') {
                Some((ns, name)) => Leaf::Pair { first: first(*e), second: second(*e), tests: vec![(glob(ns), glob(name))] },
                None => Leaf::Text { field: second(*e), test: glob(&v.text), missing: true },
            }));
        }
    }
    Ok(any(nodes))
}

/// `name`, `kind/name` or `namespace/name`.
fn workload(a: &Atom) -> Result<Node> {
    let mut nodes = Vec::new();
    for e in sides(a.side) {
        let field = Field::Owners(*e);
        if a.op == Op::Regex {
            nodes.push(Node::Leaf(Leaf::Items(field, text(a, false)?)));
            continue;
        }
        for v in &a.values {
            let glob = |s: &str, fold| Text::Glob(vec![Glob::new(s, fold)]);
            match v.text.split_once('/') {
                Some((first, name)) => {
                    nodes.push(Node::Leaf(Leaf::PairItems(field, vec![(glob(first, true), glob(name, false))])));
                    let ns = Node::Leaf(Leaf::Text { field: Field::Namespace(*e), test: glob(first, false), missing: false });
                    nodes.push(Node::And(vec![ns, Node::Leaf(Leaf::Items(field, glob(name, false)))]));
                }
                None if v.text.is_empty() => {
                    let some = Leaf::Items(field, glob("*", false));
                    nodes.push(Node::Not(Box::new(Node::Leaf(some))));
                }
                None => nodes.push(Node::Leaf(Leaf::Items(field, glob(&v.text, false)))),
            }
        }
    }
    Ok(any(nodes))
}

fn net(v: &Val) -> Result<IpNet> {
    let net = if v.text.contains('/') { hubble::prefix(&v.text) } else { v.text.parse::<std::net::IpAddr>().ok().map(IpNet::from) };
    net.ok_or_else(|| bad(v, format!("{:?} is no address and no prefix", v.text)))
}

fn ip(a: &Atom) -> Result<Node> {
    if a.op == Op::Regex || a.values.iter().all(|v| v.text.contains('*') || v.text.is_empty()) {
        let nodes = sides(a.side).iter().map(|e| Ok(Node::Leaf(Leaf::Text { field: Field::Ip(*e), test: text(a, true)?, missing: true })));
        return nodes.collect::<Result<_>>().map(any);
    }
    let nets = each(a, net)?;
    Ok(either(a.side, |e| Leaf::Addr(Field::Ip(e), nets.clone())))
}
