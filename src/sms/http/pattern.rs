//! Texts with placeholders: `{text}` stands for the message. Each is put in once, escaped as its place wants it; what came in
//! by one is not looked at again, and a brace that begins no known name stays a brace.

use zeroize::Zeroizing;

use super::message::{Message, number_00};
use super::request::percent_encoded;

/// The placeholders there are, each with what it stands for.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    ("number", "the number with its plus"),
    ("digits", "the number without its plus"),
    ("digits_00", "the number with 00 for its plus"),
    ("country", "the country calling code"),
    ("text", "the whole message"),
    ("code", "the code alone"),
    ("sender", "whom the message is from"),
    ("reference", "a random name for the message"),
    ("lifetime_secs", "how long the message is good, in seconds"),
    ("lifetime_ms", "the same in milliseconds"),
    ("unicode", "true if the text has letters outside of the GSM alphabet, else false"),
    ("user", "the user"),
    ("secret", "what secret_file holds"),
];

/// A text, cut at its placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// One of [`PLACEHOLDERS`].
    Slot(&'static str),
}

/// How what is put in is made harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As it is: for plain text, for strings of JSON that are escaped as a whole, and for headers.
    None,
    /// Percent-encoded, for URLs and forms.
    Percent,
    /// With entities, for text and attributes of XML.
    Xml,
}

/// What the placeholders stand for in one message.
pub(super) struct Values<'a> {
    pub(super) message: &'a Message,
    pub(super) sender: &'a str,
    pub(super) user: &'a str,
    pub(super) secret: &'a str,
}

impl Pattern {
    /// Reads a text. The error is a name in braces that is no placeholder.
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            literal.push_str(before);
            let name = behind.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
            let Some(name) = name else {
                literal.push('{');
                rest = behind;
                continue;
            };
            let Some((slot, _)) = PLACEHOLDERS.iter().find(|(known, _)| *known == name) else {
                return Err(name.to_owned());
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Slot(slot));
            rest = behind.get(name.len() + 1..).unwrap_or_default();
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Pattern { parts })
    }

    /// Does it hold one of these?
    pub(super) fn names(&self, slots: &[&str]) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Slot(slot) if slots.contains(slot)))
    }

    /// The text with everything put in.
    pub(super) fn fill(&self, values: &Values<'_>, escape: Escape) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Slot(slot) => {
                    let value = values.of(slot);
                    match escape {
                        Escape::None => text.push_str(&value),
                        Escape::Percent => text.push_str(&percent_encoded(&value)),
                        Escape::Xml => value.chars().for_each(|c| push_xml(&mut text, c)),
                    }
                }
            }
        }
        text
    }
}

impl Values<'_> {
    fn of(&self, slot: &str) -> Zeroizing<String> {
        let message = self.message;
        if slot == "digits_00" {
            return number_00(message);
        }
        Zeroizing::new(match slot {
            "number" => message.to.as_e164().to_owned(),
            "digits" => message.digits().to_owned(),
            "country" => message.to.country_code().to_string(),
            "text" => message.text.as_str().to_owned(),
            "code" => message.text.code().digits().to_owned(),
            "sender" => self.sender.to_owned(),
            "reference" => message.reference.clone(),
            "lifetime_secs" => message.lifetime_secs().to_string(),
            "lifetime_ms" => message.lifetime_secs().saturating_mul(1000).to_string(),
            "unicode" => message.is_unicode().to_string(),
            "user" => self.user.to_owned(),
            "secret" => self.secret.to_owned(),
            _ => String::new(),
        })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn push_xml(text: &mut String, c: char) {
    match c {
        '&' => text.push_str("&amp;"),
        '<' => text.push_str("&lt;"),
        '>' => text.push_str("&gt;"),
        '"' => text.push_str("&quot;"),
        '\'' => text.push_str("&apos;"),
        c if c.is_control() && c != '\n' => text.push(' '),
        c => text.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::{Code, PhoneNumber, SmsText};

    fn message() -> Message {
        let text = SmsText::verification(&Code::parse("012345").unwrap());
        Message::new(&PhoneNumber::parse("+4915112345678").unwrap(), &text, [1; 16])
    }

    fn filled(text: &str, escape: Escape) -> String {
        let message = message();
        let values = Values { message: &message, sender: "A&B <{text}>", user: "u:'\"", secret: "s e+c\n" };
        Pattern::parse(text).unwrap().fill(&values, escape).as_str().to_owned()
    }

    #[test]
    fn placeholders_are_put_in_once_and_escaped_as_their_place_wants_it() {
        for (text, escape, expected) in [
            ("to={number}&x={digits}", Escape::Percent, "to=%2B4915112345678&x=4915112345678"),
            ("{digits_00} {country} {code}", Escape::None, "004915112345678 49 012345"),
            ("f={sender}", Escape::Percent, "f=A%26B%20%3C%7Btext%7D%3E"),
            ("<f>{sender}</f>", Escape::Xml, "<f>A&amp;B &lt;{text}&gt;</f>"),
            ("<u n='{user}'/>{secret}", Escape::Xml, "<u n='u:&apos;&quot;'/>s e+c\n"),
            ("{secret}", Escape::Percent, "s%20e%2Bc%0A"),
            ("{sender}", Escape::None, "A&B <{text}>"),
            ("{lifetime_secs} {lifetime_ms} {unicode}", Escape::None, "600 600000 false"),
            ("{reference}", Escape::None, "01010101010101010101010101010101"),
            ("{ {} { code } {\"a\":1} {", Escape::None, "{ {} { code } {\"a\":1} {"),
            ("{{code}}", Escape::None, "{012345}"),
            ("", Escape::None, ""),
        ] {
            assert_eq!(filled(text, escape), expected, "{text}");
        }
        assert!(filled("{text}", Escape::None).starts_with("012345 is your"));
    }

    #[test]
    fn every_placeholder_stands_for_something_and_others_are_told() {
        for (name, _) in PLACEHOLDERS {
            assert_ne!(filled(&format!("{{{name}}}"), Escape::None), "", "{name}");
        }
        assert_eq!(Pattern::parse("{number} {txet}"), Err("txet".to_owned()));
    }
}
