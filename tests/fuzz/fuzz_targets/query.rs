//! Arbitrary filters: never a panic, errors point into the text, and what is printed parses to the same.
#![no_main]
use flowhy::query::{Context, complete, parse, parse_expr};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match parse_expr(text) {
        Ok(expr) => assert_eq!(parse_expr(&expr.to_string()).as_ref(), Ok(&expr)),
        Err(e) => assert!(text.get(e.span.start..e.span.end).is_some()),
    }
    let _ = parse(text, &Context::default());
    for cursor in [0, text.len() / 2, text.len()] {
        let _ = complete(text, cursor);
    }
});
