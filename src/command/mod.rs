//! The subcommands, a file each. Exit codes: 0 done, 1 refused or failed, 2 not understood, 69 no node runs, 78 configuration.

mod account;
mod backup;
mod doctor;
mod key;
mod log_level;
mod modem;
mod node;
mod portable;
mod progress;
mod secret;
mod serve;
mod setup;
mod sms;
mod status;
mod trust;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::{EarlyExit, FromArgs};
use kontalk_node::config::{self, Config};
use kontalk_node::node::control::{Asked, ControlFault, Reply, Request, ask};

/// A Kontalk node: an XMPP server that registers telephone numbers and certifies OpenPGP keys. Without a command it serves;
/// without a configuration it is a trial node for this machine.
#[derive(FromArgs)]
#[argh(
    example = "Try it out, everything in ./kontalk-data:\n  {command_name}",
    example = "Configure a node for others, question by question:\n  sudo {command_name} setup",
    example = "Serve as configured:\n  {command_name} serve --config /etc/kontalk-node/node.toml",
    example = "Make an account with a password:\n  {command_name} account add alice@localhost",
    note = "Each command explains itself: {command_name} COMMAND --help",
    error_code(1, "the command was refused or failed; the reason is printed"),
    error_code(2, "the arguments were not understood"),
    error_code(69, "no node runs on the data directory"),
    error_code(78, "the configuration has problems; all of them are printed")
)]
struct Arguments {
    /// print the version and exit
    #[argh(switch)]
    version: bool,
    #[argh(subcommand)]
    command: Option<Subcommand>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant)] // Parsed once.
enum Subcommand {
    Serve(serve::Serve),
    CheckConfig(serve::CheckConfig),
    SampleConfig(serve::SampleConfig),
    Setup(setup::Setup),
    Doctor(doctor::Doctor),
    Status(status::Status),
    LogLevel(log_level::LogLevel),
    Account(account::Account),
    Key(key::Key),
    Backup(backup::Backup),
    Restore(backup::Restore),
    VerifyData(verify::VerifyData),
    Export(portable::Export),
    Import(portable::Import),
    Trust(trust::Trust),
    Node(node::Node),
    Modem(modem::Modem),
    Sms(sms::Sms),
    Version(Version),
}

/// Print the version.
#[derive(FromArgs)]
#[argh(subcommand, name = "version", example = "{command_name}")]
struct Version {}

/// Runs what the arguments say.
pub fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let parsed = match Arguments::from_args(&[NAME], &words) {
        Ok(parsed) => parsed,
        Err(EarlyExit { output, status: Ok(()) }) => {
            out(output.trim_end());
            return ExitCode::SUCCESS;
        }
        Err(EarlyExit { output, status: Err(()) }) => {
            complain(output.trim_end());
            return ExitCode::from(NOT_UNDERSTOOD);
        }
    };
    if parsed.version {
        return version();
    }
    match parsed.command {
        None => serve::run(&serve::Serve { config: None }),
        Some(Subcommand::Serve(serve)) => serve::run(&serve),
        Some(Subcommand::CheckConfig(check)) => serve::check(&check),
        Some(Subcommand::SampleConfig(_)) => {
            out(config::SAMPLE.trim_end());
            ExitCode::SUCCESS
        }
        Some(Subcommand::Setup(setup)) => setup::run(&setup),
        Some(Subcommand::Doctor(doctor)) => doctor::run(&doctor),
        Some(Subcommand::Status(status)) => status::run(&status),
        Some(Subcommand::LogLevel(level)) => log_level::run(&level),
        Some(Subcommand::Account(account)) => account::run(account),
        Some(Subcommand::Key(key)) => key::run(&key),
        Some(Subcommand::Backup(backup)) => backup::back_up(&backup),
        Some(Subcommand::Restore(restore)) => backup::restore(&restore),
        Some(Subcommand::VerifyData(verify)) => verify::run(&verify),
        Some(Subcommand::Export(export)) => portable::export(&export),
        Some(Subcommand::Import(import)) => portable::import(&import),
        Some(Subcommand::Trust(trust)) => trust::run(trust),
        Some(Subcommand::Node(node)) => node::run(node),
        Some(Subcommand::Modem(modem)) => modem::run(modem),
        Some(Subcommand::Sms(sms)) => sms::run(sms),
        Some(Subcommand::Version(_)) => version(),
    }
}

fn version() -> ExitCode {
    out(&format!("{NAME} {}", env!("CARGO_PKG_VERSION")));
    ExitCode::SUCCESS
}

/// Where the data lie: as told, as configured, or the trial node's.
fn data_dir(data: Option<&PathBuf>, config: Option<&PathBuf>) -> Result<PathBuf, ExitCode> {
    match (data, config) {
        (Some(data), _) => Ok(data.clone()),
        (None, Some(path)) => read_config(path).map(|config| config.data_dir),
        (None, None) => Ok(Config::trial().data_dir),
    }
}

fn read_config(path: &Path) -> Result<Config, ExitCode> {
    config::read(path).map_err(|problems| {
        complain(config::report(&problems).trim_end());
        ExitCode::from(BAD_CONFIG)
    })
}

/// Asks the node. What is refused is printed here.
fn ask_node(data: &Path, request: Request) -> Result<Asked, ExitCode> {
    match ask(data, request) {
        Ok(Asked { reply: Reply::Refused { reason }, .. }) => {
            complain(&reason);
            Err(ExitCode::from(REFUSED))
        }
        Ok(asked) => Ok(asked),
        Err(fault) => {
            complain(&fault.to_string());
            Err(ExitCode::from(match fault {
                ControlFault::NotRunning(_) => NOT_RUNNING,
                _ => REFUSED,
            }))
        }
    }
}

/// To standard output. A reader that went away is no reason to complain.
fn out(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

const NAME: &str = env!("CARGO_PKG_NAME");
const REFUSED: u8 = 1;
const NOT_UNDERSTOOD: u8 = 2;
const NOT_RUNNING: u8 = 69;
const BAD_CONFIG: u8 = 78;
