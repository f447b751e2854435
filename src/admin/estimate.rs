//! What images would cost, before they do (`billing.md` rule 19).

mod images;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use self::images::{Formats, Width, size_of};
use super::{
    api::Api,
    auth::Caller,
    input::{Count, JsonBody, read},
    problem::Problem,
    shapes,
    sites::paid_site,
    usage::CreditsUsed,
};
use crate::{
    billing::{BytesPerCredit, Component, Microcredits, SiteId, Tariff},
    config::SiteConfig,
    store::{LedgerError, VariantCharge, price},
};

/// The most images in one question.
const MAX_IMAGES: usize = 10_000;

/// Images that would be delivered.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EstimateOfImages)]
#[serde(deny_unknown_fields)]
pub(super) struct OfImages {
    /// The site that would deliver them.
    #[schema(value_type = shapes::Id)]
    site: SiteId,
    /// The images.
    #[schema(min_items = 1, max_items = 10000)]
    images: Vec<Image>,
}

/// An image that would be delivered.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EstimateImage)]
#[serde(deny_unknown_fields)]
struct Image {
    /// As visitors would ask for it: a path with its query, or a URL with one of the site's hosts.
    #[schema(value_type = shapes::ImageUrl)]
    url: String,
    /// The formats that its visitors would get: `jpeg` and `png` stand for those who read neither AVIF nor WebP.
    #[serde(default)]
    #[schema(value_type = Vec<Format>, required = false, min_items = 1)]
    formats: Formats,
    /// How many bytes a view sends: needed where egress is rated.
    #[schema(value_type = Option<u64>, nullable = false, maximum = 9007199254740991i64)]
    bytes: Option<Count>,
    /// How many views; matters only where egress is rated.
    #[serde(default = "one")]
    #[schema(value_type = u64, required = false, maximum = 9007199254740991i64, default = 1)]
    views: Count,
}

fn one() -> Count {
    Count(1)
}

/// A format that visitors get.
#[derive(Debug, ToSchema)]
#[schema(as = ImageFormat, rename_all = "lowercase")]
#[expect(dead_code, reason = "only described")]
enum Format {
    Avif,
    Webp,
    Jpeg,
    Png,
}

/// Images, each at each of some widths: at most 10,000 together.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = EstimateOfWidths)]
#[serde(deny_unknown_fields)]
pub(super) struct OfWidths {
    /// The site that would deliver them.
    #[schema(value_type = shapes::Id)]
    site: SiteId,
    /// The images, as visitors would ask for them.
    #[schema(value_type = Vec<shapes::ImageUrl>, min_items = 1, max_items = 10000)]
    urls: Vec<String>,
    /// The widths, in place of what the URLs say.
    #[schema(value_type = Vec<shapes::Width>, min_items = 1, max_items = 10000)]
    widths: Vec<Width>,
    /// The formats that visitors would get.
    #[serde(default)]
    #[schema(value_type = Vec<Format>, required = false, min_items = 1)]
    formats: Formats,
}

/// What is asked: images one by one, or URLs by widths.
#[derive(Debug, ToSchema)]
#[schema(as = EstimateRequest)]
#[serde(untagged)]
pub(super) enum Question {
    Images(OfImages),
    Widths(OfWidths),
}

/// What images would cost.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Estimate {
    /// The site.
    #[schema(value_type = shapes::Id)]
    site: SiteId,
    /// How it is rated now.
    #[schema(value_type = shapes::TariffName)]
    tariff: &'static str,
    /// What all of it would cost, from now on: what is charged in its window already costs nothing.
    credits: CreditsUsed,
    /// What each would cost, in their order. A size that stands twice is charged once.
    images: Vec<Cost>,
    /// What the site may draw on.
    #[schema(value_type = shapes::Credits)]
    available: Microcredits,
    /// Whether that is enough.
    sufficient: bool,
    /// What is missing.
    #[schema(value_type = shapes::Credits)]
    shortfall: Microcredits,
}

/// What an image would cost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImageCost)]
struct Cost {
    /// The image, as it was asked for.
    url: String,
    /// At which width, where widths were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    width: Option<u32>,
    /// How much.
    #[schema(value_type = shapes::Credits)]
    credits: Microcredits,
    /// For what.
    #[schema(value_type = Vec<shapes::ComponentName>)]
    components: Vec<&'static str>,
}

/// An image at a size, for clients that read some formats.
#[derive(Debug)]
struct Asked {
    url: String,
    width: Option<Width>,
    formats: Formats,
    /// Bytes of all views.
    bytes: Option<u64>,
    /// The field that it stands in.
    field: String,
}

impl Question {
    fn read(body: Value) -> Result<Self, Problem> {
        // A list would be taken for the fields in their order.
        let images = body["images"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(place) = images.iter().position(|image| !image.is_object()) {
            return Err(Problem::field(format!("images[{place}]"), "expected an object"));
        }
        match (body.get("images"), body.get("urls")) {
            (None, None) => Err(Problem::field("images", "needed, or urls with widths")),
            (None, _) => read(body).map(Self::Widths),
            (Some(_), _) => read(body).map(Self::Images),
        }
    }

    const fn site(&self) -> &SiteId {
        match self {
            Self::Images(OfImages { site, .. }) | Self::Widths(OfWidths { site, .. }) => site,
        }
    }

    fn images(self) -> Result<Vec<Asked>, Problem> {
        let (count, field) = match &self {
            Self::Images(of) => (of.images.len(), "images"),
            Self::Widths(of) => (of.urls.len().saturating_mul(of.widths.len()), "widths"),
        };
        if !(1..=MAX_IMAGES).contains(&count) {
            return Err(Problem::field(field, format!("expected 1 to {MAX_IMAGES} images, not {count}")));
        }
        Ok(match self {
            Self::Images(of) => of.images.into_iter().enumerate().map(Image::asked).collect(),
            Self::Widths(OfWidths { urls, widths, formats, .. }) => urls
                .into_iter()
                .enumerate()
                .flat_map(|(place, url)| {
                    let at = move |width: &Width| Asked {
                        url: url.clone(),
                        width: Some(*width),
                        formats,
                        bytes: None,
                        field: format!("urls[{place}]"),
                    };
                    widths.iter().map(at).collect::<Vec<_>>()
                })
                .collect(),
        })
    }
}

impl Image {
    fn asked((place, image): (usize, Self)) -> Asked {
        let bytes = image.bytes.map(|bytes| bytes.0.saturating_mul(image.views.0));
        let (url, formats, field) = (image.url, image.formats, format!("images[{place}]"));
        Asked { url, width: None, formats, bytes, field }
    }
}

/// Estimates what images would cost.
///
/// Nothing is charged. Where variants are rated, what is charged in its window already costs nothing; a variant that is not
/// smaller than its original is not served, and then costs less than is told here. Where egress is rated, `bytes` of each
/// image are needed.
#[utoipa::path(post, path = "/estimate", tag = "credits", operation_id = "estimate", request_body = Question,
    responses(
        (status = 200, description = "What they would cost.", body = Estimate),
        (status = 404, description = "There is no such site."),
        (status = 409, description = "The site has no account."),
    ))]
pub(super) async fn estimate(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<Estimate>, Problem> {
    let question = Question::read(body)?;
    let (view, config) = paid_site(&api, &caller, question.site()).await?;
    let asked = question.images()?;
    let sizes = sizes(&view.id, &config, &asked)?;
    let (tariff, credits, costs) = match view.tariff {
        Tariff::Variants => {
            let components = api.ledger.uncharged(&sizes, api.clock.timestamp()).await?;
            let (credits, costs) = of_components(&components);
            ("variants", credits, costs)
        }
        Tariff::Egress { rate } => {
            let (credits, costs) = of_bytes(rate, &asked)?;
            ("egress", credits, costs)
        }
    };
    let available = view.balance.total().map_err(LedgerError::from)?;
    let shortfall = credits.total.less(available);
    let images = asked.into_iter().zip(costs).map(|(asked, (credits, components))| Cost {
        url: asked.url,
        width: asked.width.map(Width::pixels),
        credits,
        components,
    });
    Ok(Json(Estimate {
        site: view.id,
        tariff,
        credits,
        images: images.collect(),
        available,
        sufficient: shortfall.is_zero(),
        shortfall,
    }))
}

fn sizes(site: &SiteId, config: &SiteConfig, asked: &[Asked]) -> Result<Vec<VariantCharge>, Problem> {
    let size = |asked: &Asked| {
        size_of(site, config, &asked.url, asked.width, asked.formats)
            .map_err(|problem| Problem::field(&asked.field, format!("{:?}: {problem}", shortened(&asked.url))))
    };
    asked.iter().map(size).collect()
}

fn shortened(url: &str) -> String {
    url.chars().take(200).collect()
}

/// What each costs, and for what.
type Costs = Vec<(Microcredits, Vec<&'static str>)>;

fn of_components(uncharged: &[Vec<Component>]) -> (CreditsUsed, Costs) {
    let [size, webp, avif] = Component::ALL.map(|wanted| {
        let due: Vec<_> = uncharged.iter().flatten().copied().filter(|component| *component == wanted).collect();
        price(&due)
    });
    let costs = uncharged.iter().map(|components| {
        let names = components.iter().map(|component| component.name()).collect();
        (price(components), names)
    });
    (CreditsUsed::new([size, webp, avif, Microcredits::ZERO]), costs.collect())
}

/// Rated together, as they would be: what each costs is rounded down on its own.
fn of_bytes(rate: BytesPerCredit, asked: &[Asked]) -> Result<(CreditsUsed, Costs), Problem> {
    let mut costs = Vec::with_capacity(asked.len());
    let mut total = 0u64;
    for Asked { bytes, field, .. } in asked {
        let bytes = bytes.ok_or_else(|| {
            Problem::field(
                format!("{field}.bytes"),
                "needed: the site's egress is rated, so give images with their bytes",
            )
        })?;
        total = total.saturating_add(bytes);
        costs.push((rate.cost(bytes), vec!["egress"]));
    }
    let zero = Microcredits::ZERO;
    Ok((CreditsUsed::new([zero, zero, zero, rate.cost(total)]), costs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<Vec<Asked>, String> {
        Question::read(serde_json::from_str(json).unwrap())
            .and_then(Question::images)
            .map_err(|problem| problem.detail().to_owned())
    }

    fn egress(json: &str) -> Result<(CreditsUsed, Costs), String> {
        of_bytes(BytesPerCredit::default(), &asked(json)?).map_err(|problem| problem.detail().to_owned())
    }

    #[test]
    fn each_url_is_asked_for_at_each_width() {
        let images = asked(r#"{"site":"s","urls":["/a.jpg","/b.jpg"],"widths":[100,200]}"#).unwrap();
        let found: Vec<_> = images
            .iter()
            .map(|asked| (asked.url.as_str(), asked.width.unwrap().pixels(), asked.field.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("/a.jpg", 100, "urls[0]"),
                ("/a.jpg", 200, "urls[0]"),
                ("/b.jpg", 100, "urls[1]"),
                ("/b.jpg", 200, "urls[1]"),
            ]
        );
    }

    #[test]
    fn a_question_is_bounded_and_says_what_it_is_about() {
        let many = |count: usize| vec!["1"; count].join(",");
        let crossed = |urls: usize, widths: usize| {
            let urls = vec!["\"/a.jpg\""; urls].join(",");
            format!(r#"{{"site":"s","urls":[{urls}],"widths":[{}]}}"#, many(widths))
        };
        assert_eq!(asked(&crossed(100, 100)).unwrap().len(), 10_000);
        for (json, problem) in [
            (crossed(100, 101), "widths: expected 1 to 10000 images, not 10100"),
            (crossed(1, 0), "widths: expected 1 to"),
            (r#"{"site":"s","images":[]}"#.into(), "images: expected 1 to"),
            (r#"{"site":"s"}"#.into(), "images: needed"),
            (r#"{"site":"s","urls":["/a.jpg"]}"#.into(), "missing field `widths`"),
            (r#"{"site":"s","images":[{"url":"/a.jpg"}],"urls":[]}"#.into(), "urls: unknown field"),
            (
                r#"{"site":"s","images":[{"url":"/a.jpg","formats":["gif"]}]}"#.into(),
                "images[0].formats[0]: unknown variant",
            ),
            (r#"{"site":"s","images":[{"url":"/a.jpg","formats":[]}]}"#.into(), "images[0].formats: "),
            (r#"{"site":"s","images":[{"url":"/a.jpg","bytes":-1}]}"#.into(), "images[0].bytes: invalid"),
            (r#"{"site":"s","urls":["/a.jpg"],"widths":[0]}"#.into(), "widths[0]: must be from 1 to 65535"),
            (r#"{"site":"s","images":[{"url":"/a.jpg"},["/a.jpg"]]}"#.into(), "images[1]: expected an object"),
            (r#"{"site":"s","images":{}}"#.into(), "images: invalid type"),
        ] {
            let found = asked(&json).unwrap_err();
            assert!(found.contains(problem), "{problem}: {found}");
        }
    }

    #[test]
    fn egress_is_rated_on_all_bytes_together() {
        let image = |bytes: u64, views: u64| format!(r#"{{"url":"/a.jpg","bytes":{bytes},"views":{views}}}"#);
        let json = format!(r#"{{"site":"s","images":[{},{}]}}"#, image(4, 1), image(1_000_001, 5));
        let (credits, costs) = egress(&json).unwrap();
        assert_eq!(costs.iter().map(|(cost, _)| cost.get()).collect::<Vec<_>>(), [0, 1_000_001]);
        assert_eq!((credits.total.get(), credits.egress), (1_000_001, credits.total));
        let most = image(Count::MAX, Count::MAX);
        egress(&format!(r#"{{"site":"s","images":[{most},{most}]}}"#)).unwrap();
    }

    #[test]
    fn egress_cannot_be_told_without_bytes() {
        let problem = egress(r#"{"site":"s","images":[{"url":"/a.jpg","bytes":1},{"url":"/b.jpg"}]}"#).unwrap_err();
        assert!(problem.starts_with("images[1].bytes: needed"), "{problem}");
        let problem = egress(r#"{"site":"s","urls":["/a.jpg"],"widths":[100]}"#).unwrap_err();
        assert!(problem.contains("give images with their bytes"), "{problem}");
    }

    #[test]
    fn a_size_and_its_formats_cost_a_credit_each() {
        use Component::{Avif, Size, Webp};
        let (credits, costs) = of_components(&[vec![Size, Webp, Avif], vec![], vec![Avif]]);
        assert_eq!(credits.total.to_string(), "4");
        assert_eq!([credits.size, credits.webp, credits.avif].map(|part| part.to_string()), ["1", "1", "2"]);
        assert_eq!(costs[0].1, ["size", "webp", "avif"]);
        assert_eq!((costs[1].0, costs[2].0.to_string()), (Microcredits::ZERO, "1".to_owned()));
    }
}
