use super::*;
use crate::query::{Context, compile, from_flags, parse, split_args};

fn language(text: &str) -> Vec<Clause> {
    parse(text, &Context::default()).unwrap().needs()
}

fn flags(line: &str) -> Vec<Clause> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    compile(&from_flags(&split_args(&args).unwrap().0).unwrap()).unwrap().needs()
}

/// The clauses in short: texts as they are (`~` before those in any case), members by their first key.
fn shown(clauses: &[Clause]) -> String {
    let probe = |p: &Probe| match p {
        Probe::Text { bytes, fold } => format!("{}{}", if *fold { "~" } else { "" }, String::from_utf8_lossy(bytes)),
        Probe::Member { keys, test } => {
            let test = match test {
                Token::NoString => "?".to_owned(),
                Token::True => "true".to_owned(),
                Token::Number(r) => r.iter().map(|(a, b)| format!("{a}-{b}")).collect::<Vec<_>>().join(","),
            };
            format!("{}:{test}", String::from_utf8_lossy(&keys[0]))
        }
    };
    let clause = |c: &Clause| {
        let mut all: Vec<_> = c.iter().map(probe).collect();
        all.sort();
        all.join(" | ")
    };
    clauses.iter().map(clause).collect::<Vec<_>>().join(" & ")
}

#[test]
fn flags_ask_for_their_values() {
    for (line, want) in [
        ("--verdict DROPPED", r#""DROPPED" | "verdict":?"#),
        ("-n shop", r#""shop""#),
        ("--pod shop/web", r#""shop" & "web"#),
        ("--label app=web", r#"app=web""#),
        ("--uuid abc-def", r#""abc-def""#),
        ("--to-port 443", r#""destination_port":443-443"#),
        ("-n shop --to-port 443", r#""shop" & "destination_port":443-443"#),
        ("--http-path /api/v1/.*", r#"% | /api/v1/ & "url""#),
        ("--http-method GET", "~GET"),
        ("--ip 10.1.0.0/16", r#""10.1."#),
        ("--ip fd00::1", r#""fd00::1""#),
        ("--protocol udp --verdict DROPPED", r#""DROPPED" | "verdict":? & "UDP""#),
        ("--fqdn *.example.com", r#".example.com""#),
        ("--node-name worker-1", r#"worker-1"#),
        ("--tcp-flags SYN,ACK", r#""ACK":true & "SYN":true"#),
        ("--type drop:133", r#""sub_type":133-133 & "type":1-1"#),
    ] {
        assert_eq!(shown(&flags(line)), want, "{line}");
    }
}

#[test]
fn what_an_absent_field_satisfies_asks_for_nothing() {
    for line in [
        "",
        "--not --verdict FORWARDED",
        "--verdict VERDICT_UNKNOWN",
        "--verdict DROPPED --verdict VERDICT_UNKNOWN",
        "--port 0",
        "--identity 0",
        "--unencrypted",
        "--label !app",
        "--label app!=web",
        "--ip-version none",
        "-A",
    ] {
        assert_eq!(shown(&flags(line)), "", "{line}");
    }
    for text in [
        "",
        "!verdict:dropped",
        "verdict!=dropped",
        "reply:false",
        "port<100",
        "ns:\"\"",
        "verdict:dropped or port<100",
        "latency>0ms or !proto:tcp",
    ] {
        assert_eq!(shown(&language(text)), "", "{text}");
    }
}

#[test]
fn the_language_asks_too() {
    for (text, want) in [
        ("verdict:dropped ns:shop", r#""shop" & "DROPPED" | "verdict":?"#),
        ("ns:shop or ns:cart", r#""cart" | "shop""#),
        ("pod:web-*", r#""web-"#),
        ("http.path~\"^/api/(v1|v2)/users\"", r#"% | /users & % | /api/ & "url" & % | v1 | v2"#),
        ("http.method:get", r#"~"get""#),
        ("reply:true", r#""is_reply":true"#),
        ("http.status:5xx", r#""code":500-599"#),
        ("pod~\"(?i)web\"", "~web"),
        // `k` folds to the Kelvin sign too, so it may be missing.
        ("pod~\"(?i)abckcd\"", "~abc & ~cd"),
    ] {
        assert_eq!(shown(&language(text)), want, "{text}");
    }
}

#[test]
fn characters_that_json_may_spell_otherwise_are_left_out() {
    assert_eq!(shown(&language("pod:a<bcd")), "bcd\"");
    assert_eq!(shown(&language("pod:\"über-x1\"")), "ber-x1\"");
}

#[test]
fn escapes_that_cannot_spell_a_probe() {
    for (digits, is) in [
        ("003c", true),
        ("2028", true),
        ("0000", true),
        ("00e9", true),
        ("0022", true),
        ("0041", false),
        ("002f", false),
        ("zz", false),
        ("+041", false),
    ] {
        assert_eq!(harmless(digits.as_bytes()), is, "{digits}");
    }
}
