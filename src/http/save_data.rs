//! `Save-Data`: a client's wish for fewer bytes (Save Data API, 3.1).

use http::HeaderMap;

/// Its name.
pub const SAVE_DATA: http::HeaderName = http::HeaderName::from_static("save-data");

/// Whether the client wishes it: `on`, perhaps with more behind it.
#[must_use]
pub fn is_on(headers: &HeaderMap) -> bool {
    headers.get_all(SAVE_DATA).iter().any(|value| {
        let mut tokens = value.as_bytes().split(|byte| *byte == b';');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"on"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_on_is_on() {
        for (value, expected) in
            [("on", true), ("On", true), (" on ; x", true), ("off", false), ("", false), ("1", false)]
        {
            let headers = HeaderMap::from_iter([(SAVE_DATA, value.parse().unwrap())]);
            assert_eq!(is_on(&headers), expected, "{value:?}");
        }
        assert!(!is_on(&HeaderMap::new()));
    }
}
