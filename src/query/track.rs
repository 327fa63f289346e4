//! Hubble's filter flags → the FlowFilters that `hubble observe` would send.
//!
//! Owns what flags mean together: two trackers (allow, deny), each with a left and a right filter; the namespace modifiers; the
//! pairs that exclude each other. Values that Hubble checks only when it compiles are left alone here.
use super::flags::{Flag, FlagSpec, Group, invalid, quote};
use super::value::{direction, drop_reason, event_type, header, identity, ip_trace_id, ip_version, tcp_flags, workload};
use crate::wire::pb::flow::{self, FlowFilter, IpVersion, Verdict};

/// What flags ask for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filters {
    /// Some of these matches, or there are none.
    pub whitelist: Vec<FlowFilter>,
    /// None of these matches.
    pub blacklist: Vec<FlowFilter>,
    /// What was understood as Hubble does and probably was not meant.
    pub warnings: Vec<String>,
    /// The flags, for show.
    pub text: String,
}

/// The filters that the flags, in their order, describe. Flags of other groups are ignored. The error is Hubble's.
pub fn from_flags(flags: &[Flag]) -> Result<Filters, String> {
    let (mut t, not) = track(flags)?;
    if not {
        return Err("trailing --not found in the arguments".into());
    }
    let mut warnings = Vec::new();
    let mut out = Filters { whitelist: t.allow.filters(&mut warnings), blacklist: t.deny.filters(&mut warnings), ..Filters::default() };
    for (name, value) in t.raw {
        let list = if name == "allowlist" { &mut out.whitelist } else { &mut out.blacklist };
        list.extend(super::raw::decode(&value).map_err(|e| format!("invalid --{name} flag: failed to decode '{value}': {e}"))?);
    }
    warnings.dedup();
    let shown = flags.iter().filter(|f| FlagSpec::find(f.name).is_some_and(|s| matches!(s.group, Group::Filter | Group::Raw)));
    out.text =
        shown.map(|f| if implied(f) { format!("--{}", f.name) } else { format!("--{} {}", f.name, f.value) }).collect::<Vec<_>>().join(" ");
    out.warnings = warnings;
    Ok(out)
}

fn implied(f: &Flag) -> bool {
    f.value == "true" && FlagSpec::find(f.name).is_some_and(|s| matches!(s.arg, super::flags::Arg::Bool | super::flags::Arg::Mark))
}

/// The first error that reading these flags from left to right gives.
pub fn first_error(flags: &[Flag]) -> Option<String> {
    track(flags).err()
}

#[derive(Default)]
struct Tracked {
    allow: Tracker,
    deny: Tracker,
    raw: Vec<(&'static str, String)>,
}

fn track(flags: &[Flag]) -> Result<(Tracked, bool), String> {
    let (mut t, mut not) = (Tracked::default(), false);
    for f in flags {
        let fault = |reason: String| invalid(f.name, &f.value, &reason);
        match f.name {
            "not" if not => return Err(fault("consecutive --not statements".into())),
            "not" => not = true,
            "allowlist" | "denylist" => t.raw.push((f.name, f.value.clone())),
            name if FlagSpec::find(name).is_some_and(|s| s.group == Group::Filter) => {
                let tracker = if std::mem::take(&mut not) { &mut t.deny } else { &mut t.allow };
                tracker.add(name, &f.value).map_err(fault)?;
            }
            _ => {}
        }
    }
    Ok((t, not))
}

/// Groups of flags that exclude each other, in the order Hubble looks at them.
const EXCLUSIVE: [&[&str]; 19] = [
    &["from-fqdn", "from-ip", "ip", "fqdn", "from-namespace", "namespace", "from-all-namespaces", "all-namespaces"],
    &["from-fqdn", "from-ip", "ip", "fqdn", "from-pod", "pod"],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-namespace", "namespace", "to-all-namespaces", "all-namespaces"],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-pod", "pod"],
    &["to-pod", "namespace", "all-namespaces"],
    &["from-pod", "namespace", "all-namespaces"],
    &["to-service", "namespace", "all-namespaces"],
    &["from-service", "namespace", "all-namespaces"],
    &["label", "from-label"],
    &["label", "to-label"],
    &["service", "from-service"],
    &["service", "to-service"],
    &["port", "to-port"],
    &["port", "from-port"],
    &["identity", "to-identity"],
    &["identity", "from-identity"],
    &["workload", "to-workload"],
    &["workload", "from-workload"],
    &["encrypted", "unencrypted"],
];

/// Ours, all refused by Hubble although they mean something: a name or an address on one side and an endpoint on the other.
const ACROSS: ([&str; 2], [&str; 3]) = (["fqdn", "ip"], ["namespace", "all-namespaces", "pod"]);
/// And two things that are true of one side, or of one side and of either.
const TOGETHER: [([&str; 2], [&str; 5]); 2] = [
    (["from-fqdn", "from-ip"], ["from-namespace", "from-all-namespaces", "from-pod", "namespace", "all-namespaces"]),
    (["to-fqdn", "to-ip"], ["to-namespace", "to-all-namespaces", "to-pod", "namespace", "all-namespaces"]),
];

/// Whether two flags of a group go together nevertheless.
fn allowed(a: &str, b: &str) -> bool {
    let pair = |x: &[&str], y: &[&str]| (x.contains(&a) && y.contains(&b)) || (x.contains(&b) && y.contains(&a));
    pair(&ACROSS.0, &ACROSS.1) || TOGETHER.iter().any(|(x, y)| pair(x, y))
}

/// One of the two filters of a tracker; the namespaces are applied at the end.
#[derive(Debug, Default)]
struct Half {
    f: FlowFilter,
    source: Vec<String>,
    destination: Vec<String>,
}

/// "left or right".
#[derive(Debug, Default)]
struct Tracker {
    left: Half,
    right: Half,
    seen: Vec<&'static str>,
}

/// Appends to both halves.
macro_rules! both {
    ($self:ident, $field:ident, $value:expr) => {{
        let value = $value;
        $self.right.f.$field.push(value.clone());
        $self.left.f.$field.push(value);
    }};
}

/// Appends to the source of the left and to the destination of the right.
macro_rules! sides {
    ($self:ident, $source:ident, $destination:ident, $value:expr) => {{
        let value = $value;
        $self.right.f.$destination.push(value.clone());
        $self.left.f.$source.push(value);
    }};
}

impl Tracker {
    fn add(&mut self, name: &'static str, value: &str) -> Result<(), String> {
        // Other spellings of ours.
        let (name, value) = match name {
            "method" => ("http-method", value),
            "dns" => ("protocol", "dns"),
            n => (n, value),
        };
        if !self.seen.contains(&name) {
            self.seen.push(name);
        }
        self.exclusive()?;
        let s = || value.to_owned();
        match name {
            "uuid" => both!(self, uuid, s()),
            "node-name" => both!(self, node_name, s()),
            "node-label" => both!(self, node_labels, s()),
            "cluster" => sides!(self, source_cluster_name, destination_cluster_name, s()),
            "from-cluster" => both!(self, source_cluster_name, s()),
            "to-cluster" => both!(self, destination_cluster_name, s()),
            "protocol" => both!(self, protocol, s()),
            "tcp-flags" => both!(self, tcp_flags, tcp_flags(value)?),
            "type" => both!(self, event_type, event_type(value)?),
            "verdict" => {
                both!(self, verdict, Verdict::from_str_name(value).ok_or_else(|| format!("invalid --verdict value: {value}"))? as i32)
            }
            "drop-reason-desc" => both!(self, drop_reason_desc, drop_reason(value)?),
            "http-status" => both!(self, http_status_code, s()),
            "http-method" => both!(self, http_method, s()),
            "http-path" => both!(self, http_path, s()),
            "http-url" => both!(self, http_url, s()),
            "http-header" => both!(self, http_header, header(value)?),
            "trace-id" => both!(self, trace_id, s()),
            "ip-trace-id" => both!(self, ip_trace_id, ip_trace_id(value)?),
            "fqdn" => sides!(self, source_fqdn, destination_fqdn, s()),
            "from-fqdn" => both!(self, source_fqdn, s()),
            "to-fqdn" => both!(self, destination_fqdn, s()),
            "ip" => sides!(self, source_ip, destination_ip, s()),
            "from-ip" => both!(self, source_ip, s()),
            "to-ip" => both!(self, destination_ip, s()),
            "snat-ip" => both!(self, source_ip_xlated, s()),
            "ipv4" => both!(self, ip_version, IpVersion::IPv4 as i32),
            "ipv6" => both!(self, ip_version, IpVersion::IPv6 as i32),
            "ip-version" => both!(self, ip_version, ip_version(value) as i32),
            "pod" => sides!(self, source_pod, destination_pod, s()),
            "from-pod" => both!(self, source_pod, s()),
            "to-pod" => both!(self, destination_pod, s()),
            "service" => sides!(self, source_service, destination_service, s()),
            "from-service" => both!(self, source_service, s()),
            "to-service" => both!(self, destination_service, s()),
            "label" => sides!(self, source_label, destination_label, s()),
            "from-label" => both!(self, source_label, s()),
            "to-label" => both!(self, destination_label, s()),
            "port" => sides!(self, source_port, destination_port, s()),
            "from-port" => both!(self, source_port, s()),
            "to-port" => both!(self, destination_port, s()),
            "workload" => sides!(self, source_workload, destination_workload, workload(value)),
            "from-workload" => both!(self, source_workload, workload(value)),
            "to-workload" => both!(self, destination_workload, workload(value)),
            "identity" => sides!(self, source_identity, destination_identity, identity(value)?),
            "from-identity" => both!(self, source_identity, identity(value)?),
            "to-identity" => both!(self, destination_identity, identity(value)?),
            "traffic-direction" => both!(self, traffic_direction, direction(value)?),
            "interface" => both!(self, interface, flow::NetworkInterface { index: 0, name: s() }),
            "encrypted" => both!(self, encrypted, true),
            "unencrypted" => both!(self, encrypted, false),
            "cel-expression" => {
                for half in [&mut self.left, &mut self.right] {
                    half.f.experimental.get_or_insert_default().cel_expression.push(s());
                }
            }
            "namespace" | "all-namespaces" => {
                let ns = if name == "namespace" { s() } else { String::new() };
                self.left.source.push(ns.clone());
                self.right.destination.push(ns);
            }
            "from-namespace" | "from-all-namespaces" => [&mut self.left, &mut self.right].into_iter().for_each(|h| {
                h.source.push(if name == "from-namespace" { s() } else { String::new() });
            }),
            "to-namespace" | "to-all-namespaces" => [&mut self.left, &mut self.right].into_iter().for_each(|h| {
                h.destination.push(if name == "to-namespace" { s() } else { String::new() });
            }),
            _ => {}
        }
        self.left.namespaces_fit()?;
        self.right.namespaces_fit()
    }

    fn exclusive(&self) -> Result<(), String> {
        for group in EXCLUSIVE {
            let set: Vec<&str> = group.iter().copied().filter(|n| self.seen.contains(n)).collect();
            for (i, a) in set.iter().enumerate() {
                if let Some(b) = set[i + 1..].iter().find(|b| !allowed(a, b)) {
                    return Err(format!("filters --{a} and --{b} cannot be combined"));
                }
            }
        }
        Ok(())
    }

    fn filters(&mut self, warnings: &mut Vec<String>) -> Vec<FlowFilter> {
        if self.seen.is_empty() {
            return Vec::new();
        }
        let seen = |names: &[&str]| names.iter().any(|n| self.seen.contains(n));
        if seen(&ACROSS.0) && seen(&ACROSS.1) {
            // The name or the address is on the other side than the endpoint.
            for f in [&mut self.left.f, &mut self.right.f] {
                std::mem::swap(&mut f.source_fqdn, &mut f.destination_fqdn);
                std::mem::swap(&mut f.source_ip, &mut f.destination_ip);
            }
        }
        self.left.apply_namespaces(warnings);
        self.right.apply_namespaces(warnings);
        let (left, right) = (std::mem::take(&mut self.left.f), std::mem::take(&mut self.right.f));
        if left == right { vec![left] } else { vec![left, right] }
    }
}

impl Half {
    /// Explicit namespaces of names against the modifiers, and of services against pods.
    fn namespaces_fit(&self) -> Result<(), String> {
        let explicit = |name: &str| name.split_once('/').map(|(ns, _)| ns.to_owned()).filter(|ns| !ns.is_empty());
        let mut faults = Vec::new();
        let f = &self.f;
        for (modifiers, pods, services) in
            [(&self.source, &f.source_pod, &f.source_service), (&self.destination, &f.destination_pod, &f.destination_service)]
        {
            for ns in modifiers {
                let names = pods.iter().chain(services).filter(|n| explicit(n).is_some_and(|e| e != *ns));
                faults.extend(names.map(|n| format!("namespace conflict: {} does not contain {}", quote(ns), quote(n))));
            }
            for pod in pods.iter().filter_map(|p| explicit(p)) {
                let others = services.iter().filter(|s| explicit(s).as_deref() != Some(pod.as_str()));
                faults.extend(others.map(|s| format!("namespace of service {} conflict with pod {}", quote(s), quote(&pod))));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    }

    fn apply_namespaces(&mut self, warnings: &mut Vec<String>) {
        let f = &mut self.f;
        for (modifiers, pods, services) in [
            (&self.source, &mut f.source_pod, &mut f.source_service),
            (&self.destination, &mut f.destination_pod, &mut f.destination_service),
        ] {
            if modifiers.is_empty() {
                continue;
            }
            if pods.is_empty() && services.is_empty() {
                pods.push(String::new());
            }
            for names in [pods, services] {
                *names = names
                    .iter()
                    .flat_map(|n| match n.contains('/') {
                        true => {
                            if let (true, Some(ns)) = (n.starts_with('/'), modifiers.iter().find(|m| !m.is_empty())) {
                                warnings.push(format!(
                                    "{n} means this name in any namespace, so the namespace {ns} has no effect on it; write {}",
                                    &n[1..]
                                ));
                            }
                            vec![n.clone()]
                        }
                        false => modifiers.iter().map(|ns| format!("{ns}/{n}")).collect(),
                    })
                    .collect();
            }
        }
    }
}
