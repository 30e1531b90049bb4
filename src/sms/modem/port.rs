//! A serial port under smol: raw, exclusive, without flow control.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::termios::{self, ControlModes, OptionalActions, QueueSelector, SpecialCodeIndex};
use smol::Async;
use zeroize::Zeroizing;

/// An open port.
pub(super) struct Port {
    file: Async<File>,
}

impl Port {
    /// Opens it, and has it alone: nobody else can open it then, but for those who run as root.
    pub(super) fn open(path: &Path, baud: u32) -> io::Result<Port> {
        let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        termios::ioctl_tiocexcl(&file)?;
        let mut modes = termios::tcgetattr(&file)?;
        // Echo must be off before the first byte is read, or the modem hears itself.
        modes.make_raw();
        // Without modem lines; and closing does not hang up, which would reset some modems.
        modes.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        modes.control_modes &= !(ControlModes::HUPCL | ControlModes::CRTSCTS);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        modes.set_speed(baud)?;
        termios::tcsetattr(&file, OptionalActions::Now, &modes)?;
        // What was said before is of no interest.
        termios::tcflush(&file, QueueSelector::IOFlush)?;
        Ok(Port { file: Async::new(file)? })
    }

    /// What the modem says next; nothing read means that the port is gone.
    pub(super) async fn read(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(vec![0; READ_BYTES_MAX]);
        let count = self.file.read_with(|mut file| file.read(&mut buffer)).await?;
        buffer.truncate(count);
        Ok(buffer)
    }

    /// Writes all of it.
    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.file.write_with(|mut file| file.write(rest)).await?;
            rest = match rest.get(count..) {
                Some(rest) if count > 0 => rest,
                _ => return Err(io::ErrorKind::WriteZero.into()),
            };
        }
        Ok(())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Closing does it too, unless somebody had it open before us. A port that is gone cannot be told.
        let _ = termios::ioctl_tiocnxcl(&self.file);
    }
}

const READ_BYTES_MAX: usize = 1024;
