//! The audit: what was done and by whom. Purges are listed.

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    api::Api,
    auth::Caller,
    input::{Limit, Number, Query},
    problem::Problem,
    shapes::{self, List},
};
use crate::{
    billing::{AccountId, SiteId},
    store::{AuditFilter, AuditView},
};

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub(super) struct Event {
    /// Its number: they go up with time.
    id: i64,
    /// When.
    #[schema(value_type = shapes::Time)]
    at: Timestamp,
    /// Who did it: `operator`, or `account/{id}/key/{key}`.
    #[schema(examples("operator", "account/acme/key/3f2a"))]
    actor: String,
    /// What it was.
    #[schema(examples("purge"))]
    action: String,
    /// What it was done to.
    #[schema(value_type = Option<shapes::Id>, required = true)]
    site: Option<SiteId>,
    /// What is particular to the action. Of a purge: `mode`, `everything`, the first of its `urls`, `prefixes` and `keys`, how
    /// many of them are `not_shown`, and its `generation`.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<AuditView> for Event {
    fn from(view: AuditView) -> Self {
        let AuditView { id, at, actor, action, site, detail } = view;
        Self { id, at, actor, action, site, detail }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Of this account's sites.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    account: Option<AccountId>,
    /// Of this site.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    site: Option<SiteId>,
    /// The `next` of the part before.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}$")]
    before: Option<Number>,
    /// How many at the most.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// Lists what was done.
///
/// The latest first: the last 100,000 purges of a year. An account's key lists what was done to its own account's sites.
#[utoipa::path(get, path = "/audit", tag = "cache", operation_id = "list_audit", params(AuditQuery),
    responses(
        (status = 200, description = "A part of the list.", body = List<Event>),
        (status = 404, description = "An account's key asks for another account's."),
    ))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<List<Event>>, Problem> {
    let filter = AuditFilter {
        account: caller.filter(query.account)?,
        site: query.site,
        before: query.before.map(|number| number.0),
        limit: query.limit.get(),
    };
    let page = api.ledger.audit(&filter).await?;
    Ok(Json(List { items: page.items.into_iter().map(Event::from).collect(), next: page.next }))
}
