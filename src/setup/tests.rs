use super::fill::{Conflict, current, fill, texts};
use super::question::{self, Topic};
use super::*;

const SAMPLE: &str = "\
# A sample.
domain = \"example.org\"

#contact = [\"mailto:admin@example.org\"]

[c2s]
# Here.
#listen = [\"[::]:5222\"]

[tls]
#certificate = \"a\"
#key = \"b\"

[sms]
#via = \"terminal\"

# Vonage.
#[sms.http.vonage]
#kind = \"vonage-sms\"
#user = \"abcd1234\"
#from = \"Kontalk\"

[log]
#level = \"info\"
";

fn setting(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn minimal() -> Draft {
    Draft {
        domain: Some("node.example".to_owned()),
        certificate: Some("self-signed".to_owned()),
        codes: Some("terminal".to_owned()),
        ..Draft::default()
    }
}

#[test]
fn what_is_unset_is_set_in_its_place() {
    for (key, value, before, after) in [
        ("domain", "\"a.example\"", "domain = \"example.org\"\n", "domain = \"a.example\"\n"),
        ("contact", "[\"x\"]", "#contact = [\"mailto:admin@example.org\"]\n", "contact = [\"x\"]\n"),
        ("c2s.listen", "[\"[::]:1\"]", "#listen = [\"[::]:5222\"]\n", "listen = [\"[::]:1\"]\n"),
        ("log.level", "\"warn\"", "#level = \"info\"\n", "level = \"warn\"\n"),
        ("c2s.listen_tls", "[]", "[c2s]\n", "[c2s]\nlisten_tls = []\n"),
        ("sms.http.vonage.user", "\"me\"", "#[sms.http.vonage]\n", "[sms.http.vonage]\n"),
        ("sms.http.vonage.user", "\"me\"", "#user = \"abcd1234\"\n", "user = \"me\"\n"),
        ("acme.challenge", "\"http-01\"", "", "[acme]\nchallenge = \"http-01\"\n"),
        ("data_dir", "\"/x\"", "admin@example.org\"]\n", "admin@example.org\"]\ndata_dir = \"/x\"\n"),
    ] {
        let filled = fill(SAMPLE, SAMPLE, &[setting(key, value)]).unwrap();
        assert_eq!(filled.set, [key]);
        assert!(SAMPLE.contains(before), "{key}");
        assert!(filled.text.contains(after), "{key}:\n{}", filled.text);
        assert_eq!(current(&filled.text, key).as_deref(), Some(value), "{key}:\n{}", filled.text);
        let again = fill(SAMPLE, &filled.text, &[setting(key, value)]).unwrap();
        assert_eq!((again.text, again.set, again.kept), (filled.text, vec![], vec![key.to_owned()]), "{key}");
    }
}

#[test]
fn a_value_of_the_operators_own_stays_and_all_such_are_told() {
    let text = SAMPLE
        .replace("example.org\"\n\n", "mine.example\"\n\n")
        .replace("#level = \"info\"", "level = \"trace\" # for now");
    let wanted =
        [setting("log.level", "\"warn\""), setting("sms.via", "\"modem\""), setting("domain", "\"a.example\"")];
    let conflicts = fill(SAMPLE, &text, &wanted).unwrap_err();
    let told: Vec<(&str, usize, &str)> =
        conflicts.iter().map(|Conflict { key, line, is, .. }| (key.as_str(), *line, is.as_str())).collect();
    assert_eq!(told, [("log.level", 24, "\"trace\""), ("domain", 2, "\"mine.example\"")]);
}

#[test]
fn the_same_value_is_the_same_however_it_is_written() {
    for (written, value) in [
        ("domain = \"a.example\" # mine", "\"a.example\""),
        ("domain=\"a.example\"", "\"a.example\""),
        ("contact = \"x\"", "[\"x\"]"),
        ("contact = [\n  \"x\", # one\n  \"y\",\n]", "[\"x\", \"y\"]"),
    ] {
        let key = written.split(['=', ' ']).next().unwrap();
        let filled = fill(SAMPLE, written, &[setting(key, value)]).unwrap();
        assert_eq!((filled.text.as_str(), filled.set.len()), (written, 0));
    }
    assert_eq!(texts("[\"a\", \"b\"]"), ["a", "b"]);
}

#[test]
fn a_draft_becomes_settings() {
    let draft = Draft {
        contact: vec!["admin@node.example".to_owned()],
        listen: vec!["[::]:5222".to_owned()],
        certificate: Some("acme".to_owned()),
        accept_terms: Some("yes".to_owned()),
        codes: Some("vonage-sms".to_owned()),
        provider: ["user=me", "from=Kontalk", "secret_file=/x"].map(str::to_owned).to_vec(),
        ..minimal()
    };
    let settings = draft.finish().unwrap().settings;
    let expected = [
        ("domain", "\"node.example\""),
        ("contact", "[\"admin@node.example\"]"),
        ("c2s.listen", "[\"[::]:5222\"]"),
        ("acme.accept_terms", "true"),
        ("acme.contact", "[\"mailto:admin@node.example\"]"),
        ("acme.challenge", "\"http-01\""),
        ("sms.via", "\"vonage\""),
        ("sms.http.vonage.kind", "\"vonage-sms\""),
        ("sms.http.vonage.user", "\"me\""),
        ("sms.http.vonage.from", "\"Kontalk\""),
        ("sms.http.vonage.secret_file", "\"/x\""),
    ];
    assert_eq!(settings, expected.map(|(key, value)| setting(key, value)));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let change = |change: fn(&mut Draft)| {
        let mut draft = minimal();
        change(&mut draft);
        draft.finish().map(|_| ()).unwrap_err().into_iter().map(|refusal| refusal.flag).collect::<Vec<_>>()
    };
    assert_eq!(change(|draft| *draft = Draft::default()), ["domain", "certificate", "codes"]);
    assert_eq!(change(|draft| draft.domain = Some("localhost".to_owned())), ["domain"]);
    assert_eq!(change(|draft| draft.domain = Some("192.0.2.1".to_owned())), ["domain"]);
    assert_eq!(change(|draft| draft.certificate = Some("files".to_owned())), ["certificate"]);
    assert_eq!(change(|draft| draft.certificate = Some("acme".to_owned())), ["certificate"]);
    assert_eq!(change(|draft| draft.codes = Some("twilio-sms".to_owned())), ["provider"]);
    assert_eq!(change(|draft| draft.listen = vec!["5222".to_owned()]), ["listen"]);
    assert_eq!(change(|draft| draft.addresses = vec!["here".to_owned()]), ["address"]);
    assert_eq!(change(|draft| draft.contact = vec!["a\nb".to_owned()]), ["contact"]);
    assert_eq!(change(|draft| draft.host = Some("192.0.2.1".to_owned())), ["host"]);
}

#[test]
fn questions_follow_the_answers_and_none_is_asked_twice() {
    let mut draft = Draft::default();
    let mut asked = Vec::new();
    let given = ["node.example", "", "", "", "files", "/c", "/k", "vonage-sms", "me", "Kontalk", "/s", ""];
    for answer in given {
        let question = question::next(&draft, &asked).expect("there is a question");
        question::answer(&mut draft, &question, answer);
        asked.push(question.topic);
    }
    assert_eq!(question::next(&draft, &asked), None);
    assert_eq!(asked.last(), Some(&Topic::Join));
    let plan = draft.finish().unwrap();
    assert_eq!(
        (plan.codes, plan.certificate, plan.join),
        (Codes::Provider("vonage".to_owned()), Certificate::Files, None)
    );
    assert_eq!(draft.listen, ["[::]:5222"]);
}

#[test]
fn a_second_run_remembers_what_the_file_says() {
    let draft = Draft {
        certificate: Some("files".to_owned()),
        certificate_file: Some("/c".to_owned()),
        key_file: Some("/k".to_owned()),
        codes: Some("vonage-sms".to_owned()),
        provider: ["user=me", "from=Kontalk", "secret_file=/x"].map(str::to_owned).to_vec(),
        ..minimal()
    };
    let plan = draft.finish().unwrap();
    let filled = fill(SAMPLE, SAMPLE, &plan.settings).unwrap();
    let mut second = Draft::default();
    second.remember(SAMPLE, &filled.text);
    let again = fill(SAMPLE, &filled.text, &second.finish().unwrap().settings).unwrap();
    assert_eq!((again.text, again.set), (filled.text, vec![]));
}

#[test]
fn records_and_ports_are_those_of_the_configuration() {
    let reach = guide::Reach {
        domain: "node.example".to_owned(),
        host: "pi.node.example".to_owned(),
        addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        clients: vec![5222],
        clients_tls: vec![443, 5223],
        servers: vec![0],
        servers_tls: vec![5270],
        web: vec![5280],
    };
    let records: Vec<String> = guide::records(&reach).iter().map(ToString::to_string).collect();
    assert_eq!(
        records,
        [
            "pi.node.example. 3600 IN A 192.0.2.7",
            "pi.node.example. 3600 IN AAAA 2001:db8::7",
            "_xmpp-client._tcp.node.example. 3600 IN SRV 0 5 5222 pi.node.example.",
            "_xmpps-client._tcp.node.example. 3600 IN SRV 0 5 443 pi.node.example.",
            "_xmpps-client._tcp.node.example. 3600 IN SRV 0 5 5223 pi.node.example.",
            "_xmpps-server._tcp.node.example. 3600 IN SRV 0 5 5270 pi.node.example.",
        ]
    );
    for (certificate, numbers) in [
        (Certificate::Files, vec![5222, 443, 5223, 5270, 5280]),
        (Certificate::Acme(Challenge::Http01), vec![5222, 443, 5223, 5270, 5280, 80]),
        (Certificate::Acme(Challenge::TlsAlpn01), vec![5222, 443, 5223, 5270, 5280]),
    ] {
        let ports: Vec<u16> = guide::ports(&reach, certificate).iter().map(|port| port.number).collect();
        assert_eq!(ports, numbers);
    }
}
