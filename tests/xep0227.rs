//! Users on the way from one server to another, in files of XEP-0227: out of this node and into another of its kind, into Debian's
//! ejabberd and Prosody, and back out of these. Who logs in there is a stock client, by SCRAM.
//!
//! Needs the Debian packages ejabberd and prosody, and the Python libraries that `tests/run` installs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use kontalk_node::xml::Element;
use support::body;
use support::client::{Client, Connect};
use support::node::{DOMAIN, Node, NodeOptions, password_of};
use support::stanzas::body_of;

#[test]
fn everything_goes_from_one_node_to_another_and_a_second_time_does_no_harm() {
    let node = peopled();
    let file = beside(&node, "all.xml");
    assert_done(&node.cli(&["export", "--to", text(&file)]));
    assert_eq!(mode(&file), 0o600);
    let there = fs::read_to_string(&file).unwrap();
    assert!(!there.contains(&password_of("juliet")), "a password is told");
    assert_eq!(there, stdout(&node.cli(&["export", "--to", "-"])));

    let mut other = empty();
    let imported = other.cli(&["import", text(&file)]);
    assert_done(&imported);
    assert!(
        stdout(&imported).contains("3 made, 0 known") && stdout(&imported).contains("told above         0"),
        "{imported:?}"
    );
    assert_eq!(stdout(&other.cli(&["export", "--to", "-"])), there);
    let again = other.cli(&["import", text(&file)]);
    assert_done(&again);
    assert!(stdout(&again).contains("0 made, 3 known") && stdout(&again).contains("told above         0"), "{again:?}");
    assert_eq!(stdout(&other.cli(&["export", "--to", "-"])), there);

    // And with files for each user, from a node that does not run.
    let users = beside(&other, "users");
    assert_done(&other.cli(&["export", "--each", "--to", text(&users)]));
    assert_eq!(fs::read_dir(&users).unwrap().count(), 3);
    let third = empty();
    assert_done(&third.cli(&["import", text(&users)]));
    assert_eq!(stdout(&third.cli(&["export", "--to", "-"])), there);

    other.start_again();
    find_everything(&other);
}

#[test]
fn what_is_there_already_stays_and_every_difference_is_told() {
    let mut node = peopled();
    let file = beside(&node, "all.xml");
    assert_done(&node.cli(&["export", "--to", text(&file)]));
    let running = node.cli(&["import", text(&file)]);
    assert_eq!(running.status.code(), Some(1));
    assert!(stderr(&running).contains("stop the node that is running"), "{running:?}");
    node.sigterm();
    let there = stdout(&node.cli(&["export", "--to", "-"]));
    let changed = fs::read_to_string(&file)
        .unwrap()
        .replace("name='The Nurse'", "name='Somebody'")
        .replace("<FN>Juliet</FN>", "<FN>Rosaline</FN>")
        .replace(
            "<host jid='kontalk.test'>",
            "<host jid='other.test'><user name='nobody'/></host><host jid='kontalk.test'>",
        )
        .replace("</user>", "<mystery xmlns='urn:example:unknown'><deep><deeper/></deep></mystery></user>");
    fs::write(&file, changed).unwrap();
    let imported = node.cli(&["import", text(&file)]);
    assert_done(&imported);
    for line in [
        "juliet@kontalk.test: nurse@kontalk.test is in the roster otherwise, and stays so",
        "juliet@kontalk.test: the vCard is there otherwise, and stays so",
        "the users of \"other.test\" are passed over: this node serves kontalk.test",
    ] {
        assert!(stderr(&imported).contains(line), "{line}: {imported:?}");
    }
    assert!(stdout(&imported).contains("passed over: 3 x <mystery xmlns='urn:example:unknown'>"), "{imported:?}");
    assert_eq!(stdout(&node.cli(&["export", "--to", "-"])), there);
}

#[test]
fn files_are_put_together_by_xinclude_and_what_is_no_export_is_refused() {
    let node = empty();
    let write = |name: &str, content: &str| {
        let path = beside(&node, name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    };
    // The layout that the specification names, with passwords in the clear, as an old server has them.
    let main = write(
        "main.xml",
        "<?xml version='1.0'?><server-data xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'>\
         <xi:include href='kontalk.test.xml'/></server-data>",
    );
    write(
        "kontalk.test.xml",
        "<host xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude' jid='kontalk.test'>\
         <xi:include href='kontalk.test/juliet.xml'/><!-- and others --></host>",
    );
    write(
        "kontalk.test/juliet.xml",
        &format!("<user xmlns='urn:xmpp:pie:0' name='juliet' password='{}'/>", password_of("juliet")),
    );
    assert_done(&node.cli(&["import", text(&main)]));
    let shown = node.cli(&["account", "show", "juliet@kontalk.test"]);
    assert!(stdout(&shown).contains("password     yes"), "{shown:?}");

    let refusals = [
        (
            "<server-data xmlns='urn:xmpp:pie:0'><include xmlns='http://www.w3.org/2001/XInclude' href='../x.xml'/></server-data>",
            "which is not in or below its directory",
        ),
        (
            "<server-data xmlns='urn:xmpp:pie:0'><include xmlns='http://www.w3.org/2001/XInclude' href='/etc/passwd'/></server-data>",
            "which is not in or below its directory",
        ),
        (
            "<server-data xmlns='urn:xmpp:pie:0'><include xmlns='http://www.w3.org/2001/XInclude' href='x.xml' parse='text'/></server-data>",
            "which is not in or below its directory",
        ),
        ("<html/>", "this is no export of XEP-0227"),
        ("<server-data xmlns='urn:xmpp:pie:0'><host", "not well-formed XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><server-data xmlns='urn:xmpp:pie:0'/>", "is not allowed"),
    ];
    for (content, told) in refusals {
        let file = write("loop.xml", content);
        let refused = node.cli(&["import", text(&file)]);
        assert_eq!(refused.status.code(), Some(1), "{content}: {refused:?}");
        assert!(stderr(&refused).contains(told) && stderr(&refused).contains("(remedy: "), "{content}: {refused:?}");
    }
    let nothing = node.cli(&["import", text(&beside(&node, "nowhere.xml"))]);
    assert!(stderr(&nothing).contains("cannot be read"), "{nothing:?}");
}

/// ejabberd takes our file, a stock client logs in there with the old password, and what ejabberd exports comes back whole.
#[test]
fn stock_clients_log_in_to_an_ejabberd_that_imported_everybody() {
    let mut node = peopled();
    let file = beside(&node, "all.xml");
    assert_done(&node.cli(&["export", "--ejabberd", "--to", text(&file)]));
    node.sigterm();
    let dir = Scratch::new("ejabberd");
    let address = free_address();
    let back = dir.0.join("back");
    fs::create_dir(&back).unwrap();
    certificate(&node, &dir.0);
    fs::write(dir.0.join("ejabberd.yml"), ejabberd_config(&dir.0, address)).unwrap();
    let evaluated = format!(
        "io:format(\"IMPORTED ~p~n\", [ejabberd_piefxis:import_file(<<\"{}\">>)]), \
         io:format(\"EXPORTED ~p~n\", [ejabberd_piefxis:export_host(<<\"{}\">>, <<\"{DOMAIN}\">>)]).",
        file.display(),
        back.display()
    );
    let mut command = Command::new("erl");
    command.args(["-noinput", "-mnesia", "dir"]).arg(format!("\"{}\"", dir.0.join("data").display()));
    command.args(["-s", "ejabberd", "-eval", &evaluated]);
    command.env("EJABBERD_CONFIG_PATH", dir.0.join("ejabberd.yml"));
    command.env("EJABBERD_LOG_PATH", dir.0.join("ejabberd.log"));
    command.env("ERL_CRASH_DUMP", dir.0.join("crash.dump"));
    command.env("ERL_LIBS", erlang_libraries()).env("HOME", &dir.0);
    let server = Server::start(command, &dir.0);
    assert_eq!(server.says("IMPORTED "), "ok");
    assert_eq!(server.says("EXPORTED "), "ok");
    let told = log_in("juliet", address, 1);
    assert_eq!(told, [format!("message romeo@kontalk.test/orchard {}", body("waits"))]);
    drop(server);

    // ejabberd has no archives and nodes in its file, and puts a moment of its own to messages.
    let mut other = empty();
    let imported = other.cli(&["import", text(&back)]);
    assert_done(&imported);
    assert!(stdout(&imported).contains("3 made"), "{imported:?}");
    other.start_again();
    find_contacts(by_plain(&other, "juliet"));
}

/// The same with Prosody, whose migrator reads and writes files for each user.
#[test]
fn stock_clients_log_in_to_a_prosody_that_imported_everybody() {
    let mut node = peopled();
    let dir = Scratch::new("prosody");
    let users = dir.0.join("users");
    assert_done(&node.cli(&["export", "--each", "--to", text(&users)]));
    node.sigterm();
    certificate(&node, &dir.0);
    for name in ["data", "back"] {
        fs::create_dir(dir.0.join(name)).unwrap();
    }
    let migrator = dir.0.join("migrator.cfg.lua");
    fs::write(&migrator, migrator_config(&dir.0)).unwrap();
    // The store of files takes its directory from the environment only.
    migrate(&migrator, &users, "files", "data");
    let address = free_address();
    fs::write(dir.0.join("prosody.cfg.lua"), prosody_config(&dir.0, address)).unwrap();
    let mut command = Command::new("prosody");
    command.arg("--config").arg(dir.0.join("prosody.cfg.lua")).arg("-F");
    let server = Server::start(command, &dir.0);
    server.says("Activated service 'c2s' on");
    let told = log_in("juliet", address, 0);
    assert!(told.is_empty(), "{told:?}");
    drop(server);

    migrate(&migrator, &dir.0.join("back"), "data", "files");
    let mut other = empty();
    let imported = other.cli(&["import", text(&dir.0.join("back"))]);
    assert_done(&imported);
    assert!(stdout(&imported).contains("3 made"), "{imported:?}");
    other.start_again();
    let mut juliet = by_plain(&other, "juliet");
    let items = juliet.iq(
        "get",
        None,
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:example:notes'/></pubsub>",
    );
    assert_eq!(items.to_text("").matches("<note ").count(), 3, "{items:?}");
    let archived = archive_of(&mut juliet);
    assert!(archived.contains(&body("to the nurse")), "{archived:?}");
    find_contacts(juliet);
}

/// A node with three accounts that have everything an account can have.
fn peopled() -> Node {
    let node = Node::start(NodeOptions { log_level: "debug", ..NodeOptions::default() });
    for user in ["juliet", "nurse", "romeo"] {
        node.add_account(user);
    }
    let mut juliet = Client::online(&node, "juliet", "balcony");
    let mut nurse = Client::online(&node, "nurse", "hall");
    juliet.befriend(&mut nurse);
    juliet.iq(
        "set",
        None,
        "<query xmlns='jabber:iq:roster'><item jid='nurse@kontalk.test' name='The Nurse'><group>Home &amp; hearth</group></item></query>",
    );
    juliet.iq(
        "set",
        None,
        "<block xmlns='urn:xmpp:blocking'><item jid='paris@kontalk.test'/><item jid='evil.test'/></block>",
    );
    juliet.iq("set", None, "<query xmlns='jabber:iq:private'><a xmlns='urn:example:a'>one</a></query>");
    juliet.iq("set", None, "<query xmlns='jabber:iq:private'><b xmlns='urn:example:b'><c/></b></query>");
    juliet.iq(
        "set",
        None,
        "<vCard xmlns='vcard-temp'><FN>Juliet</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>iVBORw0KGgo=</BINVAL></PHOTO></vCard>",
    );
    for number in 1..=3 {
        juliet.iq(
            "set",
            None,
            &format!(
                "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:example:notes'><item id='n{number}'>\
                 <note xmlns='urn:example:notes'>{number} &lt; 4</note></item></publish><publish-options>\
                 <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                 <field var='pubsub#access_model'><value>whitelist</value></field><field var='pubsub#max_items'><value>10</value></field>\
                 <field var='pubsub#persist_items'><value>true</value></field></x></publish-options></pubsub>"
            ),
        );
    }
    juliet.say("nurse@kontalk.test", &body("to the nurse"));
    juliet.wait_acked();
    nurse.expect_body(&body("to the nurse"));
    juliet.close();
    nurse.close();
    let mut romeo = Client::online(&node, "romeo", "orchard");
    romeo.send("<presence to='juliet@kontalk.test' type='subscribe'/>");
    romeo.say("juliet@kontalk.test", &body("waits"));
    romeo.wait_acked();
    romeo.close();
    node
}

/// A stopped node that has nobody yet.
fn empty() -> Node {
    let mut node = Node::start(NodeOptions { log_level: "debug", ..NodeOptions::default() });
    node.sigterm();
    node
}

/// All of what [`peopled`] gave to Juliet.
fn find_everything(node: &Node) {
    let mut juliet = Client::online(node, "juliet", "balcony");
    let heard: Vec<String> = juliet.drain().iter().filter_map(body_of).collect();
    assert_eq!(heard, [body("waits")]);
    let private = juliet.iq("get", None, "<query xmlns='jabber:iq:private'><b xmlns='urn:example:b'/></query>");
    assert!(private.to_text("").contains("<c/>"), "{private:?}");
    let data = juliet.iq(
        "get",
        None,
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'/></pubsub>",
    );
    assert!(data.to_text("").contains("iVBORw0KGgo="), "{data:?}");
    let node_of =
        "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:example:notes'/></pubsub>";
    let configured = juliet.iq("get", None, node_of).to_text("");
    assert!(
        configured.contains("<value>whitelist</value>") && configured.contains("<value>10</value>"),
        "{configured}"
    );
    let archived = archive_of(&mut juliet);
    assert!(archived.contains(&body("to the nurse")) && archived.contains(&body("waits")), "{archived:?}");
    find_contacts(juliet);
}

/// What every server's file has.
fn find_contacts(mut juliet: Client) {
    let (_, items) = juliet.roster();
    let nurse = items.iter().find(|item| item.attribute("jid") == Some("nurse@kontalk.test")).expect("the nurse");
    assert_eq!((nurse.attribute("name"), nurse.attribute("subscription")), (Some("The Nurse"), Some("both")));
    assert!(nurse.children().any(|group| group.text() == "Home & hearth"), "{nurse:?}");
    let vcard = juliet.iq("get", None, "<vCard xmlns='vcard-temp'/>").to_text("");
    assert!(vcard.contains("<FN>Juliet</FN>") && vcard.contains("iVBORw0KGgo="), "{vcard}");
    let private = juliet.iq("get", None, "<query xmlns='jabber:iq:private'><a xmlns='urn:example:a'/></query>");
    assert!(private.to_text("").contains("one"), "{private:?}");
    juliet.close();
}

/// Other servers keep keys of SHA-1 only, so the client says the password itself.
fn by_plain(node: &Node, user: &str) -> Client {
    let mut client = Client::connect(&Connect::to(node));
    client.plain(user, &password_of(user)).expect("the password is right");
    client.bind(Some("balcony"));
    client
}

fn archive_of(client: &mut Client) -> Vec<String> {
    client.iq("set", None, "<query xmlns='urn:xmpp:mam:2' queryid='q'/>");
    let results = client.take_waiting(|element| element.child("result", "urn:xmpp:mam:2").is_some());
    let message = |element: &Element| {
        let forwarded = element.child("result", "urn:xmpp:mam:2")?.child("forwarded", "urn:xmpp:forward:0")?;
        body_of(forwarded.child("message", "jabber:client")?)
    };
    results.iter().filter_map(message).collect()
}

/// A stock client logs in, is there, hears so many messages and goes. Gives what it told of them.
fn log_in(user: &str, address: SocketAddr, messages: usize) -> Vec<String> {
    let mut child = Command::new(python())
        .arg(Path::new(STOCK_DIR).join("slixmpp_client.py"))
        .args([format!("{user}@{DOMAIN}"), address.ip().to_string(), address.port().to_string()])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the stock client starts");
    let mut orders = child.stdin.take().unwrap();
    writeln!(orders, "{}", password_of(user)).unwrap();
    let told = lines_of(child.stdout.take().unwrap());
    let mut heard = Vec::new();
    let mut online = false;
    while !online || heard.len() < messages {
        let line = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{user} told no more than {heard:?}"));
        assert_ne!(line, "refused");
        online |= line.starts_with("online ");
        heard.extend(Some(line).filter(|line| line.starts_with("message ")));
    }
    child.kill().ok();
    child.wait().ok();
    heard
}

/// Another server, ended by its process id.
struct Server {
    child: Child,
    told: Receiver<String>,
}

impl Server {
    fn start(mut command: Command, dir: &Path) -> Server {
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the server starts (Debian packages ejabberd and prosody)");
        let told = lines_of(child.stdout.take().unwrap());
        Server { child, told }
    }

    /// What stands behind these words in a line that it says.
    fn says(&self, words: &str) -> String {
        let mut said = Vec::new();
        loop {
            let line = self.told.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("the server never said {words:?}, but {said:#?}"));
            if let Some((_, rest)) = line.split_once(words) {
                return rest.to_owned();
            }
            said.push(line);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn lines_of(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

/// A directory in which another server's user may be at home.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("kontalk-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// The node's own certificate will do for its successor.
fn certificate(node: &Node, dir: &Path) {
    let read = |name: &str| fs::read_to_string(node.data_dir().join(name)).unwrap();
    let (chain, key) = (read("tls-certificate.pem"), read("tls-key.pem"));
    fs::write(dir.join("chain.pem"), &chain).unwrap();
    fs::write(dir.join("key.pem"), &key).unwrap();
    fs::write(dir.join("full.pem"), chain + &key).unwrap();
}

fn ejabberd_config(dir: &Path, address: SocketAddr) -> String {
    format!(
        "loglevel: info\nhosts: [\"{DOMAIN}\"]\ncertfiles: [\"{dir}/full.pem\"]\nauth_method: internal\nauth_password_format: scram\n\
         listen:\n  - port: {port}\n    ip: \"{ip}\"\n    module: ejabberd_c2s\n    starttls_required: true\n\
         modules:\n  mod_roster: {{}}\n  mod_disco: {{}}\n  mod_offline: {{}}\n  mod_private: {{}}\n  mod_privacy: {{}}\n  mod_blocking: {{}}\n  mod_vcard: {{}}\n",
        dir = dir.display(),
        port = address.port(),
        ip = address.ip()
    )
}

fn prosody_config(dir: &Path, address: SocketAddr) -> String {
    format!(
        "run_as_root = true\ndaemonize = false\npidfile = \"{dir}/prosody.pid\"\ndata_path = \"{dir}/data\"\n\
         interfaces = {{ \"{ip}\" }}\nc2s_ports = {{ {port} }}\ns2s_ports = {{}}\n\
         modules_enabled = {{ \"disco\"; \"roster\"; \"saslauth\"; \"tls\"; \"private\"; \"vcard\"; \"pep\"; \"mam\"; \"posix\" }}\n\
         modules_disabled = {{ \"s2s\" }}\nc2s_require_encryption = true\nauthentication = \"internal_hashed\"\n\
         log = {{ {{ levels = {{ min = \"info\" }}; to = \"console\" }} }}\n\
         ssl = {{ certificate = \"{dir}/chain.pem\"; key = \"{dir}/key.pem\" }}\nVirtualHost \"{DOMAIN}\"\n\
         \tssl = {{ certificate = \"{dir}/chain.pem\"; key = \"{dir}/key.pem\" }}\n",
        dir = dir.display(),
        port = address.port(),
        ip = address.ip()
    )
}

fn migrator_config(dir: &Path) -> String {
    let stores = "{ \"accounts\"; \"roster\"; \"vcard\"; \"private\"; \"pep-pubsub\"; \"archive-archive\" }";
    format!(
        "data {{ type = \"internal\"; path = \"{dir}/data\"; hosts = {{ [\"{DOMAIN}\"] = {stores} }} }}\n\
         files {{ type = \"xep0227\"; hosts = {{ [\"{DOMAIN}\"] = {stores} }} }}\n",
        dir = dir.display()
    )
}

/// Prosody's migrator; its store of files lies in the directory that it believes to be Prosody's.
fn migrate(config: &Path, files: &Path, from: &str, to: &str) {
    let script = fs::read_to_string("/usr/bin/prosody-migrator").expect("Debian package prosody");
    let script = script.replace("CFG_DATADIR='/var/lib/prosody'", &format!("CFG_DATADIR='{}'", files.display()));
    let path = config.with_file_name("migrator");
    fs::write(&path, script).unwrap();
    let output = Command::new("lua5.4")
        .arg(&path)
        .args(["--config", text(config), "--root", "--keep-going", from, to])
        .output()
        .unwrap();
    assert_done(&output);
    assert!(stderr(&output).contains("Done!"), "{output:?}");
}

/// Where Debian keeps Erlang's libraries besides Erlang itself.
fn erlang_libraries() -> PathBuf {
    let dirs = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let holds_ejabberd = |dir: &PathBuf| {
        fs::read_dir(dir).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("ejabberd-")))
        })
    };
    dirs.filter(|dir| dir.is_dir()).find(holds_ejabberd).expect("Debian package ejabberd")
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap()
}

fn beside(node: &Node, name: &str) -> PathBuf {
    node.config_path().with_file_name(name)
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn python() -> PathBuf {
    std::env::var_os("KONTALK_TEST_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.venv/bin/python"), PathBuf::from)
}

const STOCK_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stock");
const PATIENCE: Duration = Duration::from_secs(60);
