//! The series about TLS. No name of a host stands in them: anybody could ask for any.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::http::time::UnixSeconds;

/// All of them.
#[derive(Debug)]
pub struct TlsMetrics {
    handshakes: [IntCounter; HandshakeResult::ALL.len()],
    expiry: IntGaugeVec,
}

/// What became of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeResult {
    /// A whole one.
    Full,
    /// A session was taken up again: no certificate was shown.
    Resumed,
    /// A certificate authority's challenge was answered.
    Challenge,
    /// No certificate is for the name that was asked for.
    UnknownName,
    /// The client took too long.
    TimedOut,
    /// The client went away, or cannot speak what is spoken here.
    Failed,
}

impl HandshakeResult {
    const ALL: [Self; 6] =
        [Self::Full, Self::Resumed, Self::Challenge, Self::UnknownName, Self::TimedOut, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Challenge => "challenge",
            Self::UnknownName => "unknown_name",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }
}

/// When the first certificate expires of those that there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expiries {
    /// Of those of files.
    pub file: Option<UnixSeconds>,
    /// Of those that were issued.
    pub issued: Option<UnixSeconds>,
}

impl TlsMetrics {
    /// Sets the series up.
    ///
    /// # Errors
    /// Where two share a name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let handshakes = IntCounterVec::new(
            Opts::new("lightmeter_tls_handshakes_total", "TLS handshakes by what became of them."),
            &["result"],
        )?;
        let expiry = IntGaugeVec::new(
            Opts::new(
                "lightmeter_tls_certificate_expiry_seconds",
                "When the first certificate expires, in seconds since 1970, by where it is from.",
            ),
            &["from"],
        )?;
        registry.register(Box::new(handshakes.clone()))?;
        registry.register(Box::new(expiry.clone()))?;
        let handshakes = HandshakeResult::ALL.map(|result| handshakes.with_label_values(&[result.name()]));
        Ok(Self { handshakes, expiry })
    }

    /// Counts a handshake.
    pub fn observe(&self, result: HandshakeResult) {
        self.handshakes[result as usize].inc();
    }

    #[cfg(test)]
    pub(crate) fn count(&self, result: HandshakeResult) -> u64 {
        self.handshakes[result as usize].get()
    }

    pub(super) fn take(&self, expiries: Expiries) {
        for (from, expiry) in [("file", expiries.file), ("issued", expiries.issued)] {
            match expiry {
                Some(at) => self.expiry.with_label_values(&[from]).set(i64::try_from(at.0).unwrap_or(i64::MAX)),
                // It may never have been there.
                None => drop(self.expiry.remove_label_values(&[from])),
            }
        }
    }
}
