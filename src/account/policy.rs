//! What the operator decides about registration, with defaults that are meant to be kept.

use std::time::Duration;

use crate::jid::BareJid;

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
    /// The same for the second way to send messages; `None` if there is no second way.
    pub fallback_sender: Option<String>,
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
            fallback_sender: None,
            brand: Brand::default(),
            rates: Rates::default(),
        }
    }

    /// The terms to accept, if there are any.
    pub(super) fn terms(&self) -> Option<&str> {
        self.terms_url.as_deref().map(str::trim).filter(|url| !url.is_empty())
    }

    /// What the `from` of the answer says; never empty.
    pub(super) fn sender(&self, fallback: bool) -> &str {
        let own = Some(self.sender.as_str());
        let other = self.fallback_sender.as_deref().filter(|_| fallback);
        let named = other.into_iter().chain(own).map(str::trim).find(|sender| !sender.is_empty());
        named.unwrap_or_else(|| self.domain.as_str())
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
    /// Messages in 24 hours, whoever they are for: what a prepaid card or a provider's bill stands. 0 sends none.
    pub per_day: u32,
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
            per_day: 2000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_never_empty() {
        let policy = |own: &str, fallback: Option<&str>| Policy {
            sender: own.to_owned(),
            fallback_sender: fallback.map(str::to_owned),
            ..Policy::new("example.org".parse().unwrap())
        };
        for (own, fallback, sender, fallback_sender) in [
            ("+12025550123", None, "+12025550123", "+12025550123"),
            ("+12025550123", Some("Kontalk"), "+12025550123", "Kontalk"),
            ("+12025550123", Some(" "), "+12025550123", "+12025550123"),
            ("", Some("Kontalk"), "example.org", "Kontalk"),
            (" ", None, "example.org", "example.org"),
        ] {
            let policy = policy(own, fallback);
            assert_eq!((policy.sender(false), policy.sender(true)), (sender, fallback_sender));
        }
    }
}
