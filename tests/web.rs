//! The web listener of a real node: upload slots as both generations of clients ask for them, files up and down over HTTPS, what
//! they may do in a browser, limits, and host-meta. XEP-0363, XEP-0156.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use kontalk_node::limits::{UPLOAD_FILE_BYTES_MAX, WEB_CONNECTIONS_PER_ADDRESS_MAX};
use kontalk_node::xml::{Element, escape_attribute, ns};
use support::client::Client;
use support::figures::Process;
use support::http::{Answer, Http};
use support::node::{DOMAIN, Node, NodeOptions};
use support::stanzas::{refusal, refused};

fn node(settings: &[&str]) -> Node {
    let mut options = NodeOptions::default();
    for setting in settings {
        options.add_config(setting);
    }
    let node = Node::start(options);
    node.add_account("romeo");
    node
}

fn romeo(node: &Node) -> Client {
    Client::bound(node, "romeo", "orchard")
}

/// Asks for a slot in the new form.
fn ask(client: &mut Client, name: &str, size: usize, media_type: &str) -> Element {
    let mut filename = String::new();
    escape_attribute(name, &mut filename);
    let request =
        format!("<request xmlns='{}' filename='{filename}' size='{size}' content-type='{media_type}'/>", ns::UPLOAD);
    client.iq("get", Some(DOMAIN), &request)
}

/// A slot's path.
fn slot(client: &mut Client, name: &str, size: usize, media_type: &str) -> String {
    let answer = ask(client, name, size, media_type);
    let slot = answer.child("slot", ns::UPLOAD).unwrap_or_else(|| panic!("no slot: {answer:?}"));
    let url = |name: &str| slot.child(name, ns::UPLOAD).and_then(|el| el.attribute("url")).expect("a URL").to_owned();
    assert_eq!(url("put"), url("get"));
    path_of(&url("put"))
}

/// What a slot's path is when one file of this content was put to it.
fn uploaded(node: &Node, client: &mut Client, name: &str, content: &[u8], media_type: &str) -> String {
    let path = slot(client, name, content.len(), media_type);
    assert_eq!(Http::to(node).put(&path, content).status, 201);
    path
}

/// Of a URL of the node.
fn path_of(url: &str) -> String {
    let rest = url.strip_prefix("https://").unwrap_or_else(|| panic!("{url}"));
    let (host, path) = rest.split_once('/').expect("a URL has a path");
    assert!(host.starts_with(DOMAIN), "{url}");
    format!("/{path}")
}

/// Paths of all files below the directory of uploads.
fn files(node: &Node) -> Vec<String> {
    fn walk(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    let (root, mut found) = (node.data_dir().join("uploads"), Vec::new());
    walk(&root, &mut found);
    found.iter().map(|path| path.strip_prefix(&format!("{}/", root.display())).unwrap().to_owned()).collect()
}

/// Bytes that differ from place to place.
fn pattern(from: u64, bytes: &mut [u8]) {
    for (at, byte) in (from..).zip(bytes) {
        *byte = (at ^ (at >> 8) ^ (at >> 16)) as u8;
    }
}

fn content(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    pattern(0, &mut content);
    content
}

#[test]
fn a_kontalk_client_uploads_in_the_old_form() {
    let node = node(&[]);
    let mut romeo = romeo(&node);
    let info = romeo.ask("get", Some(DOMAIN), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
    assert!(info.to_text(ns::CLIENT).contains("<feature var='urn:xmpp:http:upload'/>"));

    let me = romeo.full().to_string();
    romeo.send(&format!(
        "<iq type='get' id='h1' to='{DOMAIN}'><request xmlns='urn:xmpp:http:upload'><filename>a &amp; b.jpg.gpg</filename>\
         <size>48213</size><content-type>image/jpeg</content-type></request></iq>"
    ));
    let answer = romeo.expect("a slot", |el| el.attribute("id") == Some("h1"));
    let slot = answer.child("slot", ns::UPLOAD_OLD).expect("a slot");
    let url = slot.child("get", ns::UPLOAD_OLD).expect("a URL").text();
    let expected = format!(
        "<iq from='{DOMAIN}' to='{me}' type='result' id='h1'><slot xmlns='urn:xmpp:http:upload'><put>{url}</put>\
         <get>{url}</get></slot></iq>"
    );
    assert_eq!(sorted_head(&answer), expected);
    // The client writes the URL into XML as it is, and has no use for a query.
    let authority = format!("https://{DOMAIN}:{}/upload/", node.address_web().port());
    let rest = url.strip_prefix(&authority).unwrap_or_else(|| panic!("{url}"));
    let (key, name) = rest.split_once('/').unwrap();
    assert!(key.len() == 48 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{url}");
    assert_eq!(name, "a%20%26%20b.jpg.gpg");

    // For this client success is 200 and nothing else.
    let (path, content) = (path_of(&url), content(48213));
    let mut http = Http::to(&node);
    let fields = [("Content-Type", "image/jpeg"), ("X-Message-Flags", "encrypted")];
    assert_eq!(http.ask("PUT", &path, &fields, &content).status, 200);
    let got = http.get(&path);
    assert_eq!((got.status, got.length()), (200, 48213));
    assert!(got.content == content);
    // It takes the name from an attachment.
    assert_eq!(
        got.field("content-disposition"),
        Some("attachment; filename=\"a _ b.jpg.gpg\"; filename*=UTF-8''a%20%26%20b.jpg.gpg")
    );
    assert_eq!(got.field("content-type"), Some("image/jpeg"));
}

/// The iq with its attributes in one order.
fn sorted_head(iq: &Element) -> String {
    let get = |name: &str| iq.attribute(name).unwrap_or_default();
    let payload: String = iq.children().map(|child| child.to_text(ns::CLIENT)).collect();
    format!("<iq from='{}' to='{}' type='{}' id='{}'>{payload}</iq>", get("from"), get("to"), get("type"), get("id"))
}

#[test]
fn a_stock_client_uploads_in_the_new_form_and_everybody_may_fetch_it() {
    let mut node = node(&[]);
    let mut romeo = romeo(&node);
    let info = romeo.ask("get", Some(DOMAIN), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
    let info = info.to_text(ns::CLIENT);
    assert!(info.contains("<identity category='store' type='file' name='kontalk-node'/>"), "{info}");
    assert!(info.contains("<feature var='urn:xmpp:http:upload:0'/>"), "{info}");
    let limit = format!("<field var='max-file-size'><value>{UPLOAD_FILE_BYTES_MAX}</value></field>");
    assert!(info.contains(&limit), "{info}");

    let answer = ask(&mut romeo, "très cool.jpg", 10, "image/jpeg");
    let slot = answer.child("slot", ns::UPLOAD).expect("a slot");
    let url = slot.child("put", ns::UPLOAD).and_then(|el| el.attribute("url")).unwrap().to_owned();
    assert_eq!(
        slot.to_text(ns::CLIENT),
        format!("<slot xmlns='urn:xmpp:http:upload:0'><put url='{url}'/><get url='{url}'/></slot>")
    );
    let path = path_of(&url);
    let mut http = Http::to(&node);
    assert_eq!(http.get(&path).status, 404);
    assert_eq!(http.put(&path, b"0123456789").status, 201);
    // What was acknowledged is there after a crash, and for who has no account.
    node.kill9();
    node.start_again();
    let mut http = Http::to(&node);
    let got = http.get(&path);
    assert_eq!((got.status, got.text()), (200, "0123456789"));
    assert_eq!(got.field("content-type"), Some("image/jpeg"));
    let disposition = "inline; filename=\"tr_s cool.jpg\"; filename*=UTF-8''tr%C3%A8s%20cool.jpg";
    assert_eq!(got.field("content-disposition"), Some(disposition));
    assert_eq!(got.field("accept-ranges"), Some("bytes"));
    assert_eq!(got.field("access-control-allow-origin"), Some("*"));

    // The same head without content, and nothing at all where nothing has changed.
    let head = http.ask("HEAD", &path, &[], b"");
    fn without_date(answer: &Answer) -> Vec<&(String, String)> {
        let mut fields: Vec<_> = answer.fields.iter().filter(|(name, _)| name != "date").collect();
        fields.sort();
        fields
    }
    assert_eq!((head.status, without_date(&head)), (200, without_date(&got)));
    let tag = got.field("etag").expect("a tag").to_owned();
    assert_eq!(http.ask("GET", &path, &[("If-None-Match", &tag)], b"").status, 304);
    let options = http.ask("OPTIONS", &path, &[("Origin", "https://chat.example")], b"");
    assert_eq!((options.status, options.field("access-control-allow-methods")), (204, Some("GET, HEAD, PUT, OPTIONS")));
}

#[test]
fn a_put_brings_what_was_announced_once_and_in_time() {
    let mut node = node(&[]);
    let mut romeo = romeo(&node);
    let path = slot(&mut romeo, "a.txt", 5, "text/plain");
    let put = |node: &Node, path: &str, content: &[u8]| Http::to(node).put(path, content).status;
    assert_eq!(put(&node, &path, b"hell"), 400);
    assert_eq!(put(&node, &path, b"hello!"), 413);
    let mut http = Http::to(&node);
    http.send_head("PUT", &path, &[("Transfer-Encoding", "chunked")]);
    http.send(b"5\r\nhello\r\n0\r\n\r\n").unwrap();
    assert_eq!(http.answer("PUT").unwrap().status, 411);
    // Another name, another key, none at all.
    assert_eq!(put(&node, &path.replace("a.txt", "b.txt"), b"hello"), 403);
    let guess = path.replace("/upload/", "/upload/0").replacen("/a.txt", "", 1);
    assert_eq!(put(&node, &format!("{}/a.txt", &guess[..guess.len() - 1]), b"hello"), 403);
    assert_eq!(put(&node, "/upload/a.txt", b"hello"), 403);
    assert_eq!(files(&node), [""; 0]);

    // A client that asks first is told to go on, and then that it is done.
    let mut http = Http::to(&node);
    http.send_head("PUT", &path, &[("Content-Length", "5"), ("Expect", "100-continue")]);
    assert_eq!(http.head().unwrap().status, 100);
    http.send(b"hello").unwrap();
    assert_eq!(http.answer("PUT").unwrap().status, 201);
    assert_eq!(put(&node, &path, b"jello"), 409);
    assert_eq!(Http::to(&node).get(&path).text(), "hello");

    // Slots end with the node's life; files do not.
    let waiting = slot(&mut romeo, "c.txt", 5, "text/plain");
    drop(romeo);
    node.sigterm();
    node.start_again();
    assert_eq!(put(&node, &waiting, b"hello"), 403);
    assert_eq!(put(&node, &path, b"jello"), 403);
    assert_eq!(Http::to(&node).get(&path).text(), "hello");
}

#[test]
fn slots_are_refused_in_the_form_they_were_asked_for() {
    let node = node(&["upload.file_mib_max = 1", "upload.quota_mib = 2"]);
    let mut romeo = romeo(&node);
    let too_large = |namespace: &str| {
        format!(
            "<not-acceptable xmlns='{}'/><text xmlns='{0}' xml:lang='en'>a file may have 1048576 bytes</text>\
             <file-too-large xmlns='{namespace}'><max-file-size>1048576</max-file-size></file-too-large>",
            ns::STANZA_ERRORS
        )
    };
    let inner = |answer: &Element| -> String {
        let error = answer.child("error", ns::CLIENT).expect("an error");
        assert_eq!(error.attribute("type"), Some("modify"));
        error.children().map(|child| child.to_text(ns::CLIENT)).collect()
    };
    assert_eq!(inner(&ask(&mut romeo, "a", 1_048_577, "")), too_large("urn:xmpp:http:upload:0"));
    let old = "<request xmlns='urn:xmpp:http:upload'><filename>a</filename><size>1048577</size></request>";
    assert_eq!(inner(&romeo.iq("get", Some(DOMAIN), old)), too_large("urn:xmpp:http:upload"));
    assert_eq!(refused(&ask(&mut romeo, "", 5, "")), Some(refusal("bad-request", "modify")));
    assert_eq!(refused(&ask(&mut romeo, "a", 0, "")), Some(refusal("bad-request", "modify")));
    // Only the domain hands out slots, and only to who asks for one.
    let request = format!("<request xmlns='{}' filename='a' size='5'/>", ns::UPLOAD);
    assert_eq!(refused(&romeo.iq("get", None, &request)), Some(refusal("service-unavailable", "cancel")));
    assert_eq!(refused(&romeo.iq("set", Some(DOMAIN), &request)), Some(refusal("service-unavailable", "cancel")));
}

#[test]
fn an_account_has_a_quota_of_slots_and_files() {
    let node = node(&["upload.file_mib_max = 1", "upload.quota_mib = 2"]);
    let mut romeo = romeo(&node);
    let (small, large) = (500_000, 1_000_000);
    let full = Some(refusal("resource-constraint", "wait"));
    slot(&mut romeo, "a", large, "");
    let path = slot(&mut romeo, "b", large, "");
    // What is promised counts like what is there.
    assert_eq!(refused(&ask(&mut romeo, "c", small, "")), full);
    assert_eq!(Http::to(&node).put(&path, &content(large)).status, 201);
    let answer = ask(&mut romeo, "c", small, "");
    assert_eq!(refused(&answer), full);
    // XEP-0363 §6: when there will be space again.
    let retry = answer.child("error", ns::CLIENT).and_then(|error| error.child("retry", ns::UPLOAD));
    assert!(retry.and_then(|retry| retry.attribute("stamp")).is_some(), "{answer:?}");
    // Others have their own.
    node.add_account("juliet");
    slot(&mut Client::bound(&node, "juliet", "balcony"), "c", small, "");
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_files() {
    let node = node(&["upload.free_mib_min = 1048576"]);
    let mut romeo = romeo(&node);
    assert_eq!(refused(&ask(&mut romeo, "a", 5, "")), Some(refusal("resource-constraint", "wait")));
    node.log_says("remedy: make space, or lower upload.free_mib_min");
}

#[test]
fn files_go_when_they_are_old_and_when_their_account_goes() {
    let mut node = node(&["upload.days = 1"]);
    node.add_account("juliet");
    let mut romeo = romeo(&node);
    let old = uploaded(&node, &mut romeo, "old", b"old", "");
    let path = node.data_dir().join("uploads").join(&files(&node)[0]);
    let young = uploaded(&node, &mut romeo, "young", b"young", "");
    let others = uploaded(&node, &mut Client::bound(&node, "juliet", "balcony"), "others", b"others", "");
    drop(romeo);
    node.sigterm();
    let two_days_ago = SystemTime::now() - Duration::from_secs(2 * 86_400);
    fs::File::options().write(true).open(path).unwrap().set_modified(two_days_ago).unwrap();
    node.start_again();
    node.log_says("removed uploaded files: 1 were too old, 0 of accounts that are no more");
    let status = |node: &Node, path: &str| Http::to(node).get(path).status;
    assert_eq!([&old, &young, &others].map(|path| status(&node, path)), [404, 200, 200]);

    assert!(node.cli(&["account", "remove", "romeo@kontalk.test"]).status.success());
    node.log_says("removed uploaded files: 0 were too old, 1 of accounts that are no more");
    assert_eq!([&young, &others].map(|path| status(&node, path)), [404, 200]);
    // The next owner of the address has nothing of it.
    node.add_account("romeo");
    assert_eq!(status(&node, &young), 404);

    // A user who ends her account herself. XEP-0077 §3.2.
    let mut juliet = Client::bound(&node, "juliet", "balcony");
    juliet.send("<iq type='set' id='r1'><query xmlns='jabber:iq:register'><remove/></query></iq>");
    wait_until("her file is gone", || files(&node).is_empty());
    assert_eq!(status(&node, &others), 404);
}

#[test]
fn nothing_runs_in_the_name_of_our_origin() {
    let node = node(&[]);
    let mut romeo = romeo(&node);
    let script = b"<script>alert(document.domain)</script>";
    for (name, media_type, served, kind) in [
        ("a.html", "text/html", "application/octet-stream", "attachment"),
        ("a.html", "image/png", "image/png", "inline"),
        ("a.svg", "image/svg+xml", "application/octet-stream", "attachment"),
        ("a.xhtml", "application/xhtml+xml; charset=utf-8", "application/octet-stream", "attachment"),
        ("a.xml", "text/xml", "application/octet-stream", "attachment"),
        ("a.js", "text/javascript", "application/octet-stream", "attachment"),
        ("a.pdf", "application/pdf", "application/pdf", "attachment"),
        ("a", "", "application/octet-stream", "attachment"),
        ("a", "TEXT/HTML", "application/octet-stream", "attachment"),
        ("a", "text/html\r\nX: y", "application/octet-stream", "attachment"),
        ("a.mp4", "video/mp4", "video/mp4", "inline"),
    ] {
        let media_type = media_type.replace('\r', "&#13;").replace('\n', "&#10;");
        let path = slot(&mut romeo, name, script.len(), &media_type);
        let mut http = Http::to(&node);
        // What the PUT says of its type counts nothing.
        assert_eq!(http.ask("PUT", &path, &[("Content-Type", "text/html")], script).status, 201);
        let got = http.get(&path);
        assert_eq!(got.field("content-type"), Some(served), "{name} {media_type}");
        let disposition = got.field("content-disposition").expect("a disposition");
        assert!(disposition.starts_with(kind), "{name} {media_type}: {disposition}");
        assert_eq!(got.field("x-content-type-options"), Some("nosniff"));
        let policy = got.field("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
        assert_eq!(got.field("x"), None);
    }
    // Error pages are no better a place.
    let nothing = Http::to(&node).get("/upload/'script:alert(1)'");
    assert_eq!((nothing.status, nothing.field("content-type")), (404, Some("text/plain; charset=utf-8")));
    assert!(!nothing.text().contains("script") && nothing.field("content-security-policy").is_some());
}

#[test]
fn hostile_names_do_no_harm() {
    let node = node(&[]);
    let mut romeo = romeo(&node);
    let long = format!("{}.jpg", "x".repeat(4000));
    let wide = "\u{1F600}".repeat(300);
    for name in [
        "../../../../etc/passwd",
        "..\\..\\node.toml",
        "/etc/passwd",
        ".",
        "..",
        ".htaccess",
        "a\r\nSet-Cookie: a=b",
        "a\tb",
        "a\"; filename=\"b.exe",
        "%2e%2e%2f%00",
        "?x=y#z",
        "<script>&amp;'",
        "photo\u{202E}gpj.exe",
        "写真.png",
        "CON",
        "a;b=c",
        " ",
        &long,
        &wide,
    ] {
        let path = uploaded(&node, &mut romeo, name, b"content", "text/plain");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%/".contains(c);
        assert!(path.chars().all(plain) && path.len() < 500, "{name:?}: {path}");
        assert_eq!(path.matches('/').count(), 3, "{name:?}: {path}");
        let got = Http::to(&node).get(&path);
        assert_eq!((got.status, got.text()), (200, "content"), "{name:?}");
        let disposition = got.field("content-disposition").expect("a disposition");
        assert!(disposition.is_ascii() && disposition.starts_with("attachment; filename=\""), "{disposition}");
        assert!(!disposition.contains(['/', '\\', '<']) && disposition.matches('"').count() == 2, "{disposition}");
        assert_eq!(got.field("set-cookie"), None);
    }
    // Nothing that a client said is a name on our disk.
    let stored = files(&node);
    assert_eq!(stored.len(), 19);
    let is_hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for file in stored {
        let (owner, id) = file.split_once('/').unwrap();
        assert!(owner.len() == 16 && id.len() == 32 && is_hexadecimal(owner) && is_hexadecimal(id), "{file}");
    }
}

#[test]
fn parts_of_a_file_can_be_fetched() {
    let node = node(&[]);
    let mut romeo = romeo(&node);
    let all = content(1000);
    let path = uploaded(&node, &mut romeo, "a", &all, "video/mp4");
    let mut http = Http::to(&node);
    for (range, status, first, last) in [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=0-999", 206, 0, 999),
        ("bytes=100-199", 206, 100, 199),
        ("bytes=900-", 206, 900, 999),
        ("bytes=-1", 206, 999, 999),
        ("bytes=-5000", 206, 0, 999),
        ("bytes=500-5000", 206, 500, 999),
        // Nonsense, and what we do not do, is the whole. RFC 9110 §14.2.
        ("bytes=5-4", 200, 0, 999),
        ("bytes=0-1,5-6", 200, 0, 999),
        ("lines=0-1", 200, 0, 999),
        ("", 200, 0, 999),
    ] {
        let got = http.ask("GET", &path, &[("Range", range)], b"");
        assert_eq!(got.status, status, "{range}");
        assert!(got.content == all[first..=last], "{range}");
        let expected = (status == 206).then(|| format!("bytes {first}-{last}/1000"));
        assert_eq!(got.field("content-range"), expected.as_deref(), "{range}");
    }
    for range in ["bytes=1000-", "bytes=1000-2000", "bytes=-0"] {
        let got = http.ask("GET", &path, &[("Range", range)], b"");
        assert_eq!((got.status, got.field("content-range")), (416, Some("bytes */1000")), "{range}");
    }
    // RFC 9110 §13.1.5: a part of another file is no use.
    let got = http.ask("GET", &path, &[("Range", "bytes=0-9"), ("If-Range", "\"other\"")], b"");
    assert_eq!((got.status, got.length()), (200, 1000));
    assert_eq!(http.ask("HEAD", &path, &[("Range", "bytes=0-9")], b"").status, 200);
}

#[test]
fn an_interrupted_upload_leaves_nothing_and_can_be_repeated() {
    let mut node = node(&["upload.file_mib_max = 4", "upload.quota_mib = 4"]);
    let mut romeo = romeo(&node);
    let all = content(4 * 1024 * 1024);
    let path = slot(&mut romeo, "a", all.len(), "");
    let mut http = Http::to(&node);
    http.send_head("PUT", &path, &[("Content-Length", &all.len().to_string())]);
    http.send(&all[..all.len() / 2]).unwrap();
    // While one brings it, nobody else does.
    assert_eq!(Http::to(&node).put(&path, &all[..100]).status, 409);
    assert_eq!(Http::to(&node).get(&path).status, 404);
    http.cut();
    node.log_says("an upload broke off");
    wait_until("the half of a file is gone", || files(&node).is_empty());
    assert_eq!(Http::to(&node).put(&path, &all).status, 201);
    assert!(Http::to(&node).get(&path).content == all);
    fs::remove_dir_all(node.data_dir().join("uploads").join(files(&node)[0].split_once('/').unwrap().0)).unwrap();

    // A crash leaves the half behind; the next start removes it, and the quota is free.
    let path = slot(&mut romeo, "b", all.len(), "");
    let mut http = Http::to(&node);
    http.send_head("PUT", &path, &[("Content-Length", &all.len().to_string())]);
    http.send(&all[..all.len() / 2]).unwrap();
    wait_until("a half of a file is there", || files(&node).iter().any(|file| file.starts_with("partial/")));
    drop(romeo);
    node.kill9();
    assert_eq!(files(&node).len(), 1);
    node.start_again();
    assert_eq!(files(&node), [""; 0]);
    let mut romeo = self::romeo(&node);
    let path = uploaded(&node, &mut romeo, "b", &all, "");
    assert!(Http::to(&node).get(&path).content == all);
}

/// For what only the disk tells.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < support::client::PATIENCE, "not so: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_hundred_megabytes_go_up_and_down_in_constant_memory() {
    const SIZE: u64 = 100 * 1024 * 1024;
    const CHUNK: usize = 64 * 1024;
    let mut options = NodeOptions { log_level: "info", ..NodeOptions::default() };
    options.add_config("upload.file_mib_max = 100");
    options.add_config("upload.quota_mib = 200");
    let node = Node::start(options);
    node.add_account("romeo");
    let mut romeo = romeo(&node);
    // Everything once, so that only the size makes a difference.
    let small = uploaded(&node, &mut romeo, "small", &content(CHUNK), "");
    assert_eq!(Http::to(&node).get(&small).status, 200);
    let path = slot(&mut romeo, "large", SIZE as usize, "video/mp4");
    let process = Process { pid: node.pid() };
    process.forget_peak();
    let before = process.rss_kib();

    let mut chunk = vec![0; CHUNK];
    let mut http = Http::to(&node);
    http.send_head("PUT", &path, &[("Content-Length", &SIZE.to_string())]);
    for from in (0..SIZE).step_by(CHUNK) {
        pattern(from, &mut chunk);
        http.send(&chunk).unwrap();
    }
    assert_eq!(http.answer("PUT").unwrap().status, 201);
    let after_upload = process.peak_rss_kib();

    // Half of it, then the connection is lost; the rest comes by Range.
    http.send_head("GET", &path, &[]);
    let head = http.head().unwrap();
    assert_eq!((head.status, head.length() as u64), (200, SIZE));
    let half = receive(&mut http, 0, SIZE / 2);
    http.cut();
    let tag = head.field("etag").unwrap();
    let mut http = Http::to(&node);
    http.send_head("GET", &path, &[("Range", &format!("bytes={half}-")), ("If-Range", tag)]);
    let head = http.head().unwrap();
    assert_eq!((head.status, head.length() as u64), (206, SIZE - half));
    assert_eq!(receive(&mut http, half, SIZE), SIZE);
    let after_download = process.peak_rss_kib();
    println!(
        "memory: {before:.0} KiB before, at most {:+.0} KiB by the upload, {:+.0} KiB by the download",
        after_upload - before,
        after_download - before
    );
    assert!(after_download - before < 8.0 * 1024.0, "{before} KiB before, up to {after_download} KiB");
}

/// Reads and compares a part of the pattern; gives where it ends.
fn receive(http: &mut Http, from: u64, to: u64) -> u64 {
    let (mut at, mut got, mut expected) = (from, vec![0; 64 * 1024], vec![0; 64 * 1024]);
    while at < to {
        let wanted = got.len().min((to - at) as usize);
        let read = http.read(&mut got[..wanted]).unwrap();
        assert!(read > 0, "it ended at {at}");
        pattern(at, &mut expected[..read]);
        assert!(got[..read] == expected[..read], "it differs behind {at}");
        at += read as u64;
    }
    at
}

#[test]
fn one_address_cannot_take_all_connections() {
    let node = node(&[]);
    let mut held: Vec<Http> = (0..WEB_CONNECTIONS_PER_ADDRESS_MAX).map(|_| Http::to(&node)).collect();
    assert!(Http::try_to(node.address_web()).is_err(), "one too many");
    // They are good for requests, and XMPP does not mind.
    assert_eq!(held[0].get("/").status, 404);
    let mut romeo = romeo(&node);
    slot(&mut romeo, "a", 5, "");
    held.pop();
    wait_until("a place is free", || Http::try_to(node.address_web()).is_ok());
}

#[test]
fn host_meta_is_there_for_web_clients() {
    let node = node(&[]);
    let mut http = Http::to(&node);
    let xml = http.get("/.well-known/host-meta");
    assert_eq!((xml.status, xml.field("content-type")), (200, Some("application/xrd+xml; charset=utf-8")));
    let text =
        "<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n</XRD>\n";
    assert_eq!(xml.text(), text);
    let json = http.get("/.well-known/host-meta.json");
    assert_eq!((json.status, json.field("content-type")), (200, Some("application/json")));
    assert_eq!(json.text(), "{\"links\":[]}\n");
    // XEP-0156 §3: for scripts of any origin.
    assert_eq!([&xml, &json].map(|answer| answer.field("access-control-allow-origin")), [Some("*"); 2]);
    let head = http.ask("HEAD", "/.well-known/host-meta", &[], b"");
    assert_eq!((head.status, head.length()), (200, text.len()));
    let wrong = http.ask("POST", "/.well-known/host-meta", &[], b"x");
    assert_eq!((wrong.status, wrong.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
    for path in ["/", "/upload", "/upload/", "/uploads.key", "/.well-known/"] {
        assert_eq!(Http::to(&node).get(path).status, 404, "{path}");
    }
}

#[test]
fn a_reverse_proxy_brings_tls_and_the_url() {
    let mut node = node(&["web.reverse_proxy = true", "web.url = \"https://kontalk.test/files\""]);
    let mut romeo = romeo(&node);
    let url = path_of(&format!("https://{DOMAIN}{}", slot(&mut romeo, "a", 5, "")));
    let path = url.strip_prefix("/files").expect("the URL's path is the proxy's to strip");
    let mut http = Http::plain_to(&node);
    let forwarded = [("X-Forwarded-For", "192.0.2.1, 198.51.100.7")];
    assert_eq!(http.ask("PUT", path, &forwarded, b"hello").status, 201);
    assert_eq!(http.ask("GET", path, &forwarded, b"").text(), "hello");
    drop(romeo);
    node.sigterm();
}

#[test]
fn what_is_switched_off_is_not_offered() {
    for setting in ["web.enabled = false", "upload.enabled = false"] {
        let node = node(&[setting]);
        let mut romeo = romeo(&node);
        let info = romeo.ask("get", Some(DOMAIN), &format!("<query xmlns='{}'/>", ns::DISCO_INFO)).unwrap().unwrap();
        assert!(!info.to_text(ns::CLIENT).contains("upload"), "{setting}");
        assert_eq!(refused(&ask(&mut romeo, "a", 5, "")), Some(refusal("service-unavailable", "cancel")), "{setting}");
        if setting.starts_with("upload") {
            assert_eq!(Http::to(&node).get("/.well-known/host-meta").status, 200);
            assert_eq!(Http::to(&node).get("/upload/").status, 404);
        }
    }
}
