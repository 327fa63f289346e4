//! The characters that carry meaning, and their ASCII twins. Owns no colour.

/// Characters of the screen.
#[derive(Debug, Clone, Copy)]
pub struct Glyphs {
    pub ok: &'static str,
    pub no: &'static str,
    pub audit: &'static str,
    pub here: &'static str,
    pub crumb: &'static str,
    pub arrow: &'static str,
    pub rule: &'static str,
    pub wall: &'static str,
    pub dot: &'static str,
    pub live: &'static str,
    pub gap: &'static str,
    pub sep: &'static str,
    pub pause: &'static str,
    pub dash: &'static str,
    pub times: &'static str,
    pub up: &'static str,
    /// A policy changed here.
    pub turn: &'static str,
    /// Nothing came, and something may be lacking: no number, not even 0.
    pub unknown: &'static str,
    /// From nothing to the most. Never as high as the line, so that one line does not run into the next.
    pub bars: [&'static str; 7],
    /// From little to much.
    pub shades: [&'static str; 4],
}

pub static UNICODE: Glyphs = Glyphs {
    ok: "✓",
    no: "✗",
    audit: "~",
    here: "▸",
    crumb: "›",
    arrow: "→",
    rule: "─",
    wall: "│",
    dot: "·",
    live: "●",
    gap: "…",
    sep: " · ",
    pause: "‖",
    dash: "—",
    times: "×",
    up: "▲",
    turn: "┬",
    unknown: "?",
    shades: ["░", "▒", "▓", "█"],
    bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇"],
};

pub static ASCII: Glyphs = Glyphs {
    ok: "ok",
    no: "xx",
    audit: "~",
    here: ">",
    crumb: ">",
    arrow: "->",
    rule: "-",
    wall: "|",
    dot: ".",
    live: "*",
    gap: "..",
    sep: " - ",
    pause: "||",
    dash: "-",
    times: "x",
    up: "^",
    turn: "T",
    unknown: "?",
    shades: [":", "+", "*", "#"],
    bars: [".", ":", "-", "=", "+", "*", "#"],
};

impl Glyphs {
    /// ASCII twin of a text of our own; data is never rewritten.
    pub fn own(&self, s: &str) -> String {
        if self.ok == UNICODE.ok {
            return s.to_owned();
        }
        s.chars()
            .map(|c| match c {
                '—' | '–' | '─' => "-".to_owned(),
                '…' => "..".to_owned(),
                '→' => "->".to_owned(),
                '×' => "x".to_owned(),
                '·' => "-".to_owned(),
                '›' => ">".to_owned(),
                '↑' => "Up".to_owned(),
                '↓' => "Down".to_owned(),
                '←' => "Left".to_owned(),
                c if c.is_ascii() => c.to_string(),
                _ => "?".to_owned(),
            })
            .collect()
    }
}
