//! What a flow has in each column, and a filter that finds its like.
use super::name::{fixed_namespace, name, pair, port};
use super::pen::{Seg, length, seg};
use super::{l7, verdict};
use crate::engine::Engine;
use crate::model::observed::{Direction, Verdict};
use crate::model::reason;
use crate::model::row::{End, Row};
use crate::tui::column::{Column, Place};
use crate::tui::model::Model;
use crate::tui::text::width;
use crate::tui::view::View;

/// One flow of a view.
pub struct Flow<'a> {
    pub m: &'a Model,
    pub engine: &'a Engine,
    pub seq: u64,
    pub row: Row,
    /// The namespace that need not be said.
    pub fixed: Option<&'a str>,
}

impl<'a> Flow<'a> {
    pub fn of(m: &'a Model, engine: &'a Engine, v: &'a View, seq: u64) -> Option<Self> {
        Some(Self { m, engine, seq, row: engine.store().row(seq)?, fixed: fixed_namespace(v.text()) })
    }

    fn name(&self, end: &End) -> String {
        if self.m.addresses
            && let Some(ip) = end.ip.get()
        {
            return ip.to_string();
        }
        name(self.engine.store(), end, self.fixed, self.m.wide)
    }

    /// Sender and called, with their whole names.
    pub fn names(&self) -> (String, String) {
        (self.name(&self.row.src), self.name(&self.row.dst))
    }

    /// `from→to:port`; in less room each name is cut for itself, so that it is seen who called whom.
    fn folded(&self, room: usize) -> String {
        let port = if self.row.dst.port == 0 { String::new() } else { format!(":{}", self.row.dst.port) };
        let (from, to) = self.names();
        let whole = format!("{from}{}{to}{port}", self.m.look.g.arrow);
        if width(&whole) <= room { whole } else { pair(self.m.look, (&from, &to), &port, room) }
    }

    /// The pieces of a cell. `places`: what else is shown, so that nothing is said twice.
    pub fn cell(&self, place: Place, places: &[Place]) -> Vec<Seg> {
        let (look, r) = (self.m.look, &self.row);
        let beside = |c: Column| places.iter().any(|p| p.column == c);
        let ip = |end: &End| end.ip.get().map_or_else(String::new, |ip| ip.to_string());
        let number = |n: u32| if n == 0 { String::new() } else { n.to_string() };
        let one = |s: String, style| vec![seg(s, style)];
        match place.column {
            Column::Time => {
                let clock = self.m.clock(r.at, self.engine);
                // Without hours where there is no room.
                let short = !self.m.relative && place.w < 8;
                one(if short { clock.get(3..).unwrap_or("").to_owned() } else { clock }, look.dim())
            }
            Column::From => one(self.name(&r.src), look.plain()),
            Column::To => one(self.name(&r.dst), look.plain()),
            Column::Flow => one(self.folded(usize::from(place.w)), look.plain()),
            Column::Port => one(port(r), look.plain()),
            Column::Verdict => {
                let short = beside(Column::Flow);
                let mut cell = verdict::cell(look, self.engine, self.seq, r, !short && !beside(Column::L7), short);
                let wait = format!("  {}", l7::took(r.wait));
                if r.wait > 0 && !short && !beside(Column::Latency) && length(&cell) + width(&wait) <= usize::from(place.w) {
                    cell.push(seg(wait, look.dim()));
                }
                cell
            }
            Column::Node => one(self.engine.store().name(r.node).to_owned(), look.dim()),
            Column::L7 if r.l7.is_none() => Vec::new(),
            Column::L7 => {
                let (text, bad) = l7::whole(look, self.engine, self.seq);
                one(text, if bad { look.warn() } else { look.plain() })
            }
            Column::Latency => one(if r.wait == 0 { String::new() } else { l7::took(r.wait) }, look.plain()),
            Column::Policy => one(self.policies(), look.plain()),
            Column::Dir => one(verdict::side(r.dir).trim_end().to_owned(), look.dim()),
            Column::Reason => one(if r.drop == 0 { String::new() } else { verdict::printed(r.drop) }, look.plain()),
            Column::Cluster => one(self.engine.cluster_of(self.seq).to_owned(), look.dim()),
            Column::FromIp => one(ip(&r.src), look.plain()),
            Column::ToIp => one(ip(&r.dst), look.plain()),
            Column::FromPort => one(number(r.src.port.into()), look.plain()),
            Column::FromId => one(number(r.src.identity), look.plain()),
            Column::ToId => one(number(r.dst.identity), look.plain()),
        }
    }

    /// Of the cause, each by its path.
    fn policies(&self) -> String {
        let cause = self.row.cause.and_then(|id| self.engine.causes().get(id));
        let mut paths: Vec<String> = cause.map(|c| c.why.policies.iter().map(|p| p.path()).collect()).unwrap_or_default();
        paths.dedup();
        paths.join(", ")
    }

    /// A filter for what stands in a column; none where it is nothing that a filter asks for.
    pub fn term(&self, column: Column) -> Option<String> {
        let (store, r) = (self.engine.store(), self.row);
        let side = |end: &End, side: &str| {
            let edges = &self.engine.tally()?.edges;
            let atoms = &edges.node_of(edges.party(end, store)?)?.atoms;
            Some(atoms.iter().map(|a| format!("{side}.{a}")).collect::<Vec<_>>().join(" "))
        };
        let port = || match (r.dst.port, r.l4) {
            (0, l4) => l4.map(|l| format!("proto:{}", l.word().to_lowercase())),
            (p, _) => Some(format!("to.port:{p}")),
        };
        let term = match column {
            Column::From => side(&r.src, "from")?,
            Column::To => side(&r.dst, "to")?,
            Column::Flow => format!("{} {} {}", side(&r.src, "from")?, side(&r.dst, "to")?, port().unwrap_or_default()),
            Column::Port => port()?,
            Column::Verdict | Column::Policy => match (r.cause, r.verdict) {
                (Some(c), _) => format!("cause:{}", c.0),
                (None, _) if column == Column::Policy => return None,
                (None, Verdict::Forwarded) => "verdict:forwarded".to_owned(),
                (None, Verdict::Dropped) => "verdict:dropped".to_owned(),
                (None, Verdict::Redirected) => "verdict:redirected".to_owned(),
                _ => return None,
            },
            Column::Node if !r.node.is_empty() => format!("node:{}", store.name(r.node)),
            Column::Dir => match r.dir? {
                Direction::Egress => "dir:egress".to_owned(),
                Direction::Ingress => "dir:ingress".to_owned(),
            },
            Column::Reason => format!("drop:{}", reason::by_number(u32::from(r.drop)).filter(|r| r.number > 0)?.name),
            Column::Latency if r.wait > 0 => format!("latency>={}us", r.wait),
            Column::FromIp => format!("from.ip:{}", r.src.ip.get()?),
            Column::ToIp => format!("to.ip:{}", r.dst.ip.get()?),
            Column::FromPort if r.src.port > 0 => format!("from.port:{}", r.src.port),
            Column::FromId if r.src.identity > 0 => format!("from.identity:{}", r.src.identity),
            Column::ToId if r.dst.identity > 0 => format!("to.identity:{}", r.dst.identity),
            Column::L7 => l7::term(self.engine, self.seq)?,
            _ => return None,
        };
        Some(term.trim().to_owned()).filter(|t| !t.is_empty())
    }
}
