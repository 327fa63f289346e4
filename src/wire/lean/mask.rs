//! Field masks over flows: which paths there are, and what a server leaves of a flow.
//!
//! Works on protobuf bytes, as the walks do. A message of which a part is asked for is there afterwards, even where the flow
//! has none: that is what Hubble's servers do.
use super::generated::member;
use super::pb::Fields;
use prost::encoding::{WireType, encode_key, encode_varint};
use std::collections::BTreeMap;

/// A tree of fields to keep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mask(BTreeMap<u32, Kept>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    Whole,
    /// Part of a message; where the message is missing it stays so, as with Hubble's servers.
    Part(Mask),
}

impl Mask {
    /// A mask of paths of a flow, `source.pod_name`. The error names the path that leads nowhere.
    pub fn new<S: AsRef<str>>(paths: &[S]) -> Result<Self, String> {
        let mut mask = Self::default();
        for path in paths {
            let path = path.as_ref();
            mask.add("flow.Flow", path).ok_or_else(|| format!("invalid path {path:?} for message \"flow.Flow\""))?;
        }
        Ok(mask)
    }

    fn add(&mut self, message: &str, path: &str) -> Option<()> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let found = member(message, name)?;
        let Some(rest) = rest else {
            self.0.insert(found.number, Kept::Whole);
            return Some(());
        };
        match self.0.entry(found.number).or_insert_with(|| Kept::Part(Self::default())) {
            Kept::Part(mask) => mask.add(found.of, rest),
            // All of it is kept already, but the path still has to be one.
            Kept::Whole => Self::default().add(found.of, rest),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the mask leaves of a `GetFlowsResponse` with a flow; `None` if the bytes are none.
    pub fn response(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        const FLOW: u32 = 1;
        let mut out = Vec::with_capacity(bytes.len());
        let mut fields = Fields(bytes);
        loop {
            let before = fields.0;
            let Some((number, wire)) = fields.key()? else { return Some(out) };
            if number == FLOW && wire == 2 {
                nested(FLOW, &self.flow(fields.bytes()?)?, &mut out);
            } else {
                fields.skip(wire)?;
                out.extend_from_slice(before.get(..before.len() - fields.0.len())?);
            }
        }
    }

    fn flow(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut parts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut fields = Fields(bytes);
        loop {
            let before = fields.0;
            let Some((number, wire)) = fields.key()? else { break };
            match (self.0.get(&number), wire) {
                (Some(Kept::Part(_)), 2) => parts.entry(number).or_default().extend_from_slice(fields.bytes()?),
                (kept, _) => {
                    fields.skip(wire)?;
                    if kept.is_some() {
                        out.extend_from_slice(before.get(..before.len() - fields.0.len())?);
                    }
                }
            }
        }
        for (number, bytes) in parts {
            if let Some(Kept::Part(mask)) = self.0.get(&number) {
                nested(number, &mask.flow(&bytes)?, &mut out);
            }
        }
        Some(out)
    }
}

fn nested(number: u32, message: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode::Decoded;
    use crate::wire::json::{read_line, write_response};
    use crate::wire::note::Notes;
    use crate::wire::pb::observer::GetFlowsResponse;
    use prost::Message as _;

    fn masked(paths: &[&str], line: &str) -> String {
        let Ok(Decoded::Response(r)) = read_line(line.as_bytes(), &mut Notes::default()) else { panic!("{line}") };
        let bytes = Mask::new(paths).unwrap().response(&r.encode_to_vec()).unwrap();
        let mut out = Vec::new();
        write_response(&GetFlowsResponse::decode(&*bytes).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    const LINE: &str = r#"{"flow":{"uuid":"u","verdict":"DROPPED","l4":{"TCP":{"source_port":1,"destination_port":2}},"source":{"identity":7,"namespace":"a","labels":["x"]},"Summary":"s"},"node_name":"n","time":"2025-11-23T08:53:20Z"}"#;

    #[test]
    fn what_is_asked_for_is_left() {
        let rest = r#","node_name":"n","time":"2025-11-23T08:53:20Z"}"#;
        for (paths, left) in [
            (&["verdict", "Summary"][..], r#"{"verdict":"DROPPED","Summary":"s"}"#),
            (&["source.namespace", "source.labels"], r#"{"source":{"namespace":"a","labels":["x"]}}"#),
            (&["source.namespace", "source"], r#"{"source":{"identity":7,"namespace":"a","labels":["x"]}}"#),
            (&["source", "source.namespace"], r#"{"source":{"identity":7,"namespace":"a","labels":["x"]}}"#),
            (&["destination.namespace", "source.pod_name", "file"], r#"{"source":{}}"#),
            (&["l4.TCP.source_port", "l4.UDP.source_port"], r#"{"l4":{"TCP":{"source_port":1}}}"#),
        ] {
            assert_eq!(masked(paths, LINE), format!("{{\"flow\":{left}{rest}"), "{paths:?}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere() {
        for bad in ["nope", "", "source.", ".source", "uuid.x", "source.labels.x", "egress_denied_by.name", "Source", "sourcePort"] {
            assert_eq!(Mask::new(&[bad]), Err(format!("invalid path {bad:?} for message \"flow.Flow\"")));
        }
        assert!(Mask::new(&["source", "source.nope"]).is_err());
        assert!(Mask::new::<&str>(&[]).unwrap().is_empty());
    }
}
