//! A visitor: a user of another node logs in here with his OpenPGP key. The checks in their order, each with its own refusal;
//! the first that fails decides.
//!
//! | Check | What |
//! |---|---|
//! | 1 | the certificate carries a ring whose key TLS has proved |
//! | 2 | exactly one user id is `<40 hex>@HOME`, and the key is good for it |
//! | 3 | our own domain: that is no visit |
//! | 4 | the home's card is pinned, and the home is trusted |
//! | 5 | our certification of the home holds, and its key is good |
//! | 6 | our clock is sane |
//! | 7 | the home's certification of the user holds |
//! | 8 | the number was not taken over from another key within [`RESET_HOLD`] (the home's log: not kept yet) |
//! | 9 | nobody else has the name here |
//! | 10 | quotas |
//! | 11 | the session's address is `<40 hex>@HERE` |
//!
//! A visit works while the home is off: all that is looked at was pinned or comes with the visitor.

use std::fmt;

use super::card::Card;
use super::domain::NodeDomain;
use super::edge::{EdgeFault, edge};
use super::guard::{ClockSuspect, judge_clock};
use super::peer::State;
use crate::jid::BareJid;
use crate::limits::RESET_HOLD;
use crate::pgp::{BridgeError, Fingerprint, KeyFault, Statements, UserRing};
use crate::stanza::Timestamp;

/// What a client presents.
#[derive(Clone, Debug)]
pub struct Presented<'a> {
    /// The ring of its certificate, or why there is none.
    pub ring: Result<&'a UserRing, BridgeError>,
    /// Whom it wants to act as; Kontalk's clients do not say.
    pub authzid: Option<&'a BareJid>,
}

/// What is known of a home.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its card.
    pub card: Card,
    /// Its certificate.
    pub certificate: UserRing,
    /// The certificate before, if its card was replaced.
    pub former: Option<UserRing>,
    /// What was decided about it.
    pub state: State,
    /// What we have signed on its key.
    pub own: Statements,
}

/// Who has a name here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resident {
    /// His key; `None`: he has a password.
    pub key: Option<Fingerprint>,
    /// When it was made.
    pub key_created: Option<Timestamp>,
    /// Where he is at home, if he is a visitor.
    pub home: Option<NodeDomain>,
}

/// How many visitors there are, and may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Visitors known here, of all homes.
    pub all: usize,
    /// Of this home.
    pub of_home: usize,
    /// The most of all homes.
    pub all_max: usize,
    /// The most of one.
    pub of_home_max: usize,
    /// May one of this home log in now, by the number of logins an hour?
    pub login_allowed: bool,
}

/// The store could not be read; its particulars were logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsFault;

/// What is kept, as the checks ask for it. Each is asked at most once, and not before the checks ahead have passed.
pub trait Records {
    /// What is known of a home; `None` without a card.
    fn home(&self, domain: &NodeDomain) -> Result<Option<Home>, RecordsFault>;
    /// Is the home denied? Asked where there is no card.
    fn is_denied(&self, domain: &NodeDomain) -> Result<bool, RecordsFault>;
    /// Who has this address here.
    fn resident(&self, address: &BareJid) -> Result<Option<Resident>, RecordsFault>;
    /// The quotas.
    fn usage(&self, home: &NodeDomain) -> Result<Usage, RecordsFault>;
    /// The latest time ever seen.
    fn clock_floor(&self) -> Result<Timestamp, RecordsFault>;
}

/// How a login goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Check 3: the key names an account of our own domain.
    Local,
    /// Check 9: the account here has the very same key; it logs in as itself.
    Native(BareJid),
    /// A visitor.
    Visitor(Visitor),
}

/// Who comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// His address here.
    pub address: BareJid,
    /// His address at home.
    pub home_address: BareJid,
    /// His home.
    pub home: NodeDomain,
    /// His key.
    pub key: Fingerprint,
    /// Another key of his was here before: what belonged to it is not his.
    pub replaces_key: bool,
}

/// Why nobody comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The fields are what the sentences name.
pub enum VisitRefusal {
    /// 1: the certificate gives no ring.
    Certificate(BridgeError),
    /// 2: no user id is an account's that could visit, or not the one wished for.
    NoUserId,
    /// 2: several are.
    SeveralUserIds,
    /// 2: the key is not good for it.
    Key(KeyFault),
    /// 4: the home is unknown.
    NoCard(NodeDomain),
    /// 4: the home is not trusted.
    NotTrusted(NodeDomain, State),
    /// 5: our certification of the home does not hold.
    HomeEdge(NodeDomain, EdgeFault),
    /// 5: the home's key is not good.
    HomeKey(NodeDomain, KeyFault),
    /// 6: our clock.
    Clock(ClockSuspect),
    /// 7: the home's certification of the user does not hold.
    UserEdge(NodeDomain, EdgeFault),
    /// 8: the number was taken over from another key, and the hold is not over.
    Held { home: NodeDomain, until: Timestamp },
    /// 9: an account of our own has the name, with another key.
    NativeAccount(BareJid),
    /// 9: a visitor of another home has it, with another key.
    VisitorOf { address: BareJid, home: NodeDomain },
    /// 9: the home's own former visitor has it, with a key that is not older.
    OlderKey(BareJid),
    /// 10: too many logins of the home.
    TooManyLogins(NodeDomain),
    /// 10: too many visitors of the home.
    HomeFull(NodeDomain),
    /// 10: too many visitors.
    Full,
    /// The store could not be read.
    Records,
}

impl From<RecordsFault> for VisitRefusal {
    fn from(_: RecordsFault) -> VisitRefusal {
        VisitRefusal::Records
    }
}

impl VisitRefusal {
    /// The number of the check that failed; 0: none could be made.
    pub fn check(&self) -> u8 {
        match self {
            VisitRefusal::Records => 0,
            VisitRefusal::Certificate(_) => 1,
            VisitRefusal::NoUserId | VisitRefusal::SeveralUserIds | VisitRefusal::Key(_) => 2,
            VisitRefusal::NoCard(_) | VisitRefusal::NotTrusted(..) => 4,
            VisitRefusal::HomeEdge(..) | VisitRefusal::HomeKey(..) => 5,
            VisitRefusal::Clock(_) => 6,
            VisitRefusal::UserEdge(..) => 7,
            VisitRefusal::Held { .. } => 8,
            VisitRefusal::NativeAccount(_) | VisitRefusal::VisitorOf { .. } | VisitRefusal::OlderKey(_) => 9,
            VisitRefusal::TooManyLogins(_) | VisitRefusal::HomeFull(_) | VisitRefusal::Full => 10,
        }
    }

    /// May the same client be let in later without anybody's doing? Else it is told `not-authorized`.
    pub fn is_temporary(&self) -> bool {
        matches!(self, VisitRefusal::Clock(_) | VisitRefusal::Held { .. } | VisitRefusal::Records)
    }

    /// Should the operator hear of it, though it is nobody's fault on the wire?
    pub fn concerns_operator(&self) -> bool {
        matches!(self, VisitRefusal::NativeAccount(_) | VisitRefusal::VisitorOf { .. } | VisitRefusal::Full)
    }
}

impl fmt::Display for VisitRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VisitRefusal::Certificate(error) => error.fmt(f),
            VisitRefusal::NoUserId => f.write_str("no user id of the key names the account"),
            VisitRefusal::SeveralUserIds => f.write_str("several user ids of the key name accounts that could visit"),
            VisitRefusal::Key(fault) => fault.fmt(f),
            VisitRefusal::NoCard(home) => write!(f, "the home {home} is not known here"),
            VisitRefusal::NotTrusted(home, state) => write!(f, "the home {home} is {} here", state.name()),
            VisitRefusal::HomeEdge(home, fault) => write!(f, "the home {home}: {fault} by this node"),
            VisitRefusal::HomeKey(home, fault) => write!(f, "the home {home}: {fault}"),
            VisitRefusal::Clock(suspect) => suspect.fmt(f),
            VisitRefusal::UserEdge(home, fault) => write!(f, "the user's key: {fault} by its home {home}"),
            VisitRefusal::Held { home, until } => {
                write!(f, "the number was registered anew at {home} with another key, which may visit from {until} on")
            }
            VisitRefusal::NativeAccount(address) => {
                write!(f, "{} is an account of this node with another key", address.for_log())
            }
            VisitRefusal::VisitorOf { address, home } => {
                write!(f, "{} is a visitor from {home} with another key", address.for_log())
            }
            VisitRefusal::OlderKey(address) => {
                write!(f, "{} was here with another key, and this one is not newer", address.for_log())
            }
            VisitRefusal::TooManyLogins(home) => write!(f, "too many logins from {home} within the hour"),
            VisitRefusal::HomeFull(home) => write!(f, "too many visitors from {home}"),
            VisitRefusal::Full => {
                f.write_str("too many visitors (remedy: trust.visitors_max, if this machine can bear more)")
            }
            VisitRefusal::Records => f.write_str("the store could not be read"),
        }
    }
}

impl std::error::Error for VisitRefusal {}

/// Judges who comes, at the node of domain `here`.
pub fn judge_visit(
    presented: &Presented<'_>,
    here: &BareJid,
    records: &dyn Records,
    now: Timestamp,
) -> Result<Admission, VisitRefusal> {
    let ring = presented.ring.map_err(VisitRefusal::Certificate)?; // 1
    let Some(home_address) = claimed(ring, presented.authzid, here)? else { return Ok(Admission::Local) }; // 2, 3
    ring.check_address(&home_address, now).map_err(VisitRefusal::Key)?; // 2
    let home = NodeDomain::of(&home_address).ok_or(VisitRefusal::NoUserId)?;
    let known = trusted(records, &home)?; // 4
    check_home(&known, &home, now)?; // 5
    judge_clock(now, records.clock_floor()?).map_err(VisitRefusal::Clock)?; // 6
    let reset = certified_by_home(ring, &home_address, &known, now)
        .map_err(|fault| VisitRefusal::UserEdge(home.clone(), fault))?; // 7
    check_hold(&home, reset, now)?; // 8
    let address = BareJid::new(home_address.localpart(), here.domainpart()).map_err(|_| VisitRefusal::NoUserId)?;
    let resident = records.resident(&address)?;
    let Some(place) = place(&address, &home, ring, resident.as_ref())? else {
        return Ok(Admission::Native(address)); // 9
    };
    check_quotas(&home, &records.usage(&home)?, place)?; // 10
    let replaces_key = place == Place::ForOtherKey;
    Ok(Admission::Visitor(Visitor { address, home_address, home, key: ring.fingerprint(), replaces_key })) // 11
}

/// Checks 4 to 7 for a session that is there: may it stay? `ring` is the visitor's as it was stored.
pub fn judge_stay(
    ring: &UserRing,
    home_address: &BareJid,
    records: &dyn Records,
    now: Timestamp,
) -> Result<(), VisitRefusal> {
    let home = NodeDomain::of(home_address).ok_or(VisitRefusal::NoUserId)?;
    let known = match records.home(&home)? {
        Some(known) if known.state.keeps_visitors() => known,
        Some(known) => return Err(VisitRefusal::NotTrusted(home, known.state)),
        None => return Err(VisitRefusal::NoCard(home)),
    };
    check_home(&known, &home, now)?;
    judge_clock(now, records.clock_floor()?).map_err(VisitRefusal::Clock)?;
    ring.check_address(home_address, now).map_err(VisitRefusal::Key)?;
    let certified = certified_by_home(ring, home_address, &known, now);
    certified.map(|_| ()).map_err(|fault| VisitRefusal::UserEdge(home, fault))
}

/// The account that the key speaks for; `None`: one of ours.
fn claimed(ring: &UserRing, authzid: Option<&BareJid>, here: &BareJid) -> Result<Option<BareJid>, VisitRefusal> {
    let is_here = |address: &BareJid| address.domainpart() == here.domainpart();
    let wished = |address: &BareJid| authzid.is_none_or(|authzid| address == authzid);
    if authzid.is_some_and(is_here) || (authzid.is_none() && ring.addresses().any(|address| is_here(&address))) {
        return Ok(None);
    }
    let mut named = ring.addresses().filter(|address| wished(address) && is_number(address));
    match (named.next(), named.next()) {
        (Some(address), None) => Ok(Some(address)),
        (None, _) => Err(VisitRefusal::NoUserId),
        (Some(_), Some(_)) => Err(VisitRefusal::SeveralUserIds),
    }
}

/// Is the localpart the hash of a number, as those of accounts are that may visit?
fn is_number(address: &BareJid) -> bool {
    address.localpart().is_some_and(|name| {
        name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

fn trusted(records: &dyn Records, home: &NodeDomain) -> Result<Home, VisitRefusal> {
    match records.home(home)? {
        Some(known) if matches!(known.state, State::Trusted(_)) && known.card.domain == *home => Ok(known),
        Some(known) => Err(VisitRefusal::NotTrusted(home.clone(), known.state)),
        None if records.is_denied(home)? => Err(VisitRefusal::NotTrusted(home.clone(), State::Denied)),
        None => Err(VisitRefusal::NoCard(home.clone())),
    }
}

fn check_home(known: &Home, home: &NodeDomain, now: Timestamp) -> Result<(), VisitRefusal> {
    edge(&known.own, now).map_err(|fault| VisitRefusal::HomeEdge(home.clone(), fault))?;
    known.certificate.check_node(home.as_str(), now).map_err(|fault| VisitRefusal::HomeKey(home.clone(), fault))
}

/// By the home's present key, or the one before unless that was stolen: then only its log could tell which of its
/// certifications are honest. Gives when the number was last taken over from another key, if it was.
fn certified_by_home(
    ring: &UserRing,
    address: &BareJid,
    known: &Home,
    now: Timestamp,
) -> Result<Option<Timestamp>, EdgeFault> {
    let by = |issuer: &UserRing| {
        let mut said = ring.statements_about(address, issuer);
        // Kontalk login: servers certify with 0x10, of old with 0x12; the other kinds do not count.
        said.certifications.retain(|certified| matches!(certified.level, 0 | 2));
        edge(&said, now).map(|_| said.certifications.iter().filter_map(|certified| certified.reset).max())
    };
    let present = by(&known.certificate);
    match &known.former {
        Some(former) if present == Err(EdgeFault::NotCertified) && known.card.cut.is_none() => by(former),
        _ => present,
    }
}

/// Whoever took a number over, by a stolen SIM card perhaps, is nobody's guest until its owner had time to notice. At home he is not
/// delayed: a lost telephone is the more frequent cause.
fn check_hold(home: &NodeDomain, reset: Option<Timestamp>, now: Timestamp) -> Result<(), VisitRefusal> {
    match reset.map(|reset| reset.plus(RESET_HOLD)).filter(|until| now < *until) {
        Some(until) => Err(VisitRefusal::Held { home: home.clone(), until }),
        None => Ok(()),
    }
}

/// Where a visitor finds room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nobody of the name is here.
    New,
    /// He was here before.
    Known,
    /// He was here with another key.
    ForOtherKey,
}

fn place(
    address: &BareJid,
    home: &NodeDomain,
    ring: &UserRing,
    resident: Option<&Resident>,
) -> Result<Option<Place>, VisitRefusal> {
    let Some(resident) = resident else { return Ok(Some(Place::New)) };
    let same_key = resident.key == Some(ring.fingerprint());
    match &resident.home {
        None if same_key => Ok(None),
        None => Err(VisitRefusal::NativeAccount(address.clone())),
        Some(_) if same_key => Ok(Some(Place::Known)),
        // Who has the number now has the newer key; the one before, whose certification nobody may have taken back, does not
        // come again.
        Some(other) if other == home => match resident.key_created {
            Some(before) if ring.created() <= before => Err(VisitRefusal::OlderKey(address.clone())),
            _ => Ok(Some(Place::ForOtherKey)),
        },
        Some(other) => Err(VisitRefusal::VisitorOf { address: address.clone(), home: other.clone() }),
    }
}

fn check_quotas(home: &NodeDomain, usage: &Usage, place: Place) -> Result<(), VisitRefusal> {
    if !usage.login_allowed {
        return Err(VisitRefusal::TooManyLogins(home.clone()));
    }
    if place == Place::New && usage.of_home >= usage.of_home_max {
        return Err(VisitRefusal::HomeFull(home.clone()));
    }
    if place == Place::New && usage.all >= usage.all_max { Err(VisitRefusal::Full) } else { Ok(()) }
}
