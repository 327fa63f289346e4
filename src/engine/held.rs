//! A flow as filters see it inside the engine: the message itself, and beside it what only the engine knows (causes, policies
//! that we derived, names that DNS taught, owners read from pod names).
//!
//! Owns two views of one flow, which have to answer alike: [`Full`] over the decoded message, [`Flat`] over what the store keeps of it;
//! the filter over what is held, [`Sieve`]; and what is asked of one held flow.
use super::clusters::{self, Home, Origin};
use super::facts::{DESTINATION, KIND, RULED, SAID, SOURCE};
use super::store::{Cell, part};
use super::{Engine, enrich, origin};
use crate::model::observed::{L4, Observed, Party};
use crate::model::reflect::Message;
use crate::model::row::{self, Row};
use crate::model::view::{End, Field, FieldSet, Item, Value, View};
use crate::model::why::{Explanation, Why};
use crate::query::Predicate;
use crate::query::recall::{ASK, NOT_HERE, Place, Recall};
use crate::wire::pb::observer::GetFlowsResponse;
use std::ops::Range;
use std::sync::LazyLock;

/// The message and what the engine knows of it.
pub struct Full<'a> {
    pub response: &'a GetFlowsResponse,
    /// With names filled in ([`enrich::named`]).
    pub observed: &'a Observed,
    pub why: Option<&'a Why>,
    pub cause: Option<row::CauseId>,
    /// Owner of each side, reported or inferred; empty if there is none.
    pub owners: [&'a str; 2],
}

impl Full<'_> {
    fn party(&self, e: End) -> &Party {
        if e == End::Source { &self.observed.src } else { &self.observed.dst }
    }

    /// Policies that the agent names by number, of one list or of all: they are its own word, too.
    fn numbered(&self, list: Option<Field>, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        let r = &self.observed.reported;
        if r.told.iter().all(|t| t.numbers.is_none()) {
            return false;
        }
        let lists = [
            (Field::DeniedBy(End::Source), &r.egress_denied),
            (Field::DeniedBy(End::Destination), &r.ingress_denied),
            (Field::AllowedBy(End::Source), &r.egress_allowed),
            (Field::AllowedBy(End::Destination), &r.ingress_allowed),
        ];
        let wanted = lists.into_iter().filter(|(f, _)| list.is_none_or(|l| l == *f));
        wanted.flat_map(|(_, l)| l).any(|n| test(Item::Policy { kind: &n.kind, namespace: &n.namespace, name: &n.name }))
    }

    /// What the record says, else what was filled in.
    fn told_or<'a>(&'a self, field: Field, inferred: &'a str) -> Value<'a> {
        match self.response.field(field) {
            Value::Text("") | Value::Missing if !inferred.is_empty() => Value::Text(inferred),
            told => told,
        }
    }
}

impl View for Full<'_> {
    fn field(&self, field: Field) -> Value<'_> {
        match field {
            Field::Cause => self.why.map_or(Value::Missing, |w| Value::Text(&w.text)),
            Field::CauseId => self.cause.map_or(Value::Missing, |c| Value::Uint(u64::from(c.0.get()))),
            Field::Outcome => self.why.map_or(Value::Missing, |w| Value::Text(w.outcome.word())),
            Field::Namespace(e) => self.told_or(field, &self.party(e).namespace),
            Field::Pod(e) => self.told_or(field, &self.party(e).pod),
            Field::ServiceNamespace(e) => self.told_or(field, self.party(e).service.as_ref().map_or("", |s| &s.0)),
            Field::ServiceName(e) => self.told_or(field, self.party(e).service.as_ref().map_or("", |s| &s.1)),
            _ => self.response.field(field),
        }
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        let side = |e: End| if e == End::Source { (&self.observed.src, self.owners[0]) } else { (&self.observed.dst, self.owners[1]) };
        match field {
            Field::Policies => self.why.is_some_and(|w| derived(w, test)) || self.response.any(field, test) || self.numbered(None, test),
            Field::AllowedBy(_) | Field::DeniedBy(_) => self.response.any(field, test) || self.numbered(Some(field), test),
            Field::InferredNames(e) => {
                // Reported names answer to `Names`; what is left was filled in.
                !self.response.any(Field::Names(e), &mut |_| true) && side(e).0.names.iter().any(|n| test(Item::Text(n)))
            }
            Field::Labels(e) => {
                let told = &mut |l: Item<'_>| !matches!(l, Item::Text("reserved:unknown"));
                if self.response.any(field, told) {
                    self.response.any(field, test)
                } else {
                    self.party(e).labels.iter().any(|l| test(Item::Text(l)))
                }
            }
            Field::Workloads(e) | Field::Owners(e) => {
                let told = Field::Workloads(e);
                if self.response.any(told, &mut |_| true) {
                    return self.response.any(told, test);
                }
                match side(e) {
                    (party, owner) if party.workloads.is_empty() => field != told && !owner.is_empty() && test(Item::Pair("", owner)),
                    (party, _) => party.workloads.iter().any(|(kind, name)| test(Item::Pair(kind, name))),
                }
            }
            _ => self.response.any(field, test),
        }
    }

    fn message(&self) -> Option<&dyn Message> {
        self.response.message()
    }
}

fn derived(why: &Why, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
    why.policies.iter().any(|p| test(Item::Policy { kind: &p.kind, namespace: p.namespace.as_deref().unwrap_or(""), name: &p.name }))
}

/// Who of the store answers a field.
fn place(field: Field) -> Place {
    static GROUPS: LazyLock<[(FieldSet, u8); 5]> = LazyLock::new(|| {
        let groups =
            [(&SOURCE, part::SOURCE), (&DESTINATION, part::DESTINATION), (&KIND, part::KIND), (&SAID, part::SAID), (&RULED, part::RULED)];
        groups.map(|(group, part)| (group.fields(), part))
    });
    match field {
        Field::Ip(End::Source) => Place::Part(part::SOURCE),
        Field::Ip(End::Destination) => Place::Part(part::DESTINATION),
        Field::Port(End::Source) => Place::Part(part::SOURCE_PORT),
        Field::Port(End::Destination) => Place::Part(part::DESTINATION_PORT),
        Field::InferredNames(End::Source) => Place::Part(part::SOURCE_NAMES),
        Field::InferredNames(End::Destination) => Place::Part(part::DESTINATION_NAMES),
        Field::NodeName => Place::Part(part::NODE),
        Field::Cause | Field::CauseId | Field::Outcome | Field::Policies => Place::Part(part::RULED),
        Field::Time | Field::LatencyNs => Place::View,
        _ => GROUPS.iter().find(|(fields, _)| fields.contains(field)).map_or(Place::Elsewhere, |(_, part)| Place::Part(*part)),
    }
}

/// What the store keeps of a flow beside its frame. Who somebody is stays as it was known when the flow came; only names that DNS gives
/// an address since are heard.
struct Flat<'a> {
    engine: &'a Engine,
    seq: u64,
}

impl<'a> Flat<'a> {
    fn row(&self) -> Option<Row> {
        self.engine.store.row(self.seq)
    }

    fn why(&self) -> Option<&'a Why> {
        Some(&self.engine.causes.get(self.engine.store.cause(self.seq)?)?.why)
    }

    /// Whether it can answer a field.
    fn knows(&self, field: Field) -> bool {
        match place(field) {
            Place::Part(part) => self.engine.store.number(self.seq, part) != NOT_HERE,
            Place::View => true,
            Place::Elsewhere => false,
        }
    }

    fn told(&self, field: Field) -> Value<'a> {
        let Place::Part(part) = place(field) else { return Value::Missing };
        self.engine.store.told(self.seq, part).map_or(Value::Missing, |(group, spelled)| group.field(spelled, field))
    }

    /// Names that DNS gave the address of a side that has no other.
    fn learnt(&self, e: End, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        let part = if e == End::Source { part::SOURCE } else { part::DESTINATION };
        let field = Field::InferredNames(e);
        if self.engine.store.told(self.seq, part).is_some_and(|(group, spelled)| group.any(spelled, field, test)) {
            return true;
        }
        let Some(row) = self.row() else { return false };
        let end = if e == End::Source { row.src } else { row.dst };
        let world = &self.engine.clusters.get(self.engine.home_of(self.seq)).world;
        end.ip.get().is_some_and(|ip| world.names_of(ip).iter().any(|l| test(Item::Text(&l.name))))
    }
}

impl View for Flat<'_> {
    fn field(&self, field: Field) -> Value<'_> {
        let store = &self.engine.store;
        let end = |e: End| self.row().map(|r| (r.l4, if e == End::Source { r.src } else { r.dst }));
        match field {
            Field::Time if !store.has_time(self.seq) => Value::Missing,
            Field::Time => store.at(self.seq).map_or(Value::Missing, |at| Value::Int(at.0)),
            Field::LatencyNs => store.latency(self.seq).map_or(Value::Missing, Value::Uint),
            Field::NodeName => self.row().map_or(Value::Missing, |r| Value::Text(store.name(r.node))),
            Field::Cause => self.why().map_or(Value::Missing, |w| Value::Text(&w.text)),
            Field::CauseId => store.cause(self.seq).map_or(Value::Missing, |c| Value::Uint(u64::from(c.0.get()))),
            Field::Outcome => self.why().map_or(Value::Missing, |w| Value::Text(w.outcome.word())),
            Field::Ip(e) => end(e).and_then(|(_, end)| end.ip.get()).map_or(Value::Missing, Value::Addr),
            Field::Port(e) => match end(e) {
                Some((Some(L4::Tcp | L4::Udp | L4::Sctp), end)) => Value::Uint(u64::from(end.port)),
                _ => Value::Missing,
            },
            _ => self.told(field),
        }
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        let Place::Part(part) = place(field) else { return false };
        let store = &self.engine.store;
        let mut told = |field| store.told(self.seq, part).is_some_and(|(group, spelled)| group.any(spelled, field, test));
        match field {
            Field::InferredNames(e) => store.number(self.seq, part) == ASK && self.learnt(e, test),
            Field::Policies => {
                [Field::DeniedBy, Field::AllowedBy].into_iter().any(|by| End::BOTH.into_iter().any(|e| told(by(e))))
                    || self.why().is_some_and(|w| derived(w, test))
            }
            _ => told(field),
        }
    }
}

/// What the store keeps, and the frame for what it does not.
struct Whole<'a> {
    flat: Flat<'a>,
    full: Full<'a>,
}

impl View for Whole<'_> {
    fn field(&self, field: Field) -> Value<'_> {
        if self.flat.knows(field) { self.flat.field(field) } else { self.full.field(field) }
    }

    fn any(&self, field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        if self.flat.knows(field) { self.flat.any(field, test) } else { self.full.any(field, test) }
    }

    fn message(&self) -> Option<&dyn Message> {
        self.full.message()
    }
}

/// A filter over what is held, with what it remembers of senders, receivers and whatever else rows have in common.
#[derive(Debug, Clone)]
pub struct Sieve {
    recall: Recall,
    sweeps: u64,
}

impl Sieve {
    pub fn new(predicate: Predicate) -> Self {
        Self { recall: Recall::new(predicate, &place), sweeps: 0 }
    }

    pub fn predicate(&self) -> &Predicate {
        self.recall.predicate()
    }
}

impl Engine {
    /// What came before its cluster was known is of the only one there is, unless it says that it is another's.
    pub(super) fn home_of(&self, seq: u64) -> Home {
        match self.store.row(seq).map_or(0, |r| r.cluster) {
            0 if self.clusters.names().next().is_none() => 0,
            0 => {
                let flat = Flat { engine: self, seq };
                let known = End::BOTH.iter().all(|e| flat.knows(Field::Cluster(*e))) && flat.knows(Field::NodeName);
                if let Some(response) = if known { None } else { self.store.response(seq) } {
                    return self.clusters.home(&origin("", &response));
                }
                let [src, dst] = End::BOTH.map(|e| flat.told(Field::Cluster(e)).text());
                let node = self.store.row(seq).map_or("", |r| self.store.name(r.node));
                self.clusters.home(&Origin { from: "", node, cluster: if src == dst { src } else { "" } })
            }
            place => {
                let node = self.store.row(seq).map_or("", |r| self.store.name(r.node));
                if self.clusters.disowned(usize::from(place), node) { 0 } else { usize::from(place) }
            }
        }
    }

    /// The cluster of a held flow; empty where none is watched or recorded.
    pub fn cluster_of(&self, seq: u64) -> &str {
        self.clusters.name(self.home_of(seq))
    }

    /// A held flow in the terms of attribution, with inferred names; `None` once its raw frame is evicted.
    pub fn observed(&self, seq: u64) -> Option<Observed> {
        let o = self.reported(&self.store.response(seq)?);
        Some(enrich::named(&o, &self.clusters.get(self.home_of(seq)).world).into_owned())
    }

    /// The whole explanation of a held flow, made now, by the policies of its time.
    pub fn explain(&self, seq: u64) -> Option<Explanation> {
        let o = self.reported(&self.store.response(seq)?);
        let home = self.home_of(seq);
        let explained = self.clusters.get(home).explain(&o);
        if self.clusters.is_foreign(home) {
            return Some(Explanation { why: clusters::foreign(&explained.why, &o.node), ..explained });
        }
        Some(explained)
    }

    /// Hands on the held flows of these numbers that pass a filter, with the causes of their drops.
    pub fn sift(&self, seqs: Range<u64>, sieve: &mut Sieve, mut hit: impl FnMut(u64, Option<row::CauseId>)) {
        if sieve.sweeps != self.store.sweeps() {
            sieve.recall.forget();
            sieve.sweeps = self.store.sweeps();
        }
        for (first, cells) in self.store.cells(seqs) {
            let view = |i: usize| Flat { engine: self, seq: first + i as u64 };
            let found = sieve.recall.ask(cells.len(), &|part, of: &mut _| Cell::numbers(cells, part, of), &view);
            for (seq, (i, cell)) in (first..).zip(cells.iter().enumerate()).filter(|(_, (i, _))| (found.passes | found.open) >> i & 1 == 1)
            {
                if found.passes >> i & 1 == 1 || self.matches_whole(seq, sieve.predicate()) {
                    hit(seq, cell.cause());
                }
            }
        }
    }

    /// Whether a held flow passes a filter.
    pub fn matches(&self, seq: u64, sieve: &mut Sieve) -> bool {
        let mut hit = false;
        self.sift(seq..seq.saturating_add(1), sieve, |_, _| hit = true);
        hit
    }

    /// With what its frame says. Where the frame is gone nobody knows, so it does not pass; the ledger has how many these are.
    fn matches_whole(&self, seq: u64, predicate: &Predicate) -> bool {
        let Some(response) = self.store.response(seq) else { return false };
        let flat = Flat { engine: self, seq };
        let o = self.reported(&response);
        let o = enrich::named(&o, &self.clusters.get(self.home_of(seq)).world);
        let row = flat.row();
        let owner = |end: fn(&Row) -> row::End| row.as_ref().map_or("", |r| self.store.name(end(r).workload));
        let full = Full {
            response: &response,
            observed: &o,
            why: flat.why(),
            cause: self.store.cause(seq),
            owners: [owner(|r| r.src), owner(|r| r.dst)],
        };
        predicate.matches(&Whole { flat, full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{self, Simulation};
    use crate::engine::store::Limits;
    use crate::engine::{Explain, Options};
    use crate::model::input::{Change, Codec, Frame, Input};
    use crate::model::time::Nanos;
    use crate::query::{Context, parse};
    use crate::wire::observed::observed;
    use crate::world::yaml;
    use prost::Message as _;
    use std::sync::Arc;

    fn held(rows: usize, flows: usize, extra: &[&str]) -> Engine {
        let hold = Some(Limits { rows, raw: 64 << 20 });
        let mut e = Engine::new(Options { hold, explain: Explain::Drops, ..Options::default() });
        for (file, text) in demo::manifests() {
            yaml::read(file, text).0.into_iter().for_each(|d| e.give(Change::Apply(Arc::new(d))));
        }
        e.policies_given();
        let mut simulation = Simulation::new(7, Nanos::from_parts(1_800_000_000, 0));
        let mut feed =
            |codec, bytes| e.feed(Input::Frame(Frame { codec, from: Arc::from("t"), line: 0, bytes, broken: None }), &mut |_| {});
        (0..flows).for_each(|_| feed(Codec::Hubble, simulation.next().1.encode_to_vec().into()));
        extra.iter().for_each(|line| feed(Codec::HubbleJson, line.as_bytes().to_vec().into()));
        e
    }

    /// Records with what the demo has not: a bare address, odd values, other transports, services, several owners.
    const ODD: &[&str] = &[
        r#"{"flow":{"time":"2027-01-15T08:00:00Z","verdict":"DROPPED","IP":{"source":"10.9.9.9","destination":"fd00::2","encrypted":true,"ipVersion":"IPv6"},"l4":{"ICMPv4":{"type":8}},"event_type":{"type":1,"sub_type":133},"traffic_direction":"INGRESS","drop_reason_desc":"POLICY_DENIED","node_name":"n9"}}"#,
        r#"{"flow":{"time":"2027-01-15T08:00:01Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"l4":{"TCP":{"source_port":1,"destination_port":65535,"flags":{"SYN":true,"ACK":true}}},"source":{"identity":9,"namespace":"a","labels":["reserved:unknown"],"pod_name":"p-0"},"destination":{"namespace":"b","labels":["k8s:app=x","any:y"],"workloads":[{"name":"w","kind":"Deployment"},{"name":"v"}],"cluster_name":"c1"},"destination_service":{"name":"svc","namespace":"b"},"source_names":["a.example."],"destination_names":["b.example.","c.example."],"is_reply":true,"node_name":"c1/n1","ingress_allowed_by":[{"name":"allow","namespace":"b","kind":"NetworkPolicy"}]}}"#,
        r#"{"flow":{"time":"2027-01-15T08:00:02Z","verdict":"FORWARDED","l4":{"TCP":{"source_port":1,"destination_port":9092}},"l7":{"type":"RESPONSE","latency_ns":"1234567","kafka":{"topic":"orders","error_code":3}},"Type":"L7"}}"#,
        r#"{"flow":{"time":"2027-01-15T08:00:03Z","verdict":"DROPPED","l7":{"type":"REQUEST","http":{"method":"GET","url":"http://x/a%2Fb?c","headers":[{"key":"k","value":"v"}]}},"egress_denied_by":[{"name":"deny","kind":"CiliumClusterwideNetworkPolicy"}]}}"#,
        r#"{"flow":{},"node_name":"n1"}"#,
        r#"{"flow":{"IP":{"source":"::ffff:10.0.0.1","destination":"::"},"l4":{"TCP":{"source_port":70000,"destination_port":80}},"source":{"workloads":[{}],"pod_name":"db-0","namespace":"a"},"destination":{"pod_name":"db-0","namespace":"a"}}}"#,
        r#"{"flow":{"time":"2027-01-15T08:00:04Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"203.0.113.7"},"l4":{"TCP":{"source_port":5,"destination_port":443}},"destination":{"identity":2,"labels":["reserved:world"]}}}"#,
        r#"{"flow":{"time":"2027-01-15T08:00:05Z","verdict":"FORWARDED","IP":{"source":"10.0.0.9","destination":"10.0.0.1"},"l4":{"UDP":{"source_port":53,"destination_port":5}},"l7":{"type":"RESPONSE","dns":{"query":"late.example.","ips":["203.0.113.7"],"ttl":60}}}}"#,
    ];

    const FILTERS: &[&str] = &[
        "",
        "shop",
        "checkout db",
        "world",
        "ns:shop",
        "from.ns:shop",
        "not ns:shop",
        "pod:c*",
        "pod:*",
        "to.pod:/^p/",
        "workload:cart",
        "workload:w",
        "workload:Deployment/w",
        "label:app=cart",
        "to.label:\"app in (x, cart)\"",
        "not label:app",
        "ip:10.0.0.0/8",
        "ip:fd00::2",
        "identity:9",
        "fqdn:*.example",
        "fqdn:api*",
        "svc:svc",
        "svc:b/svc",
        "cluster:c1",
        "node:n1",
        "node:*",
        "port:443",
        "to.port:5432",
        "port:0",
        "port:60000-65535",
        "not port:443",
        "verdict:dropped",
        "verdict:forwarded port:443",
        "reply:true",
        "reply:false",
        "dir:ingress",
        "proto:tcp",
        "proto:icmp",
        "proto:http",
        "proto:dns",
        "flag:syn",
        "type:drop",
        "type:l7",
        "reason:133",
        "http.status:5xx",
        "http.method:get",
        "http.path:/a*",
        "dns:*",
        "dns.rcode:0",
        "kafka.topic:orders",
        "latency>=1ms",
        "latency<1s",
        "policy:allow",
        "policy:*deny*",
        "cause:*",
        "outcome:default-deny",
        "encrypted:true",
        "time>=2027-01-15T08:00:01Z",
        "uuid:*",
        "http.header:k=v",
        "ns:shop (port:5432 or verdict:dropped)",
        "not (ns:shop or dir:egress)",
        "shop http.header:k",
        "shop or http.header:k",
    ];

    /// By its frame alone.
    fn by_frame(e: &Engine, seq: u64, p: &Predicate) -> bool {
        let response = e.store.response(seq).unwrap();
        let o = observed(&response);
        let o = enrich::named(&o, &e.clusters.get(e.home_of(seq)).world);
        let row = e.store.row(seq).unwrap();
        let cause = e.store.cause(seq);
        let why = cause.and_then(|c| e.causes.get(c)).map(|c| &*c.why);
        p.matches(&Full { response: &response, observed: &o, why, cause, owners: [row.src, row.dst].map(|end| e.store.name(end.workload)) })
    }

    fn agrees(e: &Engine) -> usize {
        let mut understood = 0;
        for text in FILTERS {
            // Not every spelling here need be one of the language.
            let Ok(p) = parse(text, &Context::default()) else { continue };
            understood += 1;
            let mut sieve = Sieve::new(p.clone());
            let mut found = Vec::new();
            e.sift(0..u64::MAX, &mut sieve, |seq, cause| found.push((seq, cause)));
            let whole: Vec<_> = e.store().seqs().filter(|s| by_frame(e, *s, &p)).map(|s| (s, e.store().cause(s))).collect();
            assert_eq!(found, whole, "{text}");
            assert!(e.store().seqs().all(|s| e.matches_whole(s, &p) == by_frame(e, s, &p)), "{text}");
            assert!(e.store().seqs().all(|s| e.matches(s, &mut sieve) == whole.iter().any(|(hit, _)| *hit == s)), "{text}");
        }
        understood
    }

    #[test]
    fn what_is_kept_of_a_flow_and_its_frame_answer_every_filter_alike() {
        let e = held(5_000, 700, ODD);
        let n = agrees(&e);
        assert!(n >= 50, "only {n} of the filters are of the language");
    }

    #[test]
    fn an_answer_of_dns_after_the_flow_names_its_address() {
        let e = held(5_000, 0, ODD);
        let mut sieve = Sieve::new(parse("fqdn:late.example", &Context::default()).unwrap());
        let mut found = Vec::new();
        e.sift(0..u64::MAX, &mut sieve, |seq, _| found.push(seq));
        assert_eq!(found, [6]);
    }

    #[test]
    fn what_is_remembered_of_one_store_is_not_taken_for_anothers() {
        let mut sieve = Sieve::new(parse("ns:shop", &Context::default()).unwrap());
        let mut count = |e: &Engine| {
            let mut n = 0;
            e.sift(0..u64::MAX, &mut sieve, |_, _| n += 1);
            n
        };
        let (some, none) = (held(500, 300, &[]), held(500, 0, ODD));
        assert!(count(&some) > 0 && count(&none) == 0);
    }

    #[test]
    fn a_full_store_answers_as_before() {
        agrees(&held(300, 1_500, ODD));
    }
}
