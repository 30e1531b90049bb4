//! The real world: a serial port under smol, the queue of work, the PIN's files.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use smol::channel::{Receiver, Sender, TrySendError};
use smol::future::{self, FutureExt};
use smol::{Timer, unblock};
use zeroize::Zeroizing;

use super::find::{Places, candidates, modem_manager};
use super::lines::{LineReader, Said};
use super::lock::PortLock;
use super::pin::{Pin, PinFate, PinMemory, PinSource};
use super::port::Port;
use super::settings::{Settings, Timing};
use super::world::{Gone, Incoming, Job, OpenFault, Opened, Woken, World};

/// One modem on this machine.
pub(super) struct SerialWorld {
    device: Option<PathBuf>,
    baud: u32,
    pin_file: Option<PathBuf>,
    pins: PinMemory,
    power_cycle: Option<Vec<String>>,
    timing: Timing,
    places: Places,
    jobs: Receiver<Job>,
    events: Sender<Incoming>,
    port: Option<(Port, Option<PortLock>)>,
    random: u64,
}

impl SerialWorld {
    pub(super) fn new(settings: &Settings, jobs: Receiver<Job>, events: Sender<Incoming>, seed: u64) -> SerialWorld {
        SerialWorld {
            device: settings.device.clone(),
            baud: settings.baud,
            pin_file: settings.pin_file.clone(),
            pins: PinMemory::new(&settings.state_dir, settings.pin_key.clone()),
            power_cycle: settings.power_cycle.clone(),
            timing: settings.timing,
            places: Places::default(),
            jobs,
            events,
            port: None,
            random: seed | 1,
        }
    }

    fn open_port(&self, path: &Path) -> Result<(Port, Option<PortLock>), OpenFault> {
        // The link may point to another port than the last time.
        let device = path.canonicalize().map_err(|error| self.fault(path, &error))?;
        let lock = PortLock::take(&self.places.run.join("lock"), &device).map_err(|process| OpenFault {
            reason: format!("the process {process} holds {} (remedy: end that program)", path.display()),
            conflict: Some(format!("the process {process} holds the port (remedy: end that program)")),
        })?;
        let port = Port::open(&device, self.baud).map_err(|error| self.fault(path, &error))?;
        Ok((port, lock))
    }

    fn fault(&self, path: &Path, error: &io::Error) -> OpenFault {
        let path_words = path.display();
        let number = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        // Searched for only when it matters: a port that is missing is tried every two seconds.
        let held = number == Some(rustix::io::Errno::BUSY);
        let manager = if held { modem_manager(&self.places, Some(path)) } else { None };
        let remedy = match (error.kind(), number) {
            (io::ErrorKind::NotFound, _) => {
                "plug the modem in; many first appear as a CD-ROM and need the package usb-modeswitch".to_owned()
            }
            (io::ErrorKind::PermissionDenied, _) => {
                "add the node's user to the group dialout and start the node again".to_owned()
            }
            (_, Some(rustix::io::Errno::BUSY)) => {
                "end the program that has it, such as ModemManager or gammu-smsd".to_owned()
            }
            (_, Some(rustix::io::Errno::NOTTY)) => "name a serial port".to_owned(),
            _ => "unplug the modem and plug it in again".to_owned(),
        };
        OpenFault { reason: format!("{path_words} cannot be opened: {error} (remedy: {remedy})"), conflict: manager }
    }

    /// Asks every port that may be a modem's, the likeliest first.
    async fn find(&self) -> Result<(PathBuf, (Port, Option<PortLock>)), OpenFault> {
        let places = self.places.clone();
        let found = unblock(move || candidates(&places)).await;
        let mut last = OpenFault {
            reason: "no modem is found (remedy: plug one in, or name its port in the configuration)".to_owned(),
            conflict: None,
        };
        for path in found {
            match self.open_port(&path) {
                Ok(port) if answers(&port.0, self.timing.wake).await => return Ok((path, port)),
                Ok(_) => log::debug!("modem: {} does not answer commands", path.display()),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }
}

impl World for SerialWorld {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn open(&mut self) -> Result<Opened, OpenFault> {
        let (path, port) = match self.device.clone() {
            Some(path) => {
                let port = self.open_port(&path)?;
                (path, port)
            }
            None => self.find().await?,
        };
        self.port = Some(port);
        let (places, device) = (self.places.clone(), path.display().to_string());
        let conflict = unblock(move || modem_manager(&places, Some(&path))).await;
        Ok(Opened { device, conflict })
    }

    fn close(&mut self) {
        self.port = None;
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let Some((port, _)) = &self.port else { return Err(Gone) };
        let write = async { port.write(bytes).await.map_err(|_| Gone) };
        // Without flow control a port takes everything at once; one that does not is as good as gone.
        let stuck = async {
            Timer::after(self.timing.prompt).await;
            Err(Gone)
        };
        write.or(stuck).await
    }

    async fn wait(&mut self, until: Instant, work: bool) -> Woken {
        let heard = async {
            let Some((port, _)) = &self.port else { return future::pending().await };
            match port.read().await {
                Ok(bytes) if !bytes.is_empty() => Woken::Bytes(bytes),
                _ => Woken::Gone,
            }
        };
        let ordered = async {
            if !work {
                // The end is noticed all the same, between two commands.
                return future::pending().await;
            }
            self.jobs.recv().await.map_or(Woken::Closed, Woken::Work)
        };
        let late = async {
            Timer::at(until).await;
            Woken::Time
        };
        heard.or(ordered).or(late).await
    }

    async fn power_cycle(&mut self) -> bool {
        let Some((program, arguments)) = self.power_cycle.as_ref().and_then(|command| command.split_first()) else {
            return false;
        };
        let mut command = smol::process::Command::new(program);
        command.args(arguments).kill_on_drop(true);
        let run = async { command.output().await.map(|output| output.status.success()).unwrap_or(false) };
        let late = async {
            Timer::after(POWER_CYCLE_PATIENCE).await;
            false
        };
        let done = run.or(late).await;
        if !done {
            log::warn!("modem: the power-cycle command failed (remedy: run {program} by hand as the node's user)");
        }
        done
    }

    fn pin(&mut self) -> PinSource {
        PinSource::read(self.pin_file.as_deref())
    }

    fn pin_fate(&mut self, sim: &str, pin: &Pin) -> Option<PinFate> {
        self.pins.fate(sim, pin)
    }

    fn remember_pin(&mut self, sim: &str, pin: &Pin, fate: Option<PinFate>) -> Result<(), String> {
        self.pins.remember(sim, pin, fate).map_err(|error| error.to_string())
    }

    fn deliver(&mut self, incoming: Incoming) -> bool {
        // Nobody listening is no reason to keep it.
        !matches!(self.events.try_send(incoming), Err(TrySendError::Full(_)))
    }

    fn random(&mut self) -> u32 {
        // xorshift64: good enough for pauses.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u32
    }
}

/// Ports for diagnostics are silent or send something binary, ports for positions talk by themselves; only a port for
/// commands says `OK`.
async fn answers(port: &Port, patience: Duration) -> bool {
    let asked = async {
        let mut reader = LineReader::default();
        port.write(b"AT\r").await.ok()?;
        loop {
            let bytes: Zeroizing<Vec<u8>> = port.read().await.ok()?;
            if bytes.is_empty() {
                return None;
            }
            reader.feed(&bytes);
            while let Some(said) = reader.next() {
                if matches!(said, Said::Line(line) if line.as_str() == "OK") {
                    return Some(());
                }
            }
        }
    };
    let late = async {
        Timer::after(patience).await;
        None
    };
    asked.or(late).await.is_some()
}

const POWER_CYCLE_PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::os::unix::fs::symlink;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use smol::channel::bounded;

    use super::*;
    use crate::phone::HashKey;

    /// A port of a machine, and what it says when a line comes. The thread ends when the terminal is closed.
    fn port(root: &Path, name: &str, ids: (&str, &str), first: &'static [u8], answer: &'static [u8]) -> File {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().to_string_lossy().into_owned();
        symlink(&path, root.join("dev").join(name)).unwrap();
        let device = root.join("sys/devices").join(name);
        fs::create_dir_all(device.join(name)).unwrap();
        fs::write(device.join("idVendor"), ids.0).unwrap();
        fs::write(device.join("bInterfaceNumber"), ids.1).unwrap();
        let class = root.join("sys/class/tty").join(name);
        fs::create_dir_all(&class).unwrap();
        symlink(device.join(name), class.join("device")).unwrap();
        let kept = File::options().read(true).write(true).open(&path).unwrap();
        let mut terminal = File::from(terminal);
        std::thread::spawn(move || {
            terminal.write_all(first).ok();
            let mut buffer = [0; 64];
            while let Ok(1..) = terminal.read(&mut buffer) {
                terminal.write_all(answer).ok();
            }
        });
        kept
    }

    #[test]
    fn the_port_that_answers_commands_is_found_among_the_others() {
        let root = std::env::temp_dir().join(format!("kontalk-probe-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for dir in ["dev", "sys/class/tty", "proc", "run/lock"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let _kept = [
            // Diagnostics, positions, echoes: none of them is a modem's port for commands.
            port(&root, "ttyUSB0", ("19d2", "00"), b"", b""),
            port(&root, "ttyUSB1", ("19d2", "01"), b"$GPGGA,,,,,,0,,,,,,,,*66\r\n", b"$GPRMC,,V,,,,,,,,,,N*53\r\n"),
            port(&root, "ttyUSB2", ("19d2", "02"), b"~\x00\x78\xf0", b"AT\r"),
            port(&root, "ttyUSB3", ("19d2", "03"), b"^RSSI:17\r\n", b"AT\r\r\nOK\r\n"),
        ];
        let (_orders, jobs) = bounded(1);
        let (events, _incoming) = bounded(1);
        let mut settings = Settings::new(&root, HashKey::new([7; 32]));
        settings.timing.wake = Duration::from_millis(500);
        let mut world = SerialWorld::new(&settings, jobs, events, 1);
        let [dev, sys, proc, run] = ["dev", "sys", "proc", "run"].map(|dir| root.join(dir));
        world.places = Places { dev, sys, proc, run };
        let opened = smol::block_on(world.open()).unwrap();
        assert_eq!(opened, Opened { device: root.join("dev/ttyUSB3").display().to_string(), conflict: None });
        // The same when its number is another one.
        world.close();
        fs::rename(root.join("dev/ttyUSB3"), root.join("dev/ttyUSB9")).unwrap();
        fs::rename(root.join("sys/class/tty/ttyUSB3"), root.join("sys/class/tty/ttyUSB9")).unwrap();
        let opened = smol::block_on(world.open()).unwrap();
        assert_eq!(opened.device, root.join("dev/ttyUSB9").display().to_string());
        world.close();
        fs::remove_dir_all(root.join("sys/class/tty")).unwrap();
        let fault = smol::block_on(world.open()).unwrap_err();
        assert!(fault.reason.starts_with("no modem is found (remedy: "), "{}", fault.reason);
        fs::remove_dir_all(&root).unwrap();
    }
}
