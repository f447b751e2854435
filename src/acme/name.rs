//! Names that a certificate can be issued for.

use std::{fmt, sync::Arc};

/// The longest name: files are called after it, with a word behind it, and 255 bytes is the longest that they can be called.
const MAX_BYTES: usize = 230;
const MAX_LABEL_BYTES: usize = 63;

/// A DNS name of at least two labels, in lower case, without a trailing dot. Files can be called after it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Arc<str>);

impl DnsName {
    /// The name, if a certificate can be issued for it: no address, no name of this machine alone (`localhost`), no wildcard.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name.len() > MAX_BYTES || !name.contains('.') || !name.split('.').all(is_label) {
            return None;
        }
        let last = name.rsplit('.').next()?;
        // An address has digits there; no top-level domain has only them.
        let is_public = last != "localhost" && last.bytes().any(|byte| byte.is_ascii_alphabetic());
        is_public.then(|| Self(name.into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case letters, digits and hyphens, no hyphen at either end (RFC 5890, 2.3.1).
fn is_label(label: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(is_inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_name_of_a_certificate_is_none() {
        let label = "a".repeat(63);
        let long = format!("{label}.{label}.{label}.example");
        for name in ["shop.example", "a.b.shop.example", "xn--bcher-kva.example", "1.example", "a-b.example", &long] {
            assert_eq!(DnsName::parse(name).unwrap().as_str(), name);
        }
        let long_label = format!("{}.example", "a".repeat(64));
        let too_long = format!("{label}.{label}.{label}.{label}.example");
        for name in [
            "",
            ".",
            "example",
            "localhost",
            "a.localhost",
            "192.0.2.1",
            "[2001:db8::1]",
            "2001:db8::1",
            "shop.example.",
            ".shop.example",
            "a..example",
            "Shop.example",
            "*.shop.example",
            "a_b.example",
            "-a.example",
            "a-.example",
            "bücher.example",
            "../../etc/passwd",
            "a/b.example",
            "a\0b.example",
            "a b.example",
            &long_label,
            &too_long,
        ] {
            assert_eq!(DnsName::parse(name), None, "{name:?}");
        }
    }
}
