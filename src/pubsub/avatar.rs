//! A picture in two places: the avatar nodes of XEP-0084 and the PHOTO of a vCard (XEP-0054, XEP-0153), and how one becomes the
//! other (XEP-0398). The nodes are where it is kept; the vCard is kept without.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::xml::{Element, ns};

/// A picture. It does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    /// Its SHA-1, in lower-case hexadecimal digits: the item's id.
    pub id: String,
    /// Its MIME type, as the client says.
    pub mime: String,
    /// How many bytes it has.
    pub bytes: usize,
    /// The picture in base64, without white space.
    pub base64: String,
}

impl std::fmt::Debug for Photo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Photo").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Photo {
    /// The picture of a vCard, if it holds one that can be read. XEP-0398 §3.2.
    pub fn of_vcard(vcard: &Element) -> Option<Photo> {
        let photo = vcard.child("PHOTO", ns::VCARD)?;
        let mime = photo.child("TYPE", ns::VCARD).map(Element::text).unwrap_or_default();
        let mime = if mime.trim().is_empty() { "image/png" } else { mime.trim() };
        Photo::new(mime, &photo.child("BINVAL", ns::VCARD)?.text())
    }

    fn new(mime: &str, base64: &str) -> Option<Photo> {
        let base64: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let picture = STANDARD.decode(&base64).ok().filter(|picture| !picture.is_empty())?;
        let id = Sha1::digest(&picture).iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Photo { id, mime: mime.to_owned(), bytes: picture.len(), base64 })
    }

    /// The payload for [`AVATAR_DATA`]. XEP-0084 §4.2.1.
    pub fn data(&self) -> Element {
        Element::new("data", AVATAR_DATA).with_text(&self.base64)
    }

    /// The payload for [`AVATAR_METADATA`]. XEP-0084 §4.2.3; how wide and high it is a client will see.
    pub fn metadata(&self) -> Element {
        let info = Element::new("info", AVATAR_METADATA)
            .with("bytes", self.bytes.to_string())
            .with("id", self.id.as_str())
            .with("type", self.mime.as_str());
        Element::new("metadata", AVATAR_METADATA).with_child(info)
    }
}

/// The payload that says that there is no picture. XEP-0084 §4.2.4.
pub fn no_avatar() -> Element {
    Element::new("metadata", AVATAR_METADATA)
}

/// The id and MIME type of the picture that the account itself keeps, by the payload of [`AVATAR_METADATA`]. XEP-0398 §3.1: not
/// one that lies elsewhere.
pub fn current_avatar(metadata: &Element) -> Option<(&str, &str)> {
    let kept = |info: &&Element| info.is("info", AVATAR_METADATA) && info.attribute("url").is_none();
    let info = metadata.children().find(kept)?;
    Some((info.attribute("id")?, info.attribute("type").unwrap_or("image/png")))
}

/// The picture in the payload of [`AVATAR_DATA`], if it is the one its id says.
pub fn photo_in_data(data: &Element, id: &str, mime: &str) -> Option<Photo> {
    Photo::new(mime, &data.text()).filter(|photo| photo.id == id.to_ascii_lowercase())
}

/// A vCard with this picture instead of its own.
pub fn with_photo(vcard: Element, photo: &Photo) -> Element {
    let element = Element::new("PHOTO", ns::VCARD)
        .with_child(Element::new("TYPE", ns::VCARD).with_text(&photo.mime))
        .with_child(Element::new("BINVAL", ns::VCARD).with_text(&photo.base64));
    without_photo(vcard).with_child(element)
}

/// A vCard without its picture.
pub fn without_photo(mut vcard: Element) -> Element {
    vcard.retain_children(|child| !child.is("PHOTO", ns::VCARD));
    vcard
}

/// The node of pictures. XEP-0084 §4.
pub const AVATAR_DATA: &str = "urn:xmpp:avatar:data";
/// The node that says which picture it is. XEP-0084 §4.
pub const AVATAR_METADATA: &str = "urn:xmpp:avatar:metadata";
