//! Flows folded into conversations. Owns who began, and the bound; judges nothing.
use super::Fold;
use super::spell::Spell;
use crate::model::observed::{L4, L7, Observed, Party, Verdict};
use crate::model::reason::{self, Cause as Reason};
use crate::model::talk::Talk;
use crate::model::time::Nanos;
use foldhash::{HashMap, HashSet};

/// Conversations that a report holds, up to three kilobytes each. Records of further ones are counted in `overflow` and belong to none.
const MOST: usize = 1_000_000;
/// Conversations that a screen holds, some 80 MB: every URL and every address of the world makes one. When there are as many, those that
/// were not heard for longest give way, an eighth at once, and what was told of them counts as `overflow`.
const LATEST: usize = if cfg!(test) { 32 } else { 1 << 15 };
const EIGHTH: usize = LATEST / 8;

/// All conversations, in the order of their first record. Numbers are places, and hold until room is made.
#[derive(Debug)]
pub struct Talks {
    talks: Vec<Talk>,
    fold: Fold,
    /// How many have begun, and how many records came.
    begun: u64,
    heard: u64,
    /// How often room was made.
    sweeps: u64,
    /// By the spelling of what makes them one.
    ids: HashMap<Box<[u8]>, usize>,
    spell: Spell,
    /// Records of conversations that are not held.
    pub overflow: u64,
}

/// The places that conversations have now, by those that they had; [`GONE`] of one that is not held any more.
pub struct Moved(Vec<u32>);

const GONE: u32 = u32::MAX;

impl Moved {
    pub fn place(&self, of: usize) -> Option<usize> {
        self.0.get(of).filter(|place| **place != GONE).and_then(|place| usize::try_from(*place).ok())
    }

    /// How many of the first are still held.
    pub fn held(&self, of: usize) -> usize {
        self.0.iter().take(of).filter(|place| **place != GONE).count()
    }
}

impl Talks {
    pub fn new(fold: Fold) -> Self {
        Self { talks: Vec::new(), fold, begun: 0, heard: 0, sweeps: 0, ids: HashMap::default(), spell: Spell::default(), overflow: 0 }
    }

    /// Whether the next one needs room to be made.
    pub fn is_full(&self) -> bool {
        self.fold == Fold::Latest && self.talks.len() >= LATEST
    }

    /// Lets those go that were not heard for longest; those that are `needed` stay, as long as they are no more than half of all.
    pub fn make_room(&mut self, needed: &HashSet<usize>) -> Moved {
        // The latest first.
        let heard = |i: &usize| std::cmp::Reverse(self.talks.get(*i).map(|t| t.heard));
        let mut latest: Vec<usize> = (0..self.talks.len()).collect();
        latest.sort_by_cached_key(heard);
        let (mut needed, mut others): (Vec<usize>, Vec<usize>) = latest.into_iter().partition(|i| needed.contains(i));
        others.extend(needed.drain(needed.len().min(LATEST / 2)..));
        others.sort_by_cached_key(heard);
        let room = (LATEST - EIGHTH).saturating_sub(needed.len());
        let mut held = vec![false; self.talks.len()];
        needed.iter().chain(others.iter().take(room)).for_each(|i| held.iter_mut().skip(*i).take(1).for_each(|h| *h = true));
        let mut next = 0..;
        let moved = Moved(held.iter().map(|h| if *h { next.next().unwrap_or(GONE) } else { GONE }).collect());
        for (talk, _) in self.talks.iter().zip(&held).filter(|(_, held)| !**held) {
            self.overflow += talk.seen().records() + talk.replies;
        }
        let mut kept = held.iter();
        self.talks.retain(|_| kept.next().is_some_and(|held| *held));
        self.ids.retain(|_, id| moved.place(*id).map(|place| *id = place).is_some());
        self.sweeps += 1;
        moved
    }

    /// Another number whenever room was made: numbers read before mean nothing after.
    pub fn sweeps(&self) -> u64 {
        self.sweeps
    }

    /// Books one record; returns the number of its conversation. What a socket translated is no packet and belongs to none.
    pub fn add(&mut self, o: &Observed, at: Nanos) -> Option<usize> {
        if matches!(o.verdict, Verdict::Traced | Verdict::Translated) {
            return None;
        }
        self.heard += 1;
        let (sent, reply) = Sent::of(o);
        let found = self.find(&sent, o.src_port);
        let reply = reply || found.is_some_and(|(_, turned)| turned);
        let id = match found {
            Some((id, _)) => id,
            None if self.talks.len() >= MOST => {
                self.overflow += 1;
                return None;
            }
            None => {
                let id = self.talks.len();
                self.begun += 1;
                self.ids.insert(sent.spelled(&mut self.spell).into(), id);
                let (egress, ingress, unsaid) = Default::default();
                self.talks.push(Talk {
                    flow: sent.flow(),
                    egress,
                    ingress,
                    unsaid,
                    replies: 0,
                    home: 0,
                    example: None,
                    serial: self.begun,
                    heard: self.heard,
                    first: at,
                    last: at,
                });
                id
            }
        };
        let talk = self.talks.get_mut(id)?;
        talk.heard = self.heard;
        talk.first = talk.first.min(at);
        talk.last = talk.last.max(at);
        if sent.is_reply.is_some() {
            complete(&mut talk.flow.src, sent.src);
            complete(&mut talk.flow.dst, sent.dst);
        }
        let policy = o.drop_reason == 0 || reason::cause(o.drop_reason) != Reason::Other;
        if reply && !matches!(o.verdict, Verdict::Dropped | Verdict::Audit) {
            talk.replies += 1;
            return Some(id);
        }
        let seen = talk.side(if reply { None } else { o.reached() });
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

    /// Books the cluster of a record of a conversation, by its place from 1; 0 says nothing.
    pub fn of(&mut self, id: usize, home: usize) {
        let home = u8::try_from(home).unwrap_or(Talk::SEVERAL);
        if let Some(talk) = self.talks.get_mut(id).filter(|t| home != 0 && t.home != home) {
            talk.home = if talk.home == 0 { home } else { Talk::SEVERAL };
        }
    }

    /// Books the number in the store of a record of a conversation.
    pub fn shown_by(&mut self, id: usize, seq: u64) {
        if let Some(talk) = self.talks.get_mut(id) {
            talk.example = Some(seq);
        }
    }

    /// The serial number of the conversation that this record is of, which the one who began it sent and says so.
    pub fn of_sent(&self, o: &Observed) -> Option<u64> {
        let id = self.ids.get(Sent::of(o).0.spelled(&mut Spell::default()))?;
        self.get(*id).map(|t| t.serial)
    }

    /// The conversation of a serial number, if it is held.
    pub fn by_serial(&self, serial: u64) -> Option<&Talk> {
        self.get(self.talks.binary_search_by_key(&serial, |t| t.serial).ok()?)
    }

    /// Whether a record shows who began: as the agent says, or as the packet does.
    pub fn begins(o: &Observed) -> bool {
        Sent::of(o).0.is_reply.is_some()
    }

    /// The conversation of this record, and whether the record has to be turned round for it. A record that does not say who began
    /// joins the conversation that others of its connection tell of.
    fn find(&mut self, sent: &Sent<'_>, src_port: u16) -> Option<(usize, bool)> {
        let (ids, spell) = (&mut self.ids, &mut self.spell);
        if let Some(id) = ids.get(sent.spelled(spell)) {
            return Some((*id, false));
        }
        if sent.is_reply.is_some() {
            // Who began is known from here on.
            let id = ids.remove(Sent { is_reply: None, ..*sent }.spelled(spell))?;
            ids.insert(sent.spelled(spell).into(), id);
            self.talks.get_mut(id)?.flow.is_reply = sent.is_reply;
            return Some((id, false));
        }
        let told = Sent { is_reply: Some(false), ..*sent };
        if let Some(id) = ids.get(told.spelled(spell)) {
            return Some((*id, false));
        }
        let turned = Sent { src: sent.dst, dst: sent.src, dst_port: src_port, ..told };
        ids.get(turned.spelled(spell)).map(|id| (*id, true))
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

/// Fills in what an earlier record did not know of one end.
fn complete(known: &mut Party, p: &Party) {
    if known.labels.is_empty() && !p.labels.is_empty() {
        known.labels.clone_from(&p.labels);
        known.identity = p.identity;
    }
    if known.workloads.is_empty() && !p.workloads.is_empty() {
        known.workloads.clone_from(&p.workloads);
    }
    if known.names.is_empty() && !p.names.is_empty() {
        known.names.clone_from(&p.names);
    }
    if known.service.is_none() && p.service.is_some() {
        known.service.clone_from(&p.service);
    }
    if known.cluster.is_empty() && !p.cluster.is_empty() {
        known.cluster.clone_from(&p.cluster);
    }
    known.present |= p.present;
}

/// A record as the initiator sent it.
#[derive(Clone, Copy)]
struct Sent<'a> {
    src: &'a Party,
    dst: &'a Party,
    /// `Some(false)`, or `None` where nothing says who began.
    is_reply: Option<bool>,
    l4: Option<L4>,
    dst_port: u16,
    icmp: Option<(u8, u8)>,
    l7: Option<&'a L7>,
}

impl<'a> Sent<'a> {
    /// The record turned to the initiator, and whether it was a reply. Who began is what the agent says; where it says nothing, a
    /// first packet says it, or a policy's drop (policies are asked about the first packet alone); else the record stands as it is.
    fn of(o: &'a Observed) -> (Self, bool) {
        let reply = o.reply() == Some(true);
        let judged = matches!(reason::cause(o.drop_reason), Reason::DefaultDeny | Reason::DenyRule | Reason::Auth) && o.syn != Some(false);
        let begins = o.is_reply == Some(false) || o.syn == Some(true) || judged || o.l7.is_some() && !o.l7_response;
        let (src, dst, port) = if reply { (&o.dst, &o.src, o.src_port) } else { (&o.src, &o.dst, o.dst_port) };
        let sent = Self {
            src,
            dst,
            is_reply: if reply || begins { Some(false) } else { None },
            l4: o.l4,
            dst_port: if matches!(o.l4, Some(L4::Tcp | L4::Udp | L4::Sctp) | None) { port } else { 0 },
            icmp: o.icmp,
            l7: o.l7.as_ref(),
        };
        (sent, reply)
    }

    /// What makes two records records of one conversation. Each place that sees a connection knows other things about its two ends
    /// (owners are known on the pod's own node alone), so a pod is its name and address; whoever has no name is also its labels.
    fn spelled<'s>(&self, spell: &'s mut Spell) -> &'s [u8] {
        spell.begin();
        for p in [self.src, self.dst] {
            spell.ip(p.ip).text(&p.namespace).text(&p.pod).labels(if p.pod.is_empty() { &p.labels } else { &[] });
        }
        spell.transport(self.l4, self.dst_port, self.icmp).maybe(self.is_reply).request(self.l7);
        spell.bytes()
    }

    fn flow(&self) -> Observed {
        let l7 = match self.l7 {
            // A response names its request, and what it answered is beside the point.
            Some(L7::Http { method, url, .. }) => Some(L7::Http { method: method.clone(), url: url.clone(), code: 0, headers: Vec::new() }),
            Some(L7::Dns { query, qtypes, .. }) => {
                Some(L7::Dns { query: query.clone(), rcode: 0, ips: Vec::new(), cnames: Vec::new(), ttl: 0, qtypes: qtypes.clone() })
            }
            other => other.cloned(),
        };
        Observed {
            is_reply: self.is_reply,
            l4: self.l4,
            dst_port: self.dst_port,
            icmp: self.icmp,
            src: self.src.clone(),
            dst: self.dst.clone(),
            l7,
            ..Observed::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::Direction;

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
        let mut t = Talks::new(Fold::First);
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
        let mut t = Talks::new(Fold::First);
        t.add(&Observed { drop_reason: 130, ..record(false, Verdict::Dropped) }, Nanos(1));
        t.add(&record(false, Verdict::Forwarded), Nanos(2));
        assert!(t.iter().all(|t| t.seen().other == 1 && t.worked()));
    }

    #[test]
    fn both_ends_see_one_conversation_and_know_different_things() {
        let mut t = Talks::new(Fold::First);
        let mut at_sender = record(false, Verdict::Forwarded);
        at_sender.src.workloads = vec![("Deployment".into(), "cart".into())];
        let mut at_receiver = Observed { direction: Some(Direction::Ingress), ..record(false, Verdict::Dropped) };
        at_receiver.dst.workloads = vec![("StatefulSet".into(), "db".into())];
        t.add(&at_sender, Nanos(1));
        t.add(&at_receiver, Nanos(2));
        let [talk] = t.iter().collect::<Vec<_>>()[..] else { panic!("{t:?}") };
        assert_eq!((talk.egress.forwarded, talk.ingress.dropped), (1, 1));
        assert_eq!((talk.flow.src.workloads.len(), talk.flow.dst.workloads.len()), (1, 1));
    }

    #[test]
    fn records_that_do_not_say_who_began_join_those_that_do() {
        let overlay = |reply: bool| Observed { is_reply: None, direction: None, ..record(reply, Verdict::Forwarded) };
        let mut t = Talks::new(Fold::First);
        t.add(&overlay(false), Nanos(1));
        assert_eq!(t.get(0).unwrap().flow.is_reply, None);
        t.add(&record(false, Verdict::Forwarded), Nanos(2));
        t.add(&overlay(false), Nanos(3));
        t.add(&overlay(true), Nanos(4));
        let [talk] = t.iter().collect::<Vec<_>>()[..] else { panic!("{t:?}") };
        assert_eq!((talk.flow.is_reply, talk.unsaid.forwarded, talk.egress.forwarded, talk.replies), (Some(false), 2, 1, 1));
    }

    #[test]
    fn a_policys_drop_is_of_a_first_packet_unless_the_packet_shows_otherwise() {
        let drop = |syn| Observed { is_reply: None, drop_reason: 133, syn, ..record(false, Verdict::Dropped) };
        let mut t = Talks::new(Fold::First);
        t.add(&drop(None), Nanos(1));
        t.add(&record(false, Verdict::Dropped), Nanos(1));
        assert_eq!((t.len(), t.get(0).unwrap().egress.dropped), (1, 2));
        let mut t = Talks::new(Fold::First);
        t.add(&drop(Some(false)), Nanos(1));
        assert_eq!(t.get(0).unwrap().flow.is_reply, None);
    }

    #[test]
    fn what_a_socket_translated_is_no_packet() {
        let mut t = Talks::new(Fold::First);
        assert_eq!(t.add(&record(false, Verdict::Traced), Nanos(1)), None);
        assert!(t.is_empty());
    }

    #[test]
    fn what_was_not_heard_for_longest_gives_way_and_what_a_cause_needs_stays() {
        let mut t = Talks::new(Fold::Latest);
        let to = |port| Observed { dst_port: port, ..record(false, Verdict::Forwarded) };
        (0..32).for_each(|port| assert_eq!(t.add(&to(port), Nanos(i64::from(port))), Some(usize::from(port))));
        assert!(t.is_full());
        // The oldest is still heard, and the second is one of a cause.
        t.add(&to(0), Nanos(99));
        let moved = t.make_room(&HashSet::from_iter([1]));
        assert_eq!((0..8).map(|n| moved.place(n)).collect::<Vec<_>>(), [Some(0), Some(1), None, None, None, None, Some(2), Some(3)]);
        assert_eq!((moved.held(7), moved.place(32), t.len(), t.overflow, t.sweeps()), (3, None, 28, 4, 1));
        assert!(t.by_serial(3).is_none() && t.by_serial(7).is_some_and(|t| t.flow.dst_port == 6));
        assert_eq!((t.add(&to(0), Nanos(100)), t.add(&to(6), Nanos(100)), t.add(&to(2), Nanos(100))), (Some(0), Some(2), Some(28)));
        assert_eq!(t.get(2).map(|t| (t.egress.forwarded, t.first, t.last)), Some((2, Nanos(6), Nanos(100))));
        // Where causes need more than half, the latest of those stay, and beyond them whatever was heard last.
        (40..43).for_each(|port| _ = t.add(&to(port), Nanos(0)));
        assert!(t.is_full());
        let needed = (0..28).collect();
        let moved = t.make_room(&needed);
        assert_eq!((t.len(), moved.place(1), moved.place(31)), (28, None, Some(27)));
        assert_eq!(t.iter().filter(|t| t.flow.dst_port >= 40).count(), 3, "whatever their clocks say");
    }
}
