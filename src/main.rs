//! The `lightmeter` program: parses its arguments and runs the subcommand.

use std::process::ExitCode;

use clap::Parser as _;
use lightmeter::cli::{self, Arguments};

/// Codec work allocates and frees large blocks from many threads, which the system's allocator keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lightmeter: {error:#}");
            cli::exit_code(&error)
        }
    }
}
