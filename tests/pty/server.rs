//! An observer that the test fills.
use crate::kit::limit;
use flowhy::serve::{self, Ring};
use flowhy::source::Stop;
use flowhy::wire::pb::flow::{Endpoint, Flow, LostEvent};
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An observer whose ring the test fills: each push is followed by whoever asked with `-f`.
pub struct Observer {
    pub ring: Arc<Ring>,
    pub running: serve::Running,
    pub runtime: tokio::runtime::Runtime,
}

impl Observer {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ring = Ring::new(1024);
        let service = serve::observer(ring.clone(), Arc::new(serve::ByQuery), serve::About::default());
        let running = runtime.block_on(serve::listen(service, serve::Listen::loopback(), Stop::new())).unwrap();
        Self { ring, running, runtime }
    }

    /// Every stream breaks, and nobody answers at its address any more. The ring goes on.
    pub fn dies(&self) {
        self.running.stop.cancel();
    }

    /// The same ring at the same address, as soon as that is free.
    pub fn returns(&mut self) {
        let end = Instant::now() + limit();
        loop {
            let at = serve::Listen::Tcp(self.running.address.parse().unwrap());
            let service = serve::observer(self.ring.clone(), Arc::new(serve::ByQuery), serve::About::default());
            match self.runtime.block_on(serve::listen(service, at, Stop::new())) {
                Ok(running) => return self.running = running,
                Err(e) => assert!(Instant::now() < end, "{e:?}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn push(&self, what: ResponseTypes) {
        let at = serve::now();
        let (seconds, nanos) = at.parts();
        let time = Some(prost_types::Timestamp { seconds, nanos });
        self.ring.push(at, &GetFlowsResponse { time, node_name: "k8s1".to_owned(), response_types: Some(what) });
    }

    pub fn lose(&self, n: u64) {
        self.push(ResponseTypes::LostEvents(LostEvent { source: 2, num_events_lost: n, ..LostEvent::default() }));
    }

    pub fn flow(&self, uuid: &str) {
        let (seconds, nanos) = serve::now().parts();
        let time = Some(prost_types::Timestamp { seconds, nanos });
        self.push(ResponseTypes::Flow(Flow { uuid: uuid.to_owned(), time, ..Flow::default() }));
    }

    /// A flow that a screen shows by this name.
    pub fn named(&self, pod: &str) {
        let (seconds, nanos) = serve::now().parts();
        let end = |pod: &str| Some(Endpoint { namespace: "shop".to_owned(), pod_name: pod.to_owned(), ..Endpoint::default() });
        self.push(ResponseTypes::Flow(Flow {
            uuid: pod.to_owned(),
            time: Some(prost_types::Timestamp { seconds, nanos }),
            verdict: 1,
            source: end(pod),
            destination: end("db"),
            ..Flow::default()
        }));
    }

    /// With the last flow first: when it is printed, what comes is followed.
    pub fn args(&self) -> [&str; 7] {
        ["observe", "-f", "--last", "1", "--server", &self.running.address, "-ojson"]
    }
}
