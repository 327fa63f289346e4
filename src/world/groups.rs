//! Groups of address ranges (CiliumCIDRGroup), now and before. Owns what each of them was at a time; which rule means which is not its
//! business.
use super::World;
use super::kept::{Addressed, Own};
use super::objects::CidrGroup;
use crate::model::doc;
use crate::model::time::Nanos;

impl Addressed for CidrGroup {
    // Ranges are no address of its own.
    fn addresses(&self) -> impl Iterator<Item = Own> {
        std::iter::empty()
    }
}

impl World {
    pub(super) fn take_group(&mut self, name: &str, root: &doc::Node, at: Option<Nanos>) -> bool {
        let first = at.is_some_and(|at| self.kinds.is_first("ciliumcidrgroups", at));
        self.groups.set(&name.to_owned(), Some(CidrGroup::read(root)), at, first)
    }

    /// All that a group may have been at a time, `None` asks for now: more than one thing close to a change. In it `None`: there was none.
    /// `None` of all: what it was is not known.
    pub fn group_about<'a>(&'a self, name: &str, at: Option<Nanos>) -> Option<impl Iterator<Item = Option<&'a CidrGroup>> + use<'a>> {
        self.groups.about(name, at)
    }

    /// The same of every group that there was, or may have been, by name.
    pub fn groups_about(&self, at: Option<Nanos>) -> impl Iterator<Item = (&String, Option<impl Iterator<Item = Option<&CidrGroup>>>)> {
        self.groups.all_about(at)
    }
}
