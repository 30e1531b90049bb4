//! Who asks too often. Fixed waits, told; nothing is prolonged by asking again; memory is bounded.

use super::*;
use crate::limits::THROTTLE_ENTRIES_MAX;

const MINUTE: Duration = Duration::from_secs(60);

/// Only one of the throttles in force.
fn only(set: impl Fn(&mut Rates)) -> Registrar {
    let mut rates = boundless();
    set(&mut rates);
    registrar(Policy { rates, ..policy() })
}

#[test]
fn each_throttle_lets_its_burst_through_and_then_tells_the_wait() {
    let defaults = Rates::default();
    let own_number = |n: u32| (format!("+1555{:04}{n:04}", n * 7), home());
    let own_address = |n: u32| (NUMBER.to_owned(), peer(&format!("192.0.{}.{}", n / 256, n % 256)));
    let own_64 = |n: u32| (format!("+1555{:04}{n:04}", n * 7), peer(&format!("2001:db8:1:2:{n:x}::1")));
    let neighbours = |n: u32| (format!("+1555521{n:04}"), peer(&format!("198.51.{}.{}", n / 256, n % 256)));
    type Who<'a> = &'a dyn Fn(u32) -> (String, IpAddr);
    type Row<'a> = (&'a str, fn(&mut Rates), Who<'a>, Rate);
    let table: [Row<'_>; 5] = [
        ("number", |rates| rates.number = Rates::default().number, &own_address, defaults.number),
        ("long run", |r| r.number_long_run = Rates::default().number_long_run, &own_address, defaults.number_long_run),
        ("network", |rates| rates.network = Rates::default().network, &own_number, defaults.network),
        ("IPv6 network", |rates| rates.network = Rates::default().network, &own_64, defaults.network),
        ("block", |rates| rates.block = Rates::default().block, &neighbours, defaults.block),
    ];
    for (name, set, who, rate) in table {
        let (mut registrar, now) = (only(set), Instant::now());
        let mut admit = |now, n| {
            let (number, peer) = who(n);
            registrar.admit(now, peer, &form(&number))
        };
        for n in 0..rate.burst {
            assert_eq!(admit(now, n), Ok(()), "{name} {n}");
        }
        // Asking again and again changes nothing.
        let half = rate.refill / 2;
        for n in 0..50 {
            assert_eq!(admit(now, rate.burst + n), Err(throttled(rate.refill.as_secs())), "{name}");
            assert_eq!(admit(now + half, rate.burst + n), Err(throttled(half.as_secs())), "{name}");
        }
        assert_eq!(admit(now + rate.refill, rate.burst), Ok(()), "{name}");
        assert_eq!(admit(now + rate.refill, rate.burst), Err(throttled(rate.refill.as_secs())), "{name}");
    }
}

#[test]
fn the_longest_of_several_waits_is_told_and_a_refusal_takes_nothing() {
    let slow = Rate { burst: 1, refill: MINUTE * 10 };
    let quick = Rate { burst: 2, refill: MINUTE };
    let mut registrar = only(|rates| (rates.number, rates.network) = (slow, quick));
    let now = Instant::now();
    assert_eq!(registrar.admit(now, home(), &form(NUMBER)), Ok(()));
    for _ in 0..5 {
        assert_eq!(registrar.admit(now, home(), &form(NUMBER)), Err(throttled(600)));
    }
    // The network's second token is still there.
    assert_eq!(registrar.admit(now, home(), &form("+15555215555")), Ok(()));
    assert_eq!(registrar.admit(now, home(), &form(NUMBER)), Err(throttled(600)));
    assert_eq!(registrar.admit(now, home(), &form("+442079460123")), Err(throttled(60)));
}

#[test]
fn a_user_who_meets_a_conflict_still_has_all_his_messages() {
    let mut registrar = registrar(policy());
    let (now, form) = (Instant::now(), form(NUMBER));
    for _ in 0..3 {
        assert_eq!(registrar.admit(now, home(), &form), Ok(()));
        assert_eq!(registrar.conflict(&form), Refusal::NumberInUse.into());
    }
    for _ in 0..3 {
        assert_eq!(registrar.admit(now, home(), &form), Ok(()));
    }
    assert_eq!(registrar.admit(now, home(), &form), Err(throttled(600)));
}

#[test]
fn asking_who_has_an_account_is_throttled_like_registering() {
    let mut registrar = registrar(policy());
    let now = Instant::now();
    let asked = (0..1000).filter(|n| {
        let form = form(&format!("+1555{:04}{n:04}", n * 7));
        registrar.admit(now, home(), &form).map(|()| registrar.conflict(&form)).is_ok()
    });
    assert_eq!(asked.count(), 10);
}

#[test]
fn failing_messages_cost_the_long_run_so_that_an_outage_grants_no_guesses() {
    let mut registrar = registrar(policy());
    let (now, form) = (Instant::now(), form(NUMBER));
    let admitted = (0..100u8).filter(|n| {
        let admitted = registrar.admit(now, peer(&format!("192.0.2.{n}")), &form).is_ok();
        if admitted {
            let challenge = registrar.challenge(now, &form, &Ask::Code(code("012345")));
            registrar.send_failed(&form, challenge);
        }
        admitted
    });
    assert_eq!(admitted.count(), 10);
}

#[test]
fn guesses_are_throttled_by_network_whatever_the_address() {
    let mut registrar = registrar(policy());
    let now = Instant::now();
    let mut guess = |now, peer, n: u32| {
        registrar.check(now, peer, &form(&format!("+1555521{n:04}")).address, &KEY, Some(&code("012345")))
    };
    for n in 0..15 {
        assert_eq!(guess(now, home(), n), bad_code());
    }
    for n in 15..40 {
        assert_eq!(guess(now, home(), n), Verdict::Refused(throttled(20)));
    }
    assert_eq!(guess(now, peer("192.0.2.8"), 0), bad_code());
    assert_eq!(guess(now + Duration::from_secs(20), home(), 0), bad_code());
}

#[test]
fn many_numbers_from_many_networks_fill_no_more_than_the_limits() {
    let mut registrar = only(|_| {});
    let now = Instant::now();
    let attempts = u32::try_from(THROTTLE_ENTRIES_MAX).unwrap() + 500;
    for n in 0..attempts {
        let form = form(&format!("+49{n:06}1234"));
        let peer = peer(&format!("10.{}.{}.1", n / 256, n % 256));
        assert_eq!(registrar.admit(now, peer, &form), Ok(()));
        registrar.challenge(now, &form, &Ask::Code(code("012345")));
        assert_eq!(registrar.check(now, peer, &form.address, &KEY, Some(&code("012345"))), Verdict::Accepted);
        // A first run of numbers finishes, so that both maps are filled.
        if n < attempts / 2 {
            registrar.registered(now, &form.address, &KEY);
        }
    }
    assert_eq!(registrar.throttle.entries(), [THROTTLE_ENTRIES_MAX; 5]);
    assert_eq!((registrar.challenged.len(), registrar.registered.len()), (CHALLENGES_MAX, CHALLENGES_MAX));
    // The oldest had to go, the newest is there.
    let address = |n: u32| form(&format!("+49{n:06}1234")).address;
    assert_eq!(registrar.check(now, home(), &address(attempts / 2), &KEY, Some(&code("012345"))), bad_code());
    assert_eq!(registrar.check(now, home(), &address(attempts - 1), &KEY, Some(&code("012345"))), Verdict::Accepted);
}

#[test]
fn senseless_rates_are_made_bearable() {
    let senseless = Rate { burst: 0, refill: Duration::MAX };
    let mut registrar = only(|rates| (rates.number, rates.guess) = (senseless, senseless));
    let now = Instant::now();
    assert_eq!(registrar.admit(now, home(), &form(NUMBER)), Ok(()));
    assert_eq!(registrar.admit(now, home(), &form(NUMBER)), Err(throttled(30 * 24 * 3600)));
    assert_eq!(registrar.check(now, home(), &form(NUMBER).address, &KEY, Some(&code("012345"))), bad_code());
}
