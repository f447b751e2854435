//! What of an XMP packet goes along: all of it, but that the picture lies upright now.

use super::MAX_BYTES;

/// The packet as it holds for a variant; `None` where it is too large or not text.
pub(super) fn whole(packet: &[u8]) -> Option<Vec<u8>> {
    if packet.len() > MAX_BYTES || packet.is_empty() {
        return None;
    }
    let mut text = std::str::from_utf8(packet).ok()?.to_owned();
    // As an attribute, and as an element.
    for before in ["tiff:Orientation=\"", "tiff:Orientation='", "<tiff:Orientation>"] {
        for other in 2..=8 {
            text = text.replace(&format!("{before}{other}"), &format!("{before}1"));
        }
    }
    Some(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_that_the_picture_lies_upright() {
        let packet = br#"<rdf:Description tiff:Orientation="6" dc:x="6"><tiff:Orientation>8</tiff:Orientation>"#;
        let expected = br#"<rdf:Description tiff:Orientation="1" dc:x="6"><tiff:Orientation>1</tiff:Orientation>"#;
        assert_eq!(whole(packet).unwrap(), expected);
    }

    #[test]
    fn what_is_too_large_or_no_text_counts_as_none() {
        assert_eq!(whole(&vec![b' '; MAX_BYTES]).map(|packet| packet.len()), Some(MAX_BYTES));
        assert_eq!(whole(&vec![b' '; MAX_BYTES + 1]), None);
        assert_eq!(whole(b"\xFF\xFE<"), None);
    }
}
