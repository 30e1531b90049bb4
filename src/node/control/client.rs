//! The command line's side: asks the running node, or does it on the data of one that does not run.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{ControlFault, Reply, Request, TrustRequest, connect};
use crate::config;
use crate::jid::{BareJid, JidError};
use crate::node::accounts::{self, AccountFault};
use crate::node::trust::Trust;
use crate::router::Ticket;
use crate::stanza::Timestamp;
use crate::store::Store;

/// Who answered.
#[derive(Debug)]
pub struct Asked {
    /// The answer.
    pub reply: Reply,
    /// A running node gave it; if not, the data were opened for the moment.
    pub running: bool,
}

/// Asks the node whose data lie there.
pub fn ask(data_dir: &Path, request: Request) -> Result<Asked, ControlFault> {
    match connect(data_dir) {
        Ok(stream) => {
            let reply = talk(stream, &request).map_err(|error| ControlFault::Talk(data_dir.to_owned(), error))?;
            Ok(Asked { reply, running: true })
        }
        Err(error) if is_absent(&error) => Ok(Asked { reply: do_alone(data_dir, request)?, running: false }),
        Err(error) => Err(ControlFault::Talk(data_dir.to_owned(), error)),
    }
}

/// No socket, or one that a node left behind when it was killed.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn talk(mut stream: UnixStream, request: &Request) -> io::Result<Reply> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    let sent = stream.write_all(line.as_bytes());
    zeroize::Zeroize::zeroize(&mut line);
    sent?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    let reply = serde_json::from_str(&answer);
    zeroize::Zeroize::zeroize(&mut answer);
    Ok(reply?)
}

fn do_alone(data_dir: &Path, request: Request) -> Result<Reply, ControlFault> {
    if needs_node(&request) || !data_dir.join("store").exists() {
        return Err(ControlFault::NotRunning(data_dir.to_owned()));
    }
    let store = Store::open(&data_dir.join("store")).map_err(|error| ControlFault::Data(error.to_string()))?;
    let outcome = answer(data_dir, &store, request);
    store.close().map_err(|error| ControlFault::Data(error.to_string()))?;
    Ok(outcome.unwrap_or_else(|fault| Reply::Refused { reason: fault.to_string() }))
}

/// Only a running node knows.
fn needs_node(request: &Request) -> bool {
    matches!(
        request,
        Request::Status
            | Request::LogLevel { .. }
            | Request::Backup
            | Request::ModemStatus
            | Request::ModemUssd { .. }
            | Request::SmsStatus
            | Request::SmsTest { .. }
    )
}

fn answer(data_dir: &Path, store: &Store, request: Request) -> Result<Reply, AccountFault> {
    let domain = domain_of(data_dir);
    let read = |address: &str| -> Result<BareJid, AccountFault> {
        let address: BareJid = address.parse().map_err(|error: JidError| AccountFault::Address(error))?;
        domain.as_ref().map_or(Ok(()), |domain| accounts::check_address(&address, domain))?;
        Ok(address)
    };
    let now = Timestamp::from_system(SystemTime::now());
    let ticket: Ticket = match request {
        Request::Status
        | Request::LogLevel { .. }
        | Request::ModemStatus
        | Request::ModemUssd { .. }
        | Request::SmsStatus
        | Request::SmsTest { .. }
        | Request::Backup => return Ok(Reply::Done),
        Request::AccountList => return accounts::list(store).map(|accounts| Reply::Accounts { accounts }),
        Request::AccountShow { address } => {
            return accounts::show(store, &read(&address)?).map(|a| Reply::Accounts { accounts: vec![a] });
        }
        Request::AccountAdd { address, password } => {
            accounts::add(store, &read(&address)?, &password.into_password(), now)?
        }
        Request::AccountSetPassword { address, password } => {
            accounts::set_password(store, &read(&address)?, &password.into_password())?
        }
        // The contacts are told when the node starts: the store keeps the list.
        Request::AccountRemove { address } => accounts::remove(store, &read(&address)?)?.1,
        Request::Trust { request } => return Ok(trust(data_dir, store, request, now)),
    };
    smol::block_on(store.commit(ticket))?;
    Ok(Reply::Done)
}

/// Nobody is online who would have to go: the node looks at all who were when it starts.
fn trust(data_dir: &Path, store: &Store, request: TrustRequest, now: Timestamp) -> Reply {
    let refused = |reason: String| Reply::Refused { reason };
    let key = match crate::node::read_server_key(data_dir) {
        Ok(key) => Arc::new(key),
        Err(fault) => return refused(fault.to_string()),
    };
    let Some(domain) = key.domain() else { return refused("the server key names no domain".to_owned()) };
    match Trust::open(&domain, data_dir, store.clone(), key, config::Trust::default(), now) {
        Ok(Some(trust)) => match trust.act(request, now) {
            Ok((reply, outcome)) => match outcome.ticket.map(|ticket| smol::block_on(store.commit(ticket))) {
                Some(Err(error)) => refused(error.to_string()),
                _ => Reply::Trust { reply },
            },
            Err(fault) => refused(fault.to_string()),
        },
        Ok(None) => refused("this node's key is of a kind that other nodes cannot read".to_owned()),
        Err(fault) => refused(fault.to_string()),
    }
}

/// Whose data they are: the server key says it.
pub(super) fn domain_of(data_dir: &Path) -> Option<BareJid> {
    crate::node::read_server_key(data_dir).ok()?.domain()
}

pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(160);
