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
//! | decisions | [`stream`] | negotiation: header, STARTTLS, SASL and SASL2, tokens, binding, close | words |
//! | | [`roster`] | items, subscription states, block lists | words |
//! | | [`archive`] | what of messages is kept for reading again, and how it is asked for | words |
//! | | [`router`] | sessions, presence, delivery, stream management | words roster archive |
//! | | [`pgp`] | users' keys: read, judge, certify, revoke; the server key | words |
//! | | [`trust`] | other nodes: cards, where they are, whom to trust, whose users may visit | words pgp |
//! | | [`vote`] | the democratic network: its texts, who must agree, what is valid, which epoch comes next | words pgp trust |
//! | | [`account`] | registration: number, code, key; throttles | words |
//! | | [`dispatch`] | by which way a number is challenged, and whether: routes, budgets, breakers | words |
//! | | [`admin`] | administration in chat: forms in, operations out | words |
//! | | [`pubsub`] | nodes and items that accounts publish; pictures | words |
//! | | [`push`] | whom to wake for a message, and what is said | words |
//! | | [`caps`] | what clients can do, by its hash | words |
//! | | [`services`] | what the node answers itself, a file each | words |
//! | | [`federation`] | other servers: their streams, who they are, what waits for them | words router |
//! | | [`upload`] | who may put which file where | words |
//! | | [`acme`] | certificates from an authority: what to ask next, what answers mean, when | words |
//! | | [`setup`] | an operator's answers to a configuration, and what is left to do | words acme |
//! | | [`doctor`] | what is found around a node, judged, with the remedy | words setup |
//! | edges | [`store`] | sole user of sled: typed decisions, one transaction each | words roster archive router stream pubsub push trust federation dispatch |
//! | | [`net`] | sole user of rustls: listeners, TLS, transport | limits |
//! | | [`sms`] | ways to send a code | limits phone |
//! | | [`fetch`] | asks web servers | limits |
//! | | [`age`] | files encrypted with a passphrase | |
//! | | [`c2s`] | one client: a task around a stream | words stream router net |
//! | | [`s2s`] | other servers: dial, accept, queues | words federation router net |
//! | | [`web`] | sole user of hyper: the HTTP listener, its pages, uploaded files | words upload net |
//! | | [`component`] | one component: a task around its stream | words router net c2s |
//! | | [`supervisor`] | what systemd is told of the node's life | |
//! | assembly | [`config`] | file to typed configuration, all problems at once | words sms trust acme |
//! | | [`backup`] | everything a node is, in one encrypted file, and back | words pgp store age |
//! | | [`portable`] | users on the way from one server to another | words archive pubsub roster router services store stream |
//! | | [`node`] | executor, tasks, hub, login, control socket, shutdown | all |
//! | documentation | [`chapters`] | what does not fit to one room | |
//!
//! # A stanza in eight hops
//! socket → [`c2s`] reads → [`xml::Framer`] cuts → [`stream`] stamps the full JID → the hub's inbox (`node::hub`) →
//! [`router`] decides → [`store`] commits what must survive → the session's outbox, which [`c2s`] writes. What is for the node
//! itself goes from the hub to [`services`], and the answer comes back the same way. Requests over HTTP go from [`web`] to a page of
//! its table.
//!
//! # Promises
//! 1. **An acknowledgement is a promise.** Before a client's `<r/>` is answered, each message it sent is with every receiving
//!    session, with the other domain's server, or on the disk. How: [`router`], [`store`], [`federation`].
//! 2. **Exactly once, in order** between two full JIDs, through reconnects and resumption; after a crash, or after a stream to
//!    another domain broke, at least once, with the same id and stamp.
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
//! | RFC 1035 | partly | questions about names, and what is believed of the answers |
//! | RFC 2136 | partly | addresses and texts are set, without prerequisites |
//! | RFC 2782 | yes | |
//! | RFC 3921 | partly | session establishment, for old clients |
//! | RFC 4422 | yes | EXTERNAL, its Appendix A |
//! | RFC 4616 | yes | PLAIN |
//! | RFC 5802 | yes | SCRAM-SHA-1 and its PLUS form |
//! | RFC 5929 | partly | tls-server-end-point; tls-unique is not offered |
//! | RFC 6120 | yes | streams, TLS, SASL, stanzas, between client and server and between servers |
//! | RFC 6121 | yes | roster, presence, messages |
//! | RFC 7590 | yes | no stream without TLS |
//! | RFC 7622 | yes | addresses |
//! | RFC 7677 | yes | SCRAM-SHA-256 |
//! | RFC 8265 | yes | localparts, resourceparts, passwords |
//! | RFC 8305 | partly | addresses take turns, with a head start each; both families are awaited |
//! | RFC 8555 | partly | accounts, orders, proofs by HTTP and DNS; no external accounts, no change of keys, no revocation |
//! | RFC 8737 | yes | |
//! | RFC 8945 | partly | HMAC-SHA-256, for RFC 2136 |
//! | RFC 9110 | partly | what uploaded files need: ranges, conditions |
//! | RFC 9266 | yes | tls-exporter, with TLS 1.3 |
//! | RFC 9580 | partly | v4 keys as Kontalk makes them |
//! | XEP-0004 | partly | forms of registration and of nodes |
//! | XEP-0012 | yes | for those who may see the account's presence |
//! | XEP-0030 | yes | |
//! | XEP-0033 | partly | all types of addresses, for our own users; other servers get a copy for each receiver |
//! | XEP-0045 | planned | rooms come later; a component can bring them |
//! | XEP-0049 | yes | |
//! | XEP-0050 | yes | administrators' commands, Kontalk's server list |
//! | XEP-0054 | yes | for the account and those who see its presence |
//! | XEP-0059 | yes | in the archive |
//! | XEP-0060 | partly | what XEP-0163 needs; nobody subscribes but by presence |
//! | XEP-0068 | yes | |
//! | XEP-0077 | yes | by Kontalk's forms before login; password change and removal behind it |
//! | XEP-0082 | yes | |
//! | XEP-0084 | yes | |
//! | XEP-0085 | yes | passed on, not stored |
//! | XEP-0092 | yes | |
//! | XEP-0114 | yes | |
//! | XEP-0115 | yes | |
//! | XEP-0128 | yes | |
//! | XEP-0133 | partly | accounts, passwords, sessions, figures, lists, announcements; no rosters, blacklists, messages of the day |
//! | XEP-0153 | yes | by way of XEP-0398 |
//! | XEP-0156 | yes | host-meta in both forms; there is nothing to list yet |
//! | XEP-0157 | yes | the configured contact |
//! | XEP-0160 | yes | |
//! | XEP-0163 | yes | |
//! | XEP-0178 | yes | |
//! | XEP-0184 | yes | passed on and stored |
//! | XEP-0185 | yes | |
//! | XEP-0191 | yes | with Kontalk's silence towards the blocked |
//! | XEP-0198 | yes | resumption, also after the node was started again in order; between servers acknowledgements alone |
//! | XEP-0199 | yes | |
//! | XEP-0202 | yes | |
//! | XEP-0203 | yes | |
//! | XEP-0220 | partly | when configured; one domain per stream |
//! | XEP-0223 | yes | |
//! | XEP-0227 | yes | as files, for all that is kept here |
//! | XEP-0280 | yes | |
//! | XEP-0288 | yes | |
//! | XEP-0292 | yes | as a node |
//! | XEP-0297 | yes | inside carbons and the archive's results |
//! | XEP-0308 | yes | passed on and archived |
//! | XEP-0313 | yes | its groupchat field is not offered |
//! | XEP-0333 | yes | passed on and archived |
//! | XEP-0334 | yes | |
//! | XEP-0352 | yes | presence and events are held, chat states are dropped |
//! | XEP-0357 | partly | message counts only; a service ends a registration by an error, not by taking an affiliation away |
//! | XEP-0359 | yes | |
//! | XEP-0363 | yes | and its old form, which Kontalk's clients speak |
//! | XEP-0368 | yes | |
//! | XEP-0373 | partly | keys as nodes; the form of the server key's user id |
//! | XEP-0384 | yes | as nodes, in its old and its new form |
//! | XEP-0386 | partly | stream management, carbons and client state inline; messages that waited are still sent |
//! | XEP-0388 | yes | no tasks |
//! | XEP-0398 | yes | |
//! | XEP-0402 | partly | as a node; old bookmarks are not converted |
//! | XEP-0424 | yes | passed on and archived |
//! | XEP-0440 | yes | |
//! | XEP-0441 | yes | |
//! | XEP-0444 | yes | passed on and archived |
//! | XEP-0455 | no | announcements are files on the web, and no web pages are read for other servers yet |
//! | XEP-0474 | yes | |
//! | XEP-0484 | yes | for accounts with a password; no 0-RTT |
//! | XEP-0490 | yes | as a node |
//! | XEP-0515 | yes | |
//!
//! Referred to, in the code, for a form or a rule of theirs: RFC 2104 (HMAC), RFC 3986 (URLs), RFC 6266 (names of downloads),
//! RFC 6415 (host-meta), RFC 9112 (HTTP/1.1), RFC 3279, RFC 4055, RFC 5280, RFC 5480 and RFC 8410 (certificates and keys in
//! DER), RFC 1918 and RFC 4193 (private addresses), RFC 4343, RFC 5452 and RFC 7766 (names in DNS),
//! RFC 4985 (names of services in certificates), RFC 4880 (OpenPGP
//! before its present form), RFC 5246, RFC 7301 and RFC 8446 (TLS), RFC 2986, RFC 7515,
//! RFC 7518 and RFC 7638 (what ACME signs), RFC 5646 (language tags), RFC 6598,
//! RFC 6901 and RFC 7617 (providers of text messages), RFC 5890 (domains in ASCII), RFC 8032 (Ed25519), RFC 9380, RFC 9496 and
//! RFC 9497 (keys on ristretto255), XEP-0016 (privacy lists, in files), XEP-0122 (a form's open list), XEP-0027 (signed
//! announcements), XEP-0283 (accounts that have moved), XEP-0300 (names of hash functions).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod account;
pub mod acme;
pub mod admin;
pub mod age;
pub mod archive;
pub mod backup;
pub mod c2s;
pub mod caps;
pub mod chapters;
pub mod component;
pub mod config;
pub mod dispatch;
pub mod doctor;
pub mod federation;
pub mod fetch;
pub mod jid;
pub mod limits;
pub mod net;
pub mod node;
pub mod pgp;
pub mod phone;
pub mod portable;
pub mod pubsub;
pub mod push;
pub mod roster;
pub mod router;
pub mod s2s;
pub mod services;
pub mod setup;
pub mod sms;
pub mod stanza;
pub mod store;
pub mod stream;
pub mod supervisor;
pub mod trust;
pub mod upload;
pub mod vote;
pub mod web;
pub mod xml;
