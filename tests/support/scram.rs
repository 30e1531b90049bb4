//! The client's side of SCRAM. RFC 5802, RFC 7677.

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::lock;

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    /// The mechanism's name without `-PLUS`.
    pub fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => {
                let mac = Hmac::<Sha1>::new_from_slice(key).expect("any key will do");
                mac.chain_update(text).finalize().into_bytes().to_vec()
            }
            Hash::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
                mac.chain_update(text).finalize().into_bytes().to_vec()
            }
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }

    /// `Hi()`; remembered, since it is slow by intent and the tests log in often.
    fn salted_password(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let key = (self, password.to_owned(), salt.to_vec(), iterations);
        if let Some(known) = lock(&SALTED).get_or_insert_default().get(&key) {
            return known.clone();
        }
        let salted = match self {
            Hash::Sha1 => pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password.as_bytes(), salt, iterations).to_vec(),
            Hash::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations).to_vec(),
        };
        lock(&SALTED).get_or_insert_default().insert(key, salted.clone());
        salted
    }
}

/// One exchange.
pub struct Exchange {
    hash: Hash,
    /// The gs2 header: `n,,`, `y,,` or `p=…,,`.
    gs2_header: String,
    binding: Vec<u8>,
    client_first_bare: String,
    nonce: String,
    server_signature: Vec<u8>,
}

impl Exchange {
    /// An exchange for this user name. `binding` is the channel binding's name and data.
    pub fn new(hash: Hash, user: &str, binding: Option<(&str, Vec<u8>)>) -> Exchange {
        let mut bytes = [0; 18];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        let nonce = STANDARD.encode(bytes);
        let (gs2_header, binding) = match binding {
            Some((name, data)) => (format!("p={name},,"), data),
            None => ("n,,".to_owned(), Vec::new()),
        };
        let client_first_bare = format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C"));
        Exchange { hash, gs2_header, binding, client_first_bare, nonce, server_signature: Vec::new() }
    }

    /// With another gs2 header than the binding asks for, as a client behind a thief of mechanisms sends it.
    #[must_use]
    pub fn with_gs2_header(mut self, gs2_header: &str) -> Exchange {
        self.gs2_header = gs2_header.to_owned();
        self
    }

    /// The first message, base64.
    pub fn first(&self) -> String {
        STANDARD.encode(format!("{}{}", self.gs2_header, self.client_first_bare))
    }

    /// The answer to the server's challenge (base64), base64.
    pub fn answer(&mut self, challenge: &str, password: &str) -> String {
        let server_first =
            String::from_utf8(STANDARD.decode(challenge).expect("a challenge is base64")).expect("UTF-8");
        let field = |name: char| {
            let found = server_first.split(',').find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("the challenge has no {name}: {server_first}"))
        };
        assert!(field('r').starts_with(&self.nonce) && field('r') != self.nonce, "the server adds to our nonce");
        let salt = STANDARD.decode(field('s')).expect("the salt is base64");
        let salted = self.hash.salted_password(password, &salt, field('i').parse().expect("a count"));
        let mut bound = self.gs2_header.clone().into_bytes();
        bound.extend_from_slice(&self.binding);
        let without_proof = format!("c={},r={}", STANDARD.encode(bound), field('r'));
        let signed = format!("{},{server_first},{without_proof}", self.client_first_bare);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let signature = self.hash.hmac(&self.hash.digest(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.server_signature = self.hash.hmac(&self.hash.hmac(&salted, b"Server Key"), signed.as_bytes());
        STANDARD.encode(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Checks what came with `<success/>`: the server must know the keys too. RFC 5802 §7, `server-final-message`.
    pub fn verify(&self, server_final: &str) {
        let text = String::from_utf8(STANDARD.decode(server_final).expect("base64")).expect("UTF-8");
        assert_eq!(text, format!("v={}", STANDARD.encode(&self.server_signature)), "the server's own proof is wrong");
    }
}

type Salted = HashMap<(Hash, String, Vec<u8>, u32), Vec<u8>>;
static SALTED: Mutex<Option<Salted>> = Mutex::new(None);
