//! `-o dict`: a block of `KEY: value` lines a flow, a line of dashes between blocks.
use super::compact::because;
use super::host::Side;
use super::paint::Paint;
use super::{Format, Options, flow, lost, safe, status};
use crate::model::why::Why;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::pb::relay::NodeState;

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

    /// One block; `lines` are keys with what writes their values.
    fn block(&mut self, out: &mut Vec<u8>, lines: &[(&str, &dyn Fn(&mut Paint<'_>))]) {
        let begin = out.len();
        let mut p = Paint::new(out, &self.options);
        if self.blocks > 0 {
            p.raw("------------\n");
        }
        for (key, value) in lines {
            p.raw(&format!("{key:>11}: "));
            value(&mut p);
            p.raw("\n");
        }
        self.blocks += 1;
        safe::hubble(out, begin, self.options.color);
    }
}

impl Format for Dict {
    fn line(&mut self, r: &GetFlowsResponse, why: Option<&Why>, out: &mut Vec<u8>) {
        let Options { node_name, policy_names, translate_ip, .. } = self.options;
        let node = |name: &str| name.to_owned();
        match &r.response_types {
            Some(ResponseTypes::Flow(f)) => {
                let at = |p: &mut Paint<'_>| p.time(f.time.as_ref());
                let node = node(&f.node_name);
                let on = |p: &mut Paint<'_>| p.text(&node);
                let source = |p: &mut Paint<'_>| Side::source(f).paint(translate_ip, p);
                let destination = |p: &mut Paint<'_>| Side::destination(f).paint(translate_ip, p);
                let kind = |p: &mut Paint<'_>| flow::kind(f, p);
                let verdict = |p: &mut Paint<'_>| flow::verdict(f, policy_names, p);
                let summary = |p: &mut Paint<'_>| flow::summary(f, p);
                let mut lines: Vec<(&str, &dyn Fn(&mut Paint<'_>))> = vec![("TIMESTAMP", &at)];
                if node_name {
                    lines.push(("NODE", &on));
                }
                lines.extend::<[(&str, &dyn Fn(&mut Paint<'_>)); 5]>([
                    ("SOURCE", &source),
                    ("DESTINATION", &destination),
                    ("TYPE", &kind),
                    ("VERDICT", &verdict),
                    ("SUMMARY", &summary),
                ]);
                self.block(out, &lines);
            }
            Some(ResponseTypes::LostEvents(l)) => {
                let at = |p: &mut Paint<'_>| p.time(r.time.as_ref());
                let node = if r.node_name.is_empty() { node("-") } else { node(&r.node_name) };
                let on = |p: &mut Paint<'_>| p.text(&node);
                let source = |p: &mut Paint<'_>| p.raw(&lost::source(l));
                let kind = |p: &mut Paint<'_>| p.raw("EVENTS LOST");
                let verdict = |p: &mut Paint<'_>| p.raw("-");
                let summary = |p: &mut Paint<'_>| lost::summary(l, p);
                let mut lines: Vec<(&str, &dyn Fn(&mut Paint<'_>))> = vec![("TIMESTAMP", &at)];
                if node_name {
                    lines.push(("NODE", &on));
                }
                lines.extend::<[(&str, &dyn Fn(&mut Paint<'_>)); 4]>([
                    ("SOURCE", &source),
                    ("TYPE", &kind),
                    ("VERDICT", &verdict),
                    ("SUMMARY", &summary),
                ]);
                self.block(out, &lines);
            }
            _ => return,
        }
        because(why, out);
    }

    fn status(&mut self, r: &GetFlowsResponse, out: &mut Vec<u8>) {
        let Some(ResponseTypes::NodeStatus(s)) = &r.response_types else { return };
        if !status::shown(s, &self.options) {
            return;
        }
        let state = NodeState::try_from(s.state_change).map_or_else(|_| s.state_change.to_string(), |n| n.as_str_name().to_owned());
        let (names, message) =
            (status::cut(&s.node_names), if s.message.is_empty() { "N/A".to_owned() } else { status::quoted(&s.message) });
        self.block(
            out,
            &[
                ("TIMESTAMP", &|p| p.time(r.time.as_ref())),
                ("STATE", &|p| p.raw(&state)),
                ("NODES", &|p| p.text(&names)),
                ("MESSAGE", &|p| p.text(&message)),
            ],
        );
    }
}
