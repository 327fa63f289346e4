//! Giving a record the fact that an answer calls missing: its true value, or any other that the policies make interesting.
use super::case::{Manifests, Read, apply};
use super::record;
use flowhy::model::observed::{Direction, Observed, Party};
use flowhy::policy::PolicySet;
use serde_json::{Map, Value, json};

/// A record and the manifests beside it.
pub struct Given<'a> {
    pub case: &'a Value,
    pub ingress: bool,
    pub manifests: Manifests,
    pub record: Observed,
    /// Objects that were not described before.
    pub objects: Vec<Value>,
}

impl Given<'_> {
    pub fn read(&self) -> Read {
        let mut read = Read::with(self.case, self.manifests);
        for o in &self.objects {
            apply(&mut read.world, &mut PolicySet::new(), "given", o);
        }
        read
    }

    fn with(&self, change: impl FnOnce(&mut Observed, &mut Vec<Value>)) -> Self {
        let (mut record, mut objects) = (self.record.clone(), self.objects.clone());
        change(&mut record, &mut objects);
        Self { case: self.case, ingress: self.ingress, manifests: self.manifests, record, objects }
    }

    /// Sides that an answer means by this name.
    fn sides(&self, read: &Read, name: &str) -> Vec<bool> {
        let named = |p: &Party| read.world.endpoint(p).display == name;
        [(false, &self.record.src), (true, &self.record.dst)].into_iter().filter(|(_, p)| named(p)).map(|(side, _)| side).collect()
    }

    /// With the fact as it is in truth.
    pub fn truth(&self, read: &Read, fact: &str) -> Option<Self> {
        let whole = record::whole(self.case, self.ingress);
        let (kind, name) = fact.split_once(':').unwrap_or((fact, ""));
        let of = |dst: bool| if dst { &whole.dst } else { &whole.src };
        let both = |name: &str, take: &dyn Fn(&mut Party, &Party)| {
            let sides = self.sides(read, name);
            (!sides.is_empty()).then(|| self.with(|o, _| sides.iter().for_each(|&dst| take(party(o, dst), of(dst)))))
        };
        match kind {
            "labels" => both(name, &|p, t| {
                p.labels.clone_from(&t.labels);
                p.namespace.clone_from(&t.namespace);
            }),
            "address" => both(name, &|p, t| p.ip = t.ip),
            "cluster" => both(name, &|p, t| p.cluster.clone_from(&t.cluster)),
            "direction" => Some(self.with(|o, _| o.direction = whole.direction)),
            "namespace-labels" => {
                let labels = &self.case["namespaces"][name];
                Some(self.with(|_, objects| objects.push(namespace(name, if labels.is_null() { json!({}) } else { labels.clone() }))))
            }
            "named-port" => {
                let dst = &self.case["dst"];
                Some(self.with(|o, objects| {
                    o.dst.pod = "dst".into();
                    o.dst.namespace.clone_from(&whole.dst.namespace);
                    objects.push(pod(dst, &dst["labels"], &dst["named_ports"]));
                }))
            }
            _ => None,
        }
    }

    /// With every value that may make a difference; those of one list differ in nothing else.
    pub fn values(&self, read: &Read, fact: &str) -> Vec<Vec<Self>> {
        let (kind, name) = fact.split_once(':').unwrap_or((fact, ""));
        let per_side = |make: &dyn Fn(bool) -> Vec<Self>| self.sides(read, name).into_iter().map(make).collect::<Vec<_>>();
        match kind {
            "labels" => per_side(&|dst| {
                let now = if dst { &self.record.dst } else { &self.record.src };
                identities(self.case, now).into_iter().map(|l| self.with(|o, _| party(o, dst).labels = l)).collect()
            }),
            "address" => {
                per_side(&|dst| addresses(self.case).into_iter().map(|ip| self.with(|o, _| party(o, dst).ip = ip.parse().ok())).collect())
            }
            "cluster" => {
                per_side(&|dst| ["default", "other"].iter().map(|c| self.with(|o, _| party(o, dst).cluster = (*c).into())).collect())
            }
            "direction" => {
                let both = [Direction::Egress, Direction::Ingress];
                vec![both.into_iter().map(|d| self.with(|o, _| o.direction = Some(d))).collect()]
            }
            "namespace-labels" => {
                let all = label_maps(self.case, "io.cilium.k8s.namespace.labels.");
                vec![all.into_iter().map(|l| self.with(|_, objects| objects.push(namespace(name, Value::Object(l))))).collect()]
            }
            "named-port" => {
                let (port, number) = (name.split('@').next().unwrap_or(""), &self.case["port"]);
                let ports = [json!([]), json!([{"name": port, "port": number, "protocol": self.case["protocol"]}])];
                let make = |l: Map<String, Value>| {
                    let one = |ports: &Value| {
                        self.with(|o, objects| {
                            o.dst.pod = "dst".into();
                            let mut p = self.case["dst"].clone();
                            if !o.dst.namespace.is_empty() {
                                p["namespace"] = json!(o.dst.namespace);
                            }
                            o.dst.namespace = p["namespace"].as_str().unwrap_or("").into();
                            objects.push(pod(&p, &Value::Object(l.clone()), ports));
                        })
                    };
                    ports.iter().map(one).collect()
                };
                label_maps(self.case, "").into_iter().map(make).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn party(o: &mut Observed, dst: bool) -> &mut Party {
    if dst { &mut o.dst } else { &mut o.src }
}

fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

fn pod(p: &Value, labels: &Value, ports: &Value) -> Value {
    let mut p = p.clone();
    (p["kind"], p["labels"], p["named_ports"]) = (json!("pod"), labels.clone(), ports.clone());
    super::case::pod("dst", &p).unwrap()
}

/// Sets of labels that selectors of the policies ask for, alone and two together, with the case's own and none. Keys that begin with
/// `prefix` lose it; without one, labels of pods.
fn label_maps(case: &Value, prefix: &str) -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    collect(&case["policies"], "", prefix, &mut found);
    if prefix.is_empty() {
        found.extend([&case["src"], &case["dst"]].iter().filter_map(|p| p["labels"].as_object().cloned()));
    } else {
        found.extend(case["namespaces"].as_object().into_iter().flatten().filter_map(|(_, l)| l.as_object().cloned()));
    }
    found.sort_by_key(|m| Value::Object(m.clone()).to_string());
    found.dedup();
    let mut out = vec![Map::new()];
    out.extend(found.iter().cloned());
    for (i, a) in found.iter().enumerate() {
        for b in &found[i + 1..] {
            out.push(a.iter().chain(b).map(|(k, v)| (k.clone(), v.clone())).collect());
        }
    }
    out.truncate(300);
    out
}

fn collect(v: &Value, within: &str, prefix: &str, out: &mut Vec<Map<String, Value>>) {
    // A NetworkPolicy's selector of namespaces names their labels bare.
    let of_namespace = within == "namespaceSelector" || within == "namespaces";
    let key = |k: &str| -> Option<String> {
        let bare = k.split_once(':').map_or(k, |(_, rest)| rest);
        if prefix.is_empty() {
            return (!of_namespace && !bare.starts_with("io.cilium.k8s.namespace") && !bare.starts_with("io.kubernetes"))
                .then(|| bare.to_owned());
        }
        bare.strip_prefix(prefix).map(str::to_owned).or_else(|| of_namespace.then(|| bare.to_owned()))
    };
    match v {
        Value::Object(m) => {
            let mut wanted: Map<String, Value> = m
                .get("matchLabels")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(k, v)| Some((key(k)?, v.clone())))
                .collect();
            for e in m.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
                if let (Some(k), Some("In" | "Exists" | "NotIn" | "DoesNotExist")) =
                    (key(e["key"].as_str().unwrap_or("")), e["operator"].as_str())
                {
                    let value = e["values"].get(0).cloned().unwrap_or_else(|| json!("any"));
                    // Both with it and without.
                    out.push(wanted.clone());
                    wanted.insert(k, value);
                }
            }
            if !wanted.is_empty() {
                out.push(wanted);
            }
            m.iter().for_each(|(k, v)| collect(v, k, prefix, out));
        }
        Value::Array(l) => l.iter().for_each(|v| collect(v, within, prefix, out)),
        _ => {}
    }
}

/// Whole identities that a side may have, given what is known of its namespace.
fn identities(case: &Value, now: &Party) -> Vec<Vec<String>> {
    let mut namespaces: Vec<String> = vec![now.namespace.clone()];
    let mut out = Vec::new();
    if now.namespace.is_empty() {
        let policies = case["policies"].as_array().into_iter().flatten().filter_map(|p| p["metadata"]["namespace"].as_str());
        namespaces =
            policies.chain(case["namespaces"].as_object().into_iter().flatten().map(|(k, _)| k.as_str())).map(str::to_owned).collect();
        namespaces.extend([&case["src"], &case["dst"]].iter().filter_map(|p| p["namespace"].as_str().map(str::to_owned)));
        namespaces.sort();
        namespaces.dedup();
        out = ["world", "host", "remote-node", "health"].iter().map(|e| vec![format!("reserved:{e}")]).collect();
    }
    for ns in namespaces {
        for labels in label_maps(case, "") {
            let mut l: Vec<String> = labels.iter().map(|(k, v)| format!("k8s:{k}={}", v.as_str().unwrap_or(""))).collect();
            for (k, v) in case["namespaces"][&ns].as_object().into_iter().flatten() {
                l.push(format!("k8s:io.cilium.k8s.namespace.labels.{k}={}", v.as_str().unwrap_or("")));
            }
            l.push(format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={ns}"));
            l.push(format!("k8s:io.kubernetes.pod.namespace={ns}"));
            for (k, v) in [("cluster", "default"), ("serviceaccount", "default")] {
                if !labels.contains_key(&format!("io.cilium.k8s.policy.{k}")) {
                    l.push(format!("k8s:io.cilium.k8s.policy.{k}={v}"));
                }
            }
            out.push(l);
        }
    }
    out
}

/// Every network address that the policies write, and one beside it.
fn addresses(case: &Value) -> Vec<String> {
    let text = case["policies"].to_string() + &case["cidr_groups"].to_string();
    let mut out: Vec<String> = text
        .split('"')
        .filter_map(|t| t.split_once('/'))
        .filter_map(|(ip, _)| ip.parse::<std::net::IpAddr>().ok())
        .map(|ip| ip.to_string())
        .collect();
    out.extend(["203.0.113.9".into(), "2001:db8:ffff::1".into()]);
    out
}
