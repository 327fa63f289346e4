//! `config`, `completions`, `man`: what may be typed. No logic.
use clap::{Args, Subcommand};
use clap_complete::Shell;

const EXAMPLES: &str = "Examples:
  flowhy config view
  flowhy config set server relay.example:4245
  flowhy config get server
  flowhy config reset server

A setting has the name of its flag. The first place that has it counts: the flag, $FLOWHY_SERVER (and so on), flowhy's file, $HUBBLE_SERVER, Hubble's own file, the default. Only flowhy's file is ever written.";

const SHELLS: &str = "Examples:
  flowhy completions bash
  flowhy completions zsh
  flowhy completions fish";

/// `flowhy config`.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub struct Config {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Clone, Subcommand)]
pub enum What {
    /// Every setting as it counts, and where it comes from
    #[command(before_long_help = EXAMPLES)]
    View,
    /// The value of one setting, or all of them
    #[command(before_long_help = EXAMPLES)]
    Get {
        /// A setting; `flowhy config view` lists them
        #[arg(value_name = "KEY")]
        key: Option<String>,
    },
    /// Write one setting into flowhy's file; without a value: take it out
    #[command(before_long_help = EXAMPLES)]
    Set {
        /// A setting; `flowhy config view` lists them
        #[arg(value_name = "KEY")]
        key: String,
        /// Its value, as the flag takes it; several for those that take several
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        values: Vec<String>,
    },
    /// Take one setting, or all of them, out of flowhy's file
    #[command(before_long_help = EXAMPLES)]
    Reset {
        /// A setting; without it, all of them
        #[arg(value_name = "KEY")]
        key: Option<String>,
    },
}

/// `flowhy completions`.
#[derive(Debug, Args)]
#[command(before_long_help = SHELLS)]
pub struct Completions {
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}
