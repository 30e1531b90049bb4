//! The log: one event a line on standard error, at levels that can be changed while the node runs.
//!
//! Under systemd a line carries its priority as sd-daemon(3) has it (`<4>` is a warning), and no time, for the journal has clocks of
//! its own; elsewhere it has the time and the level in words. A level counts for the node as a whole or for one room of it; other
//! libraries warn and nothing else, unless all is off. No level shows telephone numbers, codes or messages.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

/// Which lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    all: LevelFilter,
    /// Rooms with a level of their own, such as `router`.
    rooms: Vec<(String, LevelFilter)>,
}

impl Levels {
    /// One level for all.
    pub const fn of(all: LevelFilter) -> Levels {
        Levels { all, rooms: Vec::new() }
    }

    fn admit(&self, target: &str, level: Level) -> bool {
        let Some(path) = target.strip_prefix(CRATE) else {
            return level <= self.all.min(LevelFilter::Warn);
        };
        let room = path.trim_start_matches("::").split("::").next().unwrap_or_default();
        let own = self.rooms.iter().find(|(name, _)| name == room).map(|(_, level)| *level);
        level <= own.unwrap_or(self.all)
    }

    fn highest(&self) -> LevelFilter {
        self.rooms.iter().map(|(_, level)| *level).fold(self.all, Ord::max)
    }
}

/// `info`, or `debug,router=trace,s2s=off`; what is not said of all is `info`.
impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Levels, String> {
        let mut levels = Levels::of(LevelFilter::Info);
        let level = |text: &str| {
            text.trim().parse::<LevelFilter>().map_err(|_| {
                format!(
                    "{} is no log level (remedy: off, error, warn, info, debug or trace)",
                    text.trim().escape_debug()
                )
            })
        };
        for part in text.split(',').take(ROOMS_MAX) {
            match part.split_once('=') {
                None => levels.all = level(part)?,
                Some((room, text)) => {
                    let room = room.trim().to_owned();
                    if room.is_empty() || !room.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                        return Err(format!(
                            "{} is no room of the node (remedy: e.g. router=trace)",
                            room.escape_debug()
                        ));
                    }
                    levels.rooms.push((room, level(text)?));
                }
            }
        }
        Ok(levels)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all.as_str().to_ascii_lowercase())?;
        self.rooms.iter().try_for_each(|(room, level)| write!(f, ",{room}={}", level.as_str().to_ascii_lowercase()))
    }
}

/// Begins to log. To be called once, before anything else.
///
/// # Errors
/// Somebody logs already.
pub fn start(level: LevelFilter) -> Result<(), log::SetLoggerError> {
    set_levels(Levels::of(level));
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
    log::set_boxed_logger(Box::new(Journal {
        // It decides nothing: what comes to it is written.
        printer: (!in_journal).then(|| SimpleLogger::new().with_level(LevelFilter::Trace).with_utc_timestamps()),
    }))
}

/// From now on.
pub fn set_levels(levels: Levels) {
    log::set_max_level(levels.highest());
    *LEVELS.write().unwrap_or_else(PoisonError::into_inner) = levels;
}

struct Journal {
    /// `None`: for systemd.
    printer: Option<SimpleLogger>,
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        LEVELS.read().unwrap_or_else(PoisonError::into_inner).admit(metadata.target(), metadata.level())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match &self.printer {
            Some(printer) => printer.log(record),
            None => {
                let line = for_systemd(record.level(), record.target(), &record.args().to_string());
                // Nobody listening is no reason to stop.
                let _ = std::io::stderr().lock().write_all(line.as_bytes());
            }
        }
    }

    fn flush(&self) {}
}

/// Every line of a message needs its own priority, or the journal takes it for a notice.
fn for_systemd(level: Level, target: &str, text: &str) -> String {
    let priority = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    text.lines().map(|line| format!("<{priority}>[{target}] {line}\n")).collect()
}

static LEVELS: RwLock<Levels> = RwLock::new(Levels::of(LevelFilter::Info));
const CRATE: &str = "kontalk_node";
const ROOMS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_for_all_or_for_a_room() {
        let levels: Levels = "debug, router=trace,s2s=off".parse().unwrap();
        for (target, level, admitted) in [
            ("kontalk_node::router::message", Level::Trace, true),
            ("kontalk_node::router", Level::Trace, true),
            ("kontalk_node::routers", Level::Trace, false),
            ("kontalk_node::s2s::link", Level::Error, false),
            ("kontalk_node::c2s", Level::Debug, true),
            ("kontalk_node::c2s", Level::Trace, false),
            ("rustls::conn", Level::Warn, true),
            ("rustls::conn", Level::Debug, false),
        ] {
            assert_eq!(levels.admit(target, level), admitted, "{target} {level}");
        }
        assert_eq!(levels.highest(), LevelFilter::Trace);
        assert_eq!(levels.to_string(), "debug,router=trace,s2s=off");
        assert_eq!("c2s=debug".parse::<Levels>().unwrap().all, LevelFilter::Info);
        assert!(!Levels::of(LevelFilter::Off).admit("rustls", Level::Error));
        for text in ["loud", "c2s=loud", "=debug", "a b=debug", ""] {
            assert!(text.parse::<Levels>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_line_for_systemd_has_its_priority() {
        assert_eq!(
            for_systemd(Level::Warn, "kontalk_node::net", "one\ntwo"),
            "<4>[kontalk_node::net] one\n<4>[kontalk_node::net] two\n"
        );
        assert!(for_systemd(Level::Error, "x", "y").starts_with("<3>"));
    }
}
