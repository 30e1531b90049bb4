//! What is found around a node, judged: each [`Finding`] says what is, and for everything that is not well what to do.
//!
//! The facts come from elsewhere ([`Facts`]); nothing is looked at here. A fact that could not be had is told as a doubt where
//! the operator can do something about it, and left out where nobody could.
//!
//! **Verdict.** As programs that watch machines expect it: 0 all is well, 1 something is doubtful, 2 something is wrong
//! ([`verdict`]).

mod judge;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::setup::guide::Record;

pub use judge::judge;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Well.
    Good,
    /// It works, but perhaps not long, or not for everybody.
    Doubt,
    /// It does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub level: Level,
    /// What was looked at.
    pub topic: &'static str,
    /// What was found.
    pub text: String,
    /// What to do; empty where all is well.
    pub remedy: String,
}

/// The exit code for scripts: 0 all is well, 1 something is doubtful, 2 something is wrong.
pub fn verdict(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.level).max() {
        None | Some(Level::Good) => 0,
        Some(Level::Doubt) => 1,
        Some(Level::Bad) => 2,
    }
}

/// All findings in words, a line each, the remedy on a line below, and what it comes to.
pub fn in_words(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.level {
            Level::Good => "  ok   ",
            Level::Doubt => "  look ",
            Level::Bad => "  WRONG",
        };
        text.push_str(&format!("{mark} {:<12} {}\n", finding.topic, finding.text));
        if !finding.remedy.is_empty() {
            text.push_str(&format!("                     remedy: {}\n", finding.remedy));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    text.push_str(&match (count(Level::Bad), count(Level::Doubt)) {
        (0, 0) => "All is well.".to_owned(),
        (bad, doubt) => format!("{bad} wrong, {doubt} to look at."),
    });
    text
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Seconds since 1970 by this machine's clock.
    pub now_secs: u64,
    /// Is the clock set from the network? Nothing: this system does not say.
    pub clock_synchronised: Option<bool>,
    /// The system has no clock that runs without power, and so begins anywhere.
    pub no_hardware_clock: bool,
    /// The configuration's own doubts, in its words.
    pub config_doubts: Vec<String>,
    /// A node runs on the data.
    pub running: bool,
    /// The disk with the data.
    pub disk: Option<Disk>,
    /// Files and directories of secrets.
    pub places: Vec<Place>,
    /// Where the node listens, or would.
    pub ports: Vec<PortFact>,
    /// Records that should be in DNS, and what is.
    pub names: Vec<NameFact>,
    /// Addresses the machine's name has.
    pub host_addresses: Vec<std::net::IpAddr>,
    /// The certificate.
    pub certificate: Option<CertificateFact>,
    /// The modem, if codes go out by one.
    pub modem: Option<ModemFact>,
    /// Each provider over HTTP.
    pub providers: Vec<ProviderFact>,
    /// Everybody's code is printed on the terminal.
    pub codes_on_terminal: bool,
    /// The store.
    pub store: StoreFact,
    /// Other nodes.
    pub trust: TrustFact,
    /// Bytes of memory that programs can have, and of all.
    pub memory: Option<(u64, u64)>,
}

/// A file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that are free for the node.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Free places for files; nothing: it has no number of them.
    pub files_free: Option<u64>,
    /// Nothing can be written.
    pub read_only: bool,
    /// Its device is an SD card or soldered flash.
    pub flash: bool,
    /// How much of its life is used, in tenths, as the device says (eMMC): 1 is up to 10 %, 11 beyond its life.
    pub life_used: Option<u8>,
    /// KiB written since the file system was made.
    pub written_kib: Option<u64>,
}

/// A path that must be for the node's eyes only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub path: String,
    /// What can be seen of it.
    pub state: PlaceState,
}

/// What can be seen of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceState {
    /// It is not there.
    Absent,
    /// We may not look.
    Closed,
    /// The node needs it, and its user may not read it.
    NotForNode,
    /// Its permissions, and whether its owner is the data directory's.
    Seen {
        /// The bits.
        mode: u32,
        /// Is the owner that of the data directory?
        same_owner: bool,
    },
}

/// A listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFact {
    /// The address with its port.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// What is there.
    pub state: PortState,
}

/// What is at a listening address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Somebody answers.
    Answered,
    /// Nobody answers.
    Silent,
    /// It can be listened on.
    Free,
    /// Another program has it.
    Taken,
    /// This user may not listen there.
    Forbidden,
    /// This machine has no such address.
    NoSuchAddress,
}

/// A record and what DNS says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameFact {
    /// As it should be.
    pub wanted: Record,
    /// What was found.
    pub found: NameState,
}

/// What DNS says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameState {
    /// It is as it should be.
    AsWanted,
    /// There is nothing.
    Absent,
    /// There is something else.
    Other(String),
    /// No name server answered.
    NoAnswer,
}

/// The certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFact {
    /// It cannot be used, and why, with the remedy.
    Unusable(String),
    /// The node makes it when it starts first.
    NotMadeYet,
    /// It can be read.
    Read {
        /// The last second it is good.
        not_after_secs: u64,
        /// The first.
        not_before_secs: u64,
        /// The node made it.
        self_made: bool,
        /// What authorities that the world trusts say of it; nothing: it is good.
        chain_fault: Option<String>,
    },
}

/// The modem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModemFact {
    /// As the running node says.
    Told {
        /// In a line.
        short: String,
        /// What is wrong, with its remedy.
        trouble: Option<String>,
    },
    /// The serial ports that are there for it; no node runs.
    Ports(Vec<String>),
    /// Its port is there, but this user may not open it.
    Closed(String),
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFact {
    /// Its name.
    pub name: String,
    /// The running node rests it after a failure, for so many seconds.
    pub resting_secs: Option<u64>,
    /// Messages it took, and did not take, in these 24 hours.
    pub counts: Option<(u32, u32)>,
}

/// The store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreFact {
    /// There is none yet.
    #[default]
    Absent,
    /// It was not asked: no node runs.
    NotAsked,
    /// What the running node, or the command that read it, says.
    Told {
        /// Writing failed.
        broken: bool,
        /// Records that cannot be read.
        damaged: u64,
        /// Records or accounts, as its text says.
        holds: String,
    },
    /// It could not be read, and why.
    Fault(String),
}

/// Other nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustFact {
    /// What kept us from asking.
    pub fault: Option<String>,
    /// Is there a card? Nothing: not asked.
    pub card: Option<bool>,
    /// Nodes that are trusted.
    pub trusted: u64,
    /// Nodes with something the operator should see: each with its words.
    pub flagged: Vec<String>,
}

/// 2026-01-01, in seconds since 1970: a clock before it is wrong, for this program is younger.
pub const EARLIEST_SECS: u64 = 1_767_225_600;
