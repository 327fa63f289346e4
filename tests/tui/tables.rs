//! Columns, themes, filters with names, the page of one flow: what keys and words of the palette do to them.
use crate::kit::*;
use flowhy::tui::{App, Depth, Effect, Mouse, Options, Theme, column};
use ratatui::style::Color;

fn heads(t: &str) -> String {
    t.lines().nth(2).unwrap().trim_matches(['"', ' ']).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn columns_are_chosen_by_name_and_come_in_that_order() {
    assert_eq!(heads(&play(":columns verdict,src,dst,took<cr>")), heads(&play("")), "a wrong one changes nothing");
    assert!(play(":columns time,zzz<cr>").contains("there is no column \"zzz\""));
    let t = play(":columns verdict,time,dst,latency<cr>");
    assert_eq!(heads(&t), "VERDICT TIME TO TOOK", "{t}");
    assert!(t.contains(":write keeps them"), "{t}");
    let t = play(":columns time,l7,reason,from-id,from-port,policy<cr>");
    assert!(t.contains("REQUEST") && t.contains("REASON"), "{t}");
    assert_eq!(heads(&play(":columns l7<cr>:columns default<cr>")), "TIME FROM TO PORT VERDICT");
    // What fits is offered while it is typed.
    let t = play(":columns time,fro");
    assert!(t.contains("columns time,from-ip"), "{t}");
}

#[test]
fn the_menu_of_columns_shows_hides_and_moves() {
    let mut a = app(options());
    press(&mut a, "C", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("› columns") && t.contains("6 of 17 shown") && t.contains("no room for it here"), "{t}");
    // The time goes, the port comes first.
    press(&mut a, "<space>jjjhhh<esc>", 80, 24);
    assert_eq!(heads(&text(&picture(&mut a, 80, 24))), "PORT FROM TO VERDICT NODE");
    press(&mut a, "C<space>j<space>j<space>j<space>j<space>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("one column has to stay"));
}

#[test]
fn what_the_screen_looks_like_is_kept_only_when_asked() {
    let mut a = app(options());
    press(&mut a, ":columns time,to<cr>:theme dark<cr>t", 80, 24);
    assert!(a.effects().is_empty());
    press(&mut a, ":write<cr>", 80, 24);
    let want = vec![("columns", vec!["time,to".to_owned()]), ("relative-time", vec!["true".into()]), ("theme", vec!["dark".into()])];
    assert_eq!(a.effects(), [Effect::Write(want)]);
    let kept = Options { columns: column::parse("time,to").unwrap(), relative: true, theme: Theme::named("dark").unwrap(), ..options() };
    let mut again = app(kept);
    let t = text(&picture(&mut again, 80, 24));
    assert!(heads(&t) == "TIME TO" && t.contains(" -"), "{t}");
}

#[test]
fn a_theme_is_changed_while_looking() {
    let drop = |keys: &str, depth| {
        let mut a = app(Options { depth, ..options() });
        press(&mut a, keys, 80, 24);
        let t = picture(&mut a, 80, 24);
        let b = t.backend().buffer();
        let y = find(b, &["tcp 5433", "db-ingress"]);
        (b[(column(b, y, "✗"), y)].fg, text(&t))
    };
    assert_eq!(drop(":theme dark<cr>", Depth::True).0, Color::Rgb(0xf0, 0x60, 0x60));
    assert_eq!(drop(":theme dark<cr>", Depth::Sixteen).0, Color::LightRed);
    assert_eq!(drop(":theme light<cr>", Depth::Many).0, Color::Indexed(88));
    assert_eq!(drop(":theme plain<cr>", Depth::True).0, Color::Reset);
    let (fg, t) = drop(":theme dark<cr>", Depth::None);
    assert!(fg == Color::Reset && t.contains("no colours here"), "{t}");
    assert!(drop(":theme nosuch<cr>", Depth::True).1.contains("there is no theme nosuch"));
}

#[test]
fn filters_have_names() {
    let filters = vec![("dns".to_owned(), "port:53".to_owned()), ("odd".to_owned(), "prt:1".to_owned())];
    let mut a = app(Options { filters, ..options() });
    press(&mut a, ":filter dn<cr>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ port:53"));
    press(&mut a, ":filter odd<cr>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("odd is no filter: unknown field"));
    a.effects();
    press(&mut a, "/<c-u>ns:shop<cr>:keep my shop<cr>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("letters, digits"));
    a.effects();
    press(&mut a, ":keep shop<cr>", 80, 24);
    assert_eq!(a.effects(), [Effect::Keep("shop".to_owned(), "ns:shop".to_owned())]);
    press(&mut a, "/<c-u><cr>:filter shop<cr>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ ns:shop"));
    assert!(play(":keep x<cr>").contains("there is no filter to keep"));
    assert!(play(":filter nosuch<cr>").contains("there is no filter nosuch"));
}

#[test]
fn the_newest_like_filter_is_offered_behind_the_cursor() {
    let mut a = app(Options { history: vec!["ns:shop port:53".to_owned(), "ns:shop port:5433".to_owned()], ..options() });
    press(&mut a, "/ns:sh", 80, 24);
    let t = picture(&mut a, 80, 24);
    assert!(row(t.backend().buffer(), 1).contains("/ ns:shop port:5433"), "{}", text(&t));
    press(&mut a, "<right><cr>", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("/ ns:shop port:5433") && t.contains("3 of 17"), "{t}");
    // Nothing is taken that is not shown.
    assert!(play("/ns:sh<right><cr>").contains("/ ns:sh "));
}

#[test]
fn values_of_requests_labels_and_reasons_are_completed_with_their_counts() {
    for (typed, offer) in
        [("/http.status:5<tab>", "503"), ("/to.label:<tab>", "app="), ("/drop:POL<tab>", "POLICY_DENIED"), ("/http.method:<tab>", "PUT 1")]
    {
        let t = play(typed);
        assert!(t.contains(offer), "{typed}: {t}");
    }
}

#[test]
fn one_flow_has_a_page_whose_values_are_copied_and_filtered_by() {
    let t = play("/port:5433<cr>d");
    assert!(t.contains("what happened ─") && t.contains("1 of ") && t.contains("no rule allows port 5433"), "{t}");
    let mut a = app(options());
    press(&mut a, "/port:5433<cr>d", 80, 24);
    // To the namespace of the sender.
    for _ in 0..60 {
        let t = picture(&mut a, 80, 24);
        let b = t.backend().buffer();
        if row(b, find(b, &["▸"])).contains("source.namespace") {
            break;
        }
        press(&mut a, "j", 80, 24);
    }
    a.effects();
    press(&mut a, "yv", 80, 24);
    assert_eq!(a.effects(), [Effect::Copy("shop".to_owned())]);
    press(&mut a, "-", 80, 24);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("the table shows port:5433 not (from.ns:shop)"), "{t}");
    press(&mut a, "<esc>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ port:5433 not (from.ns:shop)"));
    let t = play("/http.status:503<cr>d");
    assert!(t.contains("request ─") && t.contains("POST /v1/items → 503"), "{t}");
}

#[test]
fn addresses_stand_in_place_of_names_and_back() {
    let t = play("/port:5433<cr>r");
    assert!(t.contains("10.") && !t.contains(" cart ") && !t.contains("shop/cart  "), "{t}");
    assert_eq!(play("/port:5433<cr>rr"), play("/port:5433<cr>"));
}

#[test]
fn lists_are_turned_round_and_sorted_by_a_click_on_a_head() {
    let line = |t: &str, n: usize| t.lines().nth(n).unwrap().to_owned();
    assert_ne!(line(&play("2"), 3), line(&play("2S"), 3));
    let mut a = app(options());
    press(&mut a, "7", 80, 24);
    a.mouse(Mouse::Click { x: 4, y: 2 });
    let by_name = text(&picture(&mut a, 80, 24));
    assert_eq!(by_name, play("7sn"));
    a.mouse(Mouse::Click { x: 4, y: 2 });
    assert_eq!(text(&picture(&mut a, 80, 24)), play("7snS"));
    // The calls of the map; and who was let in, whose heads stand below a rule.
    for (keys, x, y, same) in [("3", 44, 2, "3sn"), ("9", 14, 3, "9sn"), ("9", 2, 3, "9sc"), ("9", 70, 3, "9S")] {
        let mut a = app(options());
        press(&mut a, keys, 80, 24);
        a.mouse(Mouse::Click { x, y });
        assert_eq!(text(&picture(&mut a, 80, 24)), play(same), "{keys}: a click on {x}");
    }
    // A cell of the matrix, which a second click goes into; and a time.
    let mut a = app(options());
    press(&mut a, "4", 80, 24);
    let t = picture(&mut a, 80, 24);
    let b = t.backend().buffer();
    let y = (3..24).find(|y| row(b, *y).starts_with(" web")).unwrap();
    let at = Mouse::Click { x: crate::kit::column(b, 2, "shop"), y };
    a.mouse(at);
    let t = text(&picture(&mut a, 80, 24));
    assert!(t.contains("web → shop:") && t.contains("› matrix"), "{t}");
    a.mouse(at);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ from.ns:web to.ns:shop"));
    let mut a = app(options());
    press(&mut a, "6", 80, 24);
    a.mouse(Mouse::Click { x: 8, y: 2 });
    assert_eq!(text(&picture(&mut a, 80, 24)), play("6g"));
    // A column that is no order says so.
    let mut a = app(options());
    press(&mut a, "7", 120, 36);
    a.mouse(Mouse::Click { x: 110, y: 2 });
    assert!(text(&picture(&mut a, 120, 36)).contains("policies are not sorted by this column"));
    // In the flows, which stand in the order of time, the finger goes to that column.
    let mut a = app(options());
    press(&mut a, "G", 80, 24);
    a.mouse(Mouse::Click { x: 12, y: 2 });
    assert!(text(&picture(&mut a, 80, 24)).contains("flows stand in the order of time"));
    press(&mut a, "+", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("/ from.ns:shop from.workload:cart"));
}

/// A record of a proxy, a second after the one before.
fn proxied(n: usize, to: &str, port: u16, l7: &str) -> String {
    let side = |ns: &str, app: &str| {
        format!(
            "{{\"namespace\":\"{ns}\",\"labels\":[\"k8s:app={app}\"],\"pod_name\":\"{app}-0\",\"workloads\":[{{\"name\":\"{app}\",\"kind\":\"StatefulSet\"}}]}}"
        )
    };
    let time = format!("2026-04-13T14:02:{n:02}Z");
    format!(
        "{{\"flow\":{{\"time\":\"{time}\",\"uuid\":\"u-{n}\",\"verdict\":\"FORWARDED\",\"IP\":{{\"source\":\"10.0.1.20\",\"destination\":\"10.0.1.21\"}},\"l4\":{{\"TCP\":{{\"source_port\":40000,\"destination_port\":{port}}}}},\"source\":{},\"destination\":{},\"Type\":\"L7\",\"l7\":{l7},\"event_type\":{{\"type\":129}}}},\"node_name\":\"k8s1\",\"time\":\"{time}\"}}\n",
        side("shop", "orders"),
        side("data", to)
    )
}

#[test]
fn what_a_proxy_saw_is_read_in_the_table_and_on_the_page() {
    // As Envoy and the DNS proxy write it.
    let records = [
        ("kafka", 9092, r#"{"type":"REQUEST","kafka":{"api_version":2,"api_key":"produce","correlation_id":55,"topic":"orders"}}"#),
        (
            "kafka",
            9092,
            r#"{"type":"RESPONSE","kafka":{"error_code":29,"api_version":2,"api_key":"fetch","correlation_id":13,"topic":"empire-announce"}}"#,
        ),
        (
            "kafka",
            9092,
            r#"{"type":"RESPONSE","kafka":{"error_code":-1,"api_version":2,"api_key":"metadata","correlation_id":13,"topic":"plans"}}"#,
        ),
        (
            "ratings",
            9080,
            r#"{"type":"RESPONSE","latency_ns":"1678100","http":{"code":200,"method":"GET","url":"http://ratings:9080/ratings/0","protocol":"HTTP/1.1","headers":[{"key":"Connection","value":"keep-alive"}]}}"#,
        ),
        (
            "kube-dns",
            53,
            r#"{"type":"RESPONSE","dns":{"query":"api.stripe.com.","ips":["54.187.174.169","54.187.205.235"],"ttl":30,"qtypes":["A"],"rrtypes":["A"],"observation_source":"proxy"}}"#,
        ),
        ("kube-dns", 53, r#"{"type":"RESPONSE","dns":{"query":"nosuch.shop.","rcode":3,"qtypes":["AAAA"],"observation_source":"proxy"}}"#),
    ];
    let text_of: String = records.iter().enumerate().map(|(n, (to, port, l7))| proxied(n, to, *port, l7)).collect();
    let open = || {
        let mut a = App::new(bare(), options());
        a.feed(lines(&text_of));
        a.close();
        a
    };
    let table = text(&picture(&mut open(), 120, 36));
    let briefs = [
        "produce orders",
        "not authorized:",
        "unknown error: metadata plans",
        "GET 200  1.6 ms",
        "A api.stripe.com",
        "NXDOMAIN nosuch.shop",
    ];
    let pages = [
        "produce orders",
        "fetch empire-announce → not authorized",
        "metadata plans → unknown error",
        "GET /ratings/0 → 200 in 1.6 ms",
        "A api.stripe.com → 54.187.174.169, 54.187.205.235",
        "nosuch.shop → NXDOMAIN",
    ];
    for (n, (brief, page)) in briefs.into_iter().zip(pages).enumerate() {
        assert!(table.contains(brief), "{brief}: {table}");
        let mut a = open();
        press(&mut a, &format!("g{}d", "j".repeat(n)), 80, 24);
        let t = text(&picture(&mut a, 80, 24));
        assert!(t.contains("request ─") && t.contains(page), "{page}: {t}");
    }
    let mut a = open();
    press(&mut a, "/kafka.topic:orders<cr>", 80, 24);
    assert!(text(&picture(&mut a, 80, 24)).contains("1 of 6"));
}
