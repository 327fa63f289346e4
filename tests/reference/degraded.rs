//! Every case of the corpus as a record that says less and less. A wrong policy is never the answer; an undecidable one names a fact
//! that was taken away, and there are few where the facts can still be had.
use super::case::Read;
use super::complete;
use super::record::{self, Less};
use super::supply::Given;
use flowhy::model::observed::Verdict;
use flowhy::model::why::{Explanation, Outcome, PolicyRef, Why};
use flowhy::policy::explain;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Name, what is taken away, and whether the facts can still be had from elsewhere.
const WAYS: &[(&str, Less, bool)] = &{
    let none = Less {
        plain: false,
        direction: false,
        labels: false,
        namespace_labels: false,
        names: false,
        namespaces: false,
        pods_described: false,
        namespaces_described: false,
    };
    [
        ("the policy's verdict", none, true),
        ("the drop or trace record", Less { plain: true, ..none }, true),
        ("no direction", Less { plain: true, direction: true, ..none }, true),
        ("no labels", Less { labels: true, ..none }, true),
        ("no names of pods", Less { names: true, ..none }, true),
        ("no names and labels: a namespace and a number", Less { labels: true, names: true, ..none }, false),
        ("a number only", Less { labels: true, names: true, namespaces: true, ..none }, false),
        ("no Pods described", Less { pods_described: true, ..none }, true),
        ("no Namespaces described", Less { namespaces_described: true, ..none }, true),
        ("no labels of namespaces", Less { namespace_labels: true, ..none }, true),
        ("no labels of namespaces, no Namespaces", Less { namespace_labels: true, namespaces_described: true, ..none }, false),
        ("no labels, no Pods", Less { labels: true, pods_described: true, ..none }, false),
        ("no labels, no Namespaces", Less { labels: true, namespaces_described: true, ..none }, false),
        ("plain, no direction, no labels", Less { plain: true, direction: true, labels: true, ..none }, true),
        ("plain, no direction, no Pods", Less { plain: true, direction: true, pods_described: true, ..none }, true),
        (
            "nothing but a number and a port",
            Less {
                plain: true,
                direction: true,
                labels: true,
                names: true,
                namespaces: true,
                namespace_labels: true,
                pods_described: true,
                namespaces_described: true,
            },
            false,
        ),
    ]
};

fn refs(list: &Value) -> BTreeSet<PolicyRef> {
    let word = |v: &Value| v.as_str().map(str::to_owned);
    let one = |p: &Value| PolicyRef {
        kind: word(&p["kind"]).unwrap(),
        namespace: word(&p["namespace"]),
        name: word(&p["name"]).unwrap(),
        rule: word(&p["rule"]),
    };
    list.as_array().into_iter().flatten().map(one).collect()
}

/// What is wrong with an answer, if anything.
pub fn wrong(given: &Given<'_>, why: &Why) -> Option<String> {
    let (case, ingress, o) = (given.case, given.ingress, &given.record);
    let want = &case["expect"][side(ingress)];
    let policies: BTreeSet<PolicyRef> = why.policies.iter().cloned().collect();
    if why.outcome == Outcome::Undecidable {
        return (why.missing.is_empty() || !policies.is_empty())
            .then(|| format!("undecidable with {:?}, missing {:?}", policies, why.missing));
    }
    let host = case[if ingress { "dst" } else { "src" }]["entity"] == "host";
    let outcome = match want["reason"].as_str().unwrap() {
        _ if want["decision"] == "allowed" => Outcome::Allowed,
        "l7-deny" if case["l7"].get("dns").is_some() => Outcome::DnsRefused,
        "l7-deny" => Outcome::L7Denied,
        _ if host => Outcome::HostFirewall,
        "deny-rule" => Outcome::DeniedByRule,
        _ => Outcome::DefaultDeny,
    };
    if why.outcome != outcome {
        return Some(format!("{:?}, wanted {outcome:?}: {}", why.outcome, why.text));
    }
    let (deciding, all) = (refs(&want["attributed"]), refs(&case["expect"]["egress"]["attributed"]));
    let fits = match want["reason"].as_str().unwrap() {
        "default-deny" => policies == refs(&want["default_deny_by"]),
        "deny-rule" => policies == deciding,
        // Any rule whose requests were not these.
        "l7-deny" => !policies.is_empty(),
        // With a request it is the rules that let the request pass; without a direction both sides did.
        "allow-rule" if o.l7.is_some() => !policies.is_empty(),
        _ if o.l7.is_some() && o.direction.is_none() => true,
        _ if o.direction.is_none() => {
            policies.is_subset(&deciding.union(&all).chain(&refs(&case["expect"]["ingress"]["attributed"])).cloned().collect())
        }
        "allow-rule" => policies == deciding,
        _ => policies.is_empty(),
    };
    (!fits).then(|| format!("names {policies:?}, wanted {deciding:?} or {:?}", refs(&want["default_deny_by"])))
}

fn side(ingress: bool) -> &'static str {
    if ingress { "ingress" } else { "egress" }
}

/// The record of one direction under one way of saying less, if there is such a record.
fn record(case: &Value, ingress: bool, less: Less) -> Option<Given<'_>> {
    let expect = &case["expect"];
    // A packet that was dropped on its way out has no record of its way in.
    if expect[side(ingress)]["decision"] == "n/a" || (ingress && expect["egress"]["decision"] == "denied") {
        return None;
    }
    let record = record::degrade(&record::whole(case, ingress), less);
    // Forwarded on one side and dropped on the other: without a direction that is not one record but two.
    let two = record.direction.is_none() && record.verdict == Verdict::Forwarded && expect["verdict"] == "denied";
    (!two).then(|| Given { case, ingress, manifests: less.manifests(), record, objects: Vec::new() })
}

/// Of a record with one more fact: its manifests are read again only if one of them is the fact.
fn explained(given: &Given<'_>, read: &Read) -> Explanation {
    let ask = |read: &Read| explain(&given.record, &read.world, &read.set, &read.opt);
    if given.objects.is_empty() { ask(read) } else { ask(&given.read()) }
}

/// Gives every fact that is called missing, as it is, until nothing is missing. What is wrong then, if anything.
fn told(mut given: Given<'_>, read: &Read, mut why: Why) -> Option<String> {
    let mut asked = BTreeSet::new();
    while why.outcome == Outcome::Undecidable {
        let Some(fact) = why.missing.iter().find(|m| !asked.contains(*m)).cloned() else {
            return Some(format!("still undecidable with {asked:?} given: {:?}", why.missing));
        };
        let Some(more) = given.truth(read, &fact) else { return Some(format!("{fact} is nothing that was taken away")) };
        asked.insert(fact);
        given = more;
        why = explained(&given, read).why;
    }
    wrong(&given, &why).map(|w| format!("with {asked:?} given: {w}"))
}

/// Whether two values of a fact give two answers.
fn matters(given: &Given<'_>, read: &Read, fact: &str) -> bool {
    // How the sides stand is part of the answer: open, or selected and allowed.
    let answer = |g: &Given<'_>| {
        let e = explained(g, read);
        let rest: Vec<String> = e.why.missing.into_iter().filter(|m| m != fact).collect();
        let lanes: Vec<_> = e.lanes.iter().map(|l| (l.state, l.policies.clone())).collect();
        (e.why.outcome, e.why.policies, rest, lanes)
    };
    given.values(read, fact).iter().any(|values| {
        let mut answers = values.iter().map(answer);
        let one = answers.next();
        answers.any(|a| Some(&a) != one.as_ref())
    })
}

/// Facts called missing that alone, all else being as it is, change nothing.
fn idle<'m>(given: &Given<'_>, read: &Read, missing: &'m [String]) -> Vec<&'m String> {
    missing.iter().filter(|fact| !matters(given, read, fact)).collect()
}

#[derive(Default)]
struct Report {
    wrong: Vec<String>,
    told: Vec<String>,
    idle: Vec<String>,
    rates: Vec<String>,
    /// Of the file whose judge names the rules: facts called missing, and those of them that only matter together with another.
    named: usize,
    paired: usize,
}

#[derive(Default, Clone)]
struct Count {
    judged: u32,
    open: u32,
    facts: BTreeMap<String, u32>,
}

/// One pass over the corpus in all ways; reading takes longer than judging.
static REPORT: LazyLock<Report> = LazyLock::new(|| {
    let mut report = Report::default();
    let mut all = vec![Count::default(); WAYS.len()];
    for file in complete::FILES {
        let counts = of_file(file, &mut report);
        rates(file, &counts, file == complete::WHOLE, &mut report);
        all.iter_mut().zip(counts).for_each(|(all, of)| all.add(of));
    }
    rates("all files", &all, true, &mut report);
    report
});

impl Count {
    fn add(&mut self, more: Self) {
        self.judged += more.judged;
        self.open += more.open;
        more.facts.into_iter().for_each(|(fact, n)| *self.facts.entry(fact).or_default() += n);
    }
}

/// How many are undecidable, and whether that is too many. Of the admin kinds alone no share is asked: every fifteenth of those cases
/// goes by a port's name, which nothing tells but the pod's manifest.
fn rates(file: &str, counts: &[Count], few: bool, report: &mut Report) {
    for (Count { judged, open, facts }, (name, _, can)) in counts.iter().zip(WAYS) {
        let rate = f64::from(*open) * 100.0 / f64::from(*judged);
        eprintln!("{file}: {name}: {open} of {judged} directions undecidable ({rate:.1} %) {facts:?}");
        if few && *can && rate > 5.0 {
            report.rates.push(format!("{file}: {name}: {rate:.1} % undecidable, though the facts can be had"));
        }
    }
}

fn of_file(file: &str, report: &mut Report) -> Vec<Count> {
    let mut counts = vec![Count::default(); WAYS.len()];
    for case in &complete::corpus(file) {
        let mut reads = BTreeMap::new();
        for (count, (name, less, _)) in counts.iter_mut().zip(WAYS) {
            let manifests = less.manifests();
            let read = reads.entry((manifests.pods, manifests.namespaces)).or_insert_with(|| Read::with(case, manifests));
            for given in [false, true].into_iter().filter_map(|ingress| record(case, ingress, *less)) {
                let about = format!("{name}: {} {} {}", case["id"], case["tags"][1], side(given.ingress));
                let why = explained(&given, read).why;
                count.judged += 1;
                report.wrong.extend(wrong(&given, &why).map(|w| format!("{about}: {w}")));
                if why.outcome == Outcome::Undecidable {
                    count.open += 1;
                    for m in &why.missing {
                        *count.facts.entry(m.split(':').next().unwrap_or("").to_owned()).or_default() += 1;
                    }
                    let idle = idle(&given, read, &why.missing);
                    if file == complete::WHOLE {
                        (report.named, report.paired) = (report.named + why.missing.len(), report.paired + idle.len());
                    }
                    if idle.len() == why.missing.len() {
                        report.idle.push(format!("{about}: {:?} change nothing", why.missing));
                    }
                    report.told.extend(told(given, read, why).map(|w| format!("{about}: {w}")));
                }
            }
        }
    }
    counts
}

fn verdict(bad: &[String]) {
    assert!(bad.is_empty(), "{} wrong:\n{}", bad.len(), bad.iter().take(60).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn less_said_is_never_a_wrong_policy() {
    verdict(&REPORT.wrong);
}

#[test]
fn few_are_undecidable_where_the_facts_can_be_had() {
    verdict(&REPORT.rates);
}

#[test]
fn the_missing_facts_once_given_decide_it_as_cilium_did() {
    verdict(&REPORT.told);
}

#[test]
fn a_fact_that_cannot_change_the_answer_is_not_missing() {
    // One that changes nothing alone stands beside another that does, or it is no missing fact.
    verdict(&REPORT.idle);
    let (named, paired) = (REPORT.named, REPORT.paired);
    eprintln!("{named} facts called missing; {paired} of them matter only together with another, if at all");
    assert!(paired * 100 <= named, "{paired} of {named}");
}
