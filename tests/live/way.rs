//! The way in: the real binary, a kubeconfig, and Relay behind a cluster's API.
use super::api::Api;
use super::{Reaped, flowhy, ring, runtime, serve_at, text};
use flowhy::demo::Simulation;
use flowhy::serve::{Listen, Ring, Running, Tls};
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Relay's service and its pods as the chart makes them, `ready` or not.
pub fn relay(namespace: &str, name: &str, port: u16, pods: &[(&str, bool)]) -> String {
    let mut out = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{namespace: {namespace}, name: {name}, labels: {{k8s-app: hubble-relay, app.kubernetes.io/part-of: cilium}}}}\n\
         spec: {{selector: {{k8s-app: hubble-relay}}, ports: [{{port: {port}, targetPort: grpc}}]}}\n"
    );
    for (pod, ready) in pods {
        out.push_str(&format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{namespace: {namespace}, name: {pod}, labels: {{k8s-app: hubble-relay}}}}\n\
             spec: {{containers: [{{name: hubble-relay, ports: [{{name: grpc, containerPort: 4245}}]}}]}}\n\
             status: {{phase: Running, conditions: [{{type: Ready, status: \"{}\", lastTransitionTime: \"2026-01-01T00:00:00Z\"}}]}}\n",
            if *ready { "True" } else { "False" }
        ));
    }
    out
}

pub fn at(server: &Running) -> SocketAddr {
    server.address.trim_start_matches("tls://").parse().unwrap()
}

/// A cluster whose Relay has a ring, reached with the kubeconfig in a folder of its own.
pub struct Cluster {
    pub runtime: tokio::runtime::Runtime,
    pub api: Api,
    pub ring: Arc<Ring>,
    simulation: Simulation,
    server: Running,
    pub dir: tempfile::TempDir,
    pub config: PathBuf,
}

impl Cluster {
    fn new(listen: Listen) -> Self {
        let runtime = runtime();
        let (ring, simulation) = ring(500);
        let (api, server) = runtime.block_on(async { (Api::start().await, serve_at(&ring, listen).await) });
        let dir = tempfile::tempdir().unwrap();
        let config = api.kubeconfig(dir.path(), "prod");
        Self { runtime, api, ring, simulation, server, dir, config }
    }

    /// Relay stands where the chart puts it.
    pub fn usual(listen: Listen, port: u16) -> Self {
        let me = Self::new(listen);
        me.api.put(&relay("kube-system", "hubble-relay", port, &[("relay-1", true)]));
        me.api.listen("kube-system/relay-1:4245", at(&me.server));
        me
    }

    pub fn command(&self, args: &[&str]) -> Command {
        command(self.dir.path(), &self.config, args)
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The error, whose exit code is 3, in its lines.
    fn refused(&self, args: &[&str]) -> (String, String, String) {
        let o = self.run(args);
        assert_eq!((o.status.code(), text(&o.stdout).as_str()), (Some(3), ""), "{}", text(&o.stderr));
        let err = text(&o.stderr);
        let line = |head: &str| err.lines().find_map(|l| l.strip_prefix(head)).unwrap_or_else(|| panic!("{head:?} in {err}")).to_owned();
        (line("error: "), line("  cause: "), line("  hint: "))
    }

    /// New flows; returns their ids.
    pub fn push(&mut self, n: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..n {
            let (at, r) = self.simulation.next();
            self.ring.push(at, &r);
            if let Some(ResponseTypes::Flow(f)) = r.response_types {
                ids.push(f.uuid);
            }
        }
        ids
    }
}

fn command(home: &Path, kubeconfig: &Path, args: &[&str]) -> Command {
    let mut c = flowhy(args);
    c.env("HOME", home).env("XDG_CONFIG_HOME", home).env("KUBECONFIG", kubeconfig);
    for name in ["KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        c.env_remove(name);
    }
    c
}

fn uuids(out: &str) -> Vec<String> {
    let id = |l: &str| serde_json::from_str::<Value>(l).unwrap()["flow"]["uuid"].as_str().map(str::to_owned);
    out.lines().filter_map(id).collect()
}

/// Reads flows from a child until there are `n`.
fn read(out: &mut impl BufRead, n: usize, seen: &mut Vec<String>) {
    let mut line = String::new();
    while seen.len() < n {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "ended after {}", seen.len());
        seen.extend(uuids(&line));
    }
}

/// A SOCKS5 proxy that asks for no password; where it was led to.
async fn socks() -> (SocketAddr, Arc<Mutex<Vec<u16>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, led) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let all = led.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let all = all.clone();
            tokio::spawn(async move {
                let mut greeting = [0; 2];
                from.read_exact(&mut greeting).await.unwrap();
                from.read_exact(&mut vec![0; greeting[1] as usize]).await.unwrap();
                from.write_all(&[5, 0]).await.unwrap();
                let mut request = [0; 4];
                from.read_exact(&mut request).await.unwrap();
                assert_eq!(request, [5, 1, 0, 1], "to an address of version 4");
                let mut place = [0; 6];
                from.read_exact(&mut place).await.unwrap();
                let [a, b, c, d, high, low] = place;
                let port = u16::from_be_bytes([high, low]);
                all.lock().unwrap().push(port);
                let mut to = tokio::net::TcpStream::connect((std::net::Ipv4Addr::new(a, b, c, d), port)).await.unwrap();
                from.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (address, led)
}

#[test]
fn a_socks_proxy_of_the_kubeconfig_carries_the_api_and_the_port_forward() {
    let cluster = Cluster::usual(Listen::loopback(), 80);
    let (proxy, led) = cluster.runtime.block_on(socks());
    let config = std::fs::read_to_string(&cluster.config).unwrap();
    std::fs::write(&cluster.config, config.replace("{server: ", &format!("{{proxy-url: \"socks5://{proxy}\", server: "))).unwrap();
    let found = cluster.run(&["observe", "-P", "--last", "7", "-o", "jsonpb"]);
    assert_eq!((found.status.code(), text(&found.stderr)), (Some(0), String::new()));
    assert_eq!(uuids(&text(&found.stdout)).len(), 7);
    let led = led.lock().unwrap();
    // Questions share a connection; the port-forward has one of its own.
    assert!(led.len() >= 2 && led.iter().all(|port| *port == cluster.api.address.port()), "{led:?}");
}

#[test]
fn without_a_flag_relay_is_found_and_its_flows_come() {
    if std::net::TcpStream::connect("localhost:4245").is_ok() {
        eprintln!("skipped: something listens at the default server");
        return;
    }
    let cluster = Cluster::usual(Listen::loopback(), 80);
    let direct = cluster.run(&["observe", "--server", &cluster.server.address, "--last", "7", "-o", "jsonpb"]);
    let found = cluster.run(&["observe", "--last", "7", "-o", "jsonpb"]);
    assert_eq!((found.status.code(), text(&found.stderr)), (Some(0), String::new()));
    assert_eq!(text(&found.stdout), text(&direct.stdout));
    assert_eq!(uuids(&text(&found.stdout)).len(), 7);
    assert_eq!(cluster.api.requests("/api/v1/namespaces/kube-system/secrets/hubble-relay-server-certs"), 0, "plain text needs no secret");
    // Without a kubeconfig it stays as it is, and the hint says what would help.
    let none = cluster.dir.path().join("none");
    let o = command(cluster.dir.path(), &none, &["observe"]).output().unwrap();
    let err = text(&o.stderr);
    assert!(o.status.code() == Some(3) && err.contains("cannot reach localhost:4245") && err.contains("there is no kubeconfig"), "{err}");
}

#[test]
fn every_command_takes_the_way() {
    let cluster = Cluster::usual(Listen::loopback(), 80);
    let o = cluster.run(&["status", "-P"]);
    assert!(o.status.success(), "{}", text(&o.stderr));
    assert!(text(&o.stdout).starts_with("Healthcheck (via hubble-relay of prod): Ok"), "{}", text(&o.stdout));
    let o = cluster.run(&["list", "namespaces", "--kube-context", "prod", "--port-forward-port", "4246"]);
    assert!(o.status.success() && text(&o.stdout).starts_with("NAMESPACE"), "{}{}", text(&o.stdout), text(&o.stderr));
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo");
    let o = cluster.run(&["why", "-P", "--policies", policies, "-o", "json", "drop:policy"]);
    assert!(o.status.success() && text(&o.stdout).contains(r#""outcome":"default-deny""#), "{}", text(&o.stderr));
    // What Hubble calls it, from its own variables.
    let o = cluster.command(&["observe", "--last", "3", "-o", "jsonpb"]).env("HUBBLE_PORT_FORWARD", "true").output().unwrap();
    assert_eq!(uuids(&text(&o.stdout)).len(), 3, "{}", text(&o.stderr));
    let o = cluster.run(&["observe", "-P", "--kube-context", "proud"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(text(&o.stderr).contains("there are prod"), "{}", text(&o.stderr));
}

#[test]
fn a_port_forward_that_dies_in_mid_stream_leaves_no_gap_and_no_flow_twice() {
    let mut cluster = Cluster::usual(Listen::loopback(), 80);
    let mut child = Reaped(cluster.command(&["observe", "-P", "-f", "--last", "10", "-o", "jsonpb"]).spawn().unwrap());
    let mut out = BufReader::new(child.0.stdout.take().unwrap());
    let mut seen = Vec::new();
    read(&mut out, 10, &mut seen);
    let mut wanted = cluster.push(40);
    read(&mut out, 10 + wanted.len(), &mut seen);
    // In the middle of a message, then all connections at once, then the pod: the next one is ready and the old one is not.
    cluster.api.change(|s| s.forwards_break = Some(2500));
    wanted.extend(cluster.push(60));
    read(&mut out, 10 + wanted.len(), &mut seen);
    assert_eq!(cluster.api.change(|s| s.forwards_break), None, "it broke");
    cluster.api.cut();
    wanted.extend(cluster.push(60));
    read(&mut out, 10 + wanted.len(), &mut seen);
    cluster.api.put(&relay("kube-system", "hubble-relay", 80, &[("relay-1", false), ("relay-2", true)]));
    cluster.api.listen("kube-system/relay-2:4245", at(&cluster.server));
    cluster.api.cut();
    wanted.extend(cluster.push(60));
    read(&mut out, 10 + wanted.len(), &mut seen);
    assert_eq!(seen[10..], wanted);
    assert!(cluster.api.requests("/api/v1/namespaces/kube-system/pods/relay-2/portforward") > 0);
    assert!(Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap().success());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    let mut err = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(err.contains("prod") && err.trim_end().ends_with("note: connected to prod again"), "{err}");
}

#[test]
fn what_is_missing_is_said_in_three_lines_with_the_right_that_would_help() {
    let cluster = Cluster::usual(Listen::loopback(), 80);
    cluster.api.forbid("pods/portforward", true);
    let (what, cause, hint) = cluster.refused(&["observe", "-P"]);
    assert_eq!(what, "cannot reach hubble-relay of prod");
    assert!(cause.starts_with("the right to get pods/portforward in kube-system is missing: pods \"relay-1\" is forbidden"), "{cause}");
    assert_eq!(hint, "kubectl auth can-i get pods/portforward -n kube-system (from Kubernetes 1.35 on: create too)");
    cluster.api.forbid("pods", true);
    let (_, cause, hint) = cluster.refused(&["status", "--kube-context", "prod"]);
    assert!(cause.contains("the right to list pods in kube-system is missing"), "{cause}");
    assert_eq!(hint, "kubectl --context prod auth can-i list pods -n kube-system");
    cluster.api.forbid("services", true);
    assert!(cluster.refused(&["observe", "-P", "-f"]).1.contains("the right to get services in kube-system is missing"));
    for resource in ["pods/portforward", "pods", "services"] {
        cluster.api.forbid(resource, false);
    }
    // Nothing is behind the port; nothing is ready; nothing is there.
    cluster.api.change(|s| s.ports.clear());
    let cause = cluster.refused(&["observe", "-P"]).1;
    assert!(cause.contains("kube-system/relay-1:4245 failed: error forwarding port 4245 to pod: connection refused"), "{cause}");
    cluster.api.put(&relay("kube-system", "hubble-relay", 80, &[("relay-1", false)]));
    let (_, cause, hint) = cluster.refused(&["observe", "-P"]);
    assert_eq!(cause, "none of the 1 pods of hubble-relay in kube-system is ready");
    assert_eq!(hint, "kubectl -n kube-system get pods -l k8s-app=hubble-relay");
    cluster.api.delete("services", "kube-system", "hubble-relay");
    assert!(cluster.refused(&["observe", "-P"]).1.starts_with("the cluster has no Hubble Relay"));
    cluster.api.down();
    let (_, cause, hint) = cluster.refused(&["observe", "-P", "-f"]);
    assert!(cause.starts_with("the Kubernetes API does not answer"), "{cause}");
    assert!(hint.contains("kubectl cluster-info"), "{hint}");
}

/// Certificates as the chart makes them.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, dir: tempfile::tempdir().unwrap() }
    }

    fn sign(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn listen(&self, mutual: bool) -> Listen {
        let file = |name: &str, text: &str| {
            let path = self.dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (cert, key) = self.sign("*.hubble-relay.cilium.io");
        let client_ca = mutual.then(|| file("ca.crt", &self.issuer.pem()));
        Listen::Tls(([127, 0, 0, 1], 0).into(), Tls { cert: file("tls.crt", &cert), key: file("tls.key", &key), client_ca })
    }

    fn secret(&self, name: &str, parts: &[(&str, &str)]) -> Value {
        let data: serde_json::Map<String, Value> =
            parts.iter().map(|(k, v)| ((*k).to_owned(), json!(ByteString(v.as_bytes().to_vec())))).collect();
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "kube-system", "name": name}, "data": data})
    }
}

#[test]
fn relays_certificate_is_checked_with_the_authority_of_its_secret() {
    let ours = Authority::new();
    // The service says 80, and TLS answers all the same.
    for port in [443, 80] {
        let cluster = Cluster::usual(ours.listen(false), port);
        let (what, cause, hint) = cluster.refused(&["observe", "-P"]);
        assert_eq!(what, "cannot reach hubble-relay of prod");
        assert!(cause.contains("unknown authority") && cause.contains("no secret in kube-system holds the authority"), "{cause}");
        assert_eq!(hint, "--tls-ca-cert-files FILE names it");
        cluster.api.forbid("secrets", true);
        let (_, cause, hint) = cluster.refused(&["observe", "-P"]);
        assert!(cause.contains("the right to get secrets in kube-system is missing"), "{cause}");
        assert!(hint.ends_with("kubectl auth can-i get secrets -n kube-system"), "{hint}");
        let o = cluster.run(&["observe", "-P", "--tls-allow-insecure", "--last", "3", "-o", "jsonpb"]);
        assert_eq!(uuids(&text(&o.stdout)).len(), 3, "{}", text(&o.stderr));
        cluster.api.forbid("secrets", false);
        cluster.api.change(|s| s.put(ours.secret("hubble-relay-server-certs", &[("ca.crt", &ours.issuer.pem())])));
        for args in [&["observe", "-P", "--last", "3", "-o", "jsonpb"][..], &["observe", "-P", "--tls", "--last", "3", "-o", "jsonpb"]] {
            let o = cluster.run(args);
            assert_eq!(uuids(&text(&o.stdout)).len(), 3, "{}", text(&o.stderr));
        }
        // Flags win.
        assert!(cluster.refused(&["observe", "-P", "--tls-server-name", "other.example"]).1.contains("not other.example"));
        assert!(cluster.refused(&["observe", "-P", "--tls=false"]).0.contains("hubble-relay of prod"));
    }
}

#[test]
fn a_certificate_that_relay_wants_is_that_of_the_ui() {
    let ours = Authority::new();
    let cluster = Cluster::usual(ours.listen(true), 443);
    cluster.api.change(|s| s.put(ours.secret("cilium-ca", &[("ca.crt", &ours.issuer.pem())])));
    let (_, cause, hint) = cluster.refused(&["observe", "-P"]);
    assert!(cause.starts_with("relay wants a client certificate, and no secret in kube-system holds one"), "{cause}");
    assert!(hint.contains("--tls-client-cert-file"), "{hint}");
    let (cert, key) = ours.sign("*.hubble-ui.cilium.io");
    cluster.api.change(|s| s.put(ours.secret("hubble-ui-client-certs", &[("tls.crt", &cert), ("tls.key", &key)])));
    let o = cluster.run(&["observe", "-P", "--last", "3", "-o", "jsonpb"]);
    assert_eq!(uuids(&text(&o.stdout)).len(), 3, "{}", text(&o.stderr));
}

#[test]
fn relay_is_found_by_its_label_in_another_namespace() {
    let cluster = Cluster::new(Listen::loopback());
    cluster.api.put(&relay("cilium", "relay-of-ours", 80, &[("relay-1", true)]));
    cluster.api.listen("cilium/relay-1:4245", at(&cluster.server));
    let flows = |args: &[&str]| {
        let o = cluster.run(args);
        assert_eq!(uuids(&text(&o.stdout)).len(), 3, "{}", text(&o.stderr));
    };
    flows(&["observe", "-P", "--last", "3", "-o", "jsonpb"]);
    // Of two nobody knows which one is meant.
    cluster.api.put(&relay("retina", "hubble-relay", 80, &[("relay-9", true)]));
    let (_, cause, hint) = cluster.refused(&["observe", "-P"]);
    assert_eq!(
        (cause.as_str(), hint.as_str()),
        ("there are several Hubble Relays: in cilium, retina", "--kube-namespace NAME says which one")
    );
    flows(&["observe", "-P", "--kube-namespace", "cilium", "--last", "3", "-o", "jsonpb"]);
}

#[test]
fn two_contexts_are_two_servers_of_one_stream() {
    let (one, two) = (Cluster::usual(Listen::loopback(), 80), Cluster::usual(Listen::loopback(), 80));
    // The simulations are the same one: what tells the clusters apart is that their flows come from both.
    let config = two.api.kubeconfig(two.dir.path(), "stage");
    let list = std::env::join_paths([&one.config, &config]).unwrap();
    let args = ["observe", "--kube-context", "prod", "--kube-context", "stage", "--last", "4", "-o", "jsonpb"];
    let o = one.command(&args).env("KUBECONFIG", &list).output().unwrap();
    let ids = uuids(&text(&o.stdout));
    assert_eq!(ids.len(), 8, "{}", text(&o.stderr));
    assert!(ids.chunks(2).all(|c| c[0] == c[1]), "merged by time: {ids:?}");
    two.api.forbid("pods/portforward", true);
    let o = one.command(&args).env("KUBECONFIG", &list).output().unwrap();
    assert_eq!(uuids(&text(&o.stdout)).len(), 4, "one cluster is read though the other refuses");
    assert!(text(&o.stderr).contains("stage") && text(&o.stderr).contains("pods/portforward"), "{}", text(&o.stderr));
    let o = one.command(&["status", "--kube-context", "prod", "--kube-context", "stage"]).env("KUBECONFIG", &list).output().unwrap();
    assert_eq!(o.status.code(), Some(2), "{}", text(&o.stderr));
}

#[test]
fn a_question_is_answered_from_the_cluster_without_a_flow() {
    // There is no Relay, and none is asked for.
    let cluster = Cluster::new(Listen::loopback());
    let pod = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: shop, name: {name}-1, labels: {{app: {name}}}}}\nspec: {{containers: []}}\nstatus: {{phase: Running}}\n---\n"
        )
    };
    cluster.api.put("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {namespace: kube-system, name: cilium}\nspec: {}\n");
    cluster.api.put(&format!(
        "{}{}{}apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{namespace: shop, name: db-ingress}}\n\
         spec: {{podSelector: {{matchLabels: {{app: db}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{app: cart}}}}}}], ports: [{{port: 5432}}]}}]}}\n",
        pod("web"),
        pod("cart"),
        pod("db")
    ));
    let ask = |src: &str, more: &[&str]| {
        let o = cluster.run(&[&["why", src, "shop/db-1:5432/tcp"], more].concat());
        (o.status.code(), text(&o.stdout), text(&o.stderr))
    };
    for more in [&[][..], &["--kube-context", "prod"]] {
        let (code, out, err) = ask("shop/web-1", more);
        assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
        assert!(out.contains("default-deny") && out.contains("shop/db-ingress"), "{out}");
        assert_eq!(ask("shop/cart-1", more).0, Some(0));
    }
    // A slip of the pen is no pod that no policy selects: the lists are complete. A workload's name stands for its pods.
    cluster.api.put("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    cluster.api.put("apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: api-0, labels: {app: cart}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: api, uid: u, controller: true}]}\nspec: {containers: []}\nstatus: {phase: Running}\n");
    for (src, cause, hint) in [
        ("shp/cart-1", "the cluster has no namespace shp", "did you mean shop?"),
        ("shop/crt-1", "shop has no pod or service crt-1, nor a pod of a workload of that name", "did you mean cart-1?"),
    ] {
        let (code, out, err) = ask(src, &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(cause) && err.contains(hint), "{err}");
    }
    // Workloads are not listed: one that is scaled to none, or a job between two runs, is there without a pod.
    let (code, out, err) = ask("shop/nightly-batch", &[]);
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    let parts = ["undecidable", "missing: labels:shop/nightly-batch", "no pod of shop/nightly-batch is there now"];
    assert!(parts.iter().all(|part| out.contains(part)), "{out}");
    let (code, out, _) = ask("shop/api", &[]);
    assert!(code == Some(0) && out.contains("shop/api is judged as its pod api-0"), "{out}");
    // What is given by hand stands in place of the cluster's policies; alone, nothing of the cluster is read.
    let before = cluster.api.requests("/api/v1/pods");
    let open = cluster.dir.path().join("open.yaml");
    std::fs::write(&open, pod("web") + &pod("db")).unwrap();
    assert_eq!(ask("shop/web-1", &["--policies", open.to_str().unwrap()]).0, Some(0));
    assert_eq!(cluster.api.requests("/api/v1/pods"), before);
    // Nobody has a cluster: as if nothing were known, with what would help.
    let none = command(cluster.dir.path(), &cluster.dir.path().join("none"), &["why", "shop/web-1", "shop/db-1"]).output().unwrap();
    assert!(text(&none.stderr).contains("--kube-context NAME reads those of a cluster"), "{}", text(&none.stderr));
    for kind in ["configmaps", "daemonsets.apps"] {
        cluster.api.forbid(kind, true);
        let (out, fact) = (ask("shop/web-1", &[]).1, format!("missing: {} forbidden", kind.trim_end_matches(".apps")));
        assert!(out.contains("undecidable") && out.contains(&fact) && !out.contains("\n✗"), "{out}");
        assert!(ask("shop/web-1", &["--policy-enforcement", "default"]).1.contains("default-deny"));
        cluster.api.forbid(kind, false);
    }
    // A policy that may not be read leaves no certain answer.
    cluster.api.forbid("pods", true);
    assert_ne!(ask("shop/crt-1", &[]).0, Some(2), "it may be there");
    cluster.api.forbid("pods", false);
    cluster.api.forbid("networkpolicies.networking.k8s.io", true);
    let (_, out, _) = ask("shop/cart-1", &[]);
    assert!(out.contains("undecidable") && out.contains("policies:networkpolicies forbidden"), "{out}");
    assert!(!out.lines().any(|l| l.starts_with('✓') || l.starts_with("ok ")), "nor is any side certain: {out}");
}

#[test]
fn an_audit_is_of_what_is_in_the_cluster() {
    let cluster = Cluster::new(Listen::loopback());
    let pod = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{namespace: shop, name: {name}-1, labels: {{app: {name}}}}}\nspec: {{containers: []}}\nstatus: {{phase: Running}}\n---\n"
        )
    };
    let all = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\n{}{}apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{namespace: shop, name: db}}\n\
         spec: {{podSelector: {{matchLabels: {{app: db}}}}, policyTypes: [Ingress, Egress]}}\n",
        pod("web"),
        pod("db")
    );
    cluster.api.put("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {namespace: kube-system, name: cilium}\nspec: {}\n");
    cluster.api.put(&all);
    let file = cluster.dir.path().join("all.yaml");
    std::fs::write(&file, &all).unwrap();
    let audit = |more: &[&str]| {
        let o = cluster.run(&[&["audit", "-q", "-o", "json"], more].concat());
        (o.status.code(), serde_json::from_slice::<Value>(&o.stdout).unwrap_or_default(), text(&o.stderr))
    };
    let (code, live, err) = audit(&["--kube-context", "prod"]);
    assert_eq!((code, err.as_str()), (Some(1), ""), "{live}");
    let (_, given, _) = audit(&["--policies", file.to_str().unwrap()]);
    let left_out = |r: &Value, words: &str| r["not_looked_at"].to_string().contains(words);
    assert!(!left_out(&live, "manifests are taken for what is in force") && left_out(&live, "changed in the cluster"), "{live}");
    assert!(left_out(&given, "manifests are taken for what is in force"), "{given}");
    let pods = |r: &Value| {
        let shop = r["namespaces"].as_array().unwrap().iter().find(|n| n["name"] == "shop").unwrap().clone();
        let of = |p: &Value| (p["name"].clone(), p["ingress"]["state"].clone(), p["egress"]["state"].clone());
        shop["pods"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(pods(&live), pods(&given), "as the same manifests");
    assert!(pods(&live).contains(&(json!("db-1"), json!("closed"), json!("closed"))), "{live}");
    assert_eq!((live["inputs"][0]["path"].as_str(), live["inputs"][0]["what"].as_str()), (Some("cluster prod"), Some("cluster")));
    for kind in ["configmaps", "daemonsets.apps"] {
        cluster.api.forbid(kind, true);
        let (code, live, err) = audit(&["--kube-context", "prod"]); // Nobody can tell whether anything is enforced.
        assert!(code == Some(4) && err.contains(&format!("{} forbidden", kind.trim_end_matches(".apps"))), "{code:?} {err}");
        assert!(pods(&live).contains(&(json!("db-1"), json!("unknown"), json!("unknown"))), "it may not be enforced: {live}");
        assert_eq!(pods(&audit(&["--kube-context", "prod", "--policy-enforcement", "default"]).1), pods(&given));
        cluster.api.forbid(kind, false);
    }
    // Of what may not be read nothing is called open, and the answer is none.
    cluster.api.forbid("networkpolicies.networking.k8s.io", true);
    let (code, live, err) = audit(&["--kube-context", "prod"]);
    assert!(code == Some(4) && err.contains("networkpolicies forbidden"), "{code:?} {err}");
    assert!(pods(&live).iter().all(|(_, ingress, egress)| (ingress, egress) == (&json!("unknown"), &json!("unknown"))), "{live}");
    // Two clusters are not mixed, and none is left out without a word.
    let other = Cluster::new(Listen::loopback());
    let stage = other.api.kubeconfig(other.dir.path(), "stage");
    let list = std::env::join_paths([&cluster.config, &stage]).unwrap();
    let o = cluster.command(&["audit", "--kube-context", "prod", "--kube-context", "stage"]).env("KUBECONFIG", &list).output().unwrap();
    assert!(o.status.code() == Some(2) && text(&o.stderr).contains("prod, stage"), "{}", text(&o.stderr));
    cluster.api.down();
    let o = cluster.run(&["audit", "--kube-context", "prod"]);
    assert!(
        o.status.code() == Some(3) && o.stdout.is_empty() && text(&o.stderr).contains("cannot read anything of prod"),
        "{}",
        text(&o.stderr)
    );
}

#[test]
fn a_question_that_no_cluster_answers_is_an_error_and_not_an_answer() {
    let cluster = Cluster::new(Listen::loopback());
    cluster.api.down();
    for more in [&[][..], &["--kube-context", "prod"]] {
        let (what, cause, hint) = cluster.refused(&[&["why", "shop/cart", "shop/db:5432"], more].concat());
        assert_eq!(what, "cannot read anything of prod");
        assert!(cause.contains("does not answer") && hint.contains("cluster-info"), "{cause}\n{hint}");
    }
}

#[test]
fn who_waits_for_the_first_lists_is_told_so() {
    let cluster = Cluster::usual(Listen::loopback(), 80);
    cluster.api.hold("/api/v1/namespaces?");
    cluster.api.hold("/api/v1/pods");
    let mut child = Reaped(cluster.command(&["observe", "-P", "--last", "3", "--why", "-o", "jsonpb"]).spawn().unwrap());
    let mut err = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.starts_with("note: reading what is in prod; it is waited for 20 s at most"), "{line}");
    cluster.api.release("/api/v1/namespaces?");
    cluster.api.release("/api/v1/pods");
    let mut seen = Vec::new();
    read(&mut BufReader::new(child.0.stdout.take().unwrap()), 3, &mut seen);
}
