//! Columns as Go's `text/tabwriter` lays them out (minimal width 2, padding 3, blanks), which Hubble's tables go through.
//!
//! A cell ends at a tab; a column is as wide as its widest cell, counted in characters, over the lines that follow each other and
//! have that cell. The last cell of a line belongs to no column.
use std::ops::Range;

const LEAST: usize = 2;
const PADDING: usize = 3;

/// Tabs beyond this many in one line are text: layout recurses by column, and the tabs may come from a stranger.
const COLUMNS: usize = 64;

/// Lays out `text` and appends it.
pub fn layout(text: &str, out: &mut Vec<u8>) {
    let mut sections = text.split('\u{c}').peekable();
    while let Some(section) = sections.next() {
        let lines: Vec<Vec<&str>> = section.split('\n').map(|l| l.splitn(COLUMNS, ['\t', '\u{b}']).collect()).collect();
        block(&lines, 0..lines.len(), &mut Vec::new(), out);
        if sections.peek().is_some() {
            out.push(b'\n');
        }
    }
}

fn in_column(lines: &[Vec<&str>], line: usize, column: usize) -> Option<usize> {
    let cells = lines.get(line)?;
    if column + 1 >= cells.len() {
        return None;
    }
    cells.get(column).map(|c| c.chars().count())
}

fn block(lines: &[Vec<&str>], range: Range<usize>, widths: &mut Vec<usize>, out: &mut Vec<u8>) {
    let column = widths.len();
    let (mut begin, mut at) = (range.start, range.start);
    while at < range.end {
        if in_column(lines, at, column).is_none() {
            at += 1;
            continue;
        }
        print(lines, begin..at, widths, out);
        begin = at;
        let mut width = LEAST;
        while at < range.end
            && let Some(w) = in_column(lines, at, column)
        {
            width = width.max(w + PADDING);
            at += 1;
        }
        widths.push(width);
        block(lines, begin..at, widths, out);
        widths.pop();
        begin = at;
    }
    print(lines, begin..range.end, widths, out);
}

fn print(lines: &[Vec<&str>], range: Range<usize>, widths: &[usize], out: &mut Vec<u8>) {
    for n in range {
        for (i, cell) in lines.get(n).into_iter().flatten().enumerate() {
            out.extend_from_slice(cell.as_bytes());
            if let Some(width) = widths.get(i) {
                let pad = width.saturating_sub(cell.chars().count());
                out.resize(out.len() + pad, b' ');
            }
        }
        if n + 1 < lines.len() {
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(text: &str) -> String {
        let mut out = Vec::new();
        layout(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        assert_eq!(laid("A\tBB\tC\naaaa\tb\tccccc\n"), "A      BB   C\naaaa   b    ccccc\n");
        assert_eq!(laid("é\tx\n한한\ty\n"), "é    x\n한한   y\n");
    }

    #[test]
    fn a_line_without_the_cell_breaks_the_block() {
        assert_eq!(laid("aaaaaa\tx\nbreak\nb\ty\n"), "aaaaaa   x\nbreak\nb   y\n");
        assert_eq!(laid("a\tb\u{c}aaaa\tb\n"), "a   b\naaaa   b\n");
    }

    #[test]
    fn a_million_tabs() {
        assert!(laid(&"\t".repeat(1_000_000)).len() > 1_000_000);
    }
}
