//! Colours.

use crate::transform::Color;

/// `transparent`, or three, four, six or eight hexadecimal digits (the fourth channel is alpha), with `#` or without.
pub(super) fn color(value: &str) -> Option<Color> {
    if value == "transparent" {
        return Some(Color::TRANSPARENT);
    }
    let hex = value.strip_prefix('#').unwrap_or(value);
    let digits: Vec<u8> =
        hex.chars().take(9).map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let (r, g, b, alpha) = match digits[..] {
        [r, g, b] => (r * 17, g * 17, b * 17, u8::MAX),
        [r, g, b, alpha] => (r * 17, g * 17, b * 17, alpha * 17),
        [r1, r2, g1, g2, b1, b2] => (r1 << 4 | r2, g1 << 4 | g2, b1 << 4 | b2, u8::MAX),
        [r1, r2, g1, g2, b1, b2, a1, a2] => (r1 << 4 | r2, g1 << 4 | g2, b1 << 4 | b2, a1 << 4 | a2),
        _ => return None,
    };
    Some(Color { r, g, b, alpha })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_in_each_length() {
        let table = [
            ("fa0", (0xFF, 0xAA, 0x00, 0xFF)),
            ("#FFAA00", (0xFF, 0xAA, 0x00, 0xFF)),
            ("fa08", (0xFF, 0xAA, 0x00, 0x88)),
            ("12345678", (0x12, 0x34, 0x56, 0x78)),
            ("transparent", (0, 0, 0, 0)),
        ];
        for (value, (r, g, b, alpha)) in table {
            assert_eq!(color(value), Some(Color { r, g, b, alpha }), "{value}");
        }
        for value in ["", "#", "ff", "fffff", "fffffff", "fffffffff", "red", "+ff", "##fff", "ффф"] {
            assert_eq!(color(value), None, "{value}");
        }
    }
}
