//! A message on its way to a provider, with what providers want to know of it.

use zeroize::Zeroizing;

use crate::phone::{PhoneNumber, SmsText};
use crate::sms::pdu::is_gsm;

/// One message. Its parts do not show themselves.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) to: PhoneNumber,
    pub(super) text: SmsText,
    /// What we call it: random, so that it says nothing of the number. 32 hexadecimal digits.
    pub(super) reference: String,
}

impl Message {
    pub(super) fn new(to: &PhoneNumber, text: &SmsText, random: [u8; 16]) -> Message {
        let reference = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Message { to: to.clone(), text: text.clone(), reference }
    }

    /// The number without its plus.
    pub(super) fn digits(&self) -> &str {
        self.to.as_e164().trim_start_matches('+')
    }

    /// Seconds that the message is worth delivering.
    pub(super) fn lifetime_secs(&self) -> u64 {
        self.text.lifetime().as_secs().max(1)
    }

    /// Has the text characters that are not in the GSM alphabet? Then it is sent in another, and some providers must be told.
    pub(super) fn is_unicode(&self) -> bool {
        !is_gsm(self.text.as_str())
    }
}

/// The text of the fields that want one; wiped, unlike a formatted one.
pub(super) fn number_00(message: &Message) -> Zeroizing<String> {
    Zeroizing::new(format!("00{}", message.digits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::Code;

    #[test]
    fn a_message_has_the_forms_that_providers_want() {
        let to = PhoneNumber::parse("+4915112345678").unwrap();
        let text = SmsText::verification(&Code::parse("012345").unwrap());
        let message = Message::new(&to, &text, [0xab; 16]);
        assert_eq!(message.reference, "ab".repeat(16));
        assert_eq!((message.digits(), number_00(&message).as_str()), ("4915112345678", "004915112345678"));
        assert_eq!((message.lifetime_secs(), message.is_unicode()), (600, false));
        let shown = format!("{message:?}");
        assert!(!shown.contains("4915") && !shown.contains("012345"), "{shown}");
    }
}
