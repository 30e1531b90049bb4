//! One question and what can be believed of its answer. RFC 1035 §4, RFC 2782, RFC 5452.

use std::net::{Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ipv4,
    Ipv6,
    Service,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Service(super::SrvRecord),
}

/// What a message is, seen as an answer to a question of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// No answer to this question: it is as if it had not come. RFC 5452 §9.
    NotOurs,
    /// It did not fit; TCP has room.
    Truncated,
    /// The server has a problem.
    Failed,
    /// There is no such name.
    NoSuchName,
    /// All records of the kind, perhaps none.
    Records(Vec<Record>),
}

impl Kind {
    fn type_code(self) -> TYPE {
        match self {
            Kind::Ipv4 => TYPE::A,
            Kind::Ipv6 => TYPE::AAAA,
            Kind::Service => TYPE::SRV,
        }
    }
}

/// The bytes of a question; `None` where the name is none.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind.type_code()), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// Reads what came. It must bear the question's id and repeat the question; of the records only those count that are of the name
/// asked for, or of one that it is another name for.
pub(super) fn read(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Reading {
    let Ok(packet) = Packet::parse(bytes) else { return Reading::NotOurs };
    let [asked] = packet.questions.as_slice() else { return Reading::NotOurs };
    let is_ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && same(&asked.qname, name)
        && asked.qtype == QTYPE::TYPE(kind.type_code())
        && asked.qclass == QCLASS::CLASS(CLASS::IN);
    if !is_ours {
        return Reading::NotOurs;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Reading::Truncated;
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Reading::NoSuchName,
        _ => return Reading::Failed,
    }
    let mut owner = name.to_owned();
    for _ in 0..ALIASES_MAX {
        let alias = packet.answers.iter().find_map(|answer| match &answer.rdata {
            RData::CNAME(alias) if same(&answer.name, &owner) => Some(alias.0.to_string()),
            _ => None,
        });
        match alias {
            Some(alias) => owner = alias,
            None => break,
        }
    }
    let of_owner = packet.answers.iter().filter(|answer| answer.class == CLASS::IN && same(&answer.name, &owner));
    let records = of_owner.filter_map(|answer| record(&answer.rdata, kind)).take(RECORDS_MAX).collect();
    Reading::Records(records)
}

fn record(data: &RData<'_>, kind: Kind) -> Option<Record> {
    match (data, kind) {
        (RData::A(a), Kind::Ipv4) => Some(Record::Ipv4(Ipv4Addr::from(a.address))),
        (RData::AAAA(aaaa), Kind::Ipv6) => Some(Record::Ipv6(Ipv6Addr::from(aaaa.address))),
        (RData::SRV(srv), Kind::Service) => Some(Record::Service(super::SrvRecord {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: srv.target.to_string(),
        })),
        _ => None,
    }
}

/// RFC 4343: names are compared without regard to case.
fn same(name: &Name<'_>, text: &str) -> bool {
    name.to_string().trim_end_matches('.').eq_ignore_ascii_case(text.trim_end_matches('.'))
}

/// Names behind names that are followed.
const ALIASES_MAX: usize = 8;
/// Records of one answer that are looked at.
const RECORDS_MAX: usize = 64;

#[cfg(test)]
pub(super) mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME, SRV};

    use super::*;

    /// An answer as an honest server makes it.
    pub(in super::super) fn answer(query: &[u8], answers: Vec<ResourceRecord<'_>>) -> Vec<u8> {
        let query = Packet::parse(query).unwrap();
        let mut packet = Packet::new_reply(query.id());
        packet.questions = query.questions;
        packet.answers = answers;
        packet.build_bytes_vec().unwrap()
    }

    pub(in super::super) fn a(name: &'static str, address: [u8; 4]) -> ResourceRecord<'static> {
        let rdata = RData::A(A { address: u32::from_be_bytes(address) });
        ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, 60, rdata)
    }

    fn alias(name: &'static str, of: &'static str) -> ResourceRecord<'static> {
        let rdata = RData::CNAME(CNAME(Name::new(of).unwrap()));
        ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, 60, rdata)
    }

    fn ipv4(addresses: &[[u8; 4]]) -> Reading {
        Reading::Records(addresses.iter().map(|address| Record::Ipv4((*address).into())).collect())
    }

    #[test]
    fn an_answer_is_believed_for_the_name_that_was_asked_for() {
        let query = question(7, "B.example", Kind::Ipv4).unwrap();
        for (answers, expected) in [
            (vec![], ipv4(&[])),
            (vec![a("b.example", [1, 2, 3, 4])], ipv4(&[[1, 2, 3, 4]])),
            (vec![a("evil.example", [6, 6, 6, 6]), a("b.example", [1, 2, 3, 4])], ipv4(&[[1, 2, 3, 4]])),
            (vec![alias("b.example", "c.example"), a("c.example", [1, 2, 3, 4])], ipv4(&[[1, 2, 3, 4]])),
            (vec![a("c.example", [1, 2, 3, 4]), alias("b.example", "c.example")], ipv4(&[[1, 2, 3, 4]])),
            (vec![alias("b.example", "c.example"), alias("c.example", "b.example")], ipv4(&[])),
        ] {
            assert_eq!(read(&answer(&query, answers), 7, "B.example", Kind::Ipv4), expected);
        }
    }

    #[test]
    fn what_answers_another_question_is_not_ours() {
        let query = question(7, "b.example", Kind::Ipv4).unwrap();
        let good = answer(&query, vec![a("b.example", [1, 2, 3, 4])]);
        assert_eq!(read(&good, 8, "b.example", Kind::Ipv4), Reading::NotOurs);
        assert_eq!(read(&good, 7, "c.example", Kind::Ipv4), Reading::NotOurs);
        assert_eq!(read(&good, 7, "b.example", Kind::Service), Reading::NotOurs);
        assert_eq!(read(&query, 7, "b.example", Kind::Ipv4), Reading::NotOurs);
        for cut in 0..good.len() {
            assert_ne!(read(&good[..cut], 7, "b.example", Kind::Ipv4), ipv4(&[[1, 2, 3, 4]]));
        }
    }

    #[test]
    fn spoilt_answers_panic_nobody_and_name_no_strangers() {
        let seed = std::env::var("KONTALK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x0d15_ea5e_u64);
        println!("KONTALK_SEED={seed}");
        let mut state = seed | 1;
        let mut below = |limit: usize| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            usize::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % limit
        };
        let query = question(7, "b.example", Kind::Ipv4).unwrap();
        let records = vec![alias("b.example", "c.example"), a("c.example", [1, 2, 3, 4]), a("d.example", [6; 4])];
        let good = answer(&query, records);
        let mut ours = 0;
        for _ in 0..200_000 {
            let mut bytes = good.clone();
            for _ in 0..=below(3) {
                let place = below(bytes.len());
                match below(3) {
                    0 => bytes[place] = u8::try_from(below(256)).unwrap(),
                    1 => bytes.truncate(place.max(1)),
                    _ => bytes.insert(place, u8::try_from(below(256)).unwrap()),
                }
            }
            if let Reading::Records(records) = read(&bytes, 7, "b.example", Kind::Ipv4) {
                ours += 1;
                assert!(records.len() <= RECORDS_MAX);
            }
        }
        assert!(ours > 1000, "the answers are so spoilt that nothing is read: {ours}");
    }

    #[test]
    fn faults_are_told_apart() {
        let query = question(7, "b.example", Kind::Service).unwrap();
        for (rcode, flags, expected) in [
            (RCODE::NameError, PacketFlag::empty(), Reading::NoSuchName),
            (RCODE::ServerFailure, PacketFlag::empty(), Reading::Failed),
            (RCODE::Refused, PacketFlag::empty(), Reading::Failed),
            (RCODE::NoError, PacketFlag::TRUNCATION, Reading::Truncated),
        ] {
            let bytes = answer(&query, Vec::new());
            let mut packet = Packet::parse(&bytes).unwrap();
            *packet.rcode_mut() = rcode;
            packet.set_flags(flags);
            assert_eq!(read(&packet.build_bytes_vec().unwrap(), 7, "b.example", Kind::Service), expected);
        }
    }

    #[test]
    fn services_have_all_their_fields() {
        let query = question(7, "_xmpp-server._tcp.b.example", Kind::Service).unwrap();
        let srv = SRV { priority: 5, weight: 6, port: 5269, target: Name::new("xmpp.b.example").unwrap() };
        let record =
            ResourceRecord::new(Name::new("_xmpp-server._tcp.b.example").unwrap(), CLASS::IN, 60, RData::SRV(srv));
        let reading = read(&answer(&query, vec![record]), 7, "_xmpp-server._tcp.b.example", Kind::Service);
        let Reading::Records(records) = reading else { panic!("{reading:?}") };
        let target = "xmpp.b.example".to_owned();
        let expected = super::super::SrvRecord { priority: 5, weight: 6, port: 5269, target };
        assert_eq!(records, [Record::Service(expected)]);
    }
}
