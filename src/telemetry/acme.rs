//! The series about certificates on demand. No name of a host stands in them.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// All of them.
#[derive(Debug)]
pub struct AcmeMetrics {
    orders: [IntCounter; OrderResult::ALL.len()],
    /// Certificates that were issued and are shown.
    pub held: IntGauge,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderResult {
    /// A certificate.
    Issued,
    /// None; it is tried again later.
    Failed,
}

impl OrderResult {
    const ALL: [Self; 2] = [Self::Issued, Self::Failed];

    const fn name(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Failed => "failed",
        }
    }
}

impl AcmeMetrics {
    /// Sets the series up.
    ///
    /// # Errors
    /// Where two share a name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let orders = IntCounterVec::new(
            Opts::new("lightmeter_acme_orders_total", "Certificates ordered, by what became of it."),
            &["result"],
        )?;
        let held = IntGauge::new("lightmeter_acme_certificates", "Certificates that were issued and are shown.")?;
        registry.register(Box::new(orders.clone()))?;
        registry.register(Box::new(held.clone()))?;
        Ok(Self { orders: OrderResult::ALL.map(|result| orders.with_label_values(&[result.name()])), held })
    }

    /// Counts an order.
    pub fn observe(&self, result: OrderResult) {
        self.orders[result as usize].inc();
    }
}
