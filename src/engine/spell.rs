//! Values spelled as bytes, equal exactly where the values are equal, so that a flow is found again without building or comparing
//! anything of its shape. Owns the spelling; remembers nothing.
use crate::model::observed::{L4, L7, Named, Numbers, Observed, Party, Reported, Told};
use crate::model::time::Nanos;
use crate::policy::eval::l7::names_host;
use crate::world::{Endpoint, Label, NamedPort, Stand, World};
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

    /// How many follow; most often few, so one byte says it.
    fn count(&mut self, n: usize) -> &mut Self {
        match u8::try_from(n) {
            Ok(few) if few < u8::MAX => self.0.push(few),
            _ => {
                self.0.push(u8::MAX);
                self.number(n as u64);
            }
        }
        self
    }

    /// The length goes first: nothing that a text holds can be taken for its end.
    pub fn text(&mut self, s: &str) -> &mut Self {
        self.count(s.len());
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
        self.count(all.len());
        all.for_each(|s| _ = self.text(s));
        self
    }

    fn pairs<'a>(&mut self, all: impl Iterator<Item = &'a (String, String)> + Clone) -> &mut Self {
        self.count(all.clone().count());
        all.for_each(|(a, b)| _ = self.text(a).text(b));
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

    /// Everything that is known of one side: from its record, by where it stands, and what DNS taught about its address. Names inside
    /// a chain of CNAMEs are for people.
    pub fn party(&mut self, p: &Party, stand: &Stand<'_>, world: &World, at: Option<Nanos>) -> &mut Self {
        let learnt = p.ip.map(|ip| world.names_of(ip)).unwrap_or_default();
        self.told(p).stand(stand).number(world.era(p, stand, at)).texts(learnt.iter().map(|l| if l.alias { "" } else { l.name.as_str() }))
    }

    /// Everything that a record says of one side.
    fn told(&mut self, p: &Party) -> &mut Self {
        let Party { present, ip, identity, namespace, pod, labels, workloads, names, service, cluster } = p;
        self.0.push(u8::from(*present));
        self.ip(*ip).number(*identity).text(namespace).text(pod).labels(labels).pairs(workloads.iter()).labels(names).text(cluster);
        match service {
            None => self.0.push(0),
            Some((namespace, name)) => {
                self.0.push(1);
                self.text(namespace).text(name);
            }
        }
        self
    }

    /// What policies go by in a pod that is nothing else to them.
    pub fn kin(&mut self, e: &Endpoint, world: &World) -> &mut Self {
        self.number(world.era_of_peers(e.at));
        self.count(e.labels.0.len());
        for Label { source, key, value } in &e.labels.0 {
            self.text(source).text(key).text(value);
        }
        self.text(&e.namespace).text(&e.cluster);
        match &e.named_ports {
            None => self.0.push(0),
            Some(ports) => {
                self.0.push(1);
                self.count(ports.len());
                for NamedPort { name, port, proto } in ports {
                    self.text(name).transport(Some(*proto), *port, None);
                }
            }
        }
        self
    }

    /// What was found out about one side.
    fn stand(&mut self, s: &Stand<'_>) -> &mut Self {
        let Some((numbers, words)) = s.told() else {
            self.0.push(0);
            return self;
        };
        self.0.push(1);
        numbers.into_iter().for_each(|n| _ = self.number(n));
        words.into_iter().for_each(|w| _ = self.text(w));
        self
    }

    /// What the proxy saw, as far as rules can tell it apart: of headers those in `asked` and the host. The number that most proxies give
    /// each request stands in a header, and a name server gives its addresses in another order each time.
    fn l7(&mut self, l7: Option<&L7>, asked: &[String]) -> &mut Self {
        match l7 {
            None => self.0.push(0),
            Some(L7::Http { method, url, code, headers }) => {
                self.0.push(1);
                let is_asked = |name: &str| names_host(name) || asked.iter().any(|a| a.eq_ignore_ascii_case(name));
                self.text(method).text(url).number(*code).pairs(headers.iter().filter(|(name, _)| is_asked(name)));
            }
            Some(L7::Dns { query, rcode, qtypes, .. }) => {
                self.0.push(2);
                self.text(query).number(*rcode).labels(qtypes);
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
            other => self.l7(other, &[]),
        }
    }

    /// What a record says of itself, but for its time, its node, the ports of its initiator, and headers that no rule asks for.
    pub fn record(&mut self, o: &Observed, asked: &[String]) -> &mut Self {
        let port = if o.reply() == Some(true) { o.src_port } else { o.dst_port };
        self.transport(o.l4, port, o.icmp).number(o.drop_reason).signed(o.auth_type);
        let (kind, sub) = o.event.map_or((i32::MIN, i32::MIN), |e| e);
        self.signed(kind).signed(sub).maybe(o.is_reply).maybe(o.syn);
        // The place of a direction among both.
        let direction = o.direction.map_or(2, |d| d as u8);
        let flags = u8::from(o.syn_ack) | u8::from(o.l7_response) << 1;
        self.signed(o.verdict.number()).0.extend_from_slice(&[direction, flags]);
        if o.l7.is_none() && o.emitter.is_empty() && o.reported == Reported::default() {
            self.0.push(0);
            return self;
        }
        self.0.push(1);
        self.l7(o.l7.as_ref(), asked).said(o)
    }

    /// What the agent itself says of the cause, and who the agent is.
    fn said(&mut self, o: &Observed) -> &mut Self {
        let r = &o.reported;
        for list in [&r.egress_denied, &r.ingress_denied, &r.egress_allowed, &r.ingress_allowed] {
            self.count(list.len());
            list.iter().for_each(|Named { kind, namespace, name }| _ = self.text(kind).text(namespace).text(name));
        }
        self.count(r.told.len());
        for Told { kind, namespace, name, rule_index, rule_name, tier, uid, generation, numbers } in &r.told {
            self.text(kind).text(namespace).text(name).text(rule_name).text(tier).text(uid);
            self.number(rule_index.map_or(0, |n| u64::from(n) + 1)).number(generation.map_or(0, |n| n.unsigned_abs().wrapping_add(1)));
            let Numbers { policy, rule } = numbers.unwrap_or(Numbers { policy: 0, rule: 0 });
            self.number(policy).number(rule);
        }
        self.labels(&r.log).text(&r.unnamed).text(&o.emitter)
    }
}
