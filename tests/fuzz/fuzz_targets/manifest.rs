//! Arbitrary manifests: never a panic in the reader, the world or a kind's compiler, and every fault has a line.
#![no_main]
use flowhy::model::input::Change;
use flowhy::policy::PolicySet;
use flowhy::world::{World, yaml};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|text: &str| {
    let (docs, mut faults) = yaml::read("fuzz.yaml", text);
    let (mut world, mut policies) = (World::default(), PolicySet::default());
    for doc in docs {
        let change = Change::Apply(Arc::new(doc));
        world.apply(&change);
        faults.extend(policies.apply(&change));
    }
    assert!(faults.iter().all(|f| f.line > 0));
});
