//! How the program was called: kubectl finds `kubectl-flowhy` and calls it `kubectl flowhy`, and help is to say so too.
//!
//! Owns the name in usage and examples. What may be typed is the same.
use crate::cli::Cli;
use clap::{Command, CommandFactory as _, FromArgMatches as _};
use std::ffi::OsStr;
use std::path::Path;

/// The name under which kubectl looks for us.
const PLUGIN: &str = "kubectl-flowhy";
const AS_PLUGIN: &str = "kubectl flowhy";

/// What was typed.
pub fn parse() -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches()?;
    Cli::from_arg_matches(&matches)
}

/// The command line with the name that it was called by.
pub fn command() -> Command {
    named(Cli::command(), std::env::args_os().next().as_deref())
}

fn named(command: Command, called: Option<&OsStr>) -> Command {
    let stem = called.and_then(|c| Path::new(c).file_stem());
    if stem.is_some_and(|s| s == PLUGIN) { in_examples(command.bin_name(AS_PLUGIN)) } else { command }
}

fn in_examples(mut command: Command) -> Command {
    let renamed = |text: &clap::builder::StyledStr| text.to_string().replace("\n  flowhy ", &format!("\n  {AS_PLUGIN} "));
    if let Some(text) = command.get_long_about().map(renamed) {
        command = command.long_about(text);
    }
    if let Some(text) = command.get_before_long_help().map(renamed) {
        command = command.before_long_help(text);
    }
    command.mut_subcommands(in_examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_called_by_kubectls_name_in_usage_and_examples() {
        let help = |called: &str, args: &[&str]| {
            let words = std::iter::once(called).chain(args.iter().copied());
            named(Cli::command(), Some(OsStr::new(called))).try_get_matches_from(words).unwrap_err().to_string()
        };
        for args in [&["--help"][..], &["observe", "--help"], &["list", "nodes", "--help"]] {
            let plugin = help("/usr/local/bin/kubectl-flowhy", args);
            assert!(plugin.starts_with("Examples:\n  kubectl flowhy "), "{plugin}");
            assert!(plugin.contains("Usage: kubectl flowhy") && !plugin.contains("\n  flowhy "), "{plugin}");
            let plain = help("/usr/local/bin/flowhy", args);
            assert!(plain.starts_with("Examples:\n  flowhy ") && plain.contains("Usage: flowhy"), "{plain}");
        }
    }
}
