//! The options of a watermark, which are one thing only when all have been read.

use super::{
    number::{hundredths, permille},
    point,
};
use crate::transform::{Point, Watermark};

/// The longest reference to a watermark, in bytes.
const MAX_SOURCE_BYTES: usize = 2048;

/// What has been said of a watermark so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WatermarkOptions {
    source: Option<String>,
    opacity: Option<u8>,
    position: Option<Point>,
    scale_permille: Option<u16>,
}

impl WatermarkOptions {
    /// Takes one of its options in; the error says what it takes.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "watermark-opacity" => {
                let opacity = hundredths(value, 0..=100).and_then(|opacity| u8::try_from(opacity).ok());
                self.opacity = Some(opacity.ok_or("a number from 0 to 1")?);
            }
            "watermark-position" => {
                self.position = Some(point(value).ok_or("center, top, bottom-left, …, n, sw, … or 0.3x0.7")?);
            }
            "watermark-scale" => {
                let scale = permille(value).filter(|permille| *permille > 0);
                self.scale_permille = Some(scale.ok_or("a fraction of the width from 0.001 to 1")?);
            }
            _ => {
                let source = is_reference(value).then(|| value.to_owned());
                self.source = Some(source.ok_or("a path from /, or an http or https URL, percent-encoded")?);
            }
        }
        Ok(())
    }

    /// The watermark, if one is named and can be seen.
    pub(super) fn finish(self) -> Option<Box<Watermark>> {
        let source = self.source?;
        let opacity = self.opacity.unwrap_or(Watermark::OPAQUE);
        let position = self.position.unwrap_or(Watermark::USUAL_POSITION);
        let scale_permille = self.scale_permille.unwrap_or(Watermark::USUAL_SCALE_PERMILLE);
        (opacity > 0).then(|| Box::new(Watermark { source, opacity, position, scale_permille }))
    }
}

/// Whether it is a path on the origin or an absolute URL, in the characters that a URL has (RFC 3986). Which hosts are allowed
/// is the site's to say.
fn is_reference(value: &str) -> bool {
    let in_url = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    let behind_scheme = ["https://", "http://"].iter().find_map(|scheme| {
        let start = value.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &value[scheme.len()..])
    });
    let is_path = value.starts_with('/') && !value.starts_with("//");
    let is_url = behind_scheme.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    (is_path || is_url) && value.len() <= MAX_SOURCE_BYTES && value.bytes().all(in_url)
}
