fn main() {
    let _ = sequoia_openpgp::policy::StandardPolicy::new();
}
