//! Names of accounts and sites. They stand in URLs, metrics, file slots and ledger accounts, so they are short and plain.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

/// The longest name, in bytes.
pub const MAX_ID_BYTES: usize = 63;

/// That something is no name for an account or a site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected 1 to {MAX_ID_BYTES} letters, digits and -._, beginning with a letter or digit")]
pub struct BadId(String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(String);

        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                checked(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// An account's name.
    AccountId
}

id! {
    /// A site's name.
    SiteId
}

fn checked(text: &str) -> Result<String, BadId> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if plain && begins && text.len() <= MAX_ID_BYTES {
        Ok(text.to_owned())
    } else {
        Err(BadId(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "shop", "img.shop-2_x", "0"] {
            assert!(good.parse::<SiteId>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "a b", "ä", "a\n", &"x".repeat(64)] {
            assert!(bad.parse::<AccountId>().is_err(), "{bad}");
        }
    }
}
