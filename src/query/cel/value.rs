//! A flow as CEL sees it: messages whose members are read when an expression asks for them, and not before.
//!
//! An unset message answers with the defaults of its members, as protobuf's do; a wrapper that is not set is null.
use super::check::HAS;
use crate::model::reflect::{Got, Holds, Member, Message, Shape};
use crate::wire::reflect::MESSAGES;
use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelNull, CelString, CelTimestamp, CelUInt, DYN_TYPE, Type};
use cel::common::value::{CowVal, Val};
use std::sync::{Arc, LazyLock};

/// One type for each message, in the table's order.
static TYPES: LazyLock<Vec<Type>> = LazyLock::new(|| MESSAGES.iter().map(|m| Type::new_struct_type(m.name)).collect());

/// A message, or the empty one of its shape.
#[derive(Clone, Copy)]
pub struct Msg<'a> {
    shape: &'static Shape,
    at: usize,
    body: Option<&'a dyn Message>,
}

impl std::fmt::Debug for Msg<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.shape.name)
    }
}

impl<'a> Msg<'a> {
    /// A flow.
    pub fn flow(body: &'a dyn Message) -> Self {
        Self { shape: body.shape(), at: 0, body: Some(body) }
    }

    fn got(&self, member: usize) -> Got<'a> {
        self.body.map_or(Got::Unset, |b| b.get(member))
    }

    fn has(&self, number: usize) -> bool {
        match self.got(number) {
            Got::Unset => false,
            // These three are set even if they are false or 0.
            _ if self
                .shape
                .members
                .get(number)
                .is_some_and(|m| matches!(m.holds, Holds::MaybeBool | Holds::MaybeInt | Holds::MaybeUint)) =>
            {
                true
            }
            Got::Bool(b) => b,
            Got::Int(n) => n != 0,
            Got::Uint(n) => n != 0,
            Got::Double(n) => n != 0.0,
            Got::Text(s) => !s.is_empty(),
            Got::Texts(l) => !l.is_empty(),
            Got::Ints(l) => !l.is_empty(),
            Got::Uints(l) => !l.is_empty(),
            Got::Messages(l) => !l.is_empty(),
            Got::Time(..) | Got::Message(_) | Got::Any => true,
        }
    }

    fn value<'v>(&self, number: usize, member: &Member) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        'a: 'v,
    {
        let message = |at: usize, body| -> Box<dyn Val + 'v> {
            match MESSAGES.get(at) {
                Some(shape) => Box::new(Msg { shape, at, body }),
                None => Box::new(CelNull),
            }
        };
        let list = |l: Vec<Box<dyn Val + 'v>>| -> Box<dyn Val + 'v> { Box::new(CelList::from(l)) };
        Ok(match self.got(number) {
            Got::Bool(b) => Box::new(CelBool::from(b)),
            Got::Int(n) => Box::new(CelInt::from(n)),
            Got::Uint(n) => Box::new(CelUInt::from(n)),
            Got::Double(n) => Box::new(CelDouble::from(n)),
            Got::Text(s) => Box::new(CelString::from(s)),
            Got::Time(seconds, nanos) => time(seconds, nanos)?,
            Got::Message(body) => match member.holds {
                Holds::Message(at) => message(at, Some(body)),
                _ => Box::new(CelNull),
            },
            Got::Any => {
                return Err(ExecutionError::function_error(member.name, "messages of a kind that is not known here cannot be read"));
            }
            Got::Texts(l) => list(l.iter().map(|s| -> Box<dyn Val + 'v> { Box::new(CelString::from(s.as_str())) }).collect()),
            Got::Ints(l) => list(l.into_iter().map(|n| -> Box<dyn Val + 'v> { Box::new(CelInt::from(n)) }).collect()),
            Got::Uints(l) => list(l.into_iter().map(|n| -> Box<dyn Val + 'v> { Box::new(CelUInt::from(n)) }).collect()),
            Got::Messages(l) => match member.holds {
                Holds::Message(at) => list(l.into_iter().map(|body| message(at, Some(body))).collect()),
                _ => list(Vec::new()),
            },
            Got::Unset if member.repeated => list(Vec::new()),
            Got::Unset => match member.holds {
                Holds::Bool => Box::new(CelBool::from(false)),
                Holds::Int => Box::new(CelInt::from(0)),
                Holds::Uint => Box::new(CelUInt::from(0)),
                Holds::Double => Box::new(CelDouble::from(0.0)),
                Holds::Text => Box::new(CelString::from("")),
                Holds::Time => time(0, 0)?,
                Holds::Message(at) => message(at, None),
                Holds::MaybeBool | Holds::MaybeInt | Holds::MaybeUint | Holds::Any => Box::new(CelNull),
            },
        })
    }

    fn member<'v>(&self, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        'a: 'v,
    {
        let name = key.downcast_ref::<CelString<'_>>().map(CelString::inner).unwrap_or_default();
        if let Some((number, _)) = name.strip_prefix(HAS).and_then(|n| self.shape.find(n)) {
            return Ok(Box::new(CelBool::from(self.has(number))));
        }
        match self.shape.find(name) {
            Some((number, member)) => self.value(number, member),
            None => Err(ExecutionError::NoSuchKey(Arc::new(name.to_owned()))),
        }
    }
}

fn time<'v>(seconds: i64, nanos: i32) -> Result<Box<dyn Val + 'v>, ExecutionError> {
    match u32::try_from(nanos).ok().and_then(|n| chrono::DateTime::from_timestamp(seconds, n)) {
        Some(t) => Ok(Box::new(CelTimestamp::from(t.fixed_offset()))),
        None => Err(ExecutionError::function_error("timestamp", "out of range")),
    }
}

impl Val for Msg<'_> {
    fn get_type(&self) -> &Type {
        TYPES.get(self.at).unwrap_or(&DYN_TYPE)
    }

    fn cel_type() -> &'static Type {
        &DYN_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    /// Of the same kind, with equal members.
    fn equals(&self, other: &dyn Val) -> bool {
        let (Some(other_members), true) = (other.as_indexer(), self.get_type().name() == other.get_type().name()) else { return false };
        self.shape.members.iter().enumerate().all(|(number, m)| {
            let set = format!("{HAS}{}", m.name);
            let theirs = |name: &str| other_members.get(&CelString::from(name)).map(CowVal::into_owned);
            let both_set = theirs(&set).is_ok_and(|b| b.downcast_ref::<CelBool>().is_some_and(|b| *b.inner() == self.has(number)));
            both_set && (!self.has(number) || matches!((self.value(number, m), theirs(m.name)), (Ok(a), Ok(b)) if a.equals(b.as_ref())))
        })
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Msg<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.member(key).map(CowVal::Owned)
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.member(key)
    }
}
