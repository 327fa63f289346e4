//! Explanations remembered: flows that are alike are explained once. Owns what makes flows alike and how much is remembered; what an
//! explanation says is the policy room's business.
//!
//! Two flows are alike if they differ in time, node and the ports of their initiators only. What DNS taught about an address, and whose
//! a bare address was at the flow's time and seen from its node, is part of the likeness, so a new answer makes a new explanation;
//! whatever changes the policies or the cluster makes all of them anew.
use super::spell::Spell;
use crate::model::observed::{Direction, L4, Observed, Party, Reported, Verdict};
use crate::model::time::Nanos;
use crate::model::why::Why;
use crate::policy::{self, End, PolicySet};
use crate::world::{Stand, World};
use foldhash::HashMap;
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// Explanations remembered, about 1 KB each.
const MOST_MEMOS: usize = 1 << 17;
/// Endpoints remembered, about 1 KB each: whoever is in one conversation is in others too.
const MOST_ENDS: usize = 1 << 15;

/// What stands for a long text: 128 bits, of which two texts have the same by no chance that matters (one in 10²⁸ among a million),
/// and by no design either, since the seeds are this process's own. Comparing the texts themselves would cost a walk through memory
/// that lies in no cache.
type Digest = u128;

/// A flow without what differs among alike ones. Long texts stand in it as digests, and its own digest stands for it: what is compared
/// when a flow is looked up is one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: Digest,
    dst: Digest,
    /// L7 record, policies that the agent names, the agent; 0: none of them.
    words: Digest,
    drop_reason: u32,
    auth_type: i32,
    event: Option<(i32, i32)>,
    verdict: Verdict,
    /// Of the one who was called.
    port: u16,
    icmp: Option<(u8, u8)>,
    l4: Option<L4>,
    direction: Option<Direction>,
    is_reply: Option<bool>,
    syn: Option<bool>,
    syn_ack: bool,
    l7_response: bool,
}

/// What explanations were made under.
type Basis = (u64, u64, policy::Options);

/// The explanations of one world and one set of policies.
#[derive(Debug)]
pub struct Attribution {
    memo: Recent<Digest, Arc<Why>>,
    ends: Recent<Digest, Arc<End>>,
    basis: Option<Basis>,
    spell: Spell,
    seeds: [RandomState; 2],
}

impl Default for Attribution {
    fn default() -> Self {
        Self::of(MOST_MEMOS)
    }
}

impl Attribution {
    /// One that remembers no more than so many explanations.
    pub fn of(most: usize) -> Self {
        let (memo, ends) = (Recent::new(most), Recent::new(most.min(MOST_ENDS)));
        Self { memo, ends, basis: None, spell: Spell::default(), seeds: Default::default() }
    }

    /// The explanation of a flow as it was reported. World and policies have to be the same ones each time; that they change is noticed.
    pub fn why(&mut self, o: &Observed, world: &World, set: &PolicySet, opt: &policy::Options) -> Arc<Why> {
        let basis = Some((world.generation(), set.generation(), *opt));
        if self.basis != basis {
            self.memo.clear();
            self.ends.clear();
            self.basis = basis;
        }
        let key = self.key(o, world);
        let digest = self.digest(key);
        if let Some(why) = self.memo.get(&digest) {
            return why;
        }
        let ends = self.ends(&key, o, world);
        let why = Arc::new(policy::why(o, ends.each_ref().map(Arc::as_ref), world, set, opt));
        self.memo.insert(digest, why.clone());
        why
    }

    /// Sender and receiver. Who was looked up may be somebody else beside another one or under another verdict, and is not remembered.
    fn ends(&mut self, key: &Key, o: &Observed, world: &World) -> [Arc<End>; 2] {
        let [alone_src, alone_dst] = world.stands(o).map(|s| !s.is_some());
        let (src, dst) = (self.ends.get(&key.src).filter(|_| alone_src), self.ends.get(&key.dst).filter(|_| alone_dst));
        if let (Some(src), Some(dst)) = (&src, &dst) {
            return [src.clone(), dst.clone()];
        }
        let [new_src, new_dst] = world.endpoints(o).map(|e| Arc::new(End::new(e)));
        for (digest, end, alone) in [(key.src, &new_src, alone_src && src.is_none()), (key.dst, &new_dst, alone_dst && dst.is_none())] {
            if alone {
                self.ends.insert(digest, end.clone());
            }
        }
        [src.unwrap_or(new_src), dst.unwrap_or(new_dst)]
    }

    fn key(&mut self, o: &Observed, world: &World) -> Key {
        let silent = o.l7.is_none() && o.emitter.is_empty() && o.reported == Reported::default();
        let words = if silent {
            0
        } else {
            self.spell.begin().l7(o.l7.as_ref()).said(o);
            self.digest(self.spell.bytes())
        };
        let [src, dst] = world.stands(o);
        Key {
            src: self.party(&o.src, &src, world, o.at),
            dst: self.party(&o.dst, &dst, world, o.at),
            words,
            drop_reason: o.drop_reason,
            auth_type: o.auth_type,
            event: o.event,
            verdict: o.verdict,
            port: if o.reply() == Some(true) { o.src_port } else { o.dst_port },
            icmp: o.icmp,
            l4: o.l4,
            direction: o.direction,
            is_reply: o.is_reply,
            syn: o.syn,
            syn_ack: o.syn_ack,
            l7_response: o.l7_response,
        }
    }

    fn party(&mut self, p: &Party, stand: &Stand<'_>, world: &World, at: Option<Nanos>) -> Digest {
        let learnt = p.ip.map(|ip| world.names_of(ip)).unwrap_or_default();
        // Names inside a chain of CNAMEs are for people.
        let names = learnt.iter().map(|l| if l.alias { "" } else { l.name.as_str() });
        self.spell.begin().party(p).stand(stand).number(world.era(p, stand, at)).texts(names);
        self.digest(self.spell.bytes())
    }

    fn digest(&self, of: impl Hash) -> Digest {
        let [high, low] = self.seeds.each_ref().map(|s| u128::from(s.hash_one(&of)));
        (high << 64) | low
    }
}

/// A bounded memory. When its younger half is full the older half is forgotten: whatever is asked for now and then stays.
#[derive(Debug)]
struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    most: usize,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), most }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(v) = self.young.get(key) {
            return Some(v.clone());
        }
        let (key, v) = self.old.remove_entry(key)?;
        self.insert(key, v.clone());
        Some(v)
    }

    fn insert(&mut self, key: K, v: V) {
        if self.young.len() >= self.most / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, v);
    }

    fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::Change;
    use crate::model::observed::{L7, Named};
    use crate::world::yaml;

    fn flow() -> Observed {
        let side = |pod: &str| Party { present: true, namespace: "shop".into(), pod: pod.into(), ..Party::default() };
        Observed {
            verdict: Verdict::Dropped,
            l4: Some(L4::Tcp),
            src_port: 40_000,
            dst_port: 80,
            src: side("cart"),
            dst: side("db"),
            ..Observed::default()
        }
    }

    #[test]
    fn whatever_a_record_says_makes_another_key_but_time_node_and_the_initiators_port() {
        let (mut a, world) = (Attribution::default(), World::new());
        let first = a.key(&flow(), &world);
        for change in [(|o: &mut Observed| o.at = Some(Nanos(7))) as fn(&mut Observed), |o| o.node = "n".into(), |o| o.src_port = 40_001] {
            let mut o = flow();
            change(&mut o);
            assert_eq!(a.key(&o, &world), first, "{o:?}");
        }
        let changes: &[fn(&mut Observed)] = &[
            |o| o.verdict = Verdict::Audit,
            |o| o.drop_reason = 133,
            |o| o.event = Some((1, 133)),
            |o| o.direction = Some(Direction::Egress),
            |o| o.is_reply = Some(true),
            |o| o.is_reply = Some(false),
            |o| o.l4 = Some(L4::Udp),
            |o| o.dst_port = 81,
            |o| o.icmp = Some((8, 0)),
            |o| o.syn = Some(true),
            |o| o.syn_ack = true,
            |o| o.l7 = Some(L7::Other),
            |o| o.l7 = Some(L7::Http { method: "GET".into(), url: "/".into(), code: 0, headers: Vec::new() }),
            |o| o.l7 = Some(L7::Http { method: "GE".into(), url: "T/".into(), code: 0, headers: Vec::new() }),
            |o| o.l7 = Some(L7::Http { method: "GET".into(), url: "/".into(), code: 403, headers: Vec::new() }),
            |o| o.l7_response = true,
            |o| o.auth_type = 1,
            |o| o.emitter = "Hubble".into(),
            |o| o.reported.log = vec!["x".into()],
            |o| o.reported.egress_denied = vec![Named { kind: "k".into(), namespace: String::new(), name: "n".into() }],
            |o| o.reported.ingress_denied = vec![Named { kind: "k".into(), namespace: String::new(), name: "n".into() }],
            |o| o.dst.present = false,
            |o| o.dst.ip = "10.0.0.1".parse().ok(),
            |o| o.dst.identity = 4,
            |o| o.dst.namespace = "sho".into(),
            |o| o.dst.pod = "d".into(),
            |o| o.dst.labels = vec!["a".into(), "b".into()],
            |o| o.dst.labels = vec!["b".into(), "a".into()],
            |o| o.dst.labels = vec!["ab".into()],
            |o| o.dst.workloads = vec![("a".into(), "b".into())],
            |o| o.dst.names = vec!["a".into(), "b".into()],
            |o| o.dst.service = Some((String::new(), String::new())),
            |o| o.dst.cluster = "c".into(),
            |o| std::mem::swap(&mut o.src, &mut o.dst),
        ];
        let mut keys = vec![first];
        for change in changes {
            let mut o = flow();
            change(&mut o);
            let key = a.key(&o, &world);
            assert!(!keys.contains(&key), "{o:?}");
            assert_eq!(a.key(&o, &world), key);
            keys.push(key);
        }
    }

    #[test]
    fn a_change_of_policies_or_cluster_makes_explanations_anew() {
        let (mut a, mut world, mut set, opt) = (Attribution::default(), World::new(), PolicySet::new(), policy::Options::default());
        let ask = |a: &mut Attribution, world: &World, set: &PolicySet| a.why(&flow(), world, set, &opt);
        let first = ask(&mut a, &world, &set);
        assert!(Arc::ptr_eq(&first, &ask(&mut a, &world, &set)));
        set.set_given();
        let second = ask(&mut a, &world, &set);
        assert_ne!(first, second, "no policies at hand, and none that isolates");
        let body = "kind: Pod\napiVersion: v1\nmetadata: {name: db, namespace: shop}\nspec: {}\n---\nkind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: p, namespace: shop}\nspec: {podSelector: {}}\n";
        let mut last = second;
        for doc in yaml::read("x.yaml", body).0 {
            let change = Change::Apply(Arc::new(doc));
            world.apply(&change);
            set.apply(&change);
            let next = ask(&mut a, &world, &set);
            assert!(!Arc::ptr_eq(&last, &next));
            last = next;
        }
        assert_eq!(last.policies.len(), 1);
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let mut r: Recent<u32, u32> = Recent::new(8);
        for i in 0..100 {
            assert_eq!(r.get(&i), None);
            r.insert(i, i);
            assert_eq!(r.get(&0), Some(0), "{i}");
            assert!(r.young.len() + r.old.len() <= 8);
        }
        assert_eq!((r.get(&50), r.get(&99)), (None, Some(99)));
    }
}
