//! `--allowlist` and `--denylist`: FlowFilters as JSON, one after the other.
//!
//! The reading is `wire`'s. That reader is tolerant because streams are; here an unknown name is a mistake, so it is an error.
use crate::wire::json::read_message;
use crate::wire::note::Notes;
use crate::wire::pb::flow::FlowFilter;

/// The filters of one value; the empty text holds none.
pub fn decode(text: &str) -> Result<Vec<FlowFilter>, String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let (mut out, mut start) = (Vec::new(), 0);
    while let Some(value) = values.next() {
        value.map_err(|e| e.to_string())?;
        let end = values.byte_offset();
        let mut notes = Notes::default();
        let one = text.get(start..end).unwrap_or_default().trim();
        let filter = read_message(one.as_bytes(), &mut notes).map_err(|bad| bad.to_string())?;
        if let Some(name) = notes.fields.keys().next() {
            return Err(format!("unknown field {name:?}"));
        }
        if let Some(name) = notes.enums.keys().next() {
            return Err(format!("invalid value for enum field {name}"));
        }
        out.push(filter);
        start = end;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other() {
        assert_eq!(decode("").unwrap(), []);
        let two = decode(r#"{"verdict":["DROPPED"]} {"destinationPort":["443"]}"#).unwrap();
        assert_eq!((two[0].verdict[0], two[1].destination_port[0].as_str()), (2, "443"));
        for bad in [
            "{",
            "[]",
            "null",
            r#"{"nope":1}"#,
            r#"{"verdict":["dropped"]}"#,
            r#"{"verdict":"DROPPED"}"#,
            "verdict",
            r#"{"source_port":[80]}"#,
        ] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
