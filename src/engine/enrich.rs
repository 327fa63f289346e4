//! What a flow does not say and the world knows: owners, DNS names. Also the flat row of a flow.
//!
//! Owns inference of names for people; attribution's own facts (labels, ports) are the policy room's business.
use super::store::Store;
use crate::model::observed::{L7, Observed, Party};
use crate::model::row::{End, Ip, Proxy, Row};
use crate::model::sym::Sym;
use crate::model::time::Nanos;
use crate::world::World;
use std::borrow::Cow;

/// The flow with the names that DNS gave its addresses, newest first, where they have none.
pub fn named<'a>(o: &'a Observed, world: &World) -> Cow<'a, Observed> {
    let learnt = |party: &Party| {
        let nameless = party.pod.is_empty() && party.names.is_empty();
        let names = party.ip.filter(|_| nameless).map(|ip| world.names_of(ip)).unwrap_or_default();
        names.iter().map(|l| l.name.clone()).collect::<Vec<_>>()
    };
    let (src, dst) = (learnt(&o.src), learnt(&o.dst));
    if src.is_empty() && dst.is_empty() {
        return Cow::Borrowed(o);
    }
    let mut o = o.clone();
    for (party, names) in [(&mut o.src, src), (&mut o.dst, dst)] {
        if !names.is_empty() {
            party.names = names;
        }
    }
    Cow::Owned(o)
}

/// A side as a person names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// `shop/cart`, a DNS name, `world`'s address, a reserved name, or `?`.
    pub name: String,
    pub workload: String,
}

/// Names a side by its owner, else its pod, else its DNS name, else what it is.
pub fn who(party: &Party, world: &World) -> Who {
    let workload = match party.workloads.first() {
        Some((_, name)) => name.clone(),
        None if party.pod.is_empty() => String::new(),
        None => match world.workload_of(&party.namespace, &party.pod, &[]) {
            Some((_, name, _)) => name.to_owned(),
            None => owner_of(&party.pod).to_owned(),
        },
    };
    let name = match (workload.is_empty(), party.namespace.is_empty()) {
        (true, _) => party.display(),
        (false, true) => workload.clone(),
        (false, false) => format!("{}/{workload}", party.namespace),
    };
    Who { name, workload }
}

/// The owner that a generated pod name shows: `cart-7d4b8c9f5-xk2mh` → `cart`, `db-0` → `db`; any other name is its own.
fn owner_of(pod: &str) -> &str {
    let generated = |s: &str, n: std::ops::RangeInclusive<usize>| {
        n.contains(&s.len()) && s.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
    };
    let Some((rest, tail)) = pod.rsplit_once('-') else { return pod };
    if tail.len() <= 3 && !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit()) {
        return rest;
    }
    if !generated(tail, 5..=5) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((owner, hash)) if generated(hash, 6..=10) => owner,
        _ => rest,
    }
}

/// The flat row of a flow. `latency`: until the response, in nanoseconds.
pub fn row(o: &Observed, from: &Who, to: &Who, at: Nanos, latency: u64, store: &mut Store) -> Row {
    let (l7, status) = match &o.l7 {
        None => (None, 0),
        Some(L7::Http { code, .. }) => (Some(Proxy::Http), *code),
        Some(L7::Dns { rcode, .. }) => (Some(Proxy::Dns), *rcode),
        Some(L7::Kafka { error_code, .. }) => (Some(Proxy::Kafka), error_code.unsigned_abs()),
        Some(L7::Other) => (Some(Proxy::Other), 0),
    };
    Row {
        at,
        src: end(&o.src, &from.workload, o.src_port, store),
        dst: end(&o.dst, &to.workload, o.dst_port, store),
        node: store.intern(&o.node),
        cause: None,
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_generated_names() {
        for (pod, owner) in [
            ("cart-7d4b8c9f5-xk2mh", "cart"),
            ("deathstar-6fb5694d48-5hmds", "deathstar"),
            ("db-0", "db"),
            ("cilium-envoy-xk2mh", "cilium-envoy"),
            ("xwing", "xwing"),
            ("not-frontend-7db9747986-gktg6", "not-frontend"),
            ("my-own-name", "my-own-name"),
            ("", ""),
        ] {
            assert_eq!(owner_of(pod), owner, "{pod}");
        }
    }

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
