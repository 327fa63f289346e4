//! `{"world":…}`: the lines of a recording that carry the cluster's state and its changes, between the flows. Both ways.
//!
//! Owns their text. Each holds `time` (when it came about; none for manifests, which have always been so), `cluster` (none where there is
//! only one) and one of these:
//!
//! | key | what |
//! | --- | --- |
//! | `apply` | `file`, `body`: the text of one object or of several, as manifests have it; with its lines, because explanations cite them. `live`: what the API says besides |
//! | `remove` | `group`, `kind`, `namespace`, `name` of an object that is no more |
//! | `kind` | `group`, `kind`, `state` and `why`: how well a kind is known |
//! | `edited` | `file` and `body` of each manifest that was written anew then; no `body` where nothing is left of it |
//! | `ids` | `node` (none: every one), `instance` and `entries`: what the numbers mean that an agent sends in place of policies' names |
//! | `gap` | `server`, `node` (none: it does not say), `from` and `until`: a time of which a server may lack flows |
//! | `asked` | the filter that says what servers were asked for from then on, or what was recorded, DNS perhaps besides; empty: every flow |
//! | `learnt` | a DNS answer, as Hubble JSON, of which only the names count: the filter left it out, or it stands in an earlier segment; alone in its line |
//! | `fault` | `file`, `line`, `what`: a manifest that could not be read |
//! | `snapshot` | `begin`, then everything that is known by then, then `end` |
//!
//! Keys that are not known are passed over. What a snapshot means to a reader that knows a state already belongs to `record::rejoin`.
use super::{numbers, yaml};
use crate::model::doc::{Doc, Fault};
use crate::model::input::{At, Change, Edited, Gap, Kind, KindState, ObjectId};
use crate::model::live::{Changed, Condition, Live, Owner};
use crate::model::time::Nanos;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// How a line begins that our writer, or whoever writes as it does, has made.
pub const BEGIN: &[u8] = b"{\"world\":";

/// What stands in such a line after `{"world":`; `None` of others. Blanks may stand where others' writers of JSON put them.
pub fn inside(line: &[u8]) -> Option<&[u8]> {
    let text = line.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"world\"")?;
    text.trim_ascii_start().strip_prefix(b":")?.trim_ascii_end().strip_suffix(b"}")
}

/// How what stands inside begins where it is a record of which only what it teaches counts.
const LEARNT: &[u8] = b"{\"learnt\":";

/// That record, as Hubble JSON; `None` of other lines.
pub fn learnt(text: &[u8]) -> Option<&[u8]> {
    text.trim_ascii_start().strip_prefix(LEARNT)?.trim_ascii_end().strip_suffix(b"}")
}

/// Appends the line of such a record, without its newline.
pub fn teach(record: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(BEGIN);
    out.extend_from_slice(LEARNT);
    out.extend_from_slice(record);
    out.extend_from_slice(b"}}");
}

/// What a line says.
#[derive(Debug)]
pub enum Said {
    /// A text may hold several objects.
    Changes(Vec<At>),
    /// Manifests were written anew at a time: the name of each, and its text.
    Edited(Nanos, Vec<(String, Option<String>)>),
    Begin,
    /// When the snapshot was made.
    End(Option<Nanos>),
}

#[derive(Serialize, Deserialize, Default)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none", borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "str::is_empty", borrow, default)]
    cluster: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", borrow, default)]
    apply: Option<Body<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow, default)]
    remove: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow, default)]
    kind: Option<Known<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow, default)]
    fault: Option<Broken<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty", borrow, default)]
    edited: Vec<Saved<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ids: Option<numbers::Said>,
    #[serde(skip_serializing_if = "Option::is_none", borrow, default)]
    asked: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow, default)]
    gap: Option<Lacking<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow, default)]
    snapshot: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    file: Cow<'a, str>,
    body: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    live: Option<Version>,
}

#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    file: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    body: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
struct Version {
    uid: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    created: Option<String>,
    /// By whom, and when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    changed: Option<(String, Option<String>)>,
    /// What it is, and its name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    owner: Option<(String, String)>,
    /// Kind, status, reason, message.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    conditions: Vec<(String, String, String, String)>,
}

impl Version {
    fn of(l: &Live) -> Self {
        let own = Clone::clone;
        Self {
            uid: l.uid.clone(),
            version: l.resource_version.clone(),
            generation: l.generation,
            created: l.created.map(|t| t.to_string()),
            changed: l.changed.as_ref().map(|c| (c.by.clone(), c.at.map(|t| t.to_string()))),
            owner: l.owner.as_ref().map(|o| (o.what.clone(), o.name.clone())),
            conditions: l.conditions.iter().map(|c| (own(&c.kind), own(&c.status), own(&c.reason), own(&c.message))).collect(),
        }
    }

    fn live(self) -> Live {
        let time = |t: String| moment(&t).ok();
        let condition = |(kind, status, reason, message)| Condition { kind, status, reason, message };
        Live {
            uid: self.uid,
            resource_version: self.version,
            generation: self.generation,
            created: self.created.and_then(time),
            changed: self.changed.map(|(by, at)| Changed { by, at: at.and_then(time) }),
            owner: self.owner.map(|(what, name)| Owner { what, name }),
            conditions: self.conditions.into_iter().map(condition).collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Id<'a> {
    #[serde(default)]
    group: Cow<'a, str>,
    kind: Cow<'a, str>,
    #[serde(default)]
    namespace: Cow<'a, str>,
    name: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Known<'a> {
    #[serde(default)]
    group: Cow<'a, str>,
    kind: Cow<'a, str>,
    state: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty", default)]
    why: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Lacking<'a> {
    #[serde(default)]
    server: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty", default)]
    node: Cow<'a, str>,
    from: Cow<'a, str>,
    until: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Broken<'a> {
    file: Cow<'a, str>,
    line: u32,
    what: Cow<'a, str>,
}

/// Appends the line of a change, without its newline. An object takes the whole text that it stands in with it.
pub fn write(at: &At, out: &mut Vec<u8>) {
    let head = || Line { time: at.at.map(|t| Cow::Owned(t.to_string())), cluster: Cow::Borrowed(&at.cluster), ..Line::default() };
    let line = match &at.change {
        Change::Apply(doc) => Line { apply: Some(body(doc)), ..head() },
        Change::Remove(id) => Line {
            remove: Some(Id {
                group: Cow::Borrowed(&id.group),
                kind: Cow::Borrowed(&id.kind),
                namespace: Cow::Borrowed(&id.namespace),
                name: Cow::Borrowed(&id.name),
            }),
            ..head()
        },
        Change::Kind(k) => {
            let (state, why) = match &k.state {
                KindState::Loading => ("loading", ""),
                KindState::Synced => ("synced", ""),
                KindState::Absent => ("absent", ""),
                KindState::Forbidden(why) => ("forbidden", why.as_str()),
                KindState::Stale(why) => ("stale", why.as_str()),
            };
            let known = Known {
                group: Cow::Borrowed(&k.group),
                kind: Cow::Borrowed(&k.kind),
                state: Cow::Borrowed(state),
                why: Cow::Borrowed(why),
            };
            Line { kind: Some(known), ..head() }
        }
        Change::Asked(filter) => Line { asked: Some(Cow::Borrowed(filter)), ..head() },
        Change::Gap(g) => {
            let (from, until) = (Cow::Owned(g.from.to_string()), Cow::Owned(g.until.to_string()));
            Line { gap: Some(Lacking { server: Cow::Borrowed(&g.server), node: Cow::Borrowed(&g.node), from, until }), ..head() }
        }
        Change::Ids(ids) => Line { ids: Some(numbers::Said::of(ids)), ..head() },
        Change::Edited(edits) => Line { edited: edits.used().map(saved).collect(), ..head() },
        Change::Fault(f) => {
            Line { fault: Some(Broken { file: Cow::Borrowed(&f.file), line: f.line, what: Cow::Borrowed(&f.what) }), ..head() }
        }
    };
    put(&line, out);
}

/// Two lines of manifests that were written anew, as the one that says what both came to, at the time of the second.
pub fn folded(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    let of = |line| serde_json::from_slice::<Line<'_>>(inside(line)?).ok();
    let (first, mut second) = (of(first)?, of(second)?);
    let again: HashSet<_> = second.edited.iter().map(|s| s.file.clone()).collect();
    second.edited.extend(first.edited.into_iter().filter(|s| !again.contains(&s.file)));
    let mut out = Vec::new();
    put(&second, &mut out);
    Some(out)
}

/// Appends the line that begins a snapshot, or the one that ends it.
pub fn snapshot(begin: bool, time: Nanos, out: &mut Vec<u8>) {
    let word = if begin { "begin" } else { "end" };
    put(&Line { time: Some(Cow::Owned(time.to_string())), snapshot: Some(Cow::Borrowed(word)), ..Line::default() }, out);
}

fn body(doc: &Doc) -> Body<'_> {
    let live = doc.live.as_deref().map(Version::of);
    Body { file: Cow::Borrowed(&doc.text.file), body: Cow::Borrowed(&doc.text.body), live }
}

fn saved(e: &Edited) -> Saved<'_> {
    Saved { file: Cow::Borrowed(&e.file), body: e.text().map(|d| Cow::Borrowed(&*d.text.body)) }
}

fn moment(text: &str) -> Result<Nanos, String> {
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| format!("{text:?} is no time"))?;
    Ok(Nanos::from_utc(time.to_utc()))
}

fn put(line: &Line<'_>, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(BEGIN);
    // Writing to memory fails only where a map's keys are no strings, and there is no map in it.
    if serde_json::to_writer(&mut *out, line).is_err() {
        return out.truncate(begin);
    }
    out.push(b'}');
}

/// Reads what stands after `{"world":`. The faults of a text have lines of their own.
pub fn read(text: &[u8]) -> Result<Said, String> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err("not a line of the cluster's state: no object".to_owned());
    }
    let line: Line<'_> = serde_json::from_slice(text).map_err(|e| format!("not a line of the cluster's state: {e}"))?;
    let at = line.time.as_deref().map(moment).transpose()?;
    let cluster: Arc<str> = Arc::from(&*line.cluster);
    let all = |changes: Vec<Change>| Said::Changes(changes.into_iter().map(|change| At { cluster: cluster.clone(), at, change }).collect());
    let own = |text: Cow<'_, str>| text.into_owned();
    Ok(match line {
        Line { apply: Some(b), .. } => {
            let docs = yaml::read(&b.file, &b.body).0;
            let live = b.live.map(|v| Arc::new(v.live()));
            all(docs.into_iter().map(|d| Change::Apply(Arc::new(Doc { live: live.clone(), ..d }))).collect())
        }
        Line { remove: Some(r), .. } => {
            let id = ObjectId { group: own(r.group), kind: own(r.kind), namespace: own(r.namespace), name: own(r.name) };
            all(vec![Change::Remove(id)])
        }
        Line { kind: Some(k), .. } => {
            let state = match &*k.state {
                "loading" => KindState::Loading,
                "synced" => KindState::Synced,
                "absent" => KindState::Absent,
                "forbidden" => KindState::Forbidden(own(k.why)),
                "stale" => KindState::Stale(own(k.why)),
                // A later version's word: not to be taken for a kind that is known well.
                other => KindState::Stale(format!("{other}: not a state that this version knows")),
            };
            all(vec![Change::Kind(Kind { group: own(k.group), kind: own(k.kind), state })])
        }
        Line { fault: Some(f), .. } => all(vec![Change::Fault(Fault { file: own(f.file), line: f.line, what: own(f.what) })]),
        Line { asked: Some(filter), .. } => all(vec![Change::Asked(Arc::from(&*filter))]),
        Line { gap: Some(g), .. } => {
            let gap = Gap { server: Arc::from(&*g.server), from: moment(&g.from)?, until: moment(&g.until)?, node: own(g.node) };
            all(vec![Change::Gap(Arc::new(gap))])
        }
        Line { ids: Some(said), .. } => all(vec![Change::Ids(Arc::new(said.ids()))]),
        Line { edited, .. } if !edited.is_empty() => {
            let at = at.ok_or("manifests that were written anew at no time")?;
            Said::Edited(at, edited.into_iter().map(|s| (own(s.file), s.body.map(own))).collect())
        }
        Line { snapshot: Some(word), .. } => match &*word {
            "begin" => Said::Begin,
            "end" => Said::End(at),
            other => return Err(format!("{other:?} is no part of a snapshot")),
        },
        _ => Said::Changes(Vec::new()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(at: &At) -> At {
        let mut text = Vec::new();
        write(at, &mut text);
        assert!(!text.contains(&b'\n'));
        let inside = text.strip_prefix(b"{\"world\":").unwrap().strip_suffix(b"}").unwrap();
        let Said::Changes(mut all) = read(inside).unwrap() else { panic!() };
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn at(change: Change) -> At {
        At { cluster: "prod".into(), at: Some(Nanos(1_500_000_000)), change }
    }

    #[test]
    fn an_object_comes_back_with_its_text_and_its_lines() {
        let (docs, _) = yaml::read("k8s/a.yaml", "# why\nkind: Namespace\napiVersion: v1\nmetadata:\n  name: \"shop\"\n");
        let doc = Arc::new(docs.into_iter().next().unwrap());
        let back = there_and_back(&at(Change::Apply(doc.clone())));
        let Change::Apply(d) = &back.change else { panic!() };
        assert_eq!((&d.text, &d.root, back.at, &*back.cluster), (&doc.text, &doc.root, Some(Nanos(1_500_000_000)), "prod"));
        let always = there_and_back(&At { cluster: "".into(), at: None, change: Change::Apply(doc) });
        assert_eq!((always.at, &*always.cluster), (None, ""));
    }

    #[test]
    fn what_the_api_says_besides_comes_back() {
        let live = Live {
            uid: "u".into(),
            resource_version: "77".into(),
            generation: Some(3),
            created: Some(Nanos(Nanos::SECOND)),
            changed: Some(Changed { by: "kubectl-edit".into(), at: None }),
            owner: Some(Owner { what: "Helm release".into(), name: "shop".into() }),
            conditions: vec![Condition { kind: "Valid".into(), status: "False".into(), reason: "r".into(), message: "m".into() }],
        };
        let doc = yaml::read("networkpolicy shop/a", "kind: NetworkPolicy\n").0.remove(0);
        let doc = Doc { live: Some(Arc::new(live)), ..doc };
        let Change::Apply(back) = there_and_back(&at(Change::Apply(Arc::new(doc.clone())))).change else { panic!() };
        assert_eq!(back.live, doc.live);
    }

    #[test]
    fn everything_else_comes_back() {
        let id =
            ObjectId { group: "cilium.io".into(), kind: "CiliumNetworkPolicy".into(), namespace: "shop".into(), name: "db\"\n".into() };
        assert!(matches!(there_and_back(&at(Change::Remove(id.clone()))).change, Change::Remove(back) if back == id));
        for state in [
            KindState::Loading,
            KindState::Synced,
            KindState::Absent,
            KindState::Forbidden("list pods".into()),
            KindState::Stale("gone".into()),
        ] {
            let kind = Kind { group: String::new(), kind: "Pod".into(), state };
            assert!(matches!(there_and_back(&at(Change::Kind(kind.clone()))).change, Change::Kind(back) if back == kind));
        }
        for filter in ["", "ns:shop \"x\""] {
            let gap = Gap { server: "s".into(), node: filter.into(), from: Nanos(5), until: Nanos(Nanos::SECOND) };
            let back = there_and_back(&at(Change::Gap(Arc::new(gap.clone())))).change;
            assert!(matches!(back, Change::Gap(back) if *back == gap));
            assert!(matches!(there_and_back(&at(Change::Asked(filter.into()))).change, Change::Asked(back) if *back == *filter));
        }
        let fault = Fault { file: "a.yaml".into(), line: 7, what: "no YAML".into() };
        assert!(matches!(there_and_back(&at(Change::Fault(fault.clone()))).change, Change::Fault(back) if back == fault));
    }

    #[test]
    fn what_is_not_known_is_passed_over_or_refused_but_never_guessed() {
        assert!(matches!(read(br#"{"later":{"x":[1]}}"#), Ok(Said::Changes(v)) if v.is_empty()));
        let Ok(Said::Changes(v)) = read(br#"{"kind":{"kind":"Pod","state":"half"}}"#) else { panic!() };
        assert!(matches!(&v[0].change, Change::Kind(Kind { state: KindState::Stale(_), .. })));
        for bad in [&br#"[]"#[..], b"{\"time\":\"noon\"}", br#"{"snapshot":"middle"}"#, br#"{"apply":{"file":"a"}}"#] {
            assert!(read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
