//! Names of what is cached: a source by its site and URL, one content of it by its version, a variant by version, transform
//! and format. Each has a short key for tables and file names and a full text that is stored beside the content and
//! compared, so that no collision and no swapped file is ever served.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    options::Operations,
    transform::{Animation, Fit, Gravity, Metadata, Quality, Rotation, Transform},
};
use crate::{
    cache::{
        key::{CacheKey, KeyHasher},
        purge::Generation,
    },
    http::scheme::Scheme,
    image::format::OutputFormat,
};

/// One content of a source: the first 128 bits of its BLAKE3 hash; after a hard purge of the source, of that and the purge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceVersion(pub [u8; 16]);

impl SourceVersion {
    /// The version that `bytes` are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(blake3::hash(bytes))
    }

    /// What the same bytes are after a hard purge: other content, as far as the cache is concerned, so that what was made
    /// before is made anew.
    #[must_use]
    pub fn after(self, purge: Generation) -> Self {
        if purge == Generation::default() {
            return self;
        }
        Self::of(&[&self.0[..], &purge.0.to_le_bytes()].concat())
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
        format!("variant\n{}\n{}\n{version}\n{transform}\n{}", self.scope, self.source, format.name())
    }
}

/// The name of what passes through: its site, and its URL as far as the origin sees it, normalized.
#[derive(Debug, Clone, Copy)]
pub struct ResponseName<'a> {
    /// As in [`SourceName::scope`].
    pub scope: &'a str,
    /// Which of the site's hosts was asked: the origin is told (`X-Forwarded-Host`), and may answer accordingly.
    pub host: &'a str,
    /// By which scheme: the origin is told that too (`X-Forwarded-Proto`).
    pub scheme: Scheme,
    /// Path and query, percent-encoded alike.
    pub target: &'a str,
}

impl ResponseName<'_> {
    /// The key of what stands for the URL.
    #[must_use]
    pub fn key(self) -> CacheKey {
        let hasher = KeyHasher::new().text("response").text(self.scope).text(self.scheme.name());
        hasher.text(self.host).text(self.target).finish()
    }

    /// The full text behind [`Self::key`].
    #[must_use]
    pub fn text(self) -> String {
        let Self { scope, host, scheme, target } = self;
        format!("response\n{scope}\n{}://{host}\n{target}", scheme.name())
    }

    /// The full text behind [`selected_key`].
    #[must_use]
    pub fn selected_text(self, salt: u64, list: &[String], selecting: &[u8]) -> String {
        let selecting = selecting.escape_ascii();
        let Self { scope, host, scheme, target } = self;
        format!("selected\n{scope}\n{}://{host}\n{target}\n{salt:x}\n{}\n{selecting}", scheme.name(), list.join(","))
    }

    /// The full text behind [`body_key`] of its [`Self::key`].
    #[must_use]
    pub fn body_text(self, version: SourceVersion) -> String {
        let Self { scope, host, scheme, target } = self;
        format!("response body\n{scope}\n{}://{host}\n{target}\n{version}", scheme.name())
    }
}

/// The key of one of a URL's responses that vary: `salt` is that of the URL's selectors, `selecting` what the request says in
/// the fields of `list`.
#[must_use]
pub fn selected_key(response: CacheKey, salt: u64, list: &[String], selecting: &[u8]) -> CacheKey {
    let hasher = KeyHasher::new().text("selected").bytes(response.as_bytes()).bytes(&salt.to_le_bytes());
    list.iter().fold(hasher, |hasher, name| hasher.text(name)).bytes(b"").bytes(selecting).finish()
}

/// The key of a source version's bytes.
#[must_use]
pub fn body_key(source: CacheKey, version: SourceVersion) -> CacheKey {
    KeyHasher::new().text("body").bytes(source.as_bytes()).bytes(&version.0).finish()
}

/// The variant key: image size × output format, for one version of the source.
#[must_use]
pub fn variant_key(source: CacheKey, version: SourceVersion, transform: &Transform, format: OutputFormat) -> CacheKey {
    let hasher = KeyHasher::new().text("variant").bytes(source.as_bytes()).bytes(&version.0);
    with_transform(hasher, transform).text(format.name()).finish()
}

/// The key of the work that makes a variant. The version is not known before the source has come: usually any will do.
#[must_use]
pub fn work_key(
    source: CacheKey,
    version: Option<SourceVersion>,
    transform: &Transform,
    candidates: super::Candidates,
) -> CacheKey {
    let mut hasher = with_transform(KeyHasher::new().text("work").bytes(source.as_bytes()), transform);
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
/// the site's origin, its settings or the source's content, so nothing of these makes a size another one; nor does metadata,
/// which is no pixel.
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
    let transform = &Transform { metadata: Metadata::None, ..transform.clone() };
    let name = |kind: &str, transform: &Transform| {
        let hasher = KeyHasher::new().text(kind).text(site).text(source);
        *with_transform(hasher, transform).finish().as_bytes()
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

/// Adds a canonical transform: the first release's options, and behind them the text of those that came later, if there are
/// any. Cached variants and charged sizes are named by it: what a transform adds must never change.
fn with_transform(hasher: KeyHasher, transform: &Transform) -> KeyHasher {
    let first = transform_bytes(transform);
    let later = Operations(transform).to_string();
    // Most have none, and a hit in memory allocates as little as it can.
    if later.is_empty() { hasher.bytes(&first) } else { hasher.bytes(&[&first[..], later.as_bytes()].concat()) }
}

/// The first release's options, each at its place, absent ones as 0 (which no field's value is).
fn transform_bytes(transform: &Transform) -> [u8; 24] {
    let Transform { width, height, fit, gravity, dpr, quality, background, rotate, animation, .. } = transform;
    let mut bytes = [0; 24];
    bytes[0..4].copy_from_slice(&width.unwrap_or(0).to_le_bytes());
    bytes[4..8].copy_from_slice(&height.unwrap_or(0).to_le_bytes());
    let (x, y) = match gravity {
        Gravity::At(point) => (point.x_permille, point.y_permille),
        Gravity::Auto => (u16::MAX, u16::MAX),
    };
    bytes[8..10].copy_from_slice(&x.to_le_bytes());
    bytes[10..12].copy_from_slice(&y.to_le_bytes());
    bytes[12..14].copy_from_slice(&dpr.0.to_le_bytes());
    match quality {
        Some(Quality::Setting(setting)) => bytes[14] = *setting,
        Some(Quality::Target(score)) => bytes[22] = *score,
        None => {}
    }
    if let Some(color) = background {
        bytes[15..19].copy_from_slice(&[1, color.r, color.g, color.b]);
        // An opaque one had no alpha.
        bytes[23] = u8::MAX - color.alpha;
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
    use crate::request::options::parse_segment;
    use std::collections::HashSet;

    fn asked(options: &str) -> Transform {
        if options.is_empty() { Transform::default() } else { parse_segment(options).unwrap().canonical().0 }
    }

    #[test]
    fn each_option_makes_another_variant() {
        let options = [
            "",
            "w=1",
            "h=1",
            "w=1,h=1",
            "w=1,h=1,fit=contain",
            "w=1,h=1,fit=crop",
            "w=1,h=1,fit=pad",
            "w=1,h=1,fit=cover",
            "w=1,h=1,fit=cover,g=0.001x0.5",
            "w=1,h=1,fit=cover,g=0.5x0.001",
            "w=1,h=1,fit=cover,g=auto",
            "w=1,h=1,fit=pad,background=transparent",
            "q=72",
            "q=medium-high",
            "q=high",
            "background=000",
            "background=0008",
            "rotate=90",
            "rotate=180",
            "rotate=270",
            "anim=false",
            "trim=auto",
            "trim=9",
            "trim=0;0;1;0",
            "crop=0;0;1;1",
            "crop=0;0;1.0;1",
            "flip=h",
            "flip=v",
            "brightness=2",
            "contrast=2",
            "gamma=2",
            "saturation=2",
            "blur=2",
            "sharpen=2",
            "metadata=keep",
            "metadata=copyright",
            "wm=/a",
            "wm=/b",
            "wm=/a,wm-opacity=.5",
            "wm=/a,wm-position=c",
            "wm=/a,wm-scale=.5",
        ];
        let name = SourceName { scope: "shop", source: "/a.jpg" };
        let version = SourceVersion::of(b"x");
        let mut keys = HashSet::new();
        let mut texts = HashSet::new();
        for options in options {
            let transform = asked(options);
            for format in [OutputFormat::Avif, OutputFormat::WebP] {
                assert!(keys.insert(variant_key(name.key(), version, &transform, format)), "{options}");
                assert!(texts.insert(name.variant_text(version, &transform, format)), "{options}");
            }
        }
        let other = variant_key(name.key(), SourceVersion::of(b"y"), &Transform::default(), OutputFormat::Avif);
        assert!(keys.insert(other));
    }

    #[test]
    fn what_is_cached_and_charged_keeps_its_name() {
        let key = SourceName { scope: "shop", source: "/a.jpg" }.key();
        // Made by the first release.
        let table = [
            (
                "",
                "f06833481a0aeec03a0d1fea17d96a4c",
                "a631ad24a649814333cae51ae8f4852f",
                "69312a9c031cc7d5dd7b225da4cf779e",
            ),
            (
                "w=400",
                "7c5b2e526e3195d0778f36917a22b56c",
                "75efee2ae64a2b3f1d72084bc938c8ce",
                "69312a9c031cc7d5dd7b225da4cf779e",
            ),
            (
                "w=400,h=300,fit=cover,g=top,q=75",
                "2d981811e01db790f19e6df1f0b23e8d",
                "48209361440c8eaaae66e603d8c33f2c",
                "87324aedffafe9ef0aea3ebd7e2d8f80",
            ),
            (
                "h=300,rotate=90,background=fa0,anim=false",
                "e3cfa5a88abb2499174314934c68c07d",
                "9cbf97dae2dc35bfed02efee8d9327a3",
                "01a04544bafe9056fb80049c9cfd5fa3",
            ),
            (
                "w=4,h=3,fit=pad,background=fff",
                "91cdf373c35dbc38a1c05e0df0c39b57",
                "79f81c80445bc1a0c9620cba0fdaa220",
                "6eb85730f973530ed3343947a64f069a",
            ),
        ];
        for (options, variant, requested, pixels) in table {
            let transform = asked(options);
            let made = variant_key(key, SourceVersion([7; 16]), &transform, OutputFormat::WebP).to_string();
            let SizeNames { requested: by_request, pixels: by_pixels } =
                size_names("shop", "/a.jpg", &transform, Some((400, 300)));
            let hex = |name: [u8; 16]| SourceVersion(name).to_string();
            assert_eq!((made.as_str(), &*hex(by_request), &*hex(by_pixels)), (variant, requested, pixels), "{options}");
        }
    }

    #[test]
    fn metadata_makes_another_variant_of_the_same_size() {
        let names = |options| size_names("shop", "/a.jpg", &asked(options), Some((4, 3)));
        assert_eq!(names("w=4,metadata=keep"), names("w=4"));
        assert_ne!(names("w=4,metadata=keep,blur=2").pixels, names("w=4").pixels);
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
    fn the_same_bytes_are_another_version_after_each_hard_purge() {
        let version = SourceVersion::of(b"x");
        assert_eq!(version.after(Generation(0)), version);
        assert_ne!(version.after(Generation(1)), version);
        assert_ne!(version.after(Generation(1)), version.after(Generation(2)));
        assert_ne!(version.after(Generation(1)), SourceVersion::of(b"y").after(Generation(1)));
    }

    #[test]
    fn sites_and_sources_do_not_share_keys() {
        let key = |scope, source| SourceName { scope, source }.key();
        assert_ne!(key("a", "/b"), key("c", "/b"));
        assert_ne!(key("a", "/b"), key("a/", "b"));
        assert_ne!(key("a", "/b"), key("a", "/b?"));
    }
}
