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
    Admitted,
    NextChange,
    PrevChange,
    Seek,
    Contrast,
    Whole,
    Left,
    Right,
    Other,
    Show,
    FlowsOf,
    Yaml,
    Sort,
    Brush,
    Plus,
    Minus,
    Mark,
    Jump,
    Palette,
    StepBack,
    StepOn,
    Slower,
    Faster,
    Older,
    Newer,
    LastScreen,
    Suspend,
    Redraw,
    Addresses,
    Columns,
    Toggle,
    Reverse,
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
pub const ADMITTED: u16 = 8192;
pub const COLUMNS: u16 = 4096;
/// Every screen and its name.
pub const SCREENS: &[(u16, &str)] = &[
    (FLOWS, "flows"),
    (DROPS, "drops"),
    (WHY, "why"),
    (DESCRIBE, "describe"),
    (LEDGER, "ledger"),
    (HELP, "help"),
    (MAP, "map"),
    (MATRIX, "matrix"),
    (STATS, "stats"),
    (TIMELINE, "timeline"),
    (POLICIES, "policies"),
    (YAML, "yaml"),
    (ADMITTED, "admitted"),
    (COLUMNS, "columns"),
];
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
    e(Action::Toggle, "column-toggle", &["<space>", "<cr>"], "show or hide", "show or hide the column", COLUMNS),
    e(Action::Left, "column-left", &["h", "<left>"], "further left", "the column further left", COLUMNS),
    e(Action::Right, "column-right", &["l", "<right>"], "further right", "the column further right", COLUMNS),
    e(Action::Enter, "go-there", &["<cr>"], "go there", "put the party under the finger into the middle", MAP),
    e(Action::Enter, "flows-of-cell", &["<cr>"], "flows", "the flows of the cell under the finger", MATRIX),
    e(Action::Enter, "flows-of-bar", &["<cr>"], "flows", "the flows of the line or time under the finger", STATS | TIMELINE),
    e(Action::Enter, "flows-of-policy", &["<cr>"], "its drops", "the flows that the policy stopped", POLICIES),
    e(Action::Enter, "flows-of-line", &["<cr>"], "flows", "the flows that were let in so", ADMITTED),
    e(Action::FlowsOf, "flows-of-pair", &["F"], "flows", "the flows of the pair under the finger", MAP),
    e(
        Action::Filter,
        "filter",
        &["/"],
        "filter",
        "filter the flows, live; Enter keeps, Esc restores, Ctrl-u clears",
        FLOWS | DROPS | SUMS | ADMITTED,
    ),
    e(Action::Yaml, "yaml", &["e"], "YAML", "the whole text of the policy", POLICIES | WHY),
    e(Action::Other, "other-side", &["o"], "in/out", "from the callers to whom it calls, and back", MAP),
    e(Action::Other, "workloads", &["o"], "workloads", "workloads instead of namespaces, and back", MATRIX),
    e(Action::Show, "show", &["v"], "rate/drops", "drops instead of rates, and back", MATRIX),
    e(Action::Sort, "sort", &["s"], "sort", "sort: a letter says by what", MAP | POLICIES | DROPS | ADMITTED),
    e(Action::Reverse, "sort-reverse", &["S"], "", "the other way round", MAP | POLICIES | DROPS | ADMITTED),
    e(Action::Show, "drops-or-audits", &["v"], "", "only what was dropped; only what enforcement would drop; both", DROPS),
    e(Action::Plus, "filter-by", &["+"], "", "only flows with the value under the finger", FLOWS | DROPS | MAP | MATRIX | STATS | DESCRIBE),
    e(Action::Minus, "filter-out", &["-"], "", "no flows with the value under the finger", FLOWS | DROPS | MAP | MATRIX | STATS | DESCRIBE),
    e(Action::Mark, "mark", &["m"], "", "mark the flow with a letter", FLOWS),
    e(Action::Jump, "jump", &["'"], "", "jump to a marked flow", FLOWS),
    e(Action::Brush, "brush", &["b"], "brush", "begin a span of time here; moving extends it, Enter shows its flows", TIMELINE),
    e(Action::NextChange, "change-next", &["c"], "next change", "the next change of a policy", TIMELINE),
    e(Action::PrevChange, "change-previous", &["C"], "", "the previous change of a policy", TIMELINE),
    e(Action::Seek, "play-from-here", &["J"], "", "in a replay: play on from the time under the finger", TIMELINE),
    e(Action::Contrast, "contrast", &["c"], "contrast", "what tells the dropped flows of this cause from the forwarded ones", WHY),
    e(
        Action::Whole,
        "change-whole",
        &["<tab>", "<s-tab>", "\\"],
        "whole change",
        "the change to try with all that it does, alone on the page; and back",
        WHY,
    ),
    e(Action::PrevRule, "rule-previous", &["("], "", "previous rule", WHY),
    e(Action::NextRule, "rule-next", &[")"], "next rule", "next rule", WHY),
    e(Action::NextCause, "cause-next", &["n"], "next cause", "next cause of drops; behind the last a replay plays on", ALL),
    e(Action::PrevCause, "cause-previous", &["N"], "", "previous cause of drops", ALL),
    e(Action::Describe, "describe", &["d"], "describe", "every field of the flow", FLOWS | DROPS | WHY),
    e(
        Action::Pause,
        "pause",
        &["<space>", "p"],
        "pause",
        "pause or resume the picture; collecting goes on",
        FLOWS | DROPS | SUMS | POLICIES | ADMITTED,
    ),
    e(Action::Follow, "follow", &["f"], "", "follow the newest flow on/off", FLOWS),
    e(Action::Down, "down", &["j", "<down>"], "", "down", ALL),
    e(Action::Up, "up", &["k", "<up>"], "", "up", ALL),
    e(Action::Left, "left", &["h", "<left>"], "", "left: column, list, shorter window", MAP | MATRIX | STATS | FLOWS),
    e(Action::Right, "right", &["l", "<right>"], "", "right: column, list, longer window", MAP | MATRIX | STATS | FLOWS),
    e(Action::Left, "earlier", &["h", "<left>"], "", "ten seconds earlier, or a slot where it lasts longer; Up is a slot", TIMELINE),
    e(Action::Right, "later", &["l", "<right>"], "", "ten seconds later, or a slot where it lasts longer; Down is a slot", TIMELINE),
    e(Action::First, "first", &["g", "<home>"], "", "first", ALL),
    e(Action::Last, "last", &["G", "<end>"], "", "last; on the live table follow again", ALL),
    e(Action::HalfDown, "half-page-down", &["<c-d>"], "", "half a page down", ALL),
    e(Action::PageDown, "page-down", &["<pgdn>"], "", "page down", ALL),
    e(Action::PageUp, "page-up", &["<pgup>", "<c-b>"], "", "page up", ALL),
    e(Action::NextPane, "pane-next", &["<tab>", "<s-tab>"], "", "next pane: flows, drops", FLOWS),
    e(Action::Other, "list-next", &["<tab>", "<s-tab>"], "", "the other list", MAP),
    e(Action::Maximise, "maximise", &["\\"], "", "maximise the pane, and back", FLOWS | DROPS),
    e(Action::Wide, "wide", &["w"], "", "wide: pods instead of workloads, and the node", FLOWS),
    e(Action::Addresses, "addresses", &["r"], "", "addresses instead of names, and back", FLOWS | TIMELINE),
    e(Action::Columns, "columns", &["C"], "", "choose the columns and their order", FLOWS),
    e(Action::Time, "time", &["t"], "", "time relative or absolute", FLOWS | DROPS | WHY | TIMELINE),
    e(
        Action::Copy,
        "copy",
        &["y"],
        "copy",
        "copy by OSC 52: filter, command line; where there is one, the row, its JSON, a value, a policy's YAML, the patch of a cause",
        FLOWS | DROPS | WHY | DESCRIBE | SUMS | POLICIES | YAML | ADMITTED,
    ),
    e(Action::Flows, "flows", &["1"], "", "flows", ALL),
    e(Action::Drops, "drops", &["2"], "", "drops by cause", ALL),
    e(Action::Map, "map", &["3"], "", "map: who calls a service, and whom it calls", ALL),
    e(Action::Matrix, "matrix", &["4"], "", "matrix: which namespace talks to which", ALL),
    e(Action::Stats, "stats", &["5"], "", "stats: rates, verdicts, reasons, nodes", ALL),
    e(Action::Timeline, "timeline", &["6"], "", "timeline: flows, drops and causes along the time", ALL),
    e(Action::Policies, "policies", &["7"], "", "policies: what each one allows and stops", ALL),
    e(Action::Ledger, "ledger", &["8"], "", "ledger: where every frame went, losses, faults, links", ALL),
    e(Action::Admitted, "admitted", &["9"], "", "admitted: who was let in, by which rule, and what is open", ALL),
    e(Action::Palette, "palette", &[":"], "go", "go to a screen, a namespace, a time; run a command by its name", ALL),
    e(Action::StepBack, "step-back", &[","], "", "in a replay: one line back", ALL),
    e(Action::StepOn, "step", &["."], "", "in a replay: one line on", ALL),
    e(Action::Slower, "slower", &["<"], "", "in a replay: slower", ALL),
    e(Action::Faster, "faster", &[">"], "", "in a replay: faster", ALL),
    e(Action::Older, "history-back", &["["], "", "back in the history of screens", ALL),
    e(Action::Newer, "history-forward", &["]"], "", "forward in the history of screens", ALL),
    e(Action::LastScreen, "last-screen", &["<c-o>"], "", "the screen before, and back", ALL),
    e(Action::Help, "help", &["?"], "help", "help for this screen; typing searches it", ALL),
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

/// Keys and what they mean where: the table, with what the user wants otherwise.
#[derive(Debug, Clone)]
pub struct Keymap(Vec<(Key, &'static Entry)>);

impl Default for Keymap {
    fn default() -> Self {
        let all = ACTIONS.iter().flat_map(|e| e.keys.iter().flat_map(|k| parse(k)).map(move |k| (k, e)));
        Self(all.collect())
    }
}

impl Keymap {
    /// With other keys for some actions: `describe=D`, `page-down=<c-f><pgdn>`; nothing after `=` takes the keys away. `Err` says
    /// what is wrong with which.
    pub fn with(changes: &[String]) -> Result<Self, String> {
        let mut map = Self::default();
        let mut wanted = Vec::new();
        for change in changes {
            let (name, keys) = change.split_once('=').ok_or_else(|| format!("{change:?} is not NAME=KEYS"))?;
            let entry = ACTIONS.iter().find(|e| e.name == name.trim()).ok_or_else(|| format!("no action is called {:?}", name.trim()))?;
            map.0.retain(|(_, e)| e.name != entry.name);
            wanted.extend(parse(keys.trim()).into_iter().map(|k| (k, entry)));
        }
        map.0.extend(wanted);
        for (i, (key, e)) in map.0.iter().enumerate() {
            let twice = |o: &&(Key, &Entry)| o.0 == *key && o.1.on & e.on != 0 && o.1.action != e.action;
            if let Some((_, other)) = map.0.iter().skip(i + 1).find(twice) {
                return Err(format!("{} would be both {} and {}", key.label(), e.name, other.name));
            }
        }
        Ok(map)
    }

    pub fn get(&self, key: Key, screen: u16) -> Option<Action> {
        self.0.iter().find(|(k, e)| *k == key && e.on & screen != 0).map(|(_, e)| e.action)
    }

    /// The keys of an entry, in its order.
    pub fn keys(&self, entry: &Entry) -> impl Iterator<Item = Key> {
        self.0.iter().filter(|(_, e)| e.name == entry.name).map(|(k, _)| *k)
    }

    /// The whole table as text: keys, name, screens, what it does.
    pub fn table(&self) -> String {
        let line = |keys: &str, name: &str, on: &str, help: &str| format!("{keys:<18} {name:<18} {on:<22} {help}\n");
        let mut out = line("KEYS", "ACTION", "SCREENS", "WHAT");
        for e in ACTIONS {
            let keys: Vec<String> = self.keys(e).map(Key::label).collect();
            let screens: Vec<&str> = SCREENS.iter().filter(|(bit, _)| e.on & bit != 0).map(|s| s.1).collect();
            // There a letter is looked for; these two are not, as long as nothing is.
            let typed = self.keys(e).any(|k| k.typed().is_some_and(char::is_alphabetic)) && e.action != Action::Leave;
            let on = match (screens.len() == SCREENS.len(), typed) {
                (true, true) => "every but help".to_owned(),
                (true, false) => "every".to_owned(),
                (false, _) => screens.join(","),
            };
            out.push_str(&line(&keys.join(" "), e.name, &on, e.help));
        }
        out.push_str("In help letters search; the arrows, and keys with Ctrl, do there what they do elsewhere.\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_means_one_thing_on_a_screen() {
        for (screen, _) in SCREENS.iter().copied() {
            let mut seen = Vec::new();
            for key in on(screen).flat_map(|e| e.keys) {
                assert!(!seen.contains(key), "{key} twice on {screen}");
                seen.push(key);
                assert_eq!(parse(key).len(), 1, "{key}");
            }
        }
    }

    #[test]
    fn keys_are_changed_by_the_names_of_actions() {
        let mut names: Vec<_> = ACTIONS.iter().map(|e| e.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ACTIONS.len());
        let with = |changes: &[&str]| Keymap::with(&changes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
        let map = with(&["describe=D<c-x>", "wide="]).unwrap();
        let get = |keys: &str| map.get(parse(keys)[0], FLOWS);
        assert_eq!([get("D"), get("<c-x>"), get("d"), get("w")], [Some(Action::Describe), Some(Action::Describe), None, None]);
        assert!(map.table().contains("D Ctrl-x           describe"), "{}", map.table());
        let on = |name: &str| map.table().lines().find(|l| l[19..].starts_with(&format!("{name} "))).unwrap()[38..60].trim().to_owned();
        assert_eq!(["cause-next", "drops", "leave", "redraw"].map(on), ["every but help", "every", "every", "every"]);
        // What swaps places is no conflict, what collides is one.
        assert!(with(&["next-pane=x"]).unwrap_err().contains("no action") && with(&["describe"]).unwrap_err().contains("NAME=KEYS"));
        assert!(with(&["describe=w", "wide=d"]).is_ok());
        assert_eq!(with(&["describe=w"]).unwrap_err(), "w would be both wide and describe");
    }

    #[test]
    fn every_screen_can_be_left_and_explained() {
        let map = Keymap::default();
        for (screen, _) in SCREENS.iter().copied() {
            for (key, action) in [("<esc>", Action::Back), ("?", Action::Help), ("<c-c>", Action::Quit), ("n", Action::NextCause)] {
                assert_eq!(map.get(parse(key)[0], screen), Some(action));
            }
        }
    }
}
