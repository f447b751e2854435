//! `serve`: runs until SIGTERM or SIGINT, reads its sites anew at SIGHUP.

use std::pin::pin;

use rustix::fs::Mode;
use tokio::signal::unix::SignalKind;

use super::{Source, asked_to_stop, listen};
use crate::{
    app::{App, Reloader, Stopper},
    telemetry::log,
};

pub(super) async fn serve(source: Source) -> anyhow::Result<()> {
    // The ledger, counters, keys and what is cached are this user's alone, whatever library makes their files.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let config = source.read()?;
    let _lines = log::start(&config.log)?;
    if rustix::process::geteuid().is_root() {
        tracing::warn!(
            "running as root, which nothing here needs: deploy/lightmeter.service runs it as a user of its own"
        );
    }
    let app = App::assemble(config).await?;
    let listeners = app.bind().await?;
    for (scheme, address) in listeners.edge_addresses()? {
        tracing::info!(%address, scheme = scheme.name(), "serving");
    }
    tracing::info!(address = %listeners.admin_address()?, "metrics and health");
    let watching = tokio::spawn(watch_signals(source, app.stopper(), app.reloader()));
    app.run(listeners).await?;
    watching.abort();
    tracing::info!("stopped");
    Ok(())
}

async fn watch_signals(source: Source, stopper: Stopper, reloader: Reloader) -> anyhow::Result<()> {
    let mut hang_up = listen(SignalKind::hangup())?;
    let mut stop = pin!(asked_to_stop());
    loop {
        tokio::select! {
            stopped = &mut stop => {
                stopper.stop();
                return stopped;
            }
            _ = hang_up.recv() => reload(&source, &reloader).await,
        }
    }
}

/// A configuration that is not valid changes nothing: what runs goes on.
async fn reload(source: &Source, reloader: &Reloader) {
    let config = match source.read() {
        Ok(config) => config,
        Err(error) => return tracing::error!(%error, "the configuration is not valid; the old one stays in effect"),
    };
    let sites = config.sites.len();
    match reloader.reload(config).await {
        Err(error) => tracing::error!(%error, "the configuration cannot be taken in; the old one stays in effect"),
        Ok(restart_needed) => {
            tracing::info!(sites, "sites reloaded");
            if !restart_needed.is_empty() {
                tracing::warn!(sections = restart_needed.join(", "), "these sections changed and need a restart");
            }
        }
    }
}
