//! Work that takes a processor for milliseconds (OpenPGP, passwords) leaves the thread that serves everybody. At most so many
//! at once: strangers can order such work, and each job needs a thread's stack.

use std::sync::LazyLock;

use smol::lock::Semaphore;

/// Runs `job` on a thread of its own and waits for it.
pub(super) async fn work<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    let _permit = PERMITS.acquire().await;
    smol::unblock(job).await
}

static PERMITS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(JOBS_MAX));

const JOBS_MAX: usize = 4;
