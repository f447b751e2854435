//! `usage`: what a site used, by hours, days or months.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Environment,
    client::query,
    instance::Instance,
    output::{self, Column},
    when::When,
};
use crate::billing::{Microcredits, SiteId};

#[derive(Debug, Args)]
pub(super) struct Usage {
    /// The site's name.
    site: SiteId,
    /// From this time on: 2026-11-01T12:00:00Z, or 2026-11-01 for midnight in UTC [default: the API's].
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// Up to this time [default: the API's].
    #[arg(long, value_name = "TIME")]
    to: Option<When>,
    /// How fine; days and months are those of UTC [default: the API's].
    #[arg(long, value_enum)]
    step: Option<Step>,
    #[command(flatten)]
    instance: Instance,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Step {
    Hour,
    Day,
    Month,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl Usage {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let query = query([
            ("from", self.from.map(|time| time.to_string())),
            ("to", self.to.map(|time| time.to_string())),
            ("step", self.step.map(|step| step.name().to_owned())),
        ]);
        let client = self.instance.client(environment)?;
        let answer = client.get(&["sites", self.site.as_str(), "usage"], &query).await?;
        self.instance.show(&answer, for_people)
    }
}

/// Usage, as the API tells of it.
#[derive(Debug, Deserialize)]
struct UsageView {
    site: String,
    from: Timestamp,
    to: Timestamp,
    #[serde(flatten)]
    total: Used,
    series: Vec<Point>,
}

#[derive(Debug, Deserialize)]
struct Components {
    total: Microcredits,
    size: Microcredits,
    webp: Microcredits,
    avif: Microcredits,
    egress: Microcredits,
}

#[derive(Debug, Deserialize)]
struct Used {
    credits: Components,
    written_off: Microcredits,
    egress_bytes: u64,
    requests: u64,
    saved_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Point {
    at: Timestamp,
    #[serde(flatten)]
    used: Used,
}

fn for_people(usage: &UsageView) -> String {
    let columns = [
        Column::Text("from"),
        Column::Number("credits"),
        Column::Number("written off"),
        Column::Number("sent"),
        Column::Number("saved"),
        Column::Number("requests"),
    ];
    let total = row("total".to_owned(), &usage.total);
    let rows = usage.series.iter().map(|point| row(point.at.to_string(), &point.used));
    let parts = &usage.total.credits;
    format!(
        "{}, {} to {}\n\n{}\n\nCredits by component: {} size, {} webp, {} avif, {} egress.",
        output::clean(&usage.site),
        usage.from,
        usage.to,
        output::table(columns, rows.chain([total])),
        parts.size,
        parts.webp,
        parts.avif,
        parts.egress,
    )
}

fn row(name: String, used: &Used) -> [String; 6] {
    [
        name,
        used.credits.total.to_string(),
        used.written_off.to_string(),
        output::bytes(used.egress_bytes),
        output::bytes(used.saved_bytes),
        used.requests.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use crate::cli::fake::Fake;

    const USAGE: &str = r#"{"site":"shop","from":"2026-11-01T00:00:00Z","to":"2026-11-03T00:00:00Z",
        "credits":{"total":"7.25","size":"3","webp":"1","avif":"3","egress":"0.25"},"written_off":"0.5",
        "egress_bytes":1250000,"requests":1234,"saved_bytes":9876543,
        "series":[
            {"at":"2026-11-01T00:00:00Z","credits":{"total":"4","size":"2","webp":"1","avif":"1","egress":"0"},
             "written_off":"0","egress_bytes":250000,
             "requests":1000,"saved_bytes":6543},
            {"at":"2026-11-02T00:00:00Z","credits":{"total":"3.25","size":"1","webp":"0","avif":"2","egress":"0.25"},
             "written_off":"0.5",
             "egress_bytes":1000000,"requests":234,"saved_bytes":9870000}
        ]}"#;

    #[tokio::test]
    async fn usage_is_a_table_with_its_total() {
        let fake = Fake::answering([(200, USAGE)]).await;
        assert_eq!(
            fake.run("usage shop").await.unwrap(),
            "\
shop, 2026-11-01T00:00:00Z to 2026-11-03T00:00:00Z

from                  credits  written off      sent   saved  requests
----------------------------------------------------------------------
2026-11-01T00:00:00Z        4            0  250.0 kB  6.5 kB      1000
2026-11-02T00:00:00Z     3.25          0.5    1.0 MB  9.8 MB       234
total                    7.25          0.5    1.2 MB  9.8 MB      1234

Credits by component: 3 size, 1 webp, 3 avif, 0.25 egress."
        );
        assert_eq!(fake.asked_once().0, "GET /api/v1/sites/shop/usage");
    }

    #[tokio::test]
    async fn times_and_steps_are_asked_for() {
        let fake = Fake::answering([(200, USAGE)]).await;
        fake.run("usage shop --from 2026-11-01 --to 2026-11-03T12:00:00+02:00 --step day --json").await.unwrap();
        let expected =
            "GET /api/v1/sites/shop/usage?from=2026-11-01T00%3A00%3A00Z&to=2026-11-03T10%3A00%3A00Z&step=day";
        assert_eq!(fake.asked_once().0, expected);
    }
}
