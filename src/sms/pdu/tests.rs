//! The vectors, round trips, and hostile PDUs.

use std::sync::LazyLock;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::*;

const MINUTES: u64 = 60;
const HOURS: u64 = 3600;

fn submit(to: &str, text: &str, validity: u64) -> Submit {
    let to = Address::parse(to).unwrap();
    let validity = Duration::from_secs(validity);
    Submit { to, text: Hidden::new(text), validity, report: false, flash: false }
}

fn only(submit: &Submit) -> (String, usize) {
    let pdus = submit.encode(Reference::Short(0)).unwrap();
    assert_eq!(pdus.len(), 1);
    (pdus[0].hex().to_owned(), pdus[0].octets())
}

#[test]
fn messages_of_one_part_are_those_of_the_vectors() {
    let german = "+4915112345678";
    let plain = |to, text, validity| submit(to, text, validity);
    let with_report = |text, validity| Submit { report: true, ..submit(german, text, validity) };
    for (message, pdu, octets) in [
        (plain("+46708251358", "hellohello", 24 * HOURS), "0011000B916407281553F80000A70AE8329BFD4697D9EC37", 23),
        (
            with_report("Your code is 123456", 10 * MINUTES),
            "0031000D91945111325476F800000113D9775D0E1ABFC965507A0E8AC966B49A0D",
            32,
        ),
        (plain(german, "[5€] {a}~", HOURS), "0011000D91945111325476F800000B0F1B5E6D53DEF8401B547893DAF400", 29),
        (
            plain(german, "Код: 123456", HOURS),
            "0011000D91945111325476F800080B16041A043E0434003A0020003100320033003400350036",
            37,
        ),
        (plain("+491511234567", "1234567", 10 * MINUTES), "0011000C919451113254760000010731D98C56B3DD00", 21),
        (plain("+491511234567", "12345678", 10 * MINUTES), "0011000C919451113254760000010831D98C56B3DD70", 21),
        (plain("+491511234567", "Grüße: 7", 24 * HOURS), "0011000C919451113254760000A70847B9DF53D6816E", 21),
        (plain("12345", "VERIFY 4711", 24 * HOURS), "00110005812143F50000A70BD6A23469CC8268B7580C", 21),
        (
            Submit { flash: true, ..submit(german, "Code 1234", 24 * HOURS) },
            "0011000D91945111325476F80010A709C337B90C8AC96634",
            23,
        ),
        (
            with_report("Code 123456\n@test.example #123456", 15 * MINUTES),
            "0031000D91945111325476F800000221C337B90C8AC966B49A4D01A097E77457191F6EC3D965D028269BD16A36",
            44,
        ),
    ] {
        assert_eq!(only(&message), (pdu.to_owned(), octets));
        let Message::Submit(again) = read(pdu, Some(octets)).unwrap() else { panic!("{pdu}") };
        assert_eq!((again.to, again.text, again.report), (message.to, message.text, message.report));
    }
}

#[test]
fn eighty_euro_signs_are_one_part_of_160_septets() {
    let (hex, octets) = only(&submit("+15551234567", &"€".repeat(80), 24 * HOURS));
    assert!(hex.starts_with("0011000B915155214365F70000A7A09BF2A6BC296FCA"));
    assert_eq!(octets, 154);
}

#[test]
fn messages_of_two_parts_are_those_of_the_vectors() {
    let pdus = submit("+4915112345678", &"A".repeat(161), 24 * HOURS).encode(Reference::Short(0)).unwrap();
    assert_eq!(pdus.len(), 2);
    assert!(pdus[0].hex().starts_with("0051000D91945111325476F80000A7A005000300020182C16030180C0683"));
    assert_eq!(pdus[1].hex(), "0051000D91945111325476F80000A70F05000300020282C16030180C0601");
    assert_eq!((pdus[0].octets(), pdus[1].octets()), (155, 29));
    for (pdu, hash) in [(&pdus[0], "d58e4184c98ca795"), (&pdus[1], "38f2029f2e17a5aa")] {
        let digest: String = Sha256::digest(pdu.hex()).iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(digest.starts_with(hash));
    }
}

#[test]
fn deliveries_of_the_vectors_are_read() {
    for (hex, from, kind, text) in [
        (
            "0791947101670000040C919471909999990000623040506070400BD6A23469CC8268B7580C",
            "+491709999999",
            AddressKind::International,
            "VERIFY 4711",
        ),
        (
            "0791947101670000040BD0CDBC30EC5E030000623040506070400B47B9DF53066D50B14D0A",
            "MyBank",
            AddressKind::Name,
            "Grüße {1}",
        ),
        (
            "0791947101670000040C919471909999990008623040506070400C041F04400438043204350442",
            "+491709999999",
            AddressKind::International,
            "Привет",
        ),
    ] {
        let octets = hex.len() / 2 - 8;
        let Message::Deliver(read) = read(hex, Some(octets)).unwrap() else { panic!("{hex}") };
        assert_eq!((read.from.to_text().as_str(), read.from.kind(), read.text.as_str()), (from, kind, text));
        assert_eq!(read.centre.unwrap().to_text().as_str(), "+491710760000");
        assert_eq!(read.sent.unwrap().to_string(), "2026-03-04 5:06:07.0 +01:00:00");
        assert_eq!(read.part, None);
        // A modem that leaves the service centre out.
        let Message::Deliver(bare) = super::read(&hex[16..], Some(octets)).unwrap() else { panic!("{hex}") };
        assert_eq!((bare.text.as_str(), bare.centre), (text, None));
    }
}

#[test]
fn the_report_of_the_vectors_is_read() {
    let hex = "079194710167000006050D91945111325476F8623040506070406230405060704000";
    let Message::Report(report) = read(hex, Some(26)).unwrap() else { panic!() };
    assert_eq!((report.reference, report.state), (5, DeliveryState::Delivered));
    assert_eq!(report.to.to_text().as_str(), "+4915112345678");
    assert_eq!(report.at.unwrap().to_string(), "2026-03-04 5:06:07.0 +01:00:00");
    for (status, state) in [
        ("01", DeliveryState::Forwarded(1)),
        ("30", DeliveryState::Trying(0x30)),
        ("46", DeliveryState::Failed(0x46)),
        ("60", DeliveryState::Failed(0x60)),
        ("FF", DeliveryState::Failed(0xff)),
    ] {
        let hex = format!("{}{status}", &hex[..hex.len() - 2]);
        let Message::Report(report) = read(&hex, None).unwrap() else { panic!() };
        assert_eq!(report.state, state);
    }
}

#[test]
fn impossible_times_and_unknown_codings_are_no_error() {
    let head = "00040C91947190999999";
    for (rest, text) in [
        ("0000FFFFFFFFFFFFFF0131", Some("1")),
        ("00002013505060704001", None),
        ("0080623040506070400131", Some("1")),
        ("00F0623040506070400131", Some("1")),
        ("00E062304050607040020031", Some("1")),
        ("00F4623040506070400131", None),
        ("0004623040506070400131", None),
        ("0020623040506070400131", None),
    ] {
        let read = read(&format!("{head}{rest}"), None);
        let read = read.ok().map(|message| match message {
            Message::Deliver(deliver) => deliver.text,
            other => panic!("{other:?}"),
        });
        assert_eq!(read.as_ref().map(Hidden::as_str), text, "{rest}");
    }
}

#[test]
fn nothing_prints_itself() {
    let message = submit("+4915112345678", "Code 123456", HOURS);
    let pdus = message.encode(Reference::Short(0)).unwrap();
    let read = read(pdus[0].hex(), None).unwrap();
    let printed = format!("{message:?} {pdus:?} {read:?}");
    for secret in ["151", "6789", "4567", "Code", pdus[0].hex()] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn a_hundred_thousand_random_texts_come_back() {
    let mut random = Random::new();
    for _ in 0..100_000 {
        let text = random.text();
        let reference = match random.below(2) {
            0 => Reference::Short(random.below(256) as u8),
            _ => Reference::Long(random.below(65536) as u16),
        };
        let message = submit("+4915112345678", &text, random.below(1_000_000));
        let pdus = match message.encode(reference) {
            Ok(pdus) => pdus,
            Err(error) => {
                assert_eq!(error, EncodeError::TooLong, "seed {}", random.seed);
                assert!(text.encode_utf16().count() > 10 * 66, "seed {}", random.seed);
                continue;
            }
        };
        let mut back = String::new();
        for (index, pdu) in pdus.iter().enumerate() {
            assert!(pdu.hex().len() <= 2 * 165 && pdu.octets() == pdu.hex().len() / 2 - 1, "seed {}", random.seed);
            let Ok(Message::Submit(read)) = read(pdu.hex(), Some(pdu.octets())) else { panic!("seed {}", random.seed) };
            assert_eq!(read.to, message.to);
            let part = read.part.map(|part| (part.total, part.number));
            let several = (pdus.len() > 1).then_some((pdus.len() as u8, index as u8 + 1));
            assert_eq!(part, several, "seed {}", random.seed);
            back.push_str(read.text.as_str());
        }
        assert_eq!(back, text, "seed {}", random.seed);
    }
}

/// 200,000 spoilt PDUs: no panic, and what is read is not longer than a message can be.
#[test]
fn the_reader_survives_spoilt_pdus() {
    let mut random = Random::new();
    println!("seed {}", random.seed);
    let sound = [
        "0791947101670000040C919471909999990000623040506070400BD6A23469CC8268B7580C",
        "0791947101670000040BD0CDBC30EC5E030000623040506070400B47B9DF53066D50B14D0A",
        "0791947101670000440C919471909999990008623040506070401206080412340201041F04400438043204350442",
        "079194710167000006050D91945111325476F8623040506070406230405060704000",
        "0051000D91945111325476F80000A70F05000300020282C16030180C0601",
    ]
    .map(|hex| from_hex(hex).unwrap());
    let mut read_ok = 0;
    for _ in 0..200_000 {
        let mut octets = sound[random.below(sound.len() as u64) as usize].to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(octets.len() as u64) as usize;
            match random.below(5) {
                0 => octets.truncate(at.max(1)),
                1 => octets.insert(at, random.below(256) as u8),
                2 => octets[at] ^= 1 << random.below(8),
                3 => octets.extend((0..random.below(40)).map(|_| 0xff)),
                _ => octets[at] = random.below(256) as u8,
            }
        }
        let length = [None, Some(octets.len()), Some(random.below(300) as usize)][random.below(3) as usize];
        if let Ok(message) = read(&to_hex(&octets), length) {
            read_ok += 1;
            if let Message::Deliver(Deliver { text, from, .. }) = message {
                assert!(text.as_str().chars().count() <= 160 && from.to_text().chars().count() <= 21);
                let _ = from.number(Some(49));
            }
        }
    }
    assert!(read_ok > 1000, "the mutations never leave anything readable");
    for hex in ["", "0", "00", "zz", "é1", "0791", &"FF".repeat(300)] {
        assert!(read(hex, None).is_err(), "{hex}");
    }
}

/// xorshift64*, seeded from `KONTALK_SEED` or the address of a variable, which differs from run to run.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Random {
        let here = 0u8;
        let seed = match std::env::var("KONTALK_SEED") {
            Ok(text) => text.parse().unwrap(),
            Err(_) => std::ptr::from_ref(&here).addr() as u64 ^ u64::from(std::process::id()) << 20,
        };
        Random { seed, state: seed | 1 }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % limit
    }

    fn text(&mut self) -> String {
        static GSM: LazyLock<Vec<char>> = LazyLock::new(|| TABLE.chars().collect());
        const TABLE: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./09:;<=>?¡AZÄÖÑÜ§¿azäöñüà^{}\\[~]|€\u{c}";
        let length = match self.below(4) {
            0 => self.below(12),
            1 => 150 + self.below(20),
            2 => 60 + self.below(20),
            _ => self.below(400),
        };
        let gsm = self.below(2) == 0;
        (0..length)
            .map(|_| match self.below(10) {
                0..=8 if gsm => GSM[self.below(GSM.len() as u64) as usize],
                _ if gsm => 'e',
                0..=3 => char::from(32 + self.below(95) as u8),
                4..=7 => char::from_u32(0x400 + self.below(0x100) as u32).unwrap(),
                8 => '😀',
                _ => char::from_u32(self.below(0xd800) as u32).unwrap(),
            })
            .collect()
    }
}
