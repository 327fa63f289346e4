//! The demo's mistakes, each explained by the engine and compared with what was written down beside it by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skips"
)]
#[path = "explained/ids.rs"]
mod ids;
#[path = "explained/minimal.rs"]
mod minimal;
#[path = "why/patch.rs"]
mod patch;
#[path = "why/reader.rs"]
mod reader;

use flowhy::demo::{self, Mistake, Simulation};
use flowhy::engine::causes::Cause;
use flowhy::engine::{Engine, Explain, Options, store::Limits};
use flowhy::model::input::{Change, Codec, Frame, Input};
use flowhy::model::time::Nanos;
use flowhy::model::why::{Agreement, Outcome};
use flowhy::world::yaml;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn engine(options: Options) -> Engine {
    let mut engine = Engine::new(options);
    engine.policies_given();
    for (file, text) in demo::manifests() {
        let (docs, faults) = yaml::read(file, text);
        assert!(faults.is_empty(), "{faults:?}");
        for doc in docs {
            engine.give(Change::Apply(Arc::new(doc)));
        }
    }
    assert!(engine.faults().is_empty(), "{:?}", engine.faults());
    engine
}

fn fed(seed: u64, seconds: i64) -> Engine {
    let mut engine = engine(Options {
        hold: Some(Limits::default()),
        explain: Explain::Drops,
        fold: Some(flowhy::engine::Fold::First),
        ..Options::default()
    });
    let start = Nanos::from_parts(1_790_000_000, 0);
    let mut simulation = Simulation::new(seed, start);
    loop {
        let (at, response) = simulation.next();
        if at.since(start) > seconds * Nanos::SECOND {
            return engine;
        }
        let frame = Frame { codec: Codec::Hubble, from: "demo".into(), line: 0, bytes: response.encode_to_vec().into(), broken: None };
        engine.feed(Input::Frame(frame), &mut |_| {});
    }
}

/// `shop/cart` of a cause's two sides, as the mistake names them: subject and peer.
fn is_about(cause: &Cause, m: &Mistake) -> bool {
    let (subject, peer) = match m.direction {
        flowhy::model::observed::Direction::Egress => (&cause.from, &cause.to),
        flowhy::model::observed::Direction::Ingress => (&cause.to, &cause.from),
    };
    let l7 = m.l7.is_some() == matches!(cause.why.outcome, Outcome::L7Denied | Outcome::DnsRefused);
    subject == m.subject && peer == m.peer && cause.port == m.port && l7
}

fn check(cause: &Cause, m: &Mistake) -> Vec<String> {
    let why = &cause.why;
    let mut wrong = Vec::new();
    let mut differ = |what: &str, wanted: String, got: String| {
        if wanted != got {
            wrong.push(format!("{}: {what}: wanted {wanted}, got {got}", m.id));
        }
    };
    differ("outcome", format!("{:?}", m.outcome), format!("{:?}", why.outcome));
    differ("direction", format!("{:?}", Some(m.direction)), format!("{:?}", why.direction));
    let wanted: BTreeSet<_> = m.policies.iter().map(|p| (p.kind.to_owned(), p.namespace.to_owned(), p.name.to_owned())).collect();
    let got: BTreeSet<_> = why.policies.iter().map(|p| (p.kind.clone(), p.namespace.clone().unwrap_or_default(), p.name.clone())).collect();
    differ("policies", format!("{wanted:?}"), format!("{got:?}"));
    differ("agreement", format!("{:?}", Agreement::Agrees), format!("{:?} {:?}", why.agreement, why.because).replace(" []", ""));
    if let Some(n) = &m.nearest {
        match &why.nearest {
            None => wrong.push(format!("{}: no nearest rule; wanted {n:?}", m.id)),
            Some(got) => {
                // An L7 rule's id goes on below the rule: ingress[0].http[0].
                if got.name != n.policy.name || !got.rule.starts_with(n.rule) {
                    wrong.push(format!("{}: nearest: wanted {n:?}, got {} {}", m.id, got.name, got.rule));
                }
                if got.file.is_none() || got.line.is_none() {
                    wrong.push(format!("{}: the nearest rule has no place in a file", m.id));
                }
                for c in m.failed {
                    if !got.failed.iter().any(|f| f.on == c.on && f.wanted.contains(c.wanted) && f.got.contains(c.got)) {
                        wrong.push(format!("{}: wanted the condition {c:?}, got {:?}", m.id, got.failed));
                    }
                }
            }
        }
    }
    wrong
}

#[test]
fn every_mistake_is_explained_as_it_was_written_down() {
    let engine = fed(1, 60);
    let mut wrong = Vec::new();
    for m in demo::mistakes() {
        let causes: Vec<_> = engine.causes().iter().filter(|c| is_about(c, m)).collect();
        if causes.is_empty() {
            wrong.push(format!("{}: no cause from {} to {}", m.id, m.subject, m.peer));
        }
        // Several mistakes may share their ends; one of the causes must be this one.
        let mut best: Option<Vec<String>> = None;
        for c in causes {
            let w = check(c, m);
            if best.as_ref().is_none_or(|b| w.len() < b.len()) {
                best = Some(w);
            }
        }
        wrong.extend(best.unwrap_or_default());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_else_is_blamed_on_a_policy() {
    let engine = fed(2, 60);
    let strays: Vec<_> = engine
        .causes()
        .iter()
        .filter(|c| c.why.outcome != Outcome::NotPolicy && !demo::mistakes().iter().any(|m| is_about(c, m)))
        .map(|c| format!("{} -> {}:{} {:?} {}", c.from, c.to, c.port, c.why.outcome, c.why.text))
        .collect();
    assert!(strays.is_empty(), "{}", strays.join("\n"));
    assert!(engine.causes().iter().any(|c| c.why.outcome == Outcome::NotPolicy), "the demo has drops that no policy causes");
}

#[test]
fn what_the_demo_forwards_is_allowed_by_its_policies() {
    let mut engine = engine(Options { explain: Explain::All, ..Options::default() });
    let mut simulation = Simulation::new(3, Nanos::from_parts(1_790_000_000, 0));
    let mut wrong = BTreeSet::new();
    let mut n = 0;
    for _ in 0..20_000 {
        let (_, response) = simulation.next();
        let frame = Frame { codec: Codec::Hubble, from: "demo".into(), line: 0, bytes: response.encode_to_vec().into(), broken: None };
        engine.feed(Input::Frame(frame), &mut |e| {
            let Some(why) = e.why else { return };
            let o = flowhy::wire::observed::observed(&e.response.message().unwrap());
            use flowhy::model::observed::Verdict;
            if matches!(o.verdict, Verdict::Forwarded | Verdict::Redirected) && o.is_reply != Some(true) {
                n += 1;
                // What a policy in audit mode lets through goes on as forwarded, although enforcement would stop it.
                let audited = o.dst.display().contains("loki");
                if !matches!(why.outcome, Outcome::Allowed) && !audited {
                    wrong.insert(format!(
                        "{} -> {}:{} {:?}: {:?} {}",
                        o.src.display(),
                        o.dst.display(),
                        o.dst_port,
                        o.direction,
                        why.outcome,
                        why.text
                    ));
                }
            }
        });
    }
    assert!(n > 5_000, "only {n} forwarded flows were explained");
    assert!(wrong.is_empty(), "{} kinds:\n{}", wrong.len(), wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Every mistake gets its change, or what stands in its way; applied to the manifests, all its conversations pass.
#[test]
fn what_is_suggested_mends_every_mistake() {
    let engine = fed(5, 60);
    let ground = engine.ground();
    let files: BTreeMap<String, String> = demo::manifests().into_iter().map(|(f, t)| (f.to_owned(), t.to_owned())).collect();
    let mut wrong = Vec::new();
    for cause in engine.causes().iter() {
        let about = format!("{} -> {}:{}", cause.from, cause.to, cause.port);
        let s = engine.suggest(cause, &ground, "");
        let wanted = !matches!(cause.why.outcome, Outcome::NotPolicy | Outcome::DeniedByRule);
        if s.applies() != wanted || s.title.starts_with("no edit: ") == wanted {
            wrong.push(format!("{about}: {:?} {s:?}", cause.why.outcome));
        }
        if !s.applies() {
            continue;
        }
        reader::suggestion(&serde_json::to_string(&s).unwrap());
        if !s.also.is_empty() || !s.isolates.is_empty() || s.undecided > 0 || s.conversations != s.of || s.patch.is_none() {
            wrong.push(format!("{about}: {s:?}"));
            continue;
        }
        let mut set = flowhy::policy::PolicySet::new();
        for (file, text) in patch::apply(&files, &s.patch.unwrap().diff) {
            for doc in yaml::read(&file, &text).0 {
                set.apply(&Change::Apply(Arc::new(doc)));
            }
        }
        for talk in cause.talks().filter_map(|id| engine.talks().get(id)) {
            let ruling = flowhy::policy::ruling_of(&talk.flow, engine.world(), &set, engine.judging());
            if ruling.decision() != flowhy::policy::eval::Decision::Allowed {
                wrong.push(format!("{about}: not mended by {}", s.title));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_books_balance() {
    let engine = fed(4, 30);
    assert!(engine.ledger().balanced(), "{:?}", engine.ledger());
    assert_eq!(engine.ledger().held, engine.store().len() as u64);
}
