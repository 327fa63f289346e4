//! What the *why* page is about: one flow or cause with its explanation and the change to try, and how far each part of it is scrolled. Plain
//! data as it was when the page was opened; `update` moves it, `screen/why` draws it.
use super::ground::Ground;
use super::model::Scroll;
use super::widget::yaml::Sheet;
use crate::engine::Engine;
use crate::engine::contrast::Contrast;
use crate::model::observed::Observed;
use crate::model::row::CauseId;
use crate::model::suggestion::Suggestion;
use crate::model::why::{Explanation, Outcome, RuleView, Why};
use std::sync::Arc;

/// One flow and its explanation, as they were when the screen was opened.
#[derive(Debug)]
pub struct Case {
    pub seq: Option<u64>,
    pub cause: Option<CauseId>,
    pub why: Option<Arc<Why>>,
    pub observed: Option<Observed>,
    pub explanation: Option<Explanation>,
    /// The smallest change that would let it through.
    pub suggestion: Option<Suggestion>,
    /// It stands alone on the page.
    pub whole: Option<Scroll>,
    /// Which rule is shown.
    pub rule: usize,
    pub scroll: Scroll,
    /// Of the YAML.
    pub yaml: Scroll,
    /// Text of the rule that is shown, and which rule that is.
    pub sheet: Option<(usize, Sheet)>,
    /// Lines and columns for which the YAML was scrolled to its rule.
    pub placed: Option<(usize, usize)>,
    /// What tells its dropped flows from the forwarded ones, once asked for, and how many flows were held then.
    pub contrast: Option<(u64, Vec<Contrast>)>,
}

/// Whether there may be something to edit. Where there is not, such an explanation tells it itself; a sentence more would take its room.
pub fn mendable(why: &Why) -> bool {
    !matches!(why.outcome, Outcome::NotPolicy | Outcome::NowAllowed | Outcome::Undecidable | Outcome::Allowed)
}

/// Made when it is looked at: it goes over every conversation at hand.
pub fn suggestion(engine: &Engine, id: CauseId, on: &Ground<'_>) -> Option<Suggestion> {
    let cause = engine.causes().get(id).filter(|c| mendable(&c.why) && !c.is_mended())?;
    Some(engine.suggest(cause, &engine.ground(), &on.limits).seen_from(on.here))
}

impl Case {
    pub fn of_row(engine: &Engine, seq: u64, on: &Ground<'_>) -> Self {
        let cause = engine.store().cause(seq);
        let explanation = engine.explain(seq);
        let why = match (&explanation, cause.and_then(|c| engine.causes().get(c))) {
            (Some(e), _) => Some(Arc::new(e.why.clone())),
            (None, Some(c)) => Some(c.why.clone()),
            (None, None) => None,
        };
        Self {
            seq: Some(seq),
            cause,
            why,
            observed: engine.observed(seq),
            explanation,
            suggestion: cause.and_then(|id| suggestion(engine, id, on)),
            whole: None,
            rule: 0,
            scroll: Scroll::default(),
            yaml: Scroll::default(),
            sheet: None,
            placed: None,
            contrast: None,
        }
    }

    /// Of the newest flow of a cause; of its first explanation where no flow is held any more.
    pub fn of_cause(engine: &Engine, id: CauseId, on: &Ground<'_>) -> Option<Self> {
        let cause = engine.causes().get(id)?;
        let held = engine.store().cause(cause.example) == Some(id);
        if held && cause.foreseen.is_none() {
            return Some(Self::of_row(engine, cause.example, on));
        }
        let explanation = engine.explain_foreseen(id);
        Some(Self {
            seq: None,
            cause: Some(id),
            why: Some(explanation.as_ref().map_or_else(|| cause.why.clone(), |e| Arc::new(e.why.clone()))),
            observed: cause.foreseen.as_deref().cloned(),
            explanation,
            suggestion: suggestion(engine, id, on),
            whole: None,
            rule: 0,
            scroll: Scroll::default(),
            yaml: Scroll::default(),
            sheet: None,
            placed: None,
            contrast: None,
        })
    }

    /// Rules worth showing: none where no policy has to do with it.
    pub fn rules(&self) -> &[RuleView] {
        match (&self.explanation, &self.why) {
            (Some(e), Some(w)) if w.outcome != Outcome::NotPolicy => &e.rules,
            _ => &[],
        }
    }
}
