use super::*;
use crate::wire::pb::flow::{self, Flow};

fn sample() -> Flow {
    Flow {
        time: Some(prost_types::Timestamp { seconds: 1_763_856_000, nanos: 0 }),
        verdict: 2,
        source: Some(flow::Endpoint { pod_name: "cart-0".into(), labels: vec!["k8s:app=cart".into()], identity: 7, ..Default::default() }),
        destination_names: vec!["a".into(), "b".into()],
        l4: Some(flow::Layer4 { protocol: Some(flow::layer4::Protocol::Tcp(flow::Tcp { destination_port: 443, ..Default::default() })) }),
        ..Flow::default()
    }
}

/// The answer, and whether it failed on the way.
fn ask(text: &str) -> (bool, usize) {
    let trouble = Arc::new(Trouble::default());
    let p = compile(&[text.to_owned()], &trouble).unwrap_or_else(|e| panic!("{text}: {e}"));
    (p.matches(Some(&sample())), trouble.take().len())
}

#[test]
fn expressions_that_are_true_of_the_sample() {
    for text in [
        "true",
        "_flow.verdict == Verdict.DROPPED && _flow.verdict == flow.Verdict.DROPPED && _flow.verdict == 2",
        "has(_flow.source) && !has(_flow.destination) && !has(_flow.is_reply) && has(_flow.l4.TCP) && !has(_flow.l4.UDP)",
        "_flow.destination.identity == 0u && _flow.destination.pod_name == '' && size(_flow.destination.labels) == 0",
        "_flow.l7.http.code == 0u && !has(_flow.l7)",
        "_flow.is_reply == null",
        "_flow.l4.TCP.destination_port in [80u, 443u]",
        "_flow.source.labels.exists(l, l.startsWith('k8s:')) && _flow.source.labels.all(l, l.contains('='))",
        "_flow.source.labels.map(l, size(l)) == [12] && _flow.destination_names.filter(n, n > 'a') == ['b']",
        "_flow.destination_names.exists_one(n, n == 'a') && _flow.destination_names[1] == 'b'",
        "_flow.time > timestamp('2025-11-22T00:00:00Z') && _flow.time.getFullYear() == 2025",
        "_flow.time - timestamp(1763855990) == duration('10s')",
        "_flow.source == _flow.source && _flow.source != _flow.destination && _flow.destination == _flow.destination",
        "int(_flow.source.identity) + 1 == 8 && string(_flow.source.identity) == '7' && double(1) < 1.5",
        "(has(_flow.l4.TCP) ? _flow.l4.TCP.destination_port : 0u) == 443u",
        "_flow.source.pod_name.matches('^cart-[0-9]+$') && matches('ab', 'a')",
        "type(_flow.verdict) == int && {'a': 1}['a'] == 1 && 'a' in {'a': 1}",
        "dyn(_flow.verdict) == 2",
        "_flow.interface.index == 0u || _flow.source.identity / 0u == 1u",
    ] {
        assert_eq!(ask(text), (true, 0), "{text}");
    }
}

#[test]
fn what_fails_while_running_is_no_match_and_is_told() {
    assert_eq!(ask("_flow.source.identity / 0u == 1u"), (false, 1));
    assert_eq!(ask("_flow.destination_names[5] == 'a'"), (false, 1));
    assert_eq!(ask("_flow.verdict == 1"), (false, 0));
}

#[test]
fn slips_are_found_before_the_first_flow() {
    for (text, words) in [
        ("_flow.nope == 1", "undefined field 'nope'"),
        ("_flow.verdit == 2", "did you mean verdict?"),
        ("has(_flow.source.nope)", "undefined field 'nope'"),
        ("_flow.source.labels.exists(l, m == 'x')", "undeclared reference to 'm'"),
        ("flow.verdict == 1", "undeclared reference to 'flow'"),
        ("Verdict.NOPE == 1", "undeclared reference to 'Verdict.NOPE'"),
        ("_flow.verdict", "got \"int\", wanted \"bool\""),
        ("_flow.is_reply", "got \"wrapper(bool)\""),
        ("1", "wanted \"bool\""),
        ("dyn(true)", "wanted \"bool\""),
        ("_flow.source.identity == 'x'", "'(uint, string)'"),
        ("_flow.l7.http.code >= 400", "'(uint, int)'"),
        ("_flow.source.pod_name.begins('a')", "undeclared reference to 'begins'"),
        ("nope(1) == 1", "undeclared reference to 'nope'"),
        ("_flow.verdict.x == 1", "does not support field selection"),
        ("_flow.verdict.all(x, true)", "cannot be range"),
        ("flow.Endpoint{identity: 1u} == _flow.source", "not supported"),
        ("_flow.verdict ==", "column"),
        ("", "empty"),
        ("[1].map(x, x + 'a') == []", "no matching overload"),
        ("!_flow.verdict", "'!_' applied to '(int)'"),
    ] {
        let e = compile(&[text.to_owned()], &Arc::default()).expect_err(text);
        assert!(e.contains(words), "{text}: {e}");
    }
}
