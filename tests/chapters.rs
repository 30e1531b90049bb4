//! The chapters name tests; each of them exists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_test_that_a_chapter_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    let mut transcripts = Vec::new();
    for path in files(&root.join("src")).into_iter().chain(files(&root.join("tests"))) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => code.push_str(&fs::read_to_string(&path).expect("a source file can be read")),
            Some("txt") => transcripts.push(path.file_stem().unwrap().to_string_lossy().into_owned()),
            _ => {}
        }
    }
    let mut named = 0;
    for chapter in files(&root.join("src/chapters")) {
        for row in fs::read_to_string(&chapter).expect("a chapter can be read").lines() {
            let Some(cells) = row.strip_prefix("//! |") else { continue };
            let Some(last) = cells.trim_end_matches('|').rsplit('|').next() else { continue };
            for test in last.split('`').skip(1).step_by(2) {
                named += 1;
                let exists = code.contains(&format!("fn {test}(")) || transcripts.iter().any(|name| name == test);
                assert!(exists, "{} names {test}, which is no test", chapter.display());
            }
        }
    }
    assert!(named > 50, "only {named} tests were found in the chapters");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with(".venv") {
                found.extend(files(&path));
            }
        } else {
            found.push(path);
        }
    }
    found
}
