//! The simulated modem behind a pseudo terminal, under a link that is made anew when it is plugged in again: as udev does.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use smol::future::FutureExt;
use smol::{Async, Timer};

use super::lock;
use super::modem_sim::{Script, SimModem};

/// A modem that can be opened. Its thread ends with it.
pub struct PtyModem {
    modem: Arc<Mutex<SimModem>>,
    begun: Instant,
    dir: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PtyModem {
    /// Plugged in.
    pub fn start(script: Script) -> PtyModem {
        PtyModem::with(SimModem::new(script))
    }

    /// With a modem that was prepared.
    pub fn with(modem: SimModem) -> PtyModem {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let dir = std::env::temp_dir().join(format!("kontalk-modem-{:x}", u64::from_le_bytes(random)));
        fs::create_dir_all(&dir).unwrap();
        let (modem, stop, begun) = (Arc::new(Mutex::new(modem)), Arc::new(AtomicBool::new(false)), Instant::now());
        let run = Run { modem: modem.clone(), stop: stop.clone(), begun, dir: dir.clone(), had: Mutex::default() };
        let mut terminal = lock(&modem).plugged.then(|| run.plug_in());
        let thread = thread::spawn(move || {
            while !run.stop.load(Ordering::Relaxed) {
                terminal = run.turn(terminal.take());
            }
        });
        PtyModem { modem, begun, dir, stop, thread: Some(thread) }
    }

    /// What to open.
    pub fn device(&self) -> PathBuf {
        self.dir.join("modem")
    }

    /// A directory of its own, for the PIN and what else a test needs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The modem's own view.
    pub fn sim(&self) -> MutexGuard<'_, SimModem> {
        lock(&self.modem)
    }

    /// The modem's time.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Pulls the cable.
    pub fn unplug(&self) {
        self.sim().unplug();
    }

    /// What switches its power off and on: a command with its arguments.
    pub fn power_switch(&self) -> Vec<String> {
        vec!["touch".to_owned(), self.dir.join(POWER).display().to_string()]
    }

    /// The terminal behind the link; nothing while it is unplugged.
    pub fn terminal(&self) -> Option<PathBuf> {
        fs::read_link(self.device()).ok()
    }

    /// Puts it in again; it gets another terminal.
    pub fn plug(&self) {
        let now = self.now();
        self.sim().plug(now);
    }
}

impl Drop for PtyModem {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

struct Run {
    modem: Arc<Mutex<SimModem>>,
    stop: Arc<AtomicBool>,
    begun: Instant,
    dir: PathBuf,
    /// Terminals that were had; none is had twice.
    had: Mutex<Vec<PathBuf>>,
}

impl Run {
    /// One turn: what the modem says goes out, what is written to it comes in.
    fn turn(&self, terminal: Option<Async<File>>) -> Option<Async<File>> {
        let now = self.begun.elapsed();
        let (plugged, bytes, bytewise) = {
            let mut modem = lock(&self.modem);
            if fs::remove_file(self.dir.join(POWER)).is_ok() {
                modem.plug(now);
            }
            (modem.plugged, modem.emit(now), modem.script.bytewise)
        };
        let Some(terminal) = terminal else {
            if plugged {
                return Some(self.plug_in());
            }
            smol::block_on(Timer::after(TURN));
            return None;
        };
        if !plugged {
            // The link first: nobody shall find the old terminal.
            let _ = fs::remove_file(self.link());
            return None;
        }
        let pieces = if bytewise { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(pieces) {
            // Nobody listening is no fault.
            let _ = smol::block_on(terminal.write_with(|mut file| file.write(piece)));
        }
        self.listen(&terminal);
        Some(terminal)
    }

    fn listen(&self, terminal: &Async<File>) {
        let mut buffer = [0; 512];
        let read = async { Some(terminal.read_with(|mut file| file.read(&mut buffer)).await) };
        let late = async {
            Timer::after(TURN).await;
            None
        };
        match smol::block_on(read.or(late)) {
            Some(Ok(count)) if count > 0 => {
                let now = self.begun.elapsed();
                lock(&self.modem).feed(now, &buffer[..count]);
            }
            // Nobody has the other side open.
            Some(_) => {
                smol::block_on(Timer::after(TURN));
            }
            None => {}
        }
    }

    fn link(&self) -> PathBuf {
        self.dir.join("modem")
    }

    fn plug_in(&self) -> Async<File> {
        let mut decoys = Vec::new();
        loop {
            let (terminal, path) = open_terminal().expect("a pseudo terminal can be made");
            if lock(&self.had).contains(&path) {
                decoys.push(terminal);
                continue;
            }
            let _ = fs::remove_file(self.link());
            std::os::unix::fs::symlink(&path, self.link()).expect("the directory is ours");
            lock(&self.had).push(path);
            return Async::new(terminal).expect("it can be waited for");
        }
    }
}

/// A new terminal, raw from the beginning, and its path.
fn open_terminal() -> io::Result<(File, PathBuf)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let path = PathBuf::from(name.to_string_lossy().into_owned());
    let slave = fs::OpenOptions::new().read(true).write(true).open(&path)?;
    let mut modes = tcgetattr(&slave)?;
    modes.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &modes)?;
    Ok((File::from(master), path))
}

/// A file that is made to switch the power.
const POWER: &str = "power";
const TURN: Duration = Duration::from_millis(2);
