//! Unsolicited result codes: what modems say without being asked, at any moment, also between a command and its answer.
//! 3GPP TS 27.005 §3.4.1, 27.007 §7.2, §7.6, §7.15, and vendors' own.

use zeroize::Zeroizing;

use crate::sms::pdu::{Address, Hidden};

/// One unsolicited line, as far as we act on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// `+CMTI`, `+CDSI`: a message or a report lies at this place.
    Stored(u16),
    /// `+CMT`, `+CDS`: one follows in the next line, of so many octets.
    Follows(Option<usize>),
    /// `+CBM`: a broadcast follows in the next line.
    Broadcast,
    /// `+CREG` and its sisters.
    Registration(u8),
    /// Somebody calls.
    Ring,
    /// `+CLIP`: this number does, or one that is withheld.
    Caller(Option<Address>),
    /// `+CUSD`: state, and the rest of the line as it is.
    Ussd(u8, Hidden),
    /// The memory for messages is full.
    MemoryFull,
    /// The modem has just started.
    Started,
    /// It is done with starting; out of the blue the same as [`Notice::Started`].
    Ready,
    /// `^BOOT`: its value changes with every start.
    Boot(Hidden),
    /// It loses power.
    PowerLow,
    /// Something about the SIM changed.
    Sim,
    /// An outgoing call rings, was answered, has ended (Huawei).
    Call(CallNotice),
    /// Known, and nothing to us.
    Noise,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallNotice {
    Rings,
    Answered,
    Ended,
}

/// Reads a line that nobody asked for; nothing if it is none that is known.
pub(super) fn notice_of(line: &str) -> Option<Notice> {
    if let Some(found) = WHOLE.iter().find(|(text, _)| *text == line) {
        return Some((found.1)());
    }
    let (head, rest) = line.split_once(':').unwrap_or((line, ""));
    let rest = rest.trim();
    Some(match head {
        "+CMTI" | "+CDSI" => Notice::Stored(fields(rest).nth(1)?.parse().ok()?),
        // `+CMT: [alpha],length`, `+CDS: length`: the length is the last.
        "+CMT" | "+CDS" => Notice::Follows(fields(rest).last().and_then(|length| length.parse().ok())),
        "+CBM" => Notice::Broadcast,
        "+CREG" | "+CGREG" | "+CEREG" => Notice::Registration(registration_notice(rest)?),
        "+CRING" => Notice::Ring,
        "+CLIP" => Notice::Caller(caller(rest)),
        "+CUSD" => {
            let (state, text) = rest.split_once(',').unwrap_or((rest, ""));
            Notice::Ussd(state.trim().parse().ok()?, Hidden::new(text.trim()))
        }
        "^SMMEMFULL" => Notice::MemoryFull,
        "^BOOT" => Notice::Boot(Hidden::new(rest)),
        "+CPIN" | "^SIMST" | "+QUSIM" | "+ZUSIMR" => Notice::Sim,
        "+QIND" if rest.contains("SMS DONE") || rest.contains("PB DONE") => Notice::Ready,
        "^CONF" => Notice::Call(CallNotice::Rings),
        "^CONN" => Notice::Call(CallNotice::Answered),
        "^CEND" => Notice::Call(CallNotice::Ended),
        _ if NOISE.contains(&head) || line.starts_with("UNDER-VOLTAGE WARN") => Notice::Noise,
        _ if line.starts_with("UNDER-VOLTAGE") || line.starts_with("OVER-VOLTAGE POWER") => Notice::PowerLow,
        _ => return None,
    })
}

/// Is this the answer to `AT+CREG?` (`n,stat[,…]`) and not the notice (`stat[,"lac",…]`)? 27.007 §7.2.
pub(super) fn registration_answer(rest: &str) -> Option<u8> {
    let mut fields = fields(rest);
    let mode: u8 = fields.next()?.parse().ok()?;
    let state = fields.next()?.parse().ok()?;
    (mode <= 5).then_some(state)
}

fn registration_notice(rest: &str) -> Option<u8> {
    fields(rest).next()?.parse().ok()
}

/// The fields between commas, trimmed; commas within quotes do not count. Quotes stay.
pub(super) fn fields(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
}

/// Without the quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// `"+4917…",145,…`: 27.007 §7.6. An empty number is a withheld one; type 145 is international, with or without a plus.
fn caller(rest: &str) -> Option<Address> {
    let mut fields = fields(rest);
    let number = unquoted(fields.next()?);
    let international = fields.next() == Some("145") && !number.starts_with('+');
    let number = Zeroizing::new(if international { format!("+{number}") } else { number.to_owned() });
    Address::parse(&number)
}

type Whole = (&'static str, fn() -> Notice);

const WHOLE: [Whole; 13] = [
    ("RING", || Notice::Ring),
    ("RDY", || Notice::Started),
    ("^SYSSTART", || Notice::Started),
    ("+PBREADY", || Notice::Ready),
    ("SMS Ready", || Notice::Ready),
    ("SMS DONE", || Notice::Ready),
    ("Call Ready", || Notice::Ready),
    ("PB DONE", || Notice::Ready),
    ("NORMAL POWER DOWN", || Notice::PowerLow),
    ("POWERED DOWN", || Notice::PowerLow),
    ("RING BACK", || Notice::Noise),
    ("OVER-VOLTAGE WARNNING", || Notice::Noise),
    ("SIM DROP", || Notice::Sim),
];

const NOISE: [&str; 30] = [
    "+CGEV",
    "+CTZV",
    "+CTZE",
    "+CIEV",
    "+CCWA",
    "+CSSI",
    "+CSSU",
    "+COLP",
    "+CFUN",
    "+CCED",
    "^RSSI",
    "^HCSQ",
    "^MODE",
    "^SRVST",
    "^STIN",
    "^DSFLOWRPT",
    "^ORIG",
    "^NWTIME",
    "^THERM",
    "^CSNR",
    "^ANLEVEL",
    "^LWURC",
    "+ZDONR",
    "+ZPASR",
    "+ZMGS",
    "+QIND",
    "+UUPSDA",
    "*PSUTTZ",
    "*PSNWID",
    "DST",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_read() {
        let number = |text| Notice::Caller(Address::parse(text));
        for (line, notice) in [
            ("+CMTI: \"SM\",3", Some(Notice::Stored(3))),
            ("+CDSI: \"ME\",12", Some(Notice::Stored(12))),
            ("+CMTI: nonsense", None),
            ("+CMT: ,24", Some(Notice::Follows(Some(24)))),
            ("+CMT: \"a,b\",24", Some(Notice::Follows(Some(24)))),
            ("+CDS: 26", Some(Notice::Follows(Some(26)))),
            ("+CDS:", Some(Notice::Follows(None))),
            ("+CREG: 1", Some(Notice::Registration(1))),
            ("+CEREG: 5,\"00AB\",\"01CD\",7", Some(Notice::Registration(5))),
            ("RING", Some(Notice::Ring)),
            ("+CRING: VOICE", Some(Notice::Ring)),
            ("+CLIP: \"+4917012345\",145,\"\",,\"\",0", Some(number("+4917012345"))),
            ("+CLIP: \"4917012345\",145,,,,0", Some(number("+4917012345"))),
            ("+CLIP: \"017012345\",129,,,,0", Some(number("017012345"))),
            ("+CLIP: \"\",128,,,,1", Some(Notice::Caller(None))),
            ("+CUSD: 0,\"1,50 EUR\",15", Some(Notice::Ussd(0, Hidden::new("\"1,50 EUR\",15")))),
            ("+CUSD: 2", Some(Notice::Ussd(2, Hidden::new("")))),
            ("^RSSI:17", Some(Notice::Noise)),
            ("^BOOT:23477482,0,0,0,6", Some(Notice::Boot(Hidden::new("23477482,0,0,0,6")))),
            ("RDY", Some(Notice::Started)),
            ("SMS Ready", Some(Notice::Ready)),
            ("UNDER-VOLTAGE WARNNING", Some(Notice::Noise)),
            ("UNDER-VOLTAGE POWER DOWN", Some(Notice::PowerLow)),
            ("+CSQ: 17,99", None),
            ("OK", None),
        ] {
            assert_eq!(notice_of(line), notice, "{line}");
        }
    }

    #[test]
    fn answers_about_registration_are_told_from_notices() {
        for (rest, state) in [
            ("1,5", Some(5)),
            ("0,1", Some(1)),
            ("2,1,\"00AB\",\"01CD\",7", Some(1)),
            ("1", None),
            ("5,\"00AB\",\"01CD\"", None),
            ("", None),
        ] {
            assert_eq!(registration_answer(rest), state, "{rest}");
        }
    }
}
