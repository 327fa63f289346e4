//! What replaced names must keep. That a whole recording gives the same verdicts is shown in tests/record.rs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use super::words::Words;
use super::{Redact, manifest};
use crate::model::input::{At, Change, Kind, KindState};
use crate::world::yaml;

fn words() -> Words {
    Words::new(*b"0123456789abcdef")
}

#[test]
fn a_name_has_one_stand_in_of_its_shape() {
    let mut w = words();
    let cart = w.name("cart");
    assert!(cart != "cart" && cart.len() == 4 && cart.bytes().all(|b| b.is_ascii_lowercase()), "{cart}");
    assert_eq!(w.name("cart-6d4b75cb6d-x7k2p"), format!("{cart}-6d4b75cb6d-x7k2p"));
    assert_eq!(w.label("k8s:app=cart"), format!("k8s:app={cart}"));
    assert_eq!(w.name("cart.shop.svc.cluster.local."), format!("{cart}.{}.svc.cluster.local.", w.name("shop")));
    assert!(w.name("carts").starts_with(&cart));
    assert_ne!(Words::new([7; 16]).name("cart"), cart);
    for kept in ["kube-system", "default", "reserved:world", "", "*"] {
        assert_eq!(w.label(kept).as_str(), kept);
        assert_eq!(w.name(kept), kept);
    }
}

#[test]
fn a_kind_that_holds_a_name_is_replaced_as_one() {
    let mut w = words();
    for kept in ["CiliumNetworkPolicy", "K8sNetworkPolicy", "Deployment", ""] {
        assert_eq!(w.kind(kept), kept);
    }
    for name in ["cart", "NetworkPolicy/shop/cart", "Policy of cart", "team-cart"] {
        assert!(w.kind(name) == w.name(name) && !w.kind(name).contains("cart"), "{}", w.kind(name));
    }
}

#[test]
fn patterns_still_match_what_they_matched() {
    let mut w = words();
    for (pattern, path) in [("/v1/orders/.*", "/v1/orders/77"), ("/(get|put)/[a-z]+", "/get/me"), (r"/a\d+", "/a77"), ("/x{1,3}", "/x")] {
        let new = format!("^(?:{})$", w.pattern(pattern));
        assert!(regex::Regex::new(&new).unwrap().is_match(&w.url(path)), "{new} {}", w.url(path));
    }
    assert_eq!(w.pattern("*.stripe.com"), format!("*.{}.com", w.name("stripe")));
}

#[test]
fn an_address_inside_a_text_is_replaced_as_it_is_where_it_stands_alone() {
    let mut w = words();
    let (a, b, ten) = (w.name("203.0.113.9"), w.name("198.51.100.7"), w.name("10.1.2.3"));
    let six = w.name("2001:db8::7");
    assert!(a != "203.0.113.9" && b != "198.51.100.7" && ten != "10.1.2.3" && six != "2001:db8::7");
    let x = w.url("/x");
    assert_eq!(w.url("http://203.0.113.9:8080/x"), format!("http://{a}:8080{x}"));
    assert_eq!(w.url("https://[2001:db8::7]:8443/x"), format!("https://[{six}]:8443{x}"));
    assert!(w.url("/v1/x?ip=198.51.100.7").ends_with(&format!("={b}")));
    assert_eq!(w.header("X-Forwarded-For", "198.51.100.7, 10.1.2.3, 2001:db8::7"), format!("{b}, {ten}, {six}"));
    assert_eq!(w.header("Host", "198.51.100.7:8080"), format!("{b}:8080"));
    let reversed = |ip: &str| ip.split('.').rev().collect::<Vec<_>>().join(".");
    assert_eq!(w.name("7.100.51.198.in-addr.arpa."), format!("{}.in-addr.arpa.", reversed(&b)));
    assert_eq!(w.name("10-1-2-3.default.pod.cluster.local"), format!("{}.default.pod.cluster.local", ten.replace('.', "-")));
    assert!(w.name("ip-10-1-2-3").ends_with(&ten.replace('.', "-")));
    let nibbles = |ip: &str| {
        let all = format!("{:032x}", u128::from(ip.parse::<std::net::Ipv6Addr>().unwrap()));
        all.chars().rev().map(String::from).collect::<Vec<_>>().join(".")
    };
    assert_eq!(w.name(&format!("{}.ip6.arpa", nibbles("2001:db8::7"))), format!("{}.ip6.arpa", nibbles(&six)));
    // What policies say about hosts says the same about the new ones.
    let host = format!("^(?:{})$", w.host_pattern(r"198\.51\.100\.7:8080"));
    assert!(regex::Regex::new(&host).unwrap().is_match(&w.header(":authority", "198.51.100.7:8080")), "{host}");
}

#[test]
fn an_address_is_found_however_it_is_spelled() {
    let mut w = words();
    let (b, six) = (w.name("198.51.100.7"), w.name("2001:db8::7"));
    let escaped = |ip: &str, mark: &str, by: &str| ip.replace(mark, by);
    // As the names of pods and nodes have it.
    for name in ["2001-db8--7.default.pod.cluster.local", "2001-db8-0-0-0-0-0-7.default.pod.cluster.local"] {
        assert_eq!(w.name(name), format!("{}.default.pod.cluster.local", six.replace(':', "-")), "{name}");
    }
    assert!(w.name("ip-2001-db8--7").ends_with(&six.replace(':', "-")));
    assert!(!w.name("web--backend").contains("backend"), "a name with two dashes is one");
    // As URLs have it.
    for (ip, new, mark, by) in [("2001:db8::7", &six, ":", "%3A"), ("2001:db8::7", &six, ":", "%3a"), ("198.51.100.7", &b, ".", "%2E")] {
        let text = format!("/x?ip={}", escaped(ip, mark, by));
        assert!(w.url(&text).ends_with(&format!("={}", escaped(new, mark, by))), "{text} {}", w.url(&text));
        let text = format!("/x?ip=%5B{}%5D%3A8080", escaped(ip, mark, by));
        assert!(w.url(&text).contains(&format!("%5B{}%5D", escaped(new, mark, by))), "{text} {}", w.url(&text));
    }
    // What is spelled letter by letter is not let through.
    assert!(!w.url("/%61%63%6D%65").contains("%61%63%6D%65"));
    // A network is the one that policies name.
    let net = w.name("10.2.0.0/16");
    assert_eq!(w.header("X-Net", "10.2.0.0/16, 10.2.0.0/16"), format!("{net}, {net}"));
    let host = w.name("10.2.7.9");
    assert!(w.header("X-Path", "10.2.7.9/16").starts_with(&format!("{host}/")), "the first part of a path");
    let v6 = w.name("2001:db8::/32");
    assert_eq!(w.header("X-Net", "2001:db8::/32"), v6);
    // In a selector, too, where it is a key.
    let body = "apiVersion: v1\nkind: X\nspec: {matchLabels: {'cidr:10.2.0.0/16': '', 'cidr.203.0.113.0/24': ''}}\n";
    let labels = &written(&mut w, body)["spec"]["matchLabels"];
    assert!(labels.get(format!("cidr:{net}")).is_some() && !labels.to_string().contains("203.0.113.0"), "{labels}");
}

#[test]
fn a_short_number_stays_only_as_the_ordinal_of_a_name() {
    let mut w = words();
    let web = w.name("web");
    for same in ["-0", "-2-6d4b75cb6d-x7k2p", "-12"] {
        assert_eq!(w.name(&format!("web{same}")), format!("{web}{same}"));
    }
    // A StatefulSet's pod begins as the StatefulSet.
    assert!(w.name("web-2-0").starts_with(&format!("{}-", w.name("web-2"))));
    assert!(!w.name("web-7.web.svc").contains("web") && w.name("web-7.web.svc").contains("-7."));
    for text in ["/orders/77", "/?id=123", "a 42", "/2.3.4.5.6/"] {
        let new = w.url(text);
        let digits = |t: &str| t.split(|c: char| !c.is_ascii_digit()).filter(|d| !d.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        assert!(digits(text) != digits(&new) && digits(text).len() == digits(&new).len(), "{text} {new}");
    }
    assert!(!w.url("/x?then=http://shop/").contains("http://shop"));
}

fn written(w: &mut Words, body: &str) -> serde_json::Value {
    let (docs, faults) = yaml::read("s.yaml", body);
    assert!(faults.is_empty(), "{faults:?}");
    serde_json::from_str(&manifest::body(w, &docs)).unwrap()
}

#[test]
fn why_a_kind_may_not_be_read_names_nobody() {
    let why = "User \"jane.doe@acme.com\" cannot list pods";
    for state in [KindState::Forbidden(why.to_owned()), KindState::Stale(why.to_owned())] {
        let kind = Kind { group: String::new(), kind: "Pod".to_owned(), state };
        let mut out = Vec::new();
        Redact::new([7; 16]).change(&At { cluster: "".into(), at: None, change: Change::Kind(kind) }, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("\"Pod\"") && !out.contains("jane") && !out.contains("acme"), "{out}");
    }
}

#[test]
fn of_ciliums_configuration_only_what_is_read_is_kept() {
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {enable-policy: always, cluster-name: acme, k8s-api-server: 'https://acme:6443', ipv4-native-routing-cidr: '203.0.113.0/24,198.51.100.0/24'}\n";
    let mut w = words();
    let node = w.name("acme/node-1");
    let cluster = node.split('/').next().unwrap();
    assert_ne!(cluster, "acme");
    assert_eq!(written(&mut w, body)["data"], serde_json::json!({"cluster-name": cluster, "enable-policy": "always"}));
}

#[test]
fn a_cidr_group_is_called_the_same_in_labels_and_policies() {
    let mut w = words();
    let office = w.name("office");
    assert_ne!(office, "office");
    let label = "cidrgroup:io.cilium.policy.cidrgroupname/";
    assert_eq!(w.label(&format!("{label}office")), format!("{label}{office}"));
    assert_eq!(w.label(&format!("{label}office=")), format!("{label}{office}="));
    let body = format!("apiVersion: v1\nkind: X\nspec: {{cidrGroupRef: office, matchLabels: {{'{label}office': ''}}}}\n");
    let spec = &written(&mut w, &body)["spec"];
    assert_eq!((&spec["cidrGroupRef"], spec["matchLabels"].get(format!("{label}{office}")).is_some()), (&office.clone().into(), true));
    for same in ["linux", "amd64", "arm64", "in-addr", "ip6", "arpa"] {
        assert_eq!(w.name(same), same);
    }
}

#[test]
fn the_header_that_a_policy_asks_for_is_the_one_that_flows_carry() {
    let mut w = words();
    let body = "apiVersion: v1\nkind: X\nspec: {headerMatches: [{name: X-Tenant, value: acme 198.51.100.7, mismatch: LOG}], headers: ['X-Tenant:acme']}\n";
    let spec = &written(&mut w, body)["spec"];
    let expected = serde_json::json!({"name": "X-Tenant", "value": w.header("X-Tenant", "acme 198.51.100.7"), "mismatch": "LOG"});
    assert_eq!(spec["headerMatches"][0], expected);
    assert_eq!(spec["headers"][0], format!("X-Tenant:{}", w.name("acme")));
    assert!(!spec.to_string().contains("acme"));
}
