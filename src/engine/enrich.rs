//! What a flow does not say and the world knows: owners, DNS names. Also the flat row of a flow.
//!
//! Owns inference of names for people; attribution's own facts (labels, ports) are the policy room's business.
use super::spell::Spell;
use super::store::Store;
use crate::model::observed::{L7, Observed, Party};
use crate::model::owner;
use crate::model::row::{End, Ip, Proxy, Row};
use crate::model::sym::Sym;
use crate::model::time::Nanos;
use crate::model::view::FieldSet;
use crate::wire::pb::flow as pb;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::world::{Stand, World};
use foldhash::HashMap;
use std::borrow::Cow;
use std::sync::Arc;

/// The flow as an agent would have written it that knew the cluster: pod, namespace, labels and owner of a side that has nothing but
/// an address. Nothing that was reported is changed.
pub fn placed<'a>(o: &'a Observed, world: &World) -> Cow<'a, Observed> {
    let stands = world.stands(o);
    if !stands.iter().any(Stand::names) {
        return Cow::Borrowed(o);
    }
    let mut out = o.clone();
    let ends = world.endpoints(o);
    for ((party, stand), e) in [&mut out.src, &mut out.dst].into_iter().zip(stands).zip(ends) {
        if !stand.names() {
            continue;
        }
        if let Some(f) = &e.frontend {
            party.service.get_or_insert_with(|| f.service.clone());
        }
        if e.known {
            party.labels = e.labels.0.iter().map(ToString::to_string).collect();
        }
        party.workloads = stand.pod_like().and_then(|p| world.owner(&e.namespace, p)).into_iter().collect();
        (party.namespace, party.pod, party.cluster) = (e.namespace, e.pod, e.cluster);
    }
    Cow::Owned(out)
}

/// The same with the backend's port in place of the service's, where the record was made before DNAT: what policies judge.
pub fn behind<'a>(o: &'a Observed, world: &World) -> Cow<'a, Observed> {
    let placed = placed(o, world);
    if matches!(placed, Cow::Borrowed(_)) {
        return placed;
    }
    let mut out = placed.into_owned();
    let [src, dst] = world.endpoints(o);
    out.src_port = src.listens(o.l4, o.src_port).unwrap_or(o.src_port);
    out.dst_port = dst.listens(o.l4, o.dst_port).unwrap_or(o.dst_port);
    Cow::Owned(out)
}

/// The flow with the names that DNS gave its addresses, newest first, where they have none.
pub fn named<'a>(o: &'a Observed, world: &World) -> Cow<'a, Observed> {
    let o = placed(o, world);
    let learnt = |party: &Party| {
        let nameless = party.pod.is_empty() && party.names.is_empty();
        let names = party.ip.filter(|_| nameless).map(|ip| world.names_of(ip)).unwrap_or_default();
        names.iter().map(|l| l.name.clone()).collect::<Vec<_>>()
    };
    let (src, dst) = (learnt(&o.src), learnt(&o.dst));
    if src.is_empty() && dst.is_empty() {
        return o;
    }
    let mut o = o.into_owned();
    for (party, names) in [(&mut o.src, src), (&mut o.dst, dst)] {
        if !names.is_empty() {
            party.names = names;
        }
    }
    Cow::Owned(o)
}

/// Whether filters for these fields have to wait for what the world knows: a side of the record has nothing but its address, or a pod
/// whose owner is asked for and not told.
pub fn lacks_names(o: &GetFlowsResponse, asked: FieldSet) -> bool {
    let Some(ResponseTypes::Flow(f)) = &o.response_types else { return false };
    let bare = |e: Option<&pb::Endpoint>| {
        e.is_none_or(|e| e.pod_name.is_empty() && e.namespace.is_empty() && e.labels.iter().all(|l| l == "reserved:unknown"))
    };
    let unowned = |e: Option<&pb::Endpoint>| e.is_some_and(|e| e.workloads.is_empty() && !e.pod_name.is_empty());
    let ends = [f.source.as_ref(), f.destination.as_ref()];
    asked.asks_names() && (f.ip.is_some() && ends.into_iter().any(bare) || asked.asks_owners() && ends.into_iter().any(unowned))
}

/// A side as a person names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// `shop/cart`, a DNS name, `world`'s address, a reserved name, or `?`.
    pub name: String,
    pub workload: String,
}

/// Names of pods, remembered: their owner is looked for among all workloads of a namespace.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<Box<[u8]>, Arc<Who>>,
    /// Of each world, as it was then.
    of: HashMap<usize, u64>,
    key: Spell,
}

impl Names {
    /// Pods remembered; a full memory begins anew.
    const MOST: usize = 1 << 16;

    /// As [`who`] says, `home` being the place of the world among others.
    pub fn who(&mut self, party: &Party, home: usize, world: &World) -> Arc<Who> {
        if party.pod.is_empty() {
            return Arc::new(who(party, world));
        }
        if self.of.insert(home, world.generation()) != Some(world.generation()) || self.known.len() >= Self::MOST {
            self.known.clear();
        }
        let owner = party.workloads.first().map(|(_, name)| name.as_str());
        self.key.begin().number(home as u64).text(&party.namespace).text(&party.pod).texts(owner.into_iter());
        if let Some(who) = self.known.get(self.key.bytes()) {
            return who.clone();
        }
        let who = Arc::new(who(party, world));
        self.known.insert(self.key.bytes().into(), who.clone());
        who
    }
}

/// Names a side by its owner, else its pod, else its DNS name, else what it is.
pub fn who(party: &Party, world: &World) -> Who {
    let workload = match party.workloads.first() {
        Some((_, name)) => name.clone(),
        None if party.pod.is_empty() => String::new(),
        None => {
            let owned = world.pod(&party.namespace, &party.pod).and_then(|p| world.owner(&party.namespace, p));
            owned.map(|(_, name)| name).unwrap_or_else(|| match world.workload_of(&party.namespace, &party.pod, &[]) {
                Some((_, name, _)) => name.to_owned(),
                None => owner::shown_by(&party.pod).unwrap_or_default().to_owned(),
            })
        }
    };
    let name = match (workload.is_empty(), party.namespace.is_empty()) {
        (true, _) => party.display(),
        (false, true) => workload.clone(),
        (false, false) => format!("{}/{workload}", party.namespace),
    };
    Who { name, workload }
}

/// The flat row of a flow. `reported`: as its record has it; `latency`: until the response, in nanoseconds.
pub fn row(o: &Observed, reported: &Observed, [from, to]: [&Who; 2], at: Nanos, latency: u64, store: &mut Store) -> Row {
    let inferred = |p: &Party, told: &Party| {
        let facts = |p: &Party| (p.labels.len(), p.names.len());
        p.pod != told.pod || p.namespace != told.namespace || facts(p) != facts(told)
    };
    let mut sides = |p, told, who: &Who, port| End { inferred: inferred(p, told), ..end(p, &who.workload, port, store) };
    let (l7, status) = match &o.l7 {
        None => (None, 0),
        Some(L7::Http { code, .. }) => (Some(Proxy::Http), *code),
        Some(L7::Dns { rcode, .. }) => (Some(Proxy::Dns), *rcode),
        Some(L7::Kafka { error_code, .. }) => (Some(Proxy::Kafka), error_code.unsigned_abs()),
        Some(L7::Other) => (Some(Proxy::Other), 0),
    };
    Row {
        at,
        src: sides(&o.src, &reported.src, from, o.src_port),
        dst: sides(&o.dst, &reported.dst, to, o.dst_port),
        node: store.intern(&o.node),
        cluster: 0,
        cause: None,
        before: 0,
        verdict: o.verdict,
        drop: u16::try_from(o.drop_reason).unwrap_or(u16::MAX),
        event: o.event.map_or(-1, |(kind, _)| i16::try_from(kind).unwrap_or(i16::MAX)),
        l4: o.l4,
        dir: o.direction,
        reply: o.is_reply,
        l7,
        status: if o.l7_response { u16::try_from(status).unwrap_or(u16::MAX).min(Row::UNANSWERED - 1) } else { Row::UNANSWERED },
        wait: u32::try_from(latency / 1_000).unwrap_or(u32::MAX),
    }
}

fn end(p: &Party, workload: &str, port: u16, store: &mut Store) -> End {
    let reserved = if p.pod.is_empty() { p.labels.iter().find_map(|l| l.strip_prefix("reserved:")) } else { None };
    End {
        ip: Ip::new(p.ip),
        identity: p.identity,
        ns: store.intern(&p.namespace),
        pod: store.intern(&p.pod),
        workload: store.intern(workload),
        reserved: reserved.map_or(Sym::EMPTY, |r| store.intern(r)),
        name: p.names.first().map_or(Sym::EMPTY, |n| store.intern(n)),
        port,
        present: p.present,
        inferred: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_named_by_its_owner_then_pod_then_dns_then_address() {
        let world = World::default();
        let mut p = Party { namespace: "shop".into(), pod: "cart-7d4b8c9f5-xk2mh".into(), ..Party::default() };
        assert_eq!(who(&p, &world).name, "shop/cart");
        p.workloads = vec![("Deployment".into(), "cart-v2".into())];
        assert_eq!(who(&p, &world).name, "shop/cart-v2");
        let mut p = Party { ip: "1.2.3.4".parse().ok(), labels: vec!["reserved:world".into()], ..Party::default() };
        assert_eq!(who(&p, &world).name, "1.2.3.4");
        p.names = vec!["api.stripe.com".into()];
        assert_eq!(who(&p, &world).name, "api.stripe.com");
    }
}
