//! Hostile inputs: samples spoilt in a few places, seldom blown up, sometimes plain noise. The same for the same seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

/// xorshift64*: what matters is that a seed replays.
pub struct Random(u64);

impl Random {
    /// The choices of one input of a run.
    pub fn of_input(seed: u64, number: u64) -> Random {
        Random((seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).max(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 16) % bound.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// One in sixteen is noise, the others are samples spoilt in up to eight places.
pub fn hostile(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    if random.one_in(16) {
        return noise(random);
    }
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..random.below(8) {
        spoil(random, &mut input, corpus);
    }
    if random.one_in(BLOWN_UP_ONCE_IN) {
        blow_up(random, &mut input);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn noise(random: &mut Random) -> Vec<u8> {
    let length = random.below(400);
    // Half of it in letters that mean something to a parser.
    let letters = random.one_in(2);
    let byte = |random: &mut Random| match random.next().to_le_bytes()[3] {
        byte if letters => NOISE[usize::from(byte) % NOISE.len()],
        byte => byte,
    };
    (0..length).map(|_| byte(random)).collect()
}

fn spoil(random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.below(input.len() + 1);
    let end = (at + random.below(64)).min(input.len());
    match random.below(8) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = INTERESTING[random.below(INTERESTING.len())],
        2 => drop(input.drain(at..end)),
        3 => {
            let copy = input[at..end].to_vec();
            input.splice(at..at, copy);
        }
        4 => {
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(at..at, token.bytes());
        }
        5 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            let to = (from + random.below(128)).min(other.len());
            input.splice(at..end, other[from..to].iter().copied());
        }
        6 => spoil_value(random, input),
        _ => input.truncate(at),
    }
}

/// Puts something else between two quotation marks or between tags, so that what is around it stays sound.
fn spoil_value(random: &mut Random, input: &mut Vec<u8>) {
    let is_edge = |byte: &u8| matches!(byte, b'\'' | b'"' | b'>' | b'<' | b'=');
    let from = random.below(input.len() + 1);
    let Some(start) = input.iter().skip(from).position(is_edge).map(|at| from + at + 1) else { return };
    let Some(end) = input.iter().skip(start).position(is_edge).map(|at| start + at) else { return };
    let token = TOKENS[random.below(TOKENS.len())];
    input.splice(start..end, token.bytes());
}

/// A piece many times over: what has a limit shall meet it.
fn blow_up(random: &mut Random, input: &mut Vec<u8>) {
    let at = random.below(input.len());
    let end = (at + 1 + random.below(64)).min(input.len());
    let piece = input.get(at..end).unwrap_or_default().to_vec();
    let times = random.below(INPUT_BYTES_MAX) / piece.len().max(1);
    let pieces: Vec<u8> = piece.iter().copied().cycle().take(times * piece.len()).collect();
    input.splice(at..at, pieces);
}

/// More than a ring, and a stranger's stanza, may have.
pub const INPUT_BYTES_MAX: usize = 80 * 1024;
const BLOWN_UP_ONCE_IN: usize = 400;

const NOISE: &[u8] = b"<>/='\"&;:!?-[] \n\tax1+0.#@{},\\";

const INTERESTING: &[u8] = &[
    0, 1, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xC0, 0xEF, 0xFE, 0xFF, b'<', b'>', b'&', b'\'', b'"', b'/', b'?', b'!', b'=',
    b'\n', b'+', b'@',
];

const TOKENS: &[&str] = &[
    "",
    " ",
    "<",
    ">",
    "/>",
    "</",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?xml ",
    "?>",
    "<!DOCTYPE a [",
    "&lt;",
    "&#0;",
    "&#x10FFFF;",
    "&amp",
    "&a;",
    "xmlns=''",
    " xmlns='jabber:client' xmlns='jabber:client'",
    " xmlns:a='b'",
    "a:",
    ":",
    "\u{FFFF}",
    "\u{FEFF}",
    "\u{202E}",
    "\u{0}",
    "\u{661}\u{662}\u{663}",
    "\u{FF0B}",
    "\u{1E9E}\u{130}\u{DF}",
    "e\u{301}",
    "<stream:stream>",
    "</stream:stream>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "=",
    "====",
    "<a/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>",
    "<item jid='a@a.example'/>",
    "<group>a</group>",
    "subscription='remove'",
    "romeo@a.example",
    "@",
    "a@b/c/d@e",
    "a.example/",
    "n,,n=",
    "p=tls-exporter,,",
    ",r=",
    "-1",
    "4294967295",
    "99999999999999999999",
    "+",
    "+0",
    "+54",
    "+999",
    "123456",
    "true",
    "[c2s]",
    "[[sms]]",
    "[\"",
    "\"\"\"",
    "''",
    "\\u0000",
    "1979-05-27T07:32:00Z",
    "[::]:0",
    "1e999",
    "0x7fffffffffffffff",
];
