//! Puts proofs where the authority looks for them, and takes them away again.

use std::sync::Arc;
use std::time::Duration;

use smol::Timer;
use smol::future::FutureExt;

use crate::acme::{Challenge, Proof, jws};
use crate::config::Acme;
use crate::net::OwnCertificate;
use crate::net::dns::Change;
use crate::node::name_server::NameServer;
use crate::web::ProofBoard;

/// The ways to prove.
pub(super) struct Prover {
    pub(super) settings: Acme,
    pub(super) certificate: Arc<OwnCertificate>,
    pub(super) board: ProofBoard,
    pub(super) name_server: Option<NameServer>,
}

impl Prover {
    /// All of them, and waits until they can be seen.
    pub(super) async fn put(&self, proofs: &[Proof]) -> Result<(), String> {
        for proof in proofs {
            match self.settings.challenge {
                Challenge::Http01 => self.board.put(&proof.token, &proof.key_authorization),
                Challenge::TlsAlpn01 => self
                    .certificate
                    .show_proof(&proof.name, &jws::digest(&proof.key_authorization))
                    .map_err(|fault| fault.to_string())?,
                Challenge::Dns01 => {
                    let value = jws::dns_value(&proof.key_authorization);
                    self.record("set", &proof.name, value.clone(), Change::AddText(value)).await?;
                }
            }
        }
        if self.settings.challenge == Challenge::Dns01 {
            Timer::after(self.settings.dns_wait).await;
        }
        Ok(())
    }

    /// However the order ended. What cannot be taken away does no harm.
    pub(super) async fn remove(&self, proofs: &[Proof]) {
        self.board.clear();
        self.certificate.end_proofs();
        if self.settings.challenge != Challenge::Dns01 {
            return;
        }
        for proof in proofs {
            let value = jws::dns_value(&proof.key_authorization);
            if let Err(error) = self.record("unset", &proof.name, value.clone(), Change::RemoveText(value)).await {
                log::debug!("acme: the record for {} stays: {error}", proof.name);
            }
        }
    }

    /// RFC 8555 §8.4: where the record is.
    async fn record(&self, verb: &str, name: &str, value: String, change: Change) -> Result<(), String> {
        let record = format!("_acme-challenge.{name}");
        match (self.settings.dns_hook.split_first(), &self.name_server) {
            (Some((program, arguments)), _) => hook(program, arguments, [verb, &record, &value]).await,
            (None, Some(server)) => server.change(vec![(record, change)]).await,
            (None, None) => Err("nothing is said of how records are set (remedy: [dns_update])".to_owned()),
        }
    }
}

async fn hook(program: &str, arguments: &[String], last: [&str; 3]) -> Result<(), String> {
    let mut command = smol::process::Command::new(program);
    command.args(arguments).args(last).kill_on_drop(true);
    let remedy = format!("remedy: run {program} by hand as the node's user");
    let run = async {
        match command.output().await {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("{program} ended with {} ({remedy})", output.status)),
            Err(error) => Err(format!("{program} cannot be run: {error} ({remedy})")),
        }
    };
    let late = async {
        Timer::after(HOOK_PATIENCE).await;
        Err(format!("{program} took too long ({remedy})"))
    };
    run.or(late).await
}

const HOOK_PATIENCE: Duration = Duration::from_secs(120);
