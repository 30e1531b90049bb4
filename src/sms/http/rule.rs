//! Rules by which a described provider's answers are understood.
//!
//! | Rule | holds if |
//! |---|---|
//! | `200` | that is the HTTP status |
//! | `/error/code = 7` | the JSON pointer (RFC 6901) leads to this text or number |
//! | `/id` | it leads to something that is not null, false or empty |
//! | `/messages/*/status = 0` | it does so for the elements of the list |
//! | `begins OK`, `contains OK` | the body begins with the text, or has it somewhere |

use serde_json::Value;

use super::answer::{Answer, scalar};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Status(u16),
    Pointer { path: Pointer, equals: Option<String> },
    Begins(String),
    Contains(String),
}

/// The way to a value in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    steps: Vec<String>,
}

impl Rule {
    pub(super) fn parse(text: &str) -> Option<Rule> {
        if let Some(path) = text.strip_prefix('/') {
            let (path, equals) = path.split_once(" = ").map_or((path, None), |(path, value)| (path, Some(value)));
            let path = Pointer::parse(&format!("/{}", path.trim_end()))?;
            return Some(Rule::Pointer { path, equals: equals.map(|value| value.trim().to_owned()) });
        }
        if let Some((word, rest)) = text.split_once(' ') {
            return match word {
                "begins" if !rest.is_empty() => Some(Rule::Begins(rest.to_owned())),
                "contains" if !rest.is_empty() => Some(Rule::Contains(rest.to_owned())),
                _ => None,
            };
        }
        let status = text.parse().ok().filter(|status| (200..600).contains(status));
        status.filter(|_| text.len() == 3).map(Rule::Status)
    }

    /// Does it hold? `all`: for each element where the pointer has a `*`, instead of for any.
    pub(super) fn holds(&self, answer: &Answer, json: Option<&Value>, all: bool) -> bool {
        match self {
            Rule::Status(status) => answer.status == *status,
            Rule::Begins(words) => answer.text().is_some_and(|text| text.trim_start().starts_with(words.as_str())),
            Rule::Contains(words) => answer.text().is_some_and(|text| text.contains(words.as_str())),
            Rule::Pointer { path, equals } => {
                let found = json.map(|json| path.find(json)).unwrap_or_default();
                let fits = |value: &Option<&Value>| value.is_some_and(|value| fits(value, equals.as_deref()));
                if all { !found.is_empty() && found.iter().all(fits) } else { found.iter().any(fits) }
            }
        }
    }
}

fn fits(value: &Value, equals: Option<&str>) -> bool {
    match equals {
        Some(wanted) => scalar(value).is_some_and(|text| text == wanted),
        None => match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(elements) => !elements.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Bool(true) | Value::Number(_) => true,
        },
    }
}

impl Pointer {
    /// RFC 6901 §3, and `*` for each element of a list.
    pub(super) fn parse(text: &str) -> Option<Pointer> {
        let path = text.strip_prefix('/')?;
        let steps: Vec<String> = path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        (steps.len() <= STEPS_MAX).then_some(Pointer { steps })
    }

    /// What it leads to; `None` for an element where it leads to nothing.
    fn find<'v>(&self, json: &'v Value) -> Vec<Option<&'v Value>> {
        let mut found = vec![Some(json)];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                match value {
                    Some(Value::Array(elements)) if step == "*" => next.extend(elements.iter().map(Some)),
                    Some(Value::Array(elements)) => next.push(step.parse().ok().and_then(|at: usize| elements.get(at))),
                    Some(Value::Object(fields)) => next.push(fields.get(step)),
                    _ => next.push(None),
                }
            }
            found = next;
        }
        found
    }

    /// The first thing it leads to.
    pub(super) fn first<'v>(&self, json: &'v Value) -> Option<&'v Value> {
        self.find(json).into_iter().flatten().next()
    }
}

const STEPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: &str, status: u16, body: &str, all: bool) -> bool {
        let answer = Answer { status, retry_after: None, body: Some(body.as_bytes().to_vec().into()) };
        Rule::parse(rule).unwrap().holds(&answer, answer.json().as_ref(), all)
    }

    #[test]
    fn rules_hold_for_what_they_say() {
        let two = r#"{"messages":[{"status":"0","id":"a"},{"status":"1","id":""}],"n":7,"a/b":{"~":true},"no":null}"#;
        for (rule, body, any, all) in [
            ("200", "", true, true),
            ("201", "", false, false),
            ("/n = 7", two, true, true),
            ("/n = 8", two, false, false),
            ("/n", two, true, true),
            ("/no", two, false, false),
            ("/nothing", two, false, false),
            ("/a~1b/~0 = true", two, true, true),
            ("/messages/*/status = 0", two, true, false),
            ("/messages/0/status = 0", two, true, true),
            ("/messages/1/status = 0", two, false, false),
            ("/messages/*/id", two, true, false),
            ("/messages/*/missing", two, false, false),
            ("/messages/*/status", "{\"messages\":[]}", false, false),
            ("/n = 7", "{\"n\":7", false, false),
            ("begins 0: Accepted", " 0: Accepted for delivery", true, true),
            ("begins Accepted", "0: Accepted for delivery", false, false),
            ("contains Accepted", "0: Accepted for delivery", true, true),
        ] {
            assert_eq!(holds(rule, 200, body, false), any, "{rule} {body}");
            assert_eq!(holds(rule, 200, body, true), all, "{rule} {body}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for text in ["", "ok", "99", "600", "2000", "begins ", "ends x", "status 200", "+20"] {
            assert_eq!(Rule::parse(text), None, "{text}");
        }
        assert_eq!(Pointer::parse(&"/a".repeat(17)), None);
    }
}
