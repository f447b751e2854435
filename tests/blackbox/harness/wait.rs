//! Waiting for what must come about: polled, with a deadline that is generous on a busy machine and named when it passes.

use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    let mut condition = condition;
    until_some(what, async || condition().await.then_some(())).await;
}

/// Waits until there is something, and gives it.
pub(crate) async fn until_some<T>(what: &str, attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let mut attempt = attempt;
    let started = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
