//! A frame of either codec to a message.
use super::json;
use super::note::{Bad, Notes};
use super::pb::observer::{GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse};
use crate::model::input::{Codec, Frame};
use prost::Message as _;

/// What a frame held.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are responses; a box each would cost more than the moves")]
pub enum Decoded {
    /// A flow, lost events or a node's status: `response_types` is there.
    Response(GetFlowsResponse),
    AgentEvent(GetAgentEventsResponse),
    DebugEvent(GetDebugEventsResponse),
    /// The JSON text after `{"world":`, checked to be JSON and nothing more.
    World(Vec<u8>),
    /// A line of nothing but blanks.
    Blank,
}

/// Reads the frame. A source that could not hand over the whole of it has said why; so does the error then.
pub fn decode(frame: &Frame, notes: &mut Notes) -> Result<Decoded, Bad> {
    if let Some(reason) = &frame.broken {
        return Err(Bad::new(reason.as_str()));
    }
    decode_bytes(frame.codec, &frame.bytes, notes)
}

/// Reads the bytes of a whole frame.
pub fn decode_bytes(codec: Codec, bytes: &[u8], notes: &mut Notes) -> Result<Decoded, Bad> {
    match codec {
        Codec::HubbleJson => json::read_line(bytes, notes),
        Codec::Hubble => {
            let r = GetFlowsResponse::decode(bytes).map_err(|e| Bad::new(format!("not a Hubble response: {e}")))?;
            if r.response_types.is_none() {
                return Err(Bad::new("neither a flow nor any other event in it"));
            }
            Ok(Decoded::Response(r))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pb::observer::get_flows_response::ResponseTypes;
    use bytes::Bytes;

    fn frame(codec: Codec, bytes: &[u8]) -> Frame {
        Frame { codec, from: "t".into(), line: 1, bytes: Bytes::copy_from_slice(bytes), broken: None }
    }

    #[test]
    fn both_codecs_say_the_same() {
        let text = br#"{"flow":{"verdict":9,"uuid":"u"},"node_name":"n","time":"2025-11-23T00:00:00Z"}"#;
        let mut notes = Notes::default();
        let Decoded::Response(r) = decode(&frame(Codec::HubbleJson, text), &mut notes).unwrap() else { panic!() };
        assert!(matches!(&r.response_types, Some(ResponseTypes::Flow(f)) if f.verdict == 9));
        assert_eq!(decode(&frame(Codec::Hubble, &r.encode_to_vec()), &mut notes), Ok(Decoded::Response(r)));
        assert!(notes.is_empty());
    }

    #[test]
    fn a_broken_frame_says_why() {
        let mut f = frame(Codec::HubbleJson, b"{\"flow\":{}}");
        f.broken = Some("longer than 16 MiB".into());
        assert_eq!(decode(&f, &mut Notes::default()), Err(Bad::new("longer than 16 MiB")));
        assert!(decode(&frame(Codec::Hubble, b"\xff\xff"), &mut Notes::default()).is_err());
        assert!(decode(&frame(Codec::Hubble, b""), &mut Notes::default()).is_err());
    }
}
