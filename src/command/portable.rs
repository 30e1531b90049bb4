//! `export` and `import`.

use std::fs;
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use argh::FromArgs;
use kontalk_node::backup::{BackupFault, NewFile};
use kontalk_node::jid::BareJid;
use kontalk_node::node::control::{self, copy_of_store, open_stopped};
use kontalk_node::node::random_bytes;
use kontalk_node::portable::{self, Exported, Imported, PortableFault};
use kontalk_node::stanza::Timestamp;

use super::progress::{Progress, Unit};
use super::{REFUSED, complain, data_dir, out};

/// Write all accounts with what is theirs in the format that other servers read (XEP-0227): for the day on which a community
/// outgrows this machine. The node may run; the export is of one moment.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "export",
    example = "For ejabberd:\n  {command_name} --ejabberd --to everybody.xml\n  ejabberdctl import_piefxis /absolute/path/of/everybody.xml",
    example = "For Prosody, a file for each user, which `prosody-migrator --keep-going` reads as a store of type xep0227:\n  {command_name} --each --to users/",
    note = "The files hold what people wrote to each other, and what their passwords can be guessed from: keep them like the data itself.",
    note = "A Kontalk app logs in with its key, which only a Kontalk node understands; elsewhere its user needs a password.",
    error_code(1, "nothing, or not all, was exported; the reason is printed")
)]
pub(super) struct Export {
    /// the file to write, or - for standard output; with --each the directory to make
    #[argh(option)]
    to: PathBuf,
    /// write a file for each user
    #[argh(switch)]
    each: bool,
    /// write what is kept of passwords as ejabberd reads it, which is not as the specification has it
    #[argh(switch)]
    ejabberd: bool,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Take in accounts from files of XEP-0227, as this program, ejabberd and Prosody export them. The node must not run. What is there
/// already stays as it is, so importing twice does no harm; what could not be taken in is told, a line each.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "import",
    example = "{command_name} everybody.xml --config /etc/kontalk-node/node.toml",
    example = "All files of a directory:\n  {command_name} users/",
    error_code(1, "nothing, or not all, was imported; the reason is printed")
)]
pub(super) struct Import {
    /// files, or directories of files that end in .xml
    #[argh(positional)]
    files: Vec<PathBuf>,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

pub(super) fn export(arguments: &Export) -> ExitCode {
    let exported = data_dir(arguments.data.as_ref(), arguments.config.as_ref()).and_then(|data| {
        let to_stdout = arguments.to == Path::new("-");
        if to_stdout && (arguments.each || std::io::stdout().is_terminal()) {
            complain("an export is not for the terminal, and files for each user need a directory (remedy: --to NAME)");
            return Err(ExitCode::from(REFUSED));
        }
        let domain = control::domain(&data).map_err(|fault| refuse(&fault))?;
        // What takes the export is there before the work begins.
        let target = match (to_stdout, arguments.each) {
            (true, _) => Target::Stdout,
            (false, true) => Target::Dir(new_dir(&arguments.to).map_err(|fault| refuse(&fault))?),
            (false, false) => Target::File(NewFile::begin(&arguments.to).map_err(|fault| refuse(&fault))?),
        };
        let mut copying = Progress::new("copying", Unit::Bytes);
        let mut copy = copy_of_store(&data, &mut |bytes| copying.tell(bytes)).map_err(|fault| refuse(&fault))?;
        let export = portable::Export::new(&mut copy.store, &domain).for_ejabberd(arguments.ejabberd);
        write(export, target).map_err(|fault| refuse(&fault))
    });
    match exported {
        Ok(done) => {
            complain(&in_words(&done));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

enum Target {
    Stdout,
    File(NewFile),
    Dir(PathBuf),
}

fn write(export: portable::Export<'_>, target: Target) -> Result<Exported, PortableFault> {
    let mut progress = Progress::new("export", Unit::Things("accounts"));
    let mut progress = |accounts| progress.tell(accounts);
    match target {
        Target::Stdout => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            let done = export.all(&mut out, &mut progress)?;
            out.flush()?;
            Ok(done)
        }
        Target::File(file) => {
            let mut out = BufWriter::new(file);
            let done = export.all(&mut out, &mut progress)?;
            finish(out)?;
            Ok(done)
        }
        Target::Dir(dir) => {
            let open = |address: &BareJid| {
                let file = NewFile::begin(&dir.join(format!("{address}.xml"))).map_err(written)?;
                Ok(BufWriter::new(file))
            };
            export.each(open, finish, &mut progress)
        }
    }
}

fn finish(out: BufWriter<NewFile>) -> Result<(), PortableFault> {
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.keep().map_err(written)
}

fn written(fault: BackupFault) -> PortableFault {
    PortableFault::Write(match fault {
        BackupFault::Target(_, error) => error,
        other => std::io::Error::other(other.to_string()),
    })
}

/// A directory that is made, or empty.
fn new_dir(path: &Path) -> Result<PathBuf, BackupFault> {
    let fault = |error| BackupFault::Target(path.to_owned(), error);
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(BackupFault::Exists(path.to_owned()));
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault)?;
    Ok(path.to_owned())
}

fn in_words(done: &Exported) -> String {
    let mut text = format!(
        "{} accounts, {} waiting messages, {} archived messages, {} items of nodes",
        done.accounts, done.waiting, done.archived, done.items
    );
    if done.without_password > 0 {
        text.push_str(&format!(
            "\n{} accounts have no password: on another server their users need one (remedy: kontalk-node account set-password)",
            done.without_password
        ));
    }
    text
}

pub(super) fn import(arguments: &Import) -> ExitCode {
    let imported = data_dir(arguments.data.as_ref(), arguments.config.as_ref()).and_then(|data| {
        let files = files(&arguments.files)?;
        let (mut store, domain) = open_stopped(&data).map_err(|fault| refuse(&fault))?;
        let now = Timestamp::from_system(SystemTime::now());
        let mut progress = Progress::new("import", Unit::Things("accounts"));
        let done = portable::import(
            &mut store,
            &domain,
            &files,
            now,
            &mut random_bytes,
            &mut |line| complain(&line),
            &mut |accounts| progress.tell(accounts),
        );
        store.close().map_err(|fault| refuse(&fault))?;
        done.map_err(|fault| refuse(&fault))
    });
    match imported {
        Ok(done) => {
            report(&done);
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// The files that were named, and those in the directories that were.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, ExitCode> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|error| refuse(&BackupFault::Source(path.clone(), error)))?;
        let mut found: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        found.retain(|path| path.extension().is_some_and(|ending| ending == "xml") && path.is_file());
        found.sort();
        files.extend(found);
    }
    if files.is_empty() {
        complain("there is nothing to import (remedy: name files, or directories that hold files ending in .xml)");
        return Err(ExitCode::from(REFUSED));
    }
    Ok(files)
}

fn report(done: &Imported) {
    out(&format!(
        "accounts           {} made, {} known\n\
         contacts           {}\n\
         waiting messages   {}\n\
         archived messages  {}\n\
         items              {}\n\
         known already      {}\n\
         told above         {}",
        done.accounts,
        done.known_accounts,
        done.contacts,
        done.waiting,
        done.archived,
        done.items,
        done.known,
        done.conflicts
    ));
    if done.incomplete_passwords > 0 {
        out(&format!(
            "{} passwords are not known for all ways to log in (remedy: kontalk-node account set-password, for users who cannot log in)",
            done.incomplete_passwords
        ));
    }
    for (name, count) in &done.unknown {
        out(&format!("passed over: {count} x {name}"));
    }
}

fn refuse(fault: &dyn std::fmt::Display) -> ExitCode {
    complain(&fault.to_string());
    ExitCode::from(REFUSED)
}
