//! The node under test: the real binary as a child process, its output captured, its end checked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use super::{BODY_MARKER, lock, secret, secrets};

/// The domain that every test node serves.
pub const DOMAIN: &str = "kontalk.test";

/// How a node is started.
#[derive(Clone)]
pub struct NodeOptions {
    /// `log.level` of its configuration. Tests want everything, so that the search for secrets means something.
    pub log_level: &'static str,
    /// More lines for the configuration file, before its sections.
    pub extra_config: String,
    /// More sections behind them, or more keys of a section: its name and its lines.
    pub sections: BTreeMap<String, String>,
    /// Files in the directory of the configuration file: name and content.
    pub files: Vec<(String, String)>,
    /// Show the node's output on this process's standard error as it comes.
    pub echo: bool,
}

impl Default for NodeOptions {
    fn default() -> NodeOptions {
        NodeOptions {
            log_level: "trace",
            extra_config: String::new(),
            sections: BTreeMap::new(),
            files: Vec::new(),
            echo: std::env::var_os("KONTALK_TEST_ECHO").is_some(),
        }
    }
}

impl NodeOptions {
    /// One more key, with its section: `limits.resume_secs = 60`. `${dir}` in it is the directory of the configuration file.
    pub fn add_config(&mut self, setting: &str) {
        let (key, value) = setting.split_once('=').expect("KEY = VALUE");
        let (lines, key) = match key.trim().rsplit_once('.') {
            Some((section, key)) => (self.sections.entry(section.to_owned()).or_default(), key),
            None => (&mut self.extra_config, key.trim()),
        };
        *lines += &format!("{key} = {}\n", value.trim());
    }
}

/// A running (or stopped) node with its data directory. Dropping it ends the process, checks all it ever printed (no error,
/// no panic, no secret) and removes the directory, unless the test is failing: then both stay for the eye.
pub struct Node {
    dir: PathBuf,
    options: NodeOptions,
    log: Arc<Log>,
    process: Option<Process>,
    /// Codes already given out by [`Node::code_for`]: how many lines of the log were read for them.
    codes_read: usize,
    /// Where the log of the present start begins.
    first_line: usize,
    /// Where STARTTLS is spoken.
    pub address: SocketAddr,
    /// Where TLS is spoken from the first byte.
    pub address_tls: SocketAddr,
}

struct Process {
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts a node in a fresh directory and waits until it listens.
    pub fn start(options: NodeOptions) -> Node {
        let dir = fresh_dir();
        for (name, content) in &options.files {
            fs::write(dir.join(name), content).expect("the file can be written");
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        fs::write(dir.join("node.toml"), config(&dir, &options)).expect("the configuration can be written");
        let log = Arc::new(Log::new(&dir.join("node.log"), options.echo));
        let mut node = Node {
            dir,
            options,
            log,
            process: None,
            codes_read: 0,
            first_line: 0,
            address: nowhere,
            address_tls: nowhere,
        };
        node.start_again();
        node
    }

    /// Starts the node again on the same data; it must not be running. Gives the time from exec to listening.
    pub fn start_again(&mut self) -> Duration {
        assert!(self.process.is_none(), "the node is already running");
        let first_line = self.log.lines();
        self.first_line = first_line;
        let begun = Instant::now();
        let mut child = self.command(&["serve", "--config"]).arg(self.config_path()).spawn().expect("the node starts");
        let readers = self.log.read_from(&mut child);
        self.process = Some(Process { child, readers });
        self.address = self.listening(first_line, false);
        self.address_tls = self.listening(first_line, true);
        begun.elapsed()
    }

    /// Where the web listener is, which must not be switched off.
    pub fn address_web(&self) -> SocketAddr {
        let found = self.log.wait_for(&mut { self.first_line }, |line| {
            let (_, rest) = line.text.split_once("listening for HTTP")?;
            rest.split_once(" on ")?.1.parse().ok()
        });
        found.unwrap_or_else(|| panic!("the node has no web listener\n{}", self.log.tail()))
    }

    /// The node's domain.
    pub fn domain(&self) -> &'static str {
        DOMAIN
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    /// The log level it was started with.
    pub fn log_level(&self) -> &'static str {
        self.options.log_level
    }

    /// The process id of the running node.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the node is running").child.id()
    }

    /// Ends it as a power cut would, as far as a process can: it gets no chance to do anything.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("the node is running");
        process.child.kill().expect("the node can be killed");
        process.child.wait().expect("the node can be awaited");
        join(process.readers);
    }

    /// Asks it to end, which must succeed within 5 s. Gives how long it took.
    pub fn sigterm(&mut self) -> Duration {
        let begun = Instant::now();
        let status = self.end_politely();
        let took = begun.elapsed();
        assert!(status.success(), "the node ended with {status}\n{}", self.log.tail());
        assert!(took < Duration::from_secs(5), "the node took {took:?} to end\n{}", self.log.tail());
        took
    }

    /// Runs a command of the binary, such as `account list`, on this node's data.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with_input(arguments, "")
    }

    /// The same with something on its standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .arg("--data")
            .arg(self.data_dir())
            .stdin(Stdio::piped())
            .spawn()
            .expect("the command starts");
        child.stdin.take().expect("it has an input").write_all(input.as_bytes()).ok();
        child.wait_with_output().expect("the command ends")
    }

    /// Makes an account `localpart@kontalk.test`; its password is [`password_of`] the localpart.
    pub fn add_account(&self, localpart: &str) {
        let address = format!("{localpart}@{DOMAIN}");
        let output =
            self.cli_with_input(&["account", "add", &address, "--password-file", "-"], &password_of(localpart));
        assert!(output.status.success(), "account add {address}: {output:?}\n{}", self.log.tail());
    }

    /// Starts a second process on the same configuration and gives what it said when it ended. It must end by itself.
    pub fn second_instance(&self) -> Output {
        let mut child = self.command(&["serve", "--config"]).arg(self.config_path()).spawn().expect("the node starts");
        // Its output ends when it does. A second instance that stays is ended by the watchdog's kill.
        let (done, watched) = std::sync::mpsc::channel::<()>();
        let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            err.read_to_end(&mut text).ok();
            text
        });
        let output = thread::spawn(move || {
            let mut text = Vec::new();
            out.read_to_end(&mut text).ok();
            drop(done);
            text
        });
        if watched.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            child.kill().ok();
        }
        let status = child.wait().expect("it can be awaited");
        Output { status, stdout: output.join().expect("read"), stderr: errors.join().expect("read") }
    }

    /// The verification code that the node sent to this number, in the order they were sent. Waits for it.
    pub fn code_for(&mut self, number: &str) -> String {
        let ending = number.get(number.len() - 2..).expect("a number has two digits");
        let wanted = format!("{CODE_LINE}{ending}: ");
        let mut read = self.codes_read;
        let code = self.log.wait_for(&mut read, |line| {
            line.text.split_once(&wanted).map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect())
        });
        self.codes_read = read;
        let code: String = code.unwrap_or_else(|| panic!("no code came for a number\n{}", self.log.tail()));
        assert_eq!(code.len(), 6, "a code has six digits");
        code
    }

    /// Waits for a line of the present start that holds this text; for what only the log tells.
    pub fn log_says(&self, text: &str) -> String {
        let found =
            self.log.wait_for(&mut { self.first_line }, |line| line.text.contains(text).then(|| line.text.clone()));
        found.unwrap_or_else(|| panic!("the log never said {text:?}\n{}", self.log.tail()))
    }

    /// How many lines it has printed; for [`Node::log_says_since`].
    pub fn lines(&self) -> usize {
        self.log.lines()
    }

    /// As [`Node::log_says`], of the lines after so many.
    pub fn log_says_since(&self, mut from: usize, text: &str) -> String {
        let found = self.log.wait_for(&mut from, |line| line.text.contains(text).then(|| line.text.clone()));
        found.unwrap_or_else(|| panic!("the log never said {text:?} again\n{}", self.log.tail()))
    }

    /// Fails if the log so far holds an error, a panic or a secret. Dropping the node does it too.
    pub fn check_log(&self) {
        let mut forbidden = secrets();
        forbidden.push(BODY_MARKER.to_owned());
        let complaint = self.log.complaint(&forbidden);
        assert!(complaint.is_none(), "{}\n(log kept in {})", complaint.unwrap_or_default(), self.dir.display());
    }

    fn listening(&self, mut from_line: usize, direct: bool) -> SocketAddr {
        let found = self.log.wait_for(&mut from_line, |line| {
            let (_, rest) = line.text.split_once("listening for clients ")?;
            if rest.starts_with("with direct TLS ") != direct {
                return None;
            }
            let (_, address) = rest.split_once("on ")?;
            address.split_whitespace().next()?.parse().ok()
        });
        found.unwrap_or_else(|| panic!("the node does not listen\n{}", self.log.tail()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn end_politely(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the node is running");
        let pid = rustix::process::Pid::from_child(&process.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the node can be signalled");
        if !self.log.wait_for_end() {
            process.child.kill().ok();
        }
        let status = process.child.wait().expect("the node can be awaited");
        join(process.readers);
        status
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if thread::panicking() {
            if let Some(mut process) = self.process.take() {
                process.child.kill().ok();
                process.child.wait().ok();
            }
            eprintln!("the node's last words (all of them in {}):\n{}", self.dir.display(), self.log.tail());
            return;
        }
        if self.process.is_some() {
            self.sigterm();
        }
        self.check_log();
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// The password of a test account.
pub fn password_of(localpart: &str) -> String {
    secret(format!("pass-{localpart}-word"))
}

/// All that a node printed, over all its starts.
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
    echo: bool,
}

struct LogState {
    lines: Vec<Line>,
    file: fs::File,
    /// Output streams that are still open.
    open: usize,
}

#[derive(Clone)]
struct Line {
    stdout: bool,
    text: String,
}

impl Log {
    fn new(path: &Path, echo: bool) -> Log {
        let file = fs::File::create(path).expect("the log can be written");
        Log { state: Mutex::new(LogState { lines: Vec::new(), file, open: 0 }), changed: Condvar::new(), echo }
    }

    fn lines(&self) -> usize {
        lock(&self.state).lines.len()
    }

    fn read_from(self: &Arc<Log>, child: &mut Child) -> Vec<JoinHandle<()>> {
        lock(&self.state).open = 2;
        let out: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("stdout is piped"));
        let err: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("stderr is piped"));
        let reader = |stdout: bool, stream: Box<dyn Read + Send>| {
            let log = Arc::clone(self);
            thread::spawn(move || log.read(stdout, stream))
        };
        vec![reader(true, out), reader(false, err)]
    }

    fn read(&self, stdout: bool, stream: Box<dyn Read + Send>) {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(stream.read_until(b'\n', &mut bytes), Ok(1..)) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            if self.echo {
                eprintln!("  node: {text}");
            }
            let mut state = lock(&self.state);
            writeln!(state.file, "{text}").ok();
            state.lines.push(Line { stdout, text });
            self.changed.notify_all();
        }
        lock(&self.state).open -= 1;
        self.changed.notify_all();
    }

    /// Gives the first thing that `find` finds from line `from` on, and moves `from` behind it. `None` when the node ended or
    /// [`PATIENCE`] ran out first.
    fn wait_for<T>(&self, from: &mut usize, find: impl Fn(&Line) -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        let mut state = lock(&self.state);
        loop {
            while let Some(line) = state.lines.get(*from) {
                *from += 1;
                if let Some(found) = find(line) {
                    return Some(found);
                }
            }
            let left = PATIENCE.checked_sub(begun.elapsed())?;
            if state.open == 0 {
                return None;
            }
            state = self.changed.wait_timeout(state, left).map(|(state, _)| state).ok()?;
        }
    }

    /// Waits until both output streams are closed, which is when the process ends. Says whether they are.
    fn wait_for_end(&self) -> bool {
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| state.open > 0);
        waited.is_ok_and(|(_, result)| !result.timed_out())
    }

    fn tail(&self) -> String {
        let state = lock(&self.state);
        let from = state.lines.len().saturating_sub(TAIL_LINES);
        state.lines.iter().skip(from).map(|line| format!("  {}\n", line.text)).collect()
    }

    fn complaint(&self, forbidden: &[String]) -> Option<String> {
        let state = lock(&self.state);
        let codes: Vec<&str> = state.lines.iter().filter_map(code_in).collect();
        for line in &state.lines {
            let text = &line.text;
            if text.split_whitespace().take(3).any(|word| word == "ERROR") {
                return Some(format!("the node logged an error: {text}"));
            }
            if text.contains("panicked at") {
                return Some(format!("the node panicked: {text}"));
            }
            if let Some(secret) = forbidden.iter().find(|secret| text.contains(secret.as_str())) {
                return Some(format!("the log holds the secret {secret:?}: {text}"));
            }
            if code_in(line).is_none() && codes.iter().any(|code| holds_word(text, code)) {
                return Some(format!("the log holds a verification code: {text}"));
            }
        }
        None
    }
}

/// The code in the one kind of line that may hold one: the trial node's terminal instead of an SMS.
fn code_in(line: &Line) -> Option<&str> {
    let (_, rest) = line.text.split_once(CODE_LINE).filter(|_| line.stdout)?;
    let (_, code) = rest.split_once(": ")?;
    Some(code.trim())
}

/// Does `text` hold `word` as a word of its own? A time's fraction is none: it follows a dot.
fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let behind = text.get(at + word.len()..).and_then(|behind| behind.chars().next());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '.') && !behind.is_some_and(char::is_alphanumeric)
    })
}

/// The binary under test: this build's, or another (a package's, a cross build's) that `KONTALK_NODE_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("KONTALK_NODE_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_kontalk-node").into(), PathBuf::from)
}

fn config(dir: &Path, options: &NodeOptions) -> String {
    let mut sections = options.sections.clone();
    for (section, lines) in [
        ("c2s", "listen = [\"127.0.0.1:0\"]\nlisten_tls = [\"127.0.0.1:0\"]\n".to_owned()),
        ("web", "listen = [\"127.0.0.1:0\"]\n".to_owned()),
        ("sms", "via = \"terminal\"\n".to_owned()),
        ("log", format!("level = \"{}\"\n", options.log_level)),
    ] {
        let given = sections.entry(section.to_owned()).or_default();
        // A test may send codes another way.
        if section != "sms" || !given.contains("via") {
            given.push_str(&lines);
        }
    }
    let mut text = format!("domain = \"{DOMAIN}\"\ndata_dir = \"{}\"\n", dir.join("data").display());
    text += &options.extra_config;
    for (section, lines) in sections {
        text += &format!("\n[{section}]\n{lines}");
    }
    text.replace("${dir}", &dir.display().to_string())
}

/// A directory of our own on the build's disk; in the system's place where the path grew too long for a control socket's name.
fn fresh_dir() -> PathBuf {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let name = format!("node-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let mut dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
    if dir.as_os_str().len() > SOCKET_DIR_BYTES_MAX {
        dir = std::env::temp_dir().join(format!("kontalk-{name}"));
    }
    // A process id comes again one day; what an older failing test left there is in the way.
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{}: {error}", dir.display()),
        _ => fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())),
    }
    dir
}

fn join(readers: Vec<JoinHandle<()>>) {
    for reader in readers {
        reader.join().expect("the reader of the log does not panic");
    }
}

const CODE_LINE: &str = "verification code for the number ending in ";
const PATIENCE: Duration = Duration::from_secs(20);
const TAIL_LINES: usize = 60;
/// A socket's path may have 107 bytes, and `/data/control.sock` comes behind the directory.
const SOCKET_DIR_BYTES_MAX: usize = 85;
