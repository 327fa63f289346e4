//! A policy that changes in the middle, as a watch tells it: recorded and replayed, at full speed and by going to a time, each drop is
//! explained as it was when it happened.
use flowhy::engine::store::Limits;
use flowhy::engine::{Engine, Explain, Options};
use flowhy::model::input::{At, Change, Codec, Frame, Input, Kind, KindState, ObjectId};
use flowhy::model::time::Nanos;
use flowhy::record::{self, Keep, Recorder};
use flowhy::source::replay::{Replay, To};
use flowhy::source::tape::Tape;
use flowhy::source::{Source as _, Stop, channel};
use flowhy::wire::clock::time_of;
use flowhy::world::yaml;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub fn engine() -> Engine {
    Engine::new(Options {
        hold: Some(Limits::default()),
        explain: Explain::Drops,
        fold: Some(flowhy::engine::Fold::First),
        ..Options::default()
    })
}

fn at(time: Nanos, change: Change) -> Input {
    Input::World(At { cluster: "".into(), at: Some(time), change })
}

/// Every policy and workload of the demo as a live object, then the flows; in the middle some policies go and one comes again.
fn inputs() -> (Vec<Input>, Nanos) {
    let text = super::demo(2_000);
    let lines: Vec<&str> = text.lines().collect();
    let begin = time_of(lines[0].as_bytes()).unwrap().plus(-Nanos::SECOND);
    let mut out = Vec::new();
    let mut gone = Vec::new();
    for (file, body) in flowhy::demo::manifests() {
        for doc in yaml::read(file, body).0 {
            // One text an object, as a watch has it.
            let name = format!("{} {}/{}", doc.kind(), doc.namespace(), doc.name());
            let lines: Vec<&str> = body.lines().collect();
            let own = lines[doc.root.line as usize - 1..(doc.root.last as usize).min(lines.len())].join("\n");
            let doc = yaml::read(&name, &own).0.remove(0);
            if doc.kind() == "NetworkPolicy" && doc.namespace() == "shop" {
                gone.push(doc.clone());
            }
            out.push(at(begin, Change::Apply(Arc::new(doc))));
        }
    }
    let known = |state: KindState| {
        let kinds =
            [("networking.k8s.io", "NetworkPolicy"), ("cilium.io", "CiliumNetworkPolicy"), ("cilium.io", "CiliumClusterwideNetworkPolicy")];
        kinds.map(|(group, kind)| at(begin, Change::Kind(Kind { group: group.into(), kind: kind.into(), state: state.clone() })))
    };
    // As a watch says it: what a first list brings has been so before.
    out.splice(0..0, known(KindState::Loading));
    out.extend(known(KindState::Synced));
    let mut middle = begin;
    for (n, line) in lines.iter().enumerate() {
        let time = time_of(line.as_bytes()).unwrap();
        if n == 800 {
            middle = time;
            out.extend(gone.iter().map(|d| at(time, Change::Remove(ObjectId::of(d)))));
        }
        if n == 1_400 {
            out.extend(gone.iter().take(2).map(|d| at(time, Change::Apply(Arc::new(d.clone())))));
        }
        let bytes = line.as_bytes().to_vec().into();
        out.push(Input::Frame(Frame { codec: Codec::HubbleJson, from: "t".into(), line: 0, bytes, broken: None }));
    }
    (out, middle)
}

/// (time, explanation) of every flow that has one.
pub fn whys(engine: &mut Engine, input: Input, out: &mut Vec<(Nanos, String)>) {
    if matches!(input, Input::Reset) {
        out.clear();
    }
    engine.feed(input, &mut |e| {
        if let Some(why) = e.why {
            let message = e.response.message().unwrap();
            let time = message.time.unwrap();
            out.push((Nanos::from_parts(time.seconds, time.nanos), serde_json::to_string(&**why).unwrap()));
        }
    });
}

/// The inputs recorded in every kind of files there is: its name, and where it lies.
pub fn kinds(inputs: &[Input], dir: &Path) -> [(&'static str, PathBuf); 3] {
    let all = [
        ("one.jsonl.zst", Keep::One),
        ("set.jsonl.gz", Keep::Segments { size: Some(20_000), age: None }),
        ("ring.jsonl", Keep::Ring(64 << 20)),
    ];
    all.map(|(name, keep)| {
        let path = dir.join(name);
        recorded(inputs, &path, keep);
        (name, path)
    })
}

fn recorded(inputs: &[Input], path: &Path, keep: Keep) {
    let options = record::Options {
        path: path.to_owned(),
        keep,
        redact: None,
        ground: record::Ground::default(),
        waits: true,
        clock: Arc::new(|| Nanos(0)),
    };
    let mut recorder = Recorder::start(options).unwrap();
    for input in inputs {
        match input {
            Input::Frame(f) => recorder.frame(f.clone()),
            Input::World(at) => recorder.world(at),
            Input::Edited(edits) => edits.said().iter().for_each(|at| recorder.world(at)),
            _ => {}
        }
    }
    let books = recorder.finish();
    let flows = inputs.iter().filter(|i| matches!(i, Input::Frame(_))).count() as u64;
    assert_eq!((books.flows, books.unrecorded, books.failed), (flows, 0, None));
}

#[test]
fn each_drop_is_explained_as_it_was_however_one_got_there() {
    let (all, middle) = inputs();
    let mut direct = Vec::new();
    let mut live = engine();
    all.iter().cloned().for_each(|i| whys(&mut live, i, &mut direct));
    let mut still = Vec::new();
    let mut unchanged = engine();
    all.iter()
        .filter(|i| !matches!(i, Input::World(At { change: Change::Remove(_), .. })))
        .cloned()
        .for_each(|i| whys(&mut unchanged, i, &mut still));
    assert!(direct.len() > 80 && direct != still, "the change must matter");

    let dir = tempfile::tempdir().unwrap();
    for (name, path) in kinds(&all, dir.path()) {
        let paths = vec![path.to_string_lossy().into_owned()];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let open = move || Tape::open(&paths);
            let (player, remote) = Replay::new(open().unwrap(), f64::INFINITY);
            let (feed, mut inbox) = channel(64);
            tokio::spawn(Box::new(player.again(open)).run(feed, Stop::new()));
            let (mut e, mut got) = (engine(), Vec::new());
            // To the end; then to the middle and on to the end; then one back, and on.
            for round in 0..3 {
                if round == 1 {
                    remote.seek(To::Time(middle));
                } else if round == 2 {
                    remote.seek(To::Back);
                }
                let last = all.iter().rev().find_map(|i| if let Input::Frame(f) = i { time_of(&f.bytes) } else { None }).unwrap();
                let mut turned = round == 0;
                loop {
                    let batch = inbox.recv().await.unwrap();
                    let mut done = false;
                    for input in batch {
                        turned |= matches!(input, Input::Reset);
                        done |= turned && matches!(&input, Input::Link(flowhy::model::input::Link::Clock { at }) if *at >= last);
                        whys(&mut e, input, &mut got);
                    }
                    if done {
                        break;
                    }
                }
                let other = got.iter().zip(&direct).find(|(a, b)| a != b);
                assert!(got == direct, "{name}, {round}: {} and {}: {other:#?}", got.len(), direct.len());
                assert_eq!(e.ledger().admitted, live.ledger().admitted);
                assert_eq!(e.causes().len(), live.causes().len());
            }
        });
    }
}
