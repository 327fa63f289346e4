//! Values spelled as bytes, equal exactly where the values are equal, so that a flow is found again without building or comparing
//! anything of its shape. Owns the spelling; remembers nothing.
use crate::model::observed::{L4, L7, Named, Observed, Party, Told};
use crate::world::Stand;
use std::net::IpAddr;

/// A spelling under way; its buffer is used again and again.
#[derive(Debug, Default)]
pub(super) struct Spell(Vec<u8>);

impl Spell {
    pub fn begin(&mut self) -> &mut Self {
        self.0.clear();
        self
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn number(&mut self, n: impl Into<u64>) -> &mut Self {
        self.0.extend_from_slice(&n.into().to_le_bytes());
        self
    }

    fn signed(&mut self, n: i32) -> &mut Self {
        self.0.extend_from_slice(&n.to_le_bytes());
        self
    }

    /// The length goes first: nothing that a text holds can be taken for its end.
    pub fn text(&mut self, s: &str) -> &mut Self {
        self.number(s.len() as u64);
        self.0.extend_from_slice(s.as_bytes());
        self
    }

    pub fn maybe(&mut self, b: Option<bool>) -> &mut Self {
        self.0.push(b.map_or(2, u8::from));
        self
    }

    pub fn transport(&mut self, l4: Option<L4>, port: u16, icmp: Option<(u8, u8)>) -> &mut Self {
        // A transport's number here is its place among all of them.
        self.0.push(l4.map_or(u8::MAX, |l4| l4 as u8));
        self.number(port);
        match icmp {
            None => self.0.push(0),
            Some((kind, code)) => self.0.extend_from_slice(&[1, kind, code]),
        }
        self
    }

    pub fn texts<'a>(&mut self, all: impl ExactSizeIterator<Item = &'a str>) -> &mut Self {
        self.number(all.len() as u64);
        all.for_each(|s| _ = self.text(s));
        self
    }

    fn pairs(&mut self, all: &[(String, String)]) -> &mut Self {
        self.number(all.len() as u64);
        all.iter().for_each(|(a, b)| _ = self.text(a).text(b));
        self
    }

    pub fn ip(&mut self, ip: Option<IpAddr>) -> &mut Self {
        match ip {
            None => self.0.push(0),
            Some(IpAddr::V4(ip)) => {
                self.0.push(4);
                self.0.extend_from_slice(&ip.octets());
            }
            Some(IpAddr::V6(ip)) => {
                self.0.push(6);
                self.0.extend_from_slice(&ip.octets());
            }
        }
        self
    }

    pub fn labels(&mut self, labels: &[String]) -> &mut Self {
        self.texts(labels.iter().map(String::as_str))
    }

    /// Everything that a record says of one side.
    pub fn party(&mut self, p: &Party) -> &mut Self {
        let Party { present, ip, identity, namespace, pod, labels, workloads, names, service, cluster } = p;
        self.0.push(u8::from(*present));
        self.ip(*ip).number(*identity).text(namespace).text(pod).labels(labels).pairs(workloads).labels(names).text(cluster);
        match service {
            None => self.0.push(0),
            Some((namespace, name)) => {
                self.0.push(1);
                self.text(namespace).text(name);
            }
        }
        self
    }

    /// What was found out about one side.
    pub fn stand(&mut self, s: &Stand<'_>) -> &mut Self {
        let Some((numbers, words)) = s.told() else {
            self.0.push(0);
            return self;
        };
        self.0.push(1);
        numbers.into_iter().for_each(|n| _ = self.number(n));
        words.into_iter().for_each(|w| _ = self.text(w));
        self
    }

    /// What the proxy saw.
    pub fn l7(&mut self, l7: Option<&L7>) -> &mut Self {
        match l7 {
            None => self.0.push(0),
            Some(L7::Http { method, url, code, headers }) => {
                self.0.push(1);
                self.text(method).text(url).number(*code).pairs(headers);
            }
            Some(L7::Dns { query, rcode, ips, cnames, ttl, qtypes }) => {
                self.0.push(2);
                self.text(query).number(*rcode).labels(ips).labels(cnames).number(*ttl).labels(qtypes);
            }
            Some(L7::Kafka { topic, api_key, api_version, error_code }) => {
                self.0.push(3);
                self.text(topic).text(api_key).signed(*api_version).signed(*error_code);
            }
            Some(L7::Other) => self.0.push(4),
        }
        self
    }

    /// What asks for the same thing, whatever the answer was.
    pub fn request(&mut self, l7: Option<&L7>) -> &mut Self {
        match l7 {
            Some(L7::Http { method, url, .. }) => {
                self.0.push(1);
                self.text(method).text(url)
            }
            Some(L7::Dns { query, qtypes, .. }) => {
                self.0.push(2);
                self.text(query).labels(qtypes)
            }
            other => self.l7(other),
        }
    }

    /// What the agent itself says of the cause, and who the agent is.
    pub fn said(&mut self, o: &Observed) -> &mut Self {
        let r = &o.reported;
        for list in [&r.egress_denied, &r.ingress_denied, &r.egress_allowed, &r.ingress_allowed] {
            self.number(list.len() as u64);
            list.iter().for_each(|Named { kind, namespace, name }| _ = self.text(kind).text(namespace).text(name));
        }
        self.number(r.told.len() as u64);
        for Told { kind, namespace, name, rule_index, rule_name, tier, uid, generation } in &r.told {
            self.text(kind).text(namespace).text(name).text(rule_name).text(tier).text(uid);
            self.number(rule_index.map_or(0, |n| u64::from(n) + 1)).number(generation.map_or(0, |n| n.unsigned_abs().wrapping_add(1)));
        }
        self.labels(&r.log).text(&o.emitter)
    }
}
