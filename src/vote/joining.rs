//! How a node comes into a network: by a voter's invitation, a link that fits into a QR code, or by asking.
//!
//! The link names the network, an epoch that the chain must hold (so that nobody leads the newcomer into another one), a few voters
//! to ask, and a token that the sponsor gave for this domain and takes once.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::id::{EpochId, NetworkId};
use super::text::{self, Lines, TextError, canonical, is_phrase};
use crate::trust::{CardId, Endpoint, NodeDomain, Note, NoteSignature, Signer, Verifier, vote_name};

/// What the sponsor's vote key signs for one who may join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Into which network.
    pub network: NetworkId,
    /// Who.
    pub invited: NodeDomain,
    /// Which of the sponsor's tokens; it is good once.
    pub nonce: [u8; 8],
}

/// A voter whom the newcomer can ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Which.
    pub domain: NodeDomain,
    /// Its card.
    pub card: CardId,
    /// Where it is.
    pub at: Endpoint,
}

/// An invitation. Reads and prints as a link of about 600 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// For whom, and into which network.
    pub token: Token,
    /// The number of the last epoch when it was made.
    pub number: u64,
    /// And its id.
    pub epoch: EpochId,
    /// The sponsor, and up to two others.
    pub contacts: Vec<Contact>,
    /// The sponsor's signature on the token.
    pub signature: NoteSignature,
}

/// The link is not one that a voter made: a part is missing or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InviteError;

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no invitation, or a part of it is missing (remedy: copy the whole link again)")
    }
}

impl std::error::Error for InviteError {}

impl Token {
    /// The one text of this token.
    pub fn to_text(&self) -> String {
        let nonce = u64::from_be_bytes(self.nonce);
        format!("{TOKEN_HEAD}\nnetwork {}\ndomain {}\nnonce {nonce:016x}\n", self.network, self.invited)
    }

    /// The sponsor's word.
    pub fn sign(&self, vote: &Signer) -> NoteSignature {
        text::sign(vote, &self.to_text())
    }

    /// Did this voter give it?
    pub fn is_signed_by(&self, key: &Verifier, signature: &NoteSignature) -> bool {
        key.has_signed(&self.to_text(), signature)
    }
}

impl Invite {
    /// Reads exactly the form that is printed.
    pub fn parse(link: &str) -> Result<Invite, InviteError> {
        if link.len() > LINK_BYTES_MAX {
            return Err(InviteError);
        }
        Invite::read(link).filter(|read| read.to_string() == link).ok_or(InviteError)
    }

    fn read(link: &str) -> Option<Invite> {
        let mut parts = link.strip_prefix(LINK_HEAD)?.split(';');
        let mut part = || parts.next();
        let network = NetworkId(bytes(part()?)?);
        let number = part()?.parse().ok()?;
        let epoch = EpochId(bytes(part()?)?);
        let invited = NodeDomain::parse(part()?).ok()?;
        let nonce = bytes(part()?)?;
        let signature: [u8; 68] = bytes(part()?)?;
        let contacts: Option<Vec<Contact>> = parts.map(Contact::read).collect();
        let contacts = contacts.filter(|contacts| (1..=CONTACTS_MAX).contains(&contacts.len()))?;
        let (id, signature) = signature.split_first_chunk::<4>()?;
        let name = vote_name(&contacts.first()?.domain);
        let signature = NoteSignature { name, id: *id, bytes: signature.to_vec() };
        Some(Invite { token: Token { network, invited, nonce }, number, epoch, contacts, signature })
    }

    /// The voter who invites.
    pub fn sponsor(&self) -> Option<&NodeDomain> {
        self.contacts.first().map(|contact| &contact.domain)
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token { network, invited, nonce } = &self.token;
        let signature = [self.signature.id.as_slice(), &self.signature.bytes].concat();
        let [network, epoch, nonce, signature] =
            [network.0.as_slice(), &self.epoch.0, nonce, &signature].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        write!(f, "{LINK_HEAD}{network};{};{epoch};{invited};{nonce};{signature}", self.number)?;
        self.contacts.iter().try_for_each(|contact| {
            write!(f, ";{},{},{}", contact.domain, URL_SAFE_NO_PAD.encode(contact.card.0), contact.at)
        })
    }
}

impl Contact {
    fn read(part: &str) -> Option<Contact> {
        let mut fields = part.splitn(3, ',');
        let domain = NodeDomain::parse(fields.next()?).ok()?;
        let card = CardId(bytes(fields.next()?)?);
        Some(Contact { domain, card, at: Endpoint::parse(fields.next()?)? })
    }
}

/// What a newcomer's vote key signs: that it asks to be a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of which network.
    pub network: NetworkId,
    /// Who asks.
    pub domain: NodeDomain,
    /// Its card.
    pub card: CardId,
    /// The token of an invitation: its nonce and the sponsor's signature.
    pub token: Option<([u8; 8], NoteSignature)>,
    /// For those who vote; a line of up to 280 bytes.
    pub words: String,
}

/// A request and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    request: Request,
    note: Note,
}

impl Request {
    /// Reads exactly the text that [`Request::to_text`] writes.
    pub fn parse(text: &str) -> Result<Request, TextError> {
        let mut lines = Lines::of(text, REQUEST_HEAD)?;
        let (network, domain) = (lines.read("network")?, lines.domain("domain")?);
        let card = lines.with("card", |value| value.parse().ok())?;
        let token = lines.with("token", |value| {
            let mut words = value.split(' ');
            match (words.next()?, words.next(), words.next(), words.next()) {
                ("-", None, ..) => Some(None),
                (nonce, Some(name), Some(line), None) => {
                    let nonce = u64::from_str_radix(nonce, 16).ok()?.to_be_bytes();
                    Some(Some((nonce, NoteSignature::decode(name, line)?)))
                }
                _ => None,
            }
        })?;
        let words = lines.value("words")?.to_owned();
        if !is_phrase(&words, super::proposal::REASON_BYTES_MAX) {
            return Err(TextError::Line("words"));
        }
        let request = Request { network, domain, card, token, words };
        let written = request.to_text();
        canonical(request, &written, text)
    }

    /// The one text of this request.
    pub fn to_text(&self) -> String {
        let Request { network, domain, card, token, words } = self;
        let token = token.as_ref().map_or_else(
            || "-".to_owned(),
            |(nonce, line)| format!("{:016x} {} {}", u64::from_be_bytes(*nonce), line.name, line.encoded()),
        );
        format!("{REQUEST_HEAD}\nnetwork {network}\ndomain {domain}\ncard {card}\ntoken {token}\nwords {words}\n")
    }

    /// Was it invited by the voter with this key? Whether the token was used before, the sponsor knows.
    pub fn is_invited_by(&self, key: &Verifier) -> bool {
        self.token.as_ref().is_some_and(|(nonce, line)| {
            let token = Token { network: self.network, invited: self.domain.clone(), nonce: *nonce };
            token.is_signed_by(key, line)
        })
    }
}

impl SignedRequest {
    /// Signs it with the newcomer's vote key.
    pub fn make(request: Request, vote: &Signer) -> SignedRequest {
        let text = request.to_text();
        let line = text::sign(vote, &text);
        SignedRequest { request, note: text::note(text, line) }
    }

    /// Reads one; whether the signature is good is judged with the card at hand.
    pub fn parse(bytes: &[u8]) -> Result<SignedRequest, TextError> {
        let note = Note::parse(bytes).map_err(TextError::Note)?;
        Ok(SignedRequest { request: Request::parse(note.text())?, note })
    }

    /// What is signed.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Has this key signed it?
    pub fn is_signed_by(&self, key: &Verifier) -> bool {
        self.note.is_signed_by(key)
    }

    /// Text and signature as one file.
    pub fn to_text(&self) -> String {
        self.note.to_string()
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Voters that a link names.
pub const CONTACTS_MAX: usize = 3;
const LINK_BYTES_MAX: usize = 2048;
const LINK_HEAD: &str = "kontalk-join:1;";
const TOKEN_HEAD: &str = "kontalk-token-v1";
const REQUEST_HEAD: &str = "kontalk-request-v1";

#[cfg(test)]
mod tests {
    use super::super::tests::{domain, keys};
    use super::*;

    fn invite() -> Invite {
        let token = Token { network: NetworkId([1; 32]), invited: domain("pi-carla.example"), nonce: [7; 8] };
        let contact = |name: &str, at: &str| Contact {
            domain: domain(name),
            card: keys(name).card().id(),
            at: Endpoint::parse(at).unwrap(),
        };
        Invite {
            signature: token.sign(&keys("a.example").vote()),
            token,
            number: 17,
            epoch: EpochId([2; 32]),
            contacts: vec![
                contact("a.example", "203.0.113.7:5269"),
                contact("b.example", "[2001:db8::7]:5269"),
                contact("c.example", "c.example:5269"),
            ],
        }
    }

    #[test]
    fn an_invitation_is_a_link_that_a_phone_can_photograph() {
        let invite = invite();
        let link = invite.to_string();
        assert_eq!(Invite::parse(&link), Ok(invite.clone()));
        assert!(link.len() < 600, "{} characters", link.len());
        assert!(link.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(invite.sponsor(), Some(&domain("a.example")));
        assert!(invite.token.is_signed_by(keys("a.example").vote().public(), &invite.signature));
        assert!(!invite.token.is_signed_by(keys("b.example").vote().public(), &invite.signature));
        let other = Token { invited: domain("pi-dora.example"), ..invite.token.clone() };
        assert!(!other.is_signed_by(keys("a.example").vote().public(), &invite.signature));
        for wrong in [
            link.replace(":1;", ":2;"),
            link.replace(";17;", ";017;"),
            link.replace("pi-carla", "Pi-carla"),
            link.replace(":5269,", ":0,").replace("c.example:5269", "c.example:0"),
            link.replace("[2001:db8::7]", "[2001:db8:0::7]"),
            link.clone() + ";",
            link.clone() + ";d.example," + link.rsplit(',').nth(1).unwrap() + ",d.example:1",
            link[..link.len() / 2].to_owned(),
            link[..link.find(";a.example").unwrap()].to_owned(),
        ] {
            assert_eq!(Invite::parse(&wrong), Err(InviteError), "{wrong}");
        }
    }

    #[test]
    fn a_request_has_one_text_and_shows_who_invited() {
        let invite = invite();
        let request = Request {
            network: invite.token.network,
            domain: invite.token.invited.clone(),
            card: keys("pi-carla.example").card().id(),
            token: Some((invite.token.nonce, invite.signature)),
            words: "Carla, from the choir".to_owned(),
        };
        let key = keys("pi-carla.example").vote();
        let signed = SignedRequest::make(request.clone(), &key);
        assert_eq!(SignedRequest::parse(signed.to_text().as_bytes()), Ok(signed.clone()));
        assert!(signed.is_signed_by(key.public()) && !signed.is_signed_by(keys("a.example").vote().public()));
        assert!(request.is_invited_by(keys("a.example").vote().public()));
        assert!(!request.is_invited_by(keys("b.example").vote().public()));
        let uninvited = Request { token: None, ..request.clone() };
        assert_eq!(Request::parse(&uninvited.to_text()), Ok(uninvited.clone()));
        assert!(!uninvited.is_invited_by(keys("a.example").vote().public()));
        let text = request.to_text();
        for (wrong, error) in [
            (text.replace("token 0707", "token 707"), TextError::NotCanonical),
            (text.replace("token 0707", "token - 0707"), TextError::Line("token")),
            (text.replace(" a.example/vote", " a.example/vote x"), TextError::Line("token")),
            (text.replace("words Carla", "words  Carla"), TextError::Line("words")),
            (text.replace("domain pi", "domain Pi"), TextError::Line("domain")),
        ] {
            assert_eq!(Request::parse(&wrong), Err(error), "{wrong}");
        }
    }
}
