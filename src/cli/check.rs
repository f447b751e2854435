//! `check`: validates a configuration and prints it with all defaults, without secrets.

use std::path::Path;

use super::Source;

pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    let config = Source { config: Some(path.to_owned()), origin: None }.read()?;
    print!("{}", toml::to_string(&config)?);
    eprintln!("{}: valid", path.display());
    Ok(())
}
