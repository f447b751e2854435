//! Which image size a URL asks for, and what its delivery is charged for.

use std::borrow::Cow;

use serde::Deserialize;
use url::Url;

use crate::{
    admin::asked::image_asked,
    billing::{Component, SiteId},
    config::SiteConfig,
    image::format::OutputFormat,
    request::{
        FormatChoice, ImageRequest, Transform,
        key::size_names,
        options::{MAX_SIDE, Options},
    },
    store::VariantCharge,
};

/// The formats that a size's visitors get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<OutputFormat>")]
pub(super) struct Formats {
    avif: bool,
    webp: bool,
}

impl Default for Formats {
    fn default() -> Self {
        Self { avif: true, webp: true }
    }
}

impl TryFrom<Vec<OutputFormat>> for Formats {
    type Error = &'static str;

    fn try_from(formats: Vec<OutputFormat>) -> Result<Self, &'static str> {
        if formats.is_empty() {
            return Err("needs at least one format");
        }
        let has = |format| formats.contains(&format);
        Ok(Self { avif: has(OutputFormat::Avif), webp: has(OutputFormat::WebP) })
    }
}

/// A width to ask for, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(super) struct Width(u32);

impl Width {
    pub(super) const fn pixels(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Width {
    type Error = String;

    fn try_from(pixels: u32) -> Result<Self, String> {
        if (1..=MAX_SIDE).contains(&pixels) { Ok(Self(pixels)) } else { Err(format!("must be from 1 to {MAX_SIDE}")) }
    }
}

/// The image size that `url` asks for, at `width` if one is given, and what its delivery in `formats` is charged for.
///
/// # Errors
/// Why it is none, or not the site's.
pub(super) fn size_of(
    site: &SiteId,
    config: &SiteConfig,
    url: &str,
    width: Option<Width>,
    formats: Formats,
) -> Result<VariantCharge, String> {
    let url = visitors_url(config, url)?;
    let image = image_asked(config, &url)?;
    let components = components(&image, formats);
    let (transform, _) = match width {
        None => (image.transform, image.format),
        Some(Width(pixels)) => {
            let mut options = Options::default();
            options.transform = Transform { width: Some(pixels), ..image.transform };
            options.canonical()
        }
    };
    let names = size_names(site.as_str(), image.source.as_str(), &transform, None);
    Ok(VariantCharge {
        site: site.clone(),
        requested: names.requested,
        pixels: names.pixels,
        components,
        reference: String::new(),
    })
}

/// The URL as browsers send it: normalized and escaped (WHATWG URL). A path is one on the site.
fn visitors_url(config: &SiteConfig, url: &str) -> Result<Url, String> {
    let is_path = url.starts_with('/');
    let absolute = if is_path { Cow::Owned(format!("http://site.invalid{url}")) } else { Cow::Borrowed(url) };
    let parsed = Url::parse(&absolute).map_err(|_| "expected a path that begins with /, or a URL".to_owned())?;
    if is_path {
        return Ok(parsed);
    }
    let host = parsed.host_str().filter(|_| matches!(parsed.scheme(), "http" | "https"));
    let host = host.ok_or_else(|| "expected an http or https URL".to_owned())?;
    let is_own = |pattern: &String| match pattern.strip_prefix("*.") {
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => pattern == "*" || pattern == host,
    };
    if config.hosts.iter().any(is_own) { Ok(parsed) } else { Err(format!("{host:?} is none of the site's hosts")) }
}

fn components(image: &ImageRequest<'_>, formats: Formats) -> Vec<Component> {
    let (webp, avif) = match image.format {
        FormatChoice::Auto => (formats.webp, formats.avif),
        FormatChoice::Pinned(format) => (format == OutputFormat::WebP, format == OutputFormat::Avif),
        // The source's own, which its name tells as well as can be without asking for it.
        FormatChoice::Original => (has_extension(image, ".webp"), has_extension(image, ".avif")),
    };
    let delivered = [(Component::Size, true), (Component::Webp, webp), (Component::Avif, avif)];
    delivered.into_iter().filter(|(_, is)| *is).map(|(component, _)| component).collect()
}

fn has_extension(image: &ImageRequest<'_>, extension: &str) -> bool {
    let path = image.source.as_str().split('?').next().unwrap_or_default();
    path.get(path.len().saturating_sub(extension.len())..).is_some_and(|end| end.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Component::{Avif, Size, Webp};

    fn size(url: &str, width: Option<u32>, formats: &[OutputFormat]) -> Result<VariantCharge, String> {
        let config = "id = 'shop'\nhosts = ['img.shop.example', '*.cdn.example']\norigin = 'https://shop.example'";
        let formats = if formats.is_empty() { Formats::default() } else { formats.to_vec().try_into().unwrap() };
        size_of(&"shop".parse().unwrap(), &toml::from_str(config).unwrap(), url, width.map(Width), formats)
    }

    #[test]
    fn urls_that_ask_for_the_same_size_are_the_same_size() {
        let wanted = size("/a%20b.jpg?w=400", None, &[]).unwrap();
        for same in [
            "/a b.jpg?width=400",
            "/a%20b.jpg?w=200&dpr=2",
            "/x/../a%20b.jpg?w=400",
            "https://img.shop.example/a%20b.jpg?w=400",
            "https://IMG.shop.example:8443/a%20b.jpg?w=400#top",
            "http://eu.cdn.example/a%20b.jpg?w=400",
            "/lm/w=400/a%20b.jpg",
        ] {
            assert_eq!(size(same, None, &[]), Ok(wanted.clone()), "{same}");
        }
        for same in ["/a%20b.jpg", "/a%20b.jpg?w=900"] {
            assert_eq!(size(same, Some(400), &[]), Ok(wanted.clone()), "{same}");
        }
        assert_ne!(size("/a%20b.jpg?w=401", None, &[]).unwrap().requested, wanted.requested);
        assert_ne!(size("//a%20b.jpg?w=400", None, &[]).unwrap().requested, wanted.requested);
    }

    #[test]
    fn a_delivery_is_charged_by_the_formats_that_its_visitors_get() {
        use OutputFormat::{Jpeg, Png, WebP};
        for (url, formats, components) in [
            ("/a.jpg", &[][..], &[Size, Webp, Avif][..]),
            ("/a.jpg", &[WebP, Jpeg], &[Size, Webp]),
            ("/a.jpg", &[OutputFormat::Avif, OutputFormat::Avif], &[Size, Avif]),
            ("/a.jpg", &[Jpeg, Png], &[Size]),
            ("/a.jpg?f=webp", &[], &[Size, Webp]),
            ("/a.jpg?f=png", &[], &[Size]),
            ("/a.jpg?f=original", &[], &[Size]),
            ("/a.WebP?f=original&v=1", &[], &[Size, Webp]),
        ] {
            assert_eq!(size(url, None, formats).unwrap().components, components, "{url} {formats:?}");
        }
    }

    #[test]
    fn what_is_no_image_of_the_site_says_why() {
        for (url, problem) in [
            ("a.jpg", "begins with /"),
            ("", "begins with /"),
            ("ftp://img.shop.example/a.jpg", "http or https"),
            ("https://shop.example/a.jpg", "\"shop.example\" is none"),
            ("https://cdn.example/a.jpg", "\"cdn.example\" is none"),
            ("https://evilcdn.example/a.jpg", "is none"),
            ("/a.jpg?w=wide", "option \"width\""),
            ("/lm/a.jpg", "no source behind"),
        ] {
            let found = size(url, None, &[]).unwrap_err();
            assert!(found.contains(problem), "{url}: {found}");
        }
    }
}
