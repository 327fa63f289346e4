//! How things look: styles by meaning and glyphs with their ASCII twins. No meaning rests on colour alone; the background is never painted.
use ratatui::style::{Color, Modifier, Style};

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
    pub bars: [&'static str; 8],
    /// From little to much.
    pub shades: [&'static str; 4],
}

const UNICODE: Glyphs = Glyphs {
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
    shades: ["░", "▒", "▓", "█"],
    bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

const ASCII: Glyphs = Glyphs {
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
    shades: [":", "+", "*", "#"],
    bars: [".", ":", "-", "=", "+", "*", "#", "@"],
};

/// Glyphs and styles of one session.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub g: Glyphs,
    color: bool,
}

impl Look {
    pub fn new(color: bool, ascii: bool) -> Self {
        Self { g: if ascii { ASCII } else { UNICODE }, color }
    }

    fn fg(self, c: Color) -> Style {
        if self.color { Style::new().fg(c) } else { Style::new() }
    }

    pub fn plain(self) -> Style {
        Style::new()
    }

    /// Dropped, denied, failed, error.
    pub fn drop(self) -> Style {
        self.fg(Color::LightRed)
    }

    /// Audit, warning, disagreement.
    pub fn warn(self) -> Style {
        self.fg(Color::Yellow)
    }

    /// Allowed, matched. Blue-ish, so that it differs from red for every eye.
    pub fn pass(self) -> Style {
        self.fg(Color::Cyan)
    }

    /// Where you are, what you can press.
    pub fn accent(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Secondary.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What is laid over the selected row.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// ASCII twin of a text of our own; data is never rewritten.
    pub fn own(self, s: &str) -> String {
        if self.g.ok == UNICODE.ok {
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
