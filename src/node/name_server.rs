//! The name server of `[dns_update]`, with its key as it is in the file at the time.

use std::fs;
use std::time::SystemTime;

use base64::Engine;
use zeroize::Zeroizing;

use super::random::random_bytes;
use crate::config::DnsUpdate;
use crate::net::dns::{Change, TsigKey, update};

/// Takes changes.
#[derive(Clone, Debug)]
pub(super) struct NameServer {
    settings: DnsUpdate,
}

impl NameServer {
    pub(super) fn new(settings: DnsUpdate) -> NameServer {
        NameServer { settings }
    }

    /// All of them or none; the reason in words, with the remedy.
    pub(super) async fn change(&self, changes: Vec<(String, Change)>) -> Result<(), String> {
        let settings = &self.settings;
        let path = settings.key_file.display();
        let text = fs::read_to_string(&settings.key_file).map(Zeroizing::new);
        let text = text.map_err(|error| format!("{path} cannot be read: {error} (remedy: its mode and owner)"))?;
        let secret = base64::engine::general_purpose::STANDARD.decode(text.trim()).map(Zeroizing::new);
        let secret = secret.map_err(|_| format!("{path} is no secret in base64 (remedy: the secret alone)"))?;
        let key = TsigKey::new(&settings.key_name, secret);
        let id = u16::from_be_bytes(random_bytes());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        update(settings.server, &settings.zone, &changes, &key, id, now).await.map_err(|fault| fault.to_string())
    }
}
