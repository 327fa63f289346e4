//! `--cel-expression`: CEL over a flow, as Hubble's servers have it.
//!
//! Owns compiling (parse, check, rewrite), evaluation, and the account of what failed while running: such a flow does not match,
//! and that is told. Must not look at a flow that the rest of the filter refuses; the caller asks last.
mod check;
mod types;
mod value;

use super::Trouble;
use crate::model::reflect::Message;
use cel::common::types::CelBool;
use cel::objects::Value;
use cel::parser::Expression;
use cel::{Context, Env};
use std::sync::{Arc, LazyLock};

/// The standard library, without the syntax of optional values, which servers do not have either.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// Longest expression: the parser's work grows faster than its text.
const LONGEST: usize = 10_000;

/// Expressions of which some has to be true.
#[derive(Debug)]
pub struct Programs {
    list: Vec<(String, Expression)>,
    trouble: Arc<Trouble>,
}

/// Compiles the expressions of one filter. The error has no prefix.
pub fn compile(sources: &[String], trouble: &Arc<Trouble>) -> Result<Programs, String> {
    let list = sources.iter().map(|s| one(s).map(|e| (s.clone(), e))).collect::<Result<_, _>>()?;
    Ok(Programs { list, trouble: trouble.clone() })
}

fn one(source: &str) -> Result<Expression, String> {
    if source.trim().is_empty() {
        return Err("the expression is empty".into());
    }
    if source.len() > LONGEST {
        return Err(format!("the expression is longer than {LONGEST} bytes"));
    }
    let program = ENV.compile(source).map_err(|e| {
        let first = e.errors.first();
        first.map_or_else(|| e.to_string(), |e| format!("{} (line {}, column {})", e.msg.trim(), e.pos.0, e.pos.1))
    })?;
    let mut e = program.expression().clone();
    check::filter(&mut e).map_err(|f| match program.source_info().offset_for(f.id) {
        Some((start, _)) => format!("{} (column {})", f.text, start + 1),
        None => f.text,
    })?;
    Ok(e)
}

impl Programs {
    /// Whether some expression is true of the flow; none is of what is no message.
    pub fn matches(&self, flow: Option<&dyn Message>) -> bool {
        let Some(flow) = flow else { return false };
        let mut context = Context::with_env(ENV.clone());
        context.add_variable_as_val(check::FLOW, Box::new(value::Msg::flow(flow)));
        self.list.iter().any(|(source, e)| match Value::resolve_val(e, &context) {
            Ok(v) => match v.downcast_ref::<CelBool>() {
                Some(b) => *b.inner(),
                None => self.trouble.add(|| format!("the CEL expression {source} gave no bool")),
            },
            Err(e) => self.trouble.add(|| format!("the CEL expression {source} failed: {e}")),
        })
    }
}

#[cfg(test)]
mod tests;
