//! An origin and an edge whose time stands, and passes as a test says: how long something is fresh is seen without waiting.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

use super::{Answer, Edge, Origin, Reply, Setup};

/// When it begins.
const BEGINNING: u64 = 1_800_000_000;

/// The two.
pub(crate) struct Still {
    pub(crate) origin: Origin,
    pub(crate) edge: Edge,
    now: AtomicU64,
}

impl Still {
    /// Starts with one answer.
    pub(crate) async fn with(path: &str, reply: Reply) -> Self {
        let still = Self::start(|setup| setup).await;
        still.origin.set(path, reply);
        still
    }

    /// Starts with no answers, configured further by `configure`.
    pub(crate) async fn start(configure: impl FnOnce(Setup) -> Setup) -> Self {
        let origin = Origin::start().await;
        let edge = Edge::start(configure(Setup::at_standing_time(&origin))).await;
        let still = Self { origin, edge, now: AtomicU64::new(BEGINNING) };
        still.pass(0).await;
        still
    }

    /// Lets seconds pass, once what was fetched is stored: time does not fly while something is on its way.
    pub(crate) async fn pass(&self, seconds: u64) {
        // What was not stored after so many looks is not to be.
        let (mut before, mut same, mut looks) = (0, 0, 0);
        while seconds > 0 && (same < 5 || (before == 0 && looks < 50)) {
            let entries = self.edge.metric("lightmeter_cache_entries", &[("tier", "disk")]).await;
            (before, same, looks) = (entries, if entries == before { same + 1 } else { 0 }, looks + 1);
        }
        let now = self.now.fetch_add(seconds, Ordering::SeqCst) + seconds;
        self.origin.set_date(self.date(0));
        self.edge.set_clock(&Timestamp::from_second(now.try_into().unwrap()).unwrap().to_string()).await;
    }

    /// The time, `seconds` from now, as HTTP writes it.
    pub(crate) fn date(&self, seconds: i64) -> String {
        let at = self.now.load(Ordering::SeqCst).saturating_add_signed(seconds);
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
    }

    /// How the origin answers on `path`.
    pub(crate) fn set(&self, path: &str, reply: Reply) {
        self.origin.set(path, reply);
    }

    /// A GET of `path`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.edge.get(path).await
    }

    /// How often the origin was asked for `path`.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.origin.count(path)
    }
}
