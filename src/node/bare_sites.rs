//! Listeners in the clear: where an authority looks for proofs (port 80), and the figures for this machine.

use std::sync::Arc;

use smol::{Executor, Task};

use super::NodeFault;
use super::metrics::Metrics;
use crate::config::Config;
use crate::net::{self, Listener};
use crate::web::{Pace, Page, ProofBoard, Server, Site};

/// Bound and not yet serving.
pub(super) struct BareSites {
    proofs: Vec<Listener>,
    metrics: Vec<Listener>,
}

impl BareSites {
    pub(super) fn bind(config: &Config) -> Result<BareSites, NodeFault> {
        let proofs = config.acme.as_ref().map_or(&[][..], |acme| &acme.listen);
        Ok(BareSites {
            proofs: net::bind(proofs).map_err(NodeFault::Listen)?,
            metrics: net::bind(&config.metrics).map_err(NodeFault::Listen)?,
        })
    }

    /// Where they listen, a line each.
    pub(super) fn listening(&self) -> Vec<String> {
        let proofs =
            self.proofs.iter().map(|l| format!("listening for a certificate authority's checks on {}", l.local_addr()));
        let metrics = self.metrics.iter().map(|l| format!("listening for readers of figures on {}", l.local_addr()));
        proofs.chain(metrics).collect()
    }

    /// Serves until the tasks are dropped.
    pub(super) fn start(
        self,
        executor: &'static Executor<'static>,
        board: &ProofBoard,
        metrics: Metrics,
    ) -> Vec<Task<()>> {
        let mut tasks = serve(executor, self.proofs, ProofBoard::PATH, board.clone());
        tasks.extend(serve(executor, self.metrics, Metrics::PATH, metrics));
        tasks
    }
}

fn serve(
    executor: &'static Executor<'static>,
    listeners: Vec<Listener>,
    path: &'static str,
    page: impl Page + 'static,
) -> Vec<Task<()>> {
    let server = Arc::new(Server::plain(Site::default().with(path, page), Pace::default()));
    listeners.into_iter().map(|listener| executor.spawn(server.clone().serve(listener))).collect()
}
