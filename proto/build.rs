//! Compiles `proto/` without a system `protoc`.
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let set = protox::compile(["flow/flow.proto", "relay/relay.proto", "observer/observer.proto", "peer/peer.proto"], ["proto"])?;
    let mut prost = tonic_prost_build::Config::new();
    prost.bytes(["."]);
    tonic_prost_build::configure().out_dir(&out).build_transport(true).compile_fds_with_config(set, prost)?;
    Ok(())
}
