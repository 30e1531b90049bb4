//! `account`.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::node::control::{AccountFacts, Asked, Reply, Request, Secret};

use super::secret::secret;
use super::{REFUSED, ask_node, data_dir, out};

/// Make, list, show and remove accounts. Asks the running node; if none runs, works on its data.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "account",
    example = "Ask for the password on the terminal:\n  {command_name} add alice@localhost",
    example = "Take it from a file:\n  {command_name} add alice@localhost --password-file alice.txt",
    example = "{command_name} list --json"
)]
pub(super) struct Account {
    #[argh(subcommand)]
    command: AccountCommand,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum AccountCommand {
    Add(Add),
    List(List),
    Show(Show),
    SetPassword(SetPassword),
    Remove(Remove),
}

/// Make an account with a password. It need not be a telephone number's.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "add",
    example = "Ask for the password on the terminal:\n  {command_name} alice@example.org",
    example = "Take it from another program:\n  pwgen 16 1 | {command_name} alice@example.org --password-file -"
)]
struct Add {
    /// the account's address, such as alice@example.org
    #[argh(positional)]
    address: String,
    /// read the password from the first line of this file, - for standard input; without it the terminal is asked
    #[argh(option)]
    password_file: Option<PathBuf>,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// List all accounts.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "list",
    example = "{command_name} --config /etc/kontalk-node/node.toml",
    example = "For a script:\n  {command_name} --json"
)]
struct List {
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

/// Show one account.
#[derive(FromArgs)]
#[argh(subcommand, name = "show", example = "{command_name} alice@example.org")]
struct Show {
    /// the account's address
    #[argh(positional)]
    address: String,
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

/// Set an account's password. Its key, if it has one, stays.
#[derive(FromArgs)]
#[argh(subcommand, name = "set-password", example = "{command_name} alice@example.org --password-file alice.txt")]
struct SetPassword {
    /// the account's address
    #[argh(positional)]
    address: String,
    /// read the password from the first line of this file, - for standard input; without it the terminal is asked
    #[argh(option)]
    password_file: Option<PathBuf>,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Remove an account with its roster, messages and key. Its contacts are told.
#[derive(FromArgs)]
#[argh(subcommand, name = "remove", example = "{command_name} alice@example.org")]
struct Remove {
    /// the account's address
    #[argh(positional)]
    address: String,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: Account) -> ExitCode {
    let outcome = match arguments.command {
        AccountCommand::Add(add) => change(add.data, add.config, || {
            let password = secret("Password: ", add.password_file.as_deref()).map(Secret::new)?;
            Ok((Request::AccountAdd { address: add.address.clone(), password }, format!("{} is there", add.address)))
        }),
        AccountCommand::SetPassword(set) => change(set.data, set.config, || {
            let password = secret("Password: ", set.password_file.as_deref()).map(Secret::new)?;
            let request = Request::AccountSetPassword { address: set.address.clone(), password };
            Ok((request, format!("{} has a new password", set.address)))
        }),
        AccountCommand::Remove(remove) => change(remove.data, remove.config, || {
            let request = Request::AccountRemove { address: remove.address.clone() };
            Ok((request, format!("{} is gone", remove.address)))
        }),
        AccountCommand::List(list) => read(list.data, list.config, Request::AccountList, list.json, short),
        AccountCommand::Show(show) => {
            read(show.data, show.config, Request::AccountShow { address: show.address }, show.json, long)
        }
    };
    outcome.err().unwrap_or(ExitCode::SUCCESS)
}

fn change(
    data: Option<PathBuf>,
    config: Option<PathBuf>,
    request: impl FnOnce() -> Result<(Request, String), ExitCode>,
) -> Result<(), ExitCode> {
    let data = data_dir(data.as_ref(), config.as_ref())?;
    let (request, done) = request()?;
    let Asked { running, .. } = ask_node(&data, request)?;
    let when = if running { "" } else { " (no node runs; it will see this when it starts)" };
    out(&format!("{done}{when}"));
    Ok(())
}

fn read(
    data: Option<PathBuf>,
    config: Option<PathBuf>,
    request: Request,
    json: bool,
    in_words: fn(&AccountFacts) -> String,
) -> Result<(), ExitCode> {
    let data = data_dir(data.as_ref(), config.as_ref())?;
    let Reply::Accounts { accounts } = ask_node(&data, request)?.reply else {
        return Err(ExitCode::from(REFUSED));
    };
    if json {
        out(&serde_json::to_string(&accounts).unwrap_or_default());
    } else {
        for account in &accounts {
            out(&in_words(account));
        }
    }
    Ok(())
}

fn short(account: &AccountFacts) -> String {
    let credentials = match (&account.key, account.password) {
        (Some(_), true) => "key and password",
        (Some(_), false) => "key",
        (None, true) => "password",
        (None, false) => "no credentials",
    };
    let disabled = if account.disabled { ", disabled" } else { "" };
    let home = account.home.as_ref().map(|home| format!(", visits from {home}")).unwrap_or_default();
    format!("{}  {credentials}{disabled}{home}", account.address)
}

fn long(account: &AccountFacts) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    format!(
        "address      {}\nmade         {}\nby number    {}\nkey          {}\npassword     {}\ndisabled     {}\nlast logout  {}\nat home      {}",
        account.address,
        account.created,
        yes(account.number_verified),
        account.key.as_deref().unwrap_or("none"),
        yes(account.password),
        yes(account.disabled),
        account.last_logout.as_deref().unwrap_or("never"),
        account.home.as_deref().unwrap_or("here")
    )
}
