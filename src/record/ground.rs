//! The cluster's state as the lines that say it, for the beginning of each file. Owns which change makes which line void.
//!
//! Lines, not objects: of ten thousand pods they take a tenth of the room.
use crate::model::doc::Text;
use crate::model::ids::{Ids, Meaning};
use crate::model::input::{At, Change, ObjectId};
use crate::model::time::Nanos;
use crate::world::ids::{MOST as MOST_IDS, MOST_BYTES as MOST_OF_IDS, weight_of};
use crate::world::line;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Faults kept; further ones stand once in the file in which they came.
const MOST_FAULTS: usize = 1_000;
/// Savings of manifests kept, each with its texts. Older ones become one, with the time of the last of them: what lies before the first
/// of all keeps its text, and so does what lies after them.
const MOST_EDITS: usize = 256;
const MOST_EDITED: usize = 4 << 20;
/// Wishes kept: a reader names fewer, and calls the others by one word.
const MOST_ASKED: usize = 16;
/// As many gaps as the books name.
const MOST_GAPS: usize = 64;
/// Of a dictionary so much stands in a line: readers of lines, Hubble's among them, give up on one that has more than 64 KiB.
const LONGEST: usize = 32 << 10;

#[derive(Debug, Clone, Default)]
pub struct Ground {
    /// Manifests: they have always been so, until they were written anew.
    manifests: Vec<(Arc<str>, Arc<Text>, Vec<u8>)>,
    /// Manifests that were written anew, all of one line at one time; the oldest first.
    edits: VecDeque<Vec<u8>>,
    edited: usize,
    objects: BTreeMap<(Arc<str>, ObjectId), Vec<u8>>,
    /// (cluster, group, kind).
    kinds: BTreeMap<(Arc<str>, String, String), Vec<u8>>,
    /// When the latest of them was said.
    listed: Option<Nanos>,
    faults: Vec<Vec<u8>>,
    /// What servers were asked for, the latest last.
    asked: VecDeque<Vec<u8>>,
    /// Times of which servers may lack flows: what is saved later lacks them, too.
    gaps: VecDeque<Vec<u8>>,
    /// What agents' numbers mean, an entry a line, with the place in `said` of the latest time that it came.
    ids: BTreeMap<Numbered, (u64, Vec<u8>)>,
    said: BTreeMap<u64, Numbered>,
    weight: usize,
    /// Entries for which there was no room: they stand in the file in which they came, and in no later one.
    pub(super) forgotten: u64,
}

/// Node, instance, entry. What was said twice to be something else stands twice: then it is neither.
type Numbered = (Arc<str>, u64, Arc<Meaning>);

impl Ground {
    /// Takes in a change. Its line, unless that was said before.
    pub fn take(&mut self, at: &At, mut written: impl FnMut(&At, &mut Vec<u8>)) -> Option<Vec<u8>> {
        if let Change::Ids(ids) = &at.change {
            return self.number(at, ids, written);
        }
        if let (Change::Apply(doc), None) = (&at.change, at.at)
            && self.manifests.iter().rev().any(|(c, t, _)| *c == at.cluster && (Arc::ptr_eq(t, &doc.text) || *t == doc.text))
        {
            // Another object of a text that was taken as a whole.
            return None;
        }
        let mut line = Vec::new();
        written(at, &mut line);
        let cluster = at.cluster.clone();
        match &at.change {
            Change::Apply(doc) if at.at.is_none() => self.manifests.push((cluster, doc.text.clone(), line.clone())),
            Change::Apply(doc) => {
                let old = self.objects.insert((cluster, ObjectId::of(doc)), line.clone());
                if old.as_ref() == Some(&line) {
                    return None;
                }
            }
            Change::Remove(id) => {
                self.objects.remove(&(cluster, id.clone()));
            }
            Change::Kind(k) => {
                self.listed = self.listed.max(at.at);
                self.kinds.insert((cluster, k.group.clone(), k.kind.clone()), line.clone());
            }
            Change::Fault(_) if self.faults.len() < MOST_FAULTS => self.faults.push(line.clone()),
            Change::Fault(_) => {}
            Change::Edited(_) => self.edit(line.clone()),
            Change::Asked(_) => {
                self.asked.push_back(line.clone());
                if self.asked.len() > MOST_ASKED {
                    self.asked.pop_front();
                }
            }
            Change::Gap(_) => {
                self.gaps.push_back(line.clone());
                if self.gaps.len() > MOST_GAPS {
                    self.gaps.pop_front();
                }
            }
            Change::Ids(_) => {}
        }
        Some(line)
    }

    /// Keeps the entries of a dictionary that are news, each with a line of its own, and returns those, in as many lines as they need.
    fn number(&mut self, at: &At, ids: &Ids, mut written: impl FnMut(&At, &mut Vec<u8>)) -> Option<Vec<u8>> {
        let node: Arc<str> = Arc::from(&*ids.node);
        let mut line = |entries| {
            let ids = Arc::new(Ids { node: ids.node.clone(), instance: ids.instance, entries });
            let mut line = Vec::new();
            written(&At { change: Change::Ids(ids), ..at.clone() }, &mut line);
            line
        };
        let (mut news, mut long) = (vec![Vec::new()], 0);
        for m in ids.sound() {
            let key = (node.clone(), ids.instance, Arc::new(m.clone()));
            let next = self.said.last_key_value().map_or(0, |(n, _)| n + 1);
            self.said.insert(next, key.clone());
            if let Some((said, _)) = self.ids.get_mut(&key) {
                self.said.remove(&std::mem::replace(said, next));
                continue;
            }
            let own = line(vec![m.clone()]);
            long += own.len();
            if long > LONGEST && news.last().is_some_and(|l| !l.is_empty()) {
                long = own.len();
                news.push(Vec::new());
            }
            news.last_mut().into_iter().for_each(|l| l.push(m.clone()));
            self.weight += weight(&key, &own);
            self.ids.insert(key, (next, own));
            // As a reader of the dictionary does, which has no more room.
            while self.ids.len() > MOST_IDS || self.weight > MOST_OF_IDS {
                let Some((_, oldest)) = self.said.pop_first() else { break };
                if let Some((_, line)) = self.ids.remove(&oldest) {
                    self.weight = self.weight.saturating_sub(weight(&oldest, &line));
                }
                self.forgotten += 1;
            }
        }
        let lines: Vec<Vec<u8>> = news.into_iter().filter(|l| !l.is_empty()).map(line).collect();
        (!lines.is_empty()).then(|| lines.join(&b'\n'))
    }

    fn edit(&mut self, line: Vec<u8>) {
        self.edited += line.len();
        self.edits.push_back(line);
        // The newest is never one of those that become one: it may weigh more than all of them, and its time is the one that is asked for.
        while self.edits.len() > 2 && (self.edits.len() > MOST_EDITS || self.edited > MOST_EDITED) {
            let (Some(first), Some(second)) = (self.edits.pop_front(), self.edits.pop_front()) else { return };
            let both = line::folded(&first, &second).unwrap_or_else(|| second.clone());
            self.edited = (self.edited + both.len()).saturating_sub(first.len() + second.len());
            self.edits.push_front(both);
        }
    }

    /// Appends everything that is known, and returns how many lines that are. It is no older than the lists that it is of, however old the
    /// flows are that a server had kept. `names`: lines of what is known besides.
    pub fn snapshot(&self, now: Nanos, names: &[&[u8]], out: &mut Vec<u8>) -> u64 {
        let now = self.listed.map_or(now, |listed| listed.max(now));
        line::snapshot(true, now, out);
        out.push(b'\n');
        let manifests = self.manifests.iter().map(|(_, _, l)| l);
        let mut lines = 2;
        // An edit takes away the faults that its file had before.
        // In the order in which they were said: where there is no room for all, the reader forgets the same ones.
        let ids = self.said.values().filter_map(|key| self.ids.get(key)).map(|(_, l)| l);
        for l in manifests
            .chain(ids)
            .chain(&self.asked)
            .chain(&self.gaps)
            .chain(&self.faults)
            .chain(&self.edits)
            .chain(self.kinds.values())
            .chain(self.objects.values())
        {
            out.extend_from_slice(l);
            out.push(b'\n');
            lines += 1;
        }
        for l in names {
            out.extend_from_slice(l);
            out.push(b'\n');
            lines += 1;
        }
        line::snapshot(false, now, out);
        out.push(b'\n');
        lines
    }
}

/// What an entry weighs: as much as with whoever reads it, or as its line where that is longer.
fn weight((node, _, means): &Numbered, line: &[u8]) -> usize {
    weight_of(node, means).max(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{Edited, Edits, Pair};
    use crate::world::yaml;

    #[test]
    fn of_a_thousand_saves_the_newest_are_kept_with_their_times_and_the_rest_become_one() {
        let doc =
            |n: usize| Arc::new(yaml::read("a.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: v{n}}}\n")).0.remove(0));
        let mut ground = Ground::default();
        ground.take(&At { cluster: Arc::from(""), at: None, change: Change::Apply(doc(0)) }, line::write);
        for n in 1..=1_000 {
            let pairs = vec![(Some(doc(n - 1)), Some(doc(n)))];
            let edits = Edits { at: Nanos(n as i64), files: vec![Edited { file: "a.yaml".to_owned(), pairs, faults: Vec::new() }] };
            let line = ground.take(&Arc::new(edits).said().unwrap(), line::write).unwrap();
            assert!(line.starts_with(b"{\"world\":{\"time\":"));
        }
        let mut out = Vec::new();
        assert_eq!(ground.snapshot(Nanos(5_000), &[], &mut out), 2 + 1 + MOST_EDITS as u64);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("\"apply\"") && lines[1].contains("v0}"), "it was so before the first: {}", lines[1]);
        assert!(lines[2].contains("\"edited\"") && lines[2].contains("v745}") && lines[257].contains("v1000}"));
        assert!(lines[2].contains(&Nanos(745).to_string()), "{}", lines[2]);
        assert_eq!(ground.edited, ground.edits.iter().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn a_dictionary_of_a_thousand_entries_is_several_lines_that_any_reader_of_lines_takes() {
        let meaning = |n: u64| Meaning {
            policy: n,
            kind: "NetworkPolicy".to_owned(),
            name: format!("{n}-{}", "x".repeat(200)),
            ..Meaning::default()
        };
        let ids = |n: std::ops::Range<u64>| Arc::new(Ids { node: "n1".to_owned(), instance: 1, entries: n.map(meaning).collect() });
        let said = |ids| At { cluster: Arc::from(""), at: Some(Nanos(1)), change: Change::Ids(ids) };
        let mut ground = Ground::default();
        let lines = ground.take(&said(ids(1..1_001)), line::write).unwrap();
        let lines: Vec<&[u8]> = lines.split(|b| *b == b'\n').collect();
        assert!(lines.len() > 5 && lines.iter().all(|l| l.len() < 64 << 10), "{}", lines.len());
        let mut back = Vec::new();
        for l in lines {
            let Ok(line::Said::Changes(all)) = line::read(line::inside(l).unwrap()) else { panic!() };
            for at in all {
                let Change::Ids(ids) = at.change else { panic!() };
                back.extend(ids.entries.iter().map(|m| m.policy));
            }
        }
        assert_eq!(back, (1..1_001).collect::<Vec<_>>());
        // What is said again comes later in the next file, as it does in the memory of whoever reads it.
        assert_eq!(ground.take(&said(ids(1..2)), line::write), None);
        let mut out = Vec::new();
        ground.snapshot(Nanos(2), &[], &mut out);
        let text = String::from_utf8(out).unwrap();
        let all: Vec<&str> = text.lines().filter(|l| l.contains("\"ids\"")).collect();
        assert!(all.len() == 1_000 && all[0].contains("\"2-x") && all[999].contains("\"1-x"), "{}", all[999]);
    }

    #[test]
    fn a_dictionary_of_a_hostile_agent_takes_no_more_room_than_others_and_what_goes_is_counted() {
        // Each such character is six in a line.
        let long = "\u{1}".repeat(253);
        let meaning = |policy: u64| Meaning {
            policy,
            kind: long.clone(),
            namespace: long.clone(),
            name: long.clone(),
            uid: long.clone(),
            rule_name: long.clone(),
            ..Meaning::default()
        };
        let mut ground = Ground::default();
        let each = 5 * 6 * 253;
        let all = (MOST_OF_IDS / each + 100) as u64;
        for from in (1..=all).step_by(1_000) {
            let ids = Ids { node: "n1".to_owned(), instance: 1, entries: (from..from + 1_000).map(meaning).collect() };
            ground.take(&At { cluster: Arc::from(""), at: Some(Nanos(1)), change: Change::Ids(Arc::new(ids)) }, line::write);
        }
        let (lines, weights) = ground.ids.iter().fold((0, 0), |(l, w), (key, (_, line))| (l + line.len(), w + weight(key, line)));
        assert!(lines <= MOST_OF_IDS && ground.weight == weights && ground.forgotten > 0, "{lines} {weights}");
        assert_eq!((ground.said.len(), ground.forgotten), (ground.ids.len(), all.div_ceil(1_000) * 1_000 - ground.ids.len() as u64));
    }

    #[test]
    fn a_save_that_is_larger_than_all_room_keeps_its_time_and_what_lay_before_it_keeps_its_text() {
        let doc = |file: &str, name: &str, rest: usize| {
            let body = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n# {}\n", "x".repeat(rest));
            Arc::new(yaml::read(file, &body).0.remove(0))
        };
        let mut ground = Ground::default();
        let (a, b) = (doc("a.yaml", "a0", 1), doc("b.yaml", "b0", 1));
        for d in [&a, &b] {
            ground.take(&At { cluster: Arc::from(""), at: None, change: Change::Apply(d.clone()) }, line::write);
        }
        let mut save = |at: i64, file: &str, pair: Pair| {
            let edits = Edits { at: Nanos(at), files: vec![Edited { file: file.to_owned(), pairs: vec![pair], faults: Vec::new() }] };
            ground.take(&Arc::new(edits).said().unwrap(), line::write);
            let mut out = Vec::new();
            ground.snapshot(Nanos(9), &[], &mut out);
            String::from_utf8(out).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let big = doc("a.yaml", "a1", MOST_EDITED + 1);
        let lines = save(1, "a.yaml", (Some(a), Some(big.clone())));
        assert!(lines[0].contains("a0}") && lines[1].contains("b0}"), "the texts of before");
        assert!(lines[2].starts_with(&format!("{{\"world\":{{\"time\":\"{}\"", Nanos(1))) && lines[2].contains("a1}"));
        // Of two that are larger together both keep their times; only the third makes one of those before it.
        let lines = save(2, "b.yaml", (Some(b), None));
        assert!(lines[2].contains("a1}") && lines[3].contains("\"edited\":[{\"file\":\"b.yaml\"}]"), "{}", lines[3]);
        let lines = save(3, "a.yaml", (Some(big), Some(doc("a.yaml", "a2", 1))));
        assert!(lines[2].contains(&Nanos(2).to_string()) && lines[2].contains("a1}") && lines[2].contains("b.yaml"));
        assert!(lines[3].contains(&Nanos(3).to_string()) && lines[3].contains("a2}") && lines.len() == 5);
    }
}
