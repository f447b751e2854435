//! TLS: certificates by name, and handshakes. `certificate` is one of them, `shelf` where all stand that can be shown,
//! `files` reads those of files, `challenge` is what is shown to a certificate authority that asks whether a name leads here;
//! `acceptor` does the handshakes, and `hello` reads what they begin with.

pub mod acceptor;
pub mod certificate;
pub mod challenge;
pub mod files;
mod hello;
pub mod shelf;

use std::sync::{Arc, LazyLock};

use rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    server::ProducesTickets,
};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// Who does the cryptography: the one place that says so.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// What encrypts session tickets: with keys that are in no file and change every six hours, so that what was recorded is safe
/// from who gets at this machine later.
fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    aws_lc_rs::Ticketer::new()
}

/// Makes it that of all clients of this process too. Whoever embeds the library may have chosen another one before: that one
/// stays theirs.
pub fn install_provider() {
    let _ = CryptoProvider::install_default((*provider()).clone());
}
