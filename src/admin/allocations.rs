//! Credits assigned to a site (`billing.md` rules 10, 11). An account's own key may assign them.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    api::Api,
    auth::Caller,
    idempotency::{Bodiless, IdempotencyKey, Write},
    input::{At, NotNegative},
    problem::Problem,
    shapes,
    sites::{Site, paid_site},
};
use crate::{
    billing::{Allocation, SiteId},
    store::Once,
};

/// What is to be assigned to a site. It may not be more than is free.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AllocationWanted)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Monthly credits a period; none if left out.
    #[serde(default)]
    #[schema(value_type = shapes::CreditsAssigned, required = false)]
    monthly: NotNegative,
    /// One-time credits, those that it has used of an allocation included; none if left out.
    #[serde(default)]
    #[schema(value_type = shapes::CreditsAssigned, required = false)]
    one_time: NotNegative,
}

/// Shows a site with what is assigned to it.
#[utoipa::path(get, path = "/sites/{id}/allocation", tag = "sites", operation_id = "show_allocation",
    params(("id" = inline(shapes::Id), Path, description = "The site's name.")),
    responses(
        (status = 200, description = "The site.", body = Site),
        (status = 409, description = "The site has no account."),
    ))]
pub(super) async fn show(State(api): State<Api>, caller: Caller, At(id): At<SiteId>) -> Result<Json<Site>, Problem> {
    let (view, _) = paid_site(&api, &caller, &id).await?;
    Site::new(&view, &api.directory).map(Json)
}

/// Assigns credits to a site.
///
/// The site draws on them alone from then on, and goes to essential mode when they are used up. What it has used of its
/// allocation counts towards the new one.
#[utoipa::path(put, path = "/sites/{id}/allocation", tag = "sites", operation_id = "assign_allocation",
    params(("id" = inline(shapes::Id), Path, description = "The site's name."), IdempotencyKey),
    request_body = Wanted,
    responses(
        (status = 200, description = "The site.", body = Site),
        (status = 409, description = "More than is free (`kind` and `free` say what is), the site has no account, or the \
            Idempotency-Key was used for another request."),
    ))]
pub(super) async fn assign(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<SiteId>,
    Write { once, body }: Write<Wanted>,
) -> Result<Json<Site>, Problem> {
    let wanted = Allocation { monthly: body.monthly.0, one_time: body.one_time.0 };
    allocate(&api, &caller, &id, once.as_ref(), Some(wanted)).await
}

/// Takes a site's allocation back.
///
/// What is unused returns to the account; the site draws on what is unallocated from then on.
#[utoipa::path(delete, path = "/sites/{id}/allocation", tag = "sites", operation_id = "take_back_allocation",
    params(("id" = inline(shapes::Id), Path, description = "The site's name."), IdempotencyKey),
    responses(
        (status = 200, description = "The site.", body = Site),
        (status = 409, description = "The site has no account, or the Idempotency-Key was used for another request."),
    ))]
pub(super) async fn take_back(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<SiteId>,
    Bodiless(once): Bodiless,
) -> Result<Json<Site>, Problem> {
    allocate(&api, &caller, &id, once.as_ref(), None).await
}

async fn allocate(
    api: &Api,
    caller: &Caller,
    id: &SiteId,
    once: Option<&Once>,
    allocation: Option<Allocation>,
) -> Result<Json<Site>, Problem> {
    paid_site(api, caller, id).await?;
    let view = api.ledger.allocate(once, id, allocation, api.clock.timestamp()).await?;
    Site::new(&view, &api.directory).map(Json)
}
