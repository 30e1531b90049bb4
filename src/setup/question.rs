//! What is asked at a terminal, in which order, and what each answer means.

use super::{Draft, shape};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is about.
    pub topic: Topic,
    /// The question.
    pub text: String,
    /// What it means, in one line.
    pub meaning: String,
    /// What an empty answer stands for; nothing: an answer is wanted.
    pub default: Option<String>,
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The fields of [`Draft`].
pub enum Topic {
    Domain,
    Contact,
    Listen,
    ListenTls,
    Certificate,
    CertificateFile,
    KeyFile,
    Challenge,
    AcceptTerms,
    Codes,
    ModemDevice,
    /// This key of the provider's section.
    Provider(&'static str),
    Join,
}

/// What is asked next, after so much; nothing when all is answered. `asked` are the topics that were asked already, which are not
/// asked twice though the answer was "nothing".
pub fn next(draft: &Draft, asked: &[Topic]) -> Option<Question> {
    topics(draft)
        .into_iter()
        .find(|topic| !asked.contains(topic) && !is_answered(draft, topic))
        .map(|topic| about(draft, topic))
}

/// Puts an answer in its place. An empty one takes the default, or answers that there is nothing.
pub fn answer(draft: &mut Draft, question: &Question, text: &str) {
    let text = text.trim();
    let text = if text.is_empty() { question.default.clone().unwrap_or_default() } else { text.to_owned() };
    let list = || text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match &question.topic {
        Topic::Domain => draft.domain = Some(text),
        Topic::Contact => draft.contact = list(),
        Topic::Listen => draft.listen = list(),
        Topic::ListenTls => draft.listen_tls = list(),
        Topic::Certificate => draft.certificate = Some(text),
        Topic::CertificateFile => draft.certificate_file = Some(text),
        Topic::KeyFile => draft.key_file = Some(text),
        Topic::Challenge => draft.challenge = Some(text),
        Topic::AcceptTerms => draft.accept_terms = Some(text),
        Topic::Codes => draft.codes = Some(text),
        Topic::ModemDevice => draft.modem_device = Some(text),
        Topic::Provider(key) => draft.provider.push(format!("{key}={text}")),
        Topic::Join => draft.join = Some(text),
    }
}

/// Takes the answer back, to ask again.
pub fn forget(draft: &mut Draft, topic: &Topic) {
    match topic {
        Topic::Domain => draft.domain = None,
        Topic::Contact => draft.contact.clear(),
        Topic::Listen => draft.listen.clear(),
        Topic::ListenTls => draft.listen_tls.clear(),
        Topic::Certificate => draft.certificate = None,
        Topic::CertificateFile => draft.certificate_file = None,
        Topic::KeyFile => draft.key_file = None,
        Topic::Challenge => draft.challenge = None,
        Topic::AcceptTerms => draft.accept_terms = None,
        Topic::Codes => draft.codes = None,
        Topic::ModemDevice => draft.modem_device = None,
        Topic::Provider(key) => draft.provider.retain(|set| !set.starts_with(&format!("{key}="))),
        Topic::Join => draft.join = None,
    }
}

/// The flag whose refusal an answer to this can cause.
pub fn flag(topic: &Topic) -> &'static str {
    match topic {
        Topic::Domain => "domain",
        Topic::Contact => "contact",
        Topic::Listen => "listen",
        Topic::ListenTls => "listen-tls",
        Topic::Certificate | Topic::Challenge | Topic::AcceptTerms => "certificate",
        Topic::CertificateFile => "tls-certificate",
        Topic::KeyFile => "tls-key",
        Topic::Codes => "codes",
        Topic::ModemDevice => "modem-device",
        Topic::Provider(_) => "provider",
        Topic::Join => "join",
    }
}

fn topics(draft: &Draft) -> Vec<Topic> {
    let mut topics = vec![Topic::Domain, Topic::Contact, Topic::Listen, Topic::ListenTls, Topic::Certificate];
    match draft.certificate.as_deref() {
        Some("files") => topics.extend([Topic::CertificateFile, Topic::KeyFile]),
        Some("acme") => topics.extend([Topic::AcceptTerms, Topic::Challenge]),
        _ => {}
    }
    topics.push(Topic::Codes);
    match draft.codes.as_deref() {
        Some("modem") => topics.push(Topic::ModemDevice),
        Some(kind) => {
            topics.extend(shape(kind).into_iter().flat_map(|shape| shape.needs).map(|(key, _)| Topic::Provider(key)));
        }
        None => {}
    }
    topics.push(Topic::Join);
    topics
}

fn is_answered(draft: &Draft, topic: &Topic) -> bool {
    match topic {
        Topic::Domain => draft.domain.is_some(),
        Topic::Contact => !draft.contact.is_empty(),
        Topic::Listen => !draft.listen.is_empty(),
        Topic::ListenTls => !draft.listen_tls.is_empty(),
        Topic::Certificate => draft.certificate.is_some(),
        Topic::CertificateFile => draft.certificate_file.is_some(),
        Topic::KeyFile => draft.key_file.is_some(),
        Topic::Challenge => draft.challenge.is_some(),
        Topic::AcceptTerms => draft.accept_terms.is_some(),
        Topic::Codes => draft.codes.is_some(),
        Topic::ModemDevice => draft.modem_device.is_some(),
        Topic::Provider(key) => {
            draft.provider.iter().any(|set| set.split_once('=').is_some_and(|(name, _)| name == *key))
        }
        Topic::Join => draft.join.is_some(),
    }
}

fn about(draft: &Draft, topic: Topic) -> Question {
    let (text, meaning, default) = match &topic {
        Topic::Domain => (
            "Domain",
            "What stands behind the @ of your users' addresses. You must own it, and it can never change.",
            None,
        ),
        Topic::Contact => {
            ("Contact", "Your e-mail address, shown to users and to other operators. Empty: none.", Some(""))
        }
        Topic::Listen => (
            "Clients with STARTTLS",
            "Where clients connect; [::] is every address of this machine.",
            Some("[::]:5222"),
        ),
        Topic::ListenTls => (
            "Clients with TLS",
            "The same with TLS from the first byte; add [::]:443 to pass strict firewalls.",
            Some("[::]:5223"),
        ),
        Topic::Certificate => (
            "Certificate: acme, files or self-signed",
            "acme gets and renews one by itself; files are renewed by you; self-signed is for trials, telephones refuse it.",
            Some("acme"),
        ),
        Topic::CertificateFile => {
            ("File of the certificate", "The chain in PEM, your authority's fullchain.pem.", None)
        }
        Topic::KeyFile => ("File of its key", "In PEM, and readable for the user kontalk-node.", None),
        Topic::AcceptTerms => (
            "You agree to the terms of Let's Encrypt: yes",
            "They are at https://letsencrypt.org/repository/; without consent, choose another certificate (Ctrl-C and again).",
            None,
        ),
        Topic::Challenge => (
            "Challenge: http-01, tls-alpn-01 or dns-01",
            "How the authority sees that the domain is yours: by port 80, by port 443, or by a DNS record.",
            Some("http-01"),
        ),
        Topic::Codes => (
            "Codes by: modem, vonage-sms, twilio-sms, vonage-verify, twilio-verify, android, terminal or none",
            "How new users get the code that proves their number; terminal is for trials, none closes registration.",
            Some("modem"),
        ),
        Topic::ModemDevice => (
            "Modem's port",
            "auto finds a USB stick; name a path under /dev/serial/by-id/ if there are several.",
            Some("auto"),
        ),
        Topic::Provider(key) => {
            let shape = draft.codes.as_deref().and_then(shape);
            let meaning =
                shape.and_then(|shape| shape.needs.iter().find(|(name, _)| name == key)).map_or("", |(_, what)| what);
            (*key, meaning, None)
        }
        Topic::Join => (
            "Network to join",
            "The domain of a node whose operator you know; you exchange cards with him later. Empty: none yet.",
            Some(""),
        ),
    };
    Question { text: text.to_owned(), meaning: meaning.to_owned(), default: default.map(str::to_owned), topic }
}
