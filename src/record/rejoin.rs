//! A recording's lines of state → changes: what a repeated snapshot says once more is no news, and what it does not say any more is gone.
//!
//! Owns what has been said so far. Without it every segment would give each policy once more, and an object that was deleted while nobody
//! recorded would stay for ever. What was not watched between two runs of a recorder is the business of `runs`.
use super::runs::{Of, Runs};
use crate::model::doc::Doc;
use crate::model::input::{At, Change, Edited, Edits, Kind, ObjectId, leave_twins, pairs};
use crate::model::time::Nanos;
use crate::world::line::{self, Said};
use crate::world::yaml;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash};
use std::path::PathBuf;
use std::sync::Arc;

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum About {
    Object(Arc<str>, ObjectId),
    Kind(Arc<str>, String, String),
    /// A manifest, what became of it, a fault, or a time of which flows may be lacking: no snapshot takes it back.
    Text,
    /// What an agent's numbers mean: whoever keeps them orders them by when they were said last, so that each time counts.
    Ids,
    /// What was asked for: the last of them holds, were it said before.
    Asked,
}

/// The state of one recording.
#[derive(Debug, Default)]
pub struct Rejoin {
    hasher: foldhash::fast::FixedState,
    /// The line that holds, by what it is about.
    holds: HashMap<About, u64>,
    /// What each line that was read is about.
    said: HashMap<u64, Vec<About>>,
    /// Since the beginning of a snapshot: what it has named.
    named: Option<HashSet<About>>,
    /// The objects of each manifest, as it stands, in the order of those that watch them: of twins the same one takes the other's place.
    manifests: BTreeMap<PathBuf, Vec<Arc<Doc>>>,
    /// The time of the last saving, and of the last one before the snapshot that is being read.
    saved: Option<Nanos>,
    known: Option<Nanos>,
    /// What was asked for by what was handed on, by all that was read, and in the snapshot that is being read.
    asks: Option<u64>,
    asked: HashSet<u64>,
    asking: Option<(u64, At)>,
    runs: Runs,
    /// Clusters that were spoken of.
    clusters: BTreeSet<Arc<str>>,
    /// What clusters are called instead.
    names: BTreeMap<Arc<str>, Arc<str>>,
    /// A snapshot was read to its end.
    later: bool,
}

impl Rejoin {
    /// Clusters are called otherwise than in the recording: another one has the name too.
    pub fn call(&mut self, names: BTreeMap<Arc<str>, Arc<str>>) {
        self.names = names;
    }

    /// What was said of one cluster, for a recording of it that goes on after this one; `None`: nothing was.
    pub fn hand_over(&mut self, cluster: &Arc<str>) -> Option<Self> {
        let of = |a: &About| matches!(a, About::Object(c, _) | About::Kind(c, ..) if c == cluster);
        let (holds, others) = std::mem::take(&mut self.holds).into_iter().partition(|(a, _)| of(a));
        let (said, more) = std::mem::take(&mut self.said).into_iter().partition(|(_, all)| !all.is_empty() && all.iter().all(of));
        (self.holds, self.said) = (others, more);
        let runs = self.runs.hand_over(cluster);
        (!holds.is_empty() || !runs.is_empty()).then(|| Self { holds, said, runs, ..Self::default() })
    }

    /// It goes on after recordings that ended before it came to speak of their cluster: what of that it does not name is gone.
    fn follow(&mut self, former: Self) {
        for (about, id) in former.holds {
            self.holds.entry(about).or_insert(id);
        }
        self.said.extend(former.said);
        self.runs.follow(former.runs);
    }

    /// Whether a record that was left out teaches anything: at the beginning of a later segment, whoever read the ones before knows it.
    pub fn teaches(&self) -> bool {
        self.named.is_none() || !self.later
    }

    /// Notes the time of a record: until then it was recorded what the cluster is.
    pub fn saw(&mut self, at: Option<Nanos>) {
        self.runs.saw(at);
    }

    /// What follows from a line: `text` is what stands after `{"world":`. Of a cluster that it is the first to speak of, `over` has what
    /// recordings said that are over.
    pub fn take(&mut self, text: &[u8], over: &mut dyn FnMut(&Arc<str>) -> Vec<Self>) -> Result<Vec<At>, String> {
        let id = self.hasher.hash_one(text);
        // Most lines of a snapshot have been read before, and are not read again.
        if self.repeats(id) {
            return Ok(Vec::new());
        }
        match line::read(text)? {
            Said::Changes(mut changes) => {
                for at in &mut changes {
                    if let Some(name) = self.names.get(&at.cluster) {
                        at.cluster = name.clone();
                    }
                }
                let mut former = Vec::new();
                for at in changes.iter().filter(|at| at.at.is_some() && !self.clusters.contains(&at.cluster)) {
                    former.extend(over(&at.cluster));
                }
                self.clusters.extend(changes.iter().filter(|at| at.at.is_some()).map(|at| at.cluster.clone()));
                let follows = !former.is_empty();
                former.into_iter().for_each(|former| self.follow(former));
                if follows && self.repeats(id) {
                    return Ok(Vec::new());
                }
                let about: Vec<About> = changes.iter().map(about).collect();
                let mut more = Vec::new();
                match &*about {
                    [About::Ids] => return Ok(changes),
                    [About::Asked] => return Ok(self.ask(id, changes)),
                    _ => {}
                }
                for (at, a) in changes.iter().zip(&about) {
                    if let About::Object(cluster, id) = a {
                        self.runs.told(cluster, id);
                    }
                    match &at.change {
                        // Many texts, and none of them takes another's place.
                        Change::Apply(doc) if *a == About::Text => {
                            self.manifests.entry(PathBuf::from(&doc.text.file)).or_default().push(doc.clone());
                        }
                        _ if *a == About::Text => {}
                        Change::Remove(_) => {
                            let old = self.holds.remove(a);
                            self.forget(old, id);
                        }
                        _ => {
                            let old = self.holds.insert(a.clone(), id);
                            self.forget(old, id);
                        }
                    }
                    self.runs.saw(at.at);
                    if let Change::Kind(kind) = &at.change {
                        more.extend(self.runs.kind(at, kind, self.named.is_some()));
                        // A snapshot says of what it is before it names it.
                        let over = if self.named.is_none() { self.runs.over(at, kind) } else { Vec::new() };
                        for id in over {
                            more.push(self.let_go(&at.cluster, id, at.at));
                        }
                    }
                    if let Some(named) = &mut self.named {
                        named.insert(a.clone());
                    }
                }
                // A removal may come twice, and means something each time.
                if !changes.iter().any(|c| matches!(c.change, Change::Remove(_))) {
                    self.said.insert(id, about);
                }
                // That nothing was known for a while is said before what is known now; what went meanwhile, after.
                let (lapse, went): (Vec<At>, Vec<At>) = more.into_iter().partition(|m| matches!(m.change, Change::Kind(_)));
                Ok(lapse.into_iter().chain(changes).chain(went).collect())
            }
            Said::Edited(at, files) => {
                self.said.insert(id, vec![About::Text]);
                // A snapshot makes one of old savings; whoever read them knows them.
                if self.named.is_some() && self.known.is_some_and(|known| at <= known) {
                    return Ok(Vec::new());
                }
                self.saved = self.saved.max(Some(at));
                Ok(self.edited(at, files).said().into_iter().collect())
            }
            Said::Begin => {
                self.named = Some(HashSet::new());
                self.known = self.saved;
                self.runs.begin();
                Ok(Vec::new())
            }
            Said::End(at) => {
                // What the file goes on with, were it asked for before; and only once, for lists show where it began.
                self.later = true;
                let asking = self.asking.take().filter(|(id, _)| self.asks != Some(*id));
                self.asks = asking.as_ref().map(|(id, _)| *id).or(self.asks);
                Ok(asking.map(|(_, at)| at).into_iter().chain(self.end(at)).collect())
            }
        }
    }

    /// Whether a line says what holds anyway.
    fn repeats(&mut self, id: u64) -> bool {
        let Some(about) = self.said.get(&id) else { return false };
        if !about.iter().all(|a| *a == About::Text || self.holds.get(a) == Some(&id)) {
            return false;
        }
        for a in about {
            if let About::Object(cluster, id) = a {
                self.runs.told(cluster, id);
            }
        }
        if let Some(named) = &mut self.named {
            named.extend(about.iter().cloned());
        }
        true
    }

    /// A snapshot says again what was asked for ever since; in it only what was not read is news.
    fn ask(&mut self, id: u64, changes: Vec<At>) -> Vec<At> {
        let news = self.asked.insert(id);
        if self.named.is_some() {
            self.asking = changes.last().map(|at| (id, at.clone()));
            if !news {
                return Vec::new();
            }
        }
        self.asks = Some(id);
        changes
    }

    /// What the texts of files change.
    fn edited(&mut self, at: Nanos, files: Vec<(String, Option<String>)>) -> Arc<Edits> {
        let mut edited = Vec::new();
        for (file, body) in files {
            let (docs, mut faults) = body.map(|body| yaml::read(&file, &body)).unwrap_or_default();
            faults.retain(|f| !yaml::is_repetition(f));
            let docs: Vec<Arc<Doc>> = docs.into_iter().map(Arc::new).collect();
            let path = PathBuf::from(&file);
            let old = self.manifests.remove(&path).unwrap_or_default();
            edited.push(Edited { pairs: pairs(&old, &docs), file, faults });
            self.manifests.insert(path, docs);
        }
        leave_twins(&mut edited, self.manifests.values().flatten());
        Arc::new(Edits { at, files: edited })
    }

    /// A line that holds no more; kept, they would grow with every pod that comes and goes.
    fn forget(&mut self, old: Option<u64>, new: u64) {
        if let Some(old) = old.filter(|o| *o != new) {
            self.said.remove(&old);
        }
    }

    /// What a whole snapshot has not named is gone; since when is not known better than by the snapshot's time, or by that of the list that
    /// it is of.
    fn end(&mut self, at: Option<Nanos>) -> Vec<At> {
        let Some(named) = self.named.take() else { return Vec::new() };
        let kinds = named.iter().filter_map(|a| if let About::Kind(c, g, k) = a { Some((c.clone(), g.clone(), k.clone())) } else { None });
        let mut out = self.runs.end(&kinds.collect());
        self.renew(&out);
        out.extend(self.runs.unrecorded(at));
        let mut gone: Vec<_> = self.holds.keys().filter(|a| matches!(a, About::Object(..)) && !named.contains(*a)).cloned().collect();
        gone.sort();
        for a in gone {
            let About::Object(cluster, id) = a else { continue };
            match self.runs.went(&cluster, &id, at) {
                Some(at) => out.push(self.let_go(&cluster, id, at)),
                None => self.runs.wait(cluster, id),
            }
        }
        out
    }

    /// What was said before of kinds that are not known any more is news when it is said again.
    fn renew(&mut self, lapses: &[At]) {
        for lapse in lapses {
            let old = self.holds.remove(&about(lapse));
            old.map(|old| self.said.remove(&old));
        }
    }

    /// This recording is over, and a record of none was made at a time: if that is later, what is not known any more, unless it is `known`
    /// to others.
    pub fn outlived(&mut self, at: Nanos, known: impl Fn(&Of) -> bool) -> Option<Vec<At>> {
        let out = self.runs.outlived(at, known)?;
        self.renew(&out);
        Some(out)
    }

    /// Whether all objects of a kind are known.
    pub fn knows(&self, of: &Of) -> bool {
        self.runs.knows(of)
    }

    /// An object that is no more.
    fn let_go(&mut self, cluster: &Arc<str>, id: ObjectId, at: Option<Nanos>) -> At {
        if let Some(old) = self.holds.remove(&About::Object(cluster.clone(), id.clone())) {
            self.said.remove(&old);
        }
        self.runs.told(cluster, &id);
        At { cluster: cluster.clone(), at, change: Change::Remove(id) }
    }
}

fn about(at: &At) -> About {
    let cluster = at.cluster.clone();
    match &at.change {
        Change::Apply(_) if at.at.is_none() => About::Text,
        Change::Apply(doc) => About::Object(cluster, ObjectId::of(doc)),
        Change::Remove(id) => About::Object(cluster, id.clone()),
        Change::Kind(Kind { group, kind, .. }) => About::Kind(cluster, group.clone(), kind.clone()),
        Change::Ids(_) => About::Ids,
        Change::Asked(_) => About::Asked,
        Change::Fault(_) | Change::Edited(_) | Change::Gap(_) => About::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::yaml;

    /// No recording is over.
    fn none(_: &Arc<str>) -> Vec<Rejoin> {
        Vec::new()
    }

    fn policy(name: &str, note: &str) -> At {
        let text = format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n  uid: {note}\n");
        let doc = yaml::read(name, &text).0.remove(0);
        At { cluster: "c".into(), at: Some(Nanos(7)), change: Change::Apply(Arc::new(doc)) }
    }

    fn text(at: &At) -> Vec<u8> {
        let mut out = Vec::new();
        line::write(at, &mut out);
        inside(&out)
    }

    fn inside(line: &[u8]) -> Vec<u8> {
        line.strip_prefix(b"{\"world\":").unwrap().strip_suffix(b"}").unwrap().to_vec()
    }

    fn snapshot(all: &[&At], r: &mut Rejoin) -> Vec<String> {
        snapshot_after(all, r, &mut none)
    }

    fn snapshot_after(all: &[&At], r: &mut Rejoin, over: &mut dyn FnMut(&Arc<str>) -> Vec<Rejoin>) -> Vec<String> {
        let mut edge = Vec::new();
        line::snapshot(true, Nanos(8), &mut edge);
        let mut out = r.take(&inside(&edge), over).unwrap();
        for at in all {
            out.extend(r.take(&text(at), over).unwrap());
        }
        edge.clear();
        line::snapshot(false, Nanos(9), &mut edge);
        out.extend(r.take(&inside(&edge), over).unwrap());
        out.iter().map(words).collect()
    }

    fn words(at: &At) -> String {
        match &at.change {
            Change::Apply(d) => format!("+{}", d.name()),
            Change::Remove(id) => format!("-{} {}", id.name, at.at.map_or(0, |t| t.0)),
            Change::Kind(k) => {
                let word = format!("{:?}", k.state).to_lowercase();
                format!("{} {}", word.split('(').next().unwrap(), at.at.map_or(0, |t| t.0))
            }
            Change::Gap(g) => format!("nothing {}..{}", g.from.0, g.until.0),
            _ => "?".to_owned(),
        }
    }

    #[test]
    fn a_snapshot_tells_only_what_is_news() {
        let (a, b, b2, c) = (policy("a", "1"), policy("b", "1"), policy("b", "2"), policy("c", "1"));
        let mut r = Rejoin::default();
        assert_eq!(snapshot(&[&a, &b], &mut r), ["+a", "+b"]);
        assert_eq!(snapshot(&[&a, &b], &mut r), [""; 0]);
        assert_eq!(r.take(&text(&b2), &mut none).unwrap().len(), 1);
        assert_eq!(snapshot(&[&a, &b2], &mut r), [""; 0]);
        // While nobody recorded, a went and c came; b is as it was at first.
        assert_eq!(snapshot(&[&b, &c], &mut r), ["+b", "+c", "-a 9"]);
        assert_eq!(snapshot(&[&b, &c], &mut r), [""; 0]);
        assert_eq!((r.said.len(), r.holds.len()), (2, 2));
    }

    #[test]
    fn of_what_was_asked_for_the_last_holds_even_where_it_was_asked_before() {
        let asked = |t: &str| At { cluster: "".into(), at: None, change: Change::Asked(t.into()) };
        let said = |all: Vec<At>| -> Vec<String> {
            let word = |at: At| if let Change::Asked(t) = at.change { t.to_string() } else { "?".to_owned() };
            all.into_iter().map(word).collect()
        };
        let mut r = Rejoin::default();
        let segment = |r: &mut Rejoin, lines: &[&str]| {
            let mut edge = Vec::new();
            line::snapshot(true, Nanos(8), &mut edge);
            let mut out = r.take(&inside(&edge), &mut none).unwrap();
            lines.iter().for_each(|t| out.extend(r.take(&text(&asked(t)), &mut none).unwrap()));
            edge.clear();
            line::snapshot(false, Nanos(9), &mut edge);
            out.extend(r.take(&inside(&edge), &mut none).unwrap());
            said(out)
        };
        assert_eq!(segment(&mut r, &["ns:a"]), ["ns:a"]);
        assert_eq!(segment(&mut r, &["ns:a"]), [""; 0], "the next file of the same");
        assert_eq!(segment(&mut r, &[""]), [""], "gone on with, and all of it");
        assert_eq!(segment(&mut r, &["ns:a"]), ["ns:a"], "and again only a part");
        assert_eq!(segment(&mut r, &["ns:a", "", "ns:b"]), ["ns:b"]);
        assert_eq!(segment(&mut r, &["ns:a", "", "ns:b"]), [""; 0]);
        let live = |r: &mut Rejoin, t: &str| said(r.take(&text(&asked(t)), &mut none).unwrap());
        assert_eq!([live(&mut r, ""), live(&mut r, "ns:b")], [[""], ["ns:b"]], "while it ran");
    }

    #[test]
    fn a_later_giving_of_numbers_is_handed_on_each_time() {
        let meaning = crate::model::ids::Meaning { policy: 7, name: "a".to_owned(), ..Default::default() };
        let ids = crate::model::ids::Ids { node: "n1".to_owned(), instance: 1, entries: vec![meaning] };
        let at = At { cluster: "".into(), at: Some(Nanos(1)), change: Change::Ids(Arc::new(ids)) };
        let mut r = Rejoin::default();
        assert!((0..3).all(|_| r.take(&text(&at), &mut none).unwrap().len() == 1));
        assert!(r.said.is_empty());
    }

    #[test]
    fn a_snapshot_that_breaks_off_removes_nothing() {
        let (a, b) = (policy("a", "1"), policy("b", "1"));
        let mut r = Rejoin::default();
        snapshot(&[&a, &b], &mut r);
        let mut edge = Vec::new();
        line::snapshot(true, Nanos(8), &mut edge);
        r.take(&inside(&edge), &mut none).unwrap();
        r.take(&text(&a), &mut none).unwrap();
        assert_eq!(snapshot(&[&a, &b], &mut r), [""; 0]);
    }

    #[test]
    fn a_manifest_is_applied_once_and_stays() {
        let manifest = |name: &str| At { at: None, ..policy(name, "1") };
        let (m, n) = (manifest("m"), manifest("n"));
        let mut r = Rejoin::default();
        assert_eq!(snapshot(&[&m, &n], &mut r), ["+m", "+n"]);
        assert_eq!(snapshot(&[&m, &n], &mut r), [""; 0]);
        assert_eq!(snapshot(&[], &mut r), [""; 0]);
    }

    fn saved(at: i64, files: &[(&str, Option<&str>)]) -> Vec<u8> {
        let files = files.iter().map(|(file, body)| serde_json::json!({"file": file, "body": body})).collect::<Vec<_>>();
        serde_json::json!({"time": Nanos(at).to_string(), "edited": files}).to_string().into_bytes()
    }

    fn namespace(name: &str) -> String {
        format!("kind: Namespace\napiVersion: v1\nmetadata: {{name: {name}}}\n")
    }

    /// The pairs of the only saving, by their objects' names and files.
    fn turned(all: &[At]) -> Vec<String> {
        let [At { change: Change::Edited(edits), .. }] = all else { panic!("{all:?}") };
        let of = |d: &Option<Arc<Doc>>| d.as_ref().map_or("-".to_owned(), |d| format!("{} {}", d.text.file, d.name()));
        edits.files.iter().flat_map(|f| &f.pairs).map(|(a, b)| format!("{}, {}", of(a), of(b))).collect()
    }

    #[test]
    fn savings_that_a_later_snapshot_makes_one_are_known_to_whoever_read_them() {
        let (one, two, three) = (namespace("one"), namespace("two"), namespace("three"));
        let edge = |begin: bool| {
            let mut edge = Vec::new();
            line::snapshot(begin, Nanos(9), &mut edge);
            inside(&edge)
        };
        let mut r = Rejoin::default();
        let first = r.take(&saved(1, &[("a.yaml", Some(&one))]), &mut none).unwrap();
        assert_eq!(turned(&first), ["-, a.yaml one"]);
        r.take(&saved(2, &[("b.yaml", Some(&two))]), &mut none).unwrap();
        r.take(&saved(3, &[("a.yaml", Some(&two))]), &mut none).unwrap();
        r.take(&edge(true), &mut none).unwrap();
        assert!(r.take(&saved(2, &[("b.yaml", Some(&two)), ("a.yaml", Some(&one))]), &mut none).unwrap().is_empty());
        assert!(r.take(&saved(3, &[("a.yaml", Some(&two))]), &mut none).unwrap().is_empty());
        // What came about while nobody read.
        let all = r.take(&saved(4, &[("a.yaml", Some(&three))]), &mut none).unwrap();
        assert_eq!(turned(&all), ["a.yaml two, -", "-, a.yaml three", "-, b.yaml two"]);
        r.take(&edge(false), &mut none).unwrap();
        let mut alone = Rejoin::default();
        alone.take(&edge(true), &mut none).unwrap();
        assert_eq!(turned(&alone.take(&saved(2, &[("a.yaml", Some(&one))]), &mut none).unwrap()), ["-, a.yaml one"]);
    }

    #[test]
    fn of_twins_the_one_that_the_watch_of_files_takes_takes_the_place() {
        let (mut r, body) = (Rejoin::default(), namespace("n"));
        let files = ["k-8/x.yaml", "k/x.yaml", "z.yaml"].map(|file| (file, Some(body.as_str())));
        r.take(&saved(1, &files), &mut none).unwrap();
        let all = r.take(&saved(2, &[("z.yaml", None)]), &mut none).unwrap();
        assert_eq!(turned(&all), ["z.yaml n, -", "-, k/x.yaml n"]);
    }

    fn kind(state: &str, at: i64) -> At {
        let state = match state {
            "synced" => crate::model::input::KindState::Synced,
            _ => crate::model::input::KindState::Loading,
        };
        let kind = Kind { group: "networking.k8s.io".into(), kind: "NetworkPolicy".into(), state };
        At { cluster: "c".into(), at: Some(Nanos(at)), change: Change::Kind(kind) }
    }

    #[test]
    fn what_went_between_two_runs_of_a_recorder_was_not_watched_and_is_gone_by_the_second() {
        let (a, b, first, second) = (policy("a", "1"), policy("b", "1"), kind("synced", 8), kind("synced", 50));
        let mut r = Rejoin::default();
        assert_eq!(snapshot(&[&first, &a, &b], &mut r), ["synced 8", "+a", "+b"]);
        r.saw(Some(Nanos(20)));
        assert_eq!(snapshot(&[&first, &a, &b], &mut r), [""; 0], "the next file of one run");
        // The snapshot is dated by its first record, which may be older than its lists.
        assert_eq!(snapshot(&[&second, &b], &mut r), ["stale 20", "synced 50", "-a 50"]);
        assert_eq!(snapshot(&[&second, &b], &mut r), [""; 0]);
        // A run that begins while its lists are on their way lets nothing go before they are in.
        r.saw(Some(Nanos(60)));
        assert_eq!(snapshot(&[&kind("loading", 70)], &mut r), ["stale 60", "loading 70"]);
        let c = policy("c", "1");
        assert_eq!(r.take(&text(&c), &mut none).unwrap().len(), 1);
        let end: Vec<String> = r.take(&text(&kind("synced", 71)), &mut none).unwrap().iter().map(words).collect();
        assert_eq!(end, ["synced 71", "-b 71"]);
        // One that says nothing of the cluster leaves it as it was, unwatched.
        r.saw(Some(Nanos(80)));
        assert_eq!(snapshot(&[], &mut r), ["stale 80"]);
        assert_eq!(snapshot(&[&kind("synced", 90), &c], &mut r), ["synced 90"]);
    }

    #[test]
    fn a_recording_goes_on_after_one_that_ended_before_it_began() {
        let (old, new, both) = (policy("old", "1"), policy("new", "1"), policy("both", "1"));
        let (mut monday, mut tuesday) = (Rejoin::default(), Rejoin::default());
        snapshot(&[&kind("synced", 8), &both, &old], &mut monday);
        monday.saw(Some(Nanos(30)));
        let mut over = |cluster: &Arc<str>| monday.hand_over(cluster).into_iter().collect();
        let all = snapshot_after(&[&kind("synced", 90), &both, &new], &mut tuesday, &mut over);
        assert_eq!(all, ["stale 30", "synced 90", "+new", "-old 90"]);
        assert!(monday.hand_over(&"c".into()).is_none(), "what it said was handed on");
    }

    #[test]
    fn a_recording_goes_on_after_those_of_its_own_clusters_only() {
        let of = |cluster: &str, at: At| At { cluster: cluster.into(), ..at };
        let mut west = Rejoin::default();
        snapshot(&[&of("west", kind("synced", 8)), &of("west", policy("w", "1"))], &mut west);
        west.saw(Some(Nanos(30)));
        let mut over = |cluster: &Arc<str>| west.hand_over(cluster).into_iter().collect();
        let mut east = Rejoin::default();
        let all = [&of("east", kind("synced", 90)), &of("east", policy("e", "1"))];
        assert_eq!(snapshot_after(&all, &mut east, &mut over), ["synced 90", "+e"], "nothing of west is gone by what east says");
        let mut later = Rejoin::default();
        let all = [&of("west", kind("synced", 95)), &of("west", policy("new", "1"))];
        assert_eq!(snapshot_after(&all, &mut later, &mut over), ["stale 30", "synced 95", "+new", "-w 95"]);
    }
}
