//! `key`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::node::read_server_key;

use super::{REFUSED, complain, data_dir, out};

/// Show the server's OpenPGP key. The node need not run.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "key",
    example = "{command_name} fingerprint",
    example = "Give the public key to GnuPG:\n  {command_name} export | gpg --import"
)]
pub(super) struct Key {
    #[argh(subcommand)]
    command: KeyCommand,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum KeyCommand {
    Fingerprint(Fingerprint),
    Export(Export),
}

/// Print the fingerprint of the server key: the node's name in the network.
#[derive(FromArgs)]
#[argh(subcommand, name = "fingerprint", example = "{command_name} --config /etc/kontalk-node/node.toml")]
struct Fingerprint {
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Write the public half of the server key to standard output, binary as it is certified with; secret parts never leave.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "export",
    example = "Give it to GnuPG:\n  {command_name} | gpg --import",
    example = "For a web page:\n  {command_name} --armor > node.asc"
)]
struct Export {
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
    /// write ASCII armor
    #[argh(switch)]
    armor: bool,
}

pub(super) fn run(arguments: &Key) -> ExitCode {
    let (data, config) = match &arguments.command {
        KeyCommand::Fingerprint(f) => (&f.data, &f.config),
        KeyCommand::Export(e) => (&e.data, &e.config),
    };
    let data = match data_dir(data.as_ref(), config.as_ref()) {
        Ok(data) => data,
        Err(code) => return code,
    };
    let key = match read_server_key(&data) {
        Ok(key) => key,
        Err(fault) => {
            complain(&fault.to_string());
            return ExitCode::from(REFUSED);
        }
    };
    match &arguments.command {
        KeyCommand::Fingerprint(_) => out(&key.fingerprint().to_string()),
        KeyCommand::Export(Export { armor: true, .. }) => out(key.armored_public_ring().trim_end()),
        KeyCommand::Export(_) => {
            if let Err(error) = std::io::stdout().write_all(key.public_ring()) {
                complain(&format!("the key was not written: {error}"));
                return ExitCode::from(REFUSED);
            }
        }
    }
    ExitCode::SUCCESS
}
