//! A provider that is described in the configuration instead of known to the product.
//!
//! An answer is understood in this order: *not allowed*, *later*, *unknown* if any of their rules holds; *accepted* if one of
//! its statuses and all its other rules hold; a whole answer 2xx that is not accepted is *refused*, for these interfaces say
//! no in it; and of the rest the status decides.

use serde_json::Value;

use super::answer::{Answer, BUSY, OUTAGE_REST, RATE_REST, REFUSED, reference};
use super::fault::Fault;
use super::message::Message;
use super::pattern::{Escape, PLACEHOLDERS, Pattern, Values};
use super::request::{Method, Request};
use super::rule::{Pointer, Rule};
use super::settings::Template;
use super::{Accepted, SmsError};

/// The description, read.
pub(super) struct Dialect {
    method: Method,
    url: Pattern,
    headers: Vec<(String, Pattern)>,
    content_type: Option<String>,
    body: Body,
    sender: String,
    user: String,
    basic: bool,
    accepted: Vec<Rule>,
    not_allowed: Vec<Rule>,
    later: Vec<Rule>,
    unknown: Vec<Rule>,
    reference: Option<Pointer>,
}

enum Body {
    /// Placeholders in a text.
    Text(Pattern, Escape),
    /// Placeholders in the strings of a value, which is written out when they are filled: nothing can break out of a string.
    Json(Value),
}

impl Dialect {
    pub(super) fn new(settings: &Template, faults: &mut Vec<Fault>) -> Option<Dialect> {
        let before = faults.len();
        let method = match settings.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            _ => {
                faults.push(Fault::new("method", "not a method", "\"POST\", \"GET\" or \"PUT\""));
                Method::Post
            }
        };
        let url = pattern("url", &settings.url, faults);
        let headers = headers(&settings.headers, faults);
        let body = body(settings, method, faults);
        let named = |slots: &[&str]| {
            url.names(slots) || headers.iter().any(|(_, value)| value.names(slots)) || body_names(&body, slots)
        };
        if !named(&["number", "digits", "digits_00"]) {
            faults.push(Fault::new("body", "the number is nowhere in the request", "put {number} or {digits} in"));
        }
        if !named(&["text", "code"]) {
            faults.push(Fault::new("body", "the message is nowhere in the request", "put {text} or {code} in"));
        }
        if named(&["sender"]) && settings.sender.is_none() {
            faults.push(Fault::new("from", "{sender} stands for nothing", "set from"));
        }
        if named(&["secret"]) && settings.secret_file.is_none() {
            faults.push(Fault::new("secret_file", "{secret} stands for nothing", "set secret_file"));
        }
        if named(&["user"]) && settings.user.is_none() {
            faults.push(Fault::new("user", "{user} stands for nothing", "set user"));
        }
        let basic = settings.user.is_some() && settings.secret_file.is_some() && !named(&["secret", "user"]);
        let reference = settings.reference.as_deref().and_then(|text| {
            let pointer = Pointer::parse(text);
            if pointer.is_none() {
                faults.push(Fault::new("reference", "not a JSON pointer", "e.g. \"/messages/0/id\""));
            }
            pointer
        });
        let dialect = Dialect {
            method,
            url,
            headers,
            content_type: settings.content_type.clone(),
            body,
            sender: settings.sender.clone().unwrap_or_default(),
            user: settings.user.clone().unwrap_or_default(),
            basic,
            accepted: rules("accepted", &settings.accepted, faults),
            not_allowed: rules("not_allowed", &settings.not_allowed, faults),
            later: rules("later", &settings.later, faults),
            unknown: rules("unknown", &settings.unknown, faults),
            reference,
        };
        (faults.len() == before).then_some(dialect)
    }

    fn is_accepted(&self, answer: &Answer, json: Option<&Value>) -> bool {
        let (statuses, others): (Vec<&Rule>, Vec<&Rule>) =
            self.accepted.iter().partition(|rule| matches!(rule, Rule::Status(_)));
        let status = if statuses.is_empty() {
            (200..300).contains(&answer.status)
        } else {
            statuses.iter().any(|rule| rule.holds(answer, json, true))
        };
        status && others.iter().all(|rule| rule.holds(answer, json, true))
    }
}

impl super::Dialect for Dialect {
    fn request(&self, message: &Message, secret: &str) -> Request {
        let values = Values { message, sender: &self.sender, user: &self.user, secret };
        let mut request = Request::new(self.method, String::new());
        request.url = self.url.fill(&values, Escape::Percent);
        for (name, value) in &self.headers {
            request = request.header(name, &value.fill(&values, Escape::None));
        }
        if let Some(content_type) = &self.content_type {
            request = request.header("Content-Type", content_type);
        }
        request.body = match &self.body {
            Body::Text(pattern, escape) => pattern.fill(&values, *escape),
            Body::Json(value) => filled(value, &values).to_string().into(),
        };
        if self.basic { request.basic(&self.user, secret) } else { request }
    }

    fn outcome(&self, answer: &Answer) -> Result<Accepted, SmsError> {
        let json = answer.json();
        let json = json.as_ref();
        let any = |rules: &[Rule]| rules.iter().any(|rule| rule.holds(answer, json, false));
        if any(&self.not_allowed) {
            return Err(SmsError::NotAllowed(NOT_ALLOWED.into()));
        }
        if any(&self.later) {
            let usual = if answer.status >= 500 { OUTAGE_REST } else { RATE_REST };
            return Err(SmsError::Later(BUSY.into(), answer.rest(usual)));
        }
        if any(&self.unknown) {
            return Err(SmsError::Unknown(UNKNOWN.into()));
        }
        if answer.body.is_some() && self.is_accepted(answer, json) {
            let found = self.reference.as_ref().and_then(|pointer| pointer.first(json?));
            return Ok(Accepted { reference: reference(found) });
        }
        // JSON that is none was cut short or comes from somebody else.
        let wants_json = self.accepted.iter().any(|rule| matches!(rule, Rule::Pointer { .. }));
        match answer.status {
            200..=299 if answer.body.is_some() && (json.is_some() || !wants_json) => {
                Err(SmsError::Refused(REFUSED.into()))
            }
            _ => Err(answer.by_status()),
        }
    }
}

fn pattern(key: &'static str, text: &str, faults: &mut Vec<Fault>) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|name| {
        let names: Vec<String> = PLACEHOLDERS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
        let text = format!("{{{name}}} is no placeholder");
        faults.push(Fault::new(key, text, names.join(" ")));
        Pattern::default()
    })
}

fn headers(headers: &[(String, String)], faults: &mut Vec<Fault>) -> Vec<(String, Pattern)> {
    let mut read = Vec::new();
    for (name, value) in headers {
        let is_token = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !is_token || ["content-length", "transfer-encoding", "host"].contains(&name.to_ascii_lowercase().as_str()) {
            let text = format!("not a header that can be set: {name}");
            faults.push(Fault::new("headers", text, "e.g. { X-Api-Key = \"{secret}\" }"));
        }
        read.push((name.clone(), pattern("headers", value, faults)));
    }
    read
}

fn body(settings: &Template, method: Method, faults: &mut Vec<Fault>) -> Body {
    let none = Body::Text(Pattern::default(), Escape::None);
    let (text, content_type) = match (&settings.body, &settings.content_type) {
        (None, None) => return none,
        (Some(_), _) if method == Method::Get => {
            faults.push(Fault::new("body", "GET has no body", "put everything into the url, or use POST"));
            return none;
        }
        (None, Some(_)) => {
            faults.push(Fault::new("body", "is missing", "what content_type says, or no content_type"));
            return none;
        }
        (Some(_), None) => {
            faults.push(Fault::new("content_type", "is missing", TYPES));
            return none;
        }
        (Some(text), Some(content_type)) => (text, content_type),
    };
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => Body::Text(pattern("body", text, faults), Escape::Percent),
        "text/plain" => Body::Text(pattern("body", text, faults), Escape::None),
        "text/xml" | "application/xml" => Body::Text(pattern("body", text, faults), Escape::Xml),
        kind if kind.ends_with("+xml") => Body::Text(pattern("body", text, faults), Escape::Xml),
        kind if kind == "application/json" || kind.ends_with("+json") => match serde_json::from_str(text) {
            Ok(value) => {
                json_patterns(&value, &mut |text| drop(pattern("body", text, faults)));
                Body::Json(value)
            }
            Err(error) => {
                let text = format!("not JSON: {error}");
                faults.push(Fault::new("body", text, "placeholders stand inside of strings: {\"to\": \"{number}\"}"));
                none
            }
        },
        _ => {
            faults.push(Fault::new("content_type", "nobody here knows how to escape for it", TYPES));
            none
        }
    }
}

/// Calls `each` for all strings of a value.
fn json_patterns(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(elements) => elements.iter().for_each(|element| json_patterns(element, each)),
        Value::Object(fields) => fields.values().for_each(|field| json_patterns(field, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn body_names(body: &Body, slots: &[&str]) -> bool {
    match body {
        Body::Text(pattern, _) => pattern.names(slots),
        Body::Json(value) => {
            let mut found = false;
            json_patterns(value, &mut |text| found |= Pattern::parse(text).is_ok_and(|pattern| pattern.names(slots)));
            found
        }
    }
}

/// A value with everything put into its strings.
fn filled(value: &Value, values: &Values<'_>) -> Value {
    match value {
        Value::String(text) => Pattern::parse(text).map_or(Value::Null, |pattern| {
            let text = pattern.fill(values, Escape::None);
            Value::String(text.as_str().to_owned())
        }),
        Value::Array(elements) => elements.iter().map(|element| filled(element, values)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), filled(field, values))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn rules(key: &'static str, texts: &[String], faults: &mut Vec<Fault>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for text in texts {
        match Rule::parse(text) {
            Some(rule) => rules.push(rule),
            None => {
                let remedy = "e.g. \"200\", \"/status = 0\", \"/id\", \"begins OK\" or \"contains OK\"";
                faults.push(Fault::new(key, format!("not a rule: {text}"), remedy));
            }
        }
    }
    rules
}

const TYPES: &str = "application/json, application/x-www-form-urlencoded, text/xml or text/plain";
const NOT_ALLOWED: &str = "the provider takes no messages from us (remedy: look at its console)";
const UNKNOWN: &str = "the provider does not know what became of the message";
