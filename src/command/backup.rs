//! `backup` and `restore`.

use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use argh::FromArgs;
use kontalk_node::age::{Fresh, Opener, PASSPHRASE_CHARS_MIN, Passphrase, Sealer, WORK};
use kontalk_node::backup::{self, BackupFault, NewFile, Summary};
use kontalk_node::node::control::{self, BackedUp, ControlFault};
use kontalk_node::node::random_bytes;
use kontalk_node::stanza::Timestamp;

use super::progress::{Progress, Unit, in_words};
use super::secret::{can_ask, secret};
use super::{REFUSED, complain, data_dir, out};

/// Write all that the node is into one encrypted file: accounts, messages, uploads and keys, as of one moment, while it runs. The
/// file is in the format of age: without this program, `age -d FILE | tar x` opens it.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "backup",
    example = "Into the present directory, asking for the passphrase:\n  {command_name} --config /etc/kontalk-node/node.toml",
    example = "From a timer:\n  {command_name} --to /media/stick --passphrase-file /root/backup-passphrase",
    example = "To another machine:\n  {command_name} --to - --passphrase-file pass | ssh box 'cat > node.age'",
    note = "Whoever has the file and the passphrase has the node. Who has lost the passphrase has lost the backup: write it down.",
    error_code(1, "there is no backup; the reason is printed, and nothing is left behind")
)]
pub(super) struct Backup {
    /// the file to write, a directory to write it in, or - for standard output (default: the present directory)
    #[argh(option)]
    to: Option<PathBuf>,
    /// read the passphrase from the first line of this file, - for standard input; without it the terminal is asked
    #[argh(option)]
    passphrase_file: Option<PathBuf>,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Make a data directory from a backup. It must not exist yet, or be empty; all of the backup is read and judged before it gets
/// its name.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "restore",
    example = "{command_name} node.age --data /var/lib/kontalk-node",
    example = "From another machine:\n  ssh box cat node.age | {command_name} /dev/stdin --passphrase-file pass --data ./kontalk-data",
    note = "An empty directory that is there already keeps its owner. Start the node on one machine only: two of the same key harm each other.",
    error_code(1, "nothing was restored; the reason is printed, and nothing is left behind")
)]
pub(super) struct Restore {
    /// the backup, /dev/stdin for a pipe
    #[argh(positional)]
    file: PathBuf,
    /// read the passphrase from the first line of this file; without it the terminal is asked
    #[argh(option)]
    passphrase_file: Option<PathBuf>,
    /// the data directory to make
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

pub(super) fn back_up(arguments: &Backup) -> ExitCode {
    let done = data_dir(arguments.data.as_ref(), arguments.config.as_ref()).and_then(|data| {
        let to = arguments.to.clone().unwrap_or_else(|| PathBuf::from("."));
        if to == Path::new("-") {
            if std::io::stdout().is_terminal() {
                complain("a backup is not for the terminal (remedy: --to FILE, or a pipe behind --to -)");
                return Err(ExitCode::from(REFUSED));
            }
            let passphrase = new_passphrase(arguments.passphrase_file.as_deref())?;
            let written = sealed(&data, std::io::stdout().lock(), Path::new("standard output"), &passphrase);
            return written.map(|(done, _)| (done, "standard output".to_owned()));
        }
        let path = if to.is_dir() { to.join(file_name()) } else { to };
        let file = NewFile::begin(&path).map_err(|fault| refuse(&fault))?;
        let passphrase = new_passphrase(arguments.passphrase_file.as_deref())?;
        let (done, file) = sealed(&data, file, &path, &passphrase)?;
        file.keep().map_err(|fault| refuse(&fault))?;
        Ok((done, path.display().to_string()))
    });
    match done {
        Ok((BackedUp { summary, running }, place)) => {
            let from = if running { "the running node" } else { "the data, which no node is using" };
            complain(&format!("{place}: a backup of {from}: {}", amount(&summary)));
            if summary.left_out > 0 {
                complain(&format!(
                    "{} things in the data directory are neither files nor directories and were left out (remedy: back up what links point to yourself)",
                    summary.left_out
                ));
            }
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

pub(super) fn restore(arguments: &Restore) -> ExitCode {
    let restored = data_dir(arguments.data.as_ref(), arguments.config.as_ref()).and_then(|data| {
        let passphrase_file = arguments.passphrase_file.as_deref();
        let from_pipe = arguments.file == Path::new("/dev/stdin");
        if from_pipe && (passphrase_file.is_none() || passphrase_file == Some(Path::new("-"))) {
            complain("standard input holds the backup (remedy: --passphrase-file FILE)");
            return Err(ExitCode::from(REFUSED));
        }
        let opened = File::open(&arguments.file);
        let input = opened.map_err(|error| refuse(&BackupFault::Source(arguments.file.clone(), error)))?;
        let passphrase = Passphrase::new(secret("Passphrase of the backup: ", passphrase_file)?);
        let opened = Opener::begin(BufReader::with_capacity(BUFFER_BYTES, input), &passphrase);
        let opener = opened.map_err(|error| {
            refuse(&match kontalk_node::age::AgeError::of(&error) {
                Some(fault) => BackupFault::Age(fault.clone()),
                None => BackupFault::Source(arguments.file.clone(), error),
            })
        })?;
        let mut progress = Progress::new("restoring", Unit::Bytes);
        let now = Timestamp::from_system(SystemTime::now());
        let restored = backup::restore(opener, &data, now, &mut |bytes| progress.tell(bytes));
        restored.map(|restored| (restored, data)).map_err(|fault| refuse(&fault))
    });
    let (restored, data) = match restored {
        Ok(restored) => restored,
        Err(code) => return code,
    };
    let damaged: u64 = restored.verified.trees.iter().map(|tree| tree.damaged).sum();
    out(&format!(
        "{}: restored {} as of {}: {}\nserver key {}",
        data.display(),
        restored.manifest.domain,
        restored.manifest.made,
        amount(&restored.summary),
        restored.manifest.key
    ));
    let root = rustix::process::geteuid().is_root();
    if root && std::fs::metadata(&data).is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0) {
        complain(&format!(
            "it belongs to root (remedy, if another user runs the node: chown -R kontalk-node: {})",
            data.display()
        ));
    }
    if damaged > 0 {
        complain(&format!(
            "{damaged} records were damaged already when the backup was made; the node will set them aside (remedy: see whether an older backup has them)"
        ));
    }
    ExitCode::SUCCESS
}

/// Encrypts the archive into `target`; gives that back, not yet flushed to the disk.
fn sealed<W: Write>(data: &Path, target: W, name: &Path, passphrase: &Passphrase) -> Result<(BackedUp, W), ExitCode> {
    let fault = |error| refuse(&BackupFault::Target(name.to_owned(), error));
    let fresh = Fresh { file_key: random_bytes(), salt: random_bytes(), nonce: random_bytes() };
    let target = BufWriter::with_capacity(BUFFER_BYTES, target);
    let mut sealer = Sealer::begin(target, passphrase, &fresh, WORK).map_err(fault)?;
    let mut progress = Progress::new("backup", Unit::Bytes);
    let done = control::back_up(data, &mut sealer, &mut |bytes| progress.tell(bytes));
    let done = done.map_err(|error| match error {
        ControlFault::Backup(BackupFault::Target(_, error)) => fault(error),
        other => refuse(&other),
    })?;
    let target = sealer.finish().and_then(|target| target.into_inner().map_err(std::io::IntoInnerError::into_error));
    let mut target = target.map_err(fault)?;
    target.flush().map_err(fault)?;
    Ok((done, target))
}

/// From a file, or typed twice.
fn new_passphrase(file: Option<&Path>) -> Result<Passphrase, ExitCode> {
    let passphrase = Passphrase::new(secret("Passphrase for the backup: ", file)?);
    if !passphrase.is_long_enough() {
        complain(&format!(
            "the passphrase is too short: a stolen backup could be opened (remedy: at least {PASSPHRASE_CHARS_MIN} characters, such as four or five words)"
        ));
        return Err(ExitCode::from(REFUSED));
    }
    if file.is_none() && can_ask() && !passphrase.is_same(&Passphrase::new(secret("Once more: ", None)?)) {
        complain("the two are not the same (remedy: try again)");
        return Err(ExitCode::from(REFUSED));
    }
    Ok(passphrase)
}

fn amount(summary: &Summary) -> String {
    format!("{} records, {} files, {}", summary.records, summary.files, in_words(summary.bytes, Unit::Bytes))
}

/// `kontalk-node-20261007-120000.age`, in UTC.
fn file_name() -> String {
    let now = Timestamp::from_system(SystemTime::now()).to_string();
    let digits: String = now.chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
    format!("kontalk-node-{}.age", digits.replace('T', "-"))
}

fn refuse(fault: &dyn std::fmt::Display) -> ExitCode {
    complain(&fault.to_string());
    ExitCode::from(REFUSED)
}

const BUFFER_BYTES: usize = 128 * 1024;
