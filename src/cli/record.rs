//! `flowhy record`: what may be typed. No logic.
use super::filter::FilterFlags;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  flowhy record incident.jsonl.zst
  flowhy record shop.jsonl.gz ns:shop --max-size 512MiB --max-age 1h
  flowhy record ring.jsonl.zst --ring 2GiB
  flowhy record drops.jsonl.zst --ring 2GiB --on drop --before 30s --after 30s
  flowhy record share.jsonl.zst --from incident.jsonl.zst --redact

Flows as they come, and the policies and the cluster's state of the moment with them, so that a replay explains yesterday's drops with yesterday's policies. Ends with its source, or with Ctrl-C; what was written can be read at any time, after a kill too. The file is Hubble's JSON Lines with lines {\"world\":…} between them.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Trigger {
    /// A dropped flow
    Drop,
}

/// `flowhy record`.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub struct Record {
    #[command(flatten)]
    pub flags: FilterFlags,
    /// Keep the last SIZE only: segments FILE.0001 and on, the oldest dropped
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["max_size", "max_age"], help_heading = "Recording")]
    pub ring: Option<String>,
    /// Begin the next segment after SIZE, as in 512MiB
    #[arg(long, value_name = "SIZE", help_heading = "Recording")]
    pub max_size: Option<String>,
    /// Begin the next segment after a time, as in 1h
    #[arg(long, value_name = "TIME", help_heading = "Recording")]
    pub max_age: Option<String>,
    /// Keep only what surrounds drops, and DNS answers
    #[arg(long, value_enum, value_name = "drop", hide_possible_values = true, help_heading = "Recording")]
    pub on: Option<Trigger>,
    /// With --on: so long before [default: 30s]
    #[arg(long, value_name = "TIME", requires = "on", help_heading = "Recording")]
    pub before: Option<String>,
    /// With --on: so long after [default: 30s]
    #[arg(long, value_name = "TIME", requires = "on", help_heading = "Recording")]
    pub after: Option<String>,
    /// Replace names, label values, addresses and paths, each by the same one everywhere
    #[arg(long, help_heading = "Recording")]
    pub redact: bool,
    /// Begin with the last N flows that the server holds
    #[arg(long, value_name = "N")]
    pub last: Option<u64>,
    /// Not before: 5m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Not after: 1m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Go on with new flows as they come: it always does
    #[arg(short, long, hide = true)]
    pub follow: bool,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// .gz and .zst are compressed
    #[arg(value_name = "FILE", help_heading = None::<&'static str>)]
    pub file: PathBuf,
    /// For example: ns:shop drop:policy
    #[arg(value_name = "FILTER", help_heading = None::<&'static str>)]
    pub filter: Vec<String>,
}
