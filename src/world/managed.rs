//! Which pods Cilium does not manage: it tells of each that it does in a CiliumEndpoint of the pod's name, and without it no policy of
//! pods applies to the pod, and to others it has the identity `unmanaged`.
//!
//! Owns when the want of that object shows anything: not in the first moments of a pod nor in its last ones, not before all are known, and
//! not where Cilium is told to write none.
use super::{Key, World};
use crate::model::time::Nanos;
use std::collections::HashMap;

/// What these objects are called.
pub(super) const ENDPOINTS: &str = "ciliumendpoints";

/// So long after the kubelet took a pod up nothing is concluded: volumes and images take their time before it has an address, and its
/// object comes over another watch.
const GRACE: i64 = 300 * Nanos::SECOND;

/// Settings by which the objects are not written, or not by the agents themselves.
const ELSEWHERE: &[&str] = &["disable-endpoint-crd", "enable-cilium-endpoint-slice"];

/// Pods that have such an object, or had it while they were there (`false`): an object that goes first shows nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Managed(HashMap<Key, bool>);

impl Managed {
    /// `true` if it had none.
    pub fn take(&mut self, key: Key) -> bool {
        self.0.insert(key, true).is_none()
    }

    pub fn remove(&mut self, key: &Key, stays: bool) {
        match self.0.get_mut(key) {
            Some(there) if stays => *there = false,
            _ => _ = self.0.remove(key),
        }
    }

    /// The pod is no more; its object may go a little later.
    pub fn pod_went(&mut self, key: &Key) {
        if self.0.get(key) == Some(&false) {
            self.0.remove(key);
        }
    }
}

impl World {
    /// Whether it is certain that Cilium does not manage a pod at a time; `None` asks for the time of the first list.
    pub fn is_unmanaged(&self, namespace: &str, name: &str, at: Option<Nanos>) -> bool {
        // Of a cluster with none of these objects it is not known that Cilium writes them.
        if self.managed.0.is_empty() {
            return false;
        }
        let key = (namespace.to_owned(), name.to_owned());
        if self.managed.0.contains_key(&key) {
            return false;
        }
        let (Some(pod), Some(listed)) = (self.pods.get(&key), self.kinds.listed(ENDPOINTS)) else { return false };
        let known = |kind| self.kinds.missing(kind, None).is_none() && self.kinds.missing(kind, at).is_none();
        let elsewhere = ELSEWHERE.iter().any(|setting| self.settings.flag(setting) == Some(true));
        let lasting = !pod.host_network && !pod.finished && !pod.leaving && !pod.ips.is_empty();
        let old = pod.started.is_some_and(|started| at.unwrap_or(listed).since(started) > GRACE);
        lasting && old && !elsewhere && known(ENDPOINTS) && known("pods") && known("configmaps")
    }
}

#[cfg(test)]
mod tests {
    use crate::model::input::{Change, Kind, KindState, ObjectId};
    use crate::model::observed::Party;
    use crate::model::time::Nanos;
    use crate::world::{World, yaml};
    use std::sync::Arc;

    const POD: &str = "kind: Pod\napiVersion: v1\nmetadata: {name: NAME, namespace: shop, labels: {app: NAME}}\nspec: {}\nstatus: {phase: Running, podIP: ADDR, startTime: '1970-01-01T00:10:00Z'}\n";

    fn s(n: i64) -> Option<Nanos> {
        Some(Nanos(n * Nanos::SECOND))
    }

    fn put(w: &mut World, body: &str, at: i64) {
        for doc in yaml::read("x.yaml", body).0 {
            w.apply_at(&Change::Apply(Arc::new(doc)), s(at));
        }
    }

    fn endpoint(name: &str) -> String {
        format!("kind: CiliumEndpoint\napiVersion: cilium.io/v2\nmetadata: {{name: {name}, namespace: shop}}\n")
    }

    fn note(w: &mut World, group: &str, kind: &str, state: KindState, at: i64) {
        let (group, kind) = (group.to_owned(), kind.to_owned());
        w.apply_at(&Change::Kind(Kind { group, kind, state }), s(at));
    }

    /// Two pods, of which the first is managed; both kinds were read ten minutes after they started.
    fn cluster() -> World {
        let mut w = World::new();
        for (name, ip) in [("cart", "10.0.0.1"), ("old", "10.0.0.2")] {
            put(&mut w, &POD.replace("NAME", name).replace("ADDR", ip), 1_200);
        }
        put(&mut w, &endpoint("cart"), 1_200);
        note(&mut w, "", "Pod", KindState::Synced, 1_200);
        note(&mut w, "cilium.io", "CiliumEndpoint", KindState::Synced, 1_200);
        w
    }

    #[test]
    fn a_pod_that_runs_and_has_no_object_is_not_managed() {
        let w = cluster();
        assert_eq!(["cart", "old", "none"].map(|name| w.is_unmanaged("shop", name, None)), [false, true, false]);
        let told = [670, 910].map(|at| w.is_unmanaged("shop", "old", s(at)));
        assert_eq!(told, [false, true], "a young pod may still get it");
        let e = w.endpoint(&Party { present: true, ip: "10.0.0.2".parse().ok(), ..Party::default() });
        assert!(e.known && e.labels.reserved("unmanaged") && !e.labels.is_pod() && e.pod == "old", "{e:?}");
        let numbered = Party { present: true, namespace: "shop".into(), pod: "old".into(), identity: 4_711, ..Party::default() };
        assert!(w.endpoint(&numbered).labels.is_pod(), "an agent that has a number for it manages it");
    }

    #[test]
    fn what_is_not_certain_is_not_claimed() {
        type Case = (&'static str, fn(&mut World));
        let changes: &[Case] = &[
            ("not read", |w| note(w, "cilium.io", "CiliumEndpoint", KindState::Stale("gone".into()), 1_300)),
            ("pods not read", |w| note(w, "", "Pod", KindState::Stale("gone".into()), 1_300)),
            ("it had one", |w| {
                put(w, &endpoint("old"), 1_300);
                let id =
                    ObjectId { group: "cilium.io".into(), kind: "CiliumEndpoint".into(), namespace: "shop".into(), name: "old".into() };
                w.apply_at(&Change::Remove(id), s(1_301));
            }),
            ("on its way out", |w| {
                put(
                    w,
                    &POD.replace("NAME", "old").replace("ADDR", "10.0.0.2").replace("metadata: {", "metadata: {deletionTimestamp: x, "),
                    1_300,
                );
            }),
            ("at its end", |w| put(w, &POD.replace("NAME", "old").replace("ADDR", "10.0.0.2").replace("Running", "Failed"), 1_300)),
            ("on its node's network", |w| {
                put(w, &POD.replace("NAME", "old").replace("ADDR", "10.0.0.2").replace("spec: {}", "spec: {hostNetwork: true}"), 1_300)
            }),
            ("written elsewhere", |w| {
                put(
                    w,
                    "kind: ConfigMap\napiVersion: v1\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {enable-cilium-endpoint-slice: 'true'}\n",
                    1_300,
                );
            }),
        ];
        for (what, change) in changes {
            let mut w = cluster();
            change(&mut w);
            assert!(!w.is_unmanaged("shop", "old", s(1_400)), "{what}");
        }
        let mut none = World::new();
        put(&mut none, &POD.replace("NAME", "old").replace("ADDR", "10.0.0.2"), 1_200);
        note(&mut none, "cilium.io", "CiliumEndpoint", KindState::Synced, 1_200);
        assert!(!none.is_unmanaged("shop", "old", None), "a cluster that writes none");
    }
}
