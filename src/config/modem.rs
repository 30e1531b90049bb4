//! `[sms.modem]`: how the modem is reached, and what it is used for.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::check::is_plain;
use super::document::Document;

/// A modem at this machine. It is opened only if something is to go out by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modem {
    /// `sms.modem.device`: its serial port; nothing for `auto`.
    pub device: Option<PathBuf>,
    /// `sms.modem.baud`: bits a second.
    pub baud: u32,
    /// `sms.modem.pin_file`: a file with the SIM's PIN.
    pub pin_file: Option<PathBuf>,
    /// `sms.modem.service_centre`: the number of the operator's, with its plus.
    pub service_centre: Option<String>,
    /// `sms.modem.country`: the country calling code for numbers without one; nothing: the SIM's own.
    pub country: Option<u16>,
    /// `sms.modem.delivery_reports`: ask whether messages arrived.
    pub delivery_reports: bool,
    /// `sms.modem.watch_calls`: see who calls, and hang up.
    pub watch_calls: bool,
    /// `sms.modem.power_cycle_command`: a program with its arguments.
    pub power_cycle_command: Option<Vec<String>>,
}

impl Default for Modem {
    fn default() -> Modem {
        Modem {
            device: None,
            baud: 115_200,
            pin_file: None,
            service_centre: None,
            country: None,
            delivery_reports: false,
            watch_calls: false,
            power_cycle_command: None,
        }
    }
}

/// Reads the section. A modem need not be there now, and so nothing is opened but the PIN's file.
pub(super) fn modem(document: &mut Document<'_>, base: &Path, modem: &mut Modem) {
    if let Some(found) = document.text("sms.modem.device").filter(|found| found.value != "auto") {
        let path = Path::new(&found.value);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !path.is_absolute() || !is_plain(&found.value) {
            document.object(&found, "no serial port", "\"auto\", or a path such as \"/dev/kontalk-modem\"");
        } else if name.starts_with("ttyUSB") || name.starts_with("ttyACM") {
            // Its number is another one when it is plugged in again.
            document.warn(&found, "this name may be another modem's tomorrow", "a path under /dev/serial/by-id/");
        }
        modem.device = Some(path.to_owned());
    }
    if let Some(found) = document.number("sms.modem.baud", 1200..=4_000_000) {
        modem.baud = found.value;
    }
    modem.pin_file = pin_file(document, base);
    if let Some(found) = document.text("sms.modem.service_centre") {
        let digits = found.value.strip_prefix('+').unwrap_or_default();
        if (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            modem.service_centre = Some(found.value);
        } else {
            document.object(&found, "no number in international form", "e.g. \"+491710760000\"");
        }
    }
    if let Some(found) = document.number("sms.modem.country", 1..=998) {
        modem.country = u16::try_from(found.value).ok();
    }
    for (path, flag) in
        [("sms.modem.delivery_reports", &mut modem.delivery_reports), ("sms.modem.watch_calls", &mut modem.watch_calls)]
    {
        if let Some(found) = document.flag(path) {
            *flag = found.value;
        }
    }
    if let Some(words) = document.list("sms.modem.power_cycle_command").filter(|words| !words.is_empty()) {
        modem.power_cycle_command = Some(words.into_iter().map(|word| word.value).collect());
    }
}

fn pin_file(document: &mut Document<'_>, base: &Path) -> Option<PathBuf> {
    let found = document.text("sms.modem.pin_file")?;
    let path = base.join(&found.value);
    match File::open(&path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_file() => {
            if metadata.permissions().mode() & 0o007 != 0 {
                let remedy = format!("chmod o-rwx {}", path.display());
                document.warn(&found, "anybody on this machine can read the PIN", &remedy);
            }
        }
        Ok(_) => document.object(&found, "not a file", "a file that holds the PIN and nothing else"),
        Err(error) => {
            let text = format!("cannot be read: {error}");
            document.object(&found, &text, "it must exist, and the user kontalk-node be allowed to read it");
        }
    }
    Some(path)
}
