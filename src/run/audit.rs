//! `flowhy audit`: manifests, a cluster or recordings in, one report out. Owns the hashes of what was read, and the exit code.
use super::live::Look;
use super::{headless, load, one_cluster, rim, say, sources};
use crate::cli::audit::AuditFormat;
use crate::cmd::audit::{self, Content, Evidence, File};
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::model::doc::Fault;
use crate::plan::{Audit, From, Pace};
use crate::record::set;
use crate::source::feed;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use tokio_util::sync::CancellationToken;

pub fn run(a: Audit) -> Result<u8, Error> {
    a.warnings.iter().for_each(|w| say::say("warning", w));
    let mut engine = Engine::new(a.engine);
    let (manifests, _) = load(&mut engine, &a.policies, false)?;
    if !a.quiet {
        say::faults(&engine);
    }
    let mut files: Vec<File> = Vec::new();
    for text in &manifests.texts {
        files.push(File { path: text.file.clone(), what: Content::Manifest, sha256: Some(hex(&Sha256::digest(text.body.as_bytes()))) });
    }
    // What is given stands in place of the cluster's policies.
    let look = if a.policies.is_empty() { Look::Policies } else { Look::World };
    if !a.recordings.is_empty() {
        read(&mut engine, From::Files { paths: a.recordings.clone(), pace: Pace::Max }, look, a.quiet)?;
    }
    let mut lacking = manifests.faults;
    if let Some(servers) = a.cluster {
        read(&mut engine, From::Cluster { servers, asked: true }, look, a.quiet)?;
    }
    one_cluster(&engine, "an audit")?;
    if !engine.policies().given() {
        return Err(Error::new(Kind::Input, "no policies to audit")
            .cause("what was read holds none, nor that there are none")
            .hint("--policies FOLDER gives them; flowhy record writes those of the cluster into the recording"));
    }
    lacking.extend(unread(&engine));
    for cluster in engine.clusters().filter(|_| a.recordings.is_empty()) {
        files.push(File { path: format!("cluster {cluster}"), what: Content::Cluster, sha256: None });
    }
    for path in set::recordings(&a.recordings).into_iter().flatten() {
        files.push(File { sha256: hash(&path)?, what: Content::Recording, path });
    }
    let evidence = Evidence { traffic: !a.recordings.is_empty(), filter: a.filter, files, unread: lacking };
    let unread = evidence.unread.first().map(ToString::to_string);
    let report = audit::audit(&engine, evidence);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = match a.format {
        AuditFormat::Text => audit::text(&report, a.style, &mut out),
        AuditFormat::Md => audit::markdown(&report, &mut out),
        AuditFormat::Json => serde_json::to_writer(&mut out, &report).map_err(io::Error::from).and_then(|()| out.write_all(b"\n")),
    };
    written.and_then(|()| out.flush()).map_err(|e| Error::output("cannot write to standard output", &e))?;
    if !a.quiet {
        say::ledger(engine.ledger(), engine.notes());
        say::captures(&engine);
    }
    // What could not be read may be what is open, so nothing else is an answer.
    headless::finish(engine.ended())?;
    if let Some(first) = unread {
        return Err(Error::new(Kind::Input, "not everything could be read").cause(first));
    }
    Ok(u8::from(report.is_open()))
}

/// What of the cluster is not known, though the answer depends on it.
fn unread(engine: &Engine) -> Vec<Fault> {
    let file = || engine.clusters().next().map_or_else(String::new, ToString::to_string);
    let policies =
        engine.policies().unread().iter().map(|u| if u.cause.is_empty() { u.fact() } else { format!("{} ({})", u.fact(), u.cause) });
    let world = ["pods", "namespaces"].into_iter().filter_map(|kind| engine.world().unread(kind, None));
    let enforced = engine.judging().enforcement_unread(engine.world()).map(|fact| format!("{fact} (--policy-enforcement says it)"));
    policies.chain(world).chain(enforced).map(|what| Fault { file: file(), line: 1, what }).collect()
}

/// All of a source through the engine, which folds it.
fn read(engine: &mut Engine, from: From, look: Look, quiet: bool) -> Result<(), Error> {
    let runtime = rim()?;
    let stop = CancellationToken::new();
    let result = runtime.block_on(async {
        headless::heed_signals(&stop);
        let (feed, mut inbox) = feed::channel(feed::SLOTS);
        let asked = matches!(from, From::Cluster { .. });
        let sources = tokio::select! {
            biased;
            started = sources::start(from, sources::Reader { screen: false, quiet }, look, feed, &stop) => started?,
            () = stop.cancelled() => return Err(interrupted()),
        };
        let each = |engine: &mut Engine, input| {
            engine.feed(input, &mut |_| {});
            Ok(true)
        };
        headless::pump(engine, &mut inbox, &stop, quiet, each, || Ok(())).await?;
        // Half a recording is no evidence.
        if stop.is_cancelled() {
            return Err(interrupted());
        }
        if asked { sources::joined(sources.task.await) } else { Ok(()) }
    });
    // A thread that waits for standard input cannot be waited for.
    runtime.shutdown_background();
    result
}

fn interrupted() -> Error {
    Error::new(Kind::Input, "what was to be audited was not read to its end").cause("interrupted")
}

/// Of the file as it lies on the disk; a stream cannot be read twice.
fn hash(path: &str) -> Result<Option<String>, Error> {
    let regular = path != "-" && std::fs::metadata(path).is_ok_and(|m| m.is_file());
    if !regular {
        return Ok(None);
    }
    let failed = |e: &io::Error| Error::new(Kind::Input, format!("cannot read {path} again, for its hash")).cause(e.to_string());
    let mut file = std::fs::File::open(path).map_err(|e| failed(&e))?;
    let (mut sum, mut block) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(Some(hex(&sum.finalize()))),
            Ok(n) => sum.update(block.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(&e)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
