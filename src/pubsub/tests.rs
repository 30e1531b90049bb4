//! Requests, access and preconditions against tables.

use super::*;
use crate::limits;
use crate::stanza::Timestamp;
use crate::xml::{Element, ns, parse_document};

fn parse(text: &str) -> Element {
    parse_document(text, ns::CLIENT, 20).unwrap()
}

fn read(inner: &str, set: bool) -> Result<Request, Refusal> {
    Request::read(&parse(&format!("<pubsub xmlns='{}'>{inner}</pubsub>", ns::PUBSUB)), set)
}

fn read_owner(inner: &str, set: bool) -> Result<Request, Refusal> {
    Request::read(&parse(&format!("<pubsub xmlns='{}'>{inner}</pubsub>", ns::PUBSUB_OWNER)), set)
}

fn form(fields: &[(&str, &str)]) -> String {
    let fields: String =
        fields.iter().map(|(var, value)| format!("<field var='pubsub#{var}'><value>{value}</value></field>")).collect();
    format!("<x xmlns='{}' type='submit'>{fields}</x>", ns::DATA_FORMS)
}

fn publish(options: &[(&str, &str)]) -> Publish {
    let text = format!(
        "<publish node='n'><item id='i'><p xmlns='urn:p'/></item></publish><publish-options>{}</publish-options>",
        form(options)
    );
    match read(&text, true).unwrap() {
        Request::Publish(publish) => publish,
        other => panic!("{other:?}"),
    }
}

#[test]
fn faults_of_requests_have_their_names() {
    let long = "x".repeat(limits::PEP_NAME_BYTES_MAX + 1);
    let item = "<item><p xmlns='urn:p'/></item>";
    for (inner, set, refusal) in [
        ("", true, Refusal::BadRequest),
        ("<strange/>", true, Refusal::BadRequest),
        ("<publish node='n'/>", false, Refusal::BadRequest),
        ("<publish/>", true, Refusal::NodeRequired),
        ("<publish node=''/>", true, Refusal::NodeRequired),
        ("<publish node='n'/>", true, Refusal::ItemRequired),
        ("<publish node='n'><item/></publish>", true, Refusal::PayloadRequired),
        ("<publish node='n'><item><a/><b/></item></publish>", true, Refusal::InvalidPayload),
        (&format!("<publish node='n'>{item}{item}</publish>"), true, Refusal::TooManyItems),
        (&format!("<publish node='{long}'>{item}</publish>"), true, Refusal::NameTooLong),
        (&format!("<publish node='n'><item id='{long}'><p/></item></publish>"), true, Refusal::NameTooLong),
        ("<retract node='n'/>", true, Refusal::ItemRequired),
        ("<retract node='n'><item/></retract>", true, Refusal::ItemRequired),
        ("<retract><item id='i'/></retract>", true, Refusal::NodeRequired),
        ("<items/>", false, Refusal::NodeRequired),
        ("<items node='n' max_items='-1'/>", false, Refusal::BadRequest),
        ("<create/>", true, Refusal::NodeRequired),
        ("<subscribe node='n' jid='a@b'/>", true, Refusal::Unsupported("subscribe")),
        ("<subscriptions/>", false, Refusal::Unsupported("retrieve-subscriptions")),
    ] {
        assert_eq!(read(inner, set), Err(refusal), "{inner}");
    }
    for (inner, set, refusal) in [
        ("<configure/>", false, Refusal::NodeRequired),
        ("<configure node='n'/>", true, Refusal::BadRequest),
        ("<delete/>", true, Refusal::NodeRequired),
        ("<purge node='n'/>", false, Refusal::BadRequest),
        ("<subscriptions node='n'/>", false, Refusal::Unsupported("manage-subscriptions")),
        (
            "<affiliations node='n'><affiliation jid='@' affiliation='member'/></affiliations>",
            true,
            Refusal::BadRequest,
        ),
        (
            "<affiliations node='n'><affiliation jid='a@b' affiliation='publisher'/></affiliations>",
            true,
            Refusal::NotAcceptable,
        ),
    ] {
        assert_eq!(read_owner(inner, set), Err(refusal), "{inner}");
    }
}

#[test]
fn every_refusal_has_the_conditions_of_the_specification() {
    for (refusal, kind, condition, detail) in [
        (Refusal::NodeRequired, "modify", "bad-request", "nodeid-required"),
        (Refusal::ItemRequired, "modify", "bad-request", "item-required"),
        (Refusal::PayloadRequired, "modify", "bad-request", "payload-required"),
        (Refusal::InvalidPayload, "modify", "bad-request", "invalid-payload"),
        (Refusal::PayloadTooBig, "modify", "not-acceptable", "payload-too-big"),
        (Refusal::PreconditionNotMet, "cancel", "conflict", "precondition-not-met"),
        (Refusal::NoNode, "cancel", "item-not-found", ""),
        (Refusal::NodeExists, "cancel", "conflict", ""),
        (Refusal::Forbidden, "auth", "forbidden", ""),
        (Refusal::ClosedNode, "cancel", "not-allowed", "closed-node"),
        (Refusal::PresenceSubscriptionRequired, "auth", "not-authorized", "presence-subscription-required"),
        (Refusal::NotInRosterGroup, "auth", "not-authorized", "not-in-roster-group"),
        (Refusal::Unsupported("subscribe"), "cancel", "feature-not-implemented", "unsupported"),
    ] {
        let error = refusal.to_error().to_element();
        assert_eq!(error.attribute("type"), Some(kind), "{refusal:?}");
        assert!(error.child(condition, ns::STANZA_ERRORS).is_some(), "{refusal:?}");
        let found = error.children().find(|child| child.namespace() == ns::PUBSUB_ERRORS);
        assert_eq!(found.map_or("", Element::name), detail, "{refusal:?}");
    }
}

#[test]
fn who_may_read_depends_on_the_access_model() {
    let owner = Asker { jid: "o@a".into(), owner: true, ..Asker::default() };
    let contact = Asker { jid: "c@a".into(), sees_presence: true, groups: vec!["Friends".into()], owner: false };
    let other = Asker { jid: "d@a".into(), sees_presence: true, ..Asker::default() };
    let stranger = Asker { jid: "s@a".into(), ..Asker::default() };
    let closed = Err(Refusal::ClosedNode);
    for (access, of_contact, of_other, of_stranger) in [
        (AccessModel::Open, Ok(()), Ok(()), Ok(())),
        (AccessModel::Presence, Ok(()), Ok(()), Err(Refusal::PresenceSubscriptionRequired)),
        (AccessModel::Roster, Ok(()), Err(Refusal::NotInRosterGroup), Err(Refusal::NotInRosterGroup)),
        (AccessModel::Whitelist, closed, closed, closed),
    ] {
        let config = Config { access, roster_groups: vec!["Friends".into()], ..Config::default() };
        let mut node = Node { config, ..Node::default() };
        assert_eq!(check_access(&node, &owner), Ok(()));
        assert_eq!(check_access(&node, &contact), of_contact);
        assert_eq!(check_access(&node, &other), of_other);
        assert_eq!(check_access(&node, &stranger), of_stranger);
        node.affiliations.insert("s@a".into(), Affiliation::Member);
        node.affiliations.insert("c@a".into(), Affiliation::Outcast);
        assert_eq!(check_access(&node, &stranger), Ok(()));
        assert_eq!(check_access(&node, &contact), Err(Refusal::Forbidden));
    }
    // A stranger cannot tell why.
    for refusal in [Refusal::ClosedNode, Refusal::PresenceSubscriptionRequired, Refusal::Forbidden, Refusal::NoNode] {
        assert_eq!(hide_from(&stranger, refusal), Refusal::NoNode);
        assert_eq!(hide_from(&other, refusal), refusal);
    }
}

#[test]
fn options_make_a_new_node_and_are_preconditions_of_an_old_one() {
    let open = publish(&[("access_model", "open"), ("max_items", "max"), ("persist_items", "true")]);
    let node = publish_to(None, open.options.as_ref()).unwrap();
    assert_eq!((node.config.access, node.config.max_items), (AccessModel::Open, limits::PEP_ITEMS_PER_NODE_MAX));
    assert_eq!(publish_to(Some(&node), open.options.as_ref()), Ok(node.clone()));
    assert_eq!(publish_to(Some(&node), None), Ok(node.clone()));
    assert_eq!(publish_to(None, None), Ok(Node::default()));
    for unmet in [
        &[("access_model", "whitelist")][..],
        &[("max_items", "1")],
        &[("send_last_published_item", "never")],
        &[("access_model", "open"), ("notify_delete", "0")],
        // What is no value of ours, or no field we know, cannot be met.
        &[("access_model", "authorize")],
        &[("publish_model", "open")],
        &[("sparkles", "1")],
    ] {
        let unmet = publish(unmet);
        assert_eq!(publish_to(Some(&node), unmet.options.as_ref()), Err(Refusal::PreconditionNotMet), "{unmet:?}");
    }
    // A hint binds to nothing; a higher number means as many as there can be.
    let hints = publish(&[("max_items", "100000"), ("publish_model", "publishers"), ("max_payload_size", "1")]);
    assert_eq!(publish_to(Some(&node), hints.options.as_ref()), Ok(node));
    let refused = read(
        "<publish node='n'><item><p/></item></publish><publish-options><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>urn:other</value></field></x></publish-options>",
        true,
    );
    assert_eq!(refused, Err(Refusal::InvalidOptions));
}

#[test]
fn a_configuration_reads_back_from_its_own_form() {
    let configure =
        |fields: &[(&str, &str)]| match read_owner(&format!("<configure node='n'>{}</configure>", form(fields)), true)
            .unwrap()
        {
            Request::Configure { options: Some(options), .. } => options.apply(&Config::default()),
            other => panic!("{other:?}"),
        };
    let config = configure(&[
        ("access_model", "roster"),
        ("roster_groups_allowed", "Friends"),
        ("title", "Mood"),
        ("persist_items", "0"),
        ("max_items", "7"),
        ("send_last_published_item", "never"),
        ("notify_config", "1"),
        // XEP-0004 §3.2: what a form does not know it leaves alone.
        ("sparkles", "1"),
    ])
    .unwrap();
    assert_eq!((config.items_max(), config.max_items, config.access), (0, 7, AccessModel::Roster));
    let mut text = configuration("n", &config).to_text(ns::CLIENT);
    text = text.replace("type='form'", "type='submit'");
    match Request::read(&parse(&text), true).unwrap() {
        Request::Configure { options: Some(options), .. } => assert_eq!(options.apply(&Config::default()), Ok(config)),
        other => panic!("{other:?}"),
    }
    for wrong in [[("persist_items", "maybe")], [("max_items", "many")], [("access_model", "authorize")]] {
        assert_eq!(configure(&wrong), Err(Refusal::NotAcceptable), "{wrong:?}");
    }
    let cancelled = format!("<configure node='n'><x xmlns='{}' type='cancel'/></configure>", ns::DATA_FORMS);
    assert_eq!(read_owner(&cancelled, true), Ok(Request::Configure { node: "n".into(), options: None }));
}

#[test]
fn a_notification_is_a_headline_of_the_account() {
    let item = Item {
        id: "i".into(),
        published: Timestamp { millis: 1_633_608_000_000 },
        payload: "<mood xmlns='urn:mood'><happy/></mood>".into(),
    };
    let (account, to) = ("romeo@a.example".parse().unwrap(), "juliet@a.example/balcony".parse().unwrap());
    let event = item_event("urn:mood", &Config::default(), &item);
    assert_eq!(
        notification(&account, &to, event, Some(item.published)).to_text(),
        "<message type='headline' from='romeo@a.example' to='juliet@a.example/balcony'>\
         <event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:mood'><item id='i'>\
         <mood xmlns='urn:mood'><happy/></mood></item></items></event>\
         <delay xmlns='urn:xmpp:delay' from='romeo@a.example' stamp='2021-10-07T12:00:00.000Z'/></message>"
    );
    let quiet = Config { deliver_payloads: false, ..Config::default() };
    assert!(!item_event("urn:mood", &quiet, &item).to_text(ns::CLIENT).contains("happy"));
}

#[test]
fn a_picture_moves_between_vcard_and_nodes() {
    let vcard = parse(
        "<vCard xmlns='vcard-temp'><FN>Romeo</FN><PHOTO><TYPE>image/jpeg</TYPE><BINVAL>aGVs\n bG8=</BINVAL></PHOTO></vCard>",
    );
    let photo = Photo::of_vcard(&vcard).unwrap();
    // SHA-1 of "hello".
    assert_eq!(photo.id, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
    assert_eq!((photo.mime.as_str(), photo.bytes), ("image/jpeg", 5));
    let (id, mime) = (photo.id.as_str(), "image/jpeg");
    assert_eq!(current_avatar(&photo.metadata()), Some((id, mime)));
    assert_eq!(photo_in_data(&photo.data(), id, mime), Some(photo.clone()));
    assert_eq!(photo_in_data(&photo.data(), "0000", mime), None);
    let bare = without_photo(vcard);
    assert!(bare.child("PHOTO", ns::VCARD).is_none() && bare.child("FN", ns::VCARD).is_some());
    assert_eq!(Photo::of_vcard(&with_photo(bare.clone(), &photo)), Some(photo));
    assert_eq!(current_avatar(&no_avatar()), None);
    // XEP-0398 §3.1: not the one that lies elsewhere.
    let elsewhere = parse(
        "<metadata xmlns='urn:xmpp:avatar:metadata'><info id='1' url='https://a.example/1' bytes='1' type='image/gif'/>\
         <info id='2' bytes='1' type='image/png'/></metadata>",
    );
    assert_eq!(current_avatar(&elsewhere), Some(("2", "image/png")));
    for broken in ["<PHOTO/>", "<PHOTO><BINVAL/></PHOTO>", "<PHOTO><BINVAL>%%%</BINVAL></PHOTO>"] {
        assert_eq!(Photo::of_vcard(&parse(&format!("<vCard xmlns='vcard-temp'>{broken}</vCard>"))), None);
    }
}
