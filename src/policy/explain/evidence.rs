//! What the records and manifests show about one packet at its time. Owns sentences that name moments: they are true of that packet
//! alone, so they are no part of an explanation that many packets share.
use crate::model::doc::Node;
use crate::model::observed::{Direction, Observed, Party};
use crate::model::time::Nanos;
use crate::model::why::{Outcome, PolicyRef, Why};
use crate::model::words::few;
use crate::policy::PolicySet;
use crate::policy::ir::{Pattern, PeerIs, Peers, Policy, PortIs, Ports, Tier};
use crate::world::World;
use crate::world::dns::{Learnt, asker};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Policies whose time is told.
const NAMED: usize = 3;

/// What speaks for a likely cause where policies and datapath differ, the likeliest first.
pub fn evidence(o: &Observed, why: &Why, world: &World, set: &PolicySet) -> Vec<String> {
    let Some(at) = o.at else { return Vec::new() };
    let denied = matches!(why.outcome, Outcome::DefaultDeny | Outcome::DeniedByRule);
    let mut out = Vec::new();
    match why.outcome {
        Outcome::NowAllowed => {
            out.extend(newer(at, why, set));
            out.extend(answered(o, at, why, world, set));
            out.extend(numbers(o, why, world, set));
        }
        _ if denied && why.agreement == crate::model::why::Agreement::Disagrees => out.extend(newer(at, why, set)),
        _ => {}
    }
    out
}

/// Policies that were made or changed after the packet.
fn newer(at: Nanos, why: &Why, set: &PolicySet) -> Vec<String> {
    let told = why.policies.iter().filter_map(|p| {
        let (what, when) = touched(set.find(p)?)?;
        let after = when.since(at);
        (after > 0).then(|| format!("{} {} was {what} {}, {} after the packet", p.kind, p.path(), moment(when, at), lasted(after)))
    });
    told.take(NAMED).collect()
}

/// When the object was last made or changed, by its own metadata. A change of its status is none.
pub(super) fn touched(policy: &Arc<Policy>) -> Option<(&'static str, Nanos)> {
    if let Some(live) = &policy.doc.live {
        let changed = live.changed.as_ref().and_then(|c| c.at).filter(|c| live.created.is_none_or(|made| *c > made));
        return changed.map(|c| ("last changed", c)).or(live.created.map(|made| ("created", made)));
    }
    let meta = policy.doc.root.get("metadata")?;
    let time = |n: Option<&Node>| {
        let t: DateTime<Utc> = n?.str()?.parse().ok()?;
        Some(Nanos::from_utc(t))
    };
    let made = time(meta.get("creationTimestamp"));
    let fields = meta.get("managedFields").map(Node::seq).unwrap_or(&[]).iter();
    let changed = fields.filter(|f| f.get("subresource").is_none()).filter_map(|f| time(f.get("time"))).max();
    match (made, changed) {
        (Some(m), Some(c)) if c > m => Some(("last changed", c)),
        (Some(m), _) => Some(("created", m)),
        (None, Some(c)) => Some(("last changed", c)),
        (None, None) => None,
    }
}

/// Patterns by which the rules that allow it name their peer.
fn patterns<'p>(p: &PolicyRef, set: &'p PolicySet) -> Vec<&'p Pattern> {
    let Some(policy) = set.find(p) else { return Vec::new() };
    let rules = policy.sections.iter().flat_map(|s| &s.rules).filter(|r| Some(r.id.as_str()) == p.rule.as_deref());
    let peers = rules.flat_map(|r| match &r.peers {
        Peers::Of(list) => list.as_slice(),
        Peers::Any => &[],
    });
    peers.filter_map(|p| if let PeerIs::Fqdn(pattern) = &p.is { Some(pattern) } else { None }).collect()
}

/// Whether a rule allows by DNS name.
pub(super) fn by_name(p: &PolicyRef, set: &PolicySet) -> bool {
    !patterns(p, set).is_empty()
}

/// Where a rule allows by a port's name: that pods give this name to several numbers. Cilium looks such a name up among all pods where
/// it is the way out, and where they do not agree the rule is passed over; on the way in the pod's own ports count.
fn numbers(o: &Observed, why: &Why, world: &World, set: &PolicySet) -> Option<String> {
    let l4 = o.l4.filter(|_| why.direction != Some(Direction::Ingress))?;
    let named = |p: &PolicyRef| {
        let policy = set.find(p).filter(|p| p.tier == Tier::Normal)?;
        let Ports::Of(list) = &policy.find_rule(p.rule.as_deref()?)?.ports else { return None };
        list.iter().flat_map(|r| &r.ports).find_map(|p| if let PortIs::Named(n) = &p.port { Some(n.clone()) } else { None })
    };
    let name = why.policies.iter().find_map(named)?;
    let pods = world.pods().into_iter().filter(|(_, p)| !p.finished).flat_map(|(_, p)| &p.named_ports);
    let all: BTreeSet<u16> = pods.filter(|n| n.proto == l4 && n.name.eq_ignore_ascii_case(&name)).map(|n| n.port).collect();
    let listed = few(all.iter().map(ToString::to_string), NAMED);
    (all.len() > 1).then(|| {
        format!("pods call several ports {name} ({listed}), and where they do not agree Cilium passes over an egress rule with it")
    })
}

/// Where a rule allows by name: whether this pod had an answer with that name when it sent the packet.
fn answered(o: &Observed, at: Nanos, why: &Why, world: &World, set: &PolicySet) -> Option<String> {
    if why.direction == Some(Direction::Ingress) {
        return None;
    }
    let wanted: Vec<&Pattern> = why.policies.iter().flat_map(|p| patterns(p, set)).collect();
    let (me, peer) = if o.reply() == Some(true) { (&o.dst, &o.src) } else { (&o.src, &o.dst) };
    let ip = peer.ip.filter(|_| !wanted.is_empty())?;
    let fits = |n: &str| wanted.iter().any(|p| p.regex.is_match(n));
    let packet = if o.syn == Some(true) { "SYN" } else { "packet" };
    let tail = format!("{packet} {}", clock(at));
    let identity = identity(peer);
    let learnt = world.names_of(ip).iter().find(|l| !l.alias && fits(&l.name));
    let Some(l) = learnt else {
        let name = peer.names.iter().find(|n| fits(&crate::world::dns::normal(n)))?;
        return Some(format!("{}: no DNS answer with {ip} was seen · {tail} · identity {identity}", name.trim_end_matches('.')));
    };
    Some(match last(l, &asker(me), at) {
        Last::Own(answer_at, ttl) => {
            let expiry = answer_at.plus(i64::from(ttl) * Nanos::SECOND);
            let past = at.since(expiry);
            let when = if past > 0 { format!("{} after expiry", lasted(past)) } else { format!("{} before expiry", lasted(-past)) };
            format!("{}: answered to this pod {}, ttl {ttl} · {tail}, {when} · identity {identity}", l.name, moment(answer_at, at))
        }
        Last::Others(who, answer_at) => {
            let never = if l.more { "" } else { ", and to this pod no such answer was seen before" };
            format!("{}: answered to {who} {}{never} · {tail} · identity {identity}", l.name, moment(answer_at, at))
        }
        // Somebody may have had it in time, and who is not remembered.
        Last::Later if l.more => return None,
        Last::Later => format!("{}: no answer to this pod was seen before the packet · {tail} · identity {identity}", l.name),
    })
}

enum Last<'a> {
    /// When, and how long it was good for.
    Own(Nanos, u32),
    Others(&'a str, Nanos),
    /// All answers known are newer than the packet.
    Later,
}

fn last<'a>(l: &'a Learnt, me: &str, at: Nanos) -> Last<'a> {
    let mut before = l.answers.iter().filter(|a| a.at <= at);
    let first = before.clone().next();
    match (before.find(|a| a.to == me), first) {
        (Some(own), _) => Last::Own(own.at, own.ttl),
        (None, Some(other)) => Last::Others(&other.to, other.at),
        (None, None) => Last::Later,
    }
}

/// What the agent took the peer for.
fn identity(p: &Party) -> String {
    let named = p.labels.iter().find_map(|l| l.strip_prefix("fqdn:").or_else(|| l.strip_prefix("cidr:")));
    let reserved = p.labels.iter().find_map(|l| l.strip_prefix("reserved:"));
    match (named.or(reserved), p.identity) {
        (Some(word), _) => word.to_owned(),
        (None, 2) => "world".to_owned(),
        (None, 0) => "not told".to_owned(),
        (None, n) => n.to_string(),
    }
}

fn clock(at: Nanos) -> String {
    at.utc().format("%H:%M:%S").to_string()
}

/// The time of day, with the date where that is another.
pub(super) fn moment(t: Nanos, beside: Nanos) -> String {
    if t.utc().date_naive() == beside.utc().date_naive() { clock(t) } else { t.utc().format("%F %T").to_string() }
}

/// `128 s`, `3 h`: one unit is enough.
pub(super) fn lasted(nanos: i64) -> String {
    let s = nanos / Nanos::SECOND;
    match s {
        0..=599 => format!("{s} s"),
        600..=7_199 => format!("{} min", s / 60),
        7_200..=172_799 => format!("{} h", s / 3_600),
        _ => format!("{} d", s / 86_400),
    }
}
