//! A question to the archive. XEP-0313 §4, XEP-0059.

use std::collections::BTreeSet;

use super::{ArchiveId, Paging};
use crate::jid::{BareJid, Jid};
use crate::limits::{ARCHIVE_PAGE_MAX, ARCHIVE_QUERY_IDS_MAX};
use crate::stanza::{StanzaCondition, StanzaError, Timestamp};
use crate::xml::{Element, ns};

/// Which messages a query is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Said to or by this address; a bare one stands for all its resources.
    pub with: Option<Jid>,
    /// Not before this moment.
    pub start: Option<Timestamp>,
    /// Not after this one.
    pub end: Option<Timestamp>,
    /// Before this message.
    pub before: Option<ArchiveId>,
    /// After this one.
    pub after: Option<ArchiveId>,
    /// These and no others.
    pub ids: Option<BTreeSet<ArchiveId>>,
}

impl Filter {
    /// Does a message match? `with` is the address of the other side, the account's own for what one says to oneself.
    pub fn matches(&self, id: ArchiveId, stamp: Timestamp, with: &str) -> bool {
        self.start.is_none_or(|start| stamp >= start)
            && self.end.is_none_or(|end| stamp <= end)
            && self.before.is_none_or(|before| id < before)
            && self.after.is_none_or(|after| id > after)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&id))
            && self.with.as_ref().is_none_or(|wanted| is_with(wanted, with))
    }

    /// Messages that must be there, or the query is answered with `item-not-found`. XEP-0313 §4.1.3.
    pub fn named(&self) -> impl Iterator<Item = ArchiveId> + '_ {
        self.before.into_iter().chain(self.after).chain(self.ids.iter().flatten().copied())
    }
}

/// A query, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The client's own name for it, told in each result.
    pub queryid: Option<String>,
    /// Which messages.
    pub filter: Filter,
    /// Which of those now.
    pub paging: Paging,
    /// How many at most.
    pub max: usize,
    /// The newest first, within the page.
    pub flipped: bool,
}

impl Query {
    /// Reads `<query/>` of an iq set.
    ///
    /// Errors: `feature-not-implemented` for a field we do not know; `item-not-found` for an id that cannot be of this archive;
    /// `bad-request` and `jid-malformed` for values that are none; `policy-violation` for too many ids.
    pub fn read(query: &Element, account: &BareJid) -> Result<Query, StanzaError> {
        let filter = match query.child("x", ns::DATA_FORMS) {
            Some(form) => read_form(form)?,
            None => Filter::default(),
        };
        let filter = Filter { with: filter.with.map(|with| own_is_bare(with, account)), ..filter };
        let (paging, max) = match query.child("set", ns::RSM) {
            Some(set) => read_set(set)?,
            None => (Paging::First, ARCHIVE_PAGE_MAX),
        };
        Ok(Query {
            queryid: query.attribute("queryid").map(str::to_owned),
            filter,
            paging,
            max: max.min(ARCHIVE_PAGE_MAX),
            flipped: query.child("flip-page", ns::MAM).is_some(),
        })
    }

    /// The message that the page follows without a gap, where nothing is filtered out: 0 for the beginning of the archive.
    pub fn follows(&self) -> Option<ArchiveId> {
        let filter = &self.filter;
        let filtered = filter.with.is_some() || filter.start.is_some() || filter.ids.is_some();
        let after = filter.after.unwrap_or_default();
        match self.paging {
            _ if filtered => None,
            Paging::First => Some(after),
            Paging::After(id) => Some(id.max(after)),
            Paging::Last | Paging::Before(_) | Paging::Index(_) => None,
        }
    }
}

/// XEP-0313 §4.1.1: what one says to oneself matches the account, whatever the resources.
fn own_is_bare(with: Jid, account: &BareJid) -> Jid {
    if with.bare() == account { Jid::Bare(account.clone()) } else { with }
}

fn is_with(wanted: &Jid, with: &str) -> bool {
    match wanted {
        Jid::Full(full) => full.to_string() == with,
        Jid::Bare(bare) => {
            let rest = with.strip_prefix(bare.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

fn read_form(form: &Element) -> Result<Filter, StanzaError> {
    let mut filter = Filter::default();
    for field in form.children().filter(|child| child.is("field", ns::DATA_FORMS)) {
        let mut values =
            field.children().filter(|child| child.is("value", ns::DATA_FORMS)).map(|v| v.text().trim().to_owned());
        let name = field.attribute("var").unwrap_or_default();
        if name == "ids" {
            filter.ids = Some(read_ids(values)?);
            continue;
        }
        // A field that is left empty asks for nothing.
        let Some(value) = values.next().filter(|value| !value.is_empty()) else { continue };
        match name {
            "FORM_TYPE" if value == ns::MAM => {}
            "FORM_TYPE" => return Err(StanzaError::new(StanzaCondition::BadRequest)),
            "with" => {
                let with = value.parse().map_err(|_| StanzaError::new(StanzaCondition::JidMalformed))?;
                filter.with = Some(with);
            }
            "start" => filter.start = Some(moment(&value)?),
            "end" => filter.end = Some(moment(&value)?),
            "before-id" => filter.before = Some(id(&value)?),
            "after-id" => filter.after = Some(id(&value)?),
            // XEP-0313 §4.1.5.
            _ => return Err(StanzaError::new(StanzaCondition::FeatureNotImplemented)),
        }
    }
    Ok(filter)
}

fn read_ids(values: impl Iterator<Item = String>) -> Result<BTreeSet<ArchiveId>, StanzaError> {
    let mut ids = BTreeSet::new();
    for value in values {
        ids.insert(id(&value)?);
        if ids.len() > ARCHIVE_QUERY_IDS_MAX {
            return Err(StanzaError::new(StanzaCondition::PolicyViolation).text("too many ids in one query"));
        }
    }
    Ok(ids)
}

/// XEP-0059 §2.
fn read_set(set: &Element) -> Result<(Paging, usize), StanzaError> {
    let bad = || StanzaError::new(StanzaCondition::BadRequest);
    let text = |name: &str| set.child(name, ns::RSM).map(|child| child.text().trim().to_owned());
    let max = match text("max") {
        Some(max) => max.parse().map_err(|_| bad())?,
        None => ARCHIVE_PAGE_MAX,
    };
    let paging = match (text("after"), text("before"), text("index")) {
        // XEP-0313 §4.3.2: both at once mean nothing that was agreed on.
        (Some(after), Some(before), _) if !after.is_empty() && !before.is_empty() => return Err(bad()),
        (Some(after), _, _) if !after.is_empty() => Paging::After(id(&after)?),
        (_, Some(before), _) if before.is_empty() => Paging::Last,
        (_, Some(before), _) => Paging::Before(id(&before)?),
        (_, _, Some(index)) => Paging::Index(index.parse().map_err(|_| bad())?),
        _ => Paging::First,
    };
    Ok((paging, max))
}

fn moment(text: &str) -> Result<Timestamp, StanzaError> {
    Timestamp::parse(text)
        .ok_or_else(|| StanzaError::new(StanzaCondition::BadRequest).text("not a XEP-0082 date and time"))
}

fn id(text: &str) -> Result<ArchiveId, StanzaError> {
    text.parse().map_err(|_| StanzaError::new(StanzaCondition::ItemNotFound))
}
