//! What is remembered of originals that are not there to be stored: that they are absent, failed, or may not be kept.
//! It spares an origin the same question for a moment, and is bounded in number.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use url::Url;

use super::{direct::DirectResponse, sources::Obtained};
use crate::{
    cache::{key::CacheKey, purge::Generation},
    coalesce::state::rest_after,
    http::{
        freshness::{Freshness, Lifetimes},
        storability::{Credentials, storable_image},
        time::UnixSeconds,
    },
    image::why_original::WhyOriginal,
    origin::{error::FetchError, fetch::OriginResponse},
};

/// How many are remembered.
const MAX_ANSWERS: u64 = 10_000;

/// The largest body kept with a 404; a larger one goes to the first who asked, the others get none.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The longest that an absence is remembered, whatever the origin says.
const MAX_ABSENT_TTL: Duration = Duration::from_secs(300);

/// A 404 or 410.
#[derive(Debug)]
pub struct Absent {
    /// The status.
    pub status: StatusCode,
    /// Where it came from.
    pub url: Url,
    /// Its `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// Its body; none where it was large.
    pub body: Bytes,
    /// Until when it is remembered; `None` where it may not be.
    pub until: Option<UnixSeconds>,
}

#[derive(Debug, Clone)]
enum Answer {
    Absent(Arc<Absent>),
    /// And how often in a row.
    Failed(FetchError, u32),
    NotKept(WhyOriginal),
}

/// An answer, when it was asked for, and until when it is remembered.
#[derive(Debug, Clone)]
struct Kept {
    answer: Answer,
    birth: Generation,
    until: UnixSeconds,
}

/// The answers, by source.
#[derive(Debug)]
pub(super) struct Remembered {
    answers: moka::sync::Cache<CacheKey, Kept>,
}

/// What is remembered of a source.
pub(super) enum Recalled {
    /// The origin failed; something stored may stand in.
    Failed(FetchError),
    /// This is the answer.
    Answer(Obtained),
}

impl Remembered {
    pub(super) fn new() -> Self {
        Self { answers: moka::sync::Cache::new(MAX_ANSWERS) }
    }

    /// What is remembered and was asked for after the purge `last`.
    pub(super) fn recall(&self, key: CacheKey, last: Generation, now: UnixSeconds) -> Option<Recalled> {
        let kept = self.answers.get(&key).filter(|kept| now < kept.until && last <= kept.birth)?;
        Some(match kept.answer {
            Answer::Failed(error, _) => Recalled::Failed(error),
            Answer::Absent(absent) => Recalled::Answer(Obtained::Absent(absent)),
            Answer::NotKept(why) => Recalled::Answer(Obtained::Direct(DirectResponse::none(why))),
        })
    }

    /// A failure is remembered for `span`, and longer after failures in a row.
    pub(super) fn failed(&self, key: CacheKey, birth: Generation, error: FetchError, now: UnixSeconds, span: Duration) {
        let before = match self.answers.get(&key) {
            Some(Kept { answer: Answer::Failed(_, failures), .. }) => failures,
            _ => 0,
        };
        let failures = before.saturating_add(1);
        let until = now.plus(rest_after(failures, span));
        self.answers.insert(key, Kept { answer: Answer::Failed(error, failures), birth, until });
    }

    pub(super) fn not_kept(&self, key: CacheKey, birth: Generation, why: WhyOriginal, until: UnixSeconds) {
        self.answers.insert(key, Kept { answer: Answer::NotKept(why), birth, until });
    }

    pub(super) fn absent(&self, key: CacheKey, birth: Generation, absent: &Arc<Absent>) {
        if let Some(until) = absent.until {
            self.answers.insert(key, Kept { answer: Answer::Absent(Arc::clone(absent)), birth, until });
        }
    }

    pub(super) fn forget(&self, key: CacheKey) {
        self.answers.invalidate(&key);
    }
}

/// Reads a 404 or 410. What is left of a large body comes back with the response, for the one who asked.
pub(super) async fn read_absent(
    mut response: OriginResponse,
    now: UnixSeconds,
    default_ttl: Duration,
) -> (Absent, Option<OriginResponse>) {
    let lifetimes = Lifetimes { default: default_ttl, max: MAX_ABSENT_TTL, ..Lifetimes::default() };
    let ttl = Duration::from_secs(Freshness::of(response.status, &response.headers, now, &lifetimes).lifetime);
    let may_be_kept = storable_image(&response.headers, Credentials::None).is_ok();
    let absent = Absent {
        status: response.status,
        url: response.url.clone(),
        content_type: response.headers.get(CONTENT_TYPE).cloned(),
        body: Bytes::new(),
        until: may_be_kept.then(|| now.plus(ttl)),
    };
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return (Absent { body: body.into(), ..absent }, None),
            // That it is not there is known all the same.
            Err(_) => return (absent, None),
        }
        if body.len() > MAX_BODY_BYTES {
            response.unread(vec![body.into()]);
            return (Absent { content_type: None, ..absent }, Some(response));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::KeyHasher;

    #[test]
    fn failures_in_a_row_are_remembered_longer_until_there_is_an_answer() {
        let (remembered, key, span) = (Remembered::new(), KeyHasher::new().text("a").finish(), Duration::from_secs(2));
        let is_resting = |at| remembered.recall(key, Generation(0), UnixSeconds(at)).is_some();
        let fail = |at| remembered.failed(key, Generation(1), FetchError::ended_early(), UnixSeconds(at), span);
        fail(100);
        assert!(is_resting(101) && !is_resting(102));
        fail(110);
        assert!(is_resting(113) && !is_resting(114));
        remembered.forget(key);
        fail(120);
        assert!(!is_resting(122));
    }
}
