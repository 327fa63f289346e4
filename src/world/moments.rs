//! When that changed which a record is judged by besides policies. Owns which objects its sides may be about; what follows from it for one that
//! does not say when it was made is for who judges to say.
use super::endpoint::API;
use super::stand::is_silent;
use super::{Key, World, labels};
use crate::model::observed::{Observed, Party};
use crate::model::time::Nanos;
use std::net::IpAddr;

impl World {
    /// Since when anything is watched; `None`: nothing is.
    pub fn watched_from(&self) -> Option<Nanos> {
        self.kinds.from()
    }

    /// Adds every time at which anything changed that the sides of a record are judged by, as far as it is remembered; in no order.
    pub fn moments(&self, o: &Observed, out: &mut Vec<Nanos>) {
        out.extend(self.kinds.moments());
        // Of these rules ask, whoever the sides are.
        out.extend(self.groups.moments().chain(self.services.moments()).chain(self.backends.moments()));
        for p in [&o.src, &o.dst] {
            self.moments_of(p, out);
        }
    }

    fn moments_of(&self, p: &Party, out: &mut Vec<Nanos>) {
        let own = if p.namespace.is_empty() { labels::namespace_in(&p.labels) } else { p.namespace.as_str() };
        self.moments_of_namespace(own, out);
        let silent = is_silent(p);
        let now = || self.pod(&p.namespace, &p.pod).and_then(|t| t.ips.first().copied());
        let Some(ip) = p.ip.or_else(now) else { return };
        let frontends: Vec<&Key> = self.services.met_at(ip).collect();
        // What the record says itself is not looked up.
        if !silent && frontends.is_empty() {
            return;
        }
        self.moments_of_holders(ip, out);
        self.nodes.met_at(ip).for_each(|node| out.extend(self.nodes.moments_of(node)));
        let servers = (API.0.to_owned(), API.1.to_owned());
        for key in frontends.into_iter().chain([&servers]) {
            self.moments_of_namespace(&key.0, out);
            out.extend(self.backends.moments_of(key));
            let Some(behind) = self.backends.told_of(key) else { continue };
            behind.ever().flatten().for_each(|ip| self.moments_of_holders(*ip, out));
        }
    }

    fn moments_of_holders(&self, ip: IpAddr, out: &mut Vec<Nanos>) {
        // A manifest's pod is one of all times, whenever it says that it was started.
        let watched = self.kinds.listed("pods").is_some();
        for hold in self.addresses.holders(ip) {
            out.extend(hold.moments().filter(|_| watched || hold.is_over()));
            self.moments_of_namespace(&hold.key.0, out);
        }
    }

    fn moments_of_namespace(&self, name: &str, out: &mut Vec<Nanos>) {
        out.extend(self.namespaces.moments(name));
    }
}
