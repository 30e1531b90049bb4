//! Keys and certificates as the Kontalk clients make them, byte for byte where a byte matters, and spoilt ones.
//!
//! Needs nothing of the node: `sequoia-openpgp` signs, `rsa` writes the PKCS#8 key, the certificate is DER by hand (no library
//! would write what the clients do). An RSA key takes about a second to make; [`ClientKey::numbered`] makes each index once
//! per process.
#![allow(dead_code, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rsa::BigUint;
use rsa::pkcs8::EncodePrivateKey;
use sequoia_openpgp as openpgp;
use sha1::{Digest, Sha1};

use openpgp::crypto::hash::{Context, Hash};
use openpgp::crypto::{KeyPair, Signer, mpi};
use openpgp::packet::key::{
    Key, Key4, PrimaryRole, PublicParts, SecretKeyMaterial, SecretParts, SubordinateRole, UnspecifiedRole,
};
use openpgp::packet::signature::Signature4;
use openpgp::packet::signature::subpacket::{Subpacket, SubpacketArea, SubpacketValue};
use openpgp::packet::{Packet, Signature, UserID};
use openpgp::serialize::Marshal;
use openpgp::types::{Curve, HashAlgorithm, KeyFlags, SignatureType};

/// A user's key: master, ids, two subkeys.
pub struct ClientKey {
    recipe: Recipe,
    master: Key<SecretParts, PrimaryRole>,
    subkeys: Vec<Key<SecretParts, SubordinateRole>>,
    packets: Vec<Packet>,
}

/// What can be different about a key.
#[derive(Clone)]
pub struct Recipe {
    pub user_ids: Vec<String>,
    /// One for all three keys and their signatures.
    pub created: SystemTime,
    /// The hash of all own signatures.
    pub hash: HashAlgorithm,
    /// The validity of the master key.
    pub valid_for: Option<Duration>,
    pub shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Since 2015: master certifies and authenticates, ECDSA subkey signs, ECDH subkey encrypts. The signing subkey's
    /// signature back to the master (0x19) covers the master alone, as the clients make it, not both keys, as it should.
    Kontalk,
    /// The same with a 0x19 as RFC 9580 wants it, for tools that insist.
    KontalkBackSigned,
    /// The time before: master certifies and signs, RSA subkey encrypts.
    Legacy,
}

/// What a TLS client presents.
pub struct BridgeCertificate {
    pub certificate_der: Vec<u8>,
    pub private_key_pkcs8_der: Vec<u8>,
}

impl Recipe {
    pub fn new(user_id: &str, created: SystemTime) -> Recipe {
        let user_ids = vec![user_id.to_owned()];
        Recipe { user_ids, created, hash: HashAlgorithm::SHA256, valid_for: None, shape: Shape::Kontalk }
    }
}

impl ClientKey {
    /// A new key of its own, such as an Android client makes on first launch. `user_id` is `Name <local@domain>`.
    pub fn generate(user_id: &str, now: SystemTime) -> ClientKey {
        // Indices from here on are nobody's.
        static NEXT: AtomicUsize = AtomicUsize::new(1 << 32);
        ClientKey::numbered(NEXT.fetch_add(1, Ordering::Relaxed), user_id, now)
    }

    /// The same RSA master for the same index in one process; fingerprints differ by `created`.
    pub fn numbered(index: usize, user_id: &str, created: SystemTime) -> ClientKey {
        ClientKey::cook(index, Recipe::new(user_id, created))
    }

    /// A key to order.
    pub fn cook(index: usize, recipe: Recipe) -> ClientKey {
        let mut master = rsa_key(index);
        master.set_creation_time(recipe.created).unwrap();
        let master = Key::from(master);
        let subkeys = match recipe.shape {
            Shape::Legacy => {
                let rsa = rsa_key(index.wrapping_add(1 << 16));
                vec![Key::from(role(rsa))]
            }
            _ => {
                vec![
                    Key::from(Key4::<SecretParts, SubordinateRole>::generate_ecc(true, Curve::NistP256).unwrap()),
                    Key::from(Key4::<SecretParts, SubordinateRole>::generate_ecc(false, Curve::NistP256).unwrap()),
                ]
            }
        };
        let mut key = ClientKey { recipe, master, subkeys, packets: Vec::new() };
        for subkey in &mut key.subkeys {
            subkey.set_creation_time(key.recipe.created).unwrap();
        }
        key.packets = key.public_packets();
        key
    }

    /// The binary public ring: master, ids with their 0x13, signing subkey, encryption subkey.
    pub fn public_ring(&self) -> Vec<u8> {
        ring_of(&self.packets)
    }

    /// The same as packets, to build spoilt rings from.
    pub fn packets(&self) -> Vec<Packet> {
        self.packets.clone()
    }

    /// The binary secret ring, without a passphrase.
    pub fn secret_ring(&self) -> Vec<u8> {
        let mut subkeys = self.subkeys.iter();
        let packets: Vec<Packet> = self
            .packets()
            .into_iter()
            .map(|packet| match packet {
                Packet::PublicKey(_) => self.master.clone().into(),
                Packet::PublicSubkey(_) => subkeys.next().unwrap().clone().into(),
                other => other,
            })
            .collect();
        ring_of(&packets)
    }

    pub fn fingerprint(&self) -> [u8; 20] {
        self.master.fingerprint().as_bytes().try_into().unwrap()
    }

    pub fn fingerprint_hex(&self) -> String {
        self.master.fingerprint().to_hex()
    }

    pub fn master(&self) -> Key<PublicParts, PrimaryRole> {
        self.master.clone().take_secret().0
    }

    /// The master with its ids and a 0x20: what a client sends to revoke its key.
    pub fn revoked_ring(&self, at: SystemTime) -> Vec<u8> {
        let mut packets = self.packets();
        packets.insert(1, self.revocation(at).into());
        packets.retain(|packet| !matches!(packet, Packet::PublicSubkey(_)));
        packets.truncate(2 + 2 * self.recipe.user_ids.len());
        ring_of(&packets)
    }

    /// The key's revocation (0x20) of itself.
    pub fn revocation(&self, at: SystemTime) -> Signature {
        let master = self.master();
        self.sign(SignatureType::KeyRevocation, at, Vec::new(), |signature, hash| {
            signature.hash_direct_key(hash, &master).unwrap();
        })
    }

    /// A signature of this key on anyone's user id: 0x10 to 0x13, or 0x30.
    pub fn sign_id(
        &self,
        typ: SignatureType,
        at: SystemTime,
        more: Vec<SubpacketValue>,
        over: &Key<PublicParts, PrimaryRole>,
        id: &str,
    ) -> Signature {
        let id = UserID::from(id);
        self.sign(typ, at, more, |signature, hash| signature.hash_userid_binding(hash, over, &id).unwrap())
    }

    /// A direct-key signature (0x1F), which clients never make.
    pub fn direct_key_signature(&self, at: SystemTime) -> Signature {
        let master = self.master();
        self.sign(SignatureType::DirectKey, at, Vec::new(), |signature, hash| {
            signature.hash_direct_key(hash, &master).unwrap();
        })
    }

    /// The ring of a device without an elliptic curve generator: RSA numbers in packets of the types ECDSA and ECDH.
    pub fn ring_with_rsa_in_ec_packets(&self) -> Vec<u8> {
        let mut ring = Vec::new();
        let mut algorithms = [19_u8, 18].into_iter();
        for packet in &self.packets {
            if let Packet::PublicSubkey(_) = packet {
                let seconds = self.recipe.created.duration_since(UNIX_EPOCH).unwrap().as_secs();
                let mut body = vec![4];
                body.extend_from_slice(&u32::try_from(seconds).unwrap().to_be_bytes());
                body.push(algorithms.next().unwrap());
                self.master.mpis().serialize(&mut body).unwrap();
                ring.extend([0xCE, 0xFF]);
                ring.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
                ring.extend(body);
            } else {
                Marshal::serialize(packet, &mut ring).unwrap();
            }
        }
        ring
    }

    /// The certificate that carries `ring` (this key's public ring; another's for a negative test).
    pub fn bridge_certificate(&self, ring: &[u8]) -> BridgeCertificate {
        self.certificate(Some(ring))
    }

    /// The same certificate without the OpenPGP extension.
    pub fn certificate_without_ring(&self) -> BridgeCertificate {
        self.certificate(None)
    }

    fn certificate(&self, ring: Option<&[u8]>) -> BridgeCertificate {
        let algorithm = der::sequence(&[der::oid(SHA1_WITH_RSA), der::NULL.to_vec()]);
        let (modulus, exponent) = match self.master.mpis() {
            mpi::PublicKey::RSA { n, e } => (n.value().to_vec(), e.value().to_vec()),
            _ => unreachable!("the master is RSA"),
        };
        let numbers = der::sequence(&[der::integer(&modulus), der::integer(&exponent)]);
        let spki_algorithm = der::sequence(&[der::oid(RSA_ENCRYPTION), der::NULL.to_vec()]);
        let spki = der::sequence(&[spki_algorithm, der::bit_string(&numbers)]);
        let made = der::utc_time(self.recipe.created);
        // QUIRK of the clients: without an expiry the certificate ends in the moment it begins.
        let ends = self.recipe.valid_for.map_or(made.clone(), |period| der::utc_time(self.recipe.created + period));
        let tbs = der::sequence(&[
            der::tagged(0xA0, &der::integer(&[2])),
            der::integer(&[1]),
            algorithm.clone(),
            self.name(),
            der::sequence(&[made, ends]),
            self.name(),
            spki,
            der::tagged(0xA3, &self.extensions(&numbers, ring)),
        ]);
        let signature = match self.pair().sign(HashAlgorithm::SHA1, &Sha1::digest(&tbs)).unwrap() {
            mpi::Signature::RSA { s } => s.value_padded(modulus.len()).unwrap().to_vec(),
            _ => unreachable!("the master is RSA"),
        };
        BridgeCertificate {
            certificate_der: der::sequence(&[tbs, algorithm, der::bit_string(&signature)]),
            private_key_pkcs8_der: self.pkcs8(&modulus, &exponent),
        }
    }

    /// One RDN for the organisation, then one for each user id.
    fn name(&self) -> Vec<u8> {
        let rdn = |oid: &[u8], text: &str| {
            der::tagged(0x31, &der::sequence(&[der::oid(oid), der::tagged(0x0C, text.as_bytes())]))
        };
        let mut parts = vec![rdn(&[0x55, 0x04, 0x0A], "OpenPGP to X.509 Bridge")];
        parts.extend(self.recipe.user_ids.iter().map(|id| rdn(&[0x55, 0x04, 0x03], id)));
        der::sequence(&parts)
    }

    fn extensions(&self, public_key: &[u8], ring: Option<&[u8]>) -> Vec<u8> {
        let id = Sha1::digest(public_key);
        let names: Vec<Vec<u8>> = self.recipe.user_ids.iter().filter_map(|id| email(id)).map(other_name).collect();
        let mut parts = vec![
            extension(&[0x55, 0x1D, 0x13], true, &[0x30, 0x03, 0x01, 0x01, 0xFF]),
            extension(&[0x55, 0x1D, 0x0F], true, &[0x03, 0x02, 0x02, 0xEC]),
            extension(&[0x60, 0x86, 0x48, 0x01, 0x86, 0xF8, 0x42, 0x01, 0x01], false, &[0x03, 0x02, 0x05, 0xA0]),
            extension(&[0x55, 0x1D, 0x0E], false, &der::tagged(0x04, &id)),
            extension(&[0x55, 0x1D, 0x23], false, &der::sequence(&[der::tagged(0x80, &id)])),
            extension(&[0x55, 0x1D, 0x11], false, &der::sequence(&names)),
        ];
        parts.extend(ring.map(|ring| extension(OPENPGP_KEY, false, &der::bit_string(ring))));
        der::sequence(&parts)
    }

    fn pkcs8(&self, modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let SecretKeyMaterial::Unencrypted(secret) = self.master.secret() else { unreachable!("no passphrase") };
        secret.map(|secret| match secret {
            mpi::SecretKeyMaterial::RSA { d, p, q, .. } => {
                let number = BigUint::from_bytes_be;
                let primes = vec![number(p.value()), number(q.value())];
                let key =
                    rsa::RsaPrivateKey::from_components(number(modulus), number(exponent), number(d.value()), primes);
                key.unwrap().to_pkcs8_der().unwrap().as_bytes().to_vec()
            }
            _ => unreachable!("the master is RSA"),
        })
    }

    fn public_packets(&self) -> Vec<Packet> {
        let (at, master) = (self.recipe.created, self.master());
        let mut packets: Vec<Packet> = vec![master.clone().into()];
        let flags = match self.recipe.shape {
            Shape::Legacy => KeyFlags::empty().set_certification().set_signing(),
            _ => KeyFlags::empty().set_certification().set_authentication(),
        };
        for id in &self.recipe.user_ids {
            let mut more = vec![SubpacketValue::KeyFlags(flags.clone()), SubpacketValue::PrimaryUserID(true)];
            let seconds = self.recipe.valid_for.map(|period| u32::try_from(period.as_secs()).unwrap());
            more.extend(seconds.map(|seconds| SubpacketValue::KeyExpirationTime(seconds.into())));
            packets.push(UserID::from(id.as_str()).into());
            packets.push(self.sign_id(SignatureType::PositiveCertification, at, more, &master, id).into());
        }
        for subkey in &self.subkeys {
            let public = subkey.clone().take_secret().0;
            let mut more = Vec::new();
            if subkey.pk_algo().for_signing() && self.recipe.shape != Shape::Legacy {
                more.push(SubpacketValue::KeyFlags(KeyFlags::empty().set_signing()));
                more.push(SubpacketValue::EmbeddedSignature(self.back_signature(subkey)));
            } else {
                more.push(SubpacketValue::KeyFlags(KeyFlags::empty().set_transport_encryption()));
            }
            let binding = self.sign(SignatureType::SubkeyBinding, at, more, |signature, hash| {
                signature.hash_subkey_binding(hash, &master, &public).unwrap();
            });
            packets.extend([public.into(), binding.into()]);
        }
        packets
    }

    fn back_signature(&self, subkey: &Key<SecretParts, SubordinateRole>) -> Signature {
        let (master, public) = (self.master(), subkey.clone().take_secret().0);
        let mut pair = subkey.clone().into_keypair().unwrap();
        let hash = self.recipe.hash;
        sign(&mut pair, SignatureType::PrimaryKeyBinding, self.recipe.created, hash, Vec::new(), |signature, hash| {
            if self.recipe.shape == Shape::KontalkBackSigned {
                signature.hash_primary_key_binding(hash, &master, &public).unwrap();
            } else {
                master.hash(hash).unwrap();
                signature.hash(hash).unwrap();
            }
        })
    }

    fn sign(
        &self,
        typ: SignatureType,
        at: SystemTime,
        more: Vec<SubpacketValue>,
        hashing: impl Fn(&Signature, &mut Context),
    ) -> Signature {
        sign(&mut self.pair(), typ, at, self.recipe.hash, more, hashing)
    }

    fn pair(&self) -> KeyPair {
        self.master.clone().into_keypair().unwrap()
    }
}

/// Packets one after the other.
pub fn ring_of(packets: &[Packet]) -> Vec<u8> {
    let mut ring = Vec::new();
    for packet in packets {
        Marshal::serialize(packet, &mut ring).unwrap();
    }
    ring
}

/// A v4 signature as the clients make them: hashed the creation time and `more`; not hashed the issuer's key id.
fn sign(
    pair: &mut KeyPair,
    typ: SignatureType,
    at: SystemTime,
    hash: HashAlgorithm,
    more: Vec<SubpacketValue>,
    hashing: impl Fn(&Signature, &mut Context),
) -> Signature {
    let mut values = vec![SubpacketValue::SignatureCreationTime(at.try_into().unwrap())];
    values.extend(more);
    let hashed: Vec<Subpacket> = values.into_iter().map(|value| Subpacket::new(value, false).unwrap()).collect();
    let issuer = Subpacket::new(SubpacketValue::Issuer(pair.public().keyid()), false).unwrap();
    let algorithm = pair.public().pk_algo();
    let build = |prefix: [u8; 2], mpis: mpi::Signature| -> Signature {
        let hashed = SubpacketArea::new(hashed.clone()).unwrap();
        let unhashed = SubpacketArea::new(vec![issuer.clone()]).unwrap();
        Signature4::new(typ, algorithm, hash, hashed, unhashed, prefix, mpis).into()
    };
    let blank = build([0, 0], mpi::Signature::Unknown { mpis: Box::default(), rest: Box::default() });
    let mut context = hash.context().unwrap().for_signature(4);
    hashing(&blank, &mut context);
    let digest = context.into_digest().unwrap();
    let mpis = pair.sign(hash, &digest).unwrap();
    build([digest[0], digest[1]], mpis)
}

fn rsa_key(index: usize) -> Key4<SecretParts, PrimaryRole> {
    static MADE: Mutex<Option<HashMap<usize, Key4<SecretParts, PrimaryRole>>>> = Mutex::new(None);
    let known = MADE.lock().unwrap().get_or_insert_with(HashMap::new).get(&index).cloned();
    // Made outside the lock, so that tests in parallel make theirs in parallel.
    known.unwrap_or_else(|| {
        let key = Key4::generate_rsa(2048).unwrap();
        MADE.lock().unwrap().get_or_insert_with(HashMap::new).entry(index).or_insert(key).clone()
    })
}

fn role(key: Key4<SecretParts, PrimaryRole>) -> Key4<SecretParts, SubordinateRole> {
    let key: Key<SecretParts, UnspecifiedRole> = Key::from(key).role_into_unspecified();
    match key.role_into_subordinate() {
        Key::V4(key) => key,
        _ => unreachable!("it was v4"),
    }
}

fn email(user_id: &str) -> Option<&str> {
    user_id.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>'))
}

/// An xmppAddr. QUIRK of the clients: the `[0]` around the value is missing.
fn other_name(address: &str) -> Vec<u8> {
    let oid = der::oid(&[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x05]);
    der::tagged(0xA0, &[oid, der::tagged(0x0C, address.as_bytes())].concat())
}

fn extension(oid: &[u8], critical: bool, content: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::oid(oid)];
    if critical {
        parts.push(vec![0x01, 0x01, 0xFF]);
    }
    parts.push(der::tagged(0x04, content));
    der::sequence(&parts)
}

const SHA1_WITH_RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x05];
const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
/// 2.25.49058212633447845622587297037800555803
pub const OPENPGP_KEY: &[u8] =
    &[0x69, 0xC9, 0xE8, 0xA2, 0xA8, 0x8D, 0xCB, 0xE0, 0xC7, 0xC7, 0x89, 0xCB, 0xC0, 0x80, 0xAA, 0xAE, 0xD7, 0x8A, 0x1B];

/// Just enough DER.
pub mod der {
    use std::time::{SystemTime, UNIX_EPOCH};

    pub const NULL: [u8; 2] = [0x05, 0x00];

    pub fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut der = match length {
            0..0x80 => vec![tag, length as u8],
            0x80..0x100 => vec![tag, 0x81, length as u8],
            0x100..0x1_0000 => vec![tag, 0x82, (length >> 8) as u8, length as u8],
            _ => vec![tag, 0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8],
        };
        der.extend_from_slice(content);
        der
    }

    pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
        tagged(0x30, &parts.concat())
    }

    pub fn oid(content: &[u8]) -> Vec<u8> {
        tagged(0x06, content)
    }

    pub fn bit_string(content: &[u8]) -> Vec<u8> {
        tagged(0x03, &[&[0], content].concat())
    }

    /// From big-endian bytes without zeros in front.
    pub fn integer(value: &[u8]) -> Vec<u8> {
        if value.first().is_none_or(|byte| byte & 0x80 != 0) {
            tagged(0x02, &[&[0], value].concat())
        } else {
            tagged(0x02, value)
        }
    }

    pub fn utc_time(moment: SystemTime) -> Vec<u8> {
        let seconds = moment.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let moment = time::OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap();
        let (date, clock) = (moment.date(), moment.time());
        let (year, month, day) = (date.year() % 100, u8::from(date.month()), date.day());
        let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
        let text = format!("{year:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
        tagged(0x17, text.as_bytes())
    }
}
