//! Names of what is cached: a source by its site and URL, one content of it by its version, a variant by version, transform
//! and format. Each has a short key for tables and file names and a full text that is stored beside the content and
//! compared, so that no collision and no swapped file is ever served.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::transform::{Animation, Fit, Quality, Rotation, Transform};
use crate::{
    cache::key::{CacheKey, KeyHasher},
    image::format::OutputFormat,
};

/// One content of a source: the first 128 bits of its BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceVersion(pub [u8; 16]);

impl SourceVersion {
    /// The version that `bytes` are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(blake3::hash(bytes))
    }

    /// The version whose bytes have this hash.
    #[must_use]
    pub fn from_hash(hash: blake3::Hash) -> Self {
        let mut version = [0; 16];
        version.copy_from_slice(&hash.as_bytes()[..16]);
        Self(version)
    }
}

impl fmt::Display for SourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A source's name: its site, and path with query or absolute URL.
#[derive(Debug, Clone, Copy)]
pub struct SourceName<'a> {
    /// The site's id and origin: two sites never share an entry, nor does a site with another origin.
    pub scope: &'a str,
    /// What names the source within the site.
    pub source: &'a str,
}

impl SourceName<'_> {
    /// The key of what is known of the source.
    #[must_use]
    pub fn key(self) -> CacheKey {
        KeyHasher::new().text("source").text(self.scope).text(self.source).finish()
    }

    /// The full text behind [`Self::key`].
    #[must_use]
    pub fn text(self) -> String {
        format!("source\n{}\n{}", self.scope, self.source)
    }

    /// The full text behind [`body_key`].
    #[must_use]
    pub fn body_text(self, version: SourceVersion) -> String {
        format!("body\n{}\n{}\n{version}", self.scope, self.source)
    }

    /// The full text behind [`variant_key`].
    #[must_use]
    pub fn variant_text(self, version: SourceVersion, transform: &Transform, format: OutputFormat) -> String {
        format!("variant\n{}\n{}\n{version}\n{transform:?}\n{}", self.scope, self.source, format.name())
    }
}

/// The key of a source version's bytes.
#[must_use]
pub fn body_key(source: CacheKey, version: SourceVersion) -> CacheKey {
    KeyHasher::new().text("body").bytes(source.as_bytes()).bytes(&version.0).finish()
}

/// The variant key: image size × output format, for one version of the source.
#[must_use]
pub fn variant_key(source: CacheKey, version: SourceVersion, transform: &Transform, format: OutputFormat) -> CacheKey {
    KeyHasher::new()
        .text("variant")
        .bytes(source.as_bytes())
        .bytes(&version.0)
        .bytes(&transform_bytes(transform))
        .text(format.name())
        .finish()
}

/// The key of the work that makes a variant. The version is not known before the source has come: usually any will do.
#[must_use]
pub fn work_key(
    source: CacheKey,
    version: Option<SourceVersion>,
    transform: &Transform,
    candidates: super::Candidates,
) -> CacheKey {
    let mut hasher = KeyHasher::new().text("work").bytes(source.as_bytes()).bytes(&transform_bytes(transform));
    if let Some(version) = version {
        hasher = hasher.bytes(&version.0);
    }
    for candidate in candidates.as_slice() {
        hasher = match candidate {
            super::Candidate::Format(format) => hasher.text(format.name()),
            super::Candidate::SameAsSource => hasher.text("same"),
        };
    }
    hasher.finish()
}

/// The two names of an image size (`billing.md` rule 4): what was asked for, and what came of it in pixels. Neither depends on
/// the site's origin, its settings or the source's content, so nothing of these makes a size another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeNames {
    /// Source and transform, as the request has them.
    pub requested: [u8; 16],
    /// Source, the variant's pixels across and down, and what else was done to them.
    pub pixels: [u8; 16],
}

/// Names an image size of a site. `pixels` is the variant's size where it is known; where not, both names are the same.
#[must_use]
pub fn size_names(site: &str, source: &str, transform: &Transform, pixels: Option<(u32, u32)>) -> SizeNames {
    let name = |kind: &str, transform: &Transform| {
        let hasher = KeyHasher::new().text(kind).text(site).text(source).bytes(&transform_bytes(transform));
        *hasher.finish().as_bytes()
    };
    let requested = name("requested size", transform);
    let Some((width, height)) = pixels else { return SizeNames { requested, pixels: requested } };
    // Where nothing is cut or filled, how it came to its size makes no difference.
    let fit = match transform.fit {
        Fit::ScaleDown | Fit::Contain => Fit::ScaleDown,
        cut @ (Fit::Cover | Fit::Crop | Fit::Pad) => cut,
    };
    let of_pixels = Transform { width: Some(width), height: Some(height), fit, ..transform.clone() };
    SizeNames { requested, pixels: name("pixels", &of_pixels) }
}

/// A canonical transform as bytes, each field at its place, absent ones as 0 (which no field's value is).
fn transform_bytes(transform: &Transform) -> [u8; 24] {
    let Transform { width, height, fit, gravity, dpr, quality, background, rotate, animation } = transform;
    let mut bytes = [0; 24];
    bytes[0..4].copy_from_slice(&width.unwrap_or(0).to_le_bytes());
    bytes[4..8].copy_from_slice(&height.unwrap_or(0).to_le_bytes());
    bytes[8..10].copy_from_slice(&gravity.x_permille.to_le_bytes());
    bytes[10..12].copy_from_slice(&gravity.y_permille.to_le_bytes());
    bytes[12..14].copy_from_slice(&dpr.0.to_le_bytes());
    match quality {
        Some(Quality::Setting(setting)) => bytes[14] = *setting,
        Some(Quality::Target(score)) => bytes[22] = *score,
        None => {}
    }
    if let Some(color) = background {
        bytes[15..19].copy_from_slice(&[1, color.r, color.g, color.b]);
    }
    bytes[19] = match fit {
        Fit::ScaleDown => 0,
        Fit::Contain => 1,
        Fit::Cover => 2,
        Fit::Crop => 3,
        Fit::Pad => 4,
    };
    bytes[20] = match rotate {
        Rotation::None => 0,
        Rotation::Quarter => 1,
        Rotation::Half => 2,
        Rotation::ThreeQuarter => 3,
    };
    bytes[21] = match animation {
        Animation::Keep => 0,
        Animation::FirstFrame => 1,
    };
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::transform::{Dpr, Gravity, Rgb};
    use std::collections::HashSet;

    #[test]
    fn each_field_of_the_transform_makes_another_variant() {
        let plain = Transform::default();
        let transforms = [
            plain.clone(),
            Transform { width: Some(1), ..plain.clone() },
            Transform { height: Some(1), ..plain.clone() },
            Transform { fit: Fit::Cover, ..plain.clone() },
            Transform { gravity: Gravity { x_permille: 1, y_permille: 500 }, ..plain.clone() },
            Transform { gravity: Gravity { x_permille: 500, y_permille: 1 }, ..plain.clone() },
            Transform { dpr: Dpr(200), ..plain.clone() },
            Transform { quality: Some(Quality::Setting(72)), ..plain.clone() },
            Transform { quality: Some(Quality::Target(72)), ..plain.clone() },
            Transform { quality: Some(Quality::Target(60)), ..plain.clone() },
            Transform { background: Some(Rgb { r: 0, g: 0, b: 0 }), ..plain.clone() },
            Transform { rotate: Rotation::Half, ..plain.clone() },
            Transform { animation: Animation::FirstFrame, ..plain },
        ];
        let name = SourceName { scope: "shop", source: "/a.jpg" };
        let version = SourceVersion::of(b"x");
        let mut keys = HashSet::new();
        for transform in &transforms {
            for format in [OutputFormat::Avif, OutputFormat::WebP] {
                assert!(keys.insert(variant_key(name.key(), version, transform, format)));
            }
        }
        assert!(keys.insert(variant_key(name.key(), SourceVersion::of(b"y"), &transforms[0], OutputFormat::Avif)));
    }

    #[test]
    fn what_leads_to_the_same_pixels_is_the_same_size() {
        let asked = |width| Transform { width: Some(width), ..Transform::default() };
        let names = |transform: &Transform, pixels| size_names("shop", "/a.jpg", transform, Some(pixels));
        let (larger, largest) = (names(&asked(5_000), (800, 600)), names(&asked(6_000), (800, 600)));
        assert_ne!(larger.requested, largest.requested);
        assert_eq!(larger.pixels, largest.pixels);
        // New content of other dimensions: what was asked for is still the same.
        let changed = names(&asked(5_000), (1_000, 750));
        assert_eq!(changed.requested, larger.requested);
        assert_ne!(changed.pixels, larger.pixels);
        let cut = Transform { height: Some(600), fit: Fit::Cover, ..asked(800) };
        assert_ne!(names(&cut, (800, 600)).pixels, larger.pixels);
        assert_ne!(size_names("shop", "/b.jpg", &asked(5_000), Some((800, 600))).pixels, larger.pixels);
    }

    #[test]
    fn sites_and_sources_do_not_share_keys() {
        let key = |scope, source| SourceName { scope, source }.key();
        assert_ne!(key("a", "/b"), key("c", "/b"));
        assert_ne!(key("a", "/b"), key("a/", "b"));
        assert_ne!(key("a", "/b"), key("a", "/b?"));
    }
}
