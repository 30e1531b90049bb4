//! `doctor`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::config::{self, Config};
use kontalk_node::doctor::{Facts, Finding, Level, in_words, judge, verdict};
use kontalk_node::node::checkup;
use serde::Serialize;

use super::{complain, out};

/// Look at everything around the node, running or not: clock, disk, permissions, memory, ports, DNS, certificate, the way codes
/// go out, store and trust. What is not well comes with what to do about it. Nothing is changed.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "doctor",
    example = "sudo {command_name} --config /etc/kontalk-node/node.toml",
    example = "Compare DNS with the address of your connection:\n  {command_name} --config node.toml --address 192.0.2.7",
    example = "For a script:\n  {command_name} --config node.toml --json",
    error_code(1, "something is doubtful"),
    error_code(2, "something is wrong")
)]
pub(super) struct Doctor {
    /// the node's configuration file; without it the trial node is looked at
    #[argh(option)]
    config: Option<PathBuf>,
    /// an address that the machine's name should have in DNS; may be repeated
    #[argh(option)]
    address: Vec<IpAddr>,
    /// print JSON
    #[argh(switch)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    verdict: u8,
    findings: &'a [Finding],
}

pub(super) fn run(arguments: &Doctor) -> ExitCode {
    let findings = match arguments.config.as_deref().map(config::read) {
        None => judge(&checkup::examine(&Config::trial(), None, &arguments.address)),
        Some(Ok(config)) => judge(&checkup::examine(&config, arguments.config.as_deref(), &arguments.address)),
        Some(Err(problems)) => without_config(&problems),
    };
    let verdict = verdict(&findings);
    if arguments.json {
        match serde_json::to_string(&Report { verdict, findings: &findings }) {
            Ok(text) => out(&text),
            Err(error) => complain(&error.to_string()),
        }
    } else {
        out(&in_words(&findings));
    }
    ExitCode::from(verdict)
}

/// The machine alone, and what keeps the configuration from being used.
fn without_config(problems: &[config::Problem]) -> Vec<Finding> {
    let facts: Facts = checkup::machine_facts(Path::new("/var/lib/kontalk-node"));
    let is_of_machine = |finding: &Finding| matches!(finding.topic, "clock" | "disk" | "wear" | "memory");
    let mut findings: Vec<Finding> = judge(&facts).into_iter().filter(is_of_machine).collect();
    let wrong = |problem: &config::Problem| Finding {
        level: Level::Bad,
        topic: "settings",
        text: problem.to_string(),
        remedy: String::new(),
    };
    findings.extend(problems.iter().map(wrong));
    findings
}
