//! A frame costs what it shows, not what is held.
use crate::kit::*;
use flowhy::model::input::{Change, Edited, Edits, Input};
use flowhy::model::time::Nanos;
use flowhy::tui::App;
use flowhy::world::yaml;
use std::sync::Arc;
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

/// Connections to so many ports of one pod, each its own cause once a policy that is saved would stop them.
fn foreseeing(ports: usize) -> App {
    let mut a = App::new(bare(), options());
    let policy = |more: &str| {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db, namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: db}}}}, policyTypes: [Ingress], ingress: [{more}]}}\n"
        );
        Arc::new(yaml::read("db.yaml", &text).0.remove(0))
    };
    let (open, shut) = (policy("{}"), policy(""));
    a.feed(vec![Change::Apply(open.clone()).into()]);
    let line = FLOWS.lines().next().unwrap();
    for n in 0..ports {
        a.take(lines(&line.replace("5432", &(10_000 + n).to_string())).remove(0), &mut |_, _| {});
    }
    let file = Edited { file: "db.yaml".to_owned(), pairs: vec![(Some(open), Some(shut))], faults: Vec::new() };
    a.feed(vec![Input::Edited(Arc::new(Edits { at: Nanos::from_parts(1_776_089_000, 0), files: vec![file] }))]);
    a
}

#[test]
fn a_frame_pays_for_few_of_the_foreseen_causes_and_none_is_listed_wrong_in_the_end() {
    const CAUSES: usize = 3_000;
    let mut a = foreseeing(CAUSES);
    press(&mut a, "2", 120, 36);
    assert_eq!(a.engine.causes().len(), CAUSES);
    a.scan(&mut || true);
    assert!(!a.behind());
    assert!(text(&picture(&mut a, 120, 36)).contains("foreseen"));
    // A filter that none of them passes: each has to be asked to its end, and the picture does not wait for that.
    let none = "1/port:1<cr>2";
    press(&mut a, none, 120, 36);
    assert!(text(&picture(&mut a, 120, 36)).contains("3 000 foreseen causes outside the filter"), "{}", text(&picture(&mut a, 120, 36)));
    for k in flowhy::tui::key::parse("1/<c-u>port:10007<cr>2") {
        a.key(k);
        while a.model.view().is_some_and(|v| v.behind(&a.engine)) {
            a.scan(&mut || false);
        }
    }
    let mut slices = 0;
    let begin = Instant::now();
    while a.behind() {
        a.scan(&mut || false);
        slices += 1;
        assert!(slices < 2 * CAUSES, "it comes to an end");
    }
    println!("{CAUSES} foreseen causes: {:?} in {slices} slices", begin.elapsed());
    assert!(slices > CAUSES / 32, "{slices}");
    let shown = text(&picture(&mut a, 120, 36));
    assert!(shown.contains("2 999 foreseen causes outside the filter") && shown.contains("10007"), "{shown}");
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let begin = Instant::now();
        picture(&mut a, 120, 36);
        best = best.min(begin.elapsed());
    }
    println!("a picture of them: {best:?}");
    assert!(best < Duration::from_millis(60), "{best:?}");
}
