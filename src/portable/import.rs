//! Reading: documents, hosts, included files. What one user has: `user`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use super::user::User;
use super::{INCLUDE_DEPTH_MAX, PortableFault};
use crate::jid::BareJid;
use crate::limits::{DOCUMENT_ELEMENT_BYTES_MAX, STANZA_DEPTH_MAX};
use crate::services::COMPONENTS;
use crate::stanza::Timestamp;
use crate::store::Store;
use crate::stream::SALT_BYTES;
use crate::xml::{Document, Element, Step, ns};

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Accounts that were made.
    pub accounts: u64,
    /// Accounts that were there already.
    pub known_accounts: u64,
    /// Accounts that were made without a password that is good for all clients.
    pub incomplete_passwords: u64,
    /// Roster items, waiting requests and blocked addresses.
    pub contacts: u64,
    /// Messages that wait.
    pub waiting: u64,
    /// Archived messages.
    pub archived: u64,
    /// Items of nodes, vCards, private data.
    pub items: u64,
    /// Things that were there already, just so.
    pub known: u64,
    /// Things that were there otherwise, or have no place here; each was told.
    pub conflicts: u64,
    /// Elements that nobody here knows, by name and namespace.
    pub unknown: BTreeMap<String, u64>,
}

/// Imports files into the store of the node that serves `domain`. `fresh_salt` gives random bytes, `tell` takes a line about what
/// was not imported as the file has it, `progress` how many accounts were gone through.
///
/// Errors: see [`PortableFault`]. What was imported so far stays.
pub fn import(
    store: &mut Store,
    domain: &BareJid,
    files: &[PathBuf],
    now: Timestamp,
    fresh_salt: &mut dyn FnMut() -> [u8; SALT_BYTES],
    tell: &mut dyn FnMut(String),
    progress: &mut dyn FnMut(u64),
) -> Result<Imported, PortableFault> {
    let mut import = Import { store, domain, now, fresh_salt, tell, progress, done: Imported::default() };
    for file in files {
        import.file(file, Place::Nowhere, 1)?;
    }
    Ok(import.done)
}

/// A file's document.
pub(super) type Input = Document<BufReader<File>>;

/// An import under way.
pub(super) struct Import<'a> {
    pub(super) store: &'a mut Store,
    pub(super) domain: &'a BareJid,
    pub(super) now: Timestamp,
    pub(super) fresh_salt: &'a mut dyn FnMut() -> [u8; SALT_BYTES],
    tell: &'a mut dyn FnMut(String),
    progress: &'a mut dyn FnMut(u64),
    pub(super) done: Imported,
}

/// What an element stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    ServerData,
    /// Of our domain.
    Host,
}

/// The file that is read, for what it includes and for complaints.
#[derive(Clone, Copy)]
struct Here<'p> {
    path: &'p Path,
    depth: usize,
}

impl Import<'_> {
    fn file(&mut self, path: &Path, place: Place, depth: usize) -> Result<(), PortableFault> {
        let opened = File::open(path).map_err(|error| read_fault(path)(crate::xml::DocumentError::Io(error)))?;
        let input = BufReader::with_capacity(64 * 1024, opened);
        let mut document = Document::new(input, DOCUMENT_ELEMENT_BYTES_MAX, STANZA_DEPTH_MAX);
        let here = Here { path, depth };
        match document.step().map_err(read_fault(path))? {
            Some(Step::Open(root)) => self.element(&mut document, root, place, here)?,
            _ => return Err(PortableFault::NotPortable(path.to_owned(), String::new())),
        }
        // Nothing but white space and comments is behind the root.
        document.step().map_err(read_fault(path)).map(drop)
    }

    /// One element, by where it stands. XEP-0227 §4.
    fn element(
        &mut self,
        document: &mut Input,
        opened: Element,
        place: Place,
        here: Here<'_>,
    ) -> Result<(), PortableFault> {
        let ours = matches!(opened.namespace(), ns::PIE | ns::PIE_OLD);
        match (place, opened.name()) {
            (Place::Nowhere, "server-data") if ours => self.children(document, Place::ServerData, here),
            (Place::Nowhere | Place::ServerData, "host") if ours => self.host(document, &opened, here),
            (Place::Host, "user") if ours => {
                let imported = User::import(self, document, &opened);
                imported.map_err(|fault| located(fault, here.path))?;
                (self.progress)(self.done.accounts + self.done.known_accounts);
                Ok(())
            }
            (_, "include") if opened.namespace() == ns::XINCLUDE => {
                document.skip().map_err(read_fault(here.path))?;
                self.include(&opened, place, here)
            }
            (Place::Nowhere, name) => Err(PortableFault::NotPortable(here.path.to_owned(), name.to_owned())),
            _ => {
                self.unknown(&opened);
                document.skip().map_err(read_fault(here.path))
            }
        }
    }

    fn children(&mut self, document: &mut Input, place: Place, here: Here<'_>) -> Result<(), PortableFault> {
        while let Some(Step::Open(child)) = document.step().map_err(read_fault(here.path))? {
            self.element(document, child, place, here)?;
        }
        Ok(())
    }

    /// XEP-0227 §4: who has another host is told.
    fn host(&mut self, document: &mut Input, host: &Element, here: Here<'_>) -> Result<(), PortableFault> {
        let name = host.attribute("jid").unwrap_or_default();
        let ours = name.parse::<BareJid>().is_ok_and(|name| name == self.domain.to_domain());
        if ours {
            return self.children(document, Place::Host, here);
        }
        self.conflict(format!("the users of {name:?} are passed over: this node serves {}", self.domain));
        document.skip().map_err(read_fault(here.path))
    }

    /// XEP-0227, XInclude: a relative address, no other attributes. Only files of the export's own directory.
    fn include(&mut self, include: &Element, place: Place, here: Here<'_>) -> Result<(), PortableFault> {
        let href = include.attribute("href").unwrap_or_default();
        let refused = || PortableFault::Include(here.path.to_owned(), href.to_owned());
        if include.attribute("parse").is_some() || include.attribute("xpointer").is_some() || href.contains(':') {
            return Err(refused());
        }
        let inner = Path::new(href);
        let below = inner.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if href.is_empty() || !below || here.depth >= INCLUDE_DEPTH_MAX {
            return Err(refused());
        }
        let path = here.path.parent().unwrap_or(Path::new("")).join(inner);
        self.file(&path, place, here.depth + 1)
    }

    /// The account that a name in the file is for; `None` where it can be none here.
    pub(super) fn address(&mut self, name: &str) -> Option<BareJid> {
        match BareJid::new(Some(name), self.domain.domainpart()) {
            Ok(_) if COMPONENTS.contains(&name) => {
                self.conflict(format!("{name:?} is a service of the node, so no user of this name is imported"));
                None
            }
            Ok(address) => Some(address),
            Err(error) => {
                self.conflict(format!("{name:?} can be no user's name: {error}"));
                None
            }
        }
    }

    /// Something was not imported as the file has it.
    pub(super) fn conflict(&mut self, line: String) {
        self.done.conflicts += 1;
        (self.tell)(line);
    }

    /// XEP-0227 §4: what is not understood is passed over, and the operator is told.
    pub(super) fn unknown(&mut self, element: &Element) {
        let name = format!("<{} xmlns='{}'>", element.name(), element.namespace());
        if self.done.unknown.len() < UNKNOWN_MAX || self.done.unknown.contains_key(&name) {
            *self.done.unknown.entry(name).or_default() += 1;
        }
    }
}

fn read_fault(path: &Path) -> impl Fn(crate::xml::DocumentError) -> PortableFault + '_ {
    |error| PortableFault::Read(path.to_owned(), error)
}

/// A user's element does not know which file it is in.
fn located(fault: PortableFault, path: &Path) -> PortableFault {
    match fault {
        PortableFault::Read(_, error) => PortableFault::Read(path.to_owned(), error),
        other => other,
    }
}

/// Kinds of unknown elements that are told apart.
const UNKNOWN_MAX: usize = 100;
