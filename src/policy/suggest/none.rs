//! Why a cause gets no edit: never silently, and never because a policy was blamed that nobody is sure of.
//!
//! Owns these sentences, one for every kind of cause; changes nothing.
use super::Ask;
use crate::model::why::{Agreement, Outcome, PolicyRef, Why};
use crate::model::words::few;

/// Facts and policies named in one sentence.
const NAMED: usize = 3;

/// Why there is no edit, and what to do instead.
pub struct Advice {
    pub title: String,
    pub notes: Vec<String>,
}

impl Advice {
    pub fn because(why: impl AsRef<str>) -> Self {
        Self { title: format!("no edit: {}", why.as_ref()), notes: Vec::new() }
    }
}

/// What stands in the way of any edit of this cause; `None`: nothing that can be said before one is tried.
pub fn of(ask: &Ask<'_>) -> Option<Advice> {
    let why = ask.why;
    let advice = match why.outcome {
        Outcome::HostFirewall => node(why),
        Outcome::NotPolicy => Advice::because("no policy stopped it, so none can let it through"),
        Outcome::Allowed => Advice::because("it passes"),
        Outcome::NowAllowed => Advice::because("the policies at hand let it through as they are"),
        Outcome::Undecidable => Advice::because(format!("which policy stops it is not known without {}", facts(&why.missing))),
        Outcome::AuthRequired => auth(why),
        Outcome::DefaultDeny | Outcome::DeniedByRule | Outcome::L7Denied | Outcome::DnsRefused => return uncertain(why),
    };
    Some(advice)
}

/// What the datapath and the policies do not agree about, these policies cannot mend; the same goes for a subject we made up.
fn uncertain(why: &Why) -> Option<Advice> {
    Some(match why.agreement {
        Agreement::Disagrees => {
            Advice::because("the datapath gives another reason than these policies, so an edit of them may mend nothing")
        }
        Agreement::Unknown => Advice::because("whether the datapath went by these policies is not certain"),
        Agreement::Agrees if why.inferred.iter().any(|i| i == "subject") => {
            Advice::because("which side stopped it is inferred and not told, and an edit for the wrong one mends nothing")
        }
        Agreement::Agrees if why.direction.is_none() => Advice::because("on which side it is stopped is not known"),
        Agreement::Agrees => return None,
    })
}

/// What opens a node opens it for everything on its network, and a slip cuts it off: no edit of its firewall is made up.
fn node(why: &Why) -> Advice {
    let title = format!("no edit: {} closes the node itself, and what opens a node is for a person to write", named(&why.policies));
    Advice {
        title,
        notes: vec!["a rule for a node admits to everything on its network, and one that is wrong cuts the node off".to_owned()],
    }
}

/// The rule allows it already; what is missing is the handshake.
fn auth(why: &Why) -> Advice {
    let title = format!("no edit: {} allows it once both sides have proved who they are", named(&why.policies));
    let notes = vec![
        "the agents have to do that (SPIRE, spire-agent on both nodes): a rule that does not ask for it would let in whoever cannot prove it"
            .to_owned(),
    ];
    Advice { title, notes }
}

pub fn facts(missing: &[String]) -> String {
    if missing.is_empty() { "more facts".to_owned() } else { few(missing.iter().cloned(), NAMED) }
}

fn named(policies: &[PolicyRef]) -> String {
    if policies.is_empty() { "a policy".to_owned() } else { few(policies.iter().map(|p| format!("{} {}", p.kind, p.path())), NAMED) }
}
