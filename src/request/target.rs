//! Reads path and query into what is asked for. Three kinds: an image on its own path (known by its extension, options in
//! the query), `/lm/{options}/{path or absolute URL}`, and everything else, which is the origin's business, query included.

use std::borrow::Cow;

use super::{
    options::{FormatChoice, OptionError, Options, each_pair},
    presets::{OptionsRefused, Presets, Saying},
    signature::Asks,
    transform::Transform,
};

/// The prefix of the path carrier: `/lm/{options}/{source}`.
pub const PREFIX: &str = "/lm/";

/// Extensions whose paths are taken for images before a byte is seen. SVG is not among them: it is passed through.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "jpe", "jfif", "png", "gif", "webp", "avif"];

/// What a GET or HEAD asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// An image, to be developed.
    Image(ImageRequest<'a>),
    /// Something of the origin's own: passed through, unless its bytes turn out to be an image.
    Other,
}

/// An image as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRequest<'a> {
    /// Where the original lives.
    pub source: SourceRef<'a>,
    /// What is done to it.
    pub transform: Transform,
    /// Which format is wanted.
    pub format: FormatChoice,
}

impl ImageRequest<'_> {
    /// The same, apart from what it was read from.
    #[must_use]
    pub fn into_owned(self) -> ImageRequest<'static> {
        let source = match self.source {
            SourceRef::OwnPath(text) => SourceRef::OwnPath(text.into_owned().into()),
            SourceRef::Absolute(text) => SourceRef::Absolute(text.into_owned().into()),
        };
        ImageRequest { source, ..self }
    }
}

/// Names an original, relative to a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRef<'a> {
    /// Path and query on the site's origin, without the options.
    OwnPath(Cow<'a, str>),
    /// An absolute URL, not vetted yet.
    Absolute(Cow<'a, str>),
}

impl SourceRef<'_> {
    /// The text that names the source within its site.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::OwnPath(text) | Self::Absolute(text) => text,
        }
    }
}

impl SourceRef<'_> {
    /// Whether its path is an image's by its extension, so that it is never asked for as anything else.
    #[must_use]
    pub fn is_image_by_name(&self) -> bool {
        has_image_extension(self.as_str().split('?').next().unwrap_or_default())
    }
}

/// Reads `path` and `query` as they came (not decoded).
///
/// # Errors
/// [`OptionsRefused`] where an image is asked for with options that are not allowed.
pub fn parse<'a>(path: &'a str, query: Option<&'a str>, presets: &Presets) -> Result<Target<'a>, OptionsRefused> {
    if let Some(rest) = path.strip_prefix(PREFIX) {
        return parse_path_carrier(rest, query, presets).map(Target::Image);
    }
    if has_image_extension(path) {
        return parse_own_path(path, query, presets).map(Target::Image);
    }
    Ok(Target::Other)
}

/// What is asked for, as far as signing goes: told before anything is read closely.
#[must_use]
pub fn asks(path: &str, query: Option<&str>, presets: &Presets) -> Asks {
    if path.starts_with(PREFIX) {
        return Asks::Options;
    }
    // Decoded: the origin takes `/a.jp%67` for `/a.jpg`.
    if !has_image_extension(&percent_encoding::percent_decode_str(path).decode_utf8_lossy()) {
        return Asks::Other;
    }
    let mut pairs = query.into_iter().flat_map(|query| query.split('&'));
    let is_option = |pair: &str| presets.is_option(pair.split_once('=').map_or(pair, |(name, _)| name));
    if pairs.any(is_option) { Asks::Options } else { Asks::Image }
}

/// The request for a source that turned out to be an image: as it is, in the best format.
#[must_use]
pub fn plain_image<'a>(path: &'a str, query: Option<&'a str>) -> ImageRequest<'a> {
    ImageRequest {
        source: SourceRef::OwnPath(with_query(Cow::Borrowed(path), query)),
        transform: Transform::default(),
        format: FormatChoice::Auto,
    }
}

fn parse_path_carrier<'a>(
    rest: &'a str,
    query: Option<&'a str>,
    presets: &Presets,
) -> Result<ImageRequest<'a>, OptionsRefused> {
    let (segment, source) =
        rest.split_once('/').ok_or(OptionError::Carrier { problem: "there is no source behind the options" })?;
    let mut saying = Saying::with(presets);
    each_pair(segment, |name, value| saying.take(name, value))?;
    let (transform, format) = saying.end()?.canonical();
    if source.is_empty() {
        return Err(OptionError::Carrier { problem: "there is no source behind the options" }.into());
    }
    let source = match absolute_url(source) {
        Some(url) => SourceRef::Absolute(with_query(url, query)),
        None => SourceRef::OwnPath(with_query(Cow::Owned(format!("/{source}")), query)),
    };
    Ok(ImageRequest { source, transform, format })
}

/// The rest of a path as an absolute URL. Servers and proxies on the way may have folded `//` into `/`, or escaped it all.
fn absolute_url(rest: &str) -> Option<Cow<'_, str>> {
    // Escaped as a whole.
    let escaped = rest.split_once('%').filter(|(scheme, behind)| {
        is_scheme(scheme) && behind.get(..2).is_some_and(|colon| colon.eq_ignore_ascii_case("3a"))
    });
    if escaped.is_some() {
        let decoded = percent_encoding::percent_decode_str(rest).decode_utf8().ok()?;
        return decoded.contains("://").then(|| Cow::Owned(decoded.into_owned()));
    }
    for scheme in ["https", "http"] {
        let Some(behind) =
            rest.get(..scheme.len()).filter(|s| s.eq_ignore_ascii_case(scheme)).map(|_| &rest[scheme.len()..])
        else {
            continue;
        };
        if behind.starts_with("://") {
            return Some(Cow::Borrowed(rest));
        }
        if let Some(folded) = behind.strip_prefix(":/") {
            return Some(Cow::Owned(format!("{scheme}://{folded}")));
        }
    }
    // Any other scheme is named as such, so that it is refused as a URL and not looked up as a path.
    let scheme = rest.split_once("://").map(|(scheme, _)| scheme)?;
    is_scheme(scheme).then_some(Cow::Borrowed(rest))
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn parse_own_path<'a>(
    path: &'a str,
    query: Option<&'a str>,
    presets: &Presets,
) -> Result<ImageRequest<'a>, OptionsRefused> {
    let (options, remaining) = match query {
        None => (Options::default(), None),
        Some(query) => split_query(query, presets)?,
    };
    let (transform, format) = options.canonical();
    let source = match remaining {
        None => Cow::Borrowed(path),
        Some(remaining) => Cow::Owned(format!("{path}?{remaining}")),
    };
    Ok(ImageRequest { source: SourceRef::OwnPath(source), transform, format })
}

/// Takes the options out of a query; what remains is the origin's, in its order.
fn split_query<'q>(query: &'q str, presets: &Presets) -> Result<(Options, Option<Cow<'q, str>>), OptionsRefused> {
    let mut saying = Saying::with(presets);
    let mut remaining: Vec<&str> = Vec::new();
    let mut taken = false;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if presets.is_option(name) {
            let value = percent_encoding::percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| OptionError::Carrier { problem: "an option's value is not UTF-8" })?;
            saying.take(name, &value)?;
            taken = true;
        } else {
            remaining.push(pair);
        }
    }
    let remaining = match (taken, remaining.is_empty()) {
        (false, _) => Some(Cow::Borrowed(query)),
        (true, true) => None,
        (true, false) => Some(Cow::Owned(remaining.join("&"))),
    };
    Ok((saying.end()?, remaining))
}

fn with_query<'a>(path: Cow<'a, str>, query: Option<&str>) -> Cow<'a, str> {
    match query {
        Some(query) => Cow::Owned(format!("{path}?{query}")),
        None => path,
    }
}

fn has_image_extension(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::presets::UseOfOptions;
    use proptest::prelude::*;

    fn image<'a>(path: &'a str, query: Option<&'a str>) -> ImageRequest<'a> {
        match parse(path, query, &Presets::default()).unwrap() {
            Target::Image(image) => image,
            Target::Other => panic!("{path} is not taken for an image"),
        }
    }

    fn own(text: &str) -> SourceRef<'static> {
        SourceRef::OwnPath(Cow::Owned(text.to_owned()))
    }

    fn absolute(text: &str) -> SourceRef<'static> {
        SourceRef::Absolute(Cow::Owned(text.to_owned()))
    }

    #[test]
    fn an_image_stands_on_its_own_path() {
        let table = [
            ("/a/b.jpg", None, "/a/b.jpg"),
            ("/a/b.JPEG", Some("w=400&q=75"), "/a/b.JPEG"),
            ("/a/b.png", Some("v=3"), "/a/b.png?v=3"),
            ("/a/b.png", Some("v=3&w=400&t=x"), "/a/b.png?v=3&t=x"),
            ("/a/b.png", Some(""), "/a/b.png?"),
            ("/a%20b.webp", None, "/a%20b.webp"),
        ];
        for (path, query, source) in table {
            assert_eq!(image(path, query).source, own(source), "{path} {query:?}");
        }
        assert_eq!(image("/a.jpg", Some("w=400")).transform.width, Some(400));
    }

    #[test]
    fn the_path_carrier_names_a_path_or_a_url() {
        let table = [
            ("/lm/w=400/a/b.jpg", None, own("/a/b.jpg")),
            ("/lm/w=400/a/b", Some("id=1"), own("/a/b?id=1")),
            ("/lm/w=400/https://x.example/a.jpg", None, absolute("https://x.example/a.jpg")),
            ("/lm/w=400/https:/x.example/a.jpg", None, absolute("https://x.example/a.jpg")),
            ("/lm/w=400/https%3A%2F%2Fx.example%2Fa.jpg", None, absolute("https://x.example/a.jpg")),
            ("/lm/w=400/http://x.example/a.jpg", Some("v=1"), absolute("http://x.example/a.jpg?v=1")),
            ("/lm/w=400/file:///etc/passwd", None, absolute("file:///etc/passwd")),
            ("/lm/w=400/gopher%3a%2f%2fx.example%2f", None, absolute("gopher://x.example/")),
            ("/lm/w=400/a%3Ab.jpg", None, own("/a%3Ab.jpg")),
        ];
        for (path, query, source) in table {
            let image = image(path, query);
            assert_eq!(image.source, source, "{path}");
            assert_eq!(image.transform.width, Some(400), "{path}");
        }
    }

    #[test]
    fn a_path_carrier_without_options_or_source_is_refused() {
        for path in ["/lm/", "/lm/w=400", "/lm/w=400/", "/lm//a.jpg", "/lm/a.jpg", "/lm/nonsense/a.jpg"] {
            assert!(parse(path, None, &Presets::default()).is_err(), "{path}");
        }
    }

    #[test]
    fn everything_else_is_the_origins() {
        for (path, query) in
            [("/", None), ("/search", Some("q=shoes&w=5")), ("/style.css", None), ("/logo.svg", Some("w=x"))]
        {
            assert_eq!(parse(path, query, &Presets::default()), Ok(Target::Other), "{path}");
        }
    }

    #[test]
    fn a_malformed_option_in_a_query_is_refused_only_on_images() {
        let parse = |path, query| super::parse(path, Some(query), &Presets::default());
        assert!(parse("/a.jpg", "w=wide").is_err());
        assert!(parse("/a.jpg", "w=1&w=2").is_err());
        assert_eq!(parse("/a.html", "w=wide"), Ok(Target::Other));
    }

    #[test]
    fn a_preset_is_taken_out_of_the_query_where_the_site_has_some() {
        let presets = Presets::read([("hero", "w=1200,f=webp")], UseOfOptions::Free).unwrap();
        let same = |path, query| parse(path, query, &presets).unwrap();
        for (path, query) in [("/a.jpg", Some("v=3&preset=hero")), ("/lm/preset=hero/a.jpg", Some("v=3"))] {
            assert_eq!(same(path, query), Target::Image(image("/a.jpg", Some("w=1200&v=3&fm=webp"))), "{path}");
        }
        assert_eq!(image("/a.jpg", Some("preset=hero")).source, own("/a.jpg?preset=hero"));
        assert_eq!(same("/page", Some("preset=hero")), Target::Other);
    }

    #[test]
    fn what_is_asked_is_told_by_path_and_names_of_options() {
        let presets = Presets::read([("hero", "w=1200")], UseOfOptions::Free).unwrap();
        for (path, query, asked) in [
            ("/a.jpg", None, Asks::Image),
            ("/a.jpg", Some("v=3&x=w"), Asks::Image),
            ("/a.jpg", Some("v=3&w"), Asks::Options),
            ("/a.jpg", Some("w=nonsense"), Asks::Options),
            ("/a.jpg", Some("preset=hero"), Asks::Options),
            ("/lm/w=4/a.jpg", None, Asks::Options),
            ("/lm/", None, Asks::Options),
            ("/page", Some("w=4"), Asks::Other),
        ] {
            assert_eq!(asks(path, query, &presets), asked, "{path} {query:?}");
        }
        assert_eq!(asks("/a.jpg", Some("preset=hero"), &Presets::default()), Asks::Image);
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/\\PC{0,80}", query in proptest::option::of("\\PC{0,80}")) {
            let _ = parse(&path, query.as_deref(), &Presets::default());
            let _ = parse(&format!("/lm{path}"), query.as_deref(), &Presets::default());
        }
    }

    #[test]
    fn an_image_is_asked_for_in_any_spelling_of_its_extension() {
        let asked = |path| asks(path, None, &Presets::default());
        for path in ["/a.jpg", "/a.JPG", "/a.jp%67", "/a%2ejpg", "/a.%6A%70%67", "/b%2Fa.jpg", "/b%2fa.jp%67"] {
            assert_eq!(asked(path), Asks::Image, "{path}");
        }
        for path in ["/", "/a.html", "/a.jpg/b", "/a.jp%2567"] {
            assert_eq!(asked(path), Asks::Other, "{path}");
        }
    }
}
