//! Step 6 of the request's way: is what is wanted in the cache? A hit in memory waits for nothing.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header::ACCEPT};

use super::sites::Site;
use crate::{
    billing::Entitlement,
    cache::{
        key::CacheKey,
        object::{SourceHead, StoredVariant, Variant},
        tiers::Cache,
    },
    config::{Essential, Qualities},
    http::{request_directives::RequestDirectives, save_data, time::UnixSeconds},
    image::why_original::WhyOriginal,
    request::{
        self, Candidates, ImageRequest, Transform,
        key::{SourceName, variant_key},
    },
};

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    /// The source's name.
    pub(super) name: SourceName<'a>,
    /// Its key.
    pub(super) key: CacheKey,
    /// What is done to it.
    pub(super) transform: Transform,
    /// Formats, best first.
    pub(super) candidates: Candidates,
    /// Why the original is wanted, if it is: the client forbids changing it (RFC 9111, 5.2.1.6), or the site is in essential
    /// mode and serves originals then.
    pub(super) only_original: Option<WhyOriginal>,
    /// What the request says of caching.
    pub(super) directives: RequestDirectives,
    /// What the site may do.
    pub(super) entitlement: Entitlement,
    /// What is done to the source in the request's own words: what an image size is charged by.
    pub(super) asked: &'a Transform,
}

impl<'a> Wanted<'a> {
    /// What a request for an image wants of a site that may do so much (step 4: which formats its client takes).
    pub(super) fn new(
        site: &'a Site,
        image: &'a ImageRequest<'_>,
        headers: &HeaderMap,
        entitlement: Entitlement,
    ) -> Self {
        let name = SourceName { scope: &site.scope, source: image.source.as_str() };
        let mut transform = image.transform.clone();
        let Qualities { usual, saving } = site.qualities;
        transform.quality.get_or_insert_with(|| if save_data::is_on(headers) { saving } else { usual });
        let directives = RequestDirectives::of(headers);
        let accept = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes);
        Self {
            name,
            key: name.key(),
            transform,
            candidates: request::negotiate(accept, image.format),
            only_original: if directives.no_transform {
                Some(WhyOriginal::NoTransform)
            } else if entitlement == Entitlement::Essential && site.essential == Essential::Live {
                Some(WhyOriginal::Essential)
            } else {
                None
            },
            directives,
            entitlement,
            asked: &image.transform,
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    /// The variant to serve.
    Variant(Arc<Variant>, Arc<SourceHead>),
    /// The original is what to serve, for a reason that lasts.
    Original(WhyOriginal, Arc<SourceHead>),
    /// The source is known, but too stale, or the variant is not made yet.
    Source,
    /// Nothing.
    Nothing,
}

/// Looks in memory, then on disk, for what may be used at once: fresh, or stale for so short a time that the origin permits
/// its use while it is asked.
pub(super) async fn find(cache: &Cache, wanted: &Wanted<'_>, now: UnixSeconds) -> Found {
    let Some(head) = cache.head(wanted.key, wanted.name).await else { return Found::Nothing };
    let freshness = head.freshness();
    if !(freshness.is_fresh(now) || freshness.may_serve_while_revalidating(now)) {
        return Found::Source;
    }
    find_made(cache, wanted, head.as_purged(), now).await
}

/// Looks for what was made of a source that may be used.
pub(super) async fn find_made(cache: &Cache, wanted: &Wanted<'_>, head: Arc<SourceHead>, now: UnixSeconds) -> Found {
    if let Some(why) = wanted.only_original {
        return Found::Original(why, head);
    }
    if let Some(why) = head.why_original(&wanted.transform, now) {
        return Found::Original(why, head);
    }
    let mut last = None;
    for candidate in wanted.candidates.as_slice() {
        let format = candidate.output(head.facts.input);
        let key = variant_key(wanted.key, head.version, &wanted.transform, format);
        let text = || wanted.name.variant_text(head.version, &wanted.transform, format);
        match cache.variant(key, text).await {
            Some(StoredVariant::Made(variant)) => return Found::Variant(variant, head),
            // That a format does not move says nothing where one was tried that does.
            Some(StoredVariant::Original(WhyOriginal::Animated)) => last = last.or(Some(WhyOriginal::Animated)),
            Some(StoredVariant::Original(why)) => last = Some(why),
            None => return Found::Source,
        }
    }
    Found::Original(last.unwrap_or(WhyOriginal::NotSmaller), head)
}
