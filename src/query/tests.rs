//! The language from text to answer: what every field finds, what errors say, and that nothing breaks the parser.
mod owners;

use super::ast::{At, Atom, Expr, Op, Text};
use super::fields::{FIELDS, Shape};
use super::*;
use crate::model::view::{End, Field, Item, Value};
use crate::wire::pb::flow::{self, layer4::Protocol, layer7::Record};
use proptest::prelude::*;

/// 2025-11-23T09:00:00Z
const NOW: Nanos = Nanos(1_763_888_400 * Nanos::SECOND);

fn ctx() -> Context {
    Context::at(NOW)
}

fn endpoint(ns: &str, pod: &str, labels: &[&str], owner: &str) -> flow::Endpoint {
    flow::Endpoint {
        identity: if ns.is_empty() { 2 } else { 4711 },
        cluster_name: "prod-eu".into(),
        namespace: ns.into(),
        pod_name: pod.into(),
        labels: labels.iter().map(|s| (*s).to_owned()).collect(),
        workloads: (!owner.is_empty()).then(|| flow::Workload { kind: "Deployment".into(), name: owner.into() }).into_iter().collect(),
        ..Default::default()
    }
}

/// shop/cart-0 → shop/db-0:5433, dropped on ingress, ten minutes ago.
fn dropped() -> flow::Flow {
    flow::Flow {
        time: Some(prost_types::Timestamp { seconds: NOW.parts().0 - 600, nanos: 0 }),
        uuid: "ABC-1".into(),
        verdict: 2,
        drop_reason_desc: 133,
        node_name: "prod/worker-2".into(),
        traffic_direction: 1,
        is_reply: Some(false),
        event_type: Some(flow::CiliumEventType { r#type: 1, sub_type: 133 }),
        ip: Some(flow::Ip {
            source: "10.0.1.7".into(),
            destination: "fd00::5".into(),
            ip_version: 1,
            encrypted: true,
            ..Default::default()
        }),
        l4: Some(flow::Layer4 {
            protocol: Some(Protocol::Tcp(flow::Tcp {
                source_port: 40123,
                destination_port: 5433,
                flags: Some(flow::TcpFlags { syn: true, ..Default::default() }),
            })),
        }),
        source: Some(endpoint("shop", "cart-0", &["k8s:app=cart", "k8s:env=prod"], "cart")),
        destination: Some(endpoint("shop", "db-0", &["k8s:app=db"], "db")),
        destination_service: Some(flow::Service { name: "db".into(), namespace: "shop".into() }),
        interface: Some(flow::NetworkInterface { index: 3, name: "lxc01".into() }),
        ingress_denied_by: vec![flow::Policy {
            name: "db-ingress".into(),
            namespace: "shop".into(),
            kind: "NetworkPolicy".into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// web → api.stripe.com, an HTTP answer.
fn request() -> flow::Flow {
    flow::Flow {
        verdict: 1,
        traffic_direction: 2,
        event_type: Some(flow::CiliumEventType { r#type: 129, sub_type: 0 }),
        is_reply: Some(true),
        source: Some(endpoint("web", "frontend-1", &[], "frontend")),
        destination: Some(endpoint("", "", &["reserved:world"], "")),
        destination_names: vec!["api.stripe.com".into()],
        l7: Some(flow::Layer7 {
            r#type: 2,
            latency_ns: 250_000_000,
            record: Some(Record::Http(flow::Http {
                code: 503,
                method: "GET".into(),
                url: "https://api.stripe.com:443/v1/charges?x=1".into(),
                protocol: "HTTP/1.1".into(),
                headers: vec![flow::HttpHeader { key: "X-Request-Id".into(), value: "r7".into() }],
            })),
        }),
        ..Default::default()
    }
}

fn lookup() -> flow::Flow {
    let dns = flow::Dns { query: "api.stripe.com.".into(), rcode: 3, ..Default::default() };
    flow::Flow { l7: Some(flow::Layer7 { record: Some(Record::Dns(dns)), ..Default::default() }), ..Default::default() }
}

/// What only the engine knows, on top of a flow.
struct Known(flow::Flow);

impl View for Known {
    fn field(&self, field: Field) -> Value<'_> {
        match field {
            Field::Cause => Value::Text("db-ingress: no rule for port 5433"),
            Field::CauseId => Value::Uint(17),
            Field::Outcome => Value::Text("default-deny"),
            f => self.0.field(f),
        }
    }
    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        match field {
            Field::Policies => test(Item::Policy { kind: "NetworkPolicy", namespace: "shop", name: "deny-all" }),
            Field::InferredNames(End::Destination) => test(Item::Text("mail.example.com")),
            f => self.0.any(f, test),
        }
    }
}

fn hit(text: &str, v: &dyn View) -> bool {
    parse(text, &ctx()).unwrap_or_else(|e| panic!("{text}: {e}")).matches(v)
}

fn check(v: &dyn View, yes: &[&str], no: &[&str]) {
    for t in yes {
        assert!(hit(t, v), "should match: {t}");
    }
    for t in no {
        assert!(!hit(t, v), "should not match: {t}");
    }
}

#[test]
fn endpoints() {
    let yes = [
        "ns:shop",
        "from.ns:shop",
        "namespace:sh*",
        "ns:web,shop",
        "ns~^sh",
        "ns!=web",
        "pod:cart-0",
        "pod:cart-*",
        "pod:shop/cart-*",
        "to.pod:db-0",
        "to.pod:shop/*",
        "workload:cart",
        "workload:deployment/cart",
        "workload:shop/db",
        "to.workload~^d",
        "svc:db",
        "service:shop/db",
        "to.svc:*",
        "label:app=cart",
        "to.label:app=db",
        "label:\"env in (prod,dev)\"",
        "label:app=cart,tier=x",
        "label:k8s:app=db",
        "from.label:!tier",
        "identity:4711",
        "identity>4000",
        "identity!=world",
        "ip:10.0.1.7",
        "ip:10.0.0.0/8",
        "ip:fd00::5",
        "to.ip:fd00::/8",
        "ip:10.0.*",
        "ip~^10",
        "port:5433",
        "to.port:5000-6000",
        "port>=5433",
        "port<=5433",
        "port!=80",
        "cluster:prod-*",
        "NS:shop",
        "from.svc:\"\"",
    ];
    let no = [
        "ns:sho",
        "to.ns:web",
        "ns!=shop",
        "pod:cart",
        "to.pod:cart-0",
        "pod:web/cart-0",
        "workload:car",
        "workload:daemonset/cart",
        "workload:web/db",
        "from.svc:db",
        "svc:db-*",
        "label:app=web",
        "to.label:app=cart",
        "identity:world",
        "identity<100",
        "ip:10.0.1.8",
        "to.ip:10.0.0.0/8",
        "port:80",
        "to.port:40123",
        "to.port>5433",
        "port!=5433",
        "cluster:prod",
        "from.svc:*",
    ];
    check(&dropped(), &yes, &no);
    check(
        &request(),
        &["to.identity:world", "fqdn:api.stripe.com", "to.fqdn:*.Stripe.com.", "name~stripe", "to.pod:\"\""],
        &["from.fqdn:*", "fqdn:stripe.com", "to.pod:*", "to.workload:*"],
    );
}

#[test]
fn what_happened() {
    let yes = [
        "verdict:dropped",
        "verdict:DROPPED,audit",
        "drop:any",
        "drop:policy",
        "drop:policy_denied",
        "drop:133",
        "dir:ingress",
        "direction:Ingress",
        "type:drop",
        "type:1:133",
        "type:trace,drop",
        "proto:tcp",
        "protocol:TCP",
        "reply:false",
        "node:worker-2",
        "node:prod/worker-*",
        "node:worker-*",
        "iface:lxc*",
        "flags:syn",
        "encrypted:true",
        "uuid:abc-1",
        "policy:db-ingress",
        "policy:shop/db-ingress",
        "policy:networkpolicy/*",
        "policy:networkpolicy/shop/db-ingress",
        "policy~deny|ingress",
    ];
    let no = [
        "verdict:forwarded",
        "verdict!=dropped",
        "drop:deny",
        "drop:auth",
        "drop:l7",
        "drop:state",
        "dir:egress",
        "type:trace",
        "proto:udp,dns",
        "reply:true",
        "node:worker",
        "iface:eth0",
        "flags:ack",
        "flags:syn+ack",
        "encrypted:no",
        "policy:web/*",
        "policy:ingress",
        "outcome:default-deny",
        "cause:*",
    ];
    check(&dropped(), &yes, &no);
    let engine = Known(dropped());
    check(
        &engine,
        &["outcome:Default-Deny", "cause:17", "cause:*5433*", "cause~^db", "policy:shop/deny-all", "fqdn:mail.example.com"],
        &["outcome:allowed", "cause:18", "cause:port"],
    );
    check(&flow::Flow { verdict: 1, drop_reason_desc: 133, ..Default::default() }, &[], &["drop:any", "drop:policy"]);
    check(&flow::Flow { verdict: 2, ..request() }, &["drop:l7", "drop:policy"], &["drop:deny"]);
}

#[test]
#[allow(deprecated, reason = "old agents still send Kafka records")]
fn requests() {
    let yes = [
        "http.method:get",
        "http.path:/v1/*",
        "http.path~^/v1",
        "http.status:503",
        "http.status:5xx",
        "http.status>=500",
        "http.status:500-504",
        "http.host:api.stripe.com",
        "http.host:*.STRIPE.com",
        "http.header:x-request-id",
        "http.header:X-Request-Id=r7",
        "latency>200ms",
        "latency<=250ms",
        "latency!=1s",
        "proto:http",
        "type:l7",
    ];
    let no = [
        "http.method:post",
        "http.path:/v1",
        "http.path~charges$x",
        "http.status:4xx",
        "http.status<500",
        "http.header:x",
        "http.header:x-request-id=r8",
        "latency<200ms",
        "dns.query:*",
        "kafka.topic:*",
    ];
    check(&request(), &yes, &no);
    check(
        &lookup(),
        &[
            "dns.query:api.stripe.com",
            "dns.query:*.COM.",
            "dns.query~stripe",
            "dns.rcode:nxdomain",
            "dns.rcode:3",
            "dns.rcode!=0",
            "proto:dns",
        ],
        &["dns.query:stripe", "dns.rcode:0"],
    );
    let kafka = Record::Kafka(flow::Kafka { topic: "orders".into(), ..Default::default() });
    check(
        &flow::Flow { l7: Some(flow::Layer7 { record: Some(kafka), ..Default::default() }), ..Default::default() },
        &["kafka.topic:ord*", "topic:orders"],
        &["kafka.topic:x"],
    );
}

#[test]
fn times_count_from_the_given_now() {
    let yes = [
        "since:15m",
        "until:5m",
        "since:08:45",
        "at:08:50",
        "at:2025-11-23",
        "at:08:50:00",
        "at:2025-11-23T09:50:00+01:00",
        "since:2025-11-23T08:50:00Z",
    ];
    check(&dropped(), &yes, &["since:5m", "until:15m", "at:08:49", "at:08:51", "at:2025-11-22", "at:08:50:01"]);
    let berlin = Context { now: NOW, offset: 3600 };
    assert!(parse("at:09:50", &berlin).unwrap().matches(&dropped()));
}

#[test]
fn words_are_parts_of_names() {
    let d = dropped();
    check(
        &d,
        &["cart", "CART", "shop/car", "op/db", "deployment/cart", "10.0.1", "fd00::5", "10.0.0.0/8", "ca*-0", "\"cart\""],
        &["stripe", "shop/x", "10.9.0.0/16", "prod", "tcp"],
    );
    check(&request(), &["stripe", "world", "frontend"], &["cart"]);
}

#[test]
fn precedence_and_juxtaposition() {
    let d = dropped();
    for (t, want) in [
        ("ns:web or ns:shop port:80", false),
        ("ns:shop or ns:web port:80", true),
        ("(ns:shop or ns:web) port:80", false),
        ("not ns:web ns:shop", true),
        ("not (ns:web or ns:shop)", false),
        ("!ns:web", true),
        ("! ns:shop", false),
        ("not not ns:shop", true),
        ("ns:shop AND port:5433", true),
        ("ns:shop && port:80 || cart", true),
        ("", true),
        ("  ", true),
        // Each atom is either-side on its own.
        ("ns:shop port:5433 pod:cart-0 pod:db-0", true),
    ] {
        assert_eq!(hit(t, &d), want, "{t}");
    }
}

#[test]
fn errors_say_where_and_what_was_meant() {
    for (text, column, message, meant) in [
        ("ns:shop prt:80", 9, "unknown field \"prt\"", Some("port")),
        ("from.verdict:dropped", 1, "verdict has no sides", Some("verdict")),
        ("src.ns:shop", 1, "unknown field \"src.ns\"", Some("from.ns")),
        ("verdict:droped", 9, "verdict has no value \"droped\"", Some("dropped")),
        ("drop:polcy", 6, "no drop reason \"polcy\"", Some("policy")),
        ("rate>100", 1, "rate is not a field of a flow", None),
        ("verdict>3", 1, "\">\" does not fit verdict", None),
        ("port~80", 1, "\"~\" does not fit port", None),
        ("port:http", 6, "\"http\": a port is a number", None),
        ("port:70000", 6, "a port is a number up to 65535", None),
        ("ns:", 1, "a value is missing", None),
        ("ns:a,", 1, "a value is missing after the comma", None),
        ("(ns:a", 1, "the parenthesis is not closed", None),
        ("ns:a)", 5, "a closing parenthesis", None),
        ("ns:a or", 8, "a filter is missing at the end", None),
        ("or ns:a", 1, "a filter is missing before this word", None),
        ("pod:\"x", 5, "the quote is not closed", None),
        ("app=cart", 1, "\"app=cart\" is no name", Some("label:app=cart")),
        ("label:env in (prod)", 11, "a label selector with blanks needs quotes", Some("label:\"env in (…)\"")),
        ("label:app=a=b", 7, "not a label selector", None),
        ("http.path~[", 11, "not a regular expression", None),
        ("ip:cart", 4, "\"cart\" is no address", None),
        ("since:yesterday", 7, "\"yesterday\" is no time", None),
        ("latency>200", 9, "a latency has a unit", None),
        ("flags:sin", 7, "no TCP flag \"sin\"", Some("syn")),
        ("outcome:alowed", 9, "outcome has no value", Some("allowed")),
        ("web:8080", 1, "unknown field \"web\"", None),
        ("ñandú prt:1", 7, "unknown field", Some("port")),
        (":x", 1, "a field is missing", None),
        ("a, b", 2, "a comma stands only", None),
        ("\"\"", 1, "an empty word", None),
    ] {
        let e = parse(text, &ctx()).expect_err(text);
        assert!(e.message.contains(message), "{text}: {}", e.message);
        assert_eq!(e.column(text), column, "{text}");
        if meant.is_some() {
            assert_eq!(e.suggestion.as_deref(), meant, "{text}");
        }
        assert!(text.is_char_boundary(e.span.start) && text.is_char_boundary(e.span.end) && e.span.start <= e.span.end, "{text}");
    }
    assert!(parse(&"(".repeat(10_000), &ctx()).unwrap_err().message.contains("too deeply"));
    assert!(parse(&"!".repeat(10_000), &ctx()).is_err() && parse(&"a ".repeat(10_000), &ctx()).is_err());
}

#[test]
fn a_predicate_knows_what_it_asks_and_can_be_joined() {
    let fields = |t: &str| parse(t, &ctx()).unwrap().fields();
    let row: FieldSet = [Field::Namespace(End::Source), Field::Namespace(End::Destination), Field::Verdict].into_iter().collect();
    assert!(fields("ns:shop verdict:dropped").is_subset(row) && !fields("ns:shop port:1").is_subset(row));
    assert!(!fields("to.ns:a").contains(Field::Namespace(End::Source)));
    for t in ["outcome:allowed", "policy:x", "cause:1", "fqdn:x", "cart"] {
        assert!(fields(t).needs_derived(), "{t}");
    }
    assert!(!fields("drop:policy pod:x http.path:/x").needs_derived());
    let both = parse("ns:shop", &ctx()).unwrap().and(parse("port:80", &ctx()).unwrap());
    assert!(!both.matches(&dropped()) && both.fields().contains(Field::Port(End::Source)));
    assert_eq!(both.text(), "(ns:shop) (port:80)");
    assert!(Predicate::all().and(Predicate::all()).is_all() && Predicate::all().and(both).text().starts_with('('));
    // Lost events are no flow: only what asks for absence finds them.
    let lost = crate::wire::pb::observer::GetFlowsResponse::default();
    check(&lost, &["", "not ns:shop"], &["ns:shop", "verdict:unknown", "cart", "since:1h", "reply:false", "encrypted:false"]);
}

fn flags(args: &[&str]) -> Result<Filters, String> {
    let args: Vec<String> = args.iter().map(|s| (*s).to_owned()).collect();
    from_flags(&split_args(&args)?.0)
}

#[test]
fn our_flags() {
    let f = flags(&["--fqdn", "api.stripe.com", "--namespace", "web"]).unwrap();
    assert_eq!((f.whitelist[0].source_pod[0].as_str(), f.whitelist[0].destination_fqdn[0].as_str()), ("web/", "api.stripe.com"));
    assert_eq!((f.whitelist[1].destination_pod[0].as_str(), f.whitelist[1].source_fqdn[0].as_str()), ("web/", "api.stripe.com"));
    assert_eq!(f.text, "--fqdn api.stripe.com --namespace web");
    let p = compile(&f).unwrap();
    assert!(p.matches(&request()) && !p.matches(&dropped()));
    // Still excluded by what Hubble excludes besides.
    assert!(flags(&["--fqdn", "x", "-n", "web", "--ip", "1.1.1.1"]).is_err());

    let f = flags(&["--namespace", "web", "--http-path", "/v1/.*", "--method", "GET"]).unwrap();
    assert!(compile(&f).unwrap().matches(&request()) && !compile(&f).unwrap().matches(&dropped()));
    assert_eq!(flags(&["--dns"]).unwrap().whitelist[0].protocol, ["dns"]);
    assert!(compile(&flags(&["--not", "--dns"]).unwrap()).unwrap().matches(&request()));

    let f = flags(&["-n", "shop", "--pod", "/cart"]).unwrap();
    assert_eq!(f.whitelist[0].source_pod, ["/cart"]);
    assert_eq!(f.warnings.len(), 1);
    assert!(f.warnings[0].contains("shop has no effect") && flags(&["-n", "shop", "--pod", "cart"]).unwrap().warnings.is_empty());
}

#[test]
fn commands_that_people_copy() {
    // Loose spellings included.
    for (args, filters) in [
        ("--namespace production --since 1m", 2),
        ("--namespace production --label app=api --verdict DROPPED", 2),
        ("--namespace production --http-path /api/v1/.* --method GET", 2),
        ("--dns --namespace production", 2),
        ("--fqdn api.stripe.com --namespace production", 2),
        ("--namespace production --type trace --type drop", 2),
        ("--verdict DROPPED --since 5m --namespace production", 2),
    ] {
        let f = flags(&args.split(' ').collect::<Vec<_>>()).unwrap();
        assert_eq!((f.whitelist.len(), f.blacklist.len(), f.warnings.len()), (filters, 0, 0), "{args}");
        compile(&f).unwrap();
    }
}

fn value(shape: Shape, values: &'static [&'static str]) -> BoxedStrategy<String> {
    match (shape, values.is_empty()) {
        (Shape::Enum, false) => prop::sample::select(values).prop_map(str::to_owned).boxed(),
        _ => prop_oneof!["[a-z0-9*./=:!\"\\\\ ,()é-]{0,8}", Just("and".to_owned()), Just("::1".to_owned())].boxed(),
    }
}

fn text(s: String) -> Text {
    Text { text: s, at: At::default() }
}

fn expr() -> impl Strategy<Value = Expr> {
    let atom = (0..FIELDS.len(), prop::option::of(prop::bool::ANY), 0..7usize).prop_flat_map(|(i, side, op)| {
        let spec = &FIELDS[i];
        let op = Op::ALL.into_iter().cycle().skip(op).find(|o| spec.shape.allows(*o)).unwrap_or(Op::Is);
        let side = side.filter(|_| spec.sided).map(|s| if s { End::Source } else { End::Destination });
        prop::collection::vec(value(spec.shape, spec.values), 1..3)
            .prop_map(move |v| Expr::Atom(Atom { side, name: spec.name, op, values: v.into_iter().map(text).collect(), at: At::default() }))
    });
    let word = prop_oneof!["[a-zA-Z0-9.*/-]{1,6}", "\\PC{1,6}", Just("NOT".to_owned()), Just("fd00::1".to_owned()), Just("in".to_owned())]
        .prop_map(|s| Expr::Word(text(s)));
    prop_oneof![3 => atom, 1 => word].prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|e| Expr::Not(Box::new(e))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_parsing_is_the_identity(e in expr()) {
        let text = e.to_string();
        prop_assert_eq!(parse_expr(&text).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?, e, "{}", text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}", cursor in 0..50usize) {
        if let Err(e) = parse(&text, &ctx()) {
            prop_assert!(text.is_char_boundary(e.span.start) && text.is_char_boundary(e.span.end.min(text.len())));
        }
        let c = complete(&text, cursor);
        prop_assert!(text.is_char_boundary(c.start));
    }

    #[test]
    fn no_grammar_soup_panics(parts in prop::collection::vec(prop::sample::select(&["ns:", "(", ")", "!", "not ", "and", " or ", "\"", ",", "label:", "since:", "1h", "~", "a*", " ", "\\", "port>", "é", "in", "::1", "!="][..]), 0..20)) {
        let text = parts.concat();
        if let Ok(p) = parse(&text, &ctx()) {
            p.matches(&dropped());
            p.matches(&Known(request()));
        }
        for cursor in 0..=text.len() {
            complete(&text, cursor);
        }
    }

    #[test]
    fn a_glob_is_its_regular_expression(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
        let regex = regex::Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
        prop_assert_eq!(super::pattern::Glob::new(&pattern, false).matches(&text), regex.is_match(&text));
    }

    #[test]
    fn hubbles_patterns_are_their_regular_expressions(pattern in "[ab_*.]{1,6}", text in "[ab_.]{0,9}") {
        if let Ok(glob) = super::pattern::Glob::dns(&pattern) {
            let p = pattern.strip_suffix('.').unwrap_or(&pattern).replace('.', "\\.").replace('*', "[-.0-9a-z]*");
            prop_assert_eq!(glob.matches(&text), regex::Regex::new(&format!("^{p}$")).unwrap().is_match(&text));
        }
    }
}
