//! Components: programs beside the node that serve domains of their own, each with a secret it shares with the node. XEP-0114.
//!
//! States: connected -> named its domain -> showed its secret -> serves the domain (stanzas go to the router's inbox, texts come
//! from the [`Outbox`]) -> closed. A second connection for a domain is refused while the first one lives. There are neither TLS
//! nor acknowledgements: the port belongs on this machine's loopback. What was written to the socket counts as taken.
//!
//! Limits: the permit and the time of a stranger ([`limits::COMPONENT_HANDSHAKE_TIMEOUT`]), a stanza's size, the outbox,
//! [`limits::IDLE_BEFORE_PING`] and [`limits::PING_TIMEOUT`] of a silent component, [`limits::WRITE_TIMEOUT`] of one that does not
//! read.

mod secret;
mod stream;

pub use secret::{Secret, Secrets};

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::c2s::{Answer, Outbox, Outgoing, Progress, Wire};
use crate::jid::BareJid;
use crate::limits;
use crate::net::{Permit, Transport};
use crate::router::ConnectionId;
use crate::stanza::{Stanza, StreamCondition, StreamError};
use crate::xml::escape_attribute;
use stream::{Action, Stream};

/// What a component tells the node.
#[derive(Debug)]
pub enum Told {
    /// A stanza, its sender checked.
    Stanza(Stanza),
    /// All text of the outbox up to this number has left for its socket.
    Written(u64),
    /// It is gone.
    Gone,
}

/// The node, as its components see it. `node` implements it.
pub trait Host: Send + Sync {
    /// The node's own domain.
    fn domain(&self) -> &BareJid;

    /// The components there may be.
    fn secrets(&self) -> Arc<Secrets>;

    /// Fresh bytes of the one random source.
    fn random(&self) -> [u8; 32];

    /// A component has shown its secret: from now on what is for its domain goes into the outbox, until it tells that it is
    /// [gone](Told::Gone); false if another connection serves the domain already.
    fn attach<'a>(&'a self, connection: ConnectionId, domain: BareJid, outbox: Outbox) -> Answer<'a, bool>;

    /// Tells the node; waits when it has too much to do.
    fn tell<'a>(&'a self, connection: ConnectionId, told: Told) -> Answer<'a, ()>;
}

/// Serves one connection until it ends. The permit is given back when the component has shown its secret.
pub async fn serve(transport: Transport, permit: Permit, id: ConnectionId, host: Arc<dyn Host>) {
    let begun = Instant::now();
    let stream = Stream::new(host.domain().clone(), host.secrets(), host.random(), begun);
    let mut component = Component {
        id,
        stream,
        host,
        wire: Wire::new(transport, begun),
        outbox: Outbox::default(),
        permit: Some(permit),
        domain: None,
        asked_alive: false,
        stanzas_in: 0,
    };
    let end = component.run().await;
    component.outbox.close();
    let Some(domain) = &component.domain else {
        return log::debug!("a component went before its handshake: {end}");
    };
    component.host.tell(id, Told::Gone).await;
    let (stanzas, secs) = (component.stanzas_in, begun.elapsed().as_secs());
    log::info!("component {domain} disconnected: {end}; {stanzas} stanzas in, {secs} s");
}

struct Component {
    id: ConnectionId,
    host: Arc<dyn Host>,
    stream: Stream,
    wire: Wire,
    outbox: Outbox,
    permit: Option<Permit>,
    /// What it serves, or served.
    domain: Option<BareJid>,
    /// A silent component was asked whether it lives.
    asked_alive: bool,
    stanzas_in: u64,
}

impl Component {
    /// Gives back how it ended.
    async fn run(&mut self) -> io::Error {
        loop {
            while let Some(action) = self.stream.next_action() {
                if self.perform(action).await {
                    self.wire.close().await;
                    return io::Error::other("its stream ended");
                }
            }
            let deadline = self.deadline();
            match self.wire.next(&mut self.stream, &self.outbox, deadline).await {
                Ok(progress) => {
                    if let Err(error) = self.progressed(progress).await {
                        return error;
                    }
                }
                Err(error) => return error,
            }
        }
    }

    /// True: it was the last thing to do.
    async fn perform(&mut self, action: Action) -> bool {
        match action {
            Action::Send(text) => self.wire.queue(&text),
            Action::Attach(domain) => {
                let free = self.host.attach(self.id, domain.clone(), self.outbox.clone()).await;
                self.stream.attached(free);
                if free {
                    self.permit = None;
                    log::info!("component {domain} connected");
                    self.domain = Some(domain);
                } else {
                    log::warn!("component {domain} is connected already, a second connection was refused");
                }
            }
            Action::Stanza(stanza) => {
                self.stanzas_in += 1;
                self.host.tell(self.id, Told::Stanza(stanza)).await;
            }
            Action::Close => return true,
        }
        false
    }

    async fn progressed(&mut self, progress: Progress) -> io::Result<()> {
        if let Some(up_to) = progress.written {
            self.host.tell(self.id, Told::Written(up_to)).await;
        }
        if progress.heard {
            self.asked_alive = false;
        }
        if let Some(Outgoing::Close(error)) = progress.item {
            self.stream.end(error);
        }
        if progress.timed_out { self.time_passed() } else { Ok(()) }
    }

    /// When something must happen although nothing arrives.
    fn deadline(&self) -> Instant {
        let silence = match (self.stream.deadline(), self.asked_alive) {
            (Some(handshake), _) => handshake,
            (None, false) => self.wire.heard_at() + limits::IDLE_BEFORE_PING,
            (None, true) => self.wire.heard_at() + limits::IDLE_BEFORE_PING + limits::PING_TIMEOUT,
        };
        self.wire.stalled_at().map_or(silence, |since| silence.min(since + limits::WRITE_TIMEOUT))
    }

    fn time_passed(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let timed_out = |text: &'static str| Err(io::Error::new(io::ErrorKind::TimedOut, text));
        if self.wire.stalled_at().is_some_and(|since| since + limits::WRITE_TIMEOUT <= now) {
            return timed_out("it does not read");
        }
        if self.deadline() > now {
            return Ok(());
        }
        let Some(domain) = self.stream.domain() else {
            // RFC 6120 §4.9.3.4.
            self.stream.end(Some(StreamError::new(StreamCondition::ConnectionTimeout)));
            return Ok(());
        };
        if self.asked_alive {
            return timed_out("it is silent");
        }
        // RFC 6120 §4.6.1, XEP-0199 §4.
        self.asked_alive = true;
        let (from, to) = (escaped(self.host.domain().as_str()), escaped(domain.as_str()));
        let ping = format!("<iq type='get' id='alive' from='{from}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.wire.queue(&ping);
        Ok(())
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_attribute(text, &mut out);
    out
}
