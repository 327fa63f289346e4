//! The fields of the language: names, short forms, operators, fixed values. One table for parser, completion and help.
use super::ast::Op;
use crate::model::near::distance;

/// How a field compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `: != ~`, globs.
    Text,
    /// `: !=`, values from a list.
    Enum,
    /// `: != < > <= >=`.
    Number,
    /// `:` and `!=` only.
    Plain,
    /// `:` only.
    Time,
}

impl Shape {
    pub fn allows(self, op: Op) -> bool {
        match self {
            Self::Text => matches!(op, Op::Is | Op::Not | Op::Regex),
            Self::Enum | Self::Plain => matches!(op, Op::Is | Op::Not),
            Self::Number => op != Op::Regex,
            Self::Time => op == Op::Is,
        }
    }

    pub fn ops(self) -> &'static str {
        match self {
            Self::Text => ": != ~",
            Self::Enum | Self::Plain => ": !=",
            Self::Number => ": != < > <= >=",
            Self::Time => ":",
        }
    }
}

macro_rules! fields {
    ($($name:ident $shape:ident $sided:literal [$($word:literal),+] $help:literal [$($value:literal),*];)+) => {
        /// A field of the language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Name { $($name),+ }

        /// All fields, in the order help shows them.
        pub static FIELDS: &[Spec] = &[$(Spec { name: Name::$name, shape: Shape::$shape, sided: $sided, words: &[$($word),+], help: $help, values: &[$($value),*] }),+];
    };
}

/// One field: everything the parser, the completion and the help need to know of it.
#[derive(Debug)]
pub struct Spec {
    pub name: Name,
    pub shape: Shape,
    /// Takes `from.` and `to.`.
    pub sided: bool,
    /// The name that is printed, then the other spellings.
    pub words: &'static [&'static str],
    pub help: &'static str,
    /// Values to offer; complete for `Enum`.
    pub values: &'static [&'static str],
}

fields! {
    Ns Text true ["ns", "namespace"] "namespace of an endpoint" [];
    Pod Text true ["pod"] "pod, or namespace/pod" [];
    Workload Text true ["workload"] "owner of a pod: name, kind/name or namespace/name" [];
    Svc Text true ["svc", "service"] "service, or namespace/service" [];
    Label Plain true ["label"] "label selector: app=cart, \"env in (prod,dev)\"" [];
    Identity Number true ["identity"] "security identity, number or reserved name"
        ["host", "world", "unmanaged", "health", "init", "remote-node", "kube-apiserver", "ingress", "world-ipv4", "world-ipv6"];
    Ip Text true ["ip"] "address or CIDR" [];
    Port Number true ["port"] "port, or a range 8000-8100" [];
    Fqdn Text true ["fqdn", "name"] "DNS name of an address" [];
    Cluster Text true ["cluster"] "cluster of an endpoint" [];
    Verdict Enum false ["verdict"] "what the datapath did" ["forwarded", "dropped", "audit", "redirected", "error", "traced", "translated", "unknown"];
    Drop Enum false ["drop"] "why it was dropped: a kind, or a reason's name" ["any", "policy", "deny", "auth", "l7", "state"];
    Dir Enum false ["dir", "direction"] "whose policy was asked" ["ingress", "egress", "unknown"];
    Type Enum false ["type"] "event type, or type:sub-type" ["drop", "trace", "l7", "policy-verdict", "capture", "debug", "trace-sock", "agent"];
    Proto Enum false ["proto", "protocol"] "transport or L7 protocol" ["tcp", "udp", "icmp", "icmpv4", "icmpv6", "sctp", "vrrp", "igmp", "dns", "http", "kafka"];
    Reply Enum false ["reply"] "is it an answer" ["true", "false"];
    Node Text false ["node"] "node that saw it" [];
    Iface Text false ["iface", "interface"] "network interface" [];
    Flags Plain false ["flags"] "TCP flags that are set: syn, syn+ack" ["syn", "ack", "fin", "rst", "psh", "urg", "ece", "cwr", "ns"];
    Encrypted Enum false ["encrypted"] "was it encrypted on the wire" ["true", "false"];
    Uuid Text false ["uuid"] "identifier of the flow" [];
    Policy Text false ["policy"] "policy that is named or derived: name, namespace/name, kind/*" [];
    Cause Text false ["cause"] "cause of the drop: its number or its words" [];
    Outcome Enum false ["outcome"] "what became of it, as derived"
        ["default-deny", "denied-by-rule", "l7-denied", "dns-refused", "auth-required", "host-firewall", "not-policy", "now-allowed", "undecidable", "allowed"];
    HttpMethod Text false ["http.method", "method"] "HTTP method" ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    HttpPath Text false ["http.path", "path"] "path of the URL" [];
    HttpStatus Number false ["http.status", "status"] "status code, 404 or 5xx" ["2xx", "3xx", "4xx", "5xx"];
    HttpHost Text false ["http.host", "host"] "host of the URL, else the Host header" [];
    HttpHeader Plain false ["http.header", "header"] "header: name, or name=value" [];
    DnsQuery Text false ["dns.query", "query"] "name that was asked for" [];
    DnsRcode Number false ["dns.rcode", "rcode"] "answer code, number or name" ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    KafkaTopic Text false ["kafka.topic", "topic"] "Kafka topic" [];
    Latency Number false ["latency"] "time to the answer: 200ms, 1.5s" [];
    Since Time false ["since"] "not before: 5m, 13:57, RFC 3339" [];
    Until Time false ["until"] "not after" [];
    At Time false ["at"] "in that minute, second or day" [];
}

impl Name {
    pub fn spec(self) -> &'static Spec {
        // The table is in the order of the enum (tested).
        FIELDS.get(self as usize).unwrap_or(&FIELDS[0])
    }

    /// The name as it is printed.
    pub fn word(self) -> &'static str {
        self.spec().words.first().copied().unwrap_or_default()
    }

    pub fn find(word: &str) -> Option<Self> {
        FIELDS.iter().find(|s| s.words.iter().any(|w| w.eq_ignore_ascii_case(word))).map(|s| s.name)
    }
}

/// The nearest of the candidates, if one is near enough to have been meant.
pub fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let limit = match word.chars().count() {
        0 => return None,
        1 => 0,
        2..=3 => 1,
        4..=6 => 2,
        _ => 3,
    };
    let scored = among.into_iter().map(|c| {
        let lower = c.to_ascii_lowercase();
        // A beginning counts as near: `dropp`, `forward`.
        let d = if word.len() > 1 && lower.starts_with(&word) { 1 } else { distance(&word, &lower) };
        (d, c)
    });
    scored.filter(|(d, _)| *d <= limit.max(1)).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_words_are_unique() {
        for (i, s) in FIELDS.iter().enumerate() {
            assert_eq!(s.name as usize, i);
            assert_eq!(s.name.spec().words, s.words);
        }
        let mut words: Vec<_> = FIELDS.iter().flat_map(|s| s.words).collect();
        words.sort();
        assert!(words.windows(2).all(|w| w[0] != w[1]));
    }

    #[test]
    fn near_words() {
        let all = || FIELDS.iter().flat_map(|s| s.words.iter().copied());
        assert_eq!(nearest("prt", all()), Some("port"));
        assert_eq!(nearest("verdit", all()), Some("verdict"));
        assert_eq!(nearest("namspace", all()), Some("namespace"));
        assert_eq!(nearest("zzzzzz", all()), None);
    }
}
