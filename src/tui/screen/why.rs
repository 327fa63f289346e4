//! Flow and policy on one page: the sentence, what each side said, and the line of the policy that stands in the way.
use super::remedy::{self, Place};
use super::{row, rule};
use crate::engine::Engine;
use crate::engine::causes::State;
use crate::model::observed::{Direction, L7, Observed, Party, Verdict};
use crate::model::reason;
use crate::model::time::Nanos;
use crate::model::why::{Agreement, Lane, LaneState, Outcome, PolicyRef, Why};
use crate::policy::Judging;
use crate::tui::model::{Case, Model, Scroll};
use crate::tui::text::{clip, count, many, span, width, wrap};
use crate::tui::update::CONTRASTED;
use crate::tui::widget::pen::{Pen, Seg, length, seg};
use ratatui::layout::Rect;

/// From this width on the verdict stands left and the YAML right.
const BESIDE: u16 = 120;

/// The evidence, and how many of its lines are never cut: the sentence, the sides, and what the datapath says of it.
struct Evidence {
    lines: Vec<Vec<Seg>>,
    head: usize,
}

impl Evidence {
    /// Lines that are never cut, with the one that says how many there are below.
    fn least(&self) -> usize {
        self.head + usize::from(self.lines.len() > self.head + 1)
    }
}

/// Lines that the YAML is left at least.
const LEAST: u16 = 4;

/// Where the evidence and the YAML (its head line first) stand.
struct Parts {
    evidence: Rect,
    yaml: Option<Rect>,
}

fn parts(area: Rect, e: &Evidence, yaml: bool) -> Parts {
    let text = below_title(area);
    if !yaml {
        return Parts { evidence: text, yaml: None };
    }
    if area.width >= BESIDE {
        let (left, width) = widths(area, yaml);
        let right = Rect { x: text.x + left + 1, y: text.y + 1, width, height: text.height.saturating_sub(1) };
        return Parts { evidence: Rect { width: left, ..text }, yaml: Some(right) };
    }
    // The line to change is the point of the page: the evidence leaves it at least six lines, or half of a small screen.
    let keep = 7.min(text.height / 2);
    let [lines, head] = [e.lines.len(), e.least()].map(|n| u16::try_from(n).unwrap_or(u16::MAX));
    let head = head.min(text.height.saturating_sub(LEAST));
    let above = lines.min(text.height.saturating_sub(keep).max(head));
    let yaml = Rect { y: text.y + above, height: text.height - above, ..text };
    Parts { evidence: Rect { height: above, ..text }, yaml: Some(yaml) }
}

/// Columns of the evidence, and of the YAML.
fn widths(area: Rect, yaml: bool) -> (u16, u16) {
    let left = (area.width * 48 / 100).min(76);
    if yaml && area.width >= BESIDE { (left, area.width - left - 1) } else { (area.width, area.width) }
}

/// Loads the text of the rule that is shown, and finds out how far things scroll.
pub fn measure(m: &Model, engine: &Engine, c: &mut Case, area: Rect) {
    let has_yaml = !c.rules().is_empty();
    if let (Some(scroll), Some(s)) = (c.whole, &c.suggestion) {
        c.whole = Some(remedy::measure(m, c.why.as_deref(), s, below_title(area), scroll));
        return;
    }
    let (area, below, tight) = split(m, engine, c, area);
    if c.sheet.as_ref().is_none_or(|(of, _)| *of != c.rule) {
        let rule = c.rules().get(c.rule);
        let sheet = rule.map(|r| crate::tui::widget::yaml::Sheet::cut(&r.text, r.lines.0));
        c.sheet = Some((c.rule, sheet.unwrap_or_default()));
        c.placed = None;
    }
    let evidence = evidence(m, engine, c, widths(area, has_yaml), (below.height > 0, tight));
    let p = parts(area, &evidence, has_yaml);
    c.scroll.most = evidence.lines.len().saturating_sub(usize::from(p.evidence.height));
    c.scroll.by(0);
    let w = p.yaml.map_or(0, |y| y.width);
    let page = p.yaml.map_or(0, |y| usize::from(y.height.saturating_sub(rule::head_lines(c, w))));
    let Some(shown) = c.rules().get(c.rule) else { return };
    let Some((_, sheet)) = &c.sheet else { return };
    let placed = (page, usize::from(w));
    let at = if c.placed == Some(placed) { c.yaml.at } else { sheet.start(shown, page, w) };
    c.yaml = Scroll { at, most: sheet.height(shown, w).saturating_sub(page) };
    c.placed = Some(placed);
    c.yaml.by(0);
}

/// What the first line leaves, which says of which flow it is.
fn below_title(area: Rect) -> Rect {
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

/// The room of evidence and YAML, and that of the change to try; whether what is likely had to give way there.
fn split(m: &Model, engine: &Engine, c: &Case, area: Rect) -> (Rect, Rect, bool) {
    let (why, suggestion) = (c.why.as_deref(), c.suggestion.as_ref());
    let has_yaml = !c.rules().is_empty();
    let mut below = remedy::height(m, why, suggestion, area);
    if below > 0 && (!has_yaml || area.width < BESIDE) {
        // The title, all that is never cut, and the line to change come first.
        let head = evidence(m, engine, c, widths(area, has_yaml), (true, true)).least();
        let head = u16::try_from(head + 1).unwrap_or(u16::MAX).saturating_add(if has_yaml { LEAST } else { 0 });
        below = below.min(area.height.saturating_sub(head).max(remedy::LEAST));
    }
    let rest = Rect { height: area.height - below, ..area };
    let below = Rect { y: rest.bottom(), height: below, ..area };
    let tight = suggestion.is_some_and(|s| remedy::is_tight(m, why, s, below));
    (rest, below, tight)
}

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, c: &Case, area: Rect) {
    if let (Some(scroll), Some(s)) = (c.whole, &c.suggestion) {
        title(pen, m, engine, c, row(area, 0));
        return remedy::whole(pen, m, c.why.as_deref(), s, below_title(area), scroll);
    }
    let (area, below, tight) = split(m, engine, c, area);
    if let Some(s) = c.suggestion.as_ref().filter(|_| below.height > 0) {
        remedy::draw(pen, m, c.why.as_deref(), s, below);
    }
    title(pen, m, engine, c, row(area, 0));
    let has_yaml = !c.rules().is_empty();
    let evidence = evidence(m, engine, c, widths(area, has_yaml), (below.height > 0, tight));
    let p = parts(area, &evidence, has_yaml);
    pen.lines(p.evidence, &evidence.lines, c.scroll.at);
    below_the_fold(pen, &p, c, &evidence);
    let Some(at) = p.yaml else { return };
    if at.y < area.bottom() && at.width < area.width {
        for y in area.y + 1..area.bottom() {
            pen.put(at.x - 1, y, 1, m.look.g.wall, m.look.dim());
        }
    }
    rule::draw(pen, c, at);
}

/// Says how much more there is, where there is room to say it.
fn below_the_fold(pen: &mut Pen<'_>, p: &Parts, c: &Case, e: &Evidence) {
    let (at, shown) = (p.evidence, usize::from(p.evidence.height));
    // The last line of all is empty: to hide it hides nothing, and what stands here hides one that is not.
    let more = e.lines.len().saturating_sub(c.scroll.at + shown);
    if more < 2 || shown < 3 {
        return;
    }
    let last = Rect { y: at.bottom() - 1, height: 1, ..at };
    pen.clear(last);
    pen.line(last, &[seg(pen.look.own(&format!("   … {}: j", many(more as u64, "more line"))), pen.look.dim())]);
}

/// How often and how long: `✗ 412× in 5 min`.
pub fn extent(m: &Model, engine: &Engine, c: &Case) -> Vec<Seg> {
    let look = m.look;
    let Some(cause) = c.cause.and_then(|id| engine.causes().get(id)) else { return Vec::new() };
    let (glyph, style, word) = if cause.audit { (look.g.audit, look.warn(), "audited") } else { (look.g.no, look.drop(), "dropped") };
    // Under a filter the list that leads here counts what passes it.
    let within = m.view().filter(|v| !v.is_all()).and_then(|v| v.pulse(cause.id)).filter(|p| p.events < cause.events);
    let (first, last) = within.map_or((cause.first, cause.last), |p| (p.first, p.last));
    let how_long = if last.since(first) < Nanos::SECOND { String::new() } else { format!(" in {}", span(last.since(first))) };
    let of = within.map_or_else(String::new, |p| format!("{} of ", count(p.events)));
    vec![seg(format!("{glyph} {word} {of}{}{}{how_long} ", count(cause.events), look.g.times), style)]
}

/// One side: the pod, or where that is too long its workload.
fn side(p: &Party, short: bool) -> String {
    match p.workloads.first() {
        Some((_, w)) if short && p.namespace.is_empty() => w.clone(),
        Some((_, w)) if short => format!("{}/{w}", p.namespace),
        _ => p.display(),
    }
}

/// Screens with fewer lines have no room for anything but the answer.
const LOW: u16 = 14;

/// Policies and workloads named on the page, one list each.
const MOST_NAMED: usize = 50;

/// Which flow, when and where. The node goes first where there is no room, then pods become workloads, then names are cut.
fn title(pen: &mut Pen<'_>, m: &Model, engine: &Engine, c: &Case, area: Rect) {
    let look = m.look;
    let room = usize::from(area.width);
    let Some(o) = &c.observed else {
        if let Some(cause) = c.cause.and_then(|id| engine.causes().get(id)) {
            let port = if cause.port == 0 { String::new() } else { format!(":{}", cause.port) };
            let flow = seg(format!(" {} {} {}{port}", cause.from, look.g.arrow, cause.to), look.strong());
            pen.ends(area, &[flow], &[seg("no flow of it is held any more ", look.warn())]);
        }
        return;
    };
    let clock = o.at.map_or_else(String::new, |at| {
        if m.relative {
            return m.clock(at, engine);
        }
        at.plus(i64::from(m.options.offset) * 1_000_000_000).utc().format("%H:%M:%S%.3f").to_string()
    });
    let mut right = vec![seg(clock, look.plain())];
    let node = if o.node.is_empty() { Vec::new() } else { vec![seg(format!("  node {}", o.node), look.dim())] };
    let port = if o.dst_port == 0 { String::new() } else { format!(":{}", o.dst_port) };
    let proto = o.l4.map_or(String::new(), |l| format!("  {}", l.word().to_ascii_lowercase()));
    let l7 = o.l7.as_ref().map(request).filter(|r| !r.is_empty()).map_or_else(String::new, |r| format!("  {r}"));
    let flow = |short| format!("{} {} {}{port}", side(&o.src, short), look.g.arrow, side(&o.dst, short));
    let tail = width(&proto) + width(&l7) + 4;
    let fits = |flow: &str, right: &[Seg]| width(flow) + tail + length(right) <= room;
    let with_node: Vec<Seg> = right.iter().chain(&node).cloned().collect();
    let long = flow(false);
    let text = if fits(&long, &with_node) {
        right = with_node;
        long
    } else if fits(&long, &right) {
        long
    } else if fits(&flow(true), &with_node) {
        right = with_node;
        flow(true)
    } else if fits(&flow(true), &right) {
        flow(true)
    } else {
        let each = room.saturating_sub(length(&right) + width(&proto) + width(&port) + 8) / 2;
        let cut = |p: &Party| clip(&side(p, true), each.max(6), look.g.gap);
        format!("{} {} {}{port}", cut(&o.src), look.g.arrow, cut(&o.dst))
    };
    right.push(seg(" ", look.plain()));
    let left = [seg(" ", look.plain()), seg(text, look.strong()), seg(proto, look.dim()), seg(l7, look.plain())];
    pen.titled(area, &left, &right);
}

fn request(l7: &L7) -> String {
    match l7 {
        L7::Http { method, url, code, .. } if *code > 0 => format!("{method} {url} {code}"),
        L7::Http { method, url, .. } => format!("{method} {url}"),
        L7::Dns { query, .. } => format!("dns {query}"),
        L7::Kafka { topic, api_key, .. } => format!("kafka {api_key} {topic}"),
        L7::Other => String::new(),
    }
}

/// The evidence, wrapped to a width; with the change to try, unless that stands apart, and with what is likely where it has no room there.
fn evidence(m: &Model, engine: &Engine, c: &Case, (w, beside): (u16, u16), (apart, tight): (bool, bool)) -> Evidence {
    let look = m.look;
    let w = usize::from(w).saturating_sub(2).max(10);
    // On the lowest screens the answer goes before everything else: the line above names both ends, as far as it has room, and none
    // stays empty between them.
    let low = m.height < LOW;
    let mut out: Vec<Vec<Seg>> = if low { Vec::new() } else { vec![Vec::new()] };
    let Some(why) = &c.why else {
        for l in passed(c) {
            out.extend(wrap(&l, w).into_iter().map(|l| vec![seg(format!(" {l}"), look.plain())]));
        }
        return Evidence { head: out.len(), lines: out };
    };
    out.extend(wrap(&sentence(why, c.observed.as_ref(), !low), w).into_iter().map(|l| vec![seg(format!(" {l}"), look.strong())]));
    let note = |out: &mut Vec<Vec<Seg>>, head: &str, text: &str, style| {
        let indent = 3 + width(head) + if head.is_empty() { 0 } else { 2 };
        for (i, l) in wrap(text, w.saturating_sub(indent)).into_iter().enumerate() {
            let head = if i == 0 && !head.is_empty() { format!("   {head}  ") } else { " ".repeat(indent) };
            out.push(vec![seg(head, look.dim()), seg(l, style)]);
        }
    };
    if let Some(cause) = c.cause.and_then(|id| engine.causes().get(id)) {
        match (cause.foreseen.is_some(), cause.is_mended()) {
            (true, false) => {
                note(&mut out, "", "foreseen: it passed, and the policies as they were saved since would stop it", look.warn())
            }
            (true, true) if !cause.holds_all_talks() => note(
                &mut out,
                "",
                "was foreseen; not all of its conversations are held, so it is not known whether all pass now",
                look.warn(),
            ),
            (true, true) if engine.looks_ahead() => {}
            (true, true) => note(&mut out, "", "was foreseen; the policies as they were saved last let it pass", look.pass()),
            (false, true) if engine.state(cause, m.now(engine)) == State::Fixed => {
                note(&mut out, "", "the saved text lets all of it pass, and it has passed since", look.pass())
            }
            (false, true) if cause.is_defied() => {
                note(&mut out, "", "the saved text would let it pass, and it was dropped since: not in force?", look.warn())
            }
            (false, true) => note(&mut out, "", "the saved text already lets all of it pass; no flow has shown it yet", look.pass()),
            (false, false) => {}
        }
    }
    if let Some((held, found)) = &c.contrast {
        let text = if found.is_empty() { "nothing tells them apart, or too few of one kind are held" } else { "of the same traffic:" };
        note(&mut out, "dropped against forwarded", text, look.plain());
        if let Some(limit) = looked_at(*held) {
            note(&mut out, "", &limit, look.dim());
        }
        for x in found {
            let text = format!(
                "{}: {} of {} dropped, {} of {} forwarded",
                x.value,
                count(x.dropped),
                count(x.of_dropped),
                count(x.forwarded),
                count(x.of_forwarded)
            );
            note(&mut out, &format!("  {:<17}", x.on), &text, look.strong());
        }
    }
    if why.outcome == Outcome::NotPolicy
        && let Some(r) = c.observed.as_ref().and_then(|o| reason::by_number(o.drop_reason)).filter(|r| r.number > 0)
        && !why.text.contains(r.words)
    {
        note(&mut out, "", r.words, look.plain());
    }
    out.push(Vec::new());
    let lanes = c.explanation.as_ref().map_or(&[][..], |e| &e.lanes);
    let subject = lanes.iter().map(|l| width(&l.subject)).max().unwrap_or(0).min(w * 2 / 7);
    for lane in lanes {
        out.extend(self::lane(m, lane, subject, w));
    }
    out.extend(datapath(m, why, c.observed.as_ref(), subject, w));
    let head = out.len();
    if let Some(cause) = c.cause.and_then(|id| engine.causes().get(id)).filter(|c| c.is_shared()) {
        let (workloads, more) = cause.workloads();
        let mut names: Vec<&str> = workloads.iter().copied().take(MOST_NAMED).collect();
        if more || workloads.len() > MOST_NAMED {
            names.push("and more");
        }
        if workloads.len() > 1 {
            note(&mut out, "hits", &names.join(", "), look.plain());
        }
    }
    // What the rule that is shown wants, where there is no room to say it above its text.
    if let Some(shown) = c.rules().get(c.rule)
        && rule::said(c, beside).is_some_and(|s| s.is_short)
    {
        note(&mut out, "unmet", &format!("{} {}", shown.rule, rule::unmet(shown)), look.warn());
    }
    for because in &why.because {
        note(&mut out, "         ", because, if why.agreement == Agreement::Disagrees { look.warn() } else { look.dim() });
    }
    for change in why.changes() {
        note(&mut out, "         ", &change, look.warn());
    }
    // One line each, where several isolate.
    let several: Vec<_> = lanes.iter().filter(|l| l.policies.len() > 1).collect();
    for l in several {
        out.push(Vec::new());
        let title = format!("{} judge {} of {}", many(l.policies.len() as u64, "policy"), l.direction.word(), l.subject);
        out.push(vec![seg(format!("   {title}"), look.dim())]);
        for (p, text) in l.policies.iter().take(MOST_NAMED) {
            let nearest = why.nearest.as_ref().is_some_and(|n| n.name == p.name && n.namespace == p.namespace && n.kind == p.kind);
            let mark = if nearest { look.g.here } else { " " };
            out.push(vec![
                seg(format!("   {mark} "), look.accent()),
                seg(p.name.clone(), look.strong()),
                seg(format!(": {text}"), look.plain()),
            ]);
        }
        if l.policies.len() > MOST_NAMED {
            out.push(vec![seg(format!("     and {} more", count((l.policies.len() - MOST_NAMED) as u64)), look.dim())]);
        }
    }
    if let Some(r) = &why.reported {
        out.push(Vec::new());
        let names: Vec<String> = r.policies.iter().map(policy).collect();
        if !names.is_empty() {
            note(&mut out, "agent names", &names.join(", "), look.plain());
        }
        for (p, detail) in r.policies.iter().map(|p| (p, r.detail(p))).filter(|(_, d)| !d.is_empty()) {
            note(&mut out, "agent had  ", &format!("{}: {detail}", p.path()), look.plain());
        }
        for l in &r.log {
            note(&mut out, "policy log ", l, look.plain());
        }
    }
    if !why.missing.is_empty() {
        out.push(Vec::new());
        note(&mut out, "not known", &why.missing.join(", "), look.warn());
        if why.missing.iter().any(|m| m == "policies") {
            note(&mut out, "         ", "no policies were given: --policies FILE|DIR", look.dim());
        }
    }
    for s in why.sides.iter().filter(|_| why.direction.is_none()) {
        note(&mut out, s.direction.word(), &format!("{}: {}", s.subject, s.outcome.word()), look.plain());
    }
    // The first one stands with the change to try, where it has room there.
    for d in why.diagnosis.iter().skip(usize::from(c.suggestion.is_some() && !(apart && tight))) {
        note(&mut out, "likely", &d.text, look.warn());
    }
    if !why.inferred.is_empty() {
        note(&mut out, "inferred", &why.inferred.join(", "), look.dim());
    }
    if c.rules().is_empty()
        && matches!(why.outcome, Outcome::DefaultDeny | Outcome::DeniedByRule | Outcome::L7Denied)
        && c.explanation.is_none()
    {
        note(&mut out, "", "the flow itself is not held any more, so the rule cannot be shown", look.dim());
    }
    if let Some(s) = c.suggestion.as_ref().filter(|_| !apart) {
        out.push(Vec::new());
        out.extend(remedy::lines(m, Some(why), s, u16::try_from(w + 2).unwrap_or(u16::MAX), Place::Within));
    }
    let n = engine.policies().len();
    if n > 0 && why.outcome != Outcome::NotPolicy {
        let unread = engine.policies().not_understood().len() + engine.policies().refused().len();
        let tail = if unread > 0 { format!(", {} could not be (8 says why)", count(unread as u64)) } else { String::new() };
        let unusual: String = Judging::of(engine.judging(), engine.policies()).unusual().iter().map(|u| format!(", {u}")).collect();
        note(&mut out, "judged with", &format!("{}{tail}{unusual}", many(n as u64, "policy")), look.dim());
    }
    out.push(Vec::new());
    Evidence { lines: out, head }
}

fn passed(c: &Case) -> Vec<String> {
    match &c.observed {
        Some(o) if matches!(o.verdict, Verdict::Dropped | Verdict::Error) => vec!["Dropped; this drop was not judged.".to_owned()],
        Some(_) => {
            vec!["Passed. Nothing stopped this flow.".to_owned(), "d shows every field of it, n the next cause of drops.".to_owned()]
        }
        None => vec!["The raw record of this flow is not held any more.".to_owned()],
    }
}

/// The one sentence of the page, with the pod that it is about or without.
fn sentence(why: &Why, o: Option<&Observed>, whose: bool) -> String {
    let audit = o.is_some_and(|o| o.verdict == Verdict::Audit);
    let subject = why.subject.as_deref().filter(|_| whose).unwrap_or("");
    let at = match why.direction {
        Some(Direction::Ingress) if !subject.is_empty() => format!(" on ingress to {subject}"),
        Some(Direction::Egress) if !subject.is_empty() => format!(" on egress from {subject}"),
        Some(d) => format!(" on {}", d.word()),
        None => String::new(),
    };
    let verb = match why.outcome {
        Outcome::Allowed => "Passed",
        Outcome::L7Denied => "Refused by the proxy",
        Outcome::DnsRefused => "DNS query refused",
        // Nothing was audited where an edit was only thought through.
        _ if audit && o.is_some_and(|o| o.event.is_none() && o.node.is_empty()) => "Would be dropped",
        _ if audit => "Audited, enforcement would drop it",
        // Whatever the policies at hand say, the datapath let it pass.
        _ if o.is_some_and(|o| o.verdict != Verdict::Dropped) => "Not dropped",
        _ => "Dropped",
    };
    let text = match why.text.trim_end_matches('.') {
        "" => why.outcome.word(),
        text => text,
    };
    match (why.outcome, text.strip_prefix("it was dropped, yet ")) {
        (Outcome::NotPolicy, _) => format!("{verb}{at}, and not by a policy: {text}."),
        (Outcome::NowAllowed, Some(rest)) => format!("{verb}{at}, yet {rest}."),
        _ => format!("{verb}{at}: {text}."),
    }
}

fn policy(p: &PolicyRef) -> String {
    let kind = if p.kind.is_empty() { "policy" } else { &p.kind };
    p.rule.as_ref().map_or_else(|| format!("{kind} {}", p.path()), |r| format!("{kind} {} {r}", p.path()))
}

fn lane(m: &Model, l: &Lane, subject: usize, w: usize) -> Vec<Vec<Seg>> {
    let look = m.look;
    let (glyph, style) = match l.state {
        LaneState::NotManaged => (look.g.dot, look.dim()),
        LaneState::Open | LaneState::Allowed => (look.g.ok, look.pass()),
        LaneState::Denied => (look.g.no, look.drop()),
        LaneState::Undecidable => ("?", look.warn()),
    };
    let name = clip(&l.subject, subject, look.g.gap);
    let pad = subject.saturating_sub(width(&name));
    let head = format!("   {:<9}{name}{:pad$}  ", l.direction.word(), "");
    laid(m, head, (glyph, style), &l.text, look.plain(), w)
}

/// A head, a glyph, and a text that wraps under itself.
fn laid(m: &Model, head: String, sign: (&str, ratatui::style::Style), text: &str, style: ratatui::style::Style, w: usize) -> Vec<Vec<Seg>> {
    let look = m.look;
    let indent = width(&head) + width(sign.0) + 2;
    let mut out = Vec::new();
    for (i, l) in wrap(text, w.saturating_sub(indent).max(12)).into_iter().enumerate() {
        out.push(if i == 0 {
            vec![seg(head.clone(), look.plain()), seg(format!("{}  ", sign.0), sign.1), seg(l, style)]
        } else {
            vec![seg(" ".repeat(indent), look.plain()), seg(l, style)]
        });
    }
    if out.is_empty() {
        out.push(vec![seg(head, look.plain()), seg(sign.0, sign.1)]);
    }
    out
}

/// How far a contrast looked, where that was not over all that is held.
fn looked_at(held: u64) -> Option<String> {
    (held > CONTRASTED).then(|| format!("among the newest {} of {} flows held", count(CONTRASTED), count(held)))
}

/// What the datapath said, beside what we find.
fn datapath(m: &Model, why: &Why, o: Option<&Observed>, subject: usize, w: usize) -> Vec<Vec<Seg>> {
    let look = m.look;
    let Some(o) = o else { return Vec::new() };
    let (glyph, style) = crate::tui::widget::verdict::sign(look, o.verdict);
    let said = match (o.verdict, reason::by_number(o.drop_reason)) {
        (Verdict::Dropped, Some(r)) if r.number > 0 && !r.name.is_empty() => r.name.to_owned(),
        (Verdict::Dropped, Some(r)) if r.number > 0 => r.printed.to_owned(),
        (Verdict::Dropped, _) if o.drop_reason > 0 => format!("reason {}", o.drop_reason),
        (Verdict::Dropped, _) if o.l7.is_some() => "refused by the proxy".to_owned(),
        (Verdict::Dropped, _) => "DROPPED, no reason given".to_owned(),
        (v, _) => format!("{v:?}").to_ascii_uppercase(),
    };
    let head = format!("   {:<9}{:subject$}  ", "datapath", "");
    let (text, tone) = match why.agreement {
        // A drop that no policy causes was not evaluated.
        _ if why.outcome == Outcome::NotPolicy => (said, look.plain()),
        Agreement::Agrees => (format!("{said}{}our evaluation agrees", look.g.sep), look.plain()),
        Agreement::Disagrees => (format!("{said}{}our evaluation disagrees", look.g.sep), look.warn()),
        Agreement::Unknown => (said, look.plain()),
    };
    laid(m, head, (glyph, style), &text, tone, w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contrast_says_how_far_it_looked_where_more_is_held() {
        assert_eq!(looked_at(CONTRASTED), None);
        assert_eq!(looked_at(1_000_000).as_deref(), Some("among the newest 200 000 of 1 000 000 flows held"));
    }
}
