//! What a flow was and what became of it, in Hubble's words: TYPE, VERDICT, SUMMARY.
use super::paint::Paint;
use crate::model::monitor::{CAPTURE, DROP, POLICY_VERDICT, TRACE, TRACE_POINTS, TRACE_SOCK};
use crate::model::reason;
use crate::wire::pb::flow::layer7::Record;
use crate::wire::pb::flow::{AuthType, DebugCapturePoint, Flow, L7FlowType, Policy, SocketTranslationPoint, TrafficDirection, Verdict};

const RED: u8 = b'1';
const GREEN: u8 = b'2';
const YELLOW: u8 = b'3';

/// What a policy verdict matched.
const MATCHES: [&str; 7] = ["none", "L3-Only", "L3-L4", "L4-Only", "all", "L3-Proto", "Proto-Only"];

/// An enum's name, or its number where we have no name.
fn named<T: TryFrom<i32>>(n: i32, name: impl Fn(&T) -> &'static str) -> String {
    T::try_from(n).map_or_else(|_| n.to_string(), |v| name(&v).to_owned())
}

#[allow(deprecated, reason = "Kafka records exist in recordings")]
pub fn kind(f: &Flow, p: &mut Paint<'_>) {
    if let Some(l) = &f.l7 {
        let proto = match &l.record {
            Some(Record::Http(_)) => "http",
            Some(Record::Dns(_)) => "dns",
            Some(Record::Kafka(_)) => "kafka",
            None => "l7",
        };
        p.raw(proto);
        p.raw("-");
        p.raw(&named(l.r#type, L7FlowType::as_str_name).to_ascii_lowercase());
        if let Some(Record::Dns(d)) = &l.record {
            p.raw(" ");
            p.text(&d.observation_source);
        }
        return;
    }
    let (event, sub) = f.event_type.map_or((0, 0), |e| (e.r#type, e.sub_type));
    // The monitor's sub-type is one byte.
    let sub = sub.to_le_bytes()[0];
    match event {
        TRACE => match TRACE_POINTS.get(usize::from(sub)) {
            Some(point) => p.raw(point),
            None => p.raw(&sub.to_string()),
        },
        DROP => match reason::by_number(u32::from(sub)) {
            Some(r) => p.raw(r.printed),
            None => p.raw(&format!("{sub}, 0")),
        },
        POLICY_VERDICT => {
            p.raw("policy-verdict:");
            p.raw(MATCHES.get(f.policy_match_type as usize).unwrap_or(&"unknown"));
            p.raw(" ");
            p.raw(&named(f.traffic_direction, TrafficDirection::as_str_name));
        }
        CAPTURE => p.raw(&named(f.debug_capture_point, DebugCapturePoint::as_str_name)),
        TRACE_SOCK => p.raw(&match f.sock_xlate_point {
            1 => "pre-xlate-fwd".to_owned(),
            2 => "post-xlate-fwd".to_owned(),
            3 => "pre-xlate-rev".to_owned(),
            4 => "post-xlate-rev".to_owned(),
            n => named(n, SocketTranslationPoint::as_str_name),
        }),
        _ => p.raw("UNKNOWN"),
    }
}

pub fn verdict(f: &Flow, names: bool, p: &mut Paint<'_>) {
    let judged = f.event_type.is_some_and(|e| e.r#type == POLICY_VERDICT);
    let known = Verdict::try_from(f.verdict);
    let (color, word, by) = match known {
        Ok(Verdict::Forwarded | Verdict::Redirected) => (Some(GREEN), "ALLOWED", by(f, &f.egress_allowed_by, &f.ingress_allowed_by)),
        Ok(Verdict::Dropped | Verdict::Error) => (Some(RED), "DENIED", by(f, &f.egress_denied_by, &f.ingress_denied_by)),
        Ok(Verdict::Audit) => (Some(YELLOW), "AUDITED", &[][..]),
        Ok(Verdict::Traced | Verdict::Translated) => (Some(YELLOW), "", &[][..]),
        Ok(Verdict::Unknown) | Err(_) => (None, "", &[][..]),
    };
    p.colored(color, |p| {
        if !judged || word.is_empty() {
            return p.raw(&named(f.verdict, Verdict::as_str_name));
        }
        p.raw(word);
        let mut before = " BY ";
        for policy in by.iter().filter(|b| names && !b.name.is_empty() && !b.kind.is_empty()) {
            p.raw(before);
            p.text(&policy.name);
            p.raw(" (");
            p.text(&policy.kind);
            p.raw(")");
            before = ", ";
        }
    });
}

fn by<'a>(f: &Flow, egress: &'a [Policy], ingress: &'a [Policy]) -> &'a [Policy] {
    match f.traffic_direction {
        1 => ingress,
        2 => egress,
        _ => &[],
    }
}

#[allow(deprecated, reason = "the text Hubble's servers make; its command line prints nothing else")]
pub fn summary(f: &Flow, p: &mut Paint<'_>) {
    if let Some(id) = f.ip_trace_id.as_ref().map(|i| i.trace_id).filter(|id| *id > 0) {
        p.raw(&format!("IP Trace ID: {id}; "));
    }
    p.text(&f.summary);
    if f.auth_type != AuthType::Disabled as i32 {
        p.raw("; Auth: ");
        let color = match AuthType::try_from(f.auth_type) {
            Ok(AuthType::Spire) => Some(GREEN),
            Ok(AuthType::TestAlwaysFail) => Some(RED),
            _ => None,
        };
        p.colored(color, |p| p.raw(&named(f.auth_type, AuthType::as_str_name)));
    }
}
