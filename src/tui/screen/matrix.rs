//! Which namespace talks to which: shade says volume, the number how much, the mark what was dropped. Readable without colour.
use super::map::{Window, window};
use super::row;
use crate::engine::Engine;
use crate::engine::edges::{Edge, Slot, WORLD};
use crate::model::time::Nanos;
use crate::tui::board::Matrix;
use crate::tui::model::Model;
use crate::tui::text::{count, short, span};
use crate::tui::theme::Look;
use crate::tui::widget::bar;
use crate::tui::widget::pen::Pen;
use crate::tui::widget::spark::per_second;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use std::collections::{BTreeMap, HashMap};

/// Columns of a cell.
const CELL: u16 = 9;

/// Names in order, and what each says to each.
pub struct Table {
    pub names: Vec<String>,
    pub cells: HashMap<(usize, usize), Slot>,
    /// How to find a name's flows: atoms without their side.
    pub atoms: Vec<Vec<String>>,
    seconds: i64,
}

impl Table {
    pub fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    pub fn cell(&self, from: usize, to: usize) -> Slot {
        self.cells.get(&(from, to)).copied().unwrap_or_default()
    }

    /// The cell to begin with: most drops, then most calls.
    pub fn hottest(&self) -> Option<(usize, usize)> {
        self.cells.iter().max_by_key(|(at, s)| (s.dropped, s.calls, std::cmp::Reverse(**at))).map(|(at, _)| *at)
    }

    /// The place of the selection.
    pub fn at(&self, x: &Matrix) -> (usize, usize) {
        let chosen = x.selected.as_ref().and_then(|(from, to)| Some((self.place(from)?, self.place(to)?)));
        chosen.or_else(|| self.hottest()).unwrap_or((0, 0))
    }

    /// A filter that finds the flows of a cell.
    pub fn filter(&self, (from, to): (usize, usize)) -> String {
        let side = |i: usize, side: &str| {
            let atoms = self.atoms.get(i).map(Vec::as_slice).unwrap_or_default();
            atoms.iter().map(|a| format!("{side}.{a}")).collect::<Vec<_>>()
        };
        [side(from, "from"), side(to, "to")].concat().join(" ")
    }
}

/// Whether it lies outside the namespaces, and its name.
type Place<'a> = (bool, &'a str);

/// The table of the view; `None` where nothing is counted yet.
pub fn table(m: &Model, engine: &Engine, x: &Matrix) -> Option<Table> {
    let view = m.view()?;
    let w = window(m, engine, view, view.tally(engine)?);
    // Namespaces first, then what is outside of them.
    let mut names: BTreeMap<Place<'_>, Vec<String>> = BTreeMap::new();
    let mut sums: Vec<(Place<'_>, Place<'_>, Slot)> = Vec::new();
    for (_, e) in w.edges.iter() {
        let s = e.sum(w.slot);
        if s == Slot::default() {
            continue;
        }
        let ends = [e.from, e.to].map(|id| {
            let node = w.edges.node_of(id);
            let (name, group) = node.map_or(("", ""), |n| (n.name.as_str(), n.group.as_str()));
            let inside = node.is_some_and(|n| n.atoms.iter().any(|a| a.starts_with("ns:")));
            let atoms = match (x.workloads, inside) {
                (true, _) => node.map(|n| n.atoms.clone()).unwrap_or_default(),
                (false, true) => vec![format!("ns:{group}")],
                (false, false) if group == "world" => vec![WORLD.to_owned()],
                (false, false) if group == "unknown" => Vec::new(),
                (false, false) => vec![format!("label:reserved:{group}")],
            };
            let key = (!inside, if x.workloads || group.is_empty() { name } else { group });
            names.entry(key).or_insert(atoms);
            key
        });
        sums.push((ends[0], ends[1], s));
    }
    let places: HashMap<Place<'_>, usize> = names.keys().enumerate().map(|(i, k)| (*k, i)).collect();
    let mut cells: HashMap<(usize, usize), Slot> = HashMap::new();
    for (from, to, s) in sums {
        if let (Some(from), Some(to)) = (places.get(&from), places.get(&to)) {
            let cell = cells.entry((*from, *to)).or_default();
            *cell = cell.plus(s);
        }
    }
    let (names, atoms) = names.into_iter().map(|(k, a)| (k.1.to_owned(), a)).unzip();
    Some(Table { names, cells, atoms, seconds: w.seconds })
}

/// The cells that are on the screen, and how wide the names before them are.
struct Page {
    head: u16,
    cols: usize,
    rows: usize,
    top: usize,
    left: usize,
}

impl Page {
    /// Of a body of that size. Pages rather than a window that slides: the names stand still while the finger moves.
    fn of(t: &Table, x: &Matrix, (width, height): (u16, u16)) -> Self {
        let widest = t.names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
        let head = u16::try_from(widest).unwrap_or(u16::MAX).clamp(8, (width / 4).max(8)) + 2;
        let cols = usize::from(width.saturating_sub(head) / CELL).max(1);
        let rows = usize::from(height.saturating_sub(4)).max(1);
        let (row, col) = t.at(x);
        Self { head, cols, rows, top: row / rows * rows, left: col / cols * cols }
    }
}

/// The names of the cell at a place of the screen, and whether it is under the finger already.
pub fn cell_at(m: &Model, engine: &Engine, x: &Matrix, (column, line): (u16, u16)) -> Option<((String, String), bool)> {
    let t = table(m, engine, x)?;
    // Below the header, the filter and the heads; above the two lines that say what is seen, and the hints.
    let page = Page::of(&t, x, (m.width, m.height.saturating_sub(3)));
    let (from, to) = (usize::from(line.checked_sub(3)?), usize::from(column.checked_sub(page.head)? / CELL));
    let at = (page.top + from, page.left + to);
    let names = (t.names.get(at.0)?.clone(), t.names.get(at.1)?.clone());
    (from < page.rows && to < page.cols).then_some((names, at == t.at(x)))
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, x: &Matrix, area: Rect) -> Option<Position> {
    let look = m.look;
    let cursor = bar::filter(pen, m, engine, row(area, 0));
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if bar::error(pen, m, row(body, 0)) {
        return cursor;
    }
    let Some(t) = table(m, engine, x).filter(|t| !t.names.is_empty()) else {
        super::nothing(pen, m, engine, body);
        return cursor;
    };
    let Page { head: head_w, cols, rows, top, left } = Page::of(&t, x, (area.width, body.height));
    let (at_row, at_col) = t.at(x);
    pen.put(area.x + 1, body.y, usize::from(head_w), &look.own("FROM / TO"), look.dim());
    let n = t.names.len();
    for (i, to) in (left..n.min(left + cols)).enumerate() {
        let place = area.x + head_w + u16::try_from(i).unwrap_or(0) * CELL;
        let style = if to == at_col { look.strong() } else { look.dim() };
        let name = t.names.get(to).map_or("", String::as_str);
        let cut = crate::tui::text::clip(name, usize::from(CELL) - 1, look.g.gap);
        pen.number(place, body.y, CELL - 1, &cut, style);
    }
    let most = t.cells.values().map(|s| value(x, *s)).max().unwrap_or(0);
    for (y, from) in (body.y + 1..).zip(top..n.min(top + rows)) {
        let style = if from == at_row { look.strong() } else { look.plain() };
        pen.cell(area.x + 1, y, head_w - 2, t.names.get(from).map_or("", String::as_str), style);
        if from == at_row {
            pen.put(area.x, y, 1, look.g.here, look.accent());
        }
        for (i, to) in (left..n.min(left + cols)).enumerate() {
            let place = area.x + head_w + u16::try_from(i).unwrap_or(0) * CELL;
            let (text, style) = cell(look, x, t.cell(from, to), most, t.seconds);
            pen.number(place, y, CELL - 1, &text, style);
            if (from, to) == (at_row, at_col) {
                pen.over(Rect { x: place, y, width: CELL - 1, height: 1 }, look.selected());
            }
        }
    }
    let hidden = [(n.saturating_sub(left + cols), "right"), (left, "left"), (n.saturating_sub(top + rows), "below"), (top, "above")];
    let hidden: Vec<String> = hidden.into_iter().filter(|(n, _)| *n > 0).map(|(n, side)| format!("+{n} {side}")).collect();
    let what = if x.drops { "dropped packets" } else { "connections/s" };
    let size = format!("{n} {0} {n}{1}{what}", look.g.times, look.g.sep);
    let note = if hidden.is_empty() { size } else { format!("{}{}{size}", hidden.join(", "), look.g.sep) };
    // Where there is no room for both, what is hidden is said.
    let room = usize::from(area.width.saturating_sub(1));
    let hidden = hidden.join(", ");
    let shorter = [format!("{hidden}{}{what}", look.g.sep), hidden.clone()];
    let fits = |text: &String| crate::tui::text::width(text) <= room;
    let note = if fits(&note) || hidden.is_empty() { note } else { shorter.into_iter().find(fits).unwrap_or(hidden) };
    if body.height >= 4 {
        pen.put(area.x + 1, body.bottom() - 2, usize::from(area.width), &note, look.dim());
    }
    pen.put(area.x + 1, body.bottom() - 1, usize::from(area.width.saturating_sub(1)), &sentence(m, engine, x, &t), look.plain());
    cursor
}

fn value(x: &Matrix, s: Slot) -> u32 {
    if x.drops { s.dropped.saturating_add(s.audited) } else { s.calls }
}

fn cell(look: Look, x: &Matrix, s: Slot, most: u32, seconds: i64) -> (String, Style) {
    let stopped = |n: u32, glyph: &str| format!("{glyph} {}", short(u64::from(n)));
    match s {
        s if s == Slot::default() => (look.g.dot.to_owned(), look.dim()),
        // Nothing passed, or drops are what is asked for.
        Slot { dropped: 1.., .. } if x.drops || s.dropped >= s.calls => (stopped(s.dropped, look.g.no), look.drop()),
        Slot { audited: 1.., .. } if x.drops => (stopped(s.audited, look.g.audit), look.warn()),
        _ if x.drops => (look.g.dot.to_owned(), look.dim()),
        _ => {
            // By powers of two: one busy pair does not make all others look idle.
            let depth = |n: u32| n.max(1).ilog2();
            let shade = match (depth(s.calls) * 4).checked_div(depth(most).max(1)).unwrap_or(0) {
                0..2 => look.g.shades[0],
                2 => look.g.shades[1],
                3 => look.g.shades[2],
                _ => look.g.shades[3],
            };
            let text = format!("{shade} {}", per_second(u64::from(s.calls), seconds));
            if s.dropped > 0 { (format!("{}{text}", look.g.no), look.drop()) } else { (text, look.plain()) }
        }
    }
}

/// `shop → world: 0 passed, 37 dropped in 5 min. Top: shop/web → 1.1.1.1:53`.
fn sentence(m: &Model, engine: &Engine, x: &Matrix, t: &Table) -> String {
    let look = m.look;
    let at = t.at(x);
    let s = t.cell(at.0, at.1);
    let name = |i: usize| t.names.get(i).map_or("", String::as_str);
    let pair = format!("{} {} {}", name(at.0), look.g.arrow, name(at.1));
    if s == Slot::default() {
        return format!("{pair}: nothing");
    }
    let audited = if s.audited > 0 { format!(", {} audited", count(u64::from(s.audited))) } else { String::new() };
    let time = span(t.seconds.saturating_mul(Nanos::SECOND));
    let passed = count(u64::from(s.calls.saturating_sub(s.dropped)));
    let said = format!("{pair}: {passed} passed, {} dropped{audited} in {time}", count(u64::from(s.dropped)));
    if crate::tui::text::width(&said) >= usize::from(m.width) {
        // Which cell that is can be seen.
        return format!("{passed} passed, {} dropped{audited}", count(u64::from(s.dropped)));
    }
    match m.view().and_then(|v| v.tally(engine).map(|tally| (v, tally))) {
        Some((view, tally)) => match top(look, &window(m, engine, view, tally), x, (name(at.0), name(at.1))) {
            // Half a name says nothing.
            Some(top) if !x.workloads && crate::tui::text::width(&said) + crate::tui::text::width(&top) + 9 <= usize::from(m.width) => {
                format!("{said}. Top: {top}")
            }
            _ => said,
        },
        None => said,
    }
}

/// The pair of workloads behind a cell: most drops, then most calls.
fn top(look: Look, w: &Window<'_>, x: &Matrix, (from, to): (&str, &str)) -> Option<String> {
    let is =
        |id, name: &str| w.edges.node_of(id).is_some_and(|n| (if x.workloads || n.group.is_empty() { &n.name } else { &n.group }) == name);
    let of = |e: &&Edge| is(e.from, from) && is(e.to, to);
    let e = w.edges.iter().map(|(_, e)| e).filter(of).max_by_key(|e| {
        let s = e.sum(w.slot);
        (s.dropped, s.calls)
    })?;
    let port = if e.port == 0 { String::new() } else { format!(":{}", e.port) };
    Some(format!("{} {} {}{port}", w.edges.name(e.from), look.g.arrow, w.edges.name(e.to)))
}
