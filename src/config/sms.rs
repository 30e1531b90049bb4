//! `[sms]`: the ways codes go, in which order, where to, and how many.

use crate::phone::{AppHash, Area, ChallengeKind, PhoneNumber};

use super::document::{Document, Found};
use super::{MODEM, Sms, SmsCountries, SmsRoute, TERMINAL};

/// Reads the section, when those of the ways are read. `sms.routes` takes the place of `sms.via`.
pub(super) fn sms(document: &mut Document<'_>, sms: &mut Sms) {
    if let Some(found) = document.text("sms.own_number") {
        match PhoneNumber::parse(&found.value) {
            Ok(number) => sms.own_number = Some(number),
            Err(error) => document.object(&found, &error.to_string(), "e.g. \"+12025550123\""),
        }
    }
    sms.routes = match document.list("sms.routes") {
        Some(lines) if !lines.is_empty() => routes(document, &lines, sms),
        _ => vec![via(document, sms)],
    };
    if let Some(found) = document.list("sms.countries") {
        sms.countries = countries(document, &found);
    }
    if let Some(found) = document.number("sms.prefix_codes_per_day_max", 1..=1_000_000) {
        sms.prefix_codes_per_day_max = found.value;
    }
    if let Some(found) = document.text("sms.app_hash") {
        sms.app_hash = AppHash::parse(&found.value);
        if sms.app_hash.is_none() {
            document.object(&found, "no app hash", "the 11 characters that the app's SMS Retriever expects");
        }
    }
}

fn via(document: &mut Document<'_>, sms: &Sms) -> SmsRoute {
    let Some(found) = document.text("sms.via") else { return SmsRoute::new(TERMINAL) };
    match kinds_of(&found.value, sms) {
        Some([kind, ..]) => SmsRoute { kind: *kind, ..SmsRoute::new(&found.value) },
        _ => {
            document.object(&found, NO_SUCH_WAY, WAYS);
            SmsRoute::new(TERMINAL)
        }
    }
}

fn routes(document: &mut Document<'_>, lines: &[Found<String>], sms: &Sms) -> Vec<SmsRoute> {
    let mut routes: Vec<SmsRoute> = Vec::new();
    for line in lines {
        match route(&line.value, sms) {
            Ok(route) if routes.iter().any(|r| r.name == route.name && r.kind == route.kind) => {
                document.object(line, "named twice", "a way and a challenge once, with all that is said of it");
            }
            Ok(_) if routes.len() == ROUTES_MAX => document.object(line, "too many routes", "sixteen at most"),
            Ok(route) => routes.push(route),
            Err((text, remedy)) => document.object(line, &text, &remedy),
        }
    }
    routes
}

/// Reads `NAME [+AREA…] [max=N] [challenge=KIND] [sender=NAME]`.
fn route(line: &str, sms: &Sms) -> Result<SmsRoute, (String, String)> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    let Some(kinds) = kinds_of(name, sms) else { return Err((NO_SUCH_WAY.to_owned(), WAYS.to_owned())) };
    let mut route = SmsRoute::new(name);
    route.kind = kinds.first().copied().unwrap_or(ChallengeKind::Text);
    for word in words {
        let bad = |text: &str, remedy: &str| Err((format!("{word}: {text}"), remedy.to_owned()));
        match word.split_once('=') {
            None => match Area::parse(word) {
                Some(area) => route.areas.push(area),
                None => return bad("not the beginning of numbers", "e.g. +49 for Germany, +1212 for New York"),
            },
            Some(("max", count)) => match count.parse() {
                Ok(max @ 1..=1_000_000) => route.day_max = Some(max),
                _ => return bad("not a number of codes in a day", "e.g. max=200"),
            },
            Some(("challenge", "pin")) => {}
            Some(("challenge", kind)) => match kind_of(kind) {
                Some(kind) if kinds.contains(&kind) => route.kind = kind,
                Some(_) => return bad("this way cannot do that", "challenge=pin, or another way"),
                None => return bad("there is no such challenge", "pin, missedcall, callerid or word"),
            },
            Some(("sender", sender)) if !sender.is_empty() => route.sender = Some(sender.to_owned()),
            Some(_) => return bad("nothing of this kind can be said of a route", "max=, challenge= or sender="),
        }
    }
    if route.kind.is_weak() && sms.own_number.is_none() {
        let remedy = "sms.own_number = \"+…\", the number of the SIM";
        return Err(("the node's own number must be known for this challenge".to_owned(), remedy.to_owned()));
    }
    Ok(route)
}

/// What a way can do, the usual first; `None` if there is no such way.
fn kinds_of(name: &str, sms: &Sms) -> Option<&'static [ChallengeKind]> {
    use ChallengeKind::{CallerId, MissedCall, Provider, Text, Word};
    match name {
        TERMINAL => Some(&[Text]),
        MODEM => Some(&[Text, MissedCall, CallerId, Word]),
        _ => {
            let provider = sms.http.iter().find(|provider| provider.name == name)?;
            Some(if provider.kind.makes_codes() { &[Provider] } else { &[Text] })
        }
    }
}

fn kind_of(challenge: &str) -> Option<ChallengeKind> {
    match challenge {
        "missedcall" => Some(ChallengeKind::MissedCall),
        "callerid" => Some(ChallengeKind::CallerId),
        "word" => Some(ChallengeKind::Word),
        _ => None,
    }
}

fn countries(document: &mut Document<'_>, found: &[Found<String>]) -> SmsCountries {
    match found {
        [one] if one.value == "home" => return SmsCountries::Home,
        [one] if one.value == "all" => return SmsCountries::All,
        _ => {}
    }
    let mut areas = Vec::new();
    for one in found {
        match Area::parse(&one.value) {
            Some(area) => areas.push(area),
            None => document.object(
                one,
                "not the beginning of numbers",
                "e.g. \"+49\" for Germany; or \"home\" or \"all\" alone",
            ),
        }
    }
    if let (true, Some(all)) = (found.is_empty(), document.whole("sms.countries")) {
        document.object(&all, "nobody could register", "\"home\", \"all\", or e.g. [\"+49\", \"+43\"]");
    }
    SmsCountries::These(areas)
}

const NO_SUCH_WAY: &str = "there is no such way to send";
const WAYS: &str = "\"terminal\", \"modem\", or the NAME of a provider that [sms.http.NAME] describes";
const ROUTES_MAX: usize = 16;
