//! `purge`: what a site's visitors are not to be given any more, or not without asking the origin.

use clap::{ArgGroup, Args};
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Environment, client::Once, instance::Instance, output};
use crate::billing::SiteId;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["urls", "prefix", "key", "everything"]))]
pub(super) struct Purge {
    /// The site's name.
    site: SiteId,
    /// Sources, by their URLs or paths, with all their variants and sizes.
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// All sources whose path or URL begins so; may be given several times.
    #[arg(long)]
    prefix: Vec<String>,
    /// All that the origin gave this surrogate key; may be given several times.
    #[arg(long)]
    key: Vec<String>,
    /// All of the site.
    #[arg(long)]
    everything: bool,
    /// Ask the origin before it is used again, and let it stand in where the origin fails [default: it is gone].
    #[arg(long)]
    soft: bool,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    instance: Instance,
}

impl Purge {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let client = self.instance.client(environment)?;
        let path = ["sites", self.site.as_str(), "purge"];
        let answer = client.write(Method::POST, &path, Some(&self.body()), &self.once).await?;
        self.instance.show(&answer, for_people)
    }

    /// Without what was not given.
    fn body(&self) -> Value {
        let mut body = json!({ "mode": if self.soft { "soft" } else { "hard" } });
        for (name, items) in [("urls", &self.urls), ("prefixes", &self.prefix), ("keys", &self.key)] {
            if !items.is_empty() {
                body[name] = json!(items);
            }
        }
        if self.everything {
            body["everything"] = Value::Bool(true);
        }
        body
    }
}

/// A purge, as the API tells of it.
#[derive(Debug, Deserialize)]
struct PurgeView {
    site: String,
    generation: u64,
    mode: String,
    at: Timestamp,
}

fn for_people(purge: &PurgeView) -> String {
    let done = match purge.mode.as_str() {
        "soft" => "marked as stale",
        _ => "purged",
    };
    format!("{}: {done} at {}, generation {}.", output::clean(&purge.site), purge.at, purge.generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake::{Fake, run};

    const HARD: &str = r#"{"site":"shop","generation":1772323200000001,"mode":"hard","at":"2026-03-01T00:00:00Z"}"#;
    const SOFT: &str = r#"{"site":"shop","generation":1772323200000002,"mode":"soft","at":"2026-03-01T00:00:00Z"}"#;

    #[tokio::test]
    async fn what_is_named_is_purged_as_one() {
        let fake = Fake::answering([(200, HARD)]).await;
        let shown = fake.run("purge shop /a.jpg https://img.example/b.jpg --prefix /x/ --key red --key blue").await;
        assert_eq!(shown.unwrap(), "shop: purged at 2026-03-01T00:00:00Z, generation 1772323200000001.");
        let asked = fake.asked().remove(0);
        assert_eq!(asked.line, "POST /api/v1/sites/shop/purge");
        assert_eq!(asked.header("idempotency-key").map(str::len), Some(32));
        assert_eq!(
            asked.json(),
            json!({
                "mode": "hard", "urls": ["/a.jpg", "https://img.example/b.jpg"], "prefixes": ["/x/"],
                "keys": ["red", "blue"],
            })
        );
    }

    #[tokio::test]
    async fn a_whole_site_is_marked_as_stale() {
        let fake = Fake::answering([(200, SOFT), (200, SOFT)]).await;
        let shown = fake.run("purge shop --everything --soft").await.unwrap();
        assert_eq!(shown, "shop: marked as stale at 2026-03-01T00:00:00Z, generation 1772323200000002.");
        assert_eq!(fake.asked_once().1, json!({ "mode": "soft", "everything": true }));
        let shown = fake.run("purge shop --everything --soft --json").await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["mode"], "soft");
    }

    #[tokio::test]
    async fn a_site_alone_is_not_purged_by_mistake() {
        let fake = Fake::answering([(200, HARD)]).await;
        assert!(run(["purge", "shop"], &fake.environment()).await.is_err());
        assert!(run(["purge", "shop", "--soft"], &fake.environment()).await.is_err());
        assert!(fake.asked().is_empty());
    }
}
