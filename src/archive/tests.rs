//! The archive's decisions by tables.

use super::*;
use crate::jid::{BareJid, FullJid};
use crate::stanza::{Stanza, StanzaCondition};
use crate::xml::{Element, ns, parse_document};

fn element(text: &str) -> Element {
    parse_document(text, ns::CLIENT, 20).unwrap()
}

fn account() -> BareJid {
    "juliet@a.example".parse().unwrap()
}

fn form(fields: &str) -> Element {
    element(&format!(
        "<query xmlns='urn:xmpp:mam:2' queryid='f27'><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>{fields}</x></query>"
    ))
}

fn field(var: &str, value: &str) -> String {
    format!("<field var='{var}'><value>{value}</value></field>")
}

fn set(content: &str) -> Element {
    element(&format!(
        "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>{content}</set></query>"
    ))
}

fn read(query: &Element) -> Query {
    Query::read(query, &account()).unwrap()
}

fn ids(numbers: &[u64]) -> Vec<ArchiveId> {
    numbers.iter().copied().map(ArchiveId).collect()
}

#[test]
fn conversations_are_archived_by_the_rules_of_each_specification() {
    let body = "<body>x</body>";
    // (type, content, archived, part of a conversation)
    for (kind, content, archived, conversation) in [
        ("chat", body, true, true),
        ("normal", body, true, true),
        ("groupchat", body, false, true),
        ("headline", body, false, true),
        ("error", body, false, true),
        ("chat", "", false, false),
        ("chat", "<subject>x</subject>", false, false),
        // XEP-0184.
        ("chat", "<received xmlns='urn:xmpp:receipts' id='1'/>", true, true),
        ("chat", "<request xmlns='urn:xmpp:receipts'/>", false, false),
        // XEP-0085.
        ("chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", false, true),
        ("chat", "<active xmlns='http://jabber.org/protocol/chatstates'/><body>x</body>", true, true),
        // XEP-0333.
        ("chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", true, true),
        ("chat", "<markable xmlns='urn:xmpp:chat-markers:0'/>", false, false),
        // XEP-0308, XEP-0424, XEP-0444.
        ("chat", "<body>x</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>", true, true),
        ("chat", "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", true, true),
        ("chat", "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>!</reaction></reactions>", true, true),
        // Encrypted, without a body to see.
        ("chat", "<encrypted xmlns='urn:xmpp:omemo:2'/>", true, true),
        ("chat", "<encrypted xmlns='eu.siacs.conversations.axolotl'/>", true, true),
        ("chat", "<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>x</e2e>", true, true),
        // XEP-0334.
        ("chat", "<body>x</body><no-store xmlns='urn:xmpp:hints'/>", false, true),
        ("chat", "<body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/>", false, true),
        ("chat", "<x xmlns='urn:example'/>", false, false),
        ("chat", "<x xmlns='urn:example'/><store xmlns='urn:xmpp:hints'/>", true, false),
        ("chat", "<body>x</body><no-copy xmlns='urn:xmpp:hints'/>", true, true),
    ] {
        let stanza = Stanza::new(element(&format!("<message type='{kind}'>{content}</message>"))).unwrap();
        assert_eq!(is_archived(&stanza), archived, "{kind}: {content}");
        assert_eq!(is_conversation(&stanza), conversation, "{kind}: {content}");
    }
}

#[test]
fn queries_are_read_with_all_their_fields() {
    let fields = [
        field("with", "Romeo@A.example/x"),
        field("start", "2021-10-07T12:00:00Z"),
        field("end", "2021-10-07T14:00:00+02:00"),
        field("before-id", "00000000000000ff"),
        field("after-id", "0000000000000001"),
        "<field var='ids'><value>0000000000000002</value><value>0000000000000003</value></field>".to_owned(),
    ];
    let query = read(&form(&fields.concat()));
    assert_eq!(query.queryid.as_deref(), Some("f27"));
    let moment = Timestamp { millis: 1_633_608_000_000 };
    let expected = Filter {
        with: Some("romeo@a.example/x".parse().unwrap()),
        start: Some(moment),
        end: Some(moment),
        before: Some(ArchiveId(255)),
        after: Some(ArchiveId(1)),
        ids: Some(ids(&[2, 3]).into_iter().collect()),
    };
    assert_eq!(query.filter, expected);
    assert!(query.follows().is_none() && !query.flipped);
    // What the account says to itself matches whatever the resource.
    assert_eq!(read(&form(&field("with", "juliet@a.example/x"))).filter.with, Some(account().into()));
    assert!(read(&element("<query xmlns='urn:xmpp:mam:2'><flip-page/></query>")).flipped);
    for (set_text, paging, max) in [
        ("", Paging::First, 100),
        ("<max>10</max>", Paging::First, 10),
        ("<max>100000</max>", Paging::First, 100),
        ("<max>0</max>", Paging::First, 0),
        ("<before/>", Paging::Last, 100),
        ("<before>00000000000000aa</before><max>5</max>", Paging::Before(ArchiveId(170)), 5),
        ("<after>00000000000000aa</after>", Paging::After(ArchiveId(170)), 100),
        ("<after/>", Paging::First, 100),
        ("<index>7</index>", Paging::Index(7), 100),
    ] {
        let query = read(&set(set_text));
        assert_eq!((query.paging, query.max), (paging, max), "{set_text}");
        let anchor = match paging {
            Paging::First => Some(ArchiveId(0)),
            Paging::After(id) => Some(id),
            _ => None,
        };
        assert_eq!(query.follows(), anchor, "{set_text}");
    }
}

#[test]
fn wrong_queries_are_refused_with_the_condition_of_the_specification() {
    let many: String = (0..=crate::limits::ARCHIVE_QUERY_IDS_MAX).map(|n| format!("<value>{n:016x}</value>")).collect();
    for (query, condition) in [
        (form(&field("with", "@")), StanzaCondition::JidMalformed),
        (form(&field("start", "yesterday")), StanzaCondition::BadRequest),
        (form(&field("after-id", "not-ours")), StanzaCondition::ItemNotFound),
        (form(&field("ids", "00000000000000FF")), StanzaCondition::ItemNotFound),
        (form(&field("full-text-search", "x")), StanzaCondition::FeatureNotImplemented),
        (form(&field("FORM_TYPE", "urn:xmpp:mam:1")), StanzaCondition::BadRequest),
        (form(&format!("<field var='ids'>{many}</field>")), StanzaCondition::PolicyViolation),
        (set("<max>-1</max>"), StanzaCondition::BadRequest),
        (set("<after>x</after>"), StanzaCondition::ItemNotFound),
        (set("<index>x</index>"), StanzaCondition::BadRequest),
        (set("<after>0000000000000001</after><before>0000000000000002</before>"), StanzaCondition::BadRequest),
    ] {
        let refused = Query::read(&query, &account()).unwrap_err();
        assert_eq!(refused.condition(), condition, "{query:?}");
    }
}

#[test]
fn filters_compare_addresses_moments_and_ids() {
    let at = |secs: u64| Timestamp { millis: secs * 1000 };
    let with = |with: &str| Filter { with: Some(with.parse().unwrap()), ..Filter::default() };
    for (filter, matches) in [
        (Filter::default(), true),
        (with("romeo@a.example"), true),
        (with("romeo@a.example/orchard"), true),
        (with("romeo@a.example/tomb"), false),
        (with("romeo@a.exampl"), false),
        (with("a.example"), false),
        (Filter { start: Some(at(100)), ..Filter::default() }, true),
        (Filter { start: Some(at(101)), ..Filter::default() }, false),
        (Filter { end: Some(at(100)), ..Filter::default() }, true),
        (Filter { end: Some(at(99)), ..Filter::default() }, false),
        (Filter { after: Some(ArchiveId(6)), before: Some(ArchiveId(8)), ..Filter::default() }, true),
        (Filter { after: Some(ArchiveId(7)), ..Filter::default() }, false),
        (Filter { before: Some(ArchiveId(7)), ..Filter::default() }, false),
        (Filter { ids: Some([ArchiveId(7)].into()), ..Filter::default() }, true),
        (Filter { ids: Some([ArchiveId(8)].into()), ..Filter::default() }, false),
    ] {
        assert_eq!(filter.matches(ArchiveId(7), at(100), "romeo@a.example/orchard"), matches, "{filter:?}");
    }
}

#[test]
fn pages_are_cut_as_result_set_management_has_them() {
    let all = ids(&[10, 20, 30, 40, 50]);
    let exists = |id: ArchiveId| all.contains(&id) || id == ArchiveId(35);
    // (set, ids, index, complete)
    for (content, expected, index, complete) in [
        ("<max>2</max>", Ok(vec![10, 20]), 0, false),
        ("<max>5</max>", Ok(vec![10, 20, 30, 40, 50]), 0, true),
        ("<max>0</max>", Ok(vec![]), 0, false),
        ("<max>2</max><after>000000000000001e</after>", Ok(vec![40, 50]), 3, true),
        ("<max>2</max><after>0000000000000014</after>", Ok(vec![30, 40]), 2, false),
        ("<after>0000000000000032</after>", Ok(vec![]), 5, true),
        // It exists, but the filter does not let it through.
        ("<after>0000000000000023</after>", Ok(vec![40, 50]), 3, true),
        ("<after>000000000000000b</after>", Err(StanzaCondition::ItemNotFound), 0, false),
        ("<max>2</max><before/>", Ok(vec![40, 50]), 3, false),
        ("<max>2</max><before>000000000000001e</before>", Ok(vec![10, 20]), 0, true),
        ("<max>1</max><before>000000000000001e</before>", Ok(vec![20]), 1, false),
        ("<before>000000000000000a</before>", Ok(vec![]), 0, true),
        ("<max>2</max><index>3</index>", Ok(vec![40, 50]), 3, true),
        ("<index>6</index>", Err(StanzaCondition::ItemNotFound), 0, false),
    ] {
        let page = read(&set(content)).page(&all, exists);
        match expected {
            Ok(numbers) => {
                assert_eq!(page, Ok(Page { ids: ids(&numbers), index, count: 5, complete }), "{content}");
            }
            Err(condition) => assert_eq!(page.unwrap_err().condition(), condition, "{content}"),
        }
    }
    let named = read(&form(&field("before-id", "000000000000000b")));
    assert_eq!(named.page(&all, exists).unwrap_err().condition(), StanzaCondition::ItemNotFound);
}

#[test]
fn a_page_that_is_too_large_ends_early_on_the_far_side() {
    let page = Page { ids: ids(&[1, 2, 3]), index: 4, count: 9, complete: true };
    let mut forward = page.clone();
    forward.only(ids(&[1, 2]), Paging::First);
    assert_eq!(forward, Page { ids: ids(&[1, 2]), index: 4, count: 9, complete: false });
    let mut backward = page.clone();
    backward.only(ids(&[2, 3]), Paging::Last);
    assert_eq!(backward, Page { ids: ids(&[2, 3]), index: 5, count: 9, complete: false });
    let mut whole = page.clone();
    whole.only(ids(&[1, 2, 3]), Paging::Last);
    assert_eq!(whole, page);
}

#[test]
fn answers_are_those_of_the_examples() {
    let stanza = "<message from='romeo@a.example/x' to='juliet@a.example'><body>hi</body></message>";
    let archived = Archived { id: ArchiveId(5), stamp: Timestamp { millis: 1_633_608_000_000 }, stanza: stanza.into() };
    let query = read(&form(""));
    let to: FullJid = "juliet@a.example/balcony".parse().unwrap();
    let result = result_message(&archived, &query, &account(), &to);
    assert_eq!(
        result,
        "<message from='juliet@a.example' to='juliet@a.example/balcony'>\
         <result xmlns='urn:xmpp:mam:2' id='0000000000000005' queryid='f27'><forwarded xmlns='urn:xmpp:forward:0'>\
         <delay xmlns='urn:xmpp:delay' stamp='2021-10-07T12:00:00.000Z'/>\
         <message xmlns='jabber:client' from='romeo@a.example/x' to='juliet@a.example'><body>hi</body></message>\
         </forwarded></result></message>"
    );
    let inner = element(&result);
    let forwarded = inner.first_child().and_then(Element::first_child).unwrap();
    assert!(forwarded.child("message", ns::CLIENT).unwrap().child("body", ns::CLIENT).is_some());
    let page = Page { ids: ids(&[5, 6]), index: 3, count: 5, complete: true };
    assert_eq!(
        fin(&query, &page).to_text(ns::CLIENT),
        "<fin xmlns='urn:xmpp:mam:2' queryid='f27' complete='true'><set xmlns='http://jabber.org/protocol/rsm'>\
         <first index='3'>0000000000000005</first><last>0000000000000006</last><count>5</count></set></fin>"
    );
    let empty = Page { ids: vec![], index: 0, count: 0, complete: false };
    assert!(!fin(&read(&set("")), &empty).to_text(ns::CLIENT).contains("first"));
    let metadata_text = metadata(Some((&archived, &archived))).to_text(ns::CLIENT);
    assert!(metadata_text.contains("<start id='0000000000000005' timestamp='2021-10-07T12:00:00.000Z'/>"));
    assert_eq!(metadata(None).to_text(ns::CLIENT), "<metadata xmlns='urn:xmpp:mam:2'/>");
    assert!(query_form().to_text(ns::CLIENT).contains("var='ids'><validate"));
}

#[test]
fn preferences_are_read_written_and_heeded() {
    let text = "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@a.example</jid></always>\
                <never><jid>tybalt@a.example</jid><jid>romeo@a.example/tomb</jid></never></prefs>";
    let preferences = Preferences::read(&element(text)).unwrap();
    assert_eq!(Preferences::read(&preferences.to_element()), Ok(preferences.clone()));
    for (with, in_roster, wanted) in [
        ("romeo@a.example/orchard", false, true),
        ("romeo@a.example/tomb", false, false),
        ("tybalt@a.example/x", true, false),
        ("nurse@a.example", true, true),
        ("nurse@a.example", false, false),
    ] {
        assert_eq!(preferences.want(&with.parse().unwrap(), || in_roster), wanted, "{with}");
    }
    assert!(!Preferences::of(DefaultPreference::Never).want(&account().into(), || true));
    for (text, condition) in [
        ("<prefs xmlns='urn:xmpp:mam:2'/>", StanzaCondition::BadRequest),
        ("<prefs xmlns='urn:xmpp:mam:2' default='perhaps'/>", StanzaCondition::BadRequest),
        (
            "<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>@</jid></always></prefs>",
            StanzaCondition::JidMalformed,
        ),
    ] {
        assert_eq!(Preferences::read(&element(text)).unwrap_err().condition(), condition, "{text}");
    }
    let many: String =
        (0..=crate::limits::ARCHIVE_PREFERENCES_MAX).map(|n| format!("<jid>u{n}@a.example</jid>")).collect();
    let text = format!("<prefs xmlns='urn:xmpp:mam:2' default='never'><always>{many}</always></prefs>");
    assert_eq!(Preferences::read(&element(&text)).unwrap_err().condition(), StanzaCondition::PolicyViolation);
}

#[test]
fn ids_are_text_of_one_form() {
    assert_eq!(ArchiveId(0x018c_0000_0000_0001).to_string().parse(), Ok(ArchiveId(0x018c_0000_0000_0001)));
    for text in ["", "1", "000000000000000G", "000000000000000A", "+00000000000000a", "00000000000000000"] {
        assert_eq!(text.parse::<ArchiveId>(), Err(NoArchiveId), "{text}");
    }
}
