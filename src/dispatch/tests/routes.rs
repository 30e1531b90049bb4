//! Which route, and what comes after it.

use super::*;

const SOME: &str = "+4915112345678";
const SEC: Duration = Duration::from_secs(1);

/// The names of the routes a trip would take.
fn names(dispatcher: &Dispatcher, trip: &Trip) -> Vec<String> {
    trip.routes.iter().map(|route| dispatcher.plan.routes[*route].name.clone()).collect()
}

#[test]
fn routes_are_tried_in_order_of_challenge_then_configuration() {
    let now = Instant::now();
    for (number, challenge, expected) in [
        (SOME, None, vec!["modem", "gateway", "ring"]),
        (SOME, Some("pin"), vec!["modem", "gateway", "ring"]),
        (SOME, Some("missedcall"), vec!["ring", "modem", "gateway"]),
        // Kontalk registration: a challenge that nobody knows is no error.
        (SOME, Some("telepathy"), vec!["modem", "gateway", "ring"]),
        ("+442079460123", Some("pin"), vec!["modem", "ring"]),
    ] {
        let mut d = dispatcher(Plan::new(routes()));
        let trip = wish(&mut d, now, number, false, challenge).unwrap();
        assert_eq!(names(&d, &trip), expected, "{number} {challenge:?}");
        assert!(trip.can_fall_back());
    }
}

#[test]
fn a_fallback_takes_a_way_that_was_not_tried_before() {
    let now = Instant::now();
    let mut d = dispatcher(Plan::new(routes()));
    for (fallback, route, can_fall_back) in
        [(false, "modem", true), (true, "gateway", true), (true, "ring", false), (true, "modem", false)]
    {
        let trip = wish(&mut d, now, SOME, fallback, None).unwrap();
        assert_eq!((names(&d, &trip)[0].as_str(), trip.can_fall_back()), (route, can_fall_back));
    }
    // Much later all is forgotten.
    let trip = wish(&mut d, now + CODE_TTL, SOME, true, None).unwrap();
    assert_eq!((names(&d, &trip)[0].as_str(), trip.can_fall_back()), ("modem", true));
    // With one way there is no other to offer.
    let mut one = dispatcher(Plan::new(vec![Route::new("modem", ChallengeKind::Text)]));
    assert!(!begin(&mut one, now, SOME).unwrap().can_fall_back());
    assert!(wish(&mut one, now, SOME, true, None).is_ok());
}

#[test]
fn each_outcome_leads_on_and_only_what_was_certainly_not_sent_is_tried_again() {
    let now = Instant::now();
    for (outcomes, nexts, sent, failed, unknown) in [
        (vec![Outcome::Accepted], vec![Next::Done], 1, 0, 0),
        (vec![Outcome::Unknown], vec![Next::Done], 1, 0, 1),
        (vec![Outcome::Lost], vec![Next::Failed], 1, 0, 1),
        (vec![Outcome::Refused, Outcome::Accepted], vec![Next::Another, Next::Done], 1, 1, 0),
        (vec![Outcome::NotAllowed, Outcome::Unknown], vec![Next::Another, Next::Done], 1, 1, 1),
        (vec![Outcome::Busy(SEC), Outcome::Accepted], vec![Next::Another, Next::Done], 1, 1, 0),
        (vec![Outcome::Refused; 3], vec![Next::Another, Next::Another, Next::Failed], 0, 3, 0),
    ] {
        let mut d = dispatcher(Plan::new(routes()));
        let mut trip = begin(&mut d, now, SOME).unwrap();
        for (outcome, next) in outcomes.iter().zip(&nexts) {
            assert_eq!(d.ended(now, &mut trip, *outcome), *next, "{outcomes:?}");
        }
        let facts = d.facts(now);
        let sum = |count: fn(&RouteFacts) -> u32| facts.routes.iter().map(count).sum::<u32>();
        assert_eq!((sum(|r| r.sent), sum(|r| r.failed), sum(|r| r.unknown)), (sent, failed, unknown), "{outcomes:?}");
        assert_eq!(facts.left, CODES - sent, "{outcomes:?}");
    }
}

const CODES: u32 = crate::limits::CODES_PER_DAY_MAX;

#[test]
fn at_most_three_routes_are_tried_for_one_request() {
    let now = Instant::now();
    let names = ["a", "b", "c", "d"];
    let mut d = dispatcher(Plan::new(names.iter().map(|name| Route::new(name, ChallengeKind::Text)).collect()));
    let mut trip = begin(&mut d, now, SOME).unwrap();
    let nexts = [(); 3].map(|()| d.ended(now, &mut trip, Outcome::Refused));
    assert_eq!(nexts, [Next::Another, Next::Another, Next::Failed]);
}

#[test]
fn a_route_that_fails_rests_behind_the_others_but_a_sole_one_is_still_used() {
    let now = Instant::now();
    let mut d = dispatcher(Plan::new(routes()));
    for n in 0..3 {
        let mut trip = begin(&mut d, now, &own_block(n)).unwrap();
        d.ended(now, &mut trip, Outcome::Refused);
        d.ended(now, &mut trip, Outcome::Accepted);
    }
    let trip = begin(&mut d, now, SOME).unwrap();
    assert_eq!(names(&d, &trip), ["gateway", "ring", "modem"]);
    assert_eq!(d.facts(now).routes[0].resting, Some(SEC * 30));
    assert_eq!(
        d.take_alerts().iter().map(|a| &a.cause).collect::<Vec<_>>(),
        [&Cause::RouteFails { route: "modem".into() }]
    );
    let trip = begin(&mut d, now + SEC * 30, SOME).unwrap();
    assert_eq!(names(&d, &trip)[0], "modem");

    let mut one = dispatcher(Plan::new(vec![Route::new("modem", ChallengeKind::Text)]));
    for n in 0..50 {
        let mut trip = begin(&mut one, now, &own_block(n)).unwrap();
        assert_eq!(one.ended(now, &mut trip, Outcome::Refused), Next::Failed);
    }
    assert!(begin(&mut one, now, SOME).is_ok());
}

#[test]
fn a_route_that_may_not_send_to_a_country_is_not_tried_there_for_a_while() {
    let now = Instant::now();
    let mut d = dispatcher(Plan::new(vec![Route::new("gateway", ChallengeKind::Text)]));
    let mut trip = begin(&mut d, now, SOME).unwrap();
    assert_eq!(d.ended(now, &mut trip, Outcome::NotAllowed), Next::Failed);
    assert_eq!(begin(&mut d, now, SOME).err(), Some(Refused::Routes(SEC * 300)));
    assert!(begin(&mut d, now, "+442079460123").is_ok());
    assert_eq!(d.facts(now).routes[0].countries_barred, 1);
    assert!(begin(&mut d, now + SEC * 300, SOME).is_ok());
}

#[test]
fn only_numbers_of_served_countries_are_challenged() {
    let now = Instant::now();
    let (german, british) = (SOME, "+442079460123");
    let these = || Countries::These(vec![area("+49151"), area("+43")]);
    for (countries, home, number, served) in [
        (Countries::Home, None, british, true),
        (Countries::Home, Some(49), german, true),
        (Countries::Home, Some(49), british, false),
        (Countries::All, Some(49), british, true),
        (these(), None, german, true),
        (these(), None, "+4917212345678", false),
        (these(), Some(44), british, false),
    ] {
        let mut d = dispatcher(Plan { countries: countries.clone(), home, ..Plan::new(routes()) });
        let expected = if served { None } else { Some(Refused::Country) };
        assert_eq!(begin(&mut d, now, number).err(), expected, "{countries:?} {home:?} {number}");
        assert_eq!(d.serves(&super::number(number)).err(), expected);
    }
    // No route goes there.
    let gateway = Route { areas: vec![area("+49")], ..Route::new("gateway", ChallengeKind::Text) };
    assert_eq!(begin(&mut dispatcher(Plan::new(vec![gateway])), now, british).err(), Some(Refused::Country));
    // The SIM tells where home is, unless the operator did.
    let mut d = dispatcher(Plan::new(routes()));
    d.learn_home(49);
    d.learn_home(44);
    assert_eq!(begin(&mut d, now, british).err(), Some(Refused::Country));
}
