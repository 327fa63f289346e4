//! What `--why` and a terminal change; Hubble's own bytes are held by `tests/out.rs`.
use super::*;
use crate::model::observed::Direction;
use crate::model::why::{Agreement, Outcome};
use crate::wire::decode::Decoded;
use crate::wire::json::read_line;
use crate::wire::note::Notes;

fn response(line: &str) -> GetFlowsResponse {
    match read_line(line.as_bytes(), &mut Notes::default()) {
        Ok(Decoded::Response(r)) => r,
        other => panic!("{other:?}"),
    }
}

fn why(text: &str) -> Why {
    Why {
        cluster: None,
        outcome: Outcome::DefaultDeny,
        direction: Some(Direction::Ingress),
        subject: None,
        policies: Vec::new(),
        reported: None,
        nearest: None,
        agreement: Agreement::Agrees,
        because: Vec::new(),
        missing: Vec::new(),
        inferred: Vec::new(),
        sides: Vec::new(),
        as_of: None,
        changed_since: Vec::new(),
        diagnosis: Vec::new(),
        text: text.into(),
    }
}

fn text(f: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    f(&mut out);
    String::from_utf8(out).unwrap()
}

const HOSTILE: &str = r#"{"flow":{"IP":{},"source":{"pod_name":"a\u001b[31m\u202eb"},"node_name":"n\u009b","verdict":"DROPPED","Summary":"x\ny\u0007"},"node_name":"n"}"#;

#[test]
fn why_stands_at_the_end_of_the_object() {
    let r = response(r#"{"flow":{"verdict":"DROPPED"},"node_name":"worker-2"}"#);
    assert_eq!(
        text(|o| Jsonpb::new(Options::default()).line(&r, Some(&why("no rule <x>")), o)),
        "{\"flow\":{\"verdict\":\"DROPPED\"},\"node_name\":\"worker-2\",\"why\":{\"outcome\":\"default-deny\",\"direction\":\"INGRESS\",\"policies\":[],\"agreement\":\"agrees\",\"text\":\"no rule <x>\"}}\n"
    );
}

#[test]
fn why_is_one_indented_line_below() {
    let r = response(r#"{"flow":{"verdict":"DROPPED"}}"#);
    let line = text(|o| Compact::new(Options::default()).line(&r, Some(&why("no rule\nallows \u{1b}it")), o));
    assert_eq!(line, "N/A:  (unknown) <>  (unknown) UNKNOWN DROPPED ()\n    no rule\\nallows ^[it\n");
}

#[test]
fn a_terminal_gets_nothing_that_acts() {
    let r = response(HOSTILE);
    let o = Options { terminal: true, color: true, node_name: true, ..Options::default() };
    let line = text(|out| Compact::new(o).line(&r, None, out));
    let ours = line.replace("\u{1b}[31m", "").replace("\u{1b}[36m", "").replace("\u{1b}[35m", "").replace("\u{1b}[0m", "");
    assert_eq!(ours, "N/A [n\\u{9b}]: a^[[31m\\u{202e}b (unknown) <>  (unknown) UNKNOWN DROPPED (x\\ny\\u{7})\n");
    assert_eq!(line.matches("\u{1b}[31m").count(), 1);
    let json = text(|out| Jsonpb::new(o).line(&r, None, out));
    assert!(!json.trim_end().chars().any(crate::model::text::acts) && json.contains("\\u202e") && json.contains("\\u009b"));
    assert_eq!(response(json.trim_end()), r);
}

#[test]
fn into_a_pipe_hubbles_bytes() {
    let line = text(|o| Compact::new(Options::default()).line(&response(HOSTILE), None, o));
    assert_eq!(line, "N/A: a^[[31m\u{202e}b (unknown) <>  (unknown) UNKNOWN DROPPED (x\ny\u{7})\n");
}

#[test]
fn states_go_to_the_other_stream() {
    let status = response(r#"{"node_status":{"state_change":"NODE_ERROR","node_names":["a"],"message":"m"},"node_name":"r"}"#);
    let flow = response(r#"{"flow":{"verdict":"DROPPED"}}"#);
    for (silent, want) in [(false, "N/A [r]: Error \"m\" on 1 nodes: a\n"), (true, "")] {
        let mut lines = Lines::new(Compact::new(Options { silent, ..Options::default() }), Vec::new(), Vec::new());
        lines.response(Response::Whole(&status), None).unwrap();
        lines.response(Response::Whole(&flow), None).unwrap();
        lines.end().unwrap();
        let (out, err) = lines.into_inner();
        assert_eq!(String::from_utf8(err).unwrap(), want);
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 1);
    }
}
