//! **kontalk-node**: a Kontalk node in one binary. It speaks XMPP, proves telephone numbers by text message, certifies its users'
//! OpenPGP keys, and keeps all of it in one embedded store, for a volunteer with a small board at home.
//!
//! # The map
//! Words are used by everybody; decisions know no socket, file, clock or randomness and are told what they need; edges do;
//! the assembly puts them together. Imports go up this table only (`tests/layers.rs` holds it and checks it).
//!
//! | Layer | Room | Purpose | May import |
//! |---|---|---|---|
//! | words | [`jid`] | addresses, prepared once on entry | |
//! | | [`xml`] | framer (bytes to one element), elements, writer, namespaces | |
//! | | [`limits`] | the one table of sizes and times; token buckets, backoff, bounded map | |
//! | | [`phone`] | telephone numbers and codes that cannot be printed | limits |
//! | | [`stanza`] | message, presence, iq; the conditions of all errors; replies | jid xml |
//! | decisions | [`stream`] | negotiation: header, STARTTLS, SASL, binding, close | words |
//! | | [`roster`] | items, subscription states, block lists | words |
//! | | [`router`] | sessions, presence, delivery, stream management | words roster |
//! | | [`pgp`] | users' keys: read, judge, certify, revoke; the server key | words |
//! | | [`account`] | registration: number, code, key; throttles | words |
//! | | [`services`] | what the node answers itself, a file each | words |
//! | edges | [`store`] | sole user of sled: typed decisions, one transaction each | words roster router |
//! | | [`net`] | sole user of rustls: listeners, TLS, transport | limits |
//! | | [`sms`] | ways to send a code | limits phone |
//! | | [`c2s`] | one client: a task around a stream | words stream router net |
//! | assembly | [`config`] | file to typed configuration, all problems at once | words |
//! | | [`node`] | executor, tasks, hub, login, control socket, shutdown | all |
//!
//! # A stanza in eight hops
//! socket → [`c2s`] reads → [`xml::Framer`] cuts → [`stream`] stamps the full JID → the hub's inbox (`node::hub`) →
//! [`router`] decides → [`store`] commits what must survive → the session's outbox, which [`c2s`] writes. What is for the node
//! itself goes from the hub to [`services`], and the answer comes back the same way.
//!
//! # Promises
//! 1. **An acknowledgement is a promise.** Before a client's `<r/>` is answered, each message it sent is with every receiving
//!    session, or on the disk. How: [`router`], [`store`].
//! 2. **Exactly once, in order** between two full JIDs, through reconnects and resumption; after a crash at least once, with the
//!    same id and stamp.
//! 3. **Bounded.** Every queue, map and attempt has its limit in [`limits`].
//! 4. **Private.** Numbers, codes, passwords and bodies are in no log and, but for messages that wait, on no disk.
//!
//! # Specifications
//! What we obey, cited in the code at the branch that does. `yes`: all that a server must do; `partly`: what there is, or what
//! is missing, is said; `planned` and `no`: not done. `tests/specifications.rs` checks that what is cited is listed and what is
//! listed as done is cited.
//!
//! | Specification | Support | Note |
//! |---|---|---|
//! | RFC 3921 | partly | session establishment, for old clients |
//! | RFC 4422 | yes | EXTERNAL, its Appendix A |
//! | RFC 4616 | yes | PLAIN |
//! | RFC 5802 | yes | SCRAM-SHA-1 and its PLUS form |
//! | RFC 5929 | partly | tls-server-end-point; tls-unique is not offered |
//! | RFC 6120 | yes | streams, TLS, SASL, stanzas, between client and server; no federation yet |
//! | RFC 6121 | yes | roster, presence, messages |
//! | RFC 7622 | yes | addresses |
//! | RFC 7677 | yes | SCRAM-SHA-256 |
//! | RFC 8265 | yes | localparts, resourceparts, passwords |
//! | RFC 9266 | yes | tls-exporter, with TLS 1.3 |
//! | RFC 9580 | partly | v4 keys as Kontalk makes them |
//! | XEP-0004 | partly | forms of registration |
//! | XEP-0012 | planned | only its name is known |
//! | XEP-0030 | yes | |
//! | XEP-0050 | planned | only its name is known |
//! | XEP-0077 | partly | Kontalk's registration; no password change or removal by the user yet |
//! | XEP-0082 | yes | |
//! | XEP-0085 | yes | passed on, not stored |
//! | XEP-0092 | yes | |
//! | XEP-0115 | no | passed on; the node announces none |
//! | XEP-0157 | planned | configured, not told yet |
//! | XEP-0160 | yes | |
//! | XEP-0184 | yes | passed on and stored |
//! | XEP-0191 | yes | with Kontalk's silence towards the blocked |
//! | XEP-0198 | yes | resumption while the node runs |
//! | XEP-0199 | yes | |
//! | XEP-0202 | yes | |
//! | XEP-0203 | yes | |
//! | XEP-0334 | partly | no-store, no-permanent-store |
//! | XEP-0352 | no | accepted, not offered |
//! | XEP-0368 | partly | direct TLS for clients |
//! | XEP-0373 | partly | the form of the server key's user id |
//! | XEP-0440 | yes | |
//!
//! Referred to, in the code, for a form or a rule of theirs: RFC 2104 (HMAC), RFC 3279, RFC 4055, RFC 5280, RFC 5480 and RFC 8410
//! (certificates and keys in DER), RFC 4880 (OpenPGP before its present form), RFC 5246, RFC 7301 and RFC 8446 (TLS), RFC 5646
//! (language tags), XEP-0027 (signed announcements).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod account;
pub mod c2s;
pub mod config;
pub mod jid;
pub mod limits;
pub mod net;
pub mod node;
pub mod pgp;
pub mod phone;
pub mod roster;
pub mod router;
pub mod services;
pub mod sms;
pub mod stanza;
pub mod store;
pub mod stream;
pub mod xml;
