//! Login tokens put together (XEP-0484): the decisions of `stream`, the store, and the secret that tokens are made of.

use std::time::SystemTime;

use zeroize::Zeroizing;

use super::login::{fault, refused};
use super::random::random_bytes;
use crate::jid::BareJid;
use crate::stanza::{SaslCondition, SaslFailure, Timestamp};
use crate::store::{Store, StoreError};
use crate::stream::{ClientId, HashedToken, IssuedToken, Keep, TokenProof, TokenVerdict, token_text};

pub(super) struct Tokens {
    secret: Zeroizing<[u8; 32]>,
    store: Store,
}

impl Tokens {
    pub(super) fn new(secret: Zeroizing<[u8; 32]>, store: Store) -> Tokens {
        Tokens { secret, store }
    }

    /// Is the token good? One that grows old is replaced in the same breath.
    pub(super) async fn verify(&self, proof: TokenProof) -> Result<TokenVerdict, SaslFailure> {
        let now = Timestamp::from_system(SystemTime::now());
        let (account, client) = (&proof.account, proof.client);
        let text = |serial: &_| token_text(&self.secret, account, client, serial);
        let decided = self.store.change_tokens(account, client, now, |slots| match slots.judge(&proof, now, text) {
            Err(failure) => (Err(failure), Keep::Unchanged),
            Ok(judged) if judged.rotate => {
                let serial = random_bytes();
                let expiry = slots.issue(serial, proof.mechanism, now);
                let replacement = Some(IssuedToken { token: text(&serial), expiry });
                (Ok(TokenVerdict { response: judged.response, replacement }), Keep::Now)
            }
            Ok(judged) => (Ok(TokenVerdict { response: judged.response, replacement: None }), judged.keep),
        });
        match decided {
            Ok((verdict, ticket)) => {
                if verdict.is_ok() && self.store.is_disabled(account).map_err(|error| fault(&error))? {
                    // RFC 6120 §6.5.2.
                    return Err(SaslFailure::new(SaslCondition::AccountDisabled));
                }
                if let Some(ticket) = ticket {
                    self.store.commit(ticket).await.map_err(|error| fault(&error))?;
                }
                verdict
            }
            // As to any other stranger.
            Err(StoreError::NoAccount) => Err(refused()),
            Err(error) => Err(fault(&error)),
        }
    }

    /// A new token, on the disk before the client has it.
    pub(super) async fn issue(
        &self,
        account: &BareJid,
        client: ClientId,
        mechanism: HashedToken,
    ) -> Option<IssuedToken> {
        let now = Timestamp::from_system(SystemTime::now());
        let serial = random_bytes();
        let issued =
            self.store.change_tokens(account, client, now, |slots| (slots.issue(serial, mechanism, now), Keep::Now));
        let kept = match issued {
            Ok((expiry, Some(ticket))) => self.store.commit(ticket).await.map(|()| expiry),
            Ok((expiry, None)) => Ok(expiry),
            Err(error) => Err(error),
        };
        kept.map(|expiry| IssuedToken { token: token_text(&self.secret, account, client, &serial), expiry })
            .inspect_err(|error| log::warn!("{} gets no login token: {error}", account.for_log()))
            .ok()
    }
}
