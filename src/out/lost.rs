//! Lost events in words.
use super::paint::Paint;
use crate::wire::pb::flow::{LostEvent, LostEventSource};
use crate::wire::pb::observer::GetFlowsResponse;
use crate::wire::pb::observer::get_flows_response::ResponseTypes;
use crate::wire::response::Response;

/// The lost events, if the response is such.
pub fn events(r: Response<'_>) -> Option<(&GetFlowsResponse, &LostEvent)> {
    match r {
        Response::Whole(r) => match &r.response_types {
            Some(ResponseTypes::LostEvents(l)) => Some((r, l)),
            _ => None,
        },
        Response::Part { .. } => None,
    }
}

/// Which buffer overran; its number where it is newer than we are.
pub fn source(l: &LostEvent) -> String {
    LostEventSource::try_from(l.source).map_or_else(|_| l.source.to_string(), |s| s.as_str_name().to_owned())
}

/// ` (first: TIME, last: TIME)`, where both are known.
pub fn span(l: &LostEvent, p: &mut Paint<'_>) {
    if let (Some(first), Some(last)) = (&l.first, &l.last) {
        p.raw(" (first: ");
        p.time(Some(first));
        p.raw(", last: ");
        p.time(Some(last));
        p.raw(")");
    }
}

/// `CPU(0) - 4096` with its span.
pub fn summary(l: &LostEvent, p: &mut Paint<'_>) {
    p.raw(&format!("CPU({}) - {}", l.cpu.unwrap_or(0), l.num_events_lost));
    span(l, p);
}
