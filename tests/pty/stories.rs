//! Three incidents, each from the first screen to the answer at 80×24: at most three keys to the policy's name (a filter that is typed
//! counts as the one that opens it and the one that keeps it), and what is asked then.
use crate::kit::Tui;
use crate::scenes;
use std::fs;

/// What was put into the clipboard last, by OSC 52.
fn copied(t: &Tui) -> String {
    let raw = t.raw.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&raw).into_owned();
    let coded = text.rsplit_once("\x1b]52;c;").expect("something was copied").1;
    let end = coded.find(['\x07', '\x1b']).expect("it is whole");
    decoded(&coded[..end])
}

fn decoded(base64: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut n) = (Vec::new(), 0u32, 0);
    for c in base64.bytes().filter(|c| *c != b'=') {
        let digit = DIGITS.iter().position(|d| *d == c).expect("base64");
        bits = (bits << 6) | u32::try_from(digit).unwrap();
        n += 6;
        if n >= 8 {
            n -= 8;
            out.push(u8::try_from((bits >> n) & 0xff).unwrap());
        }
    }
    String::from_utf8(out).unwrap()
}

fn quit(mut t: Tui) {
    t.keys("\x03");
    assert!(t.gone().success());
}

#[test]
fn a_default_deny_that_breaks_dns_is_one_cause_and_the_copied_policy_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    scenes::rollout(dir.path());
    let (flows, policies) = (dir.path().join("rollout.jsonl"), dir.path().join("k8s"));
    let mut t = Tui::start(&["replay", flows.to_str().unwrap(), "--policies", policies.to_str().unwrap()], &[]);
    // No key yet: one cause for all of them, with its policy.
    t.wait("one cause of fourteen workloads", |s| {
        let text = s.contents();
        text.contains("default-deny") && text.contains("14 workloads") && text.contains("182")
    });
    // n to its newest drop, Enter to its page.
    t.keys("n\r");
    t.wait_text("new NetworkPolicy shop/allow-dns");
    t.wait_text("NetworkPolicy shop/default-deny".rsplit(' ').next().unwrap());
    t.keys("yp");
    t.wait_text("copied patch");
    let policy = copied(&t);
    assert!(policy.contains("name: allow-dns") && policy.contains("namespace: shop") && policy.contains("port: 53"), "{policy}");
    assert!(!policy.contains("ipBlock"), "{policy}");
    fs::write(policies.join("allow-dns.yaml"), policy).unwrap();
    t.wait_text("allow-dns.yaml saved: 1 cause would be fixed");
    t.wait_text("the saved text already lets all of it pass");
    t.keys("2");
    t.wait("the cause is fixed", |s| s.contents().lines().any(|l| l.contains("default-deny") && l.contains("fixed ?")));
    quit(t);
}

#[test]
fn drops_to_a_name_whose_addresses_change_show_the_answer_that_had_expired() {
    let dir = tempfile::tempdir().unwrap();
    scenes::rotation(dir.path());
    let (flows, policies) = (dir.path().join("rotation.jsonl"), dir.path().join("stripe.yaml"));
    let mut t = Tui::start(&["replay", flows.to_str().unwrap(), "--policies", policies.to_str().unwrap()], &[]);
    t.wait_text("39 flows");
    t.keys("/fqdn:api.stripe.com verdict:dropped\r");
    t.wait_text("15 of 39");
    t.keys("\r");
    t.wait_text("shop/stripe-out");
    t.wait("the evidence", |s| {
        let text = s.contents();
        text.contains("ttl 30") && text.contains("after expiry") && text.contains("identity world")
    });
    let page = t.screen(vt100::Screen::contents);
    assert!(!page.contains("ipBlock") && !page.contains("toCIDR") && !page.contains("/32"), "{page}");
    t.keys("c");
    t.wait_text("dropped against forwarded");
    t.wait("the age of the answer", |s| s.contents().lines().any(|l| l.contains("dns answer") && l.contains("expired: 15 of 15")));
    t.keys("yp");
    t.wait_text("there is no patch to copy");
    quit(t);
}

#[test]
fn what_came_into_a_namespace_yesterday_by_which_rule_and_what_was_open_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    scenes::yesterday(dir.path());
    let (flows, policies) = (dir.path().join("yesterday.jsonl"), dir.path().join("shop.yaml"));
    let mut t = Tui::start(&["replay", flows.to_str().unwrap(), "--policies", policies.to_str().unwrap()], &[]);
    t.wait_text("110 flows");
    t.keys("9");
    t.wait("the rule that let it in", |s| s.contents().lines().any(|l| l.contains("web/frontend") && l.contains("shop/cart-in")));
    t.keys("/to.ns:shop\r");
    t.wait_text("90 flows, 50 of them open to everybody");
    t.wait("open first", |s| {
        let text = s.contents();
        let at = |what: &str| text.lines().position(|l| l.contains(what)).unwrap_or(usize::MAX);
        at("shop/redis") < at("shop/cart-in") && text.contains("open to everybody")
    });
    // The stranger who was kept out is not among them.
    assert!(!t.screen(vt100::Screen::contents).contains("203.0.113.9"));
    let (list, kept) = (dir.path().join("shop.csv"), dir.path().join("shop.jsonl"));
    t.keys(&format!(":save {}\r", list.display()));
    t.wait_text("saved 4 lines");
    let csv = fs::read_to_string(&list).unwrap();
    assert!(csv.contains("\"web/frontend\",\"shop/cart\",TCP,8080,40,2026-04-12T14:00:00Z,"), "{csv}");
    assert!(csv.contains(",rule,\"shop/cart-in ingress[0].from[0]\"") && csv.contains(",open,\"no policy selects it\""), "{csv}");
    // Enter shows the flows of a line, and Enter there why one of them passed.
    t.keys("G\r");
    t.wait_text("40 of 110");
    t.keys("\r");
    t.wait_text("allowing rule");
    t.keys("\x1b");
    t.wait_text("VERDICT");
    t.keys(&format!(":save {}\r", kept.display()));
    t.wait_text("saved 40 flows");
    assert_eq!(fs::read_to_string(&kept).unwrap().lines().filter(|l| l.contains("\"flow\":")).count(), 40);
    quit(t);
}

/// What a copied command line says in a shell.
fn in_a_shell(command: &str) -> String {
    let rest = command.strip_prefix("flowhy ").unwrap_or_else(|| panic!("no command: {command}"));
    let out = std::process::Command::new("/bin/sh").args(["-c", &format!("{} {rest}", env!("CARGO_BIN_EXE_flowhy"))]).output().unwrap();
    assert!(matches!(out.status.code(), Some(0 | 1)), "{command}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn what_is_copied_from_a_screen_says_the_same_in_a_shell() {
    let dir = tempfile::tempdir().unwrap();
    scenes::rollout(dir.path());
    let (flows, policies) = (dir.path().join("rollout.jsonl"), dir.path().join("k8s"));
    let source = format!("--from {} --policies {}", flows.display(), policies.display());
    let mut t = Tui::start(&["replay", flows.to_str().unwrap(), "--policies", policies.to_str().unwrap()], &[]);
    t.wait_text("14 workloads");
    t.keys("2\r");
    t.wait_text("new NetworkPolicy shop/allow-dns");
    t.keys("yc");
    t.wait_text("copied command line: flowhy why");
    let why = in_a_shell(&copied(&t));
    assert!(why.contains("isolated by  NetworkPolicy shop/default-deny") && why.matches("isolated by").count() == 1, "{why}");
    t.keys("yf");
    t.wait_text("copied filter: from.ns:shop");
    let filter = copied(&t);
    // The flows that Enter shows are those that the filter finds.
    t.keys("\r");
    t.wait_text("› why › flows");
    t.wait("its flows", |s| s.contents().contains("✓ ") && !s.contents().contains('%'));
    let shown = t.screen(|s| s.contents().lines().nth(1).unwrap_or_default().to_owned());
    let found = in_a_shell(&format!("flowhy observe {source} -o jsonpb '{filter}'")).lines().count();
    assert!(found > 14 && shown.contains(&format!("✓ {found} of ")), "{found}: {shown}");
    for (key, screen, says, has) in [
        ("9", "› admitted", "flowhy audit", "audit:"),
        ("5", "› stats", "flowhy observe", "VERDICT"),
        ("4", "› matrix", "flowhy observe", "FROM.NS"),
    ] {
        t.keys(key);
        t.wait_text(screen);
        t.keys("yc");
        t.wait_text(&format!("copied command line: {says}"));
        let said = in_a_shell(&copied(&t));
        assert!(said.contains(has), "{key}: {said}");
    }
    // What a screen counts under a filter the command counts, to the last flow: also where only a pod's name shows its owner.
    for (filter, shown) in [("workload:coredns verdict:dropped", 182), ("from.workload:cart to.workload:coredns", 33), ("ns:shop", 462)] {
        t.keys(&format!("1/\x15{filter}\r"));
        t.wait_text(&format!("✓ {shown} of 462"));
        for (key, screen) in [("5", "› stats"), ("4", "› matrix"), ("4o", "› matrix")] {
            t.keys(key);
            t.wait_text(screen);
            t.keys("yc");
            t.wait_text("copied command line: flowhy observe");
            let command = copied(&t);
            assert!(command.contains("--count-by") && command.ends_with(&format!("'{filter}'")), "{command}");
            let said = in_a_shell(&command);
            let numbers = said.lines().skip(1).filter_map(|l| l.split_whitespace().next()?.parse::<u32>().ok());
            assert_eq!(numbers.sum::<u32>(), shown, "{key}, {command}\n{said}");
        }
    }
    quit(t);
}
