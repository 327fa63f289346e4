//! A response on its way out: decoded, or, where nobody needs the whole message, a flow of which only some fields were read.
use super::decode::{Decoded, decode_bytes};
use super::lean::LeanView;
use super::note::Notes;
use super::pb::observer::GetFlowsResponse;
use super::pb::observer::get_flows_response::ResponseTypes;
use crate::model::input::Codec;
use crate::model::view::View;
use std::borrow::Cow;

/// What engine and formats hand to each other.
#[derive(Clone, Copy)]
pub enum Response<'a> {
    Whole(&'a GetFlowsResponse),
    /// A flow, and the bytes in which it lies.
    Part {
        view: LeanView<'a>,
        codec: Codec,
        bytes: &'a [u8],
    },
}

impl<'a> From<&'a GetFlowsResponse> for Response<'a> {
    fn from(r: &'a GetFlowsResponse) -> Self {
        Self::Whole(r)
    }
}

impl<'a> Response<'a> {
    /// The flow, if it is one.
    pub fn flow(&self) -> Option<&dyn View> {
        match self {
            Self::Whole(r) => matches!(r.response_types, Some(ResponseTypes::Flow(_))).then_some(*r as &dyn View),
            Self::Part { view, .. } => Some(view),
        }
    }

    /// The line that our writer would write, where the flow came as exactly that.
    pub fn canonical(&self) -> Option<&'a [u8]> {
        match self {
            Self::Part { view, codec: Codec::HubbleJson, bytes } if view.is_whole(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The whole message, decoded now if it was not. `None` where the frame cannot be: of protobuf, only some fields were seen.
    pub fn message(&self) -> Option<Cow<'a, GetFlowsResponse>> {
        match self {
            Self::Whole(r) => Some(Cow::Borrowed(r)),
            Self::Part { codec, bytes, .. } => match decode_bytes(*codec, bytes, &mut Notes::default()) {
                Ok(Decoded::Response(r)) => Some(Cow::Owned(r)),
                _ => None,
            },
        }
    }
}
