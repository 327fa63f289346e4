//! A frame costs what it shows, not what is held.
use crate::kit::*;
use std::time::{Duration, Instant};

/// Rows held: enough that anything linear in them would show.
const ROWS: usize = 60_000;

#[test]
fn a_frame_does_not_depend_on_how_much_is_held() {
    let mut a = app(options());
    let block = lines(FLOWS);
    for _ in 0..ROWS / 17 {
        for i in block.iter().cloned() {
            a.take(i, &mut |_, _| {});
        }
    }
    for keys in ["", "g", "2", "3", "4", "4o", "5", "6", "7", "8", "9", "1n<cr>", "1:"] {
        press(&mut a, keys, 200, 60);
        let mut best = Duration::MAX;
        for _ in 0..10 {
            let begin = Instant::now();
            picture(&mut a, 200, 60);
            best = best.min(begin.elapsed());
        }
        // Unoptimised and on a busy machine; a frame linear in the rows would take half a second.
        println!("{keys:?}: {best:?}");
        assert!(best < Duration::from_millis(60), "{keys:?}: {best:?}");
    }
}

#[test]
fn a_new_filter_is_found_in_slices_newest_first() {
    let mut a = app(options());
    for _ in 0..2_000 {
        for i in lines(FLOWS) {
            a.take(i, &mut |_, _| {});
        }
    }
    for k in flowhy::tui::key::parse("/port:5433") {
        a.key(k);
    }
    // One slice: the newest rows are there already, and the bar says that it goes on.
    a.scan(&mut || false);
    assert!(a.behind());
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("tcp 5433") && t.contains('%'), "{t}");
    a.scan(&mut || true);
    assert!(!a.behind());
    assert!(text(&picture(&mut a, 80, 24)).contains("6 003 of 34 017"));
}
