use super::keys::ClientKey;
use super::*;
use std::time::{Duration, UNIX_EPOCH};
#[test]
fn smoke() {
    let made = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let key = ClientKey::numbered(0, "dev <4bdd4f929f3a1062253e4e496bafba0bdfb5db75@prime.kontalk.net>", made);
    let ring = ring_of_certificate(&key.bridge_certificate(&key.public_ring()).certificate_der).unwrap();
    assert_eq!(ring.to_bytes(), key.public_ring());
    std::fs::write("/tmp/pgp-cert.der", key.bridge_certificate(&key.public_ring()).certificate_der).unwrap();
    std::fs::write("/tmp/pgp-ring.pgp", key.public_ring()).unwrap();
}
