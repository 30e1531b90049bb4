//! The index of specifications in `src/lib.rs`, for the tests that compare it with the code, the README and the DOAP file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What `src/lib.rs` says.
#[derive(Default)]
pub struct Index {
    /// In the order of the table.
    pub rows: Vec<String>,
    /// yes, partly, planned or no.
    pub support: BTreeMap<String, String>,
    pub notes: BTreeMap<String, String>,
    pub referred_to: BTreeSet<String>,
}

impl Index {
    /// Reads the table in the crate's documentation.
    pub fn read() -> Index {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs can be read");
        let mut lines = text.lines().skip_while(|line| !line.starts_with("//! | Specification |")).skip(2);
        let mut index = Index::default();
        for row in lines.by_ref().map_while(|line| line.strip_prefix("//! | ")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            index.rows.push(cells[0].to_owned());
            index.support.insert(cells[0].to_owned(), cells[1].to_owned());
            index.notes.insert(cells[0].to_owned(), cells[2].to_owned());
        }
        let sentence: String = lines.map_while(|line| line.strip_prefix("//! ")).collect::<Vec<_>>().join("\n");
        assert!(sentence.starts_with("Referred to"), "behind the table stands what is referred to: {sentence}");
        index.referred_to = cited_in(&sentence).into_iter().collect();
        assert!(index.rows.len() > 20 && !index.referred_to.is_empty(), "the index was not found");
        index
    }
}

/// `RFC nnnn` and `XEP-nnnn` in a text.
pub fn cited_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for series in ["RFC ", "XEP-"] {
        for (at, _) in text.match_indices(series) {
            let digits: String = text[at + series.len()..].chars().take_while(char::is_ascii_digit).collect();
            if digits.len() == 4 && !text[..at].ends_with(char::is_alphanumeric) {
                found.push(format!("{series}{digits}"));
            }
        }
    }
    found
}
