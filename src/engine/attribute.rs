//! Explanations remembered: flows that are alike are explained once. Owns what makes flows alike and how much is remembered; what an
//! explanation says is the policy room's business.
//!
//! Two flows are alike if they differ only in time, node, the ports of their initiators, headers that no rule asks for, and the addresses
//! and lifetime in a DNS answer. What DNS taught about an address, and whose a bare address was at the flow's time and seen from its node,
//! is part of the likeness, so a new answer makes a new explanation; whatever changes the policies or the cluster makes all of them anew.
use super::spell::Spell;
use crate::model::observed::Observed;
use crate::model::recent::Recent;
use crate::model::why::Why;
use crate::policy::eval::l7::asked_headers;
use crate::policy::{self, End, Kin, Memory, PolicySet, Selected};
use crate::world::{Endpoint, Stand, World};
use foldhash::quality::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Explanations remembered, about 1 KB each.
const MOST_MEMOS: usize = 1 << 17;
/// Endpoints remembered, about 1 KB each: whoever is in one conversation is in others too.
const MOST_ENDS: usize = 1 << 15;
/// Sides judged and remembered, about 1 KB each: what a replica may do the others may.
const MOST_SIDES: usize = 1 << 15;

/// What stands for a long text: 128 bits, of which two texts have the same by no chance that matters (one in 10²⁸ among a million),
/// and by no design either, since the seeds are this process's own. Comparing the texts themselves would cost a walk through memory
/// that lies in no cache.
type Digest = (u64, u64);

/// What explanations were made under.
type Basis = (u64, u64, policy::Options);

/// The explanations of one world and one set of policies.
#[derive(Debug)]
pub struct Attribution {
    memo: Recent<Digest, Arc<Why>>,
    ends: Recent<Digest, Arc<End>>,
    kin: Recent<Kin, Arc<Selected>>,
    sides: Memory,
    basis: Option<Basis>,
    spell: Spell,
    /// Headers that rules ask for, of which set of policies.
    asked: (Option<u64>, Vec<String>),
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
        let (memo, ends, kin) = (Recent::new(most), Recent::new(most.min(MOST_ENDS)), Recent::new(most.min(MOST_ENDS)));
        let (sides, spell, asked, seeds) =
            (Memory::of(most.min(MOST_SIDES)), Spell::default(), <(Option<u64>, Vec<String>)>::default(), Default::default());
        Self { memo, ends, kin, sides, basis: None, spell, asked, seeds }
    }

    /// The explanation of a flow as it was reported. World and policies have to be the same ones each time; that they change is noticed.
    pub fn why(&mut self, o: &Observed, world: &World, set: &PolicySet, opt: &policy::Options) -> Arc<Why> {
        let basis = Some((world.generation(), set.generation(), *opt));
        if self.basis != basis {
            self.memo.clear();
            self.ends.clear();
            self.kin.clear();
            self.sides.clear();
            self.basis = basis;
            if self.asked.0 != Some(set.generation()) {
                self.asked = (Some(set.generation()), asked_headers(set.iter().map(Arc::as_ref)));
            }
        }
        let stands = world.stands(o);
        let digest = self.key(o, &stands, world);
        if let Some(why) = self.memo.get(&digest) {
            return why;
        }
        let ends = self.ends(o, &stands, world, opt);
        let why = Arc::new(policy::why(o, ends.each_ref().map(Arc::as_ref), world, set, opt, &mut self.sides));
        self.memo.insert(digest, why.clone());
        why
    }

    /// Sender and receiver. Who was looked up may be somebody else beside another one or under another verdict, and is not remembered.
    fn ends(&mut self, o: &Observed, stands: &[Stand<'_>; 2], world: &World, opt: &policy::Options) -> [Arc<End>; 2] {
        let [of_src, of_dst] = [(&o.src, &stands[0]), (&o.dst, &stands[1])].map(|(party, stand)| {
            self.spell.begin().party(party, stand, world, o.at);
            (self.digest(self.spell.bytes()), !stand.is_some())
        });
        let mut known = |(digest, alone): (Digest, bool)| self.ends.get(&digest).filter(|_| alone);
        let (src, dst) = (known(of_src), known(of_dst));
        if let (Some(src), Some(dst)) = (&src, &dst) {
            return [src.clone(), dst.clone()];
        }
        let [new_src, new_dst] = world.endpoints(o).map(|e| Arc::new(self.end(e, world, opt)));
        for ((digest, alone), end, old) in [(of_src, &new_src, &src), (of_dst, &new_dst, &dst)] {
            if alone && old.is_none() {
                self.ends.insert(digest, end.clone());
            }
        }
        [src.unwrap_or(new_src), dst.unwrap_or(new_dst)]
    }

    /// With what selects it, where its replicas have asked for that already.
    fn end(&mut self, e: Endpoint, world: &World, opt: &policy::Options) -> End {
        if !End::is_by_labels(&e, opt) {
            return End::new(e);
        }
        self.spell.begin().kin(&e, world);
        let kin = self.digest(self.spell.bytes());
        let selected = self.kin.get(&kin).unwrap_or_else(|| {
            let new = Arc::default();
            self.kin.insert(kin, Arc::clone(&new));
            new
        });
        End::of(e, kin, selected)
    }

    /// What stands for a flow without what differs among alike ones.
    fn key(&mut self, o: &Observed, stands: &[Stand<'_>; 2], world: &World) -> Digest {
        let [src, dst] = stands;
        self.spell.begin().party(&o.src, src, world, o.at).party(&o.dst, dst, world, o.at).record(o, &self.asked.1);
        self.digest(self.spell.bytes())
    }

    fn digest(&self, of: &[u8]) -> Digest {
        let [a, b] = self.seeds.each_ref().map(|s| s.hash_one(of));
        (a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::Change;
    use crate::model::observed::{Direction, L4, L7, Named, Party, Verdict};
    use crate::model::time::Nanos;
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
        let mut key = |o: &Observed| a.key(o, &world.stands(o), &world);
        let first = key(&flow());
        for change in [(|o: &mut Observed| o.at = Some(Nanos(7))) as fn(&mut Observed), |o| o.node = "n".into(), |o| o.src_port = 40_001] {
            let mut o = flow();
            change(&mut o);
            assert_eq!(key(&o), first, "{o:?}");
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
            let made = key(&o);
            assert!(!keys.contains(&made), "{o:?}");
            assert_eq!(key(&o), made);
            keys.push(made);
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
    fn a_request_is_told_apart_by_the_headers_that_rules_ask_for_only() {
        let (mut a, world, mut set, opt) = (Attribution::default(), World::new(), PolicySet::new(), policy::Options::default());
        let request = |name: &str, value: &str| {
            let l7 = L7::Http { method: "GET".into(), url: "http://db/".into(), code: 403, headers: vec![(name.into(), value.into())] };
            Observed { l7: Some(l7), ..flow() }
        };
        let mut alike = |set: &PolicySet, name: &str| {
            let [one, other] = ["1", "2"].map(|value| a.why(&request(name, value), &world, set, &opt));
            Arc::ptr_eq(&one, &other)
        };
        assert_eq!(["X-Request-Id", "Host", ":authority", "X-Team"].map(|h| alike(&set, h)), [true, false, false, true]);
        let body = "kind: CiliumNetworkPolicy\napiVersion: cilium.io/v2\nmetadata: {name: p, namespace: shop}\nspec: {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{headerMatches: [{name: x-team, value: a}]}]}}]}]}\n";
        for doc in yaml::read("x.yaml", body).0 {
            set.apply(&Change::Apply(Arc::new(doc)));
        }
        assert_eq!(["X-Request-Id", "X-Team"].map(|h| alike(&set, h)), [true, false]);
        let dns = |ip: &str, ttl| {
            let (query, ips) = ("db.shop.".to_owned(), vec![ip.to_owned()]);
            let l7 = L7::Dns { query, rcode: 0, ips, cnames: Vec::new(), ttl, qtypes: Vec::new() };
            Observed { l7: Some(l7), ..flow() }
        };
        let [one, other] = [dns("10.0.0.1", 5), dns("10.0.0.2", 30)].map(|o| a.why(&o, &world, &set, &opt));
        assert!(Arc::ptr_eq(&one, &other));
    }

    #[test]
    fn flows_of_one_cluster_come_to_few_that_differ() {
        let (mut a, world) = (Attribution::default(), World::new());
        let mut simulation = crate::demo::Simulation::new(1, Nanos(1_800_000_000 * Nanos::SECOND));
        let mut keys = std::collections::HashSet::new();
        for _ in 0..60_000 {
            let o = crate::wire::observed::observed(&simulation.next().1);
            keys.insert(a.key(&o, &world.stands(&o), &world));
        }
        // Some are of clients out of a range of 254 addresses; were numbers of requests among them, there would be twenty thousand.
        assert!(keys.len() < 4_000, "{}", keys.len());
    }
}
