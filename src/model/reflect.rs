//! A message whose members are asked for by name: what a filter needs that learns the names from its user.
//!
//! Owns the shape of the tables and of the answers. Must not know what messages there are.

/// What a member holds, one element of it if it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Bool,
    /// Enums too.
    Int,
    Uint,
    Double,
    Text,
    /// The place of its shape in the table.
    Message(usize),
    Time,
    /// These three tell "not said" from false and 0.
    MaybeBool,
    MaybeInt,
    MaybeUint,
    /// A message of a kind that is not known before.
    Any,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// As in the .proto file.
    pub name: &'static str,
    pub holds: Holds,
    pub repeated: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// `package.Name`.
    pub name: &'static str,
    pub members: &'static [Member],
}

impl Shape {
    /// A member and its number.
    pub fn find(&self, name: &str) -> Option<(usize, &Member)> {
        self.members.iter().enumerate().find(|(_, m)| m.name == name)
    }
}

/// The value of a member. Scalars that were never set have their defaults; `Unset` are messages, times, the `Maybe` kinds, and
/// the members of a oneof that were not chosen.
pub enum Got<'a> {
    Unset,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'a str),
    /// Seconds and nanoseconds since 1970.
    Time(i64, i32),
    Message(&'a dyn Message),
    Any,
    Texts(&'a [String]),
    Ints(Vec<i64>),
    Uints(Vec<u64>),
    Messages(Vec<&'a dyn Message>),
}

/// A message that answers for its members.
pub trait Message: Send + Sync {
    fn shape(&self) -> &'static Shape;
    /// The member with this number in the shape.
    fn get(&self, member: usize) -> Got<'_>;
}
