//! The table of actions: name, keys, help, where they work. Keys, the hint line and `?` are views of this one table.
//!
//! Owns no behaviour: `update` does what an action says.
use super::key::{Key, parse};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Down,
    Up,
    First,
    Last,
    HalfDown,
    PageDown,
    PageUp,
    Filter,
    NextCause,
    PrevCause,
    PrevRule,
    NextRule,
    Enter,
    Describe,
    Back,
    Leave,
    Quit,
    NextPane,
    Pause,
    Follow,
    Time,
    Wide,
    Maximise,
    Copy,
    Help,
    Flows,
    Drops,
    Ledger,
    Suspend,
    Redraw,
}

/// Bits of [`Entry::on`].
pub const FLOWS: u16 = 1;
pub const DROPS: u16 = 2;
pub const WHY: u16 = 4;
pub const DESCRIBE: u16 = 8;
pub const LEDGER: u16 = 16;
pub const HELP: u16 = 32;
const ALL: u16 = u16::MAX;

/// One action.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub action: Action,
    /// By which it is remapped.
    pub name: &'static str,
    pub keys: &'static [&'static str],
    pub help: &'static str,
    /// Word on the hint line, empty = not there.
    pub hint: &'static str,
    /// Screens on which it does something.
    pub on: u16,
}

const fn e(action: Action, name: &'static str, keys: &'static [&'static str], hint: &'static str, help: &'static str, on: u16) -> Entry {
    Entry { action, name, keys, help, hint, on }
}

/// In the order of the hint line and of help.
pub static ACTIONS: &[Entry] = &[
    e(Action::Enter, "enter", &["<cr>"], "why", "go in: the drop's cause and the policy line", FLOWS | DROPS),
    e(Action::Enter, "flows-of-cause", &["<cr>"], "all such flows", "the flows of this cause", WHY),
    e(Action::Filter, "filter", &["/"], "filter", "filter the flows, live; Enter keeps, Esc restores, Ctrl-u clears", FLOWS | DROPS),
    e(Action::PrevRule, "rule-previous", &["("], "", "previous rule", WHY),
    e(Action::NextRule, "rule-next", &[")"], "next rule", "next rule", WHY),
    e(Action::NextCause, "cause-next", &["n"], "next cause", "next cause of drops", ALL),
    e(Action::PrevCause, "cause-previous", &["N"], "", "previous cause of drops", ALL),
    e(Action::Describe, "describe", &["d"], "describe", "every field of the flow", FLOWS | DROPS | WHY),
    e(Action::Pause, "pause", &["<space>", "p"], "pause", "pause or resume the picture; collecting goes on", FLOWS | DROPS),
    e(Action::Follow, "follow", &["f"], "", "follow the newest flow on/off", FLOWS),
    e(Action::Down, "down", &["j", "<down>"], "", "down", ALL),
    e(Action::Up, "up", &["k", "<up>"], "", "up", ALL),
    e(Action::First, "first", &["g", "<home>"], "", "first", ALL),
    e(Action::Last, "last", &["G", "<end>"], "", "last; on the live table follow again", ALL),
    e(Action::HalfDown, "half-page-down", &["<c-d>"], "", "half a page down", ALL),
    e(Action::PageDown, "page-down", &["<pgdn>"], "", "page down", ALL),
    e(Action::PageUp, "page-up", &["<pgup>", "<c-b>"], "", "page up", ALL),
    e(Action::NextPane, "pane-next", &["<tab>", "<s-tab>"], "", "next pane: flows, drops", FLOWS),
    e(Action::Maximise, "maximise", &["\\"], "", "maximise the pane, and back", FLOWS | DROPS),
    e(Action::Wide, "wide", &["w"], "", "wide: pods instead of workloads, and the node", FLOWS),
    e(Action::Time, "time", &["t"], "", "time relative or absolute", FLOWS | DROPS | WHY),
    e(
        Action::Copy,
        "copy",
        &["y"],
        "copy",
        "copy by OSC 52: row, filter, command line, or the patch of a cause",
        FLOWS | DROPS | WHY | DESCRIBE,
    ),
    e(Action::Flows, "flows", &["1"], "", "flows", ALL),
    e(Action::Drops, "drops", &["2"], "", "drops by cause", ALL),
    e(Action::Ledger, "ledger", &["8"], "", "ledger: where every frame went, losses, faults, links", ALL),
    e(Action::Help, "help", &["?"], "help", "help for this screen", ALL),
    e(Action::Back, "back", &["<esc>"], "back", "one step out; never quits", ALL),
    e(Action::Leave, "leave", &["q"], "", "leave the screen; on the first one quit", ALL),
    e(Action::Quit, "quit", &["<c-c>"], "", "quit, always", ALL),
    e(Action::Suspend, "suspend", &["<c-z>"], "", "suspend; fg comes back", ALL),
    e(Action::Redraw, "redraw", &["<c-l>"], "", "draw the screen anew", ALL),
];

/// The entries that do something on a screen.
pub fn on(screen: u16) -> impl Iterator<Item = &'static Entry> {
    ACTIONS.iter().filter(move |e| e.on & screen != 0)
}

/// Keys and what they mean where. Built once from the table.
#[derive(Debug)]
pub struct Keymap(Vec<(Key, u16, Action)>);

impl Default for Keymap {
    fn default() -> Self {
        let all = ACTIONS.iter().flat_map(|e| e.keys.iter().flat_map(|k| parse(k)).map(move |k| (k, e.on, e.action)));
        Self(all.collect())
    }
}

impl Keymap {
    pub fn get(&self, key: Key, screen: u16) -> Option<Action> {
        self.0.iter().find(|(k, on, _)| *k == key && on & screen != 0).map(|(_, _, a)| *a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_means_one_thing_on_a_screen() {
        for screen in [FLOWS, DROPS, WHY, DESCRIBE, LEDGER, HELP] {
            let mut seen = Vec::new();
            for key in on(screen).flat_map(|e| e.keys) {
                assert!(!seen.contains(key), "{key} twice on {screen}");
                seen.push(key);
                assert_eq!(parse(key).len(), 1, "{key}");
            }
        }
    }

    #[test]
    fn every_screen_can_be_left_and_explained() {
        let map = Keymap::default();
        for screen in [FLOWS, DROPS, WHY, DESCRIBE, LEDGER, HELP] {
            for (key, action) in [("<esc>", Action::Back), ("?", Action::Help), ("<c-c>", Action::Quit), ("n", Action::NextCause)] {
                assert_eq!(map.get(parse(key)[0], screen), Some(action));
            }
        }
    }
}
