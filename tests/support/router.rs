//! A router before a node that nobody can dial: it carries connections to one server, and forgets them when its address changes, as
//! such routers do: without a word to either side.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::loopback::own_address;

/// A router; it works until it is dropped.
pub struct Router {
    /// Where it takes connections for the server, at the port of servers.
    pub address: IpAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Connections of an older address go nowhere.
    addresses: AtomicU32,
    over: AtomicBool,
}

impl Router {
    /// One that leads to this server.
    pub fn new(server: SocketAddr) -> Router {
        let (address, state) = (own_address(), Arc::new(State::default()));
        let listener = TcpListener::bind((address, 5269)).expect("the port is free");
        listener.set_nonblocking(true).expect("it can be asked");
        let shared = state.clone();
        thread::spawn(move || {
            while !shared.over.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((near, _)) => carry(near, server, &shared),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(LOOK_EVERY),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        Router { address, state }
    }

    /// Forgets all connections.
    pub fn new_address(&self) {
        self.state.addresses.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
    }
}

fn carry(near: TcpStream, server: SocketAddr, state: &Arc<State>) {
    near.set_nonblocking(false).expect("it can wait");
    let Ok(far) = TcpStream::connect(server) else { return };
    let address = state.addresses.load(Ordering::SeqCst);
    let ways = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
    for (from, to) in ways {
        let (mut from, mut to) = (from.expect("a copy"), to.expect("a copy"));
        let state = state.clone();
        from.set_read_timeout(Some(LOOK_EVERY)).expect("a limit");
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while !state.over.load(Ordering::SeqCst) {
                let read = from.read(&mut buffer);
                if state.addresses.load(Ordering::SeqCst) != address {
                    // Both sockets stay open, and nothing passes.
                    thread::sleep(LOOK_EVERY);
                    continue;
                }
                match read {
                    Ok(0) => break,
                    Ok(count) if to.write_all(&buffer[..count]).is_ok() => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    _ => break,
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(20);
