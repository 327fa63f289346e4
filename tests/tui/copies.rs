//! What the copy menu gives on each screen: filters and command lines that hold on another day, and a word where there is nothing.
use crate::behaviour::{live, many};
use crate::kit::*;
use flowhy::tui::action::{ACTIONS, Action, SCREENS};
use flowhy::tui::{App, Effect, Options};

const SOURCE: &str = "--from flows.jsonl --policies policies.yaml";

fn opened() -> App {
    app(Options { source: SOURCE.to_owned(), ..options() })
}

/// What these keys copied last.
fn copied(a: &mut App, keys: &str) -> String {
    a.effects();
    press(a, keys, 80, 24);
    let copied = a.effects().into_iter().rev().find_map(|e| if let Effect::Copy(t) = e { Some(t) } else { None });
    copied.unwrap_or_else(|| panic!("{keys} copied nothing:\n{}", text(&picture(a, 80, 24))))
}

/// How many flows the table shows with this in its bar.
fn hits(a: &mut App, filter: &str) -> usize {
    press(a, "1/<c-u>", 80, 24);
    a.paste(filter);
    press(a, "<cr>", 80, 24);
    assert!(!text(&picture(a, 80, 24)).contains("not a filter"), "{filter}");
    a.hits()
}

#[test]
fn a_cause_is_copied_by_what_its_flows_have_in_common_since_its_number_is_this_runs_only() {
    let mut a = opened();
    let n = a.engine.causes().iter().count();
    assert!(n > 3);
    let mut seen = Vec::new();
    for i in 0..n {
        press(&mut a, "1/<c-u><cr>2g", 80, 24);
        press(&mut a, &"j".repeat(i), 80, 24);
        let filter = copied(&mut a, "yf");
        assert!(!filter.contains("cause:") && !seen.contains(&filter), "{filter}");
        // The same flows as those that Enter shows.
        press(&mut a, "<cr>", 80, 24);
        assert_eq!(copied(&mut a, "yf"), filter, "on its page too");
        press(&mut a, "<cr>", 80, 24);
        assert_eq!(copied(&mut a, "yf"), filter, "and over its flows");
        let shown = text(&picture(&mut a, 80, 24));
        assert!(shown.contains("cause:"), "{shown}");
        let all = hits(&mut a, &filter);
        assert!(shown.contains(&format!("✓ {all} of ")), "{filter}: {all}\n{shown}");
        seen.push(filter);
    }
}

#[test]
fn the_command_line_is_that_of_the_screen() {
    let mut a = opened();
    let why = format!("flowhy why {SOURCE}");
    let count = format!("flowhy observe {SOURCE} --count-by");
    for (keys, want) in [
        ("1yc", format!("flowhy observe {SOURCE}")),
        ("2yc", why.clone()),
        ("1<tab>yc", why.clone()),
        ("4yc", format!("{count} from.ns,to.ns")),
        ("4oyc", format!("{count} from.workload,to.workload")),
        ("4ovyc", format!("{count} from.ns,to.ns 'verdict:dropped,error,audit'")),
        ("5yc", format!("{count} verdict,drop,node")),
        ("6yc", "flowhy replay flows.jsonl".to_owned()),
        ("9yc", format!("flowhy audit {SOURCE}")),
        ("1/ns:shop<cr>9yc", format!("flowhy audit {SOURCE} 'ns:shop'")),
        ("2yc", format!("{why} 'ns:shop'")),
        ("5yc", format!("{count} verdict,drop,node 'ns:shop'")),
        ("1/<c-u>port:25<cr>k3yc", format!("{count} from.workload,to.workload,to.port 'port:25 workload:shop/mail'")),
    ] {
        assert_eq!(copied(&mut a, keys), want, "{keys}");
    }
    let mut a = opened();
    let cause = copied(&mut a, "2<cr>yc");
    assert!(cause.starts_with(&format!("{why} 'from.")) && !cause.contains("cause:"), "{cause}");
    let passed = copied(&mut a, "1gg<cr>yc");
    assert!(passed.starts_with(&format!("flowhy observe {SOURCE} --why=all 'from.")), "{passed}");
    let stopped = copied(&mut a, "7sdyc");
    assert!(stopped.starts_with(&format!("{why} 'policy:")) && stopped.contains("NetworkPolicy/"), "{stopped}");
    assert_eq!(copied(&mut a, "eyc"), stopped, "its text is part of it");
    let one = copied(&mut a, "1dyc");
    assert!(one.starts_with(&format!("flowhy observe {SOURCE} -o jsonpb '")), "{one}");
    let then = copied(&mut a, "6kyc");
    assert!(then.contains("since:2026-04-13T14:02:") && then.contains("until:"), "{then}");
    assert!(copied(&mut a, "yf").starts_with("since:"), "the time under the finger is a filter");
    // What no command asks for again is the picture.
    let mut a = app(options());
    assert_eq!(copied(&mut a, "4yc"), "flowhy replay flows.jsonl");
    let mut a = live(&many(3));
    a.model.options.source = "--server relay:4245".to_owned();
    assert_eq!(copied(&mut a, "5yc"), "flowhy observe --server relay:4245 --all --count-by verdict,drop,node");
    assert_eq!(copied(&mut a, "9yc"), "flowhy replay flows.jsonl", "an audit asks no server");
}

#[test]
fn every_copy_key_of_every_screen_copies_or_says_why_not() {
    let screens = ["", "<tab>", "2", "2<cr>", "d", "3", "4", "5", "6", "7", "7e", "9", "/ns:nobody<cr>", "/ns:nobody<cr>2"];
    let mut walked = 0;
    for open in screens {
        let mut a = opened();
        press(&mut a, open, 120, 36);
        walked |= a.model.screen().map_or(0, |s| s.bit());
        press(&mut a, "y", 120, 36);
        let menu = text(&picture(&mut a, 120, 36)).lines().last().unwrap().to_owned();
        assert!(menu.contains("copy:"), "{open}: {menu}");
        press(&mut a, "<esc>", 120, 36);
        for (key, what) in
            [("p", "patch"), ("v", "value"), ("r", "row"), ("j", "JSON"), ("y", "YAML"), ("f", "filter"), ("c", "command line")]
        {
            a.effects();
            press(&mut a, &format!("y{key}"), 120, 36);
            let said = text(&picture(&mut a, 120, 36));
            let did = a.effects().iter().any(|e| matches!(e, Effect::Copy(_)));
            let wanted = if did { format!("copied {what}: ") } else { format!("there is no {what} to copy: ") };
            assert!(said.contains(&wanted), "{open} y{key}: {wanted}\n{said}");
            let offered = menu.contains(&format!("{key} {what}"));
            // A filter may be empty.
            assert!(did == offered || (key == "f" && offered), "{open} y{key}: {menu}");
        }
        press(&mut a, "yx", 120, 36);
        assert!(text(&picture(&mut a, 120, 36)).contains("nothing is copied by x"), "{open}");
    }
    let table = ACTIONS.iter().find(|e| e.action == Action::Copy).unwrap();
    for (bit, name) in SCREENS {
        assert_eq!(table.on & bit != 0, walked & bit != 0, "{name}: keys and screens agree");
    }
}

#[test]
fn a_number_whose_cause_nobody_knows_any_more_is_not_copied() {
    let mut a = opened();
    press(&mut a, "/cause:99<cr>", 80, 24);
    for key in ["yf", "yc"] {
        a.effects();
        press(&mut a, key, 120, 36);
        let said = text(&picture(&mut a, 120, 36));
        assert!(a.effects().is_empty() && said.contains("its number is valid for this run only"), "{said}");
    }
}
