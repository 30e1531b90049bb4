//! Name servers that are honest, lie, hang, or want TCP.

use std::thread;
use std::time::{Duration, Instant};

use simple_dns::{Packet, PacketFlag, RCODE};

use super::message::tests::{a, answer};
use super::*;

fn random() -> u16 {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).unwrap();
    u16::from_be_bytes(bytes)
}

/// A name server in a thread of its own: says to each question what it is told to, until the test ends.
fn server(mut replies: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            for reply in replies(&buffer[..count]) {
                socket.send_to(&reply, from).ok();
            }
        }
    });
    address
}

fn with_id(bytes: &[u8], id: u16) -> Vec<u8> {
    [&id.to_be_bytes(), &bytes[2..]].concat()
}

fn ask(servers: Vec<SocketAddr>) -> Result<Vec<Ipv4Addr>, DnsFault> {
    smol::block_on(Resolver::new(servers, random).ipv4("b.example"))
}

#[test]
fn lies_are_not_heard_and_the_honest_answer_behind_them_is() {
    let liar = server(|query| {
        let id = u16::from_be_bytes([query[0], query[1]]);
        let lie = answer(query, vec![a("b.example", [6, 6, 6, 6])]);
        let mut other_name = query.to_vec();
        other_name[13] = b'x';
        vec![
            b"garbage".to_vec(),
            Vec::new(),
            query.to_vec(),
            with_id(&lie, id.wrapping_add(1)),
            answer(&other_name, vec![a("b.example", [6, 6, 6, 6])]),
            answer(query, vec![a("evil.example", [6, 6, 6, 6]), a("b.example", [1, 2, 3, 4])]),
        ]
    });
    assert_eq!(ask(vec![liar]), Ok(vec![Ipv4Addr::new(1, 2, 3, 4)]));
}

#[test]
fn the_next_server_is_asked_when_one_fails_or_is_not_there() {
    let broken = server(|query| {
        let bytes = answer(query, Vec::new());
        let mut packet = Packet::parse(&bytes).unwrap();
        *packet.rcode_mut() = RCODE::ServerFailure;
        vec![packet.build_bytes_vec().unwrap()]
    });
    let absent = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let honest = server(|query| vec![answer(query, vec![a("b.example", [1, 2, 3, 4])])]);
    assert_eq!(ask(vec![broken, absent, honest]), Ok(vec![Ipv4Addr::new(1, 2, 3, 4)]));
    assert_eq!(ask(vec![broken]), Err(DnsFault::NoAnswer));
}

#[test]
fn a_server_that_hangs_costs_a_limited_time() {
    let hangs = server(|_| Vec::new());
    let begun = Instant::now();
    assert_eq!(ask(vec![hangs]), Err(DnsFault::NoAnswer));
    assert!(begun.elapsed() < DNS_PATIENCE + Duration::from_secs(5));
}

#[test]
fn a_name_that_is_not_there_and_one_without_records_are_told_apart() {
    let empty = server(|query| vec![answer(query, Vec::new())]);
    assert_eq!(ask(vec![empty]), Ok(Vec::new()));
    let nobody = server(|query| {
        let bytes = answer(query, Vec::new());
        let mut packet = Packet::parse(&bytes).unwrap();
        *packet.rcode_mut() = RCODE::NameError;
        vec![packet.build_bytes_vec().unwrap()]
    });
    assert_eq!(ask(vec![nobody]), Err(DnsFault::NoSuchName));
    let not_a_name = format!("{}.example", "x".repeat(64));
    assert_eq!(smol::block_on(Resolver::new(vec![nobody], random).ipv4(&not_a_name)), Err(DnsFault::NotAName));
}

#[test]
fn an_answer_that_does_not_fit_comes_by_tcp() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        let (count, from) = udp.recv_from(&mut buffer).unwrap();
        let bytes = answer(&buffer[..count], Vec::new());
        let mut packet = Packet::parse(&bytes).unwrap();
        packet.set_flags(PacketFlag::TRUNCATION);
        udp.send_to(&packet.build_bytes_vec().unwrap(), from).unwrap();
        use std::io::{Read, Write};
        let (mut stream, _) = tcp.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).unwrap();
        let reply = answer(&query, (0..60).map(|n| a("b.example", [1, 2, 3, n])).collect());
        stream.write_all(&(reply.len() as u16).to_be_bytes()).unwrap();
        stream.write_all(&reply).unwrap();
    });
    assert_eq!(ask(vec![address]).unwrap().len(), 60);
}

#[test]
fn the_systems_name_servers_are_read() {
    let path = std::env::temp_dir().join(format!("kontalk-node-resolv-{}", std::process::id()));
    for (text, expected) in [
        ("", vec!["127.0.0.1:53"]),
        ("# c\nsearch example\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n", vec!["192.0.2.1:53", "[fe80::1]:53"]),
        ("nameserver x\noptions edns0\nnameserver\t192.0.2.9 # last\n", vec!["192.0.2.9:53"]),
    ] {
        fs::write(&path, text).unwrap();
        let servers: Vec<String> = servers_of_system(&path).iter().map(ToString::to_string).collect();
        assert_eq!(servers, expected, "{text}");
    }
    fs::remove_file(&path).unwrap();
}
