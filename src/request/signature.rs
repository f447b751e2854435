//! Signed URLs (`docs/signed-urls.md`): the last parameter, `s`, is an HMAC-SHA256 of all that stands before it, exactly as it
//! is sent, and of the site's name; `exp` may say until when it holds. What comes of a signed URL is the same URL without the
//! two, so that nothing behind this module knows of them: not the cache, not the origin.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::target::PREFIX;
use crate::http::time::UnixSeconds;

/// Stands before what is signed, so that a signature means this and nothing else.
const SCHEME: &str = "lightmeter1";

/// The parameter that carries the signature.
pub const SIGNATURE: &str = "s";

/// The parameter that says until when it holds.
pub const EXPIRY: &str = "exp";

/// Bytes of an HMAC-SHA256.
const SIGNATURE_BYTES: usize = 32;

/// The same in base64.
const SIGNATURE_CHARS: usize = 43;

/// The shortest secret: what the hash itself gives (RFC 2104, 3).
const MIN_SECRET_BYTES: usize = 32;

/// The longest: the hash's block, for of more only a hash would count.
const MAX_SECRET_BYTES: usize = 64;

/// Digits of an expiry: enough until the year 33658.
const MAX_EXPIRY_DIGITS: usize = 12;

/// Which of a site's URLs must be signed. Each takes in what the one before does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signing {
    /// None; `s` and `exp` are the origin's.
    #[default]
    Off,
    /// Those of images with options, or on another host.
    Options,
    /// Those of images: what a path's extension says is one, and all below `/lm/`.
    Images,
    /// All, whatever they lead to and whatever the method.
    All,
}

/// What a request asks for, as far as signing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// An image, with options or on another host.
    Options,
    /// An image as it is.
    Image,
    /// Something of the origin's own.
    Other,
}

impl Asks {
    /// From which kind of signing on it must be signed.
    const fn is_signed_from(self) -> Signing {
        match self {
            Self::Options => Signing::Options,
            Self::Image => Signing::Images,
            Self::Other => Signing::All,
        }
    }
}

/// Why a URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// It has no signature.
    #[error("this URL must be signed, with the signature as its last parameter, s")]
    Unsigned,
    /// Something stands behind its signature, or it has two.
    #[error("the signature, s, must stand once and be the last parameter")]
    NotLast,
    /// It is none that one of the site's keys gives.
    #[error("the signature does not fit this URL")]
    Forged,
    /// It says twice, or not in digits, when it expires.
    #[error("exp must stand once and be a time in whole seconds since 1970")]
    BadExpiry,
    /// Nothing but signature and expiry stands where `/lm/` has its options.
    #[error("beside s and exp there must be an option; f=auto changes nothing")]
    NoOption,
    /// It is too late.
    #[error("this URL has expired")]
    Expired,
}

/// What keys are made of: shared with those who sign, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// That something is no secret. It says nothing of what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected {min} to {max} hexadecimal digits, two a byte, as `openssl rand -hex 32` prints them",
    min = 2 * MIN_SECRET_BYTES,
    max = 2 * MAX_SECRET_BYTES
)]
pub struct BadSecret;

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits: Option<Vec<u8>> = text.as_bytes().iter().map(digit).collect();
        let (pairs, rest) = digits.as_deref().ok_or(BadSecret)?.as_chunks::<2>();
        let fits = rest.is_empty() && (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&pairs.len());
        fits.then(|| Self(pairs.iter().map(|[high, low]| high << 4 | low).collect())).ok_or(BadSecret)
    }
}

impl Secret {
    /// As it is written, for where secrets are kept.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The keys of a site: each is good for verifying.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

/// A key.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// The key of a secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        // As HMAC itself does it (RFC 2104, 2): zeros behind what is shorter than a block, and no secret is longer.
        let mut block = [0; MAX_SECRET_BYTES];
        for (place, byte) in block.iter_mut().zip(&secret.0) {
            *place = *byte;
        }
        Self(Hmac::new(&block.into()))
    }

    fn mac(&self, site: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [SCHEME, ":", site, ":", text] {
            mac.update(part.as_bytes());
        }
        mac
    }

    /// The URL `target` (path and query, as it will be sent) of a site, signed, to expire at `expires`.
    ///
    /// # Errors
    /// [`UrlRefused`] where it has an `s` or `exp` already, or no option where `/lm/` needs one.
    pub fn sign(&self, site: &str, target: &str, expires: Option<UnixSeconds>) -> Result<String, UrlRefused> {
        let carried = Carried::of(target);
        if carried.named(SIGNATURE) {
            return Err(UrlRefused::NotLast);
        }
        if carried.named(EXPIRY) {
            return Err(UrlRefused::BadExpiry);
        }
        if carried.carrier == Carrier::Path && carried.parameters.is_none_or(str::is_empty) {
            return Err(UrlRefused::NoOption);
        }
        let expiry = expires.map(|UnixSeconds(seconds)| format!("{EXPIRY}={seconds}"));
        let text = carried.with(carried.parameters.into_iter().chain(expiry.as_deref()));
        let signature = URL_SAFE_NO_PAD.encode(self.mac(site, &text).finalize().into_bytes());
        let signed = Carried::of(&text);
        Ok(signed.with(signed.parameters.into_iter().chain([format!("{SIGNATURE}={signature}").as_str()])))
    }
}

impl Keys {
    /// Those of these secrets.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        Self(secrets.into_iter().map(Key::new).collect())
    }

    /// Whether one of them gives this signature. All are tried, each in a time that tells nothing.
    fn fit(&self, site: &str, text: &str, signature: &str) -> bool {
        let mut claimed = [0; SIGNATURE_BYTES + 1];
        let is_one = signature.len() == SIGNATURE_CHARS
            && URL_SAFE_NO_PAD.decode_slice(signature, &mut claimed) == Ok(SIGNATURE_BYTES);
        let fits = |key: &Key| key.mac(site, text).verify_slice(&claimed[..SIGNATURE_BYTES]).is_ok();
        is_one && self.0.iter().fold(false, |found, key| found | fits(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// A URL that was signed, without `s` and `exp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Path and query.
    pub target: String,
    /// Until when the signature holds.
    pub expires: Option<UnixSeconds>,
}

/// Lets a site's URL pass, path and query as they are sent: `None` where it needs no signature and has none.
///
/// # Errors
/// [`UrlRefused`]
pub fn verify(
    signing: Signing,
    keys: &Keys,
    site: &str,
    (target, asks): (&str, Asks),
    now: UnixSeconds,
) -> Result<Option<Verified>, UrlRefused> {
    let carried = Carried::of(target);
    if !is_read(signing, asks, &carried) {
        return Ok(None);
    }
    let (text, signature) = carried.taken_apart()?;
    if !keys.fit(site, &text, signature) {
        return Err(UrlRefused::Forged);
    }
    let verified = Carried::of(&text).without_expiry()?;
    match verified.expires {
        Some(expires) if expires <= now => Err(UrlRefused::Expired),
        _ => Ok(Some(verified)),
    }
}

/// What a URL of a site names, whether its signature fits or not: without `s` and `exp` where these are read.
///
/// # Errors
/// [`UrlRefused`] where they stand as they must not.
pub fn unverified(signing: Signing, (target, asks): (&str, Asks)) -> Result<Option<String>, UrlRefused> {
    let carried = Carried::of(target);
    let is_signed = carried.named(SIGNATURE) || carried.named(EXPIRY);
    if !is_signed || !is_read(signing, asks, &carried) {
        return Ok(None);
    }
    let (text, _) = carried.taken_apart()?;
    Ok(Some(Carried::of(&text).without_expiry()?.target))
}

/// Whether a URL's `s` and `exp` are ours. Those that say what of an image is wanted are, where any must be signed.
fn is_read(signing: Signing, asks: Asks, carried: &Carried<'_>) -> bool {
    let is_ours = asks != Asks::Other && signing != Signing::Off;
    signing >= asks.is_signed_from() || (is_ours && (carried.named(SIGNATURE) || carried.named(EXPIRY)))
}

/// A URL's parameters, and what stands around them.
#[derive(Debug, Clone, Copy)]
struct Carried<'t> {
    carrier: Carrier,
    before: &'t str,
    parameters: Option<&'t str>,
    behind: &'t str,
}

/// Where parameters stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// In the query.
    Query,
    /// Between `/lm/` and the source, whose query is its own.
    Path,
}

impl Carrier {
    const fn separator(self) -> char {
        match self {
            Self::Query => '&',
            Self::Path => ',',
        }
    }
}

impl<'t> Carried<'t> {
    fn of(target: &'t str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        if let Some(rest) = path.strip_prefix(PREFIX) {
            let len = rest.find('/').unwrap_or(rest.len());
            let (parameters, behind) = target[PREFIX.len()..].split_at(len);
            return Self { carrier: Carrier::Path, before: PREFIX, parameters: Some(parameters), behind };
        }
        let query = target.get(path.len() + 1..);
        Self { carrier: Carrier::Query, before: path, parameters: query, behind: "" }
    }

    fn pairs(&self) -> impl Iterator<Item = &'t str> {
        self.parameters.into_iter().flat_map(|parameters| parameters.split(self.carrier.separator()))
    }

    /// Whether there is a parameter of this name. Its name must be written plainly; any other spelling is another name.
    fn named(&self, name: &str) -> bool {
        self.pairs().any(|pair| name_of(pair) == name)
    }

    /// The URL with these parameters in place of its own.
    fn with<'p>(&self, parameters: impl IntoIterator<Item = &'p str>) -> String {
        let mut target = String::with_capacity(self.before.len() + self.behind.len() + 128);
        target.push_str(self.before);
        for (position, parameter) in parameters.into_iter().enumerate() {
            match (position, self.carrier) {
                (0, Carrier::Path) => {}
                (0, Carrier::Query) => target.push('?'),
                _ => target.push(self.carrier.separator()),
            }
            target.push_str(parameter);
        }
        target.push_str(self.behind);
        target
    }

    /// What is signed, and the signature. Each URL gives another text: what stands before the signature is left as it is.
    fn taken_apart(&self) -> Result<(String, &'t str), UrlRefused> {
        let parameters = self.parameters.ok_or(UrlRefused::Unsigned)?;
        let (others, last) = match parameters.rsplit_once(self.carrier.separator()) {
            Some((others, last)) => (Some(others), last),
            None => (None, parameters),
        };
        let others = Self { parameters: others, ..*self };
        let signature = last.split_once('=').filter(|(name, _)| *name == SIGNATURE).map(|(_, value)| value);
        match signature {
            _ if others.named(SIGNATURE) => Err(UrlRefused::NotLast),
            None => Err(UrlRefused::Unsigned),
            Some(_) if self.carrier == Carrier::Path && others.parameters.is_none() => Err(UrlRefused::NoOption),
            Some(signature) => Ok((others.with(others.parameters), signature)),
        }
    }

    /// The URL without its expiry, and that.
    fn without_expiry(&self) -> Result<Verified, UrlRefused> {
        let mut expiries = self.pairs().filter(|pair| name_of(pair) == EXPIRY);
        let expires = match (expiries.next(), expiries.next()) {
            (None, _) => None,
            (Some(pair), None) => Some(expiry_of(pair).ok_or(UrlRefused::BadExpiry)?),
            (Some(_), Some(_)) => return Err(UrlRefused::BadExpiry),
        };
        let mut others = self.pairs().filter(|pair| name_of(pair) != EXPIRY).peekable();
        if self.carrier == Carrier::Path && others.peek().is_none() {
            return Err(UrlRefused::NoOption);
        }
        Ok(Verified { target: self.with(others), expires })
    }
}

fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

fn expiry_of(pair: &str) -> Option<UnixSeconds> {
    let (_, digits) = pair.split_once('=')?;
    let is_time = digits.len() <= MAX_EXPIRY_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_time).map(UnixSeconds)
}

#[cfg(test)]
mod tests;
