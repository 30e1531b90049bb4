//! Every form in and out. Kontalk registration, overview of the forms to errors.

use super::*;

#[test]
fn instructions_offer_the_fields_and_terms_only_where_there_are_any() {
    let fields = "<field var='phone' type='text-single' label='Telephone number with + and country code'><required/></field>\
        <field var='force' type='text-single'/>\
        <field var='fallback' type='boolean'/>\
        <field var='challenge' type='list-single'><option label='Code by text message'><value>pin</value></option></field>";
    let terms = "<field var='accept-terms' type='boolean'/>\
        <field var='terms' type='hidden'><value>https://example.org/terms</value></field>";
    for (terms_url, expected) in [(None, ""), (Some(" "), ""), (Some("https://example.org/terms"), terms)] {
        let policy = Policy { terms_url: terms_url.map(str::to_owned), ..policy() };
        assert_eq!(
            registrar(policy).instructions().to_text(ns::CLIENT),
            format!(
                "<query xmlns='jabber:iq:register'><instructions>Accounts here are made with a Kontalk app, for a telephone \
                 number that receives text messages.</instructions><x xmlns='jabber:x:data' type='form'>\
                 <field var='FORM_TYPE' type='hidden'><value>jabber:iq:register</value></field>{fields}{expected}</x></query>"
            )
        );
    }
}

#[test]
fn the_challenge_form_names_its_sender_and_what_else_is_configured() {
    let brand = Brand {
        vector: Some("https://example.org/logo.svg".to_owned()),
        small: Some("https://example.org/s.png".to_owned()),
        medium: Some("https://example.org/m.png".to_owned()),
        large: Some("https://example.org/l.png".to_owned()),
        hd: Some("https://example.org/hd.png".to_owned()),
        link: Some("https://provider.example".to_owned()),
    };
    let fallback = "<field var='can-fallback' type='boolean'><value>1</value></field>";
    let brands = "<field var='brand-image-vector' type='text-single'><value>https://example.org/logo.svg</value></field>\
        <field var='brand-image-small' type='text-single'><value>https://example.org/s.png</value></field>\
        <field var='brand-image-medium' type='text-single'><value>https://example.org/m.png</value></field>\
        <field var='brand-image-large' type='text-single'><value>https://example.org/l.png</value></field>\
        <field var='brand-image-hd' type='text-single'><value>https://example.org/hd.png</value></field>\
        <field var='brand-link' type='text-single'><value>https://provider.example</value></field>";
    let with_brand = Policy { brand, ..policy() };
    let anonymous = Policy { sender: String::new(), ..policy() };
    for (policy, can_fall_back, named, from, rest) in [
        (policy(), false, None, "+12025550123", String::new()),
        (policy(), true, Some("Kontalk"), "Kontalk", fallback.to_owned()),
        (policy(), false, Some(" "), "+12025550123", String::new()),
        (with_brand, false, None, "+12025550123", brands.to_owned()),
        (anonymous, false, None, "example.org", String::new()),
    ] {
        let shown = Shown { from: named, can_fall_back, ..shown(ChallengeKind::Text) };
        assert_eq!(
            registrar(policy).reply(&shown).to_text(ns::CLIENT),
            format!(
                "<query xmlns='jabber:iq:register'><instructions>A code was sent to the telephone.</instructions>\
                 <x xmlns='jabber:x:data' type='form'>\
                 <field var='FORM_TYPE' type='hidden'><value>jabber:iq:register</value></field>\
                 <field var='from' type='text-single'><value>{from}</value></field>\
                 <field var='challenge' type='text-single'><value>pin</value></field>{rest}</x></query>"
            )
        );
    }
}

fn shown<'a>(kind: ChallengeKind) -> Shown<'a> {
    Shown { kind, from: None, can_fall_back: false, under_way: false, word: None }
}

#[test]
fn each_kind_of_challenge_tells_the_client_what_to_do() {
    let word = Word::from_random([0; 5]);
    for (kind, under_way, challenge, words) in [
        (ChallengeKind::Text, true, "pin", "A code is on its way"),
        (ChallengeKind::Provider, false, "pin", "A code was sent"),
        (ChallengeKind::MissedCall, false, "missedcall", "Type in the last digits"),
        (ChallengeKind::CallerId, false, "callerid", "Call +12025550123 from"),
        (ChallengeKind::Word, false, "callerid", "Send the word AAAAAAAA by text message to +12025550123"),
    ] {
        let word = (kind == ChallengeKind::Word).then_some(&word);
        let reply = registrar(policy()).reply(&Shown { under_way, word, ..shown(kind) }).to_text(ns::CLIENT);
        assert!(reply.contains(&format!("<value>{challenge}</value>")) && reply.contains(words), "{reply}");
        assert_eq!(reply.contains("<field var='word' type='text-single'><value>AAAAAAAA</value>"), word.is_some());
    }
    let policy =
        Policy { challenges: vec![ChallengeKind::Text, ChallengeKind::Provider, ChallengeKind::CallerId], ..policy() };
    let offered = registrar(policy).instructions().to_text(ns::CLIENT);
    assert_eq!(offered.matches("<option ").count(), 2, "{offered}");
    assert!(offered.contains("<value>pin</value>") && offered.contains("<value>callerid</value>"));
}

#[test]
fn the_certified_ring_is_one_line_of_base64() {
    let reply = registrar(policy()).certified_reply(&[0xff; 100]).to_text(ns::CLIENT);
    let base64 = "/".repeat(133) + "w==";
    assert_eq!(
        reply,
        format!(
            "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'>\
             <field var='FORM_TYPE' type='hidden'><value>http://kontalk.org/protocol/register#code</value></field>\
             <field var='publickey' type='text-single'><value>{base64}</value></field></x></query>"
        )
    );
}

#[test]
fn a_phone_form_is_read_by_the_names_of_its_fields() {
    let registrar = registrar(policy());
    let phone = "phone= +1 (555) 521-5554";
    for (fields, force, fallback, challenge) in [
        (vec![phone], false, false, None),
        (vec![phone, "force=true", "challenge=pin"], true, false, Some("pin")),
        (vec!["FORM_TYPE=jabber:iq:register", "force=TRUE", "fallback=1", phone], true, true, None),
        (vec!["FORM_TYPE=nonsense", phone, "force=yes", "fallback=0"], false, false, None),
        // A form with both is the phone step's: that field is looked for first.
        (vec!["code=123456", phone, "challenge=telepathy"], false, false, Some("telepathy")),
    ] {
        match registrar.read(&set(&fields), false).unwrap() {
            Request::Phone(form) => {
                assert_eq!(form.number.as_e164(), NUMBER);
                assert_eq!(form.address.to_string(), format!("{LOCALPART}@example.org"));
                assert_eq!(
                    (form.force, form.fallback, form.challenge.as_deref()),
                    (force, fallback, challenge),
                    "{fields:?}"
                );
                assert!(!format!("{form:?}").contains("5554"));
            }
            other => panic!("{fields:?}: {other:?}"),
        }
    }
}

#[test]
fn terms_are_asked_for_before_the_number_is_read() {
    let registrar = registrar(Policy { terms_url: Some("https://example.org/terms".to_owned()), ..policy() });
    let phone = "phone=+15555215554";
    for (fields, refusal) in [
        (vec![phone], Some(Refusal::TermsNotAccepted)),
        (vec!["phone=nonsense"], Some(Refusal::TermsNotAccepted)),
        (vec![phone, "accept-terms=false"], Some(Refusal::TermsNotAccepted)),
        (vec![phone, "accept-terms=true"], None),
        (vec![phone, "accept-terms=1"], None),
        // Nobody accepts terms twice.
        (vec!["code=123456"], None),
    ] {
        assert_eq!(registrar.read(&set(&fields), false).err(), refusal.map(StanzaError::from), "{fields:?}");
    }
}

#[test]
fn requests_that_cannot_be_read_are_refused_with_their_reason() {
    let registrar = registrar(policy());
    let no_form = iq("set", "<query xmlns='jabber:iq:register'><username>a</username></query>");
    let other_query = iq("set", "<query xmlns='jabber:iq:roster'/>");
    let result = iq("result", "<query xmlns='jabber:iq:register'/>");
    let remove = iq("set", "<query xmlns='jabber:iq:register'><remove/></query>");
    let message = Stanza::new(parse_document("<message/>", ns::CLIENT, 20).unwrap()).unwrap();
    for (iq, refusal) in [
        (set(&["phone=15555215554"]), Refusal::BadNumber(crate::phone::PhoneError::NoPlus)),
        (set(&["phone="]), Refusal::BadNumber(crate::phone::PhoneError::NoPlus)),
        (set(&["phone=+99955512345"]), Refusal::BadNumber(crate::phone::PhoneError::UnknownCountry)),
        (set(&["code=123"]), Refusal::BadCode),
        (set(&["FORM_TYPE=jabber:iq:register"]), Refusal::NothingKnown),
        (set(&["code=abcdef"]), Refusal::BadCode),
        (set(&[]), Refusal::NothingKnown),
        (set(&["colour=red"]), Refusal::NothingKnown),
        (no_form, Refusal::NothingKnown),
        (other_query, Refusal::NothingKnown),
        (result, Refusal::NothingKnown),
        (remove, Refusal::NothingKnown),
        (message, Refusal::NothingKnown),
    ] {
        assert_eq!(registrar.read(&iq, false).err(), Some(refusal.into()), "{:?}", iq.element());
    }
}

#[test]
fn a_code_form_is_read_and_does_not_show_its_code() {
    match registrar(policy()).read(&set(&["code= 123 456 "]), false).unwrap() {
        Request::Code(form) => {
            assert_eq!(form.code.as_ref().unwrap().digits(), "123456");
            assert!(!format!("{form:?}").contains("123456"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn gets_ask_for_the_form_or_for_a_parked_key() {
    let registrar = registrar(policy());
    let parked = |token: &str| {
        let account = "<account xmlns='http://kontalk.org/protocol/register#account'>";
        format!("<query xmlns='jabber:iq:register'>{account}<privatekey>{token}</privatekey></account></query>")
    };
    for (payload, token) in [
        ("<query xmlns='jabber:iq:register'/>".to_owned(), None),
        (parked(""), None),
        (parked("<token/>"), None),
        (parked("<token> </token>"), None),
        (parked("<token>0123456789</token>"), Some("0123456789")),
    ] {
        match (registrar.read(&iq("get", &payload), false).unwrap(), token) {
            (Request::Instructions, None) => {}
            (Request::Fetch(found), Some(token)) => assert_eq!(found.digits(), token),
            (other, _) => panic!("{payload}: {other:?}"),
        }
    }
}

#[test]
fn who_has_authenticated_registers_no_number() {
    let registrar = registrar(policy());
    for (iq, refusal) in [
        (set(&["phone=+15555215554"]), Refusal::NothingKnown),
        (set(&["code=123456"]), Refusal::NothingKnown),
        (set(&["privatekey=AAAA"]), Refusal::NotServed),
        (set(&["publickey=AAAA", "revoked=AAAA"]), Refusal::NotServed),
        (iq("set", "<query xmlns='jabber:iq:register'><remove/></query>"), Refusal::NotServed),
    ] {
        match registrar.read(&iq, true).unwrap() {
            Request::Unsupported(error) => assert_eq!(error, refusal.into()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn disabled_registration_refuses_strangers_whatever_they_ask() {
    let registrar = registrar(Policy { enabled: false, ..policy() });
    let get = iq("get", "<query xmlns='jabber:iq:register'/>");
    for iq in [&get, &set(&["phone=+15555215554"]), &set(&["code=123456"]), &set(&[])] {
        assert_eq!(registrar.read(iq, false).err(), Some(Refusal::Disabled.into()));
    }
    assert!(matches!(registrar.read(&get, true), Ok(Request::Instructions)));
}
