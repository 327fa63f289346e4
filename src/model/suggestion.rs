//! The smallest change that lets a cause's traffic through, and what it would do: the `suggestion` object of `why -o json`.
//!
//! Owns shapes and the one sentence of the proof. Field order here is the order in the JSON; it is part of the interface.
use super::time::Nanos;
use super::words::count;
use serde::Serialize;
use std::borrow::Cow;

/// A unified diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// Files that it changes, by the paths they were read from.
    pub files: Vec<String>,
    /// Applies with `patch -p0` or `git apply -p0` where the files were read.
    pub diff: String,
}

/// A conversation that the change lets through besides those it is made for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Also {
    pub from: String,
    pub to: String,
    /// `TCP/5433`, `ICMP type 8`, with the request where there is one.
    pub what: String,
    pub records: u64,
}

/// What the proof went over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Ground {
    /// Flow records, folded into conversations.
    pub records: u64,
    pub conversations: u64,
    /// Records of conversations that found no room, so nothing is said of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub unheld: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Nanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Nanos>,
    /// Events that servers said they lost.
    pub lost: u64,
    /// What the capture was limited to; empty: nothing.
    pub filter: String,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// One suggestion. Without `yaml` it is advice only: nothing was found that could be shown to do it and no more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Suggestion {
    pub title: String,
    /// The edit of existing files; absent where only a new policy is wanted, or the text came from no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<Patch>,
    /// Every object that is new or changed, whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub yaml: String,
    /// Of these, the new ones where there is a patch beside them: no diff of the existing files has them.
    #[serde(skip)]
    pub new: String,
    /// Dropped (or audited) records of this cause that would pass.
    pub admits: u64,
    /// Conversations of this cause that would pass, of how many.
    pub conversations: u64,
    pub of: u64,
    /// Other conversations that are denied now and would pass.
    pub also: Vec<Also>,
    /// Those that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub also_more: u64,
    /// Endpoints that are open now in the direction of the change and would be isolated.
    pub isolates: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub isolates_more: u64,
    /// Conversations of which it is not known whether they pass, now or then, and that the change touches.
    pub undecided: u64,
    pub basis: Ground,
    /// Why the client may be what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Suggestion {
    /// Whether there is something to apply.
    pub fn applies(&self) -> bool {
        !self.yaml.is_empty()
    }

    /// What `y` copies: the patch and the new objects beside it, else the new objects.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.patch {
            None => Cow::Borrowed(&self.yaml),
            Some(p) if self.new.is_empty() => Cow::Borrowed(&p.diff),
            Some(p) => Cow::Owned(format!("{}# and besides, new:\n{}", p.diff, self.new)),
        }
    }

    /// `of 98 120 records, 14:00:00 to 14:05:00, no capture filter, 0 lost: admits these 412 and nothing else; newly isolates nothing`
    pub fn proof(&self) -> String {
        let b = &self.basis;
        let days = |t: Option<Nanos>| t.map(|t| t.utc().date_naive());
        let how = if days(b.from) == days(b.to) { "%T" } else { "%F %T" };
        let clock = |t: Nanos| t.utc().format(how).to_string();
        let when = match (b.from, b.to) {
            (Some(from), Some(to)) if from != to => format!(", {} to {}", clock(from), clock(to)),
            (Some(at), _) => format!(", {}", clock(at)),
            _ => String::new(),
        };
        let filter = if b.filter.is_empty() { "no capture filter".to_owned() } else { format!("captured with {}", b.filter) };
        let unheld = if b.unheld == 0 { String::new() } else { format!(", {} of conversations not held", count(b.unheld)) };
        let basis = format!("of {} records{when}, {filter}, {} lost{unheld}", count(b.records), count(b.lost));
        let also = self.also.len() as u64 + self.also_more;
        let others = match also {
            0 => " and nothing else".to_owned(),
            1 => ", and also 1 other conversation".to_owned(),
            n => format!(", and also {} other conversations", count(n)),
        };
        let part = if self.conversations == self.of {
            String::new()
        } else {
            format!(" ({} of {} conversations)", count(self.conversations), count(self.of))
        };
        let isolates = match self.isolates.len() as u64 + self.isolates_more {
            0 => "newly isolates nothing".to_owned(),
            n => format!("newly isolates {}", count(n)),
        };
        let undecided = match self.undecided {
            0 => String::new(),
            1 => "; of 1 more conversation it cannot be said".to_owned(),
            n => format!("; of {} more conversations it cannot be said", count(n)),
        };
        format!("{basis}: admits these {}{part}{others}; {isolates}{undecided}", count(self.admits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_the_proof() {
        let at = |m: i64| Some(Nanos((1_767_276_000 + m * 60) * Nanos::SECOND));
        let basis = Ground { records: 98_120, conversations: 9, from: at(0), to: at(5), ..Ground::default() };
        let s = Suggestion { admits: 412, conversations: 1, of: 1, basis, ..Suggestion::default() };
        assert_eq!(
            s.proof(),
            "of 98 120 records, 14:00:00 to 14:05:00, no capture filter, 0 lost: admits these 412 and nothing else; newly isolates nothing"
        );
        let s = Suggestion { also_more: 3, of: 2, undecided: 1, isolates: vec!["shop/web".into()], ..s };
        assert!(
            s.proof().ends_with(
                "admits these 412 (1 of 2 conversations), and also 3 other conversations; newly isolates 1; of 1 more conversation it cannot be said"
            ),
            "{}",
            s.proof()
        );
    }
}
