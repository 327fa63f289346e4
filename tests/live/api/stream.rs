//! Watches: what happened since a version, line by line, for as long as the test lets them.
use super::Body;
use super::answer::{Query, gone, partial, selected};
use super::kinds::Kind;
use super::state::{Event, State};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use std::sync::Arc;

pub struct Watch {
    pub kind: Kind,
    /// Empty: all of them.
    pub namespace: String,
    /// The version after which it begins.
    pub from: u64,
    pub partial: bool,
    pub bookmarks: bool,
    /// With its selectors.
    pub query: Query,
    /// How many times watches had been ended when it began.
    pub ended: u64,
}

/// The lines of a watch, and whether it ends with them.
type Lines = (Vec<String>, bool);

impl Watch {
    fn event(&self, what: &str, object: &Value) -> String {
        let object = if self.partial { partial(object) } else { object.clone() };
        format!("{}\n", json!({"type": what, "object": object}))
    }

    fn line(&self, e: &Event) -> Option<String> {
        match e.kind {
            None if self.bookmarks => {
                let object = json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(),
                    "metadata": {"resourceVersion": e.revision.to_string(), "creationTimestamp": null}});
                Some(format!("{}\n", json!({"type": "BOOKMARK", "object": object})))
            }
            Some(k)
                if k == self.kind
                    && (self.namespace.is_empty() || e.object["metadata"]["namespace"] == *self.namespace)
                    && selected(&e.object, &self.query) =>
            {
                Some(self.event(e.what, &e.object))
            }
            _ => None,
        }
    }

    async fn next(&mut self, state: &State) -> Lines {
        let (lines, from, end) = state
            .until(|s| {
                if self.from < s.floor {
                    let error = format!("{}\n", json!({"type": "ERROR", "object": gone()}));
                    return Some((vec![error], self.from, true));
                }
                let lines: Vec<String> = s.history.iter().filter(|e| e.revision > self.from).filter_map(|e| self.line(e)).collect();
                let end = s.ended > self.ended;
                (end || !lines.is_empty()).then_some((lines, s.revision, end))
            })
            .await;
        self.from = from;
        (lines, end)
    }
}

pub fn answer(state: Arc<State>, path: String, watch: Watch) -> Response<Body> {
    let lines = futures::stream::unfold((state, path, watch, false), |(state, path, mut watch, done)| async move {
        if done {
            return None;
        }
        let (lines, end) = watch.next(&state).await;
        let chunk = lines.concat();
        state.change(|s| s.count(&path, true).bytes += chunk.len() as u64);
        Some((Ok(Frame::data(Bytes::from(chunk))), (state, path, watch, end)))
    });
    let body = StreamBody::new(lines).boxed_unsync();
    Response::builder().status(200).header("content-type", "application/json").body(body).unwrap()
}
