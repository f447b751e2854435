//! The list of transfers: every movement of credits, with its reason (`billing.md` rule 12).

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, ToSchema,
    openapi::path::{Parameter, ParameterIn},
};

use super::{
    api::Api,
    auth::Caller,
    input::{At, Limit, Number, Query},
    problem::Problem,
    shapes::{self, List},
};
use crate::{
    billing::{AccountId, Microcredits, Reason, SiteId},
    store::{TransferFilter, TransferView},
};

/// A movement of credits from one account of the books to another.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Transfer {
    /// Its number: they go up with time.
    id: i64,
    /// When.
    #[schema(value_type = shapes::Time)]
    at: Timestamp,
    /// The account of the books that gave: `issued`, `account/{id}/monthly`, `site/{id}/one_time` and so on.
    #[schema(examples("account/acme/monthly"))]
    debit: String,
    /// The account of the books that got.
    #[schema(examples("site/shop/spent"))]
    credit: String,
    /// How much.
    #[schema(value_type = shapes::Credits)]
    amount: Microcredits,
    /// Why.
    #[schema(value_type = shapes::ReasonName)]
    reason: Reason,
    /// What for; may be empty.
    reference: String,
}

impl From<TransferView> for Transfer {
    fn from(view: TransferView) -> Self {
        Self {
            id: view.id,
            at: view.at,
            debit: view.debit.to_string(),
            credit: view.credit.to_string(),
            amount: view.amount,
            reason: view.reason,
            reference: view.reference,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TransferQuery {
    /// Of this account and its sites.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    account: Option<AccountId>,
    /// Of this site.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    site: Option<SiteId>,
    /// For this reason.
    #[param(value_type = Option<shapes::ReasonName>, inline)]
    reason: Option<Reason>,
    /// From this time on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The `next` of the part before.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}$")]
    before: Option<Number>,
    /// How many at the most.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

impl TransferQuery {
    fn of(self, account: Option<AccountId>) -> TransferFilter {
        TransferFilter {
            account,
            site: self.site,
            reason: self.reason,
            from: self.from,
            to: self.to,
            before: self.before.map(|number| number.0),
            limit: self.limit.get(),
        }
    }
}

/// The same without `account`: the path says which.
pub(super) struct OwnTransferQuery;

impl IntoParams for OwnTransferQuery {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        TransferQuery::into_params(place).into_iter().filter(|parameter| parameter.name != "account").collect()
    }
}

/// Lists transfers.
///
/// The latest first. An account's key lists its own account's.
#[utoipa::path(get, path = "/transfers", tag = "credits", operation_id = "list_transfers", params(TransferQuery),
    responses(
        (status = 200, description = "A part of the list.", body = List<Transfer>),
        (status = 404, description = "An account's key asks for another account's."),
    ))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(mut query): Query<TransferQuery>,
) -> Result<Json<List<Transfer>>, Problem> {
    let account = caller.filter(query.account.take())?;
    found(&api, &query.of(account)).await
}

/// Lists an account's transfers.
///
/// Its sites' too, the latest first.
#[utoipa::path(get, path = "/accounts/{id}/transfers", tag = "credits", operation_id = "list_account_transfers",
    params(("id" = inline(shapes::Id), Path, description = "The account's name."), OwnTransferQuery),
    responses((status = 200, description = "A part of the list.", body = List<Transfer>)))]
pub(super) async fn of_account(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<AccountId>,
    Query(query): Query<TransferQuery>,
) -> Result<Json<List<Transfer>>, Problem> {
    if query.account.is_some() {
        return Err(Problem::field("account", "the path says which"));
    }
    caller.sees(&id)?;
    // One that is not there has no transfers either; it is to be told apart.
    api.ledger.account(&id, api.clock.timestamp()).await?;
    found(&api, &query.of(Some(id))).await
}

async fn found(api: &Api, filter: &TransferFilter) -> Result<Json<List<Transfer>>, Problem> {
    let page = api.ledger.transfers(filter).await?;
    Ok(Json(List { items: page.items.into_iter().map(Transfer::from).collect(), next: page.next }))
}
