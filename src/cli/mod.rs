//! The subcommands. Errors here are for a person at a terminal: what was attempted, what went wrong. Those that ask a
//! running instance (`ask`) find it by `instance`, ask it through `client` and show its answer through `output`.

mod account;
mod ask;
mod audit;
mod check;
mod client;
mod credits;
mod demo;
mod estimate;
mod exit;
#[cfg(test)]
mod fake;
mod instance;
mod key;
mod ledger;
mod optimize;
mod output;
mod plan;
mod pretty;
mod purge;
mod refusal;
mod serve;
mod sign;
mod site;
mod transfers;
mod usage;
mod when;

use std::{collections::HashMap, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use url::Url;

pub use exit::exit_code;

use crate::{
    cache::turns::DISK_THREADS,
    config::{self, Config},
    origin::lookups::MAX_LOOKUPS,
};

/// Threads for what blocks, off those that serve. Whatever the disk and the lookups of origins' names hold on to when they
/// hang, the rest is there for what else needs one: headers of images, purges, the counters, certificates.
const BLOCKING_THREADS: usize = DISK_THREADS + MAX_LOOKUPS + OTHER_THREADS;
const OTHER_THREADS: usize = 16;

/// A self-hosted, real-time image-optimization CDN edge.
#[derive(Debug, Parser)]
#[command(version, about, after_help = exit::CODES)]
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
    Optimize(Box<optimize::Optimize>),
    Sign(sign::Sign),
    #[command(flatten)]
    Ask(Box<ask::Ask>),
    /// Audit the ledger in its database, beside a running instance or without one.
    Ledger(ledger::Ledger),
}

/// The environment's variables, those that are text.
type Environment = HashMap<String, String>;

fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
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
        let config = match (&self.config, &self.origin) {
            (Some(path), _) => config::from_file(path, environment())?,
            (None, Some(origin)) => config::from_origin(origin, environment())?,
            (None, None) => anyhow::bail!("either --config FILE or --origin URL is needed"),
        };
        Ok(config)
    }
}

/// Runs a subcommand to its end.
///
/// # Errors
/// What to show the person who started it; [`exit_code`] has what to tell a script.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Serve(source) => runtime()?.block_on(serve::serve(source)),
        Command::Demo(demo) => runtime()?.block_on(demo::run(demo)),
        Command::Check { config } => check::check(&config),
        Command::Optimize(optimize) => runtime()?.block_on(optimize.run()),
        Command::Sign(sign) => output::print(&sign.run(&environment())?),
        Command::Ask(ask) => output::print(&small_runtime()?.block_on(ask.run(&environment()))?),
        Command::Ledger(ledger) => small_runtime()?.block_on(ledger.run(&environment())),
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

/// For what asks one thing after the other.
fn small_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime could not be started")
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    raise_file_limit();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("the runtime could not be started")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("lightmeter").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn these_command_lines_are_understood() {
        for line in [
            "account list",
            "account --url http://127.0.0.1:9180 list --json",
            "account show acme --config lightmeter.toml --token-file token",
            "account create acme --plan pro --idempotency-key k",
            "account plan acme pro",
            "credits grant acme 10",
            "credits grant acme 10 --kind monthly --reference x",
            "credits grant acme --pack pack-10k --reference x",
            "credits withdraw acme 10.5 --kind one_time",
            "site list --account acme",
            "site show shop",
            "site create site.json",
            "site create --id shop --account acme --host a.example --host b.example --origin https://a.example",
            "site create --id shop --account acme --host a.example --origin https://a.example --tariff egress",
            "site remove shop",
            "site allocate shop --monthly 10",
            "site allocate shop --one-time 0",
            "site allocate shop --monthly 10 --one-time 5",
            "site unallocate shop",
            "usage shop --from 2026-11-01 --to 2026-12-01T00:00:00Z --step month",
            "transfers --account acme --site shop --reason egress --from 2026-11-01 --to 2026-12-01 --limit 10",
            "transfers --all",
            "key list acme",
            "key create acme ci",
            "key revoke acme k1",
            "plan list",
            "estimate shop /a.jpg /b.jpg --width 400 --format avif,webp",
            "estimate shop /a.jpg --bytes 1000 --views 5",
            "purge shop /a.jpg --prefix /b/ --prefix /c/ --key red --key blue --soft --idempotency-key k",
            "purge shop --everything --json",
            "audit --account acme --site shop --before 7 --limit 10",
            "ledger verify --config lightmeter.toml",
            "ledger verify --data-dir data --json",
            "optimize a.jpg library -o out",
            "optimize a.jpg -o out --format avif,original --options w=800,q=70 --effort first-view --memory 512MiB --json",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn these_command_lines_are_wrong_usage() {
        for line in [
            "account",
            "account show",
            "account show ../plans",
            "account create a/b",
            "account list --token secret",
            "account list --url file:///etc/passwd",
            "account list --idempotency-key k",
            "credits grant acme",
            "credits grant acme 0",
            "credits grant acme -5",
            "credits grant acme 0.0000001",
            "credits grant acme many",
            "credits grant acme 5 --pack pack-10k",
            "credits grant acme --pack pack-10k --kind monthly",
            "credits grant acme 5 --kind yearly",
            "credits withdraw acme",
            "site create",
            "site create --id shop --account acme --host a.example",
            "site create --id shop --account acme --origin https://a.example",
            "site create site.json --id shop",
            "site create --id shop --account acme --host a.example --origin https://a.example --tariff cheap",
            "site allocate shop",
            "site allocate shop --monthly -1",
            "usage",
            "usage shop --step week",
            "usage shop --from yesterday",
            "transfers --reason because",
            "transfers --limit 0",
            "transfers --all --limit 5",
            "key create acme",
            "key revoke acme ..",
            "key revoke acme a/b",
            "estimate shop",
            "estimate shop /a.jpg --width 400 --bytes 5",
            "estimate shop /a.jpg --format gif",
            "purge",
            "purge shop",
            "purge shop --soft",
            "purge a/b /a.jpg",
            "audit --limit 0",
            "ledger verify",
            "ledger verify --config a --data-dir b",
            "optimize -o out",
            "optimize a.jpg",
            "optimize a.jpg -o out --format gif",
            "optimize a.jpg -o out --options w=wide",
            "optimize a.jpg -o out --memory lots",
        ] {
            let Err(error) = parse(line) else { panic!("{line}") };
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_help_of_what_asks_an_instance_has_the_exit_codes() {
        for line in ["--help", "account --help", "usage --help", "ledger verify --help"] {
            let help = parse(line).unwrap_err().to_string();
            assert!(help.contains("3  the instance cannot be reached"), "{line}: {help}");
        }
    }
}
