//! Which URLs may be asked for: the form of the URL, addresses written into it, and whether the site names its host. A URL
//! is judged as the `url` crate has parsed it, and that is what is connected to: an address in an odd spelling
//! (`0x7f.1`, `2130706433`, full-width digits) is the address that it means.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::{AddressPolicy, RefusedAddress, vet_address};

/// The hosts that a site may fetch from, lower case and without a trailing dot.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    /// The origin's own, which may be on any port.
    origin: (String, Option<u16>),
    exact: Vec<String>,
    /// Each with its dot: `.example.com`.
    suffixes: Vec<String>,
}

/// Why a URL is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedUrl {
    /// Neither http nor https.
    #[error("the scheme {0:?} is neither http nor https")]
    Scheme(String),
    /// A user name or password stands in it.
    #[error("the URL carries a user name or password")]
    UserInfo,
    /// A fragment stands in it.
    #[error("the URL carries a fragment")]
    Fragment,
    /// An address stands in it that may not be connected to.
    #[error(transparent)]
    Address(RefusedAddress),
    /// The site does not name its host.
    #[error("the site does not name the host {0}: add it to its sources if it is meant to be fetched from")]
    HostNotListed(String),
    /// The site names its host, but not on this port.
    #[error("{host} is fetched from on its scheme's own port only, not on {port}")]
    Port {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
}

impl RefusedUrl {
    /// Whether the one thing wrong is that the site does not name the host: its visitors may go there by themselves.
    #[must_use]
    pub const fn is_host_not_listed(&self) -> bool {
        matches!(self, Self::HostNotListed(_))
    }
}

impl AllowedHosts {
    /// The host of `origin` on its port, and `sources`, exact or `*.example.com`, on the ports of http and https. An
    /// origin on such a port may be asked on the other too, since many lead from http to https.
    #[must_use]
    pub fn new(origin: &Url, sources: &[String]) -> Self {
        let host = comparable(origin.host_str().unwrap_or_default());
        let port = origin.port_or_known_default();
        let mut exact: Vec<_> = if matches!(port, Some(80 | 443)) { vec![host.clone()] } else { Vec::new() };
        let mut suffixes = Vec::new();
        for source in sources {
            match source.strip_prefix('*') {
                Some(suffix) if suffix.starts_with('.') => suffixes.push(comparable(suffix)),
                _ => exact.push(comparable(source)),
            }
        }
        Self { origin: (host, port), exact, suffixes }
    }

    /// Whether a URL's host is the origin's own, whatever the port: what comes from there may speak for the site.
    #[must_use]
    pub fn is_own(&self, url: &Url) -> bool {
        comparable(url.host_str().unwrap_or_default()) == self.origin.0
    }

    fn vet(&self, url: &Url) -> Result<(), RefusedUrl> {
        let host = comparable(url.host_str().unwrap_or_default());
        let port = url.port_or_known_default();
        if (&host, port) == (&self.origin.0, self.origin.1) {
            return Ok(());
        }
        let is_name = matches!(url.host(), Some(Host::Domain(_)));
        let is_below = |suffix: &String| host.len() > suffix.len() && host.ends_with(suffix.as_str());
        let listed = self.exact.contains(&host) || (is_name && self.suffixes.iter().any(is_below));
        match url.port() {
            _ if !listed && host != self.origin.0 => Err(RefusedUrl::HostNotListed(host)),
            None if listed => Ok(()),
            _ => Err(RefusedUrl::Port { host, port: port.unwrap_or_default() }),
        }
    }
}

/// Passes a URL that a site may ask for.
///
/// # Errors
/// [`RefusedUrl`]. That the host is not listed is said only of a URL with which nothing else is wrong.
pub fn vet_url(url: &Url, allowed: &AllowedHosts, policy: AddressPolicy) -> Result<(), RefusedUrl> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(RefusedUrl::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RefusedUrl::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(RefusedUrl::Fragment);
    }
    if let Some(address) = literal_of(url) {
        vet_address(address, policy).map_err(RefusedUrl::Address)?;
    }
    allowed.vet(url)
}

/// The address that stands in a URL in place of a name.
#[must_use]
pub fn literal_of(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// `example.com.` is `example.com` (RFC 1034, 3.1), and case means nothing.
fn comparable(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: &str, sources: &[&str]) -> AllowedHosts {
        let sources: Vec<_> = sources.iter().map(|&source| source.to_owned()).collect();
        AllowedHosts::new(&Url::parse(origin).unwrap(), &sources)
    }

    fn vet_under(policy: AddressPolicy, allowed: &AllowedHosts, url: &str) -> Result<(), RefusedUrl> {
        vet_url(&Url::parse(url).unwrap(), allowed, policy)
    }

    fn vet(allowed: &AllowedHosts, url: &str) -> Result<(), RefusedUrl> {
        vet_under(AddressPolicy::PublicOnly, allowed, url)
    }

    #[test]
    fn the_origin_and_the_sources_pass() {
        let allowed = allowed("https://shop.example", &["cdn.example", "*.img.example"]);
        for url in [
            "https://shop.example/a.jpg?x=1",
            "https://shop.example:443/",
            "https://SHOP.example./",
            "http://shop.example/",
            "https://cdn.example/",
            "http://cdn.example.:80/",
            "https://a.img.example/",
            "https://a.b.img.example./",
        ] {
            assert_eq!(vet(&allowed, url), Ok(()), "{url}");
        }
    }

    #[test]
    fn other_hosts_are_not_listed() {
        let allowed = allowed("https://shop.example", &["cdn.example", "*.img.example", "*.8.8.8"]);
        for url in [
            "https://other.example/",
            "https://www.shop.example/",
            "https://evilshop.example/",
            "https://shop.example.evil.example/",
            "https://img.example/",
            "https://.img.example/",
            "https://evilimg.example/",
            "https://x.cdn.example/",
            "https://8.8.8.8/",
            "https://other.example:8443/",
        ] {
            assert!(vet(&allowed, url).is_err_and(|refused| refused.is_host_not_listed()), "{url}");
        }
    }

    #[test]
    fn no_url_passes_for_a_host_that_it_only_names() {
        let allowed = allowed("https://shop.example", &["cdn.example", "*.img.example"]);
        for url in [
            "https://cdn.example@evil.example/",
            "https://cdn.example:443@evil.example/",
            "https://cdn.example%40evil.example/",
            "https://cdn.example%2F@evil.example/",
            "https://evil.example\\@cdn.example/",
            "https://evil.example/@cdn.example/",
            "https://evil.example?@cdn.example/",
            "https://evil.example#@cdn.example/",
            "https://evil.example%23.img.example/",
            "https://evil.example%00.img.example/",
            "https://evil.example%2F.img.example/",
            "https://evil-cdn.example/",
            "https://cdn.example.evil.example/",
            "https://cdn.example-evil.example/",
            "https://cdn.example../",
            "https://a.img.example.evil.example/",
            "https://a.img.example.../",
            "https://xcdn.example/",
            "https://cdn。example.evil.example/",
            "https:cdn.example@evil.example/",
            "https:///evil.example/cdn.example/",
        ] {
            // What is no URL at all is not fetched either.
            let passes =
                Url::parse(url).is_ok_and(|parsed| vet_url(&parsed, &allowed, AddressPolicy::PublicOnly).is_ok());
            assert!(!passes, "{url}");
        }
    }

    #[test]
    fn a_name_in_another_script_is_the_one_that_it_stands_for() {
        let allowed = allowed("https://shop.example", &["xn--bcher-kva.example", "*.xn--mnchen-3ya.example"]);
        for url in [
            "https://bücher.example/",
            "https://BÜCHER.example/",
            "https://b%C3%BCcher.example/",
            "https://xn--bcher-kva.example/",
            "https://XN--BCHER-KVA.example./",
            "https://bücher。example/",
            "https://a.münchen.example/",
        ] {
            assert_eq!(vet(&allowed, url), Ok(()), "{url}");
        }
        for url in ["https://bucher.example/", "https://münchen.example/", "https://bücher.example.evil.example/"] {
            assert!(vet(&allowed, url).is_err_and(|refused| refused.is_host_not_listed()), "{url}");
        }
    }

    #[test]
    fn a_listed_host_passes_on_its_schemes_port_only_and_the_origin_on_its_own() {
        let secure = allowed("https://shop.example", &["cdn.example"]);
        let odd = allowed("http://shop.example:8081", &["cdn.example"]);
        for (allowed, url, passes) in [
            (&secure, "https://shop.example:8443/", false),
            (&secure, "https://cdn.example:8443/", false),
            (&secure, "https://cdn.example:80/", false),
            (&secure, "http://cdn.example:443/", false),
            (&secure, "http://cdn.example:22/", false),
            (&odd, "http://shop.example:8081/", true),
            (&odd, "http://shop.example/", false),
            (&odd, "https://shop.example/", false),
            (&odd, "http://shop.example:8082/", false),
            (&odd, "http://cdn.example:8081/", false),
            (&odd, "http://cdn.example/", true),
        ] {
            let result = vet(allowed, url);
            assert!(result.is_ok() == passes, "{url}: {result:?}");
            assert!(passes || matches!(result, Err(RefusedUrl::Port { .. })), "{url}: {result:?}");
        }
    }

    #[test]
    fn an_origin_on_an_odd_port_that_is_a_source_too_passes_on_both() {
        let allowed = allowed("http://shop.example:8081", &["shop.example"]);
        assert!(vet(&allowed, "http://shop.example:8081/").is_ok() && vet(&allowed, "https://shop.example/").is_ok());
    }

    #[test]
    fn other_schemes_user_names_and_fragments_are_refused() {
        let allowed = allowed("https://shop.example", &[]);
        for scheme in
            ["file:///etc/passwd", "data:image/png;base64,", "gopher://shop.example/", "ftp://shop.example/", "unix:/x"]
        {
            assert!(matches!(vet(&allowed, scheme), Err(RefusedUrl::Scheme(_))), "{scheme}");
        }
        for user in
            ["https://user@shop.example/", "https://:secret@shop.example/", "https://shop.example@evil.example/"]
        {
            assert_eq!(vet(&allowed, user), Err(RefusedUrl::UserInfo), "{user}");
        }
        assert_eq!(vet(&allowed, "https://shop.example/#x"), Err(RefusedUrl::Fragment));
    }

    #[test]
    fn refused_addresses_are_refused_in_every_spelling_listed_or_not() {
        let listed = allowed("http://127.0.0.1", &["[::1]", "[::ffff:7f00:1]", "10.0.0.1", "169.254.169.254"]);
        let unlisted = allowed("https://shop.example", &[]);
        for url in [
            "http://127.0.0.1/",
            "http://127.0.0.1./",
            "http://127.1/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://１２７.０.０.１/",
            "http://127。0。0。1/",
            "http://%31%32%37.0.0.1/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://10.0.0.1/",
            "http://0/",
            "http://169.254.169.254/latest/meta-data/",
        ] {
            assert!(matches!(vet(&listed, url), Err(RefusedUrl::Address(_))), "{url}");
            assert!(matches!(vet(&unlisted, url), Err(RefusedUrl::Address(_))), "{url}");
        }
    }

    #[test]
    fn a_scope_id_is_no_address() {
        assert!(Url::parse("http://[fe80::1%25eth0]/").is_err());
    }

    #[test]
    fn a_site_that_says_so_reaches_its_private_origin_but_no_metadata() {
        let allowed = allowed("http://127.0.0.1:8081", &["169.254.169.254", "[fd00:ec2::254]"]);
        let vet = |url| vet_under(AddressPolicy::PrivateAllowed, &allowed, url);
        assert_eq!(vet("http://127.0.0.1:8081/a.jpg"), Ok(()));
        assert!(matches!(vet("http://127.0.0.1:9180/metrics"), Err(RefusedUrl::Port { port: 9180, .. })));
        assert!(matches!(vet("http://169.254.169.254/"), Err(RefusedUrl::Address(_))));
        assert!(matches!(vet("http://[fd00:ec2::254]/"), Err(RefusedUrl::Address(_))));
        assert!(vet("http://10.0.0.1/").is_err_and(|refused| refused.is_host_not_listed()));
    }

    #[test]
    fn names_are_left_to_the_resolver() {
        let allowed = allowed("http://localhost:8081", &[]);
        assert_eq!(vet(&allowed, "http://localhost.:8081/"), Ok(()));
    }
}
