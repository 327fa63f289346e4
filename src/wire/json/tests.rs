//! Lines as people have them: what is read, what is passed over, what is refused.
use super::*;
use crate::wire::pb::flow::FlowFilter;
use crate::wire::pb::flow::layer4::Protocol;

fn read_one(line: &str) -> (Result<Decoded, Bad>, Notes) {
    let mut notes = Notes::default();
    (read_line(line.as_bytes(), &mut notes), notes)
}

fn response(line: &str) -> GetFlowsResponse {
    match read_one(line).0 {
        Ok(Decoded::Response(r)) => r,
        other => panic!("{line}: {other:?}"),
    }
}

fn flow(line: &str) -> Flow {
    match response(line).response_types {
        Some(ResponseTypes::Flow(f)) => f,
        other => panic!("{line}: {other:?}"),
    }
}

fn written(line: &str) -> String {
    let mut out = Vec::new();
    write_response(&response(line), &mut out);
    String::from_utf8(out).unwrap()
}

fn bad(line: &str) -> (usize, String) {
    match read_one(line).0 {
        Err(Bad { column, reason }) => (column, reason),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn what_a_line_can_be() {
    assert!(matches!(read_one(" \t\r").0, Ok(Decoded::Blank)));
    assert!(
        matches!(read_one(r#"{"agent_event":{"type":"AGENT_STARTED"},"node_name":"n"}"#).0, Ok(Decoded::AgentEvent(e)) if e.node_name == "n")
    );
    assert!(
        matches!(read_one(r#"{"debug_event":{"type":3}}"#).0, Ok(Decoded::DebugEvent(e)) if e.debug_event.as_ref().unwrap().r#type == 3)
    );
    assert_eq!(read_one(r#"{"world": {"a":[1, 2]} ,"x":1}"#).0, Ok(Decoded::World(br#"{"a":[1, 2]}"#.to_vec())));
    assert_eq!(flow(r#"{"result":{"flow":{"uuid":"u"},"node_name":"n"}}"#).uuid, "u");
    assert_eq!(flow(r#"{"cluster_name":"c","flow":{"uuid":"u"}}"#).uuid, "u");
    assert_eq!(written(r#"{"lostEvents":{"numEventsLost":5,"cpu":0}}"#), r#"{"lost_events":{"num_events_lost":"5","cpu":0}}"#);
}

#[test]
fn a_bare_flow_is_wrapped() {
    let line = r#"{"time":"2022-05-12T14:16:09Z","verdict":"DROPPED","node_name":"m/n","Summary":"x"}"#;
    assert_eq!(written(line), format!(r#"{{"flow":{},"node_name":"m/n","time":"2022-05-12T14:16:09Z"}}"#, line));
    assert_eq!(written(r#"{"l4":{"UDP":{}}}"#), r#"{"flow":{"l4":{"UDP":{}}}}"#);
    for nothing in ["{}", r#"{"time":"2022-05-12T14:16:09Z","node_name":"n"}"#, r#"{"foo":1}"#] {
        assert_eq!(bad(nothing), (1, "nothing of a flow in it".into()));
    }
    assert_eq!(bad(r#"{"flow":null}"#).1, "neither a flow nor any other event in it");
}

#[test]
fn a_foreign_shape_is_read_as_far_as_it_goes() {
    let (r, notes) = read_one(r#"{"ip":{"source":"10.0.1.5"},"l4":{"TCP":{"destination_port":80}},"verdict":"ALLOWED","type":{"type":1}}"#);
    let Ok(Decoded::Response(r)) = r else { panic!("{r:?}") };
    let Some(ResponseTypes::Flow(f)) = r.response_types else { panic!() };
    assert_eq!(f.verdict, 0);
    assert!(matches!(f.l4.unwrap().protocol, Some(Protocol::Tcp(t)) if t.destination_port == 80));
    assert_eq!(notes.enums.keys().collect::<Vec<_>>(), ["verdict \"ALLOWED\""]);
    assert_eq!(notes.fields.keys().collect::<Vec<_>>(), ["ip", "type"]);
}

#[test]
fn unknown_enums() {
    assert_eq!(written(r#"{"flow":{"verdict":99,"Type":"2"}}"#), r#"{"flow":{"verdict":99}}"#);
    assert_eq!(written(r#"{"flow":{"verdict":2.0,"auth_type":1e0}}"#), r#"{"flow":{"verdict":"DROPPED","auth_type":"SPIRE"}}"#);
}

#[test]
fn null_is_unset_and_empty_is_present() {
    assert_eq!(
        written(r#"{"flow":{"uuid":null,"is_reply":null,"source":{},"l4":{"TCP":{"flags":{}}}},"time":null}"#),
        r#"{"flow":{"l4":{"TCP":{"flags":{}}},"source":{}}}"#
    );
    assert_eq!(written(r#"{"flow":{"is_reply":false,"reply":false,"source_names":[]}}"#), r#"{"flow":{"is_reply":false}}"#);
}

#[test]
fn columns_and_reasons() {
    assert_eq!(bad("this is not json"), (1, "expected an object, found 't'".into()));
    assert_eq!(bad("null").0, 1);
    assert_eq!(bad("{\"flow\":"), (9, "the line ends where an object was expected".into()));
    assert_eq!(bad(r#"{"flow":{}} trailing"#), (13, "expected the end of the line, found 't'".into()));
    assert_eq!(bad("\u{feff}{\"flow\":{}}").0, 1);
    assert_eq!(bad(r#"{"flow":{"uuid":"é","uuid":"b"}}"#), (28, "the field \"uuid\" is there twice".into()));
    assert_eq!(bad(r#"{"flow":{"node_name":"a","nodeName":null}}"#).1, "the field \"nodeName\" is there twice");
    assert_eq!(bad(r#"{"flow":{"l4":{"TCP":{},"UDP":{}}}}"#).1, "\"UDP\" is there beside another field that excludes it");
    assert_eq!(bad(r#"{"flow":{"uuid":7}}"#), (17, "expected a string, found '7'".into()));
    assert_eq!(bad(r#"{"flow":{"time":"yesterday"}}"#), (17, "not a time in RFC 3339: \"yesterday\"".into()));
    assert_eq!(bad(r#"{"flow":{"source_names":["a",]}}"#).1, "expected a string, found ']'");
    assert_eq!(bad(r#"{"flow":{"source_names":[null]}}"#).1, "expected a string, found 'n'");
    assert_eq!(bad(r#"{"flow":{},}"#).1, "expected a key, found '}'");
    assert_eq!(bad(r#"{,"flow":{}}"#).1, "expected a key, found ','");
    let mut notes = Notes::default();
    let e = read_line(b"{\"flow\":{\"uuid\":\"\xff\"}}", &mut notes).unwrap_err();
    assert_eq!((e.column, &*e.reason), (18, "invalid UTF-8"));
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!(r#"{{"flow":{{"uuid":"u","x":{}1{}}}}}"#, open.repeat(100_000), close.repeat(100_000));
        assert_eq!(bad(&deep).1, "nested more than 64 deep");
        let fine = format!(r#"{{"flow":{{"uuid":"u","x":{}1{}}}}}"#, open.repeat(60), close.repeat(60));
        assert_eq!(flow(&fine).uuid, "u");
    }
    let nested = |n: u32| {
        let any = (0..n)
            .fold(String::from(r#"{"@type":"x/flow.Workload"}"#), |any, _| format!(r#"{{"@type":"x/flow.Flow","extensions":{any}}}"#));
        format!(r#"{{"flow":{{"extensions":{any}}}}}"#)
    };
    assert_eq!(written(&nested(7)), nested(7));
    assert_eq!(bad(&nested(8)).1, "more than 8 extensions inside each other");
    assert_eq!(bad(&nested(1000)).1, "nested more than 64 deep");
}

#[test]
fn extensions_that_we_know_come_out_again() {
    let line = r#"{"flow":{"extensions":{"@type":"type.googleapis.com/flow.Workload","name":"w","kind":"Deployment"}}}"#;
    let (r, notes) = read_one(line);
    assert!(r.is_ok() && notes.is_empty());
    assert_eq!(written(line), line);
    let moved = r#"{"flow":{"extensions":{"name":"w","@type":"type.googleapis.com/flow.Workload","kind":"Deployment"}}}"#;
    assert_eq!(written(moved), line);
    assert_eq!(written(r#"{"flow":{"extensions":{}}}"#), r#"{"flow":{"extensions":{}}}"#);
    assert!(bad(r#"{"flow":{"extensions":{"@type":"x/no.Msg","x":1}}}"#).1.starts_with("an extension of a type that is not known here"));
    assert_eq!(bad(r#"{"flow":{"extensions":{"x":1}}}"#).1, "an extension without \"@type\"");
    let (_, notes) = read_one(r#"{"flow":{"@type":"x","extensions":{"@type":"a/flow.Flow","source":{"@type":"b"}}}}"#);
    assert_eq!(notes.fields["@type"], 2);
}

#[test]
fn a_filter_is_written_as_hubble_prints_it() {
    let f =
        FlowFilter { source_pod: vec!["a/b".into()], verdict: vec![2, 77], reply: vec![false], ip_trace_id: vec![5], ..Default::default() };
    let mut out = Vec::new();
    write_message(&f, &mut out);
    let text = r#"{"source_pod":["a/b"],"verdict":["DROPPED",77],"reply":[false],"ip_trace_id":["5"]}"#;
    assert_eq!(String::from_utf8(out).unwrap(), text);
    assert_eq!(read_message::<FlowFilter>(text.as_bytes(), &mut Notes::default()).unwrap(), f);
}
