//! Whose an address was, and when. Owns the intervals in which pods held addresses, how long ended ones are kept, and which of
//! several holders is meant; labels and policies are not its business.
use super::Key;
use super::managed::Ward;
use super::objects::PodLike;
use crate::model::time::Nanos;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// How long a holder is remembered after its end, measured by the changes of the cluster.
const KEPT: i64 = 3_600 * Nanos::SECOND;

/// Ended holders remembered; further ones push out the oldest, and that is counted.
const MOST_ENDED: usize = 16_384;

/// By so much a node's clock and what is seen of the API may be apart.
const LAG: i64 = 5 * Nanos::SECOND;

/// How long after a pod's labels changed a node may still go by the old ones, and how far clocks may be apart; both sides. An address is
/// given and taken at once, but an identity is made anew in its own time.
const TURN: i64 = super::aged::SLACK;

/// A pod as it was while it held an address.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    /// No other hold ever has it.
    pub id: u64,
    pub key: Arc<Key>,
    pub pod: Arc<PodLike>,
    /// `None`: always, as far as anybody knows.
    from: Option<Nanos>,
    /// `None`: still.
    to: Option<Nanos>,
    /// When its labels were written that it was found with; `None`: it has had them all along. What they were before is not known.
    labelled: Option<Nanos>,
    /// Whether it was Cilium's, as was known at its end; `None`: it was not, or it has not ended.
    pub ward: Option<Ward>,
}

impl Hold {
    pub fn is_over(&self) -> bool {
        self.to.is_some()
    }

    /// When it began, when it ended, and before when it is not known how it was labelled.
    pub fn moments(&self) -> impl Iterator<Item = Nanos> {
        [self.from, self.to, self.labelled].into_iter().flatten()
    }

    /// Whether it is known to have had its labels at a time.
    pub fn is_known(&self, at: Option<Nanos>) -> bool {
        self.labelled.zip(at).is_none_or(|(labelled, at)| labelled.plus(TURN) <= at)
    }

    fn is_same_pod(&self, other: &Self) -> bool {
        self.key == other.key && self.pod.started == other.pod.started
    }

    /// Whether it may have had the address then; `None` asks for now.
    fn at(&self, at: Option<Nanos>, lag: i64) -> bool {
        let Some(at) = at else { return self.to.is_none() };
        self.from.is_none_or(|from| from.0.saturating_sub(lag) <= at.0) && self.to.is_none_or(|to| at.0 < to.0.saturating_add(lag))
    }
}

/// Who held an address.
#[derive(Debug)]
pub(super) enum Holder<'a> {
    Nobody,
    Pod(&'a Hold),
    /// This pod, and which labels it had is not certain.
    Labelled(&'a Hold),
    /// Pods on the network of this node, and how many.
    Host(&'a str, usize),
    /// Pods that are not alike, and nothing says which.
    Several,
}

/// What is known of a pod that a record names, with its address.
#[derive(Debug)]
pub(super) enum Named<'a> {
    Then(&'a Hold),
    /// Which labels it had is not certain.
    Labelled(&'a Hold),
    /// It had the address at another time.
    Once,
}

/// All addresses of pods.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses {
    holds: HashMap<IpAddr, Vec<Hold>>,
    /// When, whose and which; the oldest end first.
    ended: VecDeque<(Nanos, IpAddr, u64)>,
    next: u64,
    /// Pods that have an address or had one, by when they started.
    met: HashMap<Arc<Key>, Option<Nanos>>,
    /// Ranges in which pods and services were seen.
    ranges: HashSet<IpAddr>,
    /// Ended holders that found no room.
    pub forgotten: u64,
}

impl Addresses {
    /// Takes in that a pod is now `new` instead of `old`; `at`: when that was seen, `None`: it has always been so; `first`: it was found
    /// as it is, so that this is when its labels were written. `ward`: whether the old one was Cilium's.
    pub fn change(
        &mut self,
        key: &Arc<Key>,
        (old, ward): (Option<&Arc<PodLike>>, Option<Ward>),
        new: Option<&Arc<PodLike>>,
        (at, first): (Option<Nanos>, bool),
    ) {
        let none = Vec::new();
        let (before, after) = (old.map_or(&none, |p| &p.ips), new.map_or(&none, |p| &p.ips));
        for ip in before.iter().filter(|ip| !after.contains(ip)) {
            self.end(key, *ip, at, ward);
            // It was so all its life, under whichever labels.
            let held = self.holds.get_mut(ip).into_iter().flatten();
            held.filter(|h| h.key == *key && h.is_over() && old.is_some_and(|old| old.started == h.pod.started))
                .for_each(|h| h.ward = ward);
        }
        let Some(pod) = new else {
            self.met.remove(key);
            return;
        };
        // One that had another address before got this one when that was seen.
        let again = self.met.get(key) == Some(&pod.started);
        if !after.is_empty() {
            self.met.insert(key.clone(), pod.started);
        }
        // One that was started since is another pod.
        let alike = old.is_some_and(|old| old.is_alike(pod) && old.started == pod.started);
        for ip in after {
            let known = before.contains(ip);
            if known && alike {
                let held = self.holds.get_mut(ip).into_iter().flatten().find(|h| h.to.is_none() && h.key == *key);
                held.into_iter().for_each(|h| h.pod = pod.clone());
                continue;
            }
            if known {
                self.end(key, *ip, at, None);
            }
            // A pod has its first address a little earlier than the API says so. What it is changes when that is seen.
            let from = if known || again { at } else { pod.started.or(at) };
            let labelled = at.filter(|at| first && old.is_none() && from.is_some_and(|from| from < *at));
            self.begin(Hold { id: self.next, key: key.clone(), pod: pod.clone(), from, to: None, labelled, ward: None }, *ip);
        }
    }

    fn begin(&mut self, hold: Hold, ip: IpAddr) {
        self.next += 1;
        if !hold.pod.host_network {
            self.near(ip);
        }
        self.holds.entry(ip).or_default().push(hold);
    }

    fn end(&mut self, key: &Arc<Key>, ip: IpAddr, at: Option<Nanos>, ward: Option<Ward>) {
        let Some(list) = self.holds.get_mut(&ip) else { return };
        let Some(i) = list.iter().position(|h| h.to.is_none() && h.key == *key) else { return };
        match (at, list.get_mut(i)) {
            (Some(at), Some(hold)) => {
                (hold.to, hold.ward) = (Some(at), ward);
                self.ended.push_back((at, ip, hold.id));
                self.sweep(at);
            }
            _ => drop(list.remove(i)),
        }
    }

    fn sweep(&mut self, now: Nanos) {
        while let Some((end, ip, id)) = self.ended.front().copied() {
            let old = now.since(end) > KEPT;
            if !old && self.ended.len() <= MOST_ENDED {
                break;
            }
            self.forgotten += u64::from(!old);
            self.ended.pop_front();
            if let Some(list) = self.holds.get_mut(&ip) {
                list.retain(|h| h.id != id);
                if list.is_empty() {
                    self.holds.remove(&ip);
                }
            }
        }
    }

    /// Who held an address. `node`: where its holder was, if that is known.
    pub fn holder(&self, ip: IpAddr, at: Option<Nanos>, node: &str) -> Holder<'_> {
        let Some(list) = self.holds.get(&ip) else { return Holder::Nobody };
        // Where one takes over from another, either may have had it by the clock of the record's node.
        let mut found: Vec<&Hold> = list.iter().filter(|h| h.at(at, LAG)).collect();
        if !node.is_empty() && found.iter().any(|h| h.pod.node == node) {
            found.retain(|h| h.pod.node == node);
        }
        let Some(first) = found.first() else { return Holder::Nobody };
        if found.iter().all(|h| h.pod.host_network && h.pod.node == first.pod.node) {
            return Holder::Host(&first.pod.node, found.len());
        }
        match found.as_slice() {
            [all @ .., last] if all.iter().all(|h| h.is_same_pod(last)) => match self.is_labelled(ip, last, at) {
                true => Holder::Pod(last),
                false => Holder::Labelled(last),
            },
            _ => Holder::Several,
        }
    }

    /// Whether a pod that had an address had at a time only the labels of this hold.
    fn is_labelled(&self, ip: IpAddr, hold: &Hold, at: Option<Nanos>) -> bool {
        at.is_none() || hold.is_known(at) && self.about(ip, hold, at).all(|h| h.id == hold.id)
    }

    /// All holds of one pod by which a node may have gone at a time.
    pub fn about<'a>(&'a self, ip: IpAddr, hold: &'a Hold, at: Option<Nanos>) -> impl Iterator<Item = &'a Hold> {
        self.holds.get(&ip).into_iter().flatten().filter(move |h| h.is_same_pod(hold) && h.at(at, TURN))
    }

    /// Labels that the pod of a hold had at a time in any case.
    pub fn certain<'a>(&'a self, ip: IpAddr, hold: &'a Hold, at: Option<Nanos>) -> impl Iterator<Item = (&'a String, &'a String)> {
        let had = move |k: &String, v: &String| self.about(ip, hold, at).all(|h| h.is_known(at) && h.pod.labels.get(k) == Some(v));
        hold.pod.labels.iter().filter(move |(k, v)| had(k, v))
    }

    /// The pod of this name that held the address then; without a time, the last of this name that ever held it. `None`: it never did.
    pub fn named(&self, ip: IpAddr, namespace: &str, name: &str, at: Option<Nanos>) -> Option<Named<'_>> {
        let mine = || self.holds.get(&ip).into_iter().flatten().filter(|h| h.key.0 == namespace && h.key.1 == name);
        let then = mine().find(|h| h.at(at, 0)).or_else(|| mine().rfind(|h| at.is_none() || h.at(at, TURN)));
        let Some(hold) = then else { return mine().next_back().map(|_| Named::Once) };
        Some(if self.is_labelled(ip, hold, at) { Named::Then(hold) } else { Named::Labelled(hold) })
    }

    /// Who held an address, as far as that is remembered. Pods on a node's network have the node's, whichever they are.
    pub fn holders(&self, ip: IpAddr) -> impl Iterator<Item = &Hold> {
        self.holds.get(&ip).into_iter().flatten().filter(|h| !h.pod.host_network)
    }

    /// Notes that this address is the cluster's, so that its neighbours may be too.
    pub fn near(&mut self, ip: IpAddr) {
        self.ranges.insert(range(ip));
    }

    /// Whether addresses of its range are the cluster's.
    pub fn is_near(&self, ip: IpAddr) -> bool {
        self.ranges.contains(&range(ip))
    }
}

/// The range around an address in which a cluster gives addresses to pods or services.
fn range(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !0xffff)),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 72))),
    }
}

/// Whether an address can be outside of a cluster: no loopback, none that means a group or only the next wire. The metadata service
/// of clouds is not on the wire, whatever its address says.
pub(super) fn can_be_outside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) if v4 == Ipv4Addr::new(169, 254, 169, 254) => true,
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified() || v4.is_broadcast()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_multicast() || v6.is_unspecified() || v6.is_unicast_link_local()),
    }
}

/// Whether an address is one that clusters give to their pods: of no use on the internet.
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || matches!(v4.octets(), [100, 64..=127, ..]),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * Nanos::SECOND;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn pod(node: &str, app: &str) -> Arc<PodLike> {
        let labels = [("app".to_owned(), app.to_owned())].into();
        Arc::new(PodLike { labels, node: node.to_owned(), ips: vec![ip("10.0.0.7"), ip("fd00::7")], ..PodLike::default() })
    }

    fn key(name: &str) -> Arc<Key> {
        Arc::new(("shop".to_owned(), name.to_owned()))
    }

    fn minute(n: i64) -> Option<Nanos> {
        Some(Nanos(n * MINUTE))
    }

    fn app(a: &Addresses, at: Option<Nanos>, node: &str) -> String {
        match a.holder(ip("10.0.0.7"), at, node) {
            Holder::Pod(h) => format!("{} {}", h.key.1, h.pod.labels["app"]),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn an_address_is_whose_it_was_then() {
        let mut a = Addresses::default();
        let (first, second) = (pod("n1", "cart"), pod("n2", "db"));
        a.change(&key("a"), (None, None), Some(&first), (minute(10), false));
        a.change(&key("a"), (Some(&first), None), None, (minute(20), false));
        a.change(&key("b"), (None, None), Some(&second), (minute(30), false));
        let told: Vec<_> = [5, 15, 25, 31].map(|m| app(&a, minute(m), "")).into();
        assert_eq!(told, ["Nobody", "a cart", "Nobody", "b db"]);
        assert_eq!(app(&a, None, ""), "b db");
        assert!(matches!(a.holder(ip("fd00::7"), minute(15), ""), Holder::Pod(h) if h.key.1 == "a"), "dual stack");
        assert_eq!(app(&a, Some(Nanos(30 * MINUTE - Nanos::SECOND)), ""), "b db", "clocks are not that alike");
        let named = |at| a.named(ip("10.0.0.7"), "shop", "a", at);
        assert!(matches!(named(None), Some(Named::Then(h)) if h.pod.labels["app"] == "cart"), "the last of its name");
        assert!(matches!((named(minute(15)), named(minute(25))), (Some(Named::Then(_)), Some(Named::Once))));
        assert!(a.named(ip("10.0.0.7"), "shop", "c", minute(15)).is_none());
    }

    #[test]
    fn two_at_a_time_are_told_apart_by_the_node_or_not_at_all() {
        let mut a = Addresses::default();
        a.change(&key("a"), (None, None), Some(&pod("n1", "cart")), (minute(1), false));
        a.change(&key("b"), (None, None), Some(&pod("n2", "db")), (minute(1), false));
        assert_eq!([app(&a, minute(2), "n2"), app(&a, minute(2), ""), app(&a, minute(2), "n9")], ["b db", "Several", "Several"]);
    }

    #[test]
    fn where_an_address_is_handed_over_either_may_have_had_it() {
        let mut a = Addresses::default();
        let (first, second) = (pod("n1", "cart"), pod("n2", "db"));
        a.change(&key("a"), (None, None), Some(&first), (minute(10), false));
        a.change(&key("a"), (Some(&first), None), None, (minute(20), false));
        a.change(&key("b"), (None, None), Some(&second), (minute(20), false));
        let at = |s: i64| Some(Nanos(20 * MINUTE + s * Nanos::SECOND));
        let told: Vec<_> = [-6, -4, 0, 4, 6].map(|s| app(&a, at(s), "")).into();
        assert_eq!(told, ["a cart", "Several", "Several", "Several", "b db"]);
        assert_eq!([app(&a, at(1), "n1"), app(&a, at(-1), "n2")], ["a cart", "b db"], "its node tells");
    }

    #[test]
    fn what_a_pod_is_changes_while_its_address_stays() {
        let mut a = Addresses::default();
        let (old, new) = (pod("n1", "cart"), pod("n1", "cart2"));
        a.change(&key("a"), (None, None), Some(&old), (minute(1), false));
        a.change(&key("a"), (Some(&old), None), Some(&old.clone()), (minute(2), false));
        a.change(&key("a"), (Some(&old), None), Some(&new), (minute(3), false));
        assert_eq!([app(&a, minute(2), ""), app(&a, minute(4), ""), app(&a, None, "")], ["a cart", "a cart2", "a cart2"]);
    }

    fn told(a: &Addresses, at: i64) -> String {
        let (ip, at) = (ip("10.0.0.7"), Some(Nanos(at * Nanos::SECOND)));
        match a.holder(ip, at, "") {
            Holder::Pod(h) => h.pod.labels["app"].clone(),
            Holder::Labelled(h) => format!("one with {}", a.certain(ip, h, at).map(|(k, v)| format!("{k}={v} ")).collect::<String>()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn close_to_a_change_of_its_labels_a_pod_has_those_that_both_have() {
        let mut a = Addresses::default();
        let with = |app: &str| {
            let labels = [("app".to_owned(), app.to_owned()), ("team".to_owned(), "shop".to_owned())].into();
            Arc::new(PodLike { labels, ..PodLike::clone(&pod("n1", "")) })
        };
        let (old, new) = (with("cart"), with("cart2"));
        a.change(&key("a"), (None, None), Some(&old), (minute(1), false));
        a.change(&key("a"), (Some(&old), None), Some(&new), (minute(10), false));
        let told = [569, 571, 610, 629, 631].map(|s| told(&a, s));
        assert_eq!(told, ["cart", "one with team=shop ", "one with team=shop ", "one with team=shop ", "cart2"]);
    }

    #[test]
    fn labels_written_before_anybody_looked_are_not_those_of_its_whole_life() {
        let mut a = Addresses::default();
        let found = Arc::new(PodLike { started: minute(10), ..PodLike::clone(&pod("n1", "cart")) });
        a.change(&key("a"), (None, None), Some(&found), (minute(30), true));
        assert_eq!([590, 700, 1_820, 1_831].map(|s| told(&a, s)), ["Nobody", "one with ", "one with ", "cart"]);
        let mut a = Addresses::default();
        a.change(&key("a"), (None, None), Some(&found), (minute(10), true));
        assert_eq!(told(&a, 610), "cart", "they were written when it was made");
    }

    #[test]
    fn an_address_that_a_pod_changes_to_was_not_its_own_before() {
        let mut a = Addresses::default();
        let with = |ips: &[&str], started| {
            Arc::new(PodLike { ips: ips.iter().map(|i| ip(i)).collect(), started, ..PodLike::clone(&pod("n1", "cart")) })
        };
        let (first, none, then) = (with(&["10.0.0.5"], minute(1)), with(&[], minute(1)), with(&["10.0.0.7"], minute(1)));
        a.change(&key("a"), (None, None), Some(&first), (minute(2), false));
        a.change(&key("a"), (Some(&first), None), Some(&none), (minute(19), false));
        a.change(&key("a"), (Some(&none), None), Some(&then), (minute(20), false));
        assert_eq!([app(&a, minute(11), ""), app(&a, minute(21), "")], ["Nobody", "a cart"]);
        assert!(matches!(a.holder(ip("10.0.0.5"), minute(1), ""), Holder::Pod(_)), "its first one it had from its start");
        // Another pod of its name has its own first address.
        let next = with(&["10.0.0.9"], minute(30));
        a.change(&key("a"), (Some(&then), None), Some(&next), (minute(32), false));
        assert!(matches!(a.holder(ip("10.0.0.9"), minute(31), ""), Holder::Pod(_)));
    }

    #[test]
    fn pods_of_one_node_are_the_node() {
        let mut a = Addresses::default();
        let host = |n: &str| Arc::new(PodLike { host_network: true, ips: vec![ip("172.18.0.2")], node: n.into(), ..PodLike::default() });
        a.change(&key("a"), (None, None), Some(&host("n1")), (None, false));
        a.change(&key("b"), (None, None), Some(&host("n1")), (None, false));
        assert!(matches!(a.holder(ip("172.18.0.2"), minute(1), ""), Holder::Host("n1", 2)));
        assert!(!a.is_near(ip("172.18.0.3")), "nodes are known one by one");
    }

    #[test]
    fn ended_holders_are_kept_for_a_while_and_not_without_end() {
        let mut a = Addresses::default();
        let p = pod("n1", "cart");
        a.change(&key("a"), (None, None), Some(&p), (minute(1), false));
        a.change(&key("a"), (Some(&p), None), None, (minute(2), false));
        a.change(&key("b"), (None, None), Some(&p), (minute(50), false));
        a.change(&key("b"), (Some(&p), None), None, (minute(61), false));
        assert_eq!(app(&a, minute(1), ""), "a cart");
        a.change(&key("c"), (None, None), Some(&p), (minute(70), false));
        a.change(&key("c"), (Some(&p), None), None, (minute(71), false));
        assert_eq!((app(&a, minute(1), ""), app(&a, minute(55), "")), ("Nobody".to_owned(), "b cart".to_owned()));
        for i in 0..MOST_ENDED + 10 {
            let k = key(&i.to_string());
            a.change(&k, (None, None), Some(&p), (minute(72), false));
            a.change(&k, (Some(&p), None), None, (minute(72), false));
        }
        assert!(a.ended.len() <= MOST_ENDED && a.forgotten >= 10, "{} {}", a.ended.len(), a.forgotten);
        assert_eq!(a.holds.values().map(Vec::len).sum::<usize>(), a.ended.len());
    }

    #[test]
    fn labels_that_a_pod_may_not_have_had_before_a_change_are_not_certain_after_it() {
        let s = |n: i64| Some(Nanos(n * Nanos::SECOND));
        let of = |v: &str| {
            let mut p = PodLike::clone(&pod("n1", "cart"));
            p.labels.insert("v".to_owned(), v.to_owned());
            Arc::new(PodLike { started: s(-1_000), ..p })
        };
        let (mut a, one, two) = (Addresses::default(), of("one"), of("two"));
        a.change(&key("cart-0"), (None, None), Some(&one), (s(1_000), true));
        a.change(&key("cart-0"), (Some(&one), None), Some(&two), (s(1_020), false));
        let certain = |at| {
            let Holder::Labelled(hold) = a.holder(ip("10.0.0.7"), s(at), "") else { panic!("{at}") };
            a.certain(ip("10.0.0.7"), hold, s(at)).map(|(k, _)| k.clone()).collect::<Vec<_>>()
        };
        assert_eq!([certain(1_022), certain(1_029)], [[""; 0]; 2], "what it was labelled when it was found is not known of then");
        assert_eq!(certain(1_031), ["app"]);
    }
}
