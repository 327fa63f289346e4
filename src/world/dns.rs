//! Names learnt from DNS answers. Owns a bounded table address → names, with who was answered and when, and what flows teach it; decides nothing
//! about expiry.
use super::World;
use crate::model::observed::{L7, Observed, Party};
use crate::model::time::Nanos;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

const ADDRESSES: usize = 65_536;
const NAMES: usize = 16;
/// Answers remembered of one name of one address.
const ANSWERS: usize = 8;
/// Answers remembered in all. Further ones still teach the name, and that somebody was answered (`more`), not whom.
const MOST_ANSWERS: usize = 262_144;
/// Names whose answer was only another name. When full, all are forgotten.
const LEADS: usize = 16_384;

/// A name of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// In lower case, without the trailing dot.
    pub name: String,
    /// Of the newest answer.
    pub at: Nanos,
    /// Seconds.
    pub ttl: u32,
    /// It stood inside a chain of CNAMEs, and nobody asked for it there: a name for people. Policies go by the name that was asked for.
    pub alias: bool,
    /// The answers that gave it, newest first, as far as remembered.
    pub answers: Vec<Answer>,
    /// There were more answers than are remembered.
    pub more: bool,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who asked, as [`asker`] names it.
    pub to: String,
    pub at: Nanos,
    pub ttl: u32,
}

/// Who an answer was for: the pod, else the address; empty if the record does not say.
pub fn asker(p: &Party) -> String {
    match (p.pod.is_empty(), p.ip) {
        (false, _) => format!("{}/{}", p.namespace, p.pod),
        (true, Some(ip)) => ip.to_string(),
        (true, None) => String::new(),
    }
}

/// Address → names, newest first; the address learnt first leaves first.
#[derive(Debug, Clone, Default)]
pub struct Names {
    of: HashMap<IpAddr, Vec<Learnt>>,
    order: VecDeque<IpAddr>,
    answers: usize,
    /// Name → names whose answer it was, without an address yet.
    leads: HashMap<String, Vec<String>>,
}

impl Names {
    /// Takes in what was answered to `query`: addresses, and the names on the way to them.
    pub fn learn(&mut self, query: &str, ips: &[IpAddr], cnames: &[String], answer: &Answer) {
        let query = normal(query);
        if query.is_empty() {
            return;
        }
        if ips.is_empty() {
            return self.lead(&query, cnames);
        }
        // Who asked for a name that led to this one meant this address too.
        let mut aliases: Vec<String> = cnames.iter().map(|c| normal(c)).collect();
        aliases.extend(self.leads.get(&query).into_iter().flatten().cloned());
        aliases.retain(|a| *a != query && !a.is_empty());
        for ip in ips {
            for alias in &aliases {
                self.put(*ip, alias, true, answer);
            }
            self.put(*ip, &query, false, answer);
        }
        while self.order.len() > ADDRESSES {
            if let Some(old) = self.order.pop_front()
                && let Some(names) = self.of.remove(&old)
            {
                self.answers -= names.iter().map(|l| l.answers.len()).sum::<usize>();
            }
        }
    }

    fn lead(&mut self, query: &str, cnames: &[String]) {
        if self.leads.len() >= LEADS {
            self.leads.clear();
        }
        // A chain that goes on: whoever led to the query leads on from it.
        let mut from = self.leads.get(query).cloned().unwrap_or_default();
        from.push(query.to_owned());
        for c in cnames.iter().map(|c| normal(c)).filter(|c| c != query) {
            let known = self.leads.entry(c).or_default();
            from.iter().take(NAMES.saturating_sub(known.len())).for_each(|f| {
                if !known.contains(f) {
                    known.push(f.clone());
                }
            });
        }
    }

    fn put(&mut self, ip: IpAddr, name: &str, alias: bool, answer: &Answer) {
        let names = self.of.entry(ip).or_insert_with(|| {
            self.order.push_back(ip);
            Vec::new()
        });
        let old = names.iter().position(|l| l.name == name).map(|i| names.remove(i));
        let mut l = old.unwrap_or_else(|| Learnt {
            name: name.to_owned(),
            at: answer.at,
            ttl: answer.ttl,
            alias,
            answers: Vec::new(),
            more: false,
        });
        l.alias &= alias;
        if answer.at >= l.at {
            (l.at, l.ttl) = (answer.at, answer.ttl);
        }
        let before = l.answers.len();
        l.note(answer, self.answers < MOST_ANSWERS);
        // Records of several nodes do not come in order.
        let place = names.iter().position(|o| o.at <= l.at).unwrap_or(names.len());
        let after = l.answers.len();
        names.insert(place, l);
        let gone: usize = names.drain(NAMES.min(names.len())..).map(|l| l.answers.len()).sum();
        self.answers = (self.answers + after).saturating_sub(before + gone);
    }

    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    pub fn of(&self, ip: IpAddr) -> &[Learnt] {
        self.of.get(&ip).map_or(&[], Vec::as_slice)
    }
}

impl Learnt {
    /// Remembers an answer: of one asker the last two, so that the one before a packet is still there when the next has come.
    fn note(&mut self, answer: &Answer, room: bool) {
        if answer.to.is_empty() {
            self.more = true;
        }
        if answer.to.is_empty() || self.answers.contains(answer) {
            return;
        }
        let of_asker = self.answers.iter().filter(|a| a.to == answer.to).count();
        if of_asker >= 2
            && let Some(i) = self.answers.iter().rposition(|a| a.to == answer.to)
        {
            self.answers.remove(i);
        } else if self.answers.len() >= ANSWERS {
            self.answers.pop();
            self.more = true;
        } else if !room {
            self.more = true;
            return;
        }
        let place = self.answers.iter().position(|a| a.at <= answer.at).unwrap_or(self.answers.len());
        self.answers.insert(place, answer.clone());
    }
}

/// Lower case, no trailing dot: how names are compared.
pub fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl World {
    /// Learns whatever a flow teaches about names: an answer that the DNS proxy saw, wherever it was observed and whatever the port.
    pub fn observe(&mut self, flow: &Observed) {
        if let (Some(L7::Dns { query, ips, cnames, ttl, rcode: 0, .. }), Some(at)) = (&flow.l7, flow.at)
            && !(ips.is_empty() && cnames.is_empty())
        {
            let ips: Vec<IpAddr> = ips.iter().filter_map(|i| i.parse().ok()).collect();
            // Only an answer has addresses, and it goes to the one who asked.
            let to = asker(&flow.dst);
            self.dns.learn(query, &ips, cnames, &Answer { to, at, ttl: *ttl });
        }
    }

    /// Whether any DNS answer was seen at all.
    pub fn has_names(&self) -> bool {
        !self.dns.is_empty()
    }

    /// Names that this address was the answer to, newest first.
    pub fn names_of(&self, ip: IpAddr) -> &[Learnt] {
        self.dns.of(ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(to: &str, at: i64) -> Answer {
        Answer { to: to.into(), at: Nanos(at), ttl: 30 }
    }

    #[test]
    fn newest_first_and_bounded() {
        let mut n = Names::default();
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        for i in 0..40 {
            n.learn(&format!("N{i}.Example."), &[ip], &[], &answer("a/b", i));
        }
        n.learn("late.example", &[ip], &[], &answer("a/b", 38));
        assert_eq!(n.of(ip).len(), NAMES);
        assert_eq!((n.of(ip)[0].name.as_str(), n.of(ip)[1].name.as_str()), ("n39.example", "late.example"));
        assert_eq!(n.answers, NAMES);
        for i in 0..u32::try_from(ADDRESSES).unwrap() + 5 {
            n.learn("x", &[IpAddr::from(i.to_be_bytes())], &[], &answer("a/b", 0));
        }
        assert!(n.of(ip).is_empty() && n.of.len() <= ADDRESSES && n.answers <= ADDRESSES);
    }

    #[test]
    fn who_was_answered_and_when() {
        let mut n = Names::default();
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        for (to, at) in [("a/b", 1), ("a/c", 2), ("a/b", 3), ("a/b", 3), ("a/b", 5)] {
            n.learn("x", &[ip], &[], &answer(to, at));
        }
        let told: Vec<_> = n.of(ip)[0].answers.iter().map(|a| (a.to.as_str(), a.at.0)).collect();
        assert_eq!((told, n.of(ip)[0].more, n.answers), (vec![("a/b", 5), ("a/b", 3), ("a/c", 2)], false, 3));
        n.learn("x", &[ip], &[], &answer("", 7));
        assert_eq!((n.of(ip)[0].answers.len(), n.of(ip)[0].more, n.of(ip)[0].at), (3, true, Nanos(7)), "somebody was answered");
        for i in 0..20 {
            n.learn("x", &[ip], &[], &answer(&format!("p/{i}"), 10));
        }
        assert_eq!((n.of(ip)[0].answers.len(), n.of(ip)[0].more, n.answers), (ANSWERS, true, ANSWERS));
    }

    #[test]
    fn a_chain_of_names_leads_to_the_address() {
        let mut n = Names::default();
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        n.learn("shop.example.", &[], &["shop.cdn.example.".into()], &answer("a/b", 1));
        n.learn("shop.cdn.example.", &[], &["edge.cdn.example".into()], &answer("a/b", 1));
        n.learn("edge.cdn.example.", &[ip], &["pop7.cdn.example.".into()], &answer("a/b", 2));
        let mut told: Vec<_> = n.of(ip).iter().map(|l| (l.name.as_str(), l.alias)).collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [("edge.cdn.example", false), ("pop7.cdn.example", true), ("shop.cdn.example", true), ("shop.example", true)],
            "only what was asked for is a name that policies know"
        );
        n.learn("shop.example.", &[ip], &[], &answer("a/b", 3));
        assert!(n.of(ip).iter().any(|l| l.name == "shop.example" && !l.alias), "now it was asked for");
    }
}
