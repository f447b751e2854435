//! Presets: options under a name of the site's own. `preset=hero` stands for what the site says that `hero` is, and what
//! a request says itself counts for more. From there on nothing is known of the name: the same pixels are one variant and
//! one charge, however they were asked for.

use std::collections::BTreeMap;

use super::options::{OptionError, Options, each_pair, is_option};

/// The option that names a preset.
pub const PRESET: &str = "preset";

/// The most presets that a site has.
pub const MAX_PRESETS: usize = 256;

/// The longest name of one.
const MAX_NAME_BYTES: usize = 63;

/// The presets of a site, and whether anything else may be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presets {
    by_name: BTreeMap<Box<str>, Preset>,
    use_of_options: UseOfOptions,
}

/// Whether requests may say options themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UseOfOptions {
    /// They may.
    #[default]
    Free,
    /// They may only name a preset.
    PresetsOnly,
}

/// Options, each once, with their values: all allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Preset(Vec<(Box<str>, Box<str>)>);

/// Why options are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsRefused {
    /// They are not allowed anywhere.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The site has no such preset.
    #[error("option \"preset\": there is no preset {name:?} here")]
    NoSuchPreset {
        /// The name as given.
        name: String,
    },
    /// The site allows presets and nothing else.
    #[error("option {name:?} is not allowed here: this site's images are asked for as they are, or with preset=NAME")]
    PresetsOnly {
        /// The option.
        name: String,
    },
}

/// Why something is no preset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPreset {
    /// Its name cannot be.
    #[error("{0:?}: expected a name of 1 to {MAX_NAME_BYTES} letters, digits and -._")]
    Name(String),
    /// Its options cannot be.
    #[error("{name}: {problem}")]
    Options {
        /// The preset.
        name: String,
        /// What is wrong with them.
        problem: OptionError,
    },
    /// There are too many.
    #[error("there are more than {MAX_PRESETS} presets")]
    TooMany,
}

impl Presets {
    /// Reads presets, name and options: `hero`, `w=1200,h=600,fit=cover`.
    ///
    /// # Errors
    /// [`BadPreset`]
    pub fn read<'p>(
        presets: impl IntoIterator<Item = (&'p str, &'p str)>,
        use_of_options: UseOfOptions,
    ) -> Result<Self, BadPreset> {
        let mut by_name = BTreeMap::new();
        for (name, options) in presets {
            if !is_name(name) {
                return Err(BadPreset::Name(name.chars().take(80).collect()));
            }
            let preset =
                Preset::read(options).map_err(|problem| BadPreset::Options { name: name.to_owned(), problem })?;
            by_name.insert(name.into(), preset);
            if by_name.len() > MAX_PRESETS {
                return Err(BadPreset::TooMany);
            }
        }
        Ok(Self { by_name, use_of_options })
    }

    /// None, and nothing else may be asked for either.
    #[must_use]
    pub fn nothing() -> Self {
        Self { by_name: BTreeMap::new(), use_of_options: UseOfOptions::PresetsOnly }
    }

    /// Whether `name` is an option on this site. Where it has no presets, what is called so is the origin's.
    #[must_use]
    pub fn is_option(&self, name: &str) -> bool {
        is_option(name) || (name == PRESET && (!self.by_name.is_empty() || self.are_all_there_is()))
    }

    fn are_all_there_is(&self) -> bool {
        self.use_of_options == UseOfOptions::PresetsOnly
    }
}

impl Preset {
    fn read(segment: &str) -> Result<Self, OptionError> {
        let mut options = Options::default();
        let mut pairs = Vec::new();
        each_pair(segment, |name, value| {
            options.set(name, value)?;
            pairs.push((name.into(), value.into()));
            Ok::<_, OptionError>(())
        })?;
        Ok(Self(pairs))
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// The options of one request while they are read.
#[derive(Debug)]
pub(super) struct Saying<'p> {
    presets: &'p Presets,
    said: Options,
    preset: Option<&'p Preset>,
}

impl<'p> Saying<'p> {
    pub(super) fn with(presets: &'p Presets) -> Self {
        Self { presets, said: Options::default(), preset: None }
    }

    /// Takes one option in.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<(), OptionsRefused> {
        if name == PRESET && self.presets.is_option(PRESET) {
            return self.take_preset(value);
        }
        if self.presets.are_all_there_is() && is_option(name) {
            return Err(OptionsRefused::PresetsOnly { name: name.to_owned() });
        }
        Ok(self.said.set(name, value)?)
    }

    fn take_preset(&mut self, name: &str) -> Result<(), OptionsRefused> {
        if self.preset.is_some() {
            return Err(OptionError::Repeated { name: PRESET }.into());
        }
        let preset = self.presets.by_name.get(name);
        self.preset = Some(
            preset.ok_or_else(|| OptionsRefused::NoSuchPreset { name: name.chars().take(MAX_NAME_BYTES).collect() })?,
        );
        Ok(())
    }

    /// What was said, and where nothing was, what the preset says.
    pub(super) fn end(self) -> Result<Options, OptionsRefused> {
        let mut options = self.said;
        for (name, value) in self.preset.iter().flat_map(|preset| &preset.0) {
            options.set_unless_said(name, value)?;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::options::parse_segment;
    use proptest::prelude::*;

    fn presets(use_of_options: UseOfOptions) -> Presets {
        let presets = [("hero", "w=1200,h=600,fit=cover,q=80"), ("logo", "f=png,wm=%2Fa%2Cb.png")];
        Presets::read(presets, use_of_options).unwrap()
    }

    fn said(presets: &Presets, segment: &str) -> Result<Options, OptionsRefused> {
        let mut saying = Saying::with(presets);
        each_pair(segment, |name, value| saying.take(name, value))?;
        saying.end()
    }

    #[test]
    fn a_preset_is_what_it_stands_for() {
        let presets = presets(UseOfOptions::Free);
        for (asked, same) in [
            ("preset=hero", "w=1200,h=600,fit=cover,q=80"),
            ("preset=hero,width=400", "w=400,h=600,fit=cover,q=80"),
            ("w=400,q=90,preset=hero,blur=3", "w=400,q=90,h=600,fit=cover,blur=3"),
            ("preset=logo", "f=png,wm=%2Fa%2Cb.png"),
            ("w=400", "w=400"),
        ] {
            let asked = said(&presets, asked).unwrap().canonical();
            assert_eq!(asked, parse_segment(same).unwrap().canonical(), "{same}");
        }
    }

    #[test]
    fn a_preset_that_is_not_there_or_named_twice_is_refused() {
        let presets = presets(UseOfOptions::Free);
        for (bad, why) in [
            ("preset=other", "no preset \"other\""),
            ("preset=", "no preset \"\""),
            ("preset=HERO", "no preset \"HERO\""),
            ("preset=hero,preset=logo", "stands twice"),
            ("preset=hero,w=0", "option \"width\""),
        ] {
            assert!(said(&presets, bad).unwrap_err().to_string().contains(why), "{bad}");
        }
    }

    #[test]
    fn where_presets_are_all_there_is_no_other_option_passes() {
        let presets = presets(UseOfOptions::PresetsOnly);
        assert!(said(&presets, "preset=hero").is_ok());
        for bad in ["w=400", "preset=hero,q=80", "fm=webp,preset=hero", "width=nonsense"] {
            assert!(matches!(said(&presets, bad), Err(OptionsRefused::PresetsOnly { .. })), "{bad}");
        }
        assert!(matches!(said(&presets, "nonsense=1"), Err(OptionsRefused::Option(OptionError::Unknown { .. }))));
    }

    #[test]
    fn preset_is_a_word_only_where_there_are_presets() {
        let none = Presets::default();
        assert!(!none.is_option(PRESET) && none.is_option("w"));
        assert!(matches!(said(&none, "preset=hero"), Err(OptionsRefused::Option(OptionError::Unknown { .. }))));
        assert!(presets(UseOfOptions::Free).is_option(PRESET));
        assert!(Presets::read([], UseOfOptions::PresetsOnly).unwrap().is_option(PRESET));
    }

    #[test]
    fn what_is_no_preset_is_refused() {
        for (name, options, why) in [
            ("", "w=1", "expected a name"),
            ("a/b", "w=1", "expected a name"),
            ("hero", "w=0", "hero: option \"width\""),
            ("hero", "", "hero: expected"),
            ("hero", "preset=other", "hero: unknown option \"preset\""),
            ("hero", "w=1,s=abc", "hero: unknown option \"s\""),
            ("hero", "w=1,width=2", "hero: option \"width\" stands twice"),
        ] {
            let error = Presets::read([(name, options)], UseOfOptions::Free).unwrap_err().to_string();
            assert!(error.contains(why), "{name:?} {options:?}: {error}");
        }
        let names: Vec<String> = (0..=MAX_PRESETS).map(|n| format!("p{n}")).collect();
        let many = names.iter().map(|name| (name.as_str(), "w=1"));
        assert_eq!(Presets::read(many, UseOfOptions::Free), Err(BadPreset::TooMany));
    }

    proptest! {
        #[test]
        fn what_a_request_says_itself_counts_for_more(own in 1_u32..2_000, h in 1_u32..2_000) {
            let presets = presets(UseOfOptions::Free);
            for asked in [format!("preset=hero,w={own},h={h}"), format!("h={h},w={own},preset=hero")] {
                let (transform, _) = said(&presets, &asked).unwrap().canonical();
                prop_assert_eq!((transform.width, transform.height), (Some(own), Some(h)));
            }
        }
    }
}
