//! Lists and numbers as a person reads them. Owns their form only.

/// `a, b, 3 more`: at most `most` of them by name.
pub fn few(items: impl ExactSizeIterator<Item = String>, most: usize) -> String {
    let more = items.len().saturating_sub(most);
    let mut out: Vec<String> = items.take(most).collect();
    if more > 0 {
        out.push(format!("{more} more"));
    }
    out.join(", ")
}

/// `98 120`: groups of three, so that magnitudes are read at a glance.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// `1 flow`, `98 120 flows`, `1 policy`.
pub fn many(n: u64, what: &str) -> String {
    let (stem, end) = match what.strip_suffix('y') {
        _ if n == 1 => (what, ""),
        // A vowel before it keeps it: `1 day`, `2 days`.
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => (stem, "ies"),
        _ => (what, "s"),
    };
    format!("{} {stem}{end}", count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_says_how_much_it_leaves_out() {
        let list = |n: usize| few((0..n).map(|i| i.to_string()), 2);
        assert_eq!([list(0), list(1), list(2), list(4)], ["", "0", "0, 1", "0, 1, 2 more"]);
    }

    #[test]
    fn one_is_one_and_not_several() {
        assert_eq!(
            [many(1, "flow"), many(0, "flow"), many(1, "policy"), many(1_204, "policy")],
            ["1 flow", "0 flows", "1 policy", "1 204 policies"]
        );
        assert_eq!(many(2, "day"), "2 days");
    }

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!([count(7), count(1_204), count(4_812_003)], ["7", "1 204", "4 812 003"]);
    }
}
