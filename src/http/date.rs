//! Dates in fields (RFC 9110, 5.6.7), in all three formats.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::time::UnixSeconds;

/// Reads a date; `None` where it is none.
#[must_use]
pub fn parse(value: &HeaderValue) -> Option<UnixSeconds> {
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok().map(UnixSeconds::from)
}

/// The dates that a field gives, those that can be read.
pub(super) fn all<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = UnixSeconds> + use<'h> {
    headers.get_all(name).iter().filter_map(parse)
}

/// The date of a field that stands once; `None` where there are several, or it cannot be read.
#[must_use]
pub fn single(headers: &HeaderMap, name: &HeaderName) -> Option<UnixSeconds> {
    let mut fields = headers.get_all(name).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    parse(field)
}

/// A date as a field's value, in the format that is to be sent.
#[must_use]
pub fn value(date: UnixSeconds) -> HeaderValue {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(date.0.min(LATEST)));
    let text = httpdate::fmt_http_date(time.unwrap_or(UNIX_EPOCH));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The last second of the year 9999: no later one can be written.
const LATEST: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::DATE;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<u64> {
        parse(&HeaderValue::from_str(text).unwrap()).map(|date| date.0)
    }

    #[test]
    fn all_three_formats_are_read() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(read(text), Some(784_111_777), "{text}");
        }
        for text in ["", "0", "-1", "tomorrow", "Sun, 06 Nov 1994", "Sun, 31 Feb 1994 08:49:37 GMT", "784111777"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn of_two_fields_none_is_the_date() {
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        let mut headers = HeaderMap::from_iter([(DATE, date.clone())]);
        assert_eq!(single(&headers, &DATE), Some(UnixSeconds(784_111_777)));
        headers.append(DATE, date);
        assert_eq!(single(&headers, &DATE), None);
        assert_eq!(all(&headers, &DATE).count(), 2);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in any::<u64>()) {
            prop_assert_eq!(parse(&value(UnixSeconds(seconds))), Some(UnixSeconds(seconds.min(LATEST))));
        }

        #[test]
        fn any_bytes_are_a_date_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = parse(&value);
            }
        }
    }
}
