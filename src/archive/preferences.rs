//! What a user wants archived. XEP-0441.

use std::collections::BTreeSet;

use crate::jid::Jid;
use crate::limits::{ARCHIVE_PREFERENCES_BYTES_MAX, ARCHIVE_PREFERENCES_MAX};
use crate::stanza::{StanzaCondition, StanzaError};
use crate::xml::{Element, ns};

/// What holds for addresses that no list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultPreference {
    /// Archive.
    Always,
    /// Archive nothing.
    Never,
    /// Archive what is said to and by contacts of the roster.
    Roster,
}

/// A user's preferences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// For addresses in neither list.
    pub default: DefaultPreference,
    /// Always archived.
    pub always: BTreeSet<Jid>,
    /// Never archived.
    pub never: BTreeSet<Jid>,
}

impl Preferences {
    /// Without exceptions.
    pub fn of(default: DefaultPreference) -> Preferences {
        Preferences { default, always: BTreeSet::new(), never: BTreeSet::new() }
    }

    /// Reads `<prefs/>` of an iq set.
    ///
    /// Errors: `bad-request` for an unknown default; `jid-malformed`; `policy-violation` for longer lists than are kept.
    pub fn read(prefs: &Element) -> Result<Preferences, StanzaError> {
        let default = match prefs.attribute("default") {
            Some("always") => DefaultPreference::Always,
            Some("never") => DefaultPreference::Never,
            Some("roster") => DefaultPreference::Roster,
            _ => return Err(StanzaError::new(StanzaCondition::BadRequest)),
        };
        let preferences = Preferences { default, always: jids(prefs, "always")?, never: jids(prefs, "never")? };
        let listed = || preferences.always.iter().chain(&preferences.never);
        let bytes: usize = listed().map(|jid| jid.to_string().len()).sum();
        if listed().count() > ARCHIVE_PREFERENCES_MAX || bytes > ARCHIVE_PREFERENCES_BYTES_MAX {
            return Err(StanzaError::new(StanzaCondition::PolicyViolation).text("too many addresses in the lists"));
        }
        Ok(preferences)
    }

    /// `<prefs/>` with all three, as XEP-0441 §2.1 wants it.
    pub fn to_element(&self) -> Element {
        let list = |name: &'static str, jids: &BTreeSet<Jid>| {
            let mut list = Element::new(name, ns::MAM);
            for jid in jids {
                list.push(Element::new("jid", ns::MAM).with_text(&jid.to_string()));
            }
            list
        };
        let default = match self.default {
            DefaultPreference::Always => "always",
            DefaultPreference::Never => "never",
            DefaultPreference::Roster => "roster",
        };
        Element::new("prefs", ns::MAM)
            .with("default", default)
            .with_child(list("always", &self.always))
            .with_child(list("never", &self.never))
    }

    /// Is what is said to or by this address archived? `in_roster` is asked only where it matters.
    pub fn want(&self, with: &Jid, in_roster: impl FnOnce() -> bool) -> bool {
        // XEP-0441 §2.3: a bare JID in a list stands for all its resources.
        let listed = |list: &BTreeSet<Jid>| list.contains(with) || list.contains(&Jid::Bare(with.bare().clone()));
        if listed(&self.never) {
            return false;
        }
        match self.default {
            _ if listed(&self.always) => true,
            DefaultPreference::Always => true,
            DefaultPreference::Never => false,
            DefaultPreference::Roster => in_roster(),
        }
    }
}

fn jids(prefs: &Element, name: &str) -> Result<BTreeSet<Jid>, StanzaError> {
    let Some(list) = prefs.child(name, ns::MAM) else { return Ok(BTreeSet::new()) };
    let jids = list.children().filter(|child| child.is("jid", ns::MAM)).map(|jid| jid.text().trim().parse());
    jids.collect::<Result<_, _>>().map_err(|_| StanzaError::new(StanzaCondition::JidMalformed))
}
