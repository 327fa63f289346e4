//! The files of recordings as a reader meets them: torn, many, too small for what they must hold, with an ending that promises too much.
use super::{DEMO, Place, fine, flowhy, text};
use std::process::Command;

/// A set of segments, of which the third ends in the middle of a compressed stretch: its recorder was killed, and another one went on.
fn torn(p: &Place) -> (String, String) {
    fine(&["record", "-q", &p.at("t.jsonl.zst"), "--from", &p.at("in.jsonl"), "--policies", DEMO, "--max-size", "64KiB"]);
    let segments = p.files("t.jsonl.zst.");
    assert!(segments.len() > 4, "{segments:?}");
    let alone = |i: usize| fine(&["observe", "--from", segments[i].to_str().unwrap(), "-o", "jsonpb"]);
    let (before, after) = (alone(0) + &alone(1), (3..segments.len()).map(alone).collect());
    let bytes = std::fs::read(&segments[2]).unwrap();
    std::fs::write(&segments[2], &bytes[..bytes.len() - 9]).unwrap();
    (before, after)
}

#[test]
fn a_torn_segment_is_a_counted_loss_and_the_others_are_read_on() {
    let p = Place::new(3_000);
    let (before, after) = torn(&p);
    // By the scan of files, and by the engine.
    for more in [&[][..], &["--policies", DEMO, "--why"]] {
        let o = flowhy(&[&["observe", "--from", &p.at("t.jsonl.zst"), "-o", "jsonpb"], more].concat());
        let said = text(&o.stderr);
        assert_eq!(o.status.code(), Some(0), "{said}");
        assert!(said.contains("1 line could not be read") && said.contains("t.jsonl.zst.0003:"), "{said}");
        assert!(said.contains("the zstd data is cut off"), "{said}");
        let all = text(&o.stdout);
        assert!(!more.is_empty() || (all.starts_with(&before) && all.ends_with(&after)));
        assert!(all.lines().count() > (before.lines().count() + after.lines().count()));
    }
    // A file that is no segment of anything is an error all the same.
    std::fs::copy(p.at("t.jsonl.zst.0003"), p.at("alone.zst")).unwrap();
    assert_eq!(flowhy(&["observe", "--from", &p.at("alone.zst")]).status.code(), Some(4));
}

#[cfg(unix)]
#[test]
fn more_files_than_a_process_may_open_are_read_one_after_the_other() {
    let p = Place::new(900);
    let input = p.read("in.jsonl");
    let lines: Vec<&str> = input.split_inclusive('\n').collect();
    for (i, part) in lines.chunks(6).enumerate() {
        std::fs::write(p.at(&format!("set.jsonl.{:04}", i + 1)), part.concat()).unwrap();
        std::fs::write(p.at(&format!("day{i:03}.jsonl")), part.concat()).unwrap();
    }
    let limited = |args: &str| {
        let script = format!("ulimit -n 40; cd {}; exec {} {args}", p.at(""), env!("CARGO_BIN_EXE_flowhy"));
        let o = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(o.status.success(), "{args}: {}", text(&o.stderr));
        text(&o.stdout)
    };
    assert!(limited("observe -o jsonpb --from set.jsonl") == input);
    let why = limited("observe -o jsonpb --why --policies none --from set.jsonl".replace("none", DEMO).as_str());
    assert!(why.lines().filter(|l| l.starts_with("{\"flow\"")).count() >= 900);
    // As recordings of their own: merged by time, each opened when its time comes.
    let days = (0..150).rev().map(|i| format!(" --from day{i:03}.jsonl")).collect::<String>();
    assert!(limited(&format!("observe -o jsonpb{days}")) == input);
}

/// A folder of policies of so many bytes.
fn policies(p: &Place, bytes: usize) -> String {
    let text =
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: pN, namespace: shop}\nspec: {podSelector: {}}\n---\n";
    let all: String = (0..bytes / text.len()).map(|n| text.replace("pN", &format!("p{n}"))).collect();
    std::fs::create_dir_all(p.at("policies")).unwrap();
    std::fs::write(p.at("policies/all.yaml"), all).unwrap();
    p.at("policies")
}

#[test]
fn a_ring_is_not_filled_with_the_clusters_state() {
    let p = Place::new(3_000);
    let record = |name: &str, bytes| {
        flowhy(&["record", &p.at(name), "--from", &p.at("in.jsonl"), "--policies", &policies(&p, bytes), "--ring", "1MiB"])
    };
    // As large as two of the sixteen parts that a ring has otherwise.
    let o = record("ring.jsonl", 120 << 10);
    assert!(o.status.success(), "{}", text(&o.stderr));
    let files = p.files("ring.jsonl.");
    let size: u64 = files.iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(size <= 1 << 20, "{size}");
    let flows: usize = p.observed("ring.jsonl").len();
    assert!(files.len() > 1 && flows as u64 > size / 2, "{flows} of {size} in {files:?}");
    let o = record("small.jsonl", 400 << 10);
    let said = text(&o.stderr);
    assert_eq!(o.status.code(), Some(1), "{said}");
    assert!(said.contains("the cluster's state alone takes") && said.contains("a ring of"), "{said}");
}

#[test]
fn what_was_left_out_once_is_taken_back_where_the_recording_goes_on_with_everything() {
    let p = Place::new(200);
    let limits = |name: &str| {
        let o = flowhy(&["why", "--from", &p.at(name), "-o", "json"]);
        text(&o.stderr).lines().find(|l| l.contains("was made with")).unwrap_or_default().to_owned()
    };
    let on =
        |more: &[&str]| fine(&[&["record", "-q", &p.at("set.jsonl"), "--max-size", "10MiB", "--from", &p.at("in.jsonl")], more].concat());
    on(&["ns:shop"]);
    assert!(limits("set.jsonl").contains("made with ns:shop: "), "{}", limits("set.jsonl"));
    on(&[]);
    assert!(limits("set.jsonl").contains("made with ns:shop for a while"), "{}", limits("set.jsonl"));
    on(&["ns:empire"]);
    assert!(limits("set.jsonl").contains("made with ns:empire, before that with ns:shop for a while"), "{}", limits("set.jsonl"));
    assert_eq!(limits("set.jsonl.0002"), "");
    // One that was whole from its beginning says nothing of it.
    fine(&["record", "-q", &p.at("whole.jsonl"), "--from", &p.at("in.jsonl")]);
    assert!(!p.read("whole.jsonl").contains("\"asked\""));
}

#[test]
fn a_name_that_promises_another_packer_is_refused_before_anything_is_read() {
    let p = Place::new(1);
    let o = flowhy(&["record", &p.at("a.jsonl.xz"), "--from", &p.at("in.jsonl")]);
    let said = text(&o.stderr);
    assert!(!o.status.success() && said.contains("flowhy does not write .xz") && said.contains("hint: "), "{said}");
    assert!(p.files("a.").is_empty());
}

#[test]
fn a_recording_says_what_it_leaves_out_and_who_concludes_from_it_says_so_too() {
    let p = Place::new(600);
    let said = |args: &[&str]| text(&flowhy(args).stderr);
    fine(&["record", "-q", &p.at("all.jsonl"), "--from", &p.at("in.jsonl")]);
    fine(&["record", "-q", &p.at("some.jsonl"), "--from", &p.at("all.jsonl"), "ns:shop"]);
    fine(&["record", "-q", &p.at("less.jsonl"), "--from", &p.at("some.jsonl"), "--verdict", "DROPPED", "--on", "drop"]);
    let asked = |name: &str| p.read(name).lines().filter(|l| l.contains("\"asked\"")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((asked("all.jsonl"), asked("some.jsonl")), (Vec::new(), vec![r#"{"world":{"asked":"ns:shop"}}"#.to_owned()]));
    let less = asked("less.jsonl");
    assert!(less.last().is_some_and(|l| l.contains("ns:shop and --verdict DROPPED, what surrounds drops")), "{less:?}");
    for ask in [&["why"][..], &["audit"], &["check", DEMO]] {
        let of = |name: &str| said(&[ask, &["--from", &p.at(name), "--policies", DEMO][..if ask[0] == "check" { 2 } else { 4 }]].concat());
        assert!(of("some.jsonl").contains("the recording was made with ns:shop: what else there was is not in it"), "{}", of("some.jsonl"));
        assert!(!of("all.jsonl").contains("is not in it"), "{}", of("all.jsonl"));
    }
    // The reports themselves say it, too, and so they do of a time that a server may lack.
    let gap = r#"{"world":{"gap":{"server":"relay","node":"n1","from":"2026-01-31T14:00:00Z","until":"2026-01-31T14:00:09Z"}}}"#;
    std::fs::write(p.at("gap.jsonl"), format!("{gap}\n{}", p.read("some.jsonl"))).unwrap();
    fine(&["record", "-q", &p.at("copy.jsonl"), "--from", &p.at("gap.jsonl")]);
    for ask in [&["audit", "--policies", DEMO][..], &["check", DEMO]] {
        for format in ["text", "md", "json"] {
            let report = |name: &str| text(&flowhy(&[ask, &["-q", "--from", &p.at(name), "-o", format]].concat()).stdout);
            let (some, copy, all) = (report("some.jsonl"), report("copy.jsonl"), report("all.jsonl"));
            let limited = if format == "json" { r#""made_with":"ns:shop""# } else { "made with ns:shop: what else there was" };
            let lacking = "relay may lack flows of n1 between 2026-01-31 14:00:00 and 14:00:09 UTC";
            assert!(
                some.contains(limited) && !some.contains("may lack") && !all.contains("made with") && !all.contains("made_with"),
                "{some}"
            );
            assert!(copy.contains(limited) && copy.contains(lacking), "{copy}");
        }
    }
}
