//! Addresses of this machine that nobody else uses, so that servers can have the ports that are theirs.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU8, Ordering};

/// Another address of 127.0.0.0/8 at each call, no process shares it with another one that runs now.
pub fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 255, "too many addresses for one process");
    // 127.0.x.x and 127.255.x.x are left to others.
    IpAddr::V4(Ipv4Addr::new(127, 1 + high % 254, low, number))
}
