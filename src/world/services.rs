//! Services and the addresses behind them, now and before. Owns what a service was at a time, who had its addresses, and what its slices
//! say together; who stands behind an address is said elsewhere (`endpoint`).
use super::aged::{Aged, Then};
use super::histories::Histories;
use super::kept::{Addressed, Claim, Own, Reach};
use super::objects::{self, Service};
use super::turns::Turns;
use super::{Key, World};
use crate::model::doc;
use crate::model::time::Nanos;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses behind services.
#[derive(Debug, Clone, Default)]
pub(super) struct Backends {
    endpoints: Histories<Key, Vec<IpAddr>>,
    /// The same by the object that tells them: (kind, namespace, name) → (service, addresses).
    slices: BTreeMap<(String, String, String), (String, Vec<IpAddr>)>,
    /// When those of services without a selector changed: of these rules ask for the addresses.
    turns: Turns,
}

impl Backends {
    /// Another number for each set of addresses that a service had.
    pub fn era(&self, key: &Key, at: Option<Nanos>) -> u64 {
        self.endpoints.era(key, at)
    }

    /// The same of what rules ask for.
    pub fn era_of_peers(&self, at: Option<Nanos>) -> u64 {
        self.turns.era(at)
    }

    pub fn forgotten(&self) -> u64 {
        self.turns.forgotten + self.endpoints.forgotten()
    }

    /// When those changed that rules ask for, and before when nothing is known of them.
    pub fn moments(&self) -> impl Iterator<Item = Nanos> {
        self.turns.moments()
    }

    /// When others came to stand behind a service, and before when nothing is known of it.
    pub fn moments_of(&self, key: &Key) -> impl Iterator<Item = Nanos> {
        self.endpoints.moments(key)
    }

    /// All that is and was behind a service.
    pub fn told_of(&self, key: &Key) -> Option<&Aged<Vec<IpAddr>>> {
        self.endpoints.get(key)
    }
}

impl Addressed for Service {
    fn addresses(&self) -> impl Iterator<Item = Own> {
        let inner = self.ips.iter().map(|ip| (*ip, Reach::Inner));
        inner.chain(self.outer.iter().map(|ip| (*ip, Reach::Outer)))
    }
}

/// Whether the same stands behind two versions of a service, on the same ports.
fn leads_alike(a: &Service, b: &Service) -> bool {
    a.selector == b.selector && a.ports == b.ports
}

impl World {
    pub(super) fn take_service(&mut self, key: &Key, root: &doc::Node, at: Option<Nanos>) -> bool {
        let first = at.is_some_and(|at| self.kinds.is_first("services", at));
        let service = Service::read(root);
        service.ips.iter().for_each(|ip| self.addresses.near(*ip));
        self.services.set(key, Some(service), at, first)
    }

    pub(super) fn take_slice(&mut self, kind: &str, (namespace, name): Key, root: &doc::Node, at: Option<Nanos>) -> bool {
        let told = objects::endpoints(root, &name);
        let old = self.backends.slices.insert((kind.to_owned(), namespace.clone(), name), told.clone());
        if old.as_ref() == Some(&told) {
            return false;
        }
        if let Some((before, _)) = old.filter(|(before, _)| *before != told.0) {
            self.gather_endpoints(&namespace, &before, at);
        }
        self.gather_endpoints(&namespace, &told.0, at);
        true
    }

    pub(super) fn remove_slice(&mut self, kind: &str, (namespace, name): Key, at: Option<Nanos>) -> bool {
        let Some((service, _)) = self.backends.slices.remove(&(kind.to_owned(), namespace.clone(), name)) else { return false };
        self.gather_endpoints(&namespace, &service, at);
        true
    }

    /// What all slices of a service say together, each address once.
    fn gather_endpoints(&mut self, namespace: &str, service: &str, at: Option<Nanos>) {
        let (mut known, mut all) = (false, Vec::new());
        for kind in ["Endpoints", "EndpointSlice"] {
            let first = (kind.to_owned(), namespace.to_owned(), String::new());
            let of_namespace = self.backends.slices.range(first..).take_while(|((k, ns, _), _)| k == kind && ns == namespace);
            for (_, (_, ips)) in of_namespace.filter(|(_, (name, _))| name == service) {
                known = true;
                for ip in ips {
                    if !all.contains(ip) {
                        all.push(*ip);
                    }
                }
            }
        }
        let key = (namespace.to_owned(), service.to_owned());
        let first = at.is_some_and(|at| self.kinds.is_first("endpointslices", at));
        let selects = self.services.now(&key).is_some_and(|s| !s.selector.is_empty());
        self.backends.endpoints.set(&key, known.then_some(all), at, first);
        if let Some(at) = at.filter(|_| !selects) {
            self.backends.turns.note(at);
        }
    }

    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services.now(&(namespace.to_owned(), name.to_owned()))
    }

    /// Every service there is, by namespace and name.
    pub fn services(&self) -> impl Iterator<Item = (&Key, &Service)> {
        self.services.iter()
    }

    /// All that a service may have been at a time, `None` asks for now: more than one thing close to a change. In it `None`: there was none.
    /// `None` of all: what it was is not known.
    pub fn service_about<'a>(
        &'a self,
        namespace: &str,
        name: &str,
        at: Option<Nanos>,
    ) -> Option<impl Iterator<Item = Option<&'a Service>> + use<'a>> {
        self.services.about(&(namespace.to_owned(), name.to_owned()), at)
    }

    /// The same of every service that there was, or may have been.
    pub fn services_about(
        &self,
        at: Option<Nanos>,
    ) -> impl Iterator<Item = (&Key, Option<impl Iterator<Item = Option<&Service>> + Clone>)> {
        self.services.all_about(at)
    }

    /// Whether a service has this address as its own, or may have had it at a time.
    pub fn is_service(&self, ip: IpAddr, at: Option<Nanos>) -> bool {
        match self.inner_claim(ip, at) {
            Claim::One(_) | Claim::Several(_) | Claim::Unsure(Some(_)) => true,
            Claim::Nobody | Claim::Unsure(None) => false,
        }
    }

    fn inner_claim(&self, ip: IpAddr, at: Option<Nanos>) -> Claim<'_, Key> {
        // Nobody but services has such an address.
        self.services.claim((ip, Reach::Inner), at, true)
    }

    /// Which service had this address, inside the cluster or outside of it, and led to one thing.
    pub(super) fn service_claim(&self, ip: IpAddr, at: Option<Nanos>) -> Claim<'_, Key> {
        let claim = match self.inner_claim(ip, at) {
            Claim::Nobody => self.services.claim((ip, Reach::Outer), at, false),
            claim => claim,
        };
        match claim {
            Claim::One(key) if self.service_then(key, at).is_none() => Claim::Unsure(Some(key)),
            claim => claim,
        }
    }

    /// What a service was at a time, if it led to one thing then.
    pub(super) fn service_then(&self, key: &Key, at: Option<Nanos>) -> Option<&Service> {
        self.services.settled(key, at, leads_alike)
    }

    /// Addresses behind a service.
    pub fn service_endpoints(&self, namespace: &str, name: &str) -> Option<&[IpAddr]> {
        self.backends.endpoints.now(&(namespace.to_owned(), name.to_owned())).map(Vec::as_slice)
    }

    /// All that they may have been at a time; none: that is not known.
    pub fn endpoints_about(&self, namespace: &str, name: &str, at: Option<Nanos>) -> Vec<&[IpAddr]> {
        let told = self
            .backends
            .told_of(&(namespace.to_owned(), name.to_owned()))
            .filter(|told| told.is_always() || !self.backends.turns.forget_of(at));
        let all: Option<Vec<&[IpAddr]>> = told.and_then(|told| told.about(at)?.map(|ips| ips.map(Vec::as_slice)).collect());
        all.unwrap_or_default()
    }

    /// What they were at a time.
    pub(super) fn endpoints_at(&self, namespace: &str, name: &str, at: Option<Nanos>) -> Then<'_, Vec<IpAddr>> {
        self.backends.endpoints.at(&(namespace.to_owned(), name.to_owned()), at)
    }
}
