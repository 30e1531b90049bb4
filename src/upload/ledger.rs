//! The slots that were given out, and what they reserve.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::{FileKey, FileName, Form, MediaType, OwnerTag, SlotRefusal, Wish};
use crate::limits::{UPLOAD_FILES_PER_ACCOUNT_MAX, UPLOAD_SLOT_TTL, UPLOAD_SLOTS_MAX, UPLOAD_SLOTS_PER_ACCOUNT_MAX};
use crate::stanza::Timestamp;

/// What an operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Bytes of one account's files.
    pub quota_bytes: u64,
    /// Bytes that must stay free on the disk.
    pub free_bytes_min: u64,
    /// How long a file is kept.
    pub ttl: Duration,
}

/// What lies on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The account's files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was made.
    pub oldest: Option<Timestamp>,
    /// Free bytes on the disk.
    pub free_bytes: u64,
}

/// What slots have reserved and is perhaps not yet on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    slots: u64,
    bytes: u64,
    /// Of all accounts together.
    bytes_of_all: u64,
}

/// What a PUT has to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// How the slot was asked for.
    pub form: Form,
    /// The file's name.
    pub name: FileName,
    /// Its bytes, exactly.
    pub size: u64,
    /// Its media type, if the client said one.
    pub media_type: Option<MediaType>,
}

/// Why a PUT is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutRefusal {
    /// There is no such slot, or its time is up.
    NoSlot,
    /// The file is there already, or another PUT is bringing it.
    Taken,
    /// It does not say how many bytes it brings.
    NoLength,
    /// It brings more bytes than were asked for.
    TooLong,
    /// It brings fewer.
    TooShort,
}

/// All slots.
#[derive(Debug)]
pub struct Ledger {
    policy: Policy,
    slots: HashMap<FileKey, Slot>,
}

#[derive(Debug)]
struct Slot {
    expected: Expected,
    state: State,
    expires: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Receiving,
    Done,
}

impl Slot {
    /// One that is receiving does not expire under its hands.
    fn lives(&self, now: Instant) -> bool {
        self.state == State::Receiving || self.expires > now
    }
}

impl Ledger {
    /// Without any slot.
    pub fn new(policy: Policy) -> Ledger {
        Ledger { policy, slots: HashMap::new() }
    }

    /// What an operator allows.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is reserved. To be taken before the [`Usage`] is read: so a file that arrives in between counts twice, not never.
    pub fn reserved(&self, now: Instant, owner: OwnerTag) -> Reserved {
        let mut reserved = Reserved::default();
        let waits = |slot: &Slot| slot.state != State::Done && slot.lives(now);
        for (key, slot) in self.slots.iter().filter(|(_, slot)| waits(slot)) {
            reserved.bytes_of_all = reserved.bytes_of_all.saturating_add(slot.expected.size);
            if key.owner == owner {
                reserved.slots += 1;
                reserved.bytes = reserved.bytes.saturating_add(slot.expected.size);
            }
        }
        reserved
    }

    /// Gives a slot out, or says why not.
    pub fn open(
        &mut self,
        now: Instant,
        key: FileKey,
        wish: Wish,
        reserved: Reserved,
        usage: Usage,
    ) -> Result<(), SlotRefusal> {
        let policy = self.policy;
        if wish.size > policy.file_bytes_max {
            return Err(SlotRefusal::TooLarge { bytes_max: policy.file_bytes_max });
        }
        self.slots.retain(|_, slot| slot.lives(now));
        let own = usize::try_from(reserved.slots).unwrap_or(usize::MAX);
        if own >= UPLOAD_SLOTS_PER_ACCOUNT_MAX || self.slots.len() >= UPLOAD_SLOTS_MAX {
            return Err(SlotRefusal::TooManySlots);
        }
        let bytes = usage.bytes.saturating_add(reserved.bytes).saturating_add(wish.size);
        if bytes > policy.quota_bytes || usage.files.saturating_add(reserved.slots) >= UPLOAD_FILES_PER_ACCOUNT_MAX {
            return Err(SlotRefusal::QuotaReached { retry: usage.oldest.map(|made| made.plus(policy.ttl)) });
        }
        let to_come = reserved.bytes_of_all.saturating_add(wish.size).saturating_add(policy.free_bytes_min);
        if usage.free_bytes < to_come {
            return Err(SlotRefusal::DiskFull);
        }
        let Wish { form, name, size, media_type } = wish;
        let expected = Expected { form, name, size, media_type };
        self.slots.insert(key, Slot { expected, state: State::Open, expires: now + UPLOAD_SLOT_TTL });
        Ok(())
    }

    /// A PUT begins: what it has to bring. `length` is what it says of itself. Must be followed by [`Ledger::done`] or
    /// [`Ledger::broke_off`].
    pub fn begin(&mut self, now: Instant, key: FileKey, length: Option<u64>) -> Result<Expected, PutRefusal> {
        let slot = self.slots.get_mut(&key).filter(|slot| slot.lives(now));
        let slot = slot.ok_or(PutRefusal::NoSlot)?;
        if slot.state != State::Open {
            return Err(PutRefusal::Taken);
        }
        let length = length.ok_or(PutRefusal::NoLength)?;
        match length.cmp(&slot.expected.size) {
            std::cmp::Ordering::Less => return Err(PutRefusal::TooShort),
            std::cmp::Ordering::Greater => return Err(PutRefusal::TooLong),
            std::cmp::Ordering::Equal => {}
        }
        slot.state = State::Receiving;
        Ok(slot.expected.clone())
    }

    /// The file is on the disk. `false` if the slot was taken away meanwhile: then the file must go.
    #[must_use]
    pub fn done(&mut self, key: FileKey) -> bool {
        let slot = self.slots.get_mut(&key);
        slot.map(|slot| slot.state = State::Done).is_some()
    }

    /// Whose slots there are.
    pub fn owners(&self) -> HashSet<OwnerTag> {
        self.slots.keys().map(|key| key.owner).collect()
    }

    /// Takes the slots of owners who are no more away, those too that are receiving.
    pub fn forget(&mut self, gone: &HashSet<OwnerTag>) {
        self.slots.retain(|key, _| !gone.contains(&key.owner));
    }

    /// The PUT broke off and left nothing; it may be repeated, with as much time as at first.
    pub fn broke_off(&mut self, now: Instant, key: FileKey) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.state = State::Open;
            slot.expires = now + UPLOAD_SLOT_TTL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeySecret;
    use super::*;

    const FREE: u64 = 1000;
    const POLICY: Policy =
        Policy { file_bytes_max: 100, quota_bytes: 250, free_bytes_min: 500, ttl: Duration::from_secs(3600) };

    struct Desk {
        ledger: Ledger,
        now: Instant,
        keys: u8,
        disk: Usage,
    }

    impl Desk {
        fn new() -> Desk {
            let disk = Usage { free_bytes: FREE, ..Usage::default() };
            Desk { ledger: Ledger::new(POLICY), now: Instant::now(), keys: 0, disk }
        }

        fn ask(&mut self, account: &str, size: u64) -> Result<FileKey, SlotRefusal> {
            let owner = KeySecret::new([0; 32]).owner(&account.parse().unwrap(), Timestamp { millis: 0 });
            self.keys += 1;
            let key = FileKey::new(owner, [self.keys; 16]);
            let name = FileName::new("a").unwrap();
            let wish = Wish { form: Form::New, name, size, media_type: None };
            let reserved = self.ledger.reserved(self.now, owner);
            self.ledger.open(self.now, key, wish, reserved, self.disk).map(|()| key)
        }

        fn put(&mut self, key: FileKey, length: u64) -> Result<u64, PutRefusal> {
            self.ledger.begin(self.now, key, Some(length)).map(|expected| expected.size)
        }
    }

    #[test]
    fn a_slot_takes_one_file_of_its_size() {
        let mut desk = Desk::new();
        let key = desk.ask("a@b.example", 100).unwrap();
        assert_eq!(desk.put(key, 99), Err(PutRefusal::TooShort));
        assert_eq!(desk.put(key, 101), Err(PutRefusal::TooLong));
        assert_eq!(desk.ledger.begin(desk.now, key, None), Err(PutRefusal::NoLength));
        assert_eq!(desk.put(key, 100), Ok(100));
        assert_eq!(desk.put(key, 100), Err(PutRefusal::Taken));
        assert!(desk.ledger.done(key));
        assert_eq!(desk.put(key, 100), Err(PutRefusal::Taken));
        assert_eq!(desk.put(FileKey::new(key.owner, [99; 16]), 100), Err(PutRefusal::NoSlot));
    }

    #[test]
    fn an_expired_slot_is_refused_and_a_broken_upload_can_be_repeated() {
        let mut desk = Desk::new();
        let (slow, never) = (desk.ask("a@b.example", 10).unwrap(), desk.ask("a@b.example", 10).unwrap());
        desk.now += UPLOAD_SLOT_TTL - Duration::from_secs(1);
        assert_eq!(desk.put(slow, 10), Ok(10));
        desk.now += Duration::from_secs(1);
        assert_eq!(desk.put(never, 10), Err(PutRefusal::NoSlot));
        desk.ask("a@b.example", 10).unwrap();
        assert_eq!(desk.put(slow, 10), Err(PutRefusal::Taken));
        desk.ledger.broke_off(desk.now, slow);
        assert_eq!(desk.put(slow, 10), Ok(10));
        assert!(desk.ledger.done(slow));
        desk.now += UPLOAD_SLOT_TTL;
        assert_eq!(desk.put(slow, 10), Err(PutRefusal::NoSlot));
        desk.ask("a@b.example", 10).unwrap();
        assert_eq!(desk.ledger.slots.len(), 1);
    }

    #[test]
    fn files_accounts_and_the_disk_have_limits() {
        let mut desk = Desk::new();
        assert_eq!(desk.ask("a@b.example", 101), Err(SlotRefusal::TooLarge { bytes_max: 100 }));
        let first = desk.ask("a@b.example", 100).unwrap();
        desk.ask("a@b.example", 100).unwrap();
        // What is reserved counts like what is there.
        assert_eq!(desk.ask("a@b.example", 51), Err(SlotRefusal::QuotaReached { retry: None }));
        desk.ask("a@b.example", 50).unwrap();
        // Others have a quota of their own, but share the disk: 500 free bytes are left alone, 250 are spoken for.
        desk.ask("c@b.example", 100).unwrap();
        desk.ask("c@b.example", 100).unwrap();
        assert_eq!(desk.ask("d@b.example", 51), Err(SlotRefusal::DiskFull));
        desk.ask("d@b.example", 50).unwrap();
        // A file that is there is counted by the disk.
        desk.put(first, 100).unwrap();
        assert!(desk.ledger.done(first));
        desk.disk = Usage { files: 1, bytes: 100, oldest: Some(Timestamp { millis: 1000 }), free_bytes: 10_000 };
        let retry = Some(Timestamp { millis: 3_601_000 });
        assert_eq!(desk.ask("a@b.example", 1), Err(SlotRefusal::QuotaReached { retry }));
        desk.disk = Usage { files: UPLOAD_FILES_PER_ACCOUNT_MAX, bytes: 0, ..desk.disk };
        assert_eq!(desk.ask("e@b.example", 1), Err(SlotRefusal::QuotaReached { retry }));
    }

    #[test]
    fn slots_end_with_their_account() {
        let mut desk = Desk::new();
        let (waiting, receiving) = (desk.ask("a@b.example", 1).unwrap(), desk.ask("a@b.example", 2).unwrap());
        let other = desk.ask("c@b.example", 3).unwrap();
        desk.put(receiving, 2).unwrap();
        assert_eq!(desk.ledger.owners(), HashSet::from([waiting.owner, other.owner]));
        desk.ledger.forget(&HashSet::from([waiting.owner]));
        assert_eq!(desk.put(waiting, 1), Err(PutRefusal::NoSlot));
        assert!(!desk.ledger.done(receiving));
        assert_eq!(desk.put(other, 3), Ok(3));
    }

    #[test]
    fn slots_are_bounded() {
        let mut desk = Desk::new();
        desk.disk.free_bytes = u64::MAX;
        for _ in 0..UPLOAD_SLOTS_PER_ACCOUNT_MAX {
            desk.ask("a@b.example", 1).unwrap();
        }
        assert_eq!(desk.ask("a@b.example", 1), Err(SlotRefusal::TooManySlots));
        desk.now += UPLOAD_SLOT_TTL;
        desk.ask("a@b.example", 1).unwrap();
    }
}
