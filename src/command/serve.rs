//! `serve`, `check-config`, `sample-config`.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::config::{self, Config, TERMINAL};
use kontalk_node::node::{self, journal};

use super::{REFUSED, complain, out, read_config};

/// Run the node (the default command). SIGTERM and Ctrl-C end it in order, SIGHUP reads the TLS certificate and
/// the configuration again and says what of it needs a restart.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "serve",
    example = "A trial node, its data in ./kontalk-data:\n  {command_name}",
    example = "As configured:\n  {command_name} --config /etc/kontalk-node/node.toml"
)]
pub(super) struct Serve {
    /// the configuration file; without it a trial node runs for this machine alone
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
}

/// Read a configuration and print every problem in it, with its line and what to do. Nothing is started.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "check-config",
    example = "{command_name} /etc/kontalk-node/node.toml",
    error_code(78, "there are problems")
)]
pub(super) struct CheckConfig {
    /// the configuration file
    #[argh(positional)]
    file: PathBuf,
}

/// Print an annotated configuration to begin with.
#[derive(FromArgs)]
#[argh(subcommand, name = "sample-config", example = "{command_name} > node.toml")]
pub(super) struct SampleConfig {}

pub(super) fn run(arguments: &Serve) -> ExitCode {
    let config = match &arguments.config {
        None => Config::trial(),
        Some(path) => match read_config(path) {
            Ok(config) => config,
            Err(code) => return code,
        },
    };
    if let Err(error) = journal::start(config.log.level) {
        complain(&format!("nothing will be logged: {error}"));
    }
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    if !config.trial && config.sms.routes.iter().all(|route| route.name == TERMINAL) {
        log::warn!(
            "codes are printed here instead of being sent: nobody else can register (remedy: choose another sms.via or sms.routes)"
        );
    }
    match node::run(&config, arguments.config.as_deref(), &mut std::io::stdout()) {
        Ok(()) => {
            log::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            complain(&fault.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

pub(super) fn check(arguments: &CheckConfig) -> ExitCode {
    match read_config(&arguments.file) {
        Ok(config) => {
            if !config.warnings.is_empty() {
                complain(config::report(&config.warnings).trim_end());
            }
            out(&format!("{}: no problems; serves {}", arguments.file.display(), config.domain));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
