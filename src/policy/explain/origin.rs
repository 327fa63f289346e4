//! Who wrote the policies that decide, and who keeps them so: a person who is about to change one wants to know whose it is.
//!
//! Owns the sentence. Only a cluster's API knows it; of a manifest nothing is said.
use crate::model::live::Live;
use crate::model::text::clean;
use crate::model::why::Why;
use crate::policy::PolicySet;

/// Policies of which it is said.
const TOLD: usize = 3;

/// Adds what is known of the policies that decide.
pub(super) fn tell(why: &mut Why, set: &PolicySet) {
    let mut said: Vec<String> = Vec::new();
    for policy in &why.policies {
        let Some(words) = set.find(policy).and_then(|p| sentence(p.doc.live.as_ref()?)) else { continue };
        let line = format!("{} {} {words}", policy.kind, clean(&policy.path()));
        if !said.contains(&line) {
            said.push(line);
        }
    }
    said.truncate(TOLD);
    why.because.extend(said);
}

/// `was last changed by kubectl-edit at 2026-01-02T00:00:00Z and is kept by Argo CD application shop`.
fn sentence(live: &Live) -> Option<String> {
    let changed = live.changed.as_ref().map(|c| {
        let at = c.at.map(|t| format!(" at {t}")).unwrap_or_default();
        format!("was last changed by {}{at}", clean(&c.by))
    });
    let kept = live.owner.as_ref().map(|o| format!("is kept by {}", clean(&o.to_string())));
    let all: Vec<String> = [changed, kept].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::live::{Changed, Owner};
    use crate::model::time::Nanos;

    #[test]
    fn who_wrote_a_policy_and_who_keeps_it() {
        let changed = Some(Changed { by: "kubectl-\u{1b}edit".to_owned(), at: Some(Nanos(0)) });
        let owner = Some(Owner { what: "Argo CD application".to_owned(), name: "shop".to_owned() });
        let said = |changed: &Option<Changed>, owner: &Option<Owner>| {
            sentence(&Live { changed: changed.clone(), owner: owner.clone(), ..Live::default() })
        };
        assert_eq!(
            said(&changed, &owner).as_deref(),
            Some("was last changed by kubectl-\u{fffd}edit at 1970-01-01T00:00:00Z and is kept by Argo CD application shop")
        );
        assert_eq!(said(&None, &owner).as_deref(), Some("is kept by Argo CD application shop"));
        assert_eq!(said(&None, &None), None);
    }
}
