//! Round trips, and every way to spoil a file.

use std::io::{Read, Write};

use super::*;

const WORK_IN_TESTS: u8 = 4;

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery".to_owned())
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let fresh = Fresh { file_key: [1; 16], salt: [2; 16], nonce: [3; 16] };
    let mut sealer = Sealer::begin(Vec::new(), &passphrase(), &fresh, WORK_IN_TESTS).unwrap();
    for piece in plain.chunks(10_007) {
        sealer.write_all(piece).unwrap();
    }
    sealer.finish().unwrap()
}

fn opened(file: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, AgeError> {
    let mut plain = Vec::new();
    let read = Opener::begin(file, passphrase).and_then(|mut opener| opener.read_to_end(&mut plain));
    read.map(|_| plain).map_err(|error| AgeError::of(&error).unwrap().clone())
}

#[test]
fn contents_of_any_length_come_back() {
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_000] {
        let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        assert_eq!(opened(&sealed(&plain), &passphrase()), Ok(plain));
    }
}

#[test]
fn another_passphrase_opens_nothing() {
    let file = sealed(b"contents");
    let other = Passphrase::new("correct horse batterz".to_owned());
    assert_eq!(opened(&file, &other), Err(AgeError::Passphrase));
}

#[test]
fn a_byte_changed_anywhere_is_found_out() {
    let file = sealed(&[7; 2 * CHUNK_BYTES + 100]);
    let header = file.windows(4).position(|window| window == b"--- ").unwrap() + 60;
    let sample = (0..header).chain((header..file.len()).step_by(997)).chain([file.len() - 1]);
    for at in sample {
        let mut spoilt = file.clone();
        spoilt[at] ^= 1;
        assert!(opened(&spoilt, &passphrase()).is_err(), "byte {at}");
    }
}

#[test]
fn a_file_cut_anywhere_is_found_out_and_so_is_one_with_a_tail() {
    let file = sealed(&[7; 2 * CHUNK_BYTES]);
    for length in (0..file.len()).step_by(487).chain([file.len() - 1, file.len() - CHUNK_BYTES - TAG_BYTES]) {
        let error = opened(&file[..length], &passphrase()).unwrap_err();
        assert!(matches!(error, AgeError::NotAge | AgeError::CutShort(_)), "{length}: {error:?}");
    }
    assert!(opened(&[file.as_slice(), b"x"].concat(), &passphrase()).is_err());
}

#[test]
fn chunks_in_another_order_are_found_out() {
    let mut file = sealed(&(0..4 * CHUNK_BYTES).map(|n| u8::try_from(n / CHUNK_BYTES).unwrap()).collect::<Vec<_>>());
    let sealed_chunk = CHUNK_BYTES + TAG_BYTES;
    let begin = file.len() - 4 * sealed_chunk;
    let (first, second) = file[begin..].split_at_mut(sealed_chunk);
    first.swap_with_slice(&mut second[..sealed_chunk]);
    assert_eq!(opened(&file, &passphrase()), Err(AgeError::Damaged(0)));
}

#[test]
fn headers_that_are_none_of_ours_are_refused_before_any_work() {
    let salt = BASE64.encode([2; 16]);
    let body = BASE64.encode([0; 32]);
    let mac = BASE64.encode([0; 32]);
    for (header, error) in [
        (String::new(), AgeError::NotAge),
        ("age-encryption.org/v2\n".to_owned(), AgeError::NotAge),
        (format!("{VERSION_LINE}\n-> X25519 {salt}\n{body}\n--- {mac}\n"), AgeError::Header),
        (format!("{VERSION_LINE}\n-> scrypt {salt} 19\n{body}\n--- {mac}\n"), AgeError::Work),
        (format!("{VERSION_LINE}\n-> scrypt {salt} 04\n{body}\n--- {mac}\n"), AgeError::Header),
        (format!("{VERSION_LINE}\n-> scrypt {salt} 4 x\n{body}\n--- {mac}\n"), AgeError::Header),
        (format!("{VERSION_LINE}\n-> scrypt {salt}= 4\n{body}\n--- {mac}\n"), AgeError::Header),
        (format!("{VERSION_LINE}\n-> scrypt {salt} 4\n{body}\n--- {mac}\n"), AgeError::Passphrase),
        (format!("{VERSION_LINE}\n{}\n", "x".repeat(1000)), AgeError::Header),
    ] {
        assert_eq!(opened(header.as_bytes(), &passphrase()), Err(error), "{header}");
    }
}
