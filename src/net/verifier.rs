//! What a peer's certificate must be in the handshake: almost nothing. Its key must have signed the handshake: always.
//!
//! Kontalk's bridge certificate is self-made, signed with SHA-1, calls itself an authority, expires the moment it begins and
//! has a malformed alternative name; all that counts is the key in it and the OpenPGP ring beside the key. So dates, versions,
//! extensions and the certificate's own signature are never looked at, and a verifier that does look (webpki) would lock the
//! clients out. The signature over the handshake is the whole proof that the client holds the key.
//!
//! Other servers' certificates are taken likewise, on both sides: who they must be is known only when they have said who they are
//! ([`super::Authorities`] judges then).

use std::fmt;

use async_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use async_rustls::rustls::crypto::WebPkiSupportedAlgorithms;
use async_rustls::rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use async_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use async_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme,
};
use sha2::{Digest, Sha256};
use x509_parser::asn1_rs::{Any, FromDer, Tag};
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;

use crate::limits::CERTIFICATE_BYTES_MAX;

/// Takes any certificate whose key signed the handshake; a client may also have none.
pub(super) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    /// `algorithms`: the provider's; ring's are RSA of 2,048 bits and more, P-256, P-384 and Ed25519.
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> AnyCertificate {
        AnyCertificate { algorithms }
    }

    fn algorithms_for(&self, scheme: SignatureScheme) -> Result<&[&dyn SignatureVerificationAlgorithm], Error> {
        let found = self.algorithms.mapping.iter().find(|(known, _)| *known == scheme);
        found.map(|(_, algorithms)| *algorithms).ok_or_else(unadvertised)
    }

    fn tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectKey::of(certificate)?;
        // RFC 5246 §7.4.1.4.1: the scheme names hash and kind of key, not the curve, so several algorithms come into question.
        let mut candidates = self.algorithms_for(signed.scheme)?.iter();
        let algorithm = candidates.find(|algorithm| key.is_for(**algorithm)).ok_or_else(wrong_kind_of_key)?;
        key.verify(*algorithm, message, signed.signature())
    }

    fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // RFC 8446 §4.4.3: PKCS #1 v1.5 signs no handshake of TLS 1.3.
        if !TLS13_SCHEMES.contains(&signed.scheme) {
            return Err(unadvertised());
        }
        let key = SubjectKey::of(certificate)?;
        // RFC 8446 §4.2.3: here the scheme does name the curve; the first algorithm is the one for it.
        let algorithm = self.algorithms_for(signed.scheme)?.first().ok_or_else(unadvertised)?;
        if !key.is_for(*algorithm) {
            return Err(wrong_kind_of_key());
        }
        key.verify(*algorithm, message, signed.signature())
    }

    fn look_at(certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if certificate.len() > CERTIFICATE_BYTES_MAX {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        SubjectKey::of(certificate).map(drop)
    }
}

/// SHA-256 of a certificate's public key as it stands there (SubjectPublicKeyInfo, RFC 5280 §4.1.2.7), in DER.
pub fn spki_sha256(certificate: &[u8]) -> Option<[u8; 32]> {
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    let (_, parsed) = parser.parse(certificate).ok()?;
    Some(Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into())
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Kontalk's bridge certificate: with any authority in this list, key managers that filter by issuer send no certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        AnyCertificate::look_at(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        AnyCertificate::look_at(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyCertificate")
    }
}

/// The subject's public key as it stands in a certificate. RFC 5280 §4.1.2.7.
struct SubjectKey<'a> {
    /// The content of the AlgorithmIdentifier.
    algorithm: &'a [u8],
    /// The content of the BIT STRING.
    key: &'a [u8],
}

impl<'a> SubjectKey<'a> {
    fn of(certificate: &'a [u8]) -> Result<SubjectKey<'a>, Error> {
        SubjectKey::read(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
    }

    fn read(certificate: &'a [u8]) -> Option<SubjectKey<'a>> {
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        let (_, parsed) = parser.parse(certificate).ok()?;
        let info = parsed.tbs_certificate.subject_pki.raw;
        let (_, info) = Any::from_der(info).ok()?;
        let (rest, algorithm) = Any::from_der(info.data).ok()?;
        let (_, bits) = Any::from_der(rest).ok()?;
        match bits.data.split_first() {
            // A key is whole bytes: no unused bits.
            Some((0, key)) if bits.tag() == Tag::BitString => Some(SubjectKey { algorithm: algorithm.data, key }),
            _ => None,
        }
    }

    fn is_for(&self, algorithm: &dyn SignatureVerificationAlgorithm) -> bool {
        algorithm.public_key_alg_id().as_ref() == self.algorithm
    }

    fn verify(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<HandshakeSignatureValid, Error> {
        match algorithm.verify_signature(self.key, message, signature) {
            Ok(()) => Ok(HandshakeSignatureValid::assertion()),
            Err(_) => Err(Error::InvalidCertificate(CertificateError::BadSignature)),
        }
    }
}

fn unadvertised() -> Error {
    PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into()
}

fn wrong_kind_of_key() -> Error {
    Error::InvalidCertificate(CertificateError::BadSignature)
}

const TLS13_SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];
