//! A node's identity survives the loss of its machine: from a backup file and 24 words on paper to a node that its users and its peers
//! know again, in real processes. And a visitor's groups, while his home is off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
mod support;

use std::fs;
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::BridgeCertificate;
use kontalk_node::pgp::UserRing;
use kontalk_node::trust::Introduction;
use kontalk_node::xml::ns;
use person::Person;
use support::client::{Client, ClientCertificate, Connect};
use support::node::{DOMAIN, Node, NodeOptions};
use support::{body, secret};

const HOME: &str = "home.kontalk.test";

fn home() -> Node {
    Node::start(NodeOptions { domain: HOME, ..NodeOptions::default() })
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Makes the card; gives the words as they are shown.
fn make_card(node: &Node) -> String {
    let made = node.cli(&["trust", "card", "--make"]);
    let shown = String::from_utf8(made.stderr).unwrap();
    let words: Vec<&str> =
        shown.split_whitespace().filter(|word| word.bytes().all(|b| b.is_ascii_lowercase())).collect();
    secret(words[words.len() - 24..].join(" "))
}

fn trust(here: &Node, home: &Node) {
    let fingerprint = text(&home.cli(&["key", "fingerprint"])).trim().to_owned();
    let card = text(&home.cli(&["trust", "card"]));
    let add = ["trust", "add", HOME, "--card", "-", "--fingerprint", &fingerprint];
    text(&here.cli_with_input(&add, &card));
}

fn visit(person: &Person, node: &Node) -> Result<Client, String> {
    let BridgeCertificate { certificate_der, private_key_pkcs8_der } = person.key.bridge_certificate(&person.ring);
    let certificate = ClientCertificate { certificate_der, private_key_pkcs8_der };
    let mut client = Client::connect(&Connect::to(node).certificate(certificate));
    client.external("")?;
    Ok(client)
}

#[test]
fn a_stolen_machine_comes_back_from_backup_and_words_and_everybody_knows_it_again() {
    let (mut home, here) = (home(), Node::start(NodeOptions::default()));
    let words = make_card(&home);
    let at_home = Connect::to(&home);
    let mut anna = Person::new(0, "+393351230030", at_home.clone());
    let mut bea = Person::new(1, "+393351230031", at_home);
    anna.register(&mut home, false);
    bea.register(&mut home, false);
    trust(&here, &home);
    visit(&anna, &here).expect("a user of a trusted node");
    let (mut app, mut friend) = (anna.online(), bea.online());
    app.befriend(&mut friend);
    app.close();
    friend.close();

    // The operator has a backup and a piece of paper.
    let config = home.config_path();
    let file = |name: &str| config.with_file_name(name).to_str().unwrap().to_owned();
    let (passphrase, backup, paper) = (file("passphrase"), file("node.age"), file("paper"));
    fs::write(&passphrase, secret("four words of nonsense")).unwrap();
    text(&home.cli(&["backup", "--to", &backup, "--passphrase-file", &passphrase]));
    let before = text(&home.cli(&["key", "fingerprint"]));
    fs::write(&paper, &words).unwrap();
    let refused = home.cli(&["node", "recover", "--words-file", &paper]);
    assert_eq!(refused.status.code(), Some(1), "not while it runs");

    home.sigterm();
    fs::rename(home.data_dir(), file("stolen")).unwrap();
    text(&home.cli(&["restore", &backup, "--passphrase-file", &passphrase]));
    let done = text(&home.cli(&["node", "recover", "--stolen", "--words-file", &paper]));
    assert!(done.contains("2 users are certified by it"), "{done}");
    home.start_again();
    home.log_says("the data were restored on ");
    let after = text(&home.cli(&["key", "fingerprint"]));
    assert_ne!(after, before);
    let card = Introduction::parse(&text(&home.cli(&["trust", "card"]))).unwrap();
    assert_eq!((card.card.card().cut, card.card.card().generation()), (Some(0), 2));
    assert!(card.reach.unwrap().reach().seq > 1000, "above all that others can have seen");
    assert!(!home.data_dir().join("restored.json").exists(), "the mark has done its work");

    // Her app, which knows nothing of it, logs in as ever and finds its roster; then it fetches its key, as it does at each sync.
    let after: kontalk_node::pgp::Fingerprint = after.trim().parse().unwrap();
    let anna = Person { how: Connect::to(&home), ..anna };
    let mut app = anna.online();
    assert_eq!(app.roster().1.len(), 1);
    let pubkey = format!("<pubkey xmlns='{}'/>", ns::KONTALK_PUBKEY);
    let own = app.ask("get", Some(&anna.number.address()), &pubkey).unwrap().unwrap();
    let anna = Person { ring: STANDARD.decode(own.text()).unwrap(), ..anna };
    let ring = UserRing::parse(&anna.ring).unwrap();
    let by_new = ring.clone().without_foreign_certifications(&[after]);
    assert_ne!(by_new, ring.without_foreign_certifications(&[]), "the new key certified it");
    app.close();
    anna.online().close();

    // Her home is trusted on. What the stolen key certified counts no more: her friend, who was not at home since, is not let in.
    trust(&here, &home);
    let shown = text(&here.cli(&["trust", "show", HOME]));
    assert!(shown.contains("TRUSTED"), "{shown}");
    visit(&anna, &here).expect("certified by the new key");
    assert_eq!(visit(&bea, &here).err().as_deref(), Some("not-authorized"));
    here.log_says("may not visit: check 7");
}

#[test]
fn a_visitors_groups_work_while_his_home_is_off() {
    let (mut home, here) = (home(), Node::start(NodeOptions::default()));
    make_card(&home);
    let mut anna = Person::new(0, "+393351230032", Connect::to(&home));
    anna.register(&mut home, false);
    trust(&here, &home);
    home.sigterm();

    let mut visitor = visit(&anna, &here).expect("the home is not needed");
    visitor.bind(Some(anna.device));
    visitor.enable_sm(true);
    visitor.send("<presence/>");
    visitor.roundtrip();
    here.add_account("bob");
    here.add_account("carla");
    let mut bob = Client::online(&here, "bob", "phone");
    let mut carla = Client::online(&here, "carla", "phone");
    let group = |others: [&str; 2], words: &str| {
        let to: String = others.iter().map(|to| format!("<address type='to' jid='{to}'/>")).collect();
        format!(
            "<message type='chat' id='g' to='multicast@{DOMAIN}'><addresses xmlns='{}'>{to}</addresses>\
             <group xmlns='http://kontalk.org/extensions/message#group' id='g1' owner='o'/><body>{words}</body></message>",
            ns::ADDRESS
        )
    };
    let her = visitor.bare();
    assert_eq!(her, format!("{}@{DOMAIN}", anna.number.localpart));
    let words = body("from the visitor");
    visitor.send(&group([&bob.bare(), &carla.bare()], &words));
    visitor.wait_acked();
    for client in [&mut bob, &mut carla] {
        let heard = client.expect_body(&words);
        assert!(heard.child("group", "http://kontalk.org/extensions/message#group").is_some(), "{heard:?}");
        assert!(heard.child("addresses", ns::ADDRESS).is_none());
        assert!(heard.attribute("from").is_some_and(|from| from.starts_with(&her)));
    }
    let words = body("to the visitor");
    bob.send(&group([&her, &carla.bare()], &words));
    visitor.expect_body(&words);
    carla.expect_body(&words);
    // What is said while she is away waits for her here.
    visitor.close();
    let words = body("while she is away");
    carla.send(&group([&her, &bob.bare()], &words));
    bob.expect_body(&words);
    let mut again = visit(&anna, &here).unwrap();
    again.bind(Some(anna.device));
    again.send("<presence/>");
    again.expect_body(&words);
}
