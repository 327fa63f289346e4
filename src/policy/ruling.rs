//! What a set of policies says of one connection, both sides: the question of `check`, of `why SRC DST`, and of every what-if.
//!
//! Owns nothing but the asking; unlike `explain` it does not care what the datapath did.
use super::eval::l7::Request;
use super::eval::{Case, Decision, End, Judgement, Traffic, judge, judge_by};
use super::{Options, PolicySet};
use crate::model::observed::{Direction, L7, Observed};
use crate::world::{Endpoint, World};

/// Both sides of a connection, judged.
#[derive(Debug, Clone)]
pub struct Ruling {
    pub egress: Judgement,
    pub ingress: Judgement,
}

impl Ruling {
    /// `Denied` if a side denies, else `Unknown` if a side is not known, else `Allowed` (a side without policy of its own allows).
    pub fn decision(&self) -> Decision {
        let both = [self.egress.decision, self.ingress.decision];
        let any = |d: Decision| both.contains(&d);
        match () {
            () if any(Decision::Denied) => Decision::Denied,
            () if any(Decision::Unknown) => Decision::Unknown,
            () => Decision::Allowed,
        }
    }

    pub fn side(&self, direction: Direction) -> &Judgement {
        if direction == Direction::Egress { &self.egress } else { &self.ingress }
    }

    /// Facts that would decide it, each once.
    pub fn missing(&self) -> Vec<String> {
        let mut all = self.egress.missing.clone();
        all.extend(self.ingress.missing.iter().filter(|m| !self.egress.missing.contains(m)).cloned());
        all
    }
}

/// Judges a connection given by its two sides.
pub fn ruling(src: &Endpoint, dst: &Endpoint, traffic: &Traffic, world: &World, set: &PolicySet, opt: &Options) -> Ruling {
    let side = |direction, subject, peer| settled(judge(&Case { direction, subject, peer, traffic, world, opt }, set), set);
    Ruling { egress: side(Direction::Egress, src, dst), ingress: side(Direction::Ingress, dst, src) }
}

/// The same for sides that are asked about often, always with this set.
pub fn ruling_between(src: &End, dst: &End, traffic: &Traffic, world: &World, set: &PolicySet, opt: &Options) -> Ruling {
    let side = |direction, subject: &End, peer: &End| {
        let case = Case { direction, subject: &subject.endpoint, peer: &peer.endpoint, traffic, world, opt };
        settled(judge_by(&case, || subject.selected(&case, set)), set)
    };
    Ruling { egress: side(Direction::Egress, src, dst), ingress: side(Direction::Ingress, dst, src) }
}

fn settled(mut judgement: Judgement, set: &PolicySet) -> Judgement {
    super::unread::leave_open(&mut judgement, set);
    judgement
}

/// Judges the connection that a flow belongs to; a reply's sides change places.
pub fn ruling_of(o: &Observed, world: &World, set: &PolicySet, opt: &Options) -> Ruling {
    let reply = o.reply() == Some(true);
    let [sender, receiver] = world.endpoints(o);
    let (src, dst) = if reply { (receiver, sender) } else { (sender, receiver) };
    ruling(&src, &dst, &traffic_to(o, &dst), world, set, opt)
}

/// The connection's traffic as policies judge it: at the port on which `called` listens.
pub fn traffic_to(o: &Observed, called: &Endpoint) -> Traffic {
    let t = traffic(o);
    Traffic { port: t.port.and_then(|port| called.listens(t.l4, port)), ..t }
}

/// The connection's traffic; for a reply the ports change places.
pub fn traffic(o: &Observed) -> Traffic {
    let l4 = o.l4.or(match o.l7 {
        Some(L7::Http { .. } | L7::Kafka { .. }) => Some(crate::model::observed::L4::Tcp),
        _ => None,
    });
    let port = if o.reply() == Some(true) { o.src_port } else { o.dst_port };
    let port = (port != 0 && l4.is_some_and(super::eval::port::has_ports)).then_some(port);
    Traffic { l4, port, icmp: o.icmp.map(|(t, _)| t), request: Request::of(o), server_name: None }
}
