//! The rule in question on the why page: whose it is and where it stands, what is said of it where no line can be marked, and its text.
use super::row;
use crate::model::why::{Outcome, RuleView};
use crate::tui::model::Case;
use crate::tui::text::{clip, width};
use crate::tui::widget::pen::{Pen, seg};
use ratatui::layout::Rect;

/// Lines above the YAML: its rule, and what is said where nothing can be marked.
pub fn head_lines(c: &Case, w: u16) -> u16 {
    1 + u16::from(said(c, w).is_some())
}

/// What is said above a text in which no line can be marked.
pub struct Said {
    text: String,
    /// There is more to be said than there is room for here: the text of the policy is worth more.
    pub is_short: bool,
}

/// One line of it, in a part of that width.
pub fn said(c: &Case, w: u16) -> Option<Said> {
    let rule = c.rules().get(c.rule).filter(|r| r.marks.is_empty())?;
    let whole = |text: &str| Some(Said { text: text.to_owned(), is_short: false });
    if rule.rule.is_empty() {
        return whole("it has no rule for this direction: it only isolates");
    }
    if rule.failed.is_empty() {
        // What holds without being marked: a rule for everybody and everything, or for every pod.
        return whole(if rule.unsure { "whether it is for this flow is not known" } else { "this flow meets all of it" });
    }
    let full = unmet(rule);
    if width(&full) + 5 <= usize::from(w) {
        return whole(&full);
    }
    let mut on: Vec<&str> = rule.failed.iter().map(|f| f.on).collect();
    on.dedup();
    Some(Said { text: format!("differs in {}", on.join(", ")), is_short: true })
}

/// What of a rule failed.
pub fn unmet(rule: &RuleView) -> String {
    let failed: Vec<String> = rule.failed.iter().map(|f| format!("{}: wants {}, flow has {}", f.on, f.wanted, f.got)).collect();
    failed.join("; ")
}

/// Head and text.
pub fn draw(pen: &mut Pen<'_>, c: &Case, area: Rect) {
    let look = pen.look;
    let Some(rule) = c.rules().get(c.rule) else { return };
    heading(pen, c, rule, row(area, 0));
    if let Some(said) = said(c, area.width)
        && area.height > 1
    {
        let room = usize::from(area.width).saturating_sub(5);
        pen.put(area.x + 3, area.y + 1, room, &clip(&said.text, room, look.g.gap), look.warn());
    }
    let head = head_lines(c, area.width).min(area.height);
    let body = Rect { y: area.y + head, height: area.height - head, ..area };
    match &c.sheet {
        Some((_, s)) if !s.lines.is_empty() => s.draw(pen, body, rule, c.yaml.at),
        _ => {
            pen.put(body.x + 3, body.y, usize::from(body.width), &format!("its text is not at hand ({})", rule.file), look.dim());
        }
    }
}

/// Whose rule it is, where it stands, and which one of them it is. The place to edit is worth more than the number of the rule, that more
/// than the kind of policy, and that more than the number's word; the end of a name is given up before the place.
fn heading(pen: &mut Pen<'_>, c: &Case, rule: &RuleView, area: Rect) {
    let look = pen.look;
    let hot = rule.marks.iter().find(|m| !m.ok).map_or(rule.lines.0, |m| m.line);
    let file = rule.file.rsplit('/').next().unwrap_or("");
    let file = if file.is_empty() { String::new() } else { format!("  {file}:{hot}") };
    let kind = format!("{} ", rule.policy.kind.to_ascii_lowercase());
    let (name, number) = (rule.policy.path(), format!("{} of {}", c.rule + 1, c.rules().len()));
    let room = usize::from(area.width).saturating_sub(6);
    let taken = width(&name) + width(&file);
    let ways = [(kind.as_str(), place(c, rule)), (kind.as_str(), number.clone()), ("", number), ("", String::new())];
    let (kind, note) = ways.into_iter().find(|(k, n)| taken + width(k) + width(n) <= room).unwrap_or_default();
    let name = clip(&name, room.saturating_sub(width(&file) + width(kind)).max(12), look.g.gap);
    pen.rule(area, &[seg(format!(" {kind}"), look.dim()), seg(name, look.strong()), seg(file, look.plain())], &note);
}

/// `nearest rule, 1 of 2`.
fn place(c: &Case, rule: &RuleView) -> String {
    let outcome = c.why.as_ref().map(|w| w.outcome);
    let word = match (outcome, c.rule) {
        _ if rule.rule.is_empty() => "policy",
        (Some(Outcome::Allowed | Outcome::NowAllowed), 0) => "allowing rule",
        (Some(Outcome::DeniedByRule), 0) => "denying rule",
        (_, 0) => "nearest rule",
        _ => "rule",
    };
    format!("{word}, {} of {}", c.rule + 1, c.rules().len())
}
