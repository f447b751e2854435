//! Byte ranges (RFC 9110, 14): one range is served; several, or what cannot be read, get the whole.

use http::{HeaderMap, header::RANGE};

/// What a `Range` field selects of a representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All of it: there is no range that can be served as such.
    Whole,
    /// Bytes `first..=last`, both inside the representation.
    Part {
        /// Position of the first byte.
        first: u64,
        /// Position of the last byte.
        last: u64,
    },
    /// No byte of it: 416.
    Unsatisfiable,
}

/// Reads the `Range` field for a representation of `len` bytes.
#[must_use]
pub fn select(headers: &HeaderMap, len: u64) -> Selection {
    let mut fields = headers.get_all(RANGE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return Selection::Whole };
    let Some(spec) = field.to_str().ok().and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Selection::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else { return Selection::Whole };
    match (number(first), number(last)) {
        (Some(Bound::Missing), Some(Bound::At(suffix))) => match suffix.min(len) {
            0 => Selection::Unsatisfiable,
            suffix => Selection::Part { first: len - suffix, last: len - 1 },
        },
        (Some(Bound::At(first)), Some(last)) => {
            let last = match last {
                Bound::At(last) if last < first => return Selection::Whole,
                Bound::At(last) => last.min(len.saturating_sub(1)),
                Bound::Missing => len.saturating_sub(1),
            };
            if first < len { Selection::Part { first, last } } else { Selection::Unsatisfiable }
        }
        _ => Selection::Whole,
    }
}

enum Bound {
    Missing,
    At(u64),
}

/// Digits, nothing, or (`None`) something else. Positions beyond what fits saturate.
fn number(text: &str) -> Option<Bound> {
    if text.is_empty() {
        return Some(Bound::Missing);
    }
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| Bound::At(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn selected(range: &str, len: u64) -> Selection {
        select(&HeaderMap::from_iter([(RANGE, HeaderValue::from_str(range).unwrap())]), len)
    }

    #[test]
    fn one_range_is_served() {
        let part = |first, last| Selection::Part { first, last };
        let table = [
            ("bytes=0-9", part(0, 9)),
            ("bytes=10-", part(10, 99)),
            ("bytes=-5", part(95, 99)),
            ("bytes=-500", part(0, 99)),
            ("bytes=90-500", part(90, 99)),
            ("bytes=99-99999999999999999999999", part(99, 99)),
            ("bytes=100-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=0-1,5-6", Selection::Whole),
            ("bytes=9-5", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("pages=1-2", Selection::Whole),
        ];
        for (range, expected) in table {
            assert_eq!(selected(range, 100), expected, "{range}");
        }
        assert_eq!(selected("bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(selected(&format!("bytes=0-{}", ",0-".repeat(20_000)), 100), Selection::Whole);
        let twice = [(RANGE, HeaderValue::from_static("bytes=0-1")), (RANGE, HeaderValue::from_static("bytes=0-1"))];
        let twice = twice.into_iter().fold(HeaderMap::new(), |mut fields, (name, value)| {
            fields.append(name, value);
            fields
        });
        assert_eq!(select(&twice, 100), Selection::Whole);
        assert_eq!(select(&HeaderMap::new(), 100), Selection::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_inside(first in any::<u64>(), last in any::<u64>(), len in any::<u64>()) {
            if let Selection::Part { first, last } = selected(&format!("bytes={first}-{last}"), len) {
                prop_assert!(first <= last && last < len);
            }
        }

        #[test]
        fn whatever_is_asked_for_lies_inside(range in "(bytes=)?[0-9, -]{0,30}", len in any::<u64>()) {
            if let Selection::Part { first, last } = selected(&range, len) {
                prop_assert!(first <= last && last < len);
            }
        }
    }
}
