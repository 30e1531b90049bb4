//! The ways to prove a number other than by a code of ours.

use super::*;

fn asked(now: Instant, ask: &Ask) -> (Registrar, PhoneForm, u64) {
    let mut registrar = registrar(Policy { rates: boundless(), ..policy() });
    let form = form(NUMBER);
    let serial = registrar.challenge(now, &form, ask);
    (registrar, form, serial)
}

fn refused(refusal: Refusal) -> Verdict {
    Verdict::Refused(refusal.into())
}

#[test]
fn the_last_digits_of_the_number_that_rang_will_do_and_so_will_all_of_it() {
    let now = Instant::now();
    let caller = Code::typed("+12025550123").unwrap();
    for (typed, right) in
        [("0123", true), ("5550123", true), ("+1 202 555-0123", true), ("0124", false), ("1230", false)]
    {
        let (mut registrar, form, _) = asked(now, &Ask::CallerDigits(caller.clone()));
        let typed = Code::typed(typed).unwrap();
        let verdict = registrar.check(now, home(), &form.address, &KEY, Some(&typed));
        assert_eq!(verdict, if right { Verdict::Accepted } else { bad_code() }, "{typed:?}");
        if right {
            registrar.registered(now, &form.address, &KEY);
            assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&typed)), Verdict::Repeat);
        }
    }
}

#[test]
fn a_providers_code_is_judged_by_the_provider_five_times_at_most() {
    let now = Instant::now();
    let (mut registrar, form, serial) = asked(now, &Ask::Provider);
    let typed = code("123456");
    for _ in 0..4 {
        let verdict = registrar.check(now, home(), &form.address, &KEY, Some(&typed));
        assert_eq!(verdict, Verdict::AskProvider { serial });
        assert_eq!(registrar.judged(&form.address, &KEY, serial, &typed, false), bad_code());
    }
    // A provider that does not answer costs no try.
    for _ in 0..9 {
        assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&typed)), Verdict::AskProvider { serial });
        assert_eq!(registrar.not_judged(&form.address, serial), Refusal::NotJudged.into());
    }
    // The fifth, and a sixth at the same time.
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&typed)), Verdict::AskProvider { serial });
    assert_eq!(registrar.check(now, home(), &form.address, &OTHER_KEY, Some(&typed)), bad_code());
    assert_eq!(registrar.judged(&form.address, &KEY, serial, &typed, true), Verdict::Accepted);
    assert_eq!(registrar.judged(&form.address, &OTHER_KEY, serial, &typed, true), bad_code());
    // A lost connection: the provider is not asked again.
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&typed)), Verdict::Accepted);
    registrar.registered(now, &form.address, &KEY);
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&typed)), Verdict::Repeat);
}

#[test]
fn a_providers_answer_to_an_older_challenge_counts_for_nothing() {
    let now = Instant::now();
    let (mut registrar, form, serial) = asked(now, &Ask::Provider);
    let typed = code("123456");
    registrar.check(now, home(), &form.address, &KEY, Some(&typed));
    registrar.challenge(now, &form, &Ask::Code(code("000000")));
    assert_eq!(registrar.judged(&form.address, &KEY, serial, &typed, true), bad_code());
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, Some(&typed)), bad_code());
}

#[test]
fn a_call_proves_the_number_that_called_to_the_network_that_asked() {
    let now = Instant::now();
    let (mut registrar, form, _) = asked(now, &Ask::Call(home()));
    let other = PhoneNumber::parse("+15555215555").unwrap();
    // No try is lost by asking too early.
    for _ in 0..20 {
        let verdict = registrar.check(now, home(), &form.address, &KEY, None);
        assert_eq!(verdict, refused(Refusal::NothingHeard));
    }
    assert!(!registrar.heard(now, &other, Heard::Call));
    assert!(!registrar.heard(now, &form.number, Heard::Text("hello")));
    assert!(registrar.heard(now, &form.number, Heard::Call));
    // Who only waited for somebody else's call.
    let thief = registrar.check(now, peer("198.51.100.1"), &form.address, &OTHER_KEY, None);
    assert_eq!(thief, refused(Refusal::OtherNetwork));
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, None), Verdict::Accepted);
    assert_eq!(registrar.check(now, home(), &form.address, &OTHER_KEY, None), bad_code());
    registrar.registered(now, &form.address, &KEY);
    assert_eq!(registrar.check(now, home(), &form.address, &KEY, None), Verdict::Repeat);
    // A late call proves nothing.
    let (mut registrar, form, _) = asked(now, &Ask::Call(home()));
    assert!(!registrar.heard(now + CODE_TTL, &form.number, Heard::Call));
}

#[test]
fn a_word_is_found_in_what_people_write_around_it() {
    let now = Instant::now();
    let word = Word::from_random([1, 2, 3, 4, 5]);
    let letters = word.letters().to_owned();
    assert_eq!(letters.len(), 8);
    assert!(!format!("{word:?}").contains(&letters));
    for (text, heard) in [
        (letters.clone(), true),
        (format!("hello, \"{}\"!", letters.to_lowercase()), true),
        (format!("my word is\n{letters}."), true),
        (letters[1..].to_owned(), false),
        (format!("{letters}X"), false),
        (String::new(), false),
        (format!("{} {letters}", "blah ".repeat(10_000)), false),
    ] {
        let (mut registrar, form, _) = asked(now, &Ask::Word(word.clone(), home()));
        assert!(!registrar.heard(now, &form.number, Heard::Call));
        assert_eq!(registrar.heard(now, &form.number, Heard::Text(&text)), heard, "{text:.40}");
        let verdict = registrar.check(now, home(), &form.address, &KEY, None);
        assert_eq!(verdict, if heard { Verdict::Accepted } else { refused(Refusal::NothingHeard) });
    }
}
