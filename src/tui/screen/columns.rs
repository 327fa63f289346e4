//! The menu of columns: which are shown and in what order, with the table below as it looks then.
use super::{flows, row};
use crate::engine::Engine;
use crate::tui::model::{Choice, Model};
use crate::tui::widget::pen::{Pen, seg};
use ratatui::layout::Rect;

/// Rows of the table below, with its rule and its heads.
const PREVIEW: u16 = 5;

pub fn draw(pen: &mut Pen<'_>, m: &Model, engine: &Engine, c: &Choice, area: Rect) {
    let look = m.look;
    let n = c.order.iter().filter(|o| o.1).count();
    pen.ends(
        row(area, 0),
        &[seg(" columns of the flow table", look.strong()), seg(format!("  {n} of {} shown", c.order.len()), look.dim())],
        &[seg(":write keeps them ", look.dim())],
    );
    let preview = if area.height >= 14 { PREVIEW } else { 0 };
    let page = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + preview), ..area };
    let height = usize::from(page.height);
    let top = (c.at + 1).saturating_sub(height);
    let places = flows::columns(m, area.width);
    for (y, (i, (column, on))) in (page.y..page.bottom()).zip(c.order.iter().enumerate().skip(top)) {
        let spec = column.spec();
        let (glyph, style) = if *on { (look.g.ok, look.pass()) } else { (" ", look.dim()) };
        pen.put(area.x + 2, y, 2, glyph, style);
        pen.cell(area.x + 5, y, 10, spec.name, if *on { look.strong() } else { look.plain() });
        // Chosen, and yet not in sight: that has to be said.
        let folded = area.width < crate::tui::column::FOLDED;
        let hidden = *on && !folded && !places.iter().any(|p| p.column == *column);
        let note = if hidden { format!("no room for it here: {}", spec.help) } else { spec.help.to_owned() };
        pen.cell(area.x + 16, y, area.width.saturating_sub(17), &note, if hidden { look.warn() } else { look.dim() });
        if i == c.at {
            pen.put(area.x, y, 1, look.g.here, look.accent());
            pen.over(Rect { y, height: 1, ..area }, look.selected());
        }
    }
    let Some(v) = m.view().filter(|_| preview > 0) else { return };
    let below = Rect { y: page.bottom(), height: preview, ..area };
    pen.rule(row(below, 0), &[seg(" as it looks then", look.strong())], "");
    flows::heads(pen, m, &places, false, row(below, 1));
    let rest = Rect { y: below.y + 2, height: preview - 2, ..area };
    flows::from(pen, m, engine, v, v.len(engine).saturating_sub(usize::from(rest.height)), rest);
}
