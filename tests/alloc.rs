//! What one flow costs in allocations: on the way of a plain filter (read in part, judged by the filter, printed, nothing held), and
//! where flows like it were explained before.
#![allow(unsafe_code, reason = "an allocator that counts has no safe form")]
#![allow(clippy::print_stdout, reason = "the number is the point")]
use flowhy::demo::{self, Simulation};
use flowhy::engine::Fold;
use flowhy::engine::attribute::Attribution;
use flowhy::engine::talks::Talks;
use flowhy::engine::tally::Tally;
use flowhy::engine::{Engine, Explain, Options};
use flowhy::model::input::{Change, Codec, Frame, Input};
use flowhy::model::observed::Observed;
use flowhy::model::time::Nanos;
use flowhy::out::{Compact, Dict, Format, Jsonpb, Options as Print};
use flowhy::policy::{self, PolicySet};
use flowhy::query::{self, Context};
use flowhy::wire::json::write_response;
use flowhy::wire::observed::observed;
use flowhy::wire::pb::observer::GetFlowsResponse;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use flowhy::world::{World, yaml};
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
/// Allocations a flow, once buffers have grown.
const MOST: f64 = 0.001;

fn flows() -> Vec<GetFlowsResponse> {
    let mut simulation = Simulation::new(1, Nanos::from_parts(1_800_000_000, 0));
    let is_flow = |r: &GetFlowsResponse| matches!(&r.response_types, Some(ResponseTypes::Flow(_)));
    std::iter::from_fn(|| Some(simulation.next().1)).filter(is_flow).take(FLOWS).collect()
}

fn frames(codec: Codec) -> Vec<Frame> {
    let bytes = |r: &GetFlowsResponse| match codec {
        Codec::Hubble => r.encode_to_vec(),
        Codec::HubbleJson => {
            let mut line = Vec::new();
            write_response(r, &mut line);
            line
        }
    };
    flows().iter().map(|r| Frame { codec, from: Arc::from("demo"), line: 0, bytes: bytes(r).into(), broken: None }).collect()
}

fn counted(mut f: impl FnMut()) -> f64 {
    let before = COUNT.get();
    f();
    (COUNT.get() - before) as f64 / FLOWS as f64
}

/// Feeds the frames twice; allocations a flow of the second time, and how many were printed in both.
fn second_time(codec: Codec, filter: &str, mut format: impl Format) -> (f64, usize) {
    let Ok(admit) = query::parse(filter, &Context::default()) else { unreachable!("{filter}") };
    assert!(!admit.fields().needs_derived(), "{filter}");
    let mut engine = Engine::new(Options { admit, explain: Explain::Nothing, reads: format.fields(), ..Options::default() });
    let (mut out, mut printed) = (Vec::with_capacity(1 << 16), 0);
    let mut feed = |frames: Vec<Frame>| {
        for frame in frames {
            engine.feed(Input::Frame(frame), &mut |event| {
                out.clear();
                format.line(event.response, None, &mut out);
                assert!(!out.is_empty());
                printed += 1;
            });
        }
    };
    let all = frames(codec);
    let again = all.clone();
    feed(all);
    let mut again = Some(again);
    let cost = counted(|| again.take().into_iter().for_each(&mut feed));
    (cost, printed)
}

#[test]
fn a_plain_filter_allocates_nothing() {
    let print = Print { node_name: true, policy_names: true, ..Print::default() };
    for codec in [Codec::Hubble, Codec::HubbleJson] {
        for filter in ["", "verdict:dropped port:443", "not (ns:nowhere or label:none=such or workload:nobody)"] {
            let compact = second_time(codec, filter, Compact::new(print));
            let dict = second_time(codec, filter, Dict::new(print));
            println!("{codec:?} {filter:?}: compact {compact:?}, dict {dict:?}");
            assert!(compact.0 <= MOST && dict.0 <= MOST, "{codec:?} {filter}: {compact:?} {dict:?}");
            assert!(filter.starts_with("verdict") || compact.1 >= FLOWS / 2, "{compact:?}");
        }
    }
}

#[test]
fn a_line_that_goes_out_as_it_came_allocates_nothing() {
    let (cost, printed) = second_time(Codec::HubbleJson, "", Jsonpb::new(Print::default()));
    assert!(cost <= MOST, "{cost}");
    assert_eq!(printed, 2 * FLOWS);
}

#[test]
fn a_flow_like_those_before_it_is_explained_and_folded_without_allocating() {
    let (mut world, mut set, opt) = (World::new(), PolicySet::new(), policy::Options::default());
    for doc in demo::manifests().into_iter().flat_map(|(file, text)| yaml::read(file, text).0) {
        let change = Change::Apply(Arc::new(doc));
        world.apply(&change);
        set.apply(&change);
    }
    let mut flows: Vec<Observed> = flows().iter().map(observed).collect();
    flows.iter().for_each(|o| world.observe(o));
    let (mut attribution, mut talks) = (Attribution::default(), Talks::new(Fold::First));
    let mut explained = 0;
    let mut pass = |flows: &[Observed]| {
        counted(|| {
            for o in flows {
                explained += usize::from(!attribution.why(o, &world, &set, &opt).policies.is_empty());
                talks.add(o, Nanos(1));
            }
        })
    };
    let cold = pass(&flows);
    for o in &mut flows {
        // Another packet of another connection, elsewhere and later.
        (o.at, o.node) = (Some(Nanos(2)), "another".to_owned());
        *(if o.reply() == Some(true) { &mut o.dst_port } else { &mut o.src_port }) = 2;
    }
    let warm = pass(&flows);
    println!("{cold} a flow at first, {warm} then");
    assert!(cold > 1.0 && warm == 0.0, "{cold} {warm}");
    assert!(explained > FLOWS / 100, "{explained}");
}

#[test]
fn what_is_held_is_counted_without_allocating() {
    let hold = Some(flowhy::engine::store::Limits::default());
    let mut engine = Engine::new(Options { hold, explain: Explain::Drops, ..Options::default() });
    frames(Codec::Hubble).into_iter().for_each(|f| engine.feed(Input::Frame(f), &mut |_| {}));
    let (store, now) = (engine.store(), engine.now());
    assert_eq!(store.len(), FLOWS);
    let mut tally = Tally::default();
    let mut pass = || counted(|| store.seqs().filter_map(|s| store.row(s)).for_each(|row| tally.add(&row, store, now)));
    let (cold, warm) = (pass(), pass());
    println!("{cold} a flow at first, {warm} then");
    assert!(cold > 0.0 && warm == 0.0, "{cold} {warm}");
}

#[test]
fn the_counter_counts() {
    let frames = frames(Codec::Hubble);
    let decoding = counted(|| frames.iter().for_each(|f| drop(GetFlowsResponse::decode(f.bytes.clone()))));
    assert!((10.0..60.0).contains(&decoding), "{decoding}");
}
