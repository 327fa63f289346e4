//! Keys as the program means them, and their spelling: `j`, `<cr>`, `<c-d>`. Owns parsing and printing of keys; knows no action.
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// One key press. Shift is part of the character (`G`), so it is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub code: KeyCode,
    pub ctrl: bool,
    pub alt: bool,
}

const NAMED: &[(&str, KeyCode, &str)] = &[
    ("cr", KeyCode::Enter, "Enter"),
    ("esc", KeyCode::Esc, "Esc"),
    ("tab", KeyCode::Tab, "Tab"),
    ("s-tab", KeyCode::BackTab, "Shift-Tab"),
    ("space", KeyCode::Char(' '), "Space"),
    ("bs", KeyCode::Backspace, "Backspace"),
    ("del", KeyCode::Delete, "Del"),
    ("up", KeyCode::Up, "↑"),
    ("down", KeyCode::Down, "↓"),
    ("left", KeyCode::Left, "←"),
    ("right", KeyCode::Right, "→"),
    ("home", KeyCode::Home, "Home"),
    ("end", KeyCode::End, "End"),
    ("pgup", KeyCode::PageUp, "PgUp"),
    ("pgdn", KeyCode::PageDown, "PgDn"),
    ("lt", KeyCode::Char('<'), "<"),
];

impl Key {
    pub const fn new(code: KeyCode) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    pub const fn char(c: char) -> Self {
        Self::new(KeyCode::Char(c))
    }

    pub const fn ctrl(c: char) -> Self {
        Self { code: KeyCode::Char(c), ctrl: true, alt: false }
    }

    /// From the terminal; `None` for releases and for keys we have no name for.
    pub fn from_event(e: &KeyEvent) -> Option<Self> {
        if e.kind == KeyEventKind::Release {
            return None;
        }
        let ctrl = e.modifiers.contains(KeyModifiers::CONTROL);
        let code = match e.code {
            // With Control held, terminals differ on the case they report.
            KeyCode::Char(c) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
            c => c,
        };
        Some(Self { code, ctrl, alt: e.modifiers.contains(KeyModifiers::ALT) })
    }

    /// The character typed, if the key types one.
    pub fn typed(self) -> Option<char> {
        match self {
            Self { code: KeyCode::Char(c), ctrl: false, alt: false } => Some(c),
            _ => None,
        }
    }

    /// As help and hints print it: `Enter`, `Ctrl-d`, `j`.
    pub fn label(self) -> String {
        let name = match self.code {
            KeyCode::Char(c) if c != ' ' => c.to_string(),
            code => NAMED.iter().find(|n| n.1 == code).map_or_else(|| "?".to_owned(), |n| n.2.to_owned()),
        };
        match (self.ctrl, self.alt) {
            (true, _) => format!("Ctrl-{name}"),
            (_, true) => format!("Alt-{name}"),
            _ => name,
        }
    }
}

/// Reads a sequence such as `/ns:shop<cr>jj<c-d>`. Something in angle brackets that is no key stands for itself.
pub fn parse(keys: &str) -> Vec<Key> {
    let mut out = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|r| r.split_once('>')).and_then(|(n, r)| named(n).map(|k| (k, r)));
        match named {
            Some((key, after)) => {
                out.push(key);
                rest = after;
            }
            None => {
                out.push(Key::char(c));
                rest = rest.get(c.len_utf8()..).unwrap_or("");
            }
        }
    }
    out
}

fn named(name: &str) -> Option<Key> {
    let name = name.to_ascii_lowercase();
    if let Some(n) = NAMED.iter().find(|n| n.0 == name) {
        return Some(Key::new(n.1));
    }
    let mut rest = name.strip_prefix("c-")?.chars();
    match (rest.next(), rest.next()) {
        (Some(c), None) => Some(Key::ctrl(c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_of_keys() {
        let keys = parse("/a<cr><c-d>G<x<lt>");
        let want = [
            Key::char('/'),
            Key::char('a'),
            Key::new(KeyCode::Enter),
            Key::ctrl('d'),
            Key::char('G'),
            Key::char('<'),
            Key::char('x'),
            Key::char('<'),
        ];
        assert_eq!(keys, want);
    }

    #[test]
    fn labels_read_like_a_manual() {
        let all: Vec<String> = parse("<c-d><cr><space>?").into_iter().map(Key::label).collect();
        assert_eq!(all, ["Ctrl-d", "Enter", "Space", "?"]);
    }
}
