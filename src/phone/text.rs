//! The text message that brings a code, in the user's language.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Code;
use crate::limits::CODE_TTL;

/// What a text message says. Never printed, wiped when dropped.
#[derive(Clone)]
pub struct SmsText {
    text: Zeroizing<String>,
    code: Code,
}

impl SmsText {
    /// The message for a code, in English. See [`SmsText::verification_in`].
    pub fn verification(code: &Code) -> SmsText {
        SmsText::verification_in(code, None, None)
    }

    /// The message for a code in a language (a tag as of RFC 5646; English where we do not speak it), with the suffix of the app
    /// that may read it: one part, only characters of the GSM alphabet. The code comes first, and there is no other digit but in
    /// the suffix: clients read the message and look for the digits.
    pub fn verification_in(code: &Code, language: Option<&str>, app: Option<&AppHash>) -> SmsText {
        let rest = rest_in(language.unwrap_or_default());
        let suffix_bytes = app.map_or(0, |app| 1 + app.0.len());
        let mut text = Zeroizing::new(String::with_capacity(code.digits().len() + rest.len() + suffix_bytes));
        text.push_str(code.digits());
        text.push_str(rest);
        if let Some(app) = app {
            // A line of its own at the end: that is where the telephone looks for it.
            text.push('\n');
            text.push_str(&app.0);
        }
        SmsText { text, code: code.clone() }
    }

    /// The text: the one way out, for whoever sends it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The code alone, for senders whose network has a template of its own, and for the trial node's terminal.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// How long it is worth delivering: later it only confuses.
    pub fn lifetime(&self) -> Duration {
        CODE_TTL
    }
}

impl fmt::Debug for SmsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmsText(…)")
    }
}

/// What names an app to the telephone, so that the telephone hands it the message without the right to read all others: eleven
/// characters of base64, as Android's SMS Retriever makes them of the app's name and signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppHash(String);

impl AppHash {
    /// Takes it in; `None` if it is none.
    pub fn parse(text: &str) -> Option<AppHash> {
        let fits =
            text.len() == APP_HASH_BYTES && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
        fits.then(|| AppHash(text.to_owned()))
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text behind the code. A tag's first part is its language; what follows (region, script) makes no difference here.
fn rest_in(tag: &str) -> &'static str {
    let language = tag.split(['-', '_']).next().unwrap_or_default();
    let found = TEXTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(language));
    found.map_or(ENGLISH, |(_, rest)| rest)
}

/// Ten minutes in letters, because of the digits. Letters that the GSM alphabet lacks are written as people write them there, or
/// the sentence does without: one such letter would halve the length of a part.
const TEXTS: &[(&str, &str)] = &[
    ("en", ENGLISH),
    ("cs", " je kod Kontalk, plati deset minut. Nikomu ho nedavejte."),
    ("da", " er din Kontalk-kode, gyldig i ti minutter. Del den ikke med nogen."),
    ("de", " ist dein Kontalk-Code, zehn Minuten lang gültig. Gib ihn niemandem."),
    ("es", " es su clave de Kontalk, vale diez minutos. No la comparta con nadie."),
    ("fi", " on Kontalk-koodisi, voimassa kymmenen minuuttia. Älä anna sitä muille."),
    ("fr", " est votre code Kontalk, valable dix minutes. Ne le donnez à personne."),
    ("id", " adalah kode Kontalk Anda, berlaku sepuluh menit. Jangan bagikan."),
    ("it", " è il tuo codice Kontalk, valido dieci minuti. Non darlo a nessuno."),
    ("nb", " er din Kontalk-kode, gyldig i ti minutter. Ikke del den med noen."),
    ("nl", " is je Kontalk-code, tien minuten geldig. Deel hem met niemand."),
    ("no", " er din Kontalk-kode, gyldig i ti minutter. Ikke del den med noen."),
    ("pl", " to kod Kontalk, wazny przez dziesiec minut. Nie podawaj go nikomu."),
    ("pt", " é a sua senha Kontalk, vale por dez minutos. Nunca a partilhe."),
    ("sv", " är din Kontalk-kod, giltig i tio minuter. Dela den inte med någon."),
    ("tr", " Kontalk kodunuz. On dakika sonra biter, kimseyle paylasmayin."),
];
const ENGLISH: &str = " is your Kontalk code, good for ten minutes. Do not share it.";
const APP_HASH_BYTES: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    /// The GSM alphabet of 3GPP TS 23.038 §6.2.1 as far as these texts may use it: what one septet each carries.
    const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡\
                       ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

    fn code() -> Code {
        Code::parse("012345").unwrap()
    }

    #[test]
    fn the_text_has_the_code_first_and_no_other_digit() {
        let text = SmsText::verification(&code());
        assert_eq!(text.as_str(), "012345 is your Kontalk code, good for ten minutes. Do not share it.");
        assert_eq!(format!("{text:?}"), "SmsText(…)");
        for (language, _) in TEXTS {
            let text = SmsText::verification_in(&code(), Some(language), None);
            assert!(text.as_str().starts_with("012345 "), "{language}");
            assert_eq!(text.as_str().chars().filter(char::is_ascii_digit).collect::<String>(), "012345", "{language}");
        }
    }

    #[test]
    fn every_text_fits_one_part_of_the_gsm_alphabet_with_the_suffix() {
        let app = AppHash::parse("FA+9qCX9VSu").unwrap();
        for (language, _) in TEXTS {
            let text = SmsText::verification_in(&code(), Some(language), Some(&app));
            let strange: String = text.as_str().chars().filter(|c| !GSM.contains(*c)).collect();
            assert_eq!(strange, "", "{language}");
            assert!(text.as_str().chars().count() <= 160, "{language}");
            assert!(text.as_str().ends_with("\nFA+9qCX9VSu"), "{language}");
        }
    }

    #[test]
    fn a_language_is_found_by_the_first_part_of_its_tag() {
        for (tag, words) in [
            ("de", "dein Kontalk-Code"),
            ("de-AT", "dein Kontalk-Code"),
            ("DE_de", "dein Kontalk-Code"),
            ("pt-BR", "senha Kontalk"),
            ("", "your Kontalk code"),
            ("tlh", "your Kontalk code"),
            ("-", "your Kontalk code"),
        ] {
            assert!(SmsText::verification_in(&code(), Some(tag), None).as_str().contains(words), "{tag}");
        }
        assert!(TEXTS.len() >= 12);
    }

    #[test]
    fn an_apps_suffix_is_eleven_characters_of_base64() {
        for (text, good) in
            [("FA+9qCX9VSu", true), ("FA+9qCX9VS", false), ("FA+9qCX9VSuu", false), ("FA 9qCX9VSu", false)]
        {
            assert_eq!(AppHash::parse(text).is_some(), good, "{text}");
        }
    }

    #[test]
    fn the_text_tells_the_truth_about_its_lifetime() {
        assert_eq!(CODE_TTL, Duration::from_secs(10 * 60));
    }
}
