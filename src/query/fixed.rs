//! Times that count back, written as the times they mean. Owns the text only: what is asked for stays the same. Must not read a clock.
use super::ast::{Expr, Text};
use super::fields::Name;
use super::{Context, Span, parse_expr, when};
use crate::model::time::Nanos;

/// A time of day is the latest such time: one that lies further back gets its date.
const NEAR: i64 = 12 * 3600 * Nanos::SECOND;

/// `since:5m` as `since:13:52:02`; `None` where nothing counts back, or nobody knows from when.
pub fn fixed(text: &str, ctx: &Context) -> Option<String> {
    let expr = parse_expr(text).ok().filter(|_| ctx.now != Nanos::default())?;
    let mut found = Vec::new();
    collect(&expr, ctx, &mut found);
    if found.is_empty() {
        return None;
    }
    found.sort_by_key(|f| std::cmp::Reverse(f.0.start));
    let mut out = text.to_owned();
    for (at, new) in found {
        text.get(at.start..at.end)?;
        out.replace_range(at.start..at.end, &new);
    }
    Some(out.trim().to_owned())
}

fn collect(e: &Expr, ctx: &Context, out: &mut Vec<(Span, String)>) {
    match e {
        Expr::And(list) | Expr::Or(list) => list.iter().for_each(|e| collect(e, ctx, out)),
        Expr::Not(e) => collect(e, ctx, out),
        Expr::Atom(a) if matches!(a.name, Name::Since | Name::Until | Name::At) => {
            let new = |v: &Text| Some((v.at.0, written(&v.text, a.name, ctx)?));
            out.extend(a.values.iter().filter_map(new));
        }
        _ => {}
    }
}

fn written(text: &str, name: Name, ctx: &Context) -> Option<String> {
    let back = when::duration(text).filter(|d| *d >= 0)?;
    let at = ctx.now.plus(-back);
    if back >= NEAR || back % Nanos::SECOND != 0 {
        return Some(at.to_string());
    }
    // `at:` means a whole minute.
    let form = if name == Name::At { "%H:%M" } else { "%H:%M:%S" };
    Some(at.plus(i64::from(ctx.offset) * Nanos::SECOND).utc().format(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-11-23T09:00:00.5Z
    const NOW: Nanos = Nanos(1_763_888_400 * Nanos::SECOND + 500_000_000);

    #[test]
    fn what_counts_back_becomes_the_time_it_means() {
        let fix = |text: &str, offset| fixed(text, &Context { now: NOW, offset });
        for (text, want) in [
            ("since:5m", "since:08:55:00"),
            ("  ns:shop (since:10s or not until:1h) ", "ns:shop (since:08:59:50 or not until:08:00:00)"),
            ("since:\"90s\"", "since:08:58:30"),
            ("at:5m,10m", "at:08:55,08:50"),
            ("since:24h", "since:2025-11-22T09:00:00.500Z"),
            ("not since:500ms", "not since:2025-11-23T09:00:00Z"),
        ] {
            assert_eq!(fix(text, 0).as_deref(), Some(want), "{text}");
        }
        assert_eq!(fix("since:5m", 3600).as_deref(), Some("since:09:55:00"), "as the table shows times");
        for text in ["", "since:08:55", "ns:5m", "5m", "latency>5ms", "since:"] {
            assert_eq!(fix(text, 0), None, "{text}");
        }
        assert_eq!(fixed("since:5m", &Context::default()), None, "nobody knows from when");
    }
}
