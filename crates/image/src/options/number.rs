//! Decimal numbers, read exactly: what a URL says is never rounded twice.

use std::ops::RangeInclusive;

/// A decimal fraction from 0 to 1 in thousandths; further digits do not count.
pub(super) fn permille(value: &str) -> Option<u16> {
    decimal(value, 3).and_then(|thousandths| u16::try_from(thousandths).ok()).filter(|thousandths| *thousandths <= 1000)
}

/// A decimal number in hundredths, if they are in the range; further digits do not count.
pub(super) fn hundredths(value: &str, range: RangeInclusive<u16>) -> Option<u16> {
    decimal(value, 2)
        .and_then(|hundredths| u16::try_from(hundredths).ok())
        .filter(|hundredths| range.contains(hundredths))
}

/// Reads `12`, `1.5` or `.25` as a whole number of 10^-places, exactly, for up to 5 places; no sign, no exponent.
pub(super) fn decimal(value: &str, places: usize) -> Option<u32> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !all_digits || whole.len() + fraction.len() == 0 || whole.len() > 4 || fraction.len() > 20 {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(places));
    Some(digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        let table = [
            ("0.3", 3, Some(300)),
            (".25", 2, Some(25)),
            ("1.", 2, Some(100)),
            ("1.999", 2, Some(199)),
            ("9999.99999", 5, Some(999_999_999)),
            ("00012", 2, None),
            (".", 2, None),
            ("", 2, None),
            ("-1", 2, None),
            ("1e3", 2, None),
            ("1,5", 2, None),
        ];
        for (value, places, expected) in table {
            assert_eq!(decimal(value, places), expected, "{value}");
        }
    }
}
