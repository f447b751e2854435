//! Log lines, to standard error, written by a thread of their own: a slow terminal or pipe loses lines, never delays a request.

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Log, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none.
    #[error("log.level: {0}: expected error, warn, info, debug, trace or directives such as info,lightmeter=debug")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// It has been set up before.
    #[error("logging is set up already: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// Starts logging as configured. Lines that are not written yet are written when the guard is dropped.
///
/// # Errors
/// [`LogError`]
pub fn start(log: &Log) -> Result<WorkerGuard, LogError> {
    let filter = EnvFilter::try_new(&log.level)?;
    let (writer, guard): (NonBlocking, _) = tracing_appender::non_blocking(std::io::stderr());
    let lines = fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    match log.format {
        LogFormat::Human => lines.compact().with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(LogError::Twice)?;
    Ok(guard)
}
