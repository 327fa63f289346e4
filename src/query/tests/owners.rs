//! Who owns a pod, where the record does not say it: what the language finds, what Hubble's flags do not, what a server is asked.
use super::*;

/// Of the other side of a connection an agent often knows the pod, and not who owns it.
#[test]
fn an_owner_that_the_record_lacks_is_read_from_the_pods_name_but_not_by_hubbles_flags() {
    let mut f = dropped();
    f.source = Some(endpoint("shop", "cart-7d4b8c9f5-xk2mh", &[], ""));
    check(
        &f,
        &[
            "workload:cart",
            "from.workload:c*",
            "workload:shop/cart",
            "workload~^cart$",
            "from.workload:*",
            "workload:db from.workload:cart",
        ],
        &[
            "workload:deployment/cart",
            "workload:cart-7d4b8c9f5",
            "from.workload:cart-*",
            "from.workload:\"\"",
            "to.workload:cart",
            "workload:web/cart",
            "from.workload!=cart",
        ],
    );
    // What the record says stands, whatever the name looks like.
    check(&dropped(), &["from.workload:cart"], &["from.workload:cart-0"]);
    f.source = Some(endpoint("shop", "cart-7d4b8c9f5-xk2mh", &[], "basket"));
    check(&f, &["from.workload:basket"], &["from.workload:cart"]);
    f.source = Some(endpoint("shop", "", &[], ""));
    check(&f, &["from.workload:\"\""], &["from.workload:*"]);
    f.source = Some(endpoint("shop", "cart-7d4b8c9f5-xk2mh", &[], ""));
    for (args, found) in [(["--from-workload", "cart"], false), (["--workload", "cart"], false), (["--to-workload", "db"], true)] {
        let (flags, _) = split_args(&args.map(str::to_owned)).unwrap();
        assert_eq!(compile(&from_flags(&flags).unwrap()).unwrap().matches(&f), found, "{args:?}");
    }
}

#[test]
fn a_server_is_asked_for_no_fewer_owners_than_pass_here() {
    let pushed = |text: &str| push(&Filters::default(), &parse_expr(text).unwrap(), false, &ctx());
    let p = pushed("from.workload:cart,db");
    let named = |name: &str| flow::Workload { name: name.into(), kind: String::new() };
    let want = [
        flow::FlowFilter { source_workload: vec![named("cart"), named("db")], ..Default::default() },
        flow::FlowFilter { source_pod: vec!["/cart".into(), "/db".into()], ..Default::default() },
    ];
    assert_eq!((p.whitelist.as_slice(), p.exact, p.here.concat()), (&want[..], false, "from.workload:cart,db".to_owned()));
    assert_eq!((pushed("workload:cart").whitelist.len(), pushed("workload:shop/cart").whitelist.len()), (4, 0));
    // What is refused by the record's word alone may be another's here.
    assert!(pushed("not workload:cart").blacklist.is_empty() && pushed("workload!=cart").blacklist.is_empty());
}
