//! The one fetch, and what the origin's answer means for what is stored (RFC 9111, 3 and 4.3).

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, Method, StatusCode,
    header::{DATE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, ORIGIN},
};

use super::{
    APART, APART_FOR_A_MOMENT, Errand, Relay,
    intake::{NotTold, RelayFill, names_origin, told_apart_by, vary_by_origin},
    lookup::{Found, Known},
};
use crate::{
    cache::{
        purge::{Generation, Stamp, Standing},
        response::{ResponseHead, Selected, StoredResponse},
    },
    coalesce::{flights::Landing, handoff::Handoff},
    develop::read_head,
    http::{
        date,
        freshness::Freshness,
        request_directives::RequestDirectives,
        storability::{Credentials, Exchange, NotStorable, storable, varies_by_accept},
        time::UnixSeconds,
        update,
    },
    image::{format::InputFormat, why_original::WhyOriginal},
    origin::{error::FetchError, fetch::OriginResponse, places::Reader},
};

/// When the origin was asked: by the number of purges, of changes, and by the clock. And whether in the name of a page elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    birth: Generation,
    pub(super) number: u64,
    pub(super) at: UnixSeconds,
    pub(super) names_origin: bool,
}

/// What came of a fetch, for all who wait for it.
#[derive(Debug, Clone)]
pub(super) enum Arrival {
    /// It has come in since it was looked for.
    Found(Known),
    /// It is on its way in.
    Filling(Arc<RelayFill>, Duration),
    /// What is stored still holds.
    Validated(Known, Duration),
    /// It is an image that others may see too.
    Image(Handoff<OriginResponse>),
    /// It is not kept: it is for one taker. Where it is an image, why it is not developed.
    Apart(Handoff<OriginResponse>, Duration, Option<WhyOriginal>),
    /// The origin gave nothing.
    Failed(FetchError),
}

impl Relay {
    /// Asks the origin, with what is stored as a condition. The landing is dropped when all is stored.
    pub(super) async fn bring(&self, errand: &Errand, known: Option<Known>, mut landing: Landing<Arrival>) {
        // Between the look-up and the lead another may have ended.
        if known.is_none()
            && let Found::Response(found) = self.find(errand).await
            && found.response.head.freshness.is_fresh(self.clock.now())
        {
            landing.land(Arrival::Found(found));
            return;
        }
        // Before the origin is asked: what a purge or a change finds under way is older than it. A response may have been made
        // as soon as it was asked for: its age counts from then (RFC 9111, 4.2.3).
        let (birth, number, at) = (self.cache.purges().now(), self.changes.draw(), self.clock.now());
        let mut headers = errand.whole();
        if let Some(known) = &known {
            let stored = &known.response.head.fields;
            add_validators(&mut headers, stored);
            // What is kept for all pages is not asked after in the name of one.
            if !told_apart_by(stored).is_some_and(|list| names_origin(&list)) {
                headers.remove(ORIGIN);
            }
        }
        let asked = Asked { birth, number, at, names_origin: headers.contains_key(ORIGIN) };
        let url = errand.url.clone();
        let answer = self.origins.forward(&errand.rules, Method::GET, url, headers, None, Reader::Cache).await;
        let response = match answer {
            Ok(response) => response,
            Err(error) => return self.failed(errand, error, landing),
        };
        let status = response.status;
        match known {
            Some(known) if status == StatusCode::NOT_MODIFIED => {
                self.validated(errand, known, &response, asked, landing).await;
            }
            Some(known) if is_failure(status) && known.response.head.freshness.may_stand_in(self.clock.now()) => {
                self.failed(errand, FetchError::OriginFailed { status }, landing);
            }
            known => self.sort(errand, known, response, asked, landing).await,
        }
    }

    /// Remembers a failure for a moment.
    pub(super) fn failed(&self, errand: &Errand, error: FetchError, mut landing: Landing<Arrival>) {
        tracing::warn!(site = &*errand.site, url = %errand.url, %error, "an origin gave no answer");
        let rest = self.origins.limits().failure_ttl.0;
        // A busy edge is not the origin's failure.
        if error == FetchError::Busy || rest.is_zero() {
            landing.land(Arrival::Failed(error));
        } else {
            landing.land_failed(Arrival::Failed(error), self.clock.now(), rest);
        }
    }

    /// What is stored still holds: its fields are those of the 304 where that has them (RFC 9111, 3.2 and 4.3.4).
    async fn validated(
        &self,
        errand: &Errand,
        known: Known,
        response: &OriginResponse,
        Asked { birth, number, at, names_origin }: Asked,
        mut landing: Landing<Arrival>,
    ) {
        let Known { place, response: stored } = known;
        // What was purged since it was looked up is not kept, whatever it is now: it would count as asked for after that.
        let was_void = self.is_void(errand, &stored.head);
        let told_apart_before = told_apart_by(&stored.head.fields);
        let mut fields = stored.head.fields.clone();
        update::freshen(&mut fields, &response.headers);
        if names_origin {
            vary_by_origin(&mut fields);
        }
        let status = stored.head.status;
        let freshness = Freshness::validated(status, &fields, &response.headers, at, &errand.lifetimes);
        add_date(&mut fields, at);
        let stamp = stored.head.stamp.validated(birth, &response.headers);
        let head = ResponseHead { fields, freshness, stamp, asked: number, ..stored.head.clone() };
        // Not by what this visitor is or asks: it was kept for all. Nor does it belong where it is if it varies by more now.
        let (request, credentials) = (&RequestDirectives::default(), Credentials::None);
        let for_all = Exchange { status, request, credentials, headers: &head.fields, received_at: at };
        let may_be_kept =
            storable(&for_all, &errand.lifetimes).is_ok() && told_apart_by(&head.fields) == told_apart_before;
        let stored = Arc::new(StoredResponse { head, body: stored.body.clone() });
        let selected = Selected::Response(Arc::clone(&stored));
        let is_void = was_void || self.is_void(errand, &stored.head);
        let keep = may_be_kept && !is_void;
        if keep {
            self.cache.show_selected(place.key, selected.clone());
        }
        let (key, text) = (place.key, place.text(errand));
        landing.land(Arrival::Validated(Known { place, response: stored }, response.waited));
        // Who comes while it is written asks for himself: the answer may be one that each must validate.
        drop(landing);
        if keep {
            self.cache.save_selected(key, text, &selected).await;
        } else {
            self.cache.remove(key).await;
        }
    }

    async fn sort(
        &self,
        errand: &Errand,
        known: Option<Known>,
        mut response: OriginResponse,
        asked: Asked,
        mut landing: Landing<Arrival>,
    ) {
        let mut is_image = false;
        if response.is_worth_a_look() {
            is_image = match read_head(&mut response).await {
                Err(error) => return self.failed(errand, error, landing),
                Ok(head) => InputFormat::sniff(&head).is_some(),
            };
        }
        let exchange = exchange(errand, response.status, &response.headers, asked.at);
        let may_be_kept = storable(&exchange, &errand.lifetimes);
        let why_original = if is_image { self.why_not_developed(&response, may_be_kept) } else { None };
        if is_image && why_original.is_none() {
            landing.land(Arrival::Image(Handoff::new(response)));
            return;
        }
        if may_be_kept.is_err() {
            // What is stored is not what the URL gives any more, unless the origin only failed, or this is only his.
            let for_others = Exchange { credentials: Credentials::None, ..exchange };
            let is_passing = is_failure(response.status) || storable(&for_others, &errand.lifetimes).is_ok();
            if let Some(known) = known.filter(|_| !is_passing) {
                self.cache.remove(known.place.key).await;
            }
            let span = if is_passing { APART_FOR_A_MOMENT } else { APART };
            return self.apart(response, landing, span, why_original);
        }
        let stamp = Stamp::of(asked.birth, &response.headers);
        match self.draft(errand, &response, asked, (stamp, why_original)).await {
            Ok(draft) => self.take_in(errand, response, draft, landing).await,
            // What is too much in one visitor's request may not be in the next one's.
            Err(NotTold::Request) => self.apart(response, landing, Duration::ZERO, why_original),
            Err(NotTold::Response) => self.apart(response, landing, APART, why_original),
        }
    }

    /// Whether a hard purge or a change has come over it since the origin was asked.
    pub(super) fn is_void(&self, errand: &Errand, head: &ResponseHead) -> bool {
        self.changes.is_changed_since(errand.key, head.asked)
            || self.cache.purges().standing(errand.purge_name(), &head.stamp) == Standing::Gone
    }

    /// Hands a response to one taker; who comes within `span` goes alone.
    pub(super) fn apart(
        &self,
        response: OriginResponse,
        landing: Landing<Arrival>,
        span: Duration,
        why: Option<WhyOriginal>,
    ) {
        let waited = response.waited;
        let handoff = Handoff::to_a_visitor(response);
        landing.land_apart(Arrival::Apart(handoff, waited, why), self.clock.now(), span);
    }

    /// Why an image is passed through, if it is.
    fn why_not_developed(
        &self,
        response: &OriginResponse,
        may_be_kept: Result<(), NotStorable>,
    ) -> Option<WhyOriginal> {
        if let Err(refused) = may_be_kept
            && refused != NotStorable::Useless
        {
            return Some(refused.why_original());
        }
        if varies_by_accept(&response.headers) {
            return Some(WhyOriginal::Vary);
        }
        response.content_length().is_some_and(|len| len > self.max_body_bytes).then_some(WhyOriginal::TooLarge)
    }
}

fn exchange<'a>(
    errand: &'a Errand,
    status: StatusCode,
    headers: &'a HeaderMap,
    received_at: UnixSeconds,
) -> Exchange<'a> {
    Exchange { status, request: &errand.directives, credentials: errand.credentials, headers, received_at }
}

/// Adds what tells the origin which response is stored.
fn add_validators(headers: &mut HeaderMap, stored: &HeaderMap) {
    for (validator, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = stored.get(validator) {
            headers.insert(condition, value.clone());
        }
    }
}

/// When a response was made, where it does not say so itself (RFC 9110, 6.6.1).
pub(super) fn add_date(fields: &mut HeaderMap, now: UnixSeconds) {
    if !fields.contains_key(DATE) {
        fields.insert(DATE, date::value(now));
    }
}

/// What a stale response may be served in place of (RFC 5861, 4).
const fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
