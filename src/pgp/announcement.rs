//! What the node itself says to its users, signed with the server key. Kontalk's clients verify it and show it as the server's word;
//! an operator without the key cannot speak for the node. The text is inside the signed message (RFC 9580 §10.3), as XEP-0027's
//! element is used there.

use sequoia_openpgp as openpgp;

use openpgp::packet::one_pass_sig::OnePassSig3;
use openpgp::packet::{Literal, Packet};
use openpgp::serialize::SerializeInto;
use openpgp::types::{DataFormat, SignatureType};

use super::server_key::{CertifyError, ServerKey};
use super::signature::{Covered, HASH, make};
use crate::stanza::Timestamp;

impl ServerKey {
    /// A binary OpenPGP message that holds the text and this key's signature over it: one-pass signature, literal data, signature.
    ///
    /// Errors: [`CertifyError::NotSigned`], the node's own fault.
    pub fn sign_text(&self, text: &str, now: Timestamp) -> Result<Vec<u8>, CertifyError> {
        self.signed_message(text.as_bytes(), now.max(self.created())).map_err(|_| CertifyError::NotSigned)
    }

    fn signed_message(&self, text: &[u8], at: Timestamp) -> openpgp::Result<Vec<u8>> {
        let mut signer = self.signer();
        let signature = make(&mut signer, SignatureType::Binary, at, Vec::new(), Covered::Text(text))?;
        let mut announced = OnePassSig3::new(SignatureType::Binary);
        announced.set_hash_algo(HASH);
        announced.set_pk_algo(signer.public().pk_algo());
        announced.set_issuer(signer.public().keyid());
        announced.set_last(true);
        let mut literal = Literal::new(DataFormat::Binary);
        literal.set_body(text.to_vec());
        let packets: [Packet; 3] = [announced.into(), literal.into(), signature.into()];
        let mut message = Vec::new();
        for packet in packets {
            message.extend(packet.to_vec()?);
        }
        Ok(message)
    }
}
