//! The flags of `hubble observe`, and ours beside them: one table, and a splitter that keeps their order.
//!
//! Order matters (`--not` speaks of the flag after it; the leftmost error wins), so the command line is split here by the rules
//! of Hubble's flag library and with its error texts. What the flags mean is `track`'s room.
use super::track;

/// One flag as it was given. `value` of a flag without a value is `true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Long name without dashes.
    pub name: &'static str,
    pub value: String,
}

/// What stands behind a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// A truth: `--follow`, `--follow=false`.
    Bool,
    /// No value; one given with `=` is ignored, as Hubble does.
    Mark,
    /// A value that may be left out; then it is this one.
    Optional(&'static str),
    Text,
    Uint(u64),
    /// A Go duration.
    Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Which events: last, first, since, …
    Selector,
    /// What a flow must be; understood by [`super::from_flags`].
    Filter,
    /// Filters as JSON; understood by [`super::from_flags`].
    Raw,
    Format,
    Server,
    Other,
    /// Not Hubble's.
    Ours,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct FlagSpec {
    pub long: &'static str,
    pub short: Option<char>,
    pub arg: Arg,
    pub group: Group,
}

macro_rules! flags {
    ($($group:ident { $($long:literal $(/ $short:literal)? $arg:expr;)+ })+) => {
        pub static FLAGS: &[FlagSpec] = &[$($(FlagSpec { long: $long, short: flags!(@short $($short)?), arg: $arg, group: Group::$group }),+),+];
    };
    (@short) => { None };
    (@short $c:literal) => { Some($c) };
}

use Arg::{Bool, Duration, Mark, Optional, Text, Uint};

flags! {
    Selector {
        "all" Bool; "first" Uint(u64::MAX); "follow" / 'f' Bool; "input-file" Text; "last" Uint(u64::MAX); "since" Text; "until" Text;
    }
    Filter {
        "not" Bool;
        "uuid" Text; "node-name" Text; "node-label" Text; "cluster" Text; "from-cluster" Text; "to-cluster" Text;
        "protocol" Text; "tcp-flags" Text; "type" / 't' Text; "verdict" Text; "drop-reason-desc" Text;
        "http-status" Text; "http-method" Text; "http-path" Text; "http-url" Text; "http-header" Text;
        "trace-id" Text; "ip-trace-id" Text;
        "fqdn" Text; "from-fqdn" Text; "to-fqdn" Text; "ip" Text; "from-ip" Text; "to-ip" Text; "snat-ip" Text;
        "ipv4" / '4' Mark; "ipv6" / '6' Mark; "ip-version" Text;
        "pod" Text; "from-pod" Text; "to-pod" Text; "service" Text; "from-service" Text; "to-service" Text;
        "namespace" / 'n' Text; "from-namespace" Text; "to-namespace" Text;
        "all-namespaces" / 'A' Mark; "from-all-namespaces" Mark; "to-all-namespaces" Mark;
        "label" / 'l' Text; "from-label" Text; "to-label" Text; "port" Text; "from-port" Text; "to-port" Text;
        "workload" Text; "from-workload" Text; "to-workload" Text; "identity" Text; "from-identity" Text; "to-identity" Text;
        "traffic-direction" Text; "interface" Text; "encrypted" Mark; "unencrypted" Mark; "cel-expression" Text;
        "method" Text; "dns" Mark;
    }
    Raw { "allowlist" Text; "denylist" Text; "print-raw-filters" Bool; }
    Format {
        "output" / 'o' Text; "json" / 'j' Bool; "compact" Bool; "dict" Bool; "color" Text; "numeric" Bool; "ip-translation" Bool;
        "print-node-name" Bool; "print-policy-names" Bool; "time-format" Text; "silent-errors" / 's' Bool;
        "field-mask" Text; "experimental-field-mask" Text; "use-default-field-masks" Bool; "experimental-use-default-field-masks" Bool;
    }
    Server {
        "server" Text; "timeout" Duration; "request-timeout" Duration; "tls" Bool; "tls-allow-insecure" Bool; "tls-ca-cert-files" Text;
        "tls-client-cert-file" Text; "tls-client-key-file" Text; "tls-server-name" Text; "basic-auth-username" Text; "basic-auth-password" Text;
        "port-forward" / 'P' Bool; "port-forward-port" Uint(65535); "kubeconfig" Text; "kube-context" Text; "kube-namespace" Text;
    }
    Other { "config" Text; "debug" / 'D' Bool; "help" / 'h' Bool; }
    Ours {
        "from" Text; "policies" Text; "why" Optional("drops"); "exit-code" Bool; "count-by" Text; "quiet" / 'q' Bool; "utc" Bool;
        "engine" Text; "cilium-version" Text; "policy-enforcement" Text; "host-firewall" Bool; "allow-localhost" Text;
    }
}

impl FlagSpec {
    pub fn find(long: &str) -> Option<&'static Self> {
        FLAGS.iter().find(|f| f.long == long)
    }

    fn find_short(c: char) -> Option<&'static Self> {
        FLAGS.iter().find(|f| f.short == Some(c))
    }

    /// As error texts name it: `--verdict`, `-t, --type`.
    pub fn names(&self) -> String {
        match self.short {
            Some(c) => format!("-{c}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }

    /// What stands for a value that was left out; none: a value is needed.
    fn implied(&self) -> Option<&'static str> {
        match self.arg {
            Arg::Bool | Arg::Mark => Some("true"),
            Arg::Optional(s) => Some(s),
            _ => None,
        }
    }
}

/// Splits a command line (what follows `observe`) into flags and the rest, both in order. The error is the leftmost one, a bad
/// value of a filter flag included.
pub fn split_args(args: &[String]) -> Result<(Vec<Flag>, Vec<String>), String> {
    let mut s = Splitter { flags: Vec::new(), rest: Vec::new() };
    match s.run(args) {
        Ok(()) => Ok((s.flags, s.rest)),
        // A filter flag further left may be wrong too; that one is to be told.
        Err(e) => Err(track::first_error(&s.flags).unwrap_or(e)),
    }
}

struct Splitter {
    flags: Vec<Flag>,
    rest: Vec<String>,
}

impl Splitter {
    fn run(&mut self, args: &[String]) -> Result<(), String> {
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                self.rest.extend(args.by_ref().cloned());
            } else if let Some(long) = arg.strip_prefix("--") {
                self.long(long, &mut args)?;
            } else if let Some(short) = arg.strip_prefix('-').filter(|s| !s.is_empty()) {
                self.short(short, &mut args)?;
            } else {
                self.rest.push(arg.clone());
            }
        }
        Ok(())
    }

    fn long(&mut self, text: &str, args: &mut std::slice::Iter<'_, String>) -> Result<(), String> {
        if text.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: --{text}"));
        }
        let (name, value) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v)));
        let spec = FlagSpec::find(name).ok_or_else(|| format!("unknown flag: --{name}"))?;
        let value = match (value, spec.implied()) {
            (Some(v), _) => v.to_owned(),
            (None, Some(v)) => v.to_owned(),
            (None, None) => args.next().ok_or_else(|| format!("flag needs an argument: --{name}"))?.clone(),
        };
        self.push(spec, value)
    }

    fn short(&mut self, text: &str, args: &mut std::slice::Iter<'_, String>) -> Result<(), String> {
        let mut left = text;
        while let Some(c) = left.chars().next() {
            let spec = FlagSpec::find_short(c).ok_or_else(|| format!("unknown shorthand flag: {} in -{left}", quote_rune(c)))?;
            let after = &left[c.len_utf8()..];
            let (value, next) = match (after.strip_prefix('='), spec.implied()) {
                (Some(v), _) if !v.is_empty() => (v.to_owned(), ""),
                (_, Some(v)) => (v.to_owned(), after),
                (_, None) if !after.is_empty() => (after.to_owned(), ""),
                (_, None) => (args.next().ok_or_else(|| format!("flag needs an argument: {} in -{left}", quote_rune(c)))?.clone(), ""),
            };
            self.push(spec, value)?;
            left = next;
        }
        Ok(())
    }

    fn push(&mut self, spec: &'static FlagSpec, value: String) -> Result<(), String> {
        let fault = match spec.arg {
            Arg::Bool
                if !matches!(
                    value.as_str(),
                    "1" | "t" | "T" | "TRUE" | "true" | "True" | "0" | "f" | "F" | "FALSE" | "false" | "False"
                ) =>
            {
                Some(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(&value)))
            }
            Arg::Uint(max) => parse_uint(&value, max).err(),
            Arg::Duration if super::when::duration(&value).is_none() => Some(format!("time: invalid duration {}", quote(&value))),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(invalid(spec.long, &value, &fault));
        }
        let value = match spec.arg {
            Arg::Bool => (if matches!(value.as_bytes().first(), Some(b'1' | b't' | b'T')) { "true" } else { "false" }).to_owned(),
            _ => value,
        };
        self.flags.push(Flag { name: spec.long, value });
        Ok(())
    }
}

/// `invalid argument "x" for "--flag" flag: reason`
pub fn invalid(long: &str, value: &str, reason: &str) -> String {
    let names = FlagSpec::find(long).map_or_else(|| format!("--{long}"), FlagSpec::names);
    format!("invalid argument {} for {} flag: {reason}", quote(value), quote(&names))
}

/// Go's `strconv.ParseUint` in base 10: digits only.
pub fn parse_uint(s: &str, max: u64) -> Result<u64, String> {
    let fault = |why| format!("strconv.ParseUint: parsing {}: {why}", quote(s));
    if s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) {
        return Err(fault("invalid syntax"));
    }
    s.parse().ok().filter(|n| *n <= max).ok_or_else(|| fault("value out of range"))
}

/// Go's `%q` of a string.
pub fn quote(s: &str) -> String {
    let mut out = String::from('"');
    s.chars().for_each(|c| escape(c, '"', &mut out));
    out.push('"');
    out
}

/// Go's `%q` of a rune.
pub fn quote_rune(c: char) -> String {
    let mut out = String::from('\'');
    escape(c, '\'', &mut out);
    out.push('\'');
    out
}

fn escape(c: char, mark: char, out: &mut String) {
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\\' => out.push_str("\\\\"),
        c if c == mark => out.extend(['\\', c]),
        c if (c as u32) < 0x20 || c == '\x7f' => out.push_str(&format!("\\x{:02x}", c as u32)),
        ' ' => out.push(' '),
        // Blanks and marks of direction that a terminal would not show.
        c if c.is_control()
            || c.is_whitespace()
            || matches!(c as u32, 0xad | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff) =>
        {
            out.push_str(&format!("\\u{:04x}", c as u32));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Split = (Vec<(&'static str, String)>, Vec<String>);

    fn split(args: &[&str]) -> Result<Split, String> {
        let args: Vec<String> = args.iter().map(|s| (*s).to_owned()).collect();
        split_args(&args).map(|(f, r)| (f.into_iter().map(|f| (f.name, f.value)).collect(), r))
    }

    #[test]
    fn names_are_unique() {
        let mut longs: Vec<_> = FLAGS.iter().map(|f| f.long).collect();
        let mut shorts: Vec<_> = FLAGS.iter().filter_map(|f| f.short).collect();
        longs.sort_unstable();
        shorts.sort_unstable();
        assert!(longs.windows(2).all(|w| w[0] != w[1]) && shorts.windows(2).all(|w| w[0] != w[1]));
    }

    #[test]
    fn every_way_to_write_a_flag() {
        let (flags, rest) =
            split(&["-tdrop", "-t=l7", "-t", "trace", "--verdict=DROPPED", "-fn", "shop", "ns:x", "--ipv4=v6", "--why", "--", "--not"])
                .unwrap();
        let want = [
            ("type", "drop"),
            ("type", "l7"),
            ("type", "trace"),
            ("verdict", "DROPPED"),
            ("follow", "true"),
            ("namespace", "shop"),
            ("ipv4", "v6"),
            ("why", "drops"),
        ];
        assert_eq!(flags.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>(), want);
        assert_eq!(rest, ["ns:x", "--not"]);
    }

    #[test]
    fn the_leftmost_error_is_told() {
        for (args, want) in [
            (vec!["--nope"], "unknown flag: --nope"),
            (vec!["--verdict"], "flag needs an argument: --verdict"),
            (vec!["-x"], "unknown shorthand flag: 'x' in -x"),
            (vec!["-ft"], "flag needs an argument: 't' in -t"),
            (vec!["--verdict", "bad", "--nope"], "invalid argument \"bad\" for \"--verdict\" flag: invalid --verdict value: bad"),
            (vec!["--last", "-1"], "invalid argument \"-1\" for \"--last\" flag: strconv.ParseUint: parsing \"-1\": invalid syntax"),
            (vec!["-f=x"], "invalid argument \"x\" for \"-f, --follow\" flag: strconv.ParseBool: parsing \"x\": invalid syntax"),
            (vec!["---x"], "bad flag syntax: ---x"),
        ] {
            assert_eq!(split(&args).unwrap_err(), want);
        }
    }

    #[test]
    fn gos_quotes() {
        assert_eq!(quote("a\"b\\\x1b\u{2028}é"), "\"a\\\"b\\\\\\x1b\\u2028é\"");
    }
}
