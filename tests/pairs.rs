//! Real flows against the real policies that caused them: every published pair, the article's policies, and every policy file at hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test says what broke by panicking
#[path = "why/reader.rs"]
mod reader;
#[path = "why/scene.rs"]
mod scene;

use flowhy::model::observed::{Direction as D, L4, Observed, Verdict};
use flowhy::model::why::LaneState;
use reader::{Agreement, Direction, On, Outcome};
use scene::{Scene, compact, drop, flow, pod, reserved, shared};
use std::path::{Path, PathBuf};

struct Pair {
    dir: PathBuf,
    scene: Scene,
}

fn pair(name: &str) -> Option<Pair> {
    let dir = shared()?.join("data/pairs").join(name);
    let files: Vec<PathBuf> = ["policies.yaml", "app.yaml"].into_iter().map(|f| dir.join(f)).filter(|p| p.exists()).collect();
    Some(Pair { scene: Scene::files(&files), dir })
}

impl Pair {
    fn lines(&self, file: &str) -> Vec<String> {
        std::fs::read_to_string(self.dir.join(file)).unwrap().lines().map(str::to_owned).collect()
    }

    fn texts(&self) -> Vec<Observed> {
        self.lines("expected.txt").iter().filter_map(|l| compact(l)).collect()
    }

    fn flows(&self) -> Vec<Observed> {
        self.lines("flows.jsonl").iter().filter_map(|l| flow(l)).collect()
    }
}

fn dropped(flows: Vec<Observed>) -> Vec<Observed> {
    flows.into_iter().filter(|o| o.verdict == Verdict::Dropped).collect()
}

#[test]
fn acend_frontend_backend() {
    let Some(p) = pair("acend-frontend-backend") else { return };
    let drops = dropped(p.texts());
    assert_eq!(drops.len(), 6);
    for o in drops {
        let w = p.scene.why(&o);
        assert_eq!((w.outcome, w.agreement, w.direction), (Outcome::DefaultDeny, Agreement::Agrees, Some(Direction::Ingress)));
        assert_eq!(w.names(), ["default/backend-allow-ingress-frontend", "default/backend-ingress-deny"]);
        assert_eq!(w.failed(), [(On::Label, "app=frontend", "app=not-frontend")]);
        assert_eq!(w.nearest.unwrap().rule, "ingress[0]");
    }
}

#[test]
fn cf2cnp_demo26() {
    let Some(p) = pair("cf2cnp-demo26") else { return };
    let flows = p.flows();
    // Audited while only the default deny was there; with the generated rule it would pass now.
    let pos = p.scene.why(&flows[0]);
    assert_eq!((pos.outcome, pos.agreement), (Outcome::NowAllowed, Agreement::Disagrees));
    assert_eq!(pos.names(), ["cf2cnp-lab/shop"]);
    for o in &flows[1..4] {
        let w = p.scene.why(o);
        assert_eq!((w.outcome, w.agreement, w.direction), (Outcome::DefaultDeny, Agreement::Agrees, Some(Direction::Ingress)));
        assert_eq!(w.names(), ["cf2cnp-lab/shop", "cf2cnp-lab/shop-default-deny-ingress"]);
        assert_eq!(w.subject.as_deref(), Some("cf2cnp-lab/shop-6d7d797759-4ddlt"));
        let n = w.nearest.clone().unwrap();
        assert_eq!((n.name.as_str(), n.line), ("shop", Some(23)));
        assert_eq!(w.failed(), [(On::Label, "app.kubernetes.io/name=pos", "app.kubernetes.io/name=stranger")]);
        assert!(w.inferred.is_empty(), "the flow says everything itself: {:?}", w.inferred);
    }
    assert_eq!(p.scene.why(&flows[4]).outcome, Outcome::Allowed);
}

#[test]
fn daithang59_has_no_drop() {
    let Some(p) = pair("daithang59-allow-no-drops") else { return };
    let flows = p.flows();
    assert!(flows.len() > 400);
    for o in flows {
        assert_ne!(o.verdict, Verdict::Dropped);
        assert!(matches!(p.scene.why(&o).outcome, Outcome::Allowed | Outcome::Undecidable));
    }
}

#[test]
fn hubble_570_without_policies_says_so() {
    let Some(p) = pair("hubble-570-old-new-verdict-format") else { return };
    let drops = dropped(p.texts());
    assert_eq!(drops.len(), 3);
    for o in drops {
        let w = Scene::default().why(&o);
        assert_eq!((w.outcome, w.missing), (Outcome::Undecidable, vec!["policies".to_owned()]));
    }
}

#[test]
fn hubble_ui_1125_hostnet_deny() {
    let Some(p) = pair("hubble-ui-1125-hostnet-deny") else { return };
    let mut o = drop(pod("hubble-hostnet-test", "curl", "app=hostnet-deny"), reserved("host"), L4::Tcp, 443, Some(D::Egress));
    o.dst.ip = Some("172.18.0.3".parse().unwrap());
    let w = p.scene.why(&o);
    assert_eq!((w.outcome, w.agreement), (Outcome::DefaultDeny, Agreement::Agrees));
    assert_eq!(w.names(), ["hubble-hostnet-test/hostnet-deny"]);
    assert_eq!(w.failed(), [(On::Fqdn, "example.com", "host")]);
}

#[test]
fn policy_log_demo_allowed() {
    let Some(p) = pair("policy-log-demo-allowed") else { return };
    let w = p.scene.why(&p.flows()[0]);
    // The author shows neither end of the flow: what the agent named is kept, and nothing is made up.
    let r = w.reported.unwrap();
    assert_eq!((reader::names(&r.policies), r.log), (vec!["foo/policy-log-demo".to_owned()], vec!["demo".to_owned()]));
    assert_eq!(w.outcome, Outcome::Undecidable);
}

#[test]
fn sandbox_np_deny() {
    let Some(mut p) = pair("sandbox-np-deny") else { return };
    let drops = dropped(p.texts());
    assert_eq!(drops.len(), 10);
    for o in &drops {
        let w = p.scene.why(o);
        assert_eq!((w.outcome, w.direction, w.agreement), (Outcome::DefaultDeny, Some(Direction::Ingress), Agreement::Agrees));
        assert_eq!((w.names(), w.nearest), (vec!["demo/deny-all-ingress".to_owned()], None));
    }
    // Stage B lets the client in: the recorded drop is then older than the policies.
    p.scene = Scene::files(&[p.dir.join("policies-stage-b.yaml"), p.dir.join("app.yaml")]);
    let w = p.scene.why(&drops[0]);
    assert_eq!((w.outcome, w.names()), (Outcome::NowAllowed, vec!["demo/allow-client-to-backend".to_owned()]));
}

#[test]
fn servicemesh_external_lockdown() {
    let Some(p) = pair("servicemesh-external-lockdown") else { return };
    let drops = dropped(p.texts());
    assert_eq!(drops.len(), 1);
    let w = p.scene.why(&drops[0]);
    assert_eq!((w.outcome, w.names(), w.agreement), (Outcome::DefaultDeny, vec!["external-lockdown".to_owned()], Agreement::Agrees));
    assert_eq!((w.direction, w.subject.as_deref()), (Some(Direction::Ingress), Some("ingress")));
    assert_eq!(w.failed(), [(On::Entity, "cluster", "172.18.0.1 (world)")]);
}

#[test]
fn starwars_l3l4() {
    let Some(p) = pair("starwars-docs-l3l4") else { return };
    let flows = p.texts();
    let (audited, xwing) = (&flows[0], &flows[3]);
    let w = p.scene.why(xwing);
    assert_eq!((w.outcome, w.direction, w.agreement), (Outcome::DefaultDeny, Some(Direction::Ingress), Agreement::Agrees));
    assert_eq!(w.names(), ["default/empire-default-deny", "default/rule1"]);
    assert_eq!(w.nearest.as_ref().map(|n| (n.name.as_str(), n.rule.as_str())), Some(("rule1", "ingress[0]")));
    assert_eq!(w.failed(), [(On::Label, "org=empire", "org=alliance")]);
    assert!(w.inferred.contains(&"direction".to_owned()) && w.sides.len() == 2, "the text does not say the direction");
    // The audit was made before rule1 stood there; enforcement now would let it pass.
    assert_eq!(p.scene.why(audited).outcome, Outcome::NowAllowed);
    assert_eq!(p.scene.why(&flows[1]).outcome, Outcome::Allowed);
}

#[test]
fn starwars_l7() {
    let Some(p) = pair("starwars-docs-l7") else { return };
    let flows = p.flows();
    let (w, e) = p.scene.explain(&flows[1]);
    assert_eq!((w.outcome, w.direction, w.agreement), (Outcome::L7Denied, Some(Direction::Ingress), Agreement::Agrees));
    assert_eq!(w.names(), ["default/rule1"]);
    let n = w.nearest.clone().unwrap();
    assert_eq!((n.name.as_str(), n.rule.as_str(), n.line), ("rule1", "ingress[0].http[0]", Some(21)));
    assert_eq!(w.failed(), [(On::Http, "POST /v1/request-landing", "PUT /v1/exhaust-port")]);
    assert_eq!(w.text, "no HTTP rule allows PUT /v1/exhaust-port");
    assert!(w.inferred.contains(&"labels:default/tiefighter".to_owned()), "{:?}", w.inferred);
    assert!(e.rules[0].marks.iter().any(|m| m.ok && m.text.contains("org=empire")));

    let w = p.scene.why(&flows[0]);
    assert_eq!((w.outcome, w.names()), (Outcome::DefaultDeny, vec!["default/rule1".to_owned()]));
    assert_eq!(w.failed(), [(On::Label, "org=empire", "org=alliance")]);
    for o in p.texts() {
        let w = p.scene.why(&o);
        let wanted = match (o.verdict, o.src.pod.as_str(), o.is_reply) {
            (Verdict::Dropped, "xwing", _) => Outcome::DefaultDeny,
            (Verdict::Dropped, ..) => Outcome::L7Denied,
            _ => Outcome::Allowed,
        };
        assert_eq!(w.outcome, wanted, "{o:?}");
    }
}

fn article(prefixes: &[&str]) -> Option<Scene> {
    let dir = shared()?.join("article/policies");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.retain(|p| {
        let name = p.file_name().unwrap().to_str().unwrap();
        name.ends_with("yaml") && (prefixes.is_empty() || prefixes.iter().any(|x| name.starts_with(x)))
    });
    Some(Scene::files(&files))
}

#[test]
fn article_frontend_to_database_is_denied_on_both_sides() {
    let Some(s) = article(&["06", "07", "08"]) else { return };
    let (web, db) = (pod("production", "web-0", "app=web,tier=frontend"), pod("production", "postgres-0", "app=postgres,tier=database"));
    for told in [None, Some(D::Egress), Some(D::Ingress)] {
        let (w, e) = s.explain(&drop(web.clone(), db.clone(), L4::Tcp, 5432, told));
        assert_eq!(w.outcome, Outcome::DefaultDeny);
        let states: Vec<_> = e.lanes.iter().map(|l| (l.direction, l.state, l.policies[0].0.name.clone())).collect();
        assert_eq!(
            states,
            [(D::Egress, LaneState::Denied, "frontend-policy".to_owned()), (D::Ingress, LaneState::Denied, "database-policy".to_owned())]
        );
        let ingress = told == Some(D::Ingress);
        assert_eq!(w.names(), [if ingress { "production/database-policy" } else { "production/frontend-policy" }]);
        assert_eq!(w.sides.len(), if told.is_none() { 2 } else { 0 });
        if ingress {
            assert_eq!(w.failed(), [(On::Label, "app=api", "app=web"), (On::Label, "tier=backend", "tier=frontend")]);
        }
    }
}

#[test]
fn article_dns_under_default_deny_alone() {
    let Some(s) = article(&["03"]) else { return };
    let o = drop(pod("production", "web-0", "app=web"), pod("kube-system", "coredns-1", "k8s-app=kube-dns"), L4::Udp, 53, Some(D::Egress));
    let w = s.why(&o);
    assert_eq!((w.outcome, w.names()), (Outcome::DefaultDeny, vec!["production/default-deny-all".to_owned()]));
    assert_eq!(w.text, "no policy allows DNS egress");
}

#[test]
fn article_policies_load_or_are_for_later() {
    let Some(s) = article(&[]) else { return };
    let mut later: Vec<&str> = s.set.not_understood().iter().map(|n| n.policy.kind.as_str()).collect();
    later.dedup();
    assert_eq!(later, ["GlobalNetworkPolicy", "PeerAuthentication", "AuthorizationPolicy", "Policy", "GlobalNetworkPolicy"]);
    let refused: Vec<&str> = s.set.refused().iter().map(|n| n.policy.name.as_str()).collect();
    assert_eq!(refused, ["identity-based-policy"], "{:?}", s.faults);
    assert!(s.faults.iter().any(|f| f.contains("18-") && f.contains("`ingress` stands twice")));
    assert!(s.faults.iter().any(|f| f.contains("kafka")));
    assert_eq!(s.set.len(), 29 - 6 - 1, "all but the kinds for later and the refused one");
}

fn yaml_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for e in std::fs::read_dir(dir).unwrap() {
        let p = e.unwrap().path();
        if p.is_dir() {
            yaml_files(&p, out);
        } else if p.extension().is_some_and(|x| x == "yaml") {
            out.push(p);
        }
    }
}

#[test]
fn every_policy_file_loads_or_says_where_it_does_not() {
    let Some(dir) = shared().map(|s| s.join("data/policies")) else { return };
    let mut files = Vec::new();
    yaml_files(&dir, &mut files);
    files.sort();
    let (mut compiled, mut refused, mut later, mut other) = (0, Vec::new(), 0, 0);
    for f in &files {
        let s = Scene::files(std::slice::from_ref(f));
        compiled += s.set.len();
        later += s.set.not_understood().len();
        refused.extend(s.set.refused().iter().map(|r| format!("{}: {}", f.strip_prefix(&dir).unwrap().display(), r.what)));
        for fault in &s.faults {
            let mut parts = fault.splitn(3, ':');
            let line = parts.nth(1).unwrap();
            assert!(line.parse::<u32>().is_ok_and(|l| l > 0), "no line in: {fault}");
        }
        if s.set.is_empty() && s.set.refused().is_empty() && s.set.not_understood().is_empty() {
            other += 1;
            let kinds = [
                "networkpolicy",
                "ciliumnetworkpolicy",
                "ciliumclusterwidenetworkpolicy",
                "adminnetworkpolicy",
                "baselineadminnetworkpolicy",
                "clusternetworkpolicy",
            ];
            let policy = kinds.iter().any(|k| f.parent().unwrap().ends_with(k));
            assert!(!policy || !s.faults.is_empty(), "{} gave neither a policy nor a fault", f.display());
        }
    }
    // Of the admin kinds nothing is left for later, and what is refused stands in a file that its authors call bad.
    for f in files.iter().filter(|f| {
        f.parent().unwrap().to_str().unwrap().contains("adminnetworkpolicy") || f.parent().unwrap().ends_with("clusternetworkpolicy")
    }) {
        let s = Scene::files(std::slice::from_ref(f));
        let ours = |kind: &str| matches!(kind, "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy" | "ClusterNetworkPolicy");
        assert!(s.set.not_understood().iter().all(|n| !ours(&n.policy.kind)), "{}", f.display());
        // One that does not call itself bad has a selector with `In` and no values.
        let bad = f.to_str().unwrap().contains("bad_path") || f.to_str().unwrap().contains("ovn-org__ovn-kubernetes__docs");
        let refused: Vec<&str> = s.set.refused().iter().filter(|r| ours(&r.policy.kind)).map(|r| r.what.as_str()).collect();
        assert!(bad || refused.is_empty(), "{}: {refused:?}", f.display());
    }
    eprintln!(
        "{} files: {compiled} policies compiled, {} refused, {later} of kinds for later, {other} files without any",
        files.len(),
        refused.len()
    );
    for r in refused {
        eprintln!("  refused {r}");
    }
}

/// Real recordings against policies that were not theirs: nothing panics, every answer keeps to the interface, and a drop that no
/// policy caused is never blamed on one.
#[test]
fn every_recorded_flow_gets_an_answer_that_keeps_to_the_interface() {
    let Some(shared) = shared() else { return };
    let deny = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: deny-all}\nspec: {endpointSelector: {}, ingress: [{}], egress: [{}]}\n";
    let mut article = article(&[]).unwrap();
    article.add("deny.yaml", deny);
    let mut seen = std::collections::BTreeMap::new();
    for e in std::fs::read_dir(shared.join("data/flows")).unwrap() {
        let path = e.unwrap().path();
        let Ok(body) = std::fs::read_to_string(&path) else { continue };
        for o in body.lines().filter_map(flow) {
            if o.verdict != Verdict::Dropped && o.verdict != Verdict::Audit && o.src_port % 16 != 0 {
                continue;
            }
            let w = article.why(&o);
            if std::env::var_os("FLOWHY_SHOW").is_some() && o.verdict == Verdict::Dropped {
                eprintln!("{:?} {} -> {} {:?} {}: {}", w.outcome, o.src.display(), o.dst.display(), o.l4, o.dst_port, w.text);
            }
            let other = flowhy::model::reason::cause(o.drop_reason) == flowhy::model::reason::Cause::Other && o.verdict == Verdict::Dropped;
            assert_eq!(other, w.outcome == Outcome::NotPolicy);
            *seen.entry(format!("{:?} {:?}", o.verdict, w.outcome)).or_insert(0) += 1;
        }
    }
    eprintln!("{seen:#?}");
}

/// Recorded drops of production clusters without their policies: nobody is blamed, what no policy did is said to be so, and drops that are
/// alike are one entry.
#[test]
fn recorded_drops_without_policies_blame_nobody() {
    use flowhy::engine::{Engine, Explain, Options, store::Limits};
    use flowhy::model::input::{Codec, Frame, Input};
    use flowhy::model::reason::{Cause, cause};
    let Some(shared) = shared() else { return };
    let mut files: Vec<PathBuf> = std::fs::read_dir(shared.join("data/flows")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|x| x == "jsonl"));
    files.sort();
    let (mut drops, mut entries) = (0, 0);
    for path in files {
        let body = std::fs::read_to_string(&path).unwrap();
        let mut engine = Engine::new(Options { hold: Some(Limits::default()), explain: Explain::Drops, ..Options::default() });
        for (i, line) in (1u64..).zip(body.lines()) {
            let frame = Frame { codec: Codec::HubbleJson, from: "f".into(), line: i, bytes: line.to_owned().into(), broken: None };
            engine.feed(Input::Frame(frame), &mut |_| {});
        }
        for c in engine.causes().iter() {
            let o = engine.observed(c.example).unwrap();
            let other = cause(o.drop_reason) == Cause::Other;
            let wanted = if other { flowhy::model::why::Outcome::NotPolicy } else { flowhy::model::why::Outcome::Undecidable };
            assert_eq!(c.why.outcome, wanted, "{}: {}", path.display(), c.why.text);
            assert!(c.why.policies.is_empty() && c.why.nearest.is_none(), "{}: {:?}", path.display(), c.why);
            assert!(other || c.why.missing == ["policies"], "{}: {:?}", path.display(), c.why.missing);
            drops += c.records;
        }
        entries += engine.causes().len();
        // A verdict and a drop record of each packet, from a few workloads to a few names.
        if path.ends_with("bakito__policy-report-publisher__hubble.jsonl") {
            let records: u64 = engine.causes().iter().map(|c| c.records).sum();
            let events: u64 = engine.causes().iter().map(|c| c.events).sum();
            assert!(records == 226 && events < 130 && engine.causes().len() < 40, "{records} {events} {}", engine.causes().len());
        }
    }
    eprintln!("{drops} recorded drops in {entries} entries");
    assert!(drops > 200);
}
