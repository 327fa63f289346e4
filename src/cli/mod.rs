//! What may be typed: clap types and help texts. No logic; `plan` makes sense of them.
pub mod ask;
pub mod audit;
pub mod check;
pub mod config;
pub mod filter;
pub mod record;
pub mod serve;
pub mod server;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use filter::FilterFlags;
use server::Server;
use std::path::PathBuf;

/// What Go's flags take for yes and no, in settings too.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// Which policy dropped this flow, and why.
#[derive(Debug, Parser)]
#[command(
    name = "flowhy",
    version,
    about = "Which policy dropped this flow, and which rule came nearest to allowing it",
    long_about = LONG,
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    max_term_width = 79,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub judge: Judge,
    #[command(flatten)]
    pub display: Display,
    /// Filter for the screen, for example: ns:shop drop:policy
    #[arg(value_name = "FILTER", help_heading = None::<&'static str>)]
    pub filter: Vec<String>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const LONG: &str = "Examples:
  flowhy demo                                     the screen, on a demo cluster
  flowhy replay flows.jsonl --policies k8s/       the screen, on a recording
  flowhy why --from flows.jsonl --policies k8s/   each distinct drop explained
  flowhy observe -n shop --follow                 as `hubble observe`
  flowhy observe --from flows.jsonl --policies k8s/ --why -o json drop:any

Which policy dropped this flow, and which rule came nearest to allowing it. Without a command: the screen, on a live server.";

const OBSERVE_EXAMPLES: &str = "Examples:
  flowhy observe -n shop --verdict DROPPED --since 5m
  flowhy observe -f --policies k8s/ --why drop:policy
  flowhy observe --from flows.jsonl.gz -o jsonpb 'ns:shop port:5432'
  zcat old.gz | flowhy observe --input-file - -o table --last 20";

const REPLAY_EXAMPLES: &str = "Examples:
  flowhy replay flows.jsonl --policies k8s/
  flowhy replay monday.jsonl.gz tuesday.jsonl.zst ns:shop
  flowhy replay flows.jsonl --speed 10";

const WHY_EXAMPLES: &str = "Examples:
  flowhy why --from flows.jsonl --policies k8s/
  flowhy why --server localhost:4245 --policies k8s/ -n shop --since 5m
  flowhy why --server localhost:4245 --policies k8s/ -f -o json
  flowhy why shop/cart shop/db:5432/TCP --policies k8s/
  flowhy why shop:app=web shop/api:8080 --http 'GET /v1/orders' --policies k8s/
  flowhy why --from flows.jsonl --policies k8s/ -o json | jq -r .text";

const DEMO_EXAMPLES: &str = "Examples:
  flowhy demo
  flowhy demo ns:empire
  flowhy demo --headless --why --count 1000 --rate max drop:any
  flowhy demo --listen localhost:4245
  flowhy demo --headless --seed 7 --count 99 --start 2026-01-31T14:00:00Z";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Flows without a screen; a drop-in for `hubble observe`
    Observe(Box<Observe>),
    /// A recording on the screen
    Replay(Replay),
    /// One explanation per distinct drop
    Why(Box<WhyArgs>),
    /// Where the policies leave the cluster open, and what a recording proves
    Audit(Box<audit::Audit>),
    /// What policies would do to recorded traffic, for a pull request's CI
    Check(Box<check::Check>),
    /// Flows, and the policies of the moment, written to a file
    Record(Box<record::Record>),
    /// An embedded demo cluster with mistakes people really make
    Demo(Demo),
    /// A recording served to `hubble observe --server` and other clients
    Serve(serve::Serve),
    /// A server's health and counters
    Status(ask::Status),
    /// Nodes, or namespaces, of a server
    List(ask::List),
    /// Peers of an agent's Hubble, as they come and go
    #[command(alias = "w")]
    Watch(ask::Watch),
    /// The keys of the screen, and the actions by which they are changed
    Keys,
    /// This program's version
    Version,
    /// The settings: view, get, set, reset
    Config(config::Config),
    /// A completion script for a shell
    #[command(alias = "completion")]
    Completions(config::Completions),
    /// The manual page, as roff
    #[command(hide = true)]
    Man,
}

/// Where flows and policies come from.
#[derive(Debug, Args, Clone, Default)]
#[command(next_help_heading = "Source")]
pub struct Source {
    /// Read recorded flows from a file (plain, .gz, .zst), - for standard input
    #[arg(long = "input-file", visible_alias = "from", global = true, value_name = "FILE")]
    pub input_file: Vec<PathBuf>,
    /// Manifests: a file, a folder, or - (repeatable)
    #[arg(long, global = true, value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    #[command(flatten)]
    pub server: Server,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum EngineName {
    #[default]
    Cilium,
    Kubernetes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Enforcement {
    #[default]
    Default,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum AllowLocalhost {
    #[default]
    Always,
    Policy,
}

/// How policies are judged.
#[derive(Debug, Args, Clone, Default)]
#[command(next_help_heading = "Judging")]
pub struct Judge {
    /// Whose reading of NetworkPolicy applies [default: what the cluster runs, else cilium]
    #[arg(long, global = true, value_enum, hide_short_help = true)]
    pub engine: Option<EngineName>,
    /// The cluster's policy enforcement mode [default: as cilium-config says, else default]
    #[arg(long, global = true, value_enum, hide_short_help = true)]
    pub policy_enforcement: Option<Enforcement>,
    /// The cluster runs with the host firewall
    #[arg(long, global = true, hide_short_help = true)]
    pub host_firewall: bool,
    /// Whether the local host may always reach its pods [default: as cilium-config says, else always]
    #[arg(long, global = true, value_enum, hide_short_help = true)]
    pub allow_localhost: Option<AllowLocalhost>,
    /// Whose rules apply where versions of Cilium differ [default: 1.20]
    #[arg(long, global = true, hide_short_help = true, value_name = "1.N", value_parser = cilium_version)]
    pub cilium_version: Option<u32>,
}

/// `1.18`, `v1.18.3` → 18.
fn cilium_version(text: &str) -> Result<u32, String> {
    let parts: Vec<&str> = text.trim_start_matches('v').split('.').collect();
    match parts.as_slice() {
        ["1", minor, ..] => minor.parse().map_err(|_| format!("{text:?} is no version of Cilium, such as 1.18")),
        _ => Err(format!("{text:?} is no version of Cilium, such as 1.18")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum When {
    #[default]
    Auto,
    Always,
    Never,
}

/// How things look.
#[derive(Debug, Args, Clone, Default)]
#[command(next_help_heading = "Display")]
pub struct Display {
    /// Colour [default: auto; NO_COLOR is honoured]
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub color: Option<When>,
    /// Say on stderr what is done, and where the settings come from
    #[arg(short = 'D', long, global = true, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub debug: bool,
    /// flowhy's own settings file [default: ~/.config/flowhy/config.toml]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub config: Option<PathBuf>,
    /// Do not keep what the screen sees on the disk (256 MiB, for replay @last)
    #[arg(long, global = true, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub no_session_ring: bool,
    /// Colours of the screen: auto, dark, light, contrast, plain [default: auto, the terminal's own]
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub theme: Option<String>,
    /// Columns of the screen's flow table, in order: time,from,to,port,verdict,node and others (C on the screen lists them)
    #[arg(long, global = true, value_name = "NAMES", hide_short_help = true)]
    pub columns: Option<String>,
    /// Show times on the screen as ages
    #[arg(long, global = true, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub relative_time: bool,
    /// Do not keep the filters of the screen for the next session
    #[arg(long, global = true, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub no_history: bool,
    /// Draw with ASCII only
    #[arg(long, global = true, hide_short_help = true)]
    pub ascii: bool,
    /// Other keys for an action of the screen, describe=D or page-down=<c-f><pgdn>; `flowhy keys` lists the actions (repeatable)
    #[arg(long, global = true, value_name = "ACTION=KEYS", hide_short_help = true)]
    pub key: Vec<String>,
    /// Ring when a new cause of drops comes up on the screen
    #[arg(long, global = true, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub bell: bool,
    /// Say a new cause of drops in the title of the terminal too, until a key is pressed
    #[arg(long, global = true, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub title: bool,
    /// Leave the mouse to the terminal
    #[arg(long, global = true, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub no_mouse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    #[default]
    Compact,
    Dict,
    #[value(alias = "tab")]
    Table,
    /// As jsonpb, unless HUBBLE_COMPAT=legacy-json-output wants bare objects
    #[value(alias = "JSON")]
    Json,
    Jsonpb,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhyMode {
    /// Dropped, audited and L7-denied flows
    Drops,
    /// Allowed flows too
    All,
}

/// `flowhy observe`.
#[derive(Debug, Args)]
#[command(before_long_help = OBSERVE_EXAMPLES)]
pub struct Observe {
    #[command(flatten)]
    pub select: Select,
    #[command(flatten)]
    pub flags: FilterFlags,
    #[command(flatten)]
    pub mask: Mask,
    #[command(flatten)]
    pub print: Print,
    /// `flows`, and a filter, for example: ns:shop drop:policy
    #[arg(value_name = "FILTER", help_heading = None::<&'static str>)]
    pub filter: Vec<String>,
}

/// How many flows, and from when.
#[derive(Debug, Args, Clone, Default)]
#[command(next_help_heading = "Selection")]
pub struct Select {
    /// The last N flows
    #[arg(long, value_name = "N")]
    pub last: Option<u64>,
    /// The first N flows
    #[arg(long, value_name = "N")]
    pub first: Option<u64>,
    /// All flows that the server holds
    #[arg(long, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub all: bool,
    /// Go on with new flows as they come
    #[arg(short, long, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub follow: bool,
    /// Not before: 5m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Not after: 1m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
}

/// What of a flow a server sends.
#[derive(Debug, Args, Clone, Default)]
#[command(next_help_heading = "Server")]
pub struct Mask {
    /// Only these fields of a flow, as in source.pod_name,verdict; for JSON
    #[arg(long, alias = "experimental-field-mask", value_name = "FIELD,…", value_delimiter = ',', hide_short_help = true)]
    pub field_mask: Vec<String>,
    /// Ask for no more than compact, dict and table print
    #[arg(long, alias = "experimental-use-default-field-masks", hide_short_help = true, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub use_default_field_masks: bool,
    /// Print the filters as allowlist and denylist, for a configuration file, and do no more
    #[arg(long, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub print_raw_filters: bool,
}

/// What is printed.
#[derive(Debug, Args, Clone, Default)]
#[command(next_help_heading = "Output")]
pub struct Print {
    /// compact, dict, table, jsonpb (= json), or csv
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Count flows by fields of the filter language, as in verdict,drop,to.pod
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    pub count_by: Vec<String>,
    /// Exit with 1 if no flow matched
    #[arg(long, hide_short_help = true)]
    pub exit_code: bool,
    /// Explain drops, audits and L7 denials; --why=all explains allowed flows too
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "drops", value_name = "WHICH")]
    pub why: Option<WhyMode>,
    /// Time format of compact output: StampMilli, RFC3339Milli, …
    #[arg(long, value_name = "FORMAT", default_value = "StampMilli", hide_short_help = true)]
    pub time_format: String,
    /// Print the node's name
    #[arg(long, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub print_node_name: bool,
    /// Print the policies that the agent names
    #[arg(long, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub print_policy_names: bool,
    /// Addresses instead of names
    #[arg(long, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub numeric: bool,
    /// Names instead of addresses
    #[arg(long, hide_short_help = true, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub ip_translation: bool,
    /// No messages of nodes on stderr
    #[arg(short, long, hide_short_help = true, default_value = "false", hide_default_value = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = yes_or_no, action = ArgAction::Set)]
    pub silent_errors: bool,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// `flowhy replay`.
#[derive(Debug, Args)]
#[command(before_long_help = REPLAY_EXAMPLES)]
pub struct Replay {
    /// Recordings, and a filter: arguments that are no files are the filter
    #[arg(value_name = "FILE… [FILTER]", required = true)]
    pub args: Vec<String>,
    /// Play at this multiple of the recorded pace; max = as fast as it can be read
    #[arg(long, default_value = "max", value_name = "N|max")]
    pub speed: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum TextFormat {
    #[default]
    Text,
    Json,
}

/// `flowhy why`.
#[derive(Debug, Args)]
#[command(before_long_help = WHY_EXAMPLES)]
pub struct WhyArgs {
    #[command(flatten)]
    pub flags: FilterFlags,
    /// text, or json: one object a line
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: TextFormat,
    /// Not before: 5m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Not after: 1m, or a date
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Go on: one line for each cause that opens or closes
    #[arg(short, long)]
    pub follow: bool,
    /// With SRC DST: whether this request passes the L7 rules, as in "GET /path"
    #[arg(long, value_name = "\"METHOD PATH\"")]
    pub http: Option<String>,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// SRC DST[:PORT[/PROTO]]: would it be allowed? each is ns/pod, ns:label=value,…, an address, world or a DNS name. Else a filter: ns:shop drop:policy
    #[arg(value_name = "SRC DST | FILTER", help_heading = None::<&'static str>)]
    pub filter: Vec<String>,
}

/// `flowhy demo`.
#[derive(Debug, Args)]
#[command(before_long_help = DEMO_EXAMPLES)]
pub struct Demo {
    /// Write the stream to stdout instead of opening the screen
    #[arg(long)]
    pub headless: bool,
    /// compact, dict, table, or jsonpb (= json)
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", requires = "headless")]
    pub output: Format,
    /// Explain drops; --why=all explains allowed flows too
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "drops", value_name = "WHICH", requires = "headless")]
    pub why: Option<WhyMode>,
    /// Same seed, same cluster, same traffic
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Stop after N records
    #[arg(long, value_name = "N", requires = "headless")]
    pub count: Option<u64>,
    /// Records a second, or max [default: the simulation's own pace]
    #[arg(long, value_name = "N|max")]
    pub rate: Option<String>,
    /// Serve it to other clients instead: host:port, or unix:///path
    #[arg(long, value_name = "ADDR", conflicts_with = "headless")]
    pub listen: Option<String>,
    /// The simulation's clock begins here (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Filter for the screen, for example: ns:shop drop:policy
    #[arg(value_name = "FILTER", help_heading = None::<&'static str>)]
    pub filter: Vec<String>,
}
