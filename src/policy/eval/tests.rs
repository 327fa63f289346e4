//! What no corpus covers: tiers where a fact is missing, services, groups, nodes, names in a TLS greeting, authentication, the host.
use super::l7::{Kafka, Request};
use super::{Case, Cause, Decision, Judgement, Traffic, judge};
use crate::model::input::Change;
use crate::model::observed::{Direction, L4, Party};
use crate::policy::tests::{cnp, load, np, pod};
use crate::policy::{Engine, Options, PolicySet};
use crate::world::{World, yaml};
use std::sync::Arc;

/// One side to be asked about, as the tests spell it.
struct Ask {
    world: World,
    direction: Direction,
    subject: Party,
    peer: Party,
    traffic: Traffic,
    opt: Options,
}

impl Ask {
    fn new(direction: Direction, peer: Party) -> Self {
        let traffic = Traffic { l4: Some(L4::Tcp), port: Some(80), ..Traffic::default() };
        Self { world: World::new(), direction, subject: pod(&["app=a"]), peer, traffic, opt: Options::default() }
    }

    fn knowing(mut self, manifests: &str) -> Self {
        let (docs, faults) = yaml::read("w.yaml", manifests);
        assert!(faults.is_empty(), "{faults:?}");
        docs.into_iter().for_each(|d| self.world.apply(&Change::Apply(Arc::new(d))));
        self
    }

    fn of(&self, set: &PolicySet) -> Judgement {
        let (subject, peer) = (self.world.endpoint(&self.subject), self.world.endpoint(&self.peer));
        let Self { world, direction, traffic, opt, .. } = self;
        judge(&Case { direction: *direction, subject: &subject, peer: &peer, traffic, world, opt }, set)
    }

    /// Decision and missing facts under a policy without any fault.
    fn under(&self, policy: &str) -> (Decision, Vec<String>) {
        let (set, faults) = load(policy);
        assert!(faults.is_empty(), "{faults:?}");
        let j = self.of(&set);
        (j.decision, j.missing)
    }
}

fn yes() -> (Decision, Vec<String>) {
    (Decision::Allowed, Vec::new())
}

fn no() -> (Decision, Vec<String>) {
    (Decision::Denied, Vec::new())
}

fn lacks(fact: &str) -> (Decision, Vec<String>) {
    (Decision::Unknown, vec![fact.to_owned()])
}

fn world_ip(ip: &str) -> Party {
    Party { present: true, ip: Some(ip.parse().unwrap()), labels: vec!["reserved:world".into()], ..Party::default() }
}

fn reserved(name: &str, ip: &str) -> Party {
    Party { labels: vec![format!("reserved:{name}")], ..world_ip(ip) }
}

/// A pod of which nothing but its name is known.
fn stranger() -> Party {
    Party { present: true, namespace: "default".into(), pod: "y".into(), ..Party::default() }
}

fn admin(name: &str, priority: u32, rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{tier: Admin, priority: {priority}, subject: {{namespaces: {{}}}}, ingress: [{rules}]}}\n---\n"
    )
}

fn rule(action: &str, app: &str) -> String {
    format!("{{action: {action}, from: [{{pods: {{podSelector: {{matchLabels: {{app: {app}}}}}}}}}]}}")
}

#[test]
fn a_rule_that_may_be_the_first_is_not_taken_for_it() {
    let known = Ask::new(Direction::Ingress, pod(&["app=b"]));
    let unknown = Ask::new(Direction::Ingress, stranger());
    let of = |rules: &[(&str, &str)]| admin("k", 1, &rules.iter().map(|(a, app)| rule(a, app)).collect::<Vec<_>>().join(", "));
    let missing = || lacks("labels:default/y");
    let anybody = admin("all", 2, "{action: Deny, from: [{namespaces: {}}]}");
    // One rule may or may not match; what comes after it says otherwise.
    let p = of(&[("Accept", "b")]) + &anybody;
    assert_eq!((known.under(&p), unknown.under(&p)), (yes(), missing()));
    let p = of(&[("Pass", "b")]) + &anybody;
    assert_eq!((known.under(&p), unknown.under(&p)), (yes(), missing()), "passed on to nobody, or denied");
    // Whoever it is, denied; but by which rule is not known, and the wrong one is not named.
    let p = of(&[("Deny", "b"), ("Deny", "c")]) + &anybody;
    assert_eq!((known.under(&p), unknown.under(&p)), (no(), missing()));
    // What cannot change the answer is not missed.
    let p = anybody + &of(&[("Accept", "b")]).replace("priority: 1,", "priority: 9,");
    assert_eq!((known.under(&p), unknown.under(&p)), (no(), no()));
    let p = of(&[("Pass", "b")]);
    assert_eq!((known.under(&p), unknown.under(&p)), (yes(), yes()), "nothing stands behind it");
}

#[test]
fn equal_priorities_have_no_order() {
    let ask = Ask::new(Direction::Ingress, pod(&["app=b"]));
    let two = |a: &str, b: &str| admin("one", 5, &rule(a, "b")) + &admin("two", 5, &rule(b, "b"));
    assert_eq!(ask.under(&two("Accept", "Deny")), lacks("order:one+two"));
    assert_eq!(ask.under(&two("Pass", "Deny")), lacks("order:one+two"));
    // Where both say the same, both say it.
    let j = ask.of(&load(&two("Deny", "Deny")).0);
    assert_eq!((j.decision, j.attributed.iter().map(|r| r.name.as_str()).collect::<Vec<_>>()), (Decision::Denied, vec!["one", "two"]));
    // A higher one settles it before they are asked.
    assert_eq!(ask.under(&(two("Accept", "Deny") + &admin("three", 1, &rule("Accept", "b")))), yes());
}

#[test]
fn pass_leads_to_default_deny_and_baseline_stands_on_either_side_of_it() {
    let baseline = admin("base", 1, &rule("Accept", "b")).replace("tier: Admin", "tier: Baseline");
    let isolated = np("  podSelector: {}\n") + "\n---\n";
    let passed = admin("k", 1, &rule("Pass", "b")) + &isolated;
    for engine in [Engine::Cilium, Engine::Kubernetes] {
        let mut ask = Ask::new(Direction::Ingress, pod(&["app=b"]));
        ask.opt.engine = engine;
        let j = ask.of(&load(&passed).0);
        assert_eq!((j.cause, j.isolating.len(), j.isolating[0].id.name.as_str()), (Cause::DefaultDeny, 1, "p"));
        assert_eq!(j.passed_on.iter().map(|r| r.rule.clone().unwrap()).collect::<Vec<_>>(), ["ingress[0].from[0]"]);
        let cilium = engine == Engine::Cilium;
        assert_eq!(ask.under(&(baseline.clone() + &isolated)), if cilium { yes() } else { no() });
    }
}

#[test]
fn services_are_their_pods_or_the_addresses_behind_them() {
    let to = |what: &str| cnp(&format!("  endpointSelector: {{}}\n  egress:\n  - toServices: [{what}]\n"));
    let services = "apiVersion: v1\nkind: Service\nmetadata: {name: b, labels: {tier: x}}\nspec: {selector: {app: b}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: out}\nspec: {}\n---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: out}\nsubsets: [{addresses: [{ip: 203.0.113.9}]}]\n";
    let to_pod = Ask::new(Direction::Egress, pod(&["app=b"])).knowing(services);
    let outside = Ask::new(Direction::Egress, world_ip("203.0.113.9")).knowing(services);
    let by_name = to("{k8sService: {serviceName: b}}");
    assert_eq!((to_pod.under(&by_name), outside.under(&by_name)), (yes(), no()));
    let external = to("{k8sService: {serviceName: out}}");
    assert_eq!((to_pod.under(&external), outside.under(&external)), (no(), yes()));
    let by_label = to("{k8sServiceSelector: {selector: {matchLabels: {tier: x}}}}");
    assert_eq!((to_pod.under(&by_label), outside.under(&by_label)), (yes(), no()));
    let other_namespace = to("{k8sService: {serviceName: b, namespace: web}}");
    assert_eq!(to_pod.under(&other_namespace), lacks("service:web/b"));
    let unknown = Ask::new(Direction::Egress, stranger()).knowing(services);
    assert_eq!(unknown.under(&by_name), lacks("labels:default/y"));
}

#[test]
fn groups_of_addresses_by_name_by_label_and_in_a_cloud() {
    let from = |what: &str| cnp(&format!("  endpointSelector: {{}}\n  ingress:\n  - {what}\n"));
    let groups = "apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: office, labels: {site: a}}\nspec: {externalCIDRs: [203.0.113.0/24]}\n";
    let by_label = from("fromCIDRSet: [{cidrGroupSelector: {matchLabels: {site: a}}}]");
    let narrowed = from("fromCIDRSet: [{cidrGroupRef: office, except: [203.0.113.8/29]}]");
    let ask = |ip: &str| Ask::new(Direction::Ingress, world_ip(ip));
    assert_eq!(ask("203.0.113.9").knowing(groups).under(&by_label), yes());
    assert_eq!(ask("198.51.100.1").knowing(groups).under(&by_label), no());
    assert_eq!(ask("203.0.113.9").under(&by_label), lacks("cidr-groups"));
    assert_eq!(ask("203.0.113.9").knowing(groups).under(&narrowed), no());
    assert_eq!(ask("203.0.113.99").knowing(groups).under(&narrowed), yes());
    let cloud = from("fromGroups: [{aws: {region: x}}]");
    assert_eq!(ask("203.0.113.9").under(&cloud), lacks("cloud-groups"));
    assert_eq!(Ask::new(Direction::Ingress, pod(&["app=b"])).under(&cloud), no(), "no pod is in a cloud's group");
}

#[test]
fn nodes_by_their_labels() {
    let from = cnp("  endpointSelector: {}\n  ingress:\n  - fromNodes: [{matchLabels: {role: edge}}]\n");
    let nodes = "apiVersion: v1\nkind: Node\nmetadata: {name: n, labels: {role: edge}}\nstatus: {addresses: [{type: InternalIP, address: 10.1.0.1}]}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: m}\nstatus: {addresses: [{type: InternalIP, address: 10.1.0.2}]}\n";
    let ask = |ip: &str| Ask::new(Direction::Ingress, reserved("remote-node", ip));
    assert_eq!(ask("10.1.0.1").knowing(nodes).under(&from), yes());
    assert_eq!(ask("10.1.0.2").knowing(nodes).under(&from), no());
    assert_eq!(ask("10.1.0.1").under(&from), lacks("node-labels:remote-node"));
    assert_eq!(Ask::new(Direction::Ingress, pod(&["app=b"])).under(&from), no(), "a pod is no node");
}

#[test]
fn the_name_in_a_tls_greeting_counts_once_it_is_known() {
    let set = cnp(
        "  endpointSelector: {}\n  egress:\n  - toEntities: [world]\n    toPorts:\n    - ports: [{port: '443', protocol: TCP}]\n      serverNames: ['*.example.com']\n",
    );
    let mut ask = Ask::new(Direction::Egress, world_ip("203.0.113.9"));
    ask.traffic.port = Some(443);
    assert_eq!(ask.under(&set), yes(), "the packet goes to the proxy whatever it will ask for");
    for (name, wanted) in [("api.example.com", yes()), ("API.example.com.", yes()), ("example.com", no()), ("a.b.example.com", no())] {
        ask.traffic.server_name = Some(name.to_owned());
        assert_eq!(ask.under(&set), wanted, "{name}");
    }
    ask.traffic.server_name = None;
    ask.traffic.request = Some(Request::Http(super::l7::Http::default()));
    assert_eq!(ask.under(&set), lacks("tls-server-name"));
}

#[test]
fn authentication_is_told_and_the_packet_is_allowed() {
    use crate::policy::ir::Auth;
    for (mode, auth) in [("required", Auth::Required), ("disabled", Auth::Disabled), ("test-always-fail", Auth::AlwaysFail)] {
        let (set, _) =
            load(&cnp(&format!("  endpointSelector: {{}}\n  ingress:\n  - fromEndpoints: [{{}}]\n    authentication: {{mode: {mode}}}\n")));
        let j = Ask::new(Direction::Ingress, pod(&["app=b"])).of(&set);
        assert_eq!((j.decision, j.auth), (Decision::Allowed, Some(auth)));
    }
}

#[test]
fn the_host_has_a_policy_of_its_own_only_with_its_firewall() {
    let policy = |spec: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: h}}\nspec: {{{spec}, ingress: [{{fromEntities: [cluster]}}]}}\n"
        )
    };
    let mut ask = Ask::new(Direction::Ingress, world_ip("203.0.113.9"));
    ask.subject = reserved("host", "10.1.0.1");
    let every_node = policy("nodeSelector: {}");
    assert_eq!(ask.under(&every_node).0, Decision::NotManaged);
    ask.opt.host_firewall = true;
    assert_eq!(ask.under(&every_node), no());
    assert_eq!(ask.under(&policy("endpointSelector: {}")), yes(), "a policy for endpoints never means the host");
    assert_eq!(ask.under(&policy("nodeSelector: {matchLabels: {role: edge}}")), lacks("node-labels:host"));
    let ask =
        ask.knowing("apiVersion: v1\nkind: Node\nmetadata: {name: n, labels: {role: edge}}\nstatus: {addresses: [{address: 10.1.0.1}]}\n");
    assert_eq!(ask.under(&policy("nodeSelector: {matchLabels: {role: edge}}")), no());
    assert_eq!(ask.under(&policy("nodeSelector: {matchLabels: {role: core}}")), yes());
}

#[test]
fn icmp_by_name_covers_icmp_and_nothing_else() {
    let rule = cnp("  endpointSelector: {}\n  ingress:\n  - icmps: [{fields: [{type: EchoRequest}, {family: IPv6, type: EchoRequest}]}]\n");
    let mut ask = Ask::new(Direction::Ingress, pod(&["app=b"]));
    assert_eq!(ask.under(&rule), no(), "not TCP");
    for (l4, kind, wanted) in
        [(L4::Icmp4, Some(8), yes()), (L4::Icmp4, Some(0), no()), (L4::Icmp6, Some(128), yes()), (L4::Icmp6, Some(8), no())]
    {
        ask.traffic = Traffic { l4: Some(l4), icmp: kind, ..Traffic::default() };
        assert_eq!(ask.under(&rule), wanted, "{l4:?} {kind:?}");
    }
    ask.traffic.icmp = None;
    assert_eq!(ask.under(&rule), lacks("icmp-type"));
    // A rule for a port does not cover a ping, one for a peer alone does.
    ask.traffic.icmp = Some(128);
    assert_eq!(ask.under(&cnp("  endpointSelector: {}\n  ingress:\n  - fromEndpoints: [{}]\n")), yes());
    assert_eq!(ask.under(&cnp("  endpointSelector: {}\n  ingress:\n  - toPorts: [{ports: [{port: '0'}]}]\n")), no());
}

fn older(policy: &str) -> PolicySet {
    let mut set = PolicySet::for_cilium(18);
    let (docs, _) = yaml::read("p.yaml", policy);
    for d in docs {
        let faults = set.apply(&Change::Apply(Arc::new(d)));
        assert!(faults.is_empty(), "{faults:?}");
    }
    set
}

#[test]
fn kafka_rules_are_asked_of_older_cilium_only() {
    let policy = |rules: &str| {
        cnp(&format!(
            "  endpointSelector: {{}}\n  ingress:\n  - toPorts:\n    - ports: [{{port: '9092', protocol: TCP}}]\n      rules: {{kafka: [{rules}]}}\n"
        ))
    };
    let ask = |key: &str, topic: &str| {
        let mut a = Ask::new(Direction::Ingress, pod(&["app=b"]));
        a.traffic.port = Some(9092);
        a.traffic.request = Some(Request::Kafka(Kafka { key: key.into(), topic: topic.into(), version: 3, client: None }));
        a
    };
    let cause = |rules: &str, key: &str, topic: &str| {
        let j = ask(key, topic).of(&older(&policy(rules)));
        (j.decision, j.cause)
    };
    let (pass, refuse) = ((Decision::Allowed, Cause::AllowRule), (Decision::Denied, Cause::L7Deny));
    let produce = "{role: produce, topic: orders}";
    assert_eq!(cause(produce, "produce", "orders"), pass);
    assert_eq!(cause(produce, "produce", "payments"), refuse);
    assert_eq!(cause(produce, "fetch", "orders"), refuse);
    assert_eq!(cause(produce, "metadata", "orders"), pass, "producing takes more than one kind of request");
    assert_eq!(cause(produce, "apiversions", ""), pass, "a request of no topic meets any condition on it");
    assert_eq!(cause("{role: consume}", "heartbeat", ""), pass);
    assert_eq!(cause("{apiKey: fetch, apiVersion: '3'}", "fetch", "orders"), pass);
    assert_eq!(cause("{apiKey: fetch, apiVersion: '2'}", "fetch", "orders"), refuse);
    assert_eq!(cause("{topic: orders}", "brew", "orders"), pass, "any request of the topic");
    let j = ask("produce", "orders").of(&older(&policy("{clientID: till}")));
    assert_eq!((j.decision, j.missing), (Decision::Unknown, vec!["kafka-client".to_owned()]));
    let j = ask("brew", "orders").of(&older(&policy(produce)));
    assert_eq!((j.decision, j.missing), (Decision::Unknown, vec!["kafka-request:brew".to_owned()]));
    // A parser of somebody's own cannot be read.
    let own = policy("").replace("kafka: []", "l7proto: memcache");
    let j = ask("produce", "orders").of(&older(&own));
    assert_eq!((j.decision, j.missing), (Decision::Unknown, vec!["parser:memcache".to_owned()]));
    // From 1.19 on it is a plain port rule, and says so.
    let (set, faults) = load(&policy(produce));
    assert!(faults[0].contains("lets every request pass"), "{faults:?}");
    assert_eq!(ask("fetch", "payments").of(&set).cause, Cause::AllowRule);
}

#[test]
fn what_one_rule_requires_binds_the_selectors_of_all() {
    let set = older(&format!(
        "{}\n---\n{}\n---\n{}",
        cnp("  endpointSelector: {}\n  ingress:\n  - fromRequires: [{matchLabels: {env: prod}}]\n"),
        cnp("  endpointSelector: {}\n  ingress:\n  - fromEndpoints: [{matchLabels: {app: b}}]\n").replace("name: c", "name: d"),
        cnp("  endpointSelector: {}\n  ingress:\n  - fromCIDR: [203.0.113.0/24]\n").replace("name: c", "name: e"),
    ));
    let from = |p: Party| Ask::new(Direction::Ingress, p).of(&set).decision;
    assert_eq!(from(pod(&["app=b", "env=prod"])), Decision::Allowed);
    assert_eq!(from(pod(&["app=b"])), Decision::Denied);
    assert_eq!(from(pod(&["env=prod"])), Decision::Denied, "it allows nobody by itself");
    assert_eq!(from(world_ip("203.0.113.9")), Decision::Allowed, "addresses are not bound");
    assert_eq!(set.clone().len(), 3);
}
