//! Sites: those of the configuration file are shown, those of the API made, changed and removed too.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    api::Api,
    auth::Caller,
    idempotency::{IdempotencyKey, Write},
    input::{At, Limit, Query, read},
    problem::Problem,
    settings::SiteSettings,
    shapes::{self, BalanceShape, List},
};
use crate::{
    billing::{AccountId, Allocation, Entitlement, Microcredits, SiteId},
    config::{SiteConfig, Tariff},
    directory::Directory,
    store::{LedgerError, SiteView},
};

/// A site.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Site {
    /// Its name.
    #[schema(value_type = shapes::Id)]
    id: String,
    /// Who pays; null: nobody, nothing is counted.
    #[schema(value_type = Option<shapes::Id>, required = true)]
    account: Option<String>,
    /// The host names that it is served under.
    hosts: Vec<String>,
    /// How its usage becomes credits, as its settings say; its account's plan may rate it in another way.
    #[schema(value_type = shapes::TariffName)]
    tariff: Tariff,
    /// What it may do now: optimize, or serve what costs nothing.
    #[schema(value_type = shapes::EntitlementName)]
    entitlement: Entitlement,
    /// What is assigned to it; null: it draws on what its account has unallocated.
    #[schema(required = true)]
    allocation: Option<AllocationShape>,
    /// What it may draw on.
    #[schema(required = true)]
    balance: Option<BalanceShape>,
    /// Where its originals live.
    origin: String,
    /// Where it stands: sites of the file are changed there.
    from: Source,
    /// Why it is not served; null: it is.
    #[schema(required = true)]
    problem: Option<String>,
}

/// Where a site stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SiteSource)]
#[serde(rename_all = "lowercase")]
enum Source {
    /// In the configuration file.
    File,
    /// It was made through the API.
    Api,
}

/// What is assigned to a site.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Allocation)]
struct AllocationShape {
    /// Monthly credits a period.
    #[schema(value_type = shapes::Credits)]
    monthly: Microcredits,
    /// One-time credits, those that it has used included.
    #[schema(value_type = shapes::Credits)]
    one_time: Microcredits,
}

impl From<Allocation> for AllocationShape {
    fn from(allocation: Allocation) -> Self {
        Self { monthly: allocation.monthly, one_time: allocation.one_time }
    }
}

impl Site {
    /// A site that the ledger has.
    ///
    /// # Errors
    /// 404 where its settings cannot be read any more: it can only be set anew, or removed
    pub(super) fn new(view: &SiteView, directory: &Directory) -> Result<Self, Problem> {
        let config = settings_of(view, directory)?;
        let problem = view.settings.is_some().then(|| directory.why_left_out(view.id.as_str())).flatten();
        Ok(Self {
            account: Some(view.account.to_string()),
            entitlement: view.entitlement,
            allocation: view.allocation.map(AllocationShape::from),
            balance: Some(view.balance.into()),
            from: if view.settings.is_some() { Source::Api } else { Source::File },
            problem,
            ..Self::without_account(&config)
        })
    }

    /// A site that nobody pays for: only the configuration file has such.
    fn without_account(config: &SiteConfig) -> Self {
        Self {
            id: config.id.clone(),
            account: None,
            hosts: config.hosts.clone(),
            tariff: config.tariff,
            entitlement: Entitlement::Optimize,
            allocation: None,
            balance: None,
            origin: config.origin.to_string(),
            from: Source::File,
            problem: None,
        }
    }
}

fn settings_of(view: &SiteView, directory: &Directory) -> Result<Arc<SiteConfig>, Problem> {
    let Some(settings) = &view.settings else {
        // Between two versions of the file the ledger may know of a site a moment longer.
        return directory.site(view.id.as_str()).ok_or_else(|| LedgerError::NoSuchSite(view.id.to_string()).into());
    };
    serde_json::from_str(settings).map(Arc::new).map_err(|error| {
        let remedy = "PUT them anew, or DELETE it";
        Problem::not_found(format!("the settings of the site {} cannot be read: {error}; {remedy}", view.id))
    })
}

/// A site that somebody pays for, as far as the caller may see it, and its settings.
///
/// # Errors
/// 404; 409 where nobody pays for it
pub(super) async fn paid_site(api: &Api, caller: &Caller, id: &SiteId) -> Result<(SiteView, Arc<SiteConfig>), Problem> {
    if is_without_account(api, id) {
        return Err(match caller {
            Caller::Operator => {
                Problem::conflict(format!("the site {id} has no account: nothing is counted or assigned"))
            }
            Caller::Account(_) => no_such(id),
        });
    }
    let view = api.ledger.site(id, api.clock.timestamp()).await?;
    if !caller.may_see(&view.account) {
        return Err(no_such(id));
    }
    let settings = settings_of(&view, &api.directory)?;
    Ok((view, settings))
}

fn is_without_account(api: &Api, id: &SiteId) -> bool {
    api.directory.site(id.as_str()).is_some_and(|site| site.account.is_none())
}

fn no_such(id: &SiteId) -> Problem {
    LedgerError::NoSuchSite(id.to_string()).into()
}

/// Lets the operator pass. What belongs to others does not exist for an account's key.
async fn only_operator(api: &Api, caller: &Caller, id: &SiteId) -> Result<(), Problem> {
    if *caller != Caller::Operator {
        paid_site(api, caller, id).await?;
    }
    caller.is_operator()
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SiteQuery {
    /// Of this account.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    account: Option<AccountId>,
    /// The `next` of the part before.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    after: Option<SiteId>,
    /// How many at the most.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// Lists sites.
///
/// By name. An account's key lists its own account's.
#[utoipa::path(get, path = "/sites", tag = "sites", operation_id = "list_sites", params(SiteQuery),
    responses(
        (status = 200, description = "A part of the list.", body = List<Site>),
        (status = 404, description = "An account's key asks for another account's."),
    ))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<SiteQuery>,
) -> Result<Json<List<Site>>, Problem> {
    let account = caller.filter(query.account)?;
    let after = query.after.as_ref().map(SiteId::as_str);
    let limit = query.limit.get();
    let page = api.ledger.sites(account.as_ref(), after, limit, api.clock.timestamp()).await?;
    let mut sites: Vec<Site> =
        page.items.into_iter().filter_map(|view| Site::new(&view, &api.directory).ok()).collect();
    if account.is_none() {
        sites.extend(nobodys(&api.directory, after));
    }
    Ok(Json(part_of(sites, limit, page.next)))
}

fn nobodys(directory: &Directory, after: Option<&str>) -> Vec<Site> {
    let sites = directory.sites();
    let behind =
        sites.iter().filter(|site| site.account.is_none() && after.is_none_or(|after| site.id.as_str() > after));
    behind.map(|site| Site::without_account(site)).collect()
}

/// The first `limit` of all sites. Where the ledger has more, so many of its own are here that no other is passed over.
fn part_of(mut sites: Vec<Site>, limit: u32, ledgers_next: Option<String>) -> List<Site> {
    sites.sort_by(|a, b| a.id.cmp(&b.id));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = sites.len() > limit || ledgers_next.is_some();
    sites.truncate(limit);
    let next = if has_more { sites.last().map(|site| site.id.clone()).or(ledgers_next) } else { None };
    List { items: sites, next }
}

/// Makes a site.
///
/// It is served when the answer comes. For the operator.
#[utoipa::path(post, path = "/sites", tag = "sites", operation_id = "create_site", params(IdempotencyKey), request_body = SiteSettings,
    responses(
        (status = 201, description = "The site.", body = Site, headers(("Location" = String, description = "Its path."))),
        (status = 403, description = "Only the operator may make sites."),
        (status = 404, description = "There is no such account."),
        (status = 409, description = "The name or a host is taken, or the Idempotency-Key was used for another request."),
    ))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Write { once, body: site }: Write<SiteConfig>,
) -> Result<Response, Problem> {
    caller.is_operator()?;
    let view = api.directory.create(once.as_ref(), &site, api.clock.timestamp()).await?;
    let location = format!("/api/v1/sites/{}", view.id);
    let site = Site::new(&view, &api.directory)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(site)).into_response())
}

/// Shows a site.
#[utoipa::path(get, path = "/sites/{id}", tag = "sites", operation_id = "show_site",
    params(("id" = inline(shapes::Id), Path, description = "The site's name.")),
    responses((status = 200, description = "The site.", body = Site)))]
pub(super) async fn show(State(api): State<Api>, caller: Caller, At(id): At<SiteId>) -> Result<Json<Site>, Problem> {
    if caller == Caller::Operator
        && let Some(site) = api.directory.site(id.as_str()).filter(|site| site.account.is_none())
    {
        return Ok(Json(Site::without_account(&site)));
    }
    let (view, _) = paid_site(&api, &caller, &id).await?;
    Site::new(&view, &api.directory).map(Json)
}

/// Changes a site.
///
/// All its settings are set anew: what is left out gets its default. `id` may be left out. Only sites that were made through
/// the API; the change is in effect when the answer comes. For the operator.
#[utoipa::path(put, path = "/sites/{id}", tag = "sites", operation_id = "change_site",
    params(("id" = inline(shapes::Id), Path, description = "The site's name."), IdempotencyKey),
    request_body = super::settings::ChangedSettings,
    responses(
        (status = 200, description = "The site.", body = Site),
        (status = 403, description = "Only the operator may change sites."),
        (status = 409, description = "The configuration file has the site, a host is taken, `id` is not the path's, or the \
            Idempotency-Key was used for another request."),
    ))]
pub(super) async fn change(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<SiteId>,
    Write { once, body }: Write<Value>,
) -> Result<Json<Site>, Problem> {
    only_operator(&api, &caller, &id).await?;
    let mut site = with_id(body, &id)?;
    if let Some(before) = api.directory.site(id.as_str()) {
        site.keep_secrets_of(&before);
    }
    let view = api.directory.change(once.as_ref(), &site, api.clock.timestamp()).await?;
    Site::new(&view, &api.directory).map(Json)
}

fn with_id(mut body: Value, id: &SiteId) -> Result<SiteConfig, Problem> {
    if let Some(fields) = body.as_object_mut() {
        let named = fields.entry("id").or_insert_with(|| id.as_str().into());
        if named.as_str() != Some(id.as_str()) {
            return Err(Problem::conflict(format!("id: must be {:?}, as in the path, or be left out", id.as_str())));
        }
    }
    read(body)
}

/// Removes a site.
///
/// What is left of its allocation returns to the account; its usage and transfers stay. Only sites that were made through the
/// API. An Idempotency-Key is ignored here. For the operator.
#[utoipa::path(delete, path = "/sites/{id}", tag = "sites", operation_id = "remove_site",
    params(("id" = inline(shapes::Id), Path, description = "The site's name.")),
    responses(
        (status = 204, description = "It is removed."),
        (status = 403, description = "Only the operator may remove sites."),
        (status = 409, description = "The configuration file has the site."),
    ))]
pub(super) async fn remove(State(api): State<Api>, caller: Caller, At(id): At<SiteId>) -> Result<StatusCode, Problem> {
    only_operator(&api, &caller, &id).await?;
    api.directory.remove(&id, api.clock.timestamp()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(id: &str) -> Site {
        let text = format!("id = '{id}'\nhosts = ['{id}.example']\norigin = 'https://a.example'");
        Site::without_account(&toml::from_str(&text).unwrap())
    }

    fn part(ledgers: &[&str], others: &[&str], limit: u32, next: Option<&str>) -> (Vec<String>, Option<String>) {
        let sites = ledgers.iter().chain(others).map(|id| site(id)).collect();
        let part = part_of(sites, limit, next.map(str::to_owned));
        (part.items.into_iter().map(|site| site.id).collect(), part.next)
    }

    #[test]
    fn sites_without_an_account_stand_in_their_place_in_the_list() {
        let list = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(part(&["a", "c"], &["b"], 5, None), (list(&["a", "b", "c"]), None));
        assert_eq!(part(&["a", "c"], &["b"], 2, None), (list(&["a", "b"]), Some("b".into())));
        assert_eq!(part(&["a", "c"], &["d"], 2, Some("c")), (list(&["a", "c"]), Some("c".into())));
        assert_eq!(part(&[], &["d"], 2, None), (list(&["d"]), None));
    }

    #[test]
    fn the_path_names_the_site_and_the_body_may_not_name_another() {
        let id = "shop".parse().unwrap();
        let body = |id: &str| format!(r#"{{{id}"hosts":["a.example"],"origin":"https://a.example"}}"#);
        let read = |text: &str| with_id(serde_json::from_str(text).unwrap(), &id);
        assert_eq!(read(&body("")).unwrap().id, "shop");
        assert_eq!(read(&body(r#""id":"shop","#)).unwrap().id, "shop");
        for bad in [body(r#""id":"other","#), body(r#""id":7,"#)] {
            assert!(read(&bad).unwrap_err().detail().starts_with("id: must be \"shop\""));
        }
        assert!(read("[]").is_err());
    }
}
