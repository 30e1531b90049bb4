//! The bridge certificate: an X.509 wrapping that carries an OpenPGP ring into TLS. Kontalk protocol, X.509 bridge
//! certificate; RFC 5280.
//!
//! Of the certificate two things are read: its public key, which the TLS handshake proves, and the extension with the ring.
//! Dates, names, issuer and signature are not: the certificate is its owner's own work and says nothing more.

use std::fmt;

use x509_parser::asn1_rs::{BitString, FromDer};
use x509_parser::certificate::X509Certificate;

use super::ring::{RingError, UserRing};
use crate::limits::CERTIFICATE_BYTES_MAX;

/// Why a certificate gives no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeError {
    /// More than [`CERTIFICATE_BYTES_MAX`].
    TooLong,
    /// No X.509 certificate in DER, or something behind it.
    NotACertificate,
    /// A certificate without the extension: not a bridge certificate.
    NoRing,
    /// The extension is there more than once, or holds no BIT STRING of whole bytes.
    ExtensionBroken,
    /// What the extension holds is no ring.
    RingBroken(RingError),
    /// The ring's master key is not the certificate's key.
    OtherKey,
}

impl fmt::Display for BridgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BridgeError::TooLong => "the certificate is longer than 72 KiB",
            BridgeError::NotACertificate => "this is no X.509 certificate",
            BridgeError::NoRing => "the certificate carries no OpenPGP key",
            BridgeError::ExtensionBroken => "the certificate's OpenPGP extension is malformed",
            BridgeError::RingBroken(error) => return write!(f, "the certificate's OpenPGP key is unusable: {error}"),
            BridgeError::OtherKey => "the certificate is not of the OpenPGP key that it carries",
        })
    }
}

impl std::error::Error for BridgeError {}

/// The ring that a certificate carries, provided that its master key is the certificate's own key, byte for byte.
pub fn ring_of_certificate(der: &[u8]) -> Result<UserRing, BridgeError> {
    let certificate = read(der)?;
    let extension = extension(&certificate)?.ok_or(BridgeError::NoRing)?;
    let (rest, bits) = BitString::from_der(extension).map_err(|_| BridgeError::ExtensionBroken)?;
    if !rest.is_empty() || bits.unused_bits != 0 {
        return Err(BridgeError::ExtensionBroken);
    }
    let ring = UserRing::parse(bits.data.as_ref()).map_err(BridgeError::RingBroken)?;
    // Whoever can copy a ring could wrap it; only its owner proves this key in the handshake.
    let own = ring.master_spki_der().map_err(BridgeError::RingBroken)?;
    if own != certificate.tbs_certificate.subject_pki.raw {
        return Err(BridgeError::OtherKey);
    }
    Ok(ring)
}

/// Is this a certificate with an OpenPGP extension? Whether that holds anything is not looked at.
pub fn is_bridge_certificate(der: &[u8]) -> bool {
    // A doubled extension is a bridge certificate too, and a broken one.
    read(der).is_ok_and(|certificate| !matches!(extension(&certificate), Ok(None)))
}

/// The certificate's SubjectPublicKeyInfo in DER, for the verifier of the handshake's signature.
pub fn certificate_spki(der: &[u8]) -> Result<&[u8], BridgeError> {
    read(der).map(|certificate| certificate.tbs_certificate.subject_pki.raw)
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>, BridgeError> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(BridgeError::TooLong);
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(BridgeError::NotACertificate),
    }
}

/// What the OpenPGP extension holds, if the certificate has one.
fn extension<'a>(certificate: &X509Certificate<'a>) -> Result<Option<&'a [u8]>, BridgeError> {
    let mut found = certificate.extensions().iter().filter(|extension| extension.oid.as_bytes() == OPENPGP_OID);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(extension), None) => Ok(Some(extension.value)),
        (Some(_), Some(_)) => Err(BridgeError::ExtensionBroken),
    }
}

/// 2.25.49058212633447845622587297037800555803 in DER, without tag and length. As bytes, because few can count so far.
const OPENPGP_OID: &[u8] =
    &[0x69, 0xC9, 0xE8, 0xA2, 0xA8, 0x8D, 0xCB, 0xE0, 0xC7, 0xC7, 0x89, 0xCB, 0xC0, 0x80, 0xAA, 0xAE, 0xD7, 0x8A, 0x1B];
