//! Interned strings. A flow's names repeat a million times; a row holds four bytes for each.
use foldhash::HashMap;
use std::sync::Arc;

/// An interned string. `Sym::EMPTY` is the empty string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sym(u32);

impl Sym {
    pub const EMPTY: Self = Self(0);

    pub fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    /// Dense, from 0.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Strings by number and numbers by string. Grows with the number of distinct strings; the store rebuilds it when it evicts.
#[derive(Debug)]
pub struct Interner {
    by_name: HashMap<Arc<str>, Sym>,
    names: Vec<Arc<str>>,
}

impl Default for Interner {
    fn default() -> Self {
        let empty: Arc<str> = Arc::from("");
        Self { by_name: HashMap::from_iter([(empty.clone(), Sym::EMPTY)]), names: vec![empty] }
    }
}

impl Interner {
    /// The symbol of `s`. After 2³² − 1 distinct strings, further ones become the empty string.
    pub fn intern(&mut self, s: &str) -> Sym {
        if let Some(sym) = self.by_name.get(s) {
            return *sym;
        }
        let Ok(n) = u32::try_from(self.names.len()) else { return Sym::EMPTY };
        let name: Arc<str> = Arc::from(s);
        self.names.push(name.clone());
        self.by_name.insert(name, Sym(n));
        Sym(n)
    }

    pub fn find(&self, s: &str) -> Option<Sym> {
        self.by_name.get(s).copied()
    }

    pub fn name(&self, sym: Sym) -> &str {
        self.names.get(sym.0 as usize).map_or("", |s| s)
    }

    /// How many distinct strings are held, the empty one included.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.len() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_string_one_symbol() {
        let mut i = Interner::default();
        let (a, b) = (i.intern("shop"), i.intern("web"));
        assert_ne!(a, b);
        assert_eq!(i.intern("shop"), a);
        assert_eq!(i.name(a), "shop");
        assert_eq!(i.intern(""), Sym::EMPTY);
        assert_eq!(i.find("nobody"), None);
    }
}
