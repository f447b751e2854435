//! From what a purge names to how the cache calls it. A URL may be a visitor's, the origin's own, or another source's.

use url::Url;

use crate::{
    admin::asked::image_asked,
    cache::purge::name::canonical,
    config::SiteConfig,
    origin::{
        address::AddressPolicy,
        url_guard::{AllowedHosts, vet_url},
    },
    request::target::PREFIX,
};

/// What a URL or path names.
enum Named {
    /// What a visitor asks the site for.
    OfVisitors(Url),
    /// A source by its own URL.
    Source(Url),
}

/// How the cache calls the source that `url` names, without the options of the request.
///
/// # Errors
/// Why it names none.
pub(super) fn name_of(config: &SiteConfig, url: &str) -> Result<String, String> {
    let origin = config.origin.as_str();
    match named(config, url)? {
        Named::Source(url) => Ok(canonical(origin, url.as_str()).into_owned()),
        Named::OfVisitors(url) => {
            let image = image_asked(config, &url)?;
            Ok(canonical(origin, image.source.as_str()).into_owned())
        }
    }
}

/// How the cache calls what begins with `prefix`.
///
/// # Errors
/// Why nothing begins so.
pub(super) fn prefix_of(config: &SiteConfig, prefix: &str) -> Result<String, String> {
    if ends_in_dots(prefix) || has_broken_escape(prefix) {
        return Err("a prefix does not end in . or .., and its escapes are whole".to_owned());
    }
    let origin = config.origin.as_str();
    match named(config, prefix)? {
        Named::Source(url) => Ok(canonical(origin, url.as_str()).into_owned()),
        Named::OfVisitors(url) if url.path().starts_with(PREFIX) => {
            Err(format!("sources are meant, by their own paths: what begins with {PREFIX} names options"))
        }
        Named::OfVisitors(url) => {
            let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
            Ok(canonical(origin, path).into_owned())
        }
    }
}

fn named(config: &SiteConfig, url: &str) -> Result<Named, String> {
    if url.starts_with('/') {
        let parsed = Url::parse(&format!("http://site.invalid{url}")).map_err(|error| error.to_string())?;
        return Ok(Named::OfVisitors(parsed));
    }
    let parsed = Url::parse(url).map_err(|_| "expected a path that begins with /, or a URL".to_owned())?;
    let host = parsed.host_str().filter(|_| matches!(parsed.scheme(), "http" | "https"));
    let host = host.ok_or_else(|| "expected an http or https URL".to_owned())?;
    let is_visitors = |pattern: &String| match pattern.strip_prefix("*.") {
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => pattern == host,
    };
    let is_any = |pattern: &String| pattern == "*";
    if config.hosts.iter().any(is_visitors) {
        Ok(Named::OfVisitors(parsed))
    } else if is_source(config, &parsed) {
        Ok(Named::Source(parsed))
    } else if config.hosts.iter().any(is_any) {
        Ok(Named::OfVisitors(parsed))
    } else {
        Err(format!("{host:?} is none of the site's hosts, nor its origin's or one of its sources'"))
    }
}

/// Whether the site may have it from there. Nothing is fetched: what is private makes no difference.
fn is_source(config: &SiteConfig, url: &Url) -> bool {
    let mut url = url.clone();
    url.set_fragment(None);
    let allowed = AllowedHosts::new(&config.origin, &config.sources);
    vet_url(&url, &allowed, AddressPolicy::PrivateAllowed).is_ok()
}

/// Whether it would be read as the directory above, and purge more than it says.
fn ends_in_dots(prefix: &str) -> bool {
    let path = prefix.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default().replace("%2e", ".").replace("%2E", ".");
    matches!(last.as_str(), "." | "..")
}

fn has_broken_escape(prefix: &str) -> bool {
    prefix.split('%').skip(1).any(|behind| {
        let digits = behind.as_bytes().get(..2);
        digits.is_none_or(|digits| !digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(hosts: &str) -> SiteConfig {
        let text = format!(
            "id = 'shop'\nhosts = {hosts}\norigin = 'https://shop.example/base'\nsources = ['*.photos.example']"
        );
        toml::from_str(&text).unwrap()
    }

    fn usual() -> SiteConfig {
        config("['img.shop.example', '*.cdn.example']")
    }

    #[test]
    fn a_source_is_named_by_its_path_or_by_any_of_its_urls() {
        for same in [
            "/a.jpg",
            "/a.jpg?w=400",
            "/a.jpg?q=75&width=3",
            "/%61.jpg",
            "/x/../a.jpg",
            "/lm/w=400,q=75/a.jpg",
            "/lm/w=400/https://shop.example/base/a.jpg",
            "https://img.shop.example/a.jpg?w=400",
            "http://IMG.shop.example:8080/a.jpg#top",
            "https://eu.cdn.example/a.jpg",
            "https://shop.example/base/a.jpg",
        ] {
            assert_eq!(name_of(&usual(), same).as_deref(), Ok("/a.jpg"), "{same}");
        }
        for (url, name) in [
            ("/a.jpg?v=3&w=400", "/a.jpg?v=3"),
            ("/style.css?w=400", "/style.css?w=400"),
            ("/", "/"),
            ("/lm/w=400/https://x.photos.example/a.jpg", "https://x.photos.example/a.jpg"),
            ("https://x.photos.example/a.jpg?w=4", "https://x.photos.example/a.jpg?w=4"),
        ] {
            assert_eq!(name_of(&usual(), url).as_deref(), Ok(name), "{url}");
        }
    }

    #[test]
    fn where_any_host_is_the_sites_own_the_sources_are_told_apart_first() {
        let any = config("['*']");
        assert_eq!(name_of(&any, "https://whatever.example/a.jpg?w=4").as_deref(), Ok("/a.jpg"));
        assert_eq!(name_of(&any, "https://shop.example/base/a.jpg").as_deref(), Ok("/a.jpg"));
        let other = "https://x.photos.example/a.jpg";
        assert_eq!(name_of(&any, other).as_deref(), Ok(other));
    }

    #[test]
    fn a_prefix_is_one_of_sources() {
        for (prefix, name) in [
            ("/", "/"),
            ("/img/2026-", "/img/2026-"),
            ("/img/%7Ea", "/img/~a"),
            ("/a.jpg?", "/a.jpg?"),
            ("/a.jpg?w=4", "/a.jpg?w=4"),
            ("https://img.shop.example/img/", "/img/"),
            ("https://shop.example/base/img/", "/img/"),
            ("https://x.photos.example", "https://x.photos.example/"),
        ] {
            assert_eq!(prefix_of(&usual(), prefix).as_deref(), Ok(name), "{prefix}");
        }
    }

    #[test]
    fn what_names_nothing_of_the_site_says_why() {
        for (url, problem) in [
            ("a.jpg", "begins with /"),
            ("", "begins with /"),
            ("ftp://img.shop.example/a.jpg", "http or https"),
            ("https://other.example/a.jpg", "\"other.example\" is none"),
            ("https://cdn.example/a.jpg", "is none"),
            ("/a.jpg?w=wide", "option \"width\""),
            ("/lm/a.jpg", "no source behind"),
        ] {
            let found = name_of(&usual(), url).unwrap_err();
            assert!(found.contains(problem), "{url}: {found}");
        }
        for prefix in ["/a/..", "/a/.", "/a/%2e%2E", "/a/..?x", "/a%4", "/a%zz", "/lm/w=4/a", "a"] {
            assert!(prefix_of(&usual(), prefix).is_err(), "{prefix}");
        }
    }
}
