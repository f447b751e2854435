//! `Surrogate-Control` (Edge Architecture Specification 1.0, 2.2): what an origin says to the caches that work in its name,
//! in the words that were in use before `CDN-Cache-Control`, which goes before it here.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::cache_control::{CacheControl, digits_seconds};

/// `Surrogate-Control`
pub const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// `Surrogate-Capability`, by which an origin learns that it may say more to this cache.
pub const SURROGATE_CAPABILITY: HeaderName = HeaderName::from_static("surrogate-capability");

/// What this cache is called in it, whatever the installation's name is: directives may be aimed at it.
const DEVICE: &[u8] = b"lightmeter";

/// Tells an origin so, behind what others in the chain told it.
pub fn tell_capability(headers: &mut HeaderMap) {
    headers.append(SURROGATE_CAPABILITY, HeaderValue::from_static("lightmeter=\"Surrogate/1.0\""));
}

/// Reads the field; `None` where nothing in it is for this cache. A lifetime that cannot be read is none.
pub(super) fn read(headers: &HeaderMap) -> Option<CacheControl> {
    let mut found = None;
    for line in headers.get_all(&SURROGATE_CONTROL) {
        for directive in line.as_bytes().split(|byte| *byte == b',') {
            take(directive, &mut found);
        }
    }
    found
}

fn take(directive: &[u8], found: &mut Option<CacheControl>) {
    let mut parts = directive.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let (Some(words), target) = (parts.next(), parts.next()) else { return };
    if target.is_some_and(|target| !target.eq_ignore_ascii_case(DEVICE)) {
        return;
    }
    let words = words.to_ascii_lowercase();
    if words == b"no-store" {
        found.get_or_insert_default().no_store = true;
    } else if let Some(value) = words.strip_prefix(b"max-age=") {
        let control = found.get_or_insert_default();
        let mut spans = value.splitn(2, |byte| *byte == b'+');
        let fresh = spans.next().and_then(digits_seconds).unwrap_or(0);
        control.max_age = Some(control.max_age.map_or(fresh, |known| known.min(fresh)));
        // What is added may be used stale while it is asked for anew (2.2.2).
        control.stale_while_revalidate = spans.next().and_then(digits_seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::http::cache_control::{MAX_DELTA_SECONDS, Source};

    fn headers(fields: &[(&HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn surrogate(value: &str) -> Option<(Option<u64>, bool)> {
        read(&headers(&[(&SURROGATE_CONTROL, value)])).map(|control| (control.max_age, control.no_store))
    }

    #[test]
    fn what_is_for_all_or_for_this_cache_is_read_and_the_rest_is_not() {
        for (value, expected) in [
            ("max-age=60", Some((Some(60), false))),
            ("foobar, MaX-aGe=60", Some((Some(60), false))),
            ("max-age=60;lightmeter", Some((Some(60), false))),
            ("max-age=60;other, max-age=5", Some((Some(5), false))),
            ("max-age=60, no-store", Some((Some(60), true))),
            ("no-store;other", None),
            ("content=\"ESI/1.0\"", None),
            ("", None),
            ("max-age=99999999999", Some((Some(MAX_DELTA_SECONDS), false))),
            ("max-age=60, max-age=50", Some((Some(50), false))),
            ("max-age=soon", Some((Some(0), false))),
            ("max-age = 60", None),
        ] {
            assert_eq!(surrogate(value), expected, "{value}");
        }
        let stale = read(&headers(&[(&SURROGATE_CONTROL, "max-age=60+30")])).unwrap();
        assert_eq!((stale.max_age, stale.stale_while_revalidate), (Some(60), Some(30)));
    }

    #[test]
    fn it_goes_before_cache_control_and_behind_cdn_cache_control() {
        let cache_control = http::header::CACHE_CONTROL;
        let cdn = crate::http::targeted::CDN_CACHE_CONTROL;
        let both = [(&cache_control, "no-store"), (&SURROGATE_CONTROL, "max-age=60")];
        let (control, source) = CacheControl::for_us(&headers(&both));
        assert_eq!((control.max_age, control.no_store, source), (Some(60), false, Source::Targeted));
        let all = [both[0], both[1], (&cdn, "max-age=7")];
        assert_eq!(CacheControl::for_us(&headers(&all)).0.max_age, Some(7));
        let others = [both[0], (&SURROGATE_CONTROL, "max-age=60;other")];
        assert_eq!(CacheControl::for_us(&headers(&others)).1, Source::CacheControl);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = read(&HeaderMap::from_iter([(SURROGATE_CONTROL, value)]));
            }
        }
    }
}
