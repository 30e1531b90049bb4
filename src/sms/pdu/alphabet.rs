//! The GSM 7 bit default alphabet with its extension table (3GPP TS 23.038 §6.2.1), and the packing of septets (§6.1.2.1).

use zeroize::Zeroizing;

/// Can the text be sent in the GSM alphabet?
pub fn is_gsm(text: &str) -> bool {
    text.chars().all(|c| code_of(c).is_some())
}

/// The septets of a text, an extended character being two; nothing if a character is in neither table.
pub fn septets_of(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut septets = Zeroizing::new(Vec::with_capacity(text.len() * 2));
    for c in text.chars() {
        septets.extend(code_of(c)?.iter());
    }
    Some(septets)
}

/// The characters of septets. What no table has is read as §6.2.1 says: an unknown extension as the character of the default
/// table, two escapes as a space.
pub(in crate::sms) fn characters_of(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut rest = septets.iter();
    while let Some(septet) = rest.next() {
        if *septet != ESCAPE {
            text.extend(default_character(*septet));
            continue;
        }
        match rest.next() {
            Some(extended) => text.extend(extended_character(*extended).or_else(|| default_character(*extended))),
            // Cut off in the middle of a character.
            None => text.push(' '),
        }
    }
    text
}

/// What one character is sent as.
pub(super) fn code_of(c: char) -> Option<Code> {
    // Letters and digits stand where ASCII has them; most characters are such.
    if c.is_ascii_alphanumeric() {
        return u8::try_from(c).ok().map(|code| Code { octets: [code, 0], length: 1 });
    }
    if let Some((code, _)) = EXTENSION.iter().find(|(_, extended)| *extended == c) {
        return Some(Code { octets: [ESCAPE, *code], length: 2 });
    }
    let position = DEFAULT.iter().position(|known| *known == c)?;
    let code = u8::try_from(position).ok().filter(|code| *code != ESCAPE)?;
    Some(Code { octets: [code, 0], length: 1 })
}

/// One or two septets.
#[derive(Clone, Copy)]
pub(super) struct Code {
    octets: [u8; 2],
    length: usize,
}

impl Code {
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        self.octets.into_iter().take(self.length)
    }

    pub(super) fn len(self) -> usize {
        self.length
    }
}

/// Septets to octets, least significant bit first, behind `fill` zero bits.
pub(in crate::sms) fn pack(septets: &[u8], fill: u8) -> Zeroizing<Vec<u8>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(septets.len() + 1));
    let mut pending = 0u32;
    let mut bits = u32::from(fill % 8);
    for septet in septets {
        pending |= u32::from(septet & 0x7f) << bits;
        bits += 7;
        while bits >= 8 {
            octets.push((pending & 0xff) as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        octets.push((pending & 0xff) as u8);
    }
    octets
}

/// At most `count` septets out of octets, behind `fill` bits.
pub(in crate::sms) fn unpack(octets: &[u8], fill: u8, count: usize) -> Zeroizing<Vec<u8>> {
    let fill = u32::from(fill % 8);
    let mut septets = Zeroizing::new(Vec::with_capacity(count.min(octets.len() * 8 / 7 + 1)));
    let (mut pending, mut bits, mut skip) = (0u32, 0u32, fill);
    for octet in octets {
        pending |= u32::from(*octet) << bits;
        bits += 8;
        if skip > 0 {
            pending >>= skip;
            bits -= skip;
            skip = 0;
        }
        while bits >= 7 && septets.len() < count {
            septets.push((pending & 0x7f) as u8);
            pending >>= 7;
            bits -= 7;
        }
    }
    septets
}

fn default_character(septet: u8) -> Option<char> {
    DEFAULT.get(usize::from(septet & 0x7f)).map(|c| if *c == '\u{1b}' { ' ' } else { *c })
}

fn extended_character(septet: u8) -> Option<char> {
    EXTENSION.iter().find(|(code, _)| *code == septet).map(|(_, c)| *c)
}

const ESCAPE: u8 = 0x1b;

/// Code 0 first; the escape stands at its own place.
#[rustfmt::skip]
const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É',
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/',
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?',
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O',
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§',
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

const EXTENSION: [(u8, char); 10] = [
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_table_has_128_characters_and_each_comes_back() {
        assert_eq!(DEFAULT.len(), 128);
        for c in DEFAULT.into_iter().filter(|c| *c != '\u{1b}').chain(EXTENSION.map(|(_, c)| c)) {
            let septets = septets_of(&c.to_string()).unwrap();
            assert_eq!(characters_of(&septets), c.to_string());
        }
        for (c, code) in
            [('@', 0), ('$', 2), ('_', 0x11), ('¤', 0x24), ('¡', 0x40), ('§', 0x5f), ('¿', 0x60), ('à', 0x7f)]
        {
            assert_eq!(septets_of(&c.to_string()).unwrap().as_slice(), [code], "{c}");
        }
    }

    #[test]
    fn what_no_table_has_is_not_gsm() {
        for c in ['`', 'ç', '“', '’', 'а', '😀', '\u{1b}', '\t', '\0'] {
            assert!(!is_gsm(&c.to_string()), "{c:?}");
        }
        assert!(is_gsm("Grüße: 7 €"));
    }

    #[test]
    fn odd_escapes_become_something_harmless() {
        assert_eq!(characters_of(&[0x1b, 0x1b, 0x41]), " A");
        assert_eq!(characters_of(&[0x1b, 0x41]), "A");
        assert_eq!(characters_of(&[0x41, 0x1b]), "A ");
        assert_eq!(characters_of(&[0xff]), "à");
    }

    #[test]
    fn packing_and_unpacking_undo_each_other_at_every_length_and_fill() {
        for length in 0..170usize {
            let septets: Vec<u8> = (0..length).map(|index| (index * 37 % 128) as u8).collect();
            for fill in 0..7 {
                let packed = pack(&septets, fill);
                assert_eq!(packed.len(), (length * 7 + usize::from(fill)).div_ceil(8));
                assert_eq!(unpack(&packed, fill, length).as_slice(), septets, "{length} septets, {fill} bits");
            }
        }
    }
}
