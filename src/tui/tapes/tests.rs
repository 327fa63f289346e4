use super::*;
use crate::model::time::Nanos;
use crate::record::{Keep, Options};
use crate::wire::pb::flow::Flow;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_recording_that_a_hanging_disk_tears_is_named_when_the_screen_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Mutex::new(()));
    let mut t = Tapes::new(hanging(&disk), None, &[]);
    let path = dir.path().join("r.jsonl");
    assert_eq!(t.toggle(path.to_str()).0, Tone::Info);
    let held = disk.lock().unwrap();
    (0..300).for_each(|_| t.keep(&flow(), None));
    let mut left = Left::default();
    t.end(&mut left);
    drop(held);
    let said = format!("{} ended early: the disk does not answer; not in it: 300 flows", path.display());
    assert_eq!((left.torn, left.done), (vec![said], Vec::new()));
}

/// A disk that hangs while the lock is held.
fn hanging(disk: &Arc<Mutex<()>>) -> Start {
    let disk = disk.clone();
    Box::new(move |path, ground| {
        let (hangs, begun) = (disk.clone(), AtomicBool::new(false));
        let clock = move || {
            if begun.swap(true, Ordering::Relaxed) {
                drop(hangs.lock());
            }
            Nanos(0)
        };
        opened(path, move |path| Options { path, keep: Keep::One, redact: None, ground, waits: false, clock: Arc::new(clock) })
    })
}

/// A recorder with its file open.
fn opened(path: &Path, options: impl FnOnce(std::path::PathBuf) -> Options + Send + 'static) -> Recorder {
    let to = Recorder::open(path.to_owned(), |path| Ok(options(path)));
    while !to.books().opened {
        std::thread::yield_now();
    }
    to
}

#[test]
fn a_disk_that_hangs_while_a_file_is_opened_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Mutex::new(()));
    let hangs = disk.clone();
    let start: Start = Box::new(move |path, ground| {
        let hangs = hangs.clone();
        Recorder::open(path.to_owned(), move |path| {
            drop(hangs.lock());
            Ok(Options { path, keep: Keep::One, redact: None, ground, waits: false, clock: Arc::new(|| Nanos(0)) })
        })
    });
    let mut t = Tapes::new(start, None, &[]);
    let engine = Engine::new(crate::engine::Options::default());
    let path = dir.path().join("r.jsonl");
    let held = disk.lock().unwrap();
    assert_eq!(t.toggle(path.to_str()), (Tone::Info, format!("opening {}", path.display())));
    (0..300).for_each(|_| t.keep(&flow(), None));
    assert!(t.advance(&engine, &mut || true).is_none() && t.flush().is_none() && t.awaits());
    drop(held);
    let wait = |t: &mut Tapes| loop {
        if let Some((tone, said)) = t.advance(&engine, &mut || true) {
            break (tone, said);
        }
        std::thread::yield_now();
    };
    assert_eq!(wait(&mut t), (Tone::Info, format!("recording to {}; :record ends it", path.display())));
    let (_, mut said) = t.toggle(None);
    if !said.starts_with("recorded ") {
        said = wait(&mut t).1;
    }
    assert_eq!(said, format!("recorded 300 flows to {}", path.display()), "nothing that came meanwhile is lost");
    // What cannot be opened is told, and nothing is recorded.
    assert_eq!(t.toggle(path.to_str()).0, Tone::Info);
    let (tone, said) = wait(&mut t);
    assert!(tone == Tone::Error && said.contains("the file exists") && t.state().is_none(), "{said}");
}

#[test]
fn what_was_asked_for_stands_where_it_changed_and_at_the_beginning_of_what_is_recorded_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut t = Tapes::new(hanging(&Arc::default()), None, &[]);
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    t.toggle(dir.path().join("one.jsonl").to_str());
    t.keep(&flow(), None);
    t.asked("ns:shop", Nanos(1));
    t.keep(&flow(), None);
    t.toggle(None);
    t.toggle(dir.path().join("two.jsonl").to_str());
    t.keep(&flow(), None);
    t.end(&mut Left::default());
    let asked = r#"{"world":{"time":"1970-01-01T00:00:00.000000001Z","asked":"ns:shop"}}"#;
    let (one, two) = (read("one.jsonl"), read("two.jsonl"));
    let lines: Vec<&str> = one.lines().filter(|l| !l.contains("snapshot")).collect();
    assert!(lines.len() == 3 && lines[1] == asked, "{one}");
    assert_eq!(two.lines().position(|l| l == asked), Some(1), "{two}");
}

#[test]
fn a_step_back_in_a_replay_ends_the_recording_so_that_no_flow_is_in_it_twice() {
    let dir = tempfile::tempdir().unwrap();
    let policy = |name: &str| {
        let yaml = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{podSelector: {{}}}}\n"
        );
        Arc::new(crate::world::yaml::read(name, &yaml).0.remove(0))
    };
    let said = |at, name: &str| At { cluster: Arc::from(""), at, change: Change::Apply(policy(name)) };
    let mut t = Tapes::new(hanging(&Arc::default()), None, &[said(None, "given")]);
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    t.toggle(dir.path().join("one.jsonl").to_str());
    let played = |t: &mut Tapes, upto: usize| {
        t.keep(&flow(), None);
        if upto > 1 {
            t.see(&Input::World(said(Some(Nanos(9)), "later")));
            t.keep(&flow(), None);
        }
    };
    played(&mut t, 2);
    t.see(&Input::Reset);
    played(&mut t, 1);
    assert_eq!(t.state(), None, "line 1 does not say that it goes on");
    let (tone, text) = loop {
        if let Some(said) = t.flush() {
            break said;
        }
        std::thread::yield_now();
    };
    let path = dir.path().join("one.jsonl");
    assert_eq!((tone, text), (Tone::Info, format!("{TURNED} 2 flows to {}", path.display())));
    t.toggle(dir.path().join("two.jsonl").to_str());
    played(&mut t, 2);
    t.end(&mut Left::default());
    let flows = |text: &str| text.lines().filter(|l| l.contains("\"flow\"")).count();
    let (one, two) = (read("one.jsonl"), read("two.jsonl"));
    assert_eq!((flows(&one), flows(&two)), (2, 2));
    // What is not there yet at that time stands where it comes, behind the first flow.
    let at = |text: &str, what: &str| text.lines().position(|l| l.contains(what));
    assert!(at(&two, "given") < at(&two, "\"flow\"") && at(&two, "\"flow\"") < at(&two, "later"), "{two}");
}

fn flow() -> Frame {
    let bytes = r#"{"flow":{},"time":"2026-01-31T14:00:00Z"}"#.into();
    Frame { codec: Codec::HubbleJson, from: "t".into(), line: 0, bytes, broken: None }
}

#[test]
fn a_large_line_does_not_keep_its_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut t = Tapes::new(hanging(&Arc::default()), None, &[]);
    t.toggle(dir.path().join("r.jsonl").to_str());
    let response = |uuid: String| {
        let flow = Flow { uuid, ..Flow::default() };
        GetFlowsResponse { response_types: Some(ResponseTypes::Flow(flow)), ..GetFlowsResponse::default() }
    };
    let frame = Frame { codec: Codec::Hubble, ..flow() };
    t.keep(&frame, Some(&response("x".to_owned())));
    assert!((1..=ROOM).contains(&t.line.capacity()), "used again");
    t.keep(&frame, Some(&response("x".repeat(1 << 20))));
    assert!(t.line.capacity() <= ROOM, "{}", t.line.capacity());
    let mut left = Left::default();
    t.end(&mut left);
    assert_eq!((left.done.len(), left.torn), (1, Vec::new()), "both are there");
    let text = std::fs::read_to_string(dir.path().join("r.jsonl")).unwrap();
    assert_eq!(text.lines().filter(|l| l.contains("\"flow\"")).map(|l| l.len() >> 20).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn what_a_hanging_disk_costs_is_said_once_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Mutex::new(()));
    let mut t = Tapes::new(hanging(&disk), None, &[]);
    let path = dir.path().join("r.jsonl");
    assert_eq!(t.toggle(path.to_str()).0, Tone::Info);
    let held = disk.lock().unwrap();
    for _ in 0..40_000 {
        t.keep(&flow(), None);
    }
    let missed = t.missed();
    // Where the thread begins late it takes one batch more, with all that was held.
    assert!(missed > 1_000, "{missed}");
    assert_eq!(t.flush().unwrap().1, format!("the disk is behind: the recording lacks {}", many(missed, "flow")));
    assert_eq!(t.flush(), None);
    drop(held);
    let (_, mut said) = t.toggle(None);
    while !said.starts_with("recorded ") {
        std::thread::yield_now();
        said = t.flush().map_or(said, |(_, text)| text);
    }
    assert!(said.ends_with(&format!("; {} are not in it, the disk was behind", count(missed))), "{said}");
    assert_eq!((t.missed(), t.awaits()), (missed, false));
}
