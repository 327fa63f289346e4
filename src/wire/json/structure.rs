//! `google.protobuf.Struct`, `Value` and `ListValue`: JSON as a message, and back. Retina puts what Hubble has no field for into one.
//!
//! Owns their mapping as Go's protojson has it: an object's keys come out by name, and a number is a double.
use super::read::Reader;
use super::write::Writer;
use crate::wire::note::Bad;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

/// The types that are spelt as their value, not by their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Struct,
    Value,
    List,
}

impl Shape {
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "google.protobuf.Struct" => Some(Self::Struct),
            "google.protobuf.Value" => Some(Self::Value),
            "google.protobuf.ListValue" => Some(Self::List),
            _ => None,
        }
    }
}

impl Reader<'_, '_> {
    /// What stands here, as the bytes of such a message.
    pub(super) fn shaped(&mut self, shape: Shape) -> Result<Vec<u8>, Bad> {
        Ok(match shape {
            Shape::Struct => self.structure()?.encode_to_vec(),
            Shape::Value => self.any_value()?.encode_to_vec(),
            Shape::List => self.values()?.encode_to_vec(),
        })
    }

    fn structure(&mut self) -> Result<Struct, Bad> {
        let (mut out, mut first) = (Struct::default(), self.object()?);
        while let Some(key) = self.key(&mut first)? {
            let value = self.any_value()?;
            if out.fields.insert(key.clone().into_owned(), value).is_some() {
                return Err(self.bad(format!("the key {key:?} is there twice")));
            }
        }
        Ok(out)
    }

    fn values(&mut self) -> Result<ListValue, Bad> {
        let (mut out, mut first) = (ListValue::default(), self.list()?);
        while self.item(&mut first)? {
            out.values.push(self.any_value()?);
        }
        Ok(out)
    }

    fn any_value(&mut self) -> Result<Value, Bad> {
        let kind = match self.token() {
            Some(b'{') => Kind::StructValue(self.structure()?),
            Some(b'[') => Kind::ListValue(self.values()?),
            Some(b'"') => Kind::StringValue(self.string()?),
            Some(b't' | b'f') => Kind::BoolValue(self.boolean()?),
            Some(b'n') => {
                self.word("null")?;
                Kind::NullValue(0)
            }
            _ => Kind::NumberValue(self.double()?),
        };
        Ok(Value { kind: Some(kind) })
    }
}

impl Writer<'_> {
    /// Such a message as JSON; `false`, and nothing written, if the bytes are none, or one that JSON has no word for.
    pub(super) fn shape(&mut self, shape: Shape, bytes: &[u8]) -> bool {
        let begin = self.out.len();
        let written = match shape {
            Shape::Struct => Struct::decode(bytes).is_ok_and(|s| self.structure(&s)),
            Shape::Value => Value::decode(bytes).is_ok_and(|v| self.any_value(&v)),
            Shape::List => ListValue::decode(bytes).is_ok_and(|l| self.values(&l)),
        };
        if !written {
            self.out.truncate(begin);
        }
        written
    }

    fn structure(&mut self, s: &Struct) -> bool {
        let mut all = true;
        self.braced(b'{', |w| {
            for (key, value) in &s.fields {
                w.raw(",");
                w.string(key);
                w.raw(":");
                all &= w.any_value(value);
            }
        });
        self.raw("}");
        all
    }

    fn values(&mut self, l: &ListValue) -> bool {
        let mut all = true;
        self.braced(b'[', |w| {
            for value in &l.values {
                w.raw(",");
                all &= w.any_value(value);
            }
        });
        self.raw("]");
        all
    }

    fn any_value(&mut self, v: &Value) -> bool {
        match &v.kind {
            None => return false,
            Some(Kind::NullValue(_)) => self.raw("null"),
            Some(Kind::NumberValue(n)) if !n.is_finite() => return false,
            Some(Kind::NumberValue(n)) => self.double(*n),
            Some(Kind::StringValue(s)) => self.string(s),
            Some(Kind::BoolValue(b)) => self.boolean(*b),
            Some(Kind::StructValue(s)) => return self.structure(s),
            Some(Kind::ListValue(l)) => return self.values(l),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::note::Notes;
    use crate::wire::pb::flow::Flow;

    fn line(extension: &str) -> String {
        format!(r#"{{"extensions":{{{extension}}}}}"#)
    }

    fn again(extension: &str) -> Result<String, String> {
        let (line, mut notes) = (line(extension), Notes::default());
        let flow: Flow = super::Reader::new(line.as_bytes(), &mut notes).and_then(|mut r| r.message()).map_err(|b| b.reason)?;
        let mut out = Vec::new();
        super::Writer::new(&mut out).message(&flow);
        Ok(String::from_utf8(out).unwrap())
    }

    const TYPE: &str = r#""@type":"type.googleapis.com/google.protobuf."#;

    #[test]
    fn what_a_struct_holds_comes_out_as_it_went_in() {
        let value = r#"{"a":[1,2.5,-1e-7,"x\u003c",null,true,{}],"b":{"c":[]}}"#;
        let all =
            [format!(r#"{TYPE}Struct","value":{value}"#), format!(r#"{TYPE}Value","value":7"#), format!(r#"{TYPE}ListValue","value":[7]"#)];
        for whole in all {
            assert_eq!(again(&whole).unwrap(), line(&whole));
        }
        let unsorted = format!(r#""value": {{"b": 60.0, "a": "IPTABLE_RULE_DROP"}}, {TYPE}Struct""#);
        assert_eq!(again(&unsorted).unwrap(), line(&format!(r#"{TYPE}Struct","value":{{"a":"IPTABLE_RULE_DROP","b":60}}"#)));
    }

    #[test]
    fn what_is_no_such_value_is_refused() {
        for bad in
            [r#"Struct","value":[]"#, r#"Struct","value":{"a":1,"a":2}"#, r#"Struct""#, r#"ListValue","value":{}"#, r#"Struct","other":{}"#]
        {
            assert!(again(&format!("{TYPE}{bad}")).is_err(), "{bad}");
        }
        let deep = format!(r#"{TYPE}Struct","value":{}1{}"#, r#"{"a":"#.repeat(100), "}".repeat(100));
        assert!(again(&deep).is_err());
    }
}
