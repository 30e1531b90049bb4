//! Namespaces, each under the document that defines it.

/// RFC 6120: stanzas between client and server.
pub const CLIENT: &str = "jabber:client";
/// RFC 6120: stanzas between servers.
pub const SERVER: &str = "jabber:server";
/// XEP-0114: stanzas between components and their server.
pub const COMPONENT: &str = "jabber:component:accept";
/// RFC 6120 §4.8.1: the stream root and its features and errors.
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// RFC 6120 §4.9.3.
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// RFC 6120 §8.3.3.
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// RFC 6120 §5.
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// RFC 6120 §6.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// RFC 6120 §7.
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// RFC 3921 §3, kept for old clients.
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// RFC 6121 §2.
pub const ROSTER: &str = "jabber:iq:roster";
/// RFC 6121 §2.6: roster versioning's stream feature.
pub const ROSTER_VERSIONING: &str = "urn:xmpp:features:rosterver";
/// RFC 6121 §3.4: pre-approval's stream feature.
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// XML Namespaces: the `xml` prefix.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// XEP-0004.
pub const DATA_FORMS: &str = "jabber:x:data";
/// XEP-0012.
pub const LAST: &str = "jabber:iq:last";
/// XEP-0030.
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// XEP-0030.
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// XEP-0033.
pub const ADDRESS: &str = "http://jabber.org/protocol/address";
/// XEP-0050.
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// XEP-0049.
pub const PRIVATE: &str = "jabber:iq:private";
/// XEP-0054.
pub const VCARD: &str = "vcard-temp";
/// XEP-0060.
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// XEP-0060 §8.
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// XEP-0060: notifications.
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// XEP-0060: error details.
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// XEP-0077.
pub const REGISTER: &str = "jabber:iq:register";
/// XEP-0077: its stream feature.
pub const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";
/// XEP-0085.
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// XEP-0092.
pub const VERSION: &str = "jabber:iq:version";
/// XEP-0115.
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// XEP-0133: the type of the forms, and what the commands' nodes begin with.
pub const ADMIN: &str = "http://jabber.org/protocol/admin";
/// XEP-0153.
pub const VCARD_UPDATE: &str = "vcard-temp:x:update";
/// XEP-0160.
pub const MSG_OFFLINE: &str = "msgoffline";
/// XEP-0184.
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// XEP-0191.
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// XEP-0191: error detail.
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// XEP-0198.
pub const SM: &str = "urn:xmpp:sm:3";
/// XEP-0220.
pub const DIALBACK: &str = "jabber:server:dialback";
/// XEP-0220 §2.3.1: its stream feature.
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// XEP-0288.
pub const BIDI: &str = "urn:xmpp:bidi";
/// XEP-0288: its stream feature.
pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
/// XEP-0199.
pub const PING: &str = "urn:xmpp:ping";
/// XEP-0202.
pub const TIME: &str = "urn:xmpp:time";
/// XEP-0203.
pub const DELAY: &str = "urn:xmpp:delay";
/// XEP-0280.
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// XEP-0297.
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0334.
pub const HINTS: &str = "urn:xmpp:hints";
/// XEP-0308.
pub const CORRECTION: &str = "urn:xmpp:message-correct:0";
/// XEP-0059.
pub const RSM: &str = "http://jabber.org/protocol/rsm";
/// XEP-0122.
pub const VALIDATION: &str = "http://jabber.org/protocol/xdata-validate";
/// XEP-0313.
pub const MAM: &str = "urn:xmpp:mam:2";
/// XEP-0313: the feature of its later half.
pub const MAM_EXTENDED: &str = "urn:xmpp:mam:2#extended";
/// XEP-0333.
pub const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
/// XEP-0357.
pub const PUSH: &str = "urn:xmpp:push:0";
/// XEP-0359.
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// XEP-0424.
pub const RETRACTION: &str = "urn:xmpp:message-retract:1";
/// XEP-0444.
pub const REACTIONS: &str = "urn:xmpp:reactions:0";
/// XEP-0352.
pub const CSI: &str = "urn:xmpp:csi:0";
/// XEP-0386.
pub const BIND2: &str = "urn:xmpp:bind:0";
/// XEP-0388.
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// XEP-0398.
pub const AVATAR_CONVERSION: &str = "urn:xmpp:pep-vcard-conversion:0";
/// XEP-0363 before it had a version in its namespace: what Kontalk's clients speak.
pub const UPLOAD_OLD: &str = "urn:xmpp:http:upload";
/// XEP-0363.
pub const UPLOAD: &str = "urn:xmpp:http:upload:0";
/// XEP-0440.
pub const SASL_CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";
/// XEP-0484.
pub const FAST: &str = "urn:xmpp:fast:0";
/// XEP-0027: signed announcements use it.
pub const SIGNED: &str = "jabber:x:signed";
/// XEP-0227: files for the way from one server to another.
pub const PIE: &str = "urn:xmpp:pie:0";
/// XEP-0227, before it was a draft standard.
pub const PIE_OLD: &str = "http://www.xmpp.org/extensions/xep-0227.html#ns";
/// XEP-0227: what is kept of a password.
pub const PIE_SCRAM: &str = "urn:xmpp:pie:0#scram";
/// XEP-0227: archived messages.
pub const PIE_MAM: &str = "urn:xmpp:pie:0#mam";
/// XML Inclusions, as XEP-0227 uses them.
pub const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";
/// XEP-0016: privacy lists, which XEP-0227 has for the blocked.
pub const PRIVACY: &str = "jabber:iq:privacy";
/// Our own, in files of XEP-0227: what a Kontalk account is besides.
pub const KONTALK_ACCOUNT: &str = "urn:kontalk:account:0";
/// Kontalk: FORM_TYPE of the code step.
pub const KONTALK_REGISTER_CODE: &str = "http://kontalk.org/protocol/register#code";
/// Kontalk: roster match and its marker feature.
pub const KONTALK_ROSTER: &str = "http://kontalk.org/extensions/roster";
/// Kontalk: the server list's payload.
pub const KONTALK_SERVER_LIST: &str = "http://kontalk.org/extensions/serverlist";
/// Kontalk: chat states of its own, such as recording audio.
pub const KONTALK_CHAT_STATES: &str = "http://kontalk.org/extensions/message#chatstates";
/// Kontalk: push in its own way, older than XEP-0357.
pub const KONTALK_PUSH: &str = "http://kontalk.org/extensions/presence#push";
/// Kontalk: public keys and fingerprints.
pub const KONTALK_PUBKEY: &str = "urn:xmpp:pubkey:2";
/// Our own: what nodes tell each other, and of visitors.
pub const KONTALK_NET: &str = "urn:kontalk:net:0";
/// Our own: what nodes tell each other of proposals, ballots and epochs.
pub const KONTALK_VOTE: &str = "urn:kontalk:vote:0";

/// The static twin of a namespace met on the wire, so that it costs no memory of its own.
pub(super) fn interned(namespace: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| **known == namespace).copied()
}

const KNOWN: &[&str] = &[
    CLIENT,
    SM,
    RECEIPTS,
    CHAT_STATES,
    DELAY,
    PING,
    SERVER,
    STREAM,
    STREAM_ERRORS,
    STANZA_ERRORS,
    TLS,
    SASL,
    BIND,
    SESSION,
    ROSTER,
    ROSTER_VERSIONING,
    PRE_APPROVAL,
    XML,
    DATA_FORMS,
    LAST,
    DISCO_INFO,
    DISCO_ITEMS,
    COMMANDS,
    REGISTER,
    REGISTER_FEATURE,
    VERSION,
    CAPS,
    BLOCKING,
    BLOCKING_ERRORS,
    TIME,
    CSI,
    SASL_CHANNEL_BINDING,
    SASL2,
    BIND2,
    FAST,
    SIGNED,
    UPLOAD_OLD,
    UPLOAD,
    KONTALK_REGISTER_CODE,
    KONTALK_ROSTER,
    KONTALK_PUBKEY,
    PUBSUB,
    PUBSUB_OWNER,
    PUBSUB_EVENT,
    VCARD,
    VCARD_UPDATE,
    CARBONS,
    FORWARD,
    HINTS,
    RSM,
    MAM,
    CHAT_MARKERS,
    STANZA_ID,
    COMPONENT,
];
