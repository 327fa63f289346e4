//! What a failed call means, in plain words.
//!
//! Owns the translation of gRPC codes and transport errors. Words from the network are stripped of control characters here,
//! before they can reach a terminal.
use crate::error::{Error, Kind};
use crate::model::text::shown;
use tonic::{Code, Status};

/// Why a connection failed or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub cause: String,
    pub hint: Option<String>,
    pub sort: Sort,
    /// `cause` is what the server said, in its own words, and says all.
    verbatim: bool,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// May be over when we come again.
    Passing,
    /// The request itself is wrong: the same one will fail again.
    Request,
    /// Whoever answers will not serve us, or cannot: that passes only where it has served us before.
    Refused,
    /// A message that is larger than we take.
    TooLarge,
    /// The server finds that we ping too often.
    Pings,
    /// The connection is gone. May be over too.
    Broken,
    /// Nothing listens there. May be over too.
    Nobody,
}

impl Trouble {
    pub fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), hint: None, sort: Sort::Passing, verbatim: false }
    }

    /// The server finds that we ping too often.
    pub fn calm() -> Self {
        Self::new("the server finds that we ask too often whether it is alive").sort(Sort::Pings)
    }

    /// The server has not answered a ping.
    pub fn silent() -> Self {
        Self::new("the server no longer answers").hint("its node or the way to it is gone, or a port-forward hangs")
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort = sort;
        self
    }

    /// As an error; `what` was not possible. The server's own words come first, as Hubble prints them.
    pub fn error(self, what: impl Into<String>) -> Error {
        let kind = if self.sort == Sort::Request { Kind::Usage } else { Kind::Connect };
        let (what, cause) = match self.verbatim {
            true => (self.cause, format!("{}: the server says so", what.into())),
            false => (what.into(), self.cause),
        };
        Error { kind, what, cause: Some(cause), hint: self.hint }
    }

    fn verbatim(mut self) -> Self {
        self.verbatim = true;
        self
    }
}

/// The meaning of a status. `filtered`: the request carried a filter that the server had to compile.
pub fn trouble(status: &Status, filtered: bool) -> Trouble {
    let said = clean(status.message());
    // A status with a source was made on our side, out of a transport error.
    if let Some(deepest) = deepest(status) {
        if status.code() == Code::ResourceExhausted || deepest.contains("excessive load") || deepest.contains("too_many_pings") {
            return Trouble::calm();
        }
        if deepest.contains("timed out") {
            return Trouble::silent();
        }
        let why = clean(deepest.split(" (os error").next().unwrap_or_default());
        let sort = if why.contains("broken pipe") { Sort::Broken } else { Sort::Passing };
        return Trouble::new(format!("the connection broke: {why}")).sort(sort);
    }
    let with = |words: &str| if said.is_empty() { words.to_owned() } else { format!("{words}: {said}") };
    match status.code() {
        Code::OutOfRange if status.message().contains("decoded message length too large") => {
            Trouble::new("it sent a message larger than 64 MiB").sort(Sort::TooLarge)
        }
        Code::Unimplemented => Trouble::new("it answers, but is no Hubble Observer")
            .hint("relay listens on 4245, an agent's Hubble on 4244; the peer service is another one")
            .sort(Sort::Refused),
        Code::InvalidArgument => Trouble::new(with("the server refuses the request")).sort(Sort::Request),
        // A server that is Hubble says every error of a filter with code Unknown.
        Code::Unknown if filtered && is_about_filter(&said) => {
            Trouble::new(said).hint("the server cannot use this filter; is it as new as the filter?").sort(Sort::Request).verbatim()
        }
        Code::Unauthenticated => Trouble::new(with("the server wants to know who asks"))
            .hint("--tls with --tls-client-cert-file and its key, or --basic-auth-username and its password")
            .sort(Sort::Refused),
        Code::PermissionDenied => Trouble::new(with("the server does not allow it"))
            .hint("it knows who asks; whoever runs it must allow this certificate or user")
            .sort(Sort::Refused),
        Code::ResourceExhausted => Trouble::new(with("the server has no room for us")).hint("it limits its clients or its messages"),
        Code::Internal => Trouble::new(with("the server failed")),
        Code::DeadlineExceeded => Trouble::new(with("the server took too long")),
        Code::Unavailable => Trouble::new(with("the server is not available")).hint("does relay reach its nodes? see: cilium status"),
        Code::Cancelled => Trouble::new(with("the server ended the call")),
        Code::Unknown if said.starts_with("grpc-status header missing") => {
            Trouble::new("it speaks HTTP/2, but not gRPC").hint("is there a proxy between?").sort(Sort::Refused)
        }
        Code::Unknown if !said.is_empty() => Trouble::new(said).verbatim(),
        code => Trouble::new(with(&format!("gRPC error {code:?}"))),
    }
}

fn is_about_filter(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["filter", "pattern", "invalid", "regex", "regexp", "selector", "expression"].iter().any(|w| said.contains(w))
}

fn deepest(status: &Status) -> Option<String> {
    let mut at: &dyn std::error::Error = std::error::Error::source(status)?;
    // Chains are short; the bound is against one that bites its tail.
    for _ in 0..16 {
        match at.source() {
            Some(next) => at = next,
            None => break,
        }
    }
    Some(at.to_string())
}

/// Text from the network for a person: one line, no control characters, not longer than 300 characters.
pub fn clean(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut out: String = text.chars().take(LONGEST).map(shown).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_in_words() {
        let t = |code, said: &str, filtered| trouble(&Status::new(code, said), filtered);
        assert_eq!(t(Code::Unimplemented, "unknown service", false).cause, "it answers, but is no Hubble Observer");
        assert_eq!(t(Code::Unknown, "invalid source port filter: x", true).sort, Sort::Request);
        assert_eq!(t(Code::Unknown, "invalid source port filter: x", false).sort, Sort::Passing);
        let refused = t(Code::Unknown, "invalid source port filter: x", true).error("cannot read flows from relay:1");
        assert_eq!((refused.kind, &*refused.what), (Kind::Usage, "invalid source port filter: x"), "Hubble prints the bare message");
        assert_eq!(refused.cause.as_deref(), Some("cannot read flows from relay:1: the server says so"));
        let broken = t(Code::Unknown, "ring is gone", false).error("w");
        assert_eq!((broken.kind, &*broken.what), (Kind::Connect, "ring is gone"));
        assert_eq!(t(Code::InvalidArgument, "no", false).clone().error("w").kind, Kind::Usage);
        assert_eq!(t(Code::Unavailable, "", false).cause, "the server is not available");
        assert_eq!(t(Code::Unavailable, "", false).error("w").kind, Kind::Connect);
    }

    #[test]
    fn nothing_of_the_network_moves_the_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\u{202e}"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}");
        assert_eq!(clean(&"x".repeat(5000)).chars().count(), 301);
    }
}
