//! What a cluster's API says of an object beside the object: its version, who wrote it last, who keeps it so, what others say of it.
//! A manifest has none of it. Owns the shapes; reads no JSON.
use super::time::Nanos;
use std::fmt;

/// A version of a live object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    pub uid: String,
    /// Changes with every write.
    pub resource_version: String,
    /// Counts changes of what is wanted; `None` where the kind does not count them.
    pub generation: Option<i64>,
    pub created: Option<Nanos>,
    /// The last write that was not one of status only.
    pub changed: Option<Changed>,
    pub owner: Option<Owner>,
    /// `status.conditions`, in their order.
    pub conditions: Vec<Condition>,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Who, as the API keeps it: `kubectl-edit`, `argocd-controller`. A program, not a person.
    pub by: String,
    /// To the second.
    pub at: Option<Nanos>,
}

/// What made an object and will make it so again: an edit by hand does not last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `Argo CD application`, `Flux Kustomization`, `Helm release`, or the kind of the owning object.
    pub what: String,
    /// Empty where only the tool is known.
    pub name: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.name.is_empty() { Ok(()) } else { write!(f, " {}", self.name) }
    }
}

/// What a controller says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
    pub message: String,
}

impl Live {
    /// The condition of this kind.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.kind == kind)
    }
}
