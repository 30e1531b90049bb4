//! Finds the modem among the serial ports, and the program that holds it when it cannot be had.
//!
//! A USB modem shows several ports: for commands, for diagnostics, for positions, for dialling. Which is which the kernel
//! knows as far as the maker's number, the product's and the interface's tell; the rest is found by asking.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The directories that are looked at; tests have their own.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) dev: PathBuf,
    pub(super) sys: PathBuf,
    pub(super) proc: PathBuf,
    pub(super) run: PathBuf,
}

impl Default for Places {
    fn default() -> Places {
        let [dev, sys, proc, run] = ["/dev", "/sys", "/proc", "/run"].map(PathBuf::from);
        Places { dev, sys, proc, run }
    }
}

/// What the kernel says about a port. Numbers as they stand in the files: lower case hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PortFacts {
    pub(super) vendor: String,
    pub(super) product: String,
    pub(super) interface: String,
    pub(super) protocol: String,
}

/// What a port is for. The order is that in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PortUse {
    /// For commands, and it tells what comes in.
    Commands,
    /// Nobody knows: it must be asked.
    Unknown,
    /// It answers commands, but may not tell what comes in.
    Dialling,
    /// Diagnostics, positions, sound, or not a modem: never opened.
    Other,
}

/// By what is known of makers.
pub(super) fn use_of(facts: &PortFacts) -> PortUse {
    let PortFacts { vendor, product, interface, protocol } = facts;
    match (vendor.as_str(), product.as_str()) {
        // Huawei tells by the interface's protocol.
        ("12d1", _) => match protocol.as_str() {
            "02" | "12" | "62" => PortUse::Commands,
            "01" | "10" | "61" => PortUse::Dialling,
            "ff" | "00" | "" => PortUse::Unknown,
            _ => PortUse::Other,
        },
        // Quectel EC2x, EG2x; SIMCom SIM7xxx.
        ("2c7c", "0125" | "0121" | "0191" | "0195") | ("1e0e", "9001" | "9205") => match interface.as_str() {
            "02" => PortUse::Commands,
            "03" => PortUse::Dialling,
            _ => PortUse::Other,
        },
        // u-blox: the first. Others of it are for positions and sound.
        ("1546", _) if interface == "00" => PortUse::Commands,
        // Adapters for other things: a printer may stop when it reads an AT. A modem behind such one is configured by path.
        ("0403" | "067b" | "10c4" | "1a86" | "2341", _) => PortUse::Other,
        ("", _) => PortUse::Other,
        _ => PortUse::Unknown,
    }
}

/// All ports that may be a modem's, the best first: under their lasting names where they have such.
pub(super) fn candidates(places: &Places) -> Vec<PathBuf> {
    let lasting = lasting_names(places);
    let mut found: Vec<(PortUse, PathBuf)> = Vec::new();
    for entry in fs::read_dir(places.sys.join("class/tty")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(name.starts_with("ttyUSB") || name.starts_with("ttyACM")) {
            continue;
        }
        let purpose = use_of(&facts_of(places, &name));
        if purpose != PortUse::Other {
            let path = lasting.get(&name).cloned().unwrap_or_else(|| places.dev.join(&name));
            found.push((purpose, path));
        }
    }
    found.sort();
    found.truncate(CANDIDATES_MAX);
    found.into_iter().map(|(_, path)| path).collect()
}

/// `ttyUSB2` to `/dev/serial/by-id/usb-…-if02-port0`.
fn lasting_names(places: &Places) -> BTreeMap<String, PathBuf> {
    let links = fs::read_dir(places.dev.join("serial/by-id")).into_iter().flatten().flatten();
    let names = links.filter_map(|link| {
        let target = fs::read_link(link.path()).ok()?;
        Some((target.file_name()?.to_string_lossy().into_owned(), link.path()))
    });
    names.collect()
}

pub(super) fn facts_of(places: &Places, name: &str) -> PortFacts {
    // …/usb1/1-1/1-1:1.2/ttyUSB2: above the port its interface, above that the device.
    let device = fs::canonicalize(places.sys.join("class/tty").join(name).join("device")).unwrap_or_default();
    let read = |file: &str| {
        let above = device.ancestors().take(LEVELS_MAX).map(|dir| dir.join(file));
        let found = above.map(fs::read_to_string).find_map(Result::ok);
        found.unwrap_or_default().trim().to_owned()
    };
    PortFacts {
        vendor: read("idVendor"),
        product: read("idProduct"),
        interface: read("bInterfaceNumber"),
        protocol: read("bInterfaceProtocol"),
    }
}

/// ModemManager, if it runs and was not told to leave this device alone: a sentence with its remedy.
pub(super) fn modem_manager(places: &Places, device: Option<&Path>) -> Option<String> {
    let runs = UNIT_PLACES.iter().any(|unit| places.sys.join(unit).exists()) || process_named(places, "ModemManager");
    (runs && !device.is_some_and(|device| told_to_ignore(places, device))).then(|| MODEM_MANAGER.to_owned())
}

/// What udev knows of the port and of the USB device it belongs to, in its database: a mark at either will do.
fn told_to_ignore(places: &Places, device: &Path) -> bool {
    let target = fs::canonicalize(device).unwrap_or_default();
    let Some(name) = target.file_name().and_then(|name| name.to_str()) else { return false };
    let class = places.sys.join("class/tty").join(name);
    let port = fs::canonicalize(class.join("device")).unwrap_or_default();
    let above = port.ancestors().take(LEVELS_MAX).map(|dir| dir.join("dev"));
    std::iter::once(class.join("dev")).chain(above).any(|file| {
        let number = fs::read_to_string(file).unwrap_or_default();
        let known = fs::read_to_string(places.run.join(format!("udev/data/c{}", number.trim()))).unwrap_or_default();
        known.lines().any(|line| matches!(line, "E:ID_MM_DEVICE_IGNORE=1" | "E:ID_MM_PORT_IGNORE=1"))
    })
}

/// Other users' processes may be hidden from us; then only its unit tells.
fn process_named(places: &Places, name: &str) -> bool {
    fs::read_dir(&places.proc).into_iter().flatten().flatten().any(|entry| {
        let is_process = entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit());
        is_process && fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    })
}

/// The control group of the service, in either layout.
const UNIT_PLACES: [&str; 2] =
    ["fs/cgroup/system.slice/ModemManager.service", "fs/cgroup/systemd/system.slice/ModemManager.service"];
const MODEM_MANAGER: &str = "ModemManager runs and may take the modem or its messages away (remedy: `systemctl mask --now \
                             ModemManager`, or keep the udev rule 60-kontalk-node-modem.rules and plug the modem in again)";
/// Ports that are tried.
const CANDIDATES_MAX: usize = 16;
/// From the port up to the USB device.
const LEVELS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree of files as the kernel and udev make it.
    struct Machine(Places);

    impl Machine {
        fn new(name: &str) -> Machine {
            let root = std::env::temp_dir().join(format!("kontalk-ports-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            let [dev, sys, proc, run] = ["dev", "sys", "proc", "run"].map(|dir| root.join(dir));
            for dir in [dev.join("serial/by-id"), sys.join("class/tty"), proc.clone(), run.join("udev/data")] {
                fs::create_dir_all(dir).unwrap();
            }
            Machine(Places { dev, sys, proc, run })
        }

        fn plug(&self, tty: &str, ids: (&str, &str), interface: &str, protocol: &str, link: Option<&str>) {
            let Machine(places) = self;
            let device = places.sys.join(format!("devices/usb1/1-{}", ids.1));
            let port = device.join(format!("1-1:1.{interface}")).join(tty);
            fs::create_dir_all(&port).unwrap();
            fs::write(device.join("dev"), "189:7\n").unwrap();
            fs::write(device.join("idVendor"), format!("{}\n", ids.0)).unwrap();
            fs::write(device.join("idProduct"), format!("{}\n", ids.1)).unwrap();
            fs::write(port.parent().unwrap().join("bInterfaceNumber"), format!("{interface}\n")).unwrap();
            fs::write(port.parent().unwrap().join("bInterfaceProtocol"), format!("{protocol}\n")).unwrap();
            let class = places.sys.join("class/tty").join(tty);
            fs::create_dir_all(&class).unwrap();
            fs::write(class.join("dev"), "188:2\n").unwrap();
            symlink(&port, class.join("device")).unwrap();
            fs::write(places.dev.join(tty), "").unwrap();
            if let Some(link) = link {
                symlink(format!("../../{tty}"), places.dev.join("serial/by-id").join(link)).unwrap();
            }
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0.dev.parent().unwrap());
        }
    }

    fn names(places: &Places) -> Vec<String> {
        candidates(places).iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_port_for_commands_comes_first_and_diagnostics_are_never_opened() {
        let machine = Machine::new("order");
        for (tty, interface) in [("ttyUSB0", "00"), ("ttyUSB1", "01"), ("ttyUSB2", "02"), ("ttyUSB3", "03")] {
            machine.plug(
                tty,
                ("2c7c", "0125"),
                interface,
                "ff",
                Some(&format!("usb-Quectel_EC25-if{interface}-port0")),
            );
        }
        assert_eq!(names(&machine.0), ["usb-Quectel_EC25-if02-port0", "usb-Quectel_EC25-if03-port0"]);
    }

    #[test]
    fn huawei_tells_by_protocol_and_strangers_are_asked_but_adapters_are_not() {
        let machine = Machine::new("huawei");
        machine.plug("ttyUSB0", ("12d1", "1506"), "00", "01", None);
        machine.plug("ttyUSB1", ("12d1", "1506"), "01", "05", None);
        machine.plug("ttyUSB2", ("12d1", "1506"), "02", "02", None);
        machine.plug("ttyACM0", ("1bc7", "0036"), "00", "01", None);
        machine.plug("ttyUSB4", ("0403", "6001"), "00", "ff", None);
        assert_eq!(names(&machine.0), ["ttyUSB2", "ttyACM0", "ttyUSB0"]);
    }

    #[test]
    fn modem_manager_is_told_of_unless_it_leaves_the_device_alone() {
        let machine = Machine::new("manager");
        machine.plug("ttyUSB2", ("2c7c", "0125"), "02", "ff", None);
        let places = &machine.0;
        let device = places.dev.join("ttyUSB2");
        assert_eq!(modem_manager(places, Some(&device)), None);
        fs::create_dir_all(places.proc.join("123")).unwrap();
        fs::write(places.proc.join("123/comm"), "ModemManager\n").unwrap();
        assert!(modem_manager(places, Some(&device)).unwrap().contains("remedy"));
        fs::write(places.run.join("udev/data/c188:2"), "I:1\nE:ID_MM_DEVICE_IGNORE=1\n").unwrap();
        assert_eq!(modem_manager(places, Some(&device)), None);
        // A mark at the USB device does as well as one at the port.
        fs::rename(places.run.join("udev/data/c188:2"), places.run.join("udev/data/c189:7")).unwrap();
        assert_eq!(modem_manager(places, Some(&device)), None);
        // Nothing is known of other users' processes.
        fs::remove_dir_all(places.proc.join("123")).unwrap();
        fs::create_dir_all(places.sys.join(UNIT_PLACES[0])).unwrap();
        assert!(modem_manager(places, None).is_some());
    }
}
