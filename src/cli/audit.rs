//! `flowhy audit`: what may be typed. No logic.
use super::filter::FilterFlags;
use clap::{Args, ValueEnum};

const EXAMPLES: &str = "Examples:
  flowhy audit --policies k8s/
  flowhy audit --policies k8s/ --from flows.jsonl.gz
  flowhy audit --kube-context prod
  flowhy audit --policies k8s/ --from flows.jsonl 'to.ns:shop'
  flowhy audit --policies k8s/ --from flows.jsonl -o md
  flowhy audit --policies k8s/ -o json | jq '.findings[].text'";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum AuditFormat {
    #[default]
    Text,
    #[value(alias = "markdown")]
    Md,
    Json,
}

/// `flowhy audit`.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES, after_help = "Exit: 0 nothing open, 1 something open, 2 usage, 4 a file could not be read.")]
pub struct Audit {
    #[command(flatten)]
    pub flags: FilterFlags,
    /// text, md for a ticket or an auditor, or json: one object
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: AuditFormat,
    /// Traffic not before: 5m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Traffic not after: 1m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// Which traffic, for example: to.ns:shop
    #[arg(value_name = "FILTER", help_heading = None::<&'static str>)]
    pub filter: Vec<String>,
}
