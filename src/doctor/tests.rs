use super::*;

fn well() -> Facts {
    Facts { now_secs: EARLIEST_SECS + 1_000_000, running: true, store: StoreFact::Absent, ..Facts::default() }
}

/// The levels above good, each with its topic.
fn findings(change: impl FnOnce(&mut Facts)) -> Vec<(Level, &'static str)> {
    let mut facts = well();
    change(&mut facts);
    let found = judge(&facts);
    for finding in found.iter().filter(|finding| finding.level != Level::Good) {
        let own = finding.text.contains("remedy:");
        assert!(own || !finding.remedy.is_empty(), "{finding:?} has no remedy");
    }
    found
        .into_iter()
        .filter(|finding| finding.level != Level::Good)
        .map(|finding| (finding.level, finding.topic))
        .collect()
}

fn certificate(days: i64, self_made: bool, chain_fault: Option<&str>) -> Option<CertificateFact> {
    let now = i64::try_from(well().now_secs).unwrap();
    Some(CertificateFact::Read {
        not_before_secs: 0,
        not_after_secs: u64::try_from(now + days * 86_400 + 60).unwrap(),
        self_made,
        chain_fault: chain_fault.map(str::to_owned),
    })
}

#[test]
fn what_is_well_is_said_to_be_well() {
    assert_eq!(findings(|_| {}), []);
    let found = judge(&well());
    assert_eq!(verdict(&found), 0);
    assert!(in_words(&found).ends_with("All is well."));
}

#[test]
fn each_fact_has_its_level() {
    use Level::{Bad, Doubt};
    let disk = |free, read_only| Some(Disk { free, total: 1 << 34, read_only, ..Disk::default() });
    let worn = |life_used| Some(Disk { free: 1 << 33, total: 1 << 34, flash: true, life_used, ..Disk::default() });
    let port = |state| vec![PortFact { address: "[::]:5222".to_owned(), port: 5222, state }];
    let place =
        |mode, same_owner| vec![Place { path: "/d/key".to_owned(), state: PlaceState::Seen { mode, same_owner } }];
    let service = Record::Service { name: "_x._tcp.a.example".to_owned(), port: 1, target: "a.example".to_owned() };
    let address = Record::Address { name: "a.example".to_owned(), address: None };
    let name = |wanted: &Record, found| vec![NameFact { wanted: wanted.clone(), found }];
    let provider = |resting_secs, counts| vec![ProviderFact { name: "v".to_owned(), resting_secs, counts }];
    let closed = vec![Place { path: "/d/key".to_owned(), state: PlaceState::NotForNode }];
    type Row = (Box<dyn FnOnce(&mut Facts)>, Level, &'static str);
    let table: Vec<Row> = vec![
        (Box::new(|facts| facts.now_secs = 1_000), Bad, "clock"),
        (Box::new(|facts| facts.clock_synchronised = Some(false)), Doubt, "clock"),
        (Box::new(|facts| facts.no_hardware_clock = true), Doubt, "clock"),
        (Box::new(|facts| facts.config_doubts = vec!["x (remedy: y)".to_owned()]), Doubt, "settings"),
        (Box::new(move |facts| facts.disk = disk(1 << 33, true)), Bad, "disk"),
        (Box::new(move |facts| facts.disk = disk(1 << 20, false)), Bad, "disk"),
        (Box::new(move |facts| facts.disk = disk(1 << 27, false)), Doubt, "disk"),
        (Box::new(move |facts| facts.disk = worn(Some(11))), Bad, "wear"),
        (Box::new(move |facts| facts.disk = worn(Some(9))), Doubt, "wear"),
        (Box::new(move |facts| facts.places = place(0o644, true)), Bad, "permissions"),
        (Box::new(move |facts| facts.places = place(0o600, false)), Bad, "permissions"),
        (Box::new(|facts| facts.memory = Some((1 << 20, 1 << 29))), Doubt, "memory"),
        (Box::new(|facts| facts.running = false), Doubt, "node"),
        (Box::new(move |facts| facts.ports = port(PortState::Silent)), Bad, "ports"),
        (Box::new(move |facts| facts.ports = port(PortState::Taken)), Bad, "ports"),
        (Box::new(move |facts| facts.ports = port(PortState::Forbidden)), Doubt, "ports"),
        (Box::new(move |facts| facts.ports = port(PortState::NoSuchAddress)), Bad, "ports"),
        (
            Box::new({
                let names = name(&service, NameState::Absent);
                |facts| facts.names = names
            }),
            Doubt,
            "dns",
        ),
        (
            Box::new({
                let names = name(&service, NameState::NoAnswer);
                |facts| facts.names = names
            }),
            Bad,
            "dns",
        ),
        (
            Box::new({
                let names = name(&service, NameState::Other("b".to_owned()));
                |facts| facts.names = names
            }),
            Bad,
            "dns",
        ),
        (
            Box::new({
                let names = name(&address, NameState::Absent);
                |facts| facts.names = names
            }),
            Bad,
            "dns",
        ),
        (Box::new(|facts| facts.host_addresses = vec!["192.168.1.2".parse().unwrap()]), Bad, "dns"),
        (Box::new(|facts| facts.certificate = certificate(-3, false, None)), Bad, "certificate"),
        (Box::new(|facts| facts.certificate = certificate(5, false, None)), Doubt, "certificate"),
        (Box::new(|facts| facts.certificate = certificate(90, true, None)), Doubt, "certificate"),
        (Box::new(|facts| facts.certificate = certificate(90, false, Some("no issuer"))), Bad, "certificate"),
        (Box::new(|facts| facts.certificate = Some(CertificateFact::NotMadeYet)), Doubt, "certificate"),
        (Box::new(|facts| facts.modem = Some(ModemFact::Ports(vec![]))), Bad, "modem"),
        (Box::new(|facts| facts.modem = Some(ModemFact::Closed("/dev/x".to_owned()))), Bad, "modem"),
        (Box::new(|facts| facts.places = closed), Bad, "permissions"),
        (Box::new(move |facts| facts.providers = provider(Some(60), None)), Bad, "provider"),
        (Box::new(move |facts| facts.providers = provider(None, Some((1, 4)))), Doubt, "provider"),
        (Box::new(|facts| facts.codes_on_terminal = true), Doubt, "codes"),
        (
            Box::new(|facts| facts.store = StoreFact::Told { broken: true, damaged: 0, holds: String::new() }),
            Bad,
            "store",
        ),
        (
            Box::new(|facts| facts.store = StoreFact::Told { broken: false, damaged: 2, holds: String::new() }),
            Bad,
            "store",
        ),
        (Box::new(|facts| facts.trust.card = Some(false)), Doubt, "trust"),
        (Box::new(|facts| facts.trust.flagged = vec!["b.example: away".to_owned()]), Doubt, "trust"),
    ];
    for (row, (change, level, topic)) in table.into_iter().enumerate() {
        assert_eq!(findings(change), [(level, topic)], "row {row}");
    }
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let finding = |level| Finding { level, topic: "t", text: "x".to_owned(), remedy: String::new() };
    use Level::{Bad, Doubt, Good};
    for (levels, code) in [(vec![], 0), (vec![Good], 0), (vec![Good, Doubt], 1), (vec![Bad, Doubt, Good], 2)] {
        let findings: Vec<Finding> = levels.into_iter().map(finding).collect();
        assert_eq!(verdict(&findings), code);
    }
}
