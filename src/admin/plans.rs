//! The plan catalogue.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{api::Api, auth::Caller, problem::Problem, shapes};
use crate::billing::Microcredits;

/// The plans that accounts can have, and the packs of one-time credits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Plans {
    /// What prices are in.
    #[schema(examples("USD"))]
    currency: String,
    /// The plans.
    plans: Vec<Plan>,
    /// The packs.
    packs: Vec<Pack>,
}

/// A plan: it has either monthly credits or a quota of egress.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Plan {
    /// Its name in accounts.
    id: String,
    /// Its name for people.
    name: String,
    /// What a month costs.
    #[schema(pattern = "^[0-9]+\\.[0-9]{2}$", examples("4.99"))]
    price: String,
    /// Credits that come every period.
    #[schema(value_type = Option<shapes::Credits>, required = true)]
    monthly_credits: Option<Microcredits>,
    /// Bytes of optimized images that may be sent in a period; variants cost nothing.
    #[schema(required = true)]
    egress_quota_bytes: Option<u64>,
}

/// One-time credits to buy.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pack {
    /// Its name.
    id: String,
    /// Its name for people.
    name: String,
    /// What it costs.
    #[schema(pattern = "^[0-9]+\\.[0-9]{2}$", examples("9.99"))]
    price: String,
    /// How many credits it has.
    #[schema(value_type = shapes::Credits)]
    credits: Microcredits,
}

/// Lists plans and packs.
#[utoipa::path(get, path = "/plans", tag = "accounts", operation_id = "list_plans",
    responses((status = 200, description = "The catalogue in effect.", body = Plans)))]
pub(super) async fn list(State(api): State<Api>, _: Caller) -> Result<Json<Plans>, Problem> {
    let catalogue = api.ledger.catalogue();
    let plans = catalogue.plans.iter().map(|plan| Plan {
        id: plan.id.clone(),
        name: plan.name.clone(),
        price: plan.price.clone(),
        monthly_credits: plan.monthly_credits,
        egress_quota_bytes: plan.egress_quota_bytes,
    });
    let packs = catalogue.packs.iter().map(|pack| Pack {
        id: pack.id.clone(),
        name: pack.name.clone(),
        price: pack.price.clone(),
        credits: pack.credits,
    });
    Ok(Json(Plans { currency: catalogue.currency.clone(), plans: plans.collect(), packs: packs.collect() }))
}
