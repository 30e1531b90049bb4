//! Which keys there are and what their values must be.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::jid::BareJid;
use crate::limits;
use crate::trust::{Endpoint, HTTP_MAX, S2S_MAX, is_http};

use super::document::{Document, Found, Key};
use super::modem::modem;
use super::problem::Problem;
use super::providers::{providers, reports};
use super::sms::sms;
use super::{
    BannedS2s, C2s, Components, Config, KontalkPush, Limits, Registration, Throttle, TlsFiles, Trust, acme, web,
};

/// See [`super::parse`].
pub(super) fn check(file: &str, base: &Path, text: &str) -> Result<Config, Vec<Problem>> {
    let mut document = Document::parse(file, text, KEYS);
    let document = &mut document;
    let domain = domain(document);
    // With a wrong domain the rest is looked at all the same; nothing of it will be used.
    let mut config = domain.map_or_else(Config::trial, Config::new);
    if let Some(found) = document.text("data_dir") {
        config.data_dir = data_dir(document, base, &found);
    }
    config.contact = contact(document);
    config.admins = admins(document);
    c2s(document, &mut config.c2s);
    super::s2s::s2s(document, base, &mut config);
    config.tls = tls(document, base);
    registration(document, &mut config.registration);
    trust(document, &mut config.trust);
    modem(document, base, &mut config.sms.modem);
    config.sms.http = providers(document, base);
    sms(document, &mut config.sms);
    if let Some(found) = document.text("log.level") {
        match found.value.parse() {
            Ok(level) => config.log.level = level,
            Err(_) => document.object(&found, "no log level", "off, error, warn, info, debug or trace"),
        }
    }
    if let Some(found) = document.number("archive.days", 0..=3650) {
        config.archive.ttl = Duration::from_secs(u64::from(found.value) * 86_400);
    }
    web::web(document, &mut config.web);
    web::upload(document, &mut config.upload);
    reports(document, &config);
    limits(document, &mut config.limits);
    components(document, base, &config.domain, &mut config.components);
    config.push = push(document);
    acme::acme(document, base, &mut config);
    config.metrics = acme::metrics(document);
    finish(document, config)
}

fn finish(document: &mut Document<'_>, mut config: Config) -> Result<Config, Vec<Problem>> {
    let (problems, warnings) = document.take_problems();
    config.warnings = warnings;
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn domain(document: &mut Document<'_>) -> Option<BareJid> {
    let what = "the domain behind the @ of your users' addresses, which you own";
    let Some(found) = document.text("domain") else {
        if document.whole("domain").is_none() {
            document.missing("domain", what);
        }
        return None;
    };
    let text = found.value.as_str();
    let prepared = match BareJid::domain(text) {
        Ok(prepared) => prepared,
        Err(error) => {
            document.object(&found, &error.to_string(), what);
            return None;
        }
    };
    let name = prepared.domainpart();
    if name.parse::<IpAddr>().is_ok() || name.starts_with('[') {
        document.object(&found, "an IP address, and addresses of users must last", what);
    } else if name == "localhost" || name.ends_with(".localhost") {
        document.object(
            &found,
            "only this machine knows that name",
            "for a trial run kontalk-node without a configuration",
        );
    } else if name == SAMPLE_DOMAIN {
        document.object(&found, "that is the sample's domain", what);
    } else if !name.contains('.') {
        document.warn(&found, "other machines will hardly find a name without a dot", what);
    }
    Some(prepared)
}

fn data_dir(document: &mut Document<'_>, base: &Path, found: &Found<String>) -> PathBuf {
    let path = base.join(&found.value);
    if found.value.is_empty() || (path.exists() && !path.is_dir()) {
        document.object(found, "not a directory", "a directory of the node's own; it will be made");
    }
    path
}

fn contact(document: &mut Document<'_>) -> Vec<String> {
    let mut uris = Vec::new();
    for found in document.list("contact").unwrap_or_default() {
        let text = found.value.as_str();
        let scheme = CONTACT_SCHEMES.iter().find(|scheme| text.starts_with(**scheme) && text.len() > scheme.len());
        if !is_plain(text) || (scheme.is_none() && !is_mail_address(text)) {
            document.object(&found, "no address", "e.g. \"mailto:admin@example.org\" or \"xmpp:admin@example.org\"");
        } else if scheme.is_none() {
            uris.push(format!("mailto:{text}"));
        } else {
            uris.push(found.value);
        }
    }
    uris
}

fn is_mail_address(text: &str) -> bool {
    matches!(text.split_once('@'), Some((before, behind)) if !before.is_empty() && !behind.is_empty() && !text.contains([':', '/']))
}

fn admins(document: &mut Document<'_>) -> Vec<BareJid> {
    let mut admins: Vec<BareJid> = Vec::new();
    for found in document.list("admins").unwrap_or_default() {
        match found.value.parse::<BareJid>() {
            Ok(admin) if admin.localpart().is_none() => {
                document.object(&found, "a domain, not an account", "e.g. \"admin@example.org\"");
            }
            Ok(admin) if admins.contains(&admin) => document.object(&found, "named twice", "name it once"),
            Ok(admin) => admins.push(admin),
            Err(error) => document.object(&found, &error.to_string(), "e.g. \"admin@example.org\""),
        }
    }
    admins
}

fn c2s(document: &mut Document<'_>, c2s: &mut C2s) {
    let mut seen = Vec::new();
    let (listen, listen_tls) = (document.list("c2s.listen"), document.list("c2s.listen_tls"));
    match &listen {
        Some(found) => c2s.listen = addresses(document, found, &mut seen),
        None => seen.extend(&c2s.listen),
    }
    if let Some(found) = &listen_tls {
        c2s.listen_tls = addresses(document, found, &mut seen);
    }
    let is_empty = |list: &Option<Vec<_>>| list.as_ref().is_some_and(Vec::is_empty);
    if let (true, true, Some(found)) = (is_empty(&listen), is_empty(&listen_tls), document.whole("c2s.listen")) {
        document.object(&found, "no client could connect: both lists are empty", "e.g. [\"[::]:5222\"]");
    }
}

fn trust(document: &mut Document<'_>, trust: &mut Trust) {
    let addresses = document.list("trust.addresses").unwrap_or_default();
    trust.addresses = published(document, addresses, S2S_MAX, Endpoint::parse, "e.g. \"node.example.org:5269\"");
    let pages = document.list("trust.pages").unwrap_or_default();
    let page = |text: &str| is_http(text).then(|| text.to_owned());
    trust.pages = published(document, pages, HTTP_MAX, page, "e.g. \"https://example.org\"");
    if let Some(found) = document.text("trust.banned_s2s") {
        match found.value.as_str() {
            "quarantine" => trust.banned_s2s = BannedS2s::Quarantine,
            "allow" => trust.banned_s2s = BannedS2s::Allow,
            "block" => trust.banned_s2s = BannedS2s::Block,
            _ => document.object(&found, "no way to treat a banned node", "quarantine, allow or block"),
        }
    }
    for (key, limit) in [
        ("trust.visitors_max", &mut trust.visitors_max),
        ("trust.visitors_per_home_max", &mut trust.visitors_per_home_max),
        ("trust.visitor_logins_per_hour_max", &mut trust.visitor_logins_per_hour_max),
    ] {
        if let Some(found) = document.number(key, 0..=100_000) {
            *limit = found.value;
        }
    }
}

/// What other nodes are told: each once, and not too many.
fn published<T: PartialEq>(
    document: &mut Document<'_>,
    list: Vec<Found<String>>,
    count_max: usize,
    read: impl Fn(&str) -> Option<T>,
    remedy: &str,
) -> Vec<T> {
    let mut published = Vec::new();
    for found in list {
        match read(&found.value) {
            None => document.object(&found, "not an address that others can use", remedy),
            Some(value) if published.contains(&value) => document.object(&found, "listed twice", "name it once"),
            Some(_) if published.len() == count_max => {
                document.object(&found, "one too many", &format!("at most {count_max}"));
            }
            Some(value) => published.push(value),
        }
    }
    published
}

pub(super) fn addresses(
    document: &mut Document<'_>,
    list: &[Found<String>],
    seen: &mut Vec<SocketAddr>,
) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for found in list {
        match found.value.parse::<SocketAddr>() {
            // Port 0 is another free port each time.
            Ok(address) if address.port() != 0 && seen.contains(&address) => {
                document.object(found, "listed twice", "each address and port once");
            }
            Ok(address) => {
                seen.push(address);
                addresses.push(address);
            }
            Err(_) => {
                let remedy = address_remedy(&found.value);
                document.object(found, "not an address", &remedy);
            }
        }
    }
    addresses
}

fn address_remedy(text: &str) -> String {
    let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    match (text.parse::<IpAddr>(), port) {
        (Ok(IpAddr::V4(ip)), _) => format!("with a port: \"{ip}:5222\""),
        (Ok(IpAddr::V6(ip)), _) => format!("with a port: \"[{ip}]:5222\""),
        (Err(_), Some(port)) => format!("e.g. \"[::]:{port}\", all addresses of this machine"),
        (Err(_), None) => "e.g. \"[::]:5222\"".to_owned(),
    }
}

fn tls(document: &mut Document<'_>, base: &Path) -> Option<TlsFiles> {
    let (certificate, key) = (document.text("tls.certificate"), document.text("tls.key"));
    let mut path_of = |found: &Found<String>| {
        let path = base.join(&found.value);
        match File::open(&path).and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => document.object(found, "not a file", "the file itself, in PEM"),
            Err(error) => {
                let text = format!("cannot be read: {error}");
                document.object(found, &text, "it must exist, and the user kontalk-node be allowed to read it");
            }
        }
        path
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let files = TlsFiles { certificate: path_of(&certificate), key: path_of(&key) };
            let mode = fs::metadata(&files.key).map_or(0, |metadata| metadata.permissions().mode());
            if mode & 0o007 != 0 {
                let remedy = format!("chmod o-rwx {}", files.key.display());
                document.warn(&key, "anybody on this machine can read the key", &remedy);
            }
            Some(files)
        }
        (Some(one), None) => {
            path_of(&one);
            document.missing("tls.key", "the file with the certificate's private key");
            None
        }
        (None, Some(one)) => {
            path_of(&one);
            document.missing("tls.certificate", "the file with the certificate and its issuers");
            None
        }
        (None, None) => None,
    }
}

fn registration(document: &mut Document<'_>, registration: &mut Registration) {
    if let Some(found) = document.flag("registration.enabled") {
        registration.enabled = found.value;
    }
    registration.terms_url = url(document, "registration.terms_url");
    if let Some(found) = document.text("registration.sender") {
        // Kontalk registration: a reply without a sender is invalid to the client.
        if found.value.trim().is_empty() || found.value.len() > SENDER_BYTES_MAX || !is_plain(&found.value) {
            document.object(&found, "not a sender", "the number or name the SMS comes from, e.g. \"+12025550123\"");
        } else {
            registration.sender = found.value;
        }
    }
    let brand = &mut registration.brand;
    for (path, image) in [
        ("registration.brand_image_vector", &mut brand.image_vector),
        ("registration.brand_image_small", &mut brand.image_small),
        ("registration.brand_image_medium", &mut brand.image_medium),
        ("registration.brand_image_large", &mut brand.image_large),
        ("registration.brand_image_hd", &mut brand.image_hd),
        ("registration.brand_link", &mut brand.link),
    ] {
        *image = url(document, path);
    }
    for (burst, refill, throttle) in [
        ("registration.number_burst", "registration.number_refill_secs", &mut registration.per_number),
        ("registration.address_burst", "registration.address_refill_secs", &mut registration.per_address),
        ("registration.prefix_burst", "registration.prefix_refill_secs", &mut registration.per_prefix),
    ] {
        throttle_of(document, burst, refill, throttle);
    }
    if let Some(found) = document.number("registration.expiry_days", 0..=3650) {
        let period = Duration::from_secs(u64::from(found.value) * 86_400);
        registration.expiry = (!period.is_zero()).then_some(period);
    }
    if let Some(found) = document.number("registration.codes_per_day_max", 1..=1_000_000) {
        registration.codes_per_day_max = found.value;
    }
}

fn throttle_of(document: &mut Document<'_>, burst: &str, refill: &str, throttle: &mut Throttle) {
    if let Some(found) = document.number(burst, 1..=100_000) {
        throttle.burst = found.value;
    }
    if let Some(found) = document.number(refill, 1..=86_400) {
        throttle.refill = Duration::from_secs(found.value.into());
    }
}

fn url(document: &mut Document<'_>, path: &str) -> Option<String> {
    let found = document.text(path)?;
    let rest = found.value.strip_prefix("https://").or_else(|| found.value.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && is_plain(&found.value) => Some(found.value),
        _ => {
            document.object(&found, "no URL", &format!("e.g. {}", found.key.example));
            None
        }
    }
}

fn limits(document: &mut Document<'_>, limits: &mut Limits) {
    if let Some(found) = document.number("limits.offline_messages_max", 0..=1_000_000) {
        limits.offline_messages_max = to_usize(found.value);
    }
    if let Some(found) = document.number("limits.offline_days", 1..=365) {
        limits.offline_ttl = Duration::from_secs(u64::from(found.value) * 86_400);
    }
    let resume_max = u32::try_from(limits::RESUME_MAX.as_secs()).unwrap_or(u32::MAX);
    if let Some(found) = document.number("limits.resume_secs", 10..=resume_max) {
        limits.resume = Duration::from_secs(found.value.into());
    }
    if let Some(found) = document.number("limits.unauthenticated_max", 8..=65_536) {
        limits.unauthenticated_max = to_usize(found.value);
    }
    let per_address = document.number("limits.unauthenticated_per_address_max", 1..=65_536);
    if let Some(found) = per_address {
        limits.unauthenticated_per_address_max = to_usize(found.value);
        if limits.unauthenticated_per_address_max > limits.unauthenticated_max {
            document.object(
                &found,
                "more than limits.unauthenticated_max, which is for all together",
                "a smaller number",
            );
        }
    } else {
        // Who lowers the one need not know of the other.
        let total = limits.unauthenticated_max;
        limits.unauthenticated_per_address_max = limits.unauthenticated_per_address_max.min(total);
    }
}

fn components(document: &mut Document<'_>, base: &Path, own: &BareJid, components: &mut Components) {
    if let Some(listen) = document.list("components.listen") {
        components.listen = addresses(document, &listen, &mut Vec::new());
        for found in listen.iter().filter(|found| found.value.parse().is_ok_and(|a: SocketAddr| !a.ip().is_loopback()))
        {
            document.warn(
                found,
                "other machines can connect, and what passes is not encrypted",
                "an address of this machine alone, or a network nobody else is in",
            );
        }
    }
    for (name, found) in document.table("components.secret_files").unwrap_or_default() {
        let domain = match BareJid::domain(&name) {
            Ok(domain) => domain,
            Err(error) => {
                let text = format!("{name} is no domain: {error}");
                document.object(&found, &text, &format!("e.g. {}", found.key.example));
                continue;
            }
        };
        if domain == *own {
            document.object(&found, "that is the node's own domain", "a domain of the component's own");
        } else if components.secret_files.iter().any(|(known, _)| *known == domain) {
            document.object(&found, "the same domain is named twice", "name it once");
        }
        let path = base.join(&found.value);
        match fs::read_to_string(&path).map(zeroize::Zeroizing::new) {
            Ok(content) if content.lines().next().unwrap_or_default().trim().len() < SECRET_BYTES_MIN => {
                let remedy = format!("a random line: openssl rand -hex 32 > {}", path.display());
                document.object(&found, &format!("its first line is shorter than {SECRET_BYTES_MIN} bytes"), &remedy);
            }
            Ok(_) => {}
            Err(error) => {
                let text = format!("cannot be read: {error}");
                document.object(&found, &text, "it must exist, and the user kontalk-node be allowed to read it");
            }
        }
        let mode = fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o007 != 0 {
            let remedy = format!("chmod o-rwx {}", path.display());
            document.warn(&found, "anybody on this machine can read the secret", &remedy);
        }
        components.secret_files.push((domain, path));
    }
}

/// Kontalk's own push registration needs both.
fn push(document: &mut Document<'_>) -> Option<KontalkPush> {
    let gateway = document.text("push.gcm_gateway");
    let sender = document.text("push.gcm_sender_id");
    let gateway = gateway.map(|found| match found.value.parse::<BareJid>() {
        Ok(gateway) => Some(gateway),
        Err(error) => {
            document.object(&found, &error.to_string(), &format!("e.g. {}", found.key.example));
            None
        }
    });
    let sender = sender.map(|found| {
        if found.value.is_empty() || !is_plain(&found.value) {
            document.object(&found, "no sender id", &format!("e.g. {}", found.key.example));
        }
        found.value
    });
    match (gateway, sender) {
        (Some(gateway), Some(sender_id)) => Some(KontalkPush { gateway: gateway?, sender_id }),
        (Some(_), None) => {
            document.missing("push.gcm_sender_id", "the sender id that clients ask the push provider for a token with");
            None
        }
        (None, Some(_)) => {
            document.missing("push.gcm_gateway", "the address of the component that sends pushes on");
            None
        }
        (None, None) => None,
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// No blanks but single spaces, nothing that a terminal obeys.
pub(super) fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.trim() == text
}

/// Every key there is. [`super::SAMPLE`] shows them all.
pub(super) const KEYS: &[Key] = &[
    Key { path: "domain", example: "\"example.org\"" },
    Key { path: "data_dir", example: "\"/var/lib/kontalk-node\"" },
    Key { path: "contact", example: "[\"mailto:admin@example.org\"]" },
    Key { path: "admins", example: "[\"admin@example.org\"]" },
    Key { path: "c2s.listen", example: "[\"[::]:5222\"]" },
    Key { path: "c2s.listen_tls", example: "[\"[::]:5223\"]" },
    Key { path: "s2s.enabled", example: "true" },
    Key { path: "s2s.listen", example: "[\"[::]:5269\"]" },
    Key { path: "s2s.listen_tls", example: "[\"[::]:5270\"]" },
    Key { path: "s2s.dialback", example: "false" },
    Key { path: "s2s.allow", example: "[\"b.example\"]" },
    Key { path: "s2s.deny", example: "[\"b.example\"]" },
    Key { path: "s2s.ca_file", example: "\"/etc/ssl/certs/ca-certificates.crt\"" },
    Key { path: "s2s.hosts", example: "[\"b.example=192.0.2.7:5269\"]" },
    Key { path: "s2s.dns", example: "[\"192.0.2.53:53\"]" },
    Key { path: "s2s.queue_minutes", example: "60" },
    Key { path: "tls.certificate", example: "\"/etc/kontalk-node/fullchain.pem\"" },
    Key { path: "tls.key", example: "\"/etc/kontalk-node/privkey.pem\"" },
    Key { path: "registration.enabled", example: "true" },
    Key { path: "registration.terms_url", example: "\"https://example.org/terms\"" },
    Key { path: "registration.sender", example: "\"+12025550123\"" },
    Key { path: "registration.brand_image_vector", example: "\"https://example.org/logo.svg\"" },
    Key { path: "registration.brand_image_small", example: "\"https://example.org/logo-small.png\"" },
    Key { path: "registration.brand_image_medium", example: "\"https://example.org/logo-medium.png\"" },
    Key { path: "registration.brand_image_large", example: "\"https://example.org/logo-large.png\"" },
    Key { path: "registration.brand_image_hd", example: "\"https://example.org/logo-hd.png\"" },
    Key { path: "registration.brand_link", example: "\"https://example.org/\"" },
    Key { path: "registration.number_burst", example: "3" },
    Key { path: "registration.number_refill_secs", example: "600" },
    Key { path: "registration.address_burst", example: "10" },
    Key { path: "registration.address_refill_secs", example: "60" },
    Key { path: "registration.prefix_burst", example: "60" },
    Key { path: "registration.prefix_refill_secs", example: "10" },
    Key { path: "registration.codes_per_day_max", example: "2000" },
    Key { path: "registration.expiry_days", example: "30" },
    Key { path: "sms.via", example: "\"terminal\"" },
    Key { path: "sms.routes", example: "[\"terminal\"]" },
    Key { path: "sms.own_number", example: "\"+12025550123\"" },
    Key { path: "sms.countries", example: "[\"+49\", \"+43\"]" },
    Key { path: "sms.prefix_codes_per_day_max", example: "20" },
    Key { path: "sms.app_hash", example: "\"FA+9qCX9VSu\"" },
    Key { path: "trust.addresses", example: "[\"node.example.org:5269\"]" },
    Key { path: "trust.pages", example: "[\"https://example.org\"]" },
    Key { path: "trust.banned_s2s", example: "\"quarantine\"" },
    Key { path: "trust.visitors_max", example: "500" },
    Key { path: "trust.visitors_per_home_max", example: "100" },
    Key { path: "trust.visitor_logins_per_hour_max", example: "200" },
    Key { path: "sms.modem.device", example: "\"/dev/kontalk-modem\"" },
    Key { path: "sms.modem.baud", example: "115200" },
    Key { path: "sms.modem.pin_file", example: "\"/etc/kontalk-node/sim-pin\"" },
    Key { path: "sms.modem.service_centre", example: "\"+491710760000\"" },
    Key { path: "sms.modem.country", example: "49" },
    Key { path: "sms.modem.delivery_reports", example: "false" },
    Key { path: "sms.modem.watch_calls", example: "false" },
    Key {
        path: "sms.modem.power_cycle_command",
        example: "[\"uhubctl\", \"-l\", \"1-1\", \"-p\", \"2\", \"-a\", \"cycle\"]",
    },
    Key { path: "sms.http.*.kind", example: "\"vonage-sms\"" },
    Key { path: "sms.http.*.user", example: "\"abcd1234\"" },
    Key { path: "sms.http.*.secret_file", example: "\"/etc/kontalk-node/provider.secret\"" },
    Key { path: "sms.http.*.report_secret_file", example: "\"/etc/kontalk-node/reports.secret\"" },
    Key { path: "sms.http.*.from", example: "\"Kontalk\"" },
    Key { path: "sms.http.*.account", example: "\"AC0123456789abcdef0123456789abcdef\"" },
    Key { path: "sms.http.*.redact", example: "true" },
    Key { path: "sms.http.*.brand", example: "\"Kontalk\"" },
    Key { path: "sms.http.*.service", example: "\"VA0123456789abcdef0123456789abcdef\"" },
    Key { path: "sms.http.*.locale", example: "\"de\"" },
    Key { path: "sms.http.*.url", example: "\"http://192.168.1.20:8080\"" },
    Key { path: "sms.http.*.sim", example: "1" },
    Key { path: "sms.http.*.delivery_reports", example: "true" },
    Key { path: "sms.http.*.method", example: "\"POST\"" },
    Key { path: "sms.http.*.headers", example: "{ X-Api-Key = \"{secret}\" }" },
    Key { path: "sms.http.*.content_type", example: "\"application/json\"" },
    Key { path: "sms.http.*.body", example: "'{\"to\": \"{number}\", \"text\": \"{text}\"}'" },
    Key { path: "sms.http.*.accepted", example: "[\"200\", \"/status = 0\"]" },
    Key { path: "sms.http.*.not_allowed", example: "[\"401\"]" },
    Key { path: "sms.http.*.later", example: "[\"429\"]" },
    Key { path: "sms.http.*.unknown", example: "[\"500\"]" },
    Key { path: "sms.http.*.reference", example: "\"/id\"" },
    Key { path: "sms.http.*.ca_file", example: "\"/etc/kontalk-node/gateway-ca.pem\"" },
    Key { path: "sms.http.*.connect_secs", example: "5" },
    Key { path: "sms.http.*.timeout_secs", example: "20" },
    Key { path: "log.level", example: "\"info\"" },
    Key { path: "archive.days", example: "7" },
    Key { path: "web.enabled", example: "true" },
    Key { path: "web.listen", example: "[\"[::]:5280\"]" },
    Key { path: "web.url", example: "\"https://files.example.org\"" },
    Key { path: "web.reverse_proxy", example: "false" },
    Key { path: "web.user_keys", example: "true" },
    Key { path: "upload.enabled", example: "true" },
    Key { path: "upload.file_mib_max", example: "20" },
    Key { path: "upload.quota_mib", example: "100" },
    Key { path: "upload.days", example: "30" },
    Key { path: "upload.free_mib_min", example: "200" },
    Key { path: "limits.offline_messages_max", example: "5000" },
    Key { path: "limits.offline_days", example: "7" },
    Key { path: "limits.resume_secs", example: "600" },
    Key { path: "limits.unauthenticated_max", example: "256" },
    Key { path: "limits.unauthenticated_per_address_max", example: "32" },
    Key { path: "components.listen", example: "[\"127.0.0.1:5347\", \"[::1]:5347\"]" },
    Key { path: "components.secret_files", example: "{ \"chat.example.org\" = \"/etc/kontalk-node/chat.secret\" }" },
    Key { path: "push.gcm_gateway", example: "\"push.example.org\"" },
    Key { path: "push.gcm_sender_id", example: "\"123456789012\"" },
    Key { path: "acme.accept_terms", example: "true" },
    Key { path: "acme.directory", example: "\"https://acme-v02.api.letsencrypt.org/directory\"" },
    Key { path: "acme.contact", example: "[\"mailto:admin@example.org\"]" },
    Key { path: "acme.names", example: "[\"chat.example.org\"]" },
    Key { path: "acme.challenge", example: "\"http-01\"" },
    Key { path: "acme.listen", example: "[\"[::]:80\"]" },
    Key { path: "acme.dns_hook", example: "[\"/usr/local/bin/set-txt-record\"]" },
    Key { path: "acme.dns_wait_secs", example: "30" },
    Key { path: "acme.ca_file", example: "\"/etc/kontalk-node/acme-ca.pem\"" },
    Key { path: "dns_update.server", example: "\"192.0.2.53:53\"" },
    Key { path: "dns_update.zone", example: "\"example.org\"" },
    Key { path: "dns_update.key_name", example: "\"kontalk-node\"" },
    Key { path: "dns_update.key_file", example: "\"/etc/kontalk-node/dns-update.key\"" },
    Key { path: "dynamic_dns.names", example: "[\"node.example.org\"]" },
    Key { path: "dynamic_dns.url", example: "\"https://dyndns.example/update?hostname={name}&myip={address}\"" },
    Key { path: "dynamic_dns.user", example: "\"node.example.org\"" },
    Key { path: "dynamic_dns.secret_file", example: "\"/etc/kontalk-node/dyndns.secret\"" },
    Key { path: "dynamic_dns.address_urls", example: "[\"https://address.example/\"]" },
    Key { path: "dynamic_dns.ca_file", example: "\"/etc/kontalk-node/dyndns-ca.pem\"" },
    Key { path: "metrics.listen", example: "[\"127.0.0.1:9464\"]" },
];

/// Who installs the sample must put his own domain in.
pub(super) const SAMPLE_DOMAIN: &str = "example.org";
/// How a contact address may begin.
const CONTACT_SCHEMES: [&str; 5] = ["mailto:", "xmpp:", "https://", "http://", "tel:"];
const SENDER_BYTES_MAX: usize = 64;
/// A component's secret is not to be guessed.
const SECRET_BYTES_MIN: usize = 8;
