//! A key's name: the 20 bytes of a v4 fingerprint. RFC 9580 §5.5.4.2.

use std::fmt;
use std::str::FromStr;

use sequoia_openpgp as openpgp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The fingerprint of a v4 key. Prints as 40 uppercase hex digits, reads ignoring case; in records it is 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 20]);

/// The text is not 40 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FingerprintError;

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fingerprint is 40 hexadecimal digits")
    }
}

impl std::error::Error for FingerprintError {}

impl Fingerprint {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// From the library's type; none for keys that are not v4.
    pub(super) fn of(fingerprint: &openpgp::Fingerprint) -> Option<Fingerprint> {
        match fingerprint {
            openpgp::Fingerprint::V4(bytes) => Some(Fingerprint(*bytes)),
            _ => None,
        }
    }

    /// As the library compares issuers.
    pub(super) fn handle(&self) -> openpgp::KeyHandle {
        openpgp::KeyHandle::Fingerprint(openpgp::Fingerprint::V4(self.0))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Fingerprint, FingerprintError> {
        if text.len() != 40 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(FingerprintError);
        }
        let mut bytes = [0; 20];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * i..2 * i + 2).ok_or(FingerprintError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| FingerprintError)?;
        }
        Ok(Fingerprint(bytes))
    }
}

impl From<[u8; 20]> for Fingerprint {
    fn from(bytes: [u8; 20]) -> Fingerprint {
        Fingerprint(bytes)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fingerprint, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            <[u8; 20]>::deserialize(deserializer).map(Fingerprint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_read_ignoring_case_and_print_uppercase() {
        let text = "55e1B93EFE0915BCC9E2205191A508011DCD7816";
        let fingerprint: Fingerprint = text.parse().unwrap();
        assert_eq!(fingerprint.to_string(), text.to_uppercase());
        let long = format!("{text}0");
        for wrong in ["", "55E1", "é", &text.replace('5', "g"), &long, "+5E1B93EFE0915BCC9E2205191A508011DCD7816"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError), "{wrong}");
        }
    }

    #[test]
    fn records_hold_twenty_bytes_and_json_the_digits() {
        let fingerprint = Fingerprint([0xAB; 20]);
        let record = postcard::to_allocvec(&fingerprint).unwrap();
        assert_eq!(record, [0xAB; 20]);
        assert_eq!(postcard::from_bytes::<Fingerprint>(&record).unwrap(), fingerprint);
        let json = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(json, format!("\"{}\"", "AB".repeat(20)));
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), fingerprint);
    }
}
