//! The request for a slot and its answers, in the two forms that clients speak.

use super::{FileName, MediaType};
use crate::stanza::{ErrorType, StanzaCondition, StanzaError, Timestamp};
use crate::xml::{Element, ns};

/// Which XEP-0363 a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Version 0.2: parameters are elements, URLs are their text. Kontalk's clients understand no other, and for them success of a
    /// PUT is 200 and nothing else.
    Old,
    /// Version 0.3 and later: attributes; success is 201.
    New,
}

impl Form {
    /// Its namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Form::Old => ns::UPLOAD_OLD,
            Form::New => ns::UPLOAD,
        }
    }

    /// The `<slot/>` with these URLs. XEP-0363 §5.
    pub fn slot(self, put: &str, get: &str) -> Element {
        let url = |name: &'static str, url: &str| match self {
            Form::Old => Element::new(name, ns::UPLOAD_OLD).with_text(url),
            Form::New => Element::new(name, ns::UPLOAD).with("url", url),
        };
        Element::new("slot", self.namespace()).with_child(url("put", put)).with_child(url("get", get))
    }
}

/// What a client wants to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How it asked.
    pub form: Form,
    /// The file's name, made harmless.
    pub name: FileName,
    /// Bytes of the file.
    pub size: u64,
    /// Its media type, if the client said one that is one.
    pub media_type: Option<MediaType>,
}

impl Wish {
    /// Reads the payload of an iq get: `None` if it asks for no slot, an error if it asks in a way that cannot be understood.
    pub fn read(payload: &Element) -> Option<Result<Wish, StanzaError>> {
        let form = [Form::Old, Form::New].into_iter().find(|form| payload.is("request", form.namespace()))?;
        let parameter = |name: &str| match form {
            Form::Old => payload.child(name, ns::UPLOAD_OLD).map(|child| child.text().trim().to_owned()),
            Form::New => payload.attribute(name).map(str::to_owned),
        };
        let name = parameter("filename").as_deref().and_then(FileName::new);
        let size = parameter("size").as_deref().and_then(positive);
        let (Some(name), Some(size)) = (name, size) else {
            let text = "a file has a name, and a size in bytes";
            return Some(Err(StanzaError::new(StanzaCondition::BadRequest).text(text)));
        };
        let media_type = parameter("content-type").as_deref().and_then(MediaType::parse);
        Some(Ok(Wish { form, name, size, media_type }))
    }
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotRefusal {
    /// The asker has no account here.
    NoAccount,
    /// The file is larger than files may be.
    TooLarge {
        /// Bytes that a file may have.
        bytes_max: u64,
    },
    /// The account's files take as much as they may.
    QuotaReached {
        /// When the oldest of them will be gone.
        retry: Option<Timestamp>,
    },
    /// Too many slots wait for their files, of the account or of all.
    TooManySlots,
    /// The disk is as full as uploads may make it.
    DiskFull,
    /// Something broke here.
    Fault,
}

impl SlotRefusal {
    /// The answer. XEP-0363 §6.
    pub fn to_error(self, form: Form) -> StanzaError {
        let namespace = form.namespace();
        match self {
            SlotRefusal::NoAccount => StanzaError::new(StanzaCondition::NotAllowed),
            SlotRefusal::TooLarge { bytes_max } => {
                let limit = Element::new("max-file-size", namespace).with_text(&bytes_max.to_string());
                StanzaError::new(StanzaCondition::NotAcceptable)
                    .of_type(ErrorType::Modify)
                    .text(format!("a file may have {bytes_max} bytes"))
                    .application(Element::new("file-too-large", namespace).with_child(limit))
            }
            SlotRefusal::QuotaReached { retry } => {
                let error = wait("your files take as much space as they may");
                match retry {
                    Some(at) => error.application(Element::new("retry", namespace).with("stamp", at.to_string())),
                    None => error,
                }
            }
            SlotRefusal::TooManySlots => wait("too many uploads have begun and not ended"),
            SlotRefusal::DiskFull => wait("there is no space left"),
            SlotRefusal::Fault => StanzaError::new(StanzaCondition::InternalServerError),
        }
    }
}

fn wait(text: &'static str) -> StanzaError {
    StanzaError::new(StanzaCondition::ResourceConstraint).of_type(ErrorType::Wait).text(text)
}

/// Digits only: `parse` alone would take a sign.
fn positive(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&size| digits && size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse_document;

    fn read(text: &str) -> Option<Result<Wish, StanzaError>> {
        Wish::read(&parse_document(text, ns::CLIENT, 10).unwrap())
    }

    #[test]
    fn both_forms_are_read() {
        // XEP-0363 §5, example 5, and the same as Kontalk writes it.
        let new =
            "<request xmlns='urn:xmpp:http:upload:0' filename='très cool.jpg' size='23456' content-type='image/jpeg'/>";
        let old = "<request xmlns='urn:xmpp:http:upload'><filename>très cool.jpg</filename><size>23456</size>\
                   <content-type>image/jpeg</content-type></request>";
        for (text, form) in [(new, Form::New), (old, Form::Old)] {
            let wish = read(text).unwrap().unwrap();
            assert_eq!((wish.form, wish.name.as_str(), wish.size), (form, "très cool.jpg", 23456));
            assert_eq!(wish.media_type, MediaType::parse("image/jpeg"));
        }
    }

    #[test]
    fn unsound_requests_are_told_and_others_left_alone() {
        for attributes in [
            "",
            "filename='a'",
            "size='1'",
            "filename='' size='1'",
            "filename='a' size='0'",
            "filename='a' size='-1'",
            "filename='a' size='+1'",
            "filename='a' size='1.5'",
            "filename='a' size='0x10'",
            "filename='a' size='99999999999999999999999'",
        ] {
            let answer = read(&format!("<request xmlns='urn:xmpp:http:upload:0' {attributes}/>")).unwrap();
            assert_eq!(answer.unwrap_err().condition(), StanzaCondition::BadRequest, "{attributes}");
        }
        // The old form has no attributes, the new one no children.
        let mixed = "<request xmlns='urn:xmpp:http:upload' filename='a' size='1'/>";
        assert!(read(mixed).unwrap().is_err());
        assert_eq!(read("<request xmlns='urn:xmpp:http:upload:1' filename='a' size='1'/>"), None);
        assert_eq!(read("<slot xmlns='urn:xmpp:http:upload:0'/>"), None);
        // A media type that is none is as good as none.
        let wish = read("<request xmlns='urn:xmpp:http:upload:0' filename='a' size='1' content-type='x'/>");
        assert_eq!(wish.unwrap().unwrap().media_type, None);
    }

    #[test]
    fn slots_and_refusals_are_in_the_form_of_the_request() {
        let url = "https://a.example/upload/1/a.jpg";
        for (form, expected) in [
            (Form::New, format!("<slot xmlns='urn:xmpp:http:upload:0'><put url='{url}'/><get url='{url}'/></slot>")),
            (Form::Old, format!("<slot xmlns='urn:xmpp:http:upload'><put>{url}</put><get>{url}</get></slot>")),
        ] {
            assert_eq!(form.slot(url, url).to_text(ns::CLIENT), expected);
        }
        let error = SlotRefusal::TooLarge { bytes_max: 20_000 }.to_error(Form::Old).to_element().to_text(ns::CLIENT);
        assert!(
            error.starts_with("<error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>")
        );
        let detail =
            "<file-too-large xmlns='urn:xmpp:http:upload'><max-file-size>20000</max-file-size></file-too-large>";
        assert!(error.contains(detail), "{error}");
        let retry = Some(Timestamp { millis: 1_633_608_000_000 });
        let error = SlotRefusal::QuotaReached { retry }.to_error(Form::New).to_element().to_text(ns::CLIENT);
        assert!(error.starts_with("<error type='wait'><resource-constraint "), "{error}");
        assert!(error.contains("<retry xmlns='urn:xmpp:http:upload:0' stamp='2021-10-07T12:00:00.000Z'/>"), "{error}");
    }
}
