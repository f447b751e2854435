//! Signing keys of a site. A secret stands in the configuration or in a file that it names, and is never written out again but
//! for the ledger, which keeps the sites made through the API.

use std::{collections::HashSet, fs, path::PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{
    schema::SiteConfig,
    site::{Refusal, refuse},
};
use crate::{
    billing::SiteId,
    request::{
        presets::{Presets, UseOfOptions},
        signature::{Keys, Secret, Signing},
    },
};

/// The most keys of a site: each is tried on each signed URL.
pub const MAX_SIGNING_KEYS: usize = 8;

/// `[[site.signing_keys]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// Its name.
    pub id: String,
    /// The secret; never printed.
    #[serde(default, skip_serializing, deserialize_with = "secret")]
    pub secret: Option<Secret>,
    /// A file that holds the secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

/// The error says nothing of what was found.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(deserializer).map_err(|_| de::Error::custom("expected text"))?;
    text.parse().map(Some).map_err(de::Error::custom)
}

impl SigningKey {
    /// Reads the secret where it stands in a file.
    ///
    /// # Errors
    /// [`Refusal`]
    pub(super) fn read_file(&mut self) -> Result<(), Refusal> {
        let Some(path) = &self.secret_file else { return Ok(()) };
        if self.secret.is_some() {
            return refuse("secret_file", "give either secret or secret_file, not both");
        }
        match fs::read_to_string(path) {
            Err(cause) => refuse("secret_file", format!("{}: cannot be read: {cause}", path.display())),
            Ok(text) => match text.trim().parse() {
                Err(bad) => refuse("secret_file", format!("{}: {bad}", path.display())),
                Ok(secret) => {
                    self.secret = Some(secret);
                    Ok(())
                }
            },
        }
    }
}

impl SiteConfig {
    /// What its signed URLs are verified with.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(self.signing_keys.iter().filter_map(|key| key.secret.as_ref()))
    }

    /// The presets that requests may name.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn read_presets(&self) -> Result<Presets, Refusal> {
        let use_of_options = if self.presets_only { UseOfOptions::PresetsOnly } else { UseOfOptions::Free };
        let presets = self.presets.iter().map(|(name, options)| (name.as_str(), options.as_str()));
        Presets::read(presets, use_of_options).or_else(|bad| refuse("presets", bad.to_string()))
    }

    /// Lets keys without a secret keep the one that they have by the same name in `before`.
    pub fn keep_secrets_of(&mut self, before: &Self) {
        for key in self.signing_keys.iter_mut().filter(|key| key.secret.is_none()) {
            key.secret =
                before.signing_keys.iter().find(|known| known.id == key.id).and_then(|known| known.secret.clone());
        }
    }

    /// All its settings as JSON, secrets too: for the ledger and nobody else.
    ///
    /// # Errors
    /// Where something cannot be written as JSON.
    pub fn to_keep(&self) -> Result<String, serde_json::Error> {
        let mut settings = serde_json::to_value(self)?;
        for (position, key) in self.signing_keys.iter().enumerate() {
            if let Some(secret) = &key.secret {
                settings["signing_keys"][position]["secret"] = secret.reveal().into();
            }
        }
        serde_json::to_string(&settings)
    }
}

/// Whether a site's keys do for what it wants signed.
pub(super) fn check_signing(site: &SiteConfig) -> Result<(), Refusal> {
    let keys = &site.signing_keys;
    if keys.len() > MAX_SIGNING_KEYS {
        return refuse("signing_keys", format!("there are more than {MAX_SIGNING_KEYS}"));
    }
    let mut ids = HashSet::new();
    for key in keys {
        if let Err(bad) = key.id.parse::<SiteId>() {
            return refuse("signing_keys", format!("id: {bad}"));
        }
        if !ids.insert(&key.id) {
            return refuse("signing_keys", format!("{:?} stands twice: ids must differ", key.id));
        }
        if key.secret.is_none() {
            return refuse("signing_keys", format!("{:?}: needs a secret or secret_file", key.id));
        }
    }
    if site.signing != Signing::Off && keys.is_empty() {
        return refuse("signing", "needs at least one of signing_keys");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn site(keys: &str) -> Result<SiteConfig, toml::de::Error> {
        toml::from_str(&format!("id='shop'\nhosts=['a.example']\norigin='https://shop.example'\n{keys}"))
    }

    fn key(id: &str) -> String {
        format!("[[signing_keys]]\nid='{id}'\nsecret='{SECRET}'\n")
    }

    #[test]
    fn what_is_signed_needs_keys_that_can_be_told_apart() {
        let nine: String = (0..9).map(|n| key(&format!("k{n}"))).collect();
        for (keys, place, why) in [
            ("signing='options'".to_owned(), "signing", "at least one"),
            (key("a") + &key("a"), "signing_keys", "stands twice"),
            (key("a b"), "signing_keys", "letters, digits"),
            ("[[signing_keys]]\nid='a'".to_owned(), "signing_keys", "\"a\": needs a secret"),
            (nine, "signing_keys", "more than 8"),
        ] {
            let refusal = check_signing(&site(&keys).unwrap()).unwrap_err();
            assert!(refusal.key == place && refusal.problem.contains(why), "{refusal}");
        }
        let both = site(&format!("signing='all'\n{}{}", key("new"), key("old"))).unwrap();
        assert_eq!(check_signing(&both), Ok(()));
        assert_eq!(check_signing(&site(&key("a")).unwrap()), Ok(()), "keys may be there before they are used");
    }

    #[test]
    fn a_secret_shows_nowhere_but_where_it_is_kept() {
        let site = site(&key("a")).unwrap();
        for shown in [format!("{site:?}"), toml::to_string(&site).unwrap(), serde_json::to_string(&site).unwrap()] {
            assert!(shown.contains("signing_keys") && !shown.contains(SECRET), "{shown}");
        }
        let kept: SiteConfig = serde_json::from_str(&site.to_keep().unwrap()).unwrap();
        assert_eq!(kept.signing_keys, site.signing_keys);
    }

    #[test]
    fn a_key_without_a_secret_keeps_the_one_it_has() {
        let before = site(&key("a")).unwrap();
        let mut after = site(&format!("{}[[signing_keys]]\nid='a'\n[[signing_keys]]\nid='b'", key("new"))).unwrap();
        after.keep_secrets_of(&before);
        let has: Vec<_> = after.signing_keys.iter().map(|key| key.secret.is_some()).collect();
        assert_eq!(has, [true, true, false]);
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_it() {
        for bad in ["'short'", "'short-and-not-hexadecimal'", "12345678", "['short']"] {
            let text = format!("id='a'\nsecret={bad}");
            let value: toml::Value = toml::from_str(&text).unwrap();
            let error = value.try_into::<SigningKey>().unwrap_err().to_string();
            assert!(error.contains("expected") && !error.contains("short") && !error.contains("12345678"), "{error}");
        }
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let of_file = || SigningKey { id: "a".into(), secret: None, secret_file: Some(path.clone()) };
        let refused = |key: &mut SigningKey| key.read_file().unwrap_err().to_string();
        assert!(refused(&mut of_file()).contains("cannot be read"));
        fs::write(&path, "short").unwrap();
        let refusal = refused(&mut of_file());
        assert!(refusal.contains("hexadecimal") && !refusal.contains("short"), "{refusal}");
        fs::write(&path, format!("{SECRET}\n")).unwrap();
        let mut key = of_file();
        key.read_file().unwrap();
        assert_eq!(key.secret.as_ref().map(Secret::reveal).as_deref(), Some(SECRET));
        assert!(refused(&mut key).contains("not both"));
    }
}
