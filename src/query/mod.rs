//! stub
use crate::model::time::Nanos;
use crate::model::view::{FieldSet, View};
use crate::wire::pb::flow::FlowFilter;
#[derive(Debug, Clone, Default)]
pub struct Predicate;
impl Predicate {
    pub fn all() -> Self { Self }
    pub fn is_all(&self) -> bool { true }
    pub fn and(self, _: Self) -> Self { self }
    pub fn matches(&self, _: &dyn View) -> bool { true }
    pub fn fields(&self) -> FieldSet { FieldSet::EMPTY }
    pub fn text(&self) -> &str { "" }
}
pub struct Context;
impl Context { pub fn at(_: Nanos) -> Self { Self } }
#[derive(Debug)]
pub struct QueryError;
impl QueryError { pub fn to_error(&self, t: &str) -> crate::error::Error { crate::error::Error::usage(t) } }
pub fn parse(_: &str, _: &Context) -> Result<Predicate, QueryError> { Ok(Predicate) }
#[derive(Debug, Clone)]
pub struct Flag { pub name: &'static str, pub value: String }
#[derive(Debug, Clone, Default)]
pub struct Filters { pub whitelist: Vec<FlowFilter>, pub blacklist: Vec<FlowFilter>, pub warnings: Vec<String> }
pub fn from_flags(_: &[Flag]) -> Result<Filters, String> { Ok(Filters::default()) }
pub fn compile(_: &Filters) -> Result<Predicate, String> { Ok(Predicate) }
pub fn since(_: &str, _: Nanos) -> Result<Nanos, String> { Ok(Nanos(0)) }
