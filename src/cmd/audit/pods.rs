//! Whom the policies are to protect: every pod once, from its manifest, else from its workload's template, else from the recording.
//!
//! Owns the counting and which pods are alike for policies. Judges nothing.
use super::report::KnownFrom;
use crate::engine::{Engine, who};
use crate::model::observed::Party;
use crate::policy::PolicySet;
use crate::policy::ir::Subject as Selects;
use crate::world::labels::{CLUSTER, Label, POD_NAMESPACE, SERVICE_ACCOUNT};
use crate::world::{Endpoint, World};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A pod, or a workload of whose pods none is at hand.
pub struct Subject {
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// What a person would call it: the workload, or the pod itself.
    pub called: String,
    pub replicas: Option<u64>,
    pub known_from: KnownFrom,
    pub endpoint: Endpoint,
}

/// Subjects that no policy can tell apart, by their places in the list.
pub struct Group {
    pub members: Vec<usize>,
}

fn party(namespace: &str, pod: &str, workload: Option<(&str, &str)>) -> Party {
    let workloads = workload.map(|(kind, name)| (kind.to_owned(), name.to_owned())).into_iter().collect();
    Party { present: true, namespace: namespace.to_owned(), pod: pod.to_owned(), workloads, ..Party::default() }
}

/// All subjects, by namespace, kind and name.
pub fn all(engine: &Engine) -> Vec<Subject> {
    let world = engine.world();
    let mut out = Vec::new();
    // Workloads of which a pod is at hand, as (namespace, kind, name).
    let mut met: HashSet<(String, String, String)> = HashSet::new();
    for ((ns, name), pod) in world.pods().into_iter().filter(|(_, p)| !p.finished) {
        let by_name = || world.workload_of(ns, name, &[]).map(|(k, n, _)| (k.to_owned(), n.to_owned()));
        if let Some((kind, owner)) = pod.owner.clone().or_else(by_name) {
            met.insert((ns.clone(), kind, owner));
        }
        let mut p = party(ns, name, None);
        p.ip = pod.ips.first().copied();
        out.push(subject(world, &p, "Pod", name, None, KnownFrom::Manifest));
    }
    let workloads = world.workloads();
    let there: HashSet<_> = workloads.iter().map(|(ns, kind, name, _)| (*ns, *kind, *name)).collect();
    // A ReplicaSet's pods are its Deployment's.
    for (ns, kind, name, template) in &workloads {
        if let Some((ok, on)) = &template.owner
            && met.contains(&((*ns).to_owned(), (*kind).to_owned(), (*name).to_owned()))
        {
            met.insert(((*ns).to_owned(), ok.clone(), on.clone()));
        }
    }
    for (ns, kind, name, template) in &workloads {
        let owned = template.owner.as_ref().is_some_and(|(ok, on)| there.contains(&(*ns, ok.as_str(), on.as_str())));
        // What an older revision of a Deployment left behind makes no pods.
        let spent = *kind == "ReplicaSet" && template.owner.is_some() && template.replicas == Some(0);
        // The pod of a Deployment names a ReplicaSet, that of a CronJob a Job, and neither need be among the manifests.
        let by_revision = || {
            let made = match *kind {
                "Deployment" => "ReplicaSet",
                "CronJob" => "Job",
                _ => return false,
            };
            let of_it = |o: &str| o.rsplit_once('-').is_some_and(|(owner, _)| owner == *name);
            met.iter().any(|(n, k, o)| n == ns && k == made && of_it(o))
        };
        let key = ((*ns).to_owned(), (*kind).to_owned(), (*name).to_owned());
        if owned || spent || met.contains(&key) || by_revision() {
            continue;
        }
        out.push(subject(world, &party(ns, "", Some((kind, name))), kind, name, template.replicas, KnownFrom::Template));
    }
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    for p in engine.talks().iter().flat_map(|t| [&t.flow.src, &t.flow.dst]).filter(|p| !p.pod.is_empty() && !p.namespace.is_empty()) {
        let new = seen.insert((&p.namespace, &p.pod));
        if new && world.pod(&p.namespace, &p.pod).is_none() && world.workload_of(&p.namespace, &p.pod, &p.workloads).is_none() {
            out.push(subject(world, p, "Pod", &p.pod, None, KnownFrom::Traffic));
        }
    }
    out.sort_by(|a, b| (&a.namespace, &a.kind, &a.name).cmp(&(&b.namespace, &b.kind, &b.name)));
    out
}

fn subject(world: &World, p: &Party, kind: &str, name: &str, replicas: Option<u64>, known_from: KnownFrom) -> Subject {
    Subject {
        namespace: p.namespace.clone(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        called: who(p, world).workload,
        replicas,
        known_from,
        endpoint: world.endpoint(p),
    }
}

/// A pod of a namespace with no label of its own: what comes tomorrow.
pub fn newcomer(world: &World, namespace: &str) -> Endpoint {
    let labels = vec![format!("k8s:{POD_NAMESPACE}={namespace}"), format!("k8s:{SERVICE_ACCOUNT}=default")];
    let pod = "a new pod".to_owned();
    world.endpoint(&Party { present: true, namespace: namespace.to_owned(), pod, labels, ..Party::default() })
}

/// Puts together what no selector of a subject can tell apart: ten thousand pods are a few hundred groups.
pub fn groups(subjects: &[Subject], set: &PolicySet) -> Vec<Group> {
    let mut keys: BTreeSet<&str> = BTreeSet::from([POD_NAMESPACE, CLUSTER]);
    for section in set.iter().flat_map(|p| &p.sections) {
        let (Selects::Endpoints(s) | Selects::Nodes(s)) = &section.subject;
        keys.extend(s.all.iter().map(|r| r.key.as_str()));
    }
    let mut out: Vec<Group> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (i, s) in subjects.iter().enumerate() {
        let e = &s.endpoint;
        let tells = |l: &&Label| l.source != "k8s" || keys.contains(l.key.as_str());
        let mut labels: Vec<_> = e.labels.0.iter().filter(tells).collect();
        labels.sort_unstable();
        // On the host's network the node counts, and that is known by the address.
        let node = e.ip.filter(|_| e.host_network);
        let key = format!("{:?}", (&s.namespace, labels, e.host_network, e.known, e.namespace_labels, e.inferred, node, &e.named_ports));
        let place = *places.entry(key).or_insert_with(|| {
            out.push(Group { members: Vec::new() });
            out.len() - 1
        });
        if let Some(group) = out.get_mut(place) {
            group.members.push(i);
        }
    }
    out
}
