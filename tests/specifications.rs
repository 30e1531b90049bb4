//! The index of specifications in `src/lib.rs` and the citations in the code belong together: none is cited that is not listed,
//! and none is listed as done that no code cites.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/specification_index.rs"]
mod specification_index;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use specification_index::{Index, cited_in};

#[test]
fn what_is_cited_is_listed() {
    let index = Index::read();
    for (specification, places) in citations() {
        let listed = index.support.contains_key(&specification) || index.referred_to.contains(&specification);
        assert!(listed, "{specification} is not in the index of lib.rs, but cited in {places:?}");
    }
}

#[test]
fn what_is_listed_as_done_is_cited_where_it_is_done() {
    let citations = citations();
    for (specification, support) in Index::read().support {
        // A namespace does nothing yet.
        let mut places = citations.get(&specification).into_iter().flatten();
        let cited = places.any(|place| !place.ends_with("src/xml/ns.rs"));
        assert!(
            cited || !matches!(support.as_str(), "yes" | "partly"),
            "{specification} is listed as {support}, but no code cites it"
        );
    }
}

#[test]
fn what_is_referred_to_is_cited() {
    let citations = citations();
    for specification in Index::read().referred_to {
        assert!(citations.contains_key(&specification), "{specification} is referred to nowhere");
    }
}

#[test]
fn the_index_is_in_order_and_says_what_is_missing() {
    let index = Index::read();
    assert!(index.rows.is_sorted(), "{:?}", index.rows);
    assert_eq!(index.rows.len(), index.support.len(), "a specification is listed twice");
    assert!(index.support.keys().all(|specification| !index.referred_to.contains(specification)));
    for (specification, support) in &index.support {
        assert!(["yes", "partly", "planned", "no"].contains(&support.as_str()), "{specification}: {support}");
        assert!(support == "yes" || !index.notes[specification].is_empty(), "{specification}: {support}, but why?");
    }
}

#[test]
fn citations_have_one_greppable_form() {
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for odd in ["RFC-", "RFC_", "RFCs ", "XEP ", "XEP_", "XEPs "] {
                assert!(!line.contains(odd), "{}:{}: {line}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn the_scanner_finds_citations() {
    let found = cited_in("RFC 6120 §8, RFC 123, XEP-0198; XXEP-0199, XEP-01, RFC 61210");
    assert_eq!(found, ["RFC 6120", "XEP-0198"]);
}

/// Each specification with the files, other than `lib.rs`, that cite it.
fn citations() -> BTreeMap<String, BTreeSet<PathBuf>> {
    let mut citations: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for (path, text) in sources() {
        for specification in cited_in(&text) {
            citations.entry(specification).or_default().insert(path.clone());
        }
    }
    citations
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    visit(&src(), &mut found);
    found.retain(|(path, _)| *path != src().join("lib.rs"));
    found
}

fn visit(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            visit(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file can be read");
            found.push((path, text));
        }
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
