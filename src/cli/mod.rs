//! The subcommands. Errors here are for a person at a terminal: what was attempted, what went wrong.

mod check;
mod demo;
mod serve;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use url::Url;

use crate::config::{self, Config};

/// Files are read and written here, off the threads that serve: more would only queue at the disk.
const BLOCKING_THREADS: usize = 64;

/// A self-hosted, real-time image-optimization CDN edge.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve sites: those of a configuration file, or one whose origin is given here.
    Serve(Source),
    /// Show what it does: an origin with pictures, and the edge in front of it, on this machine.
    Demo(demo::Demo),
    /// Validate a configuration file and print what is in effect.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The configuration file; config/lightmeter.toml documents every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One site for every host, without a file: try it on your own site.
    #[arg(long, value_name = "URL")]
    origin: Option<Url>,
}

impl Source {
    fn read(&self) -> anyhow::Result<Config> {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let config = match (&self.config, &self.origin) {
            (Some(path), _) => config::from_file(path, environment)?,
            (None, Some(origin)) => config::from_origin(origin, environment)?,
            (None, None) => anyhow::bail!("either --config FILE or --origin URL is needed"),
        };
        Ok(config)
    }
}

/// Runs a subcommand to its end.
///
/// # Errors
/// What to show the person who started it.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Serve(source) => runtime()?.block_on(serve::serve(source)),
        Command::Demo(demo) => runtime()?.block_on(demo::run(demo)),
        Command::Check { config } => check::check(&config),
    }
}

/// Waits for SIGTERM or SIGINT.
async fn asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("signals cannot be received")
}

/// Takes as many open files as the system allows: connections, originals and cache entries are files, and the usual soft
/// limit of 1,024 is there for programs that count on it.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, the old limit holds.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    raise_file_limit();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("the runtime could not be started")
}
