//! Which pods Cilium does not manage: it tells of each that it does in a CiliumEndpoint of the pod's name, and without it no policy of
//! pods applies to the pod, and to others it has the identity `unmanaged`.
//!
//! Owns when the want of that object shows anything: not in the first moments of a pod nor in its last ones, not before all are known, and
//! not where Cilium is told to write none. A pod is managed all its life or never: what was known of it at its end is kept as long as it is
//! remembered that it had its address, so that a drop seen late is not taken for one of the pod that has its name now.
use super::addresses::Hold;
use super::objects::PodLike;
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

/// Whether a pod is Cilium's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ward {
    /// It is, as far as anybody can say.
    Managed,
    /// It is certain that it is not.
    Unmanaged,
    /// It is gone, and what it was nobody saw.
    Unknown,
}

impl World {
    /// Whether it is certain that Cilium does not manage a pod at a time; `None` asks for the time of the first list.
    pub fn is_unmanaged(&self, namespace: &str, name: &str, at: Option<Nanos>) -> bool {
        self.ward(None, namespace, name, at) == Ward::Unmanaged
    }

    /// The same of the pod that had this hold, which may be gone; without one, of that which has the name now.
    pub(super) fn ward(&self, hold: Option<&Hold>, namespace: &str, name: &str, at: Option<Nanos>) -> Ward {
        // Of a cluster with none of these objects it is not known that Cilium writes them.
        if self.managed.0.is_empty() || self.is_told_elsewhere() {
            return Ward::Managed;
        }
        let key = (namespace.to_owned(), name.to_owned());
        let now = self.pods.get(&key);
        if let Some(hold) = hold.filter(|h| h.is_over() && now.is_none_or(|now| now.started != h.pod.started)) {
            return hold.ward.unwrap_or(Ward::Unknown);
        }
        let Some(pod) = now.filter(|_| !self.managed.0.contains_key(&key)) else { return Ward::Managed };
        let lasting = !pod.finished && !pod.leaving;
        if lasting && self.can_tell(pod, at) { Ward::Unmanaged } else { Ward::Managed }
    }

    /// Whether the want of the object says that a pod is not managed, as far as its age and what is known go.
    fn can_tell(&self, pod: &PodLike, at: Option<Nanos>) -> bool {
        let Some(listed) = self.kinds.listed(ENDPOINTS) else { return false };
        let old = pod.started.is_some_and(|started| at.unwrap_or(listed).since(started) > GRACE);
        let placed = !pod.host_network && !pod.ips.is_empty();
        placed && old && self.are_known(at)
    }

    /// Whether pods, these objects and settings are known now and were then.
    fn are_known(&self, at: Option<Nanos>) -> bool {
        let known = |kind| self.kinds.missing(kind, None).is_none() && self.kinds.missing(kind, at).is_none();
        known(ENDPOINTS) && known("pods") && known("configmaps")
    }

    fn is_told_elsewhere(&self) -> bool {
        ELSEWHERE.iter().any(|setting| self.settings.flag(setting) == Some(true))
    }

    /// What is to be remembered of a pod that ends; `None`: it cannot be said.
    pub(super) fn last_ward(&self, key: &Key, pod: &PodLike, at: Option<Nanos>) -> Option<Ward> {
        if pod.host_network {
            return Some(Ward::Managed);
        }
        // After a gap the object may be that of a later pod of this name.
        if self.managed.0.contains_key(key) {
            return self.are_known(at).then_some(Ward::Managed);
        }
        // Before its end it had time to get the object, or it did not live that long.
        let young = pod.started.zip(at).is_some_and(|(started, at)| at.since(started) <= GRACE);
        match (self.can_tell(pod, at), young && self.are_known(at)) {
            (true, _) => Some(Ward::Unmanaged),
            (false, true) => Some(Ward::Managed),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::input::{Change, Kind, KindState, ObjectId};
    use crate::model::observed::{Observed, Party};
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

    fn remove(w: &mut World, kind: &str, name: &str, at: i64) {
        let group = if kind == "Pod" { String::new() } else { "cilium.io".to_owned() };
        w.apply_at(&Change::Remove(ObjectId { group, kind: kind.into(), namespace: "shop".into(), name: name.into() }), s(at));
    }

    /// What policies take the holder of an address for at a time.
    fn seen(w: &World, ip: &str, at: i64) -> &'static str {
        let side = Party { present: true, ip: ip.parse().ok(), ..Party::default() };
        let [e, _] = w.endpoints(&Observed { at: s(at), src: side, ..Observed::default() });
        match (e.known, e.labels.reserved("unmanaged")) {
            (true, true) => "unmanaged",
            (true, false) => "pod",
            (false, _) => "unknown",
        }
    }

    #[test]
    fn a_late_drop_is_of_the_pod_that_was_there_then() {
        let mut w = cluster();
        // Both are started anew with the same names and addresses, and both are managed now.
        for (name, ip) in [("cart", "10.0.0.1"), ("old", "10.0.0.2")] {
            remove(&mut w, "CiliumEndpoint", name, 1_999);
            remove(&mut w, "Pod", name, 2_000);
            put(&mut w, &POD.replace("NAME", name).replace("ADDR", ip).replace("00:10:00", "00:33:20"), 2_000);
            put(&mut w, &endpoint(name), 2_010);
        }
        let at = |ip: &str| [1_500, 2_600].map(|at| seen(&w, ip, at));
        assert_eq!((at("10.0.0.1"), at("10.0.0.2")), (["pod", "pod"], ["unmanaged", "pod"]));
        let side = Party { present: true, ip: "10.0.0.2".parse().ok(), ..Party::default() };
        let era = |at| {
            let o = Observed { at: s(at), src: side.clone(), ..Observed::default() };
            let [stand, _] = w.stands(&o);
            w.era(&side, &stand, s(at))
        };
        assert_ne!(era(1_500), era(2_600), "no answer is remembered for both");
    }

    #[test]
    fn a_pod_that_is_labelled_anew_while_it_is_young_is_what_it_turns_out_to_be() {
        let mut w = cluster();
        let pod = |app: &str| POD.replace("app: NAME", &format!("app: {app}")).replace("NAME", "late").replace("ADDR", "10.0.0.9");
        let pod = |app: &str| pod(app).replace("00:10:00", "00:26:40");
        put(&mut w, &pod("a"), 1_600);
        put(&mut w, &pod("b"), 1_700);
        remove(&mut w, "Pod", "late", 2_500);
        assert_eq!([1_650, 2_400].map(|at| seen(&w, "10.0.0.9", at)), ["unmanaged", "unmanaged"], "by either labels");
    }

    #[test]
    fn the_object_of_a_later_pod_of_the_same_name_says_nothing_of_the_one_before() {
        // Its end was not seen, nor when the other one came.
        let mut w = cluster();
        put(&mut w, &endpoint("old"), 1_500);
        put(&mut w, &POD.replace("NAME", "old").replace("ADDR", "10.0.0.2").replace("00:10:00", "00:23:20"), 1_600);
        assert_eq!(seen(&w, "10.0.0.2", 1_300), "unknown");
        // Nor is it known where pods were not watched when it went.
        let mut w = cluster();
        note(&mut w, "", "Pod", KindState::Stale("gone".into()), 1_300);
        put(&mut w, &endpoint("old"), 1_400);
        note(&mut w, "", "Pod", KindState::Synced, 1_500);
        remove(&mut w, "Pod", "old", 1_500);
        assert_eq!(seen(&w, "10.0.0.2", 1_200), "unknown");
    }

    #[test]
    fn of_a_pod_whose_end_nobody_saw_it_is_not_known_and_a_short_life_shows_nothing() {
        let mut w = cluster();
        note(&mut w, "cilium.io", "CiliumEndpoint", KindState::Stale("gone".into()), 1_300);
        remove(&mut w, "Pod", "old", 1_400);
        note(&mut w, "cilium.io", "CiliumEndpoint", KindState::Synced, 1_500);
        assert_eq!(seen(&w, "10.0.0.2", 1_350), "unknown");
        let brief = POD.replace("NAME", "job").replace("ADDR", "10.0.0.3").replace("00:10:00", "00:26:40");
        put(&mut w, &brief, 1_600);
        remove(&mut w, "Pod", "job", 1_700);
        assert_eq!(seen(&w, "10.0.0.3", 1_650), "pod");
    }
}
