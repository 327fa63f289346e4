//! A flow as filters see it inside the engine: the message itself, and beside it what only the engine knows (causes, policies
//! that we derived, names that DNS taught, owners read from pod names).
//!
//! Owns two views of one flow, which have to answer alike: [`Full`] over the decoded message, [`Flat`] over the row alone.
use super::Engine;
use super::causes::Causes;
use super::enrich;
use super::store::Store;
use crate::model::observed::{Direction, L4, Observed, Party, Verdict};
use crate::model::reflect::Message;
use crate::model::row::{self, Row};
use crate::model::sym::Sym;
use crate::model::view::{End, Field, FieldSet, Item, Value, View};
use crate::model::why::Why;
use crate::query::Predicate;
use crate::wire::observed::observed;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::world::World;
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
            Field::Policies => {
                let derived = self.why.is_some_and(|w| {
                    w.policies
                        .iter()
                        .any(|p| test(Item::Policy { kind: &p.kind, namespace: p.namespace.as_deref().unwrap_or(""), name: &p.name }))
                });
                derived || self.response.any(field, test)
            }
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
            Field::Workloads(e) => {
                let (party, owner) = side(e);
                let inferred = party.workloads.is_empty() && !owner.is_empty();
                self.response.any(field, test) || (inferred && test(Item::Pair("", owner)))
            }
            _ => self.response.any(field, test),
        }
    }

    fn message(&self) -> Option<&dyn Message> {
        self.response.message()
    }
}

/// What a row can answer without its frame.
static FLAT: LazyLock<FieldSet> = LazyLock::new(|| {
    [
        Field::Flow,
        Field::Time,
        Field::Verdict,
        Field::DropCode,
        Field::EventType,
        Field::Direction,
        Field::IsReply,
        Field::Transport,
        Field::Cause,
        Field::CauseId,
        Field::Endpoint(End::Source),
        Field::Endpoint(End::Destination),
        Field::Namespace(End::Source),
        Field::Namespace(End::Destination),
        Field::Pod(End::Source),
        Field::Pod(End::Destination),
        Field::Identity(End::Source),
        Field::Identity(End::Destination),
        Field::Ip(End::Source),
        Field::Ip(End::Destination),
        Field::Port(End::Source),
        Field::Port(End::Destination),
    ]
    .into_iter()
    .collect()
});

/// A row alone.
struct Flat<'a> {
    row: &'a Row,
    store: &'a Store,
    causes: &'a Causes,
}

impl Flat<'_> {
    fn end(&self, e: End) -> &row::End {
        if e == End::Source { &self.row.src } else { &self.row.dst }
    }

    fn text(&self, s: Sym) -> Value<'_> {
        Value::Text(self.store.name(s))
    }
}

impl View for Flat<'_> {
    fn field(&self, field: Field) -> Value<'_> {
        let row = self.row;
        match field {
            Field::Flow => Value::Bool(true),
            Field::Time => Value::Int(row.at.0),

            Field::Verdict => Value::Int(i64::from(number(row.verdict))),
            Field::DropCode => Value::Int(i64::from(row.drop)),
            Field::EventType if row.event < 0 => Value::Missing,
            Field::EventType => Value::Int(i64::from(row.event)),
            Field::Direction => Value::Int(match row.dir {
                None => 0,
                Some(Direction::Ingress) => 1,
                Some(Direction::Egress) => 2,
            }),
            Field::IsReply => row.reply.map_or(Value::Missing, Value::Bool),
            Field::Transport => row.l4.map_or(Value::Missing, |l| Value::Int(transport(l))),
            Field::CauseId => row.cause.map_or(Value::Missing, |c| Value::Uint(u64::from(c.0.get()))),
            Field::Cause => match row.cause.and_then(|c| self.causes.get(c)) {
                Some(c) => Value::Text(&c.why.text),
                None => Value::Missing,
            },
            Field::Endpoint(e) => Value::Bool(self.end(e).present),
            Field::Namespace(e) => self.text(self.end(e).ns),
            Field::Pod(e) => self.text(self.end(e).pod),
            Field::Identity(e) if !self.end(e).present => Value::Missing,
            Field::Identity(e) => Value::Uint(u64::from(self.end(e).identity)),
            Field::Ip(e) => self.end(e).ip.get().map_or(Value::Missing, Value::Addr),
            Field::Port(_) if !matches!(row.l4, Some(L4::Tcp | L4::Udp | L4::Sctp)) => Value::Missing,
            Field::Port(e) => Value::Uint(u64::from(self.end(e).port)),
            _ => Value::Missing,
        }
    }

    fn any(&self, _: Field, _: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        false
    }
}

fn number(v: Verdict) -> i32 {
    match v {
        Verdict::Unknown => 0,
        Verdict::Forwarded => 1,
        Verdict::Dropped => 2,
        Verdict::Error => 3,
        Verdict::Audit => 4,
        Verdict::Redirected => 5,
        Verdict::Traced => 6,
        Verdict::Translated => 7,
        Verdict::Other(n) => n,
    }
}

fn transport(l: L4) -> i64 {
    match l {
        L4::Tcp => 1,
        L4::Udp => 2,
        L4::Icmp4 => 3,
        L4::Icmp6 => 4,
        L4::Sctp => 5,
        L4::Vrrp => 6,
        L4::Igmp => 7,
    }
}

impl Engine {
    /// Whether a held flow passes a filter.
    pub fn matches(&self, seq: u64, predicate: &Predicate) -> bool {
        let Some(row) = self.store.row(seq) else { return false };
        // Nobody's world is looked for where the row says it: a new filter goes over everything that is held.
        let quick = by_row(&self.store, &self.causes, row, predicate);
        quick.unwrap_or_else(|| self.matches_whole(seq, row, predicate))
    }

    fn matches_whole(&self, seq: u64, row: &Row, predicate: &Predicate) -> bool {
        matches(&self.store, &self.causes, &self.clusters.get(self.home_of(seq)).world, seq, row, predicate)
    }
}

/// Whether a row passes, where rows alone can answer what the filter asks.
pub fn by_row(store: &Store, causes: &Causes, row: &Row, predicate: &Predicate) -> Option<bool> {
    predicate.fields().is_subset(*FLAT).then(|| predicate.matches(&Flat { row, store, causes }))
}

/// Whether a held flow passes: by its frame. A row whose frame is gone answers by its row.
pub fn matches(store: &Store, causes: &Causes, world: &World, seq: u64, row: &Row, predicate: &Predicate) -> bool {
    let Some(response) = store.response(seq) else { return predicate.matches(&Flat { row, store, causes }) };
    let o = observed(&response);
    let o = enrich::named(&o, world);
    let cause = row.cause.and_then(|c| causes.get(c));
    let full = Full {
        response: &response,
        observed: &o,
        why: cause.map(|c| &*c.why),
        cause: row.cause,
        owners: [store.name(row.src.workload), store.name(row.dst.workload)],
    };
    predicate.matches(&full)
}
