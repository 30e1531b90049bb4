//! From a volunteer's answers to a configuration, and to what is left for him to do.
//!
//! A [`Draft`] holds what was answered so far, by flags or at a terminal ([`question`] says what is asked next); [`Draft::finish`]
//! makes a [`Plan`] of it or says everything that is wrong or missing. [`fill`] puts a plan's settings into the text of a
//! configuration, and [`guide`] says which DNS records, ports and commands follow.
//!
//! **What an existing file means.** Only what is unset is set: keys that are commented out, missing, or as the sample has
//! them. A key that somebody gave another value stays, and setup says so and writes nothing at all. The sample can therefore
//! lie in place already, as a package may install it, and the same answers twice change nothing the second time.
//!
//! Limits: an answer of [`ANSWER_BYTES_MAX`].

pub mod fill;
pub mod guide;
pub mod question;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use crate::acme::Challenge;
use crate::jid::BareJid;

/// What was answered so far, each in the words of the flag of the same name; nothing checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The domain behind the `@`.
    pub domain: Option<String>,
    /// Where the operator can be reached.
    pub contact: Vec<String>,
    /// Accounts that may administrate.
    pub admins: Vec<String>,
    /// Where the data lie, if not where the sample says.
    pub data_dir: Option<String>,
    /// Addresses for clients that start TLS.
    pub listen: Vec<String>,
    /// Addresses for clients with TLS from the first byte.
    pub listen_tls: Vec<String>,
    /// `acme`, `files` or `self-signed`.
    pub certificate: Option<String>,
    /// With `files`: the chain.
    pub certificate_file: Option<String>,
    /// With `files`: its key.
    pub key_file: Option<String>,
    /// With `acme`: `http-01`, `tls-alpn-01` or `dns-01`.
    pub challenge: Option<String>,
    /// With `acme`: `yes`, the authority's terms are agreed to.
    pub accept_terms: Option<String>,
    /// How codes go out: `modem`, `terminal`, `none`, or a provider's kind.
    pub codes: Option<String>,
    /// With `modem`: its port.
    pub modem_device: Option<String>,
    /// With a provider: `KEY=VALUE` of its section.
    pub provider: Vec<String>,
    /// The machine's name in DNS, if not the domain itself.
    pub host: Option<String>,
    /// The addresses by which the world reaches the machine.
    pub addresses: Vec<String>,
    /// A node of the network to join; empty: none.
    pub join: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The domain.
    pub domain: BareJid,
    /// The machine's name in DNS.
    pub host: String,
    /// By which the world reaches the machine; empty: not said.
    pub addresses: Vec<IpAddr>,
    /// Where the certificate comes from.
    pub certificate: Certificate,
    /// How codes go out.
    pub codes: Codes,
    /// A node of the network to join.
    pub join: Option<BareJid>,
    /// Keys of the configuration with their values in TOML, in the order of the sample.
    pub settings: Vec<(String, String)>,
}

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// From an authority, by itself, over this challenge.
    Acme(Challenge),
    /// From files that somebody else renews.
    Files,
    /// The node makes one: for trials.
    SelfSigned,
}

/// How codes go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codes {
    /// By the node's own modem.
    Modem,
    /// By this section of `[sms.http]`.
    Provider(String),
    /// Printed on the terminal: for trials.
    Terminal,
    /// Nobody registers by himself.
    None,
}

/// An answer that will not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The flag it belongs to, without its dashes.
    pub flag: &'static str,
    /// What is wrong, with the remedy.
    pub text: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--{}: {}", self.flag, self.text)
    }
}

impl Draft {
    /// Checks all answers together. What the configuration itself can judge (does a file exist?) is left to it.
    pub fn finish(&self) -> Result<Plan, Vec<Refusal>> {
        let mut refusals = Vec::new();
        self.limits(&mut refusals);
        let domain = check(&mut refusals, "domain", self.domain());
        let certificate = check(&mut refusals, "certificate", self.certificate());
        let codes = check(&mut refusals, "codes", self.codes());
        let host = check(&mut refusals, "host", self.host());
        let addresses = check(&mut refusals, "address", each(&self.addresses, |text| text.parse::<IpAddr>().ok()));
        let listening = |list: &[String]| each(list, |text| text.parse::<SocketAddr>().ok());
        check(&mut refusals, "listen", listening(&self.listen));
        check(&mut refusals, "listen-tls", listening(&self.listen_tls));
        let join = check(&mut refusals, "join", self.join());
        let provider = check(&mut refusals, "provider", self.provider());
        let (Some(domain), Some(certificate), Some(codes), true) = (domain, certificate, codes, refusals.is_empty())
        else {
            return Err(refusals);
        };
        let host = host.flatten().unwrap_or_else(|| guide::ascii(&domain));
        let settings = self.settings(&domain, certificate, &codes, &provider.unwrap_or_default());
        Ok(Plan {
            domain,
            host,
            addresses: addresses.unwrap_or_default(),
            certificate,
            codes,
            join: join.flatten(),
            settings,
        })
    }

    /// Takes over what a configuration says already and no flag answered, so that nothing is asked twice.
    pub fn remember(&mut self, sample: &str, text: &str) {
        let own = |key: &str| {
            let value = fill::current(text, key)?;
            (fill::current(sample, key).as_ref() != Some(&value)).then(|| fill::texts(&value))
        };
        let one = |key: &str| own(key).and_then(|texts| texts.into_iter().next());
        for (answer, key) in [(&mut self.domain, "domain"), (&mut self.codes, "sms.via")] {
            if answer.is_none() {
                *answer = one(key);
            }
        }
        if let Some(shape) = SHAPES.iter().find(|shape| self.codes.as_deref() == Some(shape.name)) {
            let path = format!("sms.http.{}", shape.name);
            self.codes = one(&format!("{path}.kind")).or_else(|| self.codes.take());
            for (key, _) in shape.needs {
                let is_new = !self.provider.iter().any(|set| set.starts_with(&format!("{key}=")));
                self.provider
                    .extend(one(&format!("{path}.{key}")).filter(|_| is_new).map(|value| format!("{key}={value}")));
            }
        }
        for (answer, key) in
            [(&mut self.contact, "contact"), (&mut self.listen, "c2s.listen"), (&mut self.listen_tls, "c2s.listen_tls")]
        {
            if answer.is_empty() {
                *answer = own(key).unwrap_or_default();
            }
        }
        if self.certificate.is_none() {
            if fill::current(text, "acme.accept_terms").as_deref() == Some("true") {
                (self.certificate, self.accept_terms) = (Some("acme".to_owned()), Some("yes".to_owned()));
                self.challenge = one("acme.challenge").or_else(|| self.challenge.take());
            } else if let (Some(certificate), Some(key)) = (one("tls.certificate"), one("tls.key")) {
                self.certificate = Some("files".to_owned());
                (self.certificate_file, self.key_file) = (Some(certificate), Some(key));
            } else if own("domain").is_some() {
                self.certificate = Some("self-signed".to_owned());
            }
        }
    }

    fn limits(&self, refusals: &mut Vec<Refusal>) {
        let single = [
            ("domain", &self.domain),
            ("data-dir", &self.data_dir),
            ("tls-certificate", &self.certificate_file),
            ("tls-key", &self.key_file),
            ("modem-device", &self.modem_device),
        ];
        let lists = [("contact", &self.contact), ("admin", &self.admins), ("provider", &self.provider)];
        let answers = single.into_iter().flat_map(|(flag, answer)| answer.iter().map(move |answer| (flag, answer)));
        let answers = answers.chain(lists.into_iter().flat_map(|(flag, list)| list.iter().map(move |one| (flag, one))));
        for (flag, answer) in answers {
            if answer.len() > ANSWER_BYTES_MAX || answer.chars().any(char::is_control) {
                refusals.push(Refusal { flag, text: "not a line of text (remedy: type it again)".to_owned() });
            }
        }
    }

    fn domain(&self) -> Result<BareJid, String> {
        let wanted = "(remedy: the domain behind the @ of your users' addresses, which you own)";
        let Some(text) = &self.domain else { return Err(format!("is missing {wanted}")) };
        let domain = BareJid::domain(text.trim()).map_err(|error| format!("{error} {wanted}"))?;
        let name = domain.domainpart();
        if name.parse::<IpAddr>().is_ok() || name.starts_with('[') {
            Err(format!("an IP address, and addresses of users must last {wanted}"))
        } else if !name.contains('.') {
            Err(format!("other machines find no name without a dot {wanted}"))
        } else {
            Ok(domain)
        }
    }

    fn certificate(&self) -> Result<Certificate, String> {
        match self.certificate.as_deref() {
            Some("acme") if self.accept_terms.as_deref() != Some("yes") => {
                Err("needs your consent to the authority's terms (remedy: read them at https://letsencrypt.org/repository/, then --accept-terms)".to_owned())
            }
            Some("acme") => self.challenge().map(Certificate::Acme),
            Some("files") if self.certificate_file.is_none() || self.key_file.is_none() => {
                Err("needs --tls-certificate and --tls-key (remedy: name both files, in PEM)".to_owned())
            }
            Some("files") => Ok(Certificate::Files),
            Some("self-signed") => Ok(Certificate::SelfSigned),
            Some(_) => Err("there is no such way (remedy: acme, files or self-signed)".to_owned()),
            None => Err("is missing (remedy: acme, files, or self-signed for a trial)".to_owned()),
        }
    }

    fn challenge(&self) -> Result<Challenge, String> {
        let Some(name) = self.challenge.as_deref() else { return Ok(Challenge::Http01) };
        Challenge::of_name(name).ok_or_else(|| {
            "there is no such challenge (remedy: --acme-challenge http-01, tls-alpn-01 or dns-01)".to_owned()
        })
    }

    fn codes(&self) -> Result<Codes, String> {
        match self.codes.as_deref() {
            Some("modem") => Ok(Codes::Modem),
            Some("terminal") => Ok(Codes::Terminal),
            Some("none") => Ok(Codes::None),
            Some(kind) => match shape(kind) {
                Some(shape) => Ok(Codes::Provider(shape.name.to_owned())),
                None => Err(format!("there is no such way (remedy: modem, terminal, none, {})", kinds())),
            },
            None => Err(format!("is missing (remedy: modem, terminal, none, {})", kinds())),
        }
    }

    fn host(&self) -> Result<Option<String>, String> {
        let Some(text) = self.host.as_deref().map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        match BareJid::domain(text) {
            Ok(host) if host.domainpart().parse::<IpAddr>().is_err() => Ok(Some(guide::ascii(&host))),
            _ => Err(format!("{text}: no name of a machine (remedy: e.g. node.example.org)")),
        }
    }

    fn join(&self) -> Result<Option<BareJid>, String> {
        let Some(text) = self.join.as_deref().map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        BareJid::domain(text)
            .map(Some)
            .map_err(|error| format!("{error} (remedy: the domain of a node whose operator you know)"))
    }

    /// The keys of the provider's section, all that it needs.
    fn provider(&self) -> Result<Vec<(String, String)>, String> {
        let Some(shape) = self.codes.as_deref().and_then(shape) else { return Ok(Vec::new()) };
        let mut keys = Vec::new();
        for text in &self.provider {
            match text.split_once('=') {
                Some((key, value)) if !value.trim().is_empty() && is_key(key) => {
                    keys.push((key.to_owned(), value.trim().to_owned()));
                }
                _ => return Err("not KEY=VALUE (remedy: e.g. --provider user=abcd1234)".to_owned()),
            }
        }
        let missing: Vec<&str> =
            shape.needs.iter().map(|(key, _)| *key).filter(|need| !keys.iter().any(|(key, _)| key == need)).collect();
        if missing.is_empty() {
            Ok(keys)
        } else {
            let flags: Vec<String> = missing.iter().map(|key| format!("--provider {key}=…")).collect();
            Err(format!("a provider of kind {} needs more (remedy: {})", shape.kind, flags.join(" ")))
        }
    }

    fn settings(
        &self,
        domain: &BareJid,
        certificate: Certificate,
        codes: &Codes,
        provider: &[(String, String)],
    ) -> Vec<(String, String)> {
        let mut settings = vec![("domain".to_owned(), quoted(domain.domainpart()))];
        let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
        if let Some(dir) = &self.data_dir {
            set("data_dir", quoted(dir));
        }
        for (key, list) in [
            ("contact", &self.contact),
            ("admins", &self.admins),
            ("c2s.listen", &self.listen),
            ("c2s.listen_tls", &self.listen_tls),
        ] {
            if !list.is_empty() {
                set(key, list_of(list));
            }
        }
        match certificate {
            Certificate::Files => {
                set("tls.certificate", quoted(self.certificate_file.as_deref().unwrap_or_default()));
                set("tls.key", quoted(self.key_file.as_deref().unwrap_or_default()));
            }
            Certificate::Acme(challenge) => {
                set("acme.accept_terms", "true".to_owned());
                if let Some(contact) = self.contact.iter().find(|contact| !contact.starts_with("xmpp:")) {
                    let scheme = if contact.contains(':') { "" } else { "mailto:" };
                    set("acme.contact", list_of(&[format!("{scheme}{contact}")]));
                }
                set("acme.challenge", quoted(challenge.name()));
            }
            Certificate::SelfSigned => {}
        }
        match codes {
            Codes::None => set("registration.enabled", "false".to_owned()),
            Codes::Terminal => set("sms.via", quoted("terminal")),
            Codes::Modem => {
                set("sms.via", quoted("modem"));
                if let Some(device) =
                    self.modem_device.as_deref().filter(|device| !device.is_empty() && *device != "auto")
                {
                    set("sms.modem.device", quoted(device));
                }
            }
            Codes::Provider(name) => {
                set("sms.via", quoted(name));
                set(&format!("sms.http.{name}.kind"), quoted(self.codes.as_deref().unwrap_or_default()));
                for (key, value) in provider {
                    let is_bare = value == "true" || value == "false" || (key == "sim" && value.parse::<u8>().is_ok());
                    set(&format!("sms.http.{name}.{key}"), if is_bare { value.clone() } else { quoted(value) });
                }
            }
        }
        settings
    }
}

/// A kind of provider that setup can describe.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its `kind`.
    pub kind: &'static str,
    /// The name of its section below `[sms.http]`, as in the sample.
    pub name: &'static str,
    /// The keys it needs, each with what it is.
    pub needs: &'static [(&'static str, &'static str)],
}

/// The provider of this kind.
pub fn shape(kind: &str) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.kind == kind)
}

fn kinds() -> String {
    SHAPES.iter().map(|shape| shape.kind).collect::<Vec<_>>().join(", ")
}

fn check<T>(refusals: &mut Vec<Refusal>, flag: &'static str, answer: Result<T, String>) -> Option<T> {
    answer.map_err(|text| refusals.push(Refusal { flag, text })).ok()
}

fn each<T>(list: &[String], read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let read = |text: &String| {
        read(text).ok_or_else(|| {
            format!("{text}: not an address (remedy: e.g. 192.0.2.7, or [::]:5222 where a port belongs to it)")
        })
    };
    list.iter().map(read).collect()
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// A text in TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn list_of(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

const SHAPES: &[Shape] = &[
    Shape {
        kind: "vonage-sms",
        name: "vonage",
        needs: &[
            ("user", "the API key"),
            ("from", "whom messages come from: digits, or 3 to 11 letters"),
            ("secret_file", "the file with the API secret"),
        ],
    },
    Shape {
        kind: "twilio-sms",
        name: "twilio",
        needs: &[
            ("account", "the SID of your account (AC…)"),
            ("from", "a number of yours, a name, or a messaging service"),
            ("secret_file", "the file with the auth token"),
        ],
    },
    Shape {
        kind: "vonage-verify",
        name: "vonage-verify",
        needs: &[
            ("user", "the API key"),
            ("brand", "the name in the message"),
            ("secret_file", "the file with the API secret"),
        ],
    },
    Shape {
        kind: "twilio-verify",
        name: "twilio-verify",
        needs: &[
            ("user", "the SID of an API key (SK…)"),
            ("service", "the SID of the verify service (VA…)"),
            ("secret_file", "the file with the key's secret"),
        ],
    },
    Shape {
        kind: "android",
        name: "phone",
        needs: &[
            ("url", "where the telephone's app listens, e.g. http://192.168.1.20:8080"),
            ("user", "the user name that the app shows"),
            ("secret_file", "the file with the password that the app shows"),
        ],
    },
];

/// The longest answer.
pub const ANSWER_BYTES_MAX: usize = 1024;
