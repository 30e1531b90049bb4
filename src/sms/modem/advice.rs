//! What to do about an error in answer to a message: the codes of 3GPP TS 27.005 §3.2.5, with 24.011 annex E (0 to 127) and
//! 23.040 §9.2.3.22 (128 to 255).

use super::answer::AtError;

/// What an error means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// The network has it already.
    AsSent,
    /// It may have left.
    Unknown,
    /// This receiver cannot be reached, and another try changes nothing.
    Receiver(&'static str),
    /// The operator must do something, and until then every message fails.
    Operator(&'static str),
    /// The network is busy or disturbed: try again after a while.
    Later(&'static str),
    /// The network is out of order as this modem sees it: try again after a while, then look for it anew.
    OutOfOrder,
    /// The modem is busy: try again at once.
    Busy,
    /// Try again without asking for a report.
    WithoutReport,
    /// The memory is full: empty it and try again.
    MemoryFull,
    /// The modem has lost its settings: set it up and try again.
    SetUp,
    /// The service centre's number is missing.
    Centre,
    /// Not registered.
    NoNetwork,
    /// Something about the SIM: look at it again.
    Sim,
    /// A malformed message, which is our mistake: do not try again.
    Ours,
    /// A vendor's own code, or one that says nothing (127, interworking): once more after a while.
    Vendor,
}

/// The advice for an error.
pub(super) fn advice(error: AtError) -> Advice {
    match error {
        AtError::Cms(code) => of_message(code),
        AtError::Cme(code) => of_device(code),
        // The mode was lost by a silent restart, or the modem dislikes something: set it up and see.
        AtError::Plain => Advice::SetUp,
        AtError::Worded => Advice::Vendor,
    }
}

fn of_message(code: u16) -> Advice {
    match code {
        1 | 28 | 30 => Advice::Receiver("the network does not know the number"),
        8 | 10 | 50 => Advice::Operator(
            "the network bars messages from this SIM (remedy: check its credit and that its tariff allows text messages)",
        ),
        21 => Advice::Operator(
            "the network rejected the message (remedy: check the SIM's credit; a filter against bulk messages may be at work)",
        ),
        69 => Advice::WithoutReport,
        22 | 27 | 41 | 42 | 47 => Advice::Later("the network is congested"),
        38 => Advice::OutOfOrder,
        95..=99 | 111 => Advice::Ours,
        192 | 194 => Advice::Later("the service centre is busy"),
        193 => Advice::Operator(
            "the service centre does not serve this SIM (remedy: set the number of the operator's service centre)",
        ),
        195 | 196 => Advice::Receiver("the network does not send to the number"),
        197 => Advice::AsSent,
        208 | 211 | 322 => Advice::MemoryFull,
        300 | 302 | 320 => Advice::SetUp,
        301 | 314 | 515 => Advice::Busy,
        303..=305 => Advice::Ours,
        310..=313 | 315..=318 => Advice::Sim,
        330 => Advice::Centre,
        331 => Advice::NoNetwork,
        332 => Advice::Unknown,
        _ => Advice::Vendor,
    }
}

/// 3GPP TS 27.007 §9.2: some modems answer a message so.
fn of_device(code: u16) -> Advice {
    match code {
        10..=13 | 15..=18 => Advice::Sim,
        14 | 515 => Advice::Busy,
        20 => Advice::MemoryFull,
        30 | 32 => Advice::NoNetwork,
        31 => Advice::Unknown,
        50 => Advice::Ours,
        _ => Advice::SetUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_judged_as_the_specifications_mean_them() {
        for (error, wanted) in [
            (AtError::Cms(197), Advice::AsSent),
            (AtError::Cms(332), Advice::Unknown),
            (AtError::Cms(330), Advice::Centre),
            (AtError::Cms(331), Advice::NoNetwork),
            (AtError::Cms(322), Advice::MemoryFull),
            (AtError::Cms(500), Advice::Vendor),
            (AtError::Cms(512), Advice::Vendor),
            (AtError::Cms(515), Advice::Busy),
            (AtError::Cms(304), Advice::Ours),
            (AtError::Cms(310), Advice::Sim),
            (AtError::Cms(69), Advice::WithoutReport),
            (AtError::Cme(14), Advice::Busy),
            (AtError::Cme(4), Advice::SetUp),
            (AtError::Plain, Advice::SetUp),
        ] {
            assert_eq!(advice(error), wanted, "{error}");
        }
        assert_eq!(advice(AtError::Cms(38)), Advice::OutOfOrder);
        assert_eq!(advice(AtError::Cms(127)), Advice::Vendor);
        assert!(matches!(advice(AtError::Cms(8)), Advice::Operator(_)));
        assert!(matches!(advice(AtError::Cms(28)), Advice::Receiver(_)));
        assert!(matches!(advice(AtError::Cms(42)), Advice::Later(_)));
    }
}
