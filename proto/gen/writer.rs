//! The writer's half: the members of a message in the order of their declaration, defaults left out.
use super::{Field, Holds, Message, Res};
use std::fmt::Write as _;

pub fn message(m: &Message, out: &mut String) -> Res<()> {
    writeln!(out, "impl WriteJson for {} {{ fn members(&self, w: &mut Writer<'_>) {{ let _ = &w;", m.rust)?;
    for f in &m.fields {
        writeln!(out, "{}", field(f))?;
    }
    writeln!(out, "}} }}")?;
    Ok(())
}

fn field(f: &Field) -> String {
    let key = format!("w.raw({:?});", format!(",\"{}\":", f.json));
    let by_ref = value(f, "v");
    if let Some((member, path, variant)) = &f.oneof {
        return format!("if let Some({path}::{variant}(v)) = &self.{member} {{ {key} {by_ref} }}");
    }
    let me = format!("self.{}", f.rust);
    if f.repeated {
        return format!("if !{me}.is_empty() {{ {key} w.list(&{me}, |w, v| {{ {by_ref} }}) }}");
    }
    match f.holds {
        Holds::Str => format!("if !{me}.is_empty() {{ let v = &{me}; {key} {by_ref} }}"),
        Holds::Bool => format!("if {me} {{ let v = &{me}; {key} {by_ref} }}"),
        Holds::Double => format!("if {me}.to_bits() != 0 {{ let v = &{me}; {key} {by_ref} }}"),
        Holds::Int32 | Holds::Uint32 | Holds::Int64 | Holds::Uint64 | Holds::Enum(_) => {
            format!("if {me} != 0 {{ let v = &{me}; {key} {by_ref} }}")
        }
        _ => format!("if let Some(v) = &{me} {{ {key} {by_ref} }}"),
    }
}

fn value(f: &Field, v: &str) -> String {
    match &f.holds {
        Holds::Str => format!("w.string({v})"),
        Holds::Bool | Holds::BoolValue => format!("w.boolean(*{v})"),
        Holds::Int32 | Holds::Int32Value => format!("w.signed(i64::from(*{v}))"),
        Holds::Uint32 | Holds::Uint32Value => format!("w.unsigned(u64::from(*{v}))"),
        Holds::Int64 => format!("w.quoted_signed(*{v})"),
        Holds::Uint64 => format!("w.quoted_unsigned(*{v})"),
        Holds::Double => format!("w.double(*{v})"),
        Holds::Enum(path) => format!("w.enumeration({path}::try_from(*{v}).ok().map(|e| e.as_str_name()), *{v})"),
        Holds::Message => format!("w.message({v})"),
        Holds::Timestamp => format!("w.timestamp({v})"),
        Holds::Any => format!("w.any({v})"),
        Holds::FieldMask => format!("w.field_mask({v})"),
    }
}
