//! Numbers that agents send in place of policies' names, and what a dictionary says that they mean. Owns the shapes; looks nothing up.
use super::observed::Direction;

/// What a record says of its policy in numbers (`flowhy.agent.Ruling`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ruling {
    pub policy: u64,
    /// 0: which rule is not known.
    pub rule: u64,
    /// 0: not known.
    pub generation: u64,
    /// Of the agent: numbers of two instances have nothing to do with each other.
    pub instance: u64,
}

/// Some entries of the dictionary of one node's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// As its flows name it; empty: of every node.
    pub node: String,
    pub instance: u64,
    pub entries: Vec<Meaning>,
}

impl Ids {
    /// Cluster and node: names as long as any may be. No node has a longer one, whoever tells of it.
    pub const LONGEST: usize = 2 * Meaning::LONGEST;

    /// The entries that can be kept.
    pub fn sound(&self) -> impl Iterator<Item = &Meaning> {
        let named = self.node.len() <= Self::LONGEST;
        self.entries.iter().filter(move |m| named && m.is_sound())
    }
}

/// What a number means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Meaning {
    pub policy: u64,
    /// 0: the entry is about the policy as a whole.
    pub rule: u64,
    /// 0: true of each generation.
    pub generation: u64,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub direction: Option<Direction>,
    pub rule_index: Option<u32>,
    pub rule_name: String,
}

impl Meaning {
    /// No name of Kubernetes is longer; a hostile agent's may be.
    const LONGEST: usize = 253;

    /// Whether it can be kept: it names something, in words of a length that names have.
    fn is_sound(&self) -> bool {
        let words = [&self.kind, &self.namespace, &self.name, &self.uid, &self.rule_name];
        self.policy != 0 && !self.name.is_empty() && words.iter().all(|w| w.len() <= Self::LONGEST)
    }

    /// Whether both are about one policy.
    pub fn is_of(&self, other: &Self) -> bool {
        (&self.kind, &self.namespace, &self.name) == (&other.kind, &other.namespace, &other.name)
    }

    /// Bytes of all its words.
    pub fn length(&self) -> usize {
        [&self.kind, &self.namespace, &self.name, &self.uid, &self.rule_name].into_iter().map(String::len).sum()
    }

    /// `NetworkPolicy shop/db`.
    pub fn policy(&self) -> String {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.kind, self.namespace, self.name)
    }
}
