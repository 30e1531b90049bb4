//! A name server of the test: it knows what it is told, and does not know the rest; on demand it hangs or lies.

#![allow(dead_code)] // Each test binary uses its own part of this.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use simple_dns::rdata::{A, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// What it knows; of the rest that there is no such name.
    Honest,
    /// Never.
    Hangs,
    /// With answers to other questions, of other names, with wrong ids, and with noise.
    Lies,
}

/// A name server in a thread of its own, until the process ends.
pub struct NameServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Domains, and where their servers are.
    domains: Mutex<BTreeMap<String, SocketAddr>>,
    manner: Mutex<Manner>,
    asked: AtomicUsize,
}

impl NameServer {
    pub fn start(ip: IpAddr) -> NameServer {
        let socket = UdpSocket::bind((ip, 0)).expect("a port");
        let address = socket.local_addr().expect("its address");
        let (domains, manner, asked) = (Mutex::default(), Mutex::new(Manner::Honest), AtomicUsize::new(0));
        let shared = Arc::new(Shared { domains, manner, asked });
        let of_thread = shared.clone();
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((count, from)) = socket.recv_from(&mut buffer) {
                of_thread.asked.fetch_add(1, Ordering::Relaxed);
                for reply in of_thread.replies(&buffer[..count]) {
                    socket.send_to(&reply, from).ok();
                }
            }
        });
        NameServer { address, shared }
    }

    /// The domain's server is there: an SRV record, and an address behind it.
    pub fn knows(&self, domain: &str, server: SocketAddr) {
        let mut domains = self.shared.domains.lock().unwrap_or_else(PoisonError::into_inner);
        domains.insert(domain.to_owned(), server);
    }

    pub fn behaves(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// How many questions came.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn replies(&self, query: &[u8]) -> Vec<Vec<u8>> {
        let manner = *self.manner.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(packet) = Packet::parse(query) else { return Vec::new() };
        match manner {
            Manner::Hangs => Vec::new(),
            Manner::Honest => vec![self.honest(&packet)],
            Manner::Lies => {
                let mut other = packet.clone();
                if let Some(question) = other.questions.first_mut() {
                    question.qname = Name::new_unchecked("elsewhere.test");
                }
                let mut wrong_id = self.honest(&packet);
                wrong_id[0] ^= 1;
                vec![b"noise".to_vec(), query.to_vec(), wrong_id, self.honest(&other)]
            }
        }
    }

    fn honest(&self, query: &Packet<'_>) -> Vec<u8> {
        let mut reply = Packet::new_reply(query.id());
        reply.set_flags(PacketFlag::RECURSION_AVAILABLE | PacketFlag::RECURSION_DESIRED);
        reply.questions = query.questions.clone();
        let domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(question) = query.questions.first() else { return Vec::new() };
        let name = question.qname.to_string().to_ascii_lowercase();
        let service = name.strip_prefix("_xmpp-server._tcp.");
        let mut found = false;
        for (domain, server) in domains.iter() {
            // A name that looks like the address: some programs ask the system, not us, for all but services.
            let target = server.ip().to_string();
            let data = if service == Some(domain) && question.qtype == QTYPE::TYPE(TYPE::SRV) {
                let target = Name::new(&target).expect("a name").into_owned();
                Some(RData::SRV(SRV { priority: 0, weight: 0, port: server.port(), target }))
            } else if name == target && question.qtype == QTYPE::TYPE(TYPE::A) {
                let IpAddr::V4(ip) = server.ip() else { continue };
                Some(RData::A(A { address: ip.into() }))
            } else {
                None
            };
            found |= service == Some(domain) || name == target || name == *domain;
            if let Some(data) = data {
                let owner = question.qname.clone().into_owned();
                reply.answers.push(ResourceRecord::new(owner, CLASS::IN, 60, data));
            }
        }
        if !found {
            *reply.rcode_mut() = RCODE::NameError;
        }
        reply.build_bytes_vec().expect("an answer")
    }
}
