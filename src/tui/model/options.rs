//! What the model and its surroundings tell each other: what the caller decides at the beginning, and what the loop is to do for the model
//! because it touches the world. Plain data; who carries it out is `tui/mod`.
use crate::source::capture::Capture;
use crate::source::replay::{Remote, To};
use crate::tui::action::Keymap;
use crate::tui::column::Column;
use crate::tui::theme::{Depth, Theme};
use crate::wire::pb::flow::FlowFilter;
use std::path::PathBuf;

/// What the caller decides.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// First display filter.
    pub filter: String,
    pub theme: &'static Theme,
    /// [`Depth::None`]: no theme has colours.
    pub depth: Depth,
    pub ascii: bool,
    /// First word of the first line: context or file.
    pub title: String,
    /// What is held is held nowhere else: leaving loses it, so `q` asks once.
    pub live: bool,
    /// The command line that opens this picture again, without the filter: `flowhy replay f.jsonl`.
    pub command: String,
    /// The flags by which other commands ask the same source: `--from f.jsonl --policies k8s`; empty where none can.
    pub source: String,
    /// The working directory, in which a copied patch is to be applied.
    pub here: PathBuf,
    /// Seconds east of UTC in which times are shown.
    pub offset: i32,
    /// The player of a recording that is played at a pace: pausing the picture stops its clock.
    pub remote: Option<Remote>,
    /// Where servers can be asked for something else.
    pub capture: Option<Capture>,
    pub keymap: Keymap,
    /// Ring when a cause of drops comes that was not there before.
    pub bell: bool,
    /// Say it in the title of the terminal too.
    pub news: bool,
    pub mouse: bool,
    /// Columns of the flows table; none: the usual ones.
    pub columns: Vec<Column>,
    /// Times as ages.
    pub relative: bool,
    /// Filters with names, from the configuration file.
    pub filters: Vec<(String, String)>,
    /// Filters of earlier sessions, the newest last.
    pub history: Vec<String>,
}

/// What the loop has to do for the model, because it touches the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Into the clipboard by OSC 52.
    Copy(String),
    /// Only what one of these lets through is to come from now on; and that in the words of the filter bar.
    Capture(Vec<FlowFilter>, String),
    /// Stop the player's clock, or let it run.
    Hold(bool),
    /// The player to another place.
    Seek(To),
    /// So many lines on.
    Step(u64),
    /// To another speed.
    Speed(f64),
    /// What is held and passes the filter, to a file.
    Save(String),
    /// A text, to a file that is not there yet.
    Export(String, String),
    /// Begin to record to a file, or end it.
    Record(Option<String>),
    /// Settings and their values, to the configuration file.
    Write(Vec<(&'static str, Vec<String>)>),
    /// A filter under a name, to the configuration file.
    Keep(String, String),
    /// A filter that was used, to the history on the disk.
    Remember(String),
    Suspend,
    Redraw,
}
