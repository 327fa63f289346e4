//! Every policy: how many flows passed by it, how many it stopped or isolated; which ones do nothing. All flows of the session count
//! here: no filter of flows makes a policy useful or useless.
use super::row;
use crate::engine::Engine;
use crate::engine::usage::Used;
use crate::model::time::Nanos;
use crate::policy::Step;
use crate::tui::board::{Policies, Sort};
use crate::tui::model::Model;
use crate::tui::text::{count, many, short, span, width};
use crate::tui::widget::name::narrowed;
use crate::tui::widget::pen::{Pen, length, seg};
use ratatui::layout::Rect;

/// Places of the lines in the order they should have.
pub fn order(p: &Policies) -> Vec<usize> {
    let mut all: Vec<usize> = (0..p.usage.lines.len()).collect();
    let line = |i: &usize| p.usage.lines.get(*i);
    match p.sort {
        // By name they stand already.
        Sort::Name | Sort::New | Sort::Last => {}
        Sort::Allows => all.sort_by_key(|i| std::cmp::Reverse(line(i).map_or(0, |l| l.allows))),
        Sort::Count => all.sort_by_key(|i| std::cmp::Reverse(line(i).map_or(0, |l| l.allows + l.stopped()))),
        Sort::Drops => all.sort_by_key(|i| std::cmp::Reverse(line(i).map_or(0, |l| l.stopped()))),
    }
    if p.reverse {
        all.reverse();
    }
    all
}

/// By what a click on the head in this column sorts; kind and last change are no order.
pub fn sort_at(x: u16, width: u16) -> Option<Sort> {
    let (num, place_w) = numbers(width);
    let at_num = width.saturating_sub(kind(width) + 3 * (num + 1) + place_w + 1);
    match x.checked_sub(at_num).map(|x| x / (num + 1)) {
        None => Some(Sort::Name),
        Some(0) => Some(Sort::Allows),
        Some(1 | 2) => Some(Sort::Drops),
        Some(_) => None,
    }
}

fn kind(width: u16) -> u16 {
    if width >= 100 { 24 } else { 0 }
}

/// Columns of a number, and of the last change.
fn numbers(width: u16) -> (u16, u16) {
    match width {
        0..60 => (6, 0),
        // A name is worth more than when it was changed.
        60..76 => (9, 0),
        76..100 => (9, 18),
        _ => (9, 28),
    }
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, p: &Policies, area: Rect) {
    let look = m.look;
    let set = engine.policies();
    // A picture that stands waits for nothing.
    let judging = crate::tui::update::board::judges(m, engine);
    let idle = p.usage.lines.iter().filter(|l| l.is_idle()).count();
    let gone = p.usage.lines.iter().filter(|l| l.gone).count();
    // What was never asked for, was lost, or is still to be played may have used a policy, and so may what nobody can decide.
    let limits = engine.captures().limits();
    let whole = m.played().is_none() && !m.lacks(Nanos(i64::MIN), Nanos(i64::MAX), engine);
    let sure = whole && limits.is_empty() && !p.usage.is_unsure();
    let mut title = vec![seg(format!(" {}", many((p.usage.lines.len() - gone) as u64, "policy")), look.strong())];
    if gone > 0 {
        title.push(seg(format!(", {gone} not at hand"), look.dim()));
    }
    if !judging && idle > 0 {
        let what = if sure { "without a flow" } else { "not seen" };
        title.push(seg(format!(", {} {what}", count(idle as u64)), look.dim()));
    }
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    // Title, one line of heads.
    let shown = usize::from(body.height.saturating_sub(1));
    let below = p.list.lines.len().saturating_sub(shown.max(p.list.at() + 1));
    if below > 0 && !p.usage.lines.is_empty() {
        title.push(seg(format!(", {below} more below"), look.dim()));
    }
    let room = usize::from(area.width).saturating_sub(length(&title) + 1);
    let fit = |ways: &[&'static str]| ways.iter().find(|t| width(t) <= room).or(ways.last()).copied().unwrap_or_default();
    let right = match () {
        () if judging => seg("judging ", look.warn()),
        () if p.usage.unheld > 0 && p.usage.forgotten > 0 => {
            let (drops, flows) = (many(p.usage.unheld, "drop"), many(p.usage.forgotten, "flow"));
            let whole = format!("at least: causes of {drops} and conversations of {flows} are not held ");
            seg(if width(&whole) <= room { whole } else { "at least so many ".to_owned() }, look.warn())
        }
        () if p.usage.unheld > 0 && area.width < 80 => seg(format!("{} not counted ", many(p.usage.unheld, "drop")), look.warn()),
        () if p.usage.unheld > 0 => {
            let lacking = many(p.usage.unheld, "drop");
            seg(format!("at least so many stopped: causes of {lacking} found no room "), look.warn())
        }
        () if p.usage.forgotten > 0 => {
            let gone = many(p.usage.forgotten, "flow");
            let whole = format!("at least so many let pass: conversations of {gone} are not held any more ");
            seg(if width(&whole) <= room { whole } else { format!("{gone} not counted ") }, look.warn())
        }
        () if p.usage.undecided > 0 => seg(format!("{} undecidable ", many(p.usage.undecided, "drop")), look.dim()),
        () if p.usage.unknown > 0 => seg(format!("{} passed undecidable ", many(p.usage.unknown, "flow")), look.dim()),
        () if !limits.is_empty() => seg(format!("captured with {limits} "), look.warn()),
        () if rewritten(engine) => {
            let ways = [
                "what was stopped as it was then, allows by the policies as they are ",
                "allows by the policies as they are now ",
                "allows: by today's ",
            ];
            seg(fit(&ways), look.dim())
        }
        () => seg(fit(&["what happened to every flow; filters do not count ", "what happened, unfiltered ", "unfiltered "]), look.dim()),
    };
    pen.titled(row(area, 0), &title, &[right]);
    if p.usage.lines.is_empty() {
        let text = match (set.given(), judging) {
            (_, true) => "looking",
            (true, _) => "no policy among what was given; 8 shows what was refused",
            (false, _) => "no policies were given: --policies FILE|DIR",
        };
        pen.put(body.x + 2, body.y + 1, usize::from(body.width), text, look.dim());
        return;
    }
    let w = area.width;
    let kind_w = kind(w);
    let (num, place_w) = numbers(w);
    let name_w = w.saturating_sub(2 + kind_w + 3 * (num + 1) + place_w + 1);
    let at_num = 2 + name_w;
    let at_kind = at_num + 3 * (num + 1) + 1;
    let style = |by: &[Sort]| if by.contains(&p.sort) { look.accent() } else { look.dim() };
    pen.put(2, body.y, usize::from(name_w), "POLICY", style(&[Sort::Name]));
    let heads = if w < 60 { ["ALLOW", "DENY", "ISOL"] } else { ["ALLOWS", "DENIES", "ISOLATES"] };
    let by: [&[Sort]; 3] = [&[Sort::Allows, Sort::Count], &[Sort::Drops, Sort::Count], &[Sort::Drops, Sort::Count]];
    for (i, (h, by)) in heads.into_iter().zip(by).enumerate() {
        pen.number(at_num + (num + 1) * u16::try_from(i).unwrap_or(0), body.y, num, h, style(by));
    }
    if kind_w > 0 {
        pen.put(at_kind, body.y, usize::from(kind_w), "KIND", look.dim());
    }
    if place_w > 0 {
        pen.put(at_kind + kind_w, body.y, usize::from(place_w), "LAST CHANGE", look.dim());
    }
    let page = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
    let (at, height) = (p.list.at(), usize::from(page.height));
    let top = if at < height { 0 } else { at + 1 - height };
    for (y, (i, place)) in (page.y..page.bottom()).zip(p.list.lines.iter().enumerate().skip(top)) {
        let Some(l) = p.usage.lines.get(*place) else { continue };
        let name_style = if l.is_idle() || l.gone { look.dim() } else { look.plain() };
        pen.put(
            2,
            y,
            usize::from(name_w.saturating_sub(1)),
            &narrowed(&l.name(), usize::from(name_w.saturating_sub(1)), look.g.gap),
            name_style,
        );
        let numbers = [(l.allows, look.pass()), (l.denies, look.drop()), (l.isolates, look.drop())];
        if l.is_idle() && !judging {
            let (text, style) = if sure { ("unused", look.warn()) } else { ("not seen", look.dim()) };
            pen.number(at_num, y, 3 * num + 2, text, style);
        }
        for (k, (n, style)) in numbers.into_iter().enumerate().filter(|_| !l.is_idle()) {
            let style = if n == 0 { look.dim() } else { style };
            let text = if n == 0 {
                look.g.dot.to_owned()
            } else if num < 9 {
                short(n)
            } else {
                count(n)
            };
            pen.number(at_num + (num + 1) * u16::try_from(k).unwrap_or(0), y, num, &text, style);
        }
        if kind_w > 0 {
            pen.cell(at_kind, y, kind_w - 1, &l.policy.kind, look.dim());
        }
        if place_w > 0 {
            pen.cell(at_kind + kind_w, y, place_w.saturating_sub(1), &place_of(m, engine, l), look.dim());
        }
        if i == at {
            pen.put(page.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..page }, look.selected());
        }
    }
}

/// Whether a policy was changed while flows came: what passed before may have passed by another text.
fn rewritten(engine: &Engine) -> bool {
    let first = engine.store().at(engine.store().seqs().start);
    first.is_some_and(|first| engine.changes().any(|(_, _, step)| step.at > first))
}

/// Who changed it last and when, where the cluster says so; else where it stands, and how long ago it was saved: `2 min ago, policies.yaml:12`.
fn place_of(m: &Model, engine: &Engine, l: &Used) -> String {
    let Some(policy) = engine.policies_of(l.home).find(&l.policy) else { return "not at hand".to_owned() };
    if let Some(changed) = policy.doc.live.as_ref().and_then(|live| live.changed.as_ref()) {
        let ago = changed.at.map(|at| format!("{} ago, ", span(m.now(engine).since(at)))).unwrap_or_default();
        return format!("{ago}{}", changed.by);
    }
    let file = policy.text.file.rsplit('/').next().unwrap_or(&policy.text.file);
    let place = format!("{file}:{}", policy.lines.0);
    // It was saved, or came, while somebody watched.
    let its = |cluster: &str, step: &Step| {
        (l.cluster.is_empty() || l.cluster == cluster) && step.policy() == Some(&l.policy) && step.after().is_some()
    };
    let turned = engine.changes().filter(|(cluster, _, step)| its(cluster, step)).map(|(_, _, s)| s.at).max();
    turned.map_or(place.clone(), |at| format!("{} ago, {place}", span(m.now(engine).since(at))))
}
