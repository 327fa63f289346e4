//! What a server is said to lack after a break, and how it is asked for that: servers that answer as Relay does, one flow of each node.
use super::*;
use flowhy::model::input::{At, Change, Gap};

/// A flow of a node.
fn of(node: &str, at: i64) -> Bytes {
    let uuid = format!("{node} {at}");
    let mut m = observer::GetFlowsResponse::decode(message(at, &uuid)).unwrap();
    m.node_name = node.to_owned();
    m.encode_to_vec().into()
}

/// What a server sends to whoever follows it, from when on it holds what of each node, and how often it was asked for that.
#[derive(Clone, Default)]
struct Relay {
    sent: Arc<Mutex<Vec<(i64, Bytes)>>>,
    oldest: Arc<Mutex<Vec<(&'static str, i64)>>>,
    asked: Arc<AtomicUsize>,
    hangs: Arc<AtomicBool>,
}

impl Relay {
    fn send(&self, node: &str, at: i64) {
        self.sent.lock().unwrap().push((at, of(node, at)));
    }

    fn handler(&self) -> Handler {
        let relay = self.clone();
        Arc::new(move |r| {
            if r.first {
                assert_eq!((r.number, r.follow, r.whitelist.len()), (1, false, 0));
                relay.asked.fetch_add(1, Ordering::SeqCst);
                let held: Vec<_> = relay.oldest.lock().unwrap().iter().map(|(node, at)| of(node, *at)).collect();
                return match relay.hangs.load(Ordering::SeqCst) {
                    true => Ok(Box::pin(list(held).chain(futures::stream::pending()))),
                    false => Ok(list(held)),
                };
            }
            let since = r.since.map_or(0, |t| t.seconds * 1000 + i64::from(t.nanos) / 1_000_000);
            let sent = relay.sent.lock().unwrap().iter().filter(|(at, _)| *at >= since).map(|(_, m)| m.clone()).collect();
            Ok(Box::pin(list(sent).chain(futures::stream::pending())))
        })
    }
}

/// What came: uuids of flows, and gaps, in their order.
#[derive(Default)]
struct Came {
    flows: Vec<String>,
    gaps: Vec<Arc<Gap>>,
    /// So many flows had come before the first gap.
    before: Option<usize>,
    downs: usize,
}

impl Came {
    async fn until(&mut self, inbox: &mut Inbox, what: &str, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let batch = tokio::time::timeout(Duration::from_secs(20), inbox.recv()).await;
            for input in batch.unwrap_or_else(|_| panic!("{what}: {:?} {:?}", self.flows, self.gaps)).expect(what) {
                match input {
                    Input::Frame(f) => self.flows.push(uuid(&f)),
                    Input::World(At { change: Change::Gap(gap), .. }) => {
                        self.before.get_or_insert(self.flows.len());
                        self.gaps.push(gap);
                    }
                    Input::Link(Link::Down { .. }) => self.downs += 1,
                    _ => {}
                }
            }
        }
    }

    /// Node, from and until in milliseconds.
    fn told(&self) -> Vec<(&str, i64, i64)> {
        self.gaps.iter().map(|g| (&*g.node, g.from.0 / 1_000_000, g.until.0 / 1_000_000)).collect()
    }
}

/// A connection to it that breaks after the first flows; `meanwhile` is done before it comes back.
fn broken(relay: &Relay, connect: Duration, meanwhile: impl Fn(&Relay), then: impl AsyncFnOnce(&mut Came, &mut Inbox)) {
    let mut server = Some(Server::start("127.0.0.1:0", relay.handler()));
    let addr = server.as_ref().unwrap().addr.to_string();
    let (feed, mut inbox) = channel(64);
    let first = relay.sent.lock().unwrap().len();
    many(1).block_on(async {
        let mut client = client(&addr, Request { number: 1000, ..follow() }, Retry::Forever);
        client.server.timing.connect = connect;
        tokio::spawn(Box::new(client).run(feed, Stop::new()));
        let mut came = Came::default();
        came.until(&mut inbox, "the first flows", |c| c.flows.len() == first).await;
        assert_eq!(relay.asked.load(Ordering::SeqCst), 0, "nothing has broken");
        server.take();
        came.until(&mut inbox, "the break", |c| c.downs > 0).await;
        meanwhile(relay);
        server = Some(Server::start(&addr, relay.handler()));
        then(&mut came, &mut inbox).await;
    });
    drop(server);
}

const NODES: [&str; 6] = ["n0", "n1", "n2", "n3", "n4", "n5"];

#[test]
fn nodes_that_have_lost_flows_are_asked_for_together_and_a_quiet_one_is_named_too() {
    let (relay, begin) = (Relay::default(), now_ms());
    relay.send("quiet", begin - 3_600_000);
    relay.send("still there", begin - 3_600_000);
    NODES.iter().for_each(|n| relay.send(n, begin - 100));
    let oldest = |i: usize| begin + 600_000 + 1_000 * i as i64;
    let meanwhile = |r: &Relay| {
        r.sent.lock().unwrap().clear();
        NODES.iter().enumerate().for_each(|(i, n)| r.send(n, oldest(i)));
        *r.oldest.lock().unwrap() = NODES.iter().enumerate().map(|(i, n)| (*n, oldest(i))).collect();
        r.oldest.lock().unwrap().extend([("quiet", begin + 700_000), ("still there", begin - 60_000), ("new", begin + 1)]);
    };
    broken(&relay, Duration::from_secs(20), meanwhile, async |came, inbox| {
        came.until(inbox, "gaps", |c| c.gaps.len() == NODES.len() + 1 && c.flows.len() == 2 * NODES.len() + 2).await;
        let told = came.told();
        for (i, n) in NODES.iter().enumerate() {
            assert!(told.iter().any(|t| t.0 == *n && t.1 >= begin - 2_100 && t.1 <= now_ms() && t.2 == oldest(i)), "{n}: {told:?}");
        }
        // Until the connection broke it had lost nothing.
        assert!(told.iter().any(|t| t.0 == "quiet" && t.1 >= begin - 2_100 && t.2 == begin + 700_000), "{told:?}");
        assert_eq!(relay.asked.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_node_that_does_not_answer_holds_up_no_flow_and_no_other_nodes_answer() {
    let (relay, begin) = (Relay::default(), now_ms());
    ["a", "b"].iter().for_each(|n| relay.send(n, begin - 100));
    relay.hangs.store(true, Ordering::SeqCst);
    let meanwhile = |r: &Relay| {
        r.sent.lock().unwrap().clear();
        (0..500).for_each(|i| r.send(if i % 2 == 0 { "a" } else { "b" }, begin + 600_000 + i));
        *r.oldest.lock().unwrap() = vec![("a", begin - 60_000)];
    };
    broken(&relay, Duration::from_secs(2), meanwhile, async |came, inbox| {
        came.until(inbox, "a gap", |c| !c.gaps.is_empty()).await;
        assert_eq!((came.flows.len(), came.before), (502, Some(502)), "all had come while the answer was waited for");
        let told = came.told();
        assert_eq!(told.iter().map(|t| (t.0, t.2)).collect::<Vec<_>>(), [("b", begin + 600_001)], "{told:?}");
    });
}
