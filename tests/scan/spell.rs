//! No flow is lost in any spelling that JSON and protobuf allow: every key, text, number and enum written as nobody writes it.
use super::{FILTERS, corpus, read_all, scanned, wanted};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::read_line;
use flowhy::wire::note::Notes;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use std::sync::LazyLock;

/// The lines of the corpus as JSON values, to be written in other spellings.
static LINES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut all: Vec<Value> =
        String::from_utf8(corpus("flows-a.jsonl")).unwrap().lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    all.push(serde_json::json!({"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "3"}, "node_name": "n1"}));
    all.push(serde_json::json!({"world": {"x": 1}}));
    all
});

/// A source of choices for one spelling.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

/// Writes a value in any spelling that JSON and protobuf allow. `odd`: how seldom something unusual is done.
fn spell(v: &Value, key: &str, odd: u64, d: &mut Dice, out: &mut String) {
    let blank = |d: &mut Dice, out: &mut String| {
        if d.once_in(odd) {
            out.push_str(["", " ", "\t", "  ", " \r"][d.roll(5) as usize]);
        }
    };
    blank(d, out);
    match v {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            if d.once_in(2) {
                for i in (1..members.len()).rev() {
                    members.swap(i, d.roll(i as u64 + 1) as usize);
                }
            }
            out.push('{');
            for (n, (k, v)) in members.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                blank(d, out);
                let name = if d.once_in(odd) { camel(k) } else { k.clone() };
                text(&name, odd * 4, d, out);
                blank(d, out);
                out.push(':');
                spell(v, k, odd, d, out);
            }
            blank(d, out);
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (n, v) in list.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                spell(v, key, odd, d, out);
            }
            blank(d, out);
            out.push(']');
        }
        // In quotes it would be an unknown name of the enum.
        Value::Number(n) if matches!(key, "verdict" | "traffic_direction" | "drop_reason_desc" | "type") => out.push_str(&n.to_string()),
        Value::Number(n) => number(&n.to_string(), odd, d, out),
        Value::String(s) => match (enum_number(key, s), d.once_in(odd)) {
            (Some(n), true) => out.push_str(&n.to_string()),
            _ => text(s, odd, d, out),
        },
        other => out.push_str(&other.to_string()),
    }
    blank(d, out);
}

fn camel(key: &str) -> String {
    let mut parts = key.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, p| {
        let mut c = p.chars();
        all + &c.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(c).collect::<String>()
    })
}

fn enum_number(key: &str, name: &str) -> Option<i32> {
    use flowhy::wire::pb::flow::{DropReason, IpVersion, TrafficDirection, Verdict};
    match key {
        "verdict" => Verdict::from_str_name(name).map(|v| v as i32),
        "traffic_direction" => TrafficDirection::from_str_name(name).map(|v| v as i32),
        "drop_reason_desc" => DropReason::from_str_name(name).map(|v| v as i32),
        "ipVersion" => IpVersion::from_str_name(name).map(|v| v as i32),
        _ => None,
    }
}

fn number(n: &str, odd: u64, d: &mut Dice, out: &mut String) {
    if !n.bytes().all(|b| b.is_ascii_digit()) || !d.once_in(odd) {
        return out.push_str(n);
    }
    let (head, tail) = n.split_at(1);
    match d.roll(4) {
        0 => out.push_str(&format!("\"{n}\"")),
        1 => out.push_str(&format!("{n}.0")),
        2 if !tail.is_empty() && head != "0" => out.push_str(&format!("{head}.{tail}e{}", tail.len())),
        _ => out.push_str(&format!("\"{n}E+0\"")),
    }
}

fn text(s: &str, odd: u64, d: &mut Dice, out: &mut String) {
    let strange = d.once_in(odd);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '/' if strange && d.once_in(2) => out.push_str("\\/"),
            c if (c as u32) < 0x20 || (strange && d.once_in(3)) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    if d.once_in(2) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    } else {
                        out.push_str(&format!("\\u{unit:04X}"));
                    }
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_flow_is_lost_in_any_spelling(
        seed in 1u64..,
        odd in select(vec![1u64, 2, 5, 20, 1000]),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
        filters in prop::collection::vec(any::<prop::sample::Index>(), 12),
    ) {
        let mut dice = Dice(seed);
        let mut file = String::new();
        for pick in picks {
            spell(pick.get(&LINES), "", odd, &mut dice, &mut file);
            file.push_str(if dice.once_in(10) { "\r\n" } else { "\n" });
        }
        let all = read_all(file.as_bytes());
        for filter in filters {
            let (what, admit) = filter.get(&FILTERS);
            let (got, _) = scanned(admit, file.as_bytes());
            prop_assert_eq!(got, wanted(admit, &all), "{} over\n{}", what, file);
        }
    }
}

/// The spellings above are read as what they spell, or the test above would test nothing.
#[test]
fn a_spelling_means_what_was_spelt() {
    let (mut dice, mut same) = (Dice(7), 0);
    for v in LINES.iter() {
        let mut line = String::new();
        spell(v, "", 2, &mut dice, &mut line);
        let read = |l: &str| read_line(l.as_bytes(), &mut Notes::default());
        match (read(&line), read(&v.to_string())) {
            (Ok(Decoded::Response(a)), Ok(Decoded::Response(b))) => {
                assert_eq!(a, b, "{line}");
                same += 1;
            }
            (a, b) => assert_eq!(a.is_ok(), b.is_ok(), "{line}: {a:?}"),
        }
    }
    assert!(same > 400, "{same}");
}
