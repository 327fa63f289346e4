//! `flowhy why -f`: one line when a cause opens, and one when it closes. What an alert reads.
//!
//! Owns what counts as opened and closed, and the line. A cause closes when its traffic passes again (fixed) or when no drop has come for
//! a while (quiet); a drop after that opens it again. One that nobody can have heard (its server is away) is neither: that is told, and
//! what comes of it.
use super::why::{Style, head, names, policies_label};
use crate::engine::Engine;
use crate::engine::causes::{Cause, State};
use crate::model::text::clean;
use crate::model::time::Nanos;
use crate::model::why::Why;
use serde::Serialize;
use std::io::{self, Write};

/// What was told of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Open,
    /// Open, as far as anybody knows.
    Unheard,
    Closed,
}

/// How each cause was told last.
#[derive(Debug, Default)]
pub struct Follow {
    /// By number of the cause.
    told: Vec<Told>,
    /// Second of the flows' own time in which closing was last looked at: so that the same flows give the same lines, however
    /// they were batched.
    looked: Option<i64>,
}

impl Follow {
    /// Writes what has changed; to be called after every input.
    pub fn step(&mut self, engine: &Engine, style: Style, out: &mut dyn Write) -> io::Result<()> {
        let causes = engine.causes();
        for cause in causes.iter().skip(self.told.len()) {
            write(cause, "opened", cause.first, style, out)?;
            self.told.push(Told::Open);
        }
        let second = engine.now().0.div_euclid(Nanos::SECOND);
        if self.looked.is_some_and(|s| s == second) {
            return Ok(());
        }
        self.looked = Some(second);
        for (cause, told) in causes.iter().zip(&mut self.told) {
            let state = engine.state(cause, engine.now());
            let now = match state {
                State::New | State::Ongoing => Told::Open,
                // What was closed stays so until a drop is heard.
                State::Unheard if *told != Told::Closed => Told::Unheard,
                State::Unheard | State::Quiet | State::Mended | State::Fixed => Told::Closed,
            };
            let before = std::mem::replace(told, now);
            match (before, now) {
                (before, now) if before == now => {}
                (Told::Closed, Told::Open) => write(cause, "opened again", cause.last, style, out)?,
                (_, Told::Open) => write(cause, state.word(), cause.last, style, out)?,
                _ => write(cause, state.word(), engine.now(), style, out)?,
            }
        }
        Ok(())
    }
}

fn write(cause: &Cause, event: &str, at: Nanos, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if style.json {
        #[derive(Serialize)]
        struct Line<'a> {
            /// opened, opened again, quiet, fixed; unheard, and from there ongoing
            event: &'a str,
            at: String,
            cause: u32,
            from: &'a str,
            to: &'a str,
            port: u16,
            #[serde(skip_serializing_if = "Option::is_none")]
            protocol: Option<&'static str>,
            audit: bool,
            count: u64,
            events: u64,
            why: &'a Why,
        }
        let line = Line {
            event,
            at: at.to_string(),
            cause: cause.id.0.get(),
            from: &cause.from,
            to: &cause.to,
            port: cause.port,
            protocol: cause.l4.map(crate::model::observed::L4::word),
            audit: cause.audit,
            count: cause.records,
            events: cause.events,
            why: &cause.why,
        };
        serde_json::to_writer(&mut *out, &line)?;
        return out.write_all(b"\n");
    }
    let why = &*cause.why;
    let side = why.direction.map(|d| format!("{}: ", d.word())).unwrap_or_default();
    let by = if why.policies.is_empty() { String::new() } else { format!("  [{} {}]", policies_label(why.outcome), names(&why.policies)) };
    let so_far = if event == "opened" {
        String::new()
    } else {
        format!("  {} drop{} so far", cause.events, if cause.events == 1 { "" } else { "s" })
    };
    let line = format!("{}  {event:<12}  {}  {side}{}{by}{so_far}", at.utc().format("%F %T"), head(cause, style), why.text);
    writeln!(out, "{}", if style.terminal { clean(&line).into_owned() } else { line })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Explain, Options};
    use crate::model::input::{Codec, Frame, Input, Link};

    fn record(e: &mut Engine, second: u32, verdict: &str) {
        let time = format!("2026-04-13T14:{:02}:{:02}Z", second / 60, second % 60);
        let reason = if verdict == "DROPPED" { r#","drop_reason_desc":"POLICY_DENIED""# } else { "" };
        let text = format!(
            r#"{{"flow":{{"time":"{time}","verdict":"{verdict}","l4":{{"TCP":{{"source_port":{},"destination_port":5432}}}},"source":{{"namespace":"shop","pod_name":"cart"}},"destination":{{"namespace":"shop","pod_name":"db"}},"event_type":{{"type":5}},"traffic_direction":"INGRESS","is_reply":false{reason}}}}}"#,
            40_000 + second
        );
        let frame = Frame { codec: Codec::HubbleJson, from: "relay".into(), line: 1, bytes: text.into(), broken: None };
        e.feed(Input::Frame(frame), &mut |_| {});
    }

    fn told(follow: &mut Follow, e: &Engine, json: bool) -> Vec<String> {
        let style = Style { json, unicode: false, terminal: false, color: false };
        let mut out = Vec::new();
        follow.step(e, style, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_cause_opens_once_closes_when_its_traffic_passes_and_opens_again() {
        let mut e = Engine::new(Options { explain: Explain::Drops, ..Options::default() });
        let mut f = Follow::default();
        record(&mut e, 1, "DROPPED");
        let lines = told(&mut f, &e, false);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("2026-04-13 14:00:01  opened") && lines[0].contains("shop/cart -> shop/db:5432/TCP"), "{lines:?}");
        record(&mut e, 2, "DROPPED");
        assert!(told(&mut f, &e, false).is_empty(), "it is open already");
        // Nobody else drops it: silence closes it, told by the clock.
        let at = e.now().plus(60 * Nanos::SECOND);
        e.feed(Input::Link(Link::Clock { at }), &mut |_| {});
        assert!(told(&mut f, &e, false)[0].contains("quiet"));
        assert!(told(&mut f, &e, false).is_empty());
        record(&mut e, 70, "DROPPED");
        let lines = told(&mut f, &e, true);
        assert!(lines.len() == 1 && lines[0].contains(r#""event":"opened again""#), "{lines:?}");
    }

    #[test]
    fn while_its_server_is_away_no_cause_closes_by_silence() {
        let mut e = Engine::new(Options { explain: Explain::Drops, ..Options::default() });
        let mut f = Follow::default();
        let mut link = |e: &mut Engine, link| {
            e.feed(Input::Link(link), &mut |_| {});
            told(&mut f, e, false)
        };
        let up = || Link::Connected { server: "relay".into() };
        let down = || Link::Down { server: "relay".into(), cause: "gone".to_owned(), hint: None, retry_ms: 1 };
        link(&mut e, up());
        record(&mut e, 1, "DROPPED");
        let begin = e.now();
        let after = |s: i64| Link::Clock { at: begin.plus(s * Nanos::SECOND) };
        assert!(link(&mut e, after(1))[0].contains("opened"));
        assert!(link(&mut e, down()).is_empty());
        let lines = link(&mut e, after(60));
        assert!(lines.len() == 1 && lines[0].contains("unheard") && !lines[0].contains("quiet"), "{lines:?}");
        assert!(link(&mut e, after(600)).is_empty(), "it is said once");
        // There again, it may go on or not.
        assert!(link(&mut e, up()).is_empty() && link(&mut e, after(620)).is_empty());
        let lines = link(&mut e, after(640));
        assert!(lines.len() == 1 && lines[0].contains("quiet"), "{lines:?}");
        // What is closed is not opened by a server that goes.
        assert!(link(&mut e, down()).is_empty() && link(&mut e, after(700)).is_empty() && link(&mut e, up()).is_empty());
        record(&mut e, 720, "DROPPED");
        assert!(link(&mut e, after(721))[0].contains("opened again"));
        link(&mut e, down());
        assert!(link(&mut e, after(800))[0].contains("unheard"));
        link(&mut e, up());
        record(&mut e, 810, "DROPPED");
        let lines = link(&mut e, after(811));
        assert!(lines.len() == 1 && lines[0].contains("ongoing"), "{lines:?}");
    }
}
