//! Which formats a client may be served, best first (RFC 9110, 12.5.1). Browsers name the newer image formats they read;
//! a wildcard says nothing about them: Safari sends `image/*` and `*/*` without reading AVIF.

use crate::image::{
    format::{InputFormat, OutputFormat},
    options::FormatChoice,
};

/// A format to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Candidate {
    /// This one.
    Format(OutputFormat),
    /// Whatever the source is, made again.
    SameAsSource,
}

impl Candidate {
    /// The format that it means for a source in `input`.
    #[must_use]
    pub const fn output(self, input: InputFormat) -> OutputFormat {
        match self {
            Self::Format(format) => format,
            Self::SameAsSource => input.same_output(),
        }
    }
}

/// The formats to try, best first; when none gives fewer bytes, the original is served. At most three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidates {
    list: [Candidate; 3],
    len: u8,
}

impl Candidates {
    fn new(candidates: &[Candidate]) -> Self {
        let mut list = [Candidate::SameAsSource; 3];
        let len = candidates.len().min(list.len());
        list[..len].copy_from_slice(&candidates[..len]);
        Self { list, len: u8::try_from(len).unwrap_or(3) }
    }

    /// Best first, never empty.
    #[must_use]
    pub fn as_slice(&self) -> &[Candidate] {
        &self.list[..usize::from(self.len)]
    }
}

/// Orders the formats for a client by what its `Accept` fields say. Higher quality values come first, AVIF before WebP
/// where both are liked equally; what is given `q=0` or not named is left out; the source's own format always ends the list.
pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a [u8]>, choice: FormatChoice) -> Candidates {
    match choice {
        FormatChoice::Pinned(format) => Candidates::new(&[Candidate::Format(format)]),
        FormatChoice::Original => Candidates::new(&[Candidate::SameAsSource]),
        FormatChoice::Auto => {
            let [avif, webp] = qualities(accept);
            let avif_format = Candidate::Format(OutputFormat::Avif);
            let webp_format = Candidate::Format(OutputFormat::WebP);
            match (avif > 0, webp > 0) {
                (true, true) if webp > avif => Candidates::new(&[webp_format, avif_format, Candidate::SameAsSource]),
                (true, true) => Candidates::new(&[avif_format, webp_format, Candidate::SameAsSource]),
                (true, false) => Candidates::new(&[avif_format, Candidate::SameAsSource]),
                (false, true) => Candidates::new(&[webp_format, Candidate::SameAsSource]),
                (false, false) => Candidates::new(&[Candidate::SameAsSource]),
            }
        }
    }
}

/// The quality values, in thousandths, of `image/avif` and `image/webp`; 0 where a type is not named.
fn qualities<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> [u16; 2] {
    let mut found = [0; 2];
    for field in accept {
        for element in field.split(|byte| *byte == b',') {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let media_type = parts.next().unwrap_or_default();
            let place = if media_type.eq_ignore_ascii_case(b"image/avif") {
                0
            } else if media_type.eq_ignore_ascii_case(b"image/webp") {
                1
            } else {
                continue;
            };
            found[place] = parts.find_map(weight).unwrap_or(1000);
        }
    }
    found
}

/// Reads `q=0.8` in thousandths. A weight that is not one excludes the type: the careful reading.
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    let (whole, fraction) = match value {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] => (*whole, fraction),
        _ => return Some(0),
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return Some(0);
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(3);
    let thousandths = digits.fold(u16::from(whole - b'0'), |number, digit| number * 10 + u16::from(digit - b'0'));
    Some(thousandths.min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AVIF: Candidate = Candidate::Format(OutputFormat::Avif);
    const WEBP: Candidate = Candidate::Format(OutputFormat::WebP);
    const SAME: Candidate = Candidate::SameAsSource;

    fn formats(accept: &str) -> Vec<Candidate> {
        negotiate([accept.as_bytes()], FormatChoice::Auto).as_slice().to_vec()
    }

    #[test]
    fn browsers_get_what_they_read() {
        let table: [(&str, &str, &[Candidate]); 10] = [
            (
                "Chromium, <img>",
                "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
                &[AVIF, WEBP, SAME],
            ),
            (
                "Firefox, <img>",
                "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
                &[AVIF, WEBP, SAME],
            ),
            ("Safari 15", "image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5", &[WEBP, SAME]),
            (
                "Safari 16-18",
                "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
                &[AVIF, WEBP, SAME],
            ),
            ("Safari 13", "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5", &[SAME]),
            ("curl", "*/*", &[SAME]),
            ("a bot", "image/jpeg,image/gif,image/*;q=0.5", &[SAME]),
            ("a navigation", "text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8", &[AVIF, WEBP, SAME]),
            ("nothing", "", &[SAME]),
            ("upper case and spaces", " IMAGE/WebP ; Q=0.9 , */* ", &[WEBP, SAME]),
        ];
        for (client, accept, expected) in table {
            assert_eq!(formats(accept), expected, "{client}");
        }
    }

    #[test]
    fn weights_order_and_exclude() {
        assert_eq!(formats("image/avif;q=0.5,image/webp"), [WEBP, AVIF, SAME]);
        assert_eq!(formats("image/avif;q=0,image/webp;q=0.001"), [WEBP, SAME]);
        assert_eq!(formats("image/avif;q=0.000"), [SAME]);
        assert_eq!(formats("image/avif;q=nonsense,image/webp;q=2"), [SAME]);
        assert_eq!(formats("image/avif;level=1;q=0.7"), [AVIF, SAME]);
    }

    #[test]
    fn several_accept_fields_are_one_list() {
        let fields = [&b"image/webp"[..], &b"image/avif"[..]];
        assert_eq!(negotiate(fields, FormatChoice::Auto).as_slice(), [AVIF, WEBP, SAME]);
    }

    #[test]
    fn a_pinned_format_does_not_ask_accept() {
        let pinned = negotiate([&b"*/*"[..]], FormatChoice::Pinned(OutputFormat::WebP));
        assert_eq!(pinned.as_slice(), [WEBP]);
        assert_eq!(negotiate([&b"image/avif"[..]], FormatChoice::Original).as_slice(), [SAME]);
    }

    proptest! {
        #[test]
        fn any_accept_gives_a_list_that_ends_with_the_source_format(accept in proptest::collection::vec(any::<u8>(), 0..200)) {
            let candidates = negotiate([accept.as_slice()], FormatChoice::Auto);
            prop_assert_eq!(candidates.as_slice().last(), Some(&SAME));
        }
    }
}
