//! Stories between people and the node, a file each in `tests/transcripts/`, played on a whole node.
//!
//! A story is lines; `#` begins a comment. What is indented goes on with the line above. Whoever is named first appears by
//! logging in: `Romeo` is a session of the account `romeo`, `Romeo's phone` another one with the resource `phone`.
//!
//! | Line | Meaning |
//! |---|---|
//! | `Config: KEY = VALUE` | a line for the node's configuration; `${dir}` is the directory of its files |
//! | `File NAME: CONTENT` | a file in that directory |
//! | `Romeo connects` | logs in and binds a resource, nothing more |
//! | `Romeo is online` | the same, asks for the roster and sends presence; what that brings back is dropped |
//! | `Romeo and Juliet are contacts` | both are online and see each other's presence |
//! | `Romeo sends: XML` | sends it as it stands |
//! | `Romeo receives: XML` | the very next element that comes for him looks like this |
//! | `Romeo pings` | nothing came for him up to now |
//! | `Romeo's stream ends` | with the end tag, or as `Romeo's stream ends: CONDITION` says |
//! | `Romeo disconnects` | closes his stream in order |
//! | `Romeo is cut off` | loses his connection without a word |
//! | `Romeo resumes TOKEN at H` | comes back on a new connection (XEP-0198); `<resumed/>` is next for him |
//! | `Romeo cannot log in: CONDITION` | SCRAM with the password refused |
//! | `Romeo cannot log in with PASSWORD: CONDITION` | the same with that password; `Romeo logs in with PASSWORD` the opposite |
//!
//! In XML, `${Romeo's full JID}` and `${Romeo's JID}` stand for addresses and `${name}` for what `{name=}` took before.
//! In what is received, `{any}` matches any text or value, and `{any}` as text beside elements lets others be there too.
//! `to` of the stanza and the `<text/>` of errors may be left out; all else must be there and nothing more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use kontalk_node::xml::{Element, ns, parse_document};
use support::client::{Client, Connect, Lost, Sm};
use support::login::Binding;
use support::node::{DOMAIN, Node, NodeOptions, password_of};
use support::scram::Hash;

#[test]
fn every_transcript_is_played_as_it_is_written() {
    let stories = stories();
    assert!(!stories.is_empty(), "there are no transcripts");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(path) = stories.get(next.fetch_add(1, Ordering::Relaxed)) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if let Err(fault) = std::panic::catch_unwind(AssertUnwindSafe(|| play(path))) {
                let text = fault.downcast_ref::<String>().cloned();
                let text = text.or_else(|| fault.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                support::lock(&failed).push(format!("{name}: {}", text.unwrap_or_default()));
            }
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), stories.len(), failed.join("\n"));
}

/// All of them, or those whose name holds `KONTALK_TRANSCRIPT`.
fn stories() -> Vec<PathBuf> {
    let wanted = std::env::var("KONTALK_TRANSCRIPT").unwrap_or_default();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let files = fs::read_dir(dir).expect("the transcripts are there").map(|entry| entry.unwrap().path());
    let mut stories: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|e| e == "txt") && path.to_string_lossy().contains(&wanted))
        .collect();
    stories.sort();
    stories
}

/// One line of a story with what goes on below it.
struct Line {
    number: usize,
    text: String,
}

fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match lines.last_mut() {
            Some(last) if line.starts_with(char::is_whitespace) => {
                // Between tags it is only there for the eye; inside one it parts attributes.
                let glue = if last.text.ends_with('>') { "" } else { " " };
                last.text.push_str(glue);
                last.text.push_str(line.trim());
            }
            _ => lines.push(Line { number, text: line.trim().to_owned() }),
        }
    }
    lines
}

fn play(path: &Path) {
    let lines = lines(&fs::read_to_string(path).expect("the transcript can be read"));
    let mut stage = Stage::new(&lines);
    for line in &lines {
        let played = std::panic::catch_unwind(AssertUnwindSafe(|| stage.act(&line.text)));
        if let Err(fault) = played {
            let text = fault.downcast_ref::<String>().cloned();
            let text = text.or_else(|| fault.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            panic!("line {}: {}\n  {}", line.number, line.text, text.unwrap_or_default());
        }
    }
}

/// A node and those who talk to it.
struct Stage {
    node: Node,
    actors: BTreeMap<String, Client>,
    taken: BTreeMap<String, String>,
}

impl Stage {
    fn new(lines: &[Line]) -> Stage {
        let mut options = NodeOptions::default();
        for line in lines {
            if let Some((name, content)) = line.text.strip_prefix("File ").and_then(|rest| rest.split_once(": ")) {
                options.files.push((name.to_owned(), content.to_owned()));
            } else if let Some(setting) = line.text.strip_prefix("Config: ") {
                options.add_config(setting);
            }
        }
        let node = Node::start(options);
        let mut accounts: Vec<String> = lines.iter().flat_map(|line| people(&line.text)).map(account_of).collect();
        accounts.sort();
        accounts.dedup();
        for account in accounts {
            node.add_account(&account);
        }
        Stage { node, actors: BTreeMap::new(), taken: BTreeMap::new() }
    }

    fn act(&mut self, line: &str) {
        if line.starts_with("Config: ") || line.starts_with("File ") {
            return;
        }
        let (who, what) = split(line);
        match what.split_once(": ").unwrap_or((what, "")) {
            ("sends", xml) => {
                let xml = self.filled(xml);
                self.actor(who).send_raw(&xml);
            }
            ("receives", xml) => self.receives(who, xml),
            ("pings", _) => self.pings(who),
            ("connects", _) => drop(self.actor(who)),
            ("is online", _) => self.online(who),
            ("are contacts", _) => self.contacts(who),
            ("disconnects", _) => self.actors.remove(who).expect("connected").close(),
            ("is cut off", _) => drop(self.actors.remove(who).expect("connected").cut()),
            ("stream ends", condition) => self.ends(who, condition),
            (login, condition) if login.contains("log in") || login.starts_with("logs in") => {
                self.login(who, login, condition);
            }
            (resumes, _) if resumes.starts_with("resumes ") => self.resumes(who, resumes),
            _ => panic!("nobody knows what this means"),
        }
    }

    /// The session of this name, made now if it is not there.
    fn actor(&mut self, who: &str) -> &mut Client {
        let node = &self.node;
        self.actors.entry(who.to_owned()).or_insert_with(|| Client::bound(node, &account_of(who), &resource_of(who)))
    }

    fn online(&mut self, who: &str) {
        let actor = self.actor(who);
        actor.roster();
        actor.send("<presence/>");
        actor.roundtrip();
        actor.take_own_presence();
        actor.take_inbox();
    }

    fn contacts(&mut self, both: &str) {
        let (one, other) = both.split_once(" and ").expect("two people");
        self.online(one);
        self.online(other);
        let mut friend = self.actors.remove(other).expect("online");
        self.actor(one).befriend(&mut friend);
        self.actors.insert(other.to_owned(), friend);
    }

    fn receives(&mut self, who: &str, xml: &str) {
        let wanted = parse_document(&self.filled(xml), ns::CLIENT, 32)
            .or_else(|_| parse_document(&xml.replace("stream:", ""), ns::STREAM, 32))
            .unwrap_or_else(|error| panic!("the transcript's XML: {error}"));
        let came = self.next_of(who).unwrap_or_else(|lost| panic!("nothing came: {lost}"));
        if let Err(reason) = matches(&wanted, &came, true, &mut self.taken) {
            panic!("{reason}\n  came: {}", came.to_text(ns::CLIENT));
        }
    }

    fn next_of(&mut self, who: &str) -> Result<Element, Lost> {
        let actor = self.actor(who);
        let queued = actor.take_inbox();
        let mut queued = queued.into_iter();
        match queued.next() {
            Some(first) => {
                queued.for_each(|element| actor.put_back(element));
                Ok(first)
            }
            None => actor.read_any(),
        }
    }

    fn pings(&mut self, who: &str) {
        let actor = self.actor(who);
        let id = actor.next_id();
        actor.send_raw(&format!("<iq type='get' id='{id}' to='{DOMAIN}'><ping xmlns='{}'/></iq>", ns::PING));
        let came = self.next_of(who).unwrap_or_else(|lost| panic!("the ping was not answered: {lost}"));
        let is_answer = came.is("iq", ns::CLIENT) && came.attribute("id") == Some(&id);
        assert!(is_answer, "something came before the ping: {}", came.to_text(ns::CLIENT));
    }

    fn ends(&mut self, who: &str, condition: &str) {
        let mut actor = self.actors.remove(who).expect("connected");
        let end = actor.expect_end();
        let wanted = if condition.is_empty() { Lost::Ended } else { Lost::StreamError(condition.to_owned()) };
        assert_eq!(end, wanted);
    }

    fn login(&mut self, who: &str, how: &str, condition: &str) {
        let password = match how.split_once(" with ") {
            Some((_, password)) => support::secret(password),
            None => password_of(&account_of(who)),
        };
        let mut client = Client::connect(&Connect::to(&self.node));
        let outcome = client.scram(&account_of(who), &password, Hash::Sha256, Binding::None);
        if how.starts_with("cannot") {
            return assert_eq!(outcome, Err(condition.to_owned()));
        }
        assert_eq!(outcome, Ok(()));
        client.bind(Some(&resource_of(who)));
        self.actors.insert(who.to_owned(), client);
    }

    fn resumes(&mut self, who: &str, how: &str) {
        let filled = self.filled(how.strip_prefix("resumes ").expect("just seen"));
        let (token, h) = filled.split_once(" at ").expect("`resumes TOKEN at H`");
        let mut client = Client::authenticated(&self.node, &account_of(who));
        client.send_raw(&format!("<resume xmlns='{}' previd='{token}' h='{h}'/>", ns::SM));
        client.sm = Some(Sm::default());
        self.actors.insert(who.to_owned(), client);
    }

    /// Puts in what stands for something.
    fn filled(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, after) = behind.split_once('}').expect("`${` is closed");
            filled.push_str(before);
            filled.push_str(&self.value(name));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, name: &str) -> String {
        if let Some(who) = name.strip_suffix("'s full JID") {
            return self.actors.get(who).unwrap_or_else(|| panic!("{who} is not connected")).full().to_string();
        }
        if let Some(who) = name.strip_suffix("'s JID") {
            return format!("{}@{DOMAIN}", account_of(who));
        }
        self.taken.get(name).unwrap_or_else(|| panic!("nothing was taken for {name}")).clone()
    }
}

/// Who acts, and what: the name is the capitalised word, a device of his, or two people.
fn split(line: &str) -> (&str, &str) {
    for verb in VERBS {
        if let Some((who, _)) = line.split_once(verb) {
            let who = if *verb == "'s stream ends" { who } else { who.trim_end() };
            let what = line.get(who.len()..).unwrap_or_default();
            return (who, what.trim_start_matches("'s ").trim_start());
        }
    }
    panic!("nobody knows what this means");
}

/// The people that a line brings on the stage.
fn people(line: &str) -> Vec<&str> {
    if line.starts_with("Config: ") || line.starts_with("File ") {
        return Vec::new();
    }
    split(line).0.split(" and ").collect()
}

fn account_of(who: &str) -> String {
    who.split("'s ").next().unwrap_or(who).to_lowercase()
}

fn resource_of(who: &str) -> String {
    who.split_once("'s ").map_or("home", |(_, device)| device).to_owned()
}

/// Does what came look as it should?
fn matches(
    wanted: &Element,
    came: &Element,
    outermost: bool,
    taken: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    if wanted.name() != came.name() || wanted.namespace() != came.namespace() {
        return Err(format!("expected <{}> of {}", wanted.name(), wanted.namespace()));
    }
    for attribute in wanted.attributes() {
        let found = came.attributes().iter().find(|a| a.name == attribute.name && a.namespace == attribute.namespace);
        let found = found.ok_or_else(|| format!("<{}> has no {}", wanted.name(), attribute.name))?;
        text_matches(&attribute.value, &found.value, taken)
            .map_err(|reason| format!("{} of <{}>: {reason}", attribute.name, wanted.name()))?;
    }
    for attribute in came.attributes() {
        let known = wanted.attributes().iter().any(|a| a.name == attribute.name && a.namespace == attribute.namespace);
        let ignored = outermost && attribute.name == "to" || attribute.namespace == ns::XML;
        if !known && !ignored {
            return Err(format!("<{}> has {}='{}'", wanted.name(), attribute.name, attribute.value));
        }
    }
    let open = wanted.text().trim() == "{any}";
    let (elements, others): (Vec<&Element>, Vec<&Element>) = (wanted.children().collect(), came.children().collect());
    if open && elements.is_empty() {
        return Ok(());
    }
    let mut others = others.into_iter().filter(|child| {
        !child.is("text", ns::STANZA_ERRORS) || elements.iter().any(|wanted| wanted.is("text", ns::STANZA_ERRORS))
    });
    for child in elements.iter().copied() {
        let before = taken.clone();
        let mut reason = format!("<{}> lacks <{}>", wanted.name(), child.name());
        loop {
            let Some(other) = others.next() else { return Err(reason) };
            match matches(child, other, false, taken) {
                Ok(()) => break,
                Err(why) if !open => return Err(why),
                Err(why) => {
                    *taken = before.clone();
                    reason = why;
                }
            }
        }
    }
    if let (false, Some(other)) = (open, others.next()) {
        return Err(format!("<{}> has <{}> too", wanted.name(), other.name()));
    }
    if open { Ok(()) } else { text_matches(wanted.text().trim(), came.text().trim(), taken) }
}

fn text_matches(wanted: &str, came: &str, taken: &mut BTreeMap<String, String>) -> Result<(), String> {
    if wanted == "{any}" || wanted == came {
        return Ok(());
    }
    match wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix("=}")) {
        Some(name) => {
            taken.insert(name.to_owned(), came.to_owned());
            Ok(())
        }
        None => Err(format!("expected '{wanted}', came '{came}'")),
    }
}

#[test]
fn what_is_indented_goes_on_and_what_differs_is_found() {
    let found = lines("# A comment.\nRomeo sends: <a\n  b='c'/>\n\nRomeo receives: <d>\n  <e/>\n  </d>\n");
    let texts: Vec<&str> = found.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["Romeo sends: <a b='c'/>", "Romeo receives: <d><e/></d>"]);
    assert_eq!(split("Romeo's phone sends: <a/>"), ("Romeo's phone", "sends: <a/>"));
    assert_eq!(split("Romeo's stream ends: conflict"), ("Romeo", "stream ends: conflict"));
    assert_eq!(people("Romeo and Juliet are contacts"), ["Romeo", "Juliet"]);
    let fits = |wanted: &str, came: &str| {
        let mut taken = BTreeMap::new();
        let read = |text: &str| parse_document(text, ns::CLIENT, 10).unwrap();
        matches(&read(wanted), &read(came), true, &mut taken).map(|()| taken)
    };
    for (wanted, came) in [
        ("<iq id='1'/>", "<iq id='1' to='x'/>"),
        ("<iq id='{any}'>{any}</iq>", "<iq id='7'><q/></iq>"),
        ("<iq>{any}<b/></iq>", "<iq><a/><b/><c/></iq>"),
        ("<iq> <a/> </iq>", "<iq><a/></iq>"),
    ] {
        assert!(fits(wanted, came).is_ok(), "{wanted} {came}");
    }
    for (wanted, came) in [
        ("<iq/>", "<iq id='1'/>"),
        ("<iq id='1'/>", "<iq/>"),
        ("<iq><a/></iq>", "<iq><a/><b/></iq>"),
        ("<iq><b/><a/></iq>", "<iq><a/><b/></iq>"),
        ("<iq>{any}<b/></iq>", "<iq><a/></iq>"),
        ("<iq>x</iq>", "<iq>y</iq>"),
    ] {
        assert!(fits(wanted, came).is_err(), "{wanted} {came}");
    }
    assert_eq!(fits("<iq id='{n=}'/>", "<iq id='7'/>").unwrap().get("n").map(String::as_str), Some("7"));
}

/// What ends a name.
const VERBS: &[&str] = &[
    " sends: ",
    " receives: ",
    " pings",
    " connects",
    " is online",
    " are contacts",
    " disconnects",
    " is cut off",
    "'s stream ends",
    " cannot log in",
    " logs in",
    " resumes ",
];
const THREADS: usize = 3;
