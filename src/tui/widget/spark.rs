//! Small pictures of numbers: bars one line high, rates and shares in words.
use crate::tui::theme::Look;

/// A bar a number; one that is not 0 is never as low as one that is.
pub fn spark(look: Look, numbers: &[u32]) -> String {
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let bar = |n: u32| match n {
        0 => look.g.bars[0],
        n => look.g.bars.get((u64::from(n) * 6).div_ceil(u64::from(most)) as usize).copied().unwrap_or("?"),
    };
    numbers.iter().map(|n| bar(*n)).collect()
}

/// Numbers brought to `width` of them: each is the highest of those it stands for, and stands as often as there is room.
pub fn stretch(numbers: &[u32], width: usize) -> Vec<u32> {
    let n = numbers.len();
    let part = |i: usize| numbers.get(i * n / width.max(1)..((i + 1) * n).div_ceil(width.max(1)).max(i * n / width.max(1) + 1));
    (0..width).map(|i| part(i).and_then(|p| p.iter().copied().max()).unwrap_or(0)).collect()
}

/// Of so many columns those that stand for nothing but noughts of which one may be none: something may be lacking there.
pub fn gaps(numbers: &[u32], lacking: &[bool], width: usize) -> Vec<usize> {
    let unknown: Vec<u32> = numbers.iter().zip(lacking).map(|(n, lacking)| u32::from(*n == 0 && *lacking)).collect();
    let pairs = stretch(numbers, width).into_iter().zip(stretch(&unknown, width));
    pairs.enumerate().filter(|(_, (most, unknown))| *most == 0 && *unknown > 0).map(|(i, _)| i).collect()
}

/// `842`, `2.4`, `<0.1` a second.
pub fn per_second(n: u64, seconds: i64) -> String {
    let tenths = n.saturating_mul(10) / u64::try_from(seconds).unwrap_or(1).max(1);
    match (n, tenths) {
        (0, _) => "0".to_owned(),
        (_, 0) => "<0.1".to_owned(),
        (_, 1..100) if !tenths.is_multiple_of(10) => format!("{}.{}", tenths / 10, tenths % 10),
        _ => crate::tui::text::short(tenths / 10),
    }
}

/// `0.8` percent.
pub fn percent(n: u64, all: u64) -> String {
    let tenths = (n.saturating_mul(1_000) + all / 2) / all.max(1);
    // What is there is not nothing, and what is not everything is not all.
    match (n, tenths) {
        (1.., 0) => "<0.1".to_owned(),
        (n, 1_000..) if n < all => "99.9".to_owned(),
        _ => format!("{}.{}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stretched_and_squeezed_without_losing_the_highest() {
        assert_eq!(stretch(&[1, 9], 4), [1, 1, 9, 9]);
        assert_eq!(stretch(&[1, 9, 2, 3], 2), [9, 3]);
        assert_eq!(stretch(&[], 2), [0, 0]);
        assert_eq!(stretch(&[5], 0), Vec::<u32>::new());
        for w in 1..50 {
            assert!(stretch(&[0, 0, 7, 0, 0, 0, 0], w).contains(&7), "{w}");
        }
    }

    #[test]
    fn a_nought_is_a_number_only_where_nothing_is_lacking() {
        let lacking = [false, true, true, false];
        assert_eq!(gaps(&[0, 0, 5, 0], &lacking, 4), [1]);
        assert_eq!(gaps(&[0, 0, 5, 0], &lacking, 8), [2, 3]);
        assert_eq!(gaps(&[0, 0, 5, 0], &lacking, 2), [0], "beside what came stands what came");
    }

    #[test]
    fn rates_and_shares() {
        assert_eq!([per_second(0, 9), per_second(1, 300), per_second(24, 10), per_second(8_420, 10)], ["0", "<0.1", "2.4", "842"]);
        assert_eq!([percent(1, 100_000), percent(99_999, 100_000), percent(13, 1_000), percent(0, 0)], ["<0.1", "99.9", "1.3", "0.0"]);
    }
}
