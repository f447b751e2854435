//! Accounts: listed, made, moved to another plan.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    api::Api,
    auth::Caller,
    idempotency::{IdempotencyKey, Write},
    input::{At, Limit, Query},
    problem::Problem,
    shapes::{self, BalanceShape, List, PeriodShape},
};
use crate::{billing::AccountId, store::AccountView};

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Account {
    /// Its name.
    #[schema(value_type = shapes::Id)]
    id: AccountId,
    /// Its plan.
    plan: String,
    /// The period under way.
    period: PeriodShape,
    /// What it has, what is assigned to its sites included.
    balance: BalanceShape,
    /// What of that is not assigned.
    unallocated: BalanceShape,
    /// Its sites.
    #[schema(value_type = Vec<shapes::Id>)]
    sites: Vec<String>,
}

impl From<AccountView> for Account {
    fn from(view: AccountView) -> Self {
        Self {
            id: view.id,
            plan: view.plan,
            period: view.period.into(),
            balance: view.balance.into(),
            unallocated: view.unallocated.into(),
            sites: view.sites.iter().map(ToString::to_string).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AccountQuery {
    /// The `next` of the part before.
    #[param(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    after: Option<AccountId>,
    /// How many at the most.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    /// Its name.
    #[schema(value_type = shapes::Id)]
    id: AccountId,
    /// Its plan; `free` if left out.
    #[serde(default = "free")]
    #[schema(value_type = shapes::PlanId)]
    plan: String,
}

fn free() -> String {
    "free".to_owned()
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanChange {
    /// The plan from now on.
    #[schema(value_type = shapes::PlanId)]
    plan: String,
}

/// Lists accounts.
///
/// By name. An account's key lists its one account.
#[utoipa::path(get, path = "/accounts", tag = "accounts", operation_id = "list_accounts", params(AccountQuery),
    responses((status = 200, description = "A part of the list.", body = List<Account>)))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<AccountQuery>,
) -> Result<Json<List<Account>>, Problem> {
    let now = api.clock.timestamp();
    let after = query.after.as_ref().map(AccountId::as_str);
    let Caller::Account(own) = caller else {
        let page = api.ledger.accounts(after, query.limit.get(), now).await?;
        return Ok(Json(List { items: page.items.into_iter().map(Account::from).collect(), next: page.next }));
    };
    let mut items = Vec::new();
    if after.is_none_or(|after| own.as_str() > after) {
        items.push(api.ledger.account(&own, now).await?.into());
    }
    Ok(Json(List { items, next: None }))
}

/// Makes an account.
///
/// It gets the plan's credits at once; its periods are counted from now. For the operator.
#[utoipa::path(post, path = "/accounts", tag = "accounts", operation_id = "create_account", params(IdempotencyKey), request_body = NewAccount,
    responses(
        (status = 201, description = "The account.", body = Account,
            headers(("Location" = String, description = "Its path."))),
        (status = 403, description = "Only the operator may make accounts."),
        (status = 409, description = "The name is taken, or the Idempotency-Key was used for another request."),
    ))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Write { once, body }: Write<NewAccount>,
) -> Result<Response, Problem> {
    caller.is_operator()?;
    let view = api.ledger.create_account(once.as_ref(), &body.id, &body.plan, api.clock.timestamp()).await?;
    let location = format!("/api/v1/accounts/{}", view.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(Account::from(view))).into_response())
}

/// Shows an account.
#[utoipa::path(get, path = "/accounts/{id}", tag = "accounts", operation_id = "show_account",
    params(("id" = inline(shapes::Id), Path, description = "The account's name.")),
    responses((status = 200, description = "The account.", body = Account)))]
pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<AccountId>,
) -> Result<Json<Account>, Problem> {
    caller.sees(&id)?;
    Ok(Json(api.ledger.account(&id, api.clock.timestamp()).await?.into()))
}

/// Moves an account to another plan.
///
/// A larger plan gives the difference in credits at once; a smaller one takes nothing back and holds from the next period
/// on. For the operator.
#[utoipa::path(patch, path = "/accounts/{id}", tag = "accounts", operation_id = "change_plan",
    params(("id" = inline(shapes::Id), Path, description = "The account's name."), IdempotencyKey),
    request_body = PlanChange,
    responses(
        (status = 200, description = "The account.", body = Account),
        (status = 403, description = "Only the operator may change plans."),
        (status = 409, description = "The credits would be too many for one account, or the Idempotency-Key was used for \
            another request."),
    ))]
pub(super) async fn change(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<AccountId>,
    Write { once, body }: Write<PlanChange>,
) -> Result<Json<Account>, Problem> {
    caller.sees(&id)?;
    caller.is_operator()?;
    Ok(Json(api.ledger.change_plan(once.as_ref(), &id, &body.plan, api.clock.timestamp()).await?.into()))
}
