//! How near one rule came to allowing a flow: every condition with its line, the value wanted and the value found.
//!
//! Most rules are only counted (`weigh`); words are made for those that somebody reads (`check`). Both are one walk, so they agree.
use super::words;
use crate::model::observed::{Direction, L4};
use crate::model::why::{Failed, Mark};
use crate::model::words::few;
use crate::policy::eval::{Case, Required, peer, port};
use crate::policy::ir::{IcmpField, Peer, PeerIs, Peers, Port, PortIs, Ports, Protocol, Rule};
use crate::policy::selector::{Op, Requirement, Selector, Tri};
use crate::world::labels::POD_NAMESPACE;

/// Ports and addresses named in one condition's words.
const NAMED: usize = 4;

/// A rule held against a flow.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Conditions that fail, in words.
    pub failed: Vec<(Failed, u32)>,
    pub marks: Vec<Mark>,
    /// Of some condition it is not known whether it holds.
    pub unsure: bool,
    /// How many fail, and what the first of them is on.
    misses: usize,
    first: &'static str,
    /// Conditions that hold.
    pub held: usize,
    /// No peer condition fails.
    pub peer: bool,
    /// No port condition fails.
    pub port: bool,
    /// How far what was found lies from what was wanted, in meaning: a slip of the pen is nearer than another label.
    pub apart: usize,
    /// It is a rule for DNS, and the flow is not.
    pub errand: bool,
    /// Whether words are made; without them `failed` and `marks` stay empty.
    words: bool,
}

/// Order of nearness; the lower, the nearer.
pub type Rank = (bool, bool, usize, std::cmp::Reverse<usize>, usize);

impl Checked {
    /// Nearest first: a rule that speaks of this peer or port before one that speaks of neither, one on the same errand before the DNS
    /// rule that stands in every policy, then fewest conditions that fail, most that hold, and what lies nearest in meaning.
    pub fn rank(&self) -> Rank {
        (!self.speaks(), self.errand && !self.speaks(), self.misses, std::cmp::Reverse(self.held), self.apart)
    }

    /// Whether the rule speaks of this flow's peer or port at all.
    pub fn speaks(&self) -> bool {
        self.peer || self.port
    }

    /// Whether one condition fails and no other, and it is on this.
    pub fn only(&self, on: &str) -> bool {
        self.misses == 1 && self.first == on
    }

    fn new(words: bool) -> Self {
        Self { words, ..Self::default() }
    }

    fn fail<W: Into<String>, G: Into<String>>(&mut self, on: &'static str, wanted: impl FnOnce() -> W, got: impl FnOnce() -> G, line: u32) {
        self.apart += match on {
            "label" => 0,
            "port" => 2,
            "namespace" | "protocol" => 3,
            "fqdn" | "http" | "dns" => 4,
            _ => 6,
        };
        if self.misses == 0 {
            self.first = on;
        }
        self.misses += 1;
        if self.words {
            self.failed.push((Failed { on, wanted: wanted().into(), got: got().into() }, line));
        }
    }

    fn mark<T: Into<String>>(&mut self, line: u32, ok: bool, text: impl FnOnce() -> T) {
        if self.words {
            self.marks.push(Mark { line, ok, text: text().into() });
        }
    }
}

/// Holds a rule against a flow, in words. `requires` is what older Cilium asks of every selector of a peer besides.
pub fn check(rule: &Rule, case: &Case<'_>, requires: &[Required<'_>]) -> Checked {
    walk(rule, case, requires, true)
}

/// The same without words: enough to rank it.
pub fn weigh(rule: &Rule, case: &Case<'_>, requires: &[Required<'_>]) -> Checked {
    walk(rule, case, requires, false)
}

fn walk(rule: &Rule, case: &Case<'_>, requires: &[Required<'_>], words: bool) -> Checked {
    let requires: Vec<&Selector> = requires.iter().filter_map(|r| r.binds(rule.action)).collect();
    let mut c = match &rule.peers {
        Peers::Any => Checked { peer: true, ..Checked::new(words) },
        Peers::Of(list) if list.is_empty() => {
            let mut c = Checked::new(words);
            c.fail("peer", || "nobody (the list of peers is empty)", || case.peer.display.clone(), rule.lines.0);
            c
        }
        Peers::Of(list) => {
            // Of many peers one is shown.
            let of = |p, words| check_peer(p, case, &requires, Checked::new(words));
            let nearest = list.iter().map(|p| (of(p, false), p)).min_by_key(|(c, _)| c.rank());
            nearest.map_or_else(|| Checked::new(words), |(c, p)| if words { of(p, true) } else { c })
        }
    };
    check_ports(rule, case, &mut c);
    c.errand = only_dns(rule) && !words::is_dns(case);
    if !c.speaks() {
        c.marks.clear();
    }
    c.marks.sort_by_key(|m| m.line);
    c
}

/// The peer as a rule of this direction sees it.
pub fn role(case: &Case<'_>) -> &'static str {
    if case.direction == Direction::Ingress { "sender" } else { "receiver" }
}

/// Whether port 53 is all that the rule is about.
fn only_dns(rule: &Rule) -> bool {
    let Ports::Of(list) = &rule.ports else { return false };
    let mut ports = list.iter().flat_map(|r| &r.ports).peekable();
    ports.peek().is_some() && ports.all(|p| p.port == PortIs::Range(53, 53))
}

fn check_peer(p: &Peer, case: &Case<'_>, requires: &[&Selector], mut c: Checked) -> Checked {
    let line = p.lines.0;
    let who = role(case);
    match &p.is {
        PeerIs::Endpoints(s) => {
            check_selector(s, line, case, &mut c);
            for r in requires.iter().flat_map(|s| s.conditions(case.opt.engine)) {
                let holds = r.matches(case.peer, &mut Vec::new());
                c.unsure |= holds == Tri::Unknown;
                if holds == Tri::No {
                    // It may stand in another file; what it stops is the peer here.
                    c.mark(line, false, || format!("{}, which another rule requires", has(r, case)));
                    c.fail(if r.on_namespace() { "namespace" } else { "label" }, || r.wanted(), || r.got(case.peer), line);
                }
            }
        }
        is => match peer::matches(is, case, &mut Vec::new()) {
            Tri::Yes => {
                c.held += 1;
                c.mark(line, true, || format!("{who} is {}", got_for(is, case)));
            }
            Tri::Unknown => c.unsure = true,
            Tri::No => {
                c.mark(line, false, || format!("{who} is {}", got_for(is, case)));
                c.fail(kind_of(is), || wanted_of(is), || got_for(is, case), line);
            }
        },
    }
    c.peer = c.misses == 0;
    c
}

fn check_selector(s: &Selector, line: u32, case: &Case<'_>, c: &mut Checked) {
    let e = case.peer;
    if e.host_network && !e.known {
        let got = || format!("{}, on the host's network", e.display);
        c.mark(line, false, || format!("{} is {}", role(case), got()));
        c.fail("peer", || "a pod with a network of its own", got, line);
        return;
    }
    let pods_only = || s.conditions(case.opt.engine).any(|r| r.key == POD_NAMESPACE && matches!(r.op, Op::In | Op::Exists));
    if e.known && !e.labels.is_pod() && pods_only() {
        // Not a pod: its labels are beside the point.
        let wanted = || match s.words() {
            w if w.starts_with("any pod") => w,
            w => format!("a pod with {w}"),
        };
        c.mark(line, false, || format!("{} is {}", role(case), outsider(case)));
        c.fail("peer", wanted, || outsider(case), line);
        return;
    }
    for r in s.conditions(case.opt.engine) {
        let line = if r.implied { line } else { r.line };
        match r.matches(e, &mut Vec::new()) {
            Tri::Yes if r.implied => {}
            Tri::Yes => {
                c.held += 1;
                c.mark(line, true, || has(r, case));
            }
            Tri::Unknown => c.unsure = true,
            Tri::No => {
                c.mark(line, false, || has(r, case));
                c.fail(if r.on_namespace() { "namespace" } else { "label" }, || r.wanted(), || r.got(e), line);
                c.apart += r.apart(e);
            }
        }
    }
    if !s.same_cluster(e, Some(case.subject)) {
        c.mark(line, false, || format!("{} is of another cluster", role(case)));
        c.fail("peer", || "a pod of the same cluster", || format!("{}, of another cluster", e.display), line);
    }
}

/// `sender has app=cart`, `sender has no label app`, `sender's namespace has env=prod`.
fn has(r: &Requirement, case: &Case<'_>) -> String {
    let got = r.got(case.peer);
    let who = role(case);
    if r.key == POD_NAMESPACE {
        return format!("{who} is in {got}");
    }
    let owner = if r.on_namespace() { format!("{who}'s namespace") } else { who.to_owned() };
    format!("{owner} has {got}")
}

/// What the peer is where no label of a pod will do.
fn outsider(case: &Case<'_>) -> String {
    let e = case.peer;
    let reserved = e.labels.0.iter().find(|l| l.source == "reserved").map(|l| l.key.as_str());
    let kind = match reserved {
        Some(r) if r.starts_with("world") => "world",
        Some(r) => r,
        None if e.labels.is_world() => "world",
        None => "no pod",
    };
    if e.display == kind { kind.to_owned() } else { format!("{} ({kind})", e.display) }
}

fn list(items: &[String]) -> String {
    few(items.iter().cloned(), NAMED)
}

/// Name of the condition.
fn kind_of(p: &PeerIs) -> &'static str {
    match p {
        PeerIs::Endpoints(_) | PeerIs::Groups | PeerIs::Undefined(_) => "peer",
        PeerIs::Cidr { .. } | PeerIs::CidrGroup { .. } | PeerIs::CidrGroups { .. } => "cidr",
        PeerIs::Entity(_) => "entity",
        PeerIs::Fqdn(_) => "fqdn",
        PeerIs::Service { .. } | PeerIs::Services { .. } => "service",
        PeerIs::Nodes(_) => "node",
    }
}

/// What the condition wants.
fn wanted_of(p: &PeerIs) -> String {
    let but = |except: &[ipnet::IpNet]| {
        let all: Vec<String> = except.iter().map(ToString::to_string).collect();
        if all.is_empty() { String::new() } else { format!(" except {}", list(&all)) }
    };
    match p {
        PeerIs::Endpoints(s) => s.words(),
        PeerIs::Cidr { net, except } => format!("{net}{}", but(except)),
        PeerIs::CidrGroup { name, except } => format!("group {name}{}", but(except)),
        PeerIs::CidrGroups { selector, except } => format!("groups with {}{}", selector.words(), but(except)),
        PeerIs::Entity(e) => e.clone(),
        PeerIs::Fqdn(p) => p.text.clone(),
        PeerIs::Service { namespace: Some(namespace), name } => format!("{namespace}/{name}"),
        PeerIs::Service { namespace: None, name } => format!("{name} of any namespace"),
        PeerIs::Services { selector, .. } => format!("services with {}", selector.words()),
        PeerIs::Nodes(s) => {
            if s.all.is_empty() {
                "any node".to_owned()
            } else {
                format!("nodes with {}", s.words())
            }
        }
        PeerIs::Groups => "a cloud group".to_owned(),
        PeerIs::Undefined(_) => "a peer that this rule's action is not defined for".to_owned(),
    }
}

/// What the peer is, in the terms of the condition.
fn got_for(p: &PeerIs, case: &Case<'_>) -> String {
    let e = case.peer;
    let address = || e.ip.map_or_else(|| e.display.clone(), |ip| ip.to_string());
    match p {
        PeerIs::Fqdn(_) if e.labels.is_world() => {
            if e.names.is_empty() {
                format!("{}, no name known", address())
            } else {
                list(&e.names)
            }
        }
        PeerIs::Cidr { .. } | PeerIs::CidrGroup { .. } | PeerIs::CidrGroups { .. } if e.labels.is_world() => address(),
        PeerIs::Cidr { .. } | PeerIs::CidrGroup { .. } | PeerIs::CidrGroups { .. } if e.labels.is_pod() => {
            format!("{}, a pod, which address rules never match", e.display)
        }
        PeerIs::Entity(_) if e.labels.is_pod() => format!("{}, a pod", e.display),
        PeerIs::Fqdn(_) | PeerIs::Service { .. } | PeerIs::Services { .. } if e.labels.is_pod() => format!("{}, a pod", e.display),
        _ => outsider(case),
    }
}

/// `TCP/5433`, `ICMP type 8`.
pub fn flow_port(case: &Case<'_>) -> String {
    let Some(l4) = case.traffic.l4 else { return "protocol unknown".to_owned() };
    match (case.traffic.port, case.traffic.icmp) {
        (Some(p), _) => format!("{}/{p}", l4.word()),
        (None, Some(t)) => format!("{} type {t}", l4.word()),
        _ => l4.word().to_owned(),
    }
}

fn port_words(p: &Port, case: &Case<'_>) -> String {
    let proto = match p.protocol {
        Protocol::Any => "ANY",
        Protocol::One(l4) => l4.word(),
        Protocol::Other => "another protocol",
    };
    match &p.port {
        PortIs::All => format!("{proto}, any port"),
        PortIs::Range(a, b) if a == b => format!("{proto}/{a}"),
        PortIs::Range(a, b) => format!("{proto}/{a}-{b}"),
        PortIs::Named(n) => {
            let named = case.destination().named_ports.as_ref().and_then(|all| all.iter().find(|x| x.name.eq_ignore_ascii_case(n)));
            match named {
                Some(x) => format!("{proto}/{n} ({})", x.port),
                None => format!("{proto}/{n}, a name that {} does not give to a port", case.destination().display),
            }
        }
    }
}

fn check_ports(rule: &Rule, case: &Case<'_>, c: &mut Checked) {
    match &rule.ports {
        Ports::Any => c.port = true,
        Ports::Nothing => c.fail("peer", || "nothing (the rule is empty)", || case.peer.display.clone(), rule.lines.0),
        Ports::Icmp(fields) => check_icmp(fields, case, c),
        Ports::Of(rules) => {
            let all = || rules.iter().flat_map(|r| &r.ports);
            let mut nearest: Option<(bool, &Port)> = None;
            for p in all() {
                match port::matches(p, case, &mut Vec::new()).0 {
                    Tri::Yes => {
                        c.held += 1;
                        c.port = true;
                        if let Some(l) = p.protocol_line.filter(|l| *l != p.line) {
                            c.mark(l, true, || "");
                        }
                        c.mark(p.line, true, || format!("flow has {}", flow_port(case)));
                        return;
                    }
                    Tri::Unknown => {
                        (c.port, c.unsure) = (true, true);
                        return;
                    }
                    Tri::No => {}
                }
                let same = port::protocol(p.protocol, case, &mut Vec::new()) == Tri::Yes;
                if nearest.is_none_or(|(s, _)| same && !s) {
                    nearest = Some((same, p));
                }
            }
            let Some((same, p)) = nearest else {
                c.fail("port", || "no port (the list is empty)", || flow_port(case), rule.lines.0);
                return;
            };
            let number = case.traffic.port.is_some_and(|n| all().any(|p| matches!(p.port, PortIs::Range(a, b) if (a..=b).contains(&n))));
            let words = || list(&all().map(|p| port_words(p, case)).collect::<Vec<_>>());
            // The number is right and the protocol is not, or the protocol has no ports at all.
            let on = if !same && (number || case.traffic.port.is_none()) { "protocol" } else { "port" };
            let line = if same { p.line } else { p.protocol_line.unwrap_or(p.line) };
            if same && let Some(l) = p.protocol_line.filter(|l| *l != p.line) {
                c.mark(l, true, || "");
            }
            c.mark(line, false, || match (same, case.traffic.port) {
                (true, Some(n)) => format!("flow has {n}"),
                _ => format!("flow has {}", flow_port(case)),
            });
            c.fail(on, words, || flow_port(case), line);
        }
    }
}

fn check_icmp(fields: &[IcmpField], case: &Case<'_>, c: &mut Checked) {
    let words = |f: &IcmpField| format!("{} type {}", if f.v6 { L4::Icmp6 } else { L4::Icmp4 }.word(), f.kind);
    for f in fields {
        let holds = port::icmp(f, case, &mut Vec::new()).0;
        if holds != Tri::No {
            c.unsure |= holds == Tri::Unknown;
            c.held += 1;
            c.port = true;
            c.mark(f.line, true, || format!("flow has {}", flow_port(case)));
            return;
        }
    }
    let line = fields.first().map_or(0, |f| f.line);
    c.mark(line, false, || format!("flow has {}", flow_port(case)));
    c.fail("icmp", || list(&fields.iter().map(words).collect::<Vec<_>>()), || flow_port(case), line);
}
