//! A TOML document that is asked key by key, and remembers all that is wrong with it.
//!
//! serde stops at the first fault; an operator who is told all at once edits once. So the parsed table is walked by hand, and
//! each value brings its place in the text.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use toml::de::{DeInteger, DeTable, DeValue};

use super::problem::Problem;

/// A key the product knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// With its sections: `c2s.listen`. A `*` stands for a name that the operator chooses: `sms.http.*.kind`.
    pub(super) path: &'static str,
    /// A good value as it would stand in the file.
    pub(super) example: &'static str,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) key: Key,
    /// The key as it stands in the file, with the names that the operator chose.
    path: String,
    span: Range<usize>,
}

pub(super) struct Document<'t> {
    file: String,
    text: &'t str,
    root: DeTable<'t>,
    known: &'static [Key],
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Lines that are no TOML; what else they seem to hold is guessed, and nothing is said of it.
    broken_lines: BTreeSet<usize>,
    /// Where each line but the first begins.
    line_starts: Vec<usize>,
}

impl<'t> Document<'t> {
    /// Parses `text`, and objects to keys that are not `known`.
    pub(super) fn parse(file: &str, text: &'t str, known: &'static [Key]) -> Document<'t> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Document {
            file: file.to_owned(),
            text,
            root: root.into_inner(),
            known,
            problems: Vec::new(),
            warnings: Vec::new(),
            broken_lines: BTreeSet::new(),
            line_starts: text.match_indices('\n').map(|(at, _)| at + 1).filter(|at| *at < text.len()).collect(),
        };
        for error in errors {
            let line = error.span().map(|span| document.line_of(span.start));
            // One fault often makes several errors; the first says what it is.
            if line.is_some_and(|line| document.broken_lines.contains(&line)) {
                continue;
            }
            document.broken_lines.extend(line);
            let text = error.message().lines().collect::<Vec<_>>().join(", ");
            document.problems.push(Problem {
                file: file.to_owned(),
                line,
                key: String::new(),
                value: None,
                text: format!("this is not TOML: {text}"),
                remedy: "texts stand in \"quotes\", lists in [brackets]".to_owned(),
            });
        }
        let mut strange = Vec::new();
        document.unknown_keys("", &document.root, &mut strange);
        for (span, problem) in strange {
            document.add(span, problem);
        }
        document
    }

    /// Is the text TOML at all? If not, what seems to be missing may stand in a broken line.
    pub(super) fn is_toml(&self) -> bool {
        self.broken_lines.is_empty()
    }

    /// A text.
    pub(super) fn text(&mut self, path: &str) -> Option<Found<String>> {
        self.typed(path, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    /// True or false.
    pub(super) fn flag(&mut self, path: &str) -> Option<Found<bool>> {
        self.typed(path, "true or false", DeValue::as_bool)
    }

    /// A whole number in `range`.
    pub(super) fn number(&mut self, path: &str, range: RangeInclusive<u32>) -> Option<Found<u32>> {
        let found = self.typed(path, "a whole number", |value| value.as_integer().map(whole_number))?;
        match found.value.and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number)) {
            Some(value) => Some(Found { value, key: found.key, path: found.path, span: found.span }),
            None => {
                self.object(&found, "out of range", &format!("a number from {} to {}", range.start(), range.end()));
                None
            }
        }
    }

    /// A list of texts; a single text counts as a list of one. Elements that are no texts are objected to and left out.
    pub(super) fn list(&mut self, path: &str) -> Option<Vec<Found<String>>> {
        let (key, value, span) = self.find(path)?;
        let mut found = Vec::new();
        let mut wrong = Vec::new();
        match value {
            DeValue::String(text) => found.push(Found { value: text.to_string(), key, path: path.to_owned(), span }),
            DeValue::Array(elements) => {
                for element in elements.iter() {
                    match element.get_ref() {
                        DeValue::String(text) => {
                            let (value, path) = (text.to_string(), path.to_owned());
                            found.push(Found { value, key, path, span: element.span() });
                        }
                        _ => wrong.push(element.span()),
                    }
                }
            }
            _ => wrong.push(span),
        }
        for span in wrong {
            let wrong = Found { value: (), key, path: path.to_owned(), span };
            self.object(&wrong, "a list of texts is wanted here", &format!("e.g. {}", key.example));
        }
        Some(found)
    }

    /// A table of texts whose keys are free: each with its name. What is no text is objected to and left out.
    pub(super) fn table(&mut self, path: &str) -> Option<Vec<(String, Found<String>)>> {
        let (key, value, span) = self.find(path)?;
        let Some(table) = value.as_table() else {
            let wrong = Found { value: (), key, path: path.to_owned(), span };
            self.object(&wrong, "a table of texts is wanted here", &format!("e.g. {}", key.example));
            return None;
        };
        let mut found = Vec::new();
        let mut wrong = Vec::new();
        for (name, value) in table {
            let (path, span) = (path.to_owned(), value.span());
            match value.get_ref().as_str() {
                Some(text) => {
                    found.push((name.get_ref().to_string(), Found { value: text.to_owned(), key, path, span }));
                }
                None => wrong.push(Found { value: (), key, path, span }),
            }
        }
        for wrong in wrong {
            self.object(&wrong, "a text in quotes is wanted here", &format!("e.g. {}", key.example));
        }
        Some(found)
    }

    /// The key with whatever value, to object to a list as a whole.
    pub(super) fn whole(&self, path: &str) -> Option<Found<()>> {
        let (key, _, span) = self.find(path)?;
        Some(Found { value: (), key, path: path.to_owned(), span })
    }

    /// The names that the operator chose for sections below this one, in the order of the text.
    pub(super) fn names(&self, section: &str) -> Vec<Found<String>> {
        let Some(table) = self.section(section.split('.')) else { return Vec::new() };
        let mut found: Vec<_> = table
            .iter()
            .filter(|(_, value)| value.get_ref().as_table().is_some())
            .map(|(name, _)| {
                let value = name.get_ref().to_string();
                let path = format!("{section}.{value}");
                Found { value, key: Key { path: "", example: "" }, path, span: name.span() }
            })
            .collect();
        found.sort_by_key(|found| found.span.start);
        found
    }

    /// The keys that sections under such names may have.
    pub(super) fn keys_below(&self, section: &str) -> Vec<&'static str> {
        let name = |key: &Key| key.path.strip_prefix(section)?.strip_prefix(".*.");
        self.known.iter().filter_map(name).collect()
    }

    /// A good value for a key.
    pub(super) fn example(&self, path: &str) -> &'static str {
        self.known.iter().find(|key| is_named(key.path, path)).map_or("", |key| key.example)
    }

    /// Says that a value will not do.
    pub(super) fn object<T>(&mut self, found: &Found<T>, text: &str, remedy: &str) {
        let problem = self.about(found, text, remedy);
        self.add(found.span.clone(), problem);
    }

    /// Says that a value will do, but perhaps not well.
    pub(super) fn warn<T>(&mut self, found: &Found<T>, text: &str, remedy: &str) {
        let warning = self.about(found, text, remedy);
        self.warnings.push(warning);
    }

    /// Says that a key is missing.
    pub(super) fn missing(&mut self, path: &str, remedy: &str) {
        if self.is_toml() {
            let problem = self.problem(path, "is missing", remedy);
            self.problems.push(problem);
        }
    }

    /// Hands over all that is wrong and all that is doubtful, each in the order of the text.
    pub(super) fn take_problems(&mut self) -> (Vec<Problem>, Vec<Problem>) {
        self.problems.sort_by_key(|problem| problem.line.unwrap_or(0));
        self.warnings.sort_by_key(|problem| problem.line.unwrap_or(0));
        (std::mem::take(&mut self.problems), std::mem::take(&mut self.warnings))
    }

    fn typed<T>(&mut self, path: &str, wanted: &str, read: impl Fn(&DeValue<'t>) -> Option<T>) -> Option<Found<T>> {
        let (key, value, span) = self.find(path)?;
        match read(value) {
            Some(value) => Some(Found { value, key, path: path.to_owned(), span }),
            None => {
                let wrong = Found { value: (), key, path: path.to_owned(), span };
                self.object(&wrong, &format!("{wanted} is wanted here"), &format!("e.g. {}", key.example));
                None
            }
        }
    }

    fn find(&self, path: &str) -> Option<(Key, &DeValue<'t>, Range<usize>)> {
        let key = *self.known.iter().find(|key| is_named(key.path, path))?;
        let (sections, name) = path.rsplit_once('.').map_or((None, path), |(sections, name)| (Some(sections), name));
        let table = self.section(sections.iter().flat_map(|sections| sections.split('.')))?;
        let (_, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        Some((key, value.get_ref(), value.span()))
    }

    fn section<'p>(&self, names: impl Iterator<Item = &'p str>) -> Option<&DeTable<'t>> {
        let mut table = &self.root;
        for name in names {
            let (_, inner) = table.iter().find(|(key, _)| key.get_ref() == name)?;
            table = inner.get_ref().as_table()?;
        }
        Some(table)
    }

    fn unknown_keys(&self, prefix: &str, table: &DeTable<'t>, strange: &mut Vec<(Range<usize>, Problem)>) {
        for (key, value) in table {
            let path =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            if self.known.iter().any(|known| is_named(known.path, &path)) {
                continue;
            }
            let is_section = self.known.iter().any(|known| is_within(known.path, &path));
            match (is_section, value.get_ref()) {
                (true, DeValue::Table(inner)) => self.unknown_keys(&path, inner, strange),
                (true, _) => {
                    let problem =
                        self.problem(&path, "a section is wanted here", &format!("a line [{path}], its keys below"));
                    strange.push((key.span(), problem));
                }
                (false, _) => {
                    let problem = self.problem(&path, "there is no such key", &self.suggestion(&path));
                    strange.push((key.span(), problem));
                }
            }
        }
    }

    fn suggestion(&self, path: &str) -> String {
        let name = path.rsplit('.').next().unwrap_or(path);
        let keys = self.known.iter().map(|key| key.path);
        let sections = self.known.iter().filter_map(|key| Some(key.path.rsplit_once('.')?.0));
        // The same name in another section is the likeliest mistake, a wrong letter the next.
        let elsewhere = keys.clone().find(|known| known.rsplit('.').next() == Some(name));
        let nearest = || {
            let close = keys.chain(sections).map(|known| (distance(known, path), known)).min();
            close.filter(|(distance, _)| *distance <= 1 + path.len() / 5).map(|(_, known)| known)
        };
        match elsewhere.or_else(nearest) {
            Some(known) => format!("perhaps {} is meant", known.replace('*', "NAME")),
            None => "the sample configuration shows all keys".to_owned(),
        }
    }

    fn about<T>(&self, found: &Found<T>, text: &str, remedy: &str) -> Problem {
        let written = self.text.get(found.span.clone()).unwrap_or_default();
        let mut short: String = written.lines().next().unwrap_or_default().chars().take(SHOWN_CHARS_MAX).collect();
        if short.len() < written.len() {
            short.push('…');
        }
        let mut problem = self.problem(&found.path, text, remedy);
        problem.line = Some(self.line_of(found.span.start));
        problem.value = Some(short);
        problem
    }

    fn problem(&self, key: &str, text: &str, remedy: &str) -> Problem {
        Problem {
            file: self.file.clone(),
            line: None,
            key: key.to_owned(),
            value: None,
            text: text.to_owned(),
            remedy: remedy.to_owned(),
        }
    }

    fn add(&mut self, span: Range<usize>, mut problem: Problem) {
        let line = self.line_of(span.start);
        if !self.broken_lines.contains(&line) {
            problem.line = Some(line);
            self.problems.push(problem);
        }
    }

    fn line_of(&self, offset: usize) -> usize {
        // What is missed at the end of the file is missed in its last line; behind that no editor goes.
        1 + self.line_starts.partition_point(|start| *start <= offset)
    }
}

/// Is this the key, with names for its `*`?
fn is_named(key: &str, path: &str) -> bool {
    key == path || (key.contains('*') && key.split('.').count() == path.split('.').count() && begins(key, path))
}

/// Does the key stand in the section?
fn is_within(key: &str, section: &str) -> bool {
    key.split('.').count() > section.split('.').count() && begins(key, section)
}

/// Are these the first names of the key?
fn begins(key: &str, path: &str) -> bool {
    key.split('.').zip(path.split('.')).all(|(known, name)| known == "*" || known == name)
}

/// `None`: too large for any use.
fn whole_number(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// How many letters must be put in, taken out or changed to make one of the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        let mut next = vec![before];
        for (other, up) in right.chars().zip(row.iter().skip(1)) {
            before = (diagonal + usize::from(letter != other)).min(before + 1).min(up + 1);
            diagonal = *up;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// A wrong value is shown up to here.
const SHOWN_CHARS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        for (left, right, expected) in
            [("", "", 0), ("listen", "listen", 0), ("lisen", "listen", 1), ("", "abc", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }
}
