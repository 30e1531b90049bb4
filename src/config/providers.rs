//! `[sms.http.NAME]`: providers of text messages over HTTP, a section each. What may stand in one depends on its `kind`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Config;
use super::document::{Document, Found};
use crate::limits;
use crate::sms::http::{
    self, Android, Kind, Login, Settings, TWILIO_SMS_URL, TWILIO_VERIFY_URL, Template, TwilioSms, TwilioVerify,
    VONAGE_CALLBACK_BYTES_MAX, VONAGE_SMS_URL, VONAGE_VERIFY_URL, VonageSms, VonageVerify,
};

/// All that are described well; the others are objected to.
pub(super) fn providers(document: &mut Document<'_>, base: &Path) -> Vec<Settings> {
    let names = document.names(SECTION);
    if let Some(surplus) = names.get(limits::SMS_PROVIDERS_MAX) {
        document.object(surplus, "too many providers", &format!("{} at most", limits::SMS_PROVIDERS_MAX));
    }
    let mut providers = Vec::new();
    for name in names.into_iter().take(limits::SMS_PROVIDERS_MAX) {
        let is_free = name.value != "terminal" && name.value != "modem";
        if !is_free {
            document.object(&name, "that name has a meaning of its own", "another name");
        } else if name.value.contains('.') {
            document.object(&name, "not a name for a provider", "small letters, digits, - and _");
        } else {
            providers.extend(Section { document, base, name: &name }.read());
        }
    }
    providers
}

/// Objects to reports of delivery that could not come in; when all else is read.
pub(super) fn reports(document: &mut Document<'_>, config: &Config) {
    for settings in config.sms.http.iter().filter(|settings| settings.report_secret_file.is_some()) {
        let Some(found) = document.whole(&format!("{SECTION}.{}.{REPORTS}", settings.name)) else { continue };
        if !config.web.enabled {
            let remedy = "web.enabled = true, or take it out";
            document.object(&found, "reports of delivery come in by the web listener, which is off", remedy);
        }
        let derived = "https://:65535".len() + config.domain.as_str().len();
        let base = config.web.url.as_ref().map_or(derived, String::len);
        let length = base + REPORT_PATH_BYTES + settings.name.len();
        if matches!(settings.kind, Kind::VonageSms(_)) && length > VONAGE_CALLBACK_BYTES_MAX {
            let text = format!("Vonage sends reports to addresses of {VONAGE_CALLBACK_BYTES_MAX} characters at most");
            document.object(&found, &text, "a shorter name for the provider, or a shorter web.url");
        }
    }
}

/// One provider's section.
struct Section<'d, 't, 'n> {
    document: &'d mut Document<'t>,
    base: &'d Path,
    name: &'n Found<String>,
}

impl Section<'_, '_, '_> {
    fn read(&mut self) -> Option<Settings> {
        let kind = self.document.text(&self.path("kind"));
        let Some(kind) = kind else {
            if self.document.whole(&self.path("kind")).is_none() {
                let path = self.path("kind");
                self.document.missing(&path, &format!("one of {}", kinds()));
            }
            return None;
        };
        let Some(shape) = SHAPES.iter().find(|shape| shape.kind == kind.value) else {
            self.document.object(&kind, "there is no such kind of provider", &format!("one of {}", kinds()));
            return None;
        };
        let complete = self.fits(shape);
        let kind = self.kind(shape.kind)?;
        let mut settings = Settings::new(self.name.value.clone(), kind);
        settings.ca_file = self.text("ca_file").map(|path| self.base.join(path));
        settings.report_secret_file = self.secret_file("report_secret_file");
        if let Some(found) = self.document.number(&self.path("connect_secs"), 1..=60) {
            settings.connect_timeout = Duration::from_secs(found.value.into());
        }
        if let Some(found) = self.document.number(&self.path("timeout_secs"), 2..=120) {
            settings.timeout = Duration::from_secs(found.value.into());
        }
        if !complete {
            return None;
        }
        let faults = http::check(&settings);
        for fault in &faults {
            // A key that has its default is not in the file; then the section is what is wrong.
            match self.document.whole(&self.path(fault.key)) {
                Some(found) => self.document.object(&found, &fault.text, &fault.remedy),
                None => self.document.object(self.name, &fault.text, &fault.remedy),
            }
        }
        faults.is_empty().then_some(settings)
    }

    /// Are all keys there that this kind needs, and no others? What is not is objected to.
    fn fits(&mut self, shape: &Shape) -> bool {
        let mut complete = true;
        for name in shape.needs {
            let path = self.path(name);
            if self.document.whole(&path).is_none() {
                let example = self.document.example(&path);
                self.document.missing(&path, &format!("e.g. {example}"));
                complete = false;
            }
        }
        for name in self.document.keys_below(SECTION) {
            let known = COMMON.contains(&name) || shape.needs.contains(&name) || shape.may_have.contains(&name);
            if let Some(found) = self.document.whole(&self.path(name)).filter(|_| !known) {
                let text = format!("a provider of kind \"{}\" has no use for it", shape.kind);
                self.document.object(&found, &text, "take it out");
            }
        }
        complete
    }

    fn kind(&mut self, kind: &str) -> Option<Kind> {
        Some(match kind {
            "vonage-sms" => Kind::VonageSms(VonageSms {
                url: self.url(VONAGE_SMS_URL),
                login: self.login(None),
                from: self.text("from").unwrap_or_default(),
                callback: None,
            }),
            "vonage-verify" => Kind::VonageVerify(VonageVerify {
                url: self.url(VONAGE_VERIFY_URL),
                login: self.login(None),
                brand: self.text("brand").unwrap_or_default(),
                locale: self.text("locale"),
            }),
            "twilio-sms" => {
                let account = self.text("account").unwrap_or_default();
                Kind::TwilioSms(TwilioSms {
                    url: self.url(TWILIO_SMS_URL),
                    login: self.login(Some(account.clone())),
                    account,
                    from: self.text("from").unwrap_or_default(),
                    redact: self.flag("redact"),
                    callback: None,
                })
            }
            "twilio-verify" => Kind::TwilioVerify(TwilioVerify {
                url: self.url(TWILIO_VERIFY_URL),
                login: self.login(None),
                service: self.text("service").unwrap_or_default(),
                locale: self.text("locale"),
            }),
            "android" => {
                let mut android = Android::new(self.url(""), self.login(None));
                let sim = self.document.number(&self.path("sim"), 1..=3);
                android.sim = sim.and_then(|found| u8::try_from(found.value).ok());
                android.delivery_reports = self.flag("delivery_reports");
                Kind::Android(android)
            }
            "template" => Kind::Template(self.template()),
            _ => return None,
        })
    }

    fn template(&mut self) -> Template {
        let body = self.text("body");
        let method = if body.is_some() { "POST" } else { "GET" };
        Template {
            method: self.text("method").unwrap_or_else(|| method.to_owned()),
            url: self.url(""),
            user: self.text("user"),
            secret_file: self.secret_file("secret_file"),
            headers: self.headers(),
            content_type: self.text("content_type"),
            body,
            sender: self.text("from"),
            accepted: self.list("accepted"),
            not_allowed: self.list("not_allowed"),
            later: self.list("later"),
            unknown: self.list("unknown"),
            reference: self.text("reference"),
        }
    }

    fn login(&mut self, user: Option<String>) -> Login {
        let user = self.text("user").or(user).unwrap_or_default();
        Login { user, secret_file: self.secret_file("secret_file").unwrap_or_default() }
    }

    /// The file is not opened: who checks a configuration need not be allowed to read the secret.
    fn secret_file(&mut self, key: &str) -> Option<PathBuf> {
        let found = self.document.text(&self.path(key))?;
        let path = self.base.join(&found.value);
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                self.document.object(&found, "not a file", "a file that holds the secret and nothing else");
            }
            Ok(metadata) if metadata.permissions().mode() & 0o007 != 0 => {
                let remedy = format!("chmod o-rwx {}", path.display());
                self.document.warn(&found, "anybody on this machine can read the secret", &remedy);
            }
            Ok(_) => {}
            Err(error) => {
                let text = format!("cannot be read: {error}");
                let remedy = "it must exist, and the user kontalk-node be allowed to read it";
                self.document.object(&found, &text, remedy);
            }
        }
        Some(path)
    }

    fn url(&mut self, usual: &str) -> String {
        self.text("url").unwrap_or_else(|| usual.to_owned())
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.document.text(&self.path(key)).map(|found| found.value)
    }

    fn flag(&mut self, key: &str) -> bool {
        self.document.flag(&self.path(key)).is_some_and(|found| found.value)
    }

    fn list(&mut self, key: &str) -> Vec<String> {
        let found = self.document.list(&self.path(key)).unwrap_or_default();
        found.into_iter().map(|found| found.value).collect()
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let found = self.document.table(&self.path("headers")).unwrap_or_default();
        found.into_iter().map(|(name, found)| (name, found.value)).collect()
    }

    fn path(&self, key: &str) -> String {
        format!("{SECTION}.{}.{key}", self.name.value)
    }
}

/// What a kind of provider must and may be told.
struct Shape {
    kind: &'static str,
    needs: &'static [&'static str],
    may_have: &'static [&'static str],
}

const SHAPES: &[Shape] = &[
    Shape { kind: "vonage-sms", needs: &["user", "secret_file", "from"], may_have: &["url", REPORTS] },
    Shape { kind: "vonage-verify", needs: &["user", "secret_file", "brand"], may_have: &["url", "locale"] },
    Shape {
        kind: "twilio-sms",
        needs: &["account", "secret_file", "from"],
        may_have: &["url", "user", "redact", REPORTS],
    },
    Shape { kind: "twilio-verify", needs: &["user", "secret_file", "service"], may_have: &["url", "locale"] },
    Shape { kind: "android", needs: &["url", "user", "secret_file"], may_have: &["sim", "delivery_reports", REPORTS] },
    Shape {
        kind: "template",
        needs: &["url"],
        may_have: &[
            "method",
            "user",
            "secret_file",
            "from",
            "headers",
            "content_type",
            "body",
            "accepted",
            "not_allowed",
            "later",
            "unknown",
            "reference",
        ],
    },
];

/// `/sms/`, the provider's name, a slash, and 32 digits that nobody guesses.
const REPORT_PATH_BYTES: usize = "/sms//".len() + 32;

/// What every kind may be told.
const COMMON: &[&str] = &["kind", "ca_file", "connect_secs", "timeout_secs"];

/// What a provider signs its reports of delivery with.
const REPORTS: &str = "report_secret_file";

const SECTION: &str = "sms.http";

fn kinds() -> String {
    SHAPES.iter().map(|shape| format!("\"{}\"", shape.kind)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problem, SAMPLE, parse};
    use crate::phone::ChallengeKind;

    /// A directory with a secret in it.
    struct Secrets(PathBuf);

    impl Secrets {
        fn new(name: &str) -> Secrets {
            let dir = std::env::temp_dir().join(format!("kontalk-node-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("s"), "x").unwrap();
            fs::set_permissions(dir.join("s"), fs::Permissions::from_mode(0o600)).unwrap();
            Secrets(dir)
        }

        fn parsed(&self, text: &str) -> Result<Config, Vec<Problem>> {
            parse("node.toml", &self.0, &format!("domain = \"a.example\"\n{text}"))
        }

        fn said(&self, text: &str) -> Vec<String> {
            let problems = self.parsed(text).unwrap_err();
            problems.iter().map(|problem| problem.to_string().replace("node.toml", "")).collect()
        }
    }

    impl Drop for Secrets {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn the_sample_describes_a_provider_of_every_kind() {
        let secrets = Secrets::new("sample");
        let begin = SAMPLE.find("#[sms.http.").unwrap();
        let end = SAMPLE.find("\n[log]").unwrap();
        let in_force =
            |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned();
        let mut text: String = SAMPLE[begin..end].lines().map(|line| in_force(line) + "\n").collect();
        for name in ["vonage", "twilio", "phone", "other", "vonage-reports", "twilio-reports", "phone-reports"] {
            text = text.replace(&format!("/etc/kontalk-node/{name}.secret"), "s");
        }
        fs::write(secrets.0.join("ca.pem"), CA).unwrap();
        let text = text.replace("/etc/kontalk-node/gateway-ca.pem", "ca.pem");
        let config = secrets.parsed(&format!("sms.via = \"other\"\n{text}")).unwrap();
        assert_eq!(config.warnings, []);
        let (routes, http) = (config.sms.routes, config.sms.http);
        assert_eq!((routes.len(), routes[0].name.as_str(), routes[0].kind), (1, "other", ChallengeKind::Text));
        let names: Vec<_> = http.iter().map(|settings| settings.name.as_str()).collect();
        assert_eq!(names, ["vonage", "twilio", "vonage-verify", "twilio-verify", "phone", "other"]);
        let kinds: Vec<_> = http.iter().map(|settings| std::mem::discriminant(&settings.kind)).collect();
        assert!(kinds.iter().enumerate().all(|(at, kind)| !kinds[..at].contains(kind)));
        assert_eq!(kinds.len(), SHAPES.len());
        let Kind::Template(template) = &http[5].kind else { panic!("{http:?}") };
        assert_eq!(template.headers, [("X-Api-Key".to_owned(), "{secret}".to_owned())]);
        assert_eq!((template.accepted.len(), template.later.len()), (3, 2));
        assert_eq!((http[5].connect_timeout, http[5].timeout), (Duration::from_secs(5), Duration::from_secs(20)));
        assert_eq!(http[5].ca_file.as_deref(), Some(secrets.0.join("ca.pem").as_path()));
    }

    #[test]
    fn every_problem_of_a_provider_names_its_place_and_its_remedy() {
        let secrets = Secrets::new("wrong");
        let android = "kind = \"android\"\nurl = \"http://10.0.0.2:8080\"\nuser = \"sms\"\nsecret_file = \"s\"\n";
        for (section, expected) in [
            ("url = \"x\"\n", vec![": sms.http.x.kind: is missing"]),
            ("kind = \"pigeon\"\n", vec![":3: sms.http.x.kind = \"pigeon\": there is no such kind of provider"]),
            ("kind = 1\n", vec![":3: sms.http.x.kind = 1: a text in quotes is wanted here"]),
            (
                "kind = \"vonage-sms\"\n",
                vec![
                    ": sms.http.x.user: is missing",
                    ": sms.http.x.secret_file: is missing",
                    ": sms.http.x.from: is missing",
                ],
            ),
            (
                &format!("{android}from = \"Me\"\nsim = 4\n"),
                vec![
                    ":7: sms.http.x.from = \"Me\": a provider of kind \"android\" has no use for it",
                    ":8: sms.http.x.sim = 4: out of range",
                ],
            ),
            (
                &android.replace("10.0.0.2", "a.example"),
                vec![
                    ":4: sms.http.x.url = \"http://a.example:8080\": everybody on the way could read numbers and codes",
                ],
            ),
            (
                &android.replace("\"s\"", "\"nothing\""),
                vec![
                    ":6: sms.http.x.secret_file = \"nothing\": cannot be read: No such file or directory (os error 2)",
                ],
            ),
            (
                &format!("{android}usr = 1\n"),
                vec![":7: sms.http.x.usr: there is no such key (remedy: perhaps sms.http.NAME.u"],
            ),
            (&format!("{android}timeout_secs = 1\n"), vec![":7: sms.http.x.timeout_secs = 1: out of range"]),
            (
                "kind = \"template\"\nurl = \"https://a.example/{number}\"\nheaders = { a = 1 }\n",
                vec![
                    // What is not in the file is said of the section.
                    ":2: sms.http.x = x: the message is nowhere in the request",
                    ":5: sms.http.x.headers = 1: a text in quotes is wanted here",
                ],
            ),
            (
                "kind = \"template\"\nurl = \"https://a.example/{number}{text}\"\naccepted = \"fine\"\n",
                vec![":5: sms.http.x.accepted = \"fine\": not a rule: fine"],
            ),
        ] {
            let said = secrets.said(&format!("[sms.http.x]\n{section}"));
            assert_eq!(said.len(), expected.len(), "{section}: {said:#?}");
            for (said, expected) in said.iter().zip(expected) {
                assert!(said.starts_with(expected) && said.contains("(remedy: "), "{section}: {said}");
            }
        }
        for (name, expected) in [
            ("modem", ":2: sms.http.modem = modem: that name has a meaning of its own"),
            ("\"a.b\"", ":2: sms.http.a.b = \"a.b\": not a name for a provider"),
            ("Name", ":2: sms.http.Name = Name: not a name for a provider"),
        ] {
            let said = secrets.said(&format!("[sms.http.{name}]\n{android}"));
            assert!(said.last().unwrap().starts_with(expected), "{said:#?}");
        }
        assert!(secrets.said("sms.http = 1")[0].starts_with(":2: sms.http: a section is wanted here"));
        assert!(secrets.said("sms.http.x = 1")[0].starts_with(":2: sms.http.x: a section is wanted here"));
        let many: String = (0..17).map(|number| format!("[sms.http.p{number}]\n{android}")).collect();
        let said = secrets.said(&many);
        assert!(said.len() == 1 && said[0].contains("sms.http.p16 = p16: too many providers"), "{said:#?}");
    }

    #[test]
    fn reports_of_delivery_need_a_way_in() {
        let secrets = Secrets::new("reports");
        let vonage = "kind = \"vonage-sms\"\nuser = \"a\"\nsecret_file = \"s\"\nfrom = \"Kontalk\"\nreport_secret_file = \"s\"\n";
        let android = "kind = \"android\"\nurl = \"http://10.0.0.2\"\nuser = \"sms\"\nsecret_file = \"s\"\nreport_secret_file = \"s\"\n";
        let template = "kind = \"template\"\nurl = \"https://a.example/{number}{text}\"\nreport_secret_file = \"s\"\n";
        let long = format!("web.url = \"https://{}.example\"", "a".repeat(46));
        for (web, section, expected) in [
            (
                "web.enabled = false",
                vonage,
                Some(":8: sms.http.x.report_secret_file = \"s\": reports of delivery come in by"),
            ),
            (
                &long,
                vonage,
                Some(":8: sms.http.x.report_secret_file = \"s\": Vonage sends reports to addresses of 100"),
            ),
            (&long, android, None),
            ("", vonage, None),
            (
                "",
                template,
                Some(":6: sms.http.x.report_secret_file = \"s\": a provider of kind \"template\" has no use"),
            ),
            (
                "",
                &vonage.replace("report_secret_file = \"s\"", "report_secret_file = \"none\""),
                Some(":8: sms.http.x.report_secret_file = \"none\": cannot be read"),
            ),
        ] {
            let text = format!("{web}\n[sms.http.x]\n{section}");
            match expected {
                None => assert!(secrets.parsed(&text).unwrap().sms.http[0].report_secret_file.is_some(), "{text}"),
                Some(expected) => {
                    let said = secrets.said(&text).join("\n");
                    assert!(said.starts_with(expected) && said.contains("(remedy: "), "{said}");
                }
            }
        }
    }

    #[test]
    fn codes_go_out_by_providers_and_are_made_by_some() {
        let secrets = Secrets::new("via");
        let verify = "[sms.http.v]\nkind = \"vonage-verify\"\nuser = \"a\"\nsecret_file = \"s\"\nbrand = \"B\"\n";
        for (sms, expected) in [
            ("via = \"w\"", ":2: sms.via = \"w\": there is no such way to send"),
            ("routes = \"w\"", ":2: sms.routes = \"w\": there is no such way to send"),
            (
                "routes = \"v challenge=callerid\"",
                ":2: sms.routes = \"v challenge=callerid\": challenge=callerid: this way",
            ),
        ] {
            let said = secrets.said(&format!("sms.{sms}\n{verify}"));
            assert!(said.len() == 1 && said[0].starts_with(expected), "{said:#?}");
        }
        for sms in ["via = \"v\"", "routes = \"v +49 challenge=pin\""] {
            let routes = secrets.parsed(&format!("sms.{sms}\n{verify}")).unwrap().sms.routes;
            assert_eq!((routes.len(), routes[0].kind), (1, ChallengeKind::Provider));
        }
        fs::set_permissions(secrets.0.join("s"), fs::Permissions::from_mode(0o644)).unwrap();
        let warnings = secrets.parsed(verify).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].to_string().contains("anybody on this machine can read the secret"));
    }

    /// Any certificate; nobody looks into it here.
    const CA: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
}
