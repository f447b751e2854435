//! `Vary`: which of a request's fields had a say in what is delivered (RFC 9110, 12.5.5).

use http::HeaderValue;

use super::sites::Site;
use crate::request::{ImageRequest, options::FormatChoice};

/// Which fields have a say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Varies {
    /// `Accept`: the format is not pinned.
    accept: bool,
    /// `Save-Data`: quality is left to the site, which lowers it.
    save_data: bool,
}

impl Varies {
    /// By `Accept` alone.
    pub(super) const BY_FORMAT: Self = Self { accept: true, save_data: false };

    /// For an image of a site.
    pub(super) fn by(site: &Site, image: &ImageRequest<'_>) -> Self {
        let lowers = site.qualities.usual != site.qualities.saving;
        Self {
            accept: image.format == FormatChoice::Auto,
            save_data: image.transform.quality.is_none() && lowers && !is_always_lossless(image.format),
        }
    }

    /// The names.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        [("Accept", self.accept), ("Save-Data", self.save_data)]
            .into_iter()
            .filter_map(|(name, has)| has.then_some(name))
    }

    /// All names in one field's value.
    pub(super) fn fields(self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(match (self.accept, self.save_data) {
            (true, true) => "Accept, Save-Data",
            (true, false) => "Accept",
            (false, true) => "Save-Data",
            (false, false) => return None,
        }))
    }
}

/// Whether no quality has a say in it.
fn is_always_lossless(format: FormatChoice) -> bool {
    format == FormatChoice::Pinned(crate::image::format::OutputFormat::Png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, edge::sites::SiteTable, request, telemetry::metrics::Metrics};

    fn varies(images: &str, query: &str) -> Option<HeaderValue> {
        let text = format!("[images]\n{images}\n[[site]]\nid='s'\nhosts=['*']\norigin='https://a.example'");
        let config: Config = toml::from_str(&text).unwrap();
        let table = SiteTable::new(&config.sites, &config, &Metrics::new().unwrap(), &SiteTable::default(), |_| None);
        let request::Target::Image(image) =
            request::parse("/a.jpg", Some(query), &request::Presets::default()).unwrap()
        else {
            panic!()
        };
        Varies::by(table.find("x").unwrap(), &image).fields()
    }

    #[test]
    fn only_what_has_a_say_is_named() {
        let table = [
            ("", "w=5", Some("Accept, Save-Data")),
            ("", "w=5&q=auto", Some("Accept, Save-Data")),
            ("", "w=5&f=webp", Some("Save-Data")),
            ("", "w=5&f=png", None),
            ("", "w=5&q=70", Some("Accept")),
            ("", "w=5&q=high&f=avif", None),
            ("quality = 70", "w=5", Some("Accept")),
            ("save_data_target = 80", "w=5", Some("Accept")),
        ];
        for (images, query, expected) in table {
            assert_eq!(varies(images, query), expected.map(HeaderValue::from_static), "{images:?} {query}");
        }
    }

    #[test]
    fn names_are_those_of_the_field() {
        let both = Varies { accept: true, save_data: true };
        assert_eq!(both.names().collect::<Vec<_>>(), ["Accept", "Save-Data"]);
        assert_eq!(Varies::BY_FORMAT.names().collect::<Vec<_>>(), ["Accept"]);
    }
}
