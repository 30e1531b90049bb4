//! `node`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use argh::FromArgs;
use kontalk_node::node::{Renewal, renew};
use kontalk_node::stanza::Timestamp;

use super::secret::secret;
use super::{REFUSED, complain, data_dir, out};

/// Give this node new keys, by the 24 recovery words, while it is stopped.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "node",
    example = "The machine was stolen, and a backup is there:\n  kontalk-node restore node.age --data DIR\n  {command_name} recover --stolen --data DIR",
    example = "{command_name} rotate --config /etc/kontalk-node/node.toml"
)]
pub(super) struct Node {
    #[argh(subcommand)]
    command: NodeCommand,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum NodeCommand {
    Rotate(Rotate),
    Recover(Recover),
}

/// Make new note keys (vote, witness, log, label, discovery) and a new card. The server key, and so the certifications of users, stay.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "rotate",
    example = "Stop the node, then:\n  {command_name} --config /etc/kontalk-node/node.toml"
)]
struct Rotate {
    /// the file whose first line are the recovery words, - for standard input; without it the terminal asks
    #[argh(option)]
    words_file: Option<PathBuf>,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

/// Make a new server key and a new card after the machine was lost or stolen. Other nodes that trusted the former card trust the new
/// one. All users of the backup stay; the former key is revoked.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "recover",
    example = "From a backup:\n  kontalk-node restore node.age --data DIR\n  {command_name} --data DIR",
    example = "Without a backup; all users register again:\n  {command_name} --data DIR --former-card a.example.card",
    note = "Give the other operators the new card: kontalk-node trust card"
)]
struct Recover {
    /// somebody has the former key: what it certified counts nowhere any more, and users log in here once before they visit
    /// other nodes
    #[argh(switch)]
    stolen: bool,
    /// the former card, where the data directory has none
    #[argh(option)]
    former_card: Option<PathBuf>,
    /// the file whose first line are the recovery words, - for standard input; without it the terminal asks
    #[argh(option)]
    words_file: Option<PathBuf>,
    /// the node's data directory
    #[argh(option)]
    data: Option<PathBuf>,
    /// the node's configuration file, which names the data directory
    #[argh(option)]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: Node) -> ExitCode {
    let outcome = match arguments.command {
        NodeCommand::Rotate(rotate) => data_dir(rotate.data.as_ref(), rotate.config.as_ref())
            .and_then(|data| carry_out(&data, Renewal::Rotate, rotate.words_file.as_deref(), None)),
        NodeCommand::Recover(recover) => data_dir(recover.data.as_ref(), recover.config.as_ref()).and_then(|data| {
            let what = Renewal::Recover { stolen: recover.stolen };
            carry_out(&data, what, recover.words_file.as_deref(), recover.former_card.as_deref())
        }),
    };
    outcome.err().unwrap_or(ExitCode::SUCCESS)
}

fn carry_out(data: &Path, what: Renewal, words: Option<&Path>, former: Option<&Path>) -> Result<(), ExitCode> {
    let refuse = |reason: String| {
        complain(&reason);
        ExitCode::from(REFUSED)
    };
    let former = former.map(std::fs::read_to_string).transpose();
    let former = former.map_err(|error| refuse(format!("the former card cannot be read: {error}")))?;
    let words = zeroize::Zeroizing::new(secret("The 24 recovery words: ", words)?);
    let now = Timestamp::from_system(SystemTime::now());
    let renewed = renew(data, what, &words, former.as_deref(), now).map_err(|fault| refuse(fault.to_string()))?;
    if let Renewal::Recover { .. } = what {
        out(&format!("the new server key is {}; {} users are certified by it", renewed.fingerprint, renewed.users));
        if renewed.not_certified > 0 {
            out(&format!(
                "{} users have keys that are no longer good: they must register again",
                renewed.not_certified
            ));
        }
    }
    out(&format!(
        "the new card is {}\nStart the node, and give the other operators the card: kontalk-node trust card",
        renewed.card
    ));
    Ok(())
}
