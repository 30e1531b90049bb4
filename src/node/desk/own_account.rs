//! Users' own accounts: password change and removal. XEP-0077 §3.2 and §3.3; the decisions are in `services::registration`.

use std::time::Instant;

use super::job::{Job, committed};
use super::{Desk, Handled, Request};
use crate::node::accounts::{self, AccountFault};
use crate::services::Addressee;
use crate::services::registration::{self, Wish};
use crate::stanza::{StanzaCondition, StanzaError};
use crate::stream::Password;

/// `jabber:iq:register` of a user who is logged in, at his own address or the node's.
pub(super) fn register(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    if !matches!(request.addressee, Addressee::Domain | Addressee::OwnAccount) {
        return None;
    }
    let account = desk.own_session(request.stanza)?.bare().clone();
    let wish = match registration::read(request.stanza, &account)? {
        Ok(wish) => wish,
        Err(error) => return Some(Handled::now(request.stanza.error(&error))),
    };
    let (store, result) = (desk.store.clone(), request.stanza.result());
    let job = match wish {
        Wish::Know => return Some(Handled::now(Some(result.with_child(registration::facts(&account))))),
        // An account that had only a key has both from now on: Kontalk registration, passwords for other clients.
        Wish::SetPassword(password) => {
            // Each costs the processor as much as many logins.
            if let Err(wait) = desk.password_changes.take(Instant::now(), &account) {
                let text = format!("too many new passwords; try again in {} s", wait.as_secs() + 1);
                let error = StanzaError::new(StanzaCondition::ResourceConstraint).text(text);
                return Some(Handled::now(request.stanza.error(&error)));
            }
            Job::answering(request.stanza, move |_| {
                let password = Password::new(password.expose().to_owned());
                let ticket = accounts::set_password(&store, &account, &password).map_err(refusal)?;
                committed(&store, ticket)?;
                log::info!("{} set a password", account.for_log());
                Ok(result)
            })
        }
        Wish::Remove => {
            let asked = request.stanza.clone();
            Job::new(move |inbox| {
                let removed = accounts::remove(&store, &account).map_err(refusal).and_then(|(departed, ticket)| {
                    committed(&store, ticket)?;
                    Ok(departed)
                });
                match removed {
                    Ok(departed) => {
                        log::info!("{} removed the account", account.for_log());
                        // XEP-0077 §3.2: the answer first, then the end of all sessions.
                        inbox.tell_blocking(crate::router::Event::FromServer(result));
                        inbox.account_ended_blocking(account, departed.farewells);
                    }
                    Err(error) => {
                        if let Some(answer) = asked.error(&error) {
                            inbox.tell_blocking(crate::router::Event::FromServer(answer));
                        }
                    }
                }
            })
        }
    };
    Some(Handled { job: Some(job), ..Handled::default() })
}

/// Why an account was not changed, for who asked.
pub(super) fn refusal(fault: AccountFault) -> StanzaError {
    match fault {
        AccountFault::Store(error) => super::job::fault(error),
        AccountFault::Password(error) => StanzaError::new(StanzaCondition::NotAcceptable).text(error.to_string()),
        AccountFault::Encoding => {
            log::error!("a request fails: {fault}");
            StanzaError::new(StanzaCondition::InternalServerError)
        }
        fault => StanzaError::new(StanzaCondition::NotAcceptable).text(fault.to_string()),
    }
}
