//! `status`, `list`, `watch`, `version`: what a server is asked about itself. No logic.
use clap::{Args, Subcommand, ValueEnum};

const STATUS_EXAMPLES: &str = "Examples:
  flowhy status
  flowhy status --server relay.example:4245 -o json
  flowhy status --server unix:///var/run/cilium/hubble.sock -o dict";

const LIST_EXAMPLES: &str = "Examples:
  flowhy list nodes
  flowhy list nodes -o wide
  flowhy list namespaces -o json";

const WATCH_EXAMPLES: &str = "Examples:
  flowhy watch peers --server unix:///var/run/cilium/hubble.sock";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum StatusFormat {
    #[default]
    Compact,
    Dict,
    #[value(alias = "JSON", alias = "jsonpb")]
    Json,
    #[value(alias = "tab")]
    Table,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum ListFormat {
    #[default]
    Table,
    Wide,
    Json,
}

/// `flowhy status`.
#[derive(Debug, Args)]
#[command(before_long_help = STATUS_EXAMPLES)]
pub struct Status {
    /// compact, dict, json (= jsonpb), or table
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "FORMAT")]
    pub output: StatusFormat,
}

/// `flowhy list`.
#[derive(Debug, Args)]
#[command(before_long_help = LIST_EXAMPLES)]
pub struct List {
    #[command(subcommand)]
    pub what: ListWhat,
}

#[derive(Debug, Subcommand)]
pub enum ListWhat {
    /// The nodes that relay knows
    #[command(alias = "node", before_long_help = LIST_EXAMPLES)]
    Nodes(ListArgs),
    /// The namespaces with recent flows
    #[command(alias = "namespace", before_long_help = LIST_EXAMPLES)]
    Namespaces(ListArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// table, wide, or json
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "FORMAT")]
    pub output: ListFormat,
}

/// `flowhy watch`.
#[derive(Debug, Args)]
#[command(before_long_help = WATCH_EXAMPLES)]
pub struct Watch {
    #[command(subcommand)]
    pub what: WatchWhat,
}

#[derive(Debug, Subcommand)]
pub enum WatchWhat {
    /// The peers of an agent's Hubble, then each change
    #[command(alias = "peer", before_long_help = WATCH_EXAMPLES)]
    Peers,
}
