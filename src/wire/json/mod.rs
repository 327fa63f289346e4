//! Hubble's JSON lines, both ways.
//!
//! Reads what `hubble observe -o jsonpb`, Hubble's exporter, its HTTP gateway and old command lines (bare flow objects) write;
//! writes what `hubble observe -o jsonpb` writes, to the byte. The readers and writers of the messages are generated at build
//! time; what a line is, is decided here.
mod any;
mod generated;
mod read;
mod scalar;
mod structure;
pub mod time;
mod write;

pub use read::{ReadJson, Reader};
pub use write::{WriteJson, Writer};

use super::decode::Decoded;
use super::note::{Bad, Notes};
use super::pb::flow::Flow;
use super::pb::observer::export_event::ResponseTypes as Exported;
use super::pb::observer::get_flows_response::ResponseTypes;
use super::pb::observer::{ExportEvent, GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse};

/// Reads one line, without its newline. What is passed over goes to `notes`.
pub fn read_line(line: &[u8], notes: &mut Notes) -> Result<Decoded, Bad> {
    if line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
        return Ok(Decoded::Blank);
    }
    read_text(&mut Reader::new(line, notes)?, true)
}

/// What the keys of a line say it is; positions are those of the value.
enum Shape {
    Wrapped,
    Bare,
    /// `{"result":{…}}`, as a gRPC gateway writes it.
    Result(usize),
    World(usize),
}

fn read_text(r: &mut Reader<'_, '_>, outermost: bool) -> Result<Decoded, Bad> {
    let begin = r.at;
    let shape = shape(r)?;
    (r.at, r.depth) = (begin, 0);
    match shape {
        Shape::Wrapped => {
            let event = r.message::<ExportEvent>()?;
            if outermost {
                r.end()?;
            }
            unwrapped(event).ok_or_else(|| r.bad_at(begin, "neither a flow nor any other event in it"))
        }
        Shape::Bare => {
            let mut flow = r.message::<Flow>()?;
            if outermost {
                r.end()?;
            }
            let (time, node_name) = (flow.time.take(), std::mem::take(&mut flow.node_name));
            if flow == Flow::default() {
                return Err(r.bad_at(begin, "nothing of a flow in it"));
            }
            (flow.time, flow.node_name) = (time, node_name.clone());
            Ok(Decoded::Response(GetFlowsResponse { time, node_name, response_types: Some(ResponseTypes::Flow(flow)) }))
        }
        Shape::Result(at) if outermost => {
            // The whole line was not checked yet: what follows the value must still be JSON.
            r.skip()?;
            r.end()?;
            r.at = at;
            r.depth = 0;
            read_text(r, false)
        }
        Shape::Result(at) => Err(r.bad_at(at, "a result inside a result")),
        Shape::World(at) => {
            r.skip()?;
            if outermost {
                r.end()?;
            }
            r.at = at;
            r.blanks();
            let from = r.at;
            r.skip()?;
            Ok(Decoded::World(r.text.get(from..r.at).unwrap_or("").as_bytes().to_vec()))
        }
    }
}

/// Looks at the keys only as far as it takes: for the lines of Hubble itself, that is the first.
fn shape(r: &mut Reader<'_, '_>) -> Result<Shape, Bad> {
    let mut first = r.object()?;
    while let Some(key) = r.key(&mut first)? {
        match &*key {
            "flow" | "node_status" | "nodeStatus" | "lost_events" | "lostEvents" | "agent_event" | "agentEvent" | "debug_event"
            | "debugEvent" => return Ok(Shape::Wrapped),
            "result" => return Ok(Shape::Result(r.at)),
            "world" => return Ok(Shape::World(r.at)),
            _ => r.skip()?,
        }
    }
    Ok(Shape::Bare)
}

fn unwrapped(event: ExportEvent) -> Option<Decoded> {
    let ExportEvent { node_name, time, response_types } = event;
    let response =
        |response_types| Decoded::Response(GetFlowsResponse { node_name: node_name.clone(), time, response_types: Some(response_types) });
    Some(match response_types? {
        Exported::Flow(f) => response(ResponseTypes::Flow(f)),
        Exported::NodeStatus(s) => response(ResponseTypes::NodeStatus(s)),
        Exported::LostEvents(l) => response(ResponseTypes::LostEvents(l)),
        Exported::AgentEvent(e) => Decoded::AgentEvent(GetAgentEventsResponse { agent_event: Some(e), node_name, time }),
        Exported::DebugEvent(e) => Decoded::DebugEvent(GetDebugEventsResponse { debug_event: Some(e), node_name, time }),
    })
}

/// Appends the response as one object, without a newline.
pub fn write_response(r: &GetFlowsResponse, out: &mut Vec<u8>) {
    Writer::new(out).message(r);
}

/// Appends any message that has a writer.
pub fn write_message<T: WriteJson>(m: &T, out: &mut Vec<u8>) {
    Writer::new(out).message(m);
}

/// Reads any message that has a reader; nothing may follow it.
pub fn read_message<T: ReadJson>(text: &[u8], notes: &mut Notes) -> Result<T, Bad> {
    let mut r = Reader::new(text, notes)?;
    let m = r.message()?;
    r.end()?;
    Ok(m)
}

#[cfg(test)]
mod tests;
