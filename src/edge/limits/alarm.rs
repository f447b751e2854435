//! What wakes a task that waits for something, when it has waited for too long.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::{Sleep, sleep_until};

/// An alarm, set when somebody first waits: most never do.
#[derive(Debug, Default)]
pub(in crate::edge) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Waits until `late`, whatever it was set to before.
    pub(in crate::edge) fn poll(&mut self, late: Instant, context: &mut Context<'_>) -> Poll<()> {
        let late = late.into();
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(late)));
        if sleep.deadline() != late {
            sleep.as_mut().reset(late);
        }
        sleep.as_mut().poll(context)
    }
}
