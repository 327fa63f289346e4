//! What the tests of lints share: manifests in, a drop, and what was diagnosed.
use super::{Diagnosis, Finding, of_set};
use crate::model::input::Change;
use crate::model::observed::{Direction, L4, Observed, Party, Verdict};
use crate::policy::{Options, PolicySet, explain};
use crate::world::{World, yaml};
use std::sync::Arc;

pub struct Scene {
    pub world: World,
    pub set: PolicySet,
    pub opt: Options,
}

/// The manifests are `f0.yaml`, `f1.yaml`, …
pub fn scene(bodies: &[&str]) -> Scene {
    scene_of(bodies, Options::default())
}

pub fn scene_of(bodies: &[&str], opt: Options) -> Scene {
    let mut s = Scene { world: World::new(), set: PolicySet::for_cilium(opt.cilium), opt };
    for (i, body) in bodies.iter().enumerate() {
        for d in yaml::read(&format!("f{i}.yaml"), body).0 {
            let change = Change::Apply(Arc::new(d));
            s.world.apply(&change);
            s.set.apply(&change);
        }
    }
    s
}

impl Scene {
    pub fn explain(&self, o: &Observed) -> Vec<Diagnosis> {
        explain(o, &self.world, &self.set, &self.opt).why.diagnosis
    }

    pub fn drop_l4(&self, src: Party, dst: Party, l4: L4, port: u16, direction: Option<Direction>) -> Vec<Diagnosis> {
        self.explain(&dropped(src, dst, l4, port, direction))
    }

    pub fn drop(&self, src: Party, dst: Party, port: u16, direction: Option<Direction>) -> Vec<Diagnosis> {
        self.drop_l4(src, dst, L4::Tcp, port, direction)
    }

    pub fn findings(&self) -> Vec<Finding> {
        of_set(&self.world, &self.set, &self.opt)
    }
}

/// (id, line) of the findings.
pub fn found(bodies: &[&str]) -> Vec<(&'static str, u32)> {
    scene(bodies).findings().iter().map(|f| (f.id, f.line)).collect()
}

pub fn ids(d: &[Diagnosis]) -> Vec<&'static str> {
    d.iter().map(|d| d.id).collect()
}

pub fn dropped(src: Party, dst: Party, l4: L4, port: u16, direction: Option<Direction>) -> Observed {
    Observed {
        verdict: Verdict::Dropped,
        drop_reason: 133,
        event: Some((5, 0)),
        direction,
        is_reply: Some(false),
        l4: Some(l4),
        src_port: 40_000,
        dst_port: port,
        src,
        dst,
        ..Observed::default()
    }
}

/// A pod with its labels, `app=web,tier=frontend`.
pub fn pod(ns: &str, name: &str, labels: &str) -> Party {
    let mut all: Vec<String> = labels.split(',').filter(|l| !l.is_empty()).map(|l| format!("k8s:{l}")).collect();
    all.push(format!("k8s:io.kubernetes.pod.namespace={ns}"));
    all.push(format!("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={ns}"));
    Party { present: true, namespace: ns.into(), pod: name.into(), labels: all, ..Party::default() }
}

pub fn outside(ip: &str) -> Party {
    Party { present: true, ip: ip.parse().ok(), labels: vec!["reserved:world".into()], ..Party::default() }
}
