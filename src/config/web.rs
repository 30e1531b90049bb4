//! `[web]` and `[upload]`: the HTTP listener and the files behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::check;
use super::document::Document;
use crate::limits;

/// The HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// `web.enabled`
    pub enabled: bool,
    /// `web.listen`: addresses for HTTPS, or for HTTP behind a reverse proxy.
    pub listen: Vec<SocketAddr>,
    /// `web.url`: how the listener is reached from outside, without a slash at its end; `None`: by the domain and the port.
    pub url: Option<String>,
    /// `web.reverse_proxy`: in the clear, on loopback, for a proxy that brings TLS.
    pub reverse_proxy: bool,
    /// `web.user_keys`: are users' public keys given to OpenPGP tools?
    pub user_keys: bool,
}

impl Web {
    /// On all addresses of the machine.
    pub(super) fn new() -> Web {
        let listen = vec![at(Ipv6Addr::UNSPECIFIED.into())];
        Web { enabled: true, listen, url: None, reverse_proxy: false, user_keys: true }
    }

    /// On this machine's own.
    pub(super) fn loopback() -> Web {
        Web { listen: own_addresses(), ..Web::new() }
    }
}

/// File upload (XEP-0363).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// `upload.enabled`
    pub enabled: bool,
    /// `upload.file_mib_max`, in bytes: one file.
    pub file_bytes_max: u64,
    /// `upload.quota_mib`, in bytes: all files of one account.
    pub quota_bytes: u64,
    /// `upload.days`: how long a file is kept.
    pub ttl: Duration,
    /// `upload.free_mib_min`, in bytes: what uploads leave free on the disk.
    pub free_bytes_min: u64,
}

impl Upload {
    /// As the table of limits has it.
    pub(super) fn new() -> Upload {
        Upload {
            enabled: true,
            file_bytes_max: limits::UPLOAD_FILE_BYTES_MAX,
            quota_bytes: limits::UPLOAD_QUOTA_BYTES,
            ttl: limits::UPLOAD_TTL,
            free_bytes_min: limits::UPLOAD_FREE_BYTES_MIN,
        }
    }
}

pub(super) fn web(document: &mut Document<'_>, web: &mut Web) {
    if let Some(found) = document.flag("web.enabled") {
        web.enabled = found.value;
    }
    if let Some(found) = document.flag("web.user_keys") {
        web.user_keys = found.value;
    }
    if let Some(found) = document.flag("web.reverse_proxy") {
        web.reverse_proxy = found.value;
    }
    if web.reverse_proxy {
        web.listen = own_addresses();
    }
    if let Some(list) = document.list("web.listen") {
        web.listen = check::addresses(document, &list, &mut Vec::new());
        for found in list.iter().filter(|_| web.reverse_proxy) {
            if found.value.parse::<SocketAddr>().is_ok_and(|address| !address.ip().is_loopback()) {
                let remedy = "an address of this machine alone, e.g. \"127.0.0.1:5280\"";
                document.object(found, "without TLS nobody but the reverse proxy may connect here", remedy);
            }
        }
        if let Some(found) = document.whole("web.listen").filter(|_| web.listen.is_empty() && list.is_empty()) {
            document.object(&found, "nobody could connect", "e.g. [\"[::]:5280\"], or web.enabled = false");
        }
    }
    if let Some(found) = document.text("web.url") {
        let url = found.value.trim_end_matches('/');
        if is_base_url(url) {
            web.url = Some(url.to_owned());
        } else {
            let remedy = "https://, a host name, perhaps a port and a path; e.g. \"https://files.example.org\"";
            document.object(&found, "not the beginning of a URL", remedy);
        }
    }
}

pub(super) fn upload(document: &mut Document<'_>, upload: &mut Upload) {
    if let Some(found) = document.flag("upload.enabled") {
        upload.enabled = found.value;
    }
    if let Some(found) = document.number("upload.file_mib_max", 1..=65_536) {
        upload.file_bytes_max = mebibytes(found.value);
        upload.quota_bytes = upload.quota_bytes.max(upload.file_bytes_max);
    }
    if let Some(found) = document.number("upload.quota_mib", 1..=1_048_576) {
        upload.quota_bytes = mebibytes(found.value);
        if upload.quota_bytes < upload.file_bytes_max {
            document.object(&found, "less than one file may have", "upload.file_mib_max, or several times that");
        }
    }
    if let Some(found) = document.number("upload.days", 1..=3650) {
        upload.ttl = Duration::from_secs(u64::from(found.value) * 86_400);
    }
    if let Some(found) = document.number("upload.free_mib_min", 0..=1_048_576) {
        upload.free_bytes_min = mebibytes(found.value);
    }
}

/// Kontalk's clients write URLs into XML as they are: nothing in them may need escaping.
fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(is_plain))
}

fn own_addresses() -> Vec<SocketAddr> {
    vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())]
}

fn at(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, WEB_PORT)
}

fn mebibytes(count: u32) -> u64 {
    u64::from(count) * 1024 * 1024
}

/// The port in custom for HTTP at XMPP servers.
const WEB_PORT: u16 = 5280;
