//! Hostile bytes for the framer, and hostile texts for those who read telephone numbers, forms, rosters and configurations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use kontalk_node::account::{
    Ask, KeyForm, Parking, Policy, Registrar, Request, Shown, Token, Verdict, fetched, parked,
};
use kontalk_node::admin::{Console, Operation, Outcome, Step};
use kontalk_node::config;
use kontalk_node::jid::{BareJid, FullJid, Jid};
use kontalk_node::limits::{BLOCK_LIST_MAX, ROSTER_GROUPS_MAX, ROSTER_NAME_BYTES_MAX, STANZA_DEPTH_MAX};
use kontalk_node::pgp::UserRing;
use kontalk_node::phone::{ChallengeKind, Code, PhoneNumber, SmsText};
use kontalk_node::roster::{self, BlockList, BlockingRequest, Entry, Roster, RosterSet};
use kontalk_node::services::{self, Addressee, Facts, roster_match};
use kontalk_node::sms::http::receipt;
use kontalk_node::stanza::{Stanza, Timestamp};
use kontalk_node::xml::{Element, Frame, Framer, FramerLimits, XmlError, ns, parse_document};

use crate::spoil::Random;

/// The same frames whatever the chunks; what is accepted survives writing and reading.
pub fn framer(random: &mut Random, input: &[u8]) -> bool {
    let limits = FramerLimits { element_bytes_max: 4096, depth_max: 16 };
    let whole = frames(limits, input, input.len().max(1));
    // Small pieces cut everywhere, large ones meet the limits.
    let longest = if random.one_in(2) { 16 } else { input.len() };
    let chunk = 1 + random.below(longest);
    assert_eq!(frames(limits, input, chunk), whole, "in chunks of {chunk}");
    let elements = whole.0.iter().filter_map(|frame| match frame {
        Frame::Element(element) => Some(element),
        _ => None,
    });
    let mut sound = false;
    for element in elements {
        sound = true;
        let again = parse_document(&element.to_text(ns::CLIENT), ns::CLIENT, 16).expect("our own text is XML");
        assert_eq!(&again, element);
        let _ = Stanza::new(again);
    }
    sound
}

fn frames(limits: FramerLimits, input: &[u8], chunk: usize) -> (Vec<Frame>, Option<XmlError>) {
    let mut framer = Framer::new(limits);
    let mut found = Vec::new();
    for bytes in input.chunks(chunk) {
        framer.push(bytes);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(framer.pending_bytes() <= limits.element_bytes_max, "{} bytes wait", framer.pending_bytes());
    }
    (found, None)
}

/// What is read has the form of E.164 and reads the same again; nothing prints it.
pub fn phone(_: &mut Random, input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    if let Some(code) = Code::parse(&text) {
        assert!(code.digits().len() == 6 && code.digits().bytes().all(|b| b.is_ascii_digit()));
    }
    let Ok(number) = PhoneNumber::parse(&text) else { return false };
    let digits = number.as_e164().strip_prefix('+').expect("a plus").to_owned();
    assert!((3..=21).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()), "{digits}");
    assert!(digits.starts_with(&number.country_code().to_string()));
    // Argentina's 9 may be one digit more than what is read.
    if digits.len() - number.country_code().to_string().len() <= 17 {
        assert_eq!(PhoneNumber::parse(number.as_e164()).expect("our own text is a number"), number);
    }
    assert!(number.localpart().len() == 40 && digits.starts_with(number.block(4).digits()));
    assert!(!format!("{number:?} {:?}", number.prefix(7)).contains(|c: char| c.is_ascii_digit()));
    true
}

/// Registration from the stanza to the verdict on a code.
pub fn registration(random: &mut Random, input: &[u8]) -> bool {
    let Some(stanza) = stanza(input) else { return false };
    let policy =
        Policy { terms_url: random.one_in(4).then(|| "https://a.example/terms".to_owned()), ..Policy::new(domain()) };
    let mut registrar = Registrar::new(policy, [3; 32]);
    let (now, peer) = (Instant::now(), IpAddr::from(Ipv4Addr::LOCALHOST));
    match registrar.read(&stanza, random.one_in(4)) {
        Err(error) => {
            if let Some(reply) = stanza.error(&error) {
                reread(reply.element());
            }
        }
        Ok(Request::Instructions) => reread(&registrar.instructions()),
        Ok(Request::Fetch(token)) => {
            assert!(Parking::default().fetch(now, peer, &token).is_err(), "no key is parked");
            return true;
        }
        Ok(Request::Unsupported(error)) => reread(&error.to_element()),
        Ok(Request::Phone(form)) => {
            registrar.admit(now, peer, &form).expect("the first is admitted");
            let code = Code::from_random(random.next().to_le_bytes());
            let ask = Ask::Code(code.clone());
            registrar.challenge(now, &form, &ask);
            let kind = ChallengeKind::Text;
            reread(&registrar.reply(&Shown {
                kind,
                from: None,
                can_fall_back: form.fallback,
                under_way: false,
                word: None,
            }));
            // The language comes from the client, and chooses among our own texts.
            let text = SmsText::verification_in(&code, form.language.as_deref(), None);
            assert!(text.as_str().starts_with(code.digits()) && text.as_str().chars().count() <= 160);
            assert!(!format!("{form:?} {ask:?}").contains(code.digits()));
            assert_eq!(registrar.check(now, peer, &form.address, &[1; 20], Some(&code)), Verdict::Accepted);
            return true;
        }
        Ok(Request::Code(form)) => {
            let verdict = registrar.check(now, peer, &domain(), &[1; 20], form.code.as_ref());
            assert!(matches!(verdict, Verdict::Refused(_)), "nobody was challenged");
            return true;
        }
    }
    stanza.payload().is_some_and(own_key)
}

/// What a registered user's client asks about its key.
fn own_key(query: &Element) -> bool {
    match KeyForm::read(query) {
        Some(Ok(KeyForm::Park(key))) => {
            let (now, peer) = (Instant::now(), IpAddr::from(Ipv4Addr::LOCALHOST));
            let (mut parking, token) = (Parking::default(), Token::from_random([5; 16]));
            assert!(!format!("{key:?} {token:?}").contains(token.digits()));
            parking.park(now, domain(), key.clone(), token.clone());
            reread(&parked(&token));
            let (_, found) = parking.fetch(now, peer, &token).expect("it was parked");
            assert!(found == key);
            reread(&fetched(&found, b"ring"));
            assert!(parking.fetch(now, peer, &token).is_err(), "a token is good for once");
            true
        }
        Some(Ok(KeyForm::Replace { ring, revoked })) => {
            let _ = (UserRing::parse(&ring), UserRing::parse(&revoked));
            true
        }
        Some(Err(_)) | None => false,
    }
}

/// What an account asks of its roster, its block list, the address book lookup, and the services that state facts.
pub fn roster(_: &mut Random, input: &[u8]) -> bool {
    let Some(stanza) = stanza(input) else { return false };
    let account: BareJid = "romeo@a.example".parse().unwrap();
    let facts = Facts {
        components: Vec::new(),
        kontalk_push: true,
        administrator: true,
        archive: true,
        caps: String::new(),
        domain: domain(),
        contact: Vec::new(),
        registration: true,
        upload_bytes_max: Some(1000),
        now: Timestamp { millis: 1_700_000_000_000 },
    };
    for addressee in [Addressee::Domain, Addressee::OwnAccount, Addressee::Contact, Addressee::Stranger] {
        if let Some(answer) = services::answer(&stanza, addressee, &facts) {
            reread(answer.element());
        }
    }
    let Some(payload) = stanza.payload() else { return false };
    let _ = roster::requested_version(payload);
    let _ = roster_match::read(payload, &domain()).map(|found| reread(&roster_match::result(found, &domain())));
    let set = RosterSet::read(payload, &account).map(|set| put(&set));
    let blocking = BlockingRequest::read(payload, &account).map(|request| block(&request));
    set.is_ok() || blocking.is_ok()
}

fn put(set: &RosterSet) {
    let Ok(entry) = set.apply(&Entry::default(), 0) else { return };
    if let Some(item) = &entry.item {
        assert!(item.groups.len() <= ROSTER_GROUPS_MAX);
        assert!(item.groups.iter().chain(&item.name).all(|text| text.len() <= ROSTER_NAME_BYTES_MAX));
    }
    reread(&roster::push(set.contact(), &entry, 7));
    let roster = Roster { version: 7, entries: vec![(set.contact().clone(), entry)] };
    reread(&roster::result(&roster, None).expect("another version than the client's"));
}

fn block(request: &BlockingRequest) {
    let friend: Jid = "juliet@b.example/balcony".parse().unwrap();
    let mut list = BlockList::default();
    let Ok(changed) = request.apply(&mut list) else { return };
    assert!(list.blocked.len() <= BLOCK_LIST_MAX);
    let _ = list.blocks(&friend);
    assert!(list.blocked.iter().all(|blocked| list.blocks(blocked)));
    reread(&roster::blocklist_result(&list));
    reread(&roster::block_push(&changed));
}

/// What an administrator sends, to begin a command and to go on, and what users ask about their own account.
pub fn administration(_: &mut Random, input: &[u8]) -> bool {
    let Some(stanza) = stanza(input) else { return false };
    let own: BareJid = "romeo@a.example".parse().unwrap();
    let wish = services::registration::read(&stanza, &own);
    let Some(element) = stanza.payload().filter(|payload| payload.is("command", ns::COMMANDS)) else {
        return matches!(wish, Some(Ok(_)));
    };
    let by: FullJid = "admin@a.example/desk".parse().unwrap();
    let mut console = Console::new(domain(), vec![by.bare().clone()]);
    // A command of this name is open already.
    let (now, mut begin) = (Instant::now(), Element::new("command", ns::COMMANDS));
    begin.set_attribute("node", element.attribute("node").unwrap_or_default().to_owned());
    let _ = console.step(now, &by, &begin, "s");
    match console.step(now, &by, element, "t") {
        Ok(Step::Answer(answer)) => {
            reread(&answer);
            false
        }
        Ok(Step::Perform(operation, pending)) => {
            assert!(operation.accounts().iter().all(|account| account.domainpart() == "a.example"));
            let harmful = matches!(operation, Operation::Delete(_) | Operation::Disable(_));
            assert!(!harmful || !operation.accounts().contains(&by.bare()));
            reread(&pending.done(&Outcome::Done("Done.".into())));
            true
        }
        Err(error) => {
            reread(&error.to_element());
            false
        }
    }
}

/// Either a configuration, or problems that a person can read, a line each.
pub fn config(_: &mut Random, input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    match config::parse("node.toml", Path::new("/nowhere"), &text) {
        Ok(config) => {
            assert!(!config.registration.sender.is_empty());
            assert!(config.c2s.listen.len() + config.c2s.listen_tls.len() > 0, "nobody can connect");
            true
        }
        Err(problems) => {
            let report = config::report(&problems);
            assert!(!problems.is_empty());
            assert_eq!(report.lines().count(), problems.len() + 1, "{report}");
            assert!(!report.contains(|c: char| c.is_control() && c != '\n'), "{report:?}");
            let lines = text.lines().count();
            assert!(problems.iter().all(|problem| problem.line.is_none_or(|line| line <= lines.max(1))), "{report}");
            false
        }
    }
}

/// A provider's report of delivery, from whoever found the page for it.
pub fn receipt(_: &mut Random, input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let mut sound = receipt::android(&text).is_some();
    receipt::android_is_genuine(&text, "1767268800", &text, "key", Duration::from_secs(1_767_268_800));
    for fields in [receipt::Fields::of_form(&text), receipt::Fields::of_json(&text)].into_iter().flatten() {
        for told in [receipt::vonage(&fields), receipt::twilio(&fields)].into_iter().flatten() {
            assert!(!told.reference.is_empty() && told.reference.chars().all(|c| c.is_ascii_graphic()));
            sound = true;
        }
        assert!(!receipt::vonage_is_genuine(&fields, "secret"));
        assert!(!receipt::twilio_is_genuine("https://a.example/", &fields, &text, "token"));
    }
    sound
}

fn stanza(input: &[u8]) -> Option<Stanza> {
    let element = parse_document(std::str::from_utf8(input).ok()?, ns::CLIENT, STANZA_DEPTH_MAX).ok()?;
    Stanza::new(element).ok()
}

/// What we send must be XML that says the same.
fn reread(element: &Element) {
    let again =
        parse_document(&element.to_text(ns::CLIENT), ns::CLIENT, STANZA_DEPTH_MAX).expect("our own text is XML");
    assert_eq!(&again, element);
}

fn domain() -> BareJid {
    "a.example".parse().unwrap()
}
