//! Accounts that are used no more. Kontalk registration, expiry.
//!
//! Only accounts with nothing but a Kontalk key go: their number may belong to somebody else by now. One that is connected never goes,
//! however long ago it logged in, nor one that an administrator shut. Contacts are told as at any other end of an account.
//!
//! Rounds run beside the hub, since they read all accounts; the last look, at who is connected, is the hub's.

use std::time::Duration;

use super::hub::{Inbox, Input};
use crate::jid::BareJid;
use crate::limits::{EXPIRY_ROUND, EXPIRY_ROUNDS};
use crate::stanza::Timestamp;
use crate::store::{Account, Departed, Store, StoreError};

/// Looks again and again. Ends with the node.
pub(super) async fn watch(store: Store, inbox: Inbox, period: Option<Duration>) {
    let Some(period) = period else { return };
    loop {
        // The first round is not the first thing a node does: clients come back within minutes.
        smol::Timer::after(EXPIRY_ROUND).await;
        let round = store.clone();
        let expired = smol::unblock(move || {
            let now = super::clock().wall;
            round.count_inactive(|account| is_inactive(account, now, period), EXPIRY_ROUNDS)
        });
        match expired.await {
            Ok(expired) if !expired.is_empty() => inbox.send(Input::Expire(expired)).await,
            Ok(_) => {}
            Err(error) => log::error!("unused accounts are not looked for: {error}"),
        }
    }
}

/// The hub's part: who is connected is in use, others go.
pub(super) fn expire(
    store: &Store,
    account: &BareJid,
    connected: bool,
    now: Timestamp,
) -> Result<Option<Departed>, StoreError> {
    if store.is_disabled(account)? {
        // Its owner cannot show a sign of life, and would come back by registering anew.
        return Ok(None);
    }
    if connected {
        return store.note_login(account, now).map(|()| None);
    }
    let (departed, _) = store.remove_account(account)?;
    log::info!("{} was not used for a long time and is removed", account.for_log());
    Ok(Some(departed))
}

/// Has it nothing but a key, and gave no sign of life for the period?
fn is_inactive(account: &Account, now: Timestamp, period: Duration) -> bool {
    let seen = [account.last_login, account.last_logout].into_iter().flatten().fold(account.created, Timestamp::max);
    account.password.is_none() && account.fingerprint.is_some() && seen.plus(period) <= now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Credentials;

    fn at(day: u64) -> Timestamp {
        Timestamp { millis: day * 86_400_000 }
    }

    #[test]
    fn only_what_has_nothing_but_a_key_and_no_sign_of_life_is_inactive() {
        let month = Duration::from_secs(30 * 86_400);
        let key_only = Account { fingerprint: Some([1; 20]), number_verified: true, ..Account::new(at(1)) };
        let password = || Some(Credentials::new(vec![1]));
        for (account, expected) in [
            (key_only.clone(), true),
            (Account { created: at(10), ..key_only.clone() }, false),
            (Account { last_login: Some(at(10)), ..key_only.clone() }, false),
            (Account { last_logout: Some(at(10)), last_login: Some(at(2)), ..key_only.clone() }, false),
            (Account { last_logout: Some(at(2)), last_login: Some(at(2)), ..key_only.clone() }, true),
            (Account { password: password(), ..key_only }, false),
            (Account { password: password(), ..Account::new(at(1)) }, false),
            (Account::new(at(1)), false),
        ] {
            assert_eq!(is_inactive(&account, at(35), month), expected, "{account:?}");
        }
    }

    #[test]
    fn who_is_connected_stays_and_others_leave_farewells() {
        let dir = std::env::temp_dir().join(format!("kontalk-node-expiry-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let store = Store::open(&dir).unwrap();
        let (romeo, juliet): (BareJid, BareJid) =
            ("romeo@a.example".parse().unwrap(), "juliet@a.example".parse().unwrap());
        for account in [&romeo, &juliet] {
            store.accept_registration(account, [account.as_str().len() as u8; 20], b"ring", at(1)).unwrap();
        }
        assert_eq!(expire(&store, &romeo, true, at(40)), Ok(None));
        assert_eq!(store.account(&romeo).unwrap().unwrap().last_login, Some(at(40)));
        store.set_disabled(&juliet, Some(at(5))).unwrap();
        assert_eq!(expire(&store, &juliet, false, at(40)), Ok(None));
        store.set_disabled(&juliet, None).unwrap();
        assert_eq!(expire(&store, &juliet, false, at(40)), Ok(Some(Departed::default())));
        assert_eq!(store.account(&juliet), Ok(None));
        assert_eq!(expire(&store, &juliet, false, at(40)), Err(StoreError::NoAccount));
        drop(store);
        let _ = std::fs::remove_dir_all(&dir);
    }
}
