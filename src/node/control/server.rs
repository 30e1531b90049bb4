//! The running node's side of the control socket.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smol::future::FutureExt;
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use smol::lock::Semaphore;
use smol::{Async, Executor, Timer};

use super::{CLIENTS_MAX, REQUEST_BYTES_MAX, Reply, Request, Secret, SmsStatus, Status, TrustRequest, copy};
use crate::jid::BareJid;
use crate::node::accounts::{self, AccountFault};
use crate::node::courier::Courier;
use crate::node::hub::Inbox;
use crate::node::journal::{self, Levels};
use crate::node::trust::Trust;
use crate::node::watch::Watch;
use crate::node::worker::work;
use crate::pgp::Fingerprint;
use crate::router::Ticket;
use crate::sms::modem::Modem;
use crate::stanza::Timestamp;
use crate::store::Store;

pub(in crate::node) struct Server {
    socket: Async<UnixListener>,
    office: Arc<Office>,
}

/// Who answers.
pub(in crate::node) struct Office {
    pub(in crate::node) domain: BareJid,
    pub(in crate::node) store: Store,
    pub(in crate::node) inbox: Inbox,
    /// The server key's.
    pub(in crate::node) key: Fingerprint,
    pub(in crate::node) courier: Arc<Courier>,
    /// Where providers report that only the operator can tell so, with their names.
    pub(in crate::node) report_addresses: Vec<(String, String)>,
    pub(in crate::node) begun: Instant,
    pub(in crate::node) trust: Option<Arc<Trust>>,
    pub(in crate::node) modem: Option<Modem>,
    pub(in crate::node) data_dir: PathBuf,
    pub(in crate::node) watch: Watch,
    /// One backup at a time.
    pub(in crate::node) backup: Semaphore,
}

impl Server {
    pub(in crate::node) fn new(socket: Async<UnixListener>, office: Office) -> Server {
        Server { socket, office: Arc::new(office) }
    }

    /// Serves until dropped.
    pub(in crate::node) async fn run(self, executor: &'static Executor<'static>) {
        let places = Arc::new(Semaphore::new(CLIENTS_MAX));
        loop {
            let place = places.acquire_arc().await;
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let office = self.office.clone();
                    let talk = async move {
                        if let Err(error) = office.talk(&stream, executor).await {
                            log::debug!("a command was not answered: {error}");
                        }
                        drop(place);
                    };
                    executor.spawn(talk).detach();
                }
                Err(error) => {
                    log::warn!("the control socket does not accept: {error}");
                    Timer::after(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

async fn too_slow<T>() -> io::Result<T> {
    Timer::after(COMMAND_TIMEOUT).await;
    Err(io::ErrorKind::TimedOut.into())
}

impl Office {
    async fn talk(&self, stream: &Async<UnixStream>, executor: &'static Executor<'static>) -> io::Result<()> {
        let mut line = String::new();
        let mut reader = BufReader::new(stream.take(REQUEST_BYTES_MAX));
        reader.read_line(&mut line).or(too_slow()).await?;
        let request: Result<Request, _> = serde_json::from_str(&line);
        zeroize::Zeroize::zeroize(&mut line);
        // This alone takes its time.
        if matches!(request, Ok(Request::Backup)) {
            return self.back_up(stream).await;
        }
        self.reply_to(stream, request, executor).or(too_slow()).await
    }

    async fn reply_to(
        &self,
        stream: &Async<UnixStream>,
        request: serde_json::Result<Request>,
        executor: &'static Executor<'static>,
    ) -> io::Result<()> {
        let reply = match request {
            Ok(Request::SmsTest { number, route }) => {
                super::sms::test(executor, self.courier.clone(), number, route).await
            }
            Ok(request) => self.answer(request).await,
            Err(error) => Reply::Refused {
                reason: format!("the running node does not know this command: {error} (remedy: use its own version's)"),
            },
        };
        say(stream, &reply).await
    }

    async fn back_up(&self, stream: &Async<UnixStream>) -> io::Result<()> {
        let Some(_place) = self.backup.try_acquire() else {
            let reason = "a backup is being made already (remedy: wait until it is done)".to_owned();
            return say(stream, &Reply::Refused { reason }).or(too_slow()).await;
        };
        say(stream, &Reply::Archive).or(too_slow()).await?;
        let now = Timestamp::from_system(SystemTime::now());
        let manifest = copy::manifest(&self.domain, self.key, now);
        let outcome = copy::send(stream, self.store.clone(), self.data_dir.clone(), manifest).await?;
        let reply = match outcome {
            Ok(summary) => {
                log::info!("a backup was made: {} records, {} files", summary.records, summary.files);
                Reply::BackedUp { summary }
            }
            Err(fault) => {
                log::warn!("a backup was not made: {fault}");
                Reply::Refused { reason: fault.to_string() }
            }
        };
        say(stream, &reply).or(too_slow()).await
    }

    async fn answer(&self, request: Request) -> Reply {
        let outcome = match request {
            Request::Status => Ok(self.status().await),
            Request::LogLevel { levels } => Ok(match levels.parse::<Levels>() {
                Ok(levels) => {
                    log::info!("logging at {levels} from now on");
                    journal::set_levels(levels);
                    Reply::Done
                }
                Err(reason) => Reply::Refused { reason },
            }),
            Request::SmsStatus | Request::SmsTest { .. } => {
                Ok(Reply::Sms(SmsStatus::of(&self.courier, &self.report_addresses)))
            }
            Request::AccountList => {
                let store = self.store.clone();
                work(move || accounts::list(&store)).await.map(|accounts| Reply::Accounts { accounts })
            }
            Request::AccountShow { address } => self.show(&address),
            Request::AccountAdd { address, password } => {
                let (password, now) = (password.into_password(), Timestamp::from_system(SystemTime::now()));
                self.change(&address, move |store, address| accounts::add(store, address, &password, now)).await
            }
            Request::AccountSetPassword { address, password } => {
                let password = password.into_password();
                self.change(&address, move |store, address| accounts::set_password(store, address, &password)).await
            }
            Request::AccountRemove { address } => self.remove(&address).await,
            Request::Trust { request } => return self.trust(request).await,
            Request::ModemStatus => Ok(match &self.modem {
                Some(modem) => Reply::Modem { modem: Box::new(modem.status()) },
                None => no_modem(),
            }),
            Request::ModemUssd { code } => Ok(self.ussd(&code).await),
            Request::Backup => return Reply::Refused { reason: "a backup has an answer of its own".to_owned() },
        };
        outcome.unwrap_or_else(|fault| Reply::Refused { reason: fault.to_string() })
    }

    /// Durable before the operator is told; and whoever must go is told first.
    async fn trust(&self, request: TrustRequest) -> Reply {
        let Some(trust) = self.trust.clone() else {
            return Reply::Refused { reason: "this node's key is of a kind that other nodes cannot read".to_owned() };
        };
        let (office, now) = (trust.clone(), Timestamp::from_system(SystemTime::now()));
        let (reply, outcome) = match work(move || office.act(request, now)).await {
            Ok(done) => done,
            Err(fault) => return Reply::Refused { reason: fault.to_string() },
        };
        if let Some(ticket) = outcome.ticket
            && let Err(error) = self.store.commit(ticket).await
        {
            return Reply::Refused { reason: error.to_string() };
        }
        trust.send_away(&self.inbox, outcome.farewells).await;
        Reply::Trust { reply }
    }

    fn show(&self, address: &str) -> Result<Reply, AccountFault> {
        let address = self.address(address)?;
        accounts::show(&self.store, &address).map(|account| Reply::Accounts { accounts: vec![account] })
    }

    /// Does it, on another thread, and answers when it is durable.
    async fn change(
        &self,
        address: &str,
        act: impl FnOnce(&Store, &BareJid) -> Result<Ticket, AccountFault> + Send + 'static,
    ) -> Result<Reply, AccountFault> {
        let address = self.address(address)?;
        let store = self.store.clone();
        let ticket = work(move || act(&store, &address)).await?;
        self.store.commit(ticket).await?;
        Ok(Reply::Done)
    }

    async fn remove(&self, address: &str) -> Result<Reply, AccountFault> {
        let address = self.address(address)?;
        let (departed, ticket) = accounts::remove(&self.store, &address)?;
        self.store.commit(ticket).await?;
        self.inbox.account_ended(address, departed.farewells).await;
        Ok(Reply::Done)
    }

    async fn ussd(&self, code: &Secret) -> Reply {
        let Some(modem) = &self.modem else { return no_modem() };
        match modem.ussd(code.as_str()).await {
            Ok(text) => Reply::Ussd { text: Secret::new(text.as_str().to_owned()) },
            Err(error) => Reply::Refused { reason: error.to_string() },
        }
    }

    fn address(&self, text: &str) -> Result<BareJid, AccountFault> {
        let address = text.parse().map_err(AccountFault::Address)?;
        accounts::check_address(&address, &self.domain)?;
        Ok(address)
    }

    async fn status(&self) -> Reply {
        let store = self.store.clone();
        let stats = match work(move || store.stats()).await {
            Ok(stats) => stats,
            Err(error) => return Reply::Refused { reason: error.to_string() },
        };
        Reply::Status(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            domain: self.domain.to_string(),
            key: self.key.to_string(),
            uptime_secs: self.begun.elapsed().as_secs(),
            sessions: u64::try_from(self.inbox.sessions().await).unwrap_or(u64::MAX),
            accounts: stats.accounts,
            offline_messages: stats.offline_messages,
            store_bytes: stats.bytes_on_disk,
            damaged_records: stats.damaged_records,
            store_broken: stats.broken,
            alarms: self.watch.troubles(),
            // Addresses that nobody guesses are for who asks for them.
            sms: SmsStatus::of(&self.courier, &[]),
            modem: self.modem.as_ref().map(|modem| Box::new(modem.status())),
        })
    }
}

async fn say(mut stream: &Async<UnixStream>, reply: &Reply) -> io::Result<()> {
    let mut text = serde_json::to_string(reply)?;
    text.push('\n');
    let written = stream.write_all(text.as_bytes()).await;
    // It may hold the words for paper.
    zeroize::Zeroize::zeroize(&mut text);
    written
}

fn no_modem() -> Reply {
    let reason = "this node has no modem (remedy: via = \"modem\" in the section [sms] of its configuration)";
    Reply::Refused { reason: reason.to_owned() }
}

/// A command is short; but a modem may be busy for a minute before it gets to one, and the network takes its time.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(150);
