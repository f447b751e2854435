//! RIFF's chunks, of which WebP is made (RFC 9649, 2.3).

/// Kind and content of chunks one after another; it ends at the first that is cut off.
pub(crate) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// Those of a file, behind `RIFF`, its length and `WEBP`.
    pub(crate) fn of_file(bytes: &'a [u8]) -> Self {
        Self(bytes.get(12..).unwrap_or_default())
    }

    /// Those that another chunk holds.
    pub(crate) const fn of_content(content: &'a [u8]) -> Self {
        Self(content)
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, behind) = self.0.split_first_chunk::<4>()?;
        let (len, content) = behind.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let here = content.get(..len)?;
        // Chunks begin at even places; the last one may lack its filling.
        self.0 = content.get(len + (len & 1)..).unwrap_or_default();
        Some((kind, here))
    }
}

/// Appends a chunk.
pub(crate) fn push(file: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) {
    file.extend_from_slice(&kind);
    file.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    file.extend_from_slice(content);
    if content.len() % 2 == 1 {
        file.push(0);
    }
}

/// A WebP file of chunks that stand one after another.
pub(crate) fn webp(chunks: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(12 + chunks.len());
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&u32::try_from(chunks.len() + 4).unwrap_or(u32::MAX).to_le_bytes());
    file.extend_from_slice(b"WEBP");
    file.extend_from_slice(chunks);
    file
}

/// The content of `VP8X`: what kinds of chunks follow, and the canvas (RFC 9649, 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extended {
    /// The bits of [`flags`].
    pub(crate) flags: u8,
    /// Pixels across and down, 1 to 2^24.
    pub(crate) canvas: (u32, u32),
}

/// What `VP8X` announces.
pub(crate) mod flags {
    pub(crate) const ANIMATION: u8 = 0x02;
    pub(crate) const XMP: u8 = 0x04;
    pub(crate) const EXIF: u8 = 0x08;
    pub(crate) const ALPHA: u8 = 0x10;
}

impl Extended {
    pub(crate) fn read(content: &[u8]) -> Option<Self> {
        Some(Self { flags: *content.first()?, canvas: (u24(content, 4)? + 1, u24(content, 7)? + 1) })
    }

    pub(crate) fn content(self) -> [u8; 10] {
        let mut content = [0; 10];
        content[0] = self.flags;
        content[4..7].copy_from_slice(&u24_bytes(self.canvas.0 - 1));
        content[7..10].copy_from_slice(&u24_bytes(self.canvas.1 - 1));
        content
    }
}

/// Three bytes as a number.
pub(crate) fn u24(bytes: &[u8], at: usize) -> Option<u32> {
    let [low, middle, high] = *bytes.get(at..at.checked_add(3)?)? else { return None };
    Some(u32::from_le_bytes([low, middle, high, 0]))
}

/// A number below 2^24 as three bytes.
pub(crate) const fn u24_bytes(number: u32) -> [u8; 3] {
    let [low, middle, high, _] = number.to_le_bytes();
    [low, middle, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_written_and_found_at_even_places() {
        let mut chunks = Vec::new();
        push(&mut chunks, *b"ABCD", b"x");
        push(&mut chunks, *b"ICCP", b"yz");
        let file = webp(&chunks);
        assert_eq!(&file[..12], b"RIFF\x18\0\0\0WEBP");
        let found: Vec<_> = Chunks::of_file(&file).collect();
        assert_eq!(found, [(b"ABCD", b"x".as_slice()), (b"ICCP", b"yz")]);
        assert_eq!(Chunks::of_file(&file[..file.len() - 1]).count(), 1);
    }

    #[test]
    fn the_extended_header_is_read_as_it_was_written() {
        let header = Extended { flags: flags::ALPHA, canvas: (1, 16_383) };
        assert_eq!(Extended::read(&header.content()), Some(header));
        assert_eq!(Extended::read(b"short"), None);
    }
}
