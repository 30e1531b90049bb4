//! The map of `src/lib.rs`, held as data: which room may import which, and which room alone uses a library. The code below
//! `#[cfg(test)]` and in test files is free.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Layer, room, and what it may import: rooms, `words` for all rooms of that layer, `all`. The map in `src/lib.rs` says the same.
const MAP: &[(&str, &str, &str)] = &[
    ("words", "jid", ""),
    ("words", "xml", ""),
    ("words", "limits", ""),
    ("words", "phone", "limits"),
    ("words", "stanza", "jid xml"),
    ("decisions", "stream", "words"),
    ("decisions", "roster", "words"),
    ("decisions", "archive", "words"),
    ("decisions", "router", "words roster archive"),
    ("decisions", "pgp", "words"),
    ("decisions", "trust", "words pgp"),
    ("decisions", "vote", "words pgp trust"),
    ("decisions", "account", "words"),
    ("decisions", "dispatch", "words"),
    ("decisions", "admin", "words"),
    ("decisions", "pubsub", "words"),
    ("decisions", "push", "words"),
    ("decisions", "caps", "words"),
    ("decisions", "services", "words"),
    ("decisions", "federation", "words router"),
    ("decisions", "upload", "words"),
    ("decisions", "acme", "words"),
    ("decisions", "setup", "words acme"),
    ("decisions", "doctor", "words setup"),
    ("edges", "store", "words roster archive router stream pubsub push trust federation dispatch"),
    ("edges", "net", "limits"),
    ("edges", "sms", "limits phone"),
    ("edges", "fetch", "limits"),
    ("edges", "age", ""),
    ("edges", "c2s", "words stream router net"),
    ("edges", "s2s", "words federation router net"),
    ("edges", "web", "words upload net"),
    ("edges", "component", "words router net c2s"),
    ("edges", "supervisor", ""),
    ("assembly", "config", "words sms trust acme"),
    ("assembly", "backup", "words pgp store age"),
    ("assembly", "portable", "words archive pubsub roster router services store stream"),
    ("assembly", "node", "all"),
    ("documentation", "chapters", ""),
];

/// The rooms of the binary, which are not in the map: they see the library from outside.
const BINARY: &[(&str, &str)] =
    &[("main", "command"), ("command", "config node age backup portable jid stanza setup doctor")];

/// Libraries, and the only rooms that may name them.
const SOLE_USERS: &[(&str, &[&str])] = &[
    ("sled", &["store"]),
    ("lz4_flex", &["store"]),
    ("rustls", &["net"]),
    ("async_rustls", &["net"]),
    ("rcgen", &["net"]),
    ("simple_dns", &["net"]),
    ("webpki_roots", &["net"]),
    ("hyper", &["web"]),
    ("smol_hyper", &["web"]),
    ("quick_xml", &["xml"]),
    ("sequoia_openpgp", &["pgp"]),
    ("x509_parser", &["net", "pgp"]),
    ("ed25519_dalek", &["trust"]),
    ("curve25519_dalek", &["trust"]),
    ("bip39", &["trust"]),
    ("toml", &["config"]),
    ("ureq", &["sms", "fetch"]),
    ("argh", &["command"]),
    ("simple_logger", &["node"]),
    ("scrypt", &["age"]),
    ("tar", &["backup"]),
    ("getrandom", &["node"]),
];

/// What words and decisions must not know: sockets, files, clocks, randomness, the executor.
const WORLD: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "std::fs",
    "fs::",
    "File::open",
    "SystemTime::now",
    "Instant::now",
    "getrandom",
    "thread::spawn",
    "thread::sleep",
    "std::env",
    "smol",
    "rustix",
];

#[test]
fn rooms_import_only_what_the_map_allows() {
    let mut unlisted = Vec::new();
    for source in sources() {
        let allowed = allowed(&source.room);
        for (line, room) in imports(&source.code) {
            if room != source.room && !allowed.contains(room.as_str()) {
                unlisted.push(format!("{}:{line}: {} may not import {room}", source.path.display(), source.room));
            }
        }
        for line in climbs(&source) {
            unlisted.push(format!("{}:{line}: `super::` leads out of the room; say `crate::`", source.path.display()));
        }
    }
    assert!(unlisted.is_empty(), "{}", unlisted.join("\n"));
}

#[test]
fn the_map_in_the_documentation_says_the_same() {
    let text = read(&src().join("lib.rs"));
    let mut layer = String::new();
    let mut told = Vec::new();
    for row in text.lines().skip_while(|line| !line.starts_with("//! | Layer |")).skip(2) {
        let Some(row) = row.strip_prefix("//! |") else { break };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if !cells[0].is_empty() {
            layer = cells[0].to_owned();
        }
        told.push((layer.clone(), cells[1].trim_matches(['[', '`', ']']).to_owned(), cells[3].to_owned()));
    }
    let held: Vec<_> =
        MAP.iter().map(|(l, room, may)| ((*l).to_owned(), (*room).to_owned(), (*may).to_owned())).collect();
    assert_eq!(told, held);
}

#[test]
fn every_room_is_on_the_map() {
    let rooms: BTreeSet<String> = sources().into_iter().map(|source| source.room).collect();
    let on_map = MAP.iter().map(|(_, room, _)| *room).chain(BINARY.iter().map(|(room, _)| *room)).chain(["lib"]);
    assert_eq!(rooms, on_map.map(str::to_owned).collect());
}

#[test]
fn each_library_is_known_to_its_room_alone() {
    let mut known = Vec::new();
    for source in sources() {
        for (library, rooms) in SOLE_USERS {
            let path = format!("{library}::");
            let named = |line: &str| {
                holds_word(line, &path)
                    || line.trim_start().starts_with(&format!("use {library} as "))
                    || line.contains(&format!("use {library};"))
            };
            for (number, line) in source.code.iter().filter(|(_, line)| named(line)) {
                if !rooms.contains(&source.room.as_str()) {
                    known.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
                }
            }
        }
    }
    assert!(known.is_empty(), "{}", known.join("\n"));
}

#[test]
fn words_and_decisions_touch_no_socket_file_clock_or_randomness() {
    let mut touched = Vec::new();
    for source in sources() {
        let layer = MAP.iter().find(|(_, room, _)| *room == source.room).map_or("", |(layer, _, _)| layer);
        if !matches!(layer, "words" | "decisions") {
            continue;
        }
        for (number, line) in &source.code {
            if let Some(thing) = WORLD.iter().find(|thing| holds_word(line, thing)) {
                touched.push(format!("{}:{number}: {thing}", source.path.display()));
            }
        }
    }
    assert!(touched.is_empty(), "{}", touched.join("\n"));
}

#[test]
fn the_scanner_sees_imports_and_skips_tests_and_comments() {
    let code = code_of(
        "//! [`crate::a`]\nuse crate::{\n    b::C,\n    d::{e, f}, self,\n};\n#[cfg(test)]\nmod tests;\nfn x() -> crate::g::H { mycrate::i() }\n\
         #[cfg(test)]\nmod tests {\n    use crate::j;\n    fn x() {\n    }\n}\npub(in crate::k) fn y() {}\nuse kontalk_node::l::M;\n",
    );
    let found: Vec<(usize, String)> = imports(&code);
    let expected = [(2, "b"), (2, "d"), (8, "g"), (15, "k"), (16, "l")];
    assert_eq!(found, expected.map(|(line, room)| (line, room.to_owned())));
}

struct Source {
    path: PathBuf,
    room: String,
    /// How many folders of `src` it lies in; a file that is no `mod.rs` is one more.
    depth: usize,
    code: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    visit(&src(), &mut found);
    assert!(found.len() > 50, "only {} files were found", found.len());
    found
}

fn visit(dir: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("file names are UTF-8").to_owned();
        if path.is_dir() && name != "tests" {
            visit(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let below = path.strip_prefix(src()).expect("it is below src").with_extension("");
            let parts: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let depth = parts.len() - usize::from(name == "mod.rs");
            found.push(Source { room: parts[0].clone(), depth, code: code_of(&read(&path)), path });
        }
    }
}

/// The lines of code with their numbers: no comments, nothing that is compiled for tests only.
fn code_of(text: &str) -> Vec<(usize, String)> {
    let mut code = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            // The item is over at its semicolon or at the brace that stands under its beginning.
            let mut open = false;
            for (_, line) in lines.by_ref() {
                open |= line.ends_with('{');
                if (!open && line.ends_with([';', '}'])) || line == end {
                    break;
                }
            }
        } else if !line.trim_start().starts_with("//") {
            code.push((index + 1, line.to_owned()));
        }
    }
    code
}

/// The rooms that code names, each with the line it begins in: `crate::room`, `crate::{room, room::…}`.
fn imports(code: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, (number, line)) in code.iter().enumerate() {
        for root in ["crate::", "kontalk_node::"] {
            for (at, _) in line.match_indices(root) {
                if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let rest = &line[at + root.len()..];
                if rest.starts_with('{') {
                    let list: String = code[index + 1..].iter().fold(rest.to_owned(), |list, (_, line)| list + line);
                    found.extend(first_names(&list).into_iter().map(|room| (*number, room)));
                } else {
                    found.extend(first_name(rest).map(|room| (*number, room)));
                }
            }
        }
    }
    found
}

/// What each item of `{a::b, c::{d, e}}…` begins with.
fn first_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(c, '{' | ',') {
            names.extend(first_name(list[at + 1..].trim_start()));
        }
    }
    names
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    // `crate::Thing` would be the crate's own; it has none.
    (!name.is_empty() && name != "self").then_some(name)
}

/// Lines whose `super::super::…` reaches the crate's root from the file itself.
fn climbs(source: &Source) -> Vec<usize> {
    let chain = "super::".repeat(source.depth);
    let climbs = |line: &str| line.match_indices(&chain).any(|(at, _)| !line[..at].ends_with(char::is_alphanumeric));
    source.code.iter().filter(|(_, line)| climbs(line)).map(|(number, _)| *number).collect()
}

fn allowed(room: &str) -> BTreeSet<&'static str> {
    let every = MAP.iter().map(|(_, room, _)| *room);
    let may = MAP.iter().find(|(_, own, _)| *own == room).map(|(_, _, may)| *may);
    let may = may.or_else(|| BINARY.iter().find(|(own, _)| *own == room).map(|(_, may)| *may)).unwrap_or_default();
    let mut allowed = BTreeSet::new();
    for name in may.split(' ') {
        match name {
            "all" => allowed.extend(every.clone()),
            "words" => allowed.extend(MAP.iter().filter(|(layer, _, _)| *layer == "words").map(|(_, room, _)| *room)),
            room => drop(allowed.insert(room)),
        }
    }
    allowed
}

fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let behind = &line[at + word.len()..];
        let joined = |c: char| c.is_alphanumeric() || c == '_';
        !line[..at].ends_with(joined) && (word.ends_with(':') || !behind.starts_with(joined))
    })
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
