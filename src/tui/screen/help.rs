//! What each key does on one screen: the action table, printed.
use crate::tui::action;
use crate::tui::key::Key;
use crate::tui::model::Model;
use crate::tui::text::wrap;
use crate::tui::widget::name::INFERRED;
use crate::tui::widget::pen::{Seg, seg};

pub fn lines(m: &Model, of: u16, w: u16) -> Vec<Vec<Seg>> {
    let look = m.look;
    let mut out = vec![Vec::new()];
    let room = usize::from(w).saturating_sub(22);
    for e in action::on(of) {
        let keys: Vec<String> = m.keymap.keys(e).map(Key::label).collect();
        for (i, text) in wrap(e.help, room).into_iter().enumerate() {
            let keys = if i == 0 { look.own(&keys.join(" ")) } else { String::new() };
            out.push(vec![seg(format!("   {keys:<16} "), look.accent()), seg(text, look.plain())]);
        }
    }
    out.push(Vec::new());
    let glyphs = [
        (look.g.ok, look.pass(), "passed"),
        (look.g.no, look.drop(), "dropped"),
        (look.g.audit, look.warn(), "audited: enforcement would drop it"),
    ];
    for (glyph, style, word) in glyphs {
        out.push(vec![seg(format!("   {glyph:<16} "), style), seg(word, look.plain())]);
    }
    let inferred = "before a name: the flow does not say it, it follows from the cluster's state or a DNS answer";
    for (i, text) in wrap(inferred, room).into_iter().enumerate() {
        let mark = if i == 0 { INFERRED } else { ' ' };
        out.push(vec![seg(format!("   {mark:<16} "), look.dim()), seg(text, look.plain())]);
    }
    out
}
