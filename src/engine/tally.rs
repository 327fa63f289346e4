//! Sums over rows, for screens: one pass, bounded, without allocation once its parties are known. Owns what every sum needs to know
//! of a row first (who began, whether the connection or the drop was counted before); the sums are `edges` and `series`.
//!
//! The engine keeps one of all rows; a filtered view keeps another of its own rows, in any order.
use super::edges::Edges;
use super::recent::Recent;
use super::series::Series;
use super::store::Store;
use crate::model::observed::{L4, Verdict};
use crate::model::row::{End, Row};
use crate::model::time::Nanos;

const DAY: i64 = 24 * 3600 * Nanos::SECOND;

/// A row as the sums see it.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    pub row: &'a Row,
    /// Who began, and whom it called.
    pub client: &'a End,
    pub server: &'a End,
    /// The first record of its connection; of what has no ports the first one in a second.
    pub begins: bool,
    /// The first record of a dropped packet: a denied one makes two.
    pub dropped: bool,
    pub audited: bool,
}

/// Sums of one set of rows.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub edges: Edges,
    pub series: Series,
    recent: Recent,
}

impl Tally {
    /// `now`: by the engine. A row of a clock that runs a day ahead would push everything else out of its window.
    pub fn add(&mut self, row: &Row, store: &Store, now: Nanos) {
        // What a socket translated is no packet; what has no time belongs to no slot.
        let nowhen = row.at == Nanos::default() || row.at.since(now) > DAY;
        if matches!(row.verdict, Verdict::Traced | Verdict::Translated) || nowhen {
            return;
        }
        let turned = match row.reply {
            Some(reply) => reply,
            None => row.cause.is_none() && self.edges.is_answer(row, store),
        };
        let (client, server) = if turned { (&row.dst, &row.src) } else { (&row.src, &row.dst) };
        let ports = matches!(row.l4, Some(L4::Tcp | L4::Udp | L4::Sctp)) && client.port != 0;
        let moment = if ports { 0 } else { row.at.0.div_euclid(Nanos::SECOND) };
        let connection = (client.ip, client.port, server.ip, server.port, row.l4, client.pod, server.pod, moment);
        let begins = self.recent.begins(connection, row.at);
        let (dropped, audited) = match row.verdict {
            Verdict::Dropped | Verdict::Error => (self.recent.is_event(row), false),
            Verdict::Audit => (false, self.recent.is_event(row)),
            _ => (false, false),
        };
        let heard = Heard { row, client, server, begins, dropped, audited };
        self.edges.add(&heard, store);
        self.series.add(&heard, store);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::engine::store::Limits;
    use crate::model::row::{Ip, Proxy};
    use crate::model::sym::Sym;

    pub const LATE: Nanos = Nanos(i64::MAX / 2);

    pub fn store() -> Store {
        Store::new(Limits { rows: 10, raw: 0 })
    }

    pub fn end(store: &mut Store, ns: &str, workload: &str, port: u16) -> End {
        let (ns, workload, pod) = (store.intern(ns), store.intern(workload), store.intern(&format!("{workload}-0")));
        End { ns, workload, pod, port, present: true, ip: Ip::new("10.0.0.1".parse().ok()), ..End::default() }
    }

    pub fn row(src: End, dst: End, verdict: Verdict, ms: i64) -> Row {
        Row {
            at: Nanos(1_000 * Nanos::SECOND + ms * 1_000_000),
            src,
            dst,
            node: Sym::EMPTY,
            cluster: 0,
            cause: None,
            before: 0,
            verdict,
            drop: 0,
            event: -1,
            l4: Some(L4::Tcp),
            dir: None,
            reply: Some(false),
            l7: None,
            status: 0,
            wait: 0,
        }
    }

    #[test]
    fn a_connection_counts_once_whatever_its_records_and_a_denied_packet_is_one_drop() {
        let mut s = store();
        let (cart, db) = (end(&mut s, "shop", "cart", 40_000), end(&mut s, "shop", "db", 5432));
        let mut t = Tally::default();
        let forth = row(cart, db, Verdict::Forwarded, 0);
        let back = Row { reply: Some(true), ..row(db, cart, Verdict::Forwarded, 5) };
        for r in [forth, back, Row { at: forth.at.plus(9), ..forth }, back] {
            t.add(&r, &s, LATE);
        }
        t.add(&row(End { port: 40_001, ..cart }, db, Verdict::Dropped, 10), &s, LATE);
        t.add(&row(End { port: 40_001, ..cart }, db, Verdict::Dropped, 11), &s, LATE);
        let [edge] = t.edges.iter().map(|(_, e)| e).collect::<Vec<_>>()[..] else { panic!("{:?}", t.edges) };
        let sum = edge.sum(t.edges.newest());
        assert_eq!((sum.calls, sum.dropped, edge.port), (2, 1, 5432));
        assert_eq!((t.edges.name(edge.from), t.edges.name(edge.to)), ("shop/cart", "shop/db"));
        let all = t.series.sum(0);
        assert_eq!((all.flows, all.dropped), (6, 1));
    }

    #[test]
    fn the_order_of_rows_does_not_change_the_sums() {
        let mut s = store();
        let (cart, db) = (end(&mut s, "shop", "cart", 0), end(&mut s, "shop", "db", 5432));
        let rows: Vec<Row> =
            (0..200u16).map(|i| row(End { port: 1_000 + i, ..cart }, db, Verdict::Forwarded, i64::from(i) * 1_300)).collect();
        let sums = |rows: &mut dyn Iterator<Item = &Row>| {
            let mut t = Tally::default();
            rows.for_each(|r| t.add(r, &s, LATE));
            let edge = t.edges.iter().next().map(|(_, e)| e.sum(t.edges.newest()));
            (edge, t.series.sum(1), t.series.history().map(|h| h.1.flows).sum::<u32>())
        };
        assert_eq!(sums(&mut rows.iter()), sums(&mut rows.iter().rev()));
    }

    #[test]
    fn responses_tell_latency_and_failures() {
        let mut s = store();
        let (cart, db) = (end(&mut s, "shop", "cart", 40_000), end(&mut s, "shop", "db", 80));
        let mut t = Tally::default();
        for (status, wait) in [(200, 3_000), (200, 3_100), (503, 90_000)] {
            t.add(&Row { l7: Some(Proxy::Http), status, wait, reply: Some(true), ..row(db, cart, Verdict::Forwarded, 0) }, &s, LATE);
        }
        t.add(&Row { l7: Some(Proxy::Http), status: Row::UNANSWERED, ..row(cart, db, Verdict::Forwarded, 0) }, &s, LATE);
        let (_, edge) = t.edges.iter().next().unwrap();
        let sum = edge.sum(t.edges.newest());
        assert_eq!((sum.answers, sum.failed, sum.calls), (3, 1, 1));
        let p50 = edge.waits(t.edges.newest()).median().unwrap();
        assert!((2_000..=4_096).contains(&p50), "{p50}");
    }
}
