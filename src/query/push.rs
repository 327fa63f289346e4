//! What of a filter a server can do: an expression of the language → FlowFilters that let through at least what it matches.
//!
//! Owns which field of the language means what on the wire. Sound first: a filter that is sent may let too much through, never
//! too little, because what the server withholds is gone. Whether it is also exact is known for each part; the rest runs here.
use super::ast::{Atom, Expr, Op, Text};
use super::check::{range, status, times};
use super::fields::Name;
use super::track::Filters;
use super::{Context, hubble, value};
use crate::model::time::Nanos;
use crate::model::view::End;
use crate::wire::pb::flow::{self, FlowFilter, Verdict};
use ipnet::IpNet;

/// Most filters that one part, or the whole, may become.
const MOST: usize = 32;
/// Widest range of ports or codes that is written out.
const WIDEST: i128 = 64;
/// The event type that filters on HTTP demand.
const L7: i32 = 129;

/// A server stops at the first flow beyond a bound of time, and flows of several CPUs lie in its ring only nearly in their order.
const DISORDER: i64 = 2 * Nanos::SECOND;

/// A filter divided between server and client.
#[derive(Debug, Clone, Default)]
pub struct Pushed {
    pub whitelist: Vec<FlowFilter>,
    pub blacklist: Vec<FlowFilter>,
    /// No flow earlier or later than these matches.
    pub window: (Option<Nanos>, Option<Nanos>),
    /// Whether the two lists say everything.
    pub exact: bool,
    /// The parts that the server judges alone, as they are written.
    pub there: Vec<String>,
    /// The parts that are judged here, whether the server helps or not.
    pub here: Vec<String>,
}

/// Alternatives that together cover something.
struct Cover {
    any: Vec<FlowFilter>,
    exact: bool,
}

/// Divides the filter that the flags make, and the one that is written in the language. `infers`: whether names are filled in
/// here that the server does not know; then what asks for them is not sent, and no bound of time, before which they may be learnt.
pub fn push(flags: &Filters, words: &Expr, infers: bool, ctx: &Context) -> Pushed {
    let mut p = Pushed { whitelist: flags.whitelist.clone(), blacklist: flags.blacklist.clone(), exact: true, ..Pushed::default() };
    let mut parts = Vec::new();
    conjuncts(&positive(words, false), &mut parts);
    for part in parts {
        if !infers {
            narrow(&mut p.window, &part, ctx);
        }
        let exact = add(&mut p, &part, infers);
        p.exact &= exact;
        let list = if exact { &mut p.there } else { &mut p.here };
        list.push(part.to_string());
    }
    p
}

/// The filters, and DNS besides, without whose answers names stay unknown. No filter already means everything.
pub fn with_dns(mut all: Vec<FlowFilter>) -> Vec<FlowFilter> {
    if !all.is_empty() {
        all.push(FlowFilter { protocol: vec!["dns".to_owned()], ..FlowFilter::default() });
    }
    all
}

/// Narrows the window to what a `since`, `until` or `at` lets through. The part itself stays here: a bound is wider than it says,
/// and a server that counts the last flows counts those after an `until` too.
fn narrow(window: &mut (Option<Nanos>, Option<Nanos>), part: &Expr, ctx: &Context) {
    let Expr::Atom(a) = part else { return };
    if a.op != Op::Is || !matches!(a.name, Name::Since | Name::Until | Name::At) {
        return;
    }
    let Ok(ranges) = times(a, ctx) else { return };
    // Beyond what a time can say there is no bound.
    let bound = |n: Option<i128>| n.and_then(|n| i64::try_from(n).ok()).filter(|n| *n < i64::MAX).map(Nanos);
    if let Some(since) = bound(ranges.iter().map(|r| r.0).min()) {
        let since = since.plus(-DISORDER);
        window.0 = Some(window.0.map_or(since, |t| t.max(since)));
    }
    if let Some(until) = bound(ranges.iter().map(|r| r.1).max()) {
        let until = until.plus(DISORDER);
        window.1 = Some(window.1.map_or(until, |t| t.min(until)));
    }
}

/// Adds one part to the lists; whether they say all of it.
fn add(p: &mut Pushed, part: &Expr, infers: bool) -> bool {
    if let Some(refused) = refused(part, infers) {
        // Only what is refused for certain may be refused there.
        p.blacklist.extend(refused.any);
        return refused.exact;
    }
    let Some(cover) = cover(part, infers) else { return false };
    if p.whitelist.is_empty() {
        p.whitelist = cover.any;
        return cover.exact;
    }
    match both(&p.whitelist, &cover.any) {
        Some(merged) => {
            let exact = cover.exact && merged.exact;
            p.whitelist = merged.any;
            exact
        }
        None => false,
    }
}

/// The expression with every `not` at an atom.
fn positive(e: &Expr, negated: bool) -> Expr {
    let all = |list: &[Expr]| list.iter().map(|e| positive(e, negated)).collect();
    match e {
        Expr::Not(e) => positive(e, !negated),
        Expr::And(list) if negated => Expr::Or(all(list)),
        Expr::Or(list) if negated => Expr::And(all(list)),
        Expr::And(list) => Expr::And(all(list)),
        Expr::Or(list) => Expr::Or(all(list)),
        Expr::Atom(a) if a.op == Op::Not => {
            let plain = Expr::Atom(Atom { op: Op::Is, ..a.clone() });
            if negated { plain } else { Expr::Not(Box::new(plain)) }
        }
        // `not` of the empty filter matches nothing; no list can say that, so it stays here.
        e if negated => Expr::Not(Box::new(e.clone())),
        e => e.clone(),
    }
}

fn conjuncts(e: &Expr, out: &mut Vec<Expr>) {
    match e {
        Expr::All => {}
        Expr::And(list) => list.iter().for_each(|e| conjuncts(e, out)),
        e => out.push(e.clone()),
    }
}

/// Alternatives that together let through at least what `e` matches; `None`: nothing narrower than everything.
fn cover(e: &Expr, infers: bool) -> Option<Cover> {
    match e {
        Expr::Atom(a) => atom(a, infers),
        Expr::Or(list) => {
            let mut all = Cover { any: Vec::new(), exact: true };
            for e in list {
                let one = cover(e, infers)?;
                all.any.extend(one.any);
                all.exact &= one.exact;
            }
            (all.any.len() <= MOST).then_some(all)
        }
        Expr::And(list) => {
            let mut all: Option<Cover> = None;
            let mut exact = true;
            for e in list {
                let Some(one) = cover(e, infers) else {
                    exact = false;
                    continue;
                };
                exact &= one.exact;
                all = Some(match all {
                    None => one,
                    Some(before) => match both(&before.any, &one.any) {
                        Some(merged) => Cover { exact: merged.exact && before.exact, ..merged },
                        None => {
                            exact = false;
                            before
                        }
                    },
                });
            }
            all.map(|c| Cover { exact: exact && c.exact, ..c })
        }
        Expr::All | Expr::Not(_) | Expr::Word(_) => None,
    }
}

/// For a part that only refuses, `not a` or `not a or not b`: the filters of what it refuses. They never match more than that;
/// `exact` if they match all of it.
fn refused(e: &Expr, infers: bool) -> Option<Cover> {
    let sure = |c: Cover| c.exact.then_some(c);
    match e {
        Expr::Not(e) => match &**e {
            Expr::Atom(a) => atom(a, infers).and_then(sure),
            _ => None,
        },
        Expr::Or(list) => {
            let mut all: Option<Cover> = None;
            for e in list {
                let one = refused(e, infers)?;
                all = Some(match all {
                    None => one,
                    Some(before) => both(&before.any, &one.any).and_then(sure)?,
                });
            }
            all
        }
        _ => None,
    }
}

/// What matches one of each list. `None` where that would be too many, or nothing at all: an empty list means everything.
fn both(a: &[FlowFilter], b: &[FlowFilter]) -> Option<Cover> {
    if a.len() * b.len() > MOST {
        return None;
    }
    let mut out = Cover { any: Vec::new(), exact: true };
    for x in a {
        for y in b {
            if let Some((f, exact)) = merge(x, y) {
                out.exact &= exact;
                if !out.any.contains(&f) {
                    out.any.push(f);
                }
            }
        }
    }
    (!out.any.is_empty()).then_some(out)
}

/// One filter for two that both have to match, and whether it says all that they say; `None`: nothing matches both.
fn merge(a: &FlowFilter, b: &FlowFilter) -> Option<(FlowFilter, bool)> {
    let (mut f, mut exact) = (a.clone(), true);
    // Values of a field are alternatives: two lists of them cannot both be asked for, unless a flow has one value only.
    macro_rules! one_value { ($($field:ident),+) => { $(
        if f.$field.is_empty() {
            f.$field.clone_from(&b.$field);
        } else if !b.$field.is_empty() {
            f.$field.retain(|v| b.$field.contains(v));
            if f.$field.is_empty() {
                return None;
            }
        }
    )+ } }
    macro_rules! some_value { ($($field:ident),+) => { $(
        if f.$field.is_empty() {
            f.$field.clone_from(&b.$field);
        } else if !b.$field.is_empty() && f.$field != b.$field {
            exact = false;
        }
    )+ } }
    // Selectors have an "and" of their own.
    macro_rules! selectors { ($($field:ident),+) => { $(
        match (f.$field.as_mut_slice(), b.$field.as_slice()) {
            (_, []) => {}
            ([], more) => f.$field = more.to_vec(),
            (x, y) if x == y => {}
            ([x], [y]) if !x.is_empty() && !y.is_empty() => {
                x.push(',');
                x.push_str(y);
            }
            _ => exact = false,
        }
    )+ } }
    one_value!(verdict, traffic_direction, encrypted);
    some_value!(
        source_identity,
        destination_identity,
        source_pod,
        destination_pod,
        source_service,
        destination_service,
        source_ip,
        destination_ip,
        source_port,
        destination_port,
        source_workload,
        destination_workload,
        source_cluster_name,
        destination_cluster_name,
        event_type,
        protocol,
        reply,
        tcp_flags,
        interface,
        node_name,
        http_method,
        http_path,
        http_status_code,
        dns_query
    );
    selectors!(source_label, destination_label);
    let asks_http = !(f.http_method.is_empty() && f.http_path.is_empty() && f.http_status_code.is_empty());
    if asks_http && !f.event_type.is_empty() && f.event_type.iter().all(|t| t.r#type != L7) {
        // Servers refuse a filter on HTTP of events that have none, and so it would match nothing.
        let a_asks = !(a.http_method.is_empty() && a.http_path.is_empty() && a.http_status_code.is_empty());
        if a_asks {
            f.event_type.clone_from(&a.event_type);
        } else {
            (f.http_method, f.http_path, f.http_status_code) = <_>::default();
        }
        exact = false;
    }
    Some((f, exact))
}

/// The filters of an atom, one for each side that it may mean.
fn atom(a: &Atom, infers: bool) -> Option<Cover> {
    let values = || a.values.iter().map(|v| v.text.as_str());
    let exact = |any: Vec<FlowFilter>| Some(Cover { any, exact: true });
    let wide = |any: Vec<FlowFilter>| Some(Cover { any, exact: false });
    let one = |f: FlowFilter| vec![f];
    let is = a.op == Op::Is;
    macro_rules! sided {
        ($source:ident, $destination:ident, $list:expr) => {{
            let list = $list;
            let mut any = Vec::new();
            if a.side != Some(End::Destination) {
                any.push(FlowFilter { $source: list.clone(), ..FlowFilter::default() });
            }
            if a.side != Some(End::Source) {
                any.push(FlowFilter { $destination: list, ..FlowFilter::default() });
            }
            any
        }};
    }
    match a.name {
        Name::Ns if is => {
            let list = values().map(|v| plain(v).filter(|v| !v.contains('/')).map(|v| format!("{v}/"))).collect::<Option<Vec<_>>>()?;
            exact(sided!(source_pod, destination_pod, list))
        }
        Name::Cluster if is => exact(sided!(source_cluster_name, destination_cluster_name, literals(a)?)),
        Name::Pod if is => {
            let (list, all) = names(a)?;
            Some(Cover { any: sided!(source_pod, destination_pod, list), exact: all })
        }
        Name::Svc if is => {
            let (list, all) = names(a)?;
            Some(Cover { any: sided!(source_service, destination_service, list), exact: all })
        }
        Name::Workload if is && !infers => {
            let list = values()
                .map(|v| plain(v).filter(|v| !v.contains('/')).map(|name| flow::Workload { name: name.to_owned(), kind: String::new() }))
                .collect::<Option<Vec<_>>>()?;
            // Where the record has no owner here the pod's name shows it, and begins with it.
            let pods = list.iter().map(|w| format!("/{}", w.name)).collect::<Vec<_>>();
            let mut any = sided!(source_workload, destination_workload, list);
            any.extend(sided!(source_pod, destination_pod, pods));
            wide(any)
        }
        Name::Label if is => exact(sided!(source_label, destination_label, values().map(str::to_owned).collect::<Vec<_>>())),
        Name::Identity if is => {
            let list = values().map(|v| value::identity(&v.to_ascii_lowercase()).ok()).collect::<Option<Vec<_>>>()?;
            exact(sided!(source_identity, destination_identity, list))
        }
        Name::Ip if is => {
            let net = |v: &str| if v.contains('/') { hubble::prefix(v) } else { v.parse::<std::net::IpAddr>().ok().map(IpNet::from) };
            // Always with a length: addresses without one are compared as text.
            let list = values().map(|v| net(v).map(|n| n.to_string())).collect::<Option<Vec<_>>>()?;
            exact(sided!(source_ip, destination_ip, list))
        }
        Name::Port if is => {
            let list = written_out(a, |v| range(v, 65535))?.iter().map(ToString::to_string).collect::<Vec<_>>();
            exact(sided!(source_port, destination_port, list))
        }
        Name::Verdict if is => {
            let number = |v: &str| match v.to_ascii_uppercase().as_str() {
                "UNKNOWN" => Some(Verdict::Unknown as i32),
                v => Verdict::from_str_name(v).map(|v| v as i32),
            };
            exact(one(FlowFilter { verdict: values().map(number).collect::<Option<_>>()?, ..FlowFilter::default() }))
        }
        Name::Drop if is => {
            let any = values().all(|v| v.eq_ignore_ascii_case("any"));
            Some(Cover { any: one(FlowFilter { verdict: vec![Verdict::Dropped as i32], ..FlowFilter::default() }), exact: any })
        }
        Name::Dir if is => {
            let number =
                |v: &str| ["unknown", "ingress", "egress"].iter().zip(0..).find(|(n, _)| n.eq_ignore_ascii_case(v)).map(|(_, i)| i);
            exact(one(FlowFilter { traffic_direction: values().map(number).collect::<Option<_>>()?, ..FlowFilter::default() }))
        }
        Name::Type if is => {
            let list = values().map(|v| value::event_type(&v.to_ascii_lowercase()).ok()).collect::<Option<_>>()?;
            exact(one(FlowFilter { event_type: list, ..FlowFilter::default() }))
        }
        Name::Proto if is => exact(one(FlowFilter { protocol: values().map(str::to_ascii_lowercase).collect(), ..FlowFilter::default() })),
        Name::Reply if is => exact(one(FlowFilter { reply: truths(a)?, ..FlowFilter::default() })),
        Name::Encrypted if is => {
            let list = truths(a)?;
            // To Hubble a flow without an address is one that is not encrypted.
            Some(Cover { exact: !list.contains(&false), any: one(FlowFilter { encrypted: list, ..FlowFilter::default() }) })
        }
        Name::Iface if is => {
            let list = literals(a)?.into_iter().map(|name| flow::NetworkInterface { index: 0, name }).collect();
            exact(one(FlowFilter { interface: list, ..FlowFilter::default() }))
        }
        Name::Flags if is => {
            let list = values().map(|v| value::tcp_flags(&v.replace('+', ",")).ok()).collect::<Option<_>>()?;
            exact(one(FlowFilter { tcp_flags: list, ..FlowFilter::default() }))
        }
        Name::Node if is => wide(one(FlowFilter { node_name: nodes(a)?, ..FlowFilter::default() })),
        Name::HttpMethod if is => {
            let list = literals(a).filter(|l| l.iter().all(|v| v.is_ascii()))?;
            // Hubble folds more letters than ASCII's: K is also the sign of Kelvin.
            let same = !list.iter().any(|v| v.to_ascii_lowercase().contains(['k', 's']));
            Some(Cover { any: one(FlowFilter { http_method: list, ..FlowFilter::default() }), exact: same })
        }
        Name::HttpPath if is || a.op == Op::Regex => {
            let list = if is {
                values().map(|v| plain(v).map(|v| format!("^{}$", regex::escape(v)))).collect::<Option<_>>()?
            } else {
                values().map(str::to_owned).collect()
            };
            wide(one(FlowFilter { http_path: list, ..FlowFilter::default() }))
        }
        Name::HttpStatus if is => {
            let list = match written_out(a, status) {
                Some(codes) => codes.iter().map(|n| (100..600).contains(n).then(|| n.to_string())).collect::<Option<_>>()?,
                // `5xx`; Hubble's prefix also takes codes with more digits.
                None => values()
                    .map(|v| {
                        v.to_ascii_lowercase()
                            .strip_suffix("xx")
                            .filter(|c| matches!(*c, "1" | "2" | "3" | "4" | "5"))
                            .map(|c| format!("{c}+"))
                    })
                    .collect::<Option<_>>()?,
            };
            let exact = written_out(a, status).is_some();
            Some(Cover { any: one(FlowFilter { http_status_code: list, ..FlowFilter::default() }), exact })
        }
        Name::DnsQuery if is => {
            let list = values()
                .map(|v| plain(v).map(|v| format!("(?i)^{}\\.?$", regex::escape(v.strip_suffix('.').unwrap_or(v)))))
                .collect::<Option<_>>()?;
            wide(one(FlowFilter { dns_query: list, ..FlowFilter::default() }))
        }
        // At least the kind of record is known.
        Name::DnsRcode if is => wide(one(FlowFilter { protocol: vec!["dns".into()], ..FlowFilter::default() })),
        Name::KafkaTopic if is && values().all(|v| !v.is_empty()) => {
            wide(one(FlowFilter { protocol: vec!["kafka".into()], ..FlowFilter::default() }))
        }
        // What is derived here, compared otherwise there, or has no filter on the wire.
        _ => None,
    }
}

/// A value without gaps that is not empty.
fn plain(v: &str) -> Option<&str> {
    (!v.is_empty() && !v.contains(['*', '\\'])).then_some(v)
}

fn literals(a: &Atom) -> Option<Vec<String>> {
    a.values.iter().map(|v| plain(&v.text).map(str::to_owned)).collect()
}

fn truths(a: &Atom) -> Option<Vec<bool>> {
    let one = |v: &Text| match v.text.to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    };
    a.values.iter().map(one).collect()
}

/// Names of pods and services: Hubble's is a prefix, so only `name*` says the same.
fn names(a: &Atom) -> Option<(Vec<String>, bool)> {
    let mut same = true;
    let one = |v: &Text| {
        let (ns, name) = v.text.split_once('/').map_or(("", v.text.as_str()), |(ns, name)| (ns, name));
        let open = name.strip_suffix('*').filter(|n| !n.is_empty());
        same &= open.is_some();
        let name = plain(open.unwrap_or(name)).filter(|n| !n.contains('/'))?;
        // An empty namespace in the language is no namespace; Hubble's is any.
        same &= !v.text.starts_with('/');
        (!ns.contains(['*', '\\'])).then(|| format!("{ns}/{name}"))
    };
    let list = a.values.iter().map(one).collect::<Option<Vec<_>>>()?;
    Some((list, same))
}

/// `cluster/node`, where Hubble's pattern of it is the text itself.
fn nodes(a: &Atom) -> Option<Vec<String>> {
    let simple = |s: &str| {
        !s.is_empty() && !s.ends_with('.') && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    };
    let one = |v: &Text| v.text.split_once('/').filter(|(c, n)| simple(c) && simple(n)).map(|_| v.text.clone());
    a.values.iter().map(one).collect()
}

/// All numbers of the ranges, if they are few.
fn written_out(a: &Atom, known: impl Fn(&str) -> Option<(i128, i128)>) -> Option<Vec<i128>> {
    let mut all = Vec::new();
    for v in &a.values {
        let (lo, hi) = known(&v.text)?;
        if hi - lo >= WIDEST || all.len() > MOST * 8 {
            return None;
        }
        all.extend(lo..=hi);
    }
    Some(all)
}
