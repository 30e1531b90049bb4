//! What is wrong with a configuration, in words for the operator.

use std::fmt::{self, Write};

/// One thing wrong, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to us.
    pub file: String,
    /// The line, counted from 1; `None` if it is about what is not there.
    pub line: Option<usize>,
    /// The key with its sections, as in `c2s.listen`; empty if the file as a whole is meant.
    pub key: String,
    /// The value as it stands in the file, if it is wrong.
    pub value: Option<String>,
    /// What is wrong.
    pub text: String,
    /// What to do; empty if nothing could be said that the text does not say.
    pub remedy: String,
}

/// `node.toml:14: c2s.listen = "x": not an address (remedy: e.g. "[::]:5222")`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", OneLine(&self.file))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", OneLine(&self.key))?;
            if let Some(value) = &self.value {
                write!(f, " = {}", OneLine(value))?;
            }
        }
        write!(f, ": {}", OneLine(&self.text))?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " (remedy: {})", OneLine(&self.remedy)) }
    }
}

/// What was copied from a file may hold anything; a terminal shall neither obey it nor break the line.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) })
    }
}

/// All problems, a line each, and a last line that says what follows: `2 problems, nothing started.`
pub fn report(problems: &[Problem]) -> String {
    let mut report: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    report.push_str(&match problems.len() {
        1 => "1 problem, nothing started.".to_owned(),
        count => format!("{count} problems, nothing started."),
    });
    report
}
