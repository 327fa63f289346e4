//! A cluster's clock, as its API tells it.
//!
//! Owns by how much it differs from ours. What we date ourselves (lists, removals, broken watches) stands beside times that the cluster wrote, and
//! a machine's clock may be minutes off: then a policy that was gone would be blamed, or one that was not there yet. An answer's date is cut to
//! seconds and was a while on its way; within that our clock is taken for right.
use crate::model::time::Nanos;
use kube::Client;
use kube::client::Body;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};
use tonic::codegen::http::{Request, header::DATE};

/// Nothing waits longer for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// A difference that a person is told.
const TOLD: i64 = 5 * Nanos::SECOND;

#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// What time it is there.
    pub fn now(&self) -> Nanos {
        ours().plus(self.0.load(Ordering::Relaxed))
    }

    /// That our clock is wrong, where it is.
    pub fn trouble(&self, cluster: &str) -> Option<String> {
        let ahead = self.0.load(Ordering::Relaxed);
        let word = if ahead > 0 { "behind" } else { "ahead of" };
        let seconds = ahead.unsigned_abs() / Nanos::SECOND.unsigned_abs();
        (ahead.abs() > TOLD).then(|| {
            format!("the clock of this machine is {seconds} s {word} that of {cluster}; what flowhy dates there goes by the cluster's")
        })
    }

    /// Asks the cluster; an answer that refuses has a date too. Without one all stays as it was.
    pub async fn ask(&self, client: &Client) {
        let Ok(request) = Request::get("/version").body(Body::empty()) else { return };
        let sent = ours();
        let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, client.send(request)).await else { return };
        let date = answer.headers().get(DATE).and_then(|d| d.to_str().ok());
        if let Some(said) = date.and_then(|d| chrono::DateTime::parse_from_rfc2822(d).ok()) {
            self.0.store(ahead(sent, Nanos::from_utc(said.to_utc()), ours()), Ordering::Relaxed);
        }
    }
}

fn ours() -> Nanos {
    Nanos::from(SystemTime::now())
}

/// By how much a clock is ahead at least that said a second between two moments of ours.
fn ahead(sent: Nanos, said: Nanos, got: Nanos) -> i64 {
    let (least, most) = (said.since(got), said.plus(Nanos::SECOND).since(sent));
    if least > 0 { least } else { most.min(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_that_is_cut_to_seconds_proves_no_wrong_clock_and_one_that_is_minutes_off_does() {
        let s = |n: i64| Nanos(n * Nanos::SECOND / 10);
        for (sent, said, got, want) in [(100, 100, 101, 0), (109, 100, 112, 0), (100, 3_100, 110, 2_990), (3_105, 100, 3_110, -2_995)] {
            assert_eq!(ahead(s(sent), s(said), s(got)), s(want).0, "{sent} {said} {got}");
        }
        let clock = Clock::default();
        assert_eq!(clock.trouble("c"), None);
        clock.0.store(-300 * Nanos::SECOND, Ordering::Relaxed);
        assert!(clock.trouble("c").unwrap().contains("300 s ahead of that of c"));
        assert!(ours().since(clock.now()) > 299 * Nanos::SECOND);
    }
}
