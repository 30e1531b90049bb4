//! A whole node that sends its codes through a provider: users register by the code that only the provider saw, and hear the
//! truth when it does not take the message. The log and everything on the disk is searched for what must not be there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/keys.rs"]
mod keys;
#[path = "support/person.rs"]
mod person;
#[path = "support/provider_stub.rs"]
mod provider_stub;
mod support;

use std::fs;
use std::path::Path;

use person::Person;
use provider_stub::{Authority, Reply, Stub};
use support::client::Connect;
use support::node::{Node, NodeOptions};
use support::secret;
use support::stanzas::Refused;

const TAKEN: &str = r#"{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued"}"#;

fn node(stub: &Stub, authority: &Authority) -> Node {
    let mut options = NodeOptions::default();
    options.files.push(("ca.pem".into(), authority.pem.clone()));
    options.files.push(("provider.secret".into(), secret("t0p-s3cr3t")));
    options.add_config("sms.via = \"stub\"");
    let lines = format!(
        "kind = \"twilio-sms\"\naccount = \"AC0123456789abcdef0123456789abcdef\"\nfrom = \"Kontalk\"\nurl = \"{}\"\n\
         secret_file = \"provider.secret\"\nca_file = \"ca.pem\"\n",
        stub.url()
    );
    options.sections.insert("sms.http.stub".into(), lines);
    Node::start(options)
}

/// The code of the one message that the provider was given, which is for this number.
fn code(stub: &Stub, number: &str) -> String {
    let form = stub.asked_once().form();
    assert!(form.contains(&format!("To={number}")), "the message is for somebody else");
    let body = form.iter().find_map(|field| field.strip_prefix("Body=")).expect("a text");
    secret(body.chars().filter(char::is_ascii_digit).collect::<String>())
}

#[test]
fn users_register_by_a_code_that_a_provider_sent() {
    let authority = Authority::new();
    let stub = Stub::start(&authority);
    let node = node(&stub, &authority);
    node.log_says("codes go out by stub: Twilio Messages at 127.0.0.1:");
    let how = Connect::to(&node);
    let mut anna = Person::new(1, "+15555215554", how.clone());

    // Not taken: the user is told, and may ask again.
    for reply in [
        Reply::json(400, r#"{"code":21211,"message":"The 'To' number +15555215554 is not valid."}"#),
        Reply::json(401, r#"{"code":20003,"message":"Authenticate"}"#),
    ] {
        stub.then(reply);
        let refused = anna.stranger().request_code(&anna.number, false);
        let Err(Refused { condition, .. }) = refused else { panic!("nothing was sent") };
        assert_eq!(condition, "not-acceptable");
        code(&stub, &anna.number.e164);
    }
    node.log_says("a code was not sent: the message was not sent: the provider cannot reach this number by SMS");
    node.log_says("a code was not sent: the message may not be sent: the provider does not accept user and secret");

    // Taken.
    stub.then(Reply::json(201, TAKEN));
    anna.stranger().request_code(&anna.number, false).unwrap();
    let certified = anna.with_certificate().submit_code(&code(&stub, &anna.number.e164)).unwrap();
    anna.ring = certified;
    anna.online();

    // Taken, and the answer lost: the user is asked for the code all the same, and nothing is sent again.
    let bruno = Person::new(2, "+393351234567", how);
    stub.then(Reply::Close);
    bruno.stranger().request_code(&bruno.number, false).unwrap();
    bruno.with_certificate().submit_code(&code(&stub, &bruno.number.e164)).unwrap();
    node.log_says("a code may not have been sent: the message may have been sent: the provider did not answer");

    let files =
        search(&node.data_dir(), &[&anna.number.e164, &bruno.number.e164, "t0p-s3cr3t", "is your Kontalk code"]);
    assert!(files > 2, "only {files} files were searched");
}

/// No file below this holds one of these. Gives how many files there are.
fn search(dir: &Path, secrets: &[&str]) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += search(&path, secrets);
        } else if let Ok(bytes) = fs::read(&path) {
            files += 1;
            for secret in secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds a secret", path.display());
            }
        }
    }
    files
}
