//! Malformed pictures get an error or a picture: never a panic, a hang, or more memory than they were admitted for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bombs;
mod corpora;
mod files;
mod limits;
mod mutations;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use lightmeter_image::{
    Cancel, Developed, Effort, Extras, ImageError, Limits, Settings, Transform, develop, format::OutputFormat,
    options::parse_segment, probe,
};

fn limits() -> Limits {
    Limits::default()
}

fn settings(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

fn transform(options: &str) -> Transform {
    if options.is_empty() { Transform::default() } else { parse_segment(options).unwrap().canonical().0 }
}

fn developed(bytes: &[u8], options: &str, format: OutputFormat, limits: Limits) -> Result<Developed, ImageError> {
    let found = probe(bytes)?;
    let cancel = Cancel::default();
    develop(
        bytes,
        &found,
        &transform(options),
        format,
        &settings(limits),
        Effort::FirstView,
        &cancel,
        &Extras::default(),
    )
}

/// Runs what must come to an end and not panic, in a thread of its own. The time is far beyond what it needs: it only tells
/// a hang from slowness.
fn finishes<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    const HANG: Duration = Duration::from_secs(240);
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(catch_unwind(AssertUnwindSafe(work))));
    match wait.recv_timeout(HANG) {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => panic!("{what} panicked"),
        Err(_) => panic!("{what} hangs"),
    }
}
