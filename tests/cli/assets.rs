//! What is handed out beside the program: every manifest can be read, and names only flags, rights and secrets that exist.
use clap::Parser as _;
use flowhy::cli::Cli;
use flowhy::model::doc::{Doc, Node};
use flowhy::policy::kind::KINDS;
use flowhy::world::yaml;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn docs(path: &str) -> Vec<Doc> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(path)).unwrap();
    let (docs, faults) = yaml::read(path, &text);
    assert!(faults.is_empty() && !docs.is_empty(), "{path}: {faults:?}");
    docs
}

fn find<'a>(all: &'a [Doc], kind: &str) -> &'a Doc {
    all.iter().find(|d| d.kind() == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn words(node: Option<&Node>) -> Vec<String> {
    node.unwrap_or_else(|| panic!("nothing there")).seq().iter().map(|n| n.str().unwrap().to_owned()).collect()
}

fn text(node: Option<&Node>) -> &str {
    node.and_then(Node::str).unwrap_or_default()
}

/// The flags are ours.
fn parses(args: &[String]) {
    let line = std::iter::once("flowhy").chain(args.iter().map(String::as_str));
    Cli::try_parse_from(line).unwrap_or_else(|e| panic!("{args:?}: {e}"));
}

/// Whether a role of the manifest grants all of this.
fn grants(all: &[Doc], role: &str, group: &str, resource: &str, verbs: &[&str], name: Option<&str>) -> bool {
    let roles = all.iter().filter(|d| d.kind() == role);
    roles.flat_map(|d| d.root.get("rules").unwrap().seq()).any(|r| {
        let has = |key: &str, wanted: &str| words(r.get(key)).iter().any(|w| w == wanted);
        let named = r.get("resourceNames").map(|n| words(Some(n)));
        has("apiGroups", group)
            && has("resources", resource)
            && verbs.iter().all(|v| has("verbs", v))
            && named.is_none_or(|all| name.is_some_and(|n| all.iter().any(|a| a == n)))
    })
}

fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    lower.strip_suffix('y').map_or_else(|| format!("{lower}s"), |stem| format!("{stem}ies"))
}

#[test]
fn the_role_has_the_rights_that_are_used_and_changes_nothing() {
    let all = docs("k8s/rbac.yaml");
    for k in KINDS.iter().filter(|k| !matches!(k.group, "extensions" | "audit.k8s.io")) {
        assert!(grants(&all, "ClusterRole", k.group, &plural(k.kind), &["list", "watch"], None), "{} of {:?}", k.kind, k.group);
    }
    for (group, resource) in [
        ("", "namespaces"),
        ("", "pods"),
        ("", "services"),
        ("", "nodes"),
        ("", "serviceaccounts"),
        ("discovery.k8s.io", "endpointslices"),
        ("cilium.io", "ciliumcidrgroups"),
        ("cilium.io", "ciliumendpoints"),
        ("apps", "daemonsets"),
    ] {
        assert!(grants(&all, "ClusterRole", group, resource, &["list", "watch"], None), "{resource}");
    }
    assert!(grants(&all, "ClusterRole", "", "services", &["get", "list"], None));
    assert!(grants(&all, "Role", "", "pods/portforward", &["get", "create"], None));
    for secret in ["hubble-relay-server-certs", "cilium-ca", "hubble-ui-client-certs"] {
        assert!(grants(&all, "Role", "", "secrets", &["get"], Some(secret)), "{secret}");
    }
    assert!(grants(&all, "Role", "", "configmaps", &["list", "watch"], Some("cilium-config")));
    assert!(!grants(&all, "Role", "", "secrets", &["get"], None) && !grants(&all, "ClusterRole", "", "secrets", &["get"], None));
    let mut verbs = BTreeSet::new();
    for role in all.iter().flat_map(|d| d.root.get("rules").unwrap().seq()) {
        let port_forward = words(role.get("resources")) == ["pods/portforward"];
        verbs.extend(words(role.get("verbs")).into_iter().filter(|_| !port_forward));
    }
    assert_eq!(verbs.into_iter().collect::<Vec<_>>(), ["get", "list", "watch"]);
}

#[test]
fn the_recorder_runs_with_flags_that_exist_and_the_rights_of_the_role() {
    let all = docs("k8s/recorder.yaml");
    let pod = find(&all, "Deployment").root.at(&["spec", "template", "spec"]).unwrap();
    let container = &pod.get("containers").unwrap().seq()[0];
    let args = words(container.get("args"));
    parses(&args);
    assert_eq!(args[0], "record");
    let account = find(&all, "ServiceAccount");
    let binding = &find(&all, "ClusterRoleBinding").root;
    assert_eq!(text(pod.get("serviceAccountName")), account.name());
    assert_eq!(text(binding.get("subjects").unwrap().seq()[0].get("name")), account.name());
    assert_eq!(text(binding.at(&["roleRef", "name"])), find(&docs("k8s/rbac.yaml"), "ClusterRole").name());
    let settings = &find(&all, "RoleBinding").root;
    assert_eq!(text(settings.get("subjects").unwrap().seq()[0].get("name")), account.name());
    let named = text(settings.at(&["roleRef", "name"]));
    let role = docs("k8s/rbac.yaml").into_iter().find(|d| d.name() == named).unwrap();
    assert!(grants(&[role], "Role", "", "configmaps", &["list", "watch"], Some("cilium-config")), "how Cilium enforces is recorded");
    let mount = &container.get("volumeMounts").unwrap().seq()[0];
    assert!(args[1].starts_with(&format!("{}/", text(mount.get("mountPath")))), "what is recorded is kept");
    let image = concat!("flowhy:", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(container.get("image")), image);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(fs::read_to_string(root.join("assets/k8s/Dockerfile")).unwrap().contains(image));
}

#[test]
fn k9s_calls_flowhy_with_flags_and_filters_that_exist() {
    let all = docs("k9s/plugins.yaml");
    let plugins = all[0].root.get("plugins").unwrap().map();
    assert!(plugins.len() >= 3);
    for plugin in plugins {
        let of = |key: &str| plugin.value.get(key);
        assert!(!text(of("shortCut")).is_empty() && !text(of("description")).is_empty(), "{}", plugin.key);
        assert!(!words(of("scopes")).is_empty());
        assert_eq!(text(of("command")), "flowhy");
        let given: Vec<String> = words(of("args"))
            .iter()
            .map(|a| a.replace("$CONTEXT", "prod").replace("$NAMESPACE", "shop").replace("$NAME", "cart-0"))
            .collect();
        assert!(given.iter().all(|a| !a.contains('$')), "{given:?}");
        parses(&given);
        let filter = given.last().unwrap();
        flowhy::query::parse(filter, &flowhy::query::Context::default()).unwrap_or_else(|e| panic!("{filter}: {}", e.to_error(filter)));
    }
}

#[test]
fn krew_finds_the_binary_of_this_version() {
    let all = docs("krew/flowhy.yaml");
    let plugin = find(&all, "Plugin");
    assert_eq!((plugin.name(), text(plugin.root.at(&["spec", "version"]))), ("flowhy", concat!("v", env!("CARGO_PKG_VERSION"))));
    for platform in plugin.root.at(&["spec", "platforms"]).unwrap().seq() {
        let files: Vec<&str> = platform.get("files").unwrap().seq().iter().map(|f| text(f.get("from"))).collect();
        assert!(files.contains(&text(platform.get("bin"))), "{files:?}");
        assert_eq!(text(platform.get("sha256")).len(), 64);
    }
}
