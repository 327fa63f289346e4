//! What replaced names must keep. That a whole recording gives the same verdicts is shown in tests/record.rs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use super::words::Words;

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
fn patterns_still_match_what_they_matched() {
    let mut w = words();
    for (pattern, path) in [("/v1/orders/.*", "/v1/orders/77"), ("/(get|put)/[a-z]+", "/get/me"), (r"/a\d+", "/a77"), ("/x{1,3}y?", "/xy")]
    {
        let new = format!("^(?:{})$", w.pattern(pattern));
        assert!(regex::Regex::new(&new).unwrap().is_match(&w.url(path)), "{new} {}", w.url(path));
    }
    assert_eq!(w.pattern("*.stripe.com"), format!("*.{}.com", w.name("stripe")));
}
