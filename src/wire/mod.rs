//! Bytes to fields and back, pure: no I/O, no clock, no panic on any bytes.
//!
//! `pb` the messages, `ids` the numbers that agents send for policies, `json` Hubble's JSON lines both ways, `lean` some fields of either form without making a message, `decode` a
//! frame of either codec, `response` what is handed on, `observed` a response in the terms that attribution needs, `pem`
//! certificates and keys, `reflect` the members of a flow by name, `clock` the time of a line.
pub mod clock;
pub mod decode;
pub mod ids;
pub mod json;
pub mod lean;
pub mod note;
pub mod observed;
pub mod pb;
pub mod pem;
pub mod reflect;
pub mod response;
pub mod view;
