//! Writing.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::PortableFault;
use crate::archive::{ArchiveId, Filter, forwarded};
use crate::jid::BareJid;
use crate::limits::{ARCHIVE_PAGE_BYTES_MAX, ARCHIVE_PAGE_MAX, OFFLINE_BATCH_MAX, STANZA_DEPTH_MAX};
use crate::pubsub::{AVATAR_DATA, AVATAR_METADATA, configure, current_avatar, photo_in_data, with_photo};
use crate::roster::push;
use crate::router::Storage;
use crate::stanza::{Timestamp, delay};
use crate::store::{Account, PRIVATE_SHELF, Store, VCARD_ITEM, VCARD_SHELF};
use crate::stream::{Keys, ScramKeys};
use crate::xml::{Element, escape_attribute, ns, parse_document};

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Accounts.
    pub accounts: u64,
    /// Those among them that have no password: elsewhere nobody logs in to them until they get one.
    pub without_password: u64,
    /// Messages that wait.
    pub waiting: u64,
    /// Archived messages.
    pub archived: u64,
    /// Items of nodes.
    pub items: u64,
}

/// An export in the making.
pub struct Export<'a> {
    store: &'a mut Store,
    domain: &'a BareJid,
    for_ejabberd: bool,
    done: Exported,
}

impl<'a> Export<'a> {
    /// Of the accounts in this store, which serves this domain.
    pub fn new(store: &'a mut Store, domain: &'a BareJid) -> Export<'a> {
        Export { store, domain, for_ejabberd: false, done: Exported::default() }
    }

    /// Writes what is kept of passwords as ejabberd's import (seen in 23.01) reads it: in base64 of base64. Nobody else does.
    #[must_use]
    pub fn for_ejabberd(mut self, yes: bool) -> Export<'a> {
        self.for_ejabberd = yes;
        self
    }

    /// Writes all accounts into one document. `progress` is told how many there are so far.
    ///
    /// Errors: [`PortableFault::Store`], [`PortableFault::Write`].
    pub fn all(mut self, out: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<Exported, PortableFault> {
        self.begin(out)?;
        for address in self.addresses()? {
            self.user(&address, out)?;
            progress(self.done.accounts);
        }
        self.end(out)?;
        Ok(self.done)
    }

    /// Writes each account into a document of its own, as Prosody keeps them; `open` gives the file for an address, `close` takes it
    /// back.
    ///
    /// Errors: as for [`Export::all`], and those of `open` and `close`.
    pub fn each<W: Write>(
        mut self,
        mut open: impl FnMut(&BareJid) -> Result<W, PortableFault>,
        mut close: impl FnMut(W) -> Result<(), PortableFault>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Exported, PortableFault> {
        for address in self.addresses()? {
            let mut out = open(&address)?;
            self.begin(&mut out)?;
            self.user(&address, &mut out)?;
            self.end(&mut out)?;
            close(out)?;
            progress(self.done.accounts);
        }
        Ok(self.done)
    }

    fn addresses(&self) -> Result<Vec<BareJid>, PortableFault> {
        let mut addresses = Vec::new();
        for listed in self.store.accounts() {
            let (address, _) = listed?;
            // Those who visit are their own node's users.
            if address.domainpart() == self.domain.domainpart() && self.store.visit(&address)?.is_none() {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    /// XEP-0227 §4.
    fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        let host = attribute(self.domain.as_str());
        write!(out, "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='{}'>\n<host jid='{host}'>\n", ns::PIE)
    }

    fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"</host>\n</server-data>\n")
    }

    /// XEP-0227 §4.
    fn user(&mut self, address: &BareJid, out: &mut dyn Write) -> Result<(), PortableFault> {
        let Some(account) = self.store.account(address)? else { return Ok(()) };
        writeln!(out, "<user name='{}'>", attribute(address.localpart().unwrap_or_default()))?;
        self.password(&account, out)?;
        self.kontalk(address, &account, out)?;
        self.roster(address, out)?;
        self.blocked(address, out)?;
        self.nodes(address, out)?;
        self.vcard(address, out)?;
        self.private(address, out)?;
        self.waiting(address, out)?;
        self.archive(address, out)?;
        out.write_all(b"</user>\n")?;
        self.done.accounts += 1;
        Ok(())
    }

    /// XEP-0227 §4: SCRAM. SHA-1 comes first: ejabberd takes the first, and has SHA-1 by default, as Prosody does.
    fn password(&mut self, account: &Account, out: &mut dyn Write) -> Result<(), PortableFault> {
        let keys = account.password.as_ref().and_then(|kept| ScramKeys::from_bytes(kept.as_bytes()));
        let Some(keys) = keys else {
            self.done.without_password += 1;
            return Ok(());
        };
        for (mechanism, hash) in [("SCRAM-SHA-1", &keys.sha1), ("SCRAM-SHA-256", &keys.sha256)] {
            if !hash.stored_key.is_empty() {
                line(out, &credentials(mechanism, &keys, hash, self.for_ejabberd))?;
            }
        }
        Ok(())
    }

    /// What is Kontalk's own.
    fn kontalk(&self, address: &BareJid, account: &Account, out: &mut dyn Write) -> Result<(), PortableFault> {
        let mut element = Element::new("account", ns::KONTALK_ACCOUNT)
            .with("created", account.created.to_string())
            .with("number-verified", if account.number_verified { "true" } else { "false" });
        if self.store.is_disabled(address)? {
            element.set_attribute("disabled", "true");
        }
        if let Some(fingerprint) = account.fingerprint
            && let Some(ring) = self.store.ring(&fingerprint)?
        {
            let name: String = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
            let key = Element::new("key", ns::KONTALK_ACCOUNT).with("fingerprint", name);
            element.push(key.with_text(&BASE64.encode(ring)));
        }
        Ok(line(out, &element)?)
    }

    /// XEP-0227 §4, and incoming requests as presence.
    fn roster(&self, address: &BareJid, out: &mut dyn Write) -> Result<(), PortableFault> {
        let roster = self.store.roster(address)?;
        writeln!(out, "<query xmlns='{}'>", ns::ROSTER)?;
        for (contact, entry) in roster.entries.iter().filter(|(_, entry)| entry.item.is_some()) {
            if let Some(item) = push(contact, entry, 0).first_child() {
                writeln!(out, "{}", item.to_text(ns::ROSTER))?;
            }
        }
        out.write_all(b"</query>\n")?;
        for (_, entry) in roster.entries {
            let request = entry.request.and_then(|request| parse(&request.stanza));
            request.map_or(Ok(()), |request| line(out, &request))?;
        }
        Ok(())
    }

    /// XEP-0227: privacy lists; XEP-0191 says how a block list is one.
    fn blocked(&self, address: &BareJid, out: &mut dyn Write) -> Result<(), PortableFault> {
        let blocked = self.store.block_list(address)?.blocked;
        if blocked.is_empty() {
            return Ok(());
        }
        let mut list = Element::new("list", ns::PRIVACY).with("name", BLOCKED);
        for (order, jid) in (1..).zip(&blocked) {
            let item = Element::new("item", ns::PRIVACY)
                .with("type", "jid")
                .with("value", jid.to_string())
                .with("action", "deny")
                .with("order", order.to_string());
            list.push(item);
        }
        let default = Element::new("default", ns::PRIVACY).with("name", BLOCKED);
        Ok(line(out, &Element::new("query", ns::PRIVACY).with_child(default).with_child(list))?)
    }

    /// XEP-0227: nodes of XEP-0163, first what they are like, then what is in them.
    fn nodes(&mut self, address: &BareJid, out: &mut dyn Write) -> Result<(), PortableFault> {
        let nodes = self.store.pep_nodes(address)?;
        if nodes.is_empty() {
            return Ok(());
        }
        writeln!(out, "<pubsub xmlns='{}'>", ns::PUBSUB_OWNER)?;
        for (name, node) in &nodes {
            writeln!(out, "{}", configure(name, &node.config).to_text(ns::PUBSUB_OWNER))?;
            let mut others = Element::new("affiliations", ns::PUBSUB_OWNER).with("node", name.as_str());
            for (jid, affiliation) in &node.affiliations {
                let other = Element::new("affiliation", ns::PUBSUB_OWNER).with("jid", jid.as_str());
                others.push(other.with("affiliation", affiliation.as_str()));
            }
            if !node.affiliations.is_empty() {
                writeln!(out, "{}", others.to_text(ns::PUBSUB_OWNER))?;
            }
        }
        writeln!(out, "</pubsub>\n<pubsub xmlns='{}'>", ns::PUBSUB)?;
        for (name, _) in &nodes {
            writeln!(out, "<items node='{}'>", attribute(name))?;
            for id in self.store.pep_item_ids(address, name)? {
                let Some(item) = self.store.pep_item(address, name, &id)? else { continue };
                let mut element = Element::new("item", ns::PUBSUB).with("id", item.id);
                parse(&item.payload).into_iter().for_each(|payload| element.push(payload));
                writeln!(out, "{}", element.to_text(ns::PUBSUB))?;
                self.done.items += 1;
            }
            out.write_all(b"</items>\n")?;
        }
        out.write_all(b"</pubsub>\n")?;
        Ok(())
    }

    /// XEP-0227 §4. With the picture from its nodes: elsewhere it may be looked for here.
    fn vcard(&self, address: &BareJid, out: &mut dyn Write) -> Result<(), PortableFault> {
        let kept = self.store.pep_item(address, VCARD_SHELF, VCARD_ITEM)?.and_then(|item| parse(&item.payload));
        let metadata = self.store.pep_last_item(address, AVATAR_METADATA)?.and_then(|item| parse(&item.payload));
        let photo = match metadata.as_ref().and_then(current_avatar) {
            None => None,
            Some((id, mime)) => {
                let data = self.store.pep_item(address, AVATAR_DATA, id)?.and_then(|item| parse(&item.payload));
                data.and_then(|data| photo_in_data(&data, id, mime))
            }
        };
        let vcard = match (kept, photo) {
            (kept, Some(photo)) => with_photo(kept.unwrap_or_else(|| Element::new("vCard", ns::VCARD)), &photo),
            (Some(kept), None) => kept,
            (None, None) => return Ok(()),
        };
        Ok(line(out, &vcard)?)
    }

    /// XEP-0227 §4.
    fn private(&self, address: &BareJid, out: &mut dyn Write) -> Result<(), PortableFault> {
        let ids = self.store.pep_item_ids(address, PRIVATE_SHELF)?;
        if ids.is_empty() {
            return Ok(());
        }
        writeln!(out, "<query xmlns='{}'>", ns::PRIVATE)?;
        for id in ids {
            let kept = self.store.pep_item(address, PRIVATE_SHELF, &id)?.and_then(|item| parse(&item.payload));
            if let Some(kept) = kept {
                writeln!(out, "{}", kept.to_text(ns::PRIVATE))?;
            }
        }
        Ok(out.write_all(b"</query>\n")?)
    }

    /// XEP-0227 §4: the oldest first, each with the moment it came.
    fn waiting(&mut self, address: &BareJid, out: &mut dyn Write) -> Result<(), PortableFault> {
        let mut after = None;
        let mut begun = false;
        loop {
            // At this moment nothing is too old: what the store would not give out any more is for the next server to judge.
            let batch = self.store.offline(address, Timestamp { millis: 0 }, after, OFFLINE_BATCH_MAX)?;
            let Some(last) = batch.last() else { break };
            after = Some(last.id);
            if !std::mem::replace(&mut begun, true) {
                out.write_all(b"<offline-messages>\n")?;
            }
            for message in batch {
                let Some(mut element) = parse(&message.stanza) else { continue };
                if element.child("delay", ns::DELAY).is_none() {
                    element.push(delay(self.domain, message.stamp));
                }
                line(out, &element)?;
                self.done.waiting += 1;
            }
        }
        if begun {
            out.write_all(b"</offline-messages>\n")?;
        }
        Ok(())
    }

    /// XEP-0227: archived messages, as XEP-0313 gives them.
    fn archive(&mut self, address: &BareJid, out: &mut dyn Write) -> Result<(), PortableFault> {
        let ids: Vec<ArchiveId> = self.store.archive_scan(address, &Filter::default())?.all;
        if ids.is_empty() {
            return Ok(());
        }
        writeln!(out, "<archive xmlns='{}'>", ns::PIE_MAM)?;
        let mut rest = ids.as_slice();
        while !rest.is_empty() {
            let wanted = rest.get(..ARCHIVE_PAGE_MAX).unwrap_or(rest);
            let page = self.store.archived(address, wanted, ARCHIVE_PAGE_BYTES_MAX)?;
            // One that cannot be read is left out.
            let read = page.last().and_then(|last| rest.iter().position(|id| *id == last.id));
            rest = rest.get(read.map_or(wanted.len(), |at| at + 1)..).unwrap_or_default();
            for message in page {
                let mut text = format!("<result xmlns='{}' id='{}'>", ns::MAM, message.id);
                forwarded(&message.stanza, Some(message.stamp), &mut text);
                writeln!(out, "{text}</result>")?;
                self.done.archived += 1;
            }
        }
        Ok(out.write_all(b"</archive>\n")?)
    }
}

/// One element, with its namespace, on a line.
fn line(out: &mut dyn Write, element: &Element) -> io::Result<()> {
    writeln!(out, "{}", element.to_text(ns::PIE))
}

fn credentials(mechanism: &'static str, keys: &ScramKeys, hash: &Keys, twice: bool) -> Element {
    let base64 = |bytes: &[u8]| {
        let once = BASE64.encode(bytes);
        if twice { BASE64.encode(once) } else { once }
    };
    let part = |name: &'static str, text: &str| Element::new(name, ns::PIE_SCRAM).with_text(text);
    Element::new("scram-credentials", ns::PIE_SCRAM)
        .with("mechanism", mechanism)
        .with_child(part("iter-count", &keys.iterations.to_string()))
        .with_child(part("salt", &base64(&keys.salt)))
        .with_child(part("server-key", &base64(&hash.server_key)))
        .with_child(part("stored-key", &base64(&hash.stored_key)))
}

fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_attribute(text, &mut out);
    out
}

/// What is kept as text was an element once.
fn parse(text: &str) -> Option<Element> {
    parse_document(text, ns::CLIENT, STANZA_DEPTH_MAX).ok()
}

/// The name of the privacy list.
const BLOCKED: &str = "blocked";
