//! Personal eventing on one real node: who may read, who is told, pictures in both their places, private data, capabilities.
//! XEP-0060, XEP-0163, XEP-0115, XEP-0398, XEP-0049.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use kontalk_node::caps::{Hash, verification};
use kontalk_node::xml::{Element, ns, parse_document};
use support::client::Client;
use support::node::{DOMAIN, Node, NodeOptions};
use support::stanzas::{Refused, refusal};

const ROMEO: &str = "romeo@kontalk.test";
const JULIET: &str = "juliet@kontalk.test";
const MOOD: &str = "http://jabber.org/protocol/mood";
const METADATA: &str = "urn:xmpp:avatar:metadata";

/// A node on which four have accounts and know nothing of each other.
fn verona() -> Node {
    let node = Node::start(NodeOptions::default());
    for user in ["romeo", "juliet", "tybalt", "nurse"] {
        node.add_account(user);
    }
    node
}

fn parse(text: &str) -> Element {
    parse_document(text, ns::CLIENT, 30).unwrap()
}

/// What a client that wants to hear of these nodes answers.
fn info(wishes: &[&str]) -> Element {
    let features: String = wishes.iter().map(|node| format!("<feature var='{node}+notify'/>")).collect();
    parse(&format!("<query xmlns='{}'><identity category='client' type='pc'/>{features}</query>", ns::DISCO_INFO))
}

/// Sends presence with capabilities; if the node asks what is behind them, it is told.
fn wishes(client: &mut Client, wishes: &[&str]) {
    let info = info(wishes);
    let ver = verification(&info, Hash::Sha1).unwrap();
    client.send(&format!("<presence><c xmlns='{}' hash='sha-1' node='urn:test' ver='{ver}'/></presence>", ns::CAPS));
    answer_caps(client, &info, &ver);
}

/// Answers the node's question if there is one; gives whether there was.
fn answer_caps(client: &mut Client, info: &Element, ver: &str) -> bool {
    let questions = client.take_waiting(|el| el.is("iq", ns::CLIENT) && el.child("query", ns::DISCO_INFO).is_some());
    for element in &questions {
        assert_eq!(element.attribute("from"), Some(DOMAIN));
        let node = element.child("query", ns::DISCO_INFO).unwrap().attribute("node");
        assert_eq!(node, Some(format!("urn:test#{ver}").as_str()));
        let id = element.attribute("id").unwrap();
        client.send(&format!("<iq type='result' id='{id}' to='{DOMAIN}'>{}</iq>", info.to_text(ns::CLIENT)));
    }
    client.roundtrip();
    client.take_own_presence();
    !questions.is_empty()
}

fn publish_text(node: &str, id: &str, payload: &str, options: &[(&str, &str)]) -> String {
    let fields: String = options
        .iter()
        .map(|(name, value)| format!("<field var='pubsub#{name}'><value>{value}</value></field>"))
        .collect();
    let options = if options.is_empty() {
        String::new()
    } else {
        format!(
            "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
             <value>http://jabber.org/protocol/pubsub#publish-options</value></field>{fields}</x></publish-options>"
        )
    };
    format!(
        "<pubsub xmlns='{}'><publish node='{node}'><item id='{id}'>{payload}</item></publish>{options}</pubsub>",
        ns::PUBSUB
    )
}

fn publish(
    client: &mut Client,
    node: &str,
    id: &str,
    payload: &str,
    options: &[(&str, &str)],
) -> Result<Option<Element>, Refused> {
    client.ask("set", None, &publish_text(node, id, payload, options))
}

fn mood(word: &str) -> String {
    format!("<mood xmlns='{MOOD}'><{word}/></mood>")
}

/// The ids of the items that somebody sees.
fn read(client: &mut Client, of: Option<&str>, node: &str) -> Result<Vec<String>, Refused> {
    let query = format!("<pubsub xmlns='{}'><items node='{node}'/></pubsub>", ns::PUBSUB);
    let answer = client.ask("get", of, &query)?.unwrap();
    let items = answer.child("items", ns::PUBSUB).unwrap();
    Ok(items.children().map(|item| item.attribute("id").unwrap().to_owned()).collect())
}

fn owner(client: &mut Client, kind: &str, action: &str) -> Result<Option<Element>, Refused> {
    client.ask(kind, None, &format!("<pubsub xmlns='{}'>{action}</pubsub>", ns::PUBSUB_OWNER))
}

/// What the events that came say, in order: who, which node, and the item, or what happened.
fn events(client: &mut Client) -> Vec<String> {
    let all = client.drain();
    let told = |message: &Element| {
        let event = message.child("event", ns::PUBSUB_EVENT)?;
        assert_eq!(message.attribute("type"), Some("headline"), "{message:?}");
        let from = message.attribute("from").unwrap().split('@').next().unwrap();
        let action = event.first_child().unwrap();
        let node = action.attribute("node").unwrap().rsplit('/').next().unwrap().rsplit(':').next().unwrap().to_owned();
        let what = match action.first_child() {
            Some(item) if item.name() == "item" => item.attribute("id").unwrap().to_owned(),
            Some(retract) if retract.name() == "retract" => format!("-{}", retract.attribute("id").unwrap()),
            _ => action.name().to_owned(),
        };
        Some(format!("{from} {node} {what}"))
    };
    all.iter().filter_map(told).collect()
}

#[test]
fn who_wants_to_hear_and_sees_the_presence_is_told_and_nobody_else() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut tomb = Client::online(&node, "romeo", "tomb");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let mut deaf = Client::online(&node, "juliet", "deaf");
    let mut tybalt = Client::online(&node, "tybalt", "street");
    romeo.befriend(&mut juliet);
    for client in [&mut romeo, &mut tomb, &mut juliet, &mut tybalt] {
        wishes(client, &[MOOD, "urn:xmpp:avatar:metadata"]);
    }
    wishes(&mut deaf, &["urn:example:other"]);
    for client in [&mut romeo, &mut tomb, &mut juliet, &mut deaf, &mut tybalt] {
        client.drain();
    }
    publish(&mut romeo, MOOD, "1", &mood("happy"), &[]).unwrap();
    // XEP-0163 §4.3.3: the publisher's own resources too, the publishing one included.
    assert_eq!(events(&mut romeo), ["romeo mood 1"]);
    assert_eq!(events(&mut tomb), ["romeo mood 1"]);
    assert_eq!(events(&mut juliet), ["romeo mood 1"]);
    assert!(events(&mut deaf).is_empty() && events(&mut tybalt).is_empty());

    // Retraction, purge and deletion are told as well.
    let retract = format!(
        "<pubsub xmlns='{}'><retract node='{MOOD}' notify='true'><item id='1'/></retract></pubsub>",
        ns::PUBSUB
    );
    romeo.ask("set", None, &retract).unwrap();
    assert_eq!(romeo.ask("set", None, &retract), Err(refusal("item-not-found", "cancel")));
    owner(&mut romeo, "set", &format!("<purge node='{MOOD}'/>")).unwrap();
    owner(&mut romeo, "set", &format!("<delete node='{MOOD}'/>")).unwrap();
    assert_eq!(events(&mut juliet), ["romeo mood -1", "romeo mood purge", "romeo mood delete"]);
    let gone = owner(&mut romeo, "set", &format!("<delete node='{MOOD}'/>"));
    assert_eq!(gone, Err(refusal("item-not-found", "cancel")));

    // Whom Romeo blocks hears nothing more.
    romeo.ask("set", None, &format!("<block xmlns='{}'><item jid='{JULIET}'/></block>", ns::BLOCKING)).unwrap();
    juliet.drain();
    publish(&mut romeo, MOOD, "2", &mood("sad"), &[]).unwrap();
    assert_eq!(events(&mut tomb).last().unwrap(), "romeo mood 2");
    assert!(events(&mut juliet).is_empty());
    assert_eq!(read(&mut juliet, Some(ROMEO), MOOD), Err(refusal("item-not-found", "cancel")));
}

#[test]
fn who_comes_is_told_the_last_item_of_each_node_he_wants() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.befriend(&mut juliet);
    juliet.close();
    publish(&mut romeo, MOOD, "1", &mood("happy"), &[("max_items", "5")]).unwrap();
    publish(&mut romeo, MOOD, "2", &mood("sad"), &[]).unwrap();
    publish(&mut romeo, "urn:quiet", "1", "<q xmlns='urn:quiet'/>", &[("send_last_published_item", "never")]).unwrap();
    publish(&mut romeo, "urn:mine", "1", "<q xmlns='urn:mine'/>", &[("access_model", "whitelist")]).unwrap();

    let wanted = [MOOD, "urn:quiet", "urn:mine"];
    let mut juliet = Client::bound(&node, "juliet", "balcony");
    wishes(&mut juliet, &wanted);
    let message = juliet.expect("the last mood", |el| el.child("event", ns::PUBSUB_EVENT).is_some());
    assert_eq!(message.attribute("from"), Some(ROMEO));
    // XEP-0060 §7.1.2.3: it is said that it is not new.
    assert!(message.child("delay", ns::DELAY).is_some());
    assert!(events(&mut juliet).is_empty());
    // Romeo's own other resource gets what is his alone too. Its hash is known by now: it is not asked.
    let mut tomb = Client::bound(&node, "romeo", "tomb");
    let ver = verification(&info(&wanted), Hash::Sha1).unwrap();
    let presence = format!("<presence><c xmlns='{}' hash='sha-1' node='urn:test' ver='{ver}'/></presence>", ns::CAPS);
    tomb.send(&presence);
    assert!(!answer_caps(&mut tomb, &info(&wanted), &ver));
    let mut heard = events(&mut tomb);
    heard.sort();
    assert_eq!(heard, ["romeo mine 1", "romeo mood 2"]);
    // The same presence again is no arrival.
    tomb.send(&presence);
    assert!(events(&mut tomb).is_empty());

    // Somebody who comes to see the presence while he is there is told then.
    let mut nurse = Client::online(&node, "nurse", "house");
    wishes(&mut nurse, &wanted);
    assert!(events(&mut nurse).is_empty());
    nurse.send(&format!("<presence type='subscribe' to='{ROMEO}'/>"));
    romeo.expect_presence(Some("subscribe"), "nurse@kontalk.test");
    romeo.send("<presence type='subscribed' to='nurse@kontalk.test'/>");
    romeo.roundtrip();
    assert_eq!(events(&mut nurse), ["romeo mood 2"]);
}

#[test]
fn access_is_as_the_node_says_and_strangers_cannot_tell_why() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let mut tybalt = Client::online(&node, "tybalt", "street");
    romeo.befriend(&mut juliet);
    for (name, access) in [("open", "open"), ("presence", "presence"), ("white", "whitelist"), ("roster", "roster")] {
        publish(
            &mut romeo,
            &format!("urn:{name}"),
            "i",
            &format!("<p xmlns='urn:{name}'/>"),
            &[("access_model", access)],
        )
        .unwrap();
    }
    let hidden = Err(refusal("item-not-found", "cancel"));
    for (name, of_juliet) in [
        ("open", Ok(vec!["i".to_owned()])),
        ("presence", Ok(vec!["i".to_owned()])),
        ("white", Err(refusal("not-allowed", "cancel"))),
        ("roster", Err(refusal("not-authorized", "auth"))),
        ("none", Err(refusal("item-not-found", "cancel"))),
    ] {
        let name = format!("urn:{name}");
        assert_eq!(read(&mut juliet, Some(ROMEO), &name), of_juliet, "{name}");
        let of_tybalt = read(&mut tybalt, Some(ROMEO), &name);
        // OMEMO needs it: what is open is open to people one does not know yet.
        assert_eq!(of_tybalt, if name == "urn:open" { Ok(vec!["i".to_owned()]) } else { hidden.clone() }, "{name}");
        assert_eq!(read(&mut tybalt, Some("nobody@kontalk.test"), &name), hidden, "{name}");
    }
    // A group of the roster lets in who is in it; a list whom the owner put there.
    romeo
        .ask(
            "set",
            None,
            &format!("<query xmlns='{}'><item jid='{JULIET}'><group>Loves</group></item></query>", ns::ROSTER),
        )
        .unwrap();
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#roster_groups_allowed'><value>Loves</value></field></x>";
    owner(&mut romeo, "set", &format!("<configure node='urn:roster'>{form}</configure>")).unwrap();
    assert_eq!(read(&mut juliet, Some(ROMEO), "urn:roster"), Ok(vec!["i".to_owned()]));
    let list =
        "<affiliations node='urn:white'><affiliation jid='tybalt@kontalk.test' affiliation='member'/></affiliations>";
    owner(&mut romeo, "set", list).unwrap();
    assert_eq!(read(&mut tybalt, Some(ROMEO), "urn:white"), Ok(vec!["i".to_owned()]));
    let listed = owner(&mut romeo, "get", "<affiliations node='urn:white'/>").unwrap().unwrap();
    assert_eq!(listed.first_child().unwrap().children().count(), 2);

    // Only the owner changes anything, and nobody learns by trying who exists.
    for to in [ROMEO, "nobody@kontalk.test"] {
        let attempt = tybalt.ask("set", Some(to), &publish_text("urn:open", "j", "<p xmlns='urn:open'/>", &[]));
        assert_eq!(attempt, Err(refusal("forbidden", "auth")));
    }
    // XEP-0060 §5.2: only what one may read is listed.
    let items = format!("<query xmlns='{}'/>", ns::DISCO_ITEMS);
    let nodes = |client: &mut Client| {
        let answer = client.ask("get", Some(ROMEO), &items)?.unwrap();
        Ok(answer.children().map(|item| item.attribute("node").unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(nodes(&mut juliet), Ok(vec!["urn:open".to_owned(), "urn:presence".into(), "urn:roster".into()]));
    assert_eq!(nodes(&mut romeo).unwrap().len(), 4);
    assert_eq!(nodes(&mut tybalt), Err(refusal("service-unavailable", "cancel")));
    let about = format!("<query xmlns='{}' node='urn:open'/>", ns::DISCO_INFO);
    let about = juliet.ask("get", Some(ROMEO), &about).unwrap().unwrap();
    assert_eq!(about.child("identity", ns::DISCO_INFO).unwrap().attribute("type"), Some("leaf"));
}

#[test]
fn publish_options_are_preconditions_and_nodes_survive_a_restart() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let devices = "eu.siacs.conversations.axolotl.devicelist";
    let list = "<list xmlns='eu.siacs.conversations.axolotl'><device id='1'/></list>";
    let open = [("access_model", "open"), ("persist_items", "true"), ("max_items", "max")];
    publish(&mut romeo, devices, "current", list, &open).unwrap();
    publish(&mut romeo, devices, "current", list, &open).unwrap();
    let unmet = publish(&mut romeo, devices, "current", list, &[("access_model", "whitelist")]);
    assert_eq!(unmet, Err(refusal("conflict", "cancel")));
    let taken = format!("<pubsub xmlns='{}'><create node='{devices}'/></pubsub>", ns::PUBSUB);
    assert_eq!(romeo.ask("set", None, &taken), Err(refusal("conflict", "cancel")));
    // XEP-0402: an item for each room, and none is lost.
    let private = [("access_model", "whitelist"), ("max_items", "max"), ("send_last_published_item", "never")];
    for room in 0..20 {
        let conference = "<conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/>";
        publish(&mut romeo, "urn:xmpp:bookmarks:1", &format!("r{room}@rooms.example"), conference, &private).unwrap();
    }
    // What was answered is on the disk.
    node.kill9();
    node.start_again();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let rooms = read(&mut romeo, None, "urn:xmpp:bookmarks:1").unwrap();
    assert_eq!(rooms, (0..20).map(|room| format!("r{room}@rooms.example")).collect::<Vec<_>>());
    let mut tybalt = Client::online(&node, "tybalt", "street");
    assert_eq!(read(&mut tybalt, Some(ROMEO), devices), Ok(vec!["current".to_owned()]));
    let config = owner(&mut romeo, "get", &format!("<configure node='{devices}'/>")).unwrap().unwrap();
    assert!(config.to_text(ns::CLIENT).contains("<value>open</value>"));
    owner(&mut romeo, "get", "<default/>").unwrap();
}

/// "hello", and its SHA-1.
const PICTURE: &str = "aGVsbG8=";
const PICTURE_ID: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

fn photo_in(presence: &Element) -> Option<String> {
    let photo = presence.child("x", ns::VCARD_UPDATE)?.child("photo", ns::VCARD_UPDATE)?;
    Some(photo.text())
}

#[test]
fn a_picture_published_in_one_place_is_in_the_other_and_in_presence() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let mut tybalt = Client::online(&node, "tybalt", "street");
    romeo.befriend(&mut juliet);
    wishes(&mut juliet, &[METADATA]);
    juliet.drain();
    let vcard = format!("<vCard xmlns='{}'/>", ns::VCARD);
    let stored = format!("<vCard xmlns='{}'><FN>Romeo</FN></vCard>", ns::VCARD);
    romeo.ask("set", None, &stored).unwrap();
    let text = |vcard: Result<Option<Element>, Refused>| vcard.unwrap().unwrap().to_text(ns::CLIENT);
    assert_eq!(text(juliet.ask("get", Some(ROMEO), &vcard)), stored);
    assert_eq!(text(romeo.ask("get", None, &vcard)), stored);

    // XEP-0084 to vCard.
    let data = format!("<data xmlns='urn:xmpp:avatar:data'>{PICTURE}</data>");
    publish(&mut romeo, "urn:xmpp:avatar:data", PICTURE_ID, &data, &[]).unwrap();
    let metadata =
        format!("<metadata xmlns='{METADATA}'><info id='{PICTURE_ID}' bytes='5' type='image/png'/></metadata>");
    publish(&mut romeo, METADATA, PICTURE_ID, &metadata, &[]).unwrap();
    let presence = juliet.expect("presence with the picture", |el| photo_in(el).is_some());
    assert_eq!(photo_in(&presence).as_deref(), Some(PICTURE_ID));
    assert_eq!(events(&mut juliet), [format!("romeo metadata {PICTURE_ID}")]);
    let seen = text(juliet.ask("get", Some(ROMEO), &vcard));
    assert!(seen.contains("<FN>Romeo</FN>") && seen.contains(&format!("<BINVAL>{PICTURE}</BINVAL>")), "{seen}");
    // Strangers see no vCard, whether there is one or not.
    for to in [ROMEO, "nobody@kontalk.test"] {
        assert_eq!(tybalt.ask("get", Some(to), &vcard), Err(refusal("service-unavailable", "cancel")));
    }
    assert_eq!(juliet.ask("set", Some(ROMEO), &stored), Err(refusal("forbidden", "auth")));

    // XEP-0398 §4: the node says the hash in every presence, unless the client has none to tell of.
    romeo.send("<presence><show>away</show></presence>");
    assert_eq!(photo_in(&juliet.expect_presence(None, &romeo.full().to_string())).as_deref(), Some(PICTURE_ID));
    romeo.send(&format!("<presence><x xmlns='{0}'><photo/></x></presence>", ns::VCARD_UPDATE));
    assert_eq!(photo_in(&juliet.expect_presence(None, &romeo.full().to_string())).as_deref(), Some(""));
    romeo.send("<presence/>");
    juliet.expect_presence(None, &romeo.full().to_string());

    // A vCard without the picture takes it away; one with a picture publishes it.
    romeo.ask("set", None, &stored).unwrap();
    assert_eq!(photo_in(&juliet.expect_presence(None, &romeo.full().to_string())), None);
    assert_eq!(text(juliet.ask("get", Some(ROMEO), &vcard)), stored);
    let with_photo = format!(
        "<vCard xmlns='{}'><PHOTO><TYPE>image/jpeg</TYPE><BINVAL>{PICTURE}</BINVAL></PHOTO></vCard>",
        ns::VCARD
    );
    events(&mut juliet);
    romeo.ask("set", None, &with_photo).unwrap();
    assert_eq!(events(&mut juliet), [format!("romeo metadata {PICTURE_ID}")]);
    assert_eq!(read(&mut juliet, Some(ROMEO), "urn:xmpp:avatar:data"), Ok(vec![PICTURE_ID.to_owned()]));
    // The same picture again is no news.
    romeo.ask("set", None, &with_photo).unwrap();
    assert!(events(&mut juliet).is_empty());
}

#[test]
fn private_data_is_kept_for_its_owner_alone() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let mut juliet = Client::online(&node, "juliet", "balcony");
    romeo.befriend(&mut juliet);
    let query = |inner: &str| format!("<query xmlns='{}'>{inner}</query>", ns::PRIVATE);
    let asked = "<prefs xmlns='urn:example:prefs'/>";
    let kept = "<prefs xmlns='urn:example:prefs'><font>12</font></prefs>";
    let get = |client: &mut Client, to: Option<&str>| client.ask("get", to, &query(asked));
    assert_eq!(get(&mut romeo, None).unwrap().unwrap().to_text(ns::CLIENT), query(asked));
    romeo.ask("set", None, &query(kept)).unwrap();
    romeo.ask("set", None, &query("<prefs xmlns='urn:example:other'/>")).unwrap();
    assert_eq!(get(&mut romeo, None).unwrap().unwrap().to_text(ns::CLIENT), query(kept));
    assert_eq!(get(&mut juliet, Some(ROMEO)), Err(refusal("forbidden", "auth")));
    for wrong in ["", "<prefs xmlns='jabber:client'/>", "<a xmlns='urn:a'/><b xmlns='urn:b'/>"] {
        assert_eq!(romeo.ask("set", None, &query(wrong)), Err(refusal("bad-request", "modify")), "{wrong}");
    }
    // It is no node.
    let items = romeo.ask("get", Some(ROMEO), &format!("<query xmlns='{}'/>", ns::DISCO_ITEMS)).unwrap().unwrap();
    assert!(items.children().next().is_none());
}

#[test]
fn the_node_tells_its_own_capabilities_and_an_account_says_that_it_is_a_service() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let caps = romeo.features.child("c", ns::CAPS).expect("the node's capabilities").clone();
    assert_eq!(caps.attribute("hash"), Some("sha-1"));
    let (software, ver) = (caps.attribute("node").unwrap(), caps.attribute("ver").unwrap());
    let query = format!("<query xmlns='{}' node='{software}#{ver}'/>", ns::DISCO_INFO);
    let info = romeo.ask("get", Some(DOMAIN), &query).unwrap().unwrap();
    assert_eq!(verification(&info, Hash::Sha1).as_deref(), Some(ver));
    assert_eq!(info.attribute("node"), Some(format!("{software}#{ver}").as_str()));

    let info = romeo.ask("get", Some(ROMEO), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
    let identity = |el: &&Element| (el.attribute("category"), el.attribute("type")) == (Some("pubsub"), Some("pep"));
    assert!(info.children().any(|el| identity(&el)));
    let features: Vec<_> = info.children().filter_map(|child| child.attribute("var")).collect();
    // XEP-0115 §5.4 would call anything twice ill-formed.
    assert!(verification(&info, Hash::Sha1).is_some(), "{features:?}");
    for feature in ["publish-options", "access-open", "auto-create", "filtered-notifications", "persistent-items"] {
        assert!(features.contains(&format!("{}#{feature}", ns::PUBSUB).as_str()), "{feature}");
    }
    assert!(features.contains(&ns::AVATAR_CONVERSION));
}

#[test]
fn who_was_there_before_a_restart_is_asked_again_and_told() {
    let mut node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let wanted = info(&[MOOD]);
    wishes(&mut romeo, &[MOOD]);
    let jid = romeo.full().clone();
    node.sigterm();
    let session = romeo.cut().unwrap();
    node.start_again();
    let mut romeo = Client::authenticated(&node, "romeo");
    romeo.resume(&session).expect("the node resumes the session");
    romeo.jid = Some(jid);
    publish(&mut romeo, MOOD, "1", &mood("happy"), &[]).unwrap();
    assert!(answer_caps(&mut romeo, &wanted, &verification(&wanted, Hash::Sha1).unwrap()));
    publish(&mut romeo, MOOD, "2", &mood("sad"), &[]).unwrap();
    assert_eq!(events(&mut romeo), ["romeo mood 1", "romeo mood 2"]);
}

#[test]
fn a_lie_about_capabilities_deceives_nobody_else() {
    let node = verona();
    let mut tybalt = Client::online(&node, "tybalt", "street");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let honest = info(&[MOOD]);
    let ver = verification(&honest, Hash::Sha1).unwrap();
    let presence = format!("<presence><c xmlns='{}' hash='sha-1' node='urn:test' ver='{ver}'/></presence>", ns::CAPS);
    tybalt.send(&presence);
    assert!(answer_caps(&mut tybalt, &info(&[]), &ver));
    romeo.send(&presence);
    assert!(answer_caps(&mut romeo, &honest, &ver), "the hash was not taken for known");
    publish(&mut romeo, MOOD, "1", &mood("happy"), &[]).unwrap();
    assert_eq!(events(&mut romeo), ["romeo mood 1"]);
    // Kontalk: this is no hash, and nobody is asked for what is behind it.
    romeo.send(&format!(
        "<presence><c xmlns='{}' hash='sha-1' node='http://www.kontalk.org/' ver='none'/></presence>",
        ns::CAPS
    ));
    assert!(!answer_caps(&mut romeo, &honest, &ver));
}

#[test]
fn large_items_come_back_whole_and_a_used_up_share_is_told() {
    let node = verona();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    let large = "x".repeat(200 * 1024);
    let payload = format!("<p xmlns='urn:large'>{large}</p>");
    let mut published = 0;
    let refused = loop {
        match publish(&mut romeo, "urn:large", &format!("i{published}"), &payload, &[("max_items", "max")]) {
            Ok(_) => published += 1,
            Err(refused) => break refused,
        }
        assert!(published < 100, "there is no limit");
    };
    assert_eq!(refused, refusal("resource-constraint", "cancel"));
    let one = format!("<pubsub xmlns='{}'><items node='urn:large'><item id='i0'/></items></pubsub>", ns::PUBSUB);
    let answer = romeo.ask("get", None, &one).unwrap().unwrap();
    let item = answer.child("items", ns::PUBSUB).unwrap().first_child().unwrap();
    assert_eq!(item.first_child().unwrap().text(), large);
    // All at once would be too much for one stanza: the newest come, and the names of all can be asked for.
    let some = read(&mut romeo, None, "urn:large").unwrap();
    assert!(some.len() < published && some.last() == Some(&format!("i{}", published - 1)), "{some:?}");
    let names = format!("<query xmlns='{}' node='urn:large'/>", ns::DISCO_ITEMS);
    let names = romeo.ask("get", Some(ROMEO), &names).unwrap().unwrap();
    assert_eq!(names.children().count(), published);
    // The account goes with all of it; who has the address next begins with nothing.
    romeo.close();
    let removed = node.cli(&["account", "remove", ROMEO]);
    assert!(removed.status.success(), "{removed:?}");
    node.add_account("romeo");
    let mut romeo = Client::online(&node, "romeo", "orchard");
    assert_eq!(read(&mut romeo, None, "urn:large"), Err(refusal("item-not-found", "cancel")));
}
