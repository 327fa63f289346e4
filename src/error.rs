//! The error every room returns: three lines for a person, one kind for the exit code.
//!
//! Owns the shape and the exit codes (`what` failed on what, `cause`, `hint`). Must not print.
use std::fmt;

/// What went wrong, by whose fault; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wrong flags, filter or configuration. Exit 2.
    Usage,
    /// Cannot connect, or not allowed to. Exit 3.
    Connect,
    /// A file could not be read to its end. Exit 4.
    Input,
    /// The reader of our output went away: a success for any Unix filter. Exit 0.
    BrokenPipe,
    /// Our own output or terminal failed. Exit 1.
    Output,
}

/// An error in three lines. `cause` and `hint` are left out where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    pub what: String,
    pub cause: Option<String>,
    pub hint: Option<String>,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), cause: None, hint: None }
    }

    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }

    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error of writing to stdout: a closed pipe is a success, anything else is not.
    pub fn output(what: &str, e: &std::io::Error) -> Self {
        match e.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Kind::BrokenPipe, what),
            _ => Self::new(Kind::Output, what).cause(e.to_string()),
        }
    }

    /// What and cause in one line, to be the cause of something else.
    pub fn line(&self) -> String {
        match &self.cause {
            Some(c) => format!("{}: {c}", self.what),
            None => self.what.clone(),
        }
    }

    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::BrokenPipe => 0,
            Kind::Output => 1,
            Kind::Usage => 2,
            Kind::Connect => 3,
            Kind::Input => 4,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(c) = &self.cause {
            write!(f, "\n  cause: {c}")?;
        }
        if let Some(h) = &self.hint {
            write!(f, "\n  hint: {h}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines() {
        let e = Error::new(Kind::Connect, "cannot reach relay at 10.0.0.1:4245").cause("connection refused").hint("is the port right?");
        assert_eq!(e.to_string(), "cannot reach relay at 10.0.0.1:4245\n  cause: connection refused\n  hint: is the port right?");
        assert_eq!(e.exit_code(), 3);
    }

    #[test]
    fn a_closed_pipe_is_a_success() {
        let e = Error::output("cannot write", &std::io::ErrorKind::BrokenPipe.into());
        assert_eq!(e.exit_code(), 0);
    }
}
