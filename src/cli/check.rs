//! `flowhy check`: what may be typed. No logic.
use super::filter::FilterFlags;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  flowhy check k8s/ --from flows.jsonl
  flowhy check k8s/ --against main/k8s/ --from flows.jsonl.gz -o md
  flowhy check k8s/ --from flows.jsonl --policies cluster/ -n shop
  flowhy check deny.yaml --from flows.jsonl --propose > allow.yaml

What the policies of PATH would do to recorded traffic: which conversations change their verdict, by the rule that is missing. PATH is laid over --policies, as if it were applied there.

Exit: 0 if nothing that worked is dropped; 1 if something is (--fail-on says what), or if there was no conversation to judge; with --propose 1 if something cannot be kept.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum CheckFormat {
    #[default]
    Text,
    Json,
    #[value(alias = "markdown")]
    Md,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Default)]
pub enum FailOn {
    /// Something that worked is denied; what cannot be decided does not fail
    #[default]
    NewDrops,
    /// Besides: whether something that worked is denied cannot be decided
    PossibleDrops,
    /// Besides: something that was dropped is admitted, or cannot be decided
    AnyChange,
}

/// `flowhy check`.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub struct Check {
    #[command(flatten)]
    pub flags: FilterFlags,
    /// Compare with the policies of this path instead of with what was observed
    #[arg(long, value_name = "PATH", help_heading = "Check")]
    pub against: Option<PathBuf>,
    /// new-drops, possible-drops (undecidable ones too), or any-change
    #[arg(long, value_enum, default_value_t, hide_possible_values = true, value_name = "WHAT", help_heading = "Check")]
    pub fail_on: FailOn,
    /// Print the fewest allow rules that keep what worked, as YAML
    #[arg(long, conflicts_with = "against", help_heading = "Check")]
    pub propose: bool,
    /// text, json: one object a line, or md: for a pull request
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "FORMAT")]
    pub output: CheckFormat,
    /// Not before: 5m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Not after: 1m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// The policies to check: a file, a folder, or -
    #[arg(value_name = "PATH", help_heading = None::<&'static str>)]
    pub path: PathBuf,
    /// For example: ns:shop to.port:5432
    #[arg(value_name = "FILTER", help_heading = None::<&'static str>)]
    pub filter: Vec<String>,
}
