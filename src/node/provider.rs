//! The way by which codes go out, as configured.

use std::sync::Arc;

use super::NodeFault;
use super::random::random_bytes;
use crate::config::{Config, SmsVia};
use crate::sms::SmsSender;
use crate::sms::http::{self, BuildError, Fault, Provider};
use crate::sms::modem::Modem;
use crate::sms::terminal::TerminalSender;

/// Makes the sender ready; a provider's thread runs from now on. Nothing is sent yet.
pub(super) fn sender(config: &Config, modem: Option<&Modem>) -> Result<Arc<dyn SmsSender>, NodeFault> {
    let name = match (&config.sms.via, modem) {
        (SmsVia::Modem, Some(modem)) => return Ok(Arc::new(modem.sender())),
        (SmsVia::Terminal | SmsVia::Modem, _) => return Ok(Arc::new(TerminalSender::stdout())),
        (SmsVia::Provider(name), _) => name,
    };
    let fault = |error| NodeFault::Provider(name.clone(), error);
    let settings = config.sms.http.iter().find(|settings| settings.name == *name);
    let built = settings.map(|settings| http::build(settings, random_bytes).map_err(fault)).transpose()?;
    match built {
        Some(Provider::Sender(sender)) => Ok(Arc::from(sender)),
        // A configuration that was read has been checked for it.
        Some(Provider::Verifier(_)) | None => {
            let text = "there is no such provider that takes messages".to_owned();
            let remedy = "choose another sms.via".to_owned();
            Err(fault(BuildError::Settings(vec![Fault { key: "kind", text, remedy }])))
        }
    }
}
