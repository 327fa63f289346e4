//! `-o compact`: one line a flow, Hubble's default.
use super::host::Side;
use super::paint::Paint;
use super::{Format, Options, flow, lost, safe, status};
use crate::model::view::{End, Field, FieldSet, View};
use crate::model::why::Why;
use crate::wire::pb::flow::LostEvent;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::response::Response;

const MAGENTA: Option<u8> = Some(b'5');

/// The compact format.
#[derive(Debug, Clone)]
pub struct Compact {
    options: Options,
}

impl Compact {
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Appends the line of a flow or of lost events, and the line below it with what `why` says.
    pub fn line<'a>(&self, r: impl Into<Response<'a>>, why: Option<&Why>, out: &mut Vec<u8>) {
        let (r, begin) = (r.into(), out.len());
        if let Some(flow) = r.flow() {
            self.flow(flow, out);
        } else if let Some((r, lost)) = lost::events(r) {
            self.lost(r, lost, out);
        } else {
            return;
        }
        safe::hubble(out, begin, self.options.color);
        because(why, out);
    }

    fn flow(&self, f: &dyn View, out: &mut Vec<u8>) {
        let mut p = Paint::new(out, &self.options);
        p.flow_time(f);
        if self.options.node_name {
            p.raw(" [");
            p.text(f.field(Field::NodeName).text());
            p.raw("]");
        }
        p.raw(": ");
        let (source, destination) = (Side::new(f, End::Source), Side::new(f, End::Destination));
        let (left, arrow, right) = match f.field(Field::IsReply).bool() {
            None => (source, " <> ", destination),
            Some(false) => (source, " -> ", destination),
            Some(true) => (destination, " <- ", source),
        };
        self.side(&left, &mut p);
        p.raw(arrow);
        self.side(&right, &mut p);
        p.raw(" ");
        flow::kind(f, &mut p);
        p.raw(" ");
        flow::verdict(f, self.options.policy_names, &mut p);
        p.raw(" (");
        flow::summary(f, &mut p);
        p.raw(")\n");
    }

    fn side(&self, side: &Side<'_>, p: &mut Paint<'_>) {
        side.paint(self.options.translate_ip, p);
        p.raw(" ");
        p.colored(MAGENTA, |p| side.identity(p));
    }

    fn lost(&self, r: &GetFlowsResponse, l: &LostEvent, out: &mut Vec<u8>) {
        let mut p = Paint::new(out, &self.options);
        p.time(r.time.as_ref());
        p.raw(" EVENTS LOST: ");
        p.raw(&lost::source(l));
        p.raw(&format!(" CPU({}) {}", l.cpu.unwrap_or(0), l.num_events_lost));
        lost::span(l, &mut p);
        p.raw("\n");
    }
}

/// The line that `--why` adds to a text format. Its strings are made safe into a pipe too: there are nobody's bytes to match.
pub fn because(why: Option<&Why>, out: &mut Vec<u8>) {
    if let Some(why) = why {
        out.extend_from_slice(b"    ");
        safe::spelt(&why.text, out);
        out.push(b'\n');
    }
}

impl Format for Compact {
    fn fields(&self) -> Option<FieldSet> {
        let own = [Field::IsReply, Field::Identity(End::Source), Field::Identity(End::Destination)];
        Some(flow::fields(&self.options).union(own.into_iter().collect()))
    }

    fn line(&mut self, r: Response<'_>, why: Option<&Why>, out: &mut Vec<u8>) {
        Self::line(self, r, why, out);
    }

    fn status(&mut self, r: &GetFlowsResponse, out: &mut Vec<u8>) {
        status::line(r, &self.options, out);
    }
}
