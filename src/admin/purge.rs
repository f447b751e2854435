//! Purging: what a site's visitors are not to be given any more, or not without asking the origin.

mod names;

use std::{io, sync::Arc};

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use self::names::{name_of, prefix_of};
use super::{
    api::Api,
    auth::{Actor, Caller},
    idempotency::{IdempotencyKey, Write},
    input::{At, Text},
    problem::Problem,
    shapes,
    sites::paid_site,
};
use crate::{
    billing::{AccountId, SiteId},
    cache::purge::{Generation, MAX_TAG_BYTES, Mode, Purges, TagHash, What},
    config::SiteConfig,
    http::time::UnixSeconds,
    store::{AuditEvent, LedgerError},
};

/// The most that each list of a purge may have.
const MAX_ITEMS: usize = 1_000;

/// How many of the names that were purged the audit shows, and how much of each.
const SHOWN_NAMES: usize = 20;
const SHOWN_CHARS: usize = 200;

/// What is to be purged of a site; all that is named goes at once.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PurgeRequest)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// Sources, with all variants and sizes of each, as visitors ask for them: a path with its query, or a URL with one of
    /// the site's hosts, its origin's or one of its sources'. Options such as `w=400` make no difference, the rest of the
    /// query does.
    #[serde(default)]
    #[schema(value_type = Vec<shapes::ImageUrl>, required = false, max_items = 1000)]
    urls: Vec<Text<1, 8192>>,
    /// All sources whose path, or URL, begins so.
    #[serde(default)]
    #[schema(value_type = Vec<shapes::ImageUrl>, required = false, max_items = 1000)]
    prefixes: Vec<Text<1, 8192>>,
    /// All that the origin gave one of these surrogate keys (`Surrogate-Key`, `Cache-Tag`). Small and capital letters are the
    /// same.
    #[serde(default)]
    #[schema(value_type = Vec<shapes::SurrogateKey>, required = false, max_items = 1000)]
    keys: Vec<Text<1, 1024>>,
    /// All of the site.
    #[serde(default)]
    everything: bool,
    #[serde(default)]
    #[schema(inline, required = false)]
    mode: ModeName,
}

/// What becomes of what is purged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ModeName {
    /// It is stale: the origin is asked before it is used again, and it may stand in where the origin fails.
    Soft,
    /// It is gone.
    #[default]
    Hard,
}

impl From<ModeName> for Mode {
    fn from(mode: ModeName) -> Self {
        match mode {
            ModeName::Soft => Self::Soft,
            ModeName::Hard => Self::Hard,
        }
    }
}

/// A purge that holds.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Purge)]
pub(super) struct Purged {
    /// Of which site.
    #[schema(value_type = shapes::Id)]
    site: SiteId,
    /// The purge's number: they go up.
    #[schema(value_type = u64)]
    generation: Generation,
    #[schema(inline)]
    mode: ModeName,
    /// When.
    #[schema(value_type = shapes::Time)]
    at: Timestamp,
}

/// What is purged, read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    urls: Vec<String>,
    prefixes: Vec<String>,
    tags: Vec<TagHash>,
    everything: bool,
}

impl Request {
    /// # Errors
    /// 400, naming the field
    fn names(&self, config: &SiteConfig) -> Result<Names, Problem> {
        for (field, count) in [("urls", self.urls.len()), ("prefixes", self.prefixes.len()), ("keys", self.keys.len())]
        {
            if count > MAX_ITEMS {
                return Err(Problem::field(field, format!("expected at most {MAX_ITEMS}, not {count}")));
            }
        }
        let urls = each("urls", &self.urls, |url| name_of(config, url))?;
        let prefixes = each("prefixes", &self.prefixes, |prefix| prefix_of(config, prefix))?;
        let tags = each("keys", &self.keys, |key| {
            TagHash::of(key.as_bytes()).ok_or_else(|| format!("a key has 1 to {MAX_TAG_BYTES} bytes"))
        })?;
        let names = Names { urls, prefixes, tags, everything: self.everything };
        if names == Names::default() {
            return Err(Problem::bad_request("nothing to purge: give urls, prefixes, keys or everything"));
        }
        Ok(names)
    }

    /// What the audit shows of it.
    fn detail(&self, generation: Generation) -> Value {
        let mut left = SHOWN_NAMES;
        let mut shown = |names: Vec<&str>| -> Vec<String> {
            let shown = names.into_iter().take(left).map(|name| name.chars().take(SHOWN_CHARS).collect());
            let shown: Vec<_> = shown.collect();
            left -= shown.len();
            shown
        };
        let urls = shown(self.urls.iter().map(|url| url.0.as_str()).collect());
        let prefixes = shown(self.prefixes.iter().map(|prefix| prefix.0.as_str()).collect());
        let keys = shown(self.keys.iter().map(|key| key.0.as_str()).collect());
        let all = self.urls.len() + self.prefixes.len() + self.keys.len();
        let not_shown = all - urls.len() - prefixes.len() - keys.len();
        json!({
            "mode": self.mode, "everything": self.everything, "urls": urls, "prefixes": prefixes, "keys": keys,
            "not_shown": not_shown, "generation": generation,
        })
    }
}

fn each<const LEAST: usize, const MOST: usize, T>(
    field: &str,
    items: &[Text<LEAST, MOST>],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Problem> {
    let read = |(place, item): (usize, &Text<LEAST, MOST>)| {
        read(&item.0).map_err(|problem| {
            let shown: String = item.0.chars().take(SHOWN_CHARS).collect();
            Problem::field(format!("{field}[{place}]"), format!("{shown:?}: {problem}"))
        })
    };
    items.iter().enumerate().map(read).collect()
}

impl Names {
    fn what(&self) -> Vec<What<'_>> {
        let everything = self.everything.then_some(What::Everything);
        let urls = self.urls.iter().map(|name| What::Url(name));
        let prefixes = self.prefixes.iter().map(|prefix| What::Prefix(prefix));
        let tags = self.tags.iter().map(|tag| What::Tag(*tag));
        everything.into_iter().chain(urls).chain(prefixes).chain(tags).collect()
    }
}

/// Why nothing was purged.
#[derive(Debug)]
enum NotPurged {
    Ledger(LedgerError),
    Disk(io::Error),
}

impl From<LedgerError> for NotPurged {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<NotPurged> for Problem {
    fn from(error: NotPurged) -> Self {
        match error {
            NotPurged::Ledger(error) => error.into(),
            NotPurged::Disk(error) => {
                tracing::error!(%error, "a purge cannot be written to storage.data_dir");
                Self::unavailable("the purge cannot be written down now, and nothing was purged; try again")
            }
        }
    }
}

/// Purges what is cached of a site.
///
/// It holds when the answer comes, whatever is stored, and after a restart; what is on its way from the origin at that time is
/// not kept. An account's key purges its own account's sites. It is listed in the audit.
#[utoipa::path(post, path = "/sites/{id}/purge", tag = "cache", operation_id = "purge_site",
    params(("id" = inline(shapes::Id), Path, description = "The site's name."), IdempotencyKey), request_body = Request,
    responses(
        (status = 200, description = "It is purged.", body = Purged),
        (status = 409, description = "The Idempotency-Key was used for another request."),
    ))]
pub(super) async fn purge(
    State(api): State<Api>,
    caller: Caller,
    Actor(actor): Actor,
    At(id): At<SiteId>,
    Write { once, body }: Write<Request>,
) -> Result<Json<Purged>, Problem> {
    let (config, account) = site(&api, &caller, &id).await?;
    let names = body.names(&config)?;
    let now = api.clock.timestamp();
    let at = api.clock.now();
    let purged = api.ledger.audited(once.as_ref(), now, async || {
        let generation = write_down(&api.purges, &id, names, body.mode.into(), at).await.map_err(NotPurged::Disk)?;
        tracing::info!(site = %id, actor, mode = ?body.mode, %generation, "purged");
        let detail = body.detail(generation);
        let event = AuditEvent { actor, action: "purge", site: Some(id.clone()), account, detail };
        Ok::<_, NotPurged>((Purged { site: id, generation, mode: body.mode, at: now }, event))
    });
    Ok(Json(purged.await?))
}

/// A site that the caller may purge: the operator any, also one that nobody pays for.
async fn site(api: &Api, caller: &Caller, id: &SiteId) -> Result<(Arc<SiteConfig>, Option<AccountId>), Problem> {
    if *caller == Caller::Operator
        && let Some(config) = api.directory.site(id.as_str()).filter(|config| config.account.is_none())
    {
        return Ok((config, None));
    }
    let (view, config) = paid_site(api, caller, id).await?;
    Ok((config, Some(view.account)))
}

/// Purges, off the threads that must not wait for the disk.
async fn write_down(
    purges: &Arc<Purges>,
    site: &SiteId,
    names: Names,
    mode: Mode,
    at: UnixSeconds,
) -> io::Result<Generation> {
    let (purges, site) = (Arc::clone(purges), site.clone());
    let purged = tokio::task::spawn_blocking(move || purges.purge(site.as_str(), &names.what(), mode, at)).await;
    purged.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SiteConfig {
        toml::from_str("id = 'shop'\nhosts = ['img.shop.example']\norigin = 'https://shop.example'").unwrap()
    }

    fn request(body: Value) -> Request {
        serde_json::from_value(body).unwrap()
    }

    fn refused(body: Value) -> String {
        request(body).names(&config()).unwrap_err().detail().to_owned()
    }

    #[test]
    fn a_purge_is_hard_unless_it_says_otherwise() {
        assert_eq!(request(json!({ "everything": true })).mode, ModeName::Hard);
        assert_eq!(request(json!({ "everything": true, "mode": "soft" })).mode, ModeName::Soft);
        assert!(serde_json::from_value::<Request>(json!({ "everything": true, "mode": "Soft" })).is_err());
    }

    #[test]
    fn what_is_no_purge_says_which_field_and_why() {
        let long = "x".repeat(MAX_TAG_BYTES);
        for (body, problem) in [
            (json!({}), "nothing to purge"),
            (json!({ "urls": [], "everything": false }), "nothing to purge"),
            (json!({ "urls": ["/a.jpg", "b.jpg"] }), "urls[1]: \"b.jpg\": "),
            (json!({ "prefixes": ["a/"] }), "prefixes[0]: "),
            (json!({ "keys": ["red", " "] }), "keys[1]: "),
            (json!({ "keys": [format!("ä{}", &long[1..])] }), "keys[0]: "),
            (json!({ "keys": vec!["x"; MAX_ITEMS + 1] }), "keys: expected at most 1000, not 1001"),
        ] {
            assert!(refused(body.clone()).starts_with(problem), "{body}: {}", refused(body.clone()));
        }
        assert!(request(json!({ "keys": [long] })).names(&config()).is_ok());
    }

    #[test]
    fn the_audit_shows_the_first_names_and_how_many_more_there_are() {
        let urls = vec![format!("/{}", "x".repeat(SHOWN_CHARS)); SHOWN_NAMES - 1];
        let detail = request(json!({ "urls": urls, "prefixes": ["/a"], "keys": ["b", "c"] })).detail(Generation(7));
        assert_eq!(detail["urls"].as_array().unwrap().len(), SHOWN_NAMES - 1);
        assert_eq!(detail["urls"][0].as_str().unwrap().len(), SHOWN_CHARS);
        assert_eq!((&detail["prefixes"], &detail["keys"]), (&json!(["/a"]), &json!([])));
        assert_eq!(
            (&detail["not_shown"], &detail["generation"], &detail["mode"]),
            (&json!(2), &json!(7), &json!("hard"))
        );
    }
}
