//! The trial node's sender: it shows the code on the terminal instead of sending it.
//!
//! This is the one place where a code is shown, and it goes to standard output, never to the log: who tries a node out on
//! his own machine has no modem yet. Of the number only the last two digits are shown. A node that others use must not be
//! configured with it.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::{Accepted, Sending, SmsError, SmsSender, SmsText};
use crate::phone::PhoneNumber;

/// Prints `verification code for the number ending in 54: 123456`, one line a code; tests look for the line.
#[derive(Debug)]
pub struct TerminalSender<W> {
    out: Mutex<W>,
}

impl TerminalSender<io::Stdout> {
    /// To standard output.
    pub fn stdout() -> TerminalSender<io::Stdout> {
        TerminalSender::new(io::stdout())
    }
}

impl<W: Write + Send> TerminalSender<W> {
    /// To whatever takes text.
    pub fn new(out: W) -> TerminalSender<W> {
        TerminalSender { out: Mutex::new(out) }
    }

    fn print(&self, to: &PhoneNumber, text: &SmsText) -> io::Result<()> {
        let ending = to.as_e164().get(to.as_e164().len().saturating_sub(2)..).unwrap_or_default();
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(out, "verification code for the number ending in {ending}: {}", text.code().digits())?;
        out.flush()
    }
}

impl<W: Write + Send> SmsSender for TerminalSender<W> {
    fn send<'a>(&'a self, to: &'a PhoneNumber, text: &'a SmsText) -> Sending<'a> {
        let outcome = self.print(to, text).map(|()| Accepted::default());
        Box::pin(std::future::ready(outcome.map_err(|_| SmsError::Refused("the terminal is closed".into()))))
    }

    fn describe(&self) -> String {
        "terminal: codes are printed here and sent to nobody".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::Code;

    fn message() -> (PhoneNumber, SmsText) {
        (PhoneNumber::parse("+15555215554").unwrap(), SmsText::verification(&Code::parse("012345").unwrap()))
    }

    #[test]
    fn one_line_has_the_code_and_two_digits_of_the_number() {
        let sender = TerminalSender::new(Vec::new());
        let (to, text) = message();
        assert_eq!(smol::block_on(sender.send(&to, &text)), Ok(Accepted::default()));
        let printed = String::from_utf8(sender.out.into_inner().unwrap()).unwrap();
        assert_eq!(printed, "verification code for the number ending in 54: 012345\n");
    }

    #[test]
    fn a_closed_terminal_refuses_and_does_not_panic() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (to, text) = message();
        let outcome = smol::block_on(TerminalSender::new(Closed).send(&to, &text));
        assert_eq!(outcome, Err(SmsError::Refused("the terminal is closed".into())));
    }
}
