//! `flowhy why SRC DST`: who is meant by the words, what the policies say of such a connection, and the answer on paper.
//!
//! Owns the search for an endpoint among manifests and flows, and the layout. Judges nothing: `policy::explain::question` does.
mod known;
mod words;

use super::why::Style;
use crate::engine::{Engine, who};
use crate::model::observed::{Direction, L4, Party};
use crate::model::text::clean;
use crate::model::why::Outcome;
use crate::policy::eval::Traffic;
use crate::policy::eval::l7::{Http, Request};
use crate::policy::explain::question::{Answer, PolicyAnswer, RuleAnswer, SideAnswer, question};
use crate::world::{Labels, PodLike, Target, World};
pub use known::absent;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
pub use words::{Place, Question, parse};

/// Rules of one policy written out in text; JSON has all.
const RULES: usize = 12;

/// Writes the answer; returns whether the connection is allowed.
pub fn answer(engine: &Engine, q: &Question, style: Style, out: &mut dyn Write) -> io::Result<bool> {
    let mut notes = Vec::new();
    let src = find(&q.src, engine, &mut None, q.l4, &mut notes);
    let mut port = q.port;
    let dst = find(&q.dst, engine, &mut port, q.l4, &mut notes);
    let (src, dst) = (engine.world().endpoint(&src), engine.world().endpoint(&dst));
    let icmp = matches!(q.l4, Some(L4::Icmp4 | L4::Icmp6));
    let request = q.http.clone().map(|(method, path)| Request::Http(Http { method, path, ..Http::default() }));
    let traffic = Traffic {
        l4: q.l4,
        port: port.filter(|_| !icmp),
        icmp: port.filter(|_| icmp).and_then(|p| u8::try_from(p).ok()),
        request,
        server_name: None,
    };
    let a = question(&src, &dst, &traffic, engine.world(), engine.policies(), engine.judging());
    let allowed = a.why.outcome == Outcome::Allowed;
    if style.json {
        #[derive(Serialize)]
        struct Entry<'a> {
            src: &'a str,
            dst: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            port: Option<u16>,
            #[serde(skip_serializing_if = "Option::is_none")]
            protocol: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            http: Option<String>,
            allowed: bool,
            #[serde(flatten)]
            answer: &'a Answer,
            notes: &'a [String],
        }
        let http = q.http.as_ref().map(|(m, p)| format!("{m} {p}"));
        let protocol = q.l4.map(L4::word);
        let entry = Entry { src: &src.display, dst: &dst.display, port, protocol, http, allowed, answer: &a, notes: &notes };
        serde_json::to_writer(&mut *out, &entry)?;
        out.write_all(b"\n")?;
        return Ok(allowed);
    }
    // With a policy that nobody has read, or one that may not be enforced, no side by itself is certain either.
    let unread = !engine.policies().unread().is_empty() || engine.judging().enforcement_unread(engine.world()).is_some();
    text(&Question { port, ..q.clone() }, (&src.display, &dst.display), (&a, unread), &notes, style, out)?;
    Ok(allowed)
}

fn text(
    q: &Question,
    names: (&str, &str),
    (a, unread): (&Answer, bool),
    notes: &[String],
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (good, bad, what, arrow) = if style.unicode { ("✓", "✗", "?", "→") } else { ("ok", "xx", "??", "->") };
    let paint = |code: &str, s: &str| if style.color { format!("\x1b[{code}m{s}\x1b[0m") } else { s.to_owned() };
    let shown = |s: &str| if style.terminal { clean(s).into_owned() } else { s.to_owned() };
    let glyph = |o: Outcome| match o {
        Outcome::Allowed => paint("34", good),
        Outcome::Undecidable => paint("33", what),
        _ => paint("31", bad),
    };
    let port = match (q.port, q.l4) {
        (Some(p), Some(l4)) => format!(":{p}/{}", l4.word()),
        _ => ", any port".to_owned(),
    };
    let http = q.http.as_ref().map(|(m, p)| format!("  {m} {p}")).unwrap_or_default();
    let head = shown(&format!("{} {arrow} {}{port}{http}", names.0, names.1));
    let side = match (a.why.direction, &a.why.subject) {
        (Some(d), Some(s)) => format!("{} of {s}: ", d.word()),
        _ => String::new(),
    };
    writeln!(out, "{} {}", glyph(a.why.outcome), paint("1", &head))?;
    writeln!(out, "  {}: {}", a.why.outcome.word(), shown(&format!("{side}{}", a.why.text)))?;
    for m in &a.why.missing {
        writeln!(out, "  missing: {}", shown(m))?;
    }
    for n in notes {
        writeln!(out, "  note: {}", shown(n))?;
    }
    let marks = (good, bad, what);
    for s in &a.judged {
        writeln!(out)?;
        let outcome = match s.outcome {
            Outcome::Allowed | Outcome::DefaultDeny if unread => Outcome::Undecidable,
            other => other,
        };
        writeln!(out, "{} {}", glyph(outcome), paint("1", &shown(&format!("{} of {}: {}", s.direction.word(), s.subject, s.summary))))?;
        for p in &s.policies {
            policy(s, p, marks, &shown, out)?;
        }
    }
    Ok(())
}

fn policy(
    side: &SideAnswer,
    p: &PolicyAnswer,
    (good, bad, what): (&str, &str, &str),
    shown: &dyn Fn(&str) -> String,
    out: &mut dyn Write,
) -> io::Result<()> {
    let isolates = if p.isolates { "isolates" } else { "does not isolate" };
    let rules = if p.rules.is_empty() { ", no rules" } else { "" };
    writeln!(out, "  {}", shown(&format!("{} {}  ({}:{})  {isolates}{rules}", p.policy.kind, p.policy.path(), p.file, p.line)))?;
    // What covers it first, then what may; the others as many as fit.
    let mut all: Vec<&RuleAnswer> = p.rules.iter().collect();
    all.sort_by_key(|r| match r.covers {
        "yes" => 0,
        "unknown" => 1,
        _ => 2,
    });
    let other = if side.direction == Direction::Egress { "receiver" } else { "sender" };
    for r in all.iter().take(RULES) {
        let (glyph, says) = match (r.covers, r.action) {
            ("yes", "allow") => (good, "allows it".to_owned()),
            ("yes", action) => (bad, format!("{action}: covers it")),
            ("unknown", _) => (what, format!("not known without {}", r.missing.join(", "))),
            _ => {
                let failed: Vec<String> = r.failed.iter().map(|f| format!("{} wanted {}, got {}", f.on, f.wanted, f.got)).collect();
                let says = if failed.is_empty() { format!("does not speak of this {other}") } else { failed.join("; ") };
                (if r.action == "allow" { bad } else { "-" }, says)
            }
        };
        writeln!(out, "    {glyph} {}", shown(&format!("{} ({}:{})  {says}", r.rule, p.file, r.line)))?;
    }
    if all.len() > RULES {
        writeln!(out, "    {} more rules do not cover it", all.len() - RULES)?;
    }
    Ok(())
}

/// The endpoint that is meant, as a flow would name it; what had to be guessed joins `notes`.
/// `port` becomes the pod's where it was a service's.
fn find(place: &Place, engine: &Engine, port: &mut Option<u16>, l4: Option<L4>, notes: &mut Vec<String>) -> Party {
    let world = engine.world();
    match place {
        Place::Pod { namespace, name } => described((namespace, name), engine, port, l4, notes).unwrap_or_else(|| {
            notes.push(match engine.clusters().next().is_some() && world.lists("pods") {
                true => format!("no pod of {namespace}/{name} is there now, so that its labels are not known"),
                false => format!("nothing at hand describes {namespace}/{name}: neither a manifest nor a flow"),
            });
            pod(namespace, name)
        }),
        Place::Labels { namespace, labels } => {
            let found = one_of(world, namespace, |of| labels.iter().all(|(k, v)| of.get(k) == Some(v)));
            if let Some((party, kinds)) = found {
                let words: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                let of = if kinds > 1 { format!(", one of {kinds} that differ in other labels") } else { String::new() };
                notes.push(format!("{} of {namespace} is judged as {}{of}", words.join(","), world.endpoint(&party).display));
                return party;
            }
            let labelled = |p: &Party| {
                let own = Labels::parse(&p.labels);
                p.namespace == *namespace && labels.iter().all(|(k, v)| own.get(Some("k8s"), k) == Some(v))
            };
            seen(engine, labelled).unwrap_or_else(|| {
                notes.push("no pod at hand has these labels; they are taken for all of its labels".to_owned());
                let labels = labels.iter().map(|(k, v)| format!("k8s:{k}={v}")).collect();
                Party { present: true, namespace: namespace.clone(), labels, ..Party::default() }
            })
        }
        Place::Address(ip) => address(*ip, engine, port, l4, notes),
        Place::Reserved(name) => {
            let mut labels = vec![format!("reserved:{name}")];
            if name == "kube-apiserver" {
                labels.push("reserved:remote-node".to_owned());
            }
            Party { present: true, labels, ..Party::default() }
        }
        Place::Name(name) => {
            // `db.shop.svc`, `db.shop.svc.cluster.local`: the cluster's own names are services.
            let parts: Vec<&str> = name.split('.').collect();
            if let [service, namespace, "svc", ..] = parts.as_slice()
                && let Some(p) = behind((namespace, service), world, port, l4, notes)
            {
                return p;
            }
            seen(engine, |p| p.names.iter().any(|n| n.trim_end_matches('.').eq_ignore_ascii_case(name))).unwrap_or_else(|| Party {
                present: true,
                labels: vec!["reserved:world".to_owned()],
                names: vec![name.clone()],
                ..Party::default()
            })
        }
    }
}

fn pod(namespace: &str, name: &str) -> Party {
    Party { present: true, namespace: namespace.to_owned(), pod: name.to_owned(), ..Party::default() }
}

/// The pod, workload or service of this name, where anything at hand describes it.
fn described(
    (namespace, name): (&str, &str),
    engine: &Engine,
    port: &mut Option<u16>,
    l4: Option<L4>,
    notes: &mut Vec<String>,
) -> Option<Party> {
    let world = engine.world();
    if world.pod(namespace, name).is_some() {
        return Some(pod(namespace, name));
    }
    if let Some(p) = seen(engine, |p| p.namespace == *namespace && p.pod == *name) {
        return Some(p);
    }
    let owner = vec![(String::new(), name.to_owned())];
    if world.workload_of(namespace, "", &owner).is_some() {
        return Some(Party { pod: String::new(), workloads: owner, ..pod(namespace, "") });
    }
    let owned = |p: &Party| p.namespace == *namespace && who(p, world).workload == *name;
    let one = seen(engine, owned).or_else(|| {
        // A cluster's workloads themselves are not read; its pods say whose they are.
        let own = |of: &PodLike| world.owner(namespace, of).is_some_and(|(_, owner)| owner == name);
        let mut pods = world.pods().into_iter();
        pods.find(|((ns, _), of)| ns == namespace && own(of)).map(|((_, name), _)| pod(namespace, name))
    });
    if let Some(p) = one {
        notes.push(format!("{namespace}/{name} is judged as its pod {}", p.pod));
        return Some(p);
    }
    behind((namespace, name), world, port, l4, notes)
}

/// The first side of any conversation that passes.
fn seen(engine: &Engine, wanted: impl Fn(&Party) -> bool) -> Option<Party> {
    engine.talks().iter().flat_map(|t| [&t.flow.src, &t.flow.dst]).find(|p| wanted(p)).cloned()
}

fn address(ip: IpAddr, engine: &Engine, port: &mut Option<u16>, l4: Option<L4>, notes: &mut Vec<String>) -> Party {
    let world = engine.world();
    let bare = Party { present: true, ip: Some(ip), ..Party::default() };
    if let Some(((namespace, name), _)) = world.services().find(|(_, s)| s.ips.contains(&ip))
        && let Some(p) = behind((namespace, name), world, port, l4, notes)
    {
        return p;
    }
    if world.pod_at(ip).is_some() {
        return bare;
    }
    if let Some(p) = seen(engine, |p| p.ip == Some(ip)) {
        return p;
    }
    if !world.nodes_at(ip, None).is_empty() {
        notes.push(format!("{ip} is a node's; seen from its own pods it is the host, from others a remote node: judged as the latter"));
        return Party { labels: vec!["reserved:remote-node".to_owned()], ..bare };
    }
    if public(ip) {
        return Party { labels: vec!["reserved:world".to_owned()], ..bare };
    }
    notes.push(format!("{ip} is a private address that no manifest and no flow speaks of"));
    bare
}

/// Whether an address can only be outside of any cluster.
fn public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
    }
}

/// A pod behind a service: policies judge the backend, not the service's own address, and the backend's port, not the service's.
fn behind(
    (namespace, name): (&str, &str),
    world: &World,
    port: &mut Option<u16>,
    l4: Option<L4>,
    notes: &mut Vec<String>,
) -> Option<Party> {
    let service = world.service(namespace, name).filter(|s| !s.selector.is_empty())?;
    let (party, _) = one_of(world, namespace, |of| service.selector.iter().all(|(k, v)| of.get(k) == Some(v)))?;
    let pod = world.endpoint(&party);
    let judged = format!("{namespace}/{name} is a service: judged is a pod behind it, {}", pod.display);
    let led = port.and_then(|asked| service.ports.iter().find(|p| p.port == asked && l4.is_none_or(|l4| l4 == p.protocol)));
    let Some(led) = led else {
        notes.push(format!("{judged}, and the port is the pod's"));
        return Some(party);
    };
    *port = match &led.target {
        Target::Number(n) => Some(*n),
        Target::Named(name) => pod.named_ports.iter().flatten().find(|n| n.name == *name && n.proto == led.protocol).map(|n| n.port),
    };
    notes.push(match (&led.target, *port) {
        (_, Some(p)) if p == led.port => format!("{judged}, and its port"),
        (_, Some(p)) => format!("{judged}, and its port {p}, to which the service's port {} leads", led.port),
        (Target::Named(n), None) => format!("{judged}; the service's port {} leads to a port `{n}`, which no pod at hand names", led.port),
        (Target::Number(_), None) => judged,
    });
    Some(party)
}

/// The first pod (else workload) of a namespace whose labels pass, and how many kinds of pods by their labels do.
fn one_of(world: &World, namespace: &str, wanted: impl Fn(&BTreeMap<String, String>) -> bool) -> Option<(Party, usize)> {
    let blank = || Party { present: true, namespace: namespace.to_owned(), ..Party::default() };
    let mut found: Vec<(Party, _)> = Vec::new();
    for ((_, name), pod) in world.pods().into_iter().filter(|((ns, _), _)| ns == namespace) {
        if wanted(&pod.labels) {
            found.push((Party { pod: name.clone(), ..blank() }, &pod.labels));
        }
    }
    for (_, kind, name, pod) in world.workloads().into_iter().filter(|(ns, ..)| *ns == namespace) {
        if wanted(&pod.labels) {
            found.push((Party { workloads: vec![(kind.to_owned(), name.to_owned())], ..blank() }, &pod.labels));
        }
    }
    let mut kinds: Vec<_> = found.iter().map(|(_, l)| *l).collect();
    kinds.sort();
    kinds.dedup();
    let n = kinds.len();
    found.into_iter().next().map(|(p, _)| (p, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Options;
    use crate::model::input::Change;
    use crate::world::yaml;
    use std::sync::Arc;

    const SHOP: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db-ingress, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: cart}}}]
    ports: [{port: 5432}]
---
kind: Deployment
apiVersion: apps/v1
metadata: {name: cart, namespace: shop}
spec: {template: {metadata: {labels: {app: cart}}}}
---
kind: StatefulSet
apiVersion: apps/v1
metadata: {name: db, namespace: shop}
spec: {template: {metadata: {labels: {app: db}}}}
---
kind: Service
apiVersion: v1
metadata: {name: store, namespace: shop}
spec: {selector: {app: db}, clusterIP: 10.96.0.7}
";

    fn ask(words: [&str; 2], json: bool) -> (bool, String) {
        ask_of(SHOP, words, json)
    }

    fn ask_of(shop: &str, words: [&str; 2], json: bool) -> (bool, String) {
        let mut e = Engine::new(Options { fold: Some(crate::engine::Fold::First), ..Options::default() });
        for d in yaml::read("shop.yaml", shop).0 {
            e.feed(Change::Apply(Arc::new(d)).into(), &mut |_| {});
        }
        let q = parse(&words.map(str::to_owned), None).unwrap().unwrap();
        let mut out = Vec::new();
        let allowed = answer(&e, &q, Style { json, unicode: false, terminal: false, color: false }, &mut out).unwrap();
        (allowed, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_workload_a_service_and_its_address_are_the_pods_behind_them() {
        for dst in ["shop/db:5432", "shop/store:5432", "store.shop.svc.cluster.local:5432", "10.96.0.7:5432", "shop:app=db:5432"] {
            let (allowed, text) = ask(["shop/cart", dst], false);
            assert!(allowed && text.contains("ok ingress[0] (shop.yaml:7)  allows it"), "{dst}: {text}");
        }
        let (allowed, text) = ask(["shop/cart", "shop/db:5433"], false);
        assert!(!allowed && text.contains("port wanted TCP/5432, got TCP/5433"), "{text}");
    }

    #[test]
    fn the_port_of_a_service_is_judged_as_the_pods_port_that_it_leads_to() {
        let named = SHOP
            .replace(
                "selector: {app: db}, clusterIP: 10.96.0.7",
                "selector: {app: db}, clusterIP: 10.96.0.7, ports: [{port: 80, targetPort: pg}]",
            )
            .replace(
                "labels: {app: db}}}}",
                "labels: {app: db}}, spec: {containers: [{name: c, ports: [{name: pg, containerPort: 5432}]}]}}}",
            );
        for (shop, dst) in [(named.clone(), "10.96.0.7:80"), (named.replace("targetPort: pg", "targetPort: 5432"), "store.shop.svc:80")] {
            let (allowed, text) = ask_of(&shop, ["shop/cart", dst], false);
            assert!(allowed && text.contains("its port 5432, to which the service's port 80 leads"), "{dst}: {text}");
            assert!(text.starts_with("ok shop/cart -> shop/db:5432/TCP"), "{text}");
        }
        let (allowed, text) = ask_of(&named.replace("name: pg", "name: other"), ["shop/cart", "shop/store:80"], false);
        assert!(!allowed && text.contains("undecidable") && text.contains("which no pod at hand names"), "{text}");
    }

    #[test]
    fn what_nobody_describes_is_not_guessed() {
        let (allowed, text) = ask(["shop/nobody", "shop/db:5432"], false);
        assert!(!allowed && text.contains("missing: labels:shop/nobody"), "{text}");
        let (allowed, text) = ask(["10.1.1.1", "shop/db:5432"], true);
        let v: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((allowed, &v["why"]["outcome"]), (false, &"undecidable".into()));
        let (allowed, text) = ask(["203.0.113.9", "shop/db:5432"], false);
        assert!(!allowed && text.contains("default-deny"), "a public address is outside: {text}");
    }
}
