//! Arbitrary lines and frames read in part: what the walk takes for canonical is what the writer writes, and no field says anything
//! else than the message does.
#![no_main]
use flowhy::model::view::{Field, FieldSet, View};
use flowhy::wire::decode::Decoded;
use flowhy::wire::json::{read_line, write_response};
use flowhy::wire::lean::{Lean, Walk};
use flowhy::wire::note::Notes;
use flowhy::wire::pb::observer::GetFlowsResponse;
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let every: FieldSet = Field::all().collect();
    let mut lean = Lean::new(every, Walk::Whole);
    if let Some(view) = lean.json(bytes) {
        let mut notes = Notes::default();
        let Ok(Decoded::Response(r)) = read_line(bytes, &mut notes) else { panic!("taken, but the reader refuses it") };
        let mut text = Vec::new();
        write_response(&r, &mut text);
        assert!(notes.is_empty() && text == bytes);
        Field::all().for_each(|f| assert_eq!(view.field(f), r.field(f), "{f:?}"));
    }
    if let Some(view) = lean.proto(bytes) {
        let r = GetFlowsResponse::decode(bytes).expect("taken, but the decoder refuses it");
        Field::all().for_each(|f| assert_eq!(view.field(f), r.field(f), "{f:?}"));
    }
});
