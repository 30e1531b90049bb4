//! Reads what the modem hands over: SMS-DELIVER, SMS-STATUS-REPORT (3GPP TS 23.040 §9.2.2.1, §9.2.2.3), and SMS-SUBMIT, which
//! stands in some modems' memory too.

use std::fmt;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::octets::{Octets, from_hex, swapped};
use super::userdata::{Coding, read_user_data};
use super::{Address, Hidden, Part};

/// A PDU that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A message came.
    Deliver(Deliver),
    /// The fate of one that was sent.
    Report(StatusReport),
    /// One that somebody meant to send.
    Submit(SubmitRead),
}

/// A message that came, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// The service centre it came through, where the modem tells. A foreign one is a sign of a forged sender.
    pub centre: Option<Address>,
    /// Who claims to have sent it.
    pub from: Address,
    /// What it says.
    pub text: Hidden,
    /// Which part it is, if it is one of several.
    pub part: Option<Part>,
    /// When the service centre took it, where it tells a possible time.
    pub sent: Option<OffsetDateTime>,
}

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// The number that the modem gave in `+CMGS`; it wraps at 255.
    pub reference: u8,
    /// Who was to receive it.
    pub to: Address,
    /// What became of it.
    pub state: DeliveryState,
    /// When.
    pub at: Option<OffsetDateTime>,
}

/// TP-ST, §9.2.3.15; the octet where it says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// The telephone has it.
    Delivered,
    /// The network did with it what it could and knows no more.
    Forwarded(u8),
    /// The network is still trying.
    Trying(u8),
    /// It will not be delivered.
    Failed(u8),
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryState::Delivered => f.write_str("delivered"),
            DeliveryState::Forwarded(_) => f.write_str("forwarded, which is all that is known"),
            DeliveryState::Trying(_) => f.write_str("still on its way"),
            DeliveryState::Failed(code) => write!(f, "not delivered (status {code})"),
        }
    }
}

/// A message to be sent, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitRead {
    /// Who is to receive it.
    pub to: Address,
    /// What it says.
    pub text: Hidden,
    /// Which part it is, if it is one of several.
    pub part: Option<Part>,
    /// Is a report of the delivery wanted?
    pub report: bool,
}

/// Why a PDU cannot be read. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PduError {
    /// Not hexadecimal.
    NotHex,
    /// It ends before it should.
    Truncated,
    /// More user data than a message can have.
    TooLong,
    /// An address that is too long.
    Address,
    /// A type of message that does not exist.
    Type,
    /// Compressed, which nobody can read.
    Compressed,
    /// Binary data, such as settings and pictures.
    NotText,
}

/// Reads a PDU in hexadecimal, as it follows `+CMT:`, `+CMGR:`, `+CMGL:` or `+CDS:`. `length` is the number of octets that
/// the modem named there, which does not count the service centre: by it one sees the modems that leave the centre out.
pub fn read(hex: &str, length: Option<usize>) -> Result<Message, PduError> {
    if hex.len() > HEX_MAX {
        return Err(PduError::TooLong);
    }
    let octets = from_hex(hex).ok_or(PduError::NotHex)?;
    let mut rest = Octets::new(&octets);
    let centre = if length == Some(octets.len()) { None } else { Address::read_centre(&mut rest)? };
    let first = rest.octet()?;
    let has_header = first & 0x40 != 0;
    match first & 0x03 {
        0 => read_deliver(&mut rest, centre, has_header).map(Message::Deliver),
        1 => read_submit(&mut rest, first, has_header).map(Message::Submit),
        2 => read_report(&mut rest).map(Message::Report),
        _ => Err(PduError::Type),
    }
}

fn read_deliver(rest: &mut Octets<'_>, centre: Option<Address>, has_header: bool) -> Result<Deliver, PduError> {
    let from = Address::read(rest)?;
    let _protocol = rest.octet()?;
    let coding = Coding::of(rest.octet()?)?;
    let sent = read_time(rest)?;
    let (text, part) = read_user_data(rest, coding, has_header)?;
    Ok(Deliver { centre, from, text, part, sent })
}

fn read_submit(rest: &mut Octets<'_>, first: u8, has_header: bool) -> Result<SubmitRead, PduError> {
    let _reference = rest.octet()?;
    let to = Address::read(rest)?;
    let _protocol = rest.octet()?;
    let coding = Coding::of(rest.octet()?)?;
    // TP-VPF, §9.2.3.3: none, relative, or one of the seven octet forms.
    rest.take(match first >> 3 & 0x03 {
        0 => 0,
        2 => 1,
        _ => 7,
    })?;
    let (text, part) = read_user_data(rest, coding, has_header)?;
    Ok(SubmitRead { to, text, part, report: first & 0x20 != 0 })
}

fn read_report(rest: &mut Octets<'_>) -> Result<StatusReport, PduError> {
    let reference = rest.octet()?;
    let to = Address::read(rest)?;
    let _sent = read_time(rest)?;
    let at = read_time(rest)?;
    let state = match rest.octet()? {
        0 => DeliveryState::Delivered,
        status @ 0x01..=0x1f => DeliveryState::Forwarded(status),
        status @ 0x20..=0x3f => DeliveryState::Trying(status),
        // Reserved values count as "temporary error, gave up" or "permanent": either way it is over.
        status => DeliveryState::Failed(status),
    };
    Ok(StatusReport { reference, to, state, at })
}

/// TP-SCTS, §9.2.3.11: six pairs of digits and the zone in quarter hours. Impossible times are nothing.
fn read_time(rest: &mut Octets<'_>) -> Result<Option<OffsetDateTime>, PduError> {
    let octets = rest.take(7)?;
    Ok(time_of(octets))
}

fn time_of(octets: &[u8]) -> Option<OffsetDateTime> {
    let [year, month, day, hour, minute, second, zone] = octets else { return None };
    let month = Month::try_from(swapped(*month)?).ok()?;
    let date = Date::from_calendar_date(2000 + i32::from(swapped(*year)?), month, swapped(*day)?).ok()?;
    let time = Time::from_hms(swapped(*hour)?, swapped(*minute)?, swapped(*second)?).ok()?;
    // Bit 3 is the sign.
    let quarters = i32::from(swapped(zone & 0xf7)?);
    let seconds = quarters * 15 * 60 * if zone & 0x08 != 0 { -1 } else { 1 };
    let offset = UtcOffset::from_whole_seconds(seconds).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_offset(offset))
}

impl fmt::Display for PduError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PduError::NotHex => "it is not hexadecimal",
            PduError::Truncated => "it ends too early",
            PduError::TooLong => "it is too long",
            PduError::Address => "an address in it is too long",
            PduError::Type => "its type does not exist",
            PduError::Compressed => "it is compressed",
            PduError::NotText => "it is binary",
        })
    }
}

impl std::error::Error for PduError {}

/// Hexadecimal digits of the longest PDU: 12 octets of a service centre, 164 of an SMS-DELIVER or SMS-STATUS-REPORT, and
/// some that vendors append.
const HEX_MAX: usize = 2 * 255;
