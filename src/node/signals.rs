//! SIGTERM and SIGINT stop the node, SIGHUP reloads what can be reloaded.

use std::io;

use async_signal::{Signal as Unix, Signals};
use smol::stream::StreamExt;

/// What a signal means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Stop,
    Reload,
}

pub(super) struct Watch {
    signals: Signals,
}

/// Takes the signals over from their default actions.
pub(super) fn watch() -> io::Result<Watch> {
    Ok(Watch { signals: Signals::new([Unix::Term, Unix::Int, Unix::Hup])? })
}

impl Watch {
    /// The next one. Should the source fail, the node goes on without.
    pub(super) async fn next(&mut self) -> Signal {
        loop {
            match self.signals.next().await {
                Some(Ok(Unix::Hup)) => return Signal::Reload,
                Some(Ok(_)) => return Signal::Stop,
                Some(Err(error)) => log::warn!("a signal was not understood: {error}"),
                None => std::future::pending().await,
            }
        }
    }
}
