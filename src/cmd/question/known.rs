//! Whether who is asked about is there at all: in a cluster whose lists are complete, a slip of the pen is no pod that no policy selects.
//!
//! Owns the refusal and the names that may have been meant. Where a list is not complete, or manifests are all there is, nothing is refused:
//! what they do not have may still be there. Nor is a name that is near none: a workload is known by its pods, and may have none now.
use super::{Place, Question, described};
use crate::engine::Engine;
use crate::error::Error;
use crate::model::near::distance;
use crate::model::text::clean;
use crate::model::words::few;

/// Names listed where none is near.
const NAMED: usize = 8;
/// A name so many edits away may have been meant.
const NEAR: usize = 2;

/// That one of both is not there.
pub fn absent(engine: &Engine, q: &Question) -> Option<Error> {
    engine.clusters().next()?;
    [&q.src, &q.dst].into_iter().find_map(|place| of(place, engine, q))
}

fn of(place: &Place, engine: &Engine, q: &Question) -> Option<Error> {
    let world = engine.world();
    let (namespace, pod) = match place {
        Place::Pod { namespace, name } => (namespace, Some(name)),
        Place::Labels { namespace, .. } => (namespace, None),
        Place::Address(_) | Place::Reserved(_) | Place::Name(_) => return None,
    };
    if let Some(name) = pod
        && described((namespace, name), engine, &mut q.port.clone(), q.l4, &mut Vec::new()).is_some()
    {
        return None;
    }
    let namespaces = world.namespaces();
    if world.lists("namespaces") && !namespaces.contains(&namespace.as_str()) {
        let cause = format!("the cluster has no namespace {}", clean(namespace));
        return Some(refusal(place, &cause, namespace, &namespaces));
    }
    let name = pod.filter(|_| world.lists("pods"))?;
    let pods: Vec<&str> = world.pods().into_iter().filter(|((ns, _), _)| ns == namespace).map(|((_, name), _)| name.as_str()).collect();
    near(name, &pods)?;
    let cause = format!("{} has no pod or service {}, nor a pod of a workload of that name", clean(namespace), clean(name));
    Some(refusal(place, &cause, name, &pods))
}

/// The name that may have been meant.
fn near<'a>(said: &str, there: &[&'a str]) -> Option<&'a str> {
    there.iter().map(|name| (distance(said, name), *name)).filter(|(d, _)| *d <= NEAR).min().map(|(_, name)| name)
}

fn refusal(place: &Place, cause: &str, said: &str, there: &[&str]) -> Error {
    let what = match place {
        Place::Pod { namespace, name } => format!("{}/{}", clean(namespace), clean(name)),
        Place::Labels { namespace, .. } => format!("a pod of {}", clean(namespace)),
        _ => clean(said).into_owned(),
    };
    let hint = match near(said, there) {
        Some(name) => format!("did you mean {}?", clean(name)),
        None if there.is_empty() => "there is none at all".to_owned(),
        None => format!("there are {}", few(there.iter().map(|n| clean(n).into_owned()), NAMED)),
    };
    Error::usage(format!("cannot judge {what}")).cause(cause).hint(hint)
}
