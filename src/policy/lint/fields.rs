//! The fields that policies may have, per minor version of Cilium. Owns the table and the walk over a document; says nothing about what
//! a missing field means. Unit tests hold it against the inventory of the CRDs where that is at hand.
use crate::model::doc::{Node, Value};

/// What a map is for: what becomes of it without one of its fields depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Spec,
    Rule,
    /// An item of `from` or `to`.
    Peer,
    /// An address range.
    Block,
    Selector,
    /// An item of `toPorts`.
    Ports,
    Port,
    /// L7 rules by protocol.
    Rules,
    Http,
    Other,
}

pub(super) struct Shape {
    pub role: Role,
    pub fields: &'static [Field],
}

pub(super) struct Field {
    pub key: &'static str,
    /// `None`: no map, or one with keys of somebody's own.
    pub shape: Option<&'static Shape>,
    /// First and last minor version that has it.
    pub since: u32,
    pub until: u32,
}

const fn leaf(key: &'static str) -> Field {
    Field { key, shape: None, since: 0, until: u32::MAX }
}

const fn map(key: &'static str, shape: &'static Shape) -> Field {
    Field { key, shape: Some(shape), since: 0, until: u32::MAX }
}

/// Gone with 1.19.
const fn old(f: Field) -> Field {
    Field { until: 18, ..f }
}

const fn shape(role: Role, fields: &'static [Field]) -> Shape {
    Shape { role, fields }
}

static EXPRESSION: Shape = shape(Role::Other, &[leaf("key"), leaf("operator"), leaf("values")]);
static SELECTOR: Shape = shape(Role::Selector, &[leaf("matchLabels"), map("matchExpressions", &EXPRESSION)]);
static REQUIRES: Shape = shape(Role::Other, &[old(leaf("matchLabels")), old(map("matchExpressions", &EXPRESSION))]);
static CIDR_SET: Shape = shape(Role::Block, &[leaf("cidr"), leaf("cidrGroupRef"), map("cidrGroupSelector", &SELECTOR), leaf("except")]);
static AWS: Shape = shape(Role::Other, &[leaf("labels"), leaf("region"), leaf("securityGroupsIds"), leaf("securityGroupsNames")]);
static GROUP: Shape = shape(Role::Other, &[map("aws", &AWS)]);
static BY_NAME: Shape = shape(Role::Other, &[leaf("namespace"), leaf("serviceName")]);
static BY_LABEL: Shape = shape(Role::Other, &[leaf("namespace"), map("selector", &SELECTOR)]);
static SERVICE: Shape = shape(Role::Other, &[map("k8sService", &BY_NAME), map("k8sServiceSelector", &BY_LABEL)]);
static ICMP_FIELD: Shape = shape(Role::Other, &[leaf("family"), leaf("type")]);
static ICMP: Shape = shape(Role::Other, &[map("fields", &ICMP_FIELD)]);
static PORT: Shape = shape(Role::Port, &[leaf("port"), leaf("protocol"), leaf("endPort")]);
static SECRET: Shape = shape(Role::Other, &[leaf("name"), leaf("namespace")]);
static TLS: Shape = shape(Role::Other, &[leaf("certificate"), leaf("privateKey"), map("secret", &SECRET), leaf("trustedCA")]);
static ENVOY: Shape = shape(Role::Other, &[leaf("kind"), leaf("name")]);
static LISTENER: Shape = shape(Role::Other, &[map("envoyConfig", &ENVOY), leaf("name"), leaf("priority")]);
static HEADER: Shape = shape(Role::Other, &[leaf("mismatch"), leaf("name"), map("secret", &SECRET), leaf("value")]);
static HTTP: Shape = shape(Role::Http, &[leaf("method"), leaf("path"), leaf("host"), leaf("headers"), map("headerMatches", &HEADER)]);
static NAME: Shape = shape(Role::Other, &[leaf("matchName"), leaf("matchPattern")]);
static KAFKA: Shape =
    shape(Role::Other, &[old(leaf("apiKey")), old(leaf("apiVersion")), old(leaf("clientID")), old(leaf("role")), old(leaf("topic"))]);
static RULES: Shape =
    shape(Role::Rules, &[map("http", &HTTP), map("dns", &NAME), old(map("kafka", &KAFKA)), old(leaf("l7")), old(leaf("l7proto"))]);
static TO_PORTS: Shape = shape(
    Role::Ports,
    &[
        map("ports", &PORT),
        map("rules", &RULES),
        leaf("serverNames"),
        map("listener", &LISTENER),
        map("originatingTLS", &TLS),
        map("terminatingTLS", &TLS),
    ],
);
static TO_PORTS_DENY: Shape = shape(Role::Ports, &[map("ports", &PORT)]);
static AUTH: Shape = shape(Role::Other, &[leaf("mode")]);
static INGRESS: Shape = shape(
    Role::Rule,
    &[
        map("fromEndpoints", &SELECTOR),
        leaf("fromCIDR"),
        map("fromCIDRSet", &CIDR_SET),
        leaf("fromEntities"),
        map("fromGroups", &GROUP),
        map("fromNodes", &SELECTOR),
        map("fromRequires", &REQUIRES),
        map("toPorts", &TO_PORTS),
        map("icmps", &ICMP),
        map("authentication", &AUTH),
    ],
);
static INGRESS_DENY: Shape = shape(
    Role::Rule,
    &[
        map("fromEndpoints", &SELECTOR),
        leaf("fromCIDR"),
        map("fromCIDRSet", &CIDR_SET),
        leaf("fromEntities"),
        map("fromGroups", &GROUP),
        map("fromNodes", &SELECTOR),
        map("fromRequires", &REQUIRES),
        map("toPorts", &TO_PORTS_DENY),
        map("icmps", &ICMP),
    ],
);
static EGRESS: Shape = shape(
    Role::Rule,
    &[
        map("toEndpoints", &SELECTOR),
        leaf("toCIDR"),
        map("toCIDRSet", &CIDR_SET),
        leaf("toEntities"),
        map("toFQDNs", &NAME),
        map("toGroups", &GROUP),
        map("toNodes", &SELECTOR),
        map("toRequires", &REQUIRES),
        map("toServices", &SERVICE),
        map("toPorts", &TO_PORTS),
        map("icmps", &ICMP),
        map("authentication", &AUTH),
    ],
);
static EGRESS_DENY: Shape = shape(
    Role::Rule,
    &[
        map("toEndpoints", &SELECTOR),
        leaf("toCIDR"),
        map("toCIDRSet", &CIDR_SET),
        leaf("toEntities"),
        map("toGroups", &GROUP),
        map("toNodes", &SELECTOR),
        map("toRequires", &REQUIRES),
        map("toServices", &SERVICE),
        map("toPorts", &TO_PORTS_DENY),
        map("icmps", &ICMP),
    ],
);
static DEFAULT_DENY: Shape = shape(Role::Other, &[leaf("ingress"), leaf("egress")]);
static LABEL: Shape = shape(Role::Other, &[leaf("key"), leaf("source"), leaf("value")]);
static LOG: Shape = shape(Role::Other, &[leaf("value")]);
static CILIUM: Shape = shape(
    Role::Spec,
    &[
        leaf("description"),
        map("endpointSelector", &SELECTOR),
        map("nodeSelector", &SELECTOR),
        map("ingress", &INGRESS),
        map("ingressDeny", &INGRESS_DENY),
        map("egress", &EGRESS),
        map("egressDeny", &EGRESS_DENY),
        map("enableDefaultDeny", &DEFAULT_DENY),
        map("labels", &LABEL),
        Field { since: 19, ..map("log", &LOG) },
    ],
);

static IP_BLOCK: Shape = shape(Role::Block, &[leaf("cidr"), leaf("except")]);
static PEER: Shape = shape(Role::Peer, &[map("podSelector", &SELECTOR), map("namespaceSelector", &SELECTOR), map("ipBlock", &IP_BLOCK)]);
static FROM: Shape = shape(Role::Rule, &[map("from", &PEER), map("ports", &PORT)]);
static TO: Shape = shape(Role::Rule, &[map("to", &PEER), map("ports", &PORT)]);
static KUBERNETES: Shape =
    shape(Role::Spec, &[map("podSelector", &SELECTOR), leaf("policyTypes"), map("ingress", &FROM), map("egress", &TO)]);

/// What the `spec` of a kind may have; `None`: a kind that has no table here.
pub(super) fn of_kind(kind: &str) -> Option<&'static Shape> {
    match kind {
        "NetworkPolicy" => Some(&KUBERNETES),
        "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy" => Some(&CILIUM),
        _ => None,
    }
}

impl Shape {
    /// The field, if this minor version has it.
    pub fn field(&self, key: &str, minor: u32) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.key == key && (f.since..=f.until).contains(&minor))
    }
}

/// A key that its map may not have.
pub(super) struct Unknown<'n> {
    pub key: &'n str,
    pub line: u32,
    /// The map that it stands in: `spec.ingress[0]`.
    pub path: String,
    pub shape: &'static Shape,
    pub node: &'n Node,
}

/// Every unknown key below a node, in document order.
pub(super) fn walk<'n>(node: &'n Node, shape: &'static Shape, minor: u32, path: &str, out: &mut Vec<Unknown<'n>>) {
    match &node.value {
        Value::Seq(items) => items.iter().enumerate().for_each(|(i, n)| walk(n, shape, minor, &format!("{path}[{i}]"), out)),
        Value::Map(entries) => {
            for e in entries {
                match shape.field(&e.key, minor) {
                    None => out.push(Unknown { key: &e.key, line: e.line, path: path.to_owned(), shape, node }),
                    Some(Field { shape: Some(inner), .. }) => walk(&e.value, inner, minor, &format!("{path}.{}", e.key), out),
                    Some(_) => {}
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a path of the inventory (`spec.ingress[].fromCIDR`) is a field here.
    fn known(path: &str, minor: u32) -> bool {
        let mut shape = Some(&CILIUM);
        path.replace("[]", "").split('.').skip(1).all(|key| {
            // The keys of a map of labels are nobody's fields.
            let Some(here) = shape else { return key.ends_with("{}") };
            let found = here.field(key.trim_end_matches("{}"), minor);
            shape = found.and_then(|f| f.shape);
            found.is_some()
        })
    }

    #[test]
    fn the_table_is_the_inventory_of_the_crds() {
        let dir = std::env::var("FLOWHY_SHARED").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").to_owned());
        let Ok(body) = std::fs::read_to_string(format!("{dir}/facts/policy/crd-fields.tsv")) else {
            eprintln!("skipped: no {dir}");
            return;
        };
        let (mut rows, mut wrong) = (0, Vec::new());
        for row in body.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>()) {
            let (path, in_18, in_20) = (row[2], row[5] == "yes", row[6] == "yes");
            if row[0] == "CiliumCIDRGroup" || !path.starts_with("spec.") {
                continue;
            }
            rows += 1;
            for (minor, wanted) in [(18, in_18), (20, in_20)] {
                if known(path, minor) != wanted {
                    wrong.push(format!("{path} in 1.{minor}: wanted {wanted}"));
                }
            }
        }
        assert!(rows > 500 && wrong.is_empty(), "{rows} rows\n{}", wrong.join("\n"));
        // And no field here that the inventory does not have.
        let tops: Vec<&str> = body.lines().filter_map(|l| l.split('\t').nth(2)).collect();
        assert!(CILIUM.fields.iter().all(|f| tops.contains(&format!("spec.{}", f.key).as_str())));
    }
}
