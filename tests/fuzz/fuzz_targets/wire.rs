//! Arbitrary protobuf: never a panic, whatever a server sends.
#![no_main]
use flowhy::out::{Compact, Jsonpb, Options};
use flowhy::wire::observed::observed;
use flowhy::wire::pb::observer::GetFlowsResponse;
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(r) = GetFlowsResponse::decode(bytes) {
        let _ = observed(&r);
        let mut out = Vec::new();
        Jsonpb::new(Options::default()).line(&r, None, &mut out);
        assert!(std::str::from_utf8(&out).is_ok());
        out.clear();
        Compact::new(Options { terminal: true, node_name: true, policy_names: true, ..Options::default() }).line(&r, None, &mut out);
    }
});
