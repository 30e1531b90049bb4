//! The sender of tests: it keeps what was sent in memory and has the outcomes it is told to have.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Accepted, Sending, SmsError, SmsSender, SmsText};
use crate::phone::PhoneNumber;

/// Accepts every message, unless told otherwise. Shared by reference between the test and the node.
#[derive(Debug, Default)]
pub struct ScriptSender {
    state: Mutex<State>,
}

/// A message that was handed over.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The number it was for.
    pub to: PhoneNumber,
    /// The message.
    pub text: SmsText,
}

#[derive(Debug, Default)]
struct State {
    outcomes: VecDeque<Result<Accepted, SmsError>>,
    sent: VecDeque<Sent>,
}

impl ScriptSender {
    /// A sender that accepts everything.
    pub fn new() -> ScriptSender {
        ScriptSender::default()
    }

    /// Appends the outcome of one more message; when all are used up, messages are accepted again.
    pub fn then(&self, outcome: Result<Accepted, SmsError>) {
        self.state().outcomes.push_back(outcome);
    }

    /// The messages that arrived or may have, oldest first: the last [`SENT_MAX`].
    pub fn sent(&self) -> Vec<Sent> {
        self.state().sent.iter().cloned().collect()
    }

    /// The last code that was sent to this number.
    pub fn last_code(&self, to: &PhoneNumber) -> Option<String> {
        let state = self.state();
        let sent = state.sent.iter().rev().find(|sent| sent.to == *to)?;
        Some(sent.text.code().digits().to_owned())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SmsSender for ScriptSender {
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a> {
        let mut state = self.state();
        let outcome = state.outcomes.pop_front().unwrap_or_else(|| Ok(Accepted::default()));
        if outcome.as_ref().map_or_else(SmsError::may_have_been_sent, |_| true) {
            state.sent.push_back(Sent { to: to.clone(), text: text.clone() });
            if state.sent.len() > SENT_MAX {
                state.sent.pop_front();
            }
        }
        Box::pin(std::future::ready(outcome))
    }

    fn describe(&self) -> String {
        "script: messages are kept in memory for a test".to_owned()
    }
}

/// Messages that are remembered.
pub const SENT_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::Code;

    #[test]
    fn outcomes_come_in_order_and_only_what_left_was_sent() {
        let sender = ScriptSender::new();
        let to = PhoneNumber::parse("+15555215554").unwrap();
        let refused = SmsError::Refused("no signal".into());
        let not_allowed = SmsError::NotAllowed("no credit".into());
        let unknown = SmsError::Unknown("no answer".into());
        sender.then(Err(refused.clone()));
        sender.then(Err(not_allowed.clone()));
        sender.then(Err(unknown.clone()));
        let mut sent = Vec::new();
        for (code, outcome) in [
            ("000001", Err(refused)),
            ("000002", Err(not_allowed)),
            ("000003", Err(unknown)),
            ("000004", Ok(Accepted::default())),
        ] {
            let text = SmsText::verification(&Code::parse(code).unwrap());
            assert_eq!(smol::block_on(sender.send(&to, &text)), outcome);
            sent.extend(sender.last_code(&to));
        }
        assert_eq!(sent, ["000003", "000004"]);
        assert_eq!(sender.sent().len(), 2);
        assert!(!format!("{sender:?}").contains("5554"));
        assert!(!format!("{sender:?}").contains("000004"));
    }

    #[test]
    fn a_sender_can_stand_behind_the_trait() {
        let sender: Box<dyn SmsSender> = Box::new(ScriptSender::new());
        assert!(sender.describe().starts_with("script"));
    }
}
