//! The explanation of one flow. Owns the order of questions: was it a policy at all, which side, which policies, which rule.
//!
//! The datapath is the judge and this is its interpreter: what the flow says and what the policies say are compared
//! (`agree`), and where a fact is missing the answer is that it is missing.
mod agree;
mod evidence;
mod l7;
mod memory;
pub mod moment;
pub mod near;
mod origin;
pub mod question;
mod side;
mod words;

use super::eval::{self, Decision, End, managed};
use super::ir::Auth;
use super::ruling::traffic_to;
use super::selector::Tri;
use super::{Options, PolicySet, lint, unread};
use crate::model::monitor;
use crate::model::observed::{Direction, Named, Observed, Party, Told, Verdict};
use crate::model::reason::{self, Cause as Reason};
use crate::model::why::{Agreement, Explanation, Outcome, PolicyRef, ReportedCause, Side, Why};
use crate::world::labels::{Label, Labels};
use crate::world::{Endpoint, World};
use agree::Sight;
pub use evidence::evidence;
pub use memory::Memory;
use side::{Ask, Judged, look};

/// Event type of an access log record.
const EVENT_L7: i32 = 129;

/// What of a flow the explanation goes by.
pub(crate) struct Facts {
    pub dropped: bool,
    pub audit: bool,
    /// The proxy's own record.
    pub proxy: bool,
    pub reason: Reason,
}

/// Why this happened to this flow, with what a screen shows beside it.
pub fn explain(o: &Observed, world: &World, set: &PolicySet, opt: &Options) -> Explanation {
    let [src, dst] = world.endpoints(o).map(End::new);
    finished(explained(o, [&src, &dst], world, set, opt, None), (o, world), set, opt)
}

/// The same without what only a screen shows, which is most of the work, and without what is true of this one packet ([`evidence`]): it
/// may be remembered for packets that are alike. `ends` are sender and receiver of the packet as the world knows them; `memory` is of
/// the same world, set and reading of policies.
pub fn why(o: &Observed, ends: [&End; 2], world: &World, set: &PolicySet, opt: &Options, memory: &mut Memory) -> Why {
    finished(explained(o, ends, world, set, opt, Some(memory)), (o, world), set, opt).why
}

/// With what is left of it where kinds of policy, or the cluster, could not be read.
fn finished(mut e: Explanation, (o, world): (&Observed, &World), set: &PolicySet, opt: &Options) -> Explanation {
    agree::unnamed(&mut e.why, o);
    if set.given() {
        doubts(&mut e.why, o, world);
        agree::told(&mut e.why, o, set);
        if opt.without_l7 {
            agree::refused_l7(&mut e.why, set);
        }
        unread::qualify(&mut e.why, o, set);
    }
    e.why.cluster = set.cluster().map(str::to_owned);
    // Of a manifest nobody knows who wrote it when.
    if set.given() && set.is_live() {
        origin::tell(&mut e.why, set);
        e.why.as_of = moment::as_of(&e.why, set);
    }
    e
}

/// Facts, by how they begin, and the kinds that tell them.
const TOLD_BY: &[(&str, &str)] =
    &[("namespace-labels:", "namespaces"), ("cidr-group", "ciliumcidrgroups"), ("service", "services"), ("endpoints:", "endpointslices")];

/// Why it is not certain who a side is, where that is what is missing; and that a record contradicts the cluster, in any case.
fn doubts(why: &mut Why, o: &Observed, world: &World) {
    for (party, stand) in [&o.src, &o.dst].into_iter().zip(world.stands(o)) {
        let Some((sentence, fact)) = stand.doubt(party) else { continue };
        let name = stand.pod().map_or_else(|| party.display(), |(namespace, name)| format!("{namespace}/{name}"));
        let who = format!("labels:{name}");
        let open = why.outcome == Outcome::Undecidable && why.missing.contains(&who);
        if open {
            why.leave_open(fact);
        }
        if stand.contradicts() && why.agreement == Agreement::Agrees {
            why.agreement = Agreement::Unknown;
        }
        if open || stand.contradicts() {
            why.because.push(sentence);
        }
    }
    lapsed(why, o, world);
}

/// Names the kinds that were not watched, where one of their objects is what is missing.
fn lapsed(why: &mut Why, o: &Observed, world: &World) {
    if why.outcome != Outcome::Undecidable {
        return;
    }
    for (fact, kind) in TOLD_BY {
        let Some(how) = world.lapsed(kind, o.at).filter(|_| why.missing.iter().any(|m| m.starts_with(fact))) else { continue };
        why.leave_open([format!("{kind} {how}")]);
    }
}

/// Without a memory it is made whole, with what only a screen shows.
fn explained(o: &Observed, ends: [&End; 2], world: &World, set: &PolicySet, opt: &Options, mut memory: Option<&mut Memory>) -> Explanation {
    let whole = memory.is_none();
    let facts = Facts {
        dropped: matches!(o.verdict, Verdict::Dropped | Verdict::Error | Verdict::Audit)
            || (o.verdict == Verdict::Unknown && (o.drop_reason != 0 || o.event.is_some_and(|e| e.0 == monitor::DROP))),
        audit: o.verdict == Verdict::Audit,
        proxy: o.l7.is_some() || o.event.is_some_and(|e| e.0 == EVENT_L7),
        reason: match reason::cause(o.drop_reason) {
            _ if o.verdict == Verdict::Audit => Reason::None,
            // Whatever netfilter drops, Retina calls a policy's.
            Reason::DefaultDeny | Reason::DenyRule if o.of_retina() => Reason::None,
            told => told,
        },
    };
    let reply = o.reply() == Some(true);
    let mut why = blank(o, &facts, ends.map(|e| &e.endpoint));
    why.because.extend(opt.unenforced.map(enforces_nothing));
    let [sender, receiver] = ends;
    let (sender, receiver) = if reply { (receiver, sender) } else { (sender, receiver) };
    let (src, dst) = (&sender.endpoint, &receiver.endpoint);

    if facts.dropped && facts.reason == Reason::Other {
        return not_policy(o, why);
    }
    if o.verdict == Verdict::Error && o.drop_reason == 0 {
        why.outcome = Outcome::NotPolicy;
        why.agreement = Agreement::Agrees;
        why.text = "the proxy reported an error, not a decision of a policy".to_owned();
        return bare(why);
    }
    if facts.dropped && o.of_retina() && o.drop_reason == 0 {
        // All that Retina has no name for, on Windows nearly everything.
        why.because.push("Retina gives no reason of netfilter's, through which policies would have dropped it".to_owned());
        why.leave_open(["drop-reason".to_owned()]);
        return bare(why);
    }
    if !set.given() {
        why.missing.push("policies".to_owned());
        why.text = match facts.reason {
            Reason::DefaultDeny => "no rule allows it, and there are no policies here to say whose".to_owned(),
            Reason::DenyRule => "a deny rule matched, and there are no policies here to say whose".to_owned(),
            Reason::Auth => "a policy demands authentication, and there are no policies here to say which".to_owned(),
            _ => "there are no policies here to judge it by".to_owned(),
        };
        agree::undecided(&mut why, set);
        return bare(why);
    }
    if !facts.dropped && (reply || !matches!(o.verdict, Verdict::Forwarded | Verdict::Redirected)) {
        why.outcome = Outcome::Allowed;
        why.because
            .push(if reply { "a reply: policies judge the first packet of a connection" } else { "not a record of a decision" }.to_owned());
        why.text = if reply { "a reply to a connection that was allowed" } else { "passed" }.to_owned();
        return bare(why);
    }

    let (from, to) = if reply { (&o.dst, &o.src) } else { (&o.src, &o.dst) };
    let sight = Sight { o, facts: &facts, reply, ends: [(from, src), (to, dst)], world, set };
    let mut traffic = traffic_to(o, dst);
    if o.l7_response && !facts.dropped {
        // The answer to a refused request names the request; any other answer is not judged.
        traffic.request = None;
    }
    let (proxy_subject, proxy_peer);
    let mut sides = if let Some((subject, peer)) = ingress_proxy(o, &facts, src) {
        // The proxy of an Ingress asks the ingress policy of its own identity, about the client.
        (proxy_subject, proxy_peer) = (End::new(subject), End::new(peer));
        for fact in ["direction", "subject"] {
            why.inferred.push(fact.to_owned());
        }
        let (subject, peer) = (&proxy_subject, &proxy_peer);
        let ask = Ask { direction: Direction::Ingress, subject, peer, traffic: &traffic, world, set, opt: *opt, whole };
        vec![look(ask, memory)]
    } else {
        let mut ask = |direction, end, other, subject, peer| {
            // A policy drop at the host, or between it and somebody who has no policy, shows that its firewall is on, whatever we were told.
            let fire = facts.dropped
                && matches!(facts.reason, Reason::DefaultDeny | Reason::DenyRule)
                && (host(subject) || subject.is_stranger())
                && o.side().map_or_else(|| managed(peer, opt) == Tri::No, |told| told == direction);
            let opt = Options { host_firewall: opt.host_firewall || fire, ..*opt };
            look(Ask { direction, subject: end, peer: other, traffic: &traffic, world, set, opt, whole }, memory.as_deref_mut())
        };
        let (egress, ingress) = (Direction::Egress, Direction::Ingress);
        vec![ask(egress, sender, receiver, src, dst), ask(ingress, receiver, sender, dst, src)]
    };
    // A reply's direction is that of the packet, not of the connection.
    let told = if reply || sides.len() == 1 { None } else { o.side() };
    let told = told.filter(|d| managed(if *d == Direction::Egress { src } else { dst }, opt) != Tri::No || sides_managed(&sides, *d));
    if sides.len() == 1 {
        let only = sides.remove(0);
        conclude(&mut why, &only, &sight);
        if whole {
            why.because.splice(0..0, evidence(o, &why, world, set));
        }
        let (lanes, rules) = only.shown().map_or_else(Default::default, |(lane, rules)| (vec![lane], rules));
        return Explanation { why, lanes, rules, edits: Vec::new() };
    }
    let chosen = match told {
        Some(d) => sides.iter().position(|s| s.direction == d),
        None => {
            let denied = named_side(&sides, o, &facts, reply).or_else(|| denying(&sides, facts.dropped));
            denied.or_else(|| demanding(&sides, &facts))
        }
    };
    if told.is_none() {
        why.sides = sides.iter().map(as_side).collect();
    }
    match chosen {
        Some(i) => {
            if told.is_none() {
                why.inferred.push("direction".to_owned());
            }
            if let Some(s) = sides.get(i) {
                conclude(&mut why, s, &sight);
                // Judged by itself, a side that demands authentication allows.
                let mine = why.sides.iter_mut().find(|x| x.direction == s.direction);
                if let (Outcome::AuthRequired, Some(side)) = (why.outcome, mine) {
                    side.outcome = why.outcome;
                }
            }
        }
        None => {
            if reply {
                // The packet's direction is not the connection's.
                (why.direction, why.subject) = (None, None);
            }
            neither(&mut why, &sides, &sight);
        }
    }
    if why.outcome == Outcome::NowAllowed
        && let Some(d) = sides.iter().find(|s| s.judgement().decision == Decision::Denied)
    {
        // The record speaks of one side; the other is still worth a word.
        why.because.push(format!("{} of {} would deny it: {}", d.direction.word(), d.subject(), d.text()));
    }
    if reply && facts.dropped {
        agree::reply(&mut why);
    }
    if let (false, [egress, ingress]) = (reply, sides.as_slice()) {
        let (egress, ingress) = (&egress.judgement(), &ingress.judgement());
        let (traffic, dropped) = (&traffic, facts.dropped);
        why.diagnosis = lint::of_flow(&lint::Case { flow: o, src, dst, traffic, egress, ingress, why: &why, world, set, opt, dropped });
    }
    why.diagnosis.extend(agree::unresolved_peer(&why, &sight));
    why.diagnosis.extend(agree::unanswered(&why, &sight));
    why.diagnosis.extend(agree::unmanaged(&sight));
    if whole {
        // That it is a reply says more than all the rest.
        let first = usize::from(reply && facts.dropped);
        why.because.splice(first..first, evidence(o, &why, world, set));
    }
    let shown = chosen.unwrap_or_else(|| sides.iter().position(|s| s.judgement().decision == Decision::Unknown).unwrap_or(1));
    let mut lanes = Vec::new();
    let mut rules = Vec::new();
    for (i, (lane, of_side)) in sides.into_iter().filter_map(Judged::shown).enumerate() {
        if i == shown {
            rules = of_side;
        }
        lanes.push(lane);
    }
    Explanation { why, lanes, rules, edits: Vec::new() }
}

fn host(e: &Endpoint) -> bool {
    e.labels.is_host() || e.host_network
}

fn sides_managed(sides: &[Judged<'_>], d: Direction) -> bool {
    sides.iter().any(|s| s.direction == d && s.judgement().decision != Decision::NotManaged)
}

/// The side of which the datapath speaks by other words than its direction, if that side does deny: the agent names policies
/// by side, and says whether a rule denied it or none allowed it.
fn named_side(sides: &[Judged<'_>], o: &Observed, facts: &Facts, reply: bool) -> Option<usize> {
    let denied = |s: &Judged| s.judgement().decision == Decision::Denied;
    let named = match (o.reported.egress_denied.is_empty(), o.reported.ingress_denied.is_empty()) {
        (false, true) if !reply => Some(Direction::Egress),
        (true, false) if !reply => Some(Direction::Ingress),
        _ => None,
    };
    if named.is_some() {
        return sides.iter().position(|s| Some(s.direction) == named && denied(s));
    }
    let fits = |s: &Judged| {
        let by_rule = s.judgement().cause == eval::Cause::DenyRule;
        (facts.reason == Reason::DenyRule && by_rule) || (facts.reason == Reason::DefaultDeny && !by_rule)
    };
    if sides.iter().all(denied) { sides.iter().position(fits) } else { None }
}

/// The side that denies where the flow does not say. Egress is asked first, and what it denies the other side never sees.
fn denying(sides: &[Judged<'_>], dropped: bool) -> Option<usize> {
    for (i, s) in sides.iter().enumerate() {
        match s.judgement().decision {
            Decision::Denied => return Some(i),
            Decision::Unknown if dropped => return None,
            _ => {}
        }
    }
    None
}

/// The side that demands authentication, where that is what the datapath missed and nothing else is open.
fn demanding(sides: &[Judged<'_>], facts: &Facts) -> Option<usize> {
    let open = sides.iter().any(|s| s.judgement().decision == Decision::Unknown);
    let demands = |s: &Judged| s.judgement().auth == Some(Auth::AlwaysFail) || s.judgement().auth == Some(Auth::Required);
    if facts.dropped && facts.reason == Reason::Auth && !open { sides.iter().position(demands) } else { None }
}

fn as_side(s: &Judged<'_>) -> Side {
    Side {
        direction: s.direction,
        subject: s.subject().to_owned(),
        outcome: s.outcome,
        policies: s.deciding(),
        nearest: s.nearest().cloned(),
        missing: s.judgement().missing.clone(),
    }
}

/// `ends` are the packet's own: of sender and receiver.
fn blank(o: &Observed, facts: &Facts, ends: [&Endpoint; 2]) -> Why {
    let mut inferred = Vec::new();
    for (p, e) in [&o.src, &o.dst].into_iter().zip(ends) {
        let what = if e.labels.is_pod() { "labels" } else { "identity" };
        if p.labels.is_empty() && e.known {
            // A number that stands for one of the reserved identities says as much as its label.
            inferred.push(format!("{}:{}", if e.by_address { what } else { "labels" }, e.display));
        }
        if e.by_address && !e.pod.is_empty() {
            inferred.push(format!("pod:{}", e.display));
        }
        if e.names.len() > p.names.len() {
            inferred.push(format!("names:{}", e.ip.map_or_else(|| e.display.clone(), |ip| ip.to_string())));
        }
    }
    let direction = o.side();
    let [src, dst] = ends;
    let subject = direction.map(|d| if d == Direction::Egress { src } else { dst }.display.clone());
    Why {
        cluster: None,
        outcome: Outcome::Undecidable,
        direction,
        subject,
        policies: Vec::new(),
        reported: reported(o, facts),
        nearest: None,
        agreement: Agreement::Unknown,
        because: ends.iter().filter_map(|e| before_dnat(o, e)).collect(),
        missing: Vec::new(),
        inferred,
        sides: Vec::new(),
        as_of: None,
        changed_since: Vec::new(),
        diagnosis: Vec::new(),
        text: String::new(),
    }
}

/// That policies are only words in this cluster.
pub(super) fn enforces_nothing(network: &str) -> String {
    format!("{network} enforces no NetworkPolicy, and nothing else that is known to do it runs here: then no policy has any effect")
}

/// The record shows a service, and somebody behind it is judged.
fn before_dnat(o: &Observed, e: &Endpoint) -> Option<String> {
    let (namespace, name) = &e.frontend.as_ref()?.service;
    let (ip, port) = if o.reply() == Some(true) { (o.src.ip, o.src_port) } else { (o.dst.ip, o.dst_port) };
    let to = e.listens(o.l4, port).map_or_else(|| "a port that the service does not have".to_owned(), |p| format!("port {p}"));
    let shown = ip.map_or_else(|| "an address".to_owned(), |ip| ip.to_string());
    Some(format!("{shown}:{port} is the service {namespace}/{name} before DNAT: judged is what stands behind it, at {to}"))
}

fn bare(why: Why) -> Explanation {
    Explanation { why, lanes: Vec::new(), rules: Vec::new(), edits: Vec::new() }
}

/// What the agent itself named.
fn reported(o: &Observed, facts: &Facts) -> Option<ReportedCause> {
    let r = &o.reported;
    let lists = if facts.dropped && !(r.egress_denied.is_empty() && r.ingress_denied.is_empty()) {
        [&r.egress_denied, &r.ingress_denied]
    } else {
        [&r.egress_allowed, &r.ingress_allowed]
    };
    let name = |n: &Named| PolicyRef {
        kind: n.kind.clone(),
        namespace: (!n.namespace.is_empty()).then(|| n.namespace.clone()),
        name: n.name.clone(),
        rule: None,
    };
    let policies: Vec<PolicyRef> = lists.into_iter().flatten().map(name).collect();
    let details: Vec<Told> = r.told.iter().filter(|t| policies.iter().any(|p| t.is(p))).cloned().collect();
    (!policies.is_empty() || !r.log.is_empty()).then(|| ReportedCause { policies, details, log: r.log.clone() })
}

fn not_policy(o: &Observed, mut why: Why) -> Explanation {
    match reason::by_number(o.drop_reason) {
        Some(r) => {
            why.outcome = Outcome::NotPolicy;
            why.agreement = Agreement::Agrees;
            why.text = netfilters(o, r.name).unwrap_or(r.words).to_owned();
        }
        None => {
            // A number newer than the table may be anything, a policy too.
            why.missing.push(format!("drop-reason:{}", o.drop_reason));
            why.text = format!("drop reason {} is not known here", o.drop_reason);
            why.because.push("it may be a policy's or not".to_owned());
        }
    }
    bare(why)
}

/// What Retina means by a reason of Hubble's, whose names it uses for hooks of netfilter.
fn netfilters(o: &Observed, reason: &str) -> Option<&'static str> {
    match reason {
        _ if !o.of_retina() => None,
        "SNAT_NO_MAP_FOUND" => Some("netfilter dropped it while it translated addresses"),
        "UNKNOWN_CONNECTION_TRACKING_STATE" => Some("netfilter could not keep track of the connection"),
        _ => None,
    }
}

/// The record of an Ingress proxy carries the proxy's identity on the client's address. Subject and peer of what it asked.
fn ingress_proxy(o: &Observed, facts: &Facts, src: &Endpoint) -> Option<(Endpoint, Endpoint)> {
    let outside = |p: &Party| p.pod.is_empty() && p.namespace.is_empty();
    if !(facts.dropped && facts.proxy && src.labels.reserved("ingress") && outside(&o.src)) {
        return None;
    }
    let ip = src.ip?;
    let reserved = |name: &str| Labels(vec![Label::new("reserved", name, "")]);
    let subject =
        Endpoint { display: "ingress".to_owned(), labels: reserved("ingress"), known: true, namespace_labels: true, ..Endpoint::default() };
    let peer = Endpoint {
        display: ip.to_string(),
        labels: reserved("world"),
        known: true,
        namespace_labels: true,
        ip: Some(ip),
        ..Endpoint::default()
    };
    Some((subject, peer))
}

/// The answer of the side that counts.
fn conclude(why: &mut Why, s: &Judged<'_>, sight: &Sight<'_>) {
    let (facts, set) = (sight.facts, sight.set);
    why.direction = Some(s.direction);
    why.subject = Some(s.subject().to_owned());
    why.policies = s.deciding();
    why.nearest = s.nearest().cloned();
    why.text = s.text().to_owned();
    match s.judgement().decision {
        Decision::Unknown => {
            why.outcome = Outcome::Undecidable;
            why.policies.clear();
            why.missing = s.judgement().missing.clone();
            agree::undecided(why, set);
        }
        Decision::Denied => {
            why.outcome = s.outcome;
            agree::denied(why, s, sight);
            if facts.dropped && sight.o.of_retina() {
                why.text = format!("dropped by iptables; {}", s.text());
            }
        }
        Decision::Allowed | Decision::NotManaged => {
            let auth = s.judgement().auth;
            if facts.dropped && (auth == Some(Auth::AlwaysFail) || (auth == Some(Auth::Required) && facts.reason == Reason::Auth)) {
                why.outcome = Outcome::AuthRequired;
                why.agreement = Agreement::Agrees;
                let policy = why.policies.first().map(PolicyRef::path).unwrap_or_default();
                why.text = format!("{policy} demands mutual authentication, which has not happened");
            } else if facts.dropped {
                why.outcome = Outcome::NowAllowed;
                agree::now_allowed(why, &[s], sight);
            } else {
                why.outcome = Outcome::Allowed;
                why.agreement = Agreement::Agrees;
            }
        }
    }
}

/// No side is known to deny.
fn neither(why: &mut Why, sides: &[Judged<'_>], sight: &Sight<'_>) {
    let (facts, set) = (sight.facts, sight.set);
    let unknown: Vec<&Judged<'_>> = sides.iter().filter(|s| s.judgement().decision == Decision::Unknown).collect();
    if unknown.is_empty() {
        let all: Vec<&Judged<'_>> = sides.iter().collect();
        why.policies = sides.iter().flat_map(|s| s.deciding()).collect();
        why.policies.sort();
        why.policies.dedup();
        if facts.dropped {
            why.outcome = Outcome::NowAllowed;
            agree::now_allowed(why, &all, sight);
        } else {
            why.outcome = Outcome::Allowed;
            why.agreement = Agreement::Agrees;
            why.text = sides.iter().find(|s| s.judgement().decision == Decision::Allowed).map_or_else(String::new, |s| s.text().to_owned());
        }
        return;
    }
    why.outcome = Outcome::Undecidable;
    // One side may deny for certain; which of the two did is then all that is missing.
    if sides.iter().any(|s| s.judgement().decision == Decision::Denied) {
        why.missing.push("direction".to_owned());
    }
    for m in unknown.iter().flat_map(|s| &s.judgement().missing) {
        if !why.missing.contains(m) {
            why.missing.push(m.clone());
        }
    }
    why.text = format!("cannot be decided without {}", why.missing.join(", "));
    agree::undecided(why, set);
}
