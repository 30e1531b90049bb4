//! `modem`.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::node::control::{Reply, Request, Secret};

use super::{REFUSED, ask_node, complain, data_dir, out};

/// See how the running node's modem is, and ask its network for the balance.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "modem",
    example = "{command_name} status",
    example = "Ask for the balance, with your operator's code:\n  {command_name} ussd '*100#'"
)]
pub(super) struct Modem {
    #[argh(subcommand)]
    command: ModemCommand,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum ModemCommand {
    Status(Status),
    Ussd(Ussd),
}

/// Say what the modem does, which network it is in, and what went wrong last with what to do about it.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "status",
    example = "{command_name} --config /etc/kontalk-node/node.toml",
    example = "For a script:\n  {command_name} --json",
    error_code(1, "no text message can be sent now, or the node has no modem"),
    error_code(69, "no node runs")
)]
struct Status {
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
    /// print JSON
    #[argh(switch)]
    json: bool,
}

/// Send a USSD code through the modem and print what the network answers. The SIM's operator says which codes there are.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "ussd",
    example = "{command_name} '*100#'",
    example = "For a script:\n  {command_name} '*100#' --json",
    error_code(1, "the modem or its network does not do it"),
    error_code(69, "no node runs")
)]
struct Ussd {
    /// the code: digits, * and #
    #[argh(positional)]
    code: String,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
    /// print JSON
    #[argh(switch)]
    json: bool,
}

pub(super) fn run(arguments: Modem) -> ExitCode {
    let outcome = match arguments.command {
        ModemCommand::Status(arguments) => status(&arguments),
        ModemCommand::Ussd(arguments) => ussd(arguments),
    };
    outcome.unwrap_or_else(|code| code)
}

fn status(arguments: &Status) -> Result<ExitCode, ExitCode> {
    let data = data_dir(arguments.data.as_ref(), arguments.config.as_ref())?;
    let Reply::Modem { modem } = ask_node(&data, Request::ModemStatus)?.reply else {
        return Err(ExitCode::from(REFUSED));
    };
    if arguments.json {
        out(&serde_json::to_string(&modem).unwrap_or_default());
    } else {
        out(modem.to_string().trim_end());
    }
    Ok(if modem.trouble().is_some() { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

fn ussd(arguments: Ussd) -> Result<ExitCode, ExitCode> {
    let data = data_dir(arguments.data.as_ref(), arguments.config.as_ref())?;
    let Reply::Ussd { text } = ask_node(&data, Request::ModemUssd { code: Secret::new(arguments.code) })?.reply else {
        return Err(ExitCode::from(REFUSED));
    };
    if arguments.json {
        out(&serde_json::json!({ "answer": text.as_str() }).to_string());
    } else if text.as_str().is_empty() {
        complain("the network took the code and said nothing");
    } else {
        // The network may say anything; the terminal shall not obey it.
        out(&text.as_str().replace(|c: char| c.is_control() && c != '\n', " "));
    }
    Ok(ExitCode::SUCCESS)
}
