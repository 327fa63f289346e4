//! Hubble's messages, and what agents may say besides, as prost makes them from `proto/`.
#![allow(clippy::all, deprecated, missing_docs, reason = "generated code")]
pub mod flow {
    include!(concat!(env!("OUT_DIR"), "/flow.rs"));
}
pub mod relay {
    include!(concat!(env!("OUT_DIR"), "/relay.rs"));
}
pub mod observer {
    include!(concat!(env!("OUT_DIR"), "/observer.rs"));
}
pub mod peer {
    include!(concat!(env!("OUT_DIR"), "/peer.rs"));
}
pub mod flowhy {
    pub mod agent {
        include!(concat!(env!("OUT_DIR"), "/flowhy.agent.rs"));
    }
}
pub mod health {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}
