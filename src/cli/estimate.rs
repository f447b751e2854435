//! `estimate`: what images would cost a site, before they do (`billing.md` rule 19).

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Environment,
    instance::Instance,
    output::{self, Column},
};
use crate::billing::{Microcredits, SiteId};

#[derive(Debug, Args)]
pub(super) struct Estimate {
    /// The site's name.
    site: SiteId,
    /// The images, by their URLs or paths, with options if they have any.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Widths that each is wanted in, such as 400,800 [default: as it is].
    #[arg(long, value_name = "PIXELS", value_delimiter = ',', conflicts_with_all = ["bytes", "views"])]
    width: Vec<u32>,
    /// Formats that each is delivered in, such as avif,webp [default: the API's].
    #[arg(long, value_delimiter = ',', value_parser = ["avif", "webp", "jpeg", "png"])]
    format: Vec<String>,
    /// Bytes of each as it is delivered: what it costs where traffic is counted.
    #[arg(long, value_name = "COUNT")]
    bytes: Option<u64>,
    /// How often each is viewed.
    #[arg(long, value_name = "COUNT")]
    views: Option<u64>,
    #[command(flatten)]
    instance: Instance,
}

impl Estimate {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let client = self.instance.client(environment)?;
        let answer = client.post(&["estimate"], &self.body()).await?;
        self.instance.show(&answer, for_people)
    }

    /// All images in all widths where there are some, else each as it stands; without what was not given.
    fn body(&self) -> Value {
        let set = |body: &mut Value, name: &str, value: Value| {
            if !value.is_null() && value.as_array().is_none_or(|parts| !parts.is_empty()) {
                body[name] = value;
            }
        };
        if !self.width.is_empty() {
            let mut body = json!({ "site": self.site, "urls": self.urls, "widths": self.width });
            set(&mut body, "formats", json!(self.format));
            return body;
        }
        let images = self.urls.iter().map(|url| {
            let mut image = json!({ "url": url });
            set(&mut image, "formats", json!(self.format));
            set(&mut image, "bytes", json!(self.bytes));
            set(&mut image, "views", json!(self.views));
            image
        });
        json!({ "site": self.site, "images": images.collect::<Vec<_>>() })
    }
}

/// An estimate, as the API tells of it.
#[derive(Debug, Deserialize)]
struct EstimateView {
    tariff: String,
    credits: Sum,
    images: Vec<ImageView>,
    available: Microcredits,
    sufficient: bool,
    shortfall: Microcredits,
}

#[derive(Debug, Deserialize)]
struct Sum {
    total: Microcredits,
}

#[derive(Debug, Deserialize)]
struct ImageView {
    url: String,
    width: Option<u32>,
    credits: Microcredits,
    components: Vec<String>,
}

fn for_people(estimate: &EstimateView) -> String {
    let columns =
        [Column::Number("credits"), Column::Text("components"), Column::Number("width"), Column::Text("image")];
    let row = |image: &ImageView| {
        let components = if image.components.is_empty() { "-".to_owned() } else { image.components.join(", ") };
        [image.credits.to_string(), components, output::or_dash(image.width), image.url.clone()]
    };
    let table = output::table_or("No images.", columns, estimate.images.iter().map(row));
    let verdict = if estimate.sufficient { "enough".to_owned() } else { format!("{} too few", estimate.shortfall) };
    format!(
        "{table}\n\n{} credits by the {} tariff. {} are available: {verdict}.",
        estimate.credits.total,
        output::clean(&estimate.tariff),
        estimate.available,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake::Fake;

    const ANSWER: &str = r#"{"site":"shop","tariff":"variants",
        "credits":{"total":"4","size":"2","webp":"0","avif":"2","egress":"0"},
        "images":[{"url":"/a.jpg","credits":"2","components":["size","avif"]},
                  {"url":"/b.jpg","width":400,"credits":"2","components":["size","avif"]}],
        "available":"3","sufficient":false,"shortfall":"1"}"#;

    #[tokio::test]
    async fn an_estimate_says_whether_there_is_enough() {
        let enough =
            ANSWER.replace(r#""3","sufficient":false,"shortfall":"1""#, r#""9","sufficient":true,"shortfall":"0""#);
        let fake = Fake::answering([(200, ANSWER), (200, &enough)]).await;
        assert_eq!(
            fake.run("estimate shop /a.jpg /b.jpg").await.unwrap(),
            "\
credits  components  width  image
----------------------------------
      2  size, avif      -  /a.jpg
      2  size, avif    400  /b.jpg

4 credits by the variants tariff. 3 are available: 1 too few."
        );
        let shown = fake.run("estimate shop /a.jpg /b.jpg").await.unwrap();
        assert!(shown.ends_with("9 are available: enough."), "{shown}");
    }

    #[tokio::test]
    async fn images_are_asked_for_in_sizes_or_each_with_its_bytes_and_views() {
        for (arguments, body) in [
            ("/a.jpg", json!({ "site": "shop", "images": [{ "url": "/a.jpg" }] })),
            (
                "/a.jpg /b.jpg --width 400,800 --width 1200 --format avif,webp",
                json!({
                    "site": "shop", "urls": ["/a.jpg", "/b.jpg"],
                    "widths": [400, 800, 1200], "formats": ["avif", "webp"],
                }),
            ),
            (
                "/a.jpg /b.jpg --bytes 5000 --views 10 --format avif",
                json!({ "site": "shop", "images": [
                    { "url": "/a.jpg", "formats": ["avif"], "bytes": 5000, "views": 10 },
                    { "url": "/b.jpg", "formats": ["avif"], "bytes": 5000, "views": 10 },
                ] }),
            ),
            ("/a.jpg --views 10", json!({ "site": "shop", "images": [{ "url": "/a.jpg", "views": 10 }] })),
        ] {
            let fake = Fake::answering([(200, ANSWER)]).await;
            fake.run(&format!("estimate shop {arguments}")).await.unwrap();
            let asked = fake.asked();
            assert_eq!((asked[0].line.as_str(), asked[0].json()), ("POST /api/v1/estimate", body), "{arguments}");
            assert_eq!(asked[0].header("idempotency-key"), None);
        }
    }
}
