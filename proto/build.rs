//! Compiles `proto/` without a system `protoc`: the messages with prost, and their proto3 JSON reader and writer with `gen/`.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
#[path = "gen/mod.rs"]
mod generator;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let set = protox::compile(["flow/flow.proto", "relay/relay.proto", "observer/observer.proto", "peer/peer.proto"], ["proto"])?;
    std::fs::write(out.join("json.rs"), generator::json(&set)?)?;
    std::fs::write(out.join("reflect.rs"), generator::reflect(&set)?)?;
    let prost = tonic_prost_build::Config::new();
    tonic_prost_build::configure().out_dir(&out).build_transport(true).compile_fds_with_config(set, prost)?;
    Ok(())
}
