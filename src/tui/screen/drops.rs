//! Drops by cause: one missing rule is one line, whatever number of workloads it hits. As a pane below the table and as a screen.
use super::row;
use crate::engine::Engine;
use crate::engine::causes::{Cause, State};
use crate::model::why::Outcome;
use crate::tui::causes::{CauseLine, Only};
use crate::tui::model::{Model, Screen};
use crate::tui::text::{clean, clip, count, many, short, width, wrap};
use crate::tui::theme::Look;
use crate::tui::update::board::sorted;
use crate::tui::view::View;
use crate::tui::widget::name::{fixed_namespace, pair};
use crate::tui::widget::pen::{Pen, length, seg};
use crate::tui::widget::spark::spark;
use crate::tui::widget::{bar, verdict};
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

/// Lines of the list on the screen.
pub fn list_height(m: &Model) -> u16 {
    m.height.saturating_sub(4 + whole_height(m))
}

/// Lines below the list that say the cause under the finger in full: a rule, the sentence, and who to whom.
fn whole_height(m: &Model) -> u16 {
    match (m.height, m.width) {
        (0..16, _) => 0,
        (_, 0..100) => 4,
        _ => 3,
    }
}

/// What is wrong, as the explanation says it.
fn said(c: &Cause) -> &str {
    if c.why.text.is_empty() { c.why.outcome.word() } else { c.why.text.as_str() }
}

/// What is wrong, in two parts: whose policy (or that it is none), and what of it.
fn parts(c: &Cause) -> (String, String) {
    let text = said(c);
    match (c.why.outcome, verdict::chief(&c.why)) {
        (Outcome::NotPolicy, _) if text.to_ascii_lowercase().starts_with("not ") => (String::new(), text.to_owned()),
        (Outcome::NotPolicy, _) => ("not policy".to_owned(), text.to_owned()),
        (Outcome::NowAllowed, _) => {
            // Who it is stands beside the sentence.
            let rest = text.strip_prefix("it was dropped, yet ").unwrap_or(text);
            let who = c.why.subject.as_deref().filter(|s| !s.is_empty());
            ("now allowed?".to_owned(), who.map_or_else(|| rest.to_owned(), |who| rest.replace(&format!(" {who} "), " it ")))
        }
        // The commonest one, so that it is read in any list.
        (Outcome::Undecidable, _) if c.why.missing == ["policies"] => ("undecidable".to_owned(), "no policies at hand".to_owned()),
        (Outcome::Undecidable, _) if !text.contains("decid") => ("undecidable".to_owned(), text.to_owned()),
        (_, Some(p)) => {
            // Who is concerned stands beside the sentence, and the policy before it: neither is said twice.
            let of = text.rsplit_once(" of ").filter(|(_, tail)| *tail == p || tail.ends_with(&format!("/{p}")));
            let peer = text.strip_prefix("no rule allows traffic ").map(|_| "no rule allows this peer");
            let text = peer.or(of.map(|(head, _)| head)).unwrap_or(text);
            // The same in fewer words, where one condition is all that failed.
            let short = match c.why.nearest.as_ref().filter(|n| n.name == p).map(|n| n.failed.as_slice()) {
                Some([f]) if text.starts_with("the nearest rule wants ") => Some(format!("wants {}, got {}", f.wanted, f.got)),
                _ => None,
            };
            (p.to_owned(), short.unwrap_or_else(|| text.to_owned()))
        }
        _ => (String::new(), text.to_owned()),
    }
}

/// `db-ingress: no rule allows port 5433`.
pub fn sentence(c: &Cause) -> String {
    match parts(c) {
        (who, what) if who.is_empty() => what,
        (who, what) => format!("{who}: {what}"),
    }
}

/// The same within `w` columns: a long name gives way first, for what is wrong is the point.
fn cut_sentence(look: Look, c: &Cause, w: usize) -> String {
    let (who, what) = parts(c);
    let (who_w, what_w) = (width(&clean(&who)), width(&clean(&what)));
    if who.is_empty() || who_w + 2 + what_w <= w {
        return clip(&sentence(c), w, look.g.gap);
    }
    let least = if c.why.outcome == Outcome::NotPolicy { who_w } else { w / 3 };
    let who_w = who_w.min(w.saturating_sub(what_w + 2).max(least));
    let what_w = w.saturating_sub(who_w + 2);
    format!("{}: {}", clip(&who, who_w, look.g.gap), clip(&what, what_w, look.g.gap))
}

fn sign(look: Look, c: &Cause, state: State) -> (&'static str, Style) {
    match (state, c.audit, c.why.outcome) {
        (State::Fixed, ..) => (look.g.ok, look.pass()),
        (State::Mended, ..) => (if c.audit { look.g.audit } else { look.g.no }, look.dim()),
        (_, true, _) => (look.g.audit, look.warn()),
        (_, _, Outcome::NotPolicy) => (look.g.dot, look.dim()),
        _ => (look.g.no, look.drop()),
    }
}

fn state(look: Look, l: &CauseLine) -> (String, Style) {
    match l.state {
        State::Mended => ("fixed ?".to_owned(), look.pass()),
        _ if l.foreseen => ("foreseen".to_owned(), look.warn()),
        // No more is known than that: whether the saved text is in force is not.
        State::New | State::Ongoing if l.defied => (format!("still {}", look.g.no), look.warn()),
        State::New => (format!("new {}s", l.age.max(0) / 1_000_000_000), look.strong()),
        State::Ongoing => ("ongoing".to_owned(), look.plain()),
        State::Quiet => ("quiet".to_owned(), look.dim()),
        State::Unheard => ("unheard".to_owned(), look.dim()),
        State::Fixed => (format!("fixed {}", look.g.ok), look.pass()),
    }
}

/// What the list has in it.
fn heading(m: &Model) -> &'static str {
    match m.drops.only {
        Only::All => " drops by cause",
        Only::Drops => " drops by cause, without audited ones",
        Only::Audits => " audited: what enforcement would drop, by cause",
    }
}

/// What the list leaves out, so that nothing is hidden in silence. Empty: nothing.
pub fn left_out(m: &Model) -> String {
    let (other, foreseen) = m.unlisted();
    let mut said = Vec::new();
    if other > 0 {
        let kind = if m.drops.only == Only::Audits { "dropped" } else { "audited" };
        let how = if matches!(m.screen(), Some(Screen::Drops)) { "v" } else { "v on 2" };
        said.push(format!("{other} {kind} not listed ({how})"));
    }
    match foreseen {
        0 => {}
        n => said.push(format!("{} outside the filter", many(n as u64, "foreseen cause"))),
    }
    said.join(", ")
}

/// The rule and the causes below the table.
pub fn pane(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect) {
    let look = m.look;
    let all = m.causes().count();
    let shown = usize::from(area.height.saturating_sub(1));
    let note = if all > shown { format!("+{} more, 2 shows all", all - shown) } else { String::new() };
    let title = if m.in_pane { look.accent() } else { look.strong() };
    pen.rule(row(area, 0), &[seg(heading(m), title), seg(spaced(&left_out(m)), look.warn())], &note);
    list(pen, m, engine, Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }, m.in_pane);
}

/// Set off from what stands before it.
fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("  {text}") }
}

/// The whole screen.
pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect) -> Option<Position> {
    let look = m.look;
    let cursor = bar::filter(pen, m, engine, row(area, 0));
    let all = m.causes().count();
    if !bar::error(pen, m, row(area, 1)) {
        let mut title = vec![seg(heading(m), look.strong())];
        let known = m.known().saturating_sub(m.unlisted().0);
        if all < known {
            title.push(seg(format!("  {} of {} in this filter", count(all as u64), count(known as u64)), look.dim()));
        }
        // What was gone from the store when the filter came could not be asked whether it passes.
        if let Some(since) = m.view().and_then(View::since).filter(|_| engine.ledger().evicted > 0) {
            title.push(seg(format!("  counted since {}", m.clock(since, engine)), look.dim()));
        }
        title.push(seg(spaced(&left_out(m)), look.warn()));
        let over = engine.causes().overflow;
        let lacking = if over > 0 { format!("{} found no room in this list", many(over, "drop")) } else { sorted(m) };
        // A note without room is left out whole: how many stand below is said first, and in fewer words where need be.
        let below = below(m);
        let few = below.split(" below").next().unwrap_or_default().to_owned();
        let all = [below.clone(), lacking.clone()].into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join(", ");
        let room = usize::from(area.width).saturating_sub(length(&title) + 5);
        let fits = |n: &String| !n.is_empty() && width(n) <= room;
        let note = [all, below, few, lacking].into_iter().find(fits).unwrap_or_default();
        pen.rule(row(area, 1), &title, &note);
    }
    let body = Rect { y: area.y + 2, height: list_height(m), ..area };
    if all == 0 {
        let text = match (engine.causes().is_empty(), engine.store().is_empty()) {
            (false, _) if m.drops.only == Only::Audits => "nothing is audited in this filter; v shows drops too",
            (false, _) if m.drops.only == Only::Drops => "nothing is dropped in this filter; v shows what is audited",
            (_, true) => "no flows yet; 1 shows what is waited for",
            (true, _) => "no drops so far",
            (false, _) => "no drops in this filter; / changes it",
        };
        pen.put(body.x + 2, body.y + 1, usize::from(body.width), text, look.dim());
    }
    list(pen, m, engine, body, true);
    whole(pen, m, engine, Rect { y: body.bottom(), height: whole_height(m), ..area });
    cursor
}

/// What stands below the list, so that nothing ends unsaid: `+3 more below, 1 of them fixed, 1 would be`.
fn below(m: &Model) -> String {
    let (_, top) = place(m, usize::from(list_height(m)));
    let more: Vec<State> = m.causes().skip(top + usize::from(list_height(m))).map(|l| l.state).collect();
    let of = |state: State| more.iter().filter(|s| **s == state).count();
    match (more.len(), of(State::Fixed), of(State::Mended)) {
        (0, ..) => String::new(),
        (n, 0, 0) => format!("+{n} more below"),
        (n, 0, mended) => format!("+{n} more below, {mended} of them would be fixed"),
        (n, fixed, 0) => format!("+{n} more below, {fixed} of them fixed"),
        (n, fixed, mended) => format!("+{n} more below, {fixed} of them fixed, {mended} would be"),
    }
}

/// Which line is under the finger, and which one is the first on the screen.
fn place(m: &Model, height: usize) -> (usize, usize) {
    let at = m.drops.selected.and_then(|id| m.causes().position(|l| l.id == id)).unwrap_or(0);
    (at, m.drops.offset.clamp((at + 1).saturating_sub(height.max(1)), at))
}

/// The cause under the finger.
fn here(m: &Model) -> Option<&CauseLine> {
    m.drops.selected.and_then(|id| m.causes().find(|l| l.id == id)).or_else(|| m.causes().next())
}

fn port(c: &Cause) -> String {
    if c.port == 0 { String::new() } else { format!(":{}", c.port) }
}

/// The cause under the finger, on one line.
pub fn spoken(m: &Model, engine: &Engine) -> String {
    let said = |c: &Cause| format!("{}  {} {} {}{}", sentence(c), c.from, m.look.g.arrow, c.to, port(c));
    here(m).and_then(|l| engine.causes().get(l.id)).map_or_else(String::new, said)
}

/// What the line under the finger had to cut: whose policy, since when, the sentence, and who to whom.
fn whole(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect) {
    let look = pen.look;
    let Some((line, c)) = here(m).and_then(|l| Some((l, engine.causes().get(l.id)?))).filter(|_| area.height > 0) else { return };
    // The policy that its line names, and how many others.
    let chief = verdict::chief(&c.why).and_then(|name| c.why.policies.iter().find(|p| p.name == name));
    let named = chief.map_or_else(|| c.why.outcome.word().to_owned(), |p| format!("{} {}", p.kind.to_lowercase(), p.path()));
    let defied = if line.defied { "  the saved text lets it pass; dropped since" } else { "" };
    let title = [seg(format!(" {named}"), look.strong()), seg(verdict::more(&c.why.policies), look.dim()), seg(defied, look.warn())];
    let seen = format!("first {}, last {}", m.clock(line.seen.first, engine), m.clock(line.seen.last, engine));
    pen.rule(row(area, 0), &title, &seen);
    let room = usize::from(area.width).saturating_sub(4);
    let mut lines = wrap(said(c), room);
    let most = usize::from(area.height.saturating_sub(2));
    if lines.len() > most {
        let rest = lines.split_off(most.saturating_sub(1)).join(" ");
        lines.push(clip(&rest, room, look.g.gap));
    }
    let mut y = area.y + 1;
    for l in &lines {
        pen.put(area.x + 2, y, room, l, look.plain());
        y += 1;
    }
    pen.put(area.x + 2, y, room, &pair(look, (&c.from, &c.to), &port(c), room), look.plain());
}

fn list(pen: &mut Pen<'_>, m: &Model, engine: &Engine, area: Rect, focus: bool) {
    let look = m.look;
    let w = area.width;
    let height = usize::from(area.height);
    let (at, top) = place(m, height);
    let top = if focus { top } else { 0 };
    let screen = matches!(m.screen(), Some(Screen::Drops));
    // Right to left: state, rate, who to whom, and (with room) since when.
    let state_w = 8;
    let spark_w = if w >= 60 { 7 } else { 0 };
    let seen_w = if screen && w >= 110 { 20 } else { 0 };
    let pair_w = match w {
        0..60 => 0,
        60..100 => (w / 4 - 1).max(17),
        _ => w * 3 / 10,
    };
    let text_x = 8;
    let text_w = w.saturating_sub(text_x + 1 + pair_w + 1 + seen_w + spark_w + state_w);
    for (y, (i, line)) in (area.y..area.bottom()).zip(m.causes().enumerate().skip(top)) {
        let Some(c) = engine.causes().get(line.id) else { continue };
        let (glyph, style) = sign(look, c, line.state);
        pen.put(area.x + 1, y, 2, glyph, style);
        pen.number(
            area.x + 3,
            y,
            4,
            &if line.seen.events < 10_000 { line.seen.events.to_string() } else { short(line.seen.events) },
            look.strong(),
        );
        pen.put(area.x + text_x, y, usize::from(text_w), &cut_sentence(look, c, usize::from(text_w)), look.plain());
        let mut x = area.x + text_x + text_w + 1;
        if pair_w > 0 {
            let port = if !screen || w < 100 { String::new() } else { port(c) };
            let fixed = m.view().and_then(|v| fixed_namespace(v.text()));
            // Within one namespace it is said once.
            let same = c.from.split_once('/').map(|(ns, _)| ns);
            let names = (strip(&c.from, fixed), strip(&c.to, fixed.or(same)));
            pen.put(x, y, usize::from(pair_w), &pair(look, names, &port, usize::from(pair_w)), look.plain());
            x += pair_w + 1;
        }
        if seen_w > 0 {
            let text = format!("{} {} {}", m.clock(line.seen.first, engine), look.g.dash, m.clock(line.seen.last, engine));
            pen.cell(x, y, seen_w - 1, &text, look.dim());
            x += seen_w;
        }
        if spark_w > 0 {
            pen.put(x, y, 6, &spark(look, &line.seen.rate), style);
            x += spark_w;
        }
        let (text, style) = state(look, line);
        pen.put(x, y, usize::from(state_w), &text, style);
        if focus && i == at {
            pen.put(area.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..area }, look.selected());
        }
    }
}

/// Without the namespace that the filter fixes.
fn strip<'a>(name: &'a str, fixed: Option<&str>) -> &'a str {
    match (name.split_once('/'), fixed) {
        (Some((ns, rest)), Some(fixed)) if ns == fixed => rest,
        _ => name,
    }
}
