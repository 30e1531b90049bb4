//! Settings into the text of a configuration, whose comments and order stay as they are.

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The text with all settings.
    pub text: String,
    /// The keys that were set.
    pub set: Vec<String>,
    /// The keys that had their values already.
    pub kept: Vec<String>,
}

/// A key that somebody gave another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key with its sections.
    pub key: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// What it is now, in TOML.
    pub is: String,
    /// What it would become, in TOML.
    pub wanted: String,
}

/// Sets what is unset: missing, commented out, or as the `sample` has it. If a key has a value of somebody's own, all such keys
/// are told and nothing is set. Both texts are TOML as people write it: a key a line, sections under their headers.
pub fn fill(sample: &str, text: &str, settings: &[(String, String)]) -> Result<Filled, Vec<Conflict>> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut set, mut kept, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
    for (path, value) in settings {
        match find(&lines, path) {
            Some(found) if plain(&found.value) == plain(value) => kept.push(path.clone()),
            Some(found) if current(sample, path).is_some_and(|default| plain(&default) == plain(&found.value)) => {
                lines.splice(found.line..=found.last, [line_of(path, value)]);
                set.push(path.clone());
            }
            Some(found) => conflicts.push(Conflict {
                key: path.clone(),
                line: found.line + 1,
                is: found.value,
                wanted: value.clone(),
            }),
            None => {
                insert(&mut lines, path, value);
                set.push(path.clone());
            }
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let text = if set.is_empty() { text.to_owned() } else { lines.iter().map(|line| format!("{line}\n")).collect() };
    Ok(Filled { text, set, kept })
}

/// The value of a key in TOML, if the text sets it.
pub fn current(text: &str, path: &str) -> Option<String> {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    find(&lines, path).map(|found| found.value)
}

/// The texts in a value: those of a list, or the one it is.
pub fn texts(value: &str) -> Vec<String> {
    let quote = if value.contains('"') { '"' } else { '\'' };
    value.split(quote).skip(1).step_by(2).map(str::to_owned).collect()
}

struct Found {
    line: usize,
    /// Where a value of several lines ends.
    last: usize,
    value: String,
}

fn find(lines: &[String], path: &str) -> Option<Found> {
    let mut section = String::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if let Some(name) = header(line) {
            section = name.to_owned();
        } else if let Some((key, value)) = assignment(line) {
            let mut value = without_comment(value).trim().to_owned();
            let first = at;
            while value.starts_with('[') && !is_closed(&value) {
                at += 1;
                let Some(more) = lines.get(at) else { break };
                value.push_str(without_comment(more).trim());
            }
            let whole = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            if whole == path {
                return Some(Found { line: first, last: at, value });
            }
        }
        at += 1;
    }
    None
}

/// A commented example becomes the setting; else the key goes under its section's header, which is made where there is none.
fn insert(lines: &mut Vec<String>, path: &str, value: &str) {
    let (section, key) = split(path);
    let mut here = String::new();
    let mut commented_header = None;
    for at in 0..lines.len() {
        let Some(line) = lines.get(at) else { break };
        if let Some(name) = header(line) {
            (here, commented_header) = (name.to_owned(), None);
        } else if let Some(name) = line.strip_prefix('#').and_then(header) {
            (here, commented_header) = (name.to_owned(), Some(at));
        } else if here == section && line.strip_prefix('#').and_then(assignment).is_some_and(|(name, _)| name == key) {
            put(lines, at, line_of(path, value));
            if let Some(at) = commented_header {
                put(lines, at, format!("[{section}]"));
            }
            return;
        }
    }
    let own_header = |lines: &[String]| lines.iter().position(|line| header(line) == Some(section));
    if section.is_empty() {
        // Before the first header, behind the last key there.
        let end = lines.iter().position(|line| header(line).is_some()).unwrap_or(lines.len());
        let is_key = |line: &String| assignment(line.strip_prefix('#').unwrap_or(line)).is_some();
        let after = lines.iter().take(end).rposition(is_key).map_or(0, |at| at + 1);
        lines.insert(after, line_of(path, value));
    } else if let Some(at) = own_header(lines) {
        lines.insert(at + 1, line_of(path, value));
    } else {
        lines.extend([String::new(), format!("[{section}]"), line_of(path, value)]);
    }
}

fn put(lines: &mut [String], at: usize, text: String) {
    if let Some(line) = lines.get_mut(at) {
        *line = text;
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn line_of(path: &str, value: &str) -> String {
    format!("{} = {value}", split(path).1)
}

fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    let name = without_comment(line).trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    (!name.is_empty() && name.chars().all(fits)).then_some(name)
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_start().split_once('=')?;
    let key = key.trim_end();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    (!key.is_empty() && key.chars().all(fits)).then_some((key, value))
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return line.get(..at).unwrap_or(line),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    line
}

fn is_closed(value: &str) -> bool {
    let mut depth = 0i32;
    let mut quote = None;
    for c in value.chars() {
        match (quote, c) {
            (None, '[') => depth += 1,
            (None, ']') => depth -= 1,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    depth <= 0
}

/// The value without blanks outside of texts, and a single text as the list of one that it counts as.
fn plain(value: &str) -> String {
    let mut quote = None;
    let mut plain = String::new();
    for c in value.chars() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => continue,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        plain.push(c);
    }
    let plain = plain.replace(",]", "]");
    if plain.starts_with(['"', '\'']) { format!("[{plain}]") } else { plain }
}
