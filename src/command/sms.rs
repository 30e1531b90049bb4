//! `sms`.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::node::control::{Reply, Request, RouteStatus, Secret, SmsStatus, SmsTried};

use super::{REFUSED, ask_node, data_dir, out};

/// See how codes go out, and try whether one does.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "sms",
    example = "{command_name} status",
    example = "Send a message to your own telephone:\n  {command_name} test +12025550123",
    error_code(69, "no node runs")
)]
pub(super) struct Sms {
    #[argh(subcommand)]
    command: SmsCommand,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum SmsCommand {
    Test(Test),
    Status(Status),
}

/// Send a message like those with codes, but with a code that is good for nothing. Countries and budgets of all numbers do not count.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "test",
    example = "{command_name} +12025550123",
    example = "By one way alone:\n  {command_name} +12025550123 --route terminal",
    error_code(1, "it was not sent"),
    error_code(69, "no node runs")
)]
struct Test {
    /// the telephone number with + and country code
    #[argh(positional)]
    number: String,
    /// the name of the way, as in sms.routes; without it they are tried in order
    #[argh(option)]
    route: Option<String>,
    /// print JSON
    #[argh(switch)]
    json: bool,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Say for each way what it sent today, how much of it was used, and what it may still send.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "status",
    example = "{command_name} --config /etc/kontalk-node/node.toml",
    example = "For a script:\n  {command_name} --json",
    error_code(69, "no node runs")
)]
struct Status {
    /// print JSON
    #[argh(switch)]
    json: bool,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: Sms) -> ExitCode {
    let outcome = match arguments.command {
        SmsCommand::Test(arguments) => test(arguments),
        SmsCommand::Status(arguments) => status(&arguments),
    };
    outcome.unwrap_or_else(|code| code)
}

fn test(arguments: Test) -> Result<ExitCode, ExitCode> {
    let data = data_dir(arguments.data.as_ref(), arguments.config.as_ref())?;
    let request = Request::SmsTest { number: Secret::new(arguments.number), route: arguments.route };
    let Reply::SmsTested { tried } = ask_node(&data, request)?.reply else { return Err(ExitCode::from(REFUSED)) };
    if arguments.json {
        out(&serde_json::to_string(&tried).unwrap_or_default());
    } else {
        tried.iter().for_each(|tried| out(&tried_in_words(tried)));
    }
    let sent = tried.iter().any(|tried| tried.sent != Some(false));
    Ok(if sent { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn status(arguments: &Status) -> Result<ExitCode, ExitCode> {
    let data = data_dir(arguments.data.as_ref(), arguments.config.as_ref())?;
    let Reply::Sms(status) = ask_node(&data, Request::SmsStatus)?.reply else { return Err(ExitCode::from(REFUSED)) };
    if arguments.json {
        out(&serde_json::to_string(&status).unwrap_or_default());
    } else {
        out(&in_words(&status));
    }
    Ok(ExitCode::SUCCESS)
}

fn tried_in_words(tried: &SmsTried) -> String {
    let reason = tried.reason.as_deref().unwrap_or_default();
    match tried.sent {
        Some(true) => format!("{}: sent; it should arrive within a minute", tried.route),
        Some(false) | None => format!("{}: {reason}", tried.route),
    }
}

/// A line for each way and one for all; also part of `status`.
pub(super) fn in_words(status: &SmsStatus) -> String {
    let mut lines: Vec<String> = status.routes.iter().map(route_in_words).collect();
    let abroad = status.abroad_left.map_or(String::new(), |left| format!(", {left} of them to other countries"));
    lines.push(format!("codes left today  {}{abroad}", status.left));
    if status.under_way > 0 {
        lines.push(format!("under way         {}", status.under_way));
    }
    if status.prefixes_closed > 0 {
        lines.push(format!(
            "closed            {} groups of numbers whose codes nobody used (remedy: none is needed)",
            status.prefixes_closed
        ));
    }
    lines.join("\n")
}

fn route_in_words(route: &RouteStatus) -> String {
    let mut line =
        format!("{:<16}  sent {}, verified {}, failed {}", route.name, route.sent, route.verified, route.failed);
    if route.unknown > 0 {
        line += &format!(", perhaps sent {}", route.unknown);
    }
    if route.reportable > 0 {
        line += &format!(", arrived {} of {}, not arrived {}", route.arrived, route.reportable, route.not_arrived);
    }
    if let Some(left) = route.left {
        line += &format!(", left {left}");
    }
    if route.countries_barred > 0 {
        line += &format!("; barred from {} countries (remedy: see the log)", route.countries_barred);
    } else if let Some(secs) = route.resting_secs {
        line += &format!("; resting for {secs} s (remedy: see the log)");
    }
    if route.countries_losing > 0 {
        line += &format!(
            "; little arrives in {} countries, where it is used last (remedy: see the log)",
            route.countries_losing
        );
    }
    if let Some(url) = &route.reports_to {
        line += &format!("\n                  reports of delivery go to {url}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_all_of_a_way_and_no_more_than_there_is() {
        let quiet = RouteStatus {
            name: "modem".to_owned(),
            challenge: "text".to_owned(),
            sent: 3,
            verified: 2,
            failed: 0,
            unknown: 0,
            resting_secs: None,
            countries_barred: 0,
            reportable: 0,
            arrived: 0,
            not_arrived: 0,
            countries_losing: 0,
            reports_to: None,
            left: None,
        };
        let troubled = RouteStatus { failed: 4, unknown: 1, resting_secs: Some(30), left: Some(7), ..quiet.clone() };
        assert_eq!(route_in_words(&quiet), "modem             sent 3, verified 2, failed 0");
        assert_eq!(
            route_in_words(&troubled),
            "modem             sent 3, verified 2, failed 4, perhaps sent 1, left 7; resting for 30 s (remedy: see the log)"
        );
        let reported = RouteStatus {
            reportable: 3,
            arrived: 1,
            not_arrived: 1,
            countries_losing: 1,
            reports_to: Some("https://a.example/sms/modem/0".to_owned()),
            ..quiet.clone()
        };
        assert_eq!(
            route_in_words(&reported),
            "modem             sent 3, verified 2, failed 0, arrived 1 of 3, not arrived 1; little arrives in 1 countries, where it \
             is used last (remedy: see the log)\n                  reports of delivery go to https://a.example/sms/modem/0"
        );
        let status = SmsStatus {
            routes: vec![quiet],
            under_way: 0,
            left: 1997,
            abroad_left: Some(1000),
            prefixes_closed: 0,
            home: Some(49),
        };
        assert!(in_words(&status).ends_with("\ncodes left today  1997, 1000 of them to other countries"));
    }
}
