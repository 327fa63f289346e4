//! The edits that could let a denied connection through, narrow ones only.
//!
//! Owns the forms: a port more, a peer more, a rule more, a new policy (a value more: `values`). An existing rule is only widened where nobody else
//! would profit from it; whether that is so, and which form wins, the proof says.
use super::build::{self, Kind, New, What, Who};
use super::labels::Pairs;
use super::propose::is_dns;
use super::sketch::{Sketch, Step};
use super::{proof::Ground, values};
use crate::model::doc::Node;
use crate::model::observed::Direction;
use crate::policy::Engine;
use crate::policy::eval::{Case, Cause, Decision, Judgement, port, selects};
use crate::policy::explain::near;
use crate::policy::ir::{Action, L7Rules, PeerIs, Peers, Policy, PortIs, Ports, Protocol, Rule, Section, Subject};
use crate::policy::selector::{Op, Tri};
use crate::world::Endpoint;
use crate::world::tree::{Tree, map, text};
use std::collections::BTreeSet;

/// Peers that one change names at most; where there are more, which of them to let in is no machine's choice.
pub const MOST_PEERS: usize = 4;
/// First minor version of Cilium whose policies may allow without isolating.
const ALLOW_ONLY: u32 = 16;

/// An edit that may do.
#[derive(Debug, Clone)]
pub struct Draft {
    pub title: String,
    pub steps: Vec<Step>,
    /// Wanted even where another form would touch less: one policy for DNS a namespace.
    pub preferred: bool,
    /// Smaller edits first, where all else is equal.
    pub rank: u8,
    pub notes: Vec<String>,
}

/// One denied side of a cause.
pub struct Side<'a> {
    pub ground: &'a Ground<'a>,
    pub sketch: &'a Sketch,
    /// The first conversation's.
    pub case: &'a Case<'a>,
    /// Under `sketch`.
    pub judgement: &'a Judgement,
    /// The cause's conversations.
    pub ids: &'a [usize],
}

/// What is to be let through.
struct Wish {
    peers: Vec<Who>,
    ports: Vec<What>,
    dns: bool,
}

/// Every edit worth trying; `Err` says why there is none.
pub fn drafts(s: &Side<'_>) -> Result<Vec<Draft>, String> {
    let what = What::of(s.case.traffic).ok_or("its port or type is not known, or is of a protocol that rules do not name")?;
    let peers = peers(s)?;
    let dns = is_dns(what) && s.case.direction == Direction::Egress && peers.iter().all(|p| matches!(p, Who::Pod { .. }));
    let wish = Wish { peers, ports: if dns { What::DNS.to_vec() } else { vec![what] }, dns };
    let mut out = Vec::new();
    for policy in s.judgement.selecting.iter().filter(|p| kind_of(p).is_some()) {
        let mine = |x: &&Section| x.default_deny && x.declared && selects(x, s.case, &mut Vec::new()) == Tri::Yes;
        for section in policy.sections.iter().filter(mine) {
            let narrow = is_narrow(policy, &section.subject);
            if !narrow && !dns {
                continue;
            }
            for rule in section.rules.iter().filter(|r| r.action == Action::Allow && r.auth.is_none()) {
                let c = near::check(rule, s.case, &[]);
                if c.peer && !c.port {
                    out.extend(add_port(policy, rule, what));
                } else if c.port && !c.peer && only(rule, s.case, dns) {
                    out.extend(values::add(s, policy, rule, &wish.peers));
                    out.extend(add_peers(s, policy, rule, &wish));
                }
            }
            if narrow {
                out.extend(add_rule(s, policy, section, &wish));
            }
        }
    }
    out.extend(new_policies(s, &wish)?);
    Ok(out)
}

/// How the peers of all its conversations are named.
fn peers(s: &Side<'_>) -> Result<Vec<Who>, String> {
    let mut out: BTreeSet<Who> = BTreeSet::new();
    for id in s.ids {
        let Some((_, peer)) = s.ground.sides(*id, s.case.direction) else { continue };
        out.insert(build::who(s.case.direction, peer, &s.ground.crowd, s.ground.opt)?);
    }
    if out.len() > MOST_PEERS {
        return Err(format!(
            "it comes from or goes to {} different peers; which of them to let through is not for a tool to say",
            out.len()
        ));
    }
    Ok(out.into_iter().collect())
}

/// `None`: a kind whose text is not edited here.
pub fn kind_of(p: &Policy) -> Option<Kind> {
    match p.id.kind.as_str() {
        "NetworkPolicy" => Some(Kind::NetworkPolicy),
        "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy" => Some(Kind::Cilium),
        _ => None,
    }
}

/// Whether it selects a workload, not a namespace or more, and not the workloads of that name in every namespace.
fn is_narrow(policy: &Policy, subject: &Subject) -> bool {
    match subject {
        Subject::Endpoints(s) => {
            let wanted = || s.all.iter().filter(|r| r.op == Op::In);
            wanted().any(|r| !r.implied && !r.on_namespace()) && (own(policy).is_some() || wanted().any(|r| r.on_namespace()))
        }
        Subject::Nodes(_) => false,
    }
}

fn is_narrow_peer(p: &PeerIs) -> bool {
    match p {
        PeerIs::Endpoints(s) => s.all.iter().any(|r| !r.implied && r.op == Op::In && !r.on_namespace()),
        PeerIs::Fqdn(p) => !p.text.contains('*'),
        PeerIs::Cidr { net, .. } => net.prefix_len() == net.max_prefix_len(),
        PeerIs::Entity(e) => !matches!(e.as_str(), "all" | "cluster" | "world" | "world-ipv4" | "world-ipv6"),
        PeerIs::Service { namespace, .. } => namespace.is_some(),
        PeerIs::CidrGroup { .. }
        | PeerIs::CidrGroups { .. }
        | PeerIs::Services { .. }
        | PeerIs::Nodes(_)
        | PeerIs::Groups
        | PeerIs::Undefined(_) => false,
    }
}

/// Whether the rule is for this port and no other.
fn only(rule: &Rule, case: &Case<'_>, dns: bool) -> bool {
    let Ports::Of(list) = &rule.ports else {
        return matches!(&rule.ports, Ports::Icmp(fields) if fields.len() == 1);
    };
    list.iter().flat_map(|r| &r.ports).all(|p| {
        let fifty_three = dns && p.port == PortIs::Range(53, 53);
        let this = !matches!(p.port, PortIs::All)
            && !matches!(p.port, PortIs::Range(a, b) if a != b)
            && p.protocol != Protocol::Any
            && port::matches(p, case, &mut Vec::new()).0 == Tri::Yes;
        this || fifty_three
    }) && !list.iter().any(|r| !r.server_names.is_empty())
}

pub fn named(p: &Policy) -> String {
    format!("{} {}", p.id.kind, p.id.path())
}

pub fn append(p: &Policy, path: impl Into<String>, key: &str, item: Tree) -> Step {
    Step::Append { policy: p.id.clone(), file: p.text.file.clone(), path: path.into(), key: key.to_owned(), item }
}

/// A port more in a rule that is for this peer alone.
fn add_port(policy: &Policy, rule: &Rule, what: What) -> Option<Draft> {
    let kind = kind_of(policy)?;
    let (Peers::Of(list), Ports::Of(ports)) = (&rule.peers, &rule.ports) else { return None };
    let ([peer], What::Port { .. }) = (list.as_slice(), what) else { return None };
    if !is_narrow_peer(&peer.is) {
        return None;
    }
    let item = build::port(kind, what)?;
    let node = policy.node(&rule.id)?;
    let step = match kind {
        Kind::NetworkPolicy => append(policy, rule.id.as_str(), "ports", like(item, node.get("ports")?.seq().last())),
        // A port beside L7 rules would be asked for requests that it may not carry.
        Kind::Cilium => match ports.iter().position(|p| p.l7.is_none() && p.server_names.is_empty()) {
            Some(i) => {
                let list = node.get("toPorts")?.seq().get(i)?.get("ports")?;
                append(policy, format!("{}.toPorts[{i}]", rule.id), "ports", like(item, list.seq().last()))
            }
            None => append(policy, rule.id.as_str(), "toPorts", map([("ports", Tree::Seq(vec![item]))])),
        },
    };
    let title = format!("add port {} to {} of {}", what.words(), rule.id, named(policy));
    Some(Draft { title, steps: vec![step], preferred: false, rank: 0, notes: Vec::new() })
}

/// The keys in the order of the neighbour, and without a protocol that the neighbour leaves to its default.
fn like(item: Tree, neighbour: Option<&Node>) -> Tree {
    let (Tree::Map(mut entries), Some(n)) = (item.clone(), neighbour) else { return item };
    let place = |k: &str| n.map().iter().position(|e| e.key == k);
    let tcp = |v: &Tree| *v == text("TCP");
    // Only an int stands in a NetworkPolicy; in Cilium no protocol means all of them.
    let kubernetes = entries.iter().any(|(k, v)| k == "port" && matches!(v, Tree::Int(_)));
    entries.retain(|(k, v)| !(kubernetes && k == "protocol" && tcp(v) && place(k).is_none()));
    entries.sort_by_key(|(k, _)| place(k).unwrap_or(usize::MAX));
    Tree::Map(entries)
}

fn own(policy: &Policy) -> Option<&str> {
    policy.id.namespace.as_deref()
}

/// The peers as items of the list that the rule has already; `None` if it has another sort of list.
fn peer_items(policy: &Policy, node: &Node, direction: Direction, peers: &[Who]) -> Option<Vec<(String, Tree)>> {
    let side = if direction == Direction::Ingress { "from" } else { "to" };
    let filled = |k: &str| node.get(k).is_some_and(|n| !n.seq().is_empty());
    let one = |who: &Who| match kind_of(policy)? {
        Kind::NetworkPolicy => Some((side.to_owned(), who.kubernetes(own(policy)?)?)),
        Kind::Cilium => {
            let (list, item) = who.cilium(own(policy));
            let (list, set) = (format!("{side}{list}"), format!("{side}{list}Set"));
            match who {
                Who::Address(_) if !filled(&list) && filled(&set) => Some((set, map([("cidr", item)]))),
                _ => Some((list, item)),
            }
        }
    };
    peers.iter().map(one).collect::<Option<Vec<_>>>().filter(|all| all.iter().all(|(k, _)| filled(k)))
}

/// A peer more in a rule that is for this port alone.
fn add_peers(s: &Side<'_>, policy: &Policy, rule: &Rule, wish: &Wish) -> Option<Draft> {
    let node = policy.node(&rule.id)?;
    let items = peer_items(policy, node, s.case.direction, &wish.peers)?;
    let mut steps: Vec<Step> = items.into_iter().map(|(k, item)| append(policy, rule.id.as_str(), &k, item)).collect();
    let mut notes = Vec::new();
    steps.extend(feed(s, policy, &base_of(&rule.id), wish, &mut notes)?);
    let title = format!("add peer {} to {} of {}", words(wish, own(policy)), rule.id, named(policy));
    Some(Draft { title, steps, preferred: false, rank: 2, notes })
}

fn words(wish: &Wish, own: Option<&str>) -> String {
    wish.peers.iter().map(|p| p.words(own)).collect::<Vec<_>>().join(", ")
}

/// `specs[1]` of `specs[1].egress[0]`, else nothing.
fn base_of(rule: &str) -> String {
    rule.split_once('.').filter(|(base, _)| base.starts_with("specs[")).map_or_else(String::new, |(base, _)| base.to_owned())
}

/// A rule more in a policy for this workload.
fn add_rule(s: &Side<'_>, policy: &Policy, section: &Section, wish: &Wish) -> Option<Draft> {
    // Where it has no rule yet, a policy of several parts does not say which part this is.
    let base = match section.rules.first() {
        Some(r) => base_of(&r.id),
        None if policy.doc.root.get("specs").is_some() => return None,
        None => String::new(),
    };
    let key = s.case.direction.word();
    let rule = build::rule(kind_of(policy)?, s.case.direction, own(policy), &wish.peers, &wish.ports)?;
    let mut steps = vec![append(policy, base.as_str(), key, rule)];
    let mut notes = tcp_too(wish);
    steps.extend(feed(s, policy, &base, wish, &mut notes)?);
    let ports: Vec<String> = wish.ports.iter().map(What::words).collect();
    let word = if s.case.direction == Direction::Ingress { "from" } else { "to" };
    let title = format!("add a rule to {}: {key} {word} {} on {}", named(policy), words(wish, own(policy)), ports.join(" and "));
    Some(Draft { title, steps, preferred: false, rank: 4, notes })
}

fn tcp_too(wish: &Wish) -> Vec<String> {
    if wish.dns { vec!["TCP beside UDP, because long DNS answers come over it".to_owned()] } else { Vec::new() }
}

/// Names among the peers that no DNS rule lets the agent learn.
fn unfed(s: &Side<'_>, wish: &Wish) -> Vec<String> {
    let fed = |name: &str| {
        let rules = s.judgement.selecting.iter().flat_map(|p| &p.sections).flat_map(|x| &x.rules);
        let lists = rules.filter_map(|r| if let Ports::Of(list) = &r.ports { Some(list) } else { None }).flatten();
        lists.into_iter().any(|p| matches!(&p.l7, Some(L7Rules::Dns(d)) if d.iter().any(|r| r.pattern.regex.is_match(name))))
    };
    let names = wish.peers.iter().filter_map(|p| if let Who::Fqdn(n) = p { Some(n.clone()) } else { None });
    names.filter(|n| !fed(n)).collect()
}

/// The steps by which the agent learns the names, where it does not yet: a name more in the policy's DNS rule, or such a rule.
fn feed(s: &Side<'_>, policy: &Policy, base: &str, wish: &Wish, notes: &mut Vec<String>) -> Option<Vec<Step>> {
    let names = unfed(s, wish);
    if names.is_empty() {
        return Some(Vec::new());
    }
    if kind_of(policy)? != Kind::Cilium {
        return None;
    }
    notes.push("the DNS rule is part of it: without one the agent does not learn the name's addresses".to_owned());
    let rules = policy.sections.iter().filter(|x| x.direction == Direction::Egress).flat_map(|x| &x.rules);
    for rule in rules.filter(|r| base_of(&r.id) == base) {
        let Ports::Of(list) = &rule.ports else { continue };
        if let Some(i) = list.iter().position(|p| matches!(p.l7, Some(L7Rules::Dns(_)))) {
            let path = format!("{}.toPorts[{i}].rules", rule.id);
            return Some(names.iter().map(|n| append(policy, path.as_str(), "dns", map([("matchName", text(n))]))).collect());
        }
    }
    let server = server(s, notes);
    Some(vec![append(policy, base, "egress", build::dns_rule(own(policy), &server, &names))])
}

/// Where DNS is asked: whom the traffic shows, else whom manifests describe, else where it is by default.
fn server(s: &Side<'_>, notes: &mut Vec<String>) -> Who {
    let cluster_dns = |e: &Endpoint| e.labels.get(Some("k8s"), "k8s-app") == Some("kube-dns");
    // What nobody lets in answers nothing: a packet to its port 53 makes it no DNS server.
    let denied = |id| [Direction::Egress, Direction::Ingress].into_iter().any(|side| s.ground.before(id, side) == Decision::Denied);
    let asked = s.ground.talks().enumerate().filter(|(_, t)| t.flow.dst_port == 53);
    let seen = asked
        .filter_map(|(id, _)| s.ground.sides(id, Direction::Egress).filter(|(_, to)| cluster_dns(to) || !denied(id)))
        .map(|(_, server)| server);
    let described = s.ground.everybody().filter(|e| cluster_dns(e));
    let found = seen
        .chain(described)
        .filter(|e| e.labels.is_pod())
        .find_map(|e| build::who(Direction::Egress, e, &s.ground.crowd, s.ground.opt).ok());
    found.unwrap_or_else(|| {
        notes.push("no DNS server was seen: k8s-app=kube-dns in kube-system is assumed".to_owned());
        Who::Pod { namespace: "kube-system".to_owned(), labels: vec![("k8s-app".to_owned(), "kube-dns".to_owned())] }
    })
}

/// A policy of its own, of the kind of those that isolate where that kind can say it.
fn new_policies(s: &Side<'_>, wish: &Wish) -> Result<Vec<Draft>, String> {
    let direction = s.case.direction;
    let subject = build::who(direction, s.case.subject, &s.ground.crowd, s.ground.opt)?;
    let Who::Pod { namespace, labels } = &subject else { return Err(format!("{} is no pod", s.case.subject.display)) };
    let is = |kind| move |p: &&std::sync::Arc<Policy>| kind_of(p) == Some(kind);
    let cilium = s.ground.opt.engine == Engine::Cilium;
    let by_kubernetes = s.judgement.isolating.iter().any(|p| is(Kind::NetworkPolicy)(&p)) || s.judgement.isolating.is_empty();
    let names = unfed(s, wish);
    let mut notes = tcp_too(wish);
    let mut rules_of = |kind| {
        // An agent's policy names peers of one sort in one rule.
        let mut rules: Vec<Tree> = match kind {
            Kind::NetworkPolicy => build::rule(kind, direction, Some(namespace), &wish.peers, &wish.ports).into_iter().collect(),
            Kind::Cilium => {
                let one = |p: &Who| build::rule(kind, direction, Some(namespace), std::slice::from_ref(p), &wish.ports);
                wish.peers.iter().filter_map(one).collect()
            }
        };
        if kind == Kind::Cilium && !names.is_empty() {
            let server = server(s, &mut notes);
            rules.push(build::dns_rule(Some(namespace), &server, &names));
            notes.push("the DNS rule is part of it: without one the agent does not learn the name's addresses".to_owned());
        }
        rules
    };
    let taken = |n: &str| s.sketch.set.iter().any(|p| p.id.name == n && own(p) == Some(namespace));
    let wide = |p: &&std::sync::Arc<Policy>| {
        let whole =
            |x: &Section| x.default_deny && x.direction == direction && matches!(&x.subject, Subject::Endpoints(e) if e.written() == 0);
        p.sections.iter().any(whole)
    };
    // One for all its pods, where all of them are isolated.
    let for_all = wish.dns && s.judgement.isolating.iter().any(|p| wide(&p));
    let name = match (for_all, wish.peers.first()) {
        (true, _) => build::free("allow-dns", &taken),
        (false, Some(peer)) => build::name(direction, &subject, peer, &taken),
        (false, None) => return Ok(Vec::new()),
    };
    let subject = if for_all { Pairs::new() } else { labels.clone() };
    // Below a baseline that denies, only a policy that isolates nobody leaves everything else as it is.
    let used_here = s.ground.set.iter().any(|p| is(Kind::Cilium)(&p)) || s.judgement.cause == Cause::DenyRule;
    let mut choices = Vec::new();
    if by_kubernetes {
        choices.push((Kind::NetworkPolicy, true));
    }
    if cilium && (!by_kubernetes || used_here || rules_of(Kind::NetworkPolicy).is_empty()) {
        choices.push((Kind::Cilium, true));
        if s.ground.opt.cilium >= ALLOW_ONLY {
            choices.push((Kind::Cilium, false));
        }
    }
    let drafts = choices.into_iter().enumerate().filter_map(|(i, (kind, isolates))| {
        let rules = rules_of(kind);
        if rules.is_empty() {
            return None;
        }
        let new = New { kind, namespace: namespace.clone(), name: name.clone(), subject: subject.clone(), direction, rules, isolates };
        let title = format!(
            "new {} {namespace}/{name}: {} {} {}",
            kind.word(),
            direction.word(),
            if direction == Direction::Ingress { "from" } else { "to" },
            words(wish, Some(namespace))
        );
        Some((title, Step::New(new), 5 + u8::try_from(i).unwrap_or(0)))
    });
    let drafts: Vec<_> = drafts.collect();
    notes.dedup();
    Ok(drafts
        .into_iter()
        .map(|(title, step, rank)| Draft { title, steps: vec![step], preferred: for_all, rank, notes: notes.clone() })
        .collect())
}
