//! What the machine says of itself: its files below `/proc`, `/sys` and `/dev`, and the data directory. What cannot be read is not
//! known; nothing here fails.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, major, minor, statvfs};

use crate::doctor::{Disk, ModemFact, Place, PlaceState};

/// Is the clock set from the network? As systemd's own client says; others say nothing.
pub(super) fn clock_synchronised() -> Option<bool> {
    let dir = Path::new("/run/systemd/timesync");
    dir.is_dir().then(|| dir.join("synchronized").exists())
}

/// The disk that holds this directory, or will.
pub(super) fn disk(data_dir: &Path) -> Option<Disk> {
    let there = data_dir.ancestors().find(|path| path.exists()).filter(|path| !path.as_os_str().is_empty());
    let there = there.unwrap_or(Path::new("."));
    let figures = statvfs(there).ok()?;
    let block = block_device(there);
    let flash = block.as_ref().is_some_and(|(_, disk)| disk.starts_with("mmcblk"));
    let life = block.as_ref().and_then(|(_, disk)| read(&format!("/sys/block/{disk}/device/life_time")));
    let written = block.as_ref().and_then(|(part, _)| read(&format!("/sys/fs/ext4/{part}/lifetime_write_kbytes")));
    Some(Disk {
        free: figures.f_bavail.saturating_mul(figures.f_frsize),
        total: figures.f_blocks.saturating_mul(figures.f_frsize),
        // Some file systems make room for files as they need it, and say 0 of 0.
        files_free: (figures.f_files > 0).then_some(figures.f_favail),
        read_only: figures.f_flag.contains(StatVfsMountFlags::RDONLY),
        flash,
        life_used: life.as_deref().and_then(life_used),
        written_kib: written.and_then(|text| text.trim().parse().ok()),
    })
}

/// The partition with this path and the disk it is of: `mmcblk0p2`, `mmcblk0`.
fn block_device(path: &Path) -> Option<(String, String)> {
    let device = fs::metadata(path).ok()?.dev();
    let link = fs::read_link(format!("/sys/dev/block/{}:{}", major(device), minor(device))).ok()?;
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let part = name(&link)?;
    let above = link.parent().and_then(name).filter(|above| part.starts_with(above.as_str()));
    Some((part.clone(), above.unwrap_or(part)))
}

/// The worse of the two kinds of cells: `0x01 0x02`.
fn life_used(text: &str) -> Option<u8> {
    let cells = text.split_whitespace().filter_map(|cell| u8::from_str_radix(cell.trim_start_matches("0x"), 16).ok());
    // 0 is "not defined".
    cells.max().filter(|life| *life > 0)
}

/// Bytes that programs can have, and of all.
pub(super) fn memory() -> Option<(u64, u64)> {
    meminfo(&read("/proc/meminfo")?)
}

fn meminfo(text: &str) -> Option<(u64, u64)> {
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some((figure("MemAvailable")?, figure("MemTotal")?))
}

/// The data directory and what is secret in it, and files elsewhere that its owner must read.
pub(super) fn places(data_dir: &Path, needed: &[PathBuf]) -> Vec<Place> {
    let owner = fs::metadata(data_dir).ok().map(|data| (data.uid(), data.gid()));
    let mut places: Vec<Place> = ["", "server-key.pgp", "login-tokens.key", "uploads.key", "store"]
        .iter()
        .map(|name| place(&if name.is_empty() { data_dir.to_owned() } else { data_dir.join(name) }, owner))
        .collect();
    // Only root sees what others may not read, and a node that runs as root reads everything.
    let Some(owner) = owner.filter(|(uid, _)| *uid != 0 && rustix::process::geteuid().is_root()) else { return places };
    for path in needed {
        if fs::metadata(path).is_ok_and(|file| !may_read(&file, owner)) {
            places.push(Place { path: path.display().to_string(), state: PlaceState::NotForNode });
        }
    }
    places
}

fn place(path: &Path, owner: Option<(u32, u32)>) -> Place {
    let state = match fs::metadata(path) {
        Ok(seen) => PlaceState::Seen {
            mode: seen.permissions().mode(),
            same_owner: owner.is_none_or(|(uid, _)| uid == seen.uid()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => PlaceState::Absent,
        Err(_) => PlaceState::Closed,
    };
    Place { path: path.display().to_string(), state }
}

fn may_read(file: &fs::Metadata, (uid, gid): (u32, u32)) -> bool {
    let bit = match () {
        () if file.uid() == uid => 0o400,
        () if file.gid() == gid => 0o040,
        () => 0o004,
    };
    file.permissions().mode() & bit != 0
}

/// The serial ports that could be the modem's, none of which is opened.
pub(super) fn modem_ports(device: Option<&Path>) -> ModemFact {
    let found: Vec<PathBuf> = match device {
        Some(device) => Some(device.to_owned()).filter(|device| device.exists()).into_iter().collect(),
        None => {
            let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
            let is_modem = |name: &str| name.starts_with("ttyUSB") || name.starts_with("ttyACM");
            let mut found: Vec<PathBuf> = entries
                .filter(|entry| entry.file_name().to_str().is_some_and(is_modem))
                .map(|entry| entry.path())
                .collect();
            found.sort();
            found
        }
    };
    let closed = found.iter().find(|port| access(*port, Access::READ_OK | Access::WRITE_OK).is_err());
    match closed {
        Some(port) => ModemFact::Closed(port.display().to_string()),
        None => ModemFact::Ports(found.iter().map(|port| port.display().to_string()).collect()),
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_the_kernel_writes_them() {
        assert_eq!(meminfo("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   500 kB\n"), Some((512_000, 1_024_000)));
        assert_eq!(meminfo("MemTotal:  1000 kB\n"), None);
        for (text, life) in [("0x01 0x03\n", Some(3)), ("0x00 0x00\n", None), ("", None), ("0x0b 0x01", Some(11))] {
            assert_eq!(life_used(text), life, "{text}");
        }
    }

    #[test]
    fn the_disk_of_a_directory_that_will_be_made_is_that_of_its_parent() {
        let disk = disk(&std::env::temp_dir().join("not/there/yet")).unwrap();
        assert!(disk.total > 0 && disk.free <= disk.total);
    }
}
