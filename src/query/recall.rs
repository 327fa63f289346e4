//! A predicate that remembers what its parts said: rows repeat their senders, receivers, ports and kinds a million times, and the answer
//! to a question about one of these is the same each time.
//!
//! Owns what is remembered. Who asks says which field belongs to which part of a flow, and numbers what the parts can be; as long as a
//! number means the same, so does the answer.
use super::leaf::Leaf;
use super::{Node, Predicate};
use crate::model::view::{Field, FieldSet, View};

/// The number of a part that is not at hand: what it would say is not known.
pub const NOT_HERE: u32 = u32::MAX;
/// The number of a part that is at hand, but whose answer is not to be remembered.
pub const ASK: u32 = u32::MAX - 1;

/// Where a field is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// By the part of this number alone.
    Part(u8),
    /// By the view, each time.
    View,
    /// Not here: it takes more than the view.
    Elsewhere,
}

/// What is known of a node of the tree; its shape follows the tree's.
#[derive(Debug, Clone)]
enum Mark {
    /// All of it asks one part; 0: not asked yet, 1: no, 2: yes, by the part's number.
    Part(u8, Vec<u8>),
    View,
    Elsewhere,
    Each(Vec<Mark>),
}

/// A predicate with its memory.
#[derive(Debug, Clone)]
pub struct Recall {
    predicate: Predicate,
    mark: Mark,
}

impl Recall {
    pub fn new(predicate: Predicate, place: &dyn Fn(Field) -> Place) -> Self {
        let mark = mark(&predicate.node, place);
        Self { predicate, mark }
    }

    pub fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// Forgets everything: the numbers mean something else now.
    pub fn forget(&mut self) {
        forget(&mut self.mark);
    }

    /// Which of up to [`ROWS`] flows pass, and of which it is not known. `numbers` writes those of a part, flow by flow, and `view` answers
    /// all fields of the flow at a place that are not elsewhere.
    pub fn ask<V: View>(&mut self, rows: usize, numbers: &impl Fn(u8, &mut [u32; ROWS]), view: &impl Fn(usize) -> V) -> Found {
        let live = if rows >= ROWS { u64::MAX } else { (1 << rows) - 1 };
        ask(&self.predicate.node, &mut self.mark, live, numbers, view)
    }
}

/// Flows asked about at once: all that is done for one of them between two looks at the tree is a look into a table.
pub const ROWS: usize = 64;

/// A bit for each flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub passes: u64,
    /// What is at hand does not say; never one that passes.
    pub open: u64,
}

fn mark(node: &Node, place: &dyn Fn(Field) -> Place) -> Mark {
    let mut fields = FieldSet::EMPTY;
    node.fields(&mut fields);
    let mut places = fields.iter().map(place);
    let first = places.next().unwrap_or(Place::View);
    match (first, places.all(|p| p == first)) {
        (Place::Part(n), true) => return Mark::Part(n, Vec::new()),
        (Place::View, true) => return Mark::View,
        _ => {}
    }
    match node {
        Node::And(list) | Node::Or(list) => Mark::Each(list.iter().map(|n| mark(n, place)).collect()),
        Node::Not(n) => Mark::Each(vec![mark(n, place)]),
        Node::Leaf(Leaf::Shared(n)) => Mark::Each(vec![mark(n, place)]),
        _ if fields.iter().any(|f| place(f) == Place::Elsewhere) => Mark::Elsewhere,
        _ => Mark::View,
    }
}

fn forget(mark: &mut Mark) {
    match mark {
        Mark::Part(_, seen) => seen.clear(),
        Mark::Each(list) => list.iter_mut().for_each(forget),
        Mark::View | Mark::Elsewhere => {}
    }
}

/// Of those that are alive.
fn ask<V: View>(node: &Node, mark: &mut Mark, live: u64, numbers: &impl Fn(u8, &mut [u32; ROWS]), view: &impl Fn(usize) -> V) -> Found {
    let mut found = Found { passes: 0, open: 0 };
    match (node, mark) {
        (_, Mark::View) => each(live, |i| found.passes |= u64::from(node.matches(&view(i))) << i),
        (_, Mark::Elsewhere) => found.open = live,
        (_, Mark::Part(part, seen)) => {
            let mut of = [NOT_HERE; ROWS];
            numbers(*part, &mut of);
            // Nearly always all of them are known, so nothing is decided on the way.
            let mut new = 0;
            for (i, n) in of.iter().enumerate() {
                let known = seen.get(*n as usize).copied().unwrap_or(0);
                found.passes |= u64::from(known == 2) << i;
                new |= u64::from(known == 0) << i;
            }
            found.passes &= live;
            each(new & live, |i| match of.get(i).copied().unwrap_or(NOT_HERE) {
                NOT_HERE => found.open |= 1 << i,
                n => {
                    // A flow before it may have asked the same.
                    let passes = match seen.get(n as usize) {
                        Some(1) => false,
                        Some(2) => true,
                        _ => {
                            let passes = node.matches(&view(i));
                            remember(seen, n, passes);
                            passes
                        }
                    };
                    found.passes |= u64::from(passes) << i;
                }
            });
        }
        (Node::Not(n), Mark::Each(marks)) => {
            if let Some(mark) = marks.first_mut() {
                let of = ask(n, mark, live, numbers, view);
                found = Found { passes: live & !of.passes & !of.open, open: of.open };
            }
        }
        (Node::Leaf(Leaf::Shared(n)), Mark::Each(marks)) => {
            if let Some(mark) = marks.first_mut() {
                found = ask(n, mark, live, numbers, view);
            }
        }
        (Node::And(list), Mark::Each(marks)) => {
            // Alive is what nothing has refused; it passes unless something leaves it open.
            let mut alive = live;
            for (n, mark) in list.iter().zip(marks) {
                if alive == 0 {
                    break;
                }
                let of = ask(n, mark, alive, numbers, view);
                alive &= of.passes | of.open;
                found.open |= of.open;
            }
            found = Found { passes: alive & !found.open, open: alive & found.open };
        }
        (Node::Or(list), Mark::Each(marks)) => {
            for (n, mark) in list.iter().zip(marks) {
                if live & !found.passes == 0 {
                    break;
                }
                let of = ask(n, mark, live & !found.passes, numbers, view);
                found.passes |= of.passes;
                found.open |= of.open;
            }
            found.open &= !found.passes;
        }
        (Node::True | Node::Leaf(_), Mark::Each(_)) => found.open = live,
    }
    found
}

fn each(mut live: u64, mut f: impl FnMut(usize)) {
    while live != 0 {
        f(live.trailing_zeros() as usize);
        live &= live - 1;
    }
}

#[cold]
fn remember(seen: &mut Vec<u8>, number: u32, passes: bool) {
    if number == ASK {
        return;
    }
    let place = number as usize;
    if place >= seen.len() {
        seen.resize((place + 1).next_power_of_two(), 0);
    }
    if let Some(known) = seen.get_mut(place) {
        *known = 1 + u8::from(passes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::view::{End, Item, Value};
    use crate::query::{Context, parse};
    use std::cell::Cell;

    /// A flow with a sender, a port and a path; how often it was asked.
    struct Row<'a>(&'a str, u32, &'a str, &'a Cell<u32>);

    impl View for Row<'_> {
        fn field(&self, field: Field) -> Value<'_> {
            self.3.set(self.3.get() + 1);
            match field {
                Field::Namespace(End::Source) => Value::Text(self.0),
                Field::Port(End::Destination) => Value::Uint(u64::from(self.1)),
                Field::HttpUrl => Value::Text(self.2),
                _ => Value::Missing,
            }
        }

        fn any(&self, _: Field, _: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
            false
        }
    }

    fn place(field: Field) -> Place {
        match field {
            Field::Namespace(_) => Place::Part(0),
            Field::Port(_) => Place::Part(1),
            Field::HttpUrl => Place::Elsewhere,
            _ => Place::View,
        }
    }

    fn asked(text: &str, rows: &[(&str, u32, &str)], numbers: &dyn Fn(usize, u8) -> u32) -> (Vec<Option<bool>>, u32) {
        let predicate = parse(text, &Context::default()).unwrap();
        let (mut recall, asked) = (Recall::new(predicate.clone(), &place), Cell::new(0));
        let view = |i: usize| Row(rows[i].0, rows[i].1, rows[i].2, &asked);
        let column = |part: u8, of: &mut [u32; ROWS]| of.iter_mut().enumerate().take(rows.len()).for_each(|(i, n)| *n = numbers(i, part));
        let found = recall.ask(rows.len(), &column, &view);
        assert_eq!(found.passes & found.open, 0);
        let of = |i: usize| if found.open >> i & 1 == 1 { None } else { Some(found.passes >> i & 1 == 1) };
        let out: Vec<Option<bool>> = (0..rows.len()).map(of).collect();
        for (i, known) in out.iter().enumerate() {
            assert!(known.is_none_or(|k| k == predicate.matches(&view(i))), "{text} {i}");
        }
        (out, asked.get())
    }

    #[test]
    fn what_is_known_is_what_the_predicate_says() {
        let rows = [("shop", 80, "/a"), ("shop", 443, "/b"), ("web", 80, "/a"), ("web", 443, "/b")];
        let numbers = |i: usize, part: u8| if part == 0 { i as u32 / 2 } else { i as u32 % 2 };
        let (yes, no, open) = (Some(true), Some(false), None);
        for (text, expected) in [
            ("from.ns:shop", [yes, yes, no, no]),
            ("to.port:80", [yes, no, yes, no]),
            ("from.ns:shop to.port:80", [yes, no, no, no]),
            ("from.ns:shop or to.port:80", [yes, yes, yes, no]),
            ("not (from.ns:shop or to.port:80)", [no, no, no, yes]),
            ("http.path:/a", [open; 4]),
            ("from.ns:shop http.path:/a", [open, open, no, no]),
            ("from.ns:shop or http.path:/a", [yes, yes, open, open]),
            ("not (from.ns:shop http.path:/a)", [open, open, yes, yes]),
            ("from.ns:shop or (to.port:80 http.path:/a)", [yes, yes, open, no]),
        ] {
            assert_eq!(asked(text, &rows, &numbers).0, expected, "{text}");
        }
    }

    #[test]
    fn a_part_is_asked_once_unless_it_is_not_to_be_remembered() {
        let rows = [("shop", 80, ""); 64];
        assert_eq!(asked("from.ns:shop", &rows, &|_, _| 7), (vec![Some(true); 64], 1 + 64));
        assert_eq!(asked("from.ns:shop", &rows, &|_, _| ASK), (vec![Some(true); 64], 64 + 64));
        assert_eq!(asked("from.ns:shop", &rows, &|_, _| NOT_HERE).0, vec![None; 64]);
    }

    #[test]
    fn what_is_decided_for_a_whole_block_asks_no_further_part() {
        let (rows, ports) = ([("web", 80, ""); 64], Cell::new(0));
        let numbers = |_: usize, part: u8| {
            ports.set(ports.get() + u32::from(part == 1));
            7
        };
        for (text, expected) in [("from.ns:shop to.port:80", false), ("from.ns:web or to.port:80", true)] {
            assert_eq!(asked(text, &rows, &numbers).0, vec![Some(expected); 64], "{text}");
            assert_eq!(ports.get(), 0, "{text}");
        }
    }
}
