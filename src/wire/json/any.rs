//! `google.protobuf.Any` and `FieldMask`.
//!
//! An `Any` of a message that we know is read into the message and kept as its bytes, so that it comes out again; JSON of any form is a
//! message too (`structure`). One that we do not know makes its line unreadable, as it does for Hubble: what it holds cannot be turned
//! into bytes without its descriptor.
use super::generated;
use super::read::{ReadJson, Reader};
use super::structure::Shape;
use super::write::{WriteJson, Writer};
use crate::wire::note::Bad;
use prost_types::{Any, FieldMask};
use std::fmt::Write as _;

/// How many `Any`s may hold each other. Their bytes hide the nesting from prost's own limit.
const NESTED: u32 = 8;

fn name_of(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

impl Reader<'_, '_> {
    pub fn any(&mut self) -> Result<Any, Bad> {
        self.blanks();
        let (begin, depth) = (self.at, self.depth);
        let Some(type_url) = self.type_url()? else { return Ok(Any::default()) };
        (self.at, self.depth) = (begin, depth);
        if self.anys >= NESTED {
            return Err(self.bad(format!("more than {NESTED} extensions inside each other")));
        }
        self.anys += 1;
        let outer = std::mem::replace(&mut self.any_at, self.depth + 1);
        let value = match Shape::of(name_of(&type_url)) {
            Some(shape) => Some(self.spelt(shape)?),
            None => generated::encode_any(name_of(&type_url), self)?,
        };
        self.any_at = outer;
        self.anys -= 1;
        match value {
            Some(value) => Ok(Any { type_url, value }),
            None => Err(self.bad_at(begin, format!("an extension of a type that is not known here: {type_url:?}"))),
        }
    }

    /// The value of `@type`, wherever in the object it stands; `None` in an empty object.
    fn type_url(&mut self) -> Result<Option<String>, Bad> {
        let begin = self.at;
        let (mut found, mut empty) = (None, true);
        let mut first = self.object()?;
        while let Some(key) = self.key(&mut first)? {
            empty = false;
            if key != "@type" {
                self.skip()?;
            } else if found.is_some() {
                return Err(self.bad("the field \"@type\" is there twice"));
            } else {
                found = Some(self.string()?).filter(|t| !t.is_empty());
            }
        }
        if found.is_none() && !empty {
            return Err(self.bad_at(begin, "an extension without \"@type\""));
        }
        Ok(found)
    }

    /// A message that is spelt as a value of its own, beside its type.
    fn spelt(&mut self, shape: Shape) -> Result<Vec<u8>, Bad> {
        let (begin, mut first, mut found) = (self.at, self.object()?, None);
        while let Some(key) = self.key(&mut first)? {
            match &*key {
                "@type" => self.skip()?,
                "value" if found.is_none() => found = Some(self.shaped(shape)?),
                "value" => return Err(self.bad("the field \"value\" is there twice")),
                other => return Err(self.bad(format!("an extension of this type has no field {other:?}"))),
            }
        }
        found.ok_or_else(|| self.bad_at(begin, "an extension without \"value\""))
    }

    /// The message here, as bytes.
    pub(super) fn encoded<T: ReadJson>(&mut self) -> Result<Vec<u8>, Bad> {
        Ok(self.message::<T>()?.encode_to_vec())
    }

    pub fn field_mask(&mut self) -> Result<FieldMask, Bad> {
        self.blanks();
        let at = self.at;
        let text = self.str()?;
        if text.is_empty() {
            return Ok(FieldMask::default());
        }
        if text.contains('_') {
            return Err(self.bad_at(at, "a field mask in JSON has no underscores"));
        }
        let snake = |path: &str| {
            path.chars().fold(String::new(), |mut out, c| {
                let _ = if c.is_ascii_uppercase() { write!(out, "_{}", c.to_ascii_lowercase()) } else { write!(out, "{c}") };
                out
            })
        };
        Ok(FieldMask { paths: text.split(',').map(snake).collect() })
    }
}

impl Writer<'_> {
    pub fn any(&mut self, any: &Any) {
        self.depth += 1;
        self.braced(b'{', |w| {
            if any.type_url.is_empty() && any.value.is_empty() {
                return;
            }
            w.raw(",\"@type\":");
            w.string(&any.type_url);
            if let Some(shape) = Shape::of(name_of(&any.type_url)) {
                let begin = w.out.len();
                w.raw(",\"value\":");
                if w.shape(shape, &any.value) {
                    return;
                }
                w.out.truncate(begin);
            }
            if w.depth > NESTED || !generated::decode_any(name_of(&any.type_url), &any.value, w) {
                w.raw(",\"value\":\"");
                w.base64(&any.value);
                w.raw("\"");
            }
        });
        self.out.push(b'}');
        self.depth -= 1;
    }

    /// The members of a message given as bytes; `false` if they are not such a message.
    pub(super) fn decoded<T: prost::Message + Default + WriteJson>(&mut self, value: &[u8]) -> bool {
        T::decode(value).map(|m| m.members(self)).is_ok()
    }

    pub fn field_mask(&mut self, mask: &FieldMask) {
        let mut text = String::new();
        for (n, path) in mask.paths.iter().enumerate() {
            if n > 0 {
                text.push(',');
            }
            let mut raise = false;
            for c in path.chars() {
                match c {
                    '_' => raise = true,
                    c => {
                        text.push(if raise { c.to_ascii_uppercase() } else { c });
                        raise = false;
                    }
                }
            }
        }
        self.string(&text);
    }

    fn base64(&mut self, bytes: &[u8]) {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for chunk in bytes.chunks(3) {
            let n = chunk.iter().fold(0usize, |n, b| n << 8 | usize::from(*b)) << (8 * (3 - chunk.len()));
            for i in 0..4 {
                let letter = LETTERS.get(n >> (18 - 6 * i) & 63).copied().unwrap_or(b'=');
                self.out.push(if i <= chunk.len() { letter } else { b'=' });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pb::{flow, observer};
    use prost::Message as _;

    #[test]
    fn extensions_inside_extensions_end() {
        let mut any = Any { type_url: "x/none".into(), value: b"abcd".to_vec() };
        for _ in 0..10_000 {
            let f = flow::Flow { extensions: Some(any), ..Default::default() };
            any = Any { type_url: "x/flow.Flow".into(), value: f.encode_to_vec() };
            if any.value.len() > 100_000 {
                break;
            }
        }
        let mut out = Vec::new();
        Writer::new(&mut out).any(&any);
        assert!(String::from_utf8(out).unwrap().contains("\"value\":\""));
    }

    #[test]
    fn an_unknown_extension_is_written_as_base64() {
        let mut out = Vec::new();
        for value in [&b"a"[..], b"ab", b"abc", b"abcd"] {
            Writer::new(&mut out).any(&Any { type_url: "x/none".into(), value: value.to_vec() });
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"@type":"x/none","value":"YQ=="}{"@type":"x/none","value":"YWI="}{"@type":"x/none","value":"YWJj"}{"@type":"x/none","value":"YWJjZA=="}"#
        );
    }

    #[test]
    fn field_masks_go_both_ways() {
        let r = observer::GetFlowsRequest {
            field_mask: Some(FieldMask { paths: vec!["source.pod_name".into(), "l4".into()] }),
            ..Default::default()
        };
        let mut out = Vec::new();
        Writer::new(&mut out).message(&r);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), r#"{"field_mask":"source.podName,l4"}"#);
        let mut notes = Default::default();
        let back: observer::GetFlowsRequest = Reader::new(&out, &mut notes).unwrap().message().unwrap();
        assert_eq!(back, r);
    }
}
