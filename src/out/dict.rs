//! `-o dict`: a block of `KEY: value` lines a flow, a line of dashes between blocks.
use super::compact::because;
use super::host::Side;
use super::paint::Paint;
use super::{Format, Options, flow, lost, safe, status};
use crate::model::view::{End, Field, FieldSet, View};
use crate::model::why::Why;
use crate::wire::pb::flow::LostEvent;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::pb::relay::{NodeState, NodeStatusEvent};
use crate::wire::response::Response;

/// The dict format. Counts blocks, on both streams together, because every block but the first has dashes before it.
#[derive(Debug, Clone)]
pub struct Dict {
    options: Options,
    blocks: u64,
}

impl Dict {
    pub fn new(options: Options) -> Self {
        Self { options, blocks: 0 }
    }

    fn block(&mut self, out: &mut Vec<u8>, entries: impl FnOnce(&mut Paint<'_>)) {
        let begin = out.len();
        let mut p = Paint::new(out, &self.options);
        if self.blocks > 0 {
            p.raw("------------\n");
        }
        entries(&mut p);
        self.blocks += 1;
        safe::hubble(out, begin, self.options.color);
    }
}

fn entry(p: &mut Paint<'_>, key: &str, value: impl FnOnce(&mut Paint<'_>)) {
    // Keys end in the same column.
    p.raw("           ".get(key.len()..).unwrap_or(""));
    p.raw(key);
    p.raw(": ");
    value(p);
    p.raw("\n");
}

fn flow_entries(f: &dyn View, o: &Options, p: &mut Paint<'_>) {
    entry(p, "TIMESTAMP", |p| p.flow_time(f));
    if o.node_name {
        entry(p, "NODE", |p| p.text(f.field(Field::NodeName).text()));
    }
    entry(p, "SOURCE", |p| Side::new(f, End::Source).paint(o.translate_ip, p));
    entry(p, "DESTINATION", |p| Side::new(f, End::Destination).paint(o.translate_ip, p));
    entry(p, "TYPE", |p| flow::kind(f, p));
    entry(p, "VERDICT", |p| flow::verdict(f, o.policy_names, p));
    entry(p, "SUMMARY", |p| flow::summary(f, p));
}

fn lost_entries(r: &GetFlowsResponse, l: &LostEvent, o: &Options, p: &mut Paint<'_>) {
    entry(p, "TIMESTAMP", |p| p.time(r.time.as_ref()));
    if o.node_name {
        entry(p, "NODE", |p| p.text(if r.node_name.is_empty() { "-" } else { &r.node_name }));
    }
    entry(p, "SOURCE", |p| p.raw(&lost::source(l)));
    entry(p, "TYPE", |p| p.raw("EVENTS LOST"));
    entry(p, "VERDICT", |p| p.raw("-"));
    entry(p, "SUMMARY", |p| lost::summary(l, p));
}

fn status_entries(r: &GetFlowsResponse, s: &NodeStatusEvent, p: &mut Paint<'_>) {
    let state = NodeState::try_from(s.state_change).map_or_else(|_| s.state_change.to_string(), |n| n.as_str_name().to_owned());
    let message = if s.message.is_empty() { "N/A".to_owned() } else { status::quoted(&s.message) };
    entry(p, "TIMESTAMP", |p| p.time(r.time.as_ref()));
    entry(p, "STATE", |p| p.raw(&state));
    entry(p, "NODES", |p| p.text(&status::cut(&s.node_names)));
    entry(p, "MESSAGE", |p| p.text(&message));
}

impl Format for Dict {
    fn fields(&self) -> Option<FieldSet> {
        Some(flow::fields(&self.options))
    }

    fn line(&mut self, r: Response<'_>, why: Option<&Why>, out: &mut Vec<u8>) {
        let o = self.options;
        if let Some(flow) = r.flow() {
            self.block(out, |p| flow_entries(flow, &o, p));
        } else if let Some((r, lost)) = lost::events(r) {
            self.block(out, |p| lost_entries(r, lost, &o, p));
        } else {
            return;
        }
        because(why, out);
    }

    fn status(&mut self, r: &GetFlowsResponse, out: &mut Vec<u8>) {
        if let Some(ResponseTypes::NodeStatus(s)) = &r.response_types
            && status::shown(s, &self.options)
        {
            self.block(out, |p| status_entries(r, s, p));
        }
    }
}
