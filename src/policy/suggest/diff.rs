//! Unified diffs. Owns the format that `patch -p0` and `git apply -p0` read; knows nothing of what the lines say.

/// Lines shown around a change.
const AROUND: usize = 3;
/// Cells of the table that finds what two texts share; above it the middle is taken out and put in whole.
const CELLS: usize = 4_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Keep,
    Drop,
    Add,
}

/// The change from `old` to `new` of one file; empty if there is none.
pub fn unified(file: &str, old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let ops = ops(&a, &b);
    let changed: Vec<usize> = (0..ops.len()).filter(|i| ops.get(*i) != Some(&Op::Keep)).collect();
    let Some(first) = changed.first() else { return String::new() };
    let mut out = format!("--- {file}\n+++ {file}\n");
    let mut start = first.saturating_sub(AROUND);
    let mut end = *first;
    for at in &changed {
        if *at > end + 2 * AROUND + 1 {
            hunk(&ops, &a, &b, start, (end + AROUND + 1).min(ops.len()), &mut out);
            start = at.saturating_sub(AROUND);
        }
        end = *at;
    }
    hunk(&ops, &a, &b, start, (end + AROUND + 1).min(ops.len()), &mut out);
    out
}

/// Writes the operations from `start` to `end`.
fn hunk(ops: &[Op], a: &[&str], b: &[&str], start: usize, end: usize, out: &mut String) {
    let count = |ops: &[Op], not: Op| ops.iter().filter(|o| **o != not).count();
    let (before, inside) = (ops.get(..start).unwrap_or(&[]), ops.get(start..end).unwrap_or(&[]));
    let (mut i, mut j) = (count(before, Op::Add), count(before, Op::Drop));
    let (n, m) = (count(inside, Op::Add), count(inside, Op::Drop));
    // An empty side is named by the line before it.
    let from = |at: usize, n: usize| if n == 0 { at } else { at + 1 };
    let range = |at: usize, n: usize| if n == 1 { from(at, n).to_string() } else { format!("{},{n}", from(at, n)) };
    out.push_str(&format!("@@ -{} +{} @@\n", range(i, n), range(j, m)));
    for op in inside {
        let (sign, line) = match op {
            Op::Keep => (' ', a.get(i)),
            Op::Drop => ('-', a.get(i)),
            Op::Add => ('+', b.get(j)),
        };
        i += usize::from(*op != Op::Add);
        j += usize::from(*op != Op::Drop);
        let line = line.copied().unwrap_or("");
        out.push(sign);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// The shortest way from `a` to `b`.
fn ops(a: &[&str], b: &[&str]) -> Vec<Op> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(head..).unwrap_or(&[]), b.get(head..).unwrap_or(&[]));
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (a.get(..a.len() - tail).unwrap_or(&[]), b.get(..b.len() - tail).unwrap_or(&[]));
    let mut out = vec![Op::Keep; head];
    middle(a, b, &mut out);
    out.extend(std::iter::repeat_n(Op::Keep, tail));
    out
}

fn middle(a: &[&str], b: &[&str], out: &mut Vec<Op>) {
    let width = b.len() + 1;
    if a.is_empty() || b.is_empty() || (a.len() + 1).saturating_mul(width) > CELLS {
        out.extend(std::iter::repeat_n(Op::Drop, a.len()));
        out.extend(std::iter::repeat_n(Op::Add, b.len()));
        return;
    }
    // shared[i][j]: lines that a[i..] and b[j..] have in common.
    let mut shared = vec![0u32; (a.len() + 1) * width];
    let at = |shared: &[u32], i: usize, j: usize| shared.get(i * width + j).copied().unwrap_or(0);
    for (i, x) in a.iter().enumerate().rev() {
        for (j, y) in b.iter().enumerate().rev() {
            let best = if x == y { at(&shared, i + 1, j + 1) + 1 } else { at(&shared, i + 1, j).max(at(&shared, i, j + 1)) };
            if let Some(cell) = shared.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let op = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) if x == y => Op::Keep,
            (Some(_), Some(_)) if at(&shared, i + 1, j) >= at(&shared, i, j + 1) => Op::Drop,
            (Some(_), None) => Op::Drop,
            _ => Op::Add,
        };
        i += usize::from(op != Op::Add);
        j += usize::from(op != Op::Drop);
        out.push(op);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Applies a unified diff of one file, strictly: every line where the diff says it is.
    pub fn apply(old: &str, diff: &str) -> String {
        let a: Vec<&str> = old.split_inclusive('\n').collect();
        let (mut out, mut at) = (String::new(), 0);
        let mut lines = diff.split_inclusive('\n').skip(2).peekable();
        while let Some(l) = lines.next() {
            if let Some(head) = l.strip_prefix("@@ -") {
                let (from, count) = head.split(' ').next().unwrap().split_once(',').map_or((head.split(' ').next().unwrap(), "1"), |x| x);
                let from = from.parse::<usize>().unwrap() - usize::from(count != "0");
                assert!(from >= at);
                out.extend(a[at..from].iter().copied());
                at = from;
                continue;
            }
            let (sign, mut text) = l.split_at(1);
            if lines.peek().is_some_and(|n| n.starts_with('\\')) {
                lines.next();
                text = text.strip_suffix('\n').unwrap();
            }
            if sign != "+" {
                assert_eq!(a[at], text, "the diff is not of this text");
                at += 1;
            }
            if sign != "-" {
                out.push_str(text);
            }
        }
        out.extend(a[at..].iter().copied());
        out
    }

    #[test]
    fn as_diff_writes_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n";
        assert_eq!(unified("f", old, "1\n2\n3\n4\nx\n5\n6\n7\n8\n"), "--- f\n+++ f\n@@ -2,6 +2,7 @@\n 2\n 3\n 4\n+x\n 5\n 6\n 7\n");
        assert_eq!(
            unified("f", "a", "a\nb"),
            "--- f\n+++ f\n@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n\\ No newline at end of file\n"
        );
        assert_eq!(unified("f", old, old), "");
    }

    proptest::proptest! {
        #[test]
        fn applied_it_gives_the_new_text(a in "([abc]\n){0,40}[abc]?", b in "([abc]\n){0,40}[abc]?") {
            proptest::prop_assert_eq!(apply(&a, &unified("f", &a, &b)), b);
        }

        #[test]
        fn far_changes_are_hunks_of_their_own(n in 0usize..60, m in 0usize..60) {
            let lines: Vec<String> = (0..60).map(|i| format!("{i}\n")).collect();
            let mut new = lines.clone();
            new.insert(n, "x\n".into());
            new.insert(m, "y\n".into());
            let (a, b) = (lines.concat(), new.concat());
            let d = unified("f", &a, &b);
            proptest::prop_assert_eq!(apply(&a, &d), b);
            proptest::prop_assert!(d.lines().count() <= 20, "{}", d);
        }
    }
}
