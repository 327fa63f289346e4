//! `-o table`: one row a response, all of them held until the end because the columns are as wide as their widest cell.
//!
//! Has no place for `--why`; the command line refuses the two together.
use super::host::Side;
use super::paint::Paint;
use super::{Format, Options, flow, lost, safe, status, tabs};
use crate::model::why::Why;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;

/// The table format; never coloured.
#[derive(Debug, Clone)]
pub struct Table {
    options: Options,
    rows: Vec<u8>,
}

impl Table {
    pub fn new(options: Options) -> Self {
        let node: &[u8] = if options.node_name { b"NODE\t" } else { b"" };
        let rows = [b"TIMESTAMP\t", node, b"SOURCE\tDESTINATION\tTYPE\tVERDICT\tSUMMARY\n"].concat();
        Self { options: Options { color: false, ..options }, rows }
    }
}

impl Format for Table {
    fn line(&mut self, r: &GetFlowsResponse, _why: Option<&Why>, _out: &mut Vec<u8>) {
        let o = &self.options;
        let begin = self.rows.len();
        let mut p = Paint::new(&mut self.rows, o);
        match &r.response_types {
            Some(ResponseTypes::Flow(f)) => {
                p.time(f.time.as_ref());
                p.raw("\t");
                if o.node_name {
                    p.text(&f.node_name);
                    p.raw("\t");
                }
                Side::source(f).paint(o.translate_ip, &mut p);
                p.raw("\t");
                Side::destination(f).paint(o.translate_ip, &mut p);
                p.raw("\t");
                flow::kind(f, &mut p);
                p.raw("\t");
                flow::verdict(f, o.policy_names, &mut p);
                p.raw("\t");
                flow::summary(f, &mut p);
            }
            Some(ResponseTypes::LostEvents(l)) => {
                p.time(r.time.as_ref());
                p.raw("\t");
                if o.node_name {
                    p.text(if r.node_name.is_empty() { "-" } else { &r.node_name });
                    p.raw("\t");
                }
                p.raw(&lost::source(l));
                p.raw("\t-\tEVENTS LOST\t-\t");
                lost::summary(l, &mut p);
            }
            _ => return,
        }
        p.raw("\n");
        safe::hubble(&mut self.rows, begin, false);
    }

    fn status(&mut self, r: &GetFlowsResponse, out: &mut Vec<u8>) {
        status::line(r, &self.options, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        tabs::layout(&String::from_utf8_lossy(&self.rows), out);
        self.rows.clear();
    }
}
