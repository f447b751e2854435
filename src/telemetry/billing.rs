//! The series about money: what was spent and on what, what is left, what may be done with it, and how the ledger fares.

use prometheus::{CounterVec, Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::billing::{Balance, Component, Entitlement, Kind, Microcredits};

/// All of them.
#[derive(Debug)]
pub struct BillingMetrics {
    spent: CounterVec,
    written_off: CounterVec,
    balance: GaugeVec,
    entitlement: IntGaugeVec,
    unposted_bytes: IntGaugeVec,
    posting_lag: Gauge,
    ledger_errors: IntCounterVec,
    ledger_available: IntGauge,
}

/// What is read off the meter when somebody looks.
#[derive(Debug, Clone, Default)]
pub struct MeterReadings {
    /// By site, egress bytes that the ledger does not have yet.
    pub unposted: Vec<(String, u64)>,
    /// How long ago everything counted was in the ledger.
    pub lag_seconds: f64,
    /// Whether the ledger could be used the last time.
    pub is_ledger_available: bool,
}

impl BillingMetrics {
    /// Sets the series up.
    ///
    /// # Errors
    /// Where two share a name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("lightmeter_{name}"), help);
        let metrics = Self {
            spent: CounterVec::new(
                opts("credits_spent_total", "Credits that this process has charged, by site and component."),
                &["site", "component"],
            )?,
            written_off: CounterVec::new(
                opts("credits_written_off_total", "Credits' worth of bytes sent for which nothing was left."),
                &["site"],
            )?,
            balance: GaugeVec::new(
                opts(
                    "credit_balance",
                    "Credits that a site may draw on: its allocation's, or the account's unallocated.",
                ),
                &["site", "kind"],
            )?,
            entitlement: IntGaugeVec::new(
                opts("entitlement", "1: a site's images are optimized; 0: essential mode."),
                &["site"],
            )?,
            unposted_bytes: IntGaugeVec::new(
                opts("unposted_bytes", "Egress counted and not posted to the ledger yet."),
                &["site"],
            )?,
            posting_lag: Gauge::with_opts(opts(
                "posting_lag_seconds",
                "How long ago all that had been counted was in the ledger.",
            ))?,
            ledger_errors: IntCounterVec::new(
                opts("ledger_errors_total", "Attempts to use the ledger that failed, by operation."),
                &["operation"],
            )?,
            ledger_available: IntGauge::with_opts(opts("ledger_available", "1 while the ledger can be written."))?,
        };
        registry.register(Box::new(metrics.spent.clone()))?;
        registry.register(Box::new(metrics.written_off.clone()))?;
        registry.register(Box::new(metrics.balance.clone()))?;
        registry.register(Box::new(metrics.entitlement.clone()))?;
        registry.register(Box::new(metrics.unposted_bytes.clone()))?;
        registry.register(Box::new(metrics.posting_lag.clone()))?;
        registry.register(Box::new(metrics.ledger_errors.clone()))?;
        registry.register(Box::new(metrics.ledger_available.clone()))?;
        // An alert on their rise needs them to be there before the first error.
        for operation in ["charge", "post"] {
            metrics.ledger_errors.with_label_values(&[operation]);
        }
        Ok(metrics)
    }

    /// Counts what a site was charged for a delivery.
    pub fn spent_on_components(&self, site: &str, components: &[Component]) {
        for component in components {
            self.spent.with_label_values(&[site, component.name()]).inc_by(Component::PRICE.to_credits());
        }
    }

    /// Counts what a site was charged for bytes sent, and what it could not be charged.
    pub fn spent_on_egress(&self, site: &str, charged: Microcredits, written_off: Microcredits) {
        if !charged.is_zero() {
            self.spent.with_label_values(&[site, "egress"]).inc_by(charged.to_credits());
        }
        if !written_off.is_zero() {
            self.written_off.with_label_values(&[site]).inc_by(written_off.to_credits());
        }
    }

    /// Shows what a site may draw on and do.
    pub fn show_site(&self, site: &str, balance: Balance, entitlement: Entitlement) {
        for kind in Kind::ALL {
            self.balance.with_label_values(&[site, kind.name()]).set(balance.of(kind).to_credits());
        }
        self.entitlement.with_label_values(&[site]).set(i64::from(entitlement == Entitlement::Optimize));
    }

    /// Takes the series of a site away that is gone.
    pub fn forget_site(&self, site: &str) {
        for kind in Kind::ALL {
            // It may never have been shown.
            let _ = self.balance.remove_label_values(&[site, kind.name()]);
        }
        let _ = self.entitlement.remove_label_values(&[site]);
        let _ = self.unposted_bytes.remove_label_values(&[site]);
    }

    /// Counts a failed attempt to use the ledger.
    pub fn ledger_error(&self, operation: &str) {
        self.ledger_errors.with_label_values(&[operation]).inc();
    }

    pub(super) fn take(&self, readings: &MeterReadings) {
        for (site, bytes) in &readings.unposted {
            self.unposted_bytes.with_label_values(&[site]).set(i64::try_from(*bytes).unwrap_or(i64::MAX));
        }
        self.posting_lag.set(readings.lag_seconds);
        self.ledger_available.set(i64::from(readings.is_ledger_available));
    }
}
