//! The one random source: the operating system's.

/// Fresh bytes. A system that cannot give them cannot run a server that strangers attack: the process ends.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        log::error!("the operating system gives no random numbers: {error}");
        std::process::abort();
    }
    bytes
}

/// A fresh name that nobody guesses: 128 bits in hexadecimal digits.
pub fn random_id() -> String {
    random_bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}
