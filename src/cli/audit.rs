//! `audit`: who did what, the latest first.

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Environment,
    client::{List, query},
    instance::Instance,
    output::{self, Column},
};
use crate::billing::{AccountId, SiteId};

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// Of this account's sites only.
    #[arg(long)]
    account: Option<AccountId>,
    /// Of this site only.
    #[arg(long)]
    site: Option<SiteId>,
    /// Before the event of this number: where a list said that it goes on.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// How many at the most [default: the API's].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    instance: Instance,
}

impl Audit {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let query = query([
            ("account", self.account.map(|id| id.to_string())),
            ("site", self.site.map(|id| id.to_string())),
            ("before", self.before.map(|number| number.to_string())),
            ("limit", self.limit.map(|count| count.to_string())),
        ]);
        let answer = self.instance.client(environment)?.get(&["audit"], &query).await?;
        self.instance.show(&answer, for_people)
    }
}

/// Something that was done, as the API tells of it.
#[derive(Debug, Deserialize)]
struct EventView {
    id: i64,
    at: Timestamp,
    actor: String,
    action: String,
    site: Option<String>,
    detail: Value,
}

fn for_people(events: &List<EventView>) -> String {
    let columns = [
        Column::Number("number"),
        Column::Text("at"),
        Column::Text("who"),
        Column::Text("what"),
        Column::Text("site"),
        Column::Text("detail"),
    ];
    let row = |event: &EventView| {
        [
            event.id.to_string(),
            event.at.to_string(),
            event.actor.clone(),
            event.action.clone(),
            output::or_dash(event.site.as_ref()),
            in_words(&event.detail),
        ]
    };
    let table = output::table_or("Nothing was done.", columns, events.items.iter().map(row));
    match &events.next {
        Some(next) => format!("{table}\nThere are more: go on with --before {}.", output::clean(next)),
        None => table,
    }
}

/// The detail of a purge in a line.
fn in_words(detail: &Value) -> String {
    let mut words = vec![detail["mode"].as_str().unwrap_or_default().to_owned()];
    if detail["everything"] == true {
        words.push("everything".to_owned());
    }
    for (field, one) in [("urls", ""), ("prefixes", "prefix "), ("keys", "key ")] {
        let names = detail[field].as_array().map(Vec::as_slice).unwrap_or_default();
        words.extend(names.iter().filter_map(Value::as_str).map(|name| format!("{one}{name}")));
    }
    if let Some(count) = detail["not_shown"].as_u64().filter(|count| *count > 0) {
        words.push(format!("and {count} more"));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use crate::cli::fake::Fake;

    const PAGE: &str = r#"{"items":[
        {"id":9,"at":"2026-03-02T00:00:00Z","actor":"operator","action":"purge","site":"shop","detail":{"mode":"soft",
         "everything":true,"urls":[],"prefixes":[],"keys":[],"not_shown":0,"generation":8}},
        {"id":4,"at":"2026-03-01T00:00:00Z","actor":"account/acme/key/k1","action":"purge","site":"shop",
         "detail":{"mode":"hard","everything":false,"urls":["/a.jpg"],"prefixes":["/x/"],"keys":["red"],"not_shown":2,
         "generation":7}}],"next":"4"}"#;

    #[tokio::test]
    async fn events_are_a_table_that_says_where_it_goes_on() {
        let fake = Fake::answering([(200, PAGE), (200, r#"{"items":[],"next":null}"#)]).await;
        assert_eq!(
            fake.run("audit").await.unwrap(),
            "\
number  at                    who                  what   site  detail
-------------------------------------------------------------------------------------------------------------
     9  2026-03-02T00:00:00Z  operator             purge  shop  soft, everything
     4  2026-03-01T00:00:00Z  account/acme/key/k1  purge  shop  hard, /a.jpg, prefix /x/, key red, and 2 more
There are more: go on with --before 4."
        );
        assert_eq!(fake.asked_once().0, "GET /api/v1/audit");
        assert_eq!(fake.run("audit").await.unwrap(), "Nothing was done.");
    }

    #[tokio::test]
    async fn every_filter_is_asked_for() {
        let fake = Fake::answering([(200, PAGE)]).await;
        fake.run("audit --account acme --site shop --before 9 --limit 5").await.unwrap();
        assert_eq!(fake.asked_once().0, "GET /api/v1/audit?account=acme&site=shop&before=9&limit=5");
    }
}
