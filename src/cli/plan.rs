//! `plan`: what accounts can have (`billing.md` rules 7, 8 and 20).

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::{
    Environment,
    client::Query,
    instance::Instance,
    output::{self, Column},
};
use crate::billing::Microcredits;

#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    instance: Instance,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All plans, and all packs of one-time credits.
    List,
}

impl Plan {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let client = self.instance.client(environment)?;
        match self.action {
            Action::List => self.instance.show(&client.get(&["plans"], &Query::new()).await?, for_people),
        }
    }
}

/// The catalogue, as the API tells of it.
#[derive(Debug, Deserialize)]
struct Catalogue {
    currency: String,
    plans: Vec<PlanView>,
    packs: Vec<PackView>,
}

#[derive(Debug, Deserialize)]
struct PlanView {
    id: String,
    name: String,
    price: String,
    monthly_credits: Option<Microcredits>,
    egress_quota_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct PackView {
    id: String,
    name: String,
    price: String,
    credits: Microcredits,
}

fn for_people(catalogue: &Catalogue) -> String {
    let plans = output::table_or(
        "No plans.",
        [
            Column::Text("plan"),
            Column::Text("name"),
            Column::Number("price a month"),
            Column::Number("credits a month"),
            Column::Number("traffic a month"),
        ],
        catalogue.plans.iter().map(|plan| {
            [
                plan.id.clone(),
                plan.name.clone(),
                plan.price.clone(),
                output::or_dash(plan.monthly_credits),
                output::or_dash(plan.egress_quota_bytes.map(output::bytes)),
            ]
        }),
    );
    let packs = output::table_or(
        "No packs.",
        [Column::Text("pack"), Column::Text("name"), Column::Number("price"), Column::Number("one-time credits")],
        catalogue
            .packs
            .iter()
            .map(|pack| [pack.id.clone(), pack.name.clone(), pack.price.clone(), pack.credits.to_string()]),
    );
    format!("{plans}\n\n{packs}\n\nPrices are in {}.", output::clean(&catalogue.currency))
}

#[cfg(test)]
mod tests {
    use crate::cli::fake::Fake;

    #[tokio::test]
    async fn plans_and_packs_are_tables() {
        let catalogue = r#"{"currency":"USD","plans":[
            {"id":"free","name":"Free","price":"0.00","monthly_credits":"100","egress_quota_bytes":null},
            {"id":"unlimited","name":"Unlimited","price":"59.99","monthly_credits":null,
             "egress_quota_bytes":500000000000}],
            "packs":[{"id":"pack-10k","name":"10,000 credits","price":"9.99","credits":"10000"}]}"#;
        let fake = Fake::answering([(200, catalogue)]).await;
        assert_eq!(
            fake.run("plan list").await.unwrap(),
            "\
plan       name       price a month  credits a month  traffic a month
---------------------------------------------------------------------
free       Free                0.00              100                -
unlimited  Unlimited          59.99                -         500.0 GB

pack      name            price  one-time credits
-------------------------------------------------
pack-10k  10,000 credits   9.99             10000

Prices are in USD."
        );
        assert_eq!(fake.asked_once().0, "GET /api/v1/plans");
    }
}
