//! One side of a flow: judged, with its rules nearest first and its lane for the screen.
use super::Memory;
use super::l7::{self, NearL7};
use super::near::{Checked, check, weigh};
use super::words::{self, Sort};
use crate::model::observed::Direction;
use crate::model::why::{Lane, LaneState, Nearest, Outcome, PolicyRef, RuleView};
use crate::policy::eval::Traffic;
use crate::policy::eval::l7::Request;
use crate::policy::eval::{Case, Cause, Chosen, Decision, End, Judgement, Required, judge_by, requirements};
use crate::policy::ir::{Action, Peers, Policy, Ports, Rule, Tier};
use crate::policy::selector::Tri;
use crate::policy::{Engine, Options, PolicySet};
use crate::world::World;
use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

/// Rules shown for one side.
const SHOWN: usize = 200;

/// One side of a connection, before it is judged.
pub struct Ask<'a> {
    pub direction: Direction,
    pub subject: &'a End,
    pub peer: &'a End,
    pub traffic: &'a Traffic,
    pub world: &'a World,
    pub set: &'a PolicySet,
    pub opt: Options,
    /// Whether rules and lane are made, which only a screen shows; the rest is the same with or without.
    pub whole: bool,
}

impl<'a> Ask<'a> {
    fn case(&self) -> Case<'_> {
        let Self { direction, subject, peer, traffic, world, .. } = *self;
        Case { direction, subject: &subject.endpoint, peer: &peer.endpoint, traffic, world, opt: &self.opt }
    }
}

/// What is true of a side whoever of several replicas it is.
#[derive(Debug)]
pub struct Shared {
    pub judgement: Judgement,
    deciding: OnceLock<Vec<PolicyRef>>,
    weighing: OnceLock<Weighing>,
}

/// The rules that could have allowed what default deny stopped, nearest first, without words.
#[derive(Debug)]
struct Weighing {
    rules: Vec<Weighed>,
    /// Whether a rule asks something of the peers of all of them (`fromRequires`).
    requires: bool,
}

/// A rule by the places of its section and its own.
#[derive(Debug)]
struct Weighed {
    section: usize,
    rule: usize,
    hopeless: bool,
    sort: Sort,
    checked: Checked,
}

/// One side, judged. Its words are made when somebody asks for them: of most sides nobody does.
pub struct Judged<'a> {
    pub direction: Direction,
    pub outcome: Outcome,
    shared: Arc<Shared>,
    ask: Ask<'a>,
    words: OnceCell<Words>,
}

/// What is said of one side.
#[derive(Default)]
struct Words {
    nearest: Option<Nearest>,
    text: String,
    shown: Option<(Lane, Vec<RuleView>)>,
}

struct View<'p> {
    policy: &'p Arc<Policy>,
    rule: &'p Rule,
    checked: Checked,
}

pub fn look<'a>(ask: Ask<'a>, memory: Option<&mut Memory>) -> Judged<'a> {
    let (case, subject) = (ask.case(), &ask.subject.endpoint);
    let judge = || Shared::new(judge_by(&case, || ask.subject.selected(&case, ask.set)));
    let shared = match memory {
        Some(memory) => memory.side(&ask, judge),
        None => Arc::new(judge()),
    };
    let host = subject.labels.is_host() || subject.host_network;
    let outcome = outcome(&shared.judgement, host, ask.traffic);
    Judged { direction: ask.direction, outcome, shared, ask, words: OnceCell::new() }
}

impl Shared {
    fn new(judgement: Judgement) -> Self {
        Self { judgement, deciding: OnceLock::new(), weighing: OnceLock::new() }
    }

    fn weighing(&self, case: &Case<'_>) -> &Weighing {
        self.weighing.get_or_init(|| {
            let j = &self.judgement;
            let requires = required(j);
            let mut rules = Vec::new();
            for (at, c) in j.sections().enumerate() {
                for (nth, v) in views_of_section(c, case, &requires, weigh).enumerate() {
                    if could_allow(&v, j, case.opt.engine) {
                        let (hopeless, sort) = (hopeless(v.rule), Sort::of(&v.rule.ports));
                        rules.push(Weighed { section: at, rule: nth, hopeless, sort, checked: v.checked });
                    }
                }
            }
            rules.sort_by_key(|w| (w.hopeless, w.checked.rank()));
            Weighing { rules, requires: !requires.is_empty() }
        })
    }
}

impl<'a> Judged<'a> {
    pub fn judgement(&self) -> &Judgement {
        &self.shared.judgement
    }

    /// The policies by which it decides.
    pub fn deciding(&self) -> Vec<PolicyRef> {
        self.shared.deciding.get_or_init(|| self.shared.judgement.deciding()).clone()
    }

    pub fn subject(&self) -> &'a str {
        &self.ask.subject.endpoint.display
    }

    /// The rule that came nearest, where none allowed it.
    pub fn nearest(&self) -> Option<&Nearest> {
        self.words().nearest.as_ref()
    }

    /// Why it is denied, or that it is not.
    pub fn text(&self) -> &str {
        &self.words().text
    }

    /// How many policies select it and what comes of them; only where lane and rules are made.
    pub fn summary(&self) -> String {
        self.words().shown.as_ref().map(|(lane, _)| lane.text.clone()).unwrap_or_default()
    }

    /// Lane and rules, which only a screen shows.
    pub fn shown(mut self) -> Option<(Lane, Vec<RuleView>)> {
        self.words();
        self.words.take()?.shown
    }

    fn words(&self) -> &Words {
        self.words.get_or_init(|| said(&self.ask, &self.shared))
    }
}

fn said(ask: &Ask<'_>, shared: &Shared) -> Words {
    let (case, judgement) = (ask.case(), &shared.judgement);
    if !ask.whole && judgement.cause == Cause::DefaultDeny {
        return said_of_nearest(ask, shared);
    }
    let denying = judgement.decision == Decision::Denied;
    let selecting = if denying && judgement.cause == Cause::DefaultDeny { &judgement.isolating } else { &judgement.selecting };
    // Where a rule decided, the others are only shown.
    let decided = !matches!(judgement.cause, Cause::L7Deny | Cause::DefaultDeny);
    let mut views = if ask.whole || !decided { views_of(judgement, &case, ask.whole) } else { Vec::new() };
    let mut rules = Vec::new();
    let nearest = match judgement.cause {
        Cause::L7Deny => {
            let found = l7_rules(judgement, &views, &case);
            if ask.whole {
                rules = shown_l7(&found);
            }
            found.first().and_then(|n| near(&n.policy.id, n.id.clone(), &n.policy.text.file, &n.checked))
        }
        Cause::DefaultDeny => {
            views.retain(|v| could_allow(v, judgement, ask.opt.engine));
            views.sort_by_key(|v| (hopeless(v.rule), v.checked.rank()));
            rules = shown(selecting, &views);
            let first = views.first().filter(|v| denying && !hopeless(v.rule));
            first.and_then(|v| near(&v.policy.id, v.rule.id.clone(), &v.policy.text.file, &v.checked))
        }
        _ => {
            // What decided comes first, then what came near.
            let decided = |v: &View<'_>| judgement.allowing().iter().any(|a| v.policy.means(a, v.rule));
            views.sort_by_key(|v| (!decided(v), v.checked.rank()));
            if ask.whole {
                rules = shown(selecting, &views);
            }
            None
        }
    };
    let held: Vec<(Sort, &Checked)> = views.iter().map(|v| (Sort::of(&v.rule.ports), &v.checked)).collect();
    let text = words::sentence(&case, judgement, &held, &|i| views.get(i).map(|v| v.rule));
    let shown = ask.whole.then(|| (lane(&case, judgement, &views, &judgement.deciding()), rules));
    Words { nearest, text, shown }
}

/// Of what default deny stopped: the nearest rule alone in words.
fn said_of_nearest(ask: &Ask<'_>, shared: &Shared) -> Words {
    let (case, judgement) = (ask.case(), &shared.judgement);
    let weighing = shared.weighing(&case);
    let rule_of = |w: &Weighed| {
        let c = judgement.sections().nth(w.section)?;
        Some((c.policy, c.section.rules.get(w.rule)?))
    };
    let first = weighing.rules.first().and_then(|w| {
        let (policy, rule) = rule_of(w)?;
        let requires = if weighing.requires { required(judgement) } else { Vec::new() };
        let requires = if policy.tier == Tier::Normal { requires.as_slice() } else { &[] };
        Some((policy, rule, w.hopeless, check(rule, &case, requires)))
    });
    let mut held: Vec<(Sort, &Checked)> = weighing.rules.iter().map(|w| (w.sort, &w.checked)).collect();
    if let (Some(nearest), Some((.., checked))) = (held.first_mut(), &first) {
        nearest.1 = checked;
    }
    let text = words::sentence(&case, judgement, &held, &|i| rule_of(weighing.rules.get(i)?).map(|(_, rule)| rule));
    let nearest = first.filter(|(_, _, hopeless, _)| judgement.decision == Decision::Denied && !hopeless);
    let nearest = nearest.and_then(|(policy, rule, _, checked)| near(&policy.id, rule.id.clone(), &policy.text.file, &checked));
    Words { nearest, text, shown: None }
}

fn outcome(j: &Judgement, host: bool, traffic: &Traffic) -> Outcome {
    match (j.decision, j.cause) {
        (Decision::Unknown, _) => Outcome::Undecidable,
        (Decision::Allowed | Decision::NotManaged, _) => Outcome::Allowed,
        (Decision::Denied, Cause::L7Deny) if matches!(traffic.request, Some(Request::Dns(_))) => Outcome::DnsRefused,
        (Decision::Denied, Cause::L7Deny) => Outcome::L7Denied,
        (Decision::Denied, _) if host => Outcome::HostFirewall,
        (Decision::Denied, Cause::DenyRule) => Outcome::DeniedByRule,
        (Decision::Denied, _) => Outcome::DefaultDeny,
    }
}

/// A rule that allows nobody cannot come near.
fn hopeless(rule: &Rule) -> bool {
    matches!(rule.ports, Ports::Nothing) || matches!(&rule.peers, Peers::Of(list) if list.is_empty())
}

/// Whether the rule would have been asked before default deny: one of the policies that isolate, or of a tier above default deny
/// unless a rule before it passed the flow on.
fn could_allow(v: &View<'_>, j: &Judgement, engine: Engine) -> bool {
    let place = |policy: &Policy, rule: &Rule| {
        let at = policy.sections.iter().flat_map(|s| &s.rules).position(|r| std::ptr::eq(r, rule));
        (policy.priority, at)
    };
    let passed_before = || {
        let of_tier = j.selecting.iter().filter(|p| p.tier == v.policy.tier);
        let passing =
            of_tier.flat_map(|p| j.passed_on.iter().filter(|r| p.is(r)).filter_map(move |r| Some((p, p.find_rule(r.rule.as_deref()?)?))));
        passing.into_iter().any(|(p, rule)| place(p, rule) <= place(v.policy, v.rule))
    };
    let asked = match v.policy.tier {
        Tier::Normal => j.isolating.iter().any(|p| Arc::ptr_eq(p, v.policy)),
        Tier::Admin => !passed_before(),
        Tier::Baseline => engine == Engine::Cilium && !passed_before(),
    };
    asked && v.rule.action == Action::Allow
}

/// What older Cilium asks of the selectors of every rule for this subject.
pub fn required(j: &Judgement) -> Vec<Required<'_>> {
    requirements(j.sections().map(|c| (c.section, Tri::Yes)))
}

fn views_of<'p>(j: &'p Judgement, case: &Case<'_>, words: bool) -> Vec<View<'p>> {
    let (requires, hold) = (required(j), if words { check } else { weigh });
    j.sections().flat_map(|c| views_of_section(c, case, &requires, hold)).collect()
}

/// The rules of one section, each held against the flow.
fn views_of_section<'p>(
    Chosen { policy, section, .. }: Chosen<'p>,
    case: &Case<'_>,
    requires: &[Required<'_>],
    hold: fn(&Rule, &Case<'_>, &[Required<'_>]) -> Checked,
) -> impl Iterator<Item = View<'p>> {
    let requires = if policy.tier == Tier::Normal { requires } else { &[] };
    section.rules.iter().map(move |rule| View { policy, rule, checked: hold(rule, case, requires) })
}

fn view(v: &View<'_>) -> RuleView {
    RuleView {
        policy: v.policy.id.clone(),
        rule: v.rule.id.clone(),
        file: v.policy.text.file.clone(),
        text: v.policy.text.clone(),
        lines: v.rule.lines,
        failed: v.checked.failed.iter().map(|(f, _)| f.clone()).collect(),
        marks: v.checked.marks.clone(),
        unsure: v.checked.unsure,
    }
}

/// The rules, and after them the policies that have none.
fn shown(policies: &[Arc<Policy>], views: &[View<'_>]) -> Vec<RuleView> {
    let mut out: Vec<RuleView> = views.iter().take(SHOWN).map(view).collect();
    for p in policies.iter().take(SHOWN) {
        if !views.iter().any(|v| Arc::ptr_eq(v.policy, p)) {
            let (file, text, lines) = (p.text.file.clone(), p.text.clone(), p.lines);
            let (policy, failed, marks) = (p.id.clone(), Vec::new(), Vec::new());
            out.push(RuleView { policy, rule: String::new(), file, text, lines, failed, marks, unsure: false });
        }
    }
    out
}

fn near(policy: &PolicyRef, rule: String, file: &str, c: &Checked) -> Option<Nearest> {
    let (_, line) = c.failed.first()?;
    Some(Nearest {
        kind: policy.kind.clone(),
        namespace: policy.namespace.clone(),
        name: policy.name.clone(),
        rule,
        file: (!file.is_empty()).then(|| file.to_owned()),
        // A rule that speaks of neither this peer nor this port is no place to look at.
        line: (*line > 0 && c.speaks()).then_some(*line),
        failed: c.failed.iter().map(|(f, _)| f.clone()).collect(),
    })
}

/// The L7 rules that the request had to pass, nearest first.
fn l7_rules<'p>(j: &Judgement, views: &[View<'p>], case: &Case<'_>) -> Vec<NearL7<'p>> {
    let chosen: Vec<(&Arc<Policy>, &Rule)> =
        views.iter().filter(|v| j.l7_rules.iter().any(|r| v.policy.means(r, v.rule))).map(|v| (v.policy, v.rule)).collect();
    l7::nearest(&chosen, case)
}

fn shown_l7(found: &[NearL7<'_>]) -> Vec<RuleView> {
    let view = |n: &NearL7<'_>| RuleView {
        policy: n.policy.id.clone(),
        rule: n.id.clone(),
        file: n.policy.text.file.clone(),
        text: n.policy.text.clone(),
        // The whole rule around it: the peer and port that did match belong to the picture.
        lines: (n.rule.lines.0.min(n.lines.0), n.rule.lines.1.max(n.lines.1)),
        failed: n.checked.failed.iter().map(|(f, _)| f.clone()).collect(),
        marks: n.checked.marks.clone(),
        unsure: n.checked.unsure,
    };
    found.iter().take(SHOWN).map(view).collect()
}

fn lane(case: &Case<'_>, j: &Judgement, views: &[View<'_>], policies: &[PolicyRef]) -> Lane {
    let count = |n: usize, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
    let selected = count(j.selecting.len(), "policy selects it", "policies select it");
    let rules = views.iter().filter(|v| v.rule.action == Action::Allow).count();
    let first = policies.first().map(PolicyRef::path).unwrap_or_default();
    let (state, text) = match (j.decision, j.cause) {
        (Decision::NotManaged, _) if case.subject.labels.reserved("unmanaged") => {
            (LaneState::NotManaged, "has no policy of its own: Cilium does not manage it".to_owned())
        }
        (Decision::NotManaged, _) => (LaneState::NotManaged, "has no policy of its own".to_owned()),
        (Decision::Unknown, _) => (LaneState::Undecidable, format!("not known without {}", j.missing.join(", "))),
        (Decision::Allowed, Cause::NoPolicy) => (LaneState::Open, "no policy selects it".to_owned()),
        (Decision::Allowed, Cause::DefaultAllow) => (LaneState::Allowed, format!("{selected}; none isolates")),
        (Decision::Allowed, Cause::AllowLocalhost) => (LaneState::Allowed, format!("{selected}; its own node may always reach it")),
        (Decision::Allowed, _) => (LaneState::Allowed, format!("{selected}; allowed by {first}")),
        (Decision::Denied, Cause::DenyRule) => (LaneState::Denied, format!("{selected}; denied by {first}")),
        (Decision::Denied, Cause::L7Deny) => (LaneState::Denied, format!("{selected}; the port is open, the request is not")),
        (Decision::Denied, _) if j.selecting.is_empty() => (LaneState::Denied, "in default deny by itself".to_owned()),
        (Decision::Denied, _) if rules == 0 => (LaneState::Denied, format!("{selected}; no rules")),
        (Decision::Denied, _) => (LaneState::Denied, format!("{selected}; {}, none match", count(rules, "rule", "rules"))),
    };
    let notes = j.selecting.iter().map(|p| (p.id.clone(), note(p, j, views))).collect();
    Lane { direction: case.direction, subject: case.subject.display.clone(), state, text, policies: notes }
}

/// `isolates, no rules` · `isolates, 1 rule, port 53 only`.
fn note(p: &Arc<Policy>, j: &Judgement, views: &[View<'_>]) -> String {
    let isolates = if j.isolating.iter().any(|i| Arc::ptr_eq(i, p)) { "isolates" } else { "does not isolate" };
    if let Some(r) = j.passed_on.iter().find(|r| p.is(r)) {
        return format!("{isolates}, {} passes it on", r.rule.as_deref().unwrap_or("a rule"));
    }
    if let Some(a) = j.attributed.iter().find(|a| p.is(a)) {
        let verb = if j.cause == Cause::DenyRule { "denies" } else { "allows" };
        return format!("{isolates}, {} {verb} it", a.rule.as_deref().unwrap_or("it"));
    }
    let mine: Vec<&View<'_>> = views.iter().filter(|v| Arc::ptr_eq(v.policy, p)).collect();
    let rules = match mine.len() {
        0 => "no rules".to_owned(),
        1 => "1 rule".to_owned(),
        n => format!("{n} rules"),
    };
    let only = match mine.as_slice() {
        [one] => words::ports_only(one.rule),
        _ => None,
    };
    match only {
        Some(o) => format!("{isolates}, {rules}, {o} only"),
        None => format!("{isolates}, {rules}"),
    }
}
