//! The user's choice of who finds the account; the decisions are in [`crate::services::discoverable`].

use super::job::fault;
use super::{Desk, Handled, Request};
use crate::node::random::random_id;
use crate::services::Addressee;
use crate::services::discoverable::{NODE, Wish, ended, form, read};
use crate::stanza::{IqType, Kind, StanzaCondition, StanzaError};
use crate::xml::ns;

/// The command at the own address.
pub(super) fn command(desk: &mut Desk, request: &Request<'_>) -> Option<Handled> {
    let command = request.stanza.payload().filter(|p| p.is("command", ns::COMMANDS))?;
    if request.addressee != Addressee::OwnAccount || command.attribute("node") != Some(NODE) {
        return None;
    }
    let account = request.stanza.from_bare()?;
    let set = request.stanza.kind() == Kind::Iq(IqType::Set);
    let wish = if set { read(command) } else { Err(StanzaError::new(StanzaCondition::BadRequest)) };
    let outcome = wish.and_then(|wish| match wish {
        Wish::Ask => desk.store.is_discoverable(account).map(|is| (form(is, &random_id()), None)).map_err(fault),
        Wish::Set(discoverable) => {
            let ticket = desk.store.set_discoverable(account, discoverable).map_err(fault)?;
            Ok((ended(wish), Some(ticket)))
        }
        Wish::Cancel => Ok((ended(wish), None)),
    });
    Some(match outcome {
        Ok((answer, after)) => Handled { after, ..Handled::outcome(request.stanza, Ok(answer)) },
        Err(error) => Handled::outcome(request.stanza, Err(error)),
    })
}
