//! `flowhy check`: which objects make up the sets, the flows through the engine, the report out.
use super::headless::{finish, pump};
use super::say;
use crate::cmd::check as cmd;
use crate::engine::Engine;
use crate::error::Error;
use crate::model::doc::{Doc, Fault};
use crate::model::input::Change;
use crate::plan::check::Check;
use crate::policy::PolicySet;
use crate::source::feed::Inbox;
use crate::source::manifests;
use crate::world::{DEFAULT_NAMESPACE, group, yaml};
use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

struct Read {
    docs: Vec<Arc<Doc>>,
    faults: Vec<Fault>,
}

fn read(paths: &[String]) -> Result<Read, Error> {
    let found = manifests::load(paths)?;
    let mut out = Read { docs: Vec::new(), faults: found.faults };
    for text in &found.texts {
        let (docs, faults) = yaml::read(&text.file, &text.body);
        out.docs.extend(docs.into_iter().map(Arc::new));
        out.faults.extend(faults);
    }
    Ok(out)
}

type Name = (String, String, String, String);

fn name(d: &Doc) -> Name {
    let namespace = if d.namespace().is_empty() { DEFAULT_NAMESPACE } else { d.namespace() };
    (group(d.api_version()).to_owned(), d.kind().to_owned(), namespace.to_owned(), d.name().to_owned())
}

/// The objects of `base` that `over` does not replace.
fn under<'a>(base: &'a [Arc<Doc>], over: &[Arc<Doc>]) -> Vec<&'a Arc<Doc>> {
    let replaced: HashSet<Name> = over.iter().map(|d| name(d)).collect();
    base.iter().filter(|d| !replaced.contains(&name(d))).collect()
}

/// Loads the policies to be checked, laid over those of `--policies` as if they were applied there. Returns the set to compare
/// with, where there is one: it lies over the same base. There is one world, in which the newest objects count.
pub fn load(engine: &mut Engine, base: &[String], check: &Check) -> Result<Option<PolicySet>, Error> {
    let base = read(base)?;
    let new = read(std::slice::from_ref(&check.path))?;
    let old = check.against.as_ref().map(|p| read(std::slice::from_ref(p))).transpose()?;
    let mut before = None;
    engine.policies_given();
    if let Some(old) = &old {
        let mut set = PolicySet::for_cilium(engine.judging().cilium);
        set.set_given();
        let mut faults = old.faults.clone();
        for doc in under(&base.docs, &old.docs) {
            // Faults of the base are told once, with the other set.
            set.apply(&Change::Apply(doc.clone()));
        }
        for doc in &old.docs {
            let generation = set.generation();
            faults.extend(set.apply(&Change::Apply(doc.clone())));
            if set.generation() == generation {
                engine.give(Change::Apply(doc.clone()));
            }
        }
        if !check.quiet {
            faults.iter().for_each(|f| say::say("warning", &f.to_string()));
        }
        before = Some(set);
    }
    let docs = under(&base.docs, &new.docs).into_iter().chain(&new.docs);
    let faults = base.faults.iter().chain(&new.faults).map(|f| Change::Fault(f.clone()));
    for change in docs.map(|d| Change::Apply(d.clone())).chain(faults) {
        engine.give(change);
    }
    if engine.policies().is_empty() && !check.quiet {
        say::say("warning", &format!("no policy that can be judged is in {}: nothing isolates anything", check.path));
    }
    Ok(before)
}

pub async fn check(
    mut engine: Engine,
    mut inbox: Inbox,
    check: Check,
    before: Option<PolicySet>,
    stop: &CancellationToken,
) -> Result<u8, Error> {
    let feed = |engine: &mut Engine, input| {
        engine.feed(input, &mut |_| {});
        Ok(true)
    };
    pump(&mut engine, &mut inbox, stop, check.quiet, feed, || Ok(())).await?;
    if !check.quiet {
        say::troubles(engine.admit().trouble());
        say::ledger(engine.ledger(), engine.notes());
        say::captures(&engine);
    }
    let code = finish(engine.ended())?;
    super::one_cluster(&engine, "a check")?;
    let subject = cmd::Subject { engine: &engine, before: before.as_ref(), filter: &check.filter };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let failed = |e: &io::Error| Error::output("cannot write to standard output", e);
    let judged = cmd::judge(&subject);
    let report = cmd::report(&subject, &judged);
    let fails = if check.propose {
        let proposal = cmd::propose::propose(&subject, &judged);
        proposal.write(&report, check.format, &check.paint, &mut out).map_err(|e| failed(&e))?;
        !proposal.complete()
    } else {
        cmd::write(&report, check.threshold, check.format, &check.paint, &mut out).map_err(|e| failed(&e))?;
        report.fails(check.threshold)
    };
    out.flush().map_err(|e| failed(&e))?;
    if report.totals.conversations == 0 {
        let l = engine.ledger();
        let what = format!("no conversation to judge among {} records ({} refused by the filter)", l.decoded, l.refused);
        say::say("warning", &what);
        return Ok(1);
    }
    if !check.quiet && report.totals.undecidable > 0 && !fails {
        let n = report.totals.undecidable;
        say::say(
            "warning",
            &format!("{n} that worked could not be decided and do not fail the check; --fail-on possible-drops makes them"),
        );
    }
    Ok(if code == 0 && fails { 1 } else { code })
}
