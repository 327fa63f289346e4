//! Every way in which one rule covers a flow, as entries of the datapath's map. Owns peers against ports within a rule, and
//! the constraints that older Cilium puts on the selectors of all rules.
use super::winner::{Entry, Origin};
use super::{Case, Chosen, peer, port};
use crate::policy::ir::{Action, PeerIs, Peers, PortRule, Ports, Rule, Section};
use crate::policy::selector::{Selector, Tri};

/// What selectors of peers in rules of this action have to meet besides, and whether that is so for this subject.
pub struct Required<'p> {
    action: Action,
    is: Tri,
    selector: &'p Selector,
}

/// The constraints of the sections that select a subject (`fromRequires`, `toRequires`).
pub fn requirements<'p>(sections: impl Iterator<Item = (&'p Section, Tri)>) -> Vec<Required<'p>> {
    let of = |(section, is): (&'p Section, Tri)| {
        section.rules.iter().flat_map(move |r| r.requires.iter().map(move |selector| Required { action: r.action, is, selector }))
    };
    sections.flat_map(of).collect()
}

impl<'p> Required<'p> {
    /// The selector, if it binds a rule of this action.
    pub fn binds(&self, action: Action) -> Option<&'p Selector> {
        (self.action == action).then_some(self.selector)
    }

    fn met(&self, case: &Case<'_>, missing: &mut Vec<String>) -> Tri {
        let met = self.selector.matches(case.opt.engine, case.peer, Some(case.subject), missing);
        if self.is == Tri::Yes { met } else { met.or(Tri::Unknown) }
    }
}

/// Whether the peer matches, with all that is required of selectors besides.
pub fn bound(p: &PeerIs, action: Action, case: &Case<'_>, requires: &[Required<'_>], missing: &mut Vec<String>) -> Tri {
    let t = peer::matches(p, case, missing);
    if t == Tri::No || !matches!(p, PeerIs::Endpoints(_)) {
        return t;
    }
    let bind = requires.iter().filter(|r| r.binds(action).is_some());
    bind.fold(t, |t, r| t.and(r.met(case, missing)))
}

/// Adds the rule's entries; with `maybe` a condition that cannot be decided counts as met.
pub(super) fn of_rule<'p>(
    case: &Case<'_>,
    from: &Chosen<'p>,
    rule: &'p Rule,
    requires: &[Required<'_>],
    maybe: bool,
    missing: &mut Vec<String>,
    out: &mut Vec<Entry<'p>>,
) {
    let wanted = |t: Tri| t == Tri::Yes || (t == Tri::Unknown && maybe);
    // Facts about ports only count if the peer could match at all.
    let mut port_missing = Vec::new();
    let ports = ports(case, rule, &wanted, &mut port_missing);
    if ports.is_empty() && port_missing.is_empty() {
        return;
    }
    let mut peers: Vec<(bool, &str)> = Vec::new();
    let mut possible = matches!(rule.peers, Peers::Any);
    match &rule.peers {
        Peers::Any => peers.push((true, "")),
        Peers::Of(list) => {
            for p in list {
                let t = bound(&p.is, rule.action, case, requires, missing);
                possible |= t != Tri::No;
                if wanted(t) {
                    peers.push((peer::is_wildcard(&p.is), &p.id));
                }
            }
        }
    }
    if possible {
        for m in port_missing {
            if !missing.contains(&m) {
                missing.push(m);
            }
        }
    }
    for (wild, id) in peers {
        let id = if id.is_empty() { rule.id.clone() } else { format!("{}.{id}", rule.id) };
        for (key, pr) in &ports {
            out.push(Entry {
                wild,
                key: *key,
                deny: rule.action == Action::Deny,
                l7: pr.and_then(|p| p.l7.as_ref()),
                server_names: pr.map_or(&[], |p| p.server_names.as_slice()),
                // Such a policy isolates nothing, so its L7 rules let everything else pass too.
                l7_open: !from.section.default_deny,
                auth: rule.auth,
                origin: Origin::Rule(from.policy.rule(&id)),
            });
        }
    }
}

/// The port conditions that hold, and how specific each is.
fn ports<'p>(
    case: &Case<'_>,
    rule: &'p Rule,
    wanted: &dyn Fn(Tri) -> bool,
    missing: &mut Vec<String>,
) -> Vec<(port::Key, Option<&'p PortRule>)> {
    match &rule.ports {
        Ports::Nothing => Vec::new(),
        Ports::Any => vec![(port::Key::ALL, None)],
        Ports::Icmp(fields) => {
            let found = fields.iter().map(|f| port::icmp(f, case, missing)).collect::<Vec<_>>();
            found.into_iter().filter(|(t, _)| wanted(*t)).map(|(_, key)| (key, None)).collect()
        }
        Ports::Of(list) => {
            let mut out = Vec::new();
            for (pr, p) in list.iter().flat_map(|pr| pr.ports.iter().map(move |p| (pr, p))) {
                let (t, key) = port::matches(p, case, missing);
                if wanted(t) {
                    out.push((key, Some(pr)));
                }
            }
            out
        }
    }
}
