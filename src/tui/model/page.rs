//! What can stand on the stack of screens, each with the state that is its own. Knows nothing of the stack, and draws nothing.
use crate::engine::Engine;
use crate::engine::contrast::Contrast;
use crate::model::observed::Observed;
use crate::model::row::CauseId;
use crate::model::suggestion::Suggestion;
use crate::model::why::{Explanation, Outcome, RuleView, Why};
use crate::tui::action;
use crate::tui::board;
use crate::tui::column::{Column, SPECS};
use crate::tui::ground::Ground;
use crate::tui::view::View;
use crate::tui::widget::yaml::Sheet;
use std::sync::Arc;

#[derive(Debug)]
pub enum Screen {
    Flows(Box<View>),
    Drops,
    Why(Box<Case>),
    Describe(Box<Fields>),
    Map(Box<board::Map>),
    Matrix(Box<board::Matrix>),
    Stats(board::Stats),
    Timeline(board::Timeline),
    Policies(Box<board::Policies>),
    Yaml(Box<board::Yaml>),
    Admitted(Box<board::Admitted>),
    Columns(Choice),
    Ledger(Scroll),
    /// `find`: what is typed there.
    Help {
        of: u16,
        name: &'static str,
        find: String,
        scroll: Scroll,
    },
}

impl Screen {
    /// Its bit in the action table.
    pub fn bit(&self) -> u16 {
        match self {
            Self::Flows(_) => action::FLOWS,
            Self::Drops => action::DROPS,
            Self::Why(_) => action::WHY,
            Self::Describe(_) => action::DESCRIBE,
            Self::Map(_) => action::MAP,
            Self::Matrix(_) => action::MATRIX,
            Self::Stats(_) => action::STATS,
            Self::Timeline(_) => action::TIMELINE,
            Self::Policies(_) => action::POLICIES,
            Self::Yaml(_) => action::YAML,
            Self::Admitted(_) => action::ADMITTED,
            Self::Columns(_) => action::COLUMNS,
            Self::Ledger(_) => action::LEDGER,
            Self::Help { .. } => action::HELP,
        }
    }

    pub fn name(&self) -> &'static str {
        action::SCREENS.iter().find(|s| s.0 == self.bit()).map_or("", |s| s.1)
    }

    /// Whether it shows sums over the flows of the filter.
    pub fn sums(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Matrix(_) | Self::Stats(_) | Self::Timeline(_))
    }
}

/// The menu of columns: all there are, those that are shown first; and the one under the finger.
#[derive(Debug, Clone)]
pub struct Choice {
    pub order: Vec<(Column, bool)>,
    pub at: usize,
}

impl Choice {
    pub fn of(shown: &[Column]) -> Self {
        let rest = SPECS.iter().map(|s| s.column).filter(|c| !shown.contains(c));
        let order = shown.iter().map(|c| (*c, true)).chain(rest.map(|c| (c, false))).collect();
        Self { order, at: 0 }
    }

    /// What is shown then, in order.
    pub fn shown(&self) -> Vec<Column> {
        self.order.iter().filter(|c| c.1).map(|c| c.0).collect()
    }
}

/// A text longer than its room. `most` is what the last drawing could scroll to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scroll {
    pub at: usize,
    pub most: usize,
}

impl Scroll {
    pub fn by(&mut self, n: isize) {
        self.at = self.at.saturating_add_signed(n).min(self.most);
    }
}

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

/// Every field of a flow, as `path` and `value`; `None` = its raw frame is not held any more.
#[derive(Debug)]
pub struct Fields {
    pub seq: u64,
    /// Who sent it to whom.
    pub names: (String, String),
    pub fields: Option<Vec<(String, String)>>,
    /// The field under the finger.
    pub at: usize,
    pub scroll: Scroll,
}

impl Fields {
    pub fn step(&mut self, by: isize) {
        let last = self.fields.as_ref().map_or(0, Vec::len).saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
    }

    /// Path and value under the finger.
    pub fn here(&self) -> Option<(&str, &str)> {
        let (path, value) = self.fields.as_ref()?.get(self.at)?;
        Some((path, value))
    }
}
