//! `transfers`: every movement of credits (`billing.md` rule 12), the latest first.

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Environment,
    client::{List, query},
    instance::Instance,
    output::{self, Column},
    when::When,
};
use crate::billing::{AccountId, Microcredits, Reason, SiteId};

#[derive(Debug, Args)]
pub(super) struct Transfers {
    /// Of this account and its sites only.
    #[arg(long)]
    account: Option<AccountId>,
    /// Of this site only.
    #[arg(long)]
    site: Option<SiteId>,
    /// For this reason only: refill, grant, egress, …
    #[arg(long, value_parser = reason)]
    reason: Option<Reason>,
    /// From this time on: 2026-11-01T12:00:00Z, or 2026-11-01 for midnight in UTC.
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<When>,
    /// Before the transfer of this number: where a list said that it goes on.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// How many at the most [default: the API's].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// All of them, up to 100,000.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    instance: Instance,
}

fn reason(name: &str) -> Result<Reason, String> {
    Reason::named(name).ok_or_else(|| format!("expected one of {}", Reason::ALL.map(Reason::name).join(", ")))
}

impl Transfers {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let query = query([
            ("account", self.account.map(|id| id.to_string())),
            ("site", self.site.map(|id| id.to_string())),
            ("reason", self.reason.map(|reason| reason.name().to_owned())),
            ("from", self.from.map(|time| time.to_string())),
            ("to", self.to.map(|time| time.to_string())),
            ("before", self.before.map(|number| number.to_string())),
            ("limit", self.limit.map(|count| count.to_string())),
        ]);
        let client = self.instance.client(environment)?;
        let answer = if self.all {
            client.list(&["transfers"], &query, "before").await?
        } else {
            client.get(&["transfers"], &query).await?
        };
        self.instance.show(&answer, for_people)
    }
}

/// A transfer, as the API tells of it.
#[derive(Debug, Deserialize)]
struct TransferView {
    id: i64,
    at: Timestamp,
    debit: String,
    credit: String,
    amount: Microcredits,
    reason: String,
    reference: String,
}

fn for_people(transfers: &List<TransferView>) -> String {
    let columns = [
        Column::Number("number"),
        Column::Text("at"),
        Column::Text("reason"),
        Column::Number("credits"),
        Column::Text("from"),
        Column::Text("to"),
        Column::Text("reference"),
    ];
    let row = |transfer: &TransferView| {
        [
            transfer.id.to_string(),
            transfer.at.to_string(),
            transfer.reason.clone(),
            transfer.amount.to_string(),
            transfer.debit.clone(),
            transfer.credit.clone(),
            transfer.reference.clone(),
        ]
    };
    let table = output::table_or("No transfers.", columns, transfers.items.iter().map(row));
    match &transfers.next {
        Some(next) => format!("{table}\nThere are more: go on with --before {}.", output::clean(next)),
        None => table,
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::fake::Fake;

    const PAGE: &str = r#"{"items":[
        {"id":12,"at":"2026-11-02T10:00:00Z","debit":"account/acme/monthly","credit":"site/shop/spent","amount":"1",
         "reason":"avif","reference":"/a.jpg w=400"},
        {"id":3,"at":"2026-11-01T00:00:00Z","debit":"issued","credit":"account/acme/monthly","amount":"100",
         "reason":"refill","reference":""}],"next":"3"}"#;

    const END: &str = r#"{"items":[],"next":null}"#;

    #[tokio::test]
    async fn transfers_are_a_table_that_says_where_it_goes_on() {
        let fake = Fake::answering([(200, PAGE), (200, END)]).await;
        assert_eq!(
            fake.run("transfers").await.unwrap(),
            "\
number  at                    reason  credits  from                  to                    reference
-------------------------------------------------------------------------------------------------------
    12  2026-11-02T10:00:00Z  avif          1  account/acme/monthly  site/shop/spent       /a.jpg w=400
     3  2026-11-01T00:00:00Z  refill      100  issued                account/acme/monthly
There are more: go on with --before 3."
        );
        assert_eq!(fake.asked_once().0, "GET /api/v1/transfers");
        assert_eq!(fake.run("transfers").await.unwrap(), "No transfers.");
    }

    #[tokio::test]
    async fn every_filter_is_asked_for() {
        let fake = Fake::answering([(200, PAGE)]).await;
        let filters =
            "--account acme --site shop --reason plan_change --from 2026-11-01 --to 2026-12-01 --before 9 --limit 5";
        fake.run(&format!("transfers {filters}")).await.unwrap();
        assert_eq!(
            fake.asked_once().0,
            "GET /api/v1/transfers?account=acme&site=shop&reason=plan_change&from=2026-11-01T00%3A00%3A00Z\
             &to=2026-12-01T00%3A00%3A00Z&before=9&limit=5"
        );
    }

    #[tokio::test]
    async fn all_transfers_are_one_list() {
        let fake = Fake::answering([(200, PAGE), (200, END)]).await;
        let shown = fake.run("transfers --all --account acme --json").await.unwrap();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["items"].as_array().unwrap().len(), 2);
        assert_eq!(shown["next"], serde_json::Value::Null);
        assert_eq!(fake.asked()[1].line, "GET /api/v1/transfers?account=acme&before=3&limit=1000");
    }
}
