//! `[acme]`, `[dns_update]` and `[dynamic_dns]`: certificates from an authority, and the name servers that the node may change.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Config;
use super::check::addresses;
use super::document::{Document, Found};
use crate::acme::Challenge;
use crate::limits;

/// Certificates by ACME (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// `acme.directory`: the authority.
    pub directory: String,
    /// `acme.contact`, else the mail addresses of `contact`: as `mailto:` URIs.
    pub contact: Vec<String>,
    /// The domain, the host of `web.url` and `acme.names`: host names in ASCII, each once, the domain first.
    pub names: Vec<String>,
    /// `acme.challenge`: how the names are proved.
    pub challenge: Challenge,
    /// `acme.listen`: where proofs by HTTP are shown, in the clear; empty unless they are used.
    pub listen: Vec<SocketAddr>,
    /// `acme.dns_hook`: a program with arguments that sets and removes TXT records; empty: `[dns_update]`.
    pub dns_hook: Vec<String>,
    /// `acme.dns_wait_secs`: how long until all name servers have a new record.
    pub dns_wait: Duration,
    /// `acme.ca_file`: authorities (PEM) to believe the ACME server's own certificate by, instead of those compiled in.
    pub ca_file: Option<PathBuf>,
}

/// A name server that takes updates (RFC 2136) signed with a shared key (RFC 8945, HMAC-SHA-256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsUpdate {
    /// `dns_update.server`
    pub server: SocketAddr,
    /// `dns_update.zone`: the zone that holds the names, in ASCII.
    pub zone: String,
    /// `dns_update.key_name`
    pub key_name: String,
    /// `dns_update.key_file`: the secret in base64.
    pub key_file: PathBuf,
}

/// Names that follow the node's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicDns {
    /// `dynamic_dns.names`: host names in ASCII; else the domain.
    pub names: Vec<String>,
    /// `dynamic_dns.url`: what is asked to change a name, with `{name}` and `{address}` in it; `None`: `[dns_update]`.
    pub url: Option<String>,
    /// `dynamic_dns.user`
    pub user: Option<String>,
    /// `dynamic_dns.secret_file`: the password for it.
    pub secret_file: Option<PathBuf>,
    /// `dynamic_dns.address_urls`: who tells the node its address as others see it.
    pub address_urls: Vec<String>,
    /// `dynamic_dns.ca_file`: authorities (PEM) to believe these servers by, instead of those compiled in.
    pub ca_file: Option<PathBuf>,
}

/// Reads the three sections. Behind `[web]`, `contact` and `[tls]`, which it looks at.
pub(super) fn acme(document: &mut Document<'_>, base: &Path, config: &mut Config) {
    config.dns_update = dns_update(document, base);
    config.acme = authority(document, base, config);
    config.dynamic_dns = dynamic_dns(document, base, config);
}

fn authority(document: &mut Document<'_>, base: &Path, config: &Config) -> Option<Acme> {
    let accepted = document.flag("acme.accept_terms");
    if !accepted.as_ref().is_some_and(|found| found.value) {
        let begun = ["directory", "contact", "names", "challenge", "listen", "dns_hook"];
        let begun = begun.iter().find_map(|key| document.whole(&format!("acme.{key}")));
        if let Some(found) = begun.filter(|_| accepted.is_none()) {
            let remedy = "acme.accept_terms = true, when you have read the authority's terms and agree";
            document.warn(&found, "no certificate is asked for before you accept the authority's terms", remedy);
        }
        return None;
    }
    if let (Some(found), Some(_)) = (document.whole("acme.accept_terms"), &config.tls) {
        document.object(&found, "the certificate comes from the files in [tls] already", "one of the two");
    }
    let directory = web_address(document, "acme.directory", &["https://"]);
    let challenge = challenge(document);
    let mut listen = Vec::new();
    if challenge == Challenge::Http01 {
        listen = vec![SocketAddr::from(([0u16; 8], HTTP_PORT))];
    }
    if let Some(found) = document.list("acme.listen") {
        listen = addresses(document, &found, &mut Vec::new());
    }
    let dns_hook: Vec<String> =
        document.list("acme.dns_hook").unwrap_or_default().into_iter().map(|found| found.value).collect();
    if let (Challenge::Dns01, true, None, Some(found)) =
        (challenge, dns_hook.is_empty(), &config.dns_update, document.whole("acme.challenge"))
    {
        let remedy = "the section [dns_update], or a program in acme.dns_hook";
        document.object(&found, "nothing is said of how records are set", remedy);
    }
    let mut acme = Acme {
        directory: directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
        contact: contact(document, config),
        names: names(document, config),
        challenge,
        listen,
        dns_hook,
        dns_wait: limits::DNS_PROOF_WAIT,
        ca_file: document.text("acme.ca_file").map(|found| existing(document, base, &found)),
    };
    if let Some(found) = document.number("acme.dns_wait_secs", 0..=3600) {
        acme.dns_wait = Duration::from_secs(found.value.into());
    }
    Some(acme)
}

fn challenge(document: &mut Document<'_>) -> Challenge {
    let Some(found) = document.text("acme.challenge") else { return Challenge::Http01 };
    Challenge::of_name(&found.value).unwrap_or_else(|| {
        document.object(&found, "no way to prove a name", "\"http-01\", \"tls-alpn-01\" or \"dns-01\"");
        Challenge::Http01
    })
}

fn contact(document: &mut Document<'_>, config: &Config) -> Vec<String> {
    let Some(list) = document.list("acme.contact") else {
        return config.contact.iter().filter(|uri| uri.starts_with("mailto:")).cloned().collect();
    };
    let mut contact = Vec::new();
    for found in list {
        let address = found.value.strip_prefix("mailto:").unwrap_or(&found.value);
        if address.contains('@') && super::check::is_plain(address) && !address.contains([',', '?', ' ']) {
            contact.push(format!("mailto:{address}"));
        } else {
            document.object(&found, "no mail address", "e.g. \"mailto:admin@example.org\"");
        }
    }
    contact
}

fn names(document: &mut Document<'_>, config: &Config) -> Vec<String> {
    let mut names: Vec<String> = host_name(config.domain.domainpart()).into_iter().collect();
    let own_url = config.web.url.as_deref().filter(|_| config.web.enabled && !config.web.reverse_proxy);
    let host = own_url.and_then(|url| url.strip_prefix("https://")?.split(['/', ':']).next());
    let host = host.and_then(host_name).filter(|host| !names.contains(host));
    names.extend(host);
    for found in document.list("acme.names").unwrap_or_default() {
        match host_name(&found.value) {
            Some(name) if names.contains(&name) => {}
            Some(_) if names.len() == limits::ACME_NAMES_MAX => {
                document.object(&found, "one name too many", &format!("at most {}", limits::ACME_NAMES_MAX));
            }
            Some(name) => names.push(name),
            None => document.object(&found, "no host name", "e.g. \"chat.example.org\"; wildcards are not asked for"),
        }
    }
    names
}

/// In ASCII and small letters. Certificates and records are for names, not for addresses.
fn host_name(text: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii(text.trim_end_matches('.')).ok()?.to_ascii_lowercase();
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    (ascii.len() <= 253 && ascii.split('.').all(label) && ascii.parse::<IpAddr>().is_err()).then_some(ascii)
}

fn dns_update(document: &mut Document<'_>, base: &Path) -> Option<DnsUpdate> {
    let server = document.text("dns_update.server");
    let zone = document.text("dns_update.zone");
    let key_name = document.text("dns_update.key_name");
    let key_file = document.text("dns_update.key_file");
    if [&server, &zone, &key_name, &key_file].iter().all(|found| found.is_none()) {
        return None;
    }
    for (found, key) in [
        (&server, "dns_update.server"),
        (&zone, "dns_update.zone"),
        (&key_name, "dns_update.key_name"),
        (&key_file, "dns_update.key_file"),
    ] {
        if found.is_none() {
            document.missing(key, "server, zone, key_name and key_file belong together");
        }
    }
    let (server, zone, key_name, key_file) = (server?, zone?, key_name?, key_file?);
    let address = server.value.parse().ok();
    if address.is_none() {
        document.object(&server, "not an address", "the name server's address with its port: \"192.0.2.53:53\"");
    }
    let mut named = |found: &Found<String>| {
        let name = host_name(&found.value);
        if name.is_none() {
            document.object(found, "no name in DNS", &format!("e.g. {}", found.key.example));
        }
        name
    };
    let (zone, key_name) = (named(&zone), named(&key_name));
    let key_file = existing(document, base, &key_file);
    Some(DnsUpdate { server: address?, zone: zone?, key_name: key_name?, key_file })
}

fn dynamic_dns(document: &mut Document<'_>, base: &Path, config: &Config) -> Option<DynamicDns> {
    let url = web_address(document, "dynamic_dns.url", &["https://", "http://"]);
    if let Some(found) = document.text("dynamic_dns.url")
        && !found.value.contains("{address}")
    {
        document.object(
            &found,
            "it does not say where the address goes",
            "{address} in it, and {name} if it is needed",
        );
    }
    let listed = document.list("dynamic_dns.names");
    let secret = document.text("dynamic_dns.secret_file");
    let secret_file = secret.map(|found| existing(document, base, &found));
    let mut address_urls = Vec::new();
    for found in document.list("dynamic_dns.address_urls").unwrap_or_default() {
        if found.value.starts_with("https://") || found.value.starts_with("http://") {
            address_urls.push(found.value);
        } else {
            document.object(&found, "no URL", &format!("e.g. {}", found.key.example));
        }
    }
    let wanted = url.is_some() || listed.is_some();
    if !wanted {
        return None;
    }
    let mut names = Vec::new();
    for found in listed.iter().flatten() {
        match host_name(&found.value) {
            Some(name) => names.push(name),
            None => document.object(found, "no host name", "e.g. \"node.example.org\""),
        }
    }
    names.truncate(limits::ACME_NAMES_MAX);
    if names.is_empty() {
        names.extend(host_name(config.domain.domainpart()));
    }
    if let (None, None, Some(found)) = (&url, &config.dns_update, document.whole("dynamic_dns.names")) {
        let remedy = "the section [dns_update], or dynamic_dns.url";
        document.object(&found, "nothing is said of how records are changed", remedy);
    }
    let user = document.text("dynamic_dns.user").map(|found| found.value);
    let ca_file = document.text("dynamic_dns.ca_file").map(|found| existing(document, base, &found));
    Some(DynamicDns { names, url, user, secret_file, address_urls, ca_file })
}

/// `[metrics]`: on this machine alone.
pub(super) fn metrics(document: &mut Document<'_>) -> Vec<SocketAddr> {
    let Some(list) = document.list("metrics.listen") else { return Vec::new() };
    for found in list.iter().filter(|found| found.value.parse().is_ok_and(|a: SocketAddr| !a.ip().is_loopback())) {
        document.object(found, "anybody could read the figures", "an address of this machine: \"127.0.0.1:9464\"");
    }
    addresses(document, &list, &mut Vec::new())
}

fn web_address(document: &mut Document<'_>, path: &str, schemes: &[&str]) -> Option<String> {
    let found = document.text(path)?;
    let is_url = |scheme: &&str| found.value.strip_prefix(*scheme).is_some_and(|rest| !rest.is_empty());
    if schemes.iter().any(is_url) && found.value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(found.value);
    }
    document.object(&found, "no URL", &format!("e.g. {}", found.key.example));
    None
}

fn existing(document: &mut Document<'_>, base: &Path, found: &Found<String>) -> PathBuf {
    let path = base.join(&found.value);
    if let Err(error) = std::fs::File::open(&path) {
        let remedy = "it must exist, and the user kontalk-node be allowed to read it";
        document.object(found, &format!("cannot be read: {error}"), remedy);
    }
    path
}

/// The authority that gives certificates to everybody.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// RFC 8555 §8.3: authorities ask there.
const HTTP_PORT: u16 = 80;
