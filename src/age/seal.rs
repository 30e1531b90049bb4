//! Writing.

use std::io::{self, Write};

use ring::aead::LessSafeKey;
use zeroize::Zeroizing;

use super::{
    Aad, BASE64, CHUNK_BYTES, Engine, Fresh, Nonce, Passphrase, TAG_BYTES, VERSION_LINE, chunk_nonce, header_mac,
    payload_key, wrap_key,
};

/// Encrypts what is written to it. The file is whole only after [`Sealer::finish`].
pub struct Sealer<W: Write> {
    out: W,
    key: LessSafeKey,
    /// The contents of the chunk that gathers.
    chunk: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<W: Write> Sealer<W> {
    /// Writes the header. `work` is scrypt's, as the logarithm of N: [`super::WORK`], but for tests. Takes a second or two.
    ///
    /// Errors: those of `out`.
    pub fn begin(mut out: W, passphrase: &Passphrase, fresh: &Fresh, work: u8) -> io::Result<Sealer<W>> {
        let mut body = Zeroizing::new(Vec::with_capacity(fresh.file_key.len() + TAG_BYTES));
        body.extend_from_slice(&fresh.file_key);
        wrap_key(passphrase, &fresh.salt, work)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut *body)
            .map_err(|_| unlikely())?;
        let salt = BASE64.encode(fresh.salt);
        let header = format!("{VERSION_LINE}\n-> scrypt {salt} {work}\n{}\n---", BASE64.encode(&*body));
        let mac = header_mac(&fresh.file_key, &header)?;
        writeln!(out, "{header} {}", BASE64.encode(mac))?;
        out.write_all(&fresh.nonce)?;
        let key = payload_key(&fresh.file_key, &fresh.nonce)?;
        Ok(Sealer { out, key, chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES)), number: 0 })
    }

    /// Writes the last chunk, and gives back what was written to; flushing and syncing that is the caller's.
    ///
    /// Errors: those of `out`.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        Ok(self.out)
    }

    fn write_chunk(&mut self, last: bool) -> io::Result<()> {
        let nonce = chunk_nonce(self.number, last);
        self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut *self.chunk).map_err(|_| unlikely())?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is written when more comes: only then is it known not to be the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.write_chunk(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A chunk has a size that the cipher takes.
fn unlikely() -> io::Error {
    io::Error::other("the cipher refused a chunk")
}
