//! Which of the entries that cover a flow decides it, as the datapath's policy map has it.
//!
//! Owns precedence (deny, then proxy redirect, then plain allow) and specificity. Rules that lose are not named.
use super::port::Key;
use crate::model::why::PolicyRef;
use crate::policy::ir::{Auth, L7Rules, Pattern};

pub(super) enum Origin {
    Rule(PolicyRef),
    Localhost,
    DefaultAllow,
}

pub(super) struct Entry<'p> {
    /// For every peer.
    pub wild: bool,
    pub key: Key,
    pub deny: bool,
    pub l7: Option<&'p L7Rules>,
    pub server_names: &'p [Pattern],
    pub l7_open: bool,
    pub auth: Option<Auth>,
    pub origin: Origin,
}

impl Entry<'_> {
    pub fn synthetic(origin: Origin) -> Self {
        let wild = matches!(origin, Origin::DefaultAllow);
        Self { wild, key: Key::ALL, deny: false, l7: None, server_names: &[], l7_open: false, auth: None, origin }
    }

    fn precedence(&self) -> u8 {
        match (self.deny, self.redirects()) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        }
    }

    /// The proxy has a say, be it of the request or of the name in the TLS greeting.
    pub fn redirects(&self) -> bool {
        self.l7.is_some() || !self.server_names.is_empty()
    }
}

pub(super) struct Winner {
    pub rules: Vec<PolicyRef>,
    pub deny: bool,
    pub redirect: bool,
    pub localhost: bool,
    pub auth: Option<Auth>,
}

pub(super) fn pick(entries: &[Entry<'_>]) -> Option<Winner> {
    let rank = |e: &Entry<'_>| (e.precedence(), e.key.proto, e.key.prefix, !e.wild);
    let kept: Vec<&Entry<'_>> = entries.iter().filter(|e| !hidden(e, entries)).collect();
    let best = kept.iter().map(|e| rank(e)).max()?;
    let mut w = Winner { rules: Vec::new(), deny: best.0 == 2, redirect: best.0 == 1, localhost: false, auth: None };
    for e in kept.into_iter().filter(|e| rank(e) == best) {
        match &e.origin {
            Origin::Rule(r) => {
                if !w.rules.contains(r) {
                    w.rules.push(r.clone());
                }
            }
            Origin::Localhost => w.localhost = true,
            Origin::DefaultAllow => {}
        }
        w.auth = w.auth.or(e.auth);
    }
    w.rules.sort();
    Some(w)
}

/// An entry for one peer on a port is not made where an equal one for all peers stands on the very same port; the node's own
/// exemption is not needed where everything is allowed anyway.
fn hidden(e: &Entry<'_>, all: &[Entry<'_>]) -> bool {
    if matches!(e.origin, Origin::Localhost) {
        return all.iter().any(|o| o.wild && o.key == Key::ALL && !o.deny);
    }
    // A broad deny swallows the narrow ones under it.
    let broader = |o: &Entry<'_>| {
        (o.key.proto, o.key.prefix) != (e.key.proto, e.key.prefix) && o.key.proto <= e.key.proto && o.key.prefix <= e.key.prefix
    };
    if e.deny && all.iter().any(|o| o.deny && (o.wild || !e.wild) && broader(o)) {
        return true;
    }
    !e.wild
        && !e.key.is_all_ports()
        && !e.redirects()
        && all.iter().any(|o| o.wild && o.key == e.key && o.deny == e.deny && !o.redirects() && o.auth == e.auth)
}
