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
    Map,
    Matrix,
    Stats,
    Timeline,
    Policies,
    Ledger,
    Left,
    Right,
    Other,
    Show,
    FlowsOf,
    Yaml,
    Sort,
    Brush,
    Palette,
    Older,
    Newer,
    LastScreen,
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
pub const MAP: u16 = 64;
pub const MATRIX: u16 = 128;
pub const STATS: u16 = 256;
pub const TIMELINE: u16 = 512;
pub const POLICIES: u16 = 1024;
pub const YAML: u16 = 2048;
/// Every screen's bit.
pub const SCREENS: &[u16] = &[FLOWS, DROPS, WHY, DESCRIBE, LEDGER, HELP, MAP, MATRIX, STATS, TIMELINE, POLICIES, YAML];
/// Screens that show sums over the flows of the filter.
const SUMS: u16 = MAP | MATRIX | STATS | TIMELINE;
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
    e(Action::Enter, "go-there", &["<cr>"], "go there", "put the party under the finger into the middle", MAP),
    e(Action::Enter, "flows-of-cell", &["<cr>"], "flows", "the flows of the cell under the finger", MATRIX),
    e(Action::Enter, "flows-of-bar", &["<cr>"], "flows", "the flows of the line or time under the finger", STATS | TIMELINE),
    e(Action::Enter, "flows-of-policy", &["<cr>"], "its drops", "the flows that the policy stopped", POLICIES),
    e(Action::FlowsOf, "flows-of-pair", &["F"], "flows", "the flows of the pair under the finger", MAP),
    e(Action::Filter, "filter", &["/"], "filter", "filter the flows, live; Enter keeps, Esc restores, Ctrl-u clears", FLOWS | DROPS | SUMS),
    e(Action::Yaml, "yaml", &["e"], "YAML", "the whole text of the policy", POLICIES | WHY),
    e(Action::Other, "other-side", &["o"], "in/out", "from the callers to whom it calls, and back", MAP),
    e(Action::Other, "workloads", &["o"], "workloads", "workloads instead of namespaces, and back", MATRIX),
    e(Action::Show, "show", &["v"], "rate/drops", "drops instead of rates, and back", MATRIX),
    e(Action::Sort, "sort", &["s"], "sort", "sort: a letter says by what", MAP | POLICIES),
    e(Action::Brush, "brush", &["b"], "brush", "begin a span of time here; moving extends it, Enter shows its flows", TIMELINE),
    e(Action::PrevRule, "rule-previous", &["("], "", "previous rule", WHY),
    e(Action::NextRule, "rule-next", &[")"], "next rule", "next rule", WHY),
    e(Action::NextCause, "cause-next", &["n"], "next cause", "next cause of drops", ALL),
    e(Action::PrevCause, "cause-previous", &["N"], "", "previous cause of drops", ALL),
    e(Action::Describe, "describe", &["d"], "describe", "every field of the flow", FLOWS | DROPS | WHY),
    e(Action::Pause, "pause", &["<space>", "p"], "pause", "pause or resume the picture; collecting goes on", FLOWS | DROPS | SUMS),
    e(Action::Follow, "follow", &["f"], "", "follow the newest flow on/off", FLOWS),
    e(Action::Down, "down", &["j", "<down>"], "", "down", ALL),
    e(Action::Up, "up", &["k", "<up>"], "", "up", ALL),
    e(Action::Left, "left", &["h", "<left>"], "", "left: column, list, shorter window, earlier", SUMS),
    e(Action::Right, "right", &["l", "<right>"], "", "right: column, list, longer window, later", SUMS),
    e(Action::First, "first", &["g", "<home>"], "", "first", ALL),
    e(Action::Last, "last", &["G", "<end>"], "", "last; on the live table follow again", ALL),
    e(Action::HalfDown, "half-page-down", &["<c-d>"], "", "half a page down", ALL),
    e(Action::PageDown, "page-down", &["<pgdn>"], "", "page down", ALL),
    e(Action::PageUp, "page-up", &["<pgup>", "<c-b>"], "", "page up", ALL),
    e(Action::NextPane, "pane-next", &["<tab>", "<s-tab>"], "", "next pane: flows, drops", FLOWS),
    e(Action::Other, "list-next", &["<tab>", "<s-tab>"], "", "the other list", MAP),
    e(Action::Maximise, "maximise", &["\\"], "", "maximise the pane, and back", FLOWS | DROPS),
    e(Action::Wide, "wide", &["w"], "", "wide: pods instead of workloads, and the node", FLOWS),
    e(Action::Time, "time", &["t"], "", "time relative or absolute", FLOWS | DROPS | WHY | TIMELINE),
    e(
        Action::Copy,
        "copy",
        &["y"],
        "copy",
        "copy by OSC 52: row, filter, command line, or the patch of a cause",
        FLOWS | DROPS | WHY | DESCRIBE | SUMS,
    ),
    e(Action::Flows, "flows", &["1"], "", "flows", ALL),
    e(Action::Drops, "drops", &["2"], "", "drops by cause", ALL),
    e(Action::Map, "map", &["3"], "", "map: who calls a service, and whom it calls", ALL),
    e(Action::Matrix, "matrix", &["4"], "", "matrix: which namespace talks to which", ALL),
    e(Action::Stats, "stats", &["5"], "", "stats: rates, verdicts, reasons, nodes", ALL),
    e(Action::Timeline, "timeline", &["6"], "", "timeline: flows, drops and causes along the time", ALL),
    e(Action::Policies, "policies", &["7"], "", "policies: what each one allows and stops", ALL),
    e(Action::Ledger, "ledger", &["8"], "", "ledger: where every frame went, losses, faults, links", ALL),
    e(Action::Palette, "palette", &[":"], "go", "go to a screen, a namespace, a time; run a command by its name", ALL),
    e(Action::Older, "history-back", &["["], "", "back in the history of screens", ALL),
    e(Action::Newer, "history-forward", &["]"], "", "forward in the history of screens", ALL),
    e(Action::LastScreen, "last-screen", &["<c-o>"], "", "the screen before, and back", ALL),
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
        for screen in SCREENS.iter().copied() {
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
        for screen in SCREENS.iter().copied() {
            for (key, action) in [("<esc>", Action::Back), ("?", Action::Help), ("<c-c>", Action::Quit), ("n", Action::NextCause)] {
                assert_eq!(map.get(parse(key)[0], screen), Some(action));
            }
        }
    }
}
