//! `-o table`: one row a response, all of them held until the end because the columns are as wide as their widest cell.
//!
//! Has no place for `--why`; the command line refuses the two together.
use super::host::Side;
use super::paint::Paint;
use super::{Format, Options, flow, lost, safe, status, tabs};
use crate::model::view::{End, Field, FieldSet, View};
use crate::model::why::Why;
use crate::wire::pb::flow::LostEvent;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::response::Response;

/// The table format; never coloured.
#[derive(Debug, Clone)]
pub struct Table {
    options: Options,
    rows: Vec<u8>,
}

impl Table {
    pub fn new(options: Options) -> Self {
        Self { options: Options { color: false, ..options }, rows: Vec::new() }
    }
}

impl Table {
    /// Above the first row; a table without rows has none.
    fn head(&mut self) {
        if self.rows.is_empty() {
            let node: &[u8] = if self.options.node_name { b"NODE\t" } else { b"" };
            self.rows = [b"TIMESTAMP\t", node, b"SOURCE\tDESTINATION\tTYPE\tVERDICT\tSUMMARY\n"].concat();
        }
    }

    fn flow(f: &dyn View, o: &Options, p: &mut Paint<'_>) {
        p.flow_time(f);
        p.raw("\t");
        if o.node_name {
            p.text(f.field(Field::NodeName).text());
            p.raw("\t");
        }
        for end in End::BOTH {
            Side::new(f, end).paint(o.translate_ip, p);
            p.raw("\t");
        }
        flow::kind(f, p);
        p.raw("\t");
        flow::verdict(f, o.policy_names, p);
        p.raw("\t");
        flow::summary(f, p);
    }

    fn lost(r: &GetFlowsResponse, l: &LostEvent, o: &Options, p: &mut Paint<'_>) {
        p.time(r.time.as_ref());
        p.raw("\t");
        if o.node_name {
            p.text(if r.node_name.is_empty() { "-" } else { &r.node_name });
            p.raw("\t");
        }
        p.raw(&lost::source(l));
        p.raw("\t-\tEVENTS LOST\t-\t");
        lost::summary(l, p);
    }
}

impl Format for Table {
    fn fields(&self) -> Option<FieldSet> {
        Some(flow::fields(&self.options))
    }

    fn line(&mut self, r: Response<'_>, _why: Option<&Why>, _out: &mut Vec<u8>) {
        let (flow, lost) = (r.flow(), lost::events(r));
        if flow.is_none() && lost.is_none() {
            return;
        }
        self.head();
        let begin = self.rows.len();
        let mut p = Paint::new(&mut self.rows, &self.options);
        if let Some(flow) = flow {
            Self::flow(flow, &self.options, &mut p);
        } else if let Some((r, lost)) = lost {
            Self::lost(r, lost, &self.options, &mut p);
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
