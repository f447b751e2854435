//! JPEG's marker segments up to the first scan (ITU-T T.81, annex B).

use super::{Probe, be_u16};
use crate::{color::MAX_ICC_BYTES, error::ImageError, exif, format::InputFormat::Jpeg, orientation::Orientation};

const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const ICC_MARK: &[u8] = b"ICC_PROFILE\0";

/// The most scans of a file that is developed; ten is usual.
const MAX_SCANS: usize = 100;

pub(super) fn probe(bytes: &[u8]) -> Result<Probe, ImageError> {
    let mut orientation = Orientation::UPRIGHT;
    let mut frame = None;
    for Segment { marker, content } in Segments::of(bytes) {
        match marker {
            APP1 if content.starts_with(b"Exif\0\0") => orientation = exif::orientation(content),
            // Lossless and hierarchical frames, which no browser shows.
            0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF => return Err(ImageError::Unsupported { what: "lossless JPEG" }),
            0xC0..=0xC2 | 0xC9 | 0xCA => frame = frame.or_else(|| read_frame(marker, content)),
            _ => {}
        }
    }
    let Frame { width, height, components, progressive } =
        frame.ok_or_else(|| ImageError::broken(Jpeg, "there is no frame header"))?;
    let Some(scan_components) = first_scan_components(bytes) else {
        return Err(ImageError::broken(Jpeg, "there is no scan"));
    };
    // libjpeg holds all coefficients, 16 bits each, until the last scan: of a progressive file, and of any that does not
    // have all components in its first scan.
    let coefficients = if progressive || scan_components < components { 2 * components } else { 0 };
    if coefficients > 0 && count_scans(bytes) > MAX_SCANS {
        return Err(ImageError::Unsupported { what: "a JPEG with more than 100 scans" });
    }
    Ok(Probe {
        format: Jpeg,
        width,
        height,
        orientation,
        animated: false,
        frames: 1,
        // Ink is converted to colour beside itself.
        whole_bytes_per_pixel: coefficients + if components == 4 { 3 } else { 0 },
        table_bytes: 0,
        pixel_bytes: components.max(3),
    })
}

/// What a frame header says.
struct Frame {
    width: u32,
    height: u32,
    components: u32,
    progressive: bool,
}

fn read_frame(marker: u8, content: &[u8]) -> Option<Frame> {
    Some(Frame {
        width: be_u16(content, 3)?.into(),
        height: be_u16(content, 1)?.into(),
        components: (*content.get(5)?).into(),
        progressive: matches!(marker, 0xC2 | 0xCA),
    })
}

/// How many components the first scan has.
fn first_scan_components(bytes: &[u8]) -> Option<u32> {
    let mut segments = Segments::of(bytes);
    segments.by_ref().for_each(drop);
    segments.rest.get(2).map(|components| (*components).into())
}

/// Each scan costs a walk over all coefficients, however few bytes it has.
fn count_scans(bytes: &[u8]) -> usize {
    let mut segments = Segments::of(bytes);
    let mut scans = 0;
    loop {
        segments.by_ref().for_each(drop);
        if !segments.is_at_scan {
            return scans;
        }
        scans += 1;
        segments.skip_scan_header();
    }
}

/// The ICC profile, put together from its segments (ICC.1, annex B.4); `None` where there is none or it is not whole.
pub(crate) fn icc_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<(u8, &[u8])> = Segments::of(bytes)
        .filter(|segment| segment.marker == APP2)
        .filter_map(|segment| segment.content.strip_prefix(ICC_MARK))
        .filter_map(|part| Some((*part.first()?, part.get(2..)?)))
        .collect();
    parts.sort_by_key(|(number, _)| *number);
    let in_order = parts.iter().zip(1u8..).all(|((number, _), expected)| *number == expected);
    let len: usize = parts.iter().map(|(_, part)| part.len()).sum();
    (in_order && (1..=MAX_ICC_BYTES).contains(&len))
        .then(|| parts.into_iter().flat_map(|(_, part)| part).copied().collect())
}

/// The EXIF block, if there is one.
pub(crate) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    application(bytes, b"Exif\0\0")
}

/// The XMP packet, if there is one; what is said beside it in further segments is not looked for.
pub(crate) fn xmp(bytes: &[u8]) -> Option<&[u8]> {
    application(bytes, b"http://ns.adobe.com/xap/1.0/\0")
}

fn application<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut segments = Segments::of(bytes).filter(|segment| segment.marker == APP1);
    segments.find_map(|segment| segment.content.strip_prefix(name))
}

/// Whether Adobe's segment is there: its CMYK is stored inverted.
pub(crate) fn has_adobe_segment(bytes: &[u8]) -> bool {
    Segments::of(bytes).any(|segment| segment.marker == 0xEE && segment.content.starts_with(b"Adobe"))
}

struct Segment<'a> {
    marker: u8,
    content: &'a [u8],
}

/// The segments before the first scan, whose header is what is left in the end; behind a scan's header, those before the next
/// one. Where a scan's data end they are found as libjpeg finds them: no segment is looked into.
struct Segments<'a> {
    rest: &'a [u8],
    is_at_scan: bool,
}

impl<'a> Segments<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(2..).unwrap_or_default(), is_at_scan: false }
    }

    fn skip_scan_header(&mut self) {
        self.is_at_scan = false;
        let len = be_u16(self.rest, 0).unwrap_or(u16::MAX);
        self.rest = self.rest.get(usize::from(len)..).unwrap_or_default();
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        loop {
            // Whatever stands between segments is skipped, as libjpeg does.
            let at = self.rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF))?;
            let marker = self.rest[at + 1];
            self.rest = &self.rest[at + 2..];
            match marker {
                // What is left begins behind the marker.
                START_OF_SCAN | END_OF_IMAGE => {
                    self.is_at_scan = marker == START_OF_SCAN;
                    return None;
                }
                // These stand alone, without a length. Those below 0xC0 mean nothing: within a scan libjpeg goes on behind them.
                0x01..=0xBF | 0xD0..=0xD8 => {}
                _ => {
                    let len = usize::from(be_u16(self.rest, 0)?).max(2);
                    let content = self.rest.get(2..len)?;
                    self.rest = &self.rest[len..];
                    return Some(Segment { marker, content });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exif::tests::block;

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
        [&[0xFF, marker], &len[..], content].concat()
    }

    fn file(segments: &[Vec<u8>]) -> Vec<u8> {
        [&[0xFF, 0xD8][..], &segments.concat(), &segment(START_OF_SCAN, &[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0])]
            .concat()
    }

    const FRAME: &[u8] = &[8, 0, 100, 0, 200, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];

    #[test]
    fn size_and_orientation_are_read_wherever_exif_stands() {
        for segments in
            [[segment(APP1, &block(6)), segment(0xC0, FRAME)], [segment(0xC0, FRAME), segment(APP1, &block(6))]]
        {
            let probe = probe(&file(&segments)).unwrap();
            assert_eq!((probe.width, probe.height, probe.orientation), (200, 100, Orientation::from_exif(6)));
            assert_eq!(probe.whole_bytes_per_pixel, 0);
        }
    }

    #[test]
    fn a_progressive_frame_needs_its_coefficients_in_memory() {
        assert_eq!(probe(&file(&[segment(0xC2, FRAME)])).unwrap().whole_bytes_per_pixel, 6);
    }

    #[test]
    fn so_does_a_file_whose_first_scan_lacks_components() {
        let mut bytes = file(&[segment(0xC0, FRAME)]);
        let components = bytes.len() - 10;
        bytes[components] = 1;
        assert_eq!(probe(&bytes).unwrap().whole_bytes_per_pixel, 6);
    }

    #[test]
    fn a_file_with_very_many_scans_is_refused() {
        let mut bytes = file(&[segment(0xC2, FRAME)]);
        bytes.extend(segment(START_OF_SCAN, &[1, 1, 0, 0, 63, 0]).repeat(MAX_SCANS));
        assert!(matches!(probe(&bytes), Err(ImageError::Unsupported { .. })));
    }

    #[test]
    fn scans_are_counted_as_they_are_decoded_whatever_looks_like_the_end() {
        let scan = segment(START_OF_SCAN, &[1, 1, 0, 0, 63, 0]);
        let counted = |behind: &[Vec<u8>]| count_scans(&[file(&[segment(0xC2, FRAME)]), behind.concat()].concat());
        let end = vec![0xFF, END_OF_IMAGE];
        assert_eq!(counted(&[]), 1);
        assert_eq!(counted(&[vec![1, 0xFF, 0, 2, 0xFF, 0xD0, 3], scan.clone(), scan.clone()]), 3);
        assert_eq!(counted(&[scan.clone(), end.clone(), scan.clone()]), 2, "behind the end there is none");
        assert_eq!(counted(&[segment(0xFE, &end), scan.clone()]), 2, "a comment");
        assert_eq!(counted(&[segment(0xFE, &scan), scan.clone()]), 2, "a comment of a scan");
        let odd_header = segment(START_OF_SCAN, &[1, 0xFF, END_OF_IMAGE, 0, 63, 0]);
        assert_eq!(counted(&[odd_header, scan.clone()]), 3, "a component of an odd name");
        assert_eq!(counted(&[vec![0xFF, 0x02, 0, 99], scan.clone(), scan]), 3, "a marker that means nothing");
        assert_eq!(counted(&[vec![0xFF, START_OF_SCAN]]), 2, "it breaks off");
    }

    #[test]
    fn a_profile_is_put_together_in_the_order_of_its_numbers() {
        let part = |number, text: &[u8]| segment(APP2, &[ICC_MARK, &[number, 2], text].concat());
        assert_eq!(icc_profile(&file(&[part(2, b"cd"), part(1, b"ab")])).unwrap(), b"abcd");
        assert_eq!(icc_profile(&file(&[part(2, b"cd")])), None);
        assert_eq!(icc_profile(&file(&[])), None);
    }

    #[test]
    fn a_file_without_a_frame_or_with_one_that_no_browser_shows_is_refused() {
        assert!(matches!(probe(&file(&[])), Err(ImageError::Broken { .. })));
        assert!(matches!(probe(&file(&[segment(0xC3, FRAME)])), Err(ImageError::Unsupported { .. })));
    }
}
