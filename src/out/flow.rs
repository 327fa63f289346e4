//! What a flow was and what became of it, in Hubble's words: TYPE, VERDICT, SUMMARY.
use super::Options;
use super::paint::Paint;
use crate::model::monitor::{CAPTURE, DROP, POLICY_VERDICT, TRACE, TRACE_POINTS, TRACE_SOCK};
use crate::model::reason;
use crate::model::view::{End, Field, FieldSet, Item, View};
use crate::wire::pb::flow::{AuthType, DebugCapturePoint, L7FlowType, SocketTranslationPoint, TrafficDirection, Verdict};

const RED: u8 = b'1';
const GREEN: u8 = b'2';
const YELLOW: u8 = b'3';

/// What a policy verdict matched.
const MATCHES: [&str; 7] = ["none", "L3-Only", "L3-L4", "L4-Only", "all", "L3-Proto", "Proto-Only"];

/// What the text formats read of a flow, whichever of them it is.
pub fn fields(o: &Options) -> FieldSet {
    let mut all: FieldSet = [
        Field::FlowTime,
        Field::L7Record,
        Field::L7Type,
        Field::DnsSource,
        Field::EventType,
        Field::EventSubType,
        Field::PolicyMatchType,
        Field::Direction,
        Field::CapturePoint,
        Field::XlatePoint,
        Field::Verdict,
        Field::IpTraceId,
        Field::Summary,
        Field::AuthType,
    ]
    .into_iter()
    .collect();
    for e in End::BOTH {
        [Field::Ip(e), Field::Mac(e), Field::Port(e)].into_iter().for_each(|f| all.insert(f));
        if o.translate_ip {
            let names = [Field::Namespace(e), Field::Pod(e), Field::ServiceNamespace(e), Field::ServiceName(e), Field::Names(e)];
            names.into_iter().for_each(|f| all.insert(f));
        }
        if o.policy_names {
            [Field::AllowedBy(e), Field::DeniedBy(e)].into_iter().for_each(|f| all.insert(f));
        }
    }
    if o.node_name {
        all.insert(Field::NodeName);
    }
    all
}

/// A wire number; 0 where there is none.
fn number(f: &dyn View, field: Field) -> i32 {
    f.field(field).int().and_then(|n| i32::try_from(n).ok()).unwrap_or(0)
}

/// An enum's name, or its number where we have no name.
fn named<T: TryFrom<i32>>(n: i32, name: impl Fn(&T) -> &'static str, p: &mut Paint<'_>) {
    match T::try_from(n) {
        Ok(v) => p.raw(name(&v)),
        Err(_) => p.number(i64::from(n)),
    }
}

pub fn kind(f: &dyn View, p: &mut Paint<'_>) {
    if let Some(record) = f.field(Field::L7Record).int() {
        p.raw(match record {
            100 => "dns",
            101 => "http",
            102 => "kafka",
            _ => "l7",
        });
        p.raw("-");
        let n = number(f, Field::L7Type);
        match L7FlowType::try_from(n) {
            Ok(t) => p.lower(t.as_str_name()),
            Err(_) => p.number(i64::from(n)),
        }
        if record == 100 {
            p.raw(" ");
            p.text(f.field(Field::DnsSource).text());
        }
        return;
    }
    // The monitor's sub-type is one byte.
    let sub = number(f, Field::EventSubType).to_le_bytes()[0];
    match number(f, Field::EventType) {
        TRACE => match TRACE_POINTS.get(usize::from(sub)) {
            Some(point) => p.raw(point),
            None => p.unsigned(u64::from(sub)),
        },
        DROP => match reason::by_number(u32::from(sub)) {
            Some(r) => p.raw(r.printed),
            None => {
                p.unsigned(u64::from(sub));
                p.raw(", 0");
            }
        },
        POLICY_VERDICT => {
            p.raw("policy-verdict:");
            let matched = f.field(Field::PolicyMatchType).uint().and_then(|n| usize::try_from(n).ok());
            p.raw(MATCHES.get(matched.unwrap_or(0)).unwrap_or(&"unknown"));
            p.raw(" ");
            named(number(f, Field::Direction), TrafficDirection::as_str_name, p);
        }
        CAPTURE => named(number(f, Field::CapturePoint), DebugCapturePoint::as_str_name, p),
        TRACE_SOCK => match number(f, Field::XlatePoint) {
            1 => p.raw("pre-xlate-fwd"),
            2 => p.raw("post-xlate-fwd"),
            3 => p.raw("pre-xlate-rev"),
            4 => p.raw("post-xlate-rev"),
            n => named(n, SocketTranslationPoint::as_str_name, p),
        },
        _ => p.raw("UNKNOWN"),
    }
}

/// The policies that decided at one side.
type By = fn(End) -> Field;

pub fn verdict(f: &dyn View, names: bool, p: &mut Paint<'_>) {
    let judged = number(f, Field::EventType) == POLICY_VERDICT;
    let n = number(f, Field::Verdict);
    let (color, word, by): (_, _, Option<By>) = match Verdict::try_from(n) {
        Ok(Verdict::Forwarded | Verdict::Redirected) => (Some(GREEN), "ALLOWED", Some(Field::AllowedBy)),
        Ok(Verdict::Dropped | Verdict::Error) => (Some(RED), "DENIED", Some(Field::DeniedBy)),
        Ok(Verdict::Audit) => (Some(YELLOW), "AUDITED", None),
        Ok(Verdict::Traced | Verdict::Translated) => (Some(YELLOW), "", None),
        Ok(Verdict::Unknown) | Err(_) => (None, "", None),
    };
    p.colored(color, |p| {
        if !judged || word.is_empty() {
            return named(n, Verdict::as_str_name, p);
        }
        p.raw(word);
        // Whose policy it was: the receiver's for ingress, the sender's for egress.
        let end = match number(f, Field::Direction) {
            1 => End::Destination,
            2 => End::Source,
            _ => return,
        };
        let Some(by) = by.filter(|_| names) else { return };
        let mut before = " BY ";
        f.any(by(end), &mut |policy| {
            if let Item::Policy { kind, name, .. } = policy
                && !kind.is_empty()
                && !name.is_empty()
            {
                p.raw(before);
                p.text(name);
                p.raw(" (");
                p.text(kind);
                p.raw(")");
                before = ", ";
            }
            false
        });
    });
}

pub fn summary(f: &dyn View, p: &mut Paint<'_>) {
    if let Some(id) = f.field(Field::IpTraceId).uint().filter(|id| *id > 0) {
        p.raw("IP Trace ID: ");
        p.unsigned(id);
        p.raw("; ");
    }
    p.text(f.field(Field::Summary).text());
    let auth = number(f, Field::AuthType);
    if auth != AuthType::Disabled as i32 {
        p.raw("; Auth: ");
        let color = match AuthType::try_from(auth) {
            Ok(AuthType::Spire) => Some(GREEN),
            Ok(AuthType::TestAlwaysFail) => Some(RED),
            _ => None,
        };
        p.colored(color, |p| named(auth, AuthType::as_str_name, p));
    }
}
