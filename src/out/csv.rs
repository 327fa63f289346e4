//! Rows of comma-separated values (RFC 4180), and `-o csv`: one row a flow, after a line of names.
//!
//! The data stay what they are: a cell that begins with `=` is not defused, because these rows are for programs.
use super::{Format, Options, lost, status};
use crate::model::time::Nanos;
use crate::model::view::{End, Field, FieldSet, Value, View};
use crate::model::why::Why;
use crate::query::group;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::response::Response;

const NAMES: [&str; 18] = [
    "time",
    "node",
    "verdict",
    "drop_reason",
    "direction",
    "type",
    "source_namespace",
    "source_pod",
    "source_ip",
    "source_port",
    "source_identity",
    "destination_namespace",
    "destination_pod",
    "destination_ip",
    "destination_port",
    "destination_identity",
    "protocol",
    "summary",
];
const WHY: [&str; 3] = ["outcome", "policies", "text"];

/// Appends one row. A cell is quoted where it has to be.
pub fn row<S: AsRef<str>>(cells: impl IntoIterator<Item = S>, out: &mut Vec<u8>) {
    for (i, cell) in cells.into_iter().enumerate() {
        let cell = cell.as_ref();
        if i > 0 {
            out.push(b',');
        }
        if cell.contains(['"', ',', '\n', '\r']) {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The format.
#[derive(Debug, Clone)]
pub struct Csv {
    options: Options,
    named: bool,
}

impl Csv {
    pub fn new(options: Options) -> Self {
        Self { options, named: false }
    }

    fn names(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.named, true) {
            row(NAMES.iter().chain(if self.options.why { &WHY[..] } else { &[] }), out);
        }
    }
}

impl Format for Csv {
    fn fields(&self) -> Option<FieldSet> {
        let singles = [
            Field::Time,
            Field::NodeName,
            Field::Verdict,
            Field::DropCode,
            Field::Direction,
            Field::EventType,
            Field::Transport,
            Field::TcpFlags,
            Field::L7Record,
            Field::DnsQuery,
            Field::DnsRcode,
            Field::HttpMethod,
            Field::HttpUrl,
            Field::HttpCode,
            Field::KafkaTopic,
        ];
        Some(singles.into_iter().chain(End::BOTH.into_iter().flat_map(side)).collect())
    }

    fn line(&mut self, r: Response<'_>, why: Option<&Why>, out: &mut Vec<u8>) {
        self.names(out);
        let mut cells = match (r.flow(), lost::events(r)) {
            (Some(f), _) => flow(f),
            // In its place in the stream, so that a gap is seen.
            (None, Some((r, lost))) => {
                let mut cells = vec![String::new(); NAMES.len()];
                cells[0] = r.time.as_ref().map(|t| Nanos::from_parts(t.seconds, t.nanos).to_string()).unwrap_or_default();
                cells[1].clone_from(&r.node_name);
                cells[5] = "lost-events".to_owned();
                cells[17] = format!("{} {}", lost.num_events_lost, lost.source().as_str_name());
                cells
            }
            _ => return,
        };
        if self.options.why {
            let policy = |p: &crate::model::why::PolicyRef| match &p.namespace {
                Some(ns) => format!("{ns}/{}", p.name),
                None => p.name.clone(),
            };
            cells.push(why.map(|w| w.outcome.word().to_owned()).unwrap_or_default());
            cells.push(why.map(|w| w.policies.iter().map(policy).collect::<Vec<_>>().join(" ")).unwrap_or_default());
            cells.push(why.map(|w| w.text.clone()).unwrap_or_default());
        }
        row(cells, out);
    }

    fn status(&mut self, r: &GetFlowsResponse, out: &mut Vec<u8>) {
        status::line(r, &self.options, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.names(out);
    }
}

/// The columns of one side.
fn side(e: End) -> [Field; 5] {
    [Field::Namespace(e), Field::Pod(e), Field::Ip(e), Field::Port(e), Field::Identity(e)]
}

fn flow(v: &dyn View) -> Vec<String> {
    let text = |f| match v.field(f) {
        Value::Text(s) => s.to_owned(),
        Value::Addr(ip) => ip.to_string(),
        other => other.uint().map(|n| n.to_string()).unwrap_or_default(),
    };
    let mut cells = vec![
        v.field(Field::Time).int().map(|t| Nanos(t).to_string()).unwrap_or_default(),
        text(Field::NodeName),
        group::verdict(v),
        group::drop_reason(v),
        group::direction(v),
        group::event_type(v),
    ];
    cells.extend(side(End::Source).map(text));
    cells.extend(side(End::Destination).map(text));
    cells.push(group::protocol(v));
    cells.push(summary(v));
    cells
}

/// What the L7 record says, else the TCP flags.
fn summary(v: &dyn View) -> String {
    let number = |f| v.field(f).uint().filter(|n| *n > 0).map(|n| n.to_string()).unwrap_or_default();
    let parts = match v.field(Field::L7Record).int() {
        Some(100) => vec![v.field(Field::DnsQuery).text().to_owned(), number(Field::DnsRcode)],
        Some(101) => vec![v.field(Field::HttpMethod).text().to_owned(), v.field(Field::HttpUrl).text().to_owned(), number(Field::HttpCode)],
        Some(102) => vec![v.field(Field::KafkaTopic).text().to_owned()],
        _ => vec![group::flags(v)],
    };
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut out = Vec::new();
        row(["a", "b,c", "d\"e", "f\ng", "", "=1+1"], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a,\"b,c\",\"d\"\"e\",\"f\ng\",,=1+1\r\n");
    }

    #[test]
    fn names_come_once_and_also_without_a_flow() {
        let mut csv = Csv::new(Options { why: true, ..Options::default() });
        let mut out = Vec::new();
        csv.finish(&mut out);
        csv.finish(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!((text.lines().count(), text.trim_end().split(',').count()), (1, NAMES.len() + WHY.len()));
    }
}
