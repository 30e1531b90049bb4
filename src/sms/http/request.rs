//! A request to a provider, made before anything is sent.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use zeroize::Zeroizing;

/// Never printed: it holds numbers, texts and secrets.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Zeroizing<String>,
    pub(super) headers: Vec<(String, Zeroizing<String>)>,
    pub(super) body: Zeroizing<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
}

impl Request {
    pub(super) fn new(method: Method, url: String) -> Request {
        Request { method, url: Zeroizing::new(url), headers: Vec::new(), body: Zeroizing::default() }
    }

    pub(super) fn get(url: String) -> Request {
        Request::new(Method::Get, url)
    }

    /// `POST` of an HTML form.
    pub(super) fn form(url: String, fields: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Method::Post, url).header("Content-Type", FORM);
        for (name, value) in fields {
            if !request.body.is_empty() {
                request.body.push('&');
            }
            let (name, value) = (percent_encoded(name), percent_encoded(value));
            request.body.push_str(&name);
            request.body.push('=');
            request.body.push_str(&value);
        }
        request
    }

    /// `POST` of JSON.
    pub(super) fn json(url: String, value: &Value) -> Request {
        let mut request = Request::new(Method::Post, url).header("Content-Type", JSON);
        request.body = Zeroizing::new(value.to_string());
        request
    }

    /// One more header. RFC 9110 §5.5: no control characters in it.
    pub(super) fn header(mut self, name: &str, value: &str) -> Request {
        let value = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.headers.push((name.to_owned(), Zeroizing::new(value)));
        self
    }

    /// HTTP Basic, RFC 7617 §2.
    pub(super) fn basic(self, user: &str, password: &str) -> Request {
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        let value = Zeroizing::new(format!("Basic {}", encoded.as_str()));
        self.header("Authorization", &value)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:?} …)", self.method)
    }
}

/// RFC 3986 §2.3: everything but the unreserved characters. Good for any part of a URL, and for forms.
pub(super) fn percent_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, RESERVED).to_string())
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_percent_encoded_and_nothing_is_shown() {
        let request = Request::form("https://a.example".into(), &[("To", "+4915112345678"), ("Body", "a b&c=ü\n")]);
        assert_eq!(request.body.as_str(), "To=%2B4915112345678&Body=a%20b%26c%3D%C3%BC%0A");
        let request = request.basic("Aladdin", "open sesame").header("X", "a\r\nb");
        // RFC 7617 §2.
        assert_eq!(request.headers[1].1.as_str(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(request.headers[2].1.as_str(), "a  b");
        assert_eq!(format!("{request:?}"), "Request(Post …)");
    }
}
