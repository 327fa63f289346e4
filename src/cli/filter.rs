//! Hubble's filter flags as clap arguments, made from the table of `query::flags`, and read back in the order they were typed:
//! `--not` speaks of the flag after it.
use crate::query::{Arg as Takes, FLAGS, Flag, FlagSpec, Group};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

/// The filter flags in command-line order.
#[derive(Debug, Clone, Default)]
pub struct FilterFlags(pub Vec<Flag>);

/// Flags that stand in the one-screen help; `--help` has all.
const COMMON: &[&str] =
    &["not", "namespace", "pod", "label", "verdict", "type", "protocol", "port", "ip", "fqdn", "http-path", "http-method"];

fn filters() -> impl Iterator<Item = &'static FlagSpec> {
    FLAGS.iter().filter(|f| f.group == Group::Filter || (f.group == Group::Raw && f.arg == Takes::Text))
}

fn help(long: &str) -> &'static str {
    match long {
        "not" => "Negate the next filter flag",
        "namespace" => "Either side in this namespace",
        "all-namespaces" => "Any namespace",
        "pod" => "Either side is [namespace/]pod, by prefix",
        "label" => "Either side has these labels, for example app=cart",
        "verdict" => "FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED, TRANSLATED",
        "type" => "drop, policy-verdict, trace, l7, … with an optional :subtype",
        "protocol" => "tcp, udp, icmp, dns, http, …",
        "port" => "Either port",
        "ip" => "Either address, or a CIDR",
        "fqdn" => "Either side's DNS name, with *",
        "http-path" => "A regular expression on the path",
        "http-method" => "GET, POST, … (also --method)",
        "method" => "The same as --http-method",
        "dns" => "The same as --protocol dns",
        "http-status" => "404, 5+, 40+",
        "workload" => "Either side's owner, [kind/]name",
        "identity" => "Either side's identity, a number or a reserved name",
        "service" => "Either side's [namespace/]service, by prefix",
        "uuid" => "This one flow",
        "node-name" => "[cluster/]node that reports the flow, with *",
        "node-label" => "Labels of that node, as --label",
        "cluster" => "Either side's cluster",
        "tcp-flags" => "SYN, ACK, RST, …; several, with commas between, must all be set",
        "drop-reason-desc" => "POLICY_DENIED, CT_MAP_INSERTION_FAILED, …",
        "http-url" => "A regular expression on the whole URL",
        "http-header" => "KEY:VALUE, exactly",
        "trace-id" => "The trace id in the request's headers",
        "ip-trace-id" => "The trace id in the packet's IP options",
        "snat-ip" => "The address after source translation, or a CIDR",
        "ipv4" => "IPv4 flows alone",
        "ipv6" => "IPv6 flows alone",
        "ip-version" => "4, 6, v4 or v6",
        "traffic-direction" => "ingress, egress, or unknown",
        "interface" => "Network interface, by its name",
        "encrypted" => "Encrypted flows alone",
        "unencrypted" => "Unencrypted flows alone",
        "cel-expression" => "An expression in CEL, for example _flow.verdict == Verdict.DROPPED",
        "allowlist" => "A flow filter as JSON",
        "denylist" => "A flow filter as JSON; what matches is left out",
        l if l.starts_with("from-") => "The same of the source alone",
        l if l.starts_with("to-") => "The same of the destination alone",
        _ => "As in hubble observe",
    }
}

impl Args for FilterFlags {
    fn augment_args(mut cmd: Command) -> Command {
        for f in filters() {
            let mut arg = Arg::new(f.long).long(f.long).help(help(f.long)).help_heading("Filter").action(ArgAction::Append);
            if let Some(c) = f.short {
                arg = arg.short(c);
            }
            arg = match f.arg {
                Takes::Bool | Takes::Mark => {
                    arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_possible_values(true).value_name("BOOL")
                }
                _ => arg.num_args(1).allow_hyphen_values(true).value_name("VALUE"),
            };
            cmd = cmd.arg(arg.hide_short_help(!COMMON.contains(&f.long)));
        }
        cmd
    }

    fn augment_args_for_update(cmd: Command) -> Command {
        Self::augment_args(cmd)
    }
}

impl FromArgMatches for FilterFlags {
    fn from_arg_matches(m: &ArgMatches) -> Result<Self, Error> {
        let mut found = Vec::new();
        for f in filters() {
            let (Some(values), Some(places)) = (m.get_many::<String>(f.long), m.indices_of(f.long)) else { continue };
            found.extend(places.zip(values).map(|(at, v)| (at, Flag { name: f.long, value: v.clone() })));
        }
        found.sort_by_key(|(at, _)| *at);
        Ok(Self(found.into_iter().map(|(_, f)| f).collect()))
    }

    fn update_from_arg_matches(&mut self, m: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(m)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn flags(line: &str) -> Vec<(String, String)> {
        let args = ["flowhy", "observe"].into_iter().chain(line.split_whitespace());
        let Some(Command::Observe(o)) = Cli::try_parse_from(args).unwrap().command else { panic!("no observe") };
        o.flags.0.into_iter().map(|f| (f.name.to_owned(), f.value)).collect()
    }

    #[test]
    fn order_is_kept_across_flags() {
        let got = flags("--not --verdict DROPPED --port 53 --not -n a --not --port=80 -A");
        let names: Vec<_> = got.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            names,
            ["not=true", "verdict=DROPPED", "port=53", "not=true", "namespace=a", "not=true", "port=80", "all-namespaces=true"]
        );
    }

    #[test]
    fn short_forms_and_glued_values() {
        assert_eq!(flags("-na -lapp=x -t drop:133")[0], ("namespace".into(), "a".into()));
        assert_eq!(flags("--dns --method GET").len(), 2);
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
