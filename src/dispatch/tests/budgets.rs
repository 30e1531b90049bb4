//! Days, breakers, what is given back, what survives.

use super::*;
use counter::DAY;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn one_route() -> Plan {
    Plan { home: Some(49), countries: Countries::All, ..Plan::new(vec![Route::new("modem", ChallengeKind::Text)]) }
}

fn accept(d: &mut Dispatcher, now: Instant, text: &str) -> Result<(), Refused> {
    let mut trip = begin(d, now, text)?;
    assert_eq!(d.ended(now, &mut trip, Outcome::Accepted), Next::Done);
    Ok(())
}

fn prove(d: &mut Dispatcher, text: &str) {
    d.proved(&address(&number(text)));
}

#[test]
fn a_day_has_its_number_of_codes_and_the_next_day_anew() {
    let now = Instant::now();
    let mut d = dispatcher(Plan { day_max: 3, ..one_route() });
    for round in [now, now + DAY] {
        for n in 0..3 {
            assert_eq!(accept(&mut d, round + MINUTE * n, &own_block(n)), Ok(()));
        }
        let refused = Refused::Budget(DAY - MINUTE * 5);
        assert_eq!(accept(&mut d, round + MINUTE * 5, &own_block(9)), Err(refused));
        assert_eq!(d.facts(round + MINUTE * 5).left, 0);
    }
    assert_eq!(d.facts(now + DAY * 2).left, 3);
    let mut none = dispatcher(Plan { day_max: 0, ..one_route() });
    assert_eq!(accept(&mut none, now, &own_block(0)), Err(Refused::Budget(DAY)));
}

#[test]
fn what_was_not_sent_is_given_back_everywhere() {
    let now = Instant::now();
    let mut d = dispatcher(Plan { day_max: 3, block_day_max: 3, ..one_route() });
    for _ in 0..20 {
        let mut trip = begin(&mut d, now, &in_block(1)).unwrap();
        assert_eq!(d.ended(now, &mut trip, Outcome::Refused), Next::Failed);
        let trip = begin(&mut d, now, &in_block(2)).unwrap();
        d.dropped(&trip);
    }
    assert_eq!((d.facts(now).left, d.facts(now).prefixes_closed), (3, 0));
    assert_eq!(accept(&mut d, now, &in_block(3)), Ok(()));
}

#[test]
fn other_countries_have_half_of_the_day() {
    let now = Instant::now();
    let mut d = dispatcher(Plan { day_max: 11, ..one_route() });
    let abroad = |n: u32| format!("+44{:03}0000000", 200 + n);
    let sent = (0..20).filter(|n| accept(&mut d, now, &abroad(*n)).is_ok()).count();
    assert_eq!(sent, 6);
    assert_eq!((d.facts(now).abroad_left, d.facts(now).left), (Some(0), 5));
    assert_eq!(accept(&mut d, now, &own_block(1)), Ok(()));
    assert!(d.take_alerts().iter().any(|alert| alert.cause == Cause::AbroadBudget { max: 6 }));
}

#[test]
fn a_route_with_its_own_budget_hands_on_to_the_next() {
    let now = Instant::now();
    let small = Route { day_max: Some(2), ..Route::new("modem", ChallengeKind::Text) };
    let mut d = dispatcher(Plan::new(vec![small.clone(), Route::new("gateway", ChallengeKind::Text)]));
    let used: Vec<usize> = (0..4).map(|n| begin(&mut d, now, &own_block(n)).unwrap().route()).collect();
    assert_eq!(used, [0, 0, 1, 1]);
    assert_eq!(d.facts(now).routes[0].left, Some(0));
    let mut d = dispatcher(Plan::new(vec![small]));
    (0..2).for_each(|n| accept(&mut d, now, &own_block(n)).unwrap());
    assert_eq!(accept(&mut d, now + HOUR, &own_block(2)), Err(Refused::Routes(DAY - HOUR)));
    assert_eq!(accept(&mut d, now + DAY, &own_block(2)), Ok(()));
}

#[test]
fn a_block_whose_codes_nobody_uses_is_closed_then_tried_with_one_code_each_time_later() {
    let now = Instant::now();
    let mut d = dispatcher(one_route());
    for n in 0..UNPROVEN_MAX {
        assert_eq!(accept(&mut d, now, &in_block(n)), Ok(()));
    }
    let mut when = now;
    for minutes in [30, 60, 120, 240] {
        assert_eq!(accept(&mut d, when, &in_block(9)), Err(Refused::Prefix(MINUTE * minutes)));
        // Asking again prolongs nothing.
        assert_eq!(accept(&mut d, when + MINUTE, &in_block(9)), Err(Refused::Prefix(MINUTE * (minutes - 1))));
        assert_eq!(d.facts(when).prefixes_closed, 1);
        // Nobody else notices.
        when += MINUTE * minutes;
        assert_eq!(accept(&mut d, when, &in_block(9)), Ok(()));
    }
    assert_eq!(accept(&mut d, now, &own_block(1)), Ok(()));
}

#[test]
fn a_block_whose_users_prove_their_numbers_stays_open_up_to_its_day() {
    let now = Instant::now();
    let mut d = dispatcher(one_route());
    for n in 0..20 {
        assert_eq!(accept(&mut d, now, &in_block(n)), Ok(()), "{n}");
        if n % 4 == 3 {
            prove(&mut d, &in_block(n));
        }
    }
    assert_eq!(accept(&mut d, now, &in_block(99)), Err(Refused::Prefix(DAY)));
    assert_eq!(d.facts(now).routes[0].verified, 5);
}

#[test]
fn a_late_proof_opens_the_block_again() {
    let now = Instant::now();
    let mut d = dispatcher(one_route());
    (0..5).for_each(|n| accept(&mut d, now, &in_block(n)).unwrap());
    assert!(accept(&mut d, now, &in_block(5)).is_err());
    prove(&mut d, &in_block(2));
    assert_eq!(accept(&mut d, now, &in_block(5)), Ok(()));
    // One proof counts once.
    prove(&mut d, &in_block(2));
    assert_eq!(d.facts(now).routes[0].verified, 1);
}

#[test]
fn a_prefix_abroad_is_closed_as_a_whole_and_one_at_home_is_not() {
    let now = Instant::now();
    for (start, home) in [("+44207", false), ("+49151", true)] {
        let mut d = dispatcher(one_route());
        let sent = (0..100).filter(|n| accept(&mut d, now, &format!("{start}{n:03}0000")).is_ok()).count();
        assert_eq!(sent, if home { 100 } else { 20 }, "{start}");
    }
}

#[test]
fn a_quarter_of_the_day_is_kept_for_blocks_that_owe_nothing() {
    let now = Instant::now();
    let mut d = dispatcher(Plan { day_max: 40, ..one_route() });
    let attack = (0..200).filter(|n| accept(&mut d, now, &own_block(n % 10)).is_ok()).count();
    assert_eq!(attack, 30);
    assert_eq!((0..200).filter(|n| accept(&mut d, now, &own_block(100 + n)).is_ok()).count(), 10);
}

#[test]
fn what_costs_nothing_is_not_counted_against_the_day() {
    let now = Instant::now();
    let plan = Plan { day_max: 1, ..Plan::new(vec![Route::new("call", ChallengeKind::CallerId)]) };
    let mut d = dispatcher(plan);
    (0..50).for_each(|n| accept(&mut d, now, &in_block(n)).unwrap());
    prove(&mut d, &in_block(7));
    assert_eq!((d.facts(now).left, d.facts(now).routes[0].sent, d.facts(now).routes[0].verified), (1, 50, 1));
}

#[test]
fn an_attack_on_many_blocks_is_told_once_an_hour() {
    let now = Instant::now();
    let mut d = dispatcher(one_route());
    for n in 0..50 {
        (0..UNPROVEN_MAX).for_each(|_| accept(&mut d, now, &own_block(n)).unwrap());
    }
    let alerts = d.take_alerts();
    assert_eq!(alerts.len(), 1);
    let said = alerts[0].to_string();
    assert!(said.starts_with("codes to numbers of +49 that begin alike") && said.contains("30 minutes"), "{said}");
    (0..UNPROVEN_MAX).for_each(|_| accept(&mut d, now + HOUR, &own_block(77)).unwrap());
    assert_eq!(d.take_alerts()[0].untold, 49);
}

#[test]
fn counters_survive_a_restart_whatever_the_clock_says() {
    let (now, wall) = (Instant::now(), Timestamp { millis: 1_800_000_000_000 });
    let mut before = dispatcher(Plan { day_max: 100, ..one_route() });
    assert_eq!((0..6).filter(|_| accept(&mut before, now, &in_block(1)).is_ok()).count(), 5);
    (0..3).for_each(|n| accept(&mut before, now, &own_block(n)).unwrap());
    prove(&mut before, &own_block(0));
    assert!(before.has_changes());
    let kept: Vec<_> = before.changes(now, wall).into_iter().map(|(key, kept)| (key, kept.unwrap())).collect();
    assert!(!before.has_changes() && before.changes(now, wall).is_empty());
    // All prefixes, the day, the route.
    assert_eq!(kept.len(), 4 + 2);
    for (later, closed) in [(wall.plus(MINUTE), true), (Timestamp { millis: 0 }, true), (wall.plus(HOUR), false)] {
        let mut after = dispatcher(Plan { day_max: 100, ..one_route() });
        assert_eq!(after.restore(now, later, kept.iter().copied()), []);
        assert_eq!((after.facts(now).left, after.facts(now).routes[0].verified), (92, 1));
        assert_eq!(after.facts(now).prefixes_closed, usize::from(closed));
        assert_eq!(accept(&mut after, now, &in_block(1)).is_ok(), !closed);
        assert_eq!(accept(&mut after, now, &own_block(9)), Ok(()));
    }
    // What is over goes, and with another secret nothing is found.
    let mut late = dispatcher(one_route());
    assert_eq!(late.restore(now, wall.plus(DAY * 2), kept.iter().copied()).len(), 4);
    assert_eq!(late.facts(now).left, one_route().day_max);
    let mut other = Dispatcher::new(one_route(), [1; 32]);
    assert!(other.restore(now, wall, kept.iter().copied()).len() >= 2);
    assert_eq!(other.facts(now).left, one_route().day_max);
}

#[test]
fn what_is_over_is_forgotten_here_and_on_the_disk() {
    let (now, wall) = (Instant::now(), Timestamp { millis: 0 });
    let mut d = dispatcher(one_route());
    accept(&mut d, now, &in_block(1)).unwrap();
    d.changes(now, wall);
    let gone = d.changes(now + DAY, wall);
    assert_eq!(gone.iter().filter(|(_, kept)| kept.is_none()).count(), 1);
    assert!(d.prefixes.is_empty() && d.recent.is_empty());
}

#[test]
fn keys_of_counters_come_back_from_their_bytes() {
    let key = HashKey::new([3; 32]).hash("block", &[b"1"]);
    for kind in [CounterKind::All, CounterKind::Abroad, CounterKind::Route, CounterKind::Prefix] {
        let key = CounterKey { kind, hash: key };
        assert_eq!(CounterKey::from_bytes(&key.to_bytes()), Some(key));
    }
    for bytes in [&b""[..], b"a", b"z0123456789abcdef", b"a0123456789abcdef0"] {
        assert_eq!(CounterKey::from_bytes(bytes), None);
    }
}
