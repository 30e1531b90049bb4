//! `status`.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::config::MODEM;
use kontalk_node::node::control::{self, Reply, Request};

use super::{REFUSED, ask_node, data_dir, out};

/// Say how the running node is.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "status",
    example = "{command_name} --config /etc/kontalk-node/node.toml",
    example = "For a script:\n  {command_name} --json",
    error_code(1, "something is wrong"),
    error_code(69, "no node runs")
)]
pub(super) struct Status {
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

pub(super) fn run(arguments: &Status) -> ExitCode {
    let asked =
        data_dir(arguments.data.as_ref(), arguments.config.as_ref()).and_then(|data| ask_node(&data, Request::Status));
    let status = match asked.map(|asked| asked.reply) {
        Ok(Reply::Status(status)) => status,
        Ok(_) => return ExitCode::from(REFUSED),
        Err(code) => return code,
    };
    if arguments.json {
        out(&serde_json::to_string(&status).unwrap_or_default());
    } else {
        out(&in_words(&status));
    }
    let modem = status.modem.as_ref().and_then(|modem| modem.trouble());
    if status.store_broken || status.damaged_records > 0 || modem.is_some() || !status.alarms.is_empty() {
        ExitCode::from(REFUSED)
    } else {
        ExitCode::SUCCESS
    }
}

fn in_words(status: &control::Status) -> String {
    let modem = status.modem.as_ref().and_then(|modem| modem.trouble());
    let verdict = if let Some(trouble) = modem.filter(|_| !status.store_broken) {
        let others = status.sms.routes.iter().any(|route| !route.name.starts_with(MODEM));
        &if others {
            format!("The modem sends no codes, only other ways do: {trouble}")
        } else {
            format!("No codes can be sent: {trouble}")
        }
    } else if status.store_broken {
        "The store has failed: nothing is kept any more (remedy: see the log, then restart the node)."
    } else if status.damaged_records > 0 {
        "Some records could not be read and were set aside (remedy: see the log; restore a backup if users miss something)."
    } else if !status.alarms.is_empty() {
        "Something needs you."
    } else {
        "All is well."
    };
    let alarms: String = status.alarms.iter().map(|alarm| format!("\n  - {alarm}")).collect();
    let modem =
        status.modem.as_ref().map(|modem| format!("\nmodem             {}", modem.in_short())).unwrap_or_default();
    format!(
        "{verdict}{alarms}\n\
         domain            {}\n\
         server key        {}\n\
         version           {}\n\
         running for       {}\n\
         sessions          {}\n\
         accounts          {}\n\
         waiting messages  {}\n\
         store             {:.1} MiB{modem}\n\
         {}",
        status.domain,
        status.key,
        status.version,
        duration(status.uptime_secs),
        status.sessions,
        status.accounts,
        status.offline_messages,
        status.store_bytes as f64 / 1_048_576.0,
        super::sms::in_words(&status.sms)
    )
}

fn duration(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_two_words_at_most() {
        for (secs, text) in [(5, "5 s"), (125, "2 min"), (7_300, "2 h 1 min"), (200_000, "2 d 7 h")] {
            assert_eq!(duration(secs), text);
        }
    }
}
