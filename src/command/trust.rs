//! `trust`.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::node::control::{Asked, NodeFacts, Reply, Request, TrustReply, TrustRequest};
use kontalk_node::node::recovery_note;

use super::{REFUSED, ask_node, complain, data_dir, out};

/// Say which other nodes are trusted: the users of a trusted node may log in here as visitors, and until it is revoked. Works
/// on the running node at once; if none runs, on its data.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "trust",
    example = "This node's card, to hand to another operator:\n  {command_name} card > a.example.card",
    example = "Trust another node by its card:\n  {command_name} add b.example --card b.example.card",
    example = "{command_name} list",
    example = "{command_name} revoke b.example --reason unreachable"
)]
pub(super) struct Trust {
    #[argh(subcommand)]
    command: TrustCommand,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum TrustCommand {
    Card(CardCommand),
    Add(Add),
    List(List),
    Show(Show),
    Revoke(Revoke),
    Deny(Deny),
    Undeny(Undeny),
    Clock(Clock),
}

/// Print this node's card, to be handed to the operators of other nodes.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "card",
    example = "{command_name} > a.example.card",
    example = "Make it first, and show the recovery words once:\n  {command_name} --make"
)]
struct CardCommand {
    /// make the card if there is none yet, and print the 24 recovery words on the terminal; have paper ready
    #[argh(switch)]
    make: bool,
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

/// Trust a node, or renew the trust in one. Compare the fingerprint with its operator first, by telephone or in person.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "add",
    example = "The last group of the fingerprint is asked for:\n  {command_name} b.example --card b.example.card",
    example = "In a script:\n  {command_name} b.example --card b.example.card --fingerprint 55E1B93EFE0915BCC9E2205191A508011DCD7816"
)]
struct Add {
    /// the node's domain
    #[argh(positional)]
    node: String,
    /// the file that its operator made with `trust card`, - for standard input; without it what is known of the node
    #[argh(option)]
    card: Option<PathBuf>,
    /// the fingerprint of its key, as its operator told it; without it the terminal is asked
    #[argh(option)]
    fingerprint: Option<String>,
    /// a word for later: why
    #[argh(option, default = "String::new()")]
    reason: String,
    /// trust it although the network has banned it
    #[argh(switch)]
    despite_ban: bool,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// List all nodes of which something is known.
#[derive(FromArgs)]
#[argh(subcommand, name = "list", example = "{command_name}", example = "For a script:\n  {command_name} --json")]
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

/// Show all that is known of a node: state, card, addresses.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "show",
    example = "{command_name} b.example",
    example = "Its key with this node's signatures, for GnuPG:\n  {command_name} b.example --key | gpg --import"
)]
struct Show {
    /// the node's domain
    #[argh(positional)]
    node: String,
    /// print its key in ASCII armor instead, with our certification and revocation
    #[argh(switch)]
    key: bool,
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

/// End the trust in a node. Its users are sent away at once.
#[derive(FromArgs)]
#[argh(subcommand, name = "revoke", example = "{command_name} b.example --reason unreachable")]
struct Revoke {
    /// the node's domain
    #[argh(positional)]
    node: String,
    /// a word for later: why
    #[argh(option, default = "String::new()")]
    reason: String,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Want nothing of a node, whatever the network decides. No vote can change that, only `undeny`.
#[derive(FromArgs)]
#[argh(subcommand, name = "deny", example = "{command_name} evil.example --reason spam")]
struct Deny {
    /// the node's domain
    #[argh(positional)]
    node: String,
    /// a word for later: why
    #[argh(option, default = "String::new()")]
    reason: String,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Take `deny` back. The node is not trusted by that.
#[derive(FromArgs)]
#[argh(subcommand, name = "undeny", example = "{command_name} evil.example")]
struct Undeny {
    /// the node's domain
    #[argh(positional)]
    node: String,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Say that the clock is right, after it stood in the future once and visitors are refused because it seems to be behind.
#[derive(FromArgs)]
#[argh(subcommand, name = "clock", example = "{command_name}")]
struct Clock {
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: Trust) -> ExitCode {
    let outcome = match arguments.command {
        TrustCommand::Card(card) => print_card(&card),
        TrustCommand::Add(add) => trust(add),
        TrustCommand::List(list) => print_list(&list),
        TrustCommand::Show(show) => print_node(show),
        TrustCommand::Revoke(Revoke { node, reason, data, config }) => {
            change(data, config, TrustRequest::Revoke { node, reason })
        }
        TrustCommand::Deny(Deny { node, reason, data, config }) => {
            change(data, config, TrustRequest::Deny { node, reason })
        }
        TrustCommand::Undeny(Undeny { node, data, config }) => change(data, config, TrustRequest::Undeny { node }),
        TrustCommand::Clock(Clock { data, config }) => change(data, config, TrustRequest::Clock),
    };
    outcome.err().unwrap_or(ExitCode::SUCCESS)
}

fn ask(data: &Path, request: TrustRequest) -> Result<(TrustReply, bool), ExitCode> {
    match ask_node(data, Request::Trust { request })? {
        Asked { reply: Reply::Trust { reply }, running } => Ok((reply, running)),
        _ => Err(ExitCode::from(REFUSED)),
    }
}

fn change(data: Option<PathBuf>, config: Option<PathBuf>, request: TrustRequest) -> Result<(), ExitCode> {
    let data = data_dir(data.as_ref(), config.as_ref())?;
    let (TrustReply::Done { sentence }, running) = ask(&data, request)? else { return Err(ExitCode::from(REFUSED)) };
    let when = if running { "" } else { " (no node runs; it will see this when it starts)" };
    out(&format!("{sentence}{when}"));
    Ok(())
}

fn print_card(card: &CardCommand) -> Result<(), ExitCode> {
    let data = data_dir(card.data.as_ref(), card.config.as_ref())?;
    let (TrustReply::Card { introduction, fingerprint, words }, _) =
        ask(&data, TrustRequest::Card { make: card.make })?
    else {
        return Err(ExitCode::from(REFUSED));
    };
    if card.json {
        out(&serde_json::json!({ "card": introduction, "fingerprint": fingerprint }).to_string());
    } else {
        out(introduction.trim_end());
    }
    // Not among the card, which goes to others.
    if let Some(words) = words {
        complain(&recovery_note(words.as_str()));
    }
    if std::io::stderr().is_terminal() {
        complain(&format!(
            "\nTell the other operator the fingerprint by another way than the card:\n  {}",
            grouped(&fingerprint)
        ));
    }
    Ok(())
}

fn trust(add: Add) -> Result<(), ExitCode> {
    let data = data_dir(add.data.as_ref(), add.config.as_ref())?;
    let introduction = add.card.as_deref().map(read).transpose()?;
    let node = add.node.clone();
    let fingerprint = match add.fingerprint {
        Some(fingerprint) => fingerprint,
        None => {
            let (TrustReply::Preview { fingerprint, news, .. }, _) =
                ask(&data, TrustRequest::Preview { node: node.clone(), introduction: introduction.clone() })?
            else {
                return Err(ExitCode::from(REFUSED));
            };
            compared(&node, &fingerprint, &news)?
        }
    };
    let request =
        TrustRequest::Add { node, fingerprint, introduction, despite_ban: add.despite_ban, reason: add.reason };
    change(Some(data), None, request)
}

/// Shows the fingerprint, and asks for its last group: whoever types it has looked.
fn compared(node: &str, fingerprint: &str, news: &str) -> Result<String, ExitCode> {
    if !std::io::stdin().is_terminal() {
        complain("nobody is there to compare fingerprints (remedy: --fingerprint, as the node's operator told it)");
        return Err(ExitCode::from(REFUSED));
    }
    out(&format!(
        "{node} ({news}) has the key\n\n  {}\n\nCompare it with what its operator tells you by telephone or in person.",
        grouped(fingerprint)
    ));
    let _ = write!(std::io::stdout(), "Type the last four digits if all are the same: ")
        .and_then(|()| std::io::stdout().flush());
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let last = fingerprint.get(fingerprint.len().saturating_sub(4)..).unwrap_or_default();
    if read.is_ok() && line.trim().eq_ignore_ascii_case(last) {
        Ok(fingerprint.to_owned())
    } else {
        complain("these are not the last four digits: nothing was done");
        Err(ExitCode::from(REFUSED))
    }
}

fn print_list(list: &List) -> Result<(), ExitCode> {
    let data = data_dir(list.data.as_ref(), list.config.as_ref())?;
    let (TrustReply::Nodes { nodes, clock }, _) = ask(&data, TrustRequest::List)? else {
        return Err(ExitCode::from(REFUSED));
    };
    if list.json {
        out(&serde_json::json!({ "nodes": nodes, "clock": clock }).to_string());
        return Ok(());
    }
    let wide = nodes.iter().map(|node| node.node.chars().count()).max().unwrap_or(0).max(4);
    out(&format!("{:wide$}  STATE      SINCE       WHY       VISITORS  EXPIRES     FLAGS", "NODE"));
    for node in &nodes {
        out(row(node, wide).trim_end());
    }
    out(&format!("clock: {}", clock.as_deref().unwrap_or("ok")));
    Ok(())
}

fn row(node: &NodeFacts, wide: usize) -> String {
    format!(
        "{:wide$}  {:9}  {:10}  {:8}  {:>8}  {:10}  {}",
        node.node,
        node.state,
        day(&node.since),
        node.why.as_deref().unwrap_or("-"),
        node.visitors,
        node.expires.as_deref().map_or("-", day),
        node.flags.join("; ")
    )
}

fn print_node(show: Show) -> Result<(), ExitCode> {
    let data = data_dir(show.data.as_ref(), show.config.as_ref())?;
    let (TrustReply::Node { facts, card, reach, certificate }, _) = ask(&data, TrustRequest::Show { node: show.node })?
    else {
        return Err(ExitCode::from(REFUSED));
    };
    if show.key {
        let Some(certificate) = certificate else {
            complain(&format!("the key of {} is not known", facts.node));
            return Err(ExitCode::from(REFUSED));
        };
        out(certificate.trim_end());
    } else if show.json {
        let node = serde_json::json!({ "facts": facts, "card": card, "reach": reach, "certificate": certificate });
        out(&node.to_string());
    } else {
        out(&long(&facts));
        for text in [card, reach].into_iter().flatten() {
            out(&format!("\n{}", text.trim_end()));
        }
    }
    Ok(())
}

fn long(node: &NodeFacts) -> String {
    let mut text = format!("node         {}\nstate        {}\nsince        {}", node.node, node.state, node.since);
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("\n{name:13}{value}"));
        }
    };
    line("decided by", node.why.as_deref());
    line("reason", Some(&node.reason));
    line("key", node.fingerprint.as_deref().map(grouped).as_deref());
    line("certified", node.certified.as_deref());
    line("expires", node.expires.as_deref());
    line("visitors", Some(&node.visitors.to_string()));
    for flag in &node.flags {
        line("look at", Some(flag));
    }
    text
}

/// The date of a moment.
fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}

/// In groups of four, as people read them to each other.
fn grouped(fingerprint: &str) -> String {
    let digits: Vec<char> = fingerprint.chars().collect();
    digits.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

fn read(path: &Path) -> Result<String, ExitCode> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().take(CARD_BYTES_MAX).read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| {
        complain(&format!("{} cannot be read: {error}", path.display()));
        ExitCode::from(REFUSED)
    })
}

const CARD_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_shown_in_groups_of_four() {
        assert_eq!(grouped("55E1B93EFE09"), "55E1 B93E FE09");
    }
}
