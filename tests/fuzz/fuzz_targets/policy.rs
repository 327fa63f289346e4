//! Policies and flows made of arbitrary choices: never a panic in compiling, judging or explaining, and never an answer that the
//! slow reference of the tests contradicts.
#![no_main]
#[path = "../../reference/bytes.rs"]
mod bytes;
#[path = "../../policy/case.rs"]
mod case;
#[path = "../../reference/ours.rs"]
mod ours;
#[path = "../../reference/random.rs"]
mod random;
#[path = "../../reference/mod.rs"]
mod reference;
#[path = "../../reference/tiers.rs"]
mod tiers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bytes::one(bytes));
