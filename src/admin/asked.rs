//! What of a site a visitor's URL asks for, as the edge reads it; but nothing is served here, so its signature may be another's
//! or over.

use url::{Position, Url};

use crate::{
    config::SiteConfig,
    request::{
        self, ImageRequest, Target,
        signature::unverified,
        target::{asks, plain_image},
    },
};

/// The image that `url` asks for. What is not one by its name may turn out to be one, and is called the same.
///
/// # Errors
/// Why visitors would be refused.
pub(super) fn image_asked(config: &SiteConfig, url: &Url) -> Result<ImageRequest<'static>, String> {
    let presets = config.read_presets().map_err(|refusal| refusal.to_string())?;
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let asks = asks(url.path(), url.query(), &presets);
    let unsigned = unverified(config.signing, (target, asks)).map_err(|refused| refused.to_string())?;
    let target = unsigned.as_deref().unwrap_or(target);
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    match request::parse(path, query, &presets).map_err(|refused| refused.to_string())? {
        Target::Image(image) => Ok(image.into_owned()),
        Target::Other => Ok(plain_image(path, query).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(settings: &str, url: &str) -> Result<String, String> {
        let text = format!("id='shop'\nhosts=['*']\norigin='https://shop.example'\n{settings}");
        let url = Url::parse(&format!("http://site.invalid{url}")).unwrap();
        image_asked(&toml::from_str(&text).unwrap(), &url).map(|image| image.source.as_str().to_owned())
    }

    #[test]
    fn a_signed_url_names_what_the_unsigned_one_does() {
        let signed = "signing='options'";
        for (url, named) in [
            ("/a.jpg?w=4&v=3&exp=5&s=forged", "/a.jpg?v=3"),
            ("/lm/w=4,exp=5,s=forged/a.jpg?s=theirs", "/a.jpg?s=theirs"),
            ("/a.jpg?w=4", "/a.jpg"),
            ("/?s=shoes", "/?s=shoes"),
        ] {
            assert_eq!(source(signed, url).unwrap(), named, "{url}");
        }
        assert!(source(signed, "/a.jpg?s=forged&w=4").unwrap_err().contains("last"));
        assert_eq!(source("", "/a.jpg?w=4&exp=5&s=theirs").unwrap(), "/a.jpg?exp=5&s=theirs");
        assert_eq!(source("signing='all'", "/?exp=5&s=forged").unwrap(), "/");
    }

    #[test]
    fn a_preset_is_no_part_of_the_name() {
        let presets = "[presets]\nhero='w=1200'";
        assert_eq!(source(presets, "/a.jpg?preset=hero&v=3").unwrap(), "/a.jpg?v=3");
        assert!(source(presets, "/a.jpg?preset=other").unwrap_err().contains("no preset"));
    }
}
