//! What networks report, and what follows from it.

use super::*;
use crate::stanza::Timestamp;

const SOME: &str = "+4915112345678";

/// A code to this number by the first route, whose network calls the message `reference`. Gives the route's name.
fn sent(d: &mut Dispatcher, now: Instant, number: &str, reference: &str) -> String {
    let mut trip = begin(d, now, number).unwrap();
    assert_eq!(d.ended(now, &mut trip, Outcome::Accepted), Next::Done);
    d.await_report(now, &trip, reference);
    d.plan.routes[trip.route()].name.clone()
}

fn counts(d: &Dispatcher, now: Instant, route: usize) -> (u32, u32, u32) {
    let facts = &d.facts(now).routes[route];
    (facts.reportable, facts.arrived, facts.not_arrived)
}

#[test]
fn each_message_counts_once_and_only_for_the_route_that_sent_it() {
    let now = Instant::now();
    let mut d = dispatcher(Plan::new(routes()));
    for number in 0..3 {
        assert_eq!(sent(&mut d, now, &own_block(number), &format!("m{number}")), "modem");
    }
    let later = now + REPORT_TTL;
    for (at, route, reference, arrival, awaited, expected) in [
        (now, "modem", "m0", Arrival::Arrived, true, (3, 1, 0)),
        // Again, from another, of another, of nobody.
        (now, "modem", "m0", Arrival::Arrived, false, (3, 1, 0)),
        (now, "modem", "m0", Arrival::Lost, false, (3, 1, 0)),
        (now, "gateway", "m1", Arrival::Arrived, false, (3, 1, 0)),
        (now, "modem", "m9", Arrival::Arrived, false, (3, 1, 0)),
        (now, "pigeon", "m1", Arrival::Arrived, false, (3, 1, 0)),
        (now, "modem", "m1", Arrival::Unreachable, true, (3, 1, 1)),
        (later, "modem", "m2", Arrival::Arrived, false, (3, 1, 1)),
    ] {
        assert_eq!(d.reported(at, route, reference, arrival), awaited, "{route} {reference}");
        assert_eq!(counts(&d, now, 0), expected, "{route} {reference}");
    }
    assert_eq!(counts(&d, now, 1), (0, 0, 0));
}

#[test]
fn a_report_may_overtake_the_answer_to_its_message() {
    let now = Instant::now();
    let mut d = dispatcher(Plan::new(routes()));
    for (age, expected) in [(EARLY_TTL - Duration::from_secs(1), (1, 1, 0)), (EARLY_TTL, (2, 1, 0))] {
        assert!(!d.reported(now, "modem", "m1", Arrival::Arrived));
        sent(&mut d, now + age, SOME, "m1");
        assert_eq!(counts(&d, now + age, 0), expected);
        d.awaited.forget(now + REPORT_TTL * 2);
    }
}

#[test]
fn a_route_that_loses_messages_in_a_country_is_used_last_there_until_one_arrives() {
    let now = Instant::now();
    let mut d = dispatcher(Plan::new(routes()));
    for number in 0..3 {
        let reference = format!("m{number}");
        assert_eq!(sent(&mut d, now, &own_block(number), &reference), "modem");
        assert!(d.reported(now, "modem", &reference, Arrival::Lost));
    }
    let alerts = d.take_alerts();
    assert_eq!(alerts[0].cause, Cause::RouteLoses { route: "modem".into(), country: 49 });
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].to_string().contains("do not arrive") && alerts[0].to_string().contains("(remedy: "));
    assert_eq!(d.facts(now).routes[0].countries_losing, 1);
    assert_eq!(d.facts(now).routes[0].resting, None, "it works elsewhere");
    assert_eq!(sent(&mut d, now, "+436641234567", "a1"), "modem");
    assert_eq!(sent(&mut d, now, &own_block(4), "g1"), "gateway");
    // After a while it is tried again, and goes back at once if that is lost, too; one that arrives clears it.
    let later = now + Duration::from_secs(600);
    assert_eq!(sent(&mut d, later, &own_block(5), "m5"), "modem");
    assert!(d.reported(later, "modem", "m5", Arrival::Lost));
    assert_eq!(sent(&mut d, later, &own_block(6), "g2"), "gateway");
    let later = later + Duration::from_secs(1200);
    assert_eq!(sent(&mut d, later, &own_block(7), "m7"), "modem");
    assert!(d.reported(later, "modem", "m7", Arrival::Arrived));
    assert_eq!(sent(&mut d, later, &own_block(8), "m8"), "modem");
    assert_eq!(d.facts(later).routes[0].countries_losing, 0);
}

#[test]
fn numbers_that_do_not_exist_say_nothing_of_a_route() {
    let now = Instant::now();
    let mut d = dispatcher(Plan::new(routes()));
    for number in 0..10 {
        let reference = format!("m{number}");
        assert_eq!(sent(&mut d, now, &own_block(number), &reference), "modem");
        assert!(d.reported(now, "modem", &reference, Arrival::Unreachable));
    }
    assert_eq!(counts(&d, now, 0), (10, 0, 10));
    assert!(d.take_alerts().is_empty());
}

#[test]
fn a_number_whose_message_did_not_arrive_gets_the_next_by_another_route_and_no_budget_back() {
    let now = Instant::now();
    for arrival in [Arrival::Unreachable, Arrival::Lost] {
        let mut d = dispatcher(Plan::new(routes()));
        sent(&mut d, now, SOME, "m1");
        assert!(d.reported(now, "modem", "m1", arrival));
        let left = d.facts(now).left;
        assert_eq!(sent(&mut d, now, SOME, "g1"), "gateway");
        assert_eq!(d.facts(now).left, left - 1);
        // Only this number, and not when all is forgotten.
        assert_eq!(sent(&mut d, now, &own_block(1), "m2"), "modem");
        assert_eq!(sent(&mut d, now + CODE_TTL, SOME, "m3"), "modem");
    }
    // What arrived is repeated by the same route.
    let mut d = dispatcher(Plan::new(routes()));
    sent(&mut d, now, SOME, "m1");
    assert!(d.reported(now, "modem", "m1", Arrival::Arrived));
    assert_eq!(sent(&mut d, now, SOME, "m2"), "modem");
}

#[test]
fn what_did_not_arrive_goes_out_again_by_another_route_of_its_kind_within_the_budgets() {
    let now = Instant::now();
    let gateway = |day_max| Route { day_max, ..Route::new("gateway", ChallengeKind::Text) };
    let modem = || Route::new("modem", ChallengeKind::Text);
    let ring = || Route::new("ring", ChallengeKind::MissedCall);
    for (routes, day_max, barred, expected) in [
        (vec![modem(), ring(), gateway(None)], 10, false, Some("gateway")),
        (vec![modem(), ring()], 10, false, None),
        (vec![modem()], 10, false, None),
        // The day's codes, or the route's, are used up; it may not send there.
        (vec![modem(), gateway(None)], 1, false, None),
        (vec![modem(), gateway(Some(0))], 10, false, None),
        (vec![modem(), gateway(None)], 10, true, None),
    ] {
        let mut d = dispatcher(Plan { day_max, ..Plan::new(routes) });
        let mut trip = begin(&mut d, now, SOME).unwrap();
        assert_eq!(d.ended(now, &mut trip, Outcome::Accepted), Next::Done);
        if barred {
            d.routes[1].not_allowed(now, 49);
        }
        let left = d.facts(now).left;
        let again = d.again(now, &mut trip);
        assert_eq!(again.then(|| d.plan.routes[trip.route()].name.as_str()), expected);
        assert_eq!(d.facts(now).left, left - u32::from(again));
    }
    // Three ways are tried for one request, and no more.
    let many = (0..5).map(|n| Route::new(&format!("way{n}"), ChallengeKind::Text)).collect();
    let mut d = dispatcher(Plan::new(many));
    let mut trip = begin(&mut d, now, SOME).unwrap();
    assert_eq!([d.again(now, &mut trip), d.again(now, &mut trip), d.again(now, &mut trip)], [true, true, false]);
}

#[test]
fn counts_of_reports_survive_a_restart() {
    let now = Instant::now();
    let wall = Timestamp::parse("2026-01-01T12:00:00Z").unwrap();
    let mut d = dispatcher(Plan::new(routes()));
    sent(&mut d, now, SOME, "m1");
    sent(&mut d, now, SOME, "m2");
    d.reported(now, "modem", "m1", Arrival::Arrived);
    let kept = |d: &mut Dispatcher| -> Vec<_> {
        d.changes(now, wall).into_iter().filter_map(|(key, kept)| Some((key, kept?))).collect()
    };
    let first = kept(&mut d);
    let bytes: Vec<_> = first.iter().map(|(key, _)| CounterKey::from_bytes(&key.to_bytes())).collect();
    assert_eq!(bytes, first.iter().map(|(key, _)| Some(*key)).collect::<Vec<_>>());
    let mut d = dispatcher(Plan::new(routes()));
    assert!(d.restore(now, wall, first.clone()).is_empty());
    assert_eq!(counts(&d, now, 0), (2, 1, 0));
    assert_eq!(d.facts(now).routes[0].sent, 2);
    // Of a route that is no more nothing stays.
    let mut d = dispatcher(Plan::new(vec![Route::new("other", ChallengeKind::Text)]));
    assert_eq!(d.restore(now, wall, first).len(), 2);
}

#[test]
fn only_so_many_reports_are_waited_for() {
    let now = Instant::now();
    let mut d = dispatcher(Plan { day_max: u32::MAX, ..Plan::new(routes()) });
    sent(&mut d, now, SOME, "first");
    for number in 0..crate::limits::REPORTS_AWAITED_MAX {
        d.reported(now, "modem", &format!("never sent {number}"), Arrival::Arrived);
    }
    assert!(!d.reported(now, "modem", "first", Arrival::Arrived));
}
