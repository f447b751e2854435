//! What was refused or cut off because a client took too much, by reason.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A client has as many connections as it may.
    AddressConnections,
    /// It asks too often.
    AddressRate,
    /// A site is asked too often.
    SiteRate,
    /// A connection began with no PROXY protocol header, or whose is not believed.
    ProxyHeader,
    /// A request's body came too slowly.
    SlowBody,
    /// A stream of HTTP/2 did not go on.
    StalledStream,
    /// A request took too long in all.
    LongRequest,
}

impl Refused {
    const ALL: [(Self, &str); 7] = [
        (Self::AddressConnections, "address_connections"),
        (Self::AddressRate, "address_rate"),
        (Self::SiteRate, "site_rate"),
        (Self::ProxyHeader, "proxy_header"),
        (Self::SlowBody, "slow_body"),
        (Self::StalledStream, "stalled_stream"),
        (Self::LongRequest, "long_request"),
    ];
}

/// A series for each.
#[derive(Debug)]
pub struct Refusals([IntCounter; Refused::ALL.len()]);

impl Refusals {
    /// Sets the series up.
    ///
    /// # Errors
    /// Where another has its name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Connections, requests and streams refused or cut off at a limit of clients, by reason.";
        let refused = IntCounterVec::new(Opts::new("lightmeter_refused_total", help), &["reason"])?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self(Refused::ALL.map(|(_, name)| refused.with_label_values(&[name]))))
    }

    /// That of a reason.
    #[must_use]
    pub const fn of(&self, reason: Refused) -> &IntCounter {
        &self.0[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_series() {
        let registry = Registry::new();
        let refusals = Refusals::new(&registry).unwrap();
        for (place, (reason, _)) in Refused::ALL.into_iter().enumerate() {
            refusals.of(reason).inc_by(place as u64 + 1);
        }
        let family = registry.gather();
        for (place, (_, name)) in Refused::ALL.into_iter().enumerate() {
            let series = family[0].get_metric().iter().find(|series| series.get_label()[0].value() == name).unwrap();
            assert_eq!(series.get_counter().get_value(), place as f64 + 1.0, "{name}");
        }
    }
}
