//! The test clock: time that stands where a test puts it. Only with `dev.test_clock`; otherwise there is no such path.

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    api::Api,
    auth::Caller,
    input::JsonBody,
    problem::{self, Problem},
    shapes,
};
use crate::http::time::UnixSeconds;

/// A time, to the second.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TestClock)]
#[serde(deny_unknown_fields)]
pub(super) struct Now {
    /// It is 1970 or later.
    #[schema(value_type = shapes::Time)]
    now: Timestamp,
}

/// Shows the test clock.
///
/// Only where the configuration says `dev.test_clock = true`, else 404. For the operator.
#[utoipa::path(get, path = "/test-clock", tag = "test clock", operation_id = "show_test_clock",
    responses(
        (status = 200, description = "The time.", body = Now),
        (status = 403, description = "Only the operator may see it."),
        (status = 404, description = "There is no test clock."),
    ))]
pub(super) async fn show(State(api): State<Api>, caller: Caller) -> Result<Json<Now>, Problem> {
    allowed(&api, &caller).await?;
    Ok(Json(Now { now: api.clock.timestamp() }))
}

/// Sets the test clock.
///
/// Periods that are over by then are closed when the answer comes. Only where the configuration says
/// `dev.test_clock = true`, else 404. An Idempotency-Key is ignored here. For the operator.
#[utoipa::path(post, path = "/test-clock", tag = "test clock", operation_id = "set_test_clock", request_body = Now,
    responses(
        (status = 200, description = "The time from now on.", body = Now),
        (status = 403, description = "Only the operator may set it."),
        (status = 404, description = "There is no test clock."),
    ))]
pub(super) async fn set(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(Now { now }): JsonBody<Now>,
) -> Result<Json<Now>, Problem> {
    allowed(&api, &caller).await?;
    let seconds = u64::try_from(now.as_second()).map_err(|_| Problem::field("now", "must be 1970 or later"))?;
    api.clock.set(UnixSeconds(seconds)).map_err(|error| Problem::field("now", error))?;
    let now = api.clock.timestamp();
    api.ledger.close_periods(now).await?;
    Ok(Json(Now { now }))
}

async fn allowed(api: &Api, caller: &Caller) -> Result<(), Problem> {
    if api.clock.is_standing() { caller.is_operator() } else { Err(problem::no_such_path().await) }
}
