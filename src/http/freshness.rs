//! How long a stored response may be used (RFC 9111, 4.2): what the origin says, within the bounds that the site sets; a
//! heuristic (4.2.2) only where the site asks for one. What cannot be read, or stands twice and differs, makes a response
//! stale the sooner.

use std::time::Duration;

use http::{
    HeaderMap, StatusCode,
    header::{AGE, DATE, EXPIRES, LAST_MODIFIED},
};
use serde::{Deserialize, Serialize};

pub use super::storability::{Credentials, Exchange, NotStorable, storable, storable_image};
use super::{
    cache_control::{CacheControl, MAX_DELTA_SECONDS, Source, digits_seconds},
    date,
    storability::{is_heuristically_cacheable, is_passing_error},
    time::UnixSeconds,
};

/// The longest that an error is kept, whatever is said: what is wrong now may be right in a minute. Errors that tell of the
/// request or of what is there (404, 405, 410, 414, 451, 501) live as long as anything.
pub const MAX_ERROR_LIFETIME: Duration = Duration::from_secs(60);

/// The age of a response whose `Age` cannot be read: more than any lifetime and any window behind it.
const UNREADABLE_AGE: u64 = 4 * MAX_DELTA_SECONDS;

/// For how long what was stored before there were windows may stand in for an origin that fails.
const STALE_IF_ERROR_BEFORE: u64 = 30 * 86_400;

/// What a site says of lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Where the origin says nothing.
    pub default: Duration,
    /// The shortest. It lengthens what the origin gives, even a zero, but not where the origin wants every use validated
    /// (`no-cache`, or a zero with `must-revalidate`), and it stores nothing that may not be stored.
    pub min: Duration,
    /// The longest, whoever gives it.
    pub max: Duration,
    /// Where the origin gives `Last-Modified` and no lifetime: this part of the time since then. 0: no heuristics.
    pub heuristic_percent: u8,
    /// For how long after its lifetime it may stand in for an origin that fails, where the origin gives no window.
    pub stale_if_error: Duration,
}

/// What the origin says, and nothing else.
impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            default: Duration::ZERO,
            min: Duration::ZERO,
            max: Duration::from_secs(MAX_DELTA_SECONDS),
            heuristic_percent: 0,
            stale_if_error: Duration::ZERO,
        }
    }
}

/// When a stored response was made, how long it is fresh, and for what it may be used then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// When it came from the origin, or was last validated.
    pub received_at: UnixSeconds,
    /// How old it was then, in seconds (`Age`, or what `Date` shows).
    pub initial_age: u64,
    /// How many seconds after its making it is fresh.
    pub lifetime: u64,
    /// Once stale, it may not be used unvalidated: neither while it is validated nor for an origin that fails.
    pub must_revalidate: bool,
    /// For how many seconds of being stale it may be used while it is validated (RFC 5861, 3).
    #[serde(default)]
    pub stale_while_revalidate: u64,
    /// For how many seconds of being stale it may stand in for an origin that fails (RFC 5861, 4).
    #[serde(default = "stale_if_error_before")]
    pub stale_if_error: u64,
}

const fn stale_if_error_before() -> u64 {
    STALE_IF_ERROR_BEFORE
}

impl Freshness {
    /// Reads the lifetime of a response: `s-maxage`, else `max-age`, else `Expires` − `Date`, else a heuristic, else the
    /// site's default; 0 with `no-cache`.
    ///
    /// `received_at` is when its head came. Where that took long, the time when it was asked for is the safer one: the
    /// response may have been made then (4.2.3).
    #[must_use]
    pub fn of(status: StatusCode, headers: &HeaderMap, received_at: UnixSeconds, lifetimes: &Lifetimes) -> Self {
        Self::aged(status, headers, headers, received_at, lifetimes)
    }

    /// Likewise of a stored response that the origin has validated: `stored` is what is stored of it now, with what the 304
    /// brought (see [`freshen`](super::update::freshen)); its age is that of the 304.
    #[must_use]
    pub fn validated(
        status: StatusCode,
        stored: &HeaderMap,
        not_modified: &HeaderMap,
        received_at: UnixSeconds,
        lifetimes: &Lifetimes,
    ) -> Self {
        Self::aged(status, stored, not_modified, received_at, lifetimes)
    }

    fn aged(
        status: StatusCode,
        headers: &HeaderMap,
        age: &HeaderMap,
        received_at: UnixSeconds,
        lifetimes: &Lifetimes,
    ) -> Self {
        let (control, source) = CacheControl::for_us(headers);
        let must_revalidate = control.must_revalidate || control.no_cache || control.s_maxage.is_some();
        let lifetime = lifetime(status, headers, (&control, source), received_at, lifetimes);
        // Neither is an error kept for worse times.
        let window = |seconds: u64| if must_revalidate || is_passing_error(status) { 0 } else { seconds };
        Self {
            received_at,
            initial_age: initial_age(age, received_at),
            lifetime,
            must_revalidate,
            stale_while_revalidate: window(control.stale_while_revalidate.unwrap_or(0)),
            stale_if_error: window(control.stale_if_error.unwrap_or_else(|| seconds(lifetimes.stale_if_error))),
        }
    }

    /// The current age in seconds (RFC 9111, 4.2.3), as `Age` gives it.
    #[must_use]
    pub fn age(&self, now: UnixSeconds) -> u64 {
        self.current_age(now).min(MAX_DELTA_SECONDS)
    }

    const fn current_age(&self, now: UnixSeconds) -> u64 {
        self.initial_age.saturating_add(now.since(self.received_at))
    }

    /// Whether it may be used without asking the origin.
    #[must_use]
    pub const fn is_fresh(&self, now: UnixSeconds) -> bool {
        self.current_age(now) < self.lifetime
    }

    /// Seconds until it is stale, negative once it is.
    #[must_use]
    pub fn remaining(&self, now: UnixSeconds) -> i64 {
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        signed(self.lifetime).saturating_sub(signed(self.current_age(now)))
    }

    /// Whether it is stale and may be used all the same while the origin is asked (RFC 5861, 3).
    #[must_use]
    pub const fn may_serve_while_revalidating(&self, now: UnixSeconds) -> bool {
        self.is_stale_within(self.stale_while_revalidate, now)
    }

    /// Whether it is stale and may be used all the same because the origin failed (RFC 5861, 4).
    #[must_use]
    pub const fn may_stand_in(&self, now: UnixSeconds) -> bool {
        self.is_stale_within(self.stale_if_error, now)
    }

    const fn is_stale_within(&self, window: u64, now: UnixSeconds) -> bool {
        !self.must_revalidate && !self.is_fresh(now) && self.current_age(now) - self.lifetime < window
    }

    /// The same, stale from `at` on if it is not stale by then, with what may be done once it is.
    #[must_use]
    pub fn expired_at(self, at: UnixSeconds) -> Self {
        Self { lifetime: self.lifetime.min(self.current_age(at)), ..self }
    }
}

fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    (control, source): (&CacheControl, Source),
    received_at: UnixSeconds,
    lifetimes: &Lifetimes,
) -> u64 {
    if control.no_cache {
        return 0;
    }
    let by_default = control.public || is_heuristically_cacheable(status);
    let given = explicit_lifetime(headers, (control, source), received_at);
    let guessed = || heuristic_lifetime(headers, received_at, lifetimes.heuristic_percent);
    let lifetime = match given {
        Some(0) if control.must_revalidate => 0,
        Some(given) => given.max(seconds(lifetimes.min)),
        None if !by_default => 0,
        None => match guessed() {
            Some(guessed) => guessed.max(seconds(lifetimes.min)),
            None if tells_of_request(status) && !control.public => 0,
            None => seconds(lifetimes.default),
        },
    };
    let longest = if is_passing_error(status) { lifetimes.max.min(MAX_ERROR_LIFETIME) } else { lifetimes.max };
    lifetime.min(seconds(longest))
}

/// Errors to a GET that a field may have provoked which the key does not hold: where nobody says that they may be kept, one
/// visitor's are not shown to others.
const fn tells_of_request(status: StatusCode) -> bool {
    matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// What the origin gives in so many words.
pub(super) fn explicit_lifetime(
    headers: &HeaderMap,
    (control, source): (&CacheControl, Source),
    received_at: UnixSeconds,
) -> Option<u64> {
    let in_control = control.s_maxage.or(control.max_age);
    if in_control.is_some() || source == Source::Targeted || !headers.contains_key(EXPIRES) {
        return in_control;
    }
    // An `Expires` that is no date has expired (5.3); of several, the first to expire counts.
    let expires = headers.get_all(EXPIRES).iter().map(date::parse).min().flatten();
    let made_at = date::all(headers, &DATE).max().unwrap_or(received_at);
    Some(expires.map_or(0, |expires| expires.since(made_at)).min(MAX_DELTA_SECONDS))
}

fn heuristic_lifetime(headers: &HeaderMap, received_at: UnixSeconds, percent: u8) -> Option<u64> {
    let modified_at = date::all(headers, &LAST_MODIFIED).max().filter(|_| percent > 0)?;
    let made_at = date::all(headers, &DATE).min().unwrap_or(received_at);
    Some(made_at.since(modified_at).saturating_mul(percent.into()) / 100)
}

/// How old a response is when it comes (4.2.3). An `Age` that is no single number of seconds tells nothing but that it has
/// one: it counts as older than anything may be. RFC 9111, 5.1 would take the first member of a list; which of them is meant
/// is a guess that may show what is long stale as fresh.
fn initial_age(headers: &HeaderMap, received_at: UnixSeconds) -> u64 {
    let mut fields = headers.get_all(AGE).iter();
    let told = match (fields.next(), fields.next()) {
        (None, _) => 0,
        (Some(age), None) => digits_seconds(age.as_bytes().trim_ascii()).unwrap_or(UNREADABLE_AGE),
        (Some(_), Some(_)) => UNREADABLE_AGE,
    };
    let apparent = date::all(headers, &DATE).min().map_or(0, |date| received_at.since(date));
    told.max(apparent)
}

fn seconds(span: Duration) -> u64 {
    span.as_secs().min(MAX_DELTA_SECONDS)
}

#[cfg(test)]
mod tests;
