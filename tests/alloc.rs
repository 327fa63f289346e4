//! What one flow costs in allocations on the way of a plain filter: decoded, judged by the filter, handed on, nothing held.
#![allow(unsafe_code, reason = "an allocator that counts has no safe form")]
#![allow(clippy::print_stdout, reason = "the number is the point")]
use flowhy::demo::Simulation;
use flowhy::engine::{Engine, Explain, Options};
use flowhy::model::input::{Codec, Frame, Input};
use flowhy::model::time::Nanos;
use flowhy::wire::pb::flow::Verdict;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use prost::Message;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

struct Counting;

thread_local! {
    // Of this thread alone: the harness has threads of its own.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn one_more() {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: everything is handed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        one_more();
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        one_more();
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        one_more();
        unsafe { System.realloc(p, layout, size) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FLOWS: usize = 10_000;
/// A flow of the demo has about 40 strings and lists, each an allocation of prost's; what flowhy adds must not show beside them.
const MOST_OF_DECODING: f64 = 60.0;
const MOST_ABOVE_DECODING: f64 = 0.001;

fn forwarded() -> Vec<GetFlowsResponse> {
    let mut simulation = Simulation::new(1, Nanos::from_parts(1_800_000_000, 0));
    let forwarded = |r: &GetFlowsResponse| {
        // Answers of DNS teach names, which is an allocation with a purpose.
        matches!(&r.response_types, Some(ResponseTypes::Flow(f)) if f.verdict == i32::from(Verdict::Forwarded) && f.l7.is_none())
    };
    std::iter::from_fn(|| Some(simulation.next().1)).filter(forwarded).take(FLOWS).collect()
}

fn counted(mut f: impl FnMut()) -> f64 {
    let before = COUNT.get();
    f();
    (COUNT.get() - before) as f64 / FLOWS as f64
}

#[test]
fn a_plain_filter_costs_no_more_than_reading() {
    let responses = forwarded();
    let frames: Vec<Frame> = responses
        .iter()
        .map(|r| Frame { codec: Codec::Hubble, from: Arc::from("demo"), line: 0, bytes: r.encode_to_vec().into(), broken: None })
        .collect();
    let mut engine = Engine::new(Options { hold: None, explain: Explain::Nothing, ..Options::default() });
    let mut handed = 0;
    let mut feed = |frames: Vec<Frame>| {
        for frame in frames {
            engine.feed(Input::Frame(frame), &mut |_| handed += 1);
        }
    };
    let (warm, measured) = (frames.clone(), frames.clone());
    feed(warm);
    let mut measured = Some(measured);
    let whole = counted(|| measured.take().into_iter().for_each(&mut feed));
    let decoding = counted(|| frames.iter().for_each(|f| drop(GetFlowsResponse::decode(f.bytes.clone()))));
    println!("allocations a flow: {whole:.2}, of them {decoding:.2} in decoding");
    assert_eq!(handed, 2 * FLOWS);
    assert!(decoding > 1.0, "the counter counts nothing");
    assert!(decoding <= MOST_OF_DECODING, "{decoding}");
    assert!(whole - decoding <= MOST_ABOVE_DECODING, "{whole} of which {decoding} in decoding");
}
