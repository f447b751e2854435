//! How good variants are to be where a request does not say: keys of `[images]` and `[[site]]`.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::schema::{Images, SiteConfig};
use crate::image::transform::Quality;

/// What may be aimed at, in points of SSIMULACRA2.
pub const TARGETS: RangeInclusive<u8> = 30..=95;

const EXPECTED: &str = "expected \"auto\" or a whole number from 1 to 100";

/// Quality where a request names none, written `"auto"` or as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultQuality {
    /// A score is aimed at.
    Auto,
    /// Encoders are set to it, 1-100.
    Setting(u8),
}

/// What a site's visitors get where they do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qualities {
    /// As a rule.
    pub usual: Quality,
    /// Where the client asks to save data. The same where that changes nothing.
    pub saving: Quality,
}

impl Qualities {
    /// Those of a site. Its own target counts for more than a setting that is everybody's.
    #[must_use]
    pub fn of(site: &SiteConfig, images: &Images) -> Self {
        let own = site.quality.or(site.quality_target.map(|_| DefaultQuality::Auto));
        let usual = match own.unwrap_or(images.quality) {
            DefaultQuality::Setting(setting) => Quality::Setting(setting),
            DefaultQuality::Auto => Quality::Target(site.quality_target.unwrap_or(images.quality_target)),
        };
        let saving = match usual {
            Quality::Target(target) => {
                Quality::Target(site.save_data_target.unwrap_or(images.save_data_target).min(target))
            }
            setting @ Quality::Setting(_) => setting,
        };
        Self { usual, saving }
    }
}

impl Serialize for DefaultQuality {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Setting(setting) => serializer.serialize_u8(*setting),
        }
    }
}

impl<'de> Deserialize<'de> for DefaultQuality {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl de::Visitor<'_> for Reader {
    type Value = DefaultQuality;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DefaultQuality, E> {
        match text {
            "auto" => Ok(DefaultQuality::Auto),
            other => Err(E::custom(format_args!("invalid value {other:?}: {EXPECTED}"))),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<DefaultQuality, E> {
        let setting = u8::try_from(number).ok().filter(|setting| (1..=100).contains(setting));
        setting
            .map(DefaultQuality::Setting)
            .ok_or_else(|| E::custom(format_args!("invalid value {number}: {EXPECTED}")))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<DefaultQuality, E> {
        u64::try_from(number).map_or_else(
            |_| Err(E::custom(format_args!("invalid value {number}: {EXPECTED}"))),
            |number| self.visit_u64(number),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qualities(site: &str, images: &str) -> Qualities {
        let site = format!("id='s'\nhosts=['*']\norigin='https://a.example'\n{site}");
        Qualities::of(&toml::from_str(&site).unwrap(), &toml::from_str(images).unwrap())
    }

    #[test]
    fn the_nearest_word_on_quality_counts() {
        use Quality::{Setting, Target};
        let table = [
            ("", "", Target(72), Target(60)),
            ("", "quality = 80", Setting(80), Setting(80)),
            ("", "quality_target = 65", Target(65), Target(60)),
            ("", "quality_target = 55", Target(55), Target(55)),
            ("quality = 70", "", Setting(70), Setting(70)),
            ("quality = 'auto'", "quality = 80", Target(72), Target(60)),
            ("quality_target = 80", "quality = 80", Target(80), Target(60)),
            ("quality = 50\nquality_target = 80", "", Setting(50), Setting(50)),
            ("save_data_target = 45", "save_data_target = 50", Target(72), Target(45)),
        ];
        for (site, images, usual, saving) in table {
            assert_eq!(qualities(site, images), Qualities { usual, saving }, "{site:?} {images:?}");
        }
    }

    #[test]
    fn what_is_neither_auto_nor_a_quality_is_refused() {
        for bad in ["0", "101", "-1", "7.5", "'best'", "'72'", "true"] {
            let error = toml::from_str::<Images>(&format!("quality = {bad}")).unwrap_err().to_string();
            assert!(error.contains("auto"), "{bad}: {error}");
        }
        let kept: Images = toml::from_str("quality = 'auto'").unwrap();
        assert_eq!(toml::from_str::<Images>(&toml::to_string(&kept).unwrap()).unwrap().quality, DefaultQuality::Auto);
    }
}
