//! What bounds everything: the one table of sizes and times, token bucket, backoff with jitter, bounded map.
//!
//! A stranger can fill whatever has no limit. The table says beside each limit what it costs on the smallest board
//! (512 MiB of memory); a new queue, map or attempt counter takes its bound from here.

mod backoff;
mod bounded_map;
mod bucket;

pub use backoff::Backoff;
pub use bounded_map::BoundedMap;
pub use bucket::{Buckets, TokenBucket};

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Bytes of one element before authentication; with TLS's own buffers a stranger stays under 64 KiB.
pub const STRANGER_ELEMENT_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one stanza after authentication. A key upload or a picture's thumbnail fits; 8 such at once are 2 MiB.
pub const STANZA_BYTES_MAX: usize = 256 * 1024;
/// Levels of one element.
pub const STANZA_DEPTH_MAX: usize = 64;
/// Bytes of an uploaded or presented OpenPGP key ring (protocol: 64 KiB).
pub const RING_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a client certificate: a ring of the greatest size and its wrapping.
pub const CERTIFICATE_BYTES_MAX: usize = RING_BYTES_MAX + 8 * 1024;

/// Connections that have not authenticated, in total: 256 × 64 KiB = 16 MiB.
pub const STRANGERS_MAX: usize = 256;
/// Connections that have not authenticated, per address (IPv6: per /64).
pub const STRANGERS_PER_ADDRESS_MAX: usize = 32;
/// From connecting to being authenticated.
pub const NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(120);
/// The TLS handshake, from its first byte to its last.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// A write that makes no progress for so long ends the connection.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a closing stream waits for the other side's closing tag.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// A bound stream that was silent for so long is asked (XEP-0199 or XEP-0198) whether it lives.
pub const IDLE_BEFORE_PING: Duration = Duration::from_secs(300);
/// And is dead when it does not answer in this time.
pub const PING_TIMEOUT: Duration = Duration::from_secs(60);
/// Authentication attempts on one stream, RFC 6120 §6.4.5 wants 2 to 5.
pub const SASL_ATTEMPTS_PER_STREAM_MAX: u8 = 4;
/// How long a login token is good (XEP-0484): a phone that was away for longer needs its password again.
pub const TOKEN_TTL: Duration = Duration::from_secs(28 * 24 * 3600);
/// A token that is older is replaced when it is used: one write a week and client.
pub const TOKEN_ROTATE_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Clients of one account that have a token; one more makes the longest unused one forget its own. 32 × about 100 bytes on disk.
pub const TOKEN_CLIENTS_MAX: usize = 32;
/// Bytes of the tag that a client puts before its resource (XEP-0386).
pub const BIND_TAG_BYTES_MAX: usize = 128;
/// Registration requests on one stream before authentication.
pub const REGISTRATION_REQUESTS_PER_STREAM_MAX: u8 = 10;

/// Components that have not shown their secret (XEP-0114), in total: 16 × 64 KiB = 1 MiB.
pub const COMPONENT_STRANGERS_MAX: usize = 16;
/// From a component's connecting to its handshake.
pub const COMPONENT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Stanzas waiting for the router: 512 × about 1 KiB.
pub const ROUTER_INBOX_MAX: usize = 512;
/// Stanzas waiting to be written to one session; the bytes are shared with other receivers.
pub const OUTBOX_STANZAS_MAX: usize = 1024;
/// Bytes waiting to be written to one session.
pub const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Stanzas a session with stream management may leave unacknowledged before it counts as too slow.
pub const UNACKED_STANZAS_MAX: usize = 2048;
/// Bytes of the same.
pub const UNACKED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Sessions of one account at once.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 16;
/// Accounts a session's directed presence is remembered for.
pub const DIRECTED_PRESENCE_MAX: usize = 256;
/// How long a session waits for its client to resume (XEP-0198), unless the client asks for less or more.
pub const RESUME_DEFAULT: Duration = Duration::from_secs(600);
/// The longest that a client can ask for.
pub const RESUME_MAX: Duration = Duration::from_secs(900);
/// How long a message may wait for its receivers' acknowledgement before it is written to the store instead, so that its
/// sender can be told it is safe.
pub const ACK_PATIENCE: Duration = Duration::from_millis(1500);

/// Bytes of one stanza of another server: one of ours with what may be added on its way.
pub const S2S_STANZA_BYTES_MAX: usize = STANZA_BYTES_MAX + 16 * 1024;
/// From the first byte of a stream with another server to its first stanza.
pub const S2S_NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Streams that other servers dialled: 256 × about 40 KiB.
pub const S2S_ACCEPTED_MAX: usize = 256;
/// Streams of other servers that have not authenticated, in total.
pub const S2S_STRANGERS_MAX: usize = 64;
/// The same from one network address.
pub const S2S_STRANGERS_PER_ADDRESS_MAX: usize = 16;
/// Other domains that are dialled at once; the rest wait their turn.
pub const S2S_DIALS_MAX: usize = 16;
/// Pairs of domains that have something waiting: 2048 × about 400 bytes, and their stanzas.
pub const S2S_PAIRS_MAX: usize = 2048;
/// Stanzas waiting for one domain.
pub const S2S_QUEUE_STANZAS_MAX: usize = 2048;
/// Bytes of the same.
pub const S2S_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes waiting for all domains together.
pub const S2S_QUEUED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a message waits for another domain, unless the configuration says otherwise.
pub const S2S_QUEUE_AGE: Duration = Duration::from_secs(3600);
/// How long an iq get or set waits for another domain.
pub const S2S_REQUEST_AGE: Duration = Duration::from_secs(60);
/// How long presence, chat states and answers wait for another domain.
pub const S2S_FLEETING_AGE: Duration = Duration::from_secs(600);
/// A message that waited so long says since when.
pub const S2S_DELAY_TOLD_AFTER: Duration = Duration::from_secs(10);
/// How often the queues are looked through while anything waits.
pub const S2S_TICK: Duration = Duration::from_millis(250);
/// The wait after the first failed dial.
pub const S2S_RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two dials.
pub const S2S_RETRY_LONGEST: Duration = Duration::from_secs(300);
/// A stream to another server on which nothing was said for so long is closed.
pub const S2S_IDLE: Duration = Duration::from_secs(600);
/// A stream of another server from which nothing came for so long is closed.
pub const S2S_ACCEPTED_IDLE: Duration = Duration::from_secs(1800);
/// A node is asked whether it is there after so much silence: an address that changed breaks no connection by itself.
pub const S2S_NODE_IDLE_BEFORE_PING: Duration = Duration::from_secs(15);
/// A node that does not answer for so long is dialled again.
pub const S2S_NODE_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait before a trusted node without a stream is dialled again.
pub const S2S_NODE_RETRY_LONGEST: Duration = Duration::from_secs(20);
/// Nodes of which one gossips in one stanza.
pub const GOSSIP_NODES_MAX: usize = 64;
/// Hosts that are tried for one domain.
pub const S2S_TARGETS_MAX: usize = 8;
/// Addresses that are tried for one host.
pub const S2S_ADDRESSES_MAX: usize = 8;
/// Connecting to one host, all its addresses together.
pub const S2S_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The head start of one address before the next. RFC 8305 §5.
pub const HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(250);
/// One question to one name server.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(3);
/// All attempts to have one question answered.
pub const DNS_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer of a name server.
pub const DNS_MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Items in one roster.
pub const ROSTER_ITEMS_MAX: usize = 1500;
/// Groups of one roster item.
pub const ROSTER_GROUPS_MAX: usize = 20;
/// Bytes of a roster item's name or group.
pub const ROSTER_NAME_BYTES_MAX: usize = 1023;
/// Addresses in one block list.
pub const BLOCK_LIST_MAX: usize = 1000;
/// Subscription requests waiting for one account.
pub const PENDING_SUBSCRIPTIONS_MAX: usize = 500;
/// Bytes of a subscription request that is kept for later.
pub const PENDING_SUBSCRIPTION_BYTES_MAX: usize = 8 * 1024;

/// Messages stored for one account.
pub const OFFLINE_MESSAGES_MAX: usize = 5000;
/// Bytes stored for one account.
pub const OFFLINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Stored messages given to a session at once; the next come when these are acknowledged.
pub const OFFLINE_BATCH_MAX: usize = 256;
/// How long a message waits for its receiver.
pub const OFFLINE_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// An account with only a Kontalk key that was not used for so long is removed.
pub const ACCOUNT_EXPIRY: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often accounts are looked at for that,
pub const EXPIRY_ROUND: Duration = Duration::from_secs(6 * 3600);
/// and in how many rounds one must have been found unused: three days in which the node was running, whatever its clock says.
pub const EXPIRY_ROUNDS: u16 = 12;

/// Nodes of one account (XEP-0163). Old OMEMO clients make one for each device that ever was.
pub const PEP_NODES_MAX: u32 = 256;
/// Items of one node; what `max_items` means by `max`. A client keeps one for each chat or room.
pub const PEP_ITEMS_PER_NODE_MAX: u32 = 1024;
/// Bytes of all items of one account, with its vCard and its private data.
pub const PEP_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of the name of a node or an item, or of a node's title.
pub const PEP_NAME_BYTES_MAX: usize = 512;
/// Members and outcasts of one node.
pub const PEP_AFFILIATIONS_MAX: usize = 64;
/// Bytes of items in one answer; who wants more asks for the rest by name.
pub const PEP_REPLY_BYTES_MAX: usize = 1024 * 1024;
/// Last items that one resource is sent when it comes: half of what its outbox holds.
pub const LAST_ITEMS_MAX: usize = 512;
/// Bytes of the same.
pub const LAST_ITEMS_BYTES_MAX: usize = 1024 * 1024;
/// Capabilities that are remembered (XEP-0115): 1,024 × usually 300 bytes, at most 4 KiB.
pub const CAPS_ENTRIES_MAX: usize = 1024;
/// Bytes of the nodes that one client wants to hear of.
pub const CAPS_NOTIFY_BYTES_MAX: usize = 4 * 1024;
/// Clients asked for their capabilities that have not answered yet.
pub const CAPS_QUERIES_MAX: usize = 256;
/// How long the archive keeps a message, unless the configuration says otherwise.
pub const ARCHIVE_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Values of one account's archive, 4 to 16 KiB of messages each; the oldest go.
pub const ARCHIVE_VALUES_MAX: usize = 4096;
/// Archived messages given for one query.
pub const ARCHIVE_PAGE_MAX: usize = 100;
/// Bytes of one page; it ends with the message that reaches them.
pub const ARCHIVE_PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Addresses in both lists of one account's archiving preferences.
pub const ARCHIVE_PREFERENCES_MAX: usize = 200;
/// Bytes of the same.
pub const ARCHIVE_PREFERENCES_BYTES_MAX: usize = 16 * 1024;
/// Ids that one query of the archive may name.
pub const ARCHIVE_QUERY_IDS_MAX: usize = 100;
/// Bytes of unacknowledged stanzas that a session may take along into the node's next life.
pub const KEPT_SESSION_BYTES_MAX: usize = 512 * 1024;

/// Bytes of one element of a document that an operator imports (XEP-0227): an item, a message, a vCard with its picture.
pub const DOCUMENT_ELEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Connections of the HTTP listener: 128 × at most 256 KiB (TLS, hyper's buffers, one chunk of a file) = 32 MiB, when all of them
/// carry files at once.
pub const WEB_CONNECTIONS_MAX: usize = 128;
/// The same from one address (IPv6: per /64). Browsers open six.
pub const WEB_CONNECTIONS_PER_ADDRESS_MAX: usize = 24;
/// Bytes of the head of an HTTP request.
pub const WEB_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header fields of an HTTP request.
pub const WEB_HEADERS_MAX: usize = 64;
/// From the end of one HTTP request (or the beginning of the connection) to the last byte of the next one's head.
pub const WEB_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// An HTTP body that does not move for so long is given up.
pub const WEB_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// An HTTP body may take this time at least,
pub const WEB_BODY_GRACE: Duration = Duration::from_secs(60);
/// and longer if it moves with so many bytes a second on average.
pub const WEB_BODY_RATE_MIN: u64 = 1024;
/// Questions for users' keys over the web that one network may ask at once, and how often one more: 144 a day.
pub const KEY_QUESTIONS_PER_NETWORK: u32 = 50;
/// See [`KEY_QUESTIONS_PER_NETWORK`].
pub const KEY_QUESTIONS_PER_NETWORK_REFILL: Duration = Duration::from_secs(600);
/// The same of all networks together: 1,440 a day, by which ten million numbers take 19 years.
pub const KEY_QUESTIONS_ALL: u32 = 500;
/// See [`KEY_QUESTIONS_ALL`].
pub const KEY_QUESTIONS_ALL_REFILL: Duration = Duration::from_secs(60);
/// Bytes of a file that are in memory at once, for each of [`WEB_CONNECTIONS_MAX`].
pub const WEB_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of one uploaded file, unless the configuration says otherwise. Kontalk's sample has the same.
pub const UPLOAD_FILE_BYTES_MAX: u64 = 20 * 1024 * 1024;
/// Bytes of all uploaded files of one account.
pub const UPLOAD_QUOTA_BYTES: u64 = 100 * 1024 * 1024;
/// How long an uploaded file is kept.
pub const UPLOAD_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// Free bytes that uploads leave on the disk.
pub const UPLOAD_FREE_BYTES_MIN: u64 = 200 * 1024 * 1024;
/// Uploaded files of one account: they are counted for each request, and each takes an inode.
pub const UPLOAD_FILES_PER_ACCOUNT_MAX: u64 = 2000;
/// How long an upload slot waits for its file (XEP-0363 §5 advises about 300 s).
pub const UPLOAD_SLOT_TTL: Duration = Duration::from_secs(300);
/// Upload slots at once: 2048 × about 300 bytes.
pub const UPLOAD_SLOTS_MAX: usize = 2048;
/// Upload slots of one account that wait for their file.
pub const UPLOAD_SLOTS_PER_ACCOUNT_MAX: usize = 50;
/// Requests for upload slots that wait for the disk: 64 × about 1 KiB.
pub const UPLOAD_REQUESTS_MAX: usize = 64;
/// Bytes of an uploaded file's name; a longer one is cut, its ending kept.
pub const UPLOAD_NAME_BYTES_MAX: usize = 120;
/// Push registrations of one account (XEP-0357), at most about 6 KiB on disk each.
pub const PUSH_SERVICES_MAX: usize = 16;
/// Bytes of what a push service is to be told of one registration.
pub const PUSH_OPTIONS_BYTES_MAX: usize = 4 * 1024;
/// Pushes for one registration at once,
pub const PUSH_BURST: u32 = 8;
/// and how long until one more.
pub const PUSH_REFILL: Duration = Duration::from_secs(15);
/// Pushes whose answers are awaited: 1,024 × about 300 bytes.
pub const PUSHES_UNANSWERED_MAX: usize = 1024;
/// A registration whose pushes have failed for so long, every one, is given up.
pub const PUSH_FAILING_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long a code is good.
pub const CODE_TTL: Duration = Duration::from_secs(10 * 60);
/// Guesses at one code.
pub const CODE_ATTEMPTS_MAX: u8 = 5;
/// Numbers waiting for their code at once: 4096 × about 200 bytes.
pub const CHALLENGES_MAX: usize = 4096;
/// How long the answer to a code stays repeatable for the same key, should the client have lost it.
pub const REPLY_REPEATABLE: Duration = Duration::from_secs(10 * 60);
/// Codes sent in 24 hours, unless the configuration says otherwise: what a prepaid card or a provider's bill stands.
pub const CODES_PER_DAY_MAX: u32 = 2000;
/// Codes sent in 24 hours to one block of ten thousand numbers, unless the configuration says otherwise: an honest block has a handful
/// of newcomers in a year.
pub const PREFIX_CODES_PER_DAY_MAX: u32 = 20;
/// Prefixes of numbers whose codes are counted: 4,096 × about 250 bytes. Each entry costs a message, so the day's codes bound them first.
pub const DISPATCH_PREFIXES_MAX: usize = 4096;
/// Messages whose network is to report what became of them: 4,096 × about 100 bytes.
pub const REPORTS_AWAITED_MAX: usize = 4096;
/// Codes that were taken and may have to go out again by another way, with the numbers in memory until they are proved or expire:
/// 1,024 × about 600 bytes.
pub const SENT_CODES_MAX: usize = 1024;
/// Challenges on their way out at once, with the numbers in memory: 64 × about 1 KiB. A modem sends one in some seconds.
pub const SENDING_MAX: usize = 64;
/// How long a client's request waits to hear whether its message went out; then it is told that it is on its way. Clients give up after 15 s.
pub const SENDING_PATIENCE: Duration = Duration::from_secs(12);
/// How long one way to send may take before nobody waits for it any more.
pub const SENDING_TIMEOUT: Duration = Duration::from_secs(180);
/// Addresses, numbers and prefixes whose attempts are remembered: 10,000 × about 100 bytes each.
pub const THROTTLE_ENTRIES_MAX: usize = 10_000;
/// Nodes of which something is kept: 1024 × at most 50 KiB on disk, usually 2.
pub const NODES_MAX: usize = 1024;
/// Bytes of what is kept of a node's certificate.
pub const NODE_CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Visitors known here at once, of all homes and of one; and logins of one home within an hour.
pub const VISITORS_MAX: u32 = 500;
/// See [`VISITORS_MAX`].
pub const VISITORS_PER_HOME_MAX: u32 = 100;
/// See [`VISITORS_MAX`].
pub const VISITOR_LOGINS_PER_HOUR_MAX: u32 = 200;
/// How long other nodes do not let in who took a number over from another key.
pub const RESET_HOLD: Duration = Duration::from_secs(72 * 3600);
/// How long what a visitor left is kept after he was here last.
pub const VISITOR_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// Providers of text messages over HTTP; each has a thread of its own.
pub const SMS_PROVIDERS_MAX: usize = 16;
/// Messages that wait for one provider: 32 × about 300 bytes.
pub const SMS_PROVIDER_QUEUE_MAX: usize = 32;
/// How long a message waits for those before it; later it is not begun.
pub const SMS_PROVIDER_PATIENCE: Duration = Duration::from_secs(20);
/// Until a provider is connected, TLS included, unless the configuration says otherwise.
pub const SMS_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One whole request to a provider, unless the configuration says otherwise.
pub const SMS_REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a provider's answer; good ones have a few hundred.
pub const SMS_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest that a provider can ask to be left in peace.
pub const SMS_REST_MAX: Duration = Duration::from_secs(3600);
/// Bytes of a provider's secret, in its file.
pub const SMS_SECRET_BYTES_MAX: usize = 4 * 1024;

/// Administrators' commands that wait for their form (XEP-0050): 64 × about 200 bytes.
pub const ADMIN_COMMANDS_MAX: usize = 64;
/// How long they wait.
pub const ADMIN_COMMAND_TTL: Duration = Duration::from_secs(15 * 60);
/// Addresses in one form, and in one list that answers it.
pub const ADMIN_ADDRESSES_MAX: usize = 1000;
/// Bytes of an announcement.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 16 * 1024;
/// Requests whose answer takes a processor for milliseconds, at once: each needs a thread's stack.
pub const DESK_JOBS_MAX: usize = 8;

/// The network a throttle counts by: the address, or the /64 of an IPv6 address.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
    }
}

// ACME, src/acme.

/// Host names of one certificate.
pub const ACME_NAMES_MAX: usize = 16;
/// Bytes of an ACME server's answer; a chain with its issuers is the longest.
pub const ACME_ANSWER_BYTES_MAX: usize = 128 * 1024;
/// Requests of one order.
pub const ACME_REQUESTS_MAX: u32 = 200;
/// Times that one order is asked whether it is ready.
pub const ACME_POLLS_MAX: u32 = 40;
/// The longest pause before one of them, whatever the server says.
pub const ACME_WAIT_MAX: Duration = Duration::from_secs(120);
/// After the first failure; doubled up to
pub const ACME_RETRY_FIRST: Duration = Duration::from_secs(15 * 60);
/// the longest.
pub const ACME_RETRY_LONGEST: Duration = Duration::from_secs(86_400);
/// For a request over HTTP of our own, to authorities and to those who tell the node its address, with all of its answer.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of such an answer's head.
pub const FETCH_HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long the administrators are not told of the same trouble again.
pub const ALARM_QUIET: Duration = Duration::from_secs(86_400);
/// With less than this left on the disk somebody must make room.
pub const DISK_FREE_BYTES_MIN: u64 = 200 * 1024 * 1024;
/// How long a modem may be without use before somebody must look at it.
pub const MODEM_DEAD_AFTER: Duration = Duration::from_secs(3600);
/// Until all name servers have a record, where nothing is said.
pub const DNS_PROOF_WAIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_network_and_mapped_ipv4_as_ipv4() {
        for (address, network) in
            [("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::ffff:192.0.2.7", "192.0.2.7")]
        {
            assert_eq!(network_of(address.parse().unwrap()), network.parse::<IpAddr>().unwrap());
        }
    }
}
