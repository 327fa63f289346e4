//! What servers are asked to send, changed while they send it.
//!
//! Owns the wish and how streams hear of it. A wish says what may come, never what is shown; a stream that has heard it asks anew and
//! goes on from where it was.
use crate::wire::pb::flow::FlowFilter;
use tokio::sync::watch;

/// The end that wishes; all streams that were given one like it hear the same. Before the first wish each asks what it was told to.
#[derive(Debug, Clone)]
pub struct Capture(watch::Sender<Option<Vec<FlowFilter>>>);

impl Default for Capture {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Capture {
    /// From now on whatever one of these lets through; everything if there is none.
    pub fn ask(&self, any: Vec<FlowFilter>) {
        self.0.send_replace(Some(any));
    }
}

/// The end that hears, of one stream.
#[derive(Debug, Default)]
pub struct Wishes(Option<watch::Receiver<Option<Vec<FlowFilter>>>>);

impl Wishes {
    /// A stream that begins later hears the last wish first.
    pub fn of(capture: Option<&Capture>) -> Self {
        Self(capture.map(|c| {
            let mut wishes = c.0.subscribe();
            wishes.mark_changed();
            wishes
        }))
    }

    /// Whether there is one that was not taken yet.
    pub fn waits(&self) -> bool {
        self.0.as_ref().is_some_and(|w| w.has_changed().unwrap_or(false))
    }

    /// Returns with the next wish, and leaves it to be taken.
    pub async fn come(&mut self) {
        if let Some(w) = &mut self.0
            && w.changed().await.is_ok()
        {
            return w.mark_changed();
        }
        // Nobody is left who could wish.
        std::future::pending().await
    }

    pub fn take(&mut self) -> Option<Vec<FlowFilter>> {
        if !self.waits() {
            return None;
        }
        self.0.as_mut().and_then(|w| w.borrow_and_update().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(n: i32) -> Vec<FlowFilter> {
        vec![FlowFilter { verdict: vec![n], ..FlowFilter::default() }]
    }

    #[test]
    fn every_stream_takes_a_wish_once_and_who_comes_later_takes_the_last_one() {
        let capture = Capture::default();
        let mut one = Wishes::of(Some(&capture));
        assert_eq!((one.take(), one.waits()), (None, false));
        capture.ask(verdict(1));
        capture.ask(verdict(2));
        let mut late = Wishes::of(Some(&capture));
        for w in [&mut one, &mut late] {
            assert_eq!((w.waits(), w.take(), w.take()), (true, Some(verdict(2)), None));
        }
        capture.ask(Vec::new());
        assert_eq!(one.take(), Some(Vec::new()), "everything is a wish too");
        let mut nobody = Wishes::of(None);
        assert_eq!((nobody.waits(), nobody.take()), (false, None));
    }

    #[tokio::test]
    async fn who_waits_for_a_wish_finds_it_there() {
        let capture = Capture::default();
        let mut wishes = Wishes::of(Some(&capture));
        wishes.take();
        let (_, ()) = tokio::join!(wishes.come(), async { capture.ask(verdict(2)) });
        assert_eq!(wishes.take(), Some(verdict(2)));
    }
}
