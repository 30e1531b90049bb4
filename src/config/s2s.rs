//! The section `[s2s]`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::addresses;
use super::document::{Document, Found};
use super::{Config, PeerHost};
use crate::jid::BareJid;

pub(super) fn s2s(document: &mut Document<'_>, base: &Path, config: &mut Config) {
    let domain = config.domain.clone();
    let s2s = &mut config.s2s;
    if let Some(found) = document.flag("s2s.enabled") {
        s2s.enabled = found.value;
    }
    let mut seen: Vec<SocketAddr> = config.c2s.listen.iter().chain(&config.c2s.listen_tls).copied().collect();
    match document.list("s2s.listen") {
        Some(found) => s2s.listen = addresses(document, &found, &mut seen),
        None => seen.extend(&s2s.listen),
    }
    if let Some(found) = document.list("s2s.listen_tls") {
        s2s.listen_tls = addresses(document, &found, &mut seen);
    }
    if let Some(found) = document.flag("s2s.dialback") {
        s2s.dialback = found.value;
    }
    s2s.allow = domains(document, "s2s.allow", &domain);
    s2s.deny = domains(document, "s2s.deny", &domain);
    s2s.ca_file = ca_file(document, base);
    s2s.hosts = hosts(document);
    for found in document.list("s2s.dns").unwrap_or_default() {
        match found.value.parse() {
            Ok(address) => s2s.dns.push(address),
            Err(_) => document.object(&found, "not an address", "e.g. \"192.0.2.53:53\""),
        }
    }
    if let Some(found) = document.number("s2s.queue_minutes", 1..=QUEUE_MINUTES_MAX) {
        s2s.queue_age = Duration::from_secs(u64::from(found.value) * 60);
    }
}

fn domains(document: &mut Document<'_>, path: &str, own: &BareJid) -> Vec<BareJid> {
    let mut domains = Vec::new();
    for found in document.list(path).unwrap_or_default() {
        match found.value.parse::<BareJid>() {
            Ok(domain) if domain.localpart().is_some() => {
                document.object(&found, "an account, and whole domains are meant", "e.g. \"b.example\"");
            }
            Ok(domain) if domain == *own => {
                document.object(&found, "that is this node itself", "name other domains");
            }
            Ok(domain) => domains.push(domain),
            Err(error) => document.object(&found, &error.to_string(), "e.g. \"b.example\""),
        }
    }
    domains
}

fn ca_file(document: &mut Document<'_>, base: &Path) -> Option<PathBuf> {
    let found = document.text("s2s.ca_file")?;
    let path = base.join(&found.value);
    if let Err(error) = fs::File::open(&path) {
        document.object(&found, &format!("cannot be read: {error}"), "certificates of authorities in PEM");
    }
    Some(path)
}

fn hosts(document: &mut Document<'_>) -> Vec<PeerHost> {
    let mut hosts = Vec::new();
    for found in document.list("s2s.hosts").unwrap_or_default() {
        match host(&found) {
            Some(host) => hosts.push(host),
            None => {
                let remedy = "e.g. \"b.example=192.0.2.7:5269\", or \"b.example=tls:192.0.2.7:5270\"";
                document.object(&found, "no domain with an address", remedy);
            }
        }
    }
    hosts
}

fn host(found: &Found<String>) -> Option<PeerHost> {
    let (domain, address) = found.value.split_once('=')?;
    let domain = BareJid::domain(domain.trim()).ok()?;
    let address = address.trim();
    let (address, direct_tls) = match address.strip_prefix("tls:") {
        Some(address) => (address, true),
        None => (address, false),
    };
    Some(PeerHost { domain, address: address.parse().ok()?, direct_tls })
}

/// A week.
const QUEUE_MINUTES_MAX: u32 = 7 * 24 * 60;
