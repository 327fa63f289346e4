//! What makes two drops one cause, and how a cause speaks once it stands for several. Owns the key of folding; books nothing.
use crate::model::observed::{Direction, L4, L7, Observed, Party, Verdict};
use crate::model::why::{Outcome, PolicyRef, Why};
use std::sync::Arc;

/// Whose policy stops it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Workload(String),
    /// Every workload of a namespace that the same policies stop for want of the same: one missing rule is one cause.
    AllOf(String),
}

/// What makes two drops the same: isolating set, missing condition, subject, peer workload or name, port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    cluster: Option<String>,
    /// What was only audited is not mixed with what was dropped, nor either with what is only foreseen.
    audit: bool,
    foreseen: bool,
    outcome: Outcome,
    direction: Option<Direction>,
    policies: Vec<PolicyRef>,
    condition: String,
    subject: Subject,
    peer: String,
    l4: Option<L4>,
    port: u16,
}

impl Key {
    pub(super) fn of(o: &Observed, why: &Why, from: &str, to: &str) -> Self {
        // Nameless addresses of the world are one peer: a scanner's thousand addresses are one missing rule.
        let name = |party: &Party, name: &str| if is_nameless_world(party) { "world".to_owned() } else { name.to_owned() };
        let (mine, theirs) = match at_receiver(o, why) {
            true => ((&o.dst, to), (&o.src, from)),
            false => ((&o.src, from), (&o.dst, to)),
        };
        let shared = matches!(why.outcome, Outcome::DefaultDeny | Outcome::DeniedByRule | Outcome::L7Denied | Outcome::DnsRefused);
        let subject = if shared && !why.policies.is_empty() && !mine.0.namespace.is_empty() {
            Subject::AllOf(mine.0.namespace.clone())
        } else {
            Subject::Workload(name(mine.0, mine.1))
        };
        Self {
            cluster: why.cluster.clone(),
            audit: o.verdict == Verdict::Audit,
            foreseen: false,
            outcome: why.outcome,
            direction: why.direction,
            policies: why.policies.clone(),
            condition: condition(why) + &asked(o, why.outcome),
            subject,
            peer: name(theirs.0, theirs.1),
            l4: o.l4,
            port: o.dst_port,
        }
    }

    /// The same of a flow that passed, and would be stopped.
    pub(super) fn foreseen(o: &Observed, why: &Why, from: &str, to: &str) -> Self {
        Self { foreseen: true, ..Self::of(o, why, from, to) }
    }

    /// Whether it stands for all workloads of a namespace.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.subject, Subject::AllOf(_))
    }
}

/// Whether the receiver's policy is the one that stops it.
pub(super) fn at_receiver(o: &Observed, why: &Why) -> bool {
    why.direction.or(o.side()) == Some(Direction::Ingress)
}

/// What was wanted and not there; what the flow had instead may differ from packet to packet.
fn condition(why: &Why) -> String {
    match (&why.nearest, why.outcome) {
        (Some(n), _) => {
            let wanted: Vec<_> = n.failed.iter().map(|f| format!("{} {}", f.on, f.wanted)).collect();
            format!("{} {}: {}", n.name, n.rule, wanted.join(", "))
        }
        (None, Outcome::NotPolicy) => why.text.clone(),
        (None, Outcome::Undecidable) => why.missing.join(", "),
        (None, _) => String::new(),
    }
}

/// What was refused at L7, as far as it makes another rule: a name, a method. Paths differ with every request.
fn asked(o: &Observed, outcome: Outcome) -> String {
    match (&o.l7, outcome) {
        (Some(L7::Dns { query, .. }), Outcome::DnsRefused) => format!("; {}", query.trim_end_matches('.').to_ascii_lowercase()),
        (Some(L7::Http { method, .. }), Outcome::L7Denied) => format!("; {method}"),
        _ => String::new(),
    }
}

/// `PUT /v1/exhaust-port`, without the query, which differs with every request.
pub(super) fn request(o: &Observed) -> Option<String> {
    let Some(L7::Http { method, url, .. }) = &o.l7 else { return None };
    Some(format!("{method} {}", url.split(['?', '#']).next().unwrap_or(url)))
}

/// Outside the cluster, and nobody knows a name for it.
pub(super) fn is_nameless_world(party: &Party) -> bool {
    let world = party.labels.iter().any(|l| l.starts_with("reserved:world")) || matches!(party.identity, 2 | 9 | 10);
    world && party.pod.is_empty() && party.names.is_empty()
}

/// The explanation of a cause to which a further request came, with another path: what is said has to be true of both.
pub(super) fn of_requests(why: &Arc<Why>, o: &Observed, further: &Why) -> Option<Arc<Why>> {
    let Some(L7::Http { method, .. }) = &o.l7 else { return None };
    let general = format!("no HTTP rule allows {method} on several paths");
    if why.outcome != Outcome::L7Denied || why.text == further.text || why.text == general {
        return None;
    }
    let mut w = Why::clone(why);
    for f in w.nearest.iter_mut().flat_map(|n| &mut n.failed).filter(|f| f.on == "http" && f.got.starts_with(&format!("{method} "))) {
        f.got = format!("{method} on several paths");
    }
    w.text = general;
    Some(Arc::new(w))
}

/// The explanation of a cause that hits several workloads.
pub(super) fn of_workloads(why: &Arc<Why>, who: &str) -> Arc<Why> {
    let mut w = Why::clone(why);
    w.subject = Some(who.to_owned());
    Arc::new(w)
}
