//! `quality`: words are targets, a number is a setting.

use crate::transform::Quality;

/// What the words aim at, on the scale of SSIMULACRA2.
const TARGETS: [(&str, u8); 4] = [("high", 82), ("medium-high", 72), ("medium-low", 62), ("low", 50)];

/// `auto` is the same as nothing: the site's.
pub(super) fn quality(value: &str) -> Option<Option<Quality>> {
    if value == "auto" {
        return Some(None);
    }
    let target = TARGETS.iter().find(|(word, _)| *word == value).map(|(_, target)| Quality::Target(*target));
    let setting = || value.parse().ok().filter(|number| (1..=100).contains(number)).map(Quality::Setting);
    target.or_else(setting).map(Some)
}

/// The word for a target, if it has one.
pub(super) fn word(target: u8) -> Option<&'static str> {
    TARGETS.iter().find(|(_, of_word)| *of_word == target).map(|(word, _)| *word)
}
