//! A response in the terms of attribution. Takes the fields as they stand; derives nothing.
use super::ids;
use super::pb::flow::layer4::Protocol;
use super::pb::flow::layer7::Record;
use super::pb::flow::{self, CiliumEventType, Endpoint, Flow, Layer7, Policy, Service};
use super::pb::observer::GetFlowsResponse;
use super::pb::observer::get_flows_response::ResponseTypes;
use crate::model::observed::{Direction, L4, L7, Named, Observed, Party, RETINA, Reported, Told};
use crate::model::time::Nanos;
use prost::Message as _;
use prost_types::{Struct, Timestamp};

/// Monitor event type of a drop.
const DROP: i32 = 1;

/// What the response says. Of a response without a flow, only when and where.
pub fn observed(r: &GetFlowsResponse) -> Observed {
    match &r.response_types {
        Some(ResponseTypes::Flow(f)) => {
            let mut o = of_flow(f);
            o.at = o.at.or_else(|| at(r.time.as_ref()));
            if o.node.is_empty() {
                o.node.clone_from(&r.node_name);
            }
            o
        }
        _ => Observed { at: at(r.time.as_ref()), node: r.node_name.clone(), ..Observed::default() },
    }
}

/// Whether it is a flow with a DNS record.
pub fn is_dns(r: &GetFlowsResponse) -> bool {
    let Some(ResponseTypes::Flow(f)) = &r.response_types else { return false };
    f.l7.as_ref().is_some_and(|l| matches!(l.record, Some(Record::Dns(_))))
}

/// What the flow says.
pub fn of_flow(f: &Flow) -> Observed {
    let (source_ip, destination_ip) = f.ip.as_ref().map_or(("", ""), |ip| (&*ip.source, &*ip.destination));
    let mut o = Observed {
        at: at(f.time.as_ref()),
        node: f.node_name.clone(),
        verdict: f.verdict.into(),
        drop_reason: drop_reason(f),
        event: f.event_type.map(|e| (e.r#type, e.sub_type)),
        direction: match f.traffic_direction {
            1 => Some(Direction::Ingress),
            2 => Some(Direction::Egress),
            _ => None,
        },
        is_reply: f.is_reply,
        src: party(f.source.as_ref(), source_ip, &f.source_names, f.source_service.as_ref()),
        dst: party(f.destination.as_ref(), destination_ip, &f.destination_names, f.destination_service.as_ref()),
        auth_type: f.auth_type,
        emitter: emitter(f),
        reported: Reported {
            egress_denied: named(&f.egress_denied_by),
            ingress_denied: named(&f.ingress_denied_by),
            egress_allowed: named(&f.egress_allowed_by),
            ingress_allowed: named(&f.ingress_allowed_by),
            log: f.policy_log.clone(),
            told: [&f.egress_denied_by, &f.ingress_denied_by, &f.egress_allowed_by, &f.ingress_allowed_by]
                .into_iter()
                .flatten()
                .filter_map(told)
                .collect(),
            unnamed: String::new(),
        },
        ruling: ids::ruling(f),
        ..Observed::default()
    };
    if let Some(p) = f.l4.as_ref().and_then(|l| l.protocol.as_ref()) {
        transport(p, &mut o);
    }
    if let Some(l) = &f.l7 {
        o.l7 = Some(application(l));
        o.l7_response = l.r#type == flow::L7FlowType::Response as i32;
    }
    o
}

/// Who made the record. Retina does not say, and gives itself away: Cilium writes no observation point on a drop.
fn emitter(f: &Flow) -> String {
    let named = f.emitter.as_ref().map(|e| e.name.clone()).unwrap_or_default();
    let point = f.trace_observation_point != 0 && matches!(f.event_type, Some(CiliumEventType { r#type: DROP, .. }));
    // Its older versions had a message of their own; to the newer ones' map nobody else has such a key.
    let extension = f.extensions.as_ref().is_some_and(|e| {
        let map = || Struct::decode(&*e.value).is_ok_and(|map| map.fields.contains_key("drop_reason"));
        e.type_url.ends_with("RetinaMetadata") || (e.type_url.ends_with("/google.protobuf.Struct") && map())
    });
    if point || extension { RETINA.to_owned() } else { named }
}

fn at(t: Option<&Timestamp>) -> Option<Nanos> {
    t.map(|t| Nanos::from_parts(t.seconds, t.nanos))
}

#[allow(deprecated, reason = "records of agents before 1.8 have only the old field")]
fn drop_reason(f: &Flow) -> u32 {
    let described = u32::try_from(f.drop_reason_desc).unwrap_or(0);
    let sub_type = match f.event_type {
        // The datapath's reason is one byte; so is Hubble's reading of it.
        Some(CiliumEventType { r#type: DROP, sub_type }) => u32::from(sub_type.to_le_bytes()[0]),
        _ => 0,
    };
    [described, f.drop_reason, sub_type].into_iter().find(|n| *n != 0).unwrap_or(0)
}

fn transport(p: &Protocol, o: &mut Observed) {
    let port = |n: u32| u16::try_from(n).unwrap_or(0);
    let byte = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
    let mut ports = |l4, source, destination| (o.l4, o.src_port, o.dst_port) = (Some(l4), port(source), port(destination));
    match p {
        Protocol::Tcp(t) => {
            ports(L4::Tcp, t.source_port, t.destination_port);
            o.syn = t.flags.as_ref().map(|f| f.syn && !f.ack);
            o.syn_ack = t.flags.as_ref().is_some_and(|f| f.syn && f.ack);
        }
        Protocol::Udp(u) => ports(L4::Udp, u.source_port, u.destination_port),
        Protocol::Sctp(s) => ports(L4::Sctp, s.source_port, s.destination_port),
        Protocol::IcmPv4(i) => (o.l4, o.icmp) = (Some(L4::Icmp4), Some((byte(i.r#type), byte(i.code)))),
        Protocol::IcmPv6(i) => (o.l4, o.icmp) = (Some(L4::Icmp6), Some((byte(i.r#type), byte(i.code)))),
        Protocol::Vrrp(_) => o.l4 = Some(L4::Vrrp),
        Protocol::Igmp(_) => o.l4 = Some(L4::Igmp),
    }
}

#[allow(deprecated, reason = "Kafka records exist in recordings")]
fn application(l: &Layer7) -> L7 {
    match &l.record {
        Some(Record::Http(h)) => L7::Http {
            method: h.method.clone(),
            url: h.url.clone(),
            code: h.code,
            headers: h.headers.iter().map(|h| (h.key.clone(), h.value.clone())).collect(),
        },
        Some(Record::Dns(d)) => L7::Dns {
            query: d.query.clone(),
            rcode: d.rcode,
            ips: d.ips.clone(),
            cnames: d.cnames.clone(),
            ttl: d.ttl,
            qtypes: d.qtypes.clone(),
        },
        Some(Record::Kafka(k)) => {
            L7::Kafka { topic: k.topic.clone(), api_key: k.api_key.clone(), api_version: k.api_version, error_code: k.error_code }
        }
        None => L7::Other,
    }
}

fn party(e: Option<&Endpoint>, ip: &str, names: &[String], service: Option<&Service>) -> Party {
    let mut p = Party {
        present: e.is_some(),
        ip: ip.parse().ok(),
        names: names.to_vec(),
        service: service.filter(|s| !s.name.is_empty()).map(|s| (s.namespace.clone(), s.name.clone())),
        ..Party::default()
    };
    if let Some(e) = e {
        p.identity = e.identity;
        p.namespace.clone_from(&e.namespace);
        p.pod.clone_from(&e.pod_name);
        p.labels.clone_from(&e.labels);
        p.workloads = e.workloads.iter().map(|w| (w.kind.clone(), w.name.clone())).collect();
        p.cluster.clone_from(&e.cluster_name);
    }
    p
}

fn named(policies: &[Policy]) -> Vec<Named> {
    policies.iter().map(|p| Named { kind: p.kind.clone(), namespace: p.namespace.clone(), name: p.name.clone() }).collect()
}

/// What its labels say of a policy. Cilium's own say where it comes from, and nothing of this.
fn told(p: &Policy) -> Option<Told> {
    let mut told = Told { kind: p.kind.clone(), namespace: p.namespace.clone(), name: p.name.clone(), ..Told::default() };
    let known = p.labels.iter().filter(|l| told.label(l)).count();
    (known > 0).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::Verdict;
    use crate::wire::decode::Decoded;
    use crate::wire::json::read_line;
    use crate::wire::note::Notes;

    fn of(line: &str) -> Observed {
        let Decoded::Response(r) = read_line(line.as_bytes(), &mut Notes::default()).unwrap() else { panic!("{line}") };
        observed(&r)
    }

    #[test]
    fn a_drop() {
        let o = of(r#"{"flow":{"verdict":"DROPPED","drop_reason":133,"IP":{"source":"10.0.0.1","destination":"fd00::2"},
            "l4":{"TCP":{"source_port":4,"destination_port":5432,"flags":{"SYN":true}}},
            "source":{"identity":9,"namespace":"a","pod_name":"p","workloads":[{"name":"w","kind":"Deployment"}]},
            "destination_names":["db."],"destination_service":{"name":"db","namespace":"b"},"event_type":{"type":1,"sub_type":134},
            "traffic_direction":"INGRESS","drop_reason_desc":"POLICY_DENY","is_reply":false,
            "ingress_denied_by":[{"name":"deny","namespace":"b","kind":"CiliumNetworkPolicy"}]},"node_name":"n","time":"1970-01-01T00:00:01Z"}"#);
        assert_eq!((o.verdict, o.drop_reason, o.direction, o.syn), (Verdict::Dropped, 181, Some(Direction::Ingress), Some(true)));
        assert_eq!((o.src.ip, o.dst.ip), ("10.0.0.1".parse().ok(), "fd00::2".parse().ok()));
        assert_eq!((o.src.present, o.dst.present, o.dst_port), (true, false, 5432));
        assert_eq!((&*o.node, o.at), ("n", Some(Nanos(1_000_000_000))));
        assert_eq!(o.dst.service, Some(("b".into(), "db".into())));
        assert_eq!(o.reported.ingress_denied[0].name, "deny");
        assert_eq!(o.event, Some((1, 134)));
    }

    #[test]
    fn what_labels_say_of_a_policy() {
        let o = of(r#"{"flow":{"ingress_denied_by":[{"name":"a","kind":"NetworkPolicy","namespace":"b",
            "labels":["rule-index=3","rule-name=x","policy-generation=7","policy-uid=u","k8s:io.cilium.k8s.policy.name=a"]},
            {"name":"c","kind":"CiliumNetworkPolicy","labels":["k8s:io.cilium.k8s.policy.derived-from=CiliumNetworkPolicy"]}]}}"#);
        let [told] = o.reported.told.as_slice() else { panic!("{:?}", o.reported) };
        assert_eq!(
            (told.rule_index, told.generation, told.uid.as_str(), told.words().as_str()),
            (Some(3), Some(7), "u", "rule 3 (x), generation 7")
        );
    }

    #[test]
    fn the_reason_falls_back() {
        let reason = |rest: &str| of(&format!(r#"{{"flow":{{"verdict":"DROPPED"{rest}}}}}"#)).drop_reason;
        assert_eq!(reason(r#","drop_reason":169,"event_type":{"type":1,"sub_type":134}"#), 169);
        assert_eq!(reason(r#","event_type":{"type":1,"sub_type":134}"#), 134);
        assert_eq!(reason(r#","event_type":{"type":5,"sub_type":134}"#), 0);
        assert_eq!(reason(r#","event_type":{"type":1,"sub_type":-1}"#), 255);
        assert_eq!(reason(r#","drop_reason_desc":-5"#), 0);
    }

    #[test]
    fn retina_is_known_by_how_it_fills_a_drop() {
        let who = |rest: &str| {
            of(&format!(r#"{{"flow":{{"verdict":"DROPPED","traffic_direction":"INGRESS","emitter":{{"name":"Hubble"}}{rest}}}}}"#))
        };
        let o = who(r#","event_type":{"type":1,"sub_type":133},"trace_observation_point":"FROM_NETWORK""#);
        assert_eq!((o.of_retina(), o.direction, o.side()), (true, Some(Direction::Ingress), None));
        let o = who(r#","event_type":{"type":1,"sub_type":133}"#);
        assert_eq!((o.emitter.as_str(), o.side()), ("Hubble", Some(Direction::Ingress)));
        assert!(!who(r#","event_type":{"type":4},"trace_observation_point":"FROM_NETWORK""#).of_retina());
        let map = |key: &str| {
            let value = format!(r#"{{"{key}":"IPTABLE_RULE_DROP"}}"#);
            who(&format!(r#","extensions":{{"@type":"type.googleapis.com/google.protobuf.Struct","value":{value}}}"#)).of_retina()
        };
        assert!(map("drop_reason") && !map("other"));
    }

    #[test]
    fn a_syn_ack_is_an_answer() {
        let reply = |rest: &str| of(&format!(r#"{{"flow":{{"l4":{{"TCP":{{"flags":{{"SYN":true,"ACK":true}}}}}}{rest}}}}}"#)).reply();
        assert_eq!((reply(""), reply(r#","is_reply":false"#)), (Some(true), Some(false)));
        assert_eq!(of(r#"{"flow":{"l4":{"TCP":{"flags":{"SYN":true}}}}}"#).reply(), None);
    }

    #[test]
    fn flags_that_were_not_reported_are_not_a_missing_syn() {
        let syn = |flags: &str| of(&format!(r#"{{"flow":{{"l4":{{"TCP":{{{flags}}}}}}}}}"#)).syn;
        assert_eq!(syn(""), None);
        assert_eq!(syn(r#""flags":{}"#), Some(false));
        assert_eq!(syn(r#""flags":{"SYN":true,"ACK":true}"#), Some(false));
    }
}
