//! TLS: certificates by name. `certificate` is one of them, `shelf` where all stand that can be shown, `challenge` what is
//! shown to a certificate authority that asks whether a name leads here.

pub mod certificate;
pub mod challenge;
pub mod shelf;

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, ring};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// Who does the cryptography: the one place that says so.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Makes it that of all clients of this process too. Whoever embeds the library may have chosen another one before: that one
/// stays theirs.
pub fn install_provider() {
    let _ = CryptoProvider::install_default((*provider()).clone());
}
