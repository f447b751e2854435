//! Taking a response in: it is read by all who want it while it comes, and stored when it is whole (RFC 9111, 3.3: what broke
//! off is never stored).

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, ORIGIN, VARY},
};

use super::{
    APART, APART_FOR_A_MOMENT, Errand, Relay,
    fetch::{Arrival, Asked, add_date},
    lookup::{Place, place_of},
};
use crate::{
    cache::{
        object::StoredBody,
        purge::Stamp,
        response::{ResponseHead, Selected, Selectors, StoredResponse},
    },
    coalesce::{
        budget::Reserved,
        fill::{End, Fill, Whole},
        flights::{Joined, Landing},
        receive::{EndedAnyhow, Received, first_reservation, receive},
    },
    http::{
        freshness::Freshness,
        update::storable_fields,
        vary::{self, Vary},
    },
    image::why_original::WhyOriginal,
    origin::fetch::OriginResponse,
    request::key::{SourceVersion, body_key},
};

/// The most that a response's fields may take together; one with more is not stored.
const MAX_FIELD_BYTES: usize = 64 * 1024;

/// A response on its way in.
pub type RelayFill = Fill<Draft, ResponseHead>;

/// What is known of a response before its body is all there.
#[derive(Debug)]
pub struct Draft {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, as they are stored.
    pub fields: HeaderMap,
    /// How long it may be used.
    pub freshness: Freshness,
    /// Why it is not developed, where it is an image.
    pub why_original: Option<WhyOriginal>,
    asked: u64,
    stamp: Stamp,
    selection: Selection,
}

/// Why it cannot be told which requests a response is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTold {
    /// It may depend on anything, or its own fields are too many.
    Response,
    /// What the request says in the fields that it depends on is too much.
    Request,
}

/// Which requests it is for.
#[derive(Debug)]
enum Selection {
    /// All of its URL.
    All,
    /// Those that say the same in these fields.
    Same { list: Vec<String>, salt: u64, place: Place },
}

impl Draft {
    /// Whether it is the answer to a request of the same URL.
    pub(super) fn is_for(&self, errand: &Errand) -> bool {
        match &self.selection {
            Selection::All => true,
            Selection::Same { list, salt, place } => {
                place_of(errand, *salt, list).is_some_and(|own| own.key == place.key)
            }
        }
    }
}

impl Relay {
    /// Takes a response in that may be stored, unless it is too large or memory is short.
    pub(super) async fn take_in(
        &self,
        errand: &Errand,
        mut response: OriginResponse,
        draft: Draft,
        mut landing: Landing<Arrival>,
    ) {
        let why_original = draft.why_original;
        let needed = first_reservation(&response, self.max_body_bytes);
        if needed > self.max_body_bytes {
            return self.apart(response, landing, APART, why_original);
        }
        let reserved = self.buffers.reserve(&errand.site, needed).await;
        let Some(mut reserved) = reserved else {
            return self.apart(response, landing, APART_FOR_A_MOMENT, why_original);
        };
        let fill: Arc<RelayFill> = Arc::new(Fill::begin(draft, response.content_length()));
        let _ended = EndedAnyhow(Arc::clone(&fill));
        // What stands for the URL may yet be needed, should this one break off.
        if !matches!(self.cache.hot_selected(errand.key), Some(Selected::Response(_))) {
            self.show_selectors(errand, &fill.facts);
        }
        // First: who has it, and it may be empty, may come again at once.
        let mut selected = self.land_selected(errand, &fill, response.waited);
        landing.land(Arrival::Filling(Arc::clone(&fill), response.waited));
        match receive(&fill, &mut response, &mut reserved, self.max_body_bytes).await {
            Received::Whole(version) => {
                // Its place among the requests to origins is free, however long the disk takes.
                drop(response);
                self.keep(errand, &fill, version, reserved, (landing, selected)).await;
            }
            Received::NotHeld(why) => {
                fill.overflow(response, reserved, why);
                let span = if why == WhyOriginal::TooLarge { APART } else { APART_FOR_A_MOMENT };
                landing.leave_apart(self.clock.now(), span);
                if let Some(selected) = selected {
                    selected.leave_apart(self.clock.now(), span);
                }
            }
            Received::Failed(error) => {
                fill.end(End::Failed(error.clone()));
                if let Some(selected) = &mut selected {
                    selected.land(Arrival::Failed(error.clone()));
                }
                self.failed(errand, error, landing);
            }
        }
    }

    /// Lands it as well where those look who come now that it is known what it varies by.
    fn land_selected(&self, errand: &Errand, fill: &Arc<RelayFill>, waited: Duration) -> Option<Landing<Arrival>> {
        let Selection::Same { place, .. } = &fill.facts.selection else { return None };
        let work = self.flight_of(errand, place.key);
        let Joined::First(mut landing, _) = self.flights.join(work, self.clock.now()) else { return None };
        landing.land(Arrival::Filling(Arc::clone(fill), waited));
        Some(landing)
    }

    /// What is stored of a response's head.
    ///
    /// # Errors
    /// [`NotTold`]
    pub(super) async fn draft(
        &self,
        errand: &Errand,
        response: &OriginResponse,
        asked: Asked,
        (stamp, why_original): (Stamp, Option<WhyOriginal>),
    ) -> Result<Draft, NotTold> {
        let mut fields = storable_fields(&response.headers);
        add_date(&mut fields, asked.at);
        let selectors = self.selectors(errand).await;
        // Where a page elsewhere has an answer of its own, who names none has one beside it.
        if asked.names_origin
            || selectors.as_ref().is_some_and(|known| known.lists.iter().any(|list| names_origin(list)))
        {
            vary_by_origin(&mut fields);
        }
        let freshness = Freshness::of(response.status, &response.headers, asked.at, &errand.lifetimes);
        let list = told_apart_by(&fields).ok_or(NotTold::Response)?;
        let status = response.status;
        let (asked, selection) = (asked.number, Selection::All);
        let draft = Draft { status, fields, freshness, why_original, asked, stamp, selection };
        let field_bytes: usize = draft.fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if field_bytes > MAX_FIELD_BYTES {
            return Err(NotTold::Response);
        }
        if list.is_empty() {
            return Ok(draft);
        }
        let salt = selectors.map_or_else(|| self.changes.draw(), |selectors| selectors.salt);
        let place = place_of(errand, salt, &list).ok_or(NotTold::Request)?;
        Ok(Draft { selection: Selection::Same { list, salt, place }, ..draft })
    }

    async fn selectors(&self, errand: &Errand) -> Option<Arc<Selectors>> {
        let name = errand.name();
        match self.cache.selected(errand.key, || name.text()).await? {
            Selected::Varies(selectors) => Some(selectors),
            Selected::Response(_) => None,
        }
    }

    /// Tells those who come from now on by which fields the URL's responses are told apart. Returns what there is to save.
    fn show_selectors(&self, errand: &Errand, draft: &Draft) -> Option<Selected> {
        let Selection::Same { list, salt, .. } = &draft.selection else { return None };
        let key = errand.key;
        let selectors = match self.cache.hot_selected(key) {
            Some(Selected::Varies(known)) if known.salt == *salt => known.with(list),
            _ => Selectors::new(*salt, list.clone()),
        };
        let selected = Selected::Varies(Arc::new(selectors));
        self.cache.show_selected(key, selected.clone());
        Some(selected)
    }

    /// Shows it to all, stores it, then lets go of its memory.
    async fn keep(
        &self,
        errand: &Errand,
        fill: &Arc<RelayFill>,
        version: SourceVersion,
        mut reserved: Reserved,
        (landing, selected_landing): (Landing<Arrival>, Option<Landing<Arrival>>),
    ) {
        reserved.shrink(fill.capacity());
        let bytes = fill.take_whole();
        let Draft { status, ref fields, freshness, why_original, asked, ref stamp, .. } = fill.facts;
        let (fields, stamp, len) = (fields.clone(), stamp.clone(), bytes.len() as u64);
        let head = ResponseHead { status, fields, freshness, version, len, why_original, asked, stamp };
        let inline = head.is_inline().then(|| bytes.clone());
        let stored = Arc::new(StoredResponse { head: head.clone(), body: inline });
        let selected = Selected::Response(Arc::clone(&stored));
        let head = Arc::new(head);
        let may_keep = !self.is_void(errand, &head);
        let place = self.place(errand, &fill.facts);
        if may_keep && stored.body.is_some() {
            self.cache.show_selected(place.key, selected.clone());
        }
        // Who comes from now on finds it in memory; what is too large for that is joined until it is written.
        let landing = Some((landing, selected_landing)).filter(|_| may_keep && stored.body.is_none());
        let whole = Whole { head: Arc::clone(&head), bytes: bytes.clone(), reserved: Arc::new(reserved) };
        fill.end(End::Whole(whole));
        if !may_keep {
            return;
        }
        let name = errand.name();
        if landing.is_some() {
            self.cache.put_body(body_key(errand.key, version), name.body_text(version), bytes).await;
            self.cache.show_selected(place.key, selected.clone());
        }
        drop(landing);
        if self.is_void(errand, &head) {
            return;
        }
        if let Some(selectors) = self.show_selectors(errand, &fill.facts) {
            self.cache.save_selected(errand.key, name.text(), &selectors).await;
        }
        self.cache.save_selected(place.key, place.text(errand), &selected).await;
        if self.is_void(errand, &head) {
            // It was changed while it was written; memory knows, and after a restart nobody would.
            self.cache.remove(place.key).await;
            return;
        }
        let body: Option<StoredBody> = self.body(errand, &stored).await;
        if let Some(body) = body {
            fill.end(End::Stored(head, body));
        }
    }

    fn place(&self, errand: &Errand, draft: &Draft) -> Place {
        match &draft.selection {
            Selection::All => Place::of_all(errand),
            Selection::Same { place, .. } => place.clone(),
        }
    }
}

/// The request fields that a response was selected by: those that `Vary` lists, and for packed content always what the client
/// takes, since not every origin says so. `None` where it may be anything.
pub(super) fn told_apart_by(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut names: Vec<String> = match Vary::of(headers) {
        Vary::Nothing => Vec::new(),
        Vary::Fields(fields) => fields.iter().map(|name| name.as_str().to_owned()).collect(),
        Vary::Anything => return None,
    };
    if vary::is_encoded(headers) && !names.iter().any(|name| name == ACCEPT_ENCODING.as_str()) {
        names.push(ACCEPT_ENCODING.as_str().to_owned());
        names.sort_unstable();
    }
    Some(names)
}

/// Whether responses with this list are told apart by the page that asks.
pub(super) fn names_origin(list: &[String]) -> bool {
    list.iter().any(|name| name == ORIGIN.as_str())
}

/// What an origin says to a page elsewhere may be for that page, though not every origin says so: it is neither kept for others
/// here, nor by caches before this one.
pub(super) fn vary_by_origin(fields: &mut HeaderMap) {
    let is_said = match Vary::of(fields) {
        Vary::Nothing => false,
        Vary::Fields(names) => names.contains(&ORIGIN),
        Vary::Anything => true,
    };
    if !is_said {
        fields.append(VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_content_is_told_apart_by_what_the_client_takes_even_where_the_origin_forgot_to_say_so() {
        let headers = |fields: &[(&'static str, &'static str)]| -> HeaderMap {
            fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        assert_eq!(told_apart_by(&headers(&[])), Some(Vec::new()));
        assert_eq!(told_apart_by(&headers(&[("content-encoding", "br")])), Some(vec!["accept-encoding".to_owned()]));
        assert_eq!(
            told_apart_by(&headers(&[("content-encoding", "gzip"), ("vary", "X-B, Accept-Encoding")])),
            Some(vec!["accept-encoding".to_owned(), "x-b".to_owned()])
        );
        assert_eq!(told_apart_by(&headers(&[("vary", "a, *")])), None);
    }
}
