//! What the operator is told about a modem: everything in words, and beside what is wrong the remedy.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A modem at one moment. Holds no telephone number and no code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// The serial port in use, or the last that was.
    pub device: Option<String>,
    /// Maker and model.
    pub model: Option<String>,
    /// The beginning of the IMEI, which says the model, and its last two digits; the rest is nobody's business.
    pub imei: Option<String>,
    /// The SIM.
    pub sim: SimState,
    /// Is it in a network?
    pub registration: Registration,
    /// The operator's name.
    pub operator: Option<String>,
    /// The country calling code of the SIM.
    pub country: Option<u16>,
    /// How well it hears the network.
    pub signal: Signal,
    /// Work that waits for its turn.
    pub queue: usize,
    /// Messages that the network took, since the node started.
    pub sent: u64,
    /// Messages that were not sent.
    pub refused: u64,
    /// Messages of which nobody knows.
    pub unknown: u64,
    /// The last thing that went wrong.
    pub last_error: Option<LastError>,
    /// Another program that uses the same modem, and what to do about it.
    pub conflict: Option<String>,
}

impl Status {
    /// Why no message can be sent now, in a sentence with its remedy; nothing if one can, or may in a moment.
    pub fn trouble(&self) -> Option<String> {
        let last =
            |otherwise: &str| self.last_error.as_ref().map_or_else(|| otherwise.to_owned(), |last| last.text.clone());
        match self.phase {
            Phase::Absent => Some(last("no modem is open (remedy: plug one in)")),
            Phase::Recovering => Some(last("the modem is being brought back after a fault (remedy: none yet)")),
            Phase::Blocked => Some(last("the modem waits for you (remedy: look at its SIM)")),
            Phase::Ready | Phase::Sending if !self.registration.is_registered() => {
                Some(format!("{}: {}", super::send::NO_NETWORK, self.registration))
            }
            Phase::Starting | Phase::Registering | Phase::Ready | Phase::Sending => None,
        }
    }

    /// In one line, for the status of the node.
    pub fn in_short(&self) -> String {
        let operator = self.operator.as_deref().unwrap_or("no operator's name");
        format!(
            "{}, {}, {operator}, signal {}; {} sent, {} refused, {} unknown",
            self.phase, self.registration, self.signal, self.sent, self.refused, self.unknown
        )
    }
}

/// What a modem is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// No modem can be opened.
    #[default]
    Absent,
    /// It is being set up.
    Starting,
    /// It looks for a network.
    Registering,
    /// It waits for work.
    Ready,
    /// A message is on its way.
    Sending,
    /// Something failed, and it is brought back.
    Recovering,
    /// A person has to do something: the last error says what.
    Blocked,
}

/// The SIM, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SimState {
    /// Not looked at yet.
    #[default]
    Unknown,
    /// In use.
    Ready,
    /// It wants its PIN.
    PinWanted,
    /// The PIN was refused, or may not be tried.
    PinRefused,
    /// It wants its PUK: a wrong PIN was entered three times.
    PukWanted,
    /// It is locked to another device or network.
    Locked,
    /// There is none, or it does not work.
    Missing,
}

/// 3GPP TS 27.007 §7.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// Not looked at yet.
    #[default]
    Unknown,
    /// In its own network.
    Home,
    /// In another one.
    Roaming,
    /// Searching.
    Searching,
    /// Neither registered nor searching.
    None,
    /// The network refuses the SIM.
    Denied,
}

impl Registration {
    /// By the number in `+CREG`.
    pub(super) fn of(state: u8) -> Registration {
        match state {
            0 => Registration::None,
            // 6: for messages only; 9: "CSFB not preferred".
            1 | 6 | 9 => Registration::Home,
            2 => Registration::Searching,
            3 => Registration::Denied,
            5 | 7 | 10 => Registration::Roaming,
            _ => Registration::Unknown,
        }
    }

    /// Can messages be sent?
    pub fn is_registered(self) -> bool {
        matches!(self, Registration::Home | Registration::Roaming)
    }

    /// The better of two: a modem has one state for each kind of network.
    pub(super) fn better(self, other: Registration) -> Registration {
        const ORDER: [Registration; 6] = [
            Registration::Home,
            Registration::Roaming,
            Registration::Denied,
            Registration::Searching,
            Registration::None,
            Registration::Unknown,
        ];
        let found = ORDER.into_iter().find(|state| *state == self || *state == other);
        found.unwrap_or(Registration::Unknown)
    }
}

/// 3GPP TS 27.007 §8.5: 0 to 31, or 99 if it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal(pub u8);

impl Default for Signal {
    fn default() -> Signal {
        Signal(99)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0..=1 => "none (remedy: another place, or an aerial)",
            2..=9 => "weak (remedy: another place, or an aerial)",
            10..=14 => "fair",
            15..=19 => "good",
            20..=31 => "excellent",
            _ => return f.write_str("not known"),
        };
        write!(f, "{words}, {} dBm", -113 + 2 * i32::from(self.0))
    }
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// What, and the remedy: a sentence without secrets.
    pub text: String,
    /// Seconds ago.
    pub seconds_ago: u64,
}

impl fmt::Display for Status {
    /// A line a fact, for the terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = || "not known".to_owned();
        let rows = [
            ("state", self.phase.to_string()),
            ("device", self.device.clone().unwrap_or_else(unknown)),
            ("model", self.model.clone().unwrap_or_else(unknown)),
            ("IMEI", self.imei.clone().unwrap_or_else(unknown)),
            ("SIM", self.sim.to_string()),
            ("network", self.registration.to_string()),
            ("operator", self.operator.clone().unwrap_or_else(unknown)),
            ("country", self.country.map_or_else(unknown, |code| format!("+{code}"))),
            ("signal", self.signal.to_string()),
            ("queue", self.queue.to_string()),
            ("messages", format!("{} sent, {} refused, {} unknown", self.sent, self.refused, self.unknown)),
            ("last error", self.last_error.as_ref().map_or_else(|| "none".to_owned(), LastError::to_string)),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<11} {value}")?;
        }
        if let Some(conflict) = &self.conflict {
            writeln!(f, "{:<11} {conflict}", "conflict")?;
        }
        Ok(())
    }
}

impl fmt::Display for LastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.seconds_ago {
            seconds @ 0..120 => (seconds, "seconds"),
            seconds @ 120..7200 => (seconds / 60, "minutes"),
            seconds => (seconds / 3600, "hours"),
        };
        write!(f, "{} ({count} {unit} ago)", self.text)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Absent => "no modem",
            Phase::Starting => "being set up",
            Phase::Registering => "looking for a network",
            Phase::Ready => "ready",
            Phase::Sending => "sending",
            Phase::Recovering => "being brought back after a fault",
            Phase::Blocked => "waiting for you: see the last error",
        })
    }
}

impl fmt::Display for SimState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SimState::Unknown => "not known",
            SimState::Ready => "ready",
            SimState::PinWanted => "wants its PIN",
            SimState::PinRefused => "PIN refused",
            SimState::PukWanted => "wants its PUK",
            SimState::Locked => "locked to another device or network",
            SimState::Missing => "missing or broken",
        })
    }
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Registration::Unknown => "not known",
            Registration::Home => "registered",
            Registration::Roaming => "registered, roaming",
            Registration::Searching => "searching",
            Registration::None => "not registered",
            Registration::Denied => "the network refuses the SIM",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_is_told_in_words() {
        for (value, words) in [
            (0, "none (remedy: another place, or an aerial), -113 dBm"),
            (7, "weak (remedy: another place, or an aerial), -99 dBm"),
            (17, "good, -79 dBm"),
            (31, "excellent, -51 dBm"),
            (99, "not known"),
            (255, "not known"),
        ] {
            assert_eq!(Signal(value).to_string(), words);
        }
    }

    #[test]
    fn registration_in_either_kind_of_network_counts() {
        for (creg, cereg, state) in [
            (1, 0, Registration::Home),
            (0, 5, Registration::Roaming),
            (3, 2, Registration::Denied),
            (2, 0, Registration::Searching),
            (0, 0, Registration::None),
            (4, 4, Registration::Unknown),
        ] {
            assert_eq!(Registration::of(creg).better(Registration::of(cereg)), state);
        }
    }

    #[test]
    fn a_status_reads_as_lines() {
        let mut status = Status { phase: Phase::Blocked, sim: SimState::PukWanted, ..Status::default() };
        status.last_error = Some(LastError { text: "it wants its PUK".to_owned(), seconds_ago: 7300 });
        let text = status.to_string();
        assert!(text.contains("SIM         wants its PUK\n"), "{text}");
        assert!(text.contains("last error  it wants its PUK (2 hours ago)\n"), "{text}");
    }
}
