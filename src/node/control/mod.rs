//! The operator's commands: a socket in the data directory that only its owner can open (mode 0600), one JSON line each way.
//!
//! The store has one owner, so commands ask the running node. Those about accounts also work without one: [`ask`] then opens
//! the store itself for the moment. Limits: one request of [`REQUEST_BYTES_MAX`] a connection, [`CLIENTS_MAX`] at once.
//!
//! A backup is asked for likewise. Behind the answer comes its archive in pieces, each with its length before it (four bytes,
//! big-endian), a piece of no length, and a last line that says whether it is whole ([`copy`]).

mod client;
mod copy;
mod server;
mod sms;

pub use client::{Asked, ask};
pub use copy::{BackedUp, StoreCopy, back_up, copy_of_store, domain, open_stopped};
pub(super) use server::{Office, Server};
pub use sms::{RouteStatus, SmsStatus, SmsTried};

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use smol::Async;

use crate::backup::{BackupFault, Summary};

pub use super::accounts::AccountFacts;
pub use super::trust::{NodeFacts, TrustReply, TrustRequest};
pub use crate::sms::modem::Status as ModemStatus;

/// What an operator asks.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// How is the node?
    Status,
    /// Log at these levels from now on.
    LogLevel {
        /// As `log-level` takes them.
        levels: String,
    },
    /// Make an account with a password.
    AccountAdd {
        /// Its address.
        address: String,
        /// Its password.
        password: Secret,
    },
    /// All accounts.
    AccountList,
    /// One account.
    AccountShow {
        /// Its address.
        address: String,
    },
    /// Set an account's password.
    AccountSetPassword {
        /// Its address.
        address: String,
        /// Its new password.
        password: Secret,
    },
    /// Remove an account and all that belongs to it.
    AccountRemove {
        /// Its address.
        address: String,
    },
    /// How do codes go out?
    SmsStatus,
    /// Send a test message.
    SmsTest {
        /// To this number.
        number: Secret,
        /// By this way alone.
        route: Option<String>,
    },
    /// Give all that the node is.
    Backup,
    /// About other nodes.
    Trust {
        /// What.
        request: TrustRequest,
    },
    /// How is the modem?
    ModemStatus,
    /// Send a USSD code through the modem.
    ModemUssd {
        /// The code; those that top a SIM up are money.
        code: Secret,
    },
}

/// A password, a number, the words on paper, a code or its answer on its way through the socket; cannot be printed, is wiped.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Takes a text in.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    fn into_text(mut self) -> zeroize::Zeroizing<String> {
        zeroize::Zeroizing::new(std::mem::take(&mut self.0))
    }

    /// The text, for the operator's eyes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn into_password(mut self) -> crate::stream::Password {
        crate::stream::Password::new(std::mem::take(&mut self.0))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What the node answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Reply {
    /// It is done.
    Done,
    /// It is not, and why.
    Refused {
        /// The reason, with the remedy.
        reason: String,
    },
    /// How the node is.
    Status(Status),
    /// How codes go out.
    Sms(SmsStatus),
    /// How a test message went.
    SmsTested {
        /// By each way that was tried.
        tried: Vec<SmsTried>,
    },
    /// Accounts.
    Accounts {
        /// The accounts that were asked for.
        accounts: Vec<AccountFacts>,
    },
    /// The archive of a backup follows.
    Archive,
    /// It is whole.
    BackedUp {
        /// What it holds.
        summary: Summary,
    },
    /// About other nodes.
    Trust {
        /// What was asked for.
        reply: TrustReply,
    },
    /// How the modem is.
    Modem {
        /// It.
        modem: Box<ModemStatus>,
    },
    /// What the network answered to a USSD code.
    Ussd {
        /// Its words, which may hold a number.
        text: Secret,
    },
}

/// How the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The domain it serves.
    pub domain: String,
    /// The server key's fingerprint.
    pub key: String,
    /// Seconds since it started.
    pub uptime_secs: u64,
    /// Sessions, those included whose client may come back.
    pub sessions: u64,
    /// Accounts.
    pub accounts: u64,
    /// Messages that wait for their receivers.
    pub offline_messages: u64,
    /// Bytes the store takes on disk.
    pub store_bytes: u64,
    /// Records that could not be read and were set aside.
    pub damaged_records: u64,
    /// The store has failed: nothing is written any more.
    pub store_broken: bool,
    /// What needs a person, a sentence each with its remedy.
    #[serde(default)]
    pub alarms: Vec<String>,
    /// How codes go out.
    pub sms: SmsStatus,
    /// The modem, if codes go out by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modem: Option<Box<ModemStatus>>,
}

/// Why there is no control socket, or no answer from it.
#[derive(Debug)]
pub enum ControlFault {
    /// The socket cannot be made.
    Listen(PathBuf, io::Error),
    /// The running node did not answer.
    Talk(PathBuf, io::Error),
    /// It needs a running node, and there is none.
    NotRunning(PathBuf),
    /// No node runs, and its data cannot be opened.
    Data(String),
    /// The running node refused, and says why.
    Refused(String),
    /// A backup or a copy was not made.
    Backup(BackupFault),
}

impl fmt::Display for ControlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlFault::Listen(path, error) => {
                write!(f, "the control socket {} cannot be made: {error}", path.display())
            }
            ControlFault::Talk(path, error) => {
                write!(
                    f,
                    "the node at {} does not answer: {error} (remedy: run this as the user that runs the node)",
                    path.display()
                )
            }
            ControlFault::NotRunning(path) => write!(
                f,
                "no node runs on {} (remedy: start it with `kontalk-node`, or name its data directory with --data)",
                path.display()
            ),
            ControlFault::Data(reason) | ControlFault::Refused(reason) => f.write_str(reason),
            ControlFault::Backup(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ControlFault {}

impl From<BackupFault> for ControlFault {
    fn from(fault: BackupFault) -> ControlFault {
        ControlFault::Backup(fault)
    }
}

/// Opens the socket. The store's lock says that no other node uses the directory, so what lies there is a leftover.
pub(super) fn listen(data_dir: &Path) -> Result<Async<UnixListener>, ControlFault> {
    let path = socket_path(data_dir);
    let open = || -> io::Result<Async<UnixListener>> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Async::new(listener)
    };
    open().map_err(|error| ControlFault::Listen(path.clone(), error))
}

/// The node is stopping: the socket goes first, so that nobody asks who will not be answered.
pub(super) fn remove(data_dir: &Path) {
    let _ = fs::remove_file(socket_path(data_dir));
}

fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(socket_path(data_dir))
}

fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Bytes of one request; a node's introduction is the longest.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// Commands at once.
const CLIENTS_MAX: usize = 8;
