//! What the numbers of agents mean: their dictionaries, within a bound, and the names that stand for a record's numbers.
//!
//! Owns when a number names a policy and when it does not. It never names one that may be another: a generation that is not in the
//! dictionary, a number that was given twice, a rule of the other direction are said, and nobody is blamed.
use crate::model::ids::{Ids, Meaning, Ruling};
use crate::model::observed::{Direction, Named, Numbers, Observed, Told, Verdict};
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

/// Entries kept of all agents together: 25 of each node in the largest clusters.
pub const MOST: usize = 1 << 17;

/// Bytes that they may take, whatever names an agent makes up.
pub const MOST_BYTES: usize = 64 << 20;

/// What an entry takes beside its words.
const OF_ENTRY: usize = 320;

/// Numbers of which it is remembered that they were given, once their entry has no room: 6 MB. Those that were forgotten first are new again.
const MOST_GIVEN: usize = 1 << 18;

/// Node, instance, policy, rule, generation.
type Key = (Arc<str>, u64, u64, u64, u64);

#[derive(Debug, Clone)]
struct Entry {
    /// When it was said last, among the others.
    said: u64,
    means: Arc<Meaning>,
    /// What it was said to mean besides, without words if that is forgotten: then it means neither.
    also: Option<Arc<Meaning>>,
}

/// Numbers whose entries had no room any more: what stands for the number, and for what it meant; `None`: it was given twice.
#[derive(Debug, Default)]
struct Given {
    all: HashMap<u64, Option<u64>>,
    /// Those that were forgotten first come first.
    order: VecDeque<u64>,
    seed: RandomState,
}

impl Given {
    fn put(&mut self, key: &Key, e: &Entry) {
        let (number, meant) = (self.seed.hash_one(key), e.also.is_none().then(|| self.seed.hash_one(&e.means)));
        if let Some(before) = self.all.get_mut(&number) {
            *before = before.filter(|before| Some(*before) == meant);
            return;
        }
        self.all.insert(number, meant);
        self.order.push_back(number);
        if self.order.len() > MOST_GIVEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    /// Whether a number had another meaning before.
    fn differs(&self, key: &Key, m: &Meaning) -> bool {
        !self.all.is_empty() && self.all.get(&self.seed.hash_one(key)).is_some_and(|meant| *meant != Some(self.seed.hash_one(m)))
    }
}

/// The dictionaries of all agents.
#[derive(Debug)]
pub struct Dictionary {
    all: BTreeMap<Key, Entry>,
    order: BTreeMap<u64, Key>,
    given: Given,
    said: u64,
    bytes: usize,
    most: usize,
    forgotten: u64,
    unsound: u64,
}

impl Default for Dictionary {
    fn default() -> Self {
        let (all, order, given) = (BTreeMap::new(), BTreeMap::new(), Given::default());
        Self { all, order, given, said: 0, bytes: 0, most: MOST, forgotten: 0, unsound: 0 }
    }
}

impl Dictionary {
    /// Takes entries in; the one that was said longest ago makes room.
    pub fn take(&mut self, ids: &Ids) {
        let node: Arc<str> = Arc::from(&*ids.node);
        self.unsound += (ids.entries.len() - ids.sound().count()) as u64;
        for m in ids.sound() {
            self.said += 1;
            let key = (node.clone(), ids.instance, m.policy, m.rule, m.generation);
            self.order.insert(self.said, key.clone());
            match self.all.get_mut(&key) {
                Some(e) => {
                    self.order.remove(&std::mem::replace(&mut e.said, self.said));
                    if *e.means != *m && e.also.is_none() {
                        self.bytes += m.length();
                        e.also = Some(Arc::new(m.clone()));
                    }
                }
                None => {
                    let also = self.given.differs(&key, m).then(Arc::default);
                    let entry = Entry { said: self.said, means: Arc::new(m.clone()), also };
                    self.bytes += weight(&key, &entry);
                    self.all.insert(key, entry);
                }
            }
            while self.all.len() > self.most || self.bytes > MOST_BYTES {
                let Some((_, oldest)) = self.order.pop_first() else { break };
                if let Some(entry) = self.all.remove(&oldest) {
                    self.bytes = self.bytes.saturating_sub(weight(&oldest, &entry));
                    self.given.put(&oldest, &entry);
                }
                self.forgotten += 1;
            }
        }
    }

    /// Entries for which there was no room, and those that could not be kept: of no policy, or with names that are too long.
    pub fn left_out(&self) -> u64 {
        self.forgotten + self.unsound
    }

    /// Lets the names that a record's numbers mean stand where an agent's own names stand, or says why they name nobody. `shared`: nodes of
    /// several clusters have the record's node's name, and whose a dictionary is its flow does not say.
    pub fn resolve(&self, o: &mut Observed, shared: bool) {
        let Some(ruling) = o.ruling else { return };
        let r = &o.reported;
        if [&r.egress_denied, &r.ingress_denied, &r.egress_allowed, &r.ingress_allowed].into_iter().any(|l| !l.is_empty()) {
            // What it names itself needs no dictionary.
            return;
        }
        match self.meant(&ruling, &o.node, shared).and_then(|m| placed(o, &m).map(|list| (m, list))) {
            Err(why) => o.reported.unnamed = why,
            Ok((m, (direction, denied))) => {
                let r = &mut o.reported;
                let list = match (direction, denied) {
                    (Direction::Egress, true) => &mut r.egress_denied,
                    (Direction::Ingress, true) => &mut r.ingress_denied,
                    (Direction::Egress, false) => &mut r.egress_allowed,
                    (Direction::Ingress, false) => &mut r.ingress_allowed,
                };
                list.push(Named { kind: m.kind.clone(), namespace: m.namespace.clone(), name: m.name.clone() });
                let generation = if ruling.generation == 0 { m.generation } else { ruling.generation };
                r.told.push(Told {
                    kind: m.kind.clone(),
                    namespace: m.namespace.clone(),
                    name: m.name.clone(),
                    rule_index: m.rule_index,
                    rule_name: m.rule_name.clone(),
                    tier: String::new(),
                    uid: m.uid.clone(),
                    generation: i64::try_from(generation).ok().filter(|g| *g != 0),
                    numbers: Some(Numbers { policy: ruling.policy, rule: ruling.rule }),
                });
            }
        }
    }

    /// The only thing that the numbers can mean.
    fn meant(&self, r: &Ruling, node: &str, shared: bool) -> Result<Arc<Meaning>, String> {
        for node in [node, ""].into_iter().skip(usize::from(shared)) {
            let node: Arc<str> = Arc::from(node);
            let of =
                |rule| self.all.range((node.clone(), r.instance, r.policy, rule, 0)..=(node.clone(), r.instance, r.policy, rule, u64::MAX));
            let rule = if r.rule != 0 && of(r.rule).next().is_some() { r.rule } else { 0 };
            let found: Vec<&Entry> = of(rule).map(|(_, e)| e).collect();
            if !found.is_empty() {
                let m = one(r, &found)?;
                return match of(0).find_map(|(_, e)| e.another(r, &m)) {
                    Some(other) => Err(twice(r, &m, &other)),
                    None => Ok(m),
                };
            }
        }
        let who = if node.is_empty() {
            "and the record says of no node".to_owned()
        } else if shared {
            format!("and more than one cluster may have a node {node}")
        } else {
            format!("and no dictionary says what that is on {node}")
        };
        let forgotten =
            if self.forgotten > 0 { format!(" ({} entries of dictionaries had no room)", self.forgotten) } else { String::new() };
        Err(format!("the agent names {} by number, {who}{forgotten}", spoken(r)))
    }
}

/// `policy 7, rule 3`.
fn spoken(r: &Ruling) -> String {
    if r.rule == 0 { format!("policy {}", r.policy) } else { format!("policy {}, rule {}", r.policy, r.rule) }
}

fn twice(r: &Ruling, one: &Meaning, other: &Meaning) -> String {
    let other = if other.name.is_empty() { "something else before, which is forgotten".to_owned() } else { other.policy() };
    format!("the agent names {} by number, which it gave to {} and to {other}", spoken(r), one.policy())
}

/// About how many bytes it takes that a number of a node means this.
pub fn weight_of(node: &str, m: &Meaning) -> usize {
    OF_ENTRY + node.len() + m.length()
}

fn weight(key: &Key, e: &Entry) -> usize {
    weight_of(&key.0, &e.means) + e.also.as_ref().map_or(0, |also| also.length())
}

impl Entry {
    /// Of an entry about a policy as a whole: the other policy that it names than one of its rules does, of the same generation.
    fn another(&self, r: &Ruling, rule: &Meaning) -> Option<Arc<Meaning>> {
        let generation = if r.generation == 0 { rule.generation } else { r.generation };
        let meant = generation == 0 || [0, generation].contains(&self.means.generation);
        [Some(&self.means), self.also.as_ref()].into_iter().flatten().find(|m| meant && !m.is_of(rule)).cloned()
    }
}

/// Of entries that differ in their generations the one that fits.
fn one(r: &Ruling, found: &[&Entry]) -> Result<Arc<Meaning>, String> {
    let certain = |e: &Entry| match &e.also {
        None => Ok(e.means.clone()),
        Some(also) => Err(twice(r, &e.means, also)),
    };
    let fits = |g: u64| found.iter().find(|e| e.means.generation == g);
    if r.generation != 0 {
        return match fits(r.generation).or_else(|| fits(0)) {
            Some(e) => certain(e),
            None => {
                let known: Vec<String> = found.iter().map(|e| e.means.generation.to_string()).collect();
                Err(format!(
                    "the agent names generation {} of {} by number, and its dictionary has generation {}",
                    r.generation,
                    spoken(r),
                    known.join(", ")
                ))
            }
        };
    }
    let mut all = Vec::with_capacity(found.len());
    for e in found {
        all.push(certain(e)?);
    }
    match all.as_slice() {
        [m] => Ok(m.clone()),
        [first, rest @ ..] if rest.iter().all(|m| Meaning { generation: first.generation, ..(**m).clone() } == **first) => {
            Ok(Arc::new(Meaning { generation: 0, ..(**first).clone() }))
        }
        _ => Err(format!(
            "the agent names {} by number without its generation, and what that means has changed from one to the next",
            spoken(r)
        )),
    }
}

/// In which list of an agent's own names it would stand: of which side, and whether among those that deny.
fn placed(o: &Observed, m: &Meaning) -> Result<(Direction, bool), String> {
    let direction = match (o.direction, m.direction) {
        (Some(of), Some(rule)) if of != rule => {
            return Err(format!(
                "the agent names policy {} by number, which is {} for {}, and the packet was judged on {}",
                m.policy,
                m.policy(),
                rule.word(),
                of.word()
            ));
        }
        (of, rule) => of.or(rule).ok_or_else(|| {
            format!("the agent names policy {} by number, which is {}, and neither says for which direction", m.policy, m.policy())
        })?,
    };
    match o.verdict {
        Verdict::Dropped | Verdict::Error | Verdict::Audit => Ok((direction, true)),
        Verdict::Forwarded | Verdict::Redirected => Ok((direction, false)),
        _ => Err(format!("the agent names policy {} by number, which is {}, and does not say what it did", m.policy, m.policy())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(policy: u64, rule: u64, generation: u64, name: &str) -> Meaning {
        let (kind, namespace) = ("NetworkPolicy".to_owned(), "shop".to_owned());
        Meaning { policy, rule, generation, kind, namespace, name: name.to_owned(), ..Meaning::default() }
    }

    fn dictionary(entries: Vec<Meaning>) -> Dictionary {
        let mut d = Dictionary::default();
        d.take(&Ids { node: "n1".into(), instance: 5, entries });
        d
    }

    fn asked(d: &Dictionary, node: &str, policy: u64, rule: u64, generation: u64) -> Observed {
        let ruling = Some(Ruling { policy, rule, generation, instance: 5 });
        let direction = Some(Direction::Ingress);
        let mut o = Observed { node: node.into(), verdict: Verdict::Dropped, direction, ruling, ..Observed::default() };
        d.resolve(&mut o, false);
        o
    }

    /// The name, or why there is none.
    fn told(o: &Observed) -> String {
        match o.reported.ingress_denied.as_slice() {
            [n] => n.name.clone(),
            _ => o.reported.unnamed.clone(),
        }
    }

    #[test]
    fn a_number_names_its_policy_on_its_node_and_of_its_instance() {
        let rule = Meaning { rule_index: Some(3), direction: Some(Direction::Ingress), uid: "u".into(), ..meaning(7, 9, 4, "db") };
        let mut d = dictionary(vec![meaning(7, 0, 4, "db"), rule, meaning(8, 0, 0, "web")]);
        let o = asked(&d, "n1", 7, 9, 4);
        assert_eq!(told(&o), "db");
        let t = &o.reported.told[0];
        assert_eq!((t.rule_index, t.generation, &*t.uid, t.numbers), (Some(3), Some(4), "u", Some(Numbers { policy: 7, rule: 9 })));
        assert_eq!(t.words(), "rule 3, generation 4, by its number 7");
        assert_eq!(told(&asked(&d, "n1", 7, 0, 0)), "db", "the only generation there is");
        assert_eq!(told(&asked(&d, "n1", 7, 77, 4)), "db", "a rule without an entry leaves the policy named");
        assert_eq!(told(&asked(&d, "n1", 8, 0, 12)), "web", "an entry without a generation is true of each");
        assert!(told(&asked(&d, "n2", 7, 0, 4)).ends_with("no dictionary says what that is on n2"));
        assert!(told(&asked(&d, "n1", 9, 0, 0)).starts_with("the agent names policy 9 by number"));
        d.take(&Ids { node: String::new(), instance: 5, entries: vec![meaning(9, 0, 0, "all")] });
        assert_eq!(told(&asked(&d, "n2", 9, 0, 0)), "all", "of every node");
        let mut other = asked(&d, "n1", 7, 0, 4);
        other.reported = Default::default();
        other.ruling = Some(Ruling { instance: 6, ..other.ruling.unwrap() });
        d.resolve(&mut other, false);
        assert!(other.reported.ingress_denied.is_empty(), "an agent that began anew");
    }

    #[test]
    fn what_does_not_fit_names_nobody_and_says_so() {
        let egress = Meaning { direction: Some(Direction::Egress), ..meaning(3, 0, 0, "out") };
        let mut d = dictionary(vec![meaning(7, 0, 4, "db"), meaning(8, 0, 1, "a"), meaning(8, 0, 2, "b"), egress]);
        assert_eq!(
            told(&asked(&d, "n1", 7, 0, 5)),
            "the agent names generation 5 of policy 7 by number, and its dictionary has generation 4"
        );
        assert!(told(&asked(&d, "n1", 8, 0, 0)).contains("has changed from one to the next"));
        assert_eq!(told(&asked(&d, "n1", 8, 0, 2)), "b");
        assert!(told(&asked(&d, "n1", 3, 0, 0)).contains("which is NetworkPolicy shop/out for egress"));
        d.take(&Ids { node: "n1".into(), instance: 5, entries: vec![meaning(7, 0, 4, "web")] });
        assert_eq!(
            told(&asked(&d, "n1", 7, 0, 4)),
            "the agent names policy 7 by number, which it gave to NetworkPolicy shop/db and to NetworkPolicy shop/web"
        );
        let mut traced = asked(&d, "n1", 8, 0, 2);
        (traced.reported, traced.verdict) = (Default::default(), Verdict::Traced);
        d.resolve(&mut traced, false);
        assert!(traced.reported.unnamed.ends_with("does not say what it did"));
        let mut own = asked(&d, "n1", 7, 0, 4);
        own.reported.unnamed.clear();
        own.reported.ingress_denied = vec![Named { kind: "k".into(), namespace: String::new(), name: "own".into() }];
        d.resolve(&mut own, false);
        assert_eq!((told(&own).as_str(), own.reported.unnamed.as_str()), ("own", ""), "what it names itself stands");
    }

    #[test]
    fn a_rule_that_names_another_policy_than_its_number_does_names_nobody() {
        let d = dictionary(vec![meaning(7, 0, 4, "db"), meaning(7, 9, 4, "web"), meaning(7, 9, 5, "web"), meaning(7, 0, 5, "web")]);
        assert_eq!(
            told(&asked(&d, "n1", 7, 9, 4)),
            "the agent names policy 7, rule 9 by number, which it gave to NetworkPolicy shop/web and to NetworkPolicy shop/db"
        );
        assert_eq!(told(&asked(&d, "n1", 7, 9, 5)), "web", "another generation is another matter");
    }

    #[test]
    fn a_node_of_a_name_that_clusters_share_has_no_dictionary_that_is_certainly_its_own() {
        let mut d = dictionary(vec![meaning(7, 0, 0, "db")]);
        let shared = |d: &Dictionary| {
            let mut o = Observed { reported: Default::default(), ..asked(d, "n1", 7, 0, 0) };
            d.resolve(&mut o, true);
            told(&o)
        };
        assert_eq!(shared(&d), "the agent names policy 7 by number, and more than one cluster may have a node n1");
        d.take(&Ids { node: String::new(), instance: 5, entries: vec![meaning(7, 0, 0, "all")] });
        assert_eq!(shared(&d), "all", "of every node");
    }

    #[test]
    fn the_name_of_a_node_that_no_node_can_have_takes_no_room() {
        let mut d = dictionary(Vec::new());
        d.take(&Ids { node: "n".repeat(4 << 20), instance: 5, entries: vec![meaning(1, 0, 0, "one"), meaning(2, 0, 0, "two")] });
        assert_eq!((d.left_out(), d.all.len(), d.order.len()), (2, 0, 0));
    }

    #[test]
    fn a_number_that_was_given_twice_names_nobody_after_its_entry_was_forgotten() {
        let mut d = Dictionary { most: 2, ..dictionary(vec![meaning(1, 0, 0, "one"), meaning(1, 0, 0, "two"), meaning(2, 0, 0, "b")]) };
        let say =
            |d: &mut Dictionary, n, name: &str| d.take(&Ids { node: "n1".into(), instance: 5, entries: vec![meaning(n, 0, 0, name)] });
        let (twice, other) = (
            "the agent names policy 1 by number, which it gave to NetworkPolicy shop/",
            " and to something else before, which is forgotten",
        );
        say(&mut d, 3, "c");
        for name in ["one", "two"] {
            say(&mut d, 1, name);
            assert_eq!(told(&asked(&d, "n1", 1, 0, 0)), format!("{twice}one{other}"), "{name}");
        }
        // One that was given once, and again to another after it was forgotten; and one that stays what it was.
        say(&mut d, 2, "b");
        assert_eq!(told(&asked(&d, "n1", 2, 0, 0)), "b");
        say(&mut d, 4, "d");
        say(&mut d, 5, "e");
        say(&mut d, 2, "x");
        assert!(told(&asked(&d, "n1", 2, 0, 0)).ends_with(other));
    }

    #[test]
    fn names_of_a_hostile_agent_take_no_more_room_than_others() {
        let mut d = dictionary(Vec::new());
        let long = "n".repeat(253);
        let entries =
            |from: u64| (from..from + 4_096).map(|n| Meaning { uid: long.clone(), rule_name: long.clone(), ..meaning(n, 0, 0, &long) });
        for from in 0..24 {
            d.take(&Ids { node: "n1".into(), instance: 5, entries: entries(1 + from * 4_096).collect() });
        }
        assert!(d.bytes <= MOST_BYTES && d.all.len() < 24 * 4_096 && d.left_out() > 0);
        let weights: usize = d.all.iter().map(|(key, e)| weight(key, e)).sum();
        assert_eq!((d.bytes, d.order.len()), (weights, d.all.len()));
    }

    #[test]
    fn a_full_dictionary_forgets_what_was_said_longest_ago_and_counts_it() {
        let mut d = Dictionary { most: 2, ..dictionary(vec![meaning(1, 0, 0, "one"), meaning(2, 0, 0, "two")]) };
        d.take(&Ids { node: "n1".into(), instance: 5, entries: vec![meaning(1, 0, 0, "one"), meaning(3, 0, 0, "three")] });
        assert_eq!(["one", "three"], [1, 3].map(|n| told(&asked(&d, "n1", n, 0, 0))).each_ref().map(String::as_str));
        assert!(told(&asked(&d, "n1", 2, 0, 0)).ends_with("(1 entries of dictionaries had no room)"));
        d.take(&Ids { node: "n1".into(), instance: 5, entries: vec![meaning(0, 0, 0, "x"), meaning(4, 0, 0, &"x".repeat(254))] });
        assert_eq!((d.left_out(), d.all.len(), d.order.len()), (3, 2, 2));
    }
}
