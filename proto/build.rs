//! Compiles `proto/` without a system `protoc`: the messages with prost, and their readers and writers with `gen/`.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
#[path = "gen/mod.rs"]
mod generator;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let set = protox::compile(
        ["flow/flow.proto", "relay/relay.proto", "observer/observer.proto", "peer/peer.proto", "health/health.proto", "agent/agent.proto"],
        ["proto"],
    )?;
    let generator::Modules { json, lean, reflect } = generator::modules(&set)?;
    std::fs::write(out.join("json.rs"), json)?;
    std::fs::write(out.join("lean.rs"), lean)?;
    std::fs::write(out.join("reflect.rs"), reflect)?;
    let prost = tonic_prost_build::Config::new();
    tonic_prost_build::configure().out_dir(&out).build_transport(true).compile_fds_with_config(set, prost)?;
    Ok(())
}
