//! Facts to findings, a function for each topic.

use std::net::IpAddr;

use super::*;

/// All findings, in the order in which an operator would repair things.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    clock(facts, &mut findings);
    config(facts, &mut findings);
    disk(facts, &mut findings);
    places(facts, &mut findings);
    memory(facts, &mut findings);
    running(facts, &mut findings);
    ports(facts, &mut findings);
    names(facts, &mut findings);
    certificate(facts, &mut findings);
    codes(facts, &mut findings);
    store(facts, &mut findings);
    trust(facts, &mut findings);
    findings
}

fn good(topic: &'static str, text: impl Into<String>) -> Finding {
    Finding { level: Level::Good, topic, text: text.into(), remedy: String::new() }
}

fn doubt(topic: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level: Level::Doubt, topic, text: text.into(), remedy: remedy.into() }
}

fn bad(topic: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level: Level::Bad, topic, text: text.into(), remedy: remedy.into() }
}

fn clock(facts: &Facts, findings: &mut Vec<Finding>) {
    findings.push(if facts.now_secs < EARLIEST_SECS {
        bad("clock", "this machine's clock is years behind", "let it set its clock: sudo timedatectl set-ntp true")
    } else if facts.clock_synchronised == Some(false) {
        doubt("clock", "not yet set from the network", "sudo timedatectl set-ntp true, and see `timedatectl`")
    } else if facts.no_hardware_clock && facts.clock_synchronised.is_none() {
        doubt(
            "clock",
            "no clock runs here without power, and nothing says that it is set from the network",
            "install systemd-timesyncd or chrony",
        )
    } else {
        good("clock", "right, as far as can be seen")
    });
}

fn config(facts: &Facts, findings: &mut Vec<Finding>) {
    if facts.config_doubts.is_empty() {
        findings.push(good("settings", "no problems"));
    }
    for problem in &facts.config_doubts {
        // They bring their remedies.
        findings.push(doubt("settings", problem, ""));
    }
}

fn disk(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(disk) = &facts.disk else { return };
    let free = mebibytes(disk.free);
    findings.push(if disk.read_only {
        bad(
            "disk",
            "the file system with the data is read-only, perhaps after an error of the card",
            "see `dmesg`, check it with fsck, replace the card if it comes again",
        )
    } else if disk.free < FREE_BAD || disk.files_free.is_some_and(|files| files < FILES_BAD) {
        bad(
            "disk",
            format!("{free} MiB free: soon nothing can be stored"),
            "make room: sudo journalctl --vacuum-size=100M, sudo apt clean",
        )
    } else if disk.free < FREE_DOUBT {
        doubt("disk", format!("{free} MiB free"), "make room, or lower upload.days and archive.days")
    } else {
        good("disk", format!("{free} MiB free of {}", mebibytes(disk.total)))
    });
    match disk.life_used {
        Some(11..) => findings.push(bad(
            "wear",
            "the flash is beyond the life its maker gave it",
            "make a backup now and replace it",
        )),
        Some(9..) => findings.push(doubt(
            "wear",
            "the flash is near the end of its life",
            "make a backup and plan to replace it",
        )),
        Some(tenths) => {
            findings.push(good("wear", format!("up to {} % of the flash's life is used", u32::from(tenths) * 10)))
        }
        None => {}
    }
    if let (true, None) = (disk.flash, disk.life_used) {
        let written =
            disk.written_kib.map_or_else(String::new, |kib| format!(", {} GiB were written to it", kib / 1_048_576));
        // Cheap cards bear some hundreds of times their size.
        let worn = disk.written_kib.is_some_and(|kib| kib > (disk.total / 1024).saturating_mul(300));
        findings.push(if worn {
            doubt("wear", format!("an SD card{written}, 300 times its size"), "make a backup and put in a new one")
        } else {
            good("wear", format!("an SD card{written}; it cannot say how worn it is, so keep backups elsewhere"))
        });
    }
}

fn places(facts: &Facts, findings: &mut Vec<Finding>) {
    let before = findings.len();
    for Place { path, state } in &facts.places {
        match state {
            PlaceState::Closed => findings.push(doubt(
                "permissions",
                format!("{path} cannot be looked at"),
                "run doctor as root, or as the user kontalk-node",
            )),
            PlaceState::NotForNode => findings.push(bad(
                "permissions",
                format!("{path} cannot be read by the user of the node"),
                format!("sudo chgrp kontalk-node {path}; sudo chmod 640 {path}"),
            )),
            PlaceState::Seen { mode, .. } if mode & 0o007 != 0 => {
                findings.push(bad(
                    "permissions",
                    format!("{path} can be used by everybody on this machine"),
                    format!("chmod o-rwx {path}"),
                ));
            }
            PlaceState::Seen { same_owner: false, .. } => {
                let remedy = format!("sudo chown --reference=\"$(dirname {path})\" {path}");
                findings.push(bad(
                    "permissions",
                    format!("{path} belongs to another user than the data directory"),
                    remedy,
                ));
            }
            PlaceState::Absent | PlaceState::Seen { .. } => {}
        }
    }
    if findings.len() == before {
        findings.push(good("permissions", "secrets are the node's alone"));
    }
}

fn memory(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((available, total)) = facts.memory else { return };
    let text = format!("{} MiB to be had of {}", mebibytes(available), mebibytes(total));
    findings.push(if available < MEMORY_DOUBT {
        doubt("memory", text, "stop what this machine need not do; on a Pi: no desktop, and gpu_mem=16 in config.txt")
    } else {
        good("memory", text)
    });
}

fn running(facts: &Facts, findings: &mut Vec<Finding>) {
    findings.push(if facts.running {
        good("node", "it runs")
    } else {
        doubt(
            "node",
            "it does not run, so some things cannot be seen",
            "sudo systemctl enable --now kontalk-node, and ask again",
        )
    });
}

fn ports(facts: &Facts, findings: &mut Vec<Finding>) {
    let before = findings.len();
    for PortFact { address, port, state } in &facts.ports {
        let finding = match state {
            PortState::Answered | PortState::Free => continue,
            PortState::Silent => {
                bad("ports", format!("nobody answers at {address}"), "see the log: journalctl -u kontalk-node -n 50")
            }
            PortState::Taken => bad(
                "ports",
                format!("another program has {address}"),
                format!("find it: sudo ss -ltnp 'sport = :{port}'; stop it, or choose another port"),
            ),
            PortState::Forbidden => doubt(
                "ports",
                format!("this user may not listen on {address}"),
                "for ports below 1024: systemctl edit kontalk-node, with the lines that its unit names",
            ),
            PortState::NoSuchAddress => bad(
                "ports",
                format!("this machine has no address {address}"),
                format!("listen on [::]:{port}, all its addresses"),
            ),
        };
        findings.push(finding);
    }
    if findings.len() == before && !facts.ports.is_empty() {
        let state = if facts.running { "answer" } else { "are free" };
        findings.push(good("ports", format!("all {} {state}; your router must forward them", facts.ports.len())));
    }
}

fn names(facts: &Facts, findings: &mut Vec<Finding>) {
    if facts.names.iter().any(|name| name.found == NameState::NoAnswer) {
        findings.push(bad("dns", "no name server answers", "see /etc/resolv.conf and whether this machine is online"));
        return;
    }
    let before = findings.len();
    for NameFact { wanted, found } in &facts.names {
        let remedy = format!("in the zone: {wanted}");
        let is_address = matches!(wanted, Record::Address { .. });
        match found {
            NameState::AsWanted | NameState::NoAnswer => {}
            NameState::Absent if is_address => {
                findings.push(bad("dns", format!("{} has no address", name_of(wanted)), remedy))
            }
            NameState::Absent => findings.push(doubt("dns", format!("no record {}", name_of(wanted)), remedy)),
            NameState::Other(other) => findings.push(bad("dns", format!("{} says {other}", name_of(wanted)), remedy)),
        }
    }
    let is_private = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.segments().first().is_some_and(|first| first & 0xfe00 == 0xfc00)
        }
    };
    if !facts.host_addresses.is_empty() && facts.host_addresses.iter().all(is_private) {
        findings.push(bad(
            "dns",
            "the machine's name has addresses of a home network only",
            "put the address of your connection there, as your router shows it",
        ));
    }
    if findings.len() == before && !facts.names.is_empty() {
        findings.push(good("dns", format!("all {} records are there", facts.names.len())));
    }
}

fn name_of(record: &Record) -> &str {
    match record {
        Record::Address { name, .. } | Record::Service { name, .. } => name,
    }
}

fn certificate(facts: &Facts, findings: &mut Vec<Finding>) {
    const TRIAL: &str = "telephones refuse it; get one by [acme], or set [tls] to files of your authority";
    findings.push(match &facts.certificate {
        None => return,
        // It brings its remedy.
        Some(CertificateFact::Unusable(fault)) => bad("certificate", fault, ""),
        Some(CertificateFact::NotMadeYet) => doubt("certificate", "the node will make its own, for trials", TRIAL),
        Some(CertificateFact::Read { not_after_secs, not_before_secs, self_made, chain_fault }) => {
            let days = not_after_secs.saturating_sub(facts.now_secs) / 86_400;
            if facts.now_secs > *not_after_secs {
                bad(
                    "certificate",
                    format!("expired {} days ago", (facts.now_secs - not_after_secs) / 86_400),
                    "renew it; the node takes the new files within a minute",
                )
            } else if facts.now_secs < *not_before_secs {
                bad("certificate", "it is not good yet", "see whether this machine's clock is right")
            } else if *self_made {
                doubt("certificate", "self-made, for trials", TRIAL)
            } else if let Some(fault) = chain_fault {
                bad("certificate", fault, "set tls.certificate to the file with the issuers, fullchain.pem")
            } else if days < EXPIRY_DOUBT_DAYS {
                doubt(
                    "certificate",
                    format!("good for {days} days only"),
                    "see why it was not renewed: the log of your authority's client",
                )
            } else {
                good("certificate", format!("good for {days} days"))
            }
        }
    });
}

fn codes(facts: &Facts, findings: &mut Vec<Finding>) {
    match &facts.modem {
        None => {}
        Some(ModemFact::Told { trouble: Some(trouble), .. }) => findings.push(bad("modem", trouble, "")),
        Some(ModemFact::Told { short, trouble: None }) => findings.push(good("modem", short)),
        Some(ModemFact::Closed(port)) => findings.push(bad(
            "modem",
            format!("{port} may not be opened"),
            "sudo usermod -aG dialout kontalk-node, then restart the node",
        )),
        Some(ModemFact::Ports(ports)) if ports.is_empty() => {
            findings.push(bad(
                "modem",
                "no serial port is there for it",
                "plug it in; see `lsusb`, and usb-modeswitch if it shows up as a CD",
            ));
        }
        Some(ModemFact::Ports(ports)) => {
            findings.push(good("modem", format!("there is {}; ask again when the node runs", ports.join(", "))))
        }
    }
    for provider in &facts.providers {
        let what = |text: &str| format!("{}: {text}", provider.name);
        findings.push(if let Some(secs) = provider.resting_secs {
            bad(
                "provider",
                what(&format!("its last message failed, it rests for {secs} s")),
                "see the log; look at credit and credentials in the provider's account",
            )
        } else {
            match provider.counts {
                Some((sent, failed)) if failed > sent => doubt(
                    "provider",
                    what(&format!("{failed} messages failed today, {sent} went out")),
                    "see the log, and kontalk-node sms test +NUMBER",
                ),
                Some((sent, failed)) => {
                    good("provider", what(&format!("{sent} messages went out today, {failed} failed")))
                }
                None => good("provider", what("its secret can be read; to try it: kontalk-node sms test +NUMBER")),
            }
        });
    }
    if facts.codes_on_terminal {
        findings.push(doubt(
            "codes",
            "they are printed by the node instead of being sent: nobody else can register",
            "choose another sms.via",
        ));
    }
}

fn store(facts: &Facts, findings: &mut Vec<Finding>) {
    findings.push(match &facts.store {
        StoreFact::Absent => good("store", "none yet; the node makes it"),
        StoreFact::NotAsked => good("store", "there; to read every record: kontalk-node verify-data"),
        StoreFact::Told { broken: true, .. } => bad(
            "store",
            "writing failed, nothing more is kept",
            "see the log, make room or replace the disk, then restart the node",
        ),
        StoreFact::Told { damaged: 1.., .. } => bad(
            "store",
            "some records cannot be read and were set aside",
            "check the disk; restore a backup if users miss something",
        ),
        StoreFact::Told { holds, .. } => good("store", holds),
        StoreFact::Fault(fault) => bad("store", fault, ""),
    });
}

fn trust(facts: &Facts, findings: &mut Vec<Finding>) {
    let trust = &facts.trust;
    if let Some(fault) = &trust.fault {
        findings.push(doubt("trust", fault, ""));
        return;
    }
    if trust.card == Some(false) {
        findings.push(doubt(
            "trust",
            "this node has no card, so no other node can trust it",
            "kontalk-node trust card --make, with paper for 24 words",
        ));
    }
    for flag in &trust.flagged {
        findings.push(doubt("trust", flag, "kontalk-node trust show NODE"));
    }
    if trust.card == Some(true) && trust.flagged.is_empty() {
        findings.push(good("trust", format!("{} other nodes are trusted", trust.trusted)));
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

const FREE_BAD: u64 = 64 * 1024 * 1024;
const FREE_DOUBT: u64 = 512 * 1024 * 1024;
const FILES_BAD: u64 = 1_000;
const MEMORY_DOUBT: u64 = 48 * 1024 * 1024;
const EXPIRY_DOUBT_DAYS: u64 = 14;
