//! Connecting to a host that has several addresses: the next one begins when the last has had its head start. RFC 8305 §5.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::Poll;

use smol::future::FutureExt;
use smol::{Async, Timer};

use super::Transport;
use crate::limits::HAPPY_EYEBALLS_DELAY;

type Attempt = Pin<Box<dyn Future<Output = io::Result<Async<TcpStream>>> + Send>>;

/// Connects to the first of these addresses that answers; gives the last fault if none does. No time limit.
pub async fn connect_any(addresses: &[SocketAddr]) -> io::Result<Transport> {
    let mut next = addresses.iter();
    let mut running: Vec<Attempt> = Vec::new();
    let mut fault = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        if let Some(address) = next.next() {
            running.push(Box::pin(Async::<TcpStream>::connect(*address)));
        }
        if running.is_empty() {
            return Err(fault);
        }
        let more = next.len() > 0;
        let head_start = async {
            if !more {
                return std::future::pending().await;
            }
            Timer::after(HAPPY_EYEBALLS_DELAY).await;
            None
        };
        match first_done(&mut running).or(head_start).await {
            Some(Ok(stream)) => return Transport::from_tcp(stream.into_inner()?),
            Some(Err(error)) => fault = error,
            None => {}
        }
    }
}

async fn first_done(running: &mut Vec<Attempt>) -> Option<io::Result<Async<TcpStream>>> {
    poll_fn(|cx| {
        for place in 0..running.len() {
            if let Some(attempt) = running.get_mut(place)
                && let Poll::Ready(outcome) = attempt.as_mut().poll(cx)
            {
                drop(running.swap_remove(place));
                return Poll::Ready(Some(outcome));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_dead_address_does_not_keep_from_a_living_one() {
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = alive.local_addr().unwrap();
        let refused = {
            let gone = TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap()
        };
        // A listener whose queue is full does not answer: the head start passes.
        let silent: SocketAddr = "192.0.2.1:9".parse().unwrap();
        for addresses in [vec![refused, alive], vec![silent, alive], vec![alive]] {
            let transport = smol::block_on(connect_any(&addresses)).unwrap();
            assert_eq!(transport.peer(), Some(alive));
        }
        assert!(smol::block_on(connect_any(&[refused, refused])).is_err());
        assert!(smol::block_on(connect_any(&[])).is_err());
    }
}
