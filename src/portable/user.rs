//! One user of a file: the account is made, or known, and what stands in its element is put where it belongs, one piece after the
//! other. What is there already stays.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::PortableFault;
use super::import::{Import, Input};
use super::password::{Outcome, Passwords};
use crate::archive::Filter;
use crate::jid::{BareJid, Jid};
use crate::limits::{
    ARCHIVE_PAGE_BYTES_MAX, ARCHIVE_PAGE_MAX, BLOCK_LIST_MAX, OFFLINE_BATCH_MAX, PENDING_SUBSCRIPTION_BYTES_MAX,
    PENDING_SUBSCRIPTIONS_MAX, PEP_ITEMS_PER_NODE_MAX, PEP_NAME_BYTES_MAX, ROSTER_GROUPS_MAX, ROSTER_ITEMS_MAX,
    ROSTER_NAME_BYTES_MAX,
};
use crate::pubsub::{
    AVATAR_DATA, AVATAR_METADATA, AccessModel, Affiliation, Config, Item, Node, Photo, Request, private_id,
    without_photo,
};
use crate::roster::{self, Subscription};
use crate::router::{Storage, StorageFault};
use crate::stanza::Timestamp;
use crate::store::{
    Account, Fingerprint, PRIVATE_SHELF, PepChange, StoreError, VCARD_ITEM, VCARD_SHELF, private_shelf,
};
use crate::xml::{Element, Step, ns};

/// A user who is being imported.
pub(super) struct User<'u, 'i> {
    import: &'u mut Import<'i>,
    address: BareJid,
    passwords: Passwords,
    account: Account,
    disabled: bool,
    key: Option<(Fingerprint, Vec<u8>)>,
    /// Is the account in the store, and was it before?
    made: bool,
    known: bool,
    /// Items and requests in the roster.
    contacts: Option<(usize, usize)>,
    /// Nodes made here, whose configuration may still come.
    nodes: HashSet<String>,
    /// Hashes of the messages that are there already, and how many of each.
    waiting: Option<HashMap<u64, u32>>,
    archived: Option<HashSet<u64>>,
}

impl<'u, 'i> User<'u, 'i> {
    /// Imports the user whose element was opened.
    ///
    /// Errors: those of the file, with an empty path, and of the store.
    pub(super) fn import(
        import: &'u mut Import<'i>,
        document: &mut Input,
        opened: &Element,
    ) -> Result<(), PortableFault> {
        let Some(address) = import.address(opened.attribute("name").unwrap_or_default()) else {
            return document.skip().map_err(read);
        };
        let known = import.store.account(&address)?;
        let account = Account::new(import.now);
        let mut user = User {
            import,
            address,
            passwords: Passwords::default(),
            account,
            disabled: false,
            key: None,
            made: known.is_some(),
            known: known.is_some(),
            contacts: None,
            nodes: HashSet::new(),
            waiting: None,
            archived: None,
        };
        user.passwords.attribute(opened.attribute("password").unwrap_or_default());
        while let Some(Step::Open(child)) = document.step().map_err(read)? {
            user.child(document, child)?;
        }
        user.make()
    }

    fn child(&mut self, document: &mut Input, opened: Element) -> Result<(), PortableFault> {
        match (opened.name(), opened.namespace()) {
            ("scram-credentials", ns::PIE_SCRAM) => {
                let element = document.content(opened).map_err(read)?;
                if self.made && !self.known {
                    // It stands behind what made the account necessary, as no server writes it.
                    self.conflict("the password stands too late in its element");
                }
                self.passwords.element(&element);
                Ok(())
            }
            ("account", ns::KONTALK_ACCOUNT) => {
                let element = document.content(opened).map_err(read)?;
                self.kontalk(&element);
                Ok(())
            }
            ("query", ns::ROSTER) => self.each(document, Self::roster_item),
            ("query", ns::PRIVATE) => self.each(document, Self::private),
            ("query", ns::PRIVACY) => {
                let element = document.content(opened).map_err(read)?;
                self.privacy(&element)
            }
            ("presence", ns::CLIENT) => {
                let element = document.content(opened).map_err(read)?;
                self.request(&element)
            }
            ("vCard", ns::VCARD) => {
                let element = document.content(opened).map_err(read)?;
                self.vcard(&element)
            }
            ("offline-messages", _) => self.each(document, Self::waiting),
            ("pubsub", ns::PUBSUB_OWNER) => self.each(document, Self::configuration),
            ("pubsub", ns::PUBSUB) => self.items(document),
            ("archive", ns::PIE_MAM) => self.each(document, Self::archived),
            _ => {
                self.import.unknown(&opened);
                document.skip().map_err(read)
            }
        }
    }

    /// Imports each element in the one that was opened, one at a time.
    fn each(
        &mut self,
        document: &mut Input,
        act: fn(&mut Self, &Element) -> Result<(), PortableFault>,
    ) -> Result<(), PortableFault> {
        self.make()?;
        while let Some(Step::Open(child)) = document.step().map_err(read)? {
            let element = document.content(child).map_err(read)?;
            act(self, &element)?;
        }
        Ok(())
    }

    /// Makes the account, when all that makes it what it is has been read.
    fn make(&mut self) -> Result<(), PortableFault> {
        if std::mem::replace(&mut self.made, true) {
            if std::mem::take(&mut self.known) {
                self.import.done.known_accounts += 1;
                self.keep_known()?;
            }
            return Ok(());
        }
        let salt = (self.import.fresh_salt)();
        match std::mem::take(&mut self.passwords).outcome(salt) {
            Outcome::Nothing => {}
            Outcome::Whole(kept) => self.account.password = Some(kept),
            Outcome::Partial(kept, mechanism) => {
                self.account.password = Some(kept);
                self.import.done.incomplete_passwords += 1;
                self.conflict(&format!(
                    "the password is known for {mechanism} only: clients that insist on another mechanism need it set anew"
                ));
            }
            Outcome::Unusable => {
                self.import.done.incomplete_passwords += 1;
                self.conflict("the password is kept in a way that is of no use here: set it anew");
            }
        }
        self.import.store.add_account(&self.address, &self.account)?;
        if let Some((fingerprint, ring)) = self.key.take() {
            match self.import.store.save_login(&self.address, fingerprint, &ring) {
                Ok(_) => {}
                Err(StoreError::TooLarge { .. }) => self.conflict("the key is too large"),
                Err(error) => return Err(error.into()),
            }
        }
        if self.disabled {
            self.import.store.set_disabled(&self.address, Some(self.import.now))?;
        }
        self.import.done.accounts += 1;
        Ok(())
    }

    /// The account was there before. A password that it lacks it gets.
    fn keep_known(&mut self) -> Result<(), PortableFault> {
        let Some(known) = self.import.store.account(&self.address)? else { return Ok(()) };
        let salt = (self.import.fresh_salt)();
        let outcome = std::mem::take(&mut self.passwords).outcome(salt);
        if let (None, Outcome::Whole(kept) | Outcome::Partial(kept, _)) = (&known.password, outcome) {
            self.import.store.set_password(&self.address, Some(kept))?;
        }
        match (self.key.take(), known.fingerprint) {
            (Some((fingerprint, ring)), None) => {
                self.import.store.save_login(&self.address, fingerprint, &ring)?;
            }
            (Some((fingerprint, _)), Some(kept)) if fingerprint != kept => {
                self.conflict("the account has another key already, which stays");
            }
            _ => {}
        }
        Ok(())
    }

    fn kontalk(&mut self, element: &Element) {
        let stamp = element.attribute("created").and_then(Timestamp::parse);
        self.account.created = stamp.unwrap_or(self.account.created);
        self.account.number_verified = element.attribute("number-verified") == Some("true");
        self.disabled = element.attribute("disabled") == Some("true");
        let Some(key) = element.child("key", ns::KONTALK_ACCOUNT) else { return };
        let ring = BASE64.decode(key.text().trim()).ok();
        match key.attribute("fingerprint").and_then(fingerprint).zip(ring) {
            Some(key) => self.key = Some(key),
            None => self.conflict("the key cannot be read"),
        }
    }

    /// RFC 6121 §2.1.2.
    fn roster_item(&mut self, element: &Element) -> Result<(), PortableFault> {
        let contact = element.attribute("jid").and_then(|jid| jid.parse::<Jid>().ok()).map(|jid| jid.bare().clone());
        let contact = contact.filter(|contact| *contact != self.address);
        let (Some(contact), true) = (contact, element.is("item", ns::ROSTER)) else {
            self.conflict("a contact without a usable address is left out");
            return Ok(());
        };
        let item = item_of(element);
        let mut entry = self.import.store.entry(&self.address, &contact)?;
        match &entry.item {
            Some(kept) if *kept == item => self.import.done.known += 1,
            Some(_) => self.conflict(&format!("{contact} is in the roster otherwise, and stays so")),
            None if self.contacts()?.0 >= ROSTER_ITEMS_MAX => self.conflict("the roster is full"),
            None => {
                entry.item = Some(item);
                self.import.store.save_entry(&self.address, &contact, &entry, true)?;
                self.contacts.get_or_insert_default().0 += 1;
                self.import.done.contacts += 1;
            }
        }
        Ok(())
    }

    /// A subscription request that waits. RFC 6121 §3.1.3.
    fn request(&mut self, element: &Element) -> Result<(), PortableFault> {
        self.make()?;
        let from = element.attribute("from").and_then(|jid| jid.parse::<Jid>().ok());
        let (Some(from), Some("subscribe")) = (from, element.attribute("type")) else {
            self.import.unknown(element);
            return Ok(());
        };
        let contact = from.bare().clone();
        let mut request = element.clone();
        request.set_attribute("from", contact.as_str());
        request.set_attribute("to", self.address.as_str());
        let stanza = request.to_text(ns::CLIENT);
        let mut entry = self.import.store.entry(&self.address, &contact)?;
        if entry.request.is_some() {
            self.import.done.known += 1;
        } else if self.contacts()?.1 >= PENDING_SUBSCRIPTIONS_MAX || stanza.len() > PENDING_SUBSCRIPTION_BYTES_MAX {
            self.conflict(&format!("the request of {contact} has no room"));
        } else {
            let stamp = delay_of(element).unwrap_or(self.import.now);
            entry.request = Some(roster::Request { stanza, stamp });
            self.import.store.save_entry(&self.address, &contact, &entry, false)?;
            self.contacts.get_or_insert_default().1 += 1;
            self.import.done.contacts += 1;
        }
        Ok(())
    }

    fn contacts(&mut self) -> Result<(usize, usize), PortableFault> {
        if self.contacts.is_none() {
            let entries = self.import.store.roster(&self.address)?.entries;
            let items = entries.iter().filter(|(_, entry)| entry.item.is_some()).count();
            let requests = entries.iter().filter(|(_, entry)| entry.request.is_some()).count();
            self.contacts = Some((items, requests));
        }
        Ok(self.contacts.unwrap_or_default())
    }

    /// XEP-0016 as XEP-0191 has it: what the default list denies altogether is blocked. Finer rules have no place here.
    fn privacy(&mut self, element: &Element) -> Result<(), PortableFault> {
        self.make()?;
        let default = element.child("default", ns::PRIVACY).and_then(|default| default.attribute("name"));
        let mut list = self.import.store.block_list(&self.address)?;
        let (before, mut others) = (list.blocked.len(), 0);
        for rules in element.children().filter(|child| child.is("list", ns::PRIVACY)) {
            let used = default.is_some() && rules.attribute("name") == default;
            for rule in rules.children() {
                let jid = rule.attribute("value").and_then(|jid| jid.parse::<Jid>().ok());
                let is_block = rule.attribute("type") == Some("jid")
                    && rule.attribute("action") == Some("deny")
                    && rule.first_child().is_none();
                match jid {
                    Some(jid) if used && is_block && list.blocked.contains(&jid) => self.import.done.known += 1,
                    Some(jid) if used && is_block && list.blocked.len() < BLOCK_LIST_MAX => {
                        list.blocked.insert(jid);
                    }
                    _ => others += 1,
                }
            }
        }
        if list.blocked.len() > before {
            self.import.done.contacts += (list.blocked.len() - before) as u64;
            self.import.store.save_block_list(&self.address, &list)?;
        }
        if others > 0 {
            self.conflict(&format!(
                "{others} privacy rules that are more than blocking, or of no list in use, are left out"
            ));
        }
        Ok(())
    }

    /// XEP-0054; a picture goes to its nodes (XEP-0398 §3.2), unless these have one.
    fn vcard(&mut self, element: &Element) -> Result<(), PortableFault> {
        self.make()?;
        if let Some(photo) = Photo::of_vcard(element)
            && self.import.store.pep_last_item(&self.address, AVATAR_METADATA)?.is_none()
        {
            let id = photo.id.clone();
            self.publish(AVATAR_DATA, &Node::default(), &id, &photo.data())?;
            self.publish(AVATAR_METADATA, &Node::default(), &id, &photo.metadata())?;
        }
        self.publish(VCARD_SHELF, &Node::default(), VCARD_ITEM, &without_photo(element.clone()))
    }

    /// XEP-0049.
    fn private(&mut self, element: &Element) -> Result<(), PortableFault> {
        match private_id(element) {
            Ok(id) => self.publish(PRIVATE_SHELF, &private_shelf(), &id, element),
            Err(_) => {
                self.conflict(&format!("private data <{}> without a namespace of its own is left out", element.name()));
                Ok(())
            }
        }
    }

    /// XEP-0060 §8: what a node is like.
    fn configuration(&mut self, element: &Element) -> Result<(), PortableFault> {
        let Some(name) = node_name(element) else {
            self.conflict("a node without a usable name is left out");
            return Ok(());
        };
        let known = self.import.store.pep_node(&self.address, &name)?;
        let is_new = known.is_none() || self.nodes.contains(&name);
        let mut node = known.clone().unwrap_or_default();
        match element.name() {
            "configure" => match configured(element) {
                Some(config) => node.config = config,
                None => {
                    // What cannot be read here may have been there to keep others out.
                    node.config = Config {
                        access: AccessModel::Whitelist,
                        max_items: PEP_ITEMS_PER_NODE_MAX,
                        ..Config::default()
                    };
                    self.conflict(&format!(
                        "what the node {name} is like cannot be had here: it is the owner's alone now"
                    ));
                }
            },
            "affiliations" => node.affiliations.extend(affiliations(element)),
            _ => {
                self.import.unknown(element);
                return Ok(());
            }
        }
        match known {
            Some(known) if known == node => self.import.done.known += 1,
            Some(_) if !is_new => self.conflict(&format!("the node {name} is there otherwise, and stays so")),
            _ => {
                self.nodes.insert(name.clone());
                self.change(&name, &[PepChange::Save(&name, &node)])?;
            }
        }
        Ok(())
    }

    /// XEP-0060: what is in the nodes.
    fn items(&mut self, document: &mut Input) -> Result<(), PortableFault> {
        self.make()?;
        while let Some(Step::Open(items)) = document.step().map_err(read)? {
            let name = node_name(&items).filter(|_| items.is("items", ns::PUBSUB));
            let Some(name) = name else {
                self.import.unknown(&items);
                document.skip().map_err(read)?;
                continue;
            };
            while let Some(Step::Open(item)) = document.step().map_err(read)? {
                let item = document.content(item).map_err(read)?;
                let (id, payload) = (item.attribute("id").unwrap_or_default(), item.first_child());
                let (Some(payload), false) = (payload, id.is_empty() || id.len() > PEP_NAME_BYTES_MAX) else {
                    self.conflict(&format!("an item of {name} without a name or content is left out"));
                    continue;
                };
                let node = match self.import.store.pep_node(&self.address, &name)? {
                    Some(node) => node,
                    None => {
                        // How many it keeps may be told later; until then none goes.
                        self.nodes.insert(name.clone());
                        Node {
                            config: Config { max_items: PEP_ITEMS_PER_NODE_MAX, ..Config::default() },
                            ..Node::default()
                        }
                    }
                };
                self.publish(&name, &node, id, payload)?;
            }
        }
        Ok(())
    }

    /// Puts an item where none of its name is.
    fn publish(&mut self, name: &str, node: &Node, id: &str, payload: &Element) -> Result<(), PortableFault> {
        let item = Item { id: id.to_owned(), published: self.import.now, payload: payload.to_text(ns::CLIENT) };
        match self.import.store.pep_item(&self.address, name, id)? {
            Some(kept) if kept.payload == item.payload => self.import.done.known += 1,
            // Of one picture, which a vCard brought first, with a word less.
            Some(_) if name == AVATAR_METADATA => self.import.done.known += 1,
            Some(_) => self.conflict(&format!("{} is there otherwise, and stays so", told(name, id))),
            None => {
                if self.change(name, &[PepChange::Publish(name, node, &item)])? {
                    self.import.done.items += 1;
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, name: &str, changes: &[PepChange<'_>]) -> Result<bool, PortableFault> {
        match self.import.store.pep_change(&self.address, changes) {
            Ok(_) => Ok(true),
            Err(StoreError::Full | StoreError::TooLarge { .. }) => {
                self.conflict(&format!("{} has no room in the account's share", told(name, "")));
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A message that waits for its receiver.
    fn waiting(&mut self, element: &Element) -> Result<(), PortableFault> {
        if !element.is("message", ns::CLIENT) {
            self.import.unknown(element);
            return Ok(());
        }
        let text = element.to_text(ns::CLIENT);
        if self.waiting.is_none() {
            self.waiting = Some(self.hashes_of_waiting()?);
        }
        if let Some(count) = self.waiting.as_mut().and_then(|hashes| hashes.get_mut(&hash(&text)))
            && *count > 0
        {
            *count -= 1;
            self.import.done.known += 1;
            return Ok(());
        }
        let stamp = delay_of(element).unwrap_or(self.import.now);
        match self.import.store.store_offline(&self.address, &text, stamp) {
            Ok(_) => self.import.done.waiting += 1,
            Err(StorageFault::Full) => self.conflict("a waiting message has no room"),
            Err(fault) => return Err(fault.into()),
        }
        Ok(())
    }

    fn hashes_of_waiting(&mut self) -> Result<HashMap<u64, u32>, PortableFault> {
        let mut hashes = HashMap::new();
        let mut after = None;
        loop {
            let store = &mut *self.import.store;
            let batch = store.offline(&self.address, Timestamp { millis: 0 }, after, OFFLINE_BATCH_MAX)?;
            let Some(last) = batch.last() else { return Ok(hashes) };
            after = Some(last.id);
            for message in batch {
                *hashes.entry(hash(&message.stanza)).or_default() += 1;
            }
        }
    }

    /// An archived message, as XEP-0313 gives it.
    fn archived(&mut self, element: &Element) -> Result<(), PortableFault> {
        let forwarded = element.child("forwarded", ns::FORWARD).filter(|_| element.is("result", ns::MAM));
        let message = forwarded.and_then(|forwarded| forwarded.child("message", ns::CLIENT));
        let stamp = forwarded.and_then(delay_of);
        let (Some(message), Some(stamp)) = (message, stamp) else {
            self.import.unknown(element);
            return Ok(());
        };
        let address = |name| message.attribute(name).and_then(|jid| jid.parse::<Jid>().ok());
        let own = Jid::from(self.address.clone());
        // The other side; what has no sender or receiver is one's own.
        let with = match (address("from"), address("to")) {
            (Some(from), _) if *from.bare() != self.address => from,
            (_, Some(to)) => to,
            _ => own,
        };
        let text = message.to_text(ns::CLIENT);
        if self.archived.is_none() {
            self.archived = Some(self.hashes_of_archive()?);
        }
        let is_known =
            self.archived.as_ref().is_some_and(|known| known.contains(&hash(&(stamp.millis, text.as_str()))));
        if is_known {
            self.import.done.known += 1;
            return Ok(());
        }
        match self.import.store.archive(&self.address, &with, &text, stamp) {
            Ok(_) => self.import.done.archived += 1,
            Err(StorageFault::Full) => self.conflict("an archived message is too large"),
            Err(fault) => return Err(fault.into()),
        }
        Ok(())
    }

    fn hashes_of_archive(&mut self) -> Result<HashSet<u64>, PortableFault> {
        let mut hashes = HashSet::new();
        let ids = self.import.store.archive_scan(&self.address, &Filter::default())?.all;
        let mut rest = ids.as_slice();
        while !rest.is_empty() {
            let wanted = rest.get(..ARCHIVE_PAGE_MAX).unwrap_or(rest);
            let page = self.import.store.archived(&self.address, wanted, ARCHIVE_PAGE_BYTES_MAX)?;
            let read = page.last().and_then(|last| rest.iter().position(|id| *id == last.id));
            rest = rest.get(read.map_or(wanted.len(), |at| at + 1)..).unwrap_or_default();
            hashes.extend(page.iter().map(|message| hash(&(message.stamp.millis, message.stanza.as_str()))));
        }
        Ok(hashes)
    }

    fn conflict(&mut self, line: &str) {
        let line = format!("{}: {line}", self.address);
        self.import.conflict(line);
    }
}

fn item_of(element: &Element) -> roster::Item {
    let fits = |text: &String| !text.is_empty() && text.len() <= ROSTER_NAME_BYTES_MAX;
    let groups = element.children().filter(|child| child.is("group", ns::ROSTER)).map(Element::text).filter(fits);
    let mut kept: Vec<String> = Vec::new();
    for group in groups {
        if kept.len() < ROSTER_GROUPS_MAX && !kept.contains(&group) {
            kept.push(group);
        }
    }
    let subscription = match element.attribute("subscription") {
        Some("to") => Subscription::To,
        Some("from") => Subscription::From,
        Some("both") => Subscription::Both,
        _ => Subscription::None,
    };
    roster::Item {
        name: element.attribute("name").map(str::to_owned).filter(fits),
        groups: kept,
        subscription,
        ask: element.attribute("ask") == Some("subscribe"),
        approved: element.attribute("approved") == Some("true"),
    }
}

fn node_name(element: &Element) -> Option<String> {
    let name = element.attribute("node").filter(|name| !name.is_empty() && name.len() <= PEP_NAME_BYTES_MAX)?;
    Some(name.to_owned())
}

/// XEP-0060 §8.2.4, as its owner would say it.
fn configured(element: &Element) -> Option<Config> {
    let request = Element::new("pubsub", ns::PUBSUB_OWNER).with_child(element.clone());
    match Request::read(&request, true) {
        Ok(Request::Configure { options: Some(options), .. }) => options.apply(&Config::default()).ok(),
        _ => None,
    }
}

/// XEP-0060 §8.9. The owner is the account; others do not publish here.
fn affiliations(element: &Element) -> Vec<(String, Affiliation)> {
    let listed = element.children().filter(|child| child.is("affiliation", ns::PUBSUB_OWNER)).filter_map(|child| {
        let jid: Jid = child.attribute("jid")?.parse().ok()?;
        let affiliation = match child.attribute("affiliation")? {
            "member" => Affiliation::Member,
            "outcast" => Affiliation::Outcast,
            _ => return None,
        };
        Some((jid.bare().to_string(), affiliation))
    });
    listed.take(crate::limits::PEP_AFFILIATIONS_MAX).collect()
}

/// XEP-0203: since when it waits.
fn delay_of(element: &Element) -> Option<Timestamp> {
    element.child("delay", ns::DELAY)?.attribute("stamp").and_then(Timestamp::parse)
}

fn fingerprint(text: &str) -> Option<Fingerprint> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    bytes.try_into().ok().filter(|_| text.len() == 40)
}

/// A node or shelf, and an item in it, in words for the operator.
fn told(name: &str, id: &str) -> String {
    match name {
        VCARD_SHELF => "the vCard".to_owned(),
        PRIVATE_SHELF => format!("private data {id}"),
        _ => format!("the node {name} {id}").trim_end().to_owned(),
    }
}

/// Of this process only: tells texts apart, keeps nothing.
fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The file's name is added where it is known.
fn read(error: crate::xml::DocumentError) -> PortableFault {
    PortableFault::Read(std::path::PathBuf::new(), error)
}
