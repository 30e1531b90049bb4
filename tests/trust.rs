//! Trust in other nodes, against a real node and without any connection to the other: cards, trust by the operator's word, visitors
//! who come and must go, what GnuPG and Sequoia see of it, and the recovery words that are shown once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/home.rs"]
mod home;
#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use home::Home;
use kontalk_node::pgp::UserRing;
use kontalk_node::stanza::Timestamp;
use kontalk_node::trust::Introduction;
use kontalk_node::xml::{Element, ns};
use person::Person;
use serde_json::Value;
use support::client::{Client, Connect, Lost};
use support::gnupg::GnupgHome;
use support::node::{DOMAIN, Node, NodeOptions};
use support::{body, secret};

const HOME: &str = "a.example";

fn node() -> Node {
    Node::start(NodeOptions::default())
}

/// Runs `trust …`, which must succeed; gives what it said.
fn trust(node: &Node, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(node, arguments, "");
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The same, which must be refused; gives the complaint.
fn refused(node: &Node, arguments: &[&str], input: &str) -> String {
    let Output { status, stderr, .. } = run(node, arguments, input);
    assert_eq!(status.code(), Some(1), "{arguments:?}");
    String::from_utf8(stderr).unwrap()
}

fn run(node: &Node, arguments: &[&str], input: &str) -> Output {
    let words: Vec<&str> = ["trust"].into_iter().chain(arguments.iter().copied()).collect();
    node.cli_with_input(&words, input)
}

fn add(node: &Node, home: &Home, seq: u64) {
    let arguments =
        ["add", home.domain.as_str(), "--card", "-", "--fingerprint", &home.fingerprint()].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run(node, &arguments, &home.introduction(seq));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One row of `trust list --json`.
fn facts(node: &Node, domain: &str) -> Value {
    let list: Value = serde_json::from_str(&trust(node, &["list", "--json"])).unwrap();
    let rows = list["nodes"].as_array().unwrap();
    rows.iter().find(|row| row["node"] == domain).cloned().unwrap_or(Value::Null)
}

fn login(person: &Person) -> Result<Client, String> {
    let mut client = person.with_certificate();
    client.external("")?;
    Ok(client)
}

/// Reads until the stream ends, which must be for the end of trust, within 5 s. Gives home and reason.
fn sent_away(client: &mut Client) -> (String, String) {
    let begun = Instant::now();
    let error = loop {
        let element = client.read_any().expect("the stream's error before its end");
        if element.is("error", ns::STREAM) {
            break element;
        }
    };
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    assert!(error.child("policy-violation", ns::STREAM_ERRORS).is_some(), "{error:?}");
    let ended = error.child("trust-ended", ns::KONTALK_NET).expect("the reason");
    let attribute = |name| ended.attribute(name).unwrap_or_default().to_owned();
    (attribute("home"), attribute("reason"))
}

fn visitor_marker(presence: &Element) -> Option<&str> {
    presence.child("visitor", ns::KONTALK_NET)?.attribute("home")
}

#[test]
fn a_user_of_another_node_comes_in_while_it_is_trusted_and_not_before_or_after() {
    let node = node();
    let home = Home::new(HOME, 1);
    let anna = home.user(0, "+393351230001", Connect::to(&node));
    assert_eq!(login(&anna).err().as_deref(), Some("not-authorized"));
    node.log_says("may not visit: check 4: the home a.example is not known here");

    add(&node, &home, 1);
    assert_eq!(facts(&node, HOME)["state"], "TRUSTED");
    let mut app = anna.online();
    assert_eq!(app.bare(), format!("{}@{DOMAIN}", anna.number.localpart), "a visitor has an address here");
    assert_eq!(facts(&node, HOME)["visitors"], 1);

    // Contacts see where he is from, and he cannot say otherwise.
    node.add_account("bob");
    let mut bob = Client::online(&node, "bob", "phone");
    app.befriend(&mut bob);
    app.send(&format!(
        "<presence><visitor xmlns='{}' home='x@evil.example'/><status>here</status></presence>",
        ns::KONTALK_NET
    ));
    let seen = bob.expect("the presence", |el| el.child("status", ns::CLIENT).is_some_and(|s| s.text() == "here"));
    assert_eq!(visitor_marker(&seen), Some(home.address(&anna.number).as_str()));
    bob.send(&format!(
        "<presence><visitor xmlns='{}' home='x@evil.example'/><status>bob</status></presence>",
        ns::KONTALK_NET
    ));
    let seen = app.expect("the presence", |el| el.child("status", ns::CLIENT).is_some_and(|s| s.text() == "bob"));
    assert_eq!(visitor_marker(&seen), None);

    // Messages both ways and a roster, while the home is off, as it is all the time here.
    let words = body("to the visitor");
    bob.say(&app.bare(), &words);
    app.expect_body(&words);
    let words = body("from the visitor");
    app.say(&bob.bare(), &words);
    bob.expect_body(&words);
    assert_eq!(app.roster().1.len(), 1);

    // He comes by his key alone.
    let password = format!(
        "<query xmlns='{}'><username>{}</username><password>secret words</password></query>",
        ns::REGISTER,
        anna.number.localpart
    );
    let refusal = app.ask("set", Some(DOMAIN), &password).unwrap_err();
    assert!(format!("{refusal:?}").contains("not-acceptable"), "{refusal:?}");
    let listed = String::from_utf8(node.cli(&["account", "list"]).stdout).unwrap();
    assert!(listed.contains(&format!("visits from {}", home.address(&anna.number))), "{listed}");

    let said = trust(&node, &["revoke", HOME, "--reason", "operator unreachable"]);
    assert!(said.contains("0x30"), "{said}");
    assert_eq!(sent_away(&mut app), (HOME.to_owned(), "revoked".to_owned()));
    assert_eq!(login(&anna).err().as_deref(), Some("not-authorized"));
    node.log_says("may not visit: check 4: the home a.example is REVOKED here");
    node.log_says("trust: a.example is REVOKED, key");
    let row = facts(&node, HOME);
    assert_eq!((&row["state"], &row["reason"]), (&Value::from("REVOKED"), &Value::from("operator unreachable")));

    // What came meanwhile waits for him, and trust can be given again, without the card.
    let words = body("while he was out");
    bob.say(&format!("{}@{DOMAIN}", anna.number.localpart), &words);
    bob.roundtrip();
    trust(&node, &["add", HOME, "--fingerprint", &home.fingerprint()]);
    let mut app = anna.online();
    app.expect_body(&words);
    assert_eq!(app.roster().1.len(), 1);
}

#[test]
fn a_session_that_waits_for_its_client_ends_with_the_trust() {
    let mut node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let mut anna = home.user(0, "+393351230002", Connect::to(&node));
    let waiting = anna.online().cut().expect("a session that can be resumed");
    trust(&node, &["revoke", HOME]);
    trust(&node, &["add", HOME, "--fingerprint", &home.fingerprint()]);
    // Trusted again: he may come in, but what was cut off stays cut off.
    let mut client = login(&anna).unwrap();
    assert_eq!(client.resume(&waiting), Err("item-not-found".to_owned()));
    drop(client);

    // The same while the node is off: it looks when it starts.
    let waiting = anna.online().cut().expect("a session that can be resumed");
    node.sigterm();
    let said = trust(&node, &["deny", HOME]);
    assert!(said.contains("no node runs"), "{said}");
    node.start_again();
    anna.how = Connect::to(&node);
    assert_eq!(login(&anna).err().as_deref(), Some("not-authorized"));
    trust(&node, &["undeny", HOME]);
    assert_eq!(facts(&node, HOME)["state"], "REVOKED");
    trust(&node, &["add", HOME, "--fingerprint", &home.fingerprint()]);
    let mut client = login(&anna).unwrap();
    assert_eq!(client.resume(&waiting), Err("item-not-found".to_owned()));
}

#[test]
fn deny_comes_before_everything_until_it_is_taken_back() {
    let node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let mut app = home.user(0, "+393351230003", Connect::to(&node)).online();
    trust(&node, &["deny", HOME, "--reason", "spam"]);
    assert_eq!(sent_away(&mut app), (HOME.to_owned(), "denied".to_owned()));
    let complaint = refused(&node, &["add", HOME, "--fingerprint", &home.fingerprint()], "");
    assert!(complaint.contains("undeny"), "{complaint}");
    assert!(refused(&node, &["revoke", HOME], "").contains("denied"));
    trust(&node, &["undeny", HOME]);
    assert!(refused(&node, &["undeny", HOME], "").contains("not denied"));

    // A node of which nothing is known can be denied as well.
    trust(&node, &["deny", "evil.example"]);
    assert_eq!(facts(&node, "evil.example")["state"], "DENIED");
    trust(&node, &["undeny", "evil.example"]);
    assert_eq!(facts(&node, "evil.example"), Value::Null);
}

#[test]
fn only_the_right_card_with_the_right_fingerprint_is_trusted() {
    let node = node();
    let home = Home::new(HOME, 1);
    let other = Home::new("b.example", 2);
    let card = home.introduction(1);
    let add = |domain: &str, fingerprint: &str, card: &str| {
        refused(&node, &["add", domain, "--card", "-", "--fingerprint", fingerprint], card)
    };
    assert!(add(HOME, &other.fingerprint(), &card).contains("does not match"));
    assert!(add("b.example", &home.fingerprint(), &card).contains("is of a.example"));
    assert!(add(DOMAIN, &home.fingerprint(), &card).contains("this node itself"));
    assert!(add("not a domain", &home.fingerprint(), &card).contains("not the domain"));
    assert!(add(HOME, &home.fingerprint(), "hello").contains("no card of a node"));
    let forged = card.replace("vote a.example/vote+", "vote b.example/vote+");
    assert!(add(HOME, &home.fingerprint(), &forged).contains("cannot be read"));
    let signature = card.lines().find(|line| line.starts_with("— a.example/vote")).unwrap();
    assert!(add(HOME, &home.fingerprint(), &card.replacen(&format!("{signature}\n"), "", 1)).contains("vote key"));
    assert!(refused(&node, &["add", HOME, "--fingerprint", &home.fingerprint()], "").contains("nothing is known"));
    assert!(refused(&node, &["add", HOME, "--card", "-"], &card).contains("--fingerprint"));
    assert_eq!(facts(&node, HOME), Value::Null);
    // In groups and in small letters it is the same.
    let grouped: String =
        home.fingerprint().to_lowercase().chars().enumerate().fold(String::new(), |mut text, (at, c)| {
            if at > 0 && at % 4 == 0 {
                text.push(' ');
            }
            text.push(c);
            text
        });
    run(&node, &["add", HOME, "--card", "-", "--fingerprint", &grouped], &card);
    assert_eq!(facts(&node, HOME)["state"], "TRUSTED");
    let shown = trust(&node, &["show", HOME]);
    assert!(shown.contains("kontalk-card-v1") && shown.contains("s2s 203.0.113.7:5269"), "{shown}");
    assert!(trust(&node, &["list"]).contains("clock: ok"));
}

#[test]
fn a_recovered_node_is_trusted_on_and_its_stolen_key_is_not() {
    let node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let old_card = home.introduction(1);
    let (old_key, before) = (home.fingerprint(), home.user(0, "+393351230004", Connect::to(&node)));
    let home = home.recovered();
    let after = home.user(1, "+393351230005", Connect::to(&node));
    assert_eq!(login(&after).err().as_deref(), Some("not-authorized"), "the new key is not known yet");
    add(&node, &home, 2);
    assert_eq!(facts(&node, HOME)["state"], "TRUSTED");
    assert!(login(&after).is_ok());
    // Without a cut, what the former key certified goes on.
    assert!(login(&before).is_ok());
    let complaint = refused(&node, &["add", HOME, "--card", "-", "--fingerprint", &old_key], &old_card);
    assert!(complaint.contains("older card"), "{complaint}");
}

#[test]
fn a_name_that_is_taken_is_not_given_to_a_visitor() {
    let mut node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let mut bruno = Person::new(0, "+393351230006", Connect::to(&node));
    bruno.register(&mut node, false);
    // Somebody else's key with the same number, certified by a home that lies.
    let stranger = home.user(1, "+393351230006", Connect::to(&node));
    assert_eq!(login(&stranger).err().as_deref(), Some("not-authorized"));
    node.log_says("is an account of this node with another key");

    // A visitor from one home; another home's user of the same number is refused, a newer key of the first comes in.
    let visitor = home.user(2, "+393351230007", Connect::to(&node));
    visitor.online().close();
    let second = Home::new("b.example", 2);
    add(&node, &second, 1);
    assert!(login(&second.user(3, "+393351230007", Connect::to(&node))).is_err());
    node.log_says("is a visitor from a.example with another key");
    let created = SystemTime::now() - Duration::from_secs(600);
    let renewed = home.user_since(3, "+393351230007", Connect::to(&node), created);
    assert!(login(&renewed).is_ok());
    assert!(login(&visitor).is_err(), "the older key does not come back");
    node.log_says("this one is not newer");
}

#[test]
fn a_visitor_who_registers_is_at_home_and_keeps_what_he_had() {
    let mut node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let created = SystemTime::now() - Duration::from_secs(3600);
    let number = support::registration::Number::new("+393351230008");
    let ids = [HOME, DOMAIN].map(|domain| format!("Anna <{}@{domain}>", number.localpart));
    let recipe = keys::Recipe { user_ids: vec![ids[1].clone()], ..keys::Recipe::new("", created) };
    let key = keys::ClientKey::cook(0, recipe);
    // The same key with its other user id alone, as it was when he lived there.
    let there =
        keys::ClientKey::cook(0, keys::Recipe { user_ids: vec![ids[0].clone()], ..keys::Recipe::new("", created) });
    assert_eq!(key.fingerprint(), there.fingerprint());
    let ring = UserRing::parse(&there.public_ring()).unwrap();
    let now = Timestamp::from_system(SystemTime::now());
    let ring = home.key.certify(&ring, &home.address(&number), now).unwrap().to_bytes();
    let how = Connect::to(&node);
    let visitor = Person { number: number.clone(), key: there, ring, how: how.clone(), device: "810eb5848f151178" };
    let mut app = visitor.online();
    app.ask("set", None, &format!("<query xmlns='{}'><item jid='x@{DOMAIN}'/></query>", ns::ROSTER)).unwrap();
    app.close();

    let mut resident = Person { number, ring: key.public_ring(), key, how, device: "810eb5848f151178" };
    resident.register(&mut node, false);
    let mut app = resident.online();
    assert_eq!(app.roster().1.len(), 1);
    app.close();
    assert_eq!(facts(&node, HOME)["visitors"], 0);
    // By the name of his former home he is himself, and no visitor; whatever becomes of that home.
    assert!(login(&visitor).is_ok());
    trust(&node, &["revoke", HOME]);
    assert!(resident.with_certificate().external("").is_ok());
}

#[test]
fn quotas_hold() {
    let mut options = NodeOptions::default();
    options.add_config("trust.visitors_per_home_max = 1");
    options.add_config("trust.visitor_logins_per_hour_max = 2");
    let node = Node::start(options);
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let anna = home.user(0, "+393351230009", Connect::to(&node));
    assert!(login(&anna).is_ok());
    assert!(login(&home.user(1, "+393351230010", Connect::to(&node))).is_err());
    node.log_says("check 10: too many visitors from a.example");
    assert!(login(&anna).is_ok());
    assert!(login(&anna).is_err());
    node.log_says("check 10: too many logins from a.example");
}

#[test]
fn the_recovery_words_are_shown_once_and_are_nowhere() {
    let mut node = node();
    node.log_says("this node has no card yet");
    assert!(refused(&node, &["card"], "").contains("--make"));
    let made = run(&node, &["card", "--make"], "");
    assert!(made.status.success());
    let shown = String::from_utf8(made.stderr).unwrap();
    let words: Vec<&str> =
        shown.split_whitespace().filter(|word| word.bytes().all(|b| b.is_ascii_lowercase())).collect();
    let words = &words[words.len() - 24..];
    let phrase = secret(words.join(" "));
    let parsed = kontalk_node::trust::RecoveryWords::parse(&phrase).expect("these are the words");
    let introduction = Introduction::parse(&String::from_utf8(made.stdout).unwrap()).unwrap();
    let card = introduction.card.card();
    assert_eq!(parsed.signer(&card.domain).unwrap().public().key(), &card.recovery);
    let reach = introduction.reach.expect("a reach");
    assert_eq!((reach.reach().seq, reach.reach().card), (1, card.id()));

    // Once: asked again, only the card comes, and it is the same after a restart.
    let again = run(&node, &["card", "--make"], "");
    assert!(again.stderr.is_empty(), "{}", String::from_utf8_lossy(&again.stderr));
    node.sigterm();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(node.data_dir().join("node-keys")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    // No file holds two of them behind each other, nor the bits that they are.
    for file in files(&node.data_dir()) {
        let bytes = fs::read(&file).unwrap();
        let pair = format!("{} {}", words[10], words[11]);
        assert!(!bytes.windows(pair.len()).any(|window| window == pair.as_bytes()), "{}", file.display());
    }
    // Another TLS key: the reach follows.
    fs::remove_file(node.data_dir().join(kontalk_node::net::SELF_MADE_CERTIFICATE)).unwrap();
    fs::remove_file(node.data_dir().join(kontalk_node::net::SELF_MADE_KEY)).unwrap();
    node.start_again();
    node.log_says("made reach 2");
    let text = trust(&node, &["card"]);
    let later = Introduction::parse(&text).unwrap();
    assert_eq!(later.card, introduction.card);
    let later = later.reach.unwrap();
    assert_eq!(later.reach().seq, 2);
    assert_ne!(later.reach().tls, reach.reach().tls);

    // Whoever asks gets the same.
    node.add_account("bob");
    let mut bob = Client::online(&node, "bob", "phone");
    let asked = bob.ask("get", Some(DOMAIN), &format!("<introduction xmlns='{}'/>", ns::KONTALK_NET)).unwrap().unwrap();
    let told = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, asked.text()).unwrap();
    assert_eq!(String::from_utf8(told).unwrap().trim_end(), text.trim_end());

    // Another node takes it.
    let other = Node::start(NodeOptions::default());
    assert!(
        refused(&other, &["add", DOMAIN, "--card", "-", "--fingerprint", "00"], &text).contains("this node itself")
    );
}

#[test]
fn gnupg_and_sequoia_see_certification_and_revocation_as_they_are_meant() {
    let node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let own = String::from_utf8(node.cli(&["key", "fingerprint"]).stdout).unwrap().trim().to_owned();
    let gpg = Gpg::new("trust");
    gpg.import(&node.cli(&["key", "export"]).stdout);
    gpg.import(trust(&node, &["show", HOME, "--key"]).as_bytes());
    let listing = gpg.signatures(&home.fingerprint());
    let by_us = |listing: &str, kind: &str| -> Vec<String> {
        let of_us = |line: &&str| line.starts_with(kind) && line.contains(&own) && line.split(':').nth(1) == Some("!");
        listing.lines().filter(of_us).map(str::to_owned).collect()
    };
    let certified = by_us(&listing, "sig:");
    assert_eq!(certified.len(), 1, "{listing}");
    let fields: Vec<&str> = certified[0].split(':').collect();
    assert_eq!(fields[10], "13x", "manual, exportable: {listing}");
    assert_eq!(
        (fields[7], fields[8]),
        ("1 120", "<[^>]+@a\\x5c.example>$"),
        "depth, amount, and whom it may introduce"
    );
    let (made, ends): (u64, u64) = (fields[5].parse().unwrap(), fields[6].parse().unwrap());
    assert_eq!(ends - made, 400 * 86_400);

    let notations = gpg.run(&["--list-options", "show-notations", "--check-signatures", &home.fingerprint()]);
    assert!(notations.contains("trust@kontalk.net=manual"), "{notations}");
    let sq = sq_inspect(trust(&node, &["show", HOME, "--key"]).as_bytes());
    for expected in ["xmpp:a.example", &own, "Trust depth: 1", "Trust amount: 120", "@a\\\\.example>$"] {
        assert!(sq.contains(expected), "{expected} is missing in {sq}");
    }
    assert!(!sq.contains("Bad Signature"), "{sq}");

    trust(&node, &["revoke", HOME]);
    gpg.import(trust(&node, &["show", HOME, "--key"]).as_bytes());
    let listing = gpg.signatures(&home.fingerprint());
    let revoked = by_us(&listing, "rev:");
    assert_eq!(revoked.len(), 1, "{listing}");
    let reason: Vec<&str> = revoked[0].split(':').collect();
    assert!(reason[10].starts_with("30x"), "{listing}");

    // Made within the second of the certification, the revocation bears the next one; until then it is of the future to others.
    let key = trust(&node, &["show", HOME, "--key"]);
    let begun = Instant::now();
    let sq = loop {
        let sq = sq_inspect(key.as_bytes());
        if sq.contains("Possibly revoked") || begun.elapsed() > Duration::from_secs(10) {
            break sq;
        }
    };
    let issued = format!("Issued by {own}");
    for expected in ["Possibly revoked", "User ID information is no longer valid", &issued] {
        assert!(sq.contains(expected), "{expected} is missing in {sq}");
    }

    // Certified again, later than the revocation: a soft one is lifted.
    trust(&node, &["add", HOME, "--fingerprint", &home.fingerprint()]);
    let ring = trust(&node, &["show", HOME, "--key"]);
    let ring = UserRing::parse_armored(ring.as_bytes()).unwrap();
    let own = UserRing::parse(&node.cli(&["key", "export"]).stdout).unwrap();
    let statements = ring.node_statements(HOME, &own);
    assert!(statements.certifications[0].at > statements.revocations[0]);
}

#[test]
fn a_clock_set_back_lets_no_visitor_in_and_says_what_to_do() {
    let mut node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let mut anna = home.user(0, "+393351230011", Connect::to(&node));
    node.sigterm();
    // The floor as a clock in the far future would have left it.
    let store = kontalk_node::store::Store::open(&node.data_dir().join("store")).unwrap();
    let future = Timestamp::from_system(SystemTime::now() + Duration::from_secs(86_400));
    store.raise_clock_floor(future).unwrap();
    store.close().unwrap();
    drop(store);
    node.start_again();
    anna.how = Connect::to(&node);
    node.log_says("no visitors are let in: the clock is");
    assert_eq!(login(&anna).err().as_deref(), Some("temporary-auth-failure"));
    node.log_says("may not visit: check 6");
    trust(&node, &["clock"]);
    assert!(login(&anna).is_ok());
}

#[test]
fn a_visitor_is_found_at_home_and_not_here() {
    let mut node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let visitor = home.user(0, "+393351230012", Connect::to(&node));
    let app = visitor.online();
    let mut bruno = Person::new(1, "+393351230013", Connect::to(&node));
    bruno.register(&mut node, false);
    let items = format!("<item jid='{}'/><item jid='{}'/>", visitor.number.address(), bruno.number.address());
    let query = format!("<query xmlns='{}'>{items}</query>", ns::KONTALK_ROSTER);
    let found = bruno.online().ask("get", Some(&format!("probe@{DOMAIN}")), &query).unwrap().unwrap();
    let jids: Vec<&str> = found.children().filter_map(|item| item.attribute("jid")).collect();
    assert_eq!(jids, [bruno.number.address()]);
    app.close();
}

#[test]
fn the_end_of_a_login_that_was_judged_before_the_revocation_is_the_bind() {
    let node = node();
    let home = Home::new(HOME, 1);
    add(&node, &home, 1);
    let mut late = login(&home.user(0, "+393351230014", Connect::to(&node))).unwrap();
    trust(&node, &["revoke", HOME]);
    late.send_raw(&format!("<iq type='set' id='b'><bind xmlns='{}'/></iq>", ns::BIND));
    assert_eq!(late.expect_end(), Lost::StreamError("policy-violation".to_owned()));
}

fn files(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// GnuPG with a home of its own.
struct Gpg(GnupgHome);

impl Gpg {
    fn new(name: &str) -> Gpg {
        Gpg(GnupgHome::new(name))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.0.gpg();
        command.args(arguments);
        output(command, "gnupg")
    }

    fn import(&self, ring: &[u8]) {
        let file = self.0.0.join("input");
        fs::write(&file, ring).unwrap();
        self.run(&["--import", file.to_str().unwrap()]);
    }

    fn signatures(&self, fingerprint: &str) -> String {
        self.run(&["--with-colons", "--check-signatures", fingerprint])
    }
}

fn sq_inspect(ring: &[u8]) -> String {
    let path = std::env::temp_dir().join(format!("sq-trust-{}", std::process::id()));
    fs::write(&path, ring).unwrap();
    let mut command = Command::new("sq");
    command.args(["inspect", "--certifications"]).arg(&path);
    let text = output(command, "sq");
    fs::remove_file(&path).unwrap();
    text
}

/// Runs a program that must be there and succeed.
fn output(mut command: Command, package: &str) -> String {
    let done = match command.output() {
        Ok(done) => done,
        Err(error) => panic!("{command:?}: {error} (remedy: apt-get install {package}; tests/run does it)"),
    };
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_node_restored_from_its_backup_is_who_it_was_and_trusts_whom_it_trusted() {
    let mut node = node();
    let home = Home::new(HOME, 1);
    let anna = home.user(0, "+393351230001", Connect::to(&node));
    add(&node, &home, 1);
    assert!(run(&node, &["card", "--make"], "").status.success());
    anna.online().close();
    let passphrase = node.config_path().with_file_name("passphrase");
    fs::write(&passphrase, secret("four words of nonsense")).unwrap();
    let file = node.config_path().with_file_name("node.age");
    let (passphrase, file) = (passphrase.to_str().unwrap(), file.to_str().unwrap());
    let output = node.cli(&["backup", "--to", file, "--passphrase-file", passphrase]);
    assert!(output.status.success(), "{output:?}");
    let (card, reach) = card_and_reach(&node);
    let key = node.cli(&["key", "export"]).stdout;

    node.sigterm();
    fs::rename(node.data_dir(), node.config_path().with_file_name("lost")).unwrap();
    let output = node.cli(&["restore", file, "--passphrase-file", passphrase]);
    assert!(output.status.success(), "{output:?}");
    let verified = node.cli(&["verify-data"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    node.start_again();
    let (card_again, reach_again) = card_and_reach(&node);
    assert_eq!((card_again, node.cli(&["key", "export"]).stdout), (card, key));
    // What was given since the backup is not known, so its number leaps over all that can have been.
    assert!(seq(&reach_again) > seq(&reach) + 1, "{reach_again}");
    assert_eq!(facts(&node, HOME)["state"], "TRUSTED");
    let again = Person { how: Connect::to(&node), ..anna };
    login(&again).expect("the visitor comes again").close();
}

/// The node's card with its key, and its reach.
fn card_and_reach(node: &Node) -> (String, String) {
    let all = trust(node, &["card"]);
    let (card, reach) = all.split_once("kontalk-reach-v1").unwrap();
    (card.to_owned(), reach.to_owned())
}

/// The number of a reach.
fn seq(reach: &str) -> u64 {
    reach.lines().find_map(|line| line.strip_prefix("seq ")).unwrap().parse().unwrap()
}
