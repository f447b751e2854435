//! What a site used.

use axum::{Json, extract::State};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    api::Api,
    auth::Caller,
    input::{At, Query},
    problem::Problem,
    shapes,
    sites::paid_site,
};
use crate::{
    billing::{Microcredits, SiteId},
    store::{Step, Usage, UsagePoint},
};

/// The longest series.
const MAX_STEPS: i64 = 10_000;

/// What a site used over some time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SiteUsage {
    /// The site.
    #[schema(value_type = shapes::Id)]
    site: SiteId,
    /// From this time on.
    #[schema(value_type = shapes::Time)]
    from: Timestamp,
    /// Before this time.
    #[schema(value_type = shapes::Time)]
    to: Timestamp,
    #[serde(flatten)]
    total: Used,
    /// By steps; those without usage are left out.
    series: Vec<UsedAt>,
}

/// What was used in a step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageOfStep)]
struct UsedAt {
    /// When the step begins.
    #[schema(value_type = shapes::Time)]
    at: Timestamp,
    #[serde(flatten)]
    used: Used,
}

/// What was used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageOfTime)]
struct Used {
    /// Credits that were charged.
    credits: CreditsUsed,
    /// Credits' worth of bytes that nothing was left for: they are not charged.
    #[schema(value_type = shapes::Credits)]
    written_off: Microcredits,
    /// Body bytes of optimized images sent while the site was entitled.
    egress_bytes: u64,
    /// Requests answered.
    requests: u64,
    /// Originals' bytes less variants'.
    saved_bytes: u64,
}

/// Credits by what they were charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub(super) struct CreditsUsed {
    /// All of them together.
    #[schema(value_type = shapes::Credits)]
    pub(super) total: Microcredits,
    /// Image sizes optimized.
    #[schema(value_type = shapes::Credits)]
    pub(super) size: Microcredits,
    /// Sizes delivered as WebP.
    #[schema(value_type = shapes::Credits)]
    pub(super) webp: Microcredits,
    /// Sizes delivered as AVIF.
    #[schema(value_type = shapes::Credits)]
    pub(super) avif: Microcredits,
    /// Bytes sent.
    #[schema(value_type = shapes::Credits)]
    pub(super) egress: Microcredits,
}

impl CreditsUsed {
    /// With their sum, or the most that there can be.
    pub(super) fn new([size, webp, avif, egress]: [Microcredits; 4]) -> Self {
        let parts = [size, webp, avif, egress];
        let sum = parts.into_iter().try_fold(Microcredits::ZERO, Microcredits::plus);
        Self { total: sum.unwrap_or(Microcredits::new(i64::MAX)), size, webp, avif, egress }
    }
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Self {
        Self {
            credits: CreditsUsed::new([usage.size, usage.webp, usage.avif, usage.egress]),
            written_off: usage.written_off,
            egress_bytes: usage.egress_bytes,
            requests: usage.requests,
            saved_bytes: usage.saved_bytes,
        }
    }
}

impl From<UsagePoint> for UsedAt {
    fn from(point: UsagePoint) -> Self {
        Self { at: point.at, used: point.usage.into() }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    /// From this time on; the account's period if left out.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this time; the end of the account's period if left out.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// How fine the series is. Days and months are UTC's. At most 10,000 steps.
    #[serde(default)]
    #[param(value_type = shapes::StepName, inline, required = false)]
    step: StepName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StepName {
    Hour,
    #[default]
    Day,
    Month,
}

impl From<StepName> for Step {
    fn from(name: StepName) -> Self {
        match name {
            StepName::Hour => Self::Hour,
            StepName::Day => Self::Day,
            StepName::Month => Self::Month,
        }
    }
}

/// Shows what a site used.
///
/// Usage is kept by the hour: the hours that begin from `from` on and before `to` count.
#[utoipa::path(get, path = "/sites/{id}/usage", tag = "sites", operation_id = "show_usage",
    params(("id" = inline(shapes::Id), Path, description = "The site's name."), UsageQuery),
    responses(
        (status = 200, description = "The usage.", body = SiteUsage),
        (status = 409, description = "The site has no account."),
    ))]
pub(super) async fn show(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<SiteId>,
    Query(query): Query<UsageQuery>,
) -> Result<Json<SiteUsage>, Problem> {
    let (view, _) = paid_site(&api, &caller, &id).await?;
    let (from, to) = match (query.from, query.to) {
        (Some(from), Some(to)) => (from, to),
        (from, to) => {
            let period = api.ledger.account(&view.account, api.clock.timestamp()).await?.period;
            (from.unwrap_or(period.start), to.unwrap_or(period.end))
        }
    };
    check_span(from, to, query.step.into())?;
    let (total, points) = api.ledger.usage(&id, from, to, query.step.into()).await?;
    let series = points.into_iter().map(UsedAt::from).collect();
    Ok(Json(SiteUsage { site: id, from, to, total: total.into(), series }))
}

fn check_span(from: Timestamp, to: Timestamp, step: Step) -> Result<(), Problem> {
    if from >= to {
        return Err(Problem::field("from", "must be before `to`"));
    }
    let seconds = to.as_second() - from.as_second();
    let month = |time: Timestamp| {
        let date = TimeZone::UTC.to_datetime(time);
        i64::from(date.year()) * 12 + i64::from(date.month())
    };
    let steps = match step {
        Step::Hour => seconds / 3_600,
        Step::Day => seconds / 86_400,
        Step::Month => month(to) - month(from),
    };
    if steps > MAX_STEPS {
        return Err(Problem::field("step", format!("more than {MAX_STEPS} steps from `from` to `to`")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: &str, to: &str, step: Step) -> Result<(), String> {
        check_span(from.parse().unwrap(), to.parse().unwrap(), step).map_err(|problem| problem.detail().to_owned())
    }

    #[test]
    fn time_goes_forward() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        assert_eq!(span(early, late, Step::Hour), Ok(()));
        for (from, to) in [(late, early), (early, early)] {
            assert!(span(from, to, Step::Hour).unwrap_err().starts_with("from: "));
        }
    }

    #[test]
    fn a_series_has_ten_thousand_steps_at_the_most() {
        let start = "2026-01-01T00:00:00Z";
        for (step, last, beyond) in [
            (Step::Hour, "2027-02-21T16:00:00Z", "2027-02-21T17:00:00Z"),
            (Step::Day, "2053-05-19T00:00:00Z", "2053-05-20T00:00:00Z"),
            (Step::Month, "2859-05-01T00:00:00Z", "2859-06-01T00:00:00Z"),
        ] {
            assert_eq!(span(start, last, step), Ok(()), "{step:?}");
            assert!(span(start, beyond, step).unwrap_err().starts_with("step: "), "{step:?}");
        }
        assert!(span("-009998-01-01T00:00:00Z", "9999-12-01T00:00:00Z", Step::Month).is_err());
    }
}
