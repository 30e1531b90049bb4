//! Configurations and what is said of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::check::{KEYS, SAMPLE_DOMAIN};
use super::*;

fn parsed(text: &str) -> Result<Config, Vec<Problem>> {
    parse("node.toml", Path::new("/nowhere"), text)
}

/// What is said of a text, line by line.
fn said(text: &str) -> Vec<String> {
    parsed(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn warned(text: &str) -> Vec<String> {
    parsed(text).unwrap().warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_names_its_place_and_its_remedy() {
    let what = "the domain behind the @ of your users' addresses, which you own";
    for (line, expected) in [
        ("c2s.listen = \"x\"", "c2s.listen = \"x\": not an address (remedy: e.g. \"[::]:5222\")".to_owned()),
        ("c2s.listen = [\"192.0.2.1\"]", "c2s.listen = \"192.0.2.1\": not an address (remedy: with a port: \"192.0.2.1:5222\")".to_owned()),
        ("c2s.listen = [\"::\"]", "c2s.listen = \"::\": not an address (remedy: with a port: \"[::]:5222\")".to_owned()),
        ("c2s.listen = [\"localhost:7000\"]", "c2s.listen = \"localhost:7000\": not an address (remedy: e.g. \"[::]:7000\", all addresses of this machine)".to_owned()),
        ("c2s.listen = [5222]", "c2s.listen = 5222: a list of texts is wanted here (remedy: e.g. [\"[::]:5222\"])".to_owned()),
        ("c2s.listen = [\"[::]:1\", \"[::]:1\"]", "c2s.listen = \"[::]:1\": listed twice (remedy: each address and port once)".to_owned()),
        ("c2s.listen_tls = [\"[::]:5222\"]", "c2s.listen_tls = \"[::]:5222\": listed twice (remedy: each address and port once)".to_owned()),
        ("c2s = {listen = [], listen_tls = []}", "c2s.listen = []: no client could connect: both lists are empty (remedy: e.g. [\"[::]:5222\"])".to_owned()),
        ("c2s = 1", "c2s: a section is wanted here (remedy: a line [c2s], its keys below)".to_owned()),
        ("c2s.lisen = []", "c2s.lisen: there is no such key (remedy: perhaps c2s.listen is meant)".to_owned()),
        ("listen_tls = []", "listen_tls: there is no such key (remedy: perhaps c2s.listen_tls is meant)".to_owned()),
        ("registraton.enabled = true", "registraton: there is no such key (remedy: perhaps registration is meant)".to_owned()),
        ("something_else = 1", "something_else: there is no such key (remedy: the sample configuration shows all keys)".to_owned()),
        ("data_dir = 7", "data_dir = 7: a text in quotes is wanted here (remedy: e.g. \"/var/lib/kontalk-node\")".to_owned()),
        ("data_dir = \"/dev/null\"", "data_dir = \"/dev/null\": not a directory (remedy: a directory of the node's own; it will be made)".to_owned()),
        ("contact = \"come by\"", "contact = \"come by\": no address (remedy: e.g. \"mailto:admin@example.org\" or \"xmpp:admin@example.org\")".to_owned()),
        ("admins = \"a.example\"", "admins = \"a.example\": a domain, not an account (remedy: e.g. \"admin@example.org\")".to_owned()),
        ("admins = \"a@a.example/x\"", "admins = \"a@a.example/x\": an address without a resource is wanted here (remedy: e.g. \"admin@example.org\")".to_owned()),
        ("admins = [\"a@b.example\", \"A@b.example\"]", "admins = \"A@b.example\": named twice (remedy: name it once)".to_owned()),
        ("tls.key = \"/nowhere/key\"\ntls.certificate = \"/dev/null\"", "tls.certificate = \"/dev/null\": not a file (remedy: the file itself, in PEM)".to_owned()),
        ("registration.enabled = \"yes\"", "registration.enabled = \"yes\": true or false is wanted here (remedy: e.g. true)".to_owned()),
        ("registration.terms_url = \"terms\"", "registration.terms_url = \"terms\": no URL (remedy: e.g. \"https://example.org/terms\")".to_owned()),
        ("registration.sender = \" \"", "registration.sender = \" \": not a sender (remedy: the number or name the SMS comes from, e.g. \"+12025550123\")".to_owned()),
        ("registration.brand_link = \"javascript:\"", "registration.brand_link = \"javascript:\": no URL (remedy: e.g. \"https://example.org/\")".to_owned()),
        ("registration.number_burst = 0", "registration.number_burst = 0: out of range (remedy: a number from 1 to 100000)".to_owned()),
        ("registration.number_burst = -3", "registration.number_burst = -3: out of range (remedy: a number from 1 to 100000)".to_owned()),
        ("registration.codes_per_day_max = 99999999999999999999", "registration.codes_per_day_max = 99999999999999999999: out of range (remedy: a number from 1 to 1000000)".to_owned()),
        ("sms.via = \"pigeon\"", "sms.via = \"pigeon\": there is no such way to send (remedy: \"terminal\", \"modem\", or the NAME of a provider that [sms.http.NAME] describes)".to_owned()),
        ("sms.routes = [\"pigeon +49\"]", "sms.routes = \"pigeon +49\": there is no such way to send (remedy: \"terminal\", \"modem\", or the NAME of a provider that [sms.http.NAME] describes)".to_owned()),
        ("sms.routes = [\"terminal 49\"]", "sms.routes = \"terminal 49\": 49: not the beginning of numbers (remedy: e.g. +49 for Germany, +1212 for New York)".to_owned()),
        ("sms.routes = [\"terminal max=0\"]", "sms.routes = \"terminal max=0\": max=0: not a number of codes in a day (remedy: e.g. max=200)".to_owned()),
        ("sms.routes = [\"terminal challenge=x\"]", "sms.routes = \"terminal challenge=x\": challenge=x: there is no such challenge (remedy: pin, missedcall, callerid or word)".to_owned()),
        ("sms.routes = [\"terminal challenge=word\"]", "sms.routes = \"terminal challenge=word\": challenge=word: this way cannot do that (remedy: challenge=pin, or another way)".to_owned()),
        ("sms.routes = [\"terminal speed=9\"]", "sms.routes = \"terminal speed=9\": speed=9: nothing of this kind can be said of a route (remedy: max=, challenge= or sender=)".to_owned()),
        ("sms.routes = [\"terminal\", \"terminal +49\"]", "sms.routes = \"terminal +49\": named twice (remedy: a way and a challenge once, with all that is said of it)".to_owned()),
        ("sms.routes = [\"modem challenge=word\"]", "sms.routes = \"modem challenge=word\": the node's own number must be known for this challenge (remedy: sms.own_number = \"+…\", the number of the SIM)".to_owned()),
        ("sms.own_number = \"0151\"", "sms.own_number = \"0151\": the number must begin with + and the country code (remedy: e.g. \"+12025550123\")".to_owned()),
        ("sms.countries = []", "sms.countries = []: nobody could register (remedy: \"home\", \"all\", or e.g. [\"+49\", \"+43\"])".to_owned()),
        ("sms.countries = [\"DE\"]", "sms.countries = \"DE\": not the beginning of numbers (remedy: e.g. \"+49\" for Germany; or \"home\" or \"all\" alone)".to_owned()),
        ("sms.app_hash = \"x\"", "sms.app_hash = \"x\": no app hash (remedy: the 11 characters that the app's SMS Retriever expects)".to_owned()),
        ("sms.modem.device = \"ttyUSB0\"", "sms.modem.device = \"ttyUSB0\": no serial port (remedy: \"auto\", or a path such as \"/dev/kontalk-modem\")".to_owned()),
        ("sms.modem.pin_file = \"/nowhere/pin\"", "sms.modem.pin_file = \"/nowhere/pin\": cannot be read: No such file or directory (os error 2) (remedy: it must exist, and the user kontalk-node be allowed to read it)".to_owned()),
        ("sms.modem.service_centre = \"0171\"", "sms.modem.service_centre = \"0171\": no number in international form (remedy: e.g. \"+491710760000\")".to_owned()),
        ("sms.modem.country = 0", "sms.modem.country = 0: out of range (remedy: a number from 1 to 998)".to_owned()),
        ("log.level = \"loud\"", "log.level = \"loud\": no log level (remedy: off, error, warn, info, debug or trace)".to_owned()),
        ("limits.resume_secs = 901", "limits.resume_secs = 901: out of range (remedy: a number from 10 to 900)".to_owned()),
        ("limits.offline_days = 1.5", "limits.offline_days = 1.5: a whole number is wanted here (remedy: e.g. 7)".to_owned()),
        ("limits.unauthenticated_per_address_max = 300", "limits.unauthenticated_per_address_max = 300: more than limits.unauthenticated_max, which is for all together (remedy: a smaller number)".to_owned()),
        ("s2s.hosts = [\"b.example\"]", "s2s.hosts = \"b.example\": no domain with an address (remedy: e.g. \"b.example=192.0.2.7:5269\", or \"b.example=tls:192.0.2.7:5270\")".to_owned()),
        ("s2s.hosts = [\"b.example=x:1\"]", "s2s.hosts = \"b.example=x:1\": no domain with an address (remedy: e.g. \"b.example=192.0.2.7:5269\", or \"b.example=tls:192.0.2.7:5270\")".to_owned()),
        ("s2s.deny = [\"x@b.example\"]", "s2s.deny = \"x@b.example\": an account, and whole domains are meant (remedy: e.g. \"b.example\")".to_owned()),
        ("s2s.dns = [\"192.0.2.53\"]", "s2s.dns = \"192.0.2.53\": not an address (remedy: e.g. \"192.0.2.53:53\")".to_owned()),
        ("s2s.ca_file = \"/nowhere/ca\"", "s2s.ca_file = \"/nowhere/ca\": cannot be read: No such file or directory (os error 2) (remedy: certificates of authorities in PEM)".to_owned()),
        ("s2s.listen = [\"[::]:5222\"]", "s2s.listen = \"[::]:5222\": listed twice (remedy: each address and port once)".to_owned()),
        ("s2s.queue_minutes = 0", "s2s.queue_minutes = 0: out of range (remedy: a number from 1 to 10080)".to_owned()),
        ("s2s.allow = [\"a.example\"]", "s2s.allow = \"a.example\": that is this node itself (remedy: name other domains)".to_owned()),
        ("web.listen = []", "web.listen = []: nobody could connect (remedy: e.g. [\"[::]:5280\"], or web.enabled = false)".to_owned()),
        ("web = {reverse_proxy = true, listen = [\"[::]:80\"]}", "web.listen = \"[::]:80\": without TLS nobody but the reverse proxy may connect here (remedy: an address of this machine alone, e.g. \"127.0.0.1:5280\")".to_owned()),
        ("web.url = \"files.example.org\"", "web.url = \"files.example.org\": not the beginning of a URL (remedy: https://, a host name, perhaps a port and a path; e.g. \"https://files.example.org\")".to_owned()),
        ("web.url = \"http://a.example\"", "web.url = \"http://a.example\": not the beginning of a URL (remedy: https://, a host name, perhaps a port and a path; e.g. \"https://files.example.org\")".to_owned()),
        ("web.url = \"https://a.example/?a&b\"", "web.url = \"https://a.example/?a&b\": not the beginning of a URL (remedy: https://, a host name, perhaps a port and a path; e.g. \"https://files.example.org\")".to_owned()),
        ("upload.file_mib_max = 0", "upload.file_mib_max = 0: out of range (remedy: a number from 1 to 65536)".to_owned()),
        ("upload.quota_mib = 19", "upload.quota_mib = 19: less than one file may have (remedy: upload.file_mib_max, or several times that)".to_owned()),
        ("archive.days = 3651", "archive.days = 3651: out of range (remedy: a number from 0 to 3650)".to_owned()),
        ("domain = \"b.example\"", "this is not TOML: duplicate key (remedy: texts stand in \"quotes\", lists in [brackets])".to_owned()),
    ] {
        let said = said(&format!("domain = \"a.example\"\n{line}\n"));
        let place = if line.starts_with("tls.key") { 3 } else { 2 };
        assert_eq!(said.last(), Some(&format!("node.toml:{place}: {expected}")), "{line}: {said:#?}");
        assert_eq!(said.len(), place - 1, "{line}: {said:#?}");
    }
    for (line, expected) in [
        ("", format!("node.toml: domain: is missing (remedy: {what})")),
        ("domain = \"\"", format!("node.toml:1: domain = \"\": the address has no domain (remedy: {what})")),
        ("domain = \"a@b.example\"", format!("node.toml:1: domain = \"a@b.example\": the domain is not a host name (remedy: {what})")),
        ("domain = \"192.0.2.1\"", format!("node.toml:1: domain = \"192.0.2.1\": an IP address, and addresses of users must last (remedy: {what})")),
        ("domain = \"[::1]\"", format!("node.toml:1: domain = \"[::1]\": an IP address, and addresses of users must last (remedy: {what})")),
        ("domain = \"localhost\"", "node.toml:1: domain = \"localhost\": only this machine knows that name (remedy: for a trial run kontalk-node without a configuration)".to_owned()),
        ("domain = \"example.org\"", format!("node.toml:1: domain = \"example.org\": that is the sample's domain (remedy: {what})")),
        ("domain = [1]", "node.toml:1: domain = [1]: a text in quotes is wanted here (remedy: e.g. \"example.org\")".to_owned()),
    ] {
        assert_eq!(said(line), [expected]);
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "domain = \"localhost\"\nnoise = true\n\n[c2s]\nlisten = [\n  \"x\",\n  \"[::]:5222\",\n]\n\n[limits]\noffline_days = 0\n";
    let problems = parsed(text).unwrap_err();
    let lines: Vec<Option<usize>> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(1), Some(2), Some(6), Some(11)]);
    assert!(report(&problems).ends_with("\n4 problems, nothing started."));
    assert!(report(&problems[..1]).ends_with("\n1 problem, nothing started."));
    assert_eq!(report(&problems).lines().count(), 5);
}

#[test]
fn a_line_that_is_no_toml_hides_nothing_else() {
    let said = said("domain = a.example\n[c2s]\nlisten = [\"x\"]\n[limits\noffline_days = 3\n");
    assert!(said.iter().any(|line| line.starts_with("node.toml:1: this is not TOML: ")), "{said:#?}");
    assert!(said.iter().any(|line| line.starts_with("node.toml:3: c2s.listen = \"x\": not an address")), "{said:#?}");
    assert!(said.iter().any(|line| line.starts_with("node.toml:4: this is not TOML: ")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("missing")), "{said:#?}");
}

#[test]
fn what_is_open_at_the_end_of_the_file_is_told_of_its_last_line() {
    for text in ["domain = \"a.example\"\nadmins = [\n", "domain = \"a.example\"\nadmins = [", "\n\nlog = {\n", ""] {
        let lines = text.lines().count().max(1);
        for problem in parsed(text).unwrap_err() {
            assert!(problem.line.is_none_or(|line| line <= lines), "{problem}");
        }
    }
}

#[test]
fn a_great_file_of_broken_lines_does_not_take_for_ever() {
    // Looking for each line from the beginning of the file took the square of its length: minutes.
    let problems = parsed(&"600\n".repeat(100_000)).unwrap_err();
    assert_eq!(problems.len(), 100_000);
    assert_eq!(problems.last().unwrap().line, Some(100_000));
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let text =
        "domain = \"a.example\"\n\"a\\nb\\u001b[2J\" = 1\n[registration]\nnumber_burst = \"\t\"\nsender = \"\u{7}\"\n";
    let report = report(&parsed(text).unwrap_err());
    assert!(report.contains("node.toml:2: a\\nb\\u{1b}[2J: there is no such key"), "{report}");
    assert!(report.contains("node.toml:4: registration.number_burst = \"\\t\": "), "{report}");
    assert!(!report.contains(|c: char| c.is_control() && c != '\n'), "{report:?}");
}

#[test]
fn values_arrive_where_they_belong() {
    let text = r#"
        domain = "Bücher.example"
        data_dir = "data"
        contact = ["admin@a.example", "xmpp:admin@a.example"]
        admins = ["Admin@a.example"]
        c2s = { listen = ["127.0.0.1:0"], listen_tls = ["127.0.0.1:0"] }
        log.level = "trace"
        [sms]
        routes = ["modem +49 +4312 max=30 sender=Kontalk", "modem challenge=callerid", "terminal"]
        countries = ["+49", "+43"]
        own_number = "+49 151 12345678"
        app_hash = "FA+9qCX9VSu"
        prefix_codes_per_day_max = 7
        modem.device = "/dev/ttyS0"
        modem.country = 39
        modem.power_cycle_command = ["relay", "off", "on"]
        [registration]
        enabled = false
        terms_url = "https://a.example/terms"
        sender = "+12025550123"
        brand_image_hd = "https://a.example/hd.png"
        number_burst = 1
        prefix_refill_secs = 0x10
        codes_per_day_max = 1_000
        expiry_days = 0
        [s2s]
        enabled = false
        dialback = true
        allow = ["b.example", "Bücher.example.net"]
        hosts = ["b.example=192.0.2.7:5269", "b.example=tls:[2001:db8::1]:5270"]
        dns = ["[::1]:53"]
        queue_minutes = 5
        [limits]
        offline_messages_max = 0
        offline_days = 30
        resume_secs = 60
        unauthenticated_max = 16
        [web]
        reverse_proxy = true
        url = "https://a.example/files/"
        [upload]
        file_mib_max = 200
        days = 1
    "#;
    let config = parsed(text).unwrap();
    assert_eq!(config.domain.as_str(), "bücher.example");
    assert_eq!(config.data_dir, Path::new("/nowhere/data"));
    assert_eq!(config.contact, ["mailto:admin@a.example", "xmpp:admin@a.example"]);
    assert_eq!(config.admins, ["admin@a.example".parse().unwrap()]);
    assert_eq!(config.c2s.listen, config.c2s.listen_tls);
    assert_eq!(config.log.level, LevelFilter::Trace);
    let registration = &config.registration;
    assert!(!registration.enabled);
    assert_eq!(registration.terms_url.as_deref(), Some("https://a.example/terms"));
    assert_eq!(registration.sender, "+12025550123");
    assert_eq!(registration.brand.image_hd.as_deref(), Some("https://a.example/hd.png"));
    assert_eq!(registration.per_number, Throttle { burst: 1, refill: Duration::from_secs(600) });
    assert_eq!(registration.per_prefix, Throttle { burst: 60, refill: Duration::from_secs(16) });
    assert_eq!((registration.codes_per_day_max, registration.expiry), (1000, None));
    let s2s = &config.s2s;
    assert_eq!((s2s.enabled, s2s.dialback, s2s.queue_age), (false, true, Duration::from_secs(300)));
    assert_eq!(s2s.allow, ["b.example", "bücher.example.net"].map(|domain| domain.parse().unwrap()));
    let b_example: BareJid = "b.example".parse().unwrap();
    let host = |address: &str, direct_tls| PeerHost {
        domain: b_example.clone(),
        address: address.parse().unwrap(),
        direct_tls,
    };
    assert_eq!(s2s.hosts, [host("192.0.2.7:5269", false), host("[2001:db8::1]:5270", true)]);
    assert_eq!(s2s.dns, ["[::1]:53".parse().unwrap()]);
    let (sms, area) = (&config.sms, |text| Area::parse(text).unwrap());
    let route = SmsRoute { areas: vec![area("+49"), area("+4312")], day_max: Some(30), ..SmsRoute::new("modem") };
    let call = SmsRoute { kind: ChallengeKind::CallerId, ..SmsRoute::new("modem") };
    let text = SmsRoute { sender: Some("Kontalk".to_owned()), ..route };
    assert_eq!(sms.routes, [text, call, SmsRoute::new("terminal")]);
    assert_eq!(sms.countries, SmsCountries::These(vec![area("+49"), area("+43")]));
    assert_eq!(sms.own_number.as_ref().unwrap().country_code(), 49);
    assert_eq!((sms.app_hash.as_ref().unwrap().as_str(), sms.prefix_codes_per_day_max), ("FA+9qCX9VSu", 7));
    assert_eq!(config.limits.offline_messages_max, 0);
    assert_eq!(config.limits.offline_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(config.limits.resume, Duration::from_secs(60));
    assert_eq!((config.limits.unauthenticated_max, config.limits.unauthenticated_per_address_max), (16, 16));
    let modem = &config.sms.modem;
    assert_eq!((modem.device.as_deref(), modem.country), (Some(Path::new("/dev/ttyS0")), Some(39)));
    assert_eq!(modem.power_cycle_command.as_deref().map(<[String]>::len), Some(3));
    assert!(config.web.reverse_proxy && config.web.listen.iter().all(|address| address.ip().is_loopback()));
    assert_eq!(config.web.url.as_deref(), Some("https://a.example/files"));
    // A file that may be larger than the default of the quota takes the quota along.
    assert_eq!((config.upload.file_bytes_max, config.upload.quota_bytes), (200 << 20, 200 << 20));
    assert_eq!(config.upload.ttl, Duration::from_secs(86_400));
    assert_eq!(config.warnings, []);
}

#[test]
fn the_defaults_are_a_whole_node_and_the_trial_keeps_to_loopback() {
    let config = parsed("domain = \"a.example\"").unwrap();
    assert!(!config.trial);
    assert_eq!(config.c2s.listen, ["[::]:5222".parse().unwrap()]);
    assert_eq!(config.registration.sender, "a.example");
    assert_eq!(config.sms.routes, [SmsRoute::new("terminal")]);
    assert_eq!(parsed("domain = \"a.example\"\nsms.via = \"modem\"").unwrap().sms.routes, [SmsRoute::new("modem")]);
    let trial = Config::trial();
    assert!(trial.trial && trial.registration.enabled);
    assert_eq!(trial.domain.as_str(), "localhost");
    assert_eq!(config.s2s.listen, ["[::]:5269".parse().unwrap()]);
    let addresses: Vec<_> = trial.c2s.listen.iter().chain(&trial.c2s.listen_tls).chain(&trial.s2s.listen).collect();
    assert_eq!((addresses.len(), trial.s2s.listen_tls.len()), (6, 0));
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    assert_eq!(trial.web.listen, ["127.0.0.1:5280".parse().unwrap(), "[::1]:5280".parse().unwrap()]);
}

#[test]
fn the_sample_has_no_problem_but_its_domain() {
    let problems = parsed(SAMPLE).unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), ["domain"]);
    let own = SAMPLE.replace(&format!("\"{SAMPLE_DOMAIN}\""), "\"a.example\"");
    assert_eq!(parsed(&own).unwrap(), parsed("domain = \"a.example\"").unwrap());
}

/// The sample with every key in force.
fn sample_in_force() -> String {
    let in_force = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    SAMPLE.lines().map(|line| in_force(line) + "\n").collect()
}

#[test]
fn the_sample_shows_every_key_and_no_other() {
    let table: toml::Table = sample_in_force().parse().unwrap();
    let mut shown = BTreeSet::new();
    collect_keys("", &table, &mut shown);
    let mut known: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    known.sort();
    assert_eq!(shown.into_iter().collect::<Vec<_>>(), known);
}

/// The keys of a table, with a `*` for names that the operator chooses.
fn collect_keys(prefix: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (name, value) in table {
        let name = if prefix == "sms.http." { "*" } else { name.as_str() };
        let path = format!("{prefix}{name}");
        match value.as_table() {
            Some(section) if !KEYS.iter().any(|key| key.path == path) => {
                collect_keys(&format!("{path}."), section, keys);
            }
            _ => drop(keys.insert(path)),
        }
    }
}

#[test]
fn the_sample_shows_the_defaults() {
    let text = sample_in_force().replace("domain = \"example.org\"", "domain = \"a.example\"");
    // Examples that cannot be defaults.
    let has_default = |line: &&str| {
        let examples = [
            "certificate",
            "key",
            "terms_url",
            "sender",
            "brand_",
            "contact",
            "admins",
            "own_number",
            "app_hash",
            "addresses",
            "pages",
            "url",
            "secret_files",
            "gcm_",
            "ca_file",
            "hosts",
            "dns",
            "names",
        ];
        let of_modem = ["pin_file", "service_centre", "country", "power_cycle_command"];
        !examples.iter().chain(&of_modem).any(|key| line.starts_with(key))
    };
    // Providers, and whom the node tells its address and its figures, are all examples.
    let mut in_provider = false;
    let is_ours = |line: &&str| {
        if line.starts_with('[') {
            let examples = ["[sms.http.", "[dns_update]", "[dynamic_dns]", "[metrics]"];
            in_provider = examples.iter().any(|section| line.starts_with(section));
        }
        !in_provider
    };
    let text: String = text.lines().filter(is_ours).filter(has_default).map(|line| format!("{line}\n")).collect();
    assert_eq!(parsed(&text).unwrap(), parsed("domain = \"a.example\"").unwrap());
}

#[test]
fn examples_are_values_that_will_do() {
    // Files that are there, and keys that need each other.
    let alone = |key: &&super::document::Key| {
        !["domain", "components.secret_files"].contains(&key.path)
            && !["tls.", "push.", "dns_update.", "dynamic_dns."].iter().any(|section| key.path.starts_with(section))
            && !key.path.ends_with("_file")
            && !key.path.contains('*')
    };
    for key in KEYS.iter().filter(alone) {
        let outcome = parsed(&format!("domain = \"a.example\"\n{} = {}", key.path, key.example));
        assert!(outcome.is_ok(), "{}: {outcome:?}", key.path);
    }
}

#[test]
fn what_other_nodes_are_told_is_an_address_each_once() {
    let trust = |lines: &str| said(&format!("domain = \"a.example\"\n[trust]\n{lines}\n"));
    for (lines, text) in [
        ("addresses = [\"node.a.example\"]", "not an address that others can use"),
        ("addresses = [\"192.0.2.7:0\"]", "not an address that others can use"),
        ("addresses = [\"x.example:1\", \"x.example:1\"]", "listed twice"),
        ("pages = [\"a.example\"]", "not an address that others can use"),
        ("pages = [\"https://a\", \"https://b\", \"https://c\"]", "one too many"),
        ("visitors_max = -1", "out of range"),
        ("banned_s2s = \"never\"", "no way to treat"),
    ] {
        let problems = trust(lines);
        assert!(problems.len() == 1 && problems[0].contains(text), "{lines}: {problems:?}");
    }
    let good = "addresses = [\"[2001:db8::7]:5269\", \"node.a.example:5269\"]\npages = \"https://a.example\"";
    assert!(parsed(&format!("domain = \"a.example\"\n[trust]\n{good}\n")).is_ok());
}

#[test]
fn doubtful_values_are_allowed_with_a_warning() {
    assert_eq!(
        warned("domain = \"intranet\""),
        [
            "node.toml:1: domain = \"intranet\": other machines will hardly find a name without a dot (remedy: the domain behind the @ of your users' addresses, which you own)"
        ]
    );
    let dir = std::env::temp_dir().join(format!("kontalk-node-config-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let key = dir.join("key.pem");
    fs::write(&key, "").unwrap();
    let text = "domain = \"a.example\"\n[tls]\ncertificate = \"key.pem\"\nkey = \"key.pem\"\n";
    for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let config = parse("node.toml", &dir, text).unwrap();
        assert_eq!(config.warnings.len(), warnings, "{mode:o}");
        assert_eq!(config.tls, Some(TlsFiles { certificate: key.clone(), key: key.clone() }));
    }
    let one = said(&format!("domain = \"a.example\"\n[tls]\nkey = {:?}\n", key.display().to_string()));
    assert_eq!(one, ["node.toml: tls.certificate: is missing (remedy: the file with the certificate and its issuers)"]);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_a_problem_with_a_remedy() {
    let problems = read(Path::new("/nowhere/node.toml")).unwrap_err();
    assert_eq!(
        report(&problems),
        "/nowhere/node.toml: the configuration cannot be read: No such file or directory (os error 2) (remedy: `kontalk-node sample-config` prints one)\n1 problem, nothing started."
    );
}

#[test]
fn components_have_a_domain_and_a_secret_each() {
    let dir = std::env::temp_dir().join(format!("kontalk-node-components-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    for (name, content) in [("good", "long enough\n"), ("short", "short\n"), ("empty", "")] {
        fs::write(dir.join(name), content).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let parsed = |lines: &str| parse("node.toml", &dir, &format!("domain = \"a.example\"\n[components]\n{lines}\n"));
    let config = parsed("[components.secret_files]\n\"Chat.a.example\" = \"good\"\n").unwrap();
    assert_eq!(config.components.secret_files, [("chat.a.example".parse().unwrap(), dir.join("good"))]);
    assert!(config.components.listen.iter().all(|address| address.ip().is_loopback()));
    assert_eq!(config.warnings, []);
    let open = parsed("listen = [\"[::]:5347\"]").unwrap();
    assert!(open.warnings[0].to_string().contains("not encrypted"), "{:?}", open.warnings);
    for (files, expected) in [
        ("{ \"chat.a.example\" = \"short\" }", "its first line is shorter than 8 bytes"),
        ("{ \"chat.a.example\" = \"empty\" }", "its first line is shorter than 8 bytes"),
        ("{ \"chat.a.example\" = \"none\" }", "cannot be read"),
        ("{ \"a.example\" = \"good\" }", "the node's own domain"),
        ("{ \"x@a.example\" = \"good\" }", "x@a.example is no domain"),
        ("{ \"b.example\" = \"good\", \"B.example\" = \"good\" }", "named twice"),
        ("{ \"b.example\" = 1 }", "a text in quotes is wanted here"),
        ("[\"b.example\"]", "a table of texts is wanted here"),
    ] {
        let problems = parsed(&format!("secret_files = {files}")).unwrap_err();
        assert!(problems.len() == 1 && problems[0].to_string().contains(expected), "{files}: {problems:?}");
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn kontalk_push_needs_a_gateway_and_a_sender() {
    let (gateway, sender) = ("gcm_gateway = \"push.a.example\"\n", "gcm_sender_id = \"1234\"\n");
    let config = parsed(&format!("domain = \"a.example\"\n[push]\n{gateway}{sender}")).unwrap();
    let push = config.push.unwrap();
    assert_eq!((push.gateway.as_str(), push.sender_id.as_str()), ("push.a.example", "1234"));
    for (lines, missing) in [(gateway, "push.gcm_sender_id"), (sender, "push.gcm_gateway")] {
        let problems = parsed(&format!("domain = \"a.example\"\n[push]\n{lines}")).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), [missing]);
    }
}

#[test]
fn a_certificate_is_ordered_only_with_the_terms_accepted_and_for_names_that_are_names() {
    let acme = |lines: &str| parsed(&format!("domain = \"bücher.example\"\n{lines}\n"));
    assert_eq!(acme("").unwrap().acme, None);
    assert_eq!(acme("acme.accept_terms = false\nacme.names = [\"x.example\"]").unwrap().acme, None);
    assert_eq!(warned("domain = \"a.example\"\nacme.names = [\"x.example\"]").len(), 1);
    let found = acme(
        "contact = [\"a@b.example\", \"xmpp:c@d.example\"]\n[acme]\naccept_terms = true\nnames = [\"Chat.Example\"]\n[web]\nurl = \"https://up.example:444/x\"",
    );
    let found = found.unwrap().acme.unwrap();
    assert_eq!(found.names, ["xn--bcher-kva.example", "up.example", "chat.example"]);
    assert_eq!(found.contact, ["mailto:a@b.example"]);
    assert_eq!(found.listen, ["[::]:80".parse().unwrap()]);
    for (lines, text) in [
        ("names = [\"*.a.example\"]", "no host name"),
        ("names = [\"192.0.2.1\"]", "no host name"),
        ("challenge = \"http\"", "no way to prove a name"),
        ("challenge = \"dns-01\"", "how records are set"),
        ("directory = \"http://ca.example/\"", "no URL"),
        ("contact = [\"x\"]", "no mail address"),
    ] {
        let problems = said(&format!("domain = \"a.example\"\n[acme]\naccept_terms = true\n{lines}\n"));
        assert!(problems.len() == 1 && problems[0].contains(text), "{lines}: {problems:?}");
    }
    for (lines, text) in [
        ("[metrics]\nlisten = [\"[::]:9464\"]", "anybody could read"),
        ("[dns_update]\nserver = \"192.0.2.1:53\"", "is missing"),
        ("[dynamic_dns]\nurl = \"https://d.example/\"", "where the address goes"),
        ("[dynamic_dns]\nnames = [\"n.example\"]", "how records are changed"),
    ] {
        let problems = said(&format!("domain = \"a.example\"\n{lines}\n"));
        assert!(!problems.is_empty() && problems[0].contains(text), "{lines}: {problems:?}");
    }
}
