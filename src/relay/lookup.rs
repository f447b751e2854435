//! What is stored for a request: the URL's response, or of those that vary the one that was selected by the same fields
//! (RFC 9111, 4 and 4.1).

use std::sync::Arc;

use http::{
    HeaderName,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN},
};

use super::{Errand, Relay, intake::names_origin};
use crate::{
    cache::{
        key::CacheKey,
        object::StoredBody,
        purge::Standing,
        response::{ResponseHead, Selected, StoredResponse},
    },
    http::vary,
    request::key::{body_key, selected_key},
};

/// Where a response stands, or would.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) key: CacheKey,
    /// The full text behind it, where it is not the URL's own.
    selected: Option<String>,
}

impl Place {
    /// Where the one response of a URL stands.
    pub(super) const fn of_all(errand: &Errand) -> Self {
        Self { key: errand.key, selected: None }
    }

    /// The full text behind the key.
    pub(super) fn text(&self, errand: &Errand) -> String {
        self.selected.clone().unwrap_or_else(|| errand.name().text())
    }
}

/// A response out of the cache.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) place: Place,
    pub(super) response: Arc<StoredResponse>,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    /// A response, fresh or not.
    Response(Known),
    /// Nothing: there is none for the URL, or none that was selected by the same fields. `flight` is what those who want the
    /// same wait under.
    Nothing { flight: CacheKey, varies: bool },
    /// What the request would be selected by is too much to tell it by.
    Untold,
}

impl Relay {
    /// Looks in memory, then on disk.
    pub(super) async fn find(&self, errand: &Errand) -> Found {
        let key = errand.key;
        let selectors = match self.cache.selected(key, || errand.name().text()).await {
            None => return Found::Nothing { flight: key, varies: false },
            Some(Selected::Response(response)) if is_silent(errand, &[], &response) => {
                return Found::Nothing { flight: key, varies: true };
            }
            Some(Selected::Response(response)) => {
                let known = self.unless_purged(errand, Known { place: Place::of_all(errand), response }).await;
                return known.map_or(Found::Nothing { flight: key, varies: false }, Found::Response);
            }
            Some(Selected::Varies(selectors)) => selectors,
        };
        let mut flight = None;
        for list in &selectors.lists {
            let Some(place) = place_of(errand, selectors.salt, list) else { continue };
            flight.get_or_insert(place.key);
            if let Some(Selected::Response(response)) = self.cache.selected(place.key, || place.text(errand)).await
                && !is_silent(errand, list, &response)
                && let Some(known) = self.unless_purged(errand, Known { place, response }).await
            {
                return Found::Response(known);
            }
        }
        flight.map_or(Found::Untold, |flight| Found::Nothing { flight, varies: true })
    }

    /// What a soft purge has come over is stale since then; what a hard one has, or a change, is forgotten.
    async fn unless_purged(&self, errand: &Errand, known: Known) -> Option<Known> {
        if self.changes.is_changed_since(errand.key, known.response.head.asked) {
            self.cache.remove(known.place.key).await;
            return None;
        }
        match self.cache.purges().standing(errand.purge_name(), &known.response.head.stamp) {
            Standing::Valid => Some(known),
            Standing::Stale { since } => {
                let StoredResponse { head, body } = (*known.response).clone();
                let head = ResponseHead { freshness: head.freshness.expired_at(since), ..head };
                Some(Known { response: Arc::new(StoredResponse { head, body }), ..known })
            }
            Standing::Gone => {
                self.cache.remove(known.place.key).await;
                None
            }
        }
    }

    /// A stored response's body; `None` where the cache has lost it.
    pub(super) async fn body(&self, errand: &Errand, response: &StoredResponse) -> Option<StoredBody> {
        if let Some(bytes) = &response.body {
            return Some(StoredBody::Whole(bytes.clone()));
        }
        let (name, version) = (errand.name(), response.head.version);
        self.cache.body(body_key(errand.key, version), || name.body_text(version)).await
    }
}

/// Whether a response says nothing of pages elsewhere to a request that comes from one, though it may be that nobody asked: then the
/// origin is asked for that page, which could not read this.
fn is_silent(errand: &Errand, list: &[String], response: &StoredResponse) -> bool {
    errand.headers.contains_key(ORIGIN)
        && !response.head.fields.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
        && !names_origin(list)
}

/// Where the response to a request stands that is told apart by the fields of `list`; `None` where they are too much.
pub(super) fn place_of(errand: &Errand, salt: u64, list: &[String]) -> Option<Place> {
    let fields: Option<Vec<HeaderName>> = list.iter().map(|name| name.parse().ok()).collect();
    let selecting = vary::selecting(&fields?, &errand.headers)?;
    let name = errand.name();
    let selected = Some(name.selected_text(salt, list, &selecting));
    Some(Place { key: selected_key(errand.key, salt, list, &selecting), selected })
}
