//! A case of the policy corpus as the evaluator takes it: the world, the policies, both parties and the traffic. Judges nothing.
#![allow(dead_code, reason = "each test binary uses its part")]
#[path = "protocol.rs"]
pub mod protocol;

use flowhy::model::input::Change;
use flowhy::model::observed::{L4, Party};
use flowhy::policy::eval::l7::{Http, Request};
use flowhy::policy::eval::{Cause, Decision, Traffic};
use flowhy::policy::{Enforcement, Engine, Options, PolicySet};
use flowhy::world::{World, yaml};
use serde_json::{Value, json};
use std::sync::Arc;

/// What the manifests at hand describe besides policies and address groups.
#[derive(Debug, Clone, Copy)]
pub struct Manifests {
    pub pods: bool,
    pub namespaces: bool,
}

impl Manifests {
    pub const ALL: Self = Self { pods: true, namespaces: true };
}

/// One case, read.
pub struct Read {
    pub world: World,
    pub set: PolicySet,
    /// Places in `policies` of what was refused.
    pub refused: Vec<u64>,
    given: Manifests,
    /// As little as a record may say: a pod by its name, anything else by its identity.
    pub src: Party,
    pub dst: Party,
    pub traffic: Traffic,
    pub opt: Options,
}

/// A decision in the words of the corpus.
pub fn decision(d: Decision) -> &'static str {
    match d {
        Decision::Allowed => "allowed",
        Decision::Denied => "denied",
        Decision::NotManaged => "n/a",
        Decision::Unknown => "unknown",
    }
}

/// A reason in its words.
pub fn reason(c: Cause) -> &'static str {
    match c {
        Cause::NoPolicy => "no-policy",
        Cause::AllowRule => "allow-rule",
        Cause::DefaultAllow => "default-allow",
        Cause::AllowLocalhost => "allow-localhost",
        Cause::DefaultDeny => "default-deny",
        Cause::DenyRule => "deny-rule",
        Cause::L7Deny => "l7-deny",
        Cause::NotManaged => "not-a-managed-endpoint",
    }
}

/// The cases of one file of the corpus, in order.
pub fn corpus(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/conformance/policy/{file}", env!("CARGO_MANIFEST_DIR"));
    let body = std::fs::read_to_string(path).expect("the cases are in the repository");
    body.lines().map(|l| serde_json::from_str(l).expect("a case is JSON")).collect()
}

impl Read {
    pub fn of(case: &Value) -> Self {
        Self::with(case, Manifests::ALL)
    }

    pub fn with(case: &Value, given: Manifests) -> Self {
        let opt = options(case);
        let (mut world, mut set) = (World::new(), PolicySet::for_cilium(opt.cilium));
        for (name, labels) in case["namespaces"].as_object().into_iter().flatten().filter(|_| given.namespaces) {
            // The corpus takes namespace labels as given; the API server would add the name.
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            apply(&mut world, &mut set, "ns", &namespace);
        }
        for (name, g) in case["cidr_groups"].as_object().into_iter().flatten() {
            let group = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": name, "labels": g["labels"]}, "spec": {"externalCIDRs": g["cidrs"]}});
            apply(&mut world, &mut set, "group", &group);
        }
        for (ip, labels) in case["nodes"].as_object().into_iter().flatten() {
            let status = json!({"addresses": [{"type": "InternalIP", "address": ip}]});
            let node =
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{ip}"), "labels": labels}, "status": status});
            apply(&mut world, &mut set, "node", &node);
        }
        for (path, s) in case["services"].as_object().into_iter().flatten() {
            for object in service(path, s) {
                apply(&mut world, &mut set, "service", &object);
            }
        }
        // None at all is an answer too.
        set.set_given();
        let mut refused = Vec::new();
        for (i, p) in case["policies"].as_array().into_iter().flatten().enumerate() {
            let before = set.refused().len();
            apply(&mut world, &mut set, &format!("p{i}"), p);
            if set.refused().len() > before {
                refused.push(i as u64);
            }
        }
        let (none, traffic) = (Party::default(), Traffic::default());
        let mut read = Self { world, set, refused, given, src: none.clone(), dst: none, traffic, opt: Options::default() };
        read.meets(case);
        read
    }

    /// Another flow under the same policies.
    pub fn meets(&mut self, case: &Value) {
        for side in ["src", "dst"] {
            if let (true, Some(pod)) = (self.given.pods, pod(side, &case[side])) {
                apply(&mut self.world, &mut PolicySet::new(), side, &pod);
            }
        }
        (self.src, self.dst) = (party("src", &case["src"]), party("dst", &case["dst"]));
        (self.traffic, self.opt) = (traffic(case), options(case));
    }
}

/// Gives an object to both who may want it.
pub fn apply(world: &mut World, set: &mut PolicySet, file: &str, object: &Value) {
    // Pretty-printed JSON goes through the same reader as any manifest.
    let (docs, faults) = yaml::read(file, &serde_json::to_string_pretty(object).unwrap());
    assert!(faults.is_empty(), "{faults:?}");
    for d in docs {
        let change = Change::Apply(Arc::new(d));
        world.apply(&change);
        set.apply(&change);
    }
}

/// The manifest of a side that is a pod; its name is the side's.
pub fn pod(side: &str, p: &Value) -> Option<Value> {
    let port = |n: &Value| json!({"name": n["name"], "containerPort": n["port"], "protocol": n["protocol"]});
    let ports: Vec<Value> = p["named_ports"].as_array().into_iter().flatten().map(port).collect();
    (p["kind"] == "pod").then(|| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": side, "namespace": p["namespace"], "labels": p["labels"]},
            "spec": {"serviceAccountName": account(p), "containers": [{"ports": ports}]}})
    })
}

/// A service, and where its addresses are if it selects nobody.
fn service(path: &str, s: &Value) -> Vec<Value> {
    let (namespace, name) = path.split_once('/').expect("a service has a namespace");
    let metadata = json!({"name": name, "namespace": namespace, "labels": s["labels"]});
    let spec = json!({"selector": s.get("selector").cloned().unwrap_or(json!({})), "ports": [{"port": 80}]});
    let mut out = vec![json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})];
    if let Some(ips) = s["ips"].as_array() {
        let metadata = json!({"name": format!("{name}-1"), "namespace": namespace, "labels": {"kubernetes.io/service-name": name}});
        let endpoints: Vec<Value> = ips.iter().map(|ip| json!({"addresses": [ip]})).collect();
        out.push(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "endpoints": endpoints}));
    }
    out
}

pub fn account(p: &Value) -> &str {
    p["service_account"].as_str().unwrap_or("default")
}

fn party(side: &str, p: &Value) -> Party {
    let text = |k: &str| p[k].as_str().unwrap_or("").to_owned();
    let ip = p["ip"].as_str().map(|ip| ip.parse().unwrap());
    match p["kind"].as_str().unwrap() {
        "pod" => {
            let cluster = p["cluster"].as_str().unwrap_or("default").to_owned();
            Party { present: true, namespace: text("namespace"), pod: side.to_owned(), cluster, ip, ..Party::default() }
        }
        "ip" => Party {
            present: true,
            ip,
            labels: vec!["reserved:world".into()],
            names: p["fqdns"].as_array().into_iter().flatten().map(|f| f.as_str().unwrap().to_owned()).collect(),
            ..Party::default()
        },
        "entity" => {
            let mut labels = vec![format!("reserved:{}", text("entity"))];
            if text("entity") == "kube-apiserver" {
                labels.push("reserved:remote-node".into());
            }
            Party { present: true, labels, cluster: "default".into(), ip, ..Party::default() }
        }
        other => panic!("peer kind {other}"),
    }
}

fn options(case: &Value) -> Options {
    let mut opt = Options::default();
    if let Some(o) = case.get("options") {
        if o["engine"] == "kubernetes" {
            opt.engine = Engine::Kubernetes;
        }
        opt.cilium = o["cilium"].as_u64().map_or(opt.cilium, |n| n.try_into().unwrap());
        opt.host_firewall = o["host_firewall"] == true;
        opt.allow_localhost = o["allow_localhost"] != "policy";
        opt.enforcement = match o["policy_enforcement"].as_str() {
            Some("always") => Enforcement::Always,
            Some("never") => Enforcement::Never,
            _ => Enforcement::Default,
        };
    }
    opt
}

fn traffic(case: &Value) -> Traffic {
    let number = case["port"].as_u64().unwrap();
    let l4 = protocol::l4(case["protocol"].as_str().unwrap());
    let icmp = matches!(l4, L4::Icmp4 | L4::Icmp6);
    let request = case.get("l7").map(|l7| match l7.get("dns") {
        Some(d) => Request::Dns(d["query"].as_str().unwrap().trim_end_matches('.').to_lowercase()),
        None => {
            let h = &l7["http"];
            let text = |k: &str| h[k].as_str().unwrap_or("").to_owned();
            let headers =
                h["headers"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
            let host = h.get("host").map(|_| text("host"));
            Request::Http(Http { method: text("method"), path: text("path"), host, headers, all_headers: true })
        }
    });
    let (port, icmp) = ((!icmp).then(|| number.try_into().unwrap()), icmp.then(|| number.try_into().unwrap()));
    Traffic { l4: Some(l4), port, icmp, request, server_name: None }
}
