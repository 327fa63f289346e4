//! The columns of the flow table: which there are, which are shown, in what order, how wide. What stands in a cell is `widget::cell`'s.
//!
//! Where there is no room for all of them, those of the lowest rank go first; below [`FOLDED`] columns from, to and port are one.
use crate::query::fields::nearest;

/// Below this width who calls whom on which port stands in one column.
pub const FOLDED: u16 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    Time,
    From,
    To,
    Port,
    Verdict,
    Node,
    L7,
    Latency,
    Policy,
    Dir,
    Reason,
    Cluster,
    FromIp,
    FromPort,
    FromId,
    ToIp,
    ToId,
    /// From, to and port in one; comes by itself where there is no room.
    Flow,
}

/// One column.
#[derive(Debug)]
pub struct Spec {
    pub column: Column,
    /// By which it is chosen.
    pub name: &'static str,
    pub head: &'static str,
    pub help: &'static str,
    /// Columns that it needs, and those with which it is at ease.
    least: u16,
    good: u16,
    /// Its part of what is left when all are at ease.
    grow: u16,
    /// The lower, the longer it stays.
    rank: u8,
    pub right: bool,
}

const fn spec(
    column: Column,
    name: &'static str,
    head: &'static str,
    (least, good, grow): (u16, u16, u16),
    rank: u8,
    help: &'static str,
) -> Spec {
    Spec { column, name, head, help, least, good, grow, rank, right: false }
}

/// All that can be chosen, in the order of the menu; and the one that cannot.
pub static SPECS: &[Spec] = &[
    spec(Column::Time, "time", "TIME", (8, 8, 0), 4, "when; t changes between absolute and relative"),
    spec(Column::From, "from", "FROM", (12, 20, 20), 2, "who sent it: workload, or pod in wide columns"),
    spec(Column::To, "to", "TO", (12, 20, 20), 1, "who was called"),
    spec(Column::Port, "port", "PORT", (9, 10, 0), 3, "protocol, and the port that was called"),
    spec(Column::Verdict, "verdict", "VERDICT", (20, 24, 60), 0, "what happened; for a drop which side and whose policy"),
    spec(Column::Node, "node", "NODE", (10, 14, 4), 6, "the node that saw it"),
    spec(Column::L7, "l7", "REQUEST", (14, 26, 40), 5, "what a proxy saw: HTTP, DNS, Kafka, and the answer"),
    Spec { right: true, ..spec(Column::Latency, "latency", "TOOK", (7, 7, 0), 8, "how long the answer took, as the proxy says") },
    spec(Column::Policy, "policy", "POLICY", (14, 22, 20), 7, "all policies of the cause"),
    spec(Column::Dir, "dir", "DIR", (7, 7, 0), 9, "whose side was asked: egress of the sender, ingress of the called"),
    spec(Column::Reason, "reason", "REASON", (14, 20, 10), 10, "the drop's reason, as the agent names it"),
    spec(Column::Cluster, "cluster", "CLUSTER", (8, 12, 4), 11, "which cluster it comes from"),
    spec(Column::FromIp, "from-ip", "FROM IP", (12, 15, 4), 12, "address of the sender"),
    Spec { right: true, ..spec(Column::FromPort, "from-port", "SPORT", (5, 5, 0), 15, "port of the sender") },
    Spec { right: true, ..spec(Column::FromId, "from-id", "FROM ID", (8, 8, 0), 14, "security identity of the sender") },
    spec(Column::ToIp, "to-ip", "TO IP", (12, 15, 4), 12, "address of the called"),
    Spec { right: true, ..spec(Column::ToId, "to-id", "TO ID", (8, 8, 0), 14, "security identity of the called") },
];

/// Up to this rank a column comes as soon as it can be read at all.
const CORE: u8 = 4;

/// Below [`FOLDED`] this one stands for three.
static FLOW: Spec = spec(Column::Flow, "flow", "FLOW", (12, 24, 60), 1, "who called whom on which port");

/// What is shown unless something else is asked for.
pub const DEFAULT: &[Column] = &[Column::Time, Column::From, Column::To, Column::Port, Column::Verdict, Column::Node];

impl Column {
    pub fn spec(self) -> &'static Spec {
        SPECS.iter().find(|s| s.column == self).unwrap_or(&FLOW)
    }
}

/// Reads `time,from,to`; `src` and `dst` are what other tools call them. `Err` says what is wrong.
pub fn parse(text: &str) -> Result<Vec<Column>, String> {
    let mut out = Vec::new();
    for word in text.split([',', ' ']).map(str::trim).filter(|w| !w.is_empty()) {
        let name = match word.to_ascii_lowercase().as_str() {
            "src" | "source" => "from".to_owned(),
            "dst" | "destination" => "to".to_owned(),
            "http" | "dns" | "request" => "l7".to_owned(),
            w => w.to_owned(),
        };
        let Some(spec) = SPECS.iter().find(|s| s.name == name) else {
            let near = nearest(&name, SPECS.iter().map(|s| s.name));
            let hint = near.map_or_else(|| format!("there are {}", all_names()), |n| format!("did you mean {n}?"));
            return Err(format!("there is no column {word:?}: {hint}"));
        };
        if !out.contains(&spec.column) {
            out.push(spec.column);
        }
    }
    if out.is_empty() { Err(format!("no column is named: {}", all_names())) } else { Ok(out) }
}

fn all_names() -> String {
    SPECS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ")
}

/// The text that [`parse`] reads back.
pub fn text(columns: &[Column]) -> String {
    columns.iter().map(|c| c.spec().name).collect::<Vec<_>>().join(",")
}

/// Where a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub column: Column,
    pub x: u16,
    pub w: u16,
}

/// What is being laid out.
struct Slot {
    spec: &'static Spec,
    least: u16,
    good: u16,
    w: u16,
}

/// The columns that have room in `width`, from left to right. `wide`: whole names of nodes.
pub fn layout(chosen: &[Column], width: u16, wide: bool) -> Vec<Place> {
    let mut slots = slots(chosen, width, wide);
    // What nobody asked for by name comes only where the others are at ease.
    let asked = chosen != DEFAULT;
    let mut by_rank: Vec<usize> = (0..slots.len()).collect();
    by_rank.sort_by_key(|i| slots.get(*i).map_or(u8::MAX, |s| s.spec.rank));
    let mut kept: Vec<usize> = Vec::new();
    for i in by_rank {
        kept.push(i);
        let roomy = !asked && slots.get(i).is_some_and(|s| s.spec.rank > CORE);
        let need = kept.iter().filter_map(|k| slots.get(*k)).map(|s| if roomy { s.good } else { s.least });
        if kept.len() > 1 && need.sum::<u16>() + gaps(kept.len()) > width {
            kept.pop();
        }
    }
    kept.sort_unstable();
    let mut n = 0;
    slots.retain(|_| {
        n += 1;
        kept.binary_search(&(n - 1)).is_ok()
    });
    share(&mut slots, width.saturating_sub(gaps(kept.len())));
    let mut x = 1;
    let place = |s: &Slot| {
        let at = x;
        x += s.w + 1 + u16::from(s.spec.column == Column::Time);
        Place { column: s.spec.column, x: at, w: s.w }
    };
    slots.iter().map(place).collect()
}

/// One before the first, one between each, one more behind the time.
fn gaps(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX).saturating_add(1)
}

fn slots(chosen: &[Column], width: u16, wide: bool) -> Vec<Slot> {
    let narrow = width < FOLDED;
    let mut out: Vec<Slot> = Vec::new();
    for column in chosen.iter().copied() {
        let spec = match column {
            Column::From | Column::To | Column::Port if narrow => &FLOW,
            c => c.spec(),
        };
        if out.iter().any(|s| s.spec.column == spec.column) {
            continue;
        }
        let (least, good) = match column {
            // Without hours where there is no room.
            Column::Time if width < 80 => (5, 5),
            Column::Port if width < 100 => (9, 9),
            Column::Verdict if narrow => (13, 13),
            Column::Node if wide => (spec.least, 22),
            _ => (spec.least, spec.good),
        };
        // On a narrow screen time and node would cost the names.
        if !(narrow && chosen == DEFAULT && matches!(column, Column::Time | Column::Node)) {
            out.push(Slot { spec, least, good, w: least });
        }
    }
    out
}

/// Gives the room away: to each until it is at ease, then by parts.
fn share(slots: &mut [Slot], room: u16) {
    let mut left = room.saturating_sub(slots.iter().map(|s| s.w).sum());
    while left > 0 {
        let before = left;
        // Of two alike the one who is called comes first.
        for s in slots.iter_mut().rev().filter(|s| s.w < s.good) {
            if left > 0 {
                s.w += 1;
                left -= 1;
            }
        }
        if before == left {
            break;
        }
    }
    let parts: u16 = slots.iter().map(|s| s.spec.grow).sum();
    let all = left;
    for s in slots.iter_mut() {
        let more = u32::from(all) * u32::from(s.spec.grow) / u32::from(parts.max(1));
        let more = u16::try_from(more).unwrap_or(0).min(left);
        // A verdict has its end; names do not.
        let more = if s.spec.column == Column::Verdict { more.min(24) } else { more };
        s.w += more;
        left -= more;
    }
    // What rounding left goes to the one who is called.
    if let Some(s) = slots.iter_mut().rev().find(|s| matches!(s.spec.column, Column::To | Column::Flow | Column::L7)) {
        s.w += left;
    } else if let Some(s) = slots.iter_mut().find(|s| s.spec.grow > 0) {
        s.w += left;
    }
    // Even the last one left may not have the room that it needs.
    if let [only] = slots {
        only.w = only.w.min(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(width: u16) -> String {
        layout(DEFAULT, width, false).iter().map(|p| p.column.spec().name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_matters_least_goes_first() {
        assert_eq!(names(120), "time from to port verdict node");
        assert_eq!(names(102), "time from to port verdict");
        assert_eq!(names(60), "from to port verdict", "the time goes before a name");
        assert_eq!(names(59), "flow verdict");
        assert_eq!(names(40), "flow verdict");
    }

    #[test]
    fn no_column_reaches_over_another_or_over_the_end() {
        let all: Vec<Column> = SPECS.iter().map(|s| s.column).collect();
        for chosen in [DEFAULT, &all, &[Column::Policy, Column::Time], &[Column::Latency], &[Column::Port, Column::From]] {
            for width in 0..=240 {
                for wide in [false, true] {
                    let places = layout(chosen, width, wide);
                    assert!(!places.is_empty());
                    let mut end = 0;
                    for p in &places {
                        assert!(p.x > end || end == 0, "{places:?} in {width}");
                        end = p.x + p.w;
                    }
                    assert!(end <= width.max(1) || width < 40, "{places:?} in {width}");
                }
            }
        }
    }

    #[test]
    fn who_chooses_columns_sees_them_as_far_as_they_fit() {
        let mine = parse("time,dst,latency,policy").unwrap();
        let shown: Vec<Column> = layout(&mine, 80, false).iter().map(|p| p.column).collect();
        assert_eq!(shown, mine);
        assert_eq!(text(&mine), "time,to,latency,policy");
        assert!(parse("time,form").unwrap_err().contains("did you mean from?"));
        assert!(parse(" , ").is_err());
    }
}
