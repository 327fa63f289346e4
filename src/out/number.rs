//! Numbers as Go programs print them: durations, ages, thousands with commas, percentages. Owns their layout; knows no message.

/// Stands for what is not known.
pub const NONE: &str = "N/A";

const SECOND: u64 = 1_000_000_000;

/// Go's `time.Duration.String`: `25h1m1.5s`, `1.5ms`, `0s`.
pub fn duration(ns: u64) -> String {
    if ns == 0 {
        return "0s".to_owned();
    }
    if ns < SECOND {
        let (unit, name) = match ns {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{}{name}", ns / unit, fraction(ns % unit, unit));
    }
    let (seconds, rest) = (ns / SECOND, ns % SECOND);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if hours > 0 || minutes > 0 {
        text.push_str(&format!("{minutes}m"));
    }
    text.push_str(&format!("{}{}s", seconds % 60, fraction(rest, SECOND)));
    text
}

/// `.5` for 500 of 1000: no trailing zeros, nothing for nothing. `unit` is a power of ten.
fn fraction(rest: u64, unit: u64) -> String {
    if rest == 0 {
        return String::new();
    }
    let width = unit.ilog10() as usize;
    format!(".{}", format!("{rest:0width$}").trim_end_matches('0'))
}

/// A duration to the full second, halves up; `N/A` for none.
pub fn age(ns: u64) -> String {
    if ns == 0 { NONE.to_owned() } else { duration(ns.saturating_add(SECOND / 2) / SECOND * SECOND) }
}

/// `1,234,567`
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// How many per hundred.
pub fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64 * 100.0
}

/// Events a second with two digits; `N/A` where no time has passed.
pub fn per_second(events: u64, ns: u64) -> String {
    if ns == 0 { NONE.to_owned() } else { format!("{:.2}", events as f64 / (ns as f64 / SECOND as f64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (ns, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (999_999_999, "999.999999ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (3_600_000_000_000, "1h0m0s"),
            (90_061_500_000_000, "25h1m1.5s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (480_000_000_001, "8m0.000000001s"),
        ] {
            assert_eq!(duration(ns), text);
        }
        assert_eq!((age(90_061_500_000_000).as_str(), age(90_061_499_999_999).as_str(), age(0).as_str()), ("25h1m2s", "25h1m1s", "N/A"));
        assert!(age(u64::MAX).ends_with('s'));
    }

    #[test]
    fn thousands_have_commas() {
        let all: Vec<_> = [0, 999, 1_000, 1_023, 12_345, 1_234_567].into_iter().map(thousands).collect();
        assert_eq!(all, ["0", "999", "1,000", "1,023", "12,345", "1,234,567"]);
    }

    #[test]
    fn rates() {
        assert_eq!((per_second(520, 90_061_500_000_000).as_str(), per_second(5, 0).as_str()), ("0.01", "N/A"));
        assert_eq!(format!("{:6.2}", percent(100, 4095)), "  2.44");
    }
}
