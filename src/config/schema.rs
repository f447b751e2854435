//! What may stand in the configuration, with the defaults. `config/lightmeter.toml` documents each key for operators;
//! an unknown key is an error.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU64, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use super::{
    networks::Networks,
    quality::DefaultQuality,
    signing::SigningKey,
    tls::Tls,
    units::{ByteSize, Span},
};
use crate::{
    billing::{self, BytesPerCredit},
    image::{AvifEncoder, Limits, Settings, quality::DEFAULT_TARGET},
    request::signature::Signing,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The whole configuration.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The side that visitors see.
    pub edge: Edge,
    /// Metrics and health.
    pub admin: Admin,
    /// Where state is kept.
    pub storage: Storage,
    /// Bounds of the cache.
    pub cache: Cache,
    /// Timeouts and limits towards origins.
    pub origin: Origin,
    /// Bounds and settings of the codec work.
    pub images: Images,
    /// Metering.
    pub billing: Billing,
    /// Logs.
    pub log: Log,
    /// Switches for development.
    pub dev: Dev,
    /// What accounts can subscribe to.
    pub plans: Plans,
    /// Who the sites belong to.
    #[serde(rename = "account")]
    pub accounts: Vec<AccountConfig>,
    /// The sites served.
    #[serde(rename = "site")]
    pub sites: Vec<SiteConfig>,
}

/// `[edge]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edge {
    /// Where plain HTTP/1.1 and HTTP/2 with prior knowledge are served.
    #[serde(deserialize_with = "one_or_many", serialize_with = "as_list")]
    pub http: Vec<SocketAddr>,
    /// This installation's name in `Via` and `CDN-Loop` (an RFC 9110 token).
    pub name: String,
    /// Connections open at once; further ones wait in the listen queue.
    pub max_connections: usize,
    /// Of these, those of one client address (IPv6: of one /64); further ones are closed.
    pub max_connections_per_address: usize,
    /// Longest wait for a request's head, an idle connection of either HTTP included.
    pub header_timeout: Span,
    /// Longest that a client may take for 16 KiB of a request's body, or its end.
    pub body_timeout: Span,
    /// Longest that a client may take to take 32 KiB of a response, or all there is.
    pub write_timeout: Span,
    /// A whole request, from its head to the end of its response.
    pub request_timeout: Span,
    /// How long connections may finish their work after SIGTERM.
    pub drain_timeout: Span,
    /// https.
    pub tls: Tls,
    /// Networks of proxies that are believed in what they say of their clients.
    pub trusted_proxies: Networks,
    /// Whether each connection begins with a PROXY protocol header, from one of them.
    pub proxy_protocol: bool,
    /// How often clients may ask.
    pub limits: RequestLimits,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            http: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            name: "lightmeter".to_owned(),
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            header_timeout: Span(Duration::from_secs(30)),
            body_timeout: Span(Duration::from_secs(30)),
            write_timeout: Span(Duration::from_secs(30)),
            request_timeout: Span(Duration::from_secs(3_600)),
            drain_timeout: Span(Duration::from_secs(30)),
            tls: Tls::default(),
            trusted_proxies: Networks::default(),
            proxy_protocol: false,
            limits: RequestLimits::default(),
        }
    }
}

/// `[edge.limits]`
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Requests a second of one client address (IPv6: of one /64), in the long run; 0 is no bound.
    pub requests_per_second_per_address: u32,
    /// Requests that it may make at once; 0 is a second's worth.
    pub burst_per_address: u32,
}

/// `[admin]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub listen: SocketAddr,
    /// The operator's token; never printed.
    #[serde(skip_serializing)]
    pub token: Option<String>,
    /// A file that holds the operator's token.
    pub token_file: Option<PathBuf>,
}

impl Admin {
    /// The shortest token that protects a listener which others can reach: 32 hexadecimal digits are 128 random bits.
    pub const MIN_EXPOSED_TOKEN_BYTES: usize = 32;

    /// Whether others than this machine can reach the listener.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback()
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9180)), token: None, token_file: None }
    }
}

/// `[storage]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The directory of the disk cache.
    pub data_dir: PathBuf,
}

impl Default for Storage {
    fn default() -> Self {
        Self { data_dir: PathBuf::from("./data") }
    }
}

/// `[cache]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Bytes of hot entries held in memory.
    pub memory_bytes: ByteSize,
    /// Bytes of entries on disk.
    pub disk_bytes: ByteSize,
    /// Purges of URLs, prefixes and surrogate keys that are kept apart, of all sites together.
    pub max_purges: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self { memory_bytes: ByteSize(512 * MIB), disk_bytes: ByteSize(20 * GIB), max_purges: 100_000 }
    }
}

/// `[origin]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Origin {
    /// Name resolution and connecting together.
    pub connect_timeout: Span,
    /// From sending a request to its response's head; for passed-through requests too, uploads apart.
    pub first_byte_timeout: Span,
    /// A whole image fetch, redirects and body included.
    pub total_timeout: Span,
    /// Longest pause inside a passed-through body.
    pub idle_timeout: Span,
    /// An original larger than this is passed through, not developed.
    pub max_body_bytes: ByteSize,
    /// Redirects followed for an image.
    pub max_redirects: usize,
    /// Requests to origins under way at once, a quarter of them for one site; further ones get 503. As many again are read by
    /// visitors as they come.
    pub max_requests: usize,
    /// How long a failure (no connection, timeout, 5xx) is remembered before the origin is asked again.
    pub failure_ttl: Span,
    /// How long a 404 or 410 for an image is remembered where the origin does not say.
    pub not_found_ttl: Span,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            connect_timeout: Span(Duration::from_secs(2)),
            first_byte_timeout: Span(Duration::from_secs(10)),
            total_timeout: Span(Duration::from_secs(30)),
            idle_timeout: Span(Duration::from_secs(60)),
            max_body_bytes: ByteSize(64 * MIB),
            max_redirects: 4,
            max_requests: 1_024,
            failure_ttl: Span(Duration::from_secs(2)),
            not_found_ttl: Span(Duration::from_secs(10)),
        }
    }
}

/// `[images]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Images {
    /// Memory of all codec work together: three quarters admit jobs, one quarter holds originals under way.
    pub memory_budget: ByteSize,
    /// A source with more pixels is passed through.
    pub max_pixels: u64,
    /// A variant with more pixels is not made: the original is served.
    pub max_output_pixels: u64,
    /// An animation with more frames is passed through.
    pub max_animation_frames: u32,
    /// An animation is passed through whose canvases have more pixels together.
    pub max_animation_pixels: u64,
    /// Jobs waiting for a core, a quarter of them of one site; beyond it originals are served.
    pub max_queue: usize,
    /// Different sizes made of one source within 24 hours; 0 is no bound.
    pub max_sizes: usize,
    /// Codec threads; 0 is one a core.
    pub threads: usize,
    /// Quality where neither request nor site names one.
    pub quality: DefaultQuality,
    /// What `auto` aims at: a score of SSIMULACRA2.
    pub quality_target: u8,
    /// What it aims at for clients that ask to save data (`Save-Data: on`), if that is less.
    pub save_data_target: u8,
    /// Make first views again, smaller and nearer to their target, when the machine is idle.
    pub refine: bool,
    /// How long a source that could not be developed is not tried again.
    pub undevelopable_ttl: Span,
    /// AVIF.
    pub avif: Avif,
}

impl Images {
    /// What the pipeline is told of it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            limits: Limits {
                max_pixels: self.max_pixels,
                max_output_pixels: self.max_output_pixels,
                max_animation_frames: self.max_animation_frames,
                max_animation_pixels: self.max_animation_pixels,
            },
            avif_encoder: self.avif.encoder,
        }
    }
}

impl Default for Images {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            memory_budget: ByteSize(GIB),
            max_pixels: limits.max_pixels,
            max_output_pixels: limits.max_output_pixels,
            max_animation_frames: limits.max_animation_frames,
            max_animation_pixels: limits.max_animation_pixels,
            max_queue: 256,
            max_sizes: 200,
            threads: 0,
            quality: DefaultQuality::Auto,
            quality_target: DEFAULT_TARGET,
            save_data_target: 60,
            refine: true,
            undevelopable_ttl: Span(Duration::from_secs(3_600)),
            avif: Avif::default(),
        }
    }
}

/// `[images.avif]`
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Avif {
    /// Which encoder makes AVIF.
    pub encoder: AvifEncoder,
}

/// `[billing]`
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Billing {
    /// How long a variant waits for its charge to be durable before the original is served in its place.
    pub charge_timeout: Span,
    /// Charges remembered in memory, so that the ledger is not asked again.
    pub known_charges: u64,
}

impl Default for Billing {
    fn default() -> Self {
        Self { charge_timeout: Span(Duration::from_secs(2)), known_charges: 1 << 18 }
    }
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How lines are written, to standard error.
    pub format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or `tracing` directives.
    pub level: String,
    /// Whether each request is logged.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".to_owned(), access: true }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// `[dev]`
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dev {
    /// Whether time stands where `POST /api/v1/test-clock` puts it; never in production.
    pub test_clock: bool,
}

/// `[plans]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plans {
    /// A file of plans and packs that takes the place of those compiled in.
    pub file: Option<PathBuf>,
}

/// `[[account]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// The account's name in `account` of its sites.
    pub id: String,
    /// The account's plan.
    #[serde(default = "free_plan")]
    pub plan: String,
}

fn free_plan() -> String {
    "free".to_owned()
}

/// `[[site]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// The site's name in metrics, logs and cache keys.
    pub id: String,
    /// The account that pays.
    #[serde(default)]
    pub account: Option<String>,
    /// Host names served, exact, `*.example.com`, or `*` for any.
    pub hosts: Vec<String>,
    /// Where originals live; the request's path is appended.
    pub origin: Url,
    /// How usage becomes credits.
    #[serde(default)]
    pub tariff: Tariff,
    /// With the tariff `egress`: how many bytes a credit is.
    #[serde(default)]
    pub bytes_per_credit: Option<NonZeroU64>,
    /// What is served when the credits are gone.
    #[serde(default)]
    pub essential: Essential,
    /// How originals are served then.
    #[serde(default)]
    pub essential_delivery: EssentialDelivery,
    /// What the first view of a variant gets.
    #[serde(default)]
    pub first_view: FirstView,
    /// Further hosts that URL-style requests and redirects may name: exact or `*.example.com`.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Whether origins on private and loopback addresses may be asked.
    #[serde(default)]
    pub allow_private_origin: bool,
    /// Freshness of originals whose origin says nothing.
    #[serde(default = "one_hour")]
    pub default_ttl: Span,
    /// The shortest that anything is fresh, whatever lifetime the origin gives.
    #[serde(default = "no_time")]
    pub min_ttl: Span,
    /// The longest that anything is fresh.
    #[serde(default = "one_year")]
    pub max_ttl: Span,
    /// Of the time since `Last-Modified`, the part that something is fresh for whose origin gives no lifetime.
    #[serde(default)]
    pub heuristic_percent: u8,
    /// For how long something stale stands in for an origin that fails and gives no time for that.
    #[serde(default = "thirty_days")]
    pub stale_if_error: Span,
    /// What is done with what is no image.
    #[serde(default)]
    pub passthrough: Passthrough,
    /// Freshness of what is no image and whose origin says nothing.
    #[serde(default = "no_time")]
    pub passthrough_ttl: Span,
    /// `max-age` of an original that stands in for a variant that is not ready.
    #[serde(default = "ten_seconds")]
    pub fallback_ttl: Span,
    /// Quality of this site where a request names none.
    #[serde(default)]
    pub quality: Option<DefaultQuality>,
    /// What `auto` aims at here.
    #[serde(default)]
    pub quality_target: Option<u8>,
    /// And for clients that ask to save data.
    #[serde(default)]
    pub save_data_target: Option<u8>,
    /// What becomes of visitors who come in the clear.
    #[serde(default)]
    pub https: HttpsUse,
    /// For how long browsers are told to come by https only; nothing is told if left out.
    #[serde(default)]
    pub hsts: Option<Span>,
    /// Whether that holds for all names below the site's own too.
    #[serde(default)]
    pub hsts_include_subdomains: bool,
    /// Which of its URLs must be signed.
    #[serde(default)]
    pub signing: Signing,
    /// Whether options may be asked for by the names of presets only.
    #[serde(default)]
    pub presets_only: bool,
    /// Options by names of the site's own.
    #[serde(default)]
    pub presets: BTreeMap<String, String>,
    /// What its URLs are signed with: the first signs, each is good for verifying.
    #[serde(default)]
    pub signing_keys: Vec<SigningKey>,
    /// Requests a second, in the long run; 0 is no bound.
    #[serde(default)]
    pub requests_per_second: u32,
    /// Requests at once; 0 is a second's worth.
    #[serde(default)]
    pub burst: u32,
}

impl SiteConfig {
    /// How it is rated by what it says itself: its account's plan may make another tariff of that (rule 20).
    #[must_use]
    pub fn billing_tariff(&self) -> billing::Tariff {
        match self.tariff {
            Tariff::Variants => billing::Tariff::Variants,
            Tariff::Egress => billing::Tariff::Egress {
                rate: self.bytes_per_credit.map_or_else(BytesPerCredit::default, BytesPerCredit),
            },
        }
    }
}

fn one_hour() -> Span {
    Span(Duration::from_secs(3_600))
}

fn no_time() -> Span {
    Span(Duration::ZERO)
}

fn one_year() -> Span {
    Span(Duration::from_secs(365 * 86_400))
}

fn thirty_days() -> Span {
    Span(Duration::from_secs(30 * 86_400))
}

fn ten_seconds() -> Span {
    Span(Duration::from_secs(10))
}

/// How usage becomes credits (`billing.md`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tariff {
    /// Per image size and format every 30 days.
    #[default]
    Variants,
    /// Per byte delivered.
    Egress,
}

/// What is served when the credits are gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Essential {
    /// Originals.
    #[default]
    Live,
    /// What is already optimized.
    Local,
}

/// How originals are served in essential mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EssentialDelivery {
    /// Through the edge.
    #[default]
    Stream,
    /// By a redirect to the origin, where that is another host.
    Redirect,
}

/// What becomes of visitors who come in the clear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpsUse {
    /// They are served.
    #[default]
    Optional,
    /// They are sent to https.
    Redirect,
}

/// What is done with what is no image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Passthrough {
    /// It is kept as the origin allows.
    #[default]
    Cache,
    /// Each request for it goes to the origin.
    Forward,
}

/// What the first view of a variant gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstView {
    /// The original at once; the variant is made meanwhile.
    Original,
    /// The variant if it is ready within this time of the request's arrival, else the original.
    Within(Duration),
    /// The variant, as long as it takes.
    Always,
}

impl Default for FirstView {
    fn default() -> Self {
        Self::Within(Duration::from_millis(300))
    }
}

impl<'de> Deserialize<'de> for FirstView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "original" => Ok(Self::Original),
            "always" => Ok(Self::Always),
            other => Span::from_str(other).map(|span| Self::Within(span.0)).map_err(|_| {
                de::Error::custom(format_args!(
                    "invalid value {other:?}: expected \"original\", \"always\" or a duration such as \"300ms\""
                ))
            }),
        }
    }
}

impl Serialize for FirstView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Original => serializer.serialize_str("original"),
            Self::Within(duration) => serializer.collect_str(&Span(*duration)),
            Self::Always => serializer.serialize_str("always"),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(SocketAddr),
    Many(Vec<SocketAddr>),
}

pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    match OneOrMany::deserialize(deserializer) {
        Ok(OneOrMany::One(address)) => Ok(vec![address]),
        Ok(OneOrMany::Many(addresses)) => Ok(addresses),
        Err(_) => Err(de::Error::custom("expected an address such as \"127.0.0.1:8080\", or a list of them")),
    }
}

pub(super) fn as_list<S: Serializer>(addresses: &[SocketAddr], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(addresses)
}

/// The smallest memory budget that can develop anything worth the name.
pub(super) const MIN_MEMORY_BUDGET: u64 = 32 * MIB;
/// The smallest cache that holds an image.
pub(super) const MIN_CACHE_BYTES: u64 = 64 * KIB;
