//! Which flows a command goes over that looks at all of them: from where, in which window, through which filter.
use super::{From, Look, Pace, compiled, filter_of, flags_of, observe, servers, sound, texts};
use crate::cli::{Select, Source};
use crate::error::Error;
use crate::model::time::Nanos;
use crate::query::{Flag, Predicate};
use crate::source::hubble::Request;

/// What was typed about it.
pub struct Typed<'a> {
    pub flags: &'a [Flag],
    pub words: &'a [String],
    pub since: Option<String>,
    pub until: Option<String>,
}

pub struct Traffic {
    pub from: From,
    pub admit: Predicate,
    /// For files alone: servers keep to it themselves.
    pub window: (Option<Nanos>, Option<Nanos>),
    /// The filter as typed: flags, then words.
    pub filter: String,
    pub warnings: Vec<String>,
}

impl Traffic {
    /// No flows at all: the manifests say enough.
    pub fn none() -> Self {
        let from = From::Files { paths: Vec::new(), pace: Pace::Max };
        Self { from, admit: Predicate::default(), window: (None, None), filter: String::new(), warnings: Vec::new() }
    }
}

pub fn traffic(source: &Source, look: &Look<'_>, typed: Typed<'_>) -> Result<Traffic, Error> {
    sound(source)?;
    let filters = flags_of(typed.flags)?;
    let by_flags = compiled(&filters)?;
    let by_words = filter_of(typed.words, look.env)?;
    let select = Select { since: typed.since, until: typed.until, ..Select::default() };
    let window = observe::window(&select, look.env)?;
    let filter = [filters.text.as_str(), by_words.text()].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ");
    let mut warnings = filters.warnings;
    let (from, window) = if source.input_file.is_empty() {
        let number = if window == (None, None) { u64::MAX } else { 0 };
        let request = Request { number, since: window.0, until: window.1, ..Request::default() };
        let servers = servers(&source.server, look.env.stdin_piped, &mut warnings)?;
        (From::Live { servers, request: Box::new(request) }, (None, None))
    } else {
        (From::Files { paths: texts(&source.input_file), pace: Pace::Max }, window)
    };
    Ok(Traffic { from, admit: by_flags.and(by_words), window, filter, warnings })
}
