//! Challenges and codes. Kontalk registration, telephone number and code; weaknesses to fix.

use super::*;

fn started(now: Instant, digits: &str) -> (Registrar, PhoneForm) {
    let mut registrar = registrar(Policy { rates: boundless(), ..policy() });
    let form = form(NUMBER);
    assert_eq!(registrar.admit(now, home(), &form), Ok(()));
    registrar.challenge(now, &form, &Ask::Code(code(digits)));
    (registrar, form)
}

#[test]
fn the_right_code_is_accepted_and_its_answer_repeatable_for_the_same_key() {
    let now = Instant::now();
    let (mut registrar, form) = started(now, "012345");
    let check = |registrar: &mut Registrar, now, key, digits| {
        registrar.check(now, home(), &form.address, key, Some(&code(digits)))
    };
    assert_eq!(check(&mut registrar, now, &KEY, "012345"), Verdict::Accepted);
    registrar.registered(now, &form.address, &KEY);
    let late = now + crate::limits::REPLY_REPEATABLE - Duration::from_secs(1);
    for (when, key, digits, verdict) in [
        (now, &KEY, "012345", Verdict::Repeat),
        (late, &KEY, "012345", Verdict::Repeat),
        (now, &KEY, "012346", bad_code()),
        (now, &OTHER_KEY, "012345", bad_code()),
        (late + Duration::from_secs(1), &KEY, "012345", bad_code()),
    ] {
        assert_eq!(check(&mut registrar, when, key, digits), verdict);
    }
}

#[test]
fn a_code_that_is_being_certified_is_good_for_no_other_key() {
    let now = Instant::now();
    let (mut registrar, form) = started(now, "012345");
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("012345"))), Verdict::Accepted);
    assert_eq!(registrar.check(now, home(), &form.address, &OTHER_KEY, Some(&code("012345"))), bad_code());
    // The store failed, or the connection broke: the same key may come again.
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("012345"))), Verdict::Accepted);
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("012346"))), bad_code());
    // Only who was accepted can be registered.
    registrar.registered(now, &form.address, &OTHER_KEY);
    assert_eq!(registrar.check(now, home(), &form.address, &OTHER_KEY, Some(&code("012345"))), bad_code());
    registrar.registered(now, &form.address, &KEY);
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("012345"))), Verdict::Repeat);
}

#[test]
fn after_five_wrong_codes_even_the_right_one_is_refused() {
    let now = Instant::now();
    for wrong in 0..=5 {
        let (mut registrar, form) = started(now, "012345");
        for guess in 0..wrong {
            // Other keys and networks have no tries of their own.
            let (key, peer) = ([guess; 20], peer(&format!("192.0.2.{guess}")));
            assert_eq!(registrar.check(now, peer, &form.address, &key, Some(&code("999999"))), bad_code());
        }
        let expected = if wrong < 5 { Verdict::Accepted } else { bad_code() };
        assert_eq!(
            registrar.check(now, home(), &form.address, &KEY, Some(&code("012345"))),
            expected,
            "{wrong} wrong codes"
        );
    }
}

#[test]
fn a_new_challenge_has_its_own_tries() {
    let now = Instant::now();
    let (mut registrar, form) = started(now, "012345");
    for _ in 0..5 {
        registrar.check(now, home(), &form.address, &KEY, Some(&code("999999")));
    }
    registrar.challenge(now, &form, &Ask::Code(code("543210")));
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("543210"))), Verdict::Accepted);
}

#[test]
fn a_new_challenge_replaces_the_old_code() {
    let now = Instant::now();
    let (mut registrar, form) = started(now, "012345");
    registrar.challenge(now, &form, &Ask::Code(code("543210")));
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("012345"))), bad_code());
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("543210"))), Verdict::Accepted);
    // One that comes while the key is being certified wins, and the number's next owner is challenged in peace.
    registrar.challenge(now, &form, &Ask::Code(code("111111")));
    registrar.registered(now, &form.address, &KEY);
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("543210"))), bad_code());
    assert_eq!(registrar.check(now, home(), &form.address, &OTHER_KEY, Some(&code("111111"))), Verdict::Accepted);
}

#[test]
fn the_next_owners_challenge_ends_the_repetition_of_the_old_answer() {
    let now = Instant::now();
    let (mut registrar, form) = started(now, "012345");
    registrar.check(now, home(), &form.address, &KEY, Some(&code("012345")));
    registrar.registered(now, &form.address, &KEY);
    let challenge = registrar.challenge(now, &form, &Ask::Code(code("543210")));
    registrar.send_failed(&form, challenge);
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("012345"))), bad_code());
}

#[test]
fn expired_code_is_refused_and_forgotten() {
    let now = Instant::now();
    let (mut registrar, form) = started(now, "012345");
    let expiry = now + CODE_TTL;
    assert_eq!(registrar.deadline(), Some(expiry));
    assert_eq!(registrar.check(expiry, home(), &form.address, &KEY, Some(&code("012345"))), bad_code());
    assert!(registrar.challenged.is_empty());

    let (mut registrar, form) = started(now, "012345");
    let last = expiry - Duration::from_millis(1);
    assert_eq!(registrar.check(last, home(), &form.address, &KEY, Some(&code("012345"))), Verdict::Accepted);
}

#[test]
fn what_has_expired_is_forgotten_at_its_deadline() {
    let now = Instant::now();
    let (mut registrar, first) = started(now, "012345");
    let second = form("+15555215555");
    let later = now + Duration::from_secs(60);
    registrar.challenge(later, &second, &Ask::Code(code("012345")));
    registrar.expire(now + CODE_TTL);
    assert!(registrar.challenged.get(&first.address).is_none() && registrar.challenged.get(&second.address).is_some());
    assert_eq!(registrar.deadline(), Some(later + CODE_TTL));
    registrar.check(later, home(), &second.address, &KEY, Some(&code("012345")));
    registrar.registered(later, &second.address, &KEY);
    registrar.expire(later + CODE_TTL);
    assert!(registrar.challenged.is_empty() && registrar.registered.is_empty());
    assert_eq!(registrar.deadline(), None);
}

#[test]
fn a_code_is_good_for_its_own_address_only() {
    let now = Instant::now();
    let (mut registrar, _) = started(now, "012345");
    let other = form("+15555215555");
    assert_eq!(registrar.check(now, home(), &other.address, &KEY, Some(&code("012345"))), bad_code());
    registrar.challenge(now, &other, &Ask::Code(code("543210")));
    assert_eq!(registrar.check(now, home(), &other.address, &KEY, Some(&code("012345"))), bad_code());
}

#[test]
fn a_message_that_was_not_sent_leaves_nothing_behind() {
    let now = Instant::now();
    let (mut registrar, form) = started(now, "012345");
    let failed = registrar.challenge(now, &form, &Ask::Code(code("111111")));
    assert_eq!(registrar.send_failed(&form, failed), Refusal::SmsFailed.into());
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("111111"))), bad_code());

    let lost = registrar.challenge(now, &form, &Ask::Provider);
    assert_eq!(registrar.code_lost(&form, lost), Refusal::CodeLost.into());
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("111111"))), bad_code());

    // A late failure takes no newer challenge with it.
    let failed = registrar.challenge(now, &form, &Ask::Code(code("111111")));
    registrar.challenge(now, &form, &Ask::Code(code("222222")));
    registrar.send_failed(&form, failed);
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&code("222222"))), Verdict::Accepted);
}
