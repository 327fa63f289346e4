//! How the tests drive the screen: an app fed with a recording, keys as a string, a picture as text or cells.
use flowhy::engine::store::Limits;
use flowhy::engine::{Engine, Explain, Options as Run};
use flowhy::model::input::{Change, Codec, Frame, Input};
use flowhy::tui::{App, Depth, Options, key};
use flowhy::world::yaml;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use std::sync::Arc;

pub const FLOWS: &str = include_str!("flows.jsonl");
pub const POLICIES: &str = include_str!("policies.yaml");

/// One that was given nothing.
pub fn bare() -> Engine {
    Engine::new(Run {
        hold: Some(Limits::default()),
        explain: Explain::Drops,
        fold: Some(flowhy::engine::Fold::Latest),
        tally: true,
        ..Run::default()
    })
}

pub fn engine() -> Engine {
    engine_at("policies.yaml")
}

/// Its policies were read from this file.
pub fn engine_at(file: &str) -> Engine {
    let mut e = bare();
    let (docs, faults) = yaml::read(file, POLICIES);
    assert!(faults.is_empty(), "{faults:?}");
    for d in docs {
        e.feed(Change::Apply(Arc::new(d)).into(), &mut |_| {});
    }
    e
}

pub fn lines(text: &str) -> Vec<Input> {
    let frame = |(n, l): (usize, &str)| {
        Input::Frame(Frame {
            codec: Codec::HubbleJson,
            from: Arc::from("flows.jsonl"),
            line: n as u64 + 1,
            bytes: l.as_bytes().to_vec().into(),
            broken: None,
        })
    };
    text.lines().enumerate().map(frame).collect()
}

pub fn options() -> Options {
    Options {
        depth: Depth::Sixteen,
        title: "flows.jsonl".to_owned(),
        command: "flowhy replay flows.jsonl".to_owned(),
        ..Options::default()
    }
}

/// An app with everything read.
pub fn app(options: Options) -> App {
    app_of(engine(), options)
}

pub fn app_of(engine: Engine, options: Options) -> App {
    let mut app = App::new(engine, options);
    app.feed(lines(FLOWS));
    app.feed(vec![Input::End(Arc::from("flows.jsonl"), Ok(()))]);
    app.close();
    app
}

pub fn picture(app: &mut App, w: u16, h: u16) -> Terminal<TestBackend> {
    let mut t = Terminal::new(TestBackend::new(w, h)).unwrap();
    t.draw(|f| app.draw(f)).unwrap();
    t
}

/// Presses keys, each seen on a screen of that size.
pub fn press(app: &mut App, keys: &str, w: u16, h: u16) {
    picture(app, w, h);
    for k in key::parse(keys) {
        app.key(k);
        app.scan(&mut || true);
        picture(app, w, h);
    }
}

pub fn play_at(keys: &str, w: u16, h: u16) -> Terminal<TestBackend> {
    let mut app = app(options());
    press(&mut app, keys, w, h);
    picture(&mut app, w, h)
}

pub fn play(keys: &str) -> String {
    text(&play_at(keys, 80, 24))
}

pub fn text(t: &Terminal<TestBackend>) -> String {
    t.backend().to_string()
}

pub fn row(b: &Buffer, y: u16) -> String {
    (0..b.area.width).map(|x| b[(x, y)].symbol()).collect()
}

/// The first line that holds all of `parts`.
pub fn find(b: &Buffer, parts: &[&str]) -> u16 {
    (0..b.area.height).find(|y| parts.iter().all(|p| row(b, *y).contains(p))).unwrap_or_else(|| {
        let all: Vec<String> = (0..b.area.height).map(|y| row(b, y)).collect();
        panic!("no line with {parts:?} in\n{}", all.join("\n"))
    })
}

/// Column of a text on a line.
pub fn column(b: &Buffer, y: u16, what: &str) -> u16 {
    let r = row(b, y);
    let at = r.find(what).unwrap_or_else(|| panic!("no {what:?} in {r:?}"));
    r[..at].chars().count() as u16
}
