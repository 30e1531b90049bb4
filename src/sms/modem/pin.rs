//! The SIM's PIN, and the memory of one that failed. Three wrong PINs lock a SIM, and a node that restarts in a loop would
//! have tried three in a few seconds: so a PIN is written down as tried before it is tried, and struck out when it was right.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::phone::HashKey;

/// A SIM's PIN: 4 to 8 digits. Never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// A PIN as it stands in a file: space around it is forgiven.
    pub fn parse(text: &str) -> Option<Pin> {
        let digits = text.trim();
        let fits = (4..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| Pin(Zeroizing::new(digits.to_owned())))
    }

    /// The digits: the one way out, for the SIM.
    pub(super) fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// What the configuration says about the PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// Nothing.
    None,
    /// This is it.
    Pin(Pin),
    /// There is a file, and it is of no use: why, with the remedy.
    Unusable(String),
}

impl PinSource {
    /// Reads the file.
    pub fn read(path: Option<&Path>) -> PinSource {
        let Some(path) = path else { return PinSource::None };
        let mut text = Zeroizing::new(String::with_capacity(PIN_FILE_BYTES_MAX));
        let read = File::open(path).and_then(|file| file.take(PIN_FILE_BYTES_MAX as u64).read_to_string(&mut text));
        match read.map(|_| Pin::parse(&text)) {
            Ok(Some(pin)) => PinSource::Pin(pin),
            Ok(None) => PinSource::Unusable(format!(
                "the PIN file {} does not hold a PIN (remedy: write the 4 to 8 digits into it and nothing else)",
                path.display()
            )),
            Err(error) => PinSource::Unusable(format!(
                "the PIN file {} cannot be read: {error} (remedy: let the node's user read it)",
                path.display()
            )),
        }
    }
}

/// What is remembered of a PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinFate {
    /// It was entered, and no answer is known.
    Tried,
    /// The SIM said that it is wrong.
    Wrong,
}

/// Remembers PINs by a keyed hash, in a file of the state directory.
///
/// The SIM's serial number is part of the hash: the file says nothing about another SIM, and without the key nothing at all.
#[derive(Debug)]
pub struct PinMemory {
    path: PathBuf,
    key: Arc<HashKey>,
}

impl PinMemory {
    /// In this directory, under this key.
    pub fn new(state_dir: &Path, key: Arc<HashKey>) -> PinMemory {
        PinMemory { path: state_dir.join(FILE), key }
    }

    fn hash(&self, sim: &str, pin: &Pin) -> String {
        self.key.hash("modem pin", &[sim.as_bytes(), pin.digits().as_bytes()]).to_hex()
    }

    /// What is remembered of this PIN with this SIM. A file that cannot be read counts as [`PinFate::Wrong`]: better no
    /// messages than a locked SIM.
    pub fn fate(&self, sim: &str, pin: &Pin) -> Option<PinFate> {
        let hash = self.hash(sim, pin);
        match self.lines() {
            Ok(lines) => lines.iter().find_map(|(line, fate)| (*line == hash).then_some(*fate)),
            Err(_) => Some(PinFate::Wrong),
        }
    }

    /// Remembers, or with `None` forgets. Returns when it is on the disk.
    pub fn remember(&self, sim: &str, pin: &Pin, fate: Option<PinFate>) -> io::Result<()> {
        let hash = self.hash(sim, pin);
        let mut lines = self.lines()?;
        lines.retain(|(line, _)| *line != hash);
        lines.extend(fate.map(|fate| (hash, fate)));
        let kept = lines.len().saturating_sub(LINES_MAX);
        let text: String = lines.iter().skip(kept).map(|(hash, fate)| format!("{} {hash}\n", word(*fate))).collect();
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    fn lines(&self) -> io::Result<Vec<(String, PinFate)>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let read = |line: &str| {
            let (fate, hash) = line.split_once(' ')?;
            let fate = if fate == word(PinFate::Tried) { PinFate::Tried } else { PinFate::Wrong };
            Some((hash.to_owned(), fate))
        };
        Ok(text.lines().filter_map(read).collect())
    }
}

fn word(fate: PinFate) -> &'static str {
    match fate {
        PinFate::Tried => "tried",
        PinFate::Wrong => "wrong",
    }
}

const FILE: &str = "modem-pins";
const PIN_FILE_BYTES_MAX: usize = 64;
/// SIMs and PINs that are remembered.
const LINES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_digits_and_do_not_print_themselves() {
        assert_eq!(format!("{:?}", Pin::parse(" 1234\n").unwrap()), "Pin(…)");
        for text in ["", "123", "123456789", "12a4", "12 34"] {
            assert_eq!(Pin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_failed_pin_is_remembered_for_its_sim_and_forgotten_when_it_was_right() {
        let dir = std::env::temp_dir().join(format!("kontalk-pins-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let key = Arc::new(HashKey::new([7; 32]));
        let (memory, pin, other) =
            (PinMemory::new(&dir, key.clone()), Pin::parse("1234").unwrap(), Pin::parse("4321").unwrap());
        assert_eq!(memory.fate("sim", &pin), None);
        memory.remember("sim", &pin, Some(PinFate::Tried)).unwrap();
        memory.remember("sim", &other, Some(PinFate::Wrong)).unwrap();
        // Another process reads the same.
        let memory = PinMemory::new(&dir, key);
        assert_eq!(memory.fate("sim", &pin), Some(PinFate::Tried));
        assert_eq!(memory.fate("sim", &other), Some(PinFate::Wrong));
        assert_eq!(memory.fate("another", &pin), None);
        memory.remember("sim", &pin, None).unwrap();
        assert_eq!(memory.fate("sim", &pin), None);
        assert_eq!(memory.fate("sim", &other), Some(PinFate::Wrong));
        let text = fs::read_to_string(dir.join(FILE)).unwrap();
        assert!(!text.contains("4321"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_memory_that_cannot_be_read_forbids_every_pin() {
        let memory = PinMemory { path: PathBuf::from("/dev/null/pins"), key: Arc::new(HashKey::new([7; 32])) };
        assert_eq!(memory.fate("sim", &Pin::parse("1234").unwrap()), Some(PinFate::Wrong));
    }
}
