//! The configuration: a TOML file becomes a [`Config`], or all that is wrong with it is said at once.
//!
//! Every key has a default but `domain`. Keys that are not known are refused, with the key that was perhaps meant: a
//! misspelt key that is silently ignored is found out at night. Units are part of the keys' names. Secrets have files of their
//! own, so nothing in a configuration is secret. Relative paths start at the directory of the file.
//!
//! Without a file there is [`Config::trial`]: a complete node for one machine. Limits: a file of 1 MiB.

mod acme;
mod check;
mod document;
mod modem;
mod problem;
mod providers;
mod s2s;
mod sms;
#[cfg(test)]
mod tests;
mod web;

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;

use crate::jid::BareJid;
use crate::limits;
use crate::phone::{AppHash, Area, ChallengeKind, PhoneNumber};
use crate::sms::http;
use crate::trust::Endpoint;

pub use acme::{Acme, DnsUpdate, DynamicDns};
pub use modem::Modem;
pub use problem::{Problem, report};
pub use web::{Upload, Web};

/// The annotated sample, a tour of the product: every key with its default.
pub const SAMPLE: &str = include_str!("../../config/node.toml");

/// Reads and checks a configuration file: gives the configuration, or every problem of it.
pub fn read(path: &Path) -> Result<Config, Vec<Problem>> {
    let file = path.display().to_string();
    match read_text(path) {
        Ok(text) => parse(&file, path.parent().unwrap_or(Path::new("")), &text),
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::NotFound => "`kontalk-node sample-config` prints one",
                io::ErrorKind::PermissionDenied => "the user kontalk-node must be allowed to read it",
                _ => "",
            };
            let text = format!("the configuration cannot be read: {error}");
            Err(vec![Problem { file, line: None, key: String::new(), value: None, text, remedy: remedy.to_owned() }])
        }
    }
}

/// The same for a text. `file` is how problems call it; relative paths in it start at `base`.
pub fn parse(file: &str, base: &Path, text: &str) -> Result<Config, Vec<Problem>> {
    check::check(file, base, text)
}

/// All settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Made by [`Config::trial`]: a node for one machine, to be looked at.
    pub trial: bool,
    /// `domain`: what stands behind the `@` of its users' addresses.
    pub domain: BareJid,
    /// `data_dir`: where all data lies; made if it is not there.
    pub data_dir: PathBuf,
    /// `contact`: where its people can be reached, as URIs (XEP-0157).
    pub contact: Vec<String>,
    /// `admins`: the accounts that may administrate.
    pub admins: Vec<BareJid>,
    /// `[c2s]`
    pub c2s: C2s,
    /// `[s2s]`
    pub s2s: S2s,
    /// `[tls]`; `None`: a self-made certificate.
    pub tls: Option<TlsFiles>,
    /// `[registration]`
    pub registration: Registration,
    /// `[sms]`
    pub sms: Sms,
    /// `[trust]`
    pub trust: Trust,
    /// `[log]`
    pub log: Log,
    /// `[archive]`
    pub archive: Archive,
    /// `[web]`
    pub web: Web,
    /// `[upload]`
    pub upload: Upload,
    /// `[limits]`
    pub limits: Limits,
    /// `[components]`
    pub components: Components,
    /// `[push]`; `None`: no push registration in Kontalk's own way.
    pub push: Option<KontalkPush>,
    /// `[acme]`; `None`: no authority is asked for a certificate.
    pub acme: Option<Acme>,
    /// `[dns_update]`; `None`: no name server takes updates of ours.
    pub dns_update: Option<DnsUpdate>,
    /// `[dynamic_dns]`; `None`: the node's address does not change, or others see to it.
    pub dynamic_dns: Option<DynamicDns>,
    /// `metrics.listen`: where figures can be read, on this machine alone; empty: nowhere.
    pub metrics: Vec<SocketAddr>,
    /// What is allowed but doubtful; to be logged as warnings.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// What there is without a configuration: a trial node on this machine's loopback, for domain `localhost`, with its data
    /// in `./kontalk-data`; registration is open and the terminal shows the codes.
    pub fn trial() -> Config {
        let Ok(domain) = BareJid::domain("localhost") else { unreachable!("localhost is a host name") };
        let loopback =
            |port| vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
        let mut config = Config::new(domain);
        config.trial = true;
        config.data_dir = PathBuf::from("./kontalk-data");
        config.c2s = C2s { listen: loopback(C2S_PORT), listen_tls: loopback(C2S_TLS_PORT) };
        (config.s2s.listen, config.s2s.listen_tls) = (loopback(S2S_PORT), Vec::new());
        // It speaks to this machine only, also when somebody types another domain.
        config.s2s.allow = vec![config.domain.clone()];
        config.web = Web::loopback();
        config
    }

    /// How large an uploaded file may be, in bytes; `None` if files cannot be uploaded.
    pub fn upload_bytes_max(&self) -> Option<u64> {
        (self.web.enabled && self.upload.enabled).then_some(self.upload.file_bytes_max)
    }

    /// The defaults for a domain.
    fn new(domain: BareJid) -> Config {
        let everywhere = |port| vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
        let sender = domain.to_string();
        Config {
            trial: false,
            domain,
            data_dir: PathBuf::from("/var/lib/kontalk-node"),
            contact: Vec::new(),
            admins: Vec::new(),
            c2s: C2s { listen: everywhere(C2S_PORT), listen_tls: everywhere(C2S_TLS_PORT) },
            s2s: S2s {
                enabled: true,
                listen: everywhere(S2S_PORT),
                listen_tls: everywhere(S2S_TLS_PORT),
                dialback: false,
                allow: Vec::new(),
                deny: Vec::new(),
                ca_file: None,
                hosts: Vec::new(),
                dns: Vec::new(),
                queue_age: limits::S2S_QUEUE_AGE,
            },
            tls: None,
            registration: Registration {
                enabled: true,
                terms_url: None,
                sender,
                brand: Brand::default(),
                per_number: Throttle { burst: 3, refill: Duration::from_secs(600) },
                per_address: Throttle { burst: 10, refill: Duration::from_secs(60) },
                per_prefix: Throttle { burst: 60, refill: Duration::from_secs(10) },
                codes_per_day_max: limits::CODES_PER_DAY_MAX,
                expiry: Some(limits::ACCOUNT_EXPIRY),
            },
            sms: Sms {
                routes: vec![SmsRoute::new(TERMINAL)],
                own_number: None,
                countries: SmsCountries::Home,
                prefix_codes_per_day_max: limits::PREFIX_CODES_PER_DAY_MAX,
                app_hash: None,
                modem: Modem::default(),
                http: Vec::new(),
            },
            trust: Trust::default(),
            log: Log { level: LevelFilter::Info },
            archive: Archive { ttl: limits::ARCHIVE_TTL },
            web: Web::new(),
            upload: Upload::new(),
            limits: Limits {
                offline_messages_max: limits::OFFLINE_MESSAGES_MAX,
                offline_ttl: limits::OFFLINE_TTL,
                resume: limits::RESUME_DEFAULT,
                unauthenticated_max: limits::STRANGERS_MAX,
                unauthenticated_per_address_max: limits::STRANGERS_PER_ADDRESS_MAX,
            },
            components: Components {
                listen: vec![
                    SocketAddr::from((Ipv4Addr::LOCALHOST, COMPONENT_PORT)),
                    SocketAddr::from((Ipv6Addr::LOCALHOST, COMPONENT_PORT)),
                ],
                secret_files: Vec::new(),
            },
            push: None,
            acme: None,
            dns_update: None,
            dynamic_dns: None,
            metrics: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct C2s {
    /// `c2s.listen`: addresses for streams that start TLS themselves (RFC 6120 §5).
    pub listen: Vec<SocketAddr>,
    /// `c2s.listen_tls`: addresses for TLS from the first byte (XEP-0368).
    pub listen_tls: Vec<SocketAddr>,
}

/// How other servers connect, and to whom we do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S2s {
    /// `s2s.enabled`: are there other servers at all?
    pub enabled: bool,
    /// `s2s.listen`: addresses for streams that start TLS themselves (RFC 6120 §5).
    pub listen: Vec<SocketAddr>,
    /// `s2s.listen_tls`: addresses for TLS from the first byte (XEP-0368).
    pub listen_tls: Vec<SocketAddr>,
    /// `s2s.dialback`: is dialback a proof (XEP-0220)?
    pub dialback: bool,
    /// `s2s.allow`: only these domains and those below them; empty: all.
    pub allow: Vec<BareJid>,
    /// `s2s.deny`: not these domains, nor those below them.
    pub deny: Vec<BareJid>,
    /// `s2s.ca_file`: authorities to believe, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `s2s.hosts`: where the servers of some domains are.
    pub hosts: Vec<PeerHost>,
    /// `s2s.dns`: name servers, instead of the system's.
    pub dns: Vec<SocketAddr>,
    /// `s2s.queue_minutes`: how long a message waits for its domain.
    pub queue_age: Duration,
}

/// Where the server of a domain is, without name servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHost {
    /// Whose server.
    pub domain: BareJid,
    /// Where it is.
    pub address: SocketAddr,
    /// It begins with TLS (XEP-0368).
    pub direct_tls: bool,
}

/// The operator's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `tls.certificate`: the chain in PEM.
    pub certificate: PathBuf,
    /// `tls.key`: its private key in PEM.
    pub key: PathBuf,
}

/// How people get an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// `registration.enabled`: may people register by telephone number?
    pub enabled: bool,
    /// `registration.terms_url`: the terms a client must accept first.
    pub terms_url: Option<String>,
    /// `registration.sender`: whom the client tells its user to expect the code from; never empty.
    pub sender: String,
    /// `registration.brand_*`
    pub brand: Brand,
    /// `registration.number_burst` and `number_refill_secs`: codes for one telephone number.
    pub per_number: Throttle,
    /// `registration.address_burst` and `address_refill_secs`: codes asked for from one network address.
    pub per_address: Throttle,
    /// `registration.prefix_burst` and `prefix_refill_secs`: codes for numbers that begin alike.
    pub per_prefix: Throttle,
    /// `registration.codes_per_day_max`: codes to all numbers together in a day; what the node may cost.
    pub codes_per_day_max: u32,
    /// `registration.expiry_days`: after how long unused an account with only a Kontalk key goes; `None`: never.
    pub expiry: Option<Duration>,
}

/// URLs of the SMS provider's logo in several sizes and of its page, which clients show while they wait for the code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The keys' names behind `registration.brand_`, which are the protocol's.
pub struct Brand {
    pub image_vector: Option<String>,
    pub image_small: Option<String>,
    pub image_medium: Option<String>,
    pub image_large: Option<String>,
    pub image_hd: Option<String>,
    pub link: Option<String>,
}

/// So many at once, then one every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// How many at once.
    pub burst: u32,
    /// How long until there is one more.
    pub refill: Duration,
}

/// How codes are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sms {
    /// `sms.routes`, or the one way that `sms.via` names: in the order in which they are tried; never empty.
    pub routes: Vec<SmsRoute>,
    /// `sms.own_number`: the number of the node's SIM, where the node may tell it.
    pub own_number: Option<PhoneNumber>,
    /// `sms.countries`: whose numbers are served.
    pub countries: SmsCountries,
    /// `sms.prefix_codes_per_day_max`: codes in a day to ten thousand numbers that differ in their last four digits.
    pub prefix_codes_per_day_max: u32,
    /// `sms.app_hash`: the app that may read the message.
    pub app_hash: Option<AppHash>,
    /// `[sms.modem]`
    pub modem: Modem,
    /// `[sms.http.NAME]`: providers over HTTP, in the order of the file.
    pub http: Vec<http::Settings>,
}

/// A line of `sms.routes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsRoute {
    /// The way, such as `terminal`.
    pub name: String,
    /// `challenge=`: how numbers prove themselves by it.
    pub kind: ChallengeKind,
    /// The only numbers it is for; empty: all.
    pub areas: Vec<Area>,
    /// `max=`: codes in a day.
    pub day_max: Option<u32>,
    /// `sender=`: whom the message comes from, where it is not `registration.sender`.
    pub sender: Option<String>,
}

impl SmsRoute {
    /// A way by text message for all numbers.
    pub fn new(name: &str) -> SmsRoute {
        SmsRoute { name: name.to_owned(), kind: ChallengeKind::Text, areas: Vec::new(), day_max: None, sender: None }
    }
}

/// Whose numbers are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmsCountries {
    /// Those of the SIM's country; everybody's where that is not known.
    Home,
    /// Everybody's.
    All,
    /// Those that begin so.
    These(Vec<Area>),
}

/// Other nodes, and their users who visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// `trust.addresses`: where other nodes are told to connect.
    pub addresses: Vec<Endpoint>,
    /// `trust.pages`: where they are told that the node's web pages are.
    pub pages: Vec<String>,
    /// `trust.banned_s2s`: what comes from a node that is banned or denied.
    pub banned_s2s: BannedS2s,
    /// `trust.visitors_max`: visitors known here, of all homes.
    pub visitors_max: u32,
    /// `trust.visitors_per_home_max`: of one home.
    pub visitors_per_home_max: u32,
    /// `trust.visitor_logins_per_hour_max`: logins of visitors of one home.
    pub visitor_logins_per_hour_max: u32,
}

impl Default for Trust {
    fn default() -> Trust {
        Trust {
            addresses: Vec::new(),
            pages: Vec::new(),
            banned_s2s: BannedS2s::default(),
            visitors_max: limits::VISITORS_MAX,
            visitors_per_home_max: limits::VISITORS_PER_HOME_MAX,
            visitor_logins_per_hour_max: limits::VISITOR_LOGINS_PER_HOUR_MAX,
        }
    }
}

/// What becomes of what a banned or denied node's users send. Visitors of it there are none in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BannedS2s {
    /// It reaches those who have the sender in their contact list.
    #[default]
    Quarantine,
    /// It is a server as any other.
    Allow,
    /// There are no streams with it.
    Block,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `log.level`
    pub level: LevelFilter,
}

/// Messages that clients can read again. XEP-0313.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// `archive.days`: how long a message is kept; zero: none is.
    pub ttl: Duration,
}

/// The limits an operator may want to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `limits.offline_messages_max`: messages kept for one account.
    pub offline_messages_max: usize,
    /// `limits.offline_days`: how long a message waits.
    pub offline_ttl: Duration,
    /// `limits.resume_secs`: how long a broken stream can be resumed, where the client does not say (XEP-0198).
    pub resume: Duration,
    /// `limits.unauthenticated_max`: connections that have not authenticated.
    pub unauthenticated_max: usize,
    /// `limits.unauthenticated_per_address_max`: the same from one network address.
    pub unauthenticated_per_address_max: usize,
}

/// Programs beside the node that serve domains of their own (XEP-0114). Without any of them no port is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// `components.listen`: where they connect.
    pub listen: Vec<SocketAddr>,
    /// `components.secret_files`: their domains, each with the file of its secret.
    pub secret_files: Vec<(BareJid, PathBuf)>,
}

/// What Kontalk's clients need for push in their own way, which is older than XEP-0357.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KontalkPush {
    /// `push.gcm_gateway`: who is told whom to wake.
    pub gateway: BareJid,
    /// `push.gcm_sender_id`: what clients ask their provider for a token with.
    pub sender_id: String,
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let count = File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    if count as u64 == FILE_BYTES_MAX { Err(io::Error::other("it is too large")) } else { Ok(text) }
}

/// The way that prints codes on the node's terminal and sends nothing: for trials.
pub const TERMINAL: &str = "terminal";
/// The way by a modem at this machine, [`Sms::modem`].
pub const MODEM: &str = "modem";
/// RFC 6120 §14.7.
const C2S_PORT: u16 = 5222;
/// The port in custom for XEP-0368.
const C2S_TLS_PORT: u16 = 5223;
/// RFC 6120 §14.7.
const S2S_PORT: u16 = 5269;
/// The port in custom for XEP-0368 between servers.
const S2S_TLS_PORT: u16 = 5270;
/// In custom for XEP-0114.
const COMPONENT_PORT: u16 = 5347;
const FILE_BYTES_MAX: u64 = 1024 * 1024;
