//! Backups and copies of the store: from the running node through its socket, else from the data directory itself.
//!
//! The node sends the archive as fast as it is taken and holds a few pieces of it, so whoever takes it slowly costs nobody
//! anything. It is encrypted by whoever asked, who has the passphrase: the node never sees it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use smol::channel::{Sender, bounded};
use smol::future::{self, FutureExt};
use smol::io::AsyncWriteExt;
use smol::{Async, Timer};

use super::client::{ANSWER_TIMEOUT, domain_of, is_absent};
use super::{ControlFault, Reply, Request, connect};
use crate::backup::{self, BackupFault, FORMAT, Manifest, Progress, Scratch, Summary, scratch_dir};
use crate::jid::BareJid;
use crate::node::read_server_key;
use crate::pgp::Fingerprint;
use crate::stanza::Timestamp;
use crate::store::{Store, schema_version};

/// A backup that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// What it holds.
    pub summary: Summary,
    /// A running node gave it.
    pub running: bool,
}

/// A copy of a node's store, to look at and to throw away.
pub struct StoreCopy {
    // First: a store is closed before its directory goes.
    /// The copy.
    pub store: Store,
    /// A running node gave it.
    pub running: bool,
    _dir: Scratch,
}

/// Writes the archive of the node whose data lie there to `out`.
///
/// Errors: those of `out` come as [`BackupFault::Target`] with an empty path.
pub fn back_up(data_dir: &Path, out: &mut dyn Write, progress: &mut Progress<'_>) -> Result<BackedUp, ControlFault> {
    if let Some(mut pieces) = Pieces::ask(data_dir)? {
        let mut buffer = vec![0; PIECE_BYTES];
        let mut bytes = 0;
        loop {
            let count = pieces.read(&mut buffer).map_err(|error| ControlFault::Talk(data_dir.to_owned(), error))?;
            if count == 0 {
                break;
            }
            let written = out.write_all(buffer.get(..count).unwrap_or_default());
            written.map_err(|error| BackupFault::Target(PathBuf::new(), error))?;
            bytes += count as u64;
            progress(bytes);
        }
        return Ok(BackedUp { summary: pieces.summary(data_dir)?, running: true });
    }
    let dir = data_dir.join("store");
    if !dir.exists() {
        return Err(BackupFault::NoData(data_dir.to_owned()).into());
    }
    let key = read_server_key(data_dir).map_err(|fault| ControlFault::Data(fault.to_string()))?;
    let domain = domain_of(data_dir).ok_or_else(|| BackupFault::NoData(data_dir.to_owned()))?;
    let store = Store::open(&dir).map_err(BackupFault::Open)?;
    let manifest = manifest(&domain, key.fingerprint(), Timestamp::from_system(SystemTime::now()));
    let written = backup::write(&store, data_dir, &manifest, out, progress);
    store.close().map_err(BackupFault::Store)?;
    Ok(BackedUp { summary: written?, running: false })
}

/// A copy of the store of the node whose data lie there. The store itself is not touched.
pub fn copy_of_store(data_dir: &Path, progress: &mut Progress<'_>) -> Result<StoreCopy, ControlFault> {
    if let Some(mut pieces) = Pieces::ask(data_dir)? {
        let dir = scratch_dir(data_dir)?;
        let store = dir.unpack(&mut pieces, progress);
        // Where the node gave up, it says why.
        if pieces.ended {
            pieces.summary(data_dir)?;
        }
        return Ok(StoreCopy { store: store?, running: true, _dir: dir });
    }
    if !data_dir.join("store").exists() {
        return Err(BackupFault::NoData(data_dir.to_owned()).into());
    }
    let dir = scratch_dir(data_dir)?;
    Ok(StoreCopy { store: dir.copy_stopped(data_dir, progress)?, running: false, _dir: dir })
}

/// The store of a node that does not run, to be changed, and the node's domain.
pub fn open_stopped(data_dir: &Path) -> Result<(Store, BareJid), ControlFault> {
    let dir = data_dir.join("store");
    let domain = domain_of(data_dir).filter(|_| dir.exists());
    let domain = domain.ok_or_else(|| BackupFault::NoData(data_dir.to_owned()))?;
    Ok((Store::open(&dir).map_err(BackupFault::Open)?, domain))
}

/// Whose data lie there: the domain that the server key names.
pub fn domain(data_dir: &Path) -> Result<BareJid, ControlFault> {
    domain_of(data_dir).ok_or_else(|| BackupFault::NoData(data_dir.to_owned()).into())
}

/// What a backup says of itself.
pub(super) fn manifest(domain: &BareJid, key: Fingerprint, now: Timestamp) -> Manifest {
    Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: schema_version(),
        domain: domain.to_string(),
        key: key.to_string(),
        made: now.to_string(),
    }
}

/// The node's side: makes the archive on a thread of its own and sends it. The inner error is the archive's, to be told to whoever
/// asked; the outer one is the connection's.
pub(super) async fn send(
    stream: &Async<UnixStream>,
    store: Store,
    data_dir: PathBuf,
    manifest: Manifest,
) -> io::Result<Result<Summary, BackupFault>> {
    let (sender, receiver) = bounded::<Vec<u8>>(PIECES_MAX);
    let made = smol::unblock(move || {
        let mut out = PieceWriter { sender, piece: Vec::with_capacity(PIECE_BYTES) };
        let summary = backup::write(&store, &data_dir, &manifest, &mut out, &mut |_| ())?;
        out.flush().map_err(|error| BackupFault::Target(PathBuf::new(), error))?;
        Ok(summary)
    });
    let sent = async move {
        while let Ok(piece) = receiver.recv().await {
            let length = u32::try_from(piece.len()).unwrap_or(u32::MAX).to_be_bytes();
            send_piece(stream, &length).await?;
            send_piece(stream, &piece).await?;
        }
        Ok::<(), io::Error>(())
    };
    // When sending fails, the channel closes, and making ends by itself.
    let (made, sent) = future::zip(made, sent).await;
    sent?;
    send_piece(stream, &0_u32.to_be_bytes()).await?;
    Ok(made)
}

async fn send_piece(mut stream: &Async<UnixStream>, bytes: &[u8]) -> io::Result<()> {
    let stalled = async {
        Timer::after(STALL_TIMEOUT).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    stream.write_all(bytes).or(stalled).await
}

/// Cuts what is written into pieces for the channel.
struct PieceWriter {
    sender: Sender<Vec<u8>>,
    piece: Vec<u8>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.sender.send_blocking(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The asking side: the archive as it comes through the socket.
struct Pieces {
    stream: BufReader<UnixStream>,
    /// Bytes of the present piece not read yet.
    left: usize,
    ended: bool,
}

impl Pieces {
    /// Asks the running node, if there is one.
    fn ask(data_dir: &Path) -> Result<Option<Pieces>, ControlFault> {
        let talk = |error| ControlFault::Talk(data_dir.to_owned(), error);
        let stream = match connect(data_dir) {
            Ok(stream) => stream,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(talk(error)),
        };
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(talk)?;
        let request = serde_json::to_string(&Request::Backup).map_err(|error| talk(error.into()))?;
        writeln!(&stream, "{request}").map_err(talk)?;
        let mut pieces = Pieces { stream: BufReader::new(stream), left: 0, ended: false };
        match pieces.line().map_err(talk)? {
            Reply::Archive => Ok(Some(pieces)),
            Reply::Refused { reason } => Err(ControlFault::Refused(reason)),
            _ => Err(talk(io::ErrorKind::InvalidData.into())),
        }
    }

    /// The last line, behind all pieces.
    fn summary(mut self, data_dir: &Path) -> Result<Summary, ControlFault> {
        match self.line() {
            Ok(Reply::BackedUp { summary }) if self.ended => Ok(summary),
            Ok(Reply::Refused { reason }) => Err(ControlFault::Refused(reason)),
            Ok(_) => Err(ControlFault::Talk(data_dir.to_owned(), io::ErrorKind::InvalidData.into())),
            Err(error) => Err(ControlFault::Talk(data_dir.to_owned(), error)),
        }
    }

    fn line(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        (&mut self.stream).take(LINE_BYTES_MAX).read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it broke off"));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended && !buffer.is_empty() {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            self.ended = self.left == 0;
        }
        let wanted = self.left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.stream.read(buffer.get_mut(..wanted).unwrap_or_default())? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it broke off")),
            count => {
                self.left -= count;
                Ok(count)
            }
        }
    }
}

/// Bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that wait to be taken.
const PIECES_MAX: usize = 4;

/// How long whoever takes a backup may take nothing.
const STALL_TIMEOUT: Duration = Duration::from_secs(600);

const LINE_BYTES_MAX: u64 = 64 * 1024;
