//! Public keys for ordinary OpenPGP tools: the Web Key Directory in its advanced and its direct form
//! (draft-koch-openpgp-webkey-service), and `/pks/lookup` as key servers have it (draft-gallagher-openpgp-hkp).
//!
//! Whose key is given to whom is the [`KeyDirectory`]'s to decide. Here one question is read: an exact fingerprint, or an exact user id.
//! There is no searching by parts of names, and no uploading.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};
use sha1::{Digest, Sha1};

use super::answer::{self, Request, Response};
use super::{Answer, ClientAddress, Page};

/// Which key is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The key with this fingerprint.
    Fingerprint([u8; 20]),
    /// The key with this user id, or with this address in it.
    Id(String),
}

/// A key that may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundKey {
    /// The binary ring.
    pub ring: Vec<u8>,
    /// The same in ASCII armor.
    pub armored: String,
    /// Its fingerprint, 40 hexadecimal digits.
    pub fingerprint: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The user id, or the address in it, by which it is known here.
    pub id: String,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// There is no such key, or its owner does not want it found: the two look the same.
    NotHere,
    /// Too many questions; one more may be asked after this time.
    TooMany(Duration),
    /// The directory cannot be read.
    Fault,
}

/// Who knows keys. May take the time of a disk.
pub trait KeyDirectory: Send + Sync {
    /// The key that this client may have.
    fn find(&self, wanted: &Wanted, client: IpAddr) -> Result<FoundKey, NoKey>;
}

/// One of the two pages.
#[derive(Clone)]
pub struct KeyPage {
    directory: Arc<dyn KeyDirectory>,
    /// The domain in ASCII.
    domain: String,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Wkd,
    Hkp,
}

impl KeyPage {
    /// What the paths of the Web Key Directory begin with.
    pub const WKD_PATH: &'static str = "/.well-known/openpgpkey/";
    /// Where key servers answer.
    pub const HKP_PATH: &'static str = "/pks/lookup";

    /// The Web Key Directory of a domain, which is in ASCII.
    pub fn wkd(directory: Arc<dyn KeyDirectory>, domain: String) -> KeyPage {
        KeyPage { directory, domain, form: Form::Wkd }
    }

    /// The key server.
    pub fn hkp(directory: Arc<dyn KeyDirectory>, domain: String) -> KeyPage {
        KeyPage { directory, domain, form: Form::Hkp }
    }

    async fn get(&self, request: &Request) -> Response {
        let query = Query(request.uri().query().unwrap_or_default());
        let asked = match self.form {
            Form::Wkd => read_wkd(request.uri().path(), &query, &self.domain),
            Form::Hkp => read_hkp(&query),
        };
        let (wanted, shape) = match asked {
            Ok(asked) => asked,
            Err(response) => return *response,
        };
        let client =
            request.extensions().get::<ClientAddress>().map_or(IpAddr::from([127, 0, 0, 1]), |client| client.0);
        let directory = self.directory.clone();
        match smol::unblock(move || directory.find(&wanted, client)).await {
            Ok(found) => shape.show(found),
            Err(NoKey::NotHere) => answer::not_found(),
            Err(NoKey::TooMany(wait)) => {
                let mut response = answer::line(StatusCode::TOO_MANY_REQUESTS, "Too many keys were asked for.");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
                response
            }
            Err(NoKey::Fault) => answer::line(StatusCode::INTERNAL_SERVER_ERROR, "The keys cannot be read."),
        }
    }
}

impl Page for KeyPage {
    fn answer(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let method = request.method();
            let mut response = match *method {
                Method::GET | Method::HEAD => answer::without_content(method, self.get(&request).await),
                Method::OPTIONS => answer::options(METHODS),
                _ => answer::wrong_method(METHODS),
            };
            // Both drafts want it: web clients ask from other origins.
            answer::open_to_all_origins(response.headers_mut(), METHODS);
            response
        })
    }
}

/// How the key is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Binary,
    Armored,
    Index,
}

impl Shape {
    fn show(self, found: FoundKey) -> Response {
        match self {
            Shape::Binary => answer::document(StatusCode::OK, "application/octet-stream", found.ring),
            Shape::Armored => answer::document(StatusCode::OK, "application/pgp-keys; charset=utf-8", found.armored),
            Shape::Index => answer::document(StatusCode::OK, "text/plain; charset=utf-8", index(&found)),
        }
    }
}

type Asked = Result<(Wanted, Shape), Box<Response>>;

/// `policy`, or `hu/HASH?l=NAME`; in the advanced form behind the domain.
fn read_wkd(path: &str, query: &Query<'_>, domain: &str) -> Asked {
    let nothing = || Box::new(answer::not_found());
    let below = path.strip_prefix(KeyPage::WKD_PATH).ok_or_else(nothing)?;
    let below = match below.split_once('/') {
        Some((of, rest)) if of.eq_ignore_ascii_case(domain) => rest,
        _ => below,
    };
    if below == "policy" {
        // No flags: nothing here differs from what the draft expects.
        return Err(Box::new(answer::document(StatusCode::OK, "text/plain; charset=utf-8", "")));
    }
    let hash = below.strip_prefix("hu/").ok_or_else(nothing)?;
    // The hash alone would have to be searched for among all accounts; tools send the name beside it.
    let name = query.value("l").ok_or_else(nothing)?;
    if !hash.eq_ignore_ascii_case(&zbase32(&Sha1::digest(name.to_lowercase()))) {
        return Err(nothing());
    }
    Ok((Wanted::Id(format!("{name}@{domain}")), Shape::Binary))
}

/// `op=get|index&search=0xFINGERPRINT|user id`.
fn read_hkp(query: &Query<'_>) -> Asked {
    let line = |status, text| Box::new(answer::line(status, text));
    let shape = match query.value("op").as_deref() {
        Some("get") => Shape::Armored,
        Some("index" | "vindex") => Shape::Index,
        _ => return Err(line(StatusCode::NOT_IMPLEMENTED, "Only get and index are done here.")),
    };
    let search = query.value("search").ok_or_else(|| line(StatusCode::BAD_REQUEST, "What is searched for?"))?;
    let search = search.trim();
    let Some(digits) = search.strip_prefix("0x").or_else(|| search.strip_prefix("0X")) else {
        let id = search.strip_prefix('=').unwrap_or(search);
        let id = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id);
        return Ok((Wanted::Id(id.to_owned()), shape));
    };
    // Shorter key ids are made to order by whoever wants to be taken for another.
    fingerprint(digits).map(|key| (Wanted::Fingerprint(key), shape)).ok_or_else(|| Box::new(answer::not_found()))
}

fn fingerprint(digits: &str) -> Option<[u8; 20]> {
    if digits.len() != 40 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 20];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// The machine-readable index of one key. What may stand between the colons is escaped as in URLs; algorithm and length are in the key.
fn index(found: &FoundKey) -> String {
    let mut id = String::new();
    for byte in found.id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'@' | b'.' | b'-' | b'_' => id.push(char::from(byte)),
            other => id.push_str(&format!("%{other:02X}")),
        }
    }
    let (fingerprint, created) = (&found.fingerprint, found.created);
    format!("info:1:1\npub:{fingerprint}:::{created}::\nuid:{id}:{created}::\n")
}

/// The part of a URL behind its question mark.
struct Query<'a>(&'a str);

impl Query<'_> {
    /// The first value of this name, decoded.
    fn value(&self, name: &str) -> Option<String> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(known, _)| *known == name).and_then(|(_, value)| decoded(value))
    }
}

fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The alphabet that WKD hashes are written in; 160 bits are 32 letters.
fn zbase32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0_u32);
    for byte in bytes {
        held = (held << 8 | u32::from(*byte)) & 0xffff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let letter = usize::try_from(held >> bits & 31).ok().and_then(|at| LETTERS.get(at));
            text.extend(letter.map(|letter| char::from(*letter)));
        }
    }
    text
}

const METHODS: &str = "GET, HEAD, OPTIONS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hashed_as_the_draft_has_it() {
        // draft-koch-openpgp-webkey-service: Joe.Doe@Example.ORG.
        assert_eq!(zbase32(&Sha1::digest("joe.doe")), "iy9q119eutrkn8s1mk4r39qejnbu3n5q");
    }

    fn wkd(url: &str) -> Result<(Wanted, Shape), u16> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        read_wkd(path, &Query(query), "a.example").map_err(|response| response.status().as_u16())
    }

    #[test]
    fn both_forms_of_the_directory_are_read_and_nothing_without_its_name() {
        let wanted = Ok((Wanted::Id("Joe.Doe@a.example".to_owned()), Shape::Binary));
        let hash = "iy9q119eutrkn8s1mk4r39qejnbu3n5q";
        for (url, expected) in [
            (format!("/.well-known/openpgpkey/hu/{hash}?l=Joe.Doe"), wanted.clone()),
            (format!("/.well-known/openpgpkey/A.example/hu/{hash}?l=Joe.Doe"), wanted.clone()),
            (format!("/.well-known/openpgpkey/a.example/hu/{hash}?x=1&l=Joe%2eDoe"), wanted),
            (format!("/.well-known/openpgpkey/b.example/hu/{hash}?l=Joe.Doe"), Err(404)),
            (format!("/.well-known/openpgpkey/hu/{hash}?l=Jane.Doe"), Err(404)),
            (format!("/.well-known/openpgpkey/hu/{hash}?l=%zz"), Err(404)),
            (format!("/.well-known/openpgpkey/hu/{hash}"), Err(404)),
            ("/.well-known/openpgpkey/policy".to_owned(), Err(200)),
            ("/.well-known/openpgpkey/a.example/policy".to_owned(), Err(200)),
            ("/.well-known/openpgpkey/".to_owned(), Err(404)),
        ] {
            assert_eq!(wkd(&url), expected, "{url}");
        }
    }

    #[test]
    fn a_key_server_is_asked_for_a_whole_fingerprint_or_a_whole_id() {
        let print = "0123456789abcdef0123456789ABCDEF01234567";
        let bytes = fingerprint(print).unwrap();
        assert_eq!(bytes[..4], [0x01, 0x23, 0x45, 0x67]);
        let id = |id: &str, shape| Ok((Wanted::Id(id.to_owned()), shape));
        for (query, expected) in [
            (format!("op=get&search=0x{print}&options=mr"), Ok((Wanted::Fingerprint(bytes), Shape::Armored))),
            (format!("op=index&search=0X{print}"), Ok((Wanted::Fingerprint(bytes), Shape::Index))),
            ("op=get&search=0x01234567".to_owned(), Err(404)),
            ("op=get&search=xmpp%3Aa.example".to_owned(), id("xmpp:a.example", Shape::Armored)),
            ("search=%3Cx%40a.example%3E&op=vindex".to_owned(), id("x@a.example", Shape::Index)),
            ("op=get&search=%3Dx+y".to_owned(), id("x y", Shape::Armored)),
            ("op=get".to_owned(), Err(400)),
            ("op=stats&search=x".to_owned(), Err(501)),
            (String::new(), Err(501)),
        ] {
            let read = read_hkp(&Query(&query)).map_err(|response| response.status().as_u16());
            assert_eq!(read, expected, "{query}");
        }
    }

    #[test]
    fn an_index_has_no_colon_that_is_not_its_own() {
        let found = FoundKey {
            ring: Vec::new(),
            armored: String::new(),
            fingerprint: "AB".to_owned(),
            created: 7,
            id: "xmpp:a.example\n".to_owned(),
        };
        assert_eq!(index(&found), "info:1:1\npub:AB:::7::\nuid:xmpp%3Aa.example%0A:7::\n");
    }
}
