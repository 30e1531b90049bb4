//! `verify-data`.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::node::control::copy_of_store;
use kontalk_node::node::read_server_key;
use serde::Serialize;

use super::progress::{Progress, Unit};
use super::{REFUSED, complain, data_dir, out};

/// Read every record of the node's data with this version, as one should before it takes an older one's place. A copy is read, in
/// the data directory and gone afterwards, so the data stay as they are and the node may run.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "verify-data",
    example = "{command_name} --config /etc/kontalk-node/node.toml",
    example = "For a script:\n  {command_name} --json",
    error_code(1, "something is damaged, or the data cannot be read")
)]
pub(super) struct VerifyData {
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

#[derive(Serialize)]
struct Report {
    sound: bool,
    records: u64,
    set_aside: u64,
    keys_missing: u64,
    trees: Vec<Tree>,
}

#[derive(Serialize)]
struct Tree {
    name: String,
    records: u64,
    damaged: u64,
    known: bool,
}

pub(super) fn run(arguments: &VerifyData) -> ExitCode {
    let data = match data_dir(arguments.data.as_ref(), arguments.config.as_ref()) {
        Ok(data) => data,
        Err(code) => return code,
    };
    let mut copying = Progress::new("copying", Unit::Bytes);
    let copy = match copy_of_store(&data, &mut |bytes| copying.tell(bytes)) {
        Ok(copy) => copy,
        Err(fault) => {
            complain(&fault.to_string());
            return ExitCode::from(REFUSED);
        }
    };
    let mut reading = Progress::new("reading", Unit::Things("records"));
    let verified = match copy.store.verify(&mut |records| reading.tell(records)) {
        Ok(verified) => verified,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(REFUSED);
        }
    };
    let key = read_server_key(&data);
    if let Err(fault) = &key {
        complain(&fault.to_string());
    }
    let report = Report {
        sound: verified.is_sound() && key.is_ok(),
        records: verified.records(),
        set_aside: verified.set_aside,
        keys_missing: verified.keys_missing,
        trees: verified
            .trees
            .into_iter()
            .map(|tree| Tree { name: tree.name, records: tree.records, damaged: tree.damaged, known: tree.known })
            .collect(),
    };
    if arguments.json {
        out(&serde_json::to_string(&report).unwrap_or_default());
    } else {
        out(&in_words(&report));
    }
    if report.sound { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) }
}

fn in_words(report: &Report) -> String {
    let mut text = String::new();
    for tree in &report.trees {
        let verdict = match tree {
            Tree { known: false, .. } => " (of another version: only counted)".to_owned(),
            Tree { damaged: 0, .. } => String::new(),
            Tree { damaged, .. } => format!(", {damaged} of them damaged"),
        };
        text.push_str(&format!("{:<20} {:>9} records{verdict}\n", tree.name, tree.records));
    }
    if report.set_aside > 0 {
        text.push_str(&format!(
            "{} records were set aside earlier, because they could not be read.\n",
            report.set_aside
        ));
    }
    if report.keys_missing > 0 {
        text.push_str(&format!("{} accounts' keys are missing.\n", report.keys_missing));
    }
    text.push_str(if report.sound {
        "All of it can be read by this version."
    } else {
        "Some of it cannot be read (remedy: check the disk; restore the latest backup if users miss something; before an upgrade, stay with the old version)."
    });
    text
}
