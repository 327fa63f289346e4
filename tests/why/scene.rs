//! What the tests of explanations share: manifests in, flows from JSON or from Hubble's compact text, an explanation out and through the strict reader.
#![allow(dead_code)]
use super::reader;
use flowhy::engine::attribute::Attribution;
use flowhy::model::input::Change;
use flowhy::model::observed::{Direction, L4, L7, Named, Observed, Party, Reported, Verdict};
use flowhy::model::why::Explanation;
use flowhy::policy::{Options, PolicySet, explain};
use flowhy::world::{World, yaml};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Default)]
pub struct Scene {
    pub world: World,
    pub set: PolicySet,
    pub opt: Options,
    pub faults: Vec<String>,
}

/// The recordings and policies that lie beside the checkout; tests of them are skipped where there are none.
pub fn shared() -> Option<PathBuf> {
    let path =
        std::env::var_os("FLOWHY_SHARED").map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    if path.join("data/pairs").is_dir() {
        return Some(path);
    }
    eprintln!("skipped: no {}", path.display());
    None
}

impl Scene {
    pub fn new(manifests: &[(&str, &str)]) -> Self {
        let mut s = Self::default();
        manifests.iter().for_each(|(file, body)| s.add(file, body));
        s
    }

    pub fn add(&mut self, file: &str, body: &str) {
        let (docs, faults) = yaml::read(file, body);
        self.faults.extend(faults.iter().map(ToString::to_string));
        for d in docs {
            let change = Change::Apply(Arc::new(d));
            self.world.apply(&change);
            self.faults.extend(self.set.apply(&change).iter().map(ToString::to_string));
        }
    }

    pub fn files(paths: &[PathBuf]) -> Self {
        let mut s = Self::default();
        for p in paths {
            let body = std::fs::read_to_string(p).unwrap_or_else(|e| panic!("{}: {e}", p.display()));
            s.add(p.file_name().unwrap().to_str().unwrap(), &body);
        }
        s
    }

    pub fn explain(&self, o: &Observed) -> (reader::Why, Explanation) {
        let e = explain(o, &self.world, &self.set, &self.opt);
        // The stream's short way says the same as the long way, but for what is true of this one packet.
        let timeless = explain(&Observed { at: None, ..o.clone() }, &self.world, &self.set, &self.opt);
        // Also where a replica of either side was judged before.
        let mut remembered = Attribution::of(64);
        let twin = |p: &Party| Party { pod: if p.pod.is_empty() { String::new() } else { format!("{}-twin", p.pod) }, ..p.clone() };
        for replica in [Observed { src: twin(&o.src), ..o.clone() }, Observed { dst: twin(&o.dst), ..o.clone() }] {
            remembered.why(&replica, &self.world, &self.set, &self.opt);
        }
        assert_eq!(*remembered.why(&Observed { at: None, ..o.clone() }, &self.world, &self.set, &self.opt), timeless.why);
        let json = serde_json::to_string(&e.why).unwrap();
        let why = reader::read(&json);
        for r in &e.rules {
            assert!(r.lines.0 >= 1 && r.lines.1 >= r.lines.0, "{r:?}");
            assert!(r.marks.iter().all(|m| (r.lines.0..=r.lines.1).contains(&m.line)), "a mark stands outside its rule: {r:?}");
        }
        (why, e)
    }

    pub fn why(&self, o: &Observed) -> reader::Why {
        self.explain(o).0
    }
}

/// A pod with these labels (`app=web,tier=frontend`).
pub fn pod(ns: &str, name: &str, labels: &str) -> Party {
    let mut all: Vec<String> = labels.split(',').filter(|l| !l.is_empty()).map(|l| format!("k8s:{l}")).collect();
    all.push(format!("k8s:io.kubernetes.pod.namespace={ns}"));
    all.push(format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={ns}"));
    Party { present: true, namespace: ns.into(), pod: name.into(), labels: all, ..Party::default() }
}

pub fn world_ip(ip: &str, names: &[&str]) -> Party {
    let names = names.iter().map(|n| (*n).to_owned()).collect();
    Party { present: true, ip: Some(ip.parse().unwrap()), identity: 2, labels: vec!["reserved:world".into()], names, ..Party::default() }
}

pub fn reserved(name: &str) -> Party {
    Party { present: true, labels: vec![format!("reserved:{name}")], ..Party::default() }
}

/// A dropped packet (policy verdict event, POLICY_DENIED).
pub fn drop(src: Party, dst: Party, l4: L4, port: u16, direction: Option<Direction>) -> Observed {
    Observed {
        verdict: Verdict::Dropped,
        drop_reason: 133,
        event: Some((5, 0)),
        direction,
        is_reply: Some(false),
        l4: Some(l4),
        src_port: 40_000,
        dst_port: port,
        src,
        dst,
        ..Observed::default()
    }
}

fn direction(word: &str) -> Option<Direction> {
    match word {
        "INGRESS" => Some(Direction::Ingress),
        "EGRESS" => Some(Direction::Egress),
        _ => None,
    }
}

/// One line of Hubble's compact output, as far as it says anything.
pub fn compact(line: &str) -> Option<Observed> {
    let line = line.split_once(".").and_then(|(_, rest)| rest.split_once(": ")).map(|(_, rest)| rest)?;
    let (arrow, at) = ["->", "<>", "<-"].into_iter().find_map(|a| line.find(&format!(" {a} ")).map(|i| (a, i)))?;
    let (left, right) = (&line[..at], &line[at + 4..]);
    let words: Vec<&str> = right.split_whitespace().collect();
    let side = |text: &str, note: Option<&str>| -> (Party, u16) {
        let (name, port) = match text.rsplit_once(':') {
            Some((n, p)) if p.parse::<u16>().is_ok() => (n, p.parse().unwrap()),
            _ => (text, 0),
        };
        let mut p = Party { present: true, ..Party::default() };
        match name.split_once('/') {
            Some((ns, pod)) => (p.namespace, p.pod) = (ns.into(), pod.into()),
            None => p.ip = name.parse().ok(),
        }
        match note.map(|n| n.trim_matches(['(', ')'])) {
            Some(n) if n.starts_with("ID:") => p.identity = n[3..].parse().unwrap(),
            Some(n) => p.labels.push(format!("reserved:{n}")),
            None => {}
        }
        (p, port)
    };
    let noted = |words: &[&'_ str]| words.get(1).filter(|w| w.starts_with('(')).map(|w| (*w).to_owned());
    let left: Vec<&str> = left.split_whitespace().collect();
    let (a, b) = (side(left[0], noted(&left).as_deref()), side(words[0], noted(&words).as_deref()));
    let ((src, src_port), (dst, dst_port)) = if arrow == "<-" { (b, a) } else { (a, b) };
    let has = |w: &str| words.contains(&w);
    let verdict = match () {
        () if has("DROPPED") || has("DENIED") => Verdict::Dropped,
        () if has("AUDITED") => Verdict::Audit,
        () if has("FORWARDED") || has("ALLOWED") => Verdict::Forwarded,
        () => Verdict::Traced,
    };
    let http = line.split_once("(HTTP/1.1 ").map(|(_, r)| r.trim_end_matches([')', ' ']));
    let l7 = http.map(|h| {
        let mut w = h.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').trim_start_matches("ms (").split_whitespace();
        let (method, url) = (w.next().unwrap_or("").to_owned(), w.next().unwrap_or("").to_owned());
        L7::Http { method, url, code: 0, headers: Vec::new() }
    });
    let proxy = line.contains("http-");
    Some(Observed {
        verdict,
        drop_reason: if verdict == Verdict::Dropped && !proxy { 133 } else { 0 },
        event: proxy.then_some((129, 0)).or(line.contains("policy-verdict").then_some((5, 0))),
        direction: words.iter().find_map(|w| direction(w)),
        is_reply: Some(arrow == "<-"),
        l4: Some(if line.contains("UDP") { L4::Udp } else { L4::Tcp }),
        src_port,
        dst_port,
        src,
        dst,
        l7_response: line.contains("http-response"),
        l7,
        ..Observed::default()
    })
}

/// One line of Hubble JSON, wrapped or bare.
pub fn flow(line: &str) -> Option<Observed> {
    let v: Value = serde_json::from_str(line).ok()?;
    let f = match v.get("flow") {
        Some(f) => f,
        None if v.get("verdict").is_some() => &v,
        None => return None,
    };
    let text = |v: &Value, k: &str| v[k].as_str().unwrap_or("").to_owned();
    let texts = |v: &Value| -> Vec<String> { v.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect() };
    let party = |side: &str, ip: &str, names: &str| {
        let e = &f[side];
        Party {
            present: e.is_object(),
            ip: f["IP"][ip].as_str().and_then(|s| s.parse().ok()),
            identity: u32::try_from(e["identity"].as_u64().unwrap_or(0)).unwrap(),
            namespace: text(e, "namespace"),
            pod: text(e, "pod_name"),
            labels: texts(&e["labels"]),
            workloads: e["workloads"].as_array().into_iter().flatten().map(|w| (text(w, "kind"), text(w, "name"))).collect(),
            names: texts(&f[names]),
            cluster: text(e, "cluster_name"),
            ..Party::default()
        }
    };
    let l4 = [("TCP", L4::Tcp), ("UDP", L4::Udp), ("SCTP", L4::Sctp)].into_iter().find(|(k, _)| f["l4"].get(k).is_some());
    let port = |k: &str| l4.map_or(0, |(n, _)| u16::try_from(f["l4"][n][k].as_u64().unwrap_or(0)).unwrap());
    let named = |k: &str| -> Vec<Named> {
        let list = f[k].as_array().into_iter().flatten();
        list.map(|p| Named { kind: text(p, "kind"), namespace: text(p, "namespace"), name: text(p, "name") }).collect()
    };
    let http = &f["l7"]["http"];
    Some(Observed {
        verdict: match f["verdict"].as_str().unwrap_or("") {
            "FORWARDED" => Verdict::Forwarded,
            "DROPPED" => Verdict::Dropped,
            "AUDIT" => Verdict::Audit,
            "TRACED" => Verdict::Traced,
            "REDIRECTED" => Verdict::Redirected,
            _ => Verdict::Unknown,
        },
        drop_reason: match f["drop_reason_desc"].as_str() {
            Some(name) => flowhy::model::reason::by_name(name).map_or(0, |r| r.number),
            None => u32::try_from(f["drop_reason"].as_u64().unwrap_or(0)).unwrap(),
        },
        event: f["event_type"]["type"].as_i64().map(|t| (i32::try_from(t).unwrap(), 0)),
        direction: f["traffic_direction"].as_str().and_then(direction),
        is_reply: f["is_reply"].as_bool(),
        l4: l4.map(|(_, l)| l),
        src_port: port("source_port"),
        dst_port: port("destination_port"),
        src: party("source", "source", "source_names"),
        dst: party("destination", "destination", "destination_names"),
        l7: http.is_object().then(|| L7::Http { method: text(http, "method"), url: text(http, "url"), code: 0, headers: Vec::new() }),
        reported: Reported {
            egress_denied: named("egress_denied_by"),
            ingress_denied: named("ingress_denied_by"),
            egress_allowed: named("egress_allowed_by"),
            ingress_allowed: named("ingress_allowed_by"),
            log: texts(&f["policy_log"]),
            ..Reported::default()
        },
        ..Observed::default()
    })
}
