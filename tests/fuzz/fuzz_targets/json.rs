//! Arbitrary lines: never a panic, and what is read comes out in a form that reads back to the same.
#![no_main]
use flowhy::out::{Compact, Options};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, write_response};
use flowhy::wire::note::Notes;
use flowhy::wire::observed::observed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    if let Ok(Decoded::Response(r)) = read_line(line, &mut Notes::default()) {
        let mut text = Vec::new();
        write_response(&r, &mut text);
        assert_eq!(read_line(&text, &mut Notes::default()), Ok(Decoded::Response(r.clone())));
        let _ = observed(&r);
        for terminal in [false, true] {
            let mut out = Vec::new();
            Compact::new(Options { terminal, color: true, ..Options::default() }).line(&r, None, &mut out);
            assert!(std::str::from_utf8(&out).is_ok());
        }
    }
});
