//! `sign`: signed URLs, made here, without asking anybody (`docs/signed-urls.md`).

use std::{fs, path::PathBuf, str::FromStr};

use anyhow::{Context as _, bail};
use clap::Args;
use url::{Position, Url};

use super::{Environment, when::When};
use crate::{
    billing::SiteId,
    config::{self, Span},
    http::time::UnixSeconds,
    request::signature::{Key, Secret},
};

/// Sign URLs of a site, one a line.
#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The site, as the configuration names it.
    #[arg(long, value_name = "ID")]
    site: SiteId,
    #[command(flatten)]
    secret: SecretSource,
    /// When the URLs expire: from now on (1h, 30d), a time (2026-11-01T12:00:00Z), or seconds since 1970. Never, if left out.
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,
    /// URLs, or paths on the site.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
}

/// Where the secret is. It is no argument: everyone on the machine could read it.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct SecretSource {
    /// A file that holds a secret and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "key_id"])]
    key_file: Option<PathBuf>,
    /// The configuration that has the site and its keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which of the site's keys; the first if left out.
    #[arg(long, value_name = "ID", requires = "config")]
    key_id: Option<String>,
}

/// An end of time for URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    In(Span),
    At(UnixSeconds),
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse::<Span>() {
            return Ok(Self::In(span));
        }
        if let Ok(seconds) = text.parse() {
            return Ok(Self::At(UnixSeconds(seconds)));
        }
        let seconds = text.parse::<When>().ok().and_then(|when| u64::try_from(when.timestamp().as_second()).ok());
        seconds.map(|seconds| Self::At(UnixSeconds(seconds))).ok_or_else(|| {
            "expected a duration such as 1h or 30d, a time such as 2026-11-01T12:00:00Z, or seconds since 1970"
                .to_owned()
        })
    }
}

impl Expiry {
    fn after(self, now: UnixSeconds) -> UnixSeconds {
        match self {
            Self::In(span) => now.plus(span.0),
            Self::At(time) => time,
        }
    }
}

impl Sign {
    /// The URLs, signed.
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let key = Key::new(&self.secret.read(&self.site, environment)?);
        let expires = self.expires.map(|expiry| expiry.after(UnixSeconds::now()));
        let sign = |url: &String| sign(&key, &self.site, url, expires).with_context(|| url.clone());
        let signed: Vec<_> = self.urls.iter().map(sign).collect::<anyhow::Result<_>>()?;
        Ok(signed.join("\n"))
    }
}

impl SecretSource {
    fn read(&self, site: &SiteId, environment: &Environment) -> anyhow::Result<Secret> {
        if let Some(path) = &self.key_file {
            let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
            return text.trim().parse().with_context(|| path.display().to_string());
        }
        let Some(path) = &self.config else { bail!("either --key-file FILE or --config FILE is needed") };
        let config = config::from_file(path, environment.clone())?;
        let Some(found) = config.sites.into_iter().find(|known| known.id == site.as_str()) else {
            bail!("{}: has no site {site}", path.display());
        };
        let is_meant = |id: &str| self.key_id.as_deref().is_none_or(|wanted| wanted == id);
        let key = found.signing_keys.into_iter().find(|key| is_meant(&key.id)).and_then(|key| key.secret);
        key.with_context(|| match &self.key_id {
            Some(id) => format!("{}: the site {site} has no signing key {id}", path.display()),
            None => format!("{}: the site {site} has no signing_keys", path.display()),
        })
    }
}

/// Signs a URL as browsers send it: escaped and without its fragment. A path stays one.
fn sign(key: &Key, site: &SiteId, url: &str, expires: Option<UnixSeconds>) -> anyhow::Result<String> {
    let is_path = url.starts_with('/');
    let absolute = if is_path { format!("http://site.invalid{url}") } else { url.to_owned() };
    let parsed = Url::parse(&absolute).context("expected a URL, or a path that begins with /")?;
    if !matches!(parsed.scheme(), "http" | "https") {
        bail!("expected an http or https URL");
    }
    let signed = key.sign(site.as_str(), &parsed[Position::BeforePath..Position::AfterQuery], expires)?;
    Ok(if is_path { signed } else { format!("{}{signed}", &parsed[..Position::BeforePath]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn signed(url: &str) -> anyhow::Result<String> {
        sign(&Key::new(&SECRET.parse().unwrap()), &"shop".parse().unwrap(), url, None)
    }

    #[test]
    fn a_url_is_signed_as_browsers_send_it() {
        let plain = "/a%20b/%C3%BC.png?v=3&w=400&s=kmjmNTULaxv1zCAMJGFM32J7R30qkPS2_GzzzhHxtVk";
        for (url, expected) in [
            ("/a%20b/%C3%BC.png?v=3&w=400", plain.to_owned()),
            ("/x/../a b/ü.png?v=3&w=400#top", plain.to_owned()),
            ("https://IMG.shop.example:443/a b/ü.png?v=3&w=400", format!("https://img.shop.example{plain}")),
        ] {
            assert_eq!(signed(url).unwrap(), expected);
        }
        for bad in ["", "a.jpg", "ftp://a.example/a.jpg", "/a.jpg?s=1", "/lm//a.jpg"] {
            assert!(signed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_expiry_is_a_span_or_a_time() {
        let now = UnixSeconds(1_700_000_000);
        for (text, seconds) in [
            ("1h", now.0 + 3_600),
            ("30d", now.0 + 30 * 86_400),
            ("1767225600", 1_767_225_600),
            ("2026-01-01", 1_767_225_600),
            ("2026-01-01T01:00:00+01:00", 1_767_225_600),
        ] {
            assert_eq!(text.parse::<Expiry>().unwrap().after(now).0, seconds, "{text}");
        }
        for bad in ["", "soon", "-1", "1969-01-01"] {
            assert!(bad.parse::<Expiry>().is_err(), "{bad}");
        }
    }
}
