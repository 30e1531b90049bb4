//! The node's modem: made from the configuration, served by a task of its own, asked by registration and by the operator.
//!
//! What comes in by itself (messages, calls, reports) is an event each; a number that was asked to call or to text proves itself by
//! it, what nobody waits for is dropped here.

use std::future::Future;
use std::sync::Arc;

use smol::channel::Receiver;
use smol::{Executor, Task};

use super::courier::Courier;
use super::login::lasting_secret;
use super::random::random_bytes;
use crate::account::Heard;
use crate::config::{Config, MODEM};
use crate::dispatch::Arrival;
use crate::phone::{ChallengeKind, HashKey};
use crate::sms::modem::{Incoming, Modem, Parts, Settings};
use crate::sms::pdu::DeliveryState;
use crate::store::Store;

/// The modem's tasks. Dropped, it is let go of: a message that is being sent then may or may not arrive.
pub(super) struct ModemTasks {
    _tasks: [Task<()>; 2],
}

/// The modem, if something is to go out or to come in by it. It does nothing before it is served.
pub(super) fn open(config: &Config, store: &Store) -> Option<Parts<impl Future<Output = ()> + Send + 'static>> {
    let used = config.sms.routes.iter().any(|route| route.name == MODEM);
    used.then(|| Modem::prepare(settings(config, store), u64::from_le_bytes(random_bytes())))
}

/// Serves it. Does not wait for it: it may be plugged in at any time.
pub(super) fn serve(
    executor: &Executor<'static>,
    parts: Parts<impl Future<Output = ()> + Send + 'static>,
    courier: Arc<Courier>,
) -> ModemTasks {
    ModemTasks { _tasks: [executor.spawn(parts.task), executor.spawn(listen(parts.incoming, courier))] }
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
        watch_calls: from.watch_calls || config.sms.routes.iter().any(|r| r.kind == ChallengeKind::CallerId),
        power_cycle: from.power_cycle_command.clone(),
        ..Settings::new(&config.data_dir, key)
    }
}

/// Takes what comes in, so that the SIM does not fill up.
async fn listen(incoming: Receiver<Incoming>, courier: Arc<Courier>) {
    while let Ok(event) = incoming.recv().await {
        match event {
            Incoming::Sms { from, text, .. } => match courier.heard(&from, Heard::Text(text.as_str())) {
                true => log::info!("a number proved itself by a text message"),
                false => log::debug!("a text message came in, and nobody waits for one"),
            },
            Incoming::Call { from } => match courier.heard(&from, Heard::Call) {
                true => log::info!("a number proved itself by a call"),
                false => log::debug!("somebody called, and nobody waits for a call"),
            },
            Incoming::Report { reference, state, .. } => {
                log::debug!("a text message that was sent is {state}");
                let arrival = match state {
                    DeliveryState::Delivered => Arrival::Arrived,
                    // One's own network has no other way to a number; what it cannot deliver others seldom can.
                    DeliveryState::Failed(_) => Arrival::Unreachable,
                    DeliveryState::Forwarded(_) | DeliveryState::Trying(_) => continue,
                };
                courier.reported(MODEM, &reference, arrival);
            }
        }
    }
}
