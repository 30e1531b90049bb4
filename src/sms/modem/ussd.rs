//! USSD codes such as the one for the balance: 3GPP TS 27.007 §7.15. Modems differ in how they write the answer, and so it is
//! read by trying.

use zeroize::Zeroizing;

use super::ModemError;
use super::dialogue::{Driver, Expect, Trouble};
use super::world::World;
use crate::sms::pdu::{Hidden, characters_of, from_hex, pack, septets_of, to_hex, unpack};

impl<W: World> Driver<W> {
    /// Sends a code and waits for the network's answer.
    pub(super) async fn ussd(&mut self, code: &Hidden) -> Result<Result<Hidden, ModemError>, Trouble> {
        if !self.look_at_registration().await?.is_registered() {
            return Ok(Err(ModemError::NoNetwork));
        }
        self.inbox.ussd = None;
        let plain = Zeroizing::new(code.as_str().to_owned());
        let forms = if self.huawei { [packed(code.as_str()), plain] } else { [plain, packed(code.as_str())] };
        for form in forms {
            let command = Zeroizing::new(format!("AT+CUSD=1,\"{}\",15", form.as_str()));
            if self.ask(&command, Expect::Nothing, self.timing.slow_answer).await?.is_ok() {
                return self.ussd_answer().await;
            }
        }
        Ok(Err(ModemError::Refused))
    }

    async fn ussd_answer(&mut self) -> Result<Result<Hidden, ModemError>, Trouble> {
        let until = self.world.now() + self.timing.ussd;
        // It is a notice, and so it is sifted out while time passes in short steps.
        let (state, rest) = loop {
            if let Some(answer) = self.inbox.take_ussd() {
                break answer;
            }
            if self.world.now() >= until {
                self.leave_dialogue().await?;
                return Ok(Err(ModemError::NoAnswer));
            }
            self.rest(self.timing.settle).await?;
        };
        if state == WANTS_ANSWER {
            // A menu: read, and left.
            self.leave_dialogue().await?;
        }
        Ok(match state {
            UNSUPPORTED => Err(ModemError::Refused),
            TIMED_OUT => Err(ModemError::NoAnswer),
            _ => Ok(read_answer(rest.as_str())),
        })
    }

    async fn leave_dialogue(&mut self) -> Result<(), Trouble> {
        self.ask("AT+CUSD=2", Expect::Nothing, self.timing.slow_answer).await.map(|_| ())
    }
}

/// Is it a USSD code? Anything else could be a command to the modem.
pub(super) fn is_code(text: &str) -> bool {
    (1..=CODE_CHARS_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit() || c == '*' || c == '#')
}

fn packed(code: &str) -> Zeroizing<String> {
    to_hex(&pack(&septets_of(code).unwrap_or_default(), 0))
}

/// `"text",scheme` to the text: as it is, as packed septets in hexadecimal, or as UCS-2 in hexadecimal.
fn read_answer(rest: &str) -> Hidden {
    let (text, scheme) = match rest.strip_prefix('"').and_then(|rest| rest.rsplit_once('"')) {
        Some((text, scheme)) => (text, scheme.trim_start_matches(',').trim()),
        None => (rest, ""),
    };
    let Some(octets) = from_hex(text).filter(|octets| octets.len() >= HEX_OCTETS_MIN) else { return Hidden::new(text) };
    let as_ucs2 = read_ucs2(&octets).filter(|text| text.chars().all(is_likely));
    // A text in the GSM alphabet, filled up with a carriage return (3GPP TS 23.038 §6.1.2.3.1).
    let count = octets.len() * 8 / 7;
    let as_gsm = characters_of(&unpack(&octets, 0, count));
    let as_gsm = as_gsm.trim_end_matches(['\r', '@']);
    let gsm_likely = !as_gsm.is_empty() && as_gsm.chars().all(|c| is_likely(c) && !"ΔΦΓΛΩΠΨΣΘΞ".contains(c));
    match scheme {
        "72" => Hidden::new(as_ucs2.unwrap_or_else(|| text.to_owned())),
        _ => match as_ucs2 {
            Some(text) => Hidden::new(text),
            None if gsm_likely => Hidden::new(as_gsm),
            None => Hidden::new(text),
        },
    }
}

fn read_ucs2(octets: &[u8]) -> Option<String> {
    if !octets.len().is_multiple_of(2) {
        return None;
    }
    let units = octets.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes));
    char::decode_utf16(units).collect::<Result<_, _>>().ok()
}

/// What stands in such texts: not the rare characters that come of reading them wrong.
fn is_likely(c: char) -> bool {
    matches!(c, '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{24f}' | '\u{370}'..='\u{6ff}' | '\u{2010}'..='\u{20bf}')
}

const CODE_CHARS_MAX: usize = 40;
const HEX_OCTETS_MIN: usize = 4;
/// The states of 27.007 §7.15.
const WANTS_ANSWER: u8 = 1;
const UNSUPPORTED: u8 = 4;
const TIMED_OUT: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_every_form() {
        let hex = packed("Guthaben: 1,50 EUR. Bis bald");
        for (rest, text) in [
            ("\"Credit 1.50 EUR\",15".to_owned(), "Credit 1.50 EUR"),
            ("\"Credit\n1.50, \"\"EUR\"\"\",15".to_owned(), "Credit\n1.50, \"\"EUR\"\""),
            (format!("\"{}\",15", hex.as_str()), "Guthaben: 1,50 EUR. Bis bald"),
            (format!("\"{}\",0", hex.to_lowercase()), "Guthaben: 1,50 EUR. Bis bald"),
            ("\"0411043004370430043D0441\",72".to_owned(), "Базанс"),
            ("\"004300720065006400690074\",15".to_owned(), "Credit"),
            ("\"1234\",15".to_owned(), "1234"),
            ("".to_owned(), ""),
        ] {
            assert_eq!(read_answer(&rest).as_str(), text, "{rest}");
        }
    }

    #[test]
    fn only_codes_are_codes() {
        for (text, is) in [("*100#", true), ("#31#", true), ("", false), ("*1\"\r", false), ("AT", false)] {
            assert_eq!(is_code(text), is, "{text}");
        }
    }
}
