//! Manifests that are saved while a recording runs: what is read of it later is explained with the text of its time.
use crate::change::{engine, kinds, whys};
use flowhy::engine::Engine;
use flowhy::model::doc::Doc;
use flowhy::model::input::{At, Change, Codec, Edited, Edits, Frame, Input, pairs};
use flowhy::model::time::Nanos;
use flowhy::source::tape::{Next, Tape};
use flowhy::wire::clock::time_of;
use flowhy::world::yaml;
use std::path::Path;
use std::sync::Arc;

fn docs(file: &str, body: &str) -> Vec<Arc<Doc>> {
    yaml::read(file, body).0.into_iter().map(Arc::new).collect()
}

/// A save, all of one time.
fn save(at: Nanos, files: &[(&str, &str, &str)]) -> Input {
    let edited = |(file, old, new): &(&str, &str, &str)| Edited {
        file: (*file).to_owned(),
        pairs: pairs(&docs(file, old), &docs(file, new)),
        faults: Vec::new(),
    };
    Input::Edited(Arc::new(Edits { at, files: files.iter().map(edited).collect() }))
}

/// The demo's manifests and flows; a policy is shut for a while, comes back, and another file is emptied.
fn inputs() -> Vec<Input> {
    let text = super::demo(2_000);
    let all = flowhy::demo::manifests();
    let of = |name: &str| *all.iter().find(|(file, _)| file.ends_with(name)).unwrap();
    let (shop, open) = of("shop-policies.yaml");
    let shut = open.split("---\n").filter(|d| !d.contains("kind: NetworkPolicy")).collect::<Vec<_>>().join("---\n");
    let (book, kept) = of("bookinfo-policies.yaml");
    let docs = all.iter().flat_map(|(file, body)| docs(file, body));
    let given = docs.map(|doc| Input::World(At { cluster: "".into(), at: None, change: Change::Apply(doc) }));
    let mut out: Vec<Input> = given.collect();
    for (n, line) in text.lines().enumerate() {
        let at = time_of(line.as_bytes()).unwrap();
        match n {
            600 => out.push(save(at, &[(shop, open, &shut)])),
            1_000 => out.push(save(at, &[(shop, &shut, open), (book, kept, "")])),
            1_500 => out.push(save(at, &[(shop, open, &shut)])),
            _ => {}
        }
        let bytes = line.as_bytes().to_vec().into();
        out.push(Input::Frame(Frame { codec: Codec::HubbleJson, from: "t".into(), line: 0, bytes, broken: None }));
    }
    out
}

/// What a reader makes of a recording: explanations, and how many policies there are in the end.
fn read(path: &Path) -> (Vec<(Nanos, String)>, usize) {
    let (e, got) = played(path);
    (got, e.policies().len())
}

pub fn played(path: &Path) -> (Engine, Vec<(Nanos, String)>) {
    let (mut e, mut got) = (engine(), Vec::new());
    for next in Tape::open(&[path.to_string_lossy().into_owned()]).unwrap() {
        match next {
            Next::Line(frame, _) => whys(&mut e, Input::Frame(frame), &mut got),
            Next::Changes(all) => all.into_iter().for_each(|at| whys(&mut e, Input::World(at), &mut got)),
            _ => {}
        }
    }
    (e, got)
}

#[test]
fn each_drop_is_explained_by_the_text_of_its_time() {
    let all = inputs();
    let (mut live, mut direct, mut still) = (engine(), Vec::new(), Vec::new());
    all.iter().cloned().for_each(|i| whys(&mut live, i, &mut direct));
    let mut unchanged = engine();
    all.iter().filter(|i| !matches!(i, Input::Edited(_))).cloned().for_each(|i| whys(&mut unchanged, i, &mut still));
    assert!(direct.len() > 80 && direct != still, "the saves must matter");
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in kinds(&all, dir.path()) {
        let (got, policies) = read(&path);
        let other = got.iter().zip(&direct).find(|(a, b)| a != b);
        assert!(got == direct, "{name}: {} and {}: {other:#?}", got.len(), direct.len());
        assert_eq!(policies, live.policies().len(), "{name}: no text is applied twice");
    }
    // A segment read alone knows what was saved before it, and when.
    let brief = |all: &[(Nanos, String)]| -> Vec<String> {
        let of = |(at, why): &(Nanos, String)| {
            let why: serde_json::Value = serde_json::from_str(why).unwrap();
            format!("{at} {} {}", why["outcome"], why["policies"])
        };
        all.iter().map(of).collect()
    };
    let (mut all, mut last) = (Vec::new(), 0);
    for (_, segment) in flowhy::record::set::segments(&dir.path().join("set.jsonl.gz")) {
        let alone = dir.path().join("alone.jsonl.gz");
        std::fs::copy(segment, &alone).unwrap();
        let (got, policies) = read(&alone);
        all.extend(brief(&got));
        last = policies;
    }
    assert_eq!((all, last), (brief(&direct), live.policies().len()));
}
