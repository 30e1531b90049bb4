//! Reading.

use std::io::{self, Read};

use ring::aead::LessSafeKey;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::{
    Aad, AgeError, BASE64, CHUNK_BYTES, Engine, FILE_KEY_BYTES, NONCE_BYTES, Nonce, Passphrase, SALT_BYTES, TAG_BYTES,
    VERSION_LINE, WORK_MAX, chunk_nonce, header_mac, payload_key, wrap_key,
};

/// Decrypts what it reads. Only what was found to be right is given out; that the file is whole is known when it says that there
/// is no more. Its errors carry an [`AgeError`] where the file is to blame.
pub struct Opener<R: Read> {
    input: R,
    key: LessSafeKey,
    /// The chunk's contents, and how much of them was given out.
    plain: Zeroizing<Vec<u8>>,
    given: usize,
    /// The first byte of the next chunk, read to see whether there is one.
    ahead: Option<u8>,
    number: u64,
    ended: bool,
}

/// What the header says.
struct Header {
    salt: [u8; SALT_BYTES],
    work: u8,
    body: Vec<u8>,
    mac: Vec<u8>,
    /// What the MAC is over.
    text: String,
}

impl<R: Read> Opener<R> {
    /// Reads the header. Takes a second or two.
    ///
    /// Errors: see [`AgeError`], and those of `input`.
    pub fn begin(mut input: R, passphrase: &Passphrase) -> io::Result<Opener<R>> {
        let header = read_header(&mut input)?;
        let mut body = Zeroizing::new(header.body);
        let opened = wrap_key(passphrase, &header.salt, header.work)?
            .open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body)
            .map_err(|_| AgeError::Passphrase)?;
        let mut file_key: [u8; FILE_KEY_BYTES] = (&*opened).try_into().map_err(|_| AgeError::Header)?;
        let fits = header_mac(&file_key, &header.text)?.as_ref().ct_eq(&header.mac);
        let mut nonce = [0; NONCE_BYTES];
        input.read_exact(&mut nonce).map_err(|error| ended_early(error, 0))?;
        let key = payload_key(&file_key, &nonce);
        file_key.zeroize();
        if !bool::from(fits) {
            return Err(AgeError::Header.into());
        }
        let plain = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES + 1));
        Ok(Opener { input, key: key?, plain, given: 0, ahead: None, number: 0, ended: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let at = self.number.saturating_mul(CHUNK_BYTES as u64);
        self.plain.clear();
        self.given = 0;
        self.plain.extend(self.ahead.take());
        let missing = (CHUNK_BYTES + TAG_BYTES + 1 - self.plain.len()) as u64;
        (&mut self.input).take(missing).read_to_end(&mut self.plain)?;
        let last = self.plain.len() <= CHUNK_BYTES + TAG_BYTES;
        if !last {
            self.ahead = self.plain.pop();
        }
        let sealed = last.then(|| self.plain.clone());
        let nonce = chunk_nonce(self.number, last);
        let length = match self.key.open_in_place(nonce, Aad::empty(), &mut self.plain) {
            Ok(plain) => plain.len(),
            // What stands at the end is not the end: the rest is missing, unless it stood elsewhere.
            Err(_) => return Err(self.why_not(sealed, at).into()),
        };
        // Only an empty file ends with an empty chunk.
        if last && length == 0 && self.number > 0 {
            return Err(AgeError::Damaged(at).into());
        }
        self.plain.truncate(length);
        self.number += 1;
        self.ended = last;
        Ok(())
    }

    fn why_not(&self, sealed: Option<Zeroizing<Vec<u8>>>, at: u64) -> AgeError {
        match sealed {
            None => AgeError::Damaged(at),
            Some(sealed) if sealed.len() < CHUNK_BYTES + TAG_BYTES => AgeError::CutShort(at),
            Some(mut sealed) => {
                let inner = self.key.open_in_place(chunk_nonce(self.number, false), Aad::empty(), &mut sealed);
                if inner.is_ok() { AgeError::CutShort(at) } else { AgeError::Damaged(at) }
            }
        }
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.plain.len() && !self.ended {
            self.next_chunk()?;
        }
        let rest = self.plain.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

fn read_header(input: &mut impl Read) -> io::Result<Header> {
    let mut begin = [0; VERSION_LINE.len()];
    input.read_exact(&mut begin).map_err(|_| AgeError::NotAge)?;
    if begin != VERSION_LINE.as_bytes() {
        return Err(AgeError::NotAge.into());
    }
    let mut text = VERSION_LINE.to_owned();
    let line = |input: &mut _| read_line(input);
    if !line(input)?.is_empty() {
        return Err(AgeError::Header.into());
    }
    let stanza = line(input)?;
    let body = line(input)?;
    let end = line(input)?;
    text.push_str(&format!("\n{stanza}\n{body}\n---"));
    let mut words = stanza.split(' ');
    let (arrow, kind, salt, work) = (words.next(), words.next(), words.next(), words.next());
    let mac = end.strip_prefix("--- ").ok_or(AgeError::Header)?;
    if arrow != Some("->") || kind != Some("scrypt") || words.next().is_some() {
        return Err(AgeError::Header.into());
    }
    let decoded = |text: &str| BASE64.decode(text).map_err(|_| AgeError::Header);
    let work = work.filter(|work| !work.starts_with(['0', '+'])).and_then(|work| work.parse().ok());
    let work = work.ok_or(AgeError::Header)?;
    if work > WORK_MAX {
        return Err(AgeError::Work.into());
    }
    let salt = decoded(salt.unwrap_or_default())?.try_into().map_err(|_| AgeError::Header)?;
    let (body, mac) = (decoded(&body)?, decoded(mac)?);
    if body.len() != FILE_KEY_BYTES + TAG_BYTES {
        return Err(AgeError::Header.into());
    }
    Ok(Header { salt, work, body, mac, text })
}

/// A line without its end; byte by byte, for what is behind it is none.
fn read_line(input: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        input.read_exact(&mut byte).map_err(|error| ended_early(error, 0))?;
        match byte {
            [b'\n'] => return String::from_utf8(line).map_err(|_| AgeError::Header.into()),
            [byte] if line.len() < LINE_BYTES_MAX => line.push(byte),
            _ => return Err(AgeError::Header.into()),
        }
    }
}

fn ended_early(error: io::Error, at: u64) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { AgeError::CutShort(at).into() } else { error }
}

const LINE_BYTES_MAX: usize = 128;
