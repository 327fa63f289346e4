//! Flows folded into conversations. Owns who began, and the bound; judges nothing.
use crate::model::observed::{Direction, L4, L7, Observed, Reported, Verdict};
use crate::model::reason::{self, Cause as Reason};
use crate::model::talk::Talk;
use crate::model::time::Nanos;
use std::collections::HashMap;

/// Conversations held. Records of further ones are counted in `overflow` and belong to no conversation.
const MOST_TALKS: usize = 1_000_000;

/// All conversations, in the order of their first record.
#[derive(Debug, Default)]
pub struct Talks {
    talks: Vec<Talk>,
    ids: HashMap<Observed, usize>,
    /// Records of conversations that found no room.
    pub overflow: u64,
}

impl Talks {
    /// Books one record; returns the number of its conversation.
    pub fn add(&mut self, o: &Observed, at: Nanos) -> Option<usize> {
        let (flow, reply) = oriented(o);
        let id = match self.ids.get(&flow) {
            Some(id) => *id,
            None if self.talks.len() >= MOST_TALKS => {
                self.overflow += 1;
                return None;
            }
            None => {
                let id = self.talks.len();
                self.ids.insert(flow.clone(), id);
                let (egress, ingress, unsaid) = Default::default();
                self.talks.push(Talk { flow, egress, ingress, unsaid, replies: 0, first: at, last: at });
                id
            }
        };
        let talk = self.talks.get_mut(id)?;
        talk.first = talk.first.min(at);
        talk.last = talk.last.max(at);
        let policy = o.drop_reason == 0 || reason::cause(o.drop_reason) != Reason::Other;
        if reply && !matches!(o.verdict, Verdict::Dropped | Verdict::Audit) {
            talk.replies += 1;
            return Some(id);
        }
        let seen = talk.side(if reply { None } else { o.side() });
        match o.verdict {
            Verdict::Dropped if policy => seen.dropped += 1,
            Verdict::Dropped | Verdict::Error => seen.other += 1,
            Verdict::Audit => seen.audited += 1,
            Verdict::Unknown if o.drop_reason != 0 && policy => seen.dropped += 1,
            Verdict::Unknown if o.drop_reason != 0 => seen.other += 1,
            _ => seen.forwarded += 1,
        }
        Some(id)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Talk> {
        self.talks.iter()
    }

    pub fn get(&self, id: usize) -> Option<&Talk> {
        self.talks.get(id)
    }

    pub fn len(&self) -> usize {
        self.talks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.talks.is_empty()
    }
}

/// The record as the initiator sent it, and whether it was a reply. Who began is what the agent says; where it says nothing, a
/// first packet says it; else the record stands as it is, with `is_reply` unknown.
fn oriented(o: &Observed) -> (Observed, bool) {
    let reply = o.reply() == Some(true);
    let begins = o.is_reply == Some(false) || o.syn == Some(true) || o.l7.is_some() && !o.l7_response;
    let (src, dst, port) = if reply { (&o.dst, &o.src, o.src_port) } else { (&o.src, &o.dst, o.dst_port) };
    let request = match &o.l7 {
        // A response names its request, and what it answered is beside the point.
        Some(L7::Http { method, url, .. }) => Some(L7::Http { method: method.clone(), url: url.clone(), code: 0, headers: Vec::new() }),
        Some(L7::Dns { query, qtypes, .. }) => {
            Some(L7::Dns { query: query.clone(), rcode: 0, ips: Vec::new(), cnames: Vec::new(), ttl: 0, qtypes: qtypes.clone() })
        }
        other => other.clone(),
    };
    let flow = Observed {
        at: None,
        node: String::new(),
        verdict: Verdict::Unknown,
        drop_reason: 0,
        event: None,
        direction: None::<Direction>,
        is_reply: if reply || begins { Some(false) } else { None },
        l4: o.l4,
        src_port: 0,
        dst_port: if matches!(o.l4, Some(L4::Tcp | L4::Udp | L4::Sctp) | None) { port } else { 0 },
        icmp: o.icmp,
        syn: None,
        syn_ack: false,
        src: src.clone(),
        dst: dst.clone(),
        l7: request,
        l7_response: false,
        auth_type: 0,
        emitter: String::new(),
        reported: Reported::default(),
    };
    (flow, reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::Party;

    fn record(reply: bool, verdict: Verdict) -> Observed {
        let side = |pod: &str| Party { present: true, namespace: "shop".into(), pod: pod.into(), ..Party::default() };
        let (src, dst) = if reply { (side("db"), side("cart")) } else { (side("cart"), side("db")) };
        let (src_port, dst_port) = if reply { (5432, 40_000) } else { (40_000, 5432) };
        Observed {
            verdict,
            direction: Some(Direction::Egress),
            is_reply: Some(reply),
            l4: Some(L4::Tcp),
            src,
            dst,
            src_port,
            dst_port,
            ..Observed::default()
        }
    }

    #[test]
    fn a_reply_belongs_to_the_conversation_it_answers() {
        let mut t = Talks::default();
        t.add(&record(false, Verdict::Forwarded), Nanos(5));
        t.add(&record(true, Verdict::Forwarded), Nanos(6));
        t.add(&record(false, Verdict::Dropped), Nanos(4));
        let [talk] = t.iter().collect::<Vec<_>>()[..] else { panic!("{t:?}") };
        assert_eq!((talk.flow.dst_port, talk.flow.dst.pod.as_str()), (5432, "db"));
        assert_eq!((talk.egress.forwarded, talk.egress.dropped, talk.replies), (1, 1, 1));
        assert_eq!((talk.first, talk.last, talk.worked()), (Nanos(4), Nanos(6), false));
    }

    #[test]
    fn a_drop_that_no_policy_caused_is_counted_apart() {
        let mut t = Talks::default();
        t.add(&Observed { drop_reason: 130, ..record(false, Verdict::Dropped) }, Nanos(1));
        t.add(&record(false, Verdict::Forwarded), Nanos(2));
        assert!(t.iter().all(|t| t.seen().other == 1 && t.worked()));
    }
}
