//! Text for pipes and terminals: Hubble's own formats to the byte, and what `--why` adds to them.
//!
//! Owns the bytes of a line and where they go. Must not judge a flow, and never lets a string from the network reach a terminal
//! raw.
pub mod compact;
pub mod count;
pub mod csv;
pub mod dict;
pub mod events;
mod flow;
mod host;
pub mod jsonpb;
mod lost;
pub mod number;
mod paint;
mod safe;
pub mod server;
mod status;
pub mod table;
mod tabs;
pub mod time;

use crate::cli;
use crate::model::view::FieldSet;
use crate::model::why::Why;
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::response::Response;
use std::io::{self, Write};

pub use compact::Compact;
pub use csv::Csv;
pub use dict::Dict;
pub use events::Events;
pub use jsonpb::Jsonpb;
pub use table::Table;
pub use time::TimeFormat;

/// How lines are to look; the defaults are Hubble's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Options {
    pub color: bool,
    pub time: TimeFormat,
    pub node_name: bool,
    pub policy_names: bool,
    /// Names in place of addresses; off with `--ip-translation=false` and `--numeric`.
    pub translate_ip: bool,
    /// Also node states that are no trouble.
    pub debug: bool,
    /// No node states at all.
    pub silent: bool,
    /// JSON is the event alone, without its node and time; states of nodes are then left out.
    pub bare: bool,
    /// The lines go to a terminal: escape every control and bidi character that comes from the network. Off: Hubble's bytes.
    pub terminal: bool,
    /// Some lines come with an explanation: room for it, where a format has columns.
    pub why: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            color: false,
            time: TimeFormat::default(),
            node_name: false,
            policy_names: false,
            translate_ip: true,
            debug: false,
            silent: false,
            bare: false,
            terminal: false,
            why: false,
        }
    }
}

/// Where responses go.
pub trait Output {
    fn response(&mut self, r: Response<'_>, why: Option<&Why>) -> io::Result<()>;
    /// Hands on what is buffered here.
    fn flush(&mut self) -> io::Result<()>;
    /// After the last response.
    fn end(&mut self) -> io::Result<()>;
}

/// A format: how one response becomes a line.
pub trait Format: Send {
    /// What it reads of a flow: a part of which these fields were read has the same line as the whole. `None`: everything.
    fn fields(&self) -> Option<FieldSet>;
    /// Appends the line of a flow or of lost events to `out`; nothing for a node's status.
    fn line(&mut self, r: Response<'_>, why: Option<&Why>, out: &mut Vec<u8>);
    /// Appends the line of a node's status, which belongs on stderr; nothing if it is not worth one, and nothing for the rest.
    fn status(&mut self, r: &GetFlowsResponse, out: &mut Vec<u8>);
    /// Appends what was held back until the end.
    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// The format of that name.
pub fn format(name: cli::Format, options: Options) -> Box<dyn Format + Send> {
    match name {
        cli::Format::Compact => Box::new(Compact::new(options)),
        cli::Format::Dict => Box::new(Dict::new(options)),
        cli::Format::Table => Box::new(Table::new(options)),
        cli::Format::Json | cli::Format::Jsonpb => Box::new(Jsonpb::new(options)),
        cli::Format::Csv => Box::new(Csv::new(options)),
    }
}

impl Format for Box<dyn Format + Send> {
    fn fields(&self) -> Option<FieldSet> {
        (**self).fields()
    }

    fn line(&mut self, r: Response<'_>, why: Option<&Why>, out: &mut Vec<u8>) {
        (**self).line(r, why, out);
    }

    fn status(&mut self, r: &GetFlowsResponse, out: &mut Vec<u8>) {
        (**self).status(r, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        (**self).finish(out);
    }
}

/// Lines of one format: flows and losses to `out`, node states to `err`.
pub struct Lines<F, W, E> {
    format: F,
    out: W,
    err: E,
    line: Vec<u8>,
}

impl<F: Format, W: Write, E: Write> Lines<F, W, E> {
    pub fn new(format: F, out: W, err: E) -> Self {
        Self { format, out, err, line: Vec::new() }
    }

    pub fn into_inner(self) -> (W, E) {
        (self.out, self.err)
    }
}

impl<F: Format, W: Write, E: Write> Output for Lines<F, W, E> {
    fn response(&mut self, r: Response<'_>, why: Option<&Why>) -> io::Result<()> {
        self.line.clear();
        if let Response::Whole(whole) = r
            && let Some(ResponseTypes::NodeStatus(_)) = whole.response_types
        {
            self.format.status(whole, &mut self.line);
            return self.err.write_all(&self.line);
        }
        self.format.line(r, why, &mut self.line);
        self.out.write_all(&self.line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.line.clear();
        self.format.finish(&mut self.line);
        self.out.write_all(&self.line)?;
        self.err.flush()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
