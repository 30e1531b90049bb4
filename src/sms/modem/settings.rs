//! What a modem is told by the configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::phone::HashKey;

/// How to reach a modem and what to use it for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The serial port. A path under `/dev/serial/by-id/` or a link made by udev survives unplugging; `/dev/ttyUSB0` may not.
    /// Without one the ports of all modems are tried.
    pub device: Option<PathBuf>,
    /// Bits a second on a real serial line; USB modems do not care.
    pub baud: u32,
    /// A file that holds the SIM's PIN, and nothing else. Read at each start of the modem. Better advice: switch the PIN off.
    pub pin_file: Option<PathBuf>,
    /// Directory in which a PIN that failed is remembered: the node's data directory.
    pub state_dir: PathBuf,
    /// The key of the hashes by which it is remembered; always the same for one directory.
    pub pin_key: Arc<HashKey>,
    /// The service centre's number in international form, where the SIM does not know it.
    pub centre: Option<String>,
    /// The country calling code of the SIM, by which national senders are read; without it, what the SIM's own number says.
    pub country: Option<u16>,
    /// Ask the network for reports of delivery. Some tariffs charge for them.
    pub delivery_reports: bool,
    /// Watch for calls: tell who calls and hang up before it costs anybody anything.
    pub watch_calls: bool,
    /// A program with its arguments that switches the modem's power off and on, the last resort of recovery; such as
    /// `uhubctl -l 1-1 -p 2 -a cycle`.
    pub power_cycle: Option<Vec<String>>,
    /// How long everything may take.
    pub timing: Timing,
}

impl Settings {
    /// A modem that is found by itself, for sending only.
    pub fn new(state_dir: impl Into<PathBuf>, pin_key: HashKey) -> Settings {
        Settings {
            device: None,
            baud: 115_200,
            pin_file: None,
            state_dir: state_dir.into(),
            pin_key: Arc::new(pin_key),
            centre: None,
            country: None,
            delivery_reports: false,
            watch_calls: false,
            power_cycle: None,
            timing: Timing::default(),
        }
    }
}

/// How long everything may take. The defaults follow the specifications, vendors' manuals and experience; tests make all of
/// it shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// An ordinary command's answer.
    pub answer: Duration,
    /// The answer to a command that reads the SIM's memory, asks the network or switches the radio.
    pub slow_answer: Duration,
    /// One `AT` while the modem is woken.
    pub wake: Duration,
    /// Silence after a cancelled command.
    pub settle: Duration,
    /// From `AT+CMGS` to the prompt.
    pub prompt: Duration,
    /// From the end of the message to the network's answer: 2 to 8 seconds is normal, manuals name 60 and 120.
    pub send: Duration,
    /// From `+CMGS:` to the `OK` behind it; without one the message counts as accepted all the same.
    pub late_ok: Duration,
    /// Between two looks at the registration.
    pub registration_poll: Duration,
    /// How long the start waits to be registered. After that the modem counts as ready, without a network.
    pub registration: Duration,
    /// How long a message waits for the network to come back.
    pub network_patience: Duration,
    /// Without a network for so long, the search is begun anew.
    pub network_lost: Duration,
    /// Between two looks at a busy SIM.
    pub sim_poll: Duration,
    /// How long a SIM may be busy after power-on or its PIN.
    pub sim_busy: Duration,
    /// Between two checks of an idle modem; also how often the SIM is searched for messages whose notice was lost.
    pub health: Duration,
    /// Between two messages: networks dislike haste.
    pub pause: Duration,
    /// The same after a message whose fate is unknown: the modem comes to itself first.
    pub after_unknown: Duration,
    /// Before the second and third try of a message when the network is busy.
    pub retry: [Duration; 2],
    /// Before another try when the modem is busy.
    pub busy_retry: Duration,
    /// From the first try of a message to the beginning of its last.
    pub retry_within: Duration,
    /// A radio that is restarted is off for so long.
    pub radio_off: Duration,
    /// A modem that restarts, or gets its power back, is left alone for so long.
    pub restart: Duration,
    /// Between two looks whether an unplugged modem is back.
    pub absent_poll: Duration,
    /// The first pause of recovery; it doubles…
    pub backoff_first: Duration,
    /// …up to this.
    pub backoff_longest: Duration,
    /// After so long without trouble, recovery begins with its mildest step again.
    pub forgive: Duration,
    /// The network's answer to a USSD code.
    pub ussd: Duration,
    /// From dialling to the other telephone ringing.
    pub dial: Duration,
    /// Between two looks at a call.
    pub call_poll: Duration,
    /// How long work waits for its turn before it is given back.
    pub patience: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        let seconds = Duration::from_secs;
        Timing {
            answer: seconds(5),
            slow_answer: seconds(30),
            wake: seconds(1),
            settle: Duration::from_millis(300),
            prompt: seconds(10),
            send: seconds(60),
            late_ok: seconds(5),
            registration_poll: seconds(2),
            registration: seconds(120),
            network_patience: seconds(20),
            network_lost: seconds(300),
            sim_poll: seconds(2),
            sim_busy: seconds(30),
            health: seconds(60),
            pause: seconds(3),
            after_unknown: seconds(10),
            retry: [seconds(10), seconds(30)],
            busy_retry: seconds(2),
            retry_within: seconds(90),
            radio_off: seconds(5),
            restart: seconds(15),
            absent_poll: seconds(2),
            backoff_first: seconds(5),
            backoff_longest: seconds(600),
            forgive: seconds(600),
            ussd: seconds(30),
            dial: seconds(30),
            call_poll: seconds(1),
            patience: seconds(60),
        }
    }
}
