//! What ends a command: ITU-T V.250 §5.7, 3GPP TS 27.005 §3.2.5, 27.007 §9.2.

use std::fmt;

/// The last line of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Final {
    Ok,
    Error(AtError),
    /// How a call ended, or that it began; ends a command only when a number was dialled.
    Call(CallResult),
}

/// How the modem refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtError {
    /// `ERROR` without a reason.
    Plain,
    /// The device or the SIM.
    Cme(u16),
    /// A message.
    Cms(u16),
    /// In words we do not know, although numbers were asked for.
    Worded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallResult {
    Connected,
    NoCarrier,
    Busy,
    NoAnswer,
    NoDialTone,
}

/// Reads a line that ends a command, if it is one.
pub(super) fn final_of(line: &str) -> Option<Final> {
    let call = |result| Some(Final::Call(result));
    match line {
        "OK" => return Some(Final::Ok),
        // Huawei.
        "ERROR" | "COMMAND NOT SUPPORT" | "TOO MANY PARAMETERS" => return Some(Final::Error(AtError::Plain)),
        "NO CARRIER" => return call(CallResult::NoCarrier),
        "BUSY" => return call(CallResult::Busy),
        "NO ANSWER" => return call(CallResult::NoAnswer),
        "NO DIALTONE" | "NO DIAL TONE" => return call(CallResult::NoDialTone),
        _ => {}
    }
    if line.starts_with("CONNECT") {
        return call(CallResult::Connected);
    }
    if let Some(code) = line.strip_prefix("+CME ERROR:") {
        return Some(Final::Error(read_code(code.trim(), AtError::Cme)));
    }
    line.strip_prefix("+CMS ERROR:").map(|code| Final::Error(read_code(code.trim(), AtError::Cms)))
}

/// Codes are asked for, but after a reset some modems use words again.
fn read_code(code: &str, numbered: fn(u16) -> AtError) -> AtError {
    if let Ok(code) = code.parse() {
        return numbered(code);
    }
    let known = WORDS.iter().find(|(_, words)| words.eq_ignore_ascii_case(code));
    known.map_or(AtError::Worded, |(code, _)| AtError::Cme(*code))
}

impl fmt::Display for AtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AtError::Plain => f.write_str("ERROR"),
            AtError::Cme(code) => write!(f, "+CME ERROR {code}"),
            AtError::Cms(code) => write!(f, "+CMS ERROR {code}"),
            AtError::Worded => f.write_str("an error in words"),
        }
    }
}

/// 27.007 §9.2, those that we act on.
const WORDS: [(u16, &str); 10] = [
    (3, "operation not allowed"),
    (4, "operation not supported"),
    (10, "SIM not inserted"),
    (11, "SIM PIN required"),
    (12, "SIM PUK required"),
    (13, "SIM failure"),
    (14, "SIM busy"),
    (15, "SIM wrong"),
    (16, "incorrect password"),
    (30, "no network service"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finals_are_told_from_other_lines() {
        for (line, read) in [
            ("OK", Some(Final::Ok)),
            ("ERROR", Some(Final::Error(AtError::Plain))),
            ("COMMAND NOT SUPPORT", Some(Final::Error(AtError::Plain))),
            ("+CME ERROR: 14", Some(Final::Error(AtError::Cme(14)))),
            ("+CME ERROR: SIM busy", Some(Final::Error(AtError::Cme(14)))),
            ("+CME ERROR: incorrect password", Some(Final::Error(AtError::Cme(16)))),
            ("+CMS ERROR: 38", Some(Final::Error(AtError::Cms(38)))),
            ("+CMS ERROR:500", Some(Final::Error(AtError::Cms(500)))),
            ("+CMS ERROR: something new", Some(Final::Error(AtError::Worded))),
            ("+CMS ERROR: 99999999", Some(Final::Error(AtError::Worded))),
            ("NO CARRIER", Some(Final::Call(CallResult::NoCarrier))),
            ("CONNECT 115200", Some(Final::Call(CallResult::Connected))),
            ("OKAY", None),
            ("+CSQ: 1,2", None),
            ("RING", None),
        ] {
            assert_eq!(final_of(line), read, "{line}");
        }
    }
}
