//! What a sender calls its file, made harmless: names and media types.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::UPLOAD_NAME_BYTES_MAX;

/// A file's name without anything that is a path, a command to a terminal, or a trick on the eye; at most
/// [`UPLOAD_NAME_BYTES_MAX`] bytes, never empty. It is never a name on our disk. Not printed: it may be private.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileName(String);

impl FileName {
    /// From what a client said; `None` if it said nothing.
    pub fn new(wished: &str) -> Option<FileName> {
        if wished.is_empty() {
            return None;
        }
        let cleaned: String = wished.chars().map(|c| if is_harmless(c) { c } else { '_' }).collect();
        // Clients take "." and ".." for directories, and Windows drops dots and blanks at the end.
        let bare = |text: &str| text.trim_matches(|c: char| c == '.' || c.is_whitespace()).to_owned();
        // Again behind the cut, which may have laid such an end bare.
        let cut = bare(&shortened(&bare(&cleaned)));
        Some(FileName(if cut.is_empty() { "file".to_owned() } else { cut }))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the last segment of a URL's path: only unreserved characters (RFC 3986 §2.3) and percent signs, for Kontalk's
    /// clients write the URL into XML as it is.
    pub fn to_segment(&self) -> String {
        percent_encoded(&self.0)
    }

    /// Is this segment of a request's path the name? Clients may encode more or less than we did.
    pub fn is_segment(&self, segment: &str) -> bool {
        percent_decoded(segment).is_some_and(|decoded| decoded == self.0.as_bytes())
    }

    /// The value of Content-Disposition: with a plain fallback, and the whole name as RFC 6266 §4.3 has it.
    pub fn disposition(&self, kind: &str) -> String {
        let fallback: String = self.0.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        if fallback == self.0 {
            format!("{kind}; filename=\"{fallback}\"")
        } else {
            format!("{kind}; filename=\"{fallback}\"; filename*=UTF-8''{}", self.to_segment())
        }
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileName(…)")
    }
}

/// A media type without parameters, in small letters: `image/jpeg`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaType(String);

impl MediaType {
    /// From what a client said; parameters are dropped. `None` if it is no media type (RFC 9110 §8.3.1).
    pub fn parse(text: &str) -> Option<MediaType> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let (kind, subtype) = essence.split_once('/')?;
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
        (essence.len() <= MEDIA_TYPE_BYTES_MAX && is_token(kind) && is_token(subtype))
            .then(|| MediaType(essence.to_ascii_lowercase()))
    }

    /// What a browser is told. Whatever could run as a document of our origin is a heap of bytes.
    pub fn served(&self) -> &str {
        if ACTIVE.iter().any(|word| self.0.contains(word)) { OCTET_STREAM } else { &self.0 }
    }

    /// May a browser show it in place? Only pictures, sound and moving pictures of known kinds.
    pub fn may_be_shown(&self) -> bool {
        SHOWN.contains(&self.0.as_str())
    }
}

impl Default for MediaType {
    fn default() -> MediaType {
        MediaType(OCTET_STREAM.to_owned())
    }
}

fn is_harmless(c: char) -> bool {
    let turns_the_text = matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let is_no_text = matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}');
    !c.is_control()
        && !turns_the_text
        && !is_no_text
        && !matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')' | '+' | ',' | '=' | '@' | '!' | '#')
}

/// Cuts the middle out of a long name, so that its ending still tells what it is.
fn shortened(name: &str) -> String {
    if name.len() <= UPLOAD_NAME_BYTES_MAX {
        return name.to_owned();
    }
    let ending = name.rfind('.').and_then(|dot| name.get(dot..)).filter(|ending| ending.len() <= ENDING_BYTES_MAX);
    let ending = ending.unwrap_or_default();
    let mut short = String::new();
    for c in name.chars() {
        if short.len() + c.len_utf8() + ending.len() > UPLOAD_NAME_BYTES_MAX {
            break;
        }
        short.push(c);
    }
    short + ending
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(out)
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

const OCTET_STREAM: &str = "application/octet-stream";
const MEDIA_TYPE_BYTES_MAX: usize = 100;
/// A longer ending is none.
const ENDING_BYTES_MAX: usize = 16;
/// Parts of the names of types that browsers run or follow.
const ACTIVE: [&str; 6] = ["html", "xml", "svg", "script", "flash", "multipart"];
/// SVG is not among them: it holds scripts.
const SHOWN: [&str; 24] = [
    "image/apng",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "audio/3gpp",
    "audio/aac",
    "audio/amr",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "video/3gpp",
    "video/mp4",
    "video/mpeg",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_harmless_and_honest_ones_stay() {
        for (wished, expected) in [
            ("photo.jpg", "photo.jpg"),
            ("Grüße aus Köln (2).pdf", "Grüße aus Köln (2).pdf"),
            ("写真.png", "写真.png"),
            ("../../../etc/passwd", "_.._.._etc_passwd"),
            ("..\\..\\boot.ini", "_.._boot.ini"),
            (".", "file"),
            ("..", "file"),
            ("...", "file"),
            (" . ", "file"),
            (".htaccess", "htaccess"),
            ("a\r\nSet-Cookie: x=y", "a__Set-Cookie_ x=y"),
            ("a\0b", "a_b"),
            ("a\"; filename=\"b.exe", "a_; filename=_b.exe"),
            ("<script>&'", "_script_&'"),
            ("gpj.\u{202E}exe", "gpj._exe"),
            ("/", "_"),
        ] {
            assert_eq!(FileName::new(wished).unwrap().as_str(), expected, "{wished:?}");
        }
        assert_eq!(FileName::new(""), None);
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        for (name, ending) in [
            (format!("{}.jpg.gpg", "x".repeat(5000)), ".gpg"),
            (format!("{}.tar", "ü".repeat(3000)), ".tar"),
            (format!("{}. . . .{}", "z".repeat(UPLOAD_NAME_BYTES_MAX - 3), "x".repeat(20)), "z"),
            (format!("a.{}", "y".repeat(300)), "y"),
            ("\u{1F600}".repeat(200), "\u{1F600}"),
        ] {
            let name = FileName::new(&name).unwrap();
            assert!(name.as_str().len() <= UPLOAD_NAME_BYTES_MAX && name.as_str().len() > UPLOAD_NAME_BYTES_MAX - 4);
            assert!(name.as_str().ends_with(ending));
        }
    }

    #[test]
    fn segments_are_plain_and_recognised_in_any_encoding() {
        let name = FileName::new("a&b'c ü~.jpg").unwrap();
        let segment = name.to_segment();
        assert_eq!(segment, "a%26b%27c%20%C3%BC~.jpg");
        for same in [segment.as_str(), "a&b'c%20%c3%bc%7E.jpg", "%61%26b%27c%20%C3%BC~.jpg"] {
            assert!(name.is_segment(same), "{same}");
        }
        for other in ["", "a", "a%26b%27c%20%C3%BC~.jp", "%", "%4", "%zz", "%+1", "a%26b%27c%20%C3%BC~.jpg%00"] {
            assert!(!name.is_segment(other), "{other}");
        }
    }

    #[test]
    fn dispositions_are_one_line_of_ascii() {
        assert_eq!(FileName::new("a b.txt").unwrap().disposition("inline"), "inline; filename=\"a b.txt\"");
        assert_eq!(
            FileName::new("ü;%.txt").unwrap().disposition("attachment"),
            "attachment; filename=\"___.txt\"; filename*=UTF-8''%C3%BC%3B%25.txt"
        );
    }

    #[test]
    fn media_types_are_tokens_and_what_browsers_run_is_bytes() {
        for (text, served, shown) in [
            ("image/jpeg", "image/jpeg", true),
            ("Image/PNG; name=x", "image/png", true),
            ("image/svg+xml", OCTET_STREAM, false),
            ("text/html", OCTET_STREAM, false),
            ("application/xhtml+xml", OCTET_STREAM, false),
            ("text/javascript", OCTET_STREAM, false),
            ("text/plain", "text/plain", false),
            ("application/pdf", "application/pdf", false),
            ("application/pgp-encrypted", "application/pgp-encrypted", false),
        ] {
            let media_type = MediaType::parse(text).unwrap();
            assert_eq!((media_type.served(), media_type.may_be_shown()), (served, shown), "{text}");
        }
        for text in ["", "image", "image/", "/png", "image/p ng", "image/png\r\nX: y", "image/pñg", "a/b/c"] {
            assert_eq!(MediaType::parse(text), None, "{text:?}");
        }
        assert_eq!(MediaType::parse(&format!("a/{}", "b".repeat(100))), None);
    }
}
