//! The node's modem: made from the configuration, served by a task of its own, asked by registration and by the operator.
//!
//! What comes in by itself (messages, calls, reports) is an event each, for whoever proves numbers by it; what nobody waits for
//! is dropped here.

use smol::channel::Receiver;
use smol::{Executor, Task};

use super::login::lasting_secret;
use super::random::random_bytes;
use crate::config::{Config, SmsVia};
use crate::phone::HashKey;
use crate::sms::modem::{Incoming, Modem, Settings};
use crate::store::Store;

/// A modem at work. Dropped, it is let go of: a message that is being sent then may or may not arrive.
pub(super) struct NodeModem {
    /// The handle.
    pub(super) modem: Modem,
    _tasks: [Task<()>; 2],
}

/// Opens the modem, if something is to go out by it. Does not wait for it: it may be plugged in at any time.
pub(super) fn start(executor: &Executor<'static>, config: &Config, store: &Store) -> Option<NodeModem> {
    if config.sms.via != SmsVia::Modem {
        return None;
    }
    let parts = Modem::prepare(settings(config, store), u64::from_le_bytes(random_bytes()));
    let tasks = [executor.spawn(parts.task), executor.spawn(listen(parts.incoming))];
    Some(NodeModem { modem: parts.modem, _tasks: tasks })
}

fn settings(config: &Config, store: &Store) -> Settings {
    let from = &config.sms.modem;
    let key = HashKey::new(lasting_secret(store, "modem pins"));
    Settings {
        device: from.device.clone(),
        baud: from.baud,
        pin_file: from.pin_file.clone(),
        centre: from.service_centre.clone(),
        country: from.country,
        delivery_reports: from.delivery_reports,
        watch_calls: from.watch_calls,
        power_cycle: from.power_cycle_command.clone(),
        ..Settings::new(&config.data_dir, key)
    }
}

/// Takes what comes in, so that the SIM does not fill up.
async fn listen(incoming: Receiver<Incoming>) {
    while let Ok(event) = incoming.recv().await {
        match event {
            Incoming::Sms { .. } => log::debug!("a text message came in, and nobody waits for one"),
            Incoming::Call { .. } => log::debug!("somebody called, and nobody waits for a call"),
            Incoming::Report { state, .. } => log::debug!("a text message that was sent is {state}"),
        }
    }
}
