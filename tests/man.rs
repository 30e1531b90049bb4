//! The man page is what the commands say of themselves. `KONTALK_WRITE=1 cargo test --test man` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_man_page_is_made_of_the_help_texts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/kontalk-node.1");
    let page = page();
    if std::env::var_os("KONTALK_WRITE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "{} is not of these help texts (remedy: KONTALK_WRITE=1 cargo test --test man)",
        path.display()
    );
}

#[test]
fn each_command_explains_itself_with_an_example() {
    for words in commands() {
        let text = help(&words);
        // Those that only hold others leave the examples to them.
        let holds_others = section(&text, "Commands:").is_some();
        assert!(holds_others || text.contains("\nExamples:\n"), "{} has no example", words.join(" "));
    }
}

fn page() -> String {
    let main = help(&[]);
    let mut page = String::from(".\\\" Made of the commands' help texts by tests/man.rs.\n");
    page += ".TH KONTALK-NODE 1 \"\" \"kontalk-node\" \"User Commands\"\n.SH NAME\nkontalk-node \\- a Kontalk node\n";
    page += ".SH DESCRIPTION\n";
    page += &roff(&main);
    for words in commands() {
        page += &format!(".SH {}\n", escaped(&words.join(" ").to_uppercase()));
        page += &roff(&help(&words));
    }
    page += ".SH FILES\n.TP\n/etc/kontalk\\-node/node.toml\nThe configuration; \\fBkontalk\\-node sample\\-config\\fR shows every key.\n";
    page += ".TP\n/var/lib/kontalk\\-node\nAll data: accounts, waiting messages, keys.\n";
    page
}

/// A help text: its paragraphs as they are, its lists and examples untouched.
fn roff(text: &str) -> String {
    let mut roff = String::new();
    let mut verbatim = false;
    for block in text.trim().split("\n\n") {
        let (head, rest) = block.split_once('\n').unwrap_or((block, ""));
        let is_list = head.ends_with(':') && rest.starts_with("  ");
        if is_list {
            roff += &format!(".SS {}\n.nf\n", escaped(head.trim_end_matches(':')));
            roff += &lines(rest);
            roff += ".fi\n";
            verbatim = true;
        } else {
            roff += if verbatim { ".PP\n" } else { ".P\n" };
            roff += &lines(block);
        }
    }
    roff
}

fn lines(text: &str) -> String {
    let line = |line: &str| {
        if line.starts_with(['.', '\'']) { format!("\\&{}\n", escaped(line)) } else { format!("{}\n", escaped(line)) }
    };
    text.lines().map(line).collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// Every command by its words, those below others behind them.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    below(&mut Vec::new(), &mut found);
    assert!(found.len() > 15, "only {} commands were found", found.len());
    found
}

fn below(words: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let text = help(words);
    let Some(list) = section(&text, "Commands:") else { return };
    for line in list.lines() {
        let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else { continue };
        words.push(name.split(' ').next().unwrap().to_owned());
        found.push(words.clone());
        below(words, found);
        words.pop();
    }
}

fn section<'t>(text: &'t str, head: &str) -> Option<&'t str> {
    let (_, behind) = text.split_once(&format!("\n{head}\n"))?;
    Some(behind.split("\n\n").next().unwrap_or(behind))
}

fn help(words: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kontalk-node")).args(words).arg("--help").output().expect("it runs");
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("help is text")
}
