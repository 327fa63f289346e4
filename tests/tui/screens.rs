//! Every screen at three sizes: its words, and below them which cells are styled how. Without colour the words are the same.
use crate::kit::*;
use flowhy::tui::{Depth, Options};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Color;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (40, 10)];

const SCREENS: &[(&str, &str)] = &[
    ("flows", ""),
    ("filter", "/ns:shop prt:5432"),
    ("drops", "2"),
    ("why", "/port:5433<cr><cr>"),
    ("why_passed", "/verdict:forwarded<cr><cr>"),
    ("describe", "/port:5433<cr>d"),
    ("describe_request", "/http.status:503<cr>dj"),
    ("map", "3"),
    ("matrix", "4"),
    ("stats", "5"),
    ("timeline", "6"),
    ("policies", "7"),
    ("yaml", "7e"),
    ("ledger", "8"),
    ("admitted", "9"),
    ("columns", "C"),
    ("help", "?"),
    ("palette", ":theme "),
];

fn style(c: &Cell) -> String {
    let mut out = match c.fg {
        Color::Reset => String::new(),
        fg => format!("{fg} "),
    };
    if c.bg != Color::Reset {
        out.push_str(&format!("on {} ", c.bg));
    }
    if !c.modifier.is_empty() {
        out.push_str(&format!("{:?}", c.modifier).to_lowercase());
    }
    out.trim().to_owned()
}

/// ` 3  1-9 cyan bold  12 lightred`: the cells of a line that do not look like all others.
fn styles(b: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..b.area.height {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..b.area.width {
            let s = style(&b[(x, y)]);
            match runs.last_mut() {
                Some((_, end, of)) if *of == s && *end + 1 == x => *end = x,
                _ => runs.push((x, x, s)),
            }
        }
        let said: Vec<String> = runs.iter().filter(|r| !r.2.is_empty()).map(|(a, b, s)| format!("{a}-{b} {s}")).collect();
        if !said.is_empty() {
            out.push_str(&format!("{y:>2}  {}\n", said.join("  ")));
        }
    }
    out
}

#[test]
fn every_screen_at_three_sizes_in_colour_and_plain() {
    for (name, keys) in SCREENS {
        for (w, h) in SIZES {
            pictured(name, keys, "", w, h);
        }
    }
}

/// The screen after these keys, with more flows than the usual ones.
fn pictured(name: &str, keys: &str, more: &str, w: u16, h: u16) {
    let of = |depth| {
        let mut a = app(Options { depth, ..options() });
        a.feed(lines(more));
        press(&mut a, keys, w, h);
        picture(&mut a, w, h)
    };
    let (coloured, plain) = (of(options().depth), of(Depth::None));
    assert_eq!(text(&coloured), text(&plain), "{name}: the same words with and without colour");
    for c in plain.backend().buffer().content() {
        assert_eq!((c.fg, c.bg), (Color::Reset, Color::Reset), "{name}");
    }
    insta::assert_snapshot!(format!("{name}_{w}x{h}"), format!("{}\n{}", text(&coloured), styles(coloured.backend().buffer())));
}

#[test]
fn more_causes_than_a_page_and_a_filter_longer_than_its_line() {
    let one = |port: u16| FLOWS.lines().nth(4).unwrap().replace("5433", &port.to_string()) + "\n";
    let more: String = (6_000..6_040).map(one).collect();
    for (w, h) in SIZES {
        for (name, screen) in [("many_flows", ""), ("many_causes", "2")] {
            pictured(name, &format!("/{LONG}<cr>{screen}"), &more, w, h);
        }
    }
}

/// Without its middle it would say that forwarded flows are wanted.
const LONG: &str = "ns:shop (from.workload:cart or port:6379 or port:5433) not (verdict:forwarded or workload:shippingservice or fqdn:*.example.com or port:443)";

#[test]
fn a_filter_that_has_no_room_loses_its_end_and_says_so() {
    let said = |w: u16, h: u16| {
        let t = play_at(&format!("/{LONG}<cr>"), w, h);
        row(t.backend().buffer(), 1)
    };
    for (w, h) in SIZES {
        let line = said(w, h);
        let shown = line.trim_start_matches(" / ").split('…').next().unwrap();
        assert!(line.contains('…') && LONG.starts_with(shown), "{line}");
        let missing: usize = line.split(" +").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(missing, LONG.chars().count() - shown.chars().count(), "{line}");
        assert_eq!(line.contains("more, / shows it"), w > 40, "{line}");
    }
    assert!(said(200, 24).contains(LONG), "with room it is whole");
}
