//! `log-level`.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::node::control::Request;

use super::{ask_node, data_dir, out};

/// Change what the running node logs, until it is started again or its configuration is read again. A level is off, error, warn,
/// info, debug or trace; a room of the node can have one of its own. No level shows telephone numbers, codes or messages.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "log-level",
    example = "{command_name} debug",
    example = "Everything about other servers, little else:\n  {command_name} warn,s2s=trace",
    error_code(1, "there is no such level"),
    error_code(69, "no node runs")
)]
pub(super) struct LogLevel {
    /// the level, or levels with commas between them
    #[argh(positional)]
    levels: String,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &LogLevel) -> ExitCode {
    let request = Request::LogLevel { levels: arguments.levels.clone() };
    let asked = data_dir(arguments.data.as_ref(), arguments.config.as_ref()).and_then(|data| ask_node(&data, request));
    match asked {
        Ok(_) => {
            out("Done.");
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
