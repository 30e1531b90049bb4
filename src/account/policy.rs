//! What the operator decides about registration, with defaults that are meant to be kept.

use std::time::Duration;

use crate::jid::BareJid;
use crate::phone::ChallengeKind;

/// How this node registers telephone numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The node's XMPP domain: accounts are `localpart@domain`.
    pub domain: BareJid,
    /// May strangers register? If not, every request before authentication is refused and the feature is not offered.
    pub enabled: bool,
    /// The terms of service that a user must accept, if there are any.
    pub terms_url: Option<String>,
    /// Who the text message comes from, as the client shows it: a number or a name. The client refuses an answer without it,
    /// so the domain stands in when this is empty.
    pub sender: String,
    /// The ways in which numbers can prove themselves here, the usual one first.
    pub challenges: Vec<ChallengeKind>,
    /// Whose logo the client shows while the user waits for the code.
    pub brand: Brand,
    /// How often is too often.
    pub rates: Rates,
}

impl Policy {
    /// Registration for a domain with all defaults.
    pub fn new(domain: BareJid) -> Policy {
        Policy {
            sender: domain.to_string(),
            domain,
            enabled: true,
            terms_url: None,
            challenges: vec![ChallengeKind::Text],
            brand: Brand::default(),
            rates: Rates::default(),
        }
    }

    /// The terms to accept, if there are any.
    pub(super) fn terms(&self) -> Option<&str> {
        self.terms_url.as_deref().map(str::trim).filter(|url| !url.is_empty())
    }

    /// What the `from` of the answer says where nothing else is said; never empty.
    pub(super) fn sender(&self) -> &str {
        let own = self.sender.trim();
        if own.is_empty() { self.domain.as_str() } else { own }
    }
}

/// Logo and link of whoever sends the messages; all URLs. The client takes the picture that fits its screen best.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// A picture that scales (SVG).
    pub vector: Option<String>,
    /// A small picture.
    pub small: Option<String>,
    /// A medium picture.
    pub medium: Option<String>,
    /// A large picture.
    pub large: Option<String>,
    /// A picture for the finest screens.
    pub hd: Option<String>,
    /// What opens when the logo is tapped.
    pub link: Option<String>,
}

/// So many at once, then one more per `refill`. Refused tries count for nothing, so no ban prolongs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once; 0 counts as 1.
    pub burst: u32,
    /// The time to gain one more; at most 30 days.
    pub refill: Duration,
}

/// The throttles of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Messages to one number. Three: the first, one for the impatient and one for a bad connection. Then the wait is as long
    /// as a code lives.
    pub number: Rate,
    /// The same in the long run: nobody wants 144 messages a day because somebody else types his number in.
    pub number_long_run: Rate,
    /// Telephone forms from one network (an IPv4 address, an IPv6 /64). Ten: a family or a small office behind one address;
    /// all of a mobile network behind one address gets on at one a minute.
    pub network: Rate,
    /// Messages to one block of ten thousand numbers, all but the last four digits being equal. Whoever pumps messages into
    /// numbers he earns from rents such blocks; an honest block never has sixty newcomers at once, and no city shares one.
    pub block: Rate,
    /// Codes typed in from one network. Five tries a code are three users at once; after that one in twenty seconds. With
    /// five tries for each code and `number_long_run`, a number's code is guessed with a chance of 1 in 12,500 on the first
    /// day and 1 in 33,000 on later ones, however many networks join in.
    pub guess: Rate,
}

impl Default for Rates {
    fn default() -> Rates {
        let every = |burst, secs| Rate { burst, refill: Duration::from_secs(secs) };
        Rates {
            number: every(3, 10 * 60),
            number_long_run: every(10, 4 * 3600),
            network: every(10, 60),
            block: every(60, 10),
            guess: every(15, 20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_never_empty() {
        for (own, sender) in [("+12025550123", "+12025550123"), ("", "example.org"), (" ", "example.org")] {
            let policy = Policy { sender: own.to_owned(), ..Policy::new("example.org".parse().unwrap()) };
            assert_eq!(policy.sender(), sender);
        }
    }
}
