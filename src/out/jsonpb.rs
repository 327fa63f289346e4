//! `-o jsonpb` (also `json`): the response as one object a line, with the `why` object added at its end.
use super::{Format, Options, safe, status};
use crate::model::view::FieldSet;
use crate::model::why::Why;
use crate::wire::json::{write_message, write_response};
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::response::Response;

/// Hubble's JSON.
#[derive(Debug, Clone)]
pub struct Jsonpb {
    options: Options,
}

impl Jsonpb {
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    fn object(&self, r: &GetFlowsResponse, why: Option<&Why>, out: &mut Vec<u8>) {
        let begin = out.len();
        match &r.response_types {
            Some(ResponseTypes::Flow(f)) if self.options.bare => write_message(f, out),
            Some(ResponseTypes::LostEvents(l)) if self.options.bare => write_message(l, out),
            _ => write_response(r, out),
        }
        if let Some(why) = why {
            out.pop();
            let before = out.len();
            out.extend_from_slice(if before == begin + 1 { b"\"why\":" } else { b",\"why\":" });
            // Writing to memory fails only if a map's keys are no strings; `Why` has no maps.
            if serde_json::to_writer(&mut *out, why).is_err() {
                out.truncate(before);
            }
            out.push(b'}');
        }
        if self.options.terminal {
            safe::spelt_json(out, begin);
        }
        out.push(b'\n');
    }

    /// Appends the line of a flow or of lost events; nothing for the rest. A line that came as it would be written goes out as it
    /// came.
    pub fn line<'a>(&self, r: impl Into<Response<'a>>, why: Option<&Why>, out: &mut Vec<u8>) {
        let r = r.into();
        let as_it_is = why.is_none() && !self.options.terminal && !self.options.bare;
        if let (true, Some(line)) = (as_it_is, r.canonical()) {
            out.extend_from_slice(line);
            out.push(b'\n');
        } else if let Some(m) = r.message()
            && let Some(ResponseTypes::Flow(_) | ResponseTypes::LostEvents(_)) = m.response_types
        {
            self.object(&m, why, out);
        }
    }
}

impl Format for Jsonpb {
    fn fields(&self) -> Option<FieldSet> {
        None
    }

    fn line(&mut self, r: Response<'_>, why: Option<&Why>, out: &mut Vec<u8>) {
        Self::line(self, r, why, out);
    }

    fn status(&mut self, r: &GetFlowsResponse, out: &mut Vec<u8>) {
        if let Some(ResponseTypes::NodeStatus(s)) = &r.response_types
            && status::shown(s, &self.options)
            && !self.options.bare
        {
            self.object(r, None, out);
        }
    }
}
