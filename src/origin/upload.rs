//! Bodies on their way to an origin: bounded not in how long they take, but in how long nothing moves.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt as _;

use super::error::FetchError;

/// Counts the pieces of a body as they are taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    fn pieces(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body whose progress can be seen.
pub(super) fn watched(body: reqwest::Body) -> (reqwest::Body, Progress) {
    let progress = Progress::default();
    let counted = progress.clone();
    let body = body.map_frame(move |frame| {
        counted.0.fetch_add(1, Ordering::Relaxed);
        frame
    });
    (reqwest::Body::wrap(body), progress)
}

/// Waits for `work` as long as no span of `idle` passes without progress.
///
/// # Errors
/// [`FetchError::TimedOut`]
pub(super) async fn while_it_goes_on<T>(
    work: impl Future<Output = T>,
    progress: &Progress,
    idle: Duration,
) -> Result<T, FetchError> {
    let mut work = pin!(work);
    loop {
        let before = progress.pieces();
        match tokio::time::timeout(idle, &mut work).await {
            Ok(done) => return Ok(done),
            Err(_) if progress.pieces() == before => return Err(FetchError::TimedOut { after: idle }),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn what_goes_on_may_take_longer_than_it_may_pause() {
        let progress = Progress::default();
        let moving = async {
            for _ in 0..10 {
                tokio::time::sleep(IDLE / 2).await;
                progress.0.fetch_add(1, Ordering::Relaxed);
            }
        };
        assert_eq!(while_it_goes_on(moving, &progress, IDLE).await, Ok(()));
    }

    #[tokio::test]
    async fn what_stands_still_is_given_up() {
        let ended = while_it_goes_on(std::future::pending::<()>(), &Progress::default(), IDLE).await;
        assert_eq!(ended, Err(FetchError::TimedOut { after: IDLE }));
    }
}
