//! Hostile requests for upload slots, names of files, media types, and paths.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kontalk_node::limits::{STANZA_DEPTH_MAX, UPLOAD_NAME_BYTES_MAX};
use kontalk_node::stanza::Timestamp;
use kontalk_node::upload::{FileKey, FileName, KeySecret, MediaType, Wish};
use kontalk_node::xml::{ns, parse_document};

use crate::spoil::Random;

/// Whatever a client wishes its file's name to be, what we say of it is plain, and is recognised when it comes back.
pub fn upload(random: &mut Random, input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let secret = KeySecret::new([1; 32]);
    let owner = secret.owner(&"romeo@a.example".parse().unwrap(), Timestamp { millis: 0 });
    let segment = secret.to_segment(FileKey::new(owner, [7; 16]));
    // As the segments of a path.
    if let Some(key) = secret.parse(&text) {
        assert_eq!(secret.to_segment(key), text);
    }
    let other = FileName::new("a b.jpg").unwrap();
    assert!(!other.is_segment(&text) || text.contains("b.jpg") || text.contains('%'));
    FileName::new(&text).iter().for_each(check_name);
    MediaType::parse(&text).iter().for_each(check_media_type);

    let Ok(payload) = parse_document(&text, ns::CLIENT, STANZA_DEPTH_MAX) else { return false };
    let Some(Ok(wish)) = Wish::read(&payload) else { return false };
    assert!(wish.size > 0);
    check_name(&wish.name);
    wish.media_type.iter().for_each(check_media_type);
    let base = if random.one_in(2) { "https://a.example" } else { "https://a.example:5280/files" };
    let url = format!("{base}/upload/{segment}/{}", wish.name.to_segment());
    let slot = wish.form.slot(&url, &url).to_text(ns::CLIENT);
    // Kontalk's clients write it into XML as it is.
    assert_eq!(slot.matches(url.as_str()).count(), 2, "{slot}");
    assert_eq!(parse_document(&slot, ns::CLIENT, STANZA_DEPTH_MAX).unwrap().to_text(ns::CLIENT), slot);
    true
}

fn check_name(name: &FileName) {
    assert!(!name.as_str().is_empty() && name.as_str().len() <= UPLOAD_NAME_BYTES_MAX);
    assert!(!name.as_str().contains(['/', '\\', '\0', '\r', '\n', '"', '<']));
    assert!(!matches!(name.as_str(), "." | ".."));
    let segment = name.to_segment();
    assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{segment}");
    assert!(name.is_segment(&segment));
    let disposition = name.disposition("attachment");
    assert!(disposition.bytes().all(|b| (0x20..0x7f).contains(&b)), "{disposition}");
    assert_eq!(disposition.matches('"').count(), 2, "{disposition}");
    // What was made harmless once stays as it is.
    assert_eq!(FileName::new(name.as_str()).as_ref(), Some(name));
}

fn check_media_type(media_type: &MediaType) {
    let served = media_type.served();
    assert!(served.bytes().all(|b| b.is_ascii_graphic()) && served.matches('/').count() == 1, "{served}");
    assert!(!["html", "svg", "xml", "script"].iter().any(|active| served.contains(active)), "{served}");
}
