//! `CDN-Cache-Control` (RFC 9213): what an origin says to caches that work in its name, apart from all others. It is a
//! Dictionary of structured fields (RFC 9651) and read as strictly as one: a field with one error in it counts for nothing.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

use super::cache_control::{CacheControl, MAX_DELTA_SECONDS};

/// `CDN-Cache-Control`, the one field on this cache's target list. Others' fields change nothing here and pass as they are.
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Reads the field; `None` where there is none, or it is empty or not valid as a whole (2.1).
///
/// A member whose value is of another type than its directive has is not consumed (2.1): `max-age=1.5`, `max-age="10"`,
/// `no-store=1`. Of a member that stands twice the last one counts, as everywhere in structured fields.
pub(super) fn read(headers: &HeaderMap) -> Option<CacheControl> {
    if !headers.contains_key(&CDN_CACHE_CONTROL) {
        return None;
    }
    let mut lines = headers.get_all(&CDN_CACHE_CONTROL).iter().map(http::HeaderValue::as_bytes);
    let first = lines.next().unwrap_or_default().to_vec();
    // Several lines are one value (RFC 9651, 4.2).
    let joined = lines.fold(first, |joined, line| [&joined, line].join(&b", "[..]));
    let members: Dictionary = Parser::new(&joined).parse().ok()?;
    if members.is_empty() {
        return None;
    }
    let mut control = CacheControl::default();
    for (name, value) in &members {
        if let ListEntry::Item(Item { bare_item, .. }) = value {
            consume(&mut control, name.as_str(), bare_item);
        }
    }
    Some(control)
}

fn consume(control: &mut CacheControl, name: &str, value: &BareItem) {
    if let Some(flag) = control.flag(name.as_bytes()) {
        *flag |= match value {
            BareItem::Boolean(is_set) => *is_set,
            // Names of fields: read as the whole response, the stricter reading.
            BareItem::String(_) => matches!(name, "no-cache" | "private"),
            _ => false,
        };
    } else if let Some(seconds) = control.seconds(name.as_bytes())
        && let BareItem::Integer(given) = value
    {
        // A negative lifetime is over.
        *seconds = Some(u64::try_from(i64::from(*given)).unwrap_or(0).min(MAX_DELTA_SECONDS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header::CACHE_CONTROL};
    use proptest::prelude::*;

    use crate::http::cache_control::Source;

    fn targeted(lines: &[&str]) -> Option<CacheControl> {
        let line = |line: &&str| (CDN_CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        read(&lines.iter().map(line).collect())
    }

    #[test]
    fn what_must_be_understood_is() {
        let control = targeted(&["max-age=60, must-revalidate, no-store", "no-cache, private"]).unwrap();
        assert_eq!(control.max_age, Some(60));
        assert!(control.must_revalidate && control.no_store && control.no_cache && control.private);
        let control = targeted(&["s-maxage=5,stale-while-revalidate=6, stale-if-error=7, public, immutable"]).unwrap();
        assert_eq!(
            (control.s_maxage, control.stale_while_revalidate, control.stale_if_error),
            (Some(5), Some(6), Some(7))
        );
        assert!(control.public && control.immutable);
    }

    #[test]
    fn a_field_with_an_error_is_as_none() {
        for lines in [
            &[""][..],
            &["  "],
            &["max-age=60,"],
            &["max-age="],
            &["MaX-aGe=60"],
            &["max-age=60;"],
            &["max-age =60"],
            &["max-age= 60"],
            &["max-age='60'"],
            &["max-age=60", "&"],
            &["max-age=9999999999999999"],
            &["x=\"\u{e9}\""],
            &["max-age=60 no-store"],
        ] {
            assert_eq!(targeted(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_not_consumed() {
        for member in [
            "max-age=1.5",
            "max-age=\"10\"",
            "max-age=ten",
            "max-age=(10)",
            "max-age",
            "max-age=?1",
            "no-store=?0",
            "no-store=1",
            "no-store=yes",
            "no-store=\"x\"",
            "private=5",
            "none",
        ] {
            assert_eq!(targeted(&[member]), Some(CacheControl::default()), "{member}");
        }
        assert!(targeted(&["no-cache=\"set-cookie\""]).unwrap().no_cache);
        assert!(targeted(&["private=\"x\""]).unwrap().private);
    }

    #[test]
    fn parameters_are_passed_over_and_the_last_of_two_counts() {
        assert_eq!(targeted(&["max-age=60;foo=bar"]).unwrap().max_age, Some(60));
        assert!(!targeted(&["max-age=60; no-store"]).unwrap().no_store);
        assert_eq!(targeted(&["max-age=60", "max-age=5"]).unwrap().max_age, Some(5));
        assert_eq!(targeted(&["max-age=5, max-age=60"]).unwrap().max_age, Some(60));
        assert_eq!(targeted(&["max-age=60, max-age=\"5\""]).unwrap().max_age, None);
        assert_eq!(targeted(&["max-age=999999999999999"]).unwrap().max_age, Some(MAX_DELTA_SECONDS));
        assert_eq!(targeted(&["max-age=-5"]).unwrap().max_age, Some(0));
    }

    #[test]
    fn it_takes_the_place_of_cache_control_where_it_is_valid() {
        let both = |targeted: &'static str| {
            CacheControl::for_us(&HeaderMap::from_iter([
                (CACHE_CONTROL, HeaderValue::from_static("no-store, max-age=5")),
                (CDN_CACHE_CONTROL, HeaderValue::from_static(targeted)),
            ]))
        };
        let (control, source) = both("max-age=60");
        assert_eq!((control.max_age, control.no_store, source), (Some(60), false, Source::Targeted));
        let (control, source) = both("none");
        assert_eq!((control, source), (CacheControl::default(), Source::Targeted));
        for fallen_back in ["", "max-age=60,,"] {
            let (control, source) = both(fallen_back);
            assert_eq!((control.max_age, control.no_store, source), (Some(5), true, Source::CacheControl));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = read(&HeaderMap::from_iter([(CDN_CACHE_CONTROL, value)]));
            }
        }
    }
}
