//! The ways in which a number can prove itself.

use std::fmt;

/// How a telephone number proves that it belongs to whoever registers it. From the strongest to the weakest; an operator chooses
/// which there are, and those below [`ChallengeKind::Provider`] only on purpose, see [`ChallengeKind::is_weak`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChallengeKind {
    /// A text message brings a code that we made.
    Text,
    /// A provider makes a code, sends it, and says whether what the user typed is right.
    Provider,
    /// We ring, the user types the last digits of the number that rang.
    MissedCall,
    /// The user texts us a word that we gave him.
    Word,
    /// The user rings us, and we see his number.
    CallerId,
}

impl ChallengeKind {
    /// What Kontalk's form calls it. A word that comes by text message is to the client like a call that comes in: it waits for
    /// nothing, and asks whether it was received.
    pub fn as_challenge(self) -> &'static str {
        match self {
            ChallengeKind::Text | ChallengeKind::Provider => "pin",
            ChallengeKind::MissedCall => "missedcall",
            ChallengeKind::Word | ChallengeKind::CallerId => "callerid",
        }
    }

    /// The name in the configuration and in `sms status`.
    pub fn as_str(self) -> &'static str {
        match self {
            ChallengeKind::Text => "text",
            ChallengeKind::Provider => "verify",
            ChallengeKind::MissedCall => "missedcall",
            ChallengeKind::Word => "word",
            ChallengeKind::CallerId => "callerid",
        }
    }

    /// Can it be forged by others than the number's network? The number that calls or texts can be, with a little money; the
    /// digits of the number that rings are the same for everybody.
    pub fn is_weak(self) -> bool {
        !matches!(self, ChallengeKind::Text | ChallengeKind::Provider)
    }

    /// Does the user pay for it, and we nothing? Then no budget bounds it.
    pub fn is_free(self) -> bool {
        matches!(self, ChallengeKind::Word | ChallengeKind::CallerId)
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
