//! What helps somebody whose filter flags were refused. The refusals are Hubble's own words, which say what is wrong and seldom what
//! would be right.
//!
//! Owns the hints. Must not refuse anything itself.
use crate::model::reason::REASONS;
use crate::query::fields::{Name, nearest};

/// (What the refusal says, what helps), the first that fits.
const HELP: &[(&str, &str)] = &[
    ("--not statement", "--not goes before each flag that it negates: --not --verdict FORWARDED --not --port 53"),
    ("trailing --not", "--not goes before the flag that it negates: --not --verdict FORWARDED"),
    ("cannot be combined", "leave one out, or write the filter in words: flowhy observe 'ip:10.0.0.1 pod:shop/cart'"),
    ("namespace conflict", "say the namespace once: --pod shop/cart, or -n shop --pod cart"),
    ("conflict with pod", "write the service with its namespace too: --service shop/cart"),
    ("http status code filter", "404, 40+ for 400 to 409, or 5+ for 500 to 599"),
    ("to only match 'l7' events", "leave out --type, or add --type l7"),
    ("http-header value", "--http-header name:value"),
    ("http path filter", "a regular expression as Go has it; in quotes, so that the shell leaves it alone"),
    ("http url filter", "a regular expression as Go has it; in quotes, so that the shell leaves it alone"),
    ("port filter", "one port from 0 to 65535; repeat the flag for several"),
    ("unable to parse IP", "an address, or a network such as 10.0.0.0/8"),
    ("IP prefix", "an address, or a network such as 10.0.0.0/8"),
    ("too many slashes", "[cluster/]node, with * for any part of a name"),
    ("rune in pattern", "letters, digits, - _ and . stand for themselves, * for any number of them"),
    ("label filter", "app=cart, tier!=db, 'env in (prod,dev)', !canary; with commas: all of them"),
    ("name must not be empty", "a name; any one is \"/\""),
    ("empty pattern", "a name; any one is \"*\""),
    ("\"--ip-trace-id\"", "the number of the trace, greater than 0"),
    ("list flag: failed to decode", "a flow filter as JSON: '{\"verdict\":[\"DROPPED\"],\"destination_port\":[\"53\"]}'"),
];

/// The hint for a refusal of a filter flag.
pub fn hint(refusal: &str) -> String {
    let said = refusal.split('"').nth(1).unwrap_or_default();
    let upper = |name: Name| name.spec().values.iter().map(|v| v.to_uppercase()).collect::<Vec<_>>();
    let plain = |name: Name| name.spec().values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    let flag = |name: &str| refusal.contains(&format!("{name}\" flag"));
    if flag("--drop-reason-desc") {
        let all = || REASONS.iter().map(|r| r.name).filter(|n| !n.is_empty());
        return match nearest(said, all()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "a reason's name, such as POLICY_DENIED or CT_MAP_INSERTION_FAILED".to_owned(),
        };
    }
    let (said, known) = match () {
        () if flag("--verdict") => (said, upper(Name::Verdict).into_iter().filter(|v| v != "UNKNOWN").collect()),
        () if flag("--type") => (said.split(':').next().unwrap_or_default(), plain(Name::Type)),
        () if flag("--tcp-flags") => (said.rsplit(',').next().unwrap_or_default(), upper(Name::Flags)),
        () if flag("identity") => (said, plain(Name::Identity)),
        () if flag("--traffic-direction") => (said, vec!["ingress".to_owned(), "egress".to_owned()]),
        () if refusal.contains("protocol filter") => (said, plain(Name::Proto)),
        () => {
            let help = HELP.iter().find(|(says, _)| refusal.contains(says));
            return help.map_or("`flowhy observe --help` lists the flags", |(_, help)| help).to_owned();
        }
    };
    let list = known.join(", ");
    match nearest(said, known.iter().map(String::as_str)).filter(|meant| *meant != said) {
        Some(meant) => format!("did you mean {meant}? There are {list}"),
        None => format!("there are {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Flag, compile, from_flags};

    /// The hint for flags that Hubble refuses: one flag or more, as `name=value`.
    fn helps(flags: &str) -> String {
        let flags: Vec<_> = flags
            .split(' ')
            .map(|f| {
                let (name, value) = f.split_once('=').unwrap();
                let spec = crate::query::FlagSpec::find(name).unwrap();
                Flag { name: spec.long, value: value.to_owned() }
            })
            .collect();
        let refused = from_flags(&flags).and_then(|f| compile(&f).map(|_| f));
        hint(&refused.unwrap_err())
    }

    #[test]
    fn a_refused_value_says_which_one_was_meant() {
        for (flag, wanted) in [
            ("verdict=dropped", "did you mean DROPPED? There are FORWARDED, DROPPED,"),
            ("verdict=q", "there are FORWARDED, DROPPED, AUDIT"),
            ("type=polcy-verdict", "did you mean policy-verdict? "),
            ("type=trce:to-stack", "did you mean trace? "),
            ("tcp-flags=SYN,AKC", "did you mean ACK? "),
            ("protocol=tpc", "did you mean tcp? "),
            ("from-identity=hots", "did you mean host? "),
            ("traffic-direction=up", "there are ingress, egress"),
            ("drop-reason-desc=policy_denied", "did you mean POLICY_DENIED?"),
            ("drop-reason-desc=z", "a reason's name, such as"),
        ] {
            assert!(helps(flag).starts_with(wanted), "{flag}: {}", helps(flag));
        }
    }

    #[test]
    fn every_refusal_of_a_filter_flag_has_a_hint_of_its_own() {
        for flags in [
            "not=true",
            "not=true not=true verdict=DROPPED",
            "ip=1.1.1.1 from-ip=2.2.2.2",
            "namespace=a pod=b/c",
            "http-status=999",
            "http-status=200 type=trace",
            "http-header=x",
            "http-path=(",
            "http-url=(",
            "port=abc",
            "from-port=70000",
            "ip=1.2.3",
            "ip=1.2.3.4/99",
            "node-name=a/b/c",
            "fqdn=a!b",
            "label=a=b=c",
            "pod=",
            "fqdn=",
            "cluster=",
            "ip-trace-id=0",
            "allowlist={",
            "denylist={\"nope\":1}",
        ] {
            assert!(!helps(flags).contains("--help"), "{flags}: {}", helps(flags));
        }
    }
}
