//! What we tell the world about the specifications we support: the README's table of the XMPP Compliance Suites (XEP-0479) and the
//! DOAP file (XEP-0453) say what the index in `src/lib.rs` says. To write both anew after the index has changed:
//!
//! ```sh
//! KONTALK_WRITE=1 cargo test --test compliance
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/specification_index.rs"]
mod specification_index;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use specification_index::Index;

#[test]
fn the_readme_has_the_compliance_table_of_the_index() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).expect("the README can be read");
    let (before, rest) = readme.split_once(TABLE_BEGINS).expect("the README says where the table begins");
    let (_, after) = rest.split_once(TABLE_ENDS).expect("the README says where the table ends");
    let table = compliance_table(&Index::read());
    same_or_written(&path, &readme, &format!("{before}{TABLE_BEGINS}\n{table}{TABLE_ENDS}{after}"));
}

#[test]
fn the_doap_file_lists_what_the_index_lists() {
    let path = root().join("kontalk-node.doap");
    let doap = fs::read_to_string(&path).unwrap_or_default();
    same_or_written(&path, &doap, &doap_file(&Index::read()));
}

/// Compares, or writes when asked to.
fn same_or_written(path: &Path, is: &str, should_be: &str) {
    if std::env::var_os("KONTALK_WRITE").is_some() {
        fs::write(path, should_be).expect("the file can be written");
    } else {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        assert!(
            is == should_be,
            "{name} is behind the index in src/lib.rs (remedy: KONTALK_WRITE=1 cargo test --test compliance)"
        );
    }
}

/// A row for each requirement that XEP-0479 has for servers.
fn compliance_table(index: &Index) -> String {
    let mut table = String::from("| Suite | Feature | Level | Specification | Here |\n|---|---|---|---|---|\n");
    for (suite, feature, level, specifications) in SUITES {
        for specification in specifications.split(", ") {
            let here = match index.support.get(specification).map(String::as_str) {
                Some("yes") => "yes".to_owned(),
                Some(support) => format!("{support}: {}", index.notes[specification]),
                None => "no".to_owned(),
            };
            let _ = writeln!(
                table,
                "| {suite} | {feature} | {level} | [{specification}]({}) | {here} |",
                address(specification)
            );
        }
    }
    table
}

/// The project in the words that xmpp.org reads.
fn doap_file(index: &Index) -> String {
    let mut doap = String::from(DOAP_HEAD);
    for specification in &index.rows {
        let address = address(specification);
        if specification.starts_with("RFC") {
            let _ = writeln!(doap, "    <implements rdf:resource='{address}'/>");
            continue;
        }
        let status = match index.support[specification].as_str() {
            "yes" => "complete",
            "partly" => "partial",
            "planned" => "planned",
            _ => "wontfix",
        };
        let _ =
            writeln!(doap, "    <implements>\n      <xmpp:SupportedXep>\n        <xmpp:xep rdf:resource='{address}'/>");
        let _ = writeln!(doap, "        <xmpp:status>{status}</xmpp:status>");
        let note = index.notes[specification].replace('&', "&amp;").replace('<', "&lt;").replace('`', "");
        if !note.is_empty() {
            let _ = writeln!(doap, "        <xmpp:note xml:lang='en'>{note}</xmpp:note>");
        }
        doap.push_str("      </xmpp:SupportedXep>\n    </implements>\n");
    }
    doap.push_str("  </Project>\n</rdf:RDF>\n");
    doap
}

fn address(specification: &str) -> String {
    match specification.strip_prefix("RFC ") {
        Some(number) => format!("https://www.rfc-editor.org/rfc/rfc{number}.html"),
        None => format!("https://xmpp.org/extensions/{}.html", specification.to_lowercase()),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What XEP-0479 (2023) asks of servers: suite, feature, the lowest level that needs it, specifications. The suites for web and for
/// calls are not among our aims yet.
const SUITES: &[(&str, &str, &str, &str)] = &[
    ("Core", "Core features", "server", "RFC 6120"),
    ("Core", "TLS", "server", "RFC 7590"),
    ("Core", "Feature discovery", "server", "XEP-0030"),
    ("Core", "Server extensibility", "server", "XEP-0114"),
    ("Core", "Direct TLS", "advanced", "XEP-0368"),
    ("Core", "Feature broadcasts", "advanced", "XEP-0115"),
    ("Core", "Event publishing", "advanced", "XEP-0163"),
    ("IM", "Core features", "server", "RFC 6121"),
    ("IM", "vcard-temp", "server", "XEP-0054"),
    ("IM", "Outbound message synchronization", "server", "XEP-0280"),
    ("IM", "Group chat", "server", "XEP-0045, XEP-0249"),
    ("IM", "File upload", "server", "XEP-0363"),
    ("IM", "User avatar compatibility", "advanced", "XEP-0398, XEP-0153"),
    ("IM", "User blocking", "advanced", "XEP-0191"),
    ("IM", "Advanced group chat", "advanced", "XEP-0048, XEP-0402, XEP-0410"),
    ("IM", "Persistent storage of private data via PubSub", "advanced", "XEP-0223"),
    ("IM", "Private XML storage", "advanced", "XEP-0049"),
    ("IM", "Stream management", "advanced", "XEP-0198"),
    ("IM", "History storage and retrieval", "advanced", "XEP-0313"),
    ("Mobile", "Stream management", "server", "XEP-0198"),
    ("Mobile", "Client state indication", "server", "XEP-0352"),
    ("Mobile", "Third party push notifications", "advanced", "XEP-0357"),
];

const TABLE_BEGINS: &str = "<!-- compliance table, written by tests/compliance.rs -->";
const TABLE_ENDS: &str = "<!-- end of the compliance table -->";

const DOAP_HEAD: &str = "<?xml version='1.0' encoding='UTF-8'?>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'
         xmlns='http://usefulinc.com/ns/doap#'
         xmlns:xmpp='https://linkmauve.fr/ns/xmpp-doap#'>
  <Project xml:lang='en'>
    <name>kontalk-node</name>
    <shortdesc xml:lang='en'>A Kontalk and XMPP server for a small board at home</shortdesc>
    <description xml:lang='en'>One static binary that speaks XMPP with Kontalk's clients and with stock ones, proves telephone numbers by text message, certifies its users' OpenPGP keys and keeps all data in one embedded store.</description>
    <homepage rdf:resource='https://kontalk.net/'/>
    <license rdf:resource='https://www.gnu.org/licenses/agpl-3.0.html'/>
    <language>en</language>
    <programming-language>Rust</programming-language>
    <os>Linux</os>
    <category rdf:resource='https://linkmauve.fr/ns/xmpp-doap#category-server'/>
";
