//! What systemd, or another supervisor that speaks `sd_notify(3)`, is told of the node's life: ready, reloading, stopping, and by
//! its watchdog's clock that all is alive. One datagram each, to the Unix socket that `NOTIFY_SOCKET` names.
//!
//! States: none of its own; whether there is a supervisor is known from the start. Who is not supervised tells nobody, at no cost.
//! Limits: a datagram has less than 64 bytes. A supervisor that does not listen is never waited for.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// What happened to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It serves: after the start, and again after a reload.
    Ready,
    /// It reads its configuration or certificates again; [`News::Ready`] follows.
    Reloading,
    /// It was asked to end and does.
    Stopping,
    /// It still does its work; for the watchdog.
    Alive,
}

impl News {
    /// As `sd_notify(3)` spells it.
    fn message(self) -> &'static str {
        match self {
            News::Ready => "READY=1",
            News::Reloading => "RELOADING=1",
            News::Stopping => "STOPPING=1",
            News::Alive => "WATCHDOG=1",
        }
    }
}

/// Who started the node and wants to know how it is, if anybody does.
#[derive(Debug, Default)]
pub struct Supervisor {
    ear: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The supervisor that this process's environment names.
    ///
    /// # Errors
    /// `NOTIFY_SOCKET` names no socket's address, or the system gives no socket to speak from.
    pub fn of_this_process() -> io::Result<Supervisor> {
        let variable = |name| env::var_os(name).unwrap_or_default();
        Supervisor::named(
            &variable("NOTIFY_SOCKET"),
            &variable("WATCHDOG_USEC"),
            &variable("WATCHDOG_PID"),
            std::process::id(),
        )
    }

    /// As [`Supervisor::of_this_process`], of a process `pid` with these values of `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`;
    /// empty ones are unset.
    ///
    /// # Errors
    /// As there.
    pub fn named(socket: &OsStr, watchdog_usec: &OsStr, watchdog_pid: &OsStr, pid: u32) -> io::Result<Supervisor> {
        let address = match socket.as_bytes() {
            [] => return Ok(Supervisor::default()),
            // A name outside of the file system.
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(socket)?,
        };
        let mouth = UnixDatagram::unbound()?;
        mouth.set_nonblocking(true)?;
        Ok(Supervisor { ear: Some((mouth, address)), watchdog: watchdog(watchdog_usec, watchdog_pid, pid) })
    }

    /// Tells the supervisor. What it does not take is lost.
    pub fn tell(&self, news: News) {
        if let Some((mouth, address)) = &self.ear
            && let Err(error) = mouth.send_to_addr(news.message().as_bytes(), address)
        {
            log::debug!("the supervisor was not told {}: {error}", news.message());
        }
    }

    /// How often [`News::Alive`] must come at least, if the supervisor's watchdog is on.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }
}

/// `WATCHDOG_PID` says whom the watchdog is for: a child of a supervised process inherits the variables but is not meant.
fn watchdog(usec: &OsStr, wanted_pid: &OsStr, pid: u32) -> Option<Duration> {
    if !wanted_pid.is_empty() && wanted_pid.to_str()?.parse() != Ok(pid) {
        return None;
    }
    let usec: u64 = usec.to_str()?.parse().ok()?;
    (usec > 0).then(|| Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(ear: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let size = ear.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..size].to_vec()).unwrap()
    }

    fn ear_at(address: &SocketAddr) -> UnixDatagram {
        let ear = UnixDatagram::bind_addr(address).unwrap();
        ear.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        ear
    }

    #[test]
    fn a_supervisor_hears_all_news_in_order_by_either_kind_of_address() {
        let path = env::temp_dir().join(format!("kontalk-supervisor-{}", std::process::id()));
        let name = format!("kontalk-supervisor-{}", std::process::id());
        for (address, spelled) in [
            (SocketAddr::from_pathname(&path).unwrap(), path.clone().into_os_string()),
            (SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}").into()),
        ] {
            let ear = ear_at(&address);
            let supervisor = Supervisor::named(&spelled, OsStr::new(""), OsStr::new(""), 1).unwrap();
            for news in [News::Ready, News::Reloading, News::Ready, News::Alive, News::Stopping] {
                supervisor.tell(news);
            }
            let all: Vec<String> = (0..5).map(|_| heard(&ear)).collect();
            assert_eq!(all, ["READY=1", "RELOADING=1", "READY=1", "WATCHDOG=1", "STOPPING=1"]);
            assert_eq!(supervisor.watchdog(), None);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn without_a_supervisor_or_with_a_deaf_one_nothing_happens() {
        let nobody = Supervisor::named(OsStr::new(""), OsStr::new("1000000"), OsStr::new(""), 1).unwrap();
        nobody.tell(News::Ready);
        assert_eq!(nobody.watchdog(), None);
        let deaf = Supervisor::named(OsStr::new("/nonexistent/notify"), OsStr::new(""), OsStr::new(""), 1).unwrap();
        deaf.tell(News::Ready);
        assert!(Supervisor::named(OsStr::new(&"/long".repeat(100)), OsStr::new(""), OsStr::new(""), 1).is_err());
    }

    #[test]
    fn a_supervisor_that_reads_nothing_is_not_waited_for() {
        let address = SocketAddr::from_abstract_name(format!("kontalk-busy-{}", std::process::id())).unwrap();
        let _ear = ear_at(&address);
        let spelled = format!("@kontalk-busy-{}", std::process::id());
        let supervisor = Supervisor::named(OsStr::new(&spelled), OsStr::new(""), OsStr::new(""), 1).unwrap();
        (0..10_000).for_each(|_| supervisor.tell(News::Alive));
    }

    #[test]
    fn the_watchdog_is_on_for_the_process_that_is_meant() {
        for (usec, wanted_pid, expected) in [
            ("30000000", "", Some(30)),
            ("30000000", "42", Some(30)),
            ("30000000", "43", None),
            ("30000000", "me", None),
            ("", "42", None),
            ("0", "42", None),
            ("soon", "", None),
        ] {
            let supervisor = Supervisor::named(OsStr::new("@x"), OsStr::new(usec), OsStr::new(wanted_pid), 42).unwrap();
            assert_eq!(supervisor.watchdog(), expected.map(Duration::from_secs), "{usec:?} {wanted_pid:?}");
        }
    }
}
