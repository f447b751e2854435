//! The counters behind `/metrics`. What is counted per request is resolved to its series when a site is set up, so that a
//! hit adds to atomics and looks nothing up.

use std::time::Duration;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

use super::{
    acme::AcmeMetrics,
    billing::{BillingMetrics, MeterReadings},
    outcome::{Delivered, Outcome},
    refusals::Refusals,
    tls::{Expiries, TlsMetrics},
};
use crate::image::{format::OutputFormat, quality::Measured};

/// From a hit in memory to an origin at its limit.
const REQUEST_SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.001, 0.0025, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Points of SSIMULACRA2, closest around the usual target.
const SCORES: [f64; 14] = [30.0, 50.0, 55.0, 60.0, 65.0, 67.5, 69.0, 70.5, 72.0, 73.5, 75.0, 80.0, 90.0, 100.0];
const STAGE_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// All series of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    delivered: IntCounterVec,
    response_bytes: IntCounterVec,
    saved_bytes: IntCounterVec,
    duration: [Histogram; Outcome::ALL.len()],
    stages: HistogramVec,
    origin_fetches: IntCounterVec,
    origin_duration: Histogram,
    scores: HistogramVec,
    corrections: HistogramVec,
    /// First-view variants replaced by better ones.
    pub refinements: IntCounter,
    /// Originals decoded; several variants may share one.
    pub decodes: IntCounter,
    /// Connections open.
    pub connections: IntGauge,
    cache_entries: IntGaugeVec,
    cache_bytes: IntGaugeVec,
    cache_evictions: IntCounterVec,
    cache_corrupt: IntCounter,
    cache_refused: IntCounterVec,
    cache_known: IntGauge,
    queue_depth: IntGauge,
    queue_sites: IntGauge,
    memory_in_use: IntGaugeVec,
    /// What clients were refused.
    pub refusals: Refusals,
    /// What concerns money.
    pub billing: BillingMetrics,
    /// What concerns TLS.
    pub tls: TlsMetrics,
    /// What concerns certificates on demand.
    pub acme: AcmeMetrics,
}

/// The series of one site.
#[derive(Debug, Clone)]
pub struct SiteMetrics {
    requests: [IntCounter; Outcome::ALL.len()],
    delivered: [IntCounter; Delivered::NAMES.len()],
    response_bytes: IntCounter,
    saved_bytes: IntCounter,
}

/// What is read off the parts of the program when somebody looks.
#[derive(Debug, Clone)]
pub struct Readings {
    /// Entries and bytes in memory.
    pub memory: (u64, u64),
    /// Entries and bytes on disk.
    pub disk: (u64, u64),
    /// Entries evicted from disk so far.
    pub disk_evictions: u64,
    /// Entries on disk found to be damaged so far.
    pub disk_corrupt: u64,
    /// Reads and writes of the disk given up so far because it did not keep up.
    pub disk_refused: (u64, u64),
    /// Whether all that is on disk is known.
    pub is_disk_known: bool,
    /// Jobs in line for a core.
    pub queue_depth: usize,
    /// Sites whose jobs are in line.
    pub queue_sites: usize,
    /// Memory of codec jobs, in bytes.
    pub codec_bytes: u64,
    /// Memory of originals on their way in, in bytes.
    pub original_bytes: u64,
    /// Bytes of what passes through, on its way in.
    pub passing_bytes: u64,
    /// How metering goes.
    pub meter: MeterReadings,
    /// When certificates expire.
    pub certificates: Expiries,
}

impl Metrics {
    /// Sets the series up.
    ///
    /// # Errors
    /// Where two share a name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let durations = HistogramVec::new(
            HistogramOpts::new("lightmeter_request_duration_seconds", "From a request's head to its response's head.")
                .buckets(REQUEST_SECONDS.to_vec()),
            &["outcome"],
        )?;
        let metrics = Self {
            requests: counters("requests_total", "Requests by site and outcome.", &["site", "outcome"])?,
            delivered: counters("delivered_total", "Responses by site and format.", &["site", "format"])?,
            response_bytes: counters("response_body_bytes_total", "Body bytes written to clients.", &["site"])?,
            saved_bytes: counters(
                "saved_bytes_total",
                "Original minus variant, for each variant delivered.",
                &["site"],
            )?,
            duration: Outcome::ALL.map(|outcome| durations.with_label_values(&[outcome.name()])),
            stages: HistogramVec::new(
                HistogramOpts::new("lightmeter_transform_duration_seconds", "Codec work by stage and output format.")
                    .buckets(STAGE_SECONDS.to_vec()),
                &["stage", "format"],
            )?,
            origin_fetches: counters("origin_fetches_total", "Requests to origins by result.", &["result"])?,
            origin_duration: Histogram::with_opts(
                HistogramOpts::new(
                    "lightmeter_origin_duration_seconds",
                    "From asking an origin to its response's head.",
                )
                .buckets(REQUEST_SECONDS.to_vec()),
            )?,
            scores: HistogramVec::new(
                HistogramOpts::new(
                    "lightmeter_quality_score",
                    "SSIMULACRA2 as measured, of first views and of what was kept after correcting.",
                )
                .buckets(SCORES.to_vec()),
                &["format", "view"],
            )?,
            corrections: HistogramVec::new(
                HistogramOpts::new("lightmeter_quality_corrections", "Times a refined variant was encoded again.")
                    .buckets(vec![0.0, 1.0, 2.0, 3.0]),
                &["format"],
            )?,
            refinements: IntCounter::new("lightmeter_refinements_total", "Variants replaced by better ones.")?,
            decodes: IntCounter::new("lightmeter_decodes_total", "Originals decoded; several variants may share one.")?,
            connections: IntGauge::new("lightmeter_connections", "Client connections open.")?,
            cache_entries: gauges("cache_entries", "Entries by tier.", &["tier"])?,
            cache_bytes: gauges("cache_bytes", "Bytes by tier.", &["tier"])?,
            cache_evictions: counters("cache_evictions_total", "Entries evicted by tier.", &["tier"])?,
            cache_corrupt: IntCounter::new(
                "lightmeter_cache_corrupt_total",
                "Entries on disk found damaged, and dropped.",
            )?,
            cache_refused: counters(
                "cache_disk_refused_total",
                "Reads (misses then) and writes of the disk given up because it did not keep up.",
                &["operation"],
            )?,
            cache_known: IntGauge::new(
                "lightmeter_cache_disk_known",
                "1 once all that is on disk is counted; it is served before, too.",
            )?,
            queue_depth: IntGauge::new("lightmeter_queue_depth", "Codec jobs in line.")?,
            queue_sites: IntGauge::new("lightmeter_queue_sites", "Sites whose codec jobs are in line.")?,
            memory_in_use: gauges("memory_budget_in_use_bytes", "Memory budget in use.", &["part"])?,
            refusals: Refusals::new(&registry)?,
            billing: BillingMetrics::new(&registry)?,
            tls: TlsMetrics::new(&registry)?,
            acme: AcmeMetrics::new(&registry)?,
            registry,
        };
        metrics.register(durations)?;
        Ok(metrics)
    }

    fn register(&self, durations: HistogramVec) -> Result<(), prometheus::Error> {
        let collectors: [Box<dyn Collector>; 22] = [
            Box::new(self.requests.clone()),
            Box::new(self.delivered.clone()),
            Box::new(self.response_bytes.clone()),
            Box::new(self.saved_bytes.clone()),
            Box::new(durations),
            Box::new(self.stages.clone()),
            Box::new(self.origin_fetches.clone()),
            Box::new(self.origin_duration.clone()),
            Box::new(self.scores.clone()),
            Box::new(self.corrections.clone()),
            Box::new(self.refinements.clone()),
            Box::new(self.decodes.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.cache_entries.clone()),
            Box::new(self.cache_bytes.clone()),
            Box::new(self.cache_evictions.clone()),
            Box::new(self.cache_corrupt.clone()),
            Box::new(self.cache_refused.clone()),
            Box::new(self.cache_known.clone()),
            Box::new(self.queue_depth.clone()),
            Box::new(self.queue_sites.clone()),
            Box::new(self.memory_in_use.clone()),
        ];
        collectors.into_iter().try_for_each(|collector| self.registry.register(collector))
    }

    /// The series of the site with this id.
    #[must_use]
    pub fn site(&self, id: &str) -> SiteMetrics {
        SiteMetrics {
            requests: Outcome::ALL.map(|outcome| self.requests.with_label_values(&[id, outcome.name()])),
            delivered: Delivered::NAMES.map(|format| self.delivered.with_label_values(&[id, format])),
            response_bytes: self.response_bytes.with_label_values(&[id]),
            saved_bytes: self.saved_bytes.with_label_values(&[id]),
        }
    }

    /// Counts how long a response's head took.
    pub fn observe_request(&self, outcome: Outcome, took: Duration) {
        self.duration[outcome.index()].observe(took.as_secs_f64());
    }

    /// Counts the stages of one job.
    pub fn observe_stages(&self, format: OutputFormat, decode: Duration, resize: Duration, encode: Duration) {
        for (stage, took) in [("decode", decode), ("resize", resize), ("encode", encode)] {
            self.stages.with_label_values(&[stage, format.name()]).observe(took.as_secs_f64());
        }
    }

    /// Counts what was measured of a variant.
    pub fn observe_quality(&self, format: OutputFormat, quality: &Measured) {
        let scores = [("first", quality.first_view), ("kept", Some(quality.score))];
        for (view, score) in scores {
            if let Some(score) = score {
                self.scores.with_label_values(&[format.name(), view]).observe(f64::from(score));
            }
        }
        let corrections = f64::from(quality.tries.saturating_sub(1));
        self.corrections.with_label_values(&[format.name()]).observe(corrections);
    }

    /// Counts one request to an origin.
    pub fn observe_fetch(&self, result: &str, took: Duration) {
        self.origin_fetches.with_label_values(&[result]).inc();
        self.origin_duration.observe(took.as_secs_f64());
    }

    /// All series in Prometheus' text format.
    ///
    /// # Errors
    /// Where a series cannot be written, which none can by its type.
    pub fn render(&self, readings: &Readings) -> Result<Vec<u8>, prometheus::Error> {
        self.take(readings);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    fn take(&self, readings: &Readings) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for (tier, (entries, bytes)) in [("memory", readings.memory), ("disk", readings.disk)] {
            self.cache_entries.with_label_values(&[tier]).set(gauge(entries));
            self.cache_bytes.with_label_values(&[tier]).set(gauge(bytes));
        }
        catch_up(&self.cache_evictions.with_label_values(&["disk"]), readings.disk_evictions);
        catch_up(&self.cache_corrupt, readings.disk_corrupt);
        for (operation, refused) in [("read", readings.disk_refused.0), ("write", readings.disk_refused.1)] {
            catch_up(&self.cache_refused.with_label_values(&[operation]), refused);
        }
        self.cache_known.set(readings.is_disk_known.into());
        self.queue_depth.set(gauge(readings.queue_depth as u64));
        self.queue_sites.set(gauge(readings.queue_sites as u64));
        self.memory_in_use.with_label_values(&["codecs"]).set(gauge(readings.codec_bytes));
        self.memory_in_use.with_label_values(&["originals"]).set(gauge(readings.original_bytes));
        self.memory_in_use.with_label_values(&["passing"]).set(gauge(readings.passing_bytes));
        self.billing.take(&readings.meter);
        self.tls.take(readings.certificates);
    }
}

impl SiteMetrics {
    /// Counts a response whose body is through: `sent` bytes of it were taken by the connection.
    pub fn observe(&self, outcome: Outcome, delivered: Delivered, sent: u64, saved: u64) {
        self.requests[outcome.index()].inc();
        self.delivered[delivered.index()].inc();
        self.response_bytes.inc_by(sent);
        self.saved_bytes.inc_by(saved);
    }
}

fn catch_up(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(format!("lightmeter_{name}"), help), labels)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(format!("lightmeter_{name}"), help), labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::time::UnixSeconds, telemetry::tls::HandshakeResult};

    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.site("shop").observe(Outcome::Hit, Delivered::Variant(OutputFormat::Avif), 1_000, 9_000);
        metrics.observe_request(Outcome::Hit, Duration::from_micros(50));
        let quality = Measured { score: 71.9, setting: Some(30.0), tries: 2, first_view: Some(66.0) };
        metrics.observe_quality(OutputFormat::Avif, &quality);
        let readings = Readings {
            memory: (1, 1_000),
            disk: (2, 4_096),
            disk_evictions: 3,
            disk_corrupt: 1,
            disk_refused: (4, 5),
            is_disk_known: true,
            queue_depth: 0,
            queue_sites: 0,
            codec_bytes: 0,
            original_bytes: 0,
            passing_bytes: 0,
            meter: MeterReadings {
                unposted: vec![("shop".to_owned(), 7)],
                lag_seconds: 0.5,
                is_ledger_available: true,
            },
            certificates: Expiries { file: Some(UnixSeconds(1_800_000_000)), issued: None },
        };
        metrics.tls.observe(HandshakeResult::Resumed);
        let text = String::from_utf8(metrics.render(&readings).unwrap()).unwrap();
        for line in [
            "lightmeter_requests_total{outcome=\"hit\",site=\"shop\"} 1",
            "lightmeter_delivered_total{format=\"avif\",site=\"shop\"} 1",
            "lightmeter_response_body_bytes_total{site=\"shop\"} 1000",
            "lightmeter_saved_bytes_total{site=\"shop\"} 9000",
            "lightmeter_request_duration_seconds_bucket{outcome=\"hit\",le=\"0.0001\"} 1",
            "lightmeter_cache_evictions_total{tier=\"disk\"} 3",
            "lightmeter_cache_bytes{tier=\"disk\"} 4096",
            "lightmeter_cache_disk_refused_total{operation=\"read\"} 4",
            "lightmeter_cache_disk_refused_total{operation=\"write\"} 5",
            "lightmeter_cache_disk_known 1",
            "lightmeter_unposted_bytes{site=\"shop\"} 7",
            "lightmeter_posting_lag_seconds 0.5",
            "lightmeter_quality_score_bucket{format=\"avif\",view=\"first\",le=\"67.5\"} 1",
            "lightmeter_quality_score_bucket{format=\"avif\",view=\"kept\",le=\"70.5\"} 0",
            "lightmeter_quality_corrections_sum{format=\"avif\"} 1",
            "lightmeter_tls_handshakes_total{result=\"resumed\"} 1",
            "lightmeter_tls_certificate_expiry_seconds{from=\"file\"} 1800000000",
            "lightmeter_ledger_available 1",
            "lightmeter_ledger_errors_total{operation=\"post\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
