//! The words on paper: 24 of them are a key that signs nothing but a node's way back. They are shown once and kept nowhere.
//!
//! The words are those of BIP-39 (English, 256 bits and a checksum), so that a wrong word is noticed; the key is made from the bits
//! and not by BIP-39's own derivation, which is for wallets.

use std::fmt;

use bip39::{Language, Mnemonic};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::domain::NodeDomain;
use super::key::{KeyKind, Signer, VerifierError};

/// The 24 words. Neither printed nor logged but by [`RecoveryWords::phrase`]; wiped when dropped.
pub struct RecoveryWords {
    bits: Zeroizing<[u8; 32]>,
}

/// The words are not what was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordsError {
    /// Not 24.
    Count,
    /// The word at this place, counted from 1, is not on the list.
    Unknown(usize),
    /// All are on the list, but they do not fit each other: one is wrong, or two changed places.
    Checksum,
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WordsError::Count => f.write_str("the recovery words are 24"),
            WordsError::Unknown(place) => {
                write!(f, "word {place} is none of the recovery words; look at its letters again")
            }
            WordsError::Checksum => {
                f.write_str("the words do not fit each other: one of them is wrong, or two changed places")
            }
        }
    }
}

impl std::error::Error for WordsError {}

impl RecoveryWords {
    /// From fresh random bytes.
    pub fn from_random(random: [u8; 32]) -> RecoveryWords {
        RecoveryWords { bits: Zeroizing::new(random) }
    }

    /// Reads what a person typed: case and white space do not matter.
    pub fn parse(text: &str) -> Result<RecoveryWords, WordsError> {
        let mut normal = Zeroizing::new(String::with_capacity(24 * 9));
        let mut count = 0;
        for word in text.split_whitespace() {
            count += 1;
            if count > 24 {
                return Err(WordsError::Count);
            }
            if !normal.is_empty() {
                normal.push(' ');
            }
            normal.extend(word.chars().map(|letter| letter.to_ascii_lowercase()));
        }
        if count != 24 {
            return Err(WordsError::Count);
        }
        let mut mnemonic = Mnemonic::parse_in_normalized(Language::English, &normal).map_err(|error| match error {
            bip39::Error::UnknownWord(place) => WordsError::Unknown(place + 1),
            _ => WordsError::Checksum,
        })?;
        let (mut bits, length) = mnemonic.to_entropy_array();
        let entropy = bits.first_chunk::<32>().filter(|_| length == 32).map(|bits| Zeroizing::new(*bits));
        bits.zeroize();
        mnemonic.zeroize();
        entropy.map(|bits| RecoveryWords { bits }).ok_or(WordsError::Checksum)
    }

    /// The words, with spaces between them. For paper.
    pub fn phrase(&self) -> Zeroizing<String> {
        let mut phrase = Zeroizing::new(String::with_capacity(24 * 9));
        // 32 bytes always make 24 words.
        if let Ok(mut mnemonic) = Mnemonic::from_entropy_in(Language::English, self.bits.as_slice()) {
            for word in mnemonic.words() {
                if !phrase.is_empty() {
                    phrase.push(' ');
                }
                phrase.push_str(word);
            }
            mnemonic.zeroize();
        }
        phrase
    }

    /// The key that they are.
    pub fn signer(&self, domain: &NodeDomain) -> Result<Signer, VerifierError> {
        let mut hash = Sha256::new();
        hash.update(b"kontalk-recovery-v1\0");
        hash.update(self.bits.as_slice());
        let seed = Zeroizing::new(hash.finalize().into());
        Signer::new(&key_name(domain), KeyKind::Note, &seed)
    }
}

impl fmt::Debug for RecoveryWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryWords(…)")
    }
}

/// What a node's recovery key is called in the lines of notes.
pub(super) fn key_name(domain: &NodeDomain) -> String {
    format!("{domain}/recovery")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_whatever_the_case_and_tell_what_is_wrong() {
        let words = RecoveryWords::from_random([7; 32]);
        let phrase = words.phrase();
        assert_eq!(phrase.split(' ').count(), 24);
        let domain = NodeDomain::parse("a.example").unwrap();
        let shouted = format!("  {}\n", phrase.to_uppercase().replace(' ', "\n "));
        let again = RecoveryWords::parse(&shouted).unwrap();
        assert_eq!(again.signer(&domain).unwrap().public(), words.signer(&domain).unwrap().public());

        let mut list: Vec<&str> = phrase.split(' ').collect();
        assert_eq!(RecoveryWords::parse(&list[1..].join(" ")).unwrap_err(), WordsError::Count);
        let former = std::mem::replace(&mut list[4], "kontalk");
        assert_eq!(RecoveryWords::parse(&list.join(" ")).unwrap_err(), WordsError::Unknown(5));
        list[4] = if former == "zoo" { "zone" } else { "zoo" };
        // One checksum in 256 would fit; this one does not.
        assert_eq!(RecoveryWords::parse(&list.join(" ")).unwrap_err(), WordsError::Checksum);
    }

    #[test]
    fn the_known_vector_of_the_word_list() {
        // BIP-39: 32 zero bytes.
        let phrase = RecoveryWords::from_random([0; 32]).phrase();
        assert_eq!(*phrase, format!("{}art", "abandon ".repeat(23)));
    }

    #[test]
    fn nothing_prints_the_words() {
        let words = RecoveryWords::from_random([7; 32]);
        assert_eq!(format!("{words:?}"), "RecoveryWords(…)");
    }
}
