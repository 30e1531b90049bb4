//! What a number has to prove itself with: what is asked, and what is kept of it.

use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::jid::BareJid;
use crate::limits::network_of;
use crate::phone::{Code, HashKey, KeyedHash};

/// What is asked of a number.
#[derive(Clone, Debug)]
pub enum Ask {
    /// The code that we send by text message.
    Code(Code),
    /// The last digits of the number that rings: [`CALLER_DIGITS`] of them count, however many are typed in.
    CallerDigits(Code),
    /// The code that a provider made, sends, and judges.
    Provider,
    /// A call from the number to ours. What follows must come from the network that asked.
    Call(IpAddr),
    /// A text message from the number to ours with this word. What follows must come from the network that asked.
    Word(Word, IpAddr),
}

/// A word that the user sends us: eight letters and digits, 40 bits. Never printed, wiped when dropped.
#[derive(Clone)]
pub struct Word(Zeroizing<String>);

impl Word {
    /// From 40 random bits. No letter looks like a digit or like another letter.
    pub fn from_random(random: [u8; 5]) -> Word {
        let bits = random.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let letter = |place: u32| {
            let index = usize::try_from(bits >> (place * 5) & 31).unwrap_or_default();
            char::from(ALPHABET.get(index).copied().unwrap_or(b'A'))
        };
        Word(Zeroizing::new((0..WORD_LETTERS).map(letter).collect()))
    }

    /// The letters: the one way out, for whoever asked.
    pub fn letters(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Word(…)")
    }
}

/// What came from a number by itself.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// It rang.
    Call,
    /// It sent this text.
    Text(&'a str),
}

/// What is kept of an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The hash of a code; also of a provider's, once it said that it was right.
    Code(KeyedHash),
    CallerDigits(KeyedHash),
    Provider,
    Incoming {
        /// The hash of the word; without one a call is expected.
        word: Option<KeyedHash>,
        network: IpAddr,
        heard: bool,
    },
}

impl Expected {
    pub(super) fn of(ask: &Ask, key: &HashKey, address: &BareJid) -> Expected {
        let address = address.as_str();
        match ask {
            Ask::Code(code) => Expected::Code(code.at_rest(key, address)),
            Ask::CallerDigits(code) => Expected::CallerDigits(code.tail(CALLER_DIGITS).at_rest(key, address)),
            Ask::Provider => Expected::Provider,
            Ask::Call(peer) => Expected::Incoming { word: None, network: network_of(*peer), heard: false },
            Ask::Word(word, peer) => Expected::Incoming {
                word: Some(hash_of_word(key, address, word.letters())),
                network: network_of(*peer),
                heard: false,
            },
        }
    }

    /// Notes what came from the number, if it is what is expected.
    pub(super) fn hear(&mut self, key: &HashKey, address: &BareJid, what: Heard<'_>) -> bool {
        let Expected::Incoming { word, heard, .. } = self else { return false };
        let fits = match (word, what) {
            (None, Heard::Call) => true,
            // People write around the word, and telephones put quotes and capitals where they like.
            (Some(word), Heard::Text(text)) => text
                .split_whitespace()
                .take(WORDS_READ_MAX)
                .map(|token| Zeroizing::new(token.chars().filter(char::is_ascii_alphanumeric).collect::<String>()))
                .any(|token| hash_of_word(key, address.as_str(), &token.to_ascii_uppercase()) == *word),
            _ => false,
        };
        *heard |= fits;
        fits
    }
}

/// What was typed in, ready to be compared with what is kept.
pub(super) struct Typed {
    pub(super) whole: Option<KeyedHash>,
    pub(super) tail: Option<KeyedHash>,
}

impl Typed {
    pub(super) fn of(code: Option<&Code>, key: &HashKey, address: &BareJid) -> Typed {
        let address = address.as_str();
        Typed {
            whole: code.map(|code| code.at_rest(key, address)),
            tail: code.map(|code| code.tail(CALLER_DIGITS).at_rest(key, address)),
        }
    }
}

fn hash_of_word(key: &HashKey, address: &str, letters: &str) -> KeyedHash {
    key.hash("word", &[address.as_bytes(), letters.as_bytes()])
}

/// The last digits of the number that rings, which the user types in. Kontalk registration: the client asks for as many as there are
/// question marks behind the number.
pub const CALLER_DIGITS: usize = 4;
const WORD_LETTERS: u32 = 8;
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Words of one message that are looked at.
const WORDS_READ_MAX: usize = 32;
