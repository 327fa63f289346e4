//! The reader's half: for each message a loop over the keys of its object.
use super::{Field, Holds, Message, Res};
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub fn message(m: &Message, out: &mut String) -> Res<()> {
    writeln!(out, "impl ReadJson for {} {{ fn read_json(&mut self, r: &mut Reader<'_, '_>) -> Result<(), Bad> {{", m.rust)?;
    writeln!(out, "let mut seen = 0u64; let mut first = r.object()?;")?;
    writeln!(out, "while let Some(key) = r.key(&mut first)? {{ match {} {{", number(m))?;
    for (n, f) in m.fields.iter().enumerate() {
        writeln!(out, "{n} => if r.fresh(&mut seen, {n}, &key)? {{ {} }},", field(f))?;
    }
    writeln!(out, "_ => r.unknown(&key)?, }} }} let _ = seen; Ok(()) }} }}")?;
    Ok(())
}

/// A key's field, found by its length first: a plain `match` over fifty strings compares with one after the other.
fn number(m: &Message) -> String {
    let mut by_length: BTreeMap<usize, BTreeMap<&str, usize>> = BTreeMap::new();
    for (n, f) in m.fields.iter().enumerate() {
        for key in [&f.json, &f.camel] {
            by_length.entry(key.len()).or_default().insert(key, n);
        }
    }
    let mut out = String::from("match key.len() {");
    for (length, keys) in by_length {
        let arms: String = keys.iter().map(|(key, n)| format!("{key:?} => {n},")).collect();
        out += &format!("{length} => match &*key {{ {arms} _ => 64 }},");
    }
    out + "_ => 64 }"
}

fn field(f: &Field) -> String {
    let value = value(f);
    if f.repeated {
        let push = if is_enum(f) {
            format!("if let Some(n) = {value} {{ self.{0}.push(n) }}", f.rust)
        } else {
            format!("self.{}.push({value})", f.rust)
        };
        return format!("let mut first = r.list()?; while r.item(&mut first)? {{ {push} }}");
    }
    if let Some((member, path, variant)) = &f.oneof {
        return format!("if self.{member}.is_some() {{ return Err(r.second_of(&key)) }} self.{member} = Some({path}::{variant}({value}))");
    }
    match f.holds {
        Holds::Enum(_) => format!("if let Some(n) = {value} {{ self.{} = n }}", f.rust),
        Holds::Message | Holds::Timestamp | Holds::BoolValue | Holds::Int32Value | Holds::Uint32Value | Holds::Any | Holds::FieldMask => {
            format!("self.{} = Some({value})", f.rust)
        }
        _ => format!("self.{} = {value}", f.rust),
    }
}

fn is_enum(f: &Field) -> bool {
    matches!(f.holds, Holds::Enum(_))
}

fn value(f: &Field) -> String {
    match &f.holds {
        Holds::Str => "r.string()?".into(),
        Holds::Bool | Holds::BoolValue => "r.boolean()?".into(),
        Holds::Int32 | Holds::Int32Value => "r.int32()?".into(),
        Holds::Uint32 | Holds::Uint32Value => "r.uint32()?".into(),
        Holds::Int64 => "r.int64()?".into(),
        Holds::Uint64 => "r.uint64()?".into(),
        Holds::Double => "r.double()?".into(),
        Holds::Enum(path) => format!("r.enumeration(&key, |s| {path}::from_str_name(s).map(|v| v as i32))?"),
        Holds::Message => "r.message()?".into(),
        Holds::Timestamp => "r.timestamp()?".into(),
        Holds::Any => "r.any()?".into(),
        Holds::FieldMask => "r.field_mask()?".into(),
    }
}
