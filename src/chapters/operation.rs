//! # The operator's manual
//!
//! For who runs a node at home. Each command explains itself with `--help`, and `man kontalk-node` has all of them; the keys of
//! the configuration are explained where they stand, `kontalk-node sample-config` prints them.
//!
//! ## Install
//! On Raspberry Pi OS or Debian: `sudo apt install ./kontalk-node_VERSION_ARCH.deb`. Elsewhere: the static binary in `/usr/bin`, a user
//! `kontalk-node` in the group `dialout`, the unit of `systemd/`, the rule for modems in `/etc/udev/rules.d`.
//!
//! The machine needs its clock set from the network: in 1970 nothing is started, for keys made then would be of no use. The service
//! tries again by itself.
//!
//! ## Set up
//! `sudo kontalk-node setup` asks; each question says in a line what its answer means. By flags it asks nothing:
//! `kontalk-node setup --yes --domain example.org --contact you@example.org --certificate acme --accept-terms --codes modem`.
//!
//! The file that the package installed is filled in place: only what is unset is set, which is what is commented out, missing, or
//! as in the sample. What you wrote yourself stays; if an answer contradicts it, setup names the lines and writes nothing. The same
//! answers twice change nothing. Before a file takes its place it is checked as `check-config` would, and it is written beside and
//! renamed, so that a power cut leaves the old one or the new one.
//!
//! At the end it prints the DNS records to paste, the ports to forward, and what to do next.
//!
//! ## See how it is
//! - `kontalk-node doctor --config /etc/kontalk-node/node.toml`, as root, looks at everything around the node: clock, disk and its
//!   wear, permissions, memory, ports, DNS, certificate, modem or provider, store, trust. What is not well comes with its remedy.
//!   Exit code: 0 all is well, 1 something is doubtful, 2 something is wrong; `--json` for scripts. It changes nothing, and the data
//!   of a node that does not run are not opened. With `--address` it compares DNS with the address of your connection.
//! - `kontalk-node status` says in a few lines how the running node is.
//! - `journalctl -u kontalk-node` tells the day's story, a line for each event. No number, code or message is in it.
//!
//! ## When something fails
//! - *The disk fills up.* While less than 16 MiB are free, nothing new is kept: messages to absent users, registrations and what
//!   clients publish are refused with a temporary error (`resource-constraint`), the log says it once. Messages between users
//!   who are there go on. When there is room again the node goes on by itself; nothing that was acknowledged is lost. Uploads stop
//!   earlier, at `upload.free_mib_min`.
//! - *The disk is read-only.* Cards do that when they fail. The node does not start and says so; see `dmesg`, check it with
//!   `fsck`, and put a new card in. If the store cannot be written while the node runs, it keeps no more and `status` says so.
//! - *The modem is missing or mute.* The node serves, codes wait or go another way, and it looks for the modem again and again.
//! - *The certificate has expired.* The node serves with it and warns; it takes new files within a minute, at once with SIGHUP.
//! - *A port is in use, a secret cannot be read, the configuration is broken.* Nothing is started, and everything that is wrong is
//!   said at once with its remedy. For a broken configuration systemd does not try again (exit code 78).
//! - *A record in the store is damaged.* It is set aside, not deleted; `status` counts them, `verify-data` reads all of them.
//! - *The server key is damaged.* The node never makes another in its place. Restore it from a backup.
//!
//! ## Backup and moving
//! `kontalk-node backup --to /media/stick` while the node runs; the passphrase and the 24 words of `trust card --make` belong on
//! paper, not on the same stick. `restore` makes a data directory that was not there before. Run a node's data on one machine only.
//! Before an upgrade, the new binary's `verify-data` says whether it reads everything.
//!
//! ## Where it is in the code
//! What the answers mean is [`crate::setup`], what is well and what is not [`crate::doctor`], how it is found out
//! [`crate::node::checkup`].
