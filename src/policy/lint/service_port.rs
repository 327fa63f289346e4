//! The port of a service where the port of its pods counts: policies are judged after the service's address is translated.
//!
//! Owns the finder: a port that some service of these pods has in front, and none has behind.
use super::{At, Case, Diagnosis, Finding, Lint, Scope, SetLint, Side, Weight, fit, place};
use crate::model::observed::{Direction, L4};
use crate::model::why::Outcome;
use crate::policy::Engine;
use crate::policy::eval::{self, Traffic};
use crate::policy::ir::{PeerIs, Peers, Port, PortIs, Ports, Protocol, Rule, Subject};
use crate::policy::selector::{Selector, Tri};
use crate::world::labels::{Labels, POD_NAMESPACE};
use crate::world::{Endpoint, NamedPort, Service, ServicePort, Target, World};

pub(super) struct ServicePorts;

/// The port on which these pods get what comes to the service's port.
fn behind(p: &ServicePort, named: Option<&[NamedPort]>) -> Option<u16> {
    match &p.target {
        Target::Number(n) => Some(*n),
        Target::Named(name) => named?.iter().find(|n| n.name == *name && n.proto == p.protocol).map(|n| n.port),
    }
}

impl Lint for ServicePorts {
    fn check(&self, c: &Case<'_>, s: &Side<'_>) -> Option<Diagnosis> {
        let (Outcome::DefaultDeny, Some(port), Some(l4)) = (c.why.outcome, c.traffic.port, c.traffic.l4) else { return None };
        let only_port = c.why.nearest.as_ref()?.failed.iter().all(|f| f.on == "port");
        if !only_port {
            return None;
        }
        let at = s.nearest(c.why).filter(|a| fit::peers(a.rule, &s.ask) == Tri::Yes)?;
        let to = s.ask.destination();
        let of = |svc: &Service| !svc.selector.is_empty() && svc.selector.iter().all(|(k, v)| to.labels.get(Some("k8s"), k) == Some(v));
        for ((ns, name), svc) in c.world.services().filter(|((ns, _), svc)| *ns == to.namespace && of(svc)) {
            for p in svc.ports.iter().filter(|p| p.protocol == l4 && p.port != port) {
                let front = Traffic { port: Some(p.port), ..c.traffic.clone() };
                let ask = eval::Case { traffic: &front, ..s.ask };
                if behind(p, to.named_ports.as_deref()) == Some(port) && fit::ports(at.rule, &ask) == Tri::Yes {
                    let text = format!(
                        "{} opens port {} ({}), which is the port of service {ns}/{name}; its pods listen on {port}, and theirs is the one that counts: write {port}",
                        at.words(),
                        p.port,
                        port_place(&at, p.port)
                    );
                    return Some(Diagnosis { id: "service-port", text });
                }
            }
        }
        None
    }
}

fn single(rule: &Rule) -> impl Iterator<Item = (&Port, u16)> {
    let list = if let Ports::Of(list) = &rule.ports { list.as_slice() } else { &[] };
    list.iter().flat_map(|r| &r.ports).filter_map(|p| match p.port {
        PortIs::Range(a, b) if a == b => Some((p, a)),
        _ => None,
    })
}

fn port_place(at: &At<'_>, number: u16) -> String {
    let line = single(at.rule).find(|(_, n)| *n == number).map_or(at.rule.lines.0, |(p, _)| p.line);
    place(at.policy, line)
}

/// The service that has this port in front only; `None` where some service of these pods has it behind, or that is not known.
fn in_front_only(world: &World, engine: Engine, to: &Selector, number: u16, protocol: Protocol) -> Option<(String, u16)> {
    let mut found = None;
    let fits = |l4: L4| protocol == Protocol::Any || protocol == Protocol::One(l4);
    for ((ns, name), svc) in world.services().filter(|(_, svc)| !svc.selector.is_empty()) {
        let mut labels = Labels::default();
        svc.selector.iter().for_each(|(k, v)| labels.push("k8s", k, v));
        labels.push("k8s", POD_NAMESPACE, ns);
        let like = Endpoint { labels, known: true, namespace: ns.clone(), ..Endpoint::default() };
        match to.matches(engine, &like, None, &mut Vec::new()) {
            Tri::No => continue,
            Tri::Unknown => return None,
            Tri::Yes => {}
        }
        for p in svc.ports.iter().filter(|p| fits(p.protocol)) {
            match behind(p, None) {
                None => return None,
                Some(n) if n == number => return None,
                Some(n) if p.port == number => {
                    found.get_or_insert((format!("{ns}/{name}"), n));
                }
                Some(_) => {}
            }
        }
    }
    found
}

impl SetLint for ServicePorts {
    fn check(&self, scope: &Scope<'_>, out: &mut Vec<Finding>) {
        if scope.world.services().next().is_none() {
            return;
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            for part in scope.parts(direction) {
                for rule in &part.section.rules {
                    let to: Vec<&Selector> = match (direction, &part.section.subject, &rule.peers) {
                        (Direction::Ingress, Subject::Endpoints(s), _) => vec![s],
                        (Direction::Egress, _, Peers::Of(list)) => {
                            list.iter().filter_map(|p| if let PeerIs::Endpoints(s) = &p.is { Some(s) } else { None }).collect()
                        }
                        _ => continue,
                    };
                    let at = At { policy: part.policy, section: part.section, rule };
                    for (port, number) in single(rule) {
                        if let [one] = to.as_slice()
                            && let Some((service, pods)) = in_front_only(scope.world, scope.opt.engine, one, number, port.protocol)
                        {
                            let text = format!(
                                "{} opens port {number}, which is the port of service {service}; its pods listen on {pods}, and theirs is the one that counts: write {pods}",
                                at.words()
                            );
                            out.push(Finding::new("service-port", Weight::Broken, part.policy, port.line, text));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::model::observed::Direction as D;

    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n";

    fn policy(port: u16) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: in, namespace: shop}}\nspec:\n  podSelector: {{matchLabels: {{app: web}}}}\n  ingress:\n  - ports:\n    - port: {port}\n"
        )
    }

    #[test]
    fn the_services_port_in_a_policy() {
        let drop = |bodies: &[&str], port| {
            scene(bodies).drop(pod("shop", "cart", "app=cart"), pod("shop", "web", "app=web"), port, Some(D::Ingress))
        };
        let d = drop(&[&policy(80), SERVICE], 8080);
        assert_eq!(ids(&d), ["service-port"]);
        assert_eq!(
            d[0].text,
            "ingress[0] of shop/in opens port 80 (f0.yaml:8), which is the port of service shop/web; its pods listen on 8080, and theirs is the one that counts: write 8080"
        );
        // A third port, no service, or a service of other pods.
        assert!(drop(&[&policy(80), SERVICE], 9090).is_empty());
        assert!(drop(&[&policy(80)], 8080).is_empty());
        assert!(drop(&[&policy(80), &SERVICE.replace("app: web}", "app: db}")], 8080).is_empty());
    }

    #[test]
    fn the_same_in_a_set() {
        assert_eq!(found(&[&policy(80), SERVICE]), [("service-port", 8)]);
        assert_eq!(found(&[&policy(8080), SERVICE]), []);
        // Another service has 80 behind; or the name of a container port hides what is behind.
        let plain = SERVICE.replace("name: web", "name: web2").replace(", targetPort: 8080", "");
        assert_eq!(found(&[&policy(80), SERVICE, &plain]), []);
        assert_eq!(found(&[&policy(80), &SERVICE.replace("targetPort: 8080", "targetPort: http")]), []);
        // By name it is known where the pod is.
        let named = SERVICE.replace("targetPort: 8080", "targetPort: http");
        let p = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {containers: [{ports: [{name: http, containerPort: 8080}]}]}\n";
        let d =
            scene(&[&policy(80), &named, p]).drop(pod("shop", "cart", "app=cart"), pod("shop", "web", "app=web"), 8080, Some(D::Ingress));
        assert_eq!(ids(&d), ["service-port"]);
    }
}
