//! A parsed CEL expression against the flow's message: every name exists, every operator fits its operands, the whole is a bool.
//!
//! Also prepares it for `value`: constants become numbers, and `has(x.member)` becomes a member of its own. The interpreter does
//! none of this: without the check a slip of the pen would be a filter that never matches.
use super::types::{T, call, is_type, known};
use crate::query::fields::nearest;
use crate::wire::reflect::{ENUMS, MESSAGES};
use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

/// The one variable.
pub const FLOW: &str = "_flow";
/// Names are looked for in this package first.
const CONTAINER: &str = "flow.";
/// Before a member's name: whether it is set.
pub const HAS: char = '?';

/// What is wrong, and at which part of the expression.
pub struct Fault {
    pub id: u64,
    pub text: String,
}

type Result<X> = std::result::Result<X, Fault>;

fn fault<X>(id: u64, text: impl Into<String>) -> Result<X> {
    Err(Fault { id, text: text.into() })
}

/// Checks and rewrites the whole expression.
pub fn filter(e: &mut IdedExpr) -> Result<()> {
    match (Check { scope: vec![(FLOW.to_owned(), T::Message(0))] }).expr(e)? {
        T::Bool => Ok(()),
        t => fault(e.id, format!("got \"{t}\", wanted \"bool\" result type")),
    }
}

struct Check {
    scope: Vec<(String, T)>,
}

impl Check {
    fn expr(&mut self, e: &mut IdedExpr) -> Result<T> {
        let id = e.id;
        if let Some((name, value)) = self.constant(&e.expr) {
            let Some(value) = value else { return fault(id, format!("undeclared reference to '{name}' (in container 'flow')")) };
            e.expr = Expr::Literal(LiteralValue::Int(value.into()));
            return Ok(T::Int);
        }
        match &mut e.expr {
            Expr::Unspecified => fault(id, "there is no expression"),
            Expr::Literal(l) => Ok(match l {
                LiteralValue::Boolean(_) => T::Bool,
                LiteralValue::Bytes(_) => T::Bytes,
                LiteralValue::Double(_) => T::Double,
                LiteralValue::Int(_) => T::Int,
                LiteralValue::Null => T::Null,
                LiteralValue::String(_) => T::Text,
                LiteralValue::UInt(_) => T::Uint,
            }),
            Expr::Ident(name) => match self.variable(name) {
                Some(t) => Ok(t.clone()),
                None if is_type(name) => Ok(T::Type),
                None => {
                    let near = nearest(name, self.scope.iter().map(|(n, _)| n.as_str())).map(|n| format!("; did you mean {n}?"));
                    fault(id, format!("undeclared reference to '{name}' (in container 'flow'){}", near.unwrap_or_default()))
                }
            },
            Expr::Select(s) => {
                if !s.test && segments_of(s).is_some_and(|n| is_type(&n.join("."))) {
                    return Ok(T::Type);
                }
                let of = self.expr(&mut s.operand)?;
                match of {
                    T::Message(i) => {
                        let shape = MESSAGES.get(i);
                        let Some((_, member)) = shape.and_then(|m| m.find(&s.field)) else {
                            let near = nearest(&s.field, shape.into_iter().flat_map(|m| m.members).map(|m| m.name));
                            let near = near.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
                            return fault(id, format!("undefined field '{}'{near}", s.field));
                        };
                        let t = T::of(member);
                        if s.test {
                            s.test = false;
                            s.field.insert(0, HAS);
                            return Ok(T::Bool);
                        }
                        Ok(t)
                    }
                    T::Map(_, v) => Ok(if s.test { T::Bool } else { *v }),
                    T::Dyn => Ok(if s.test { T::Bool } else { T::Dyn }),
                    t => fault(id, format!("type '{t}' does not support field selection")),
                }
            }
            Expr::Call(c) => {
                let mut args = Vec::with_capacity(c.args.len() + 1);
                if let Some(target) = &mut c.target {
                    args.push(self.expr(target)?);
                }
                for a in &mut c.args {
                    args.push(self.expr(a)?);
                }
                let method = c.target.is_some();
                call(&c.func_name, method, &args).map_or_else(
                    || {
                        let list: Vec<_> = args.iter().map(ToString::to_string).collect();
                        if (0..4).any(|n| known(&c.func_name, method, n)) {
                            fault(id, format!("found no matching overload for '{}' applied to '({})'", c.func_name, list.join(", ")))
                        } else {
                            fault(id, format!("undeclared reference to '{}' (in container 'flow')", c.func_name))
                        }
                    },
                    Ok,
                )
            }
            Expr::List(l) => {
                let mut of = T::Open;
                for e in &mut l.elements {
                    let t = self.expr(e)?;
                    of = T::join(&of, &t).unwrap_or(T::Dyn);
                }
                Ok(T::list(of))
            }
            Expr::Map(m) => {
                let (mut keys, mut values) = (T::Open, T::Open);
                for e in &mut m.entries {
                    if let EntryExpr::MapEntry(entry) = &mut e.expr {
                        let (k, v) = (self.expr(&mut entry.key)?, self.expr(&mut entry.value)?);
                        keys = T::join(&keys, &k).unwrap_or(T::Dyn);
                        values = T::join(&values, &v).unwrap_or(T::Dyn);
                    }
                }
                Ok(T::Map(Box::new(keys), Box::new(values)))
            }
            Expr::Struct(s) => fault(id, format!("making a {} is not supported here", s.type_name)),
            Expr::Comprehension(c) => {
                let of = match self.expr(&mut c.iter_range)? {
                    T::List(t) | T::Map(t, _) => *t,
                    T::Dyn => T::Dyn,
                    t => {
                        return fault(
                            c.iter_range.id,
                            format!("expression of type '{t}' cannot be range of a comprehension (must be list, map, or dynamic)"),
                        );
                    }
                };
                if c.iter_var2.is_some() {
                    return fault(id, "comprehensions with two variables are not supported");
                }
                let init = self.expr(&mut c.accu_init)?;
                let depth = self.scope.len();
                self.scope.push((c.accu_var.clone(), init.clone()));
                self.scope.push((c.iter_var.clone(), of));
                let cond = self.expr(&mut c.loop_cond)?;
                let step = self.expr(&mut c.loop_step)?;
                self.scope.truncate(depth);
                if T::join(&cond, &T::Bool).is_none() {
                    return fault(id, format!("expected type 'bool' but found '{cond}'"));
                }
                let Some(accu) = T::join(&init, &step) else {
                    return fault(id, format!("expected type '{init}' but found '{step}'"));
                };
                self.scope.push((c.accu_var.clone(), accu));
                let result = self.expr(&mut c.result)?;
                self.scope.truncate(depth);
                Ok(result)
            }
        }
    }

    /// The innermost variable of this name.
    fn variable(&self, name: &str) -> Option<&T> {
        self.scope.iter().rfind(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// `Verdict.DROPPED`, `flow.Verdict.DROPPED`: the name, and its number if the enum has it.
    fn constant(&self, e: &Expr) -> Option<(String, Option<i64>)> {
        let Expr::Select(s) = e else { return None };
        let parts = segments_of(s)?;
        let root = parts.first()?;
        if s.test || self.variable(root).is_some() {
            return None;
        }
        let name = parts.join(".");
        let bare = name.trim_start_matches('.');
        let (owner, value) = bare.rsplit_once('.')?;
        let own = |full: &str| full == owner || (!name.starts_with('.') && full.strip_prefix(CONTAINER) == Some(owner));
        let (_, values) = ENUMS.iter().find(|(full, _)| own(full))?;
        let number = values.iter().find(|(n, _)| *n == value).map(|(_, n)| *n);
        Some((name, number))
    }
}

/// The words of `a.b.c`.
fn segments_of(s: &cel::common::ast::SelectExpr) -> Option<Vec<&str>> {
    let mut parts = vec![s.field.as_str()];
    let mut at = &s.operand.expr;
    loop {
        match at {
            Expr::Ident(name) => {
                parts.push(name);
                parts.reverse();
                return Some(parts);
            }
            Expr::Select(s) if !s.test => {
                parts.push(&s.field);
                at = &s.operand.expr;
            }
            _ => return None,
        }
    }
}
