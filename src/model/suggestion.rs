//! The smallest change that lets a cause's traffic through, and what it would do: the `suggestion` object of `why -o json`.
//!
//! Owns shapes and the one sentence of the proof. Field order here is the order in the JSON; it is part of the interface.
use super::time::Nanos;
use super::words::count;
use serde::Serialize;
use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

/// A unified diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// Files that it changes, by the paths they were read from.
    pub files: Vec<String>,
    /// Applies with `patch -p0` or `git apply -p0` where the files were read.
    pub diff: String,
}

/// A path without `.` and `..`, as it is spelled; links are not followed.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = out.pop(),
            part => out.push(part),
        }
    }
    out
}

impl Patch {
    /// Names the files from this directory, or from the nearest one above all of them, which is then returned: neither `patch` nor `git`
    /// takes a path that begins at the root or leads upwards.
    fn named_from(&mut self, here: &Path) -> Option<PathBuf> {
        let leads_away = |f: &String| Path::new(f).components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir));
        if !self.files.iter().any(leads_away) {
            return None;
        }
        let full: Vec<PathBuf> = self.files.iter().map(|f| plain(&here.join(f))).collect();
        let base = here.ancestors().find(|dir| full.iter().all(|f| f.starts_with(dir)))?;
        for (file, full) in self.files.iter_mut().zip(&full) {
            let Ok(name) = full.strip_prefix(base) else { continue };
            let name = name.display().to_string();
            self.diff = self.diff.replacen(&format!("--- {file}\n+++ {file}\n"), &format!("--- {name}\n+++ {name}\n"), 1);
            *file = name;
        }
        (base != here).then(|| base.to_owned())
    }
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
    /// With a patch that can be applied in this directory; where its files lie elsewhere, a note says where.
    #[must_use]
    pub fn seen_from(mut self, here: &Path) -> Self {
        if let Some(base) = self.patch.as_mut().and_then(|p| p.named_from(here)) {
            self.notes.push(format!("the patch is to be applied from {0}: patch -p0 -d {0}", base.display()));
        }
        self
    }

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

    /// `of 98 120 records, 14:00:00 to 14:05:00, no capture filter, 0 lost: admits these 412 records and nothing else; newly isolates nothing`
    pub fn proof(&self) -> String {
        format!("of {}: {}", self.tried_on(), self.effect())
    }

    /// What the proof went over: `98 120 records, 14:00:00 to 14:05:00, no capture filter, 0 lost`.
    pub fn tried_on(&self) -> String {
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
        format!("{} records{when}, {filter}, {} lost{unheld}", count(b.records), count(b.lost))
    }

    /// What the change does there: `admits these 412 records and nothing else; newly isolates nothing`.
    pub fn effect(&self) -> String {
        let others = match self.others() {
            0 => " and nothing else".to_owned(),
            1 => ", and also 1 other conversation".to_owned(),
            n => format!(", and also {} other conversations", count(n)),
        };
        let part = if self.conversations == self.of {
            String::new()
        } else {
            format!(" ({} of {} conversations)", count(self.conversations), count(self.of))
        };
        let isolates = match self.isolated() {
            0 => "newly isolates nothing".to_owned(),
            n => format!("newly isolates {}", count(n)),
        };
        let undecided = match self.undecided {
            0 => String::new(),
            1 => "; of 1 more conversation it cannot be said".to_owned(),
            n => format!("; of {} more conversations it cannot be said", count(n)),
        };
        // Records, not drops: an agent tells of most drops twice, once as the verdict and once as the packet.
        let these = if self.admits == 1 { "this one record".to_owned() } else { format!("these {} records", count(self.admits)) };
        format!("admits {these}{part}{others}; {isolates}{undecided}")
    }

    /// What it does besides, or may do, in a few words: `also admits 1 other, newly isolates 2, undecided 3`. Empty: nothing.
    pub fn besides(&self) -> String {
        let said = [("also admits", self.others(), " other"), ("newly isolates", self.isolated(), ""), ("undecided", self.undecided, "")];
        let said = said.iter().filter(|s| s.1 > 0).map(|(what, n, other)| format!("{what} {}{other}", count(*n)));
        said.collect::<Vec<_>>().join(", ")
    }

    /// Other conversations that it admits.
    fn others(&self) -> u64 {
        self.also.len() as u64 + self.also_more
    }

    fn isolated(&self) -> u64 {
        self.isolates.len() as u64 + self.isolates_more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_its_files_from_where_it_can_be_applied() {
        let of = |files: &[&str]| {
            let diff = files.iter().map(|f| format!("--- {f}\n+++ {f}\n@@ -1 +1,2 @@\n a\n+b\n")).collect();
            let patch = Patch { files: files.iter().map(|f| (*f).to_owned()).collect(), diff };
            let seen = Suggestion { patch: Some(patch), ..Suggestion::default() }.seen_from(Path::new("/home/u/repo"));
            let patch = seen.patch.unwrap();
            assert!(patch.files.iter().all(|f| patch.diff.contains(&format!("--- {f}\n+++ {f}\n@@"))), "{patch:?}");
            (patch.files, seen.notes)
        };
        assert_eq!(of(&["k8s/db.yaml", "./a.yaml"]), (vec!["k8s/db.yaml".to_owned(), "./a.yaml".to_owned()], vec![]));
        assert_eq!(of(&["/home/u/repo/k8s/db.yaml"]), (vec!["k8s/db.yaml".to_owned()], vec![]));
        assert_eq!(of(&["../repo/k8s/db.yaml"]), (vec!["k8s/db.yaml".to_owned()], vec![]));
        let (files, notes) = of(&["/home/u/repo/a.yaml", "/home/u/other/b.yaml"]);
        assert_eq!(files, ["repo/a.yaml", "other/b.yaml"]);
        assert_eq!(notes, ["the patch is to be applied from /home/u: patch -p0 -d /home/u"]);
        assert_eq!(of(&["/etc/p.yaml"]).0, ["etc/p.yaml"]);
    }

    #[test]
    fn the_sentence_of_the_proof() {
        let at = |m: i64| Some(Nanos((1_767_276_000 + m * 60) * Nanos::SECOND));
        let basis = Ground { records: 98_120, conversations: 9, from: at(0), to: at(5), ..Ground::default() };
        let s = Suggestion { admits: 412, conversations: 1, of: 1, basis, ..Suggestion::default() };
        assert_eq!(
            s.proof(),
            "of 98 120 records, 14:00:00 to 14:05:00, no capture filter, 0 lost: admits these 412 records and nothing else; newly isolates nothing"
        );
        let s = Suggestion { also_more: 3, of: 2, undecided: 1, isolates: vec!["shop/web".into()], ..s };
        assert!(
            s.proof().ends_with(
                "admits these 412 records (1 of 2 conversations), and also 3 other conversations; newly isolates 1; of 1 more conversation it cannot be said"
            ),
            "{}",
            s.proof()
        );
        assert_eq!(s.besides(), "also admits 3 other, newly isolates 1, undecided 1");
        assert_eq!(Suggestion { admits: 412, ..Suggestion::default() }.besides(), "");
    }
}
