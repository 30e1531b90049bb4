//! Keys and certifications as others see them: the whole life of a user's key by the public interface, and what GnuPG,
//! Sequoia's command line, and TLS and RSA libraries make of our work.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kontalk_node::jid::BareJid;
use kontalk_node::pgp::{
    Fingerprint, LoginRefusal, ServerKey, UserRing, judge_candidate, judge_login, ring_of_certificate,
};
use kontalk_node::stanza::Timestamp;
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use sha1::{Digest, Sha1};
use x509_parser::prelude::{FromDer, X509Certificate};

use keys::{ClientKey, Recipe, Shape};

const DOMAIN: &str = "node.example";
const ADDRESS: &str = "4bdd4f929f3a1062253e4e496bafba0bdfb5db75@node.example";

#[test]
fn a_key_is_certified_logs_in_is_locked_out_and_comes_back() {
    let server = ServerKey::generate(DOMAIN, stamp(0)).unwrap();
    let key = ClientKey::numbered(0, &user_id(), moment(1));
    let presented = ring_of_certificate(&key.bridge_certificate(&key.public_ring()).certificate_der).unwrap();
    let address = judge_candidate(&presented, DOMAIN, stamp(2)).unwrap();
    assert_eq!(address.as_str(), ADDRESS);
    let judge = |ring: &UserRing| judge_login(ring, DOMAIN, &server, stamp(9), Some(ring.fingerprint()), Some(ring));
    assert_eq!(judge(&presented), Err(LoginRefusal::NotCertified));

    let certified = server.certify(&presented, &address, stamp(2)).unwrap();
    // The client wraps what it got into a new certificate, and the server reads its store.
    let presented = ring_of_certificate(&key.bridge_certificate(&certified.to_bytes()).certificate_der).unwrap();
    let stored = UserRing::parse(&certified.to_bytes()).unwrap();
    assert_eq!(judge(&stored.clone().merge(&presented).unwrap()), Ok(address.clone()));
    assert_eq!(stored.fingerprint(), Fingerprint(key.fingerprint()));

    let locked = server.revoke_certification(&stored, &address, stamp(3)).unwrap();
    assert_eq!(judge(&locked.clone().merge(&presented).unwrap()), Err(LoginRefusal::CertificationRevoked));
    let again = server.certify(&locked.merge(&presented).unwrap(), &address, stamp(4)).unwrap();
    assert_eq!(judge(&again), Ok(address));
}

#[test]
fn gnupg_finds_a_good_certification_behind_the_self_signature() {
    let gpg = Gpg::new("certified");
    let server = ServerKey::generate(DOMAIN, stamp(0)).unwrap();
    let address: BareJid = ADDRESS.parse().unwrap();
    for (index, shape) in [Shape::Kontalk, Shape::KontalkBackSigned, Shape::Legacy].into_iter().enumerate() {
        let key = ClientKey::cook(index, Recipe { shape, ..Recipe::new(&user_id(), moment(1)) });
        let ring = UserRing::parse(&key.public_ring()).unwrap();
        let certified = server.certify(&ring, &address, stamp(2)).unwrap();
        gpg.import(server.public_ring());
        gpg.import(&certified.to_bytes());
        let (own, ours) = (key.fingerprint_hex(), server.fingerprint().to_string());
        assert_eq!(gpg.signatures(&ours), [("sig".to_owned(), ours.clone(), "13x".to_owned())]);
        let self_signature = ("sig".to_owned(), own.clone(), "13x".to_owned());
        let certification = ("sig".to_owned(), ours.clone(), "10x".to_owned());
        assert_eq!(gpg.signatures(&own), [self_signature.clone(), certification.clone()]);

        let locked = server.revoke_certification(&certified, &address, stamp(3)).unwrap();
        gpg.import(&locked.to_bytes());
        let revocation = ("rev".to_owned(), ours, "30x".to_owned());
        assert_eq!(gpg.signatures(&own), [self_signature, certification, revocation]);
    }
}

#[test]
fn gnupg_reads_what_the_server_announces_and_finds_it_signed() {
    let gpg = Gpg::new("announcement");
    let server = ServerKey::generate(DOMAIN, stamp(0)).unwrap();
    let text = "The node is away on Sunday from two to three. Grüße!";
    let message = server.sign_text(text, stamp(2)).unwrap();
    gpg.import(server.public_ring());
    assert_eq!(String::from_utf8(gpg.run(&["--decrypt"], &message)).unwrap(), text);
    // One letter changed inside, and it is nobody's word.
    let at = message.windows(6).position(|part| part == b"Sunday").unwrap();
    let mut changed = message.clone();
    changed[at] = b'M';
    assert!(!gpg.accepts(&changed) && gpg.accepts(&message));
}

#[test]
fn gnupg_certifies_with_our_server_key_and_we_accept_it() {
    let gpg = Gpg::new("certifies");
    let server = ServerKey::generate(DOMAIN, stamp(0)).unwrap();
    let key = ClientKey::numbered(0, &user_id(), moment(1));
    gpg.import(&server.to_secret_bytes());
    gpg.import(&key.public_ring());
    let ours = server.fingerprint().to_string();
    gpg.run(&["--yes", "--default-key", &ours, "--quick-sign-key", &key.fingerprint_hex()], &[]);
    let ring = UserRing::parse(&gpg.run(&["--export", &key.fingerprint_hex()], &[])).unwrap();
    let now = Timestamp::from_system(SystemTime::now());
    let judged = judge_login(&ring, DOMAIN, &server, now, None, None).unwrap();
    assert_eq!(judged.as_str(), ADDRESS);
}

#[test]
fn sequoia_finds_nothing_wrong_with_our_rings() {
    let server = ServerKey::generate(DOMAIN, stamp(0)).unwrap();
    let text = sq_inspect("server", server.public_ring());
    for expected in [&server.fingerprint().to_string(), &format!("xmpp:{DOMAIN}"), "certification, signing"] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    let key = ClientKey::cook(0, Recipe { shape: Shape::KontalkBackSigned, ..Recipe::new(&user_id(), moment(1)) });
    let ring = UserRing::parse(&key.public_ring()).unwrap();
    let certified = server.certify(&ring, &ADDRESS.parse().unwrap(), stamp(2)).unwrap();
    let text = sq_inspect("user", &certified.to_bytes());
    for expected in [
        &key.fingerprint_hex(),
        &user_id(),
        "certification, authentication",
        "transport encryption",
        "Alleged certifier",
        &server.fingerprint().to_string(),
    ] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    for fault in ["Bad Signature", "Invalid", "not valid"] {
        assert!(!text.contains(fault), "{fault} in {text}");
    }
}

#[test]
fn a_tls_client_can_present_the_bridge_certificate() {
    let key = ClientKey::numbered(0, &user_id(), moment(1));
    let bridge = key.bridge_certificate(&key.public_ring());
    let certificate = rustls::pki_types::CertificateDer::from(bridge.certificate_der);
    let private = rustls::pki_types::PrivateKeyDer::try_from(bridge.private_key_pkcs8_der).unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_client_auth_cert(vec![certificate], private)
        .unwrap();
}

#[test]
fn the_bridge_certificate_is_signed_with_its_own_key_and_has_no_validity() {
    let key = ClientKey::numbered(0, &user_id(), moment(1));
    let bridge = key.bridge_certificate(&key.public_ring());
    let private = rsa::RsaPrivateKey::from_pkcs8_der(&bridge.private_key_pkcs8_der).unwrap();
    let public = private.to_public_key();
    let (rest, certificate) = X509Certificate::from_der(&bridge.certificate_der).unwrap();
    assert!(rest.is_empty());
    let spki = public.to_public_key_der().unwrap();
    assert_eq!(certificate.tbs_certificate.subject_pki.raw, spki.as_bytes());
    let mut digest = SHA1_DIGEST_INFO.to_vec();
    digest.extend(Sha1::digest(certificate.tbs_certificate.as_ref()));
    let signature = &certificate.signature_value.data;
    public.verify(rsa::Pkcs1v15Sign::new_unprefixed(), &digest, signature).unwrap();
    assert_eq!(certificate.validity().not_before, certificate.validity().not_after);
    assert_eq!(certificate.subject().as_raw(), certificate.issuer().as_raw());
}

fn user_id() -> String {
    format!("dev-5554 <{ADDRESS}>")
}

/// Some second of 2023, plus so many days.
fn moment(days: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + days * 86_400)
}

fn stamp(days: u64) -> Timestamp {
    Timestamp::from_system(moment(days))
}

/// GnuPG with a home of its own.
struct Gpg {
    home: Scratch,
}

impl Gpg {
    fn new(name: &str) -> Gpg {
        Gpg { home: Scratch::new(name) }
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let file = self.home.0.join("input");
        std::fs::write(&file, input).unwrap();
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(&self.home.0).args(["--batch", "--quiet", "--no-tty"]).args(arguments);
        if !input.is_empty() {
            command.arg(&file);
        }
        output(command, "gnupg")
    }

    /// Is it a message with a good signature?
    fn accepts(&self, message: &[u8]) -> bool {
        let file = self.home.0.join("signed");
        std::fs::write(&file, message).unwrap();
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(&self.home.0).args(["--batch", "--quiet", "--no-tty", "--verify"]).arg(file);
        command.output().is_ok_and(|done| done.status.success())
    }

    fn import(&self, ring: &[u8]) {
        self.run(&["--import"], ring);
    }

    /// Signatures on the user id of a key in the order that they are listed, each of which GnuPG calls good: record, issuer,
    /// class.
    fn signatures(&self, fingerprint: &str) -> Vec<(String, String, String)> {
        let listing = self.run(&["--with-colons", "--check-signatures", fingerprint], &[]);
        let listing = String::from_utf8(listing).unwrap();
        let mut found = Vec::new();
        for line in listing.lines().skip_while(|line| !line.starts_with("uid:")).skip(1) {
            let fields: Vec<&str> = line.split(':').collect();
            match fields[0] {
                "sig" | "rev" => {
                    assert_eq!(fields[1], "!", "GnuPG does not call it good: {line}\n{listing}");
                    let issuer = [fields[12], fields[4]].into_iter().find(|name| !name.is_empty()).unwrap();
                    let class = fields[10].split(',').next().unwrap();
                    found.push((fields[0].to_owned(), issuer.to_owned(), class.to_owned()));
                }
                "sub" => break,
                _ => (),
            }
        }
        // GnuPG names issuers by key id where the signature holds no fingerprint, as the clients' do not.
        for (_, issuer, _) in &mut found {
            if fingerprint.ends_with(issuer.as_str()) {
                fingerprint.clone_into(issuer);
            }
        }
        found
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // The agent, if one was started, belongs to this home and would outlive it.
        let _ = Command::new("gpgconf").arg("--homedir").arg(&self.home.0).args(["--kill", "all"]).output();
    }
}

fn sq_inspect(name: &str, ring: &[u8]) -> String {
    let scratch = Scratch::new(name);
    let file = scratch.0.join("ring.pgp");
    std::fs::write(&file, ring).unwrap();
    let mut command = Command::new("sq");
    command.args(["inspect", "--certifications"]).arg(&file);
    String::from_utf8(output(command, "sq")).unwrap()
}

/// Runs a program that must be there and succeed.
fn output(mut command: Command, package: &str) -> Vec<u8> {
    let done = match command.output() {
        Ok(done) => done,
        Err(error) => panic!("{command:?}: {error} (remedy: apt-get install {package}; tests/run does it)"),
    };
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {}\n{complaint}", done.status);
    done.stdout
}

/// A directory that goes with its owner. Short, for the sockets in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("pgp-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What PKCS #1 puts in front of a SHA-1 digest.
const SHA1_DIGEST_INFO: &[u8] =
    &[0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04, 0x14];
