//! `account`: who pays, and what he has.

use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    Environment,
    client::{List, Once, Query},
    instance::Instance,
    output::{self, Column},
};
use crate::billing::{AccountId, Microcredits};

#[derive(Debug, Args)]
pub(super) struct Account {
    #[command(flatten)]
    instance: Instance,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All accounts.
    List,
    /// One account: its plan, its period, its credits and its sites.
    Show {
        /// Its name.
        id: AccountId,
    },
    /// Make an account.
    Create {
        /// Its name: letters, digits and -._
        id: AccountId,
        /// Its plan; `lightmeter plan list` shows them.
        #[arg(long, default_value = "free")]
        plan: String,
        #[command(flatten)]
        once: Once,
    },
    /// Put an account on another plan.
    Plan {
        /// Its name.
        id: AccountId,
        /// The plan; `lightmeter plan list` shows them.
        plan: String,
        #[command(flatten)]
        once: Once,
    },
}

impl Account {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let client = self.instance.client(environment)?;
        let answer = match self.action {
            Action::List => {
                let answer = client.list(&["accounts"], &Query::new(), "after").await?;
                return self.instance.show(&answer, table);
            }
            Action::Show { id } => client.get(&["accounts", id.as_str()], &Query::new()).await?,
            Action::Create { id, plan, once } => {
                let body = json!({ "id": id, "plan": plan });
                client.write(Method::POST, &["accounts"], Some(&body), &once).await?
            }
            Action::Plan { id, plan, once } => {
                let body = json!({ "plan": plan });
                client.write(Method::PATCH, &["accounts", id.as_str()], Some(&body), &once).await?
            }
        };
        self.instance.show(&answer, AccountView::facts)
    }
}

/// An account, as the API tells of it.
#[derive(Debug, Deserialize)]
pub(super) struct AccountView {
    id: AccountId,
    plan: String,
    period: Period,
    balance: Balance,
    unallocated: Balance,
    sites: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Period {
    start: Timestamp,
    end: Timestamp,
}

/// Credits of both kinds, as the API tells of them.
#[derive(Debug, Deserialize)]
pub(super) struct Balance {
    pub(super) monthly: Microcredits,
    pub(super) one_time: Microcredits,
    pub(super) total: Microcredits,
}

impl std::fmt::Display for Balance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} monthly + {} one-time = {}", self.monthly, self.one_time, self.total)
    }
}

impl AccountView {
    pub(super) fn facts(&self) -> String {
        output::facts([
            ("account", self.id.to_string()),
            ("plan", self.plan.clone()),
            ("period", format!("{} to {}", self.period.start, self.period.end)),
            ("credits", self.balance.to_string()),
            ("unallocated", self.unallocated.to_string()),
            ("sites", if self.sites.is_empty() { "none".to_owned() } else { self.sites.join(", ") }),
        ])
    }
}

fn table(accounts: &List<AccountView>) -> String {
    let columns = [
        Column::Text("account"),
        Column::Text("plan"),
        Column::Number("monthly"),
        Column::Number("one-time"),
        Column::Number("credits"),
        Column::Number("unallocated"),
        Column::Number("sites"),
        Column::Text("period ends"),
    ];
    let row = |account: &AccountView| {
        [
            account.id.to_string(),
            account.plan.clone(),
            account.balance.monthly.to_string(),
            account.balance.one_time.to_string(),
            account.balance.total.to_string(),
            account.unallocated.total.to_string(),
            account.sites.len().to_string(),
            account.period.end.to_string(),
        ]
    };
    accounts.with_rest(output::table_or("No accounts.", columns, accounts.items.iter().map(row)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::fake::Fake;

    /// The account acme.
    pub(in crate::cli) const ACME: &str = r#"{"id":"acme","plan":"free",
        "period":{"start":"2026-11-01T00:00:00Z","end":"2026-12-01T00:00:00Z"},
        "balance":{"monthly":"100","one_time":"5.5","total":"105.5"},
        "unallocated":{"monthly":"60","one_time":"5.5","total":"65.5"},"sites":["blog","shop"]}"#;

    /// The same, for people.
    pub(in crate::cli) const ACME_SHOWN: &str = "\
account      acme
plan         free
period       2026-11-01T00:00:00Z to 2026-12-01T00:00:00Z
credits      100 monthly + 5.5 one-time = 105.5
unallocated  60 monthly + 5.5 one-time = 65.5
sites        blog, shop";

    #[tokio::test]
    async fn all_accounts_are_a_table() {
        let fake = Fake::answering([(200, format!(r#"{{"items":[{ACME}],"next":null}}"#))]).await;
        assert_eq!(
            fake.run("account list").await.unwrap(),
            "\
account  plan  monthly  one-time  credits  unallocated  sites  period ends
-----------------------------------------------------------------------------------
acme     free      100       5.5    105.5         65.5      2  2026-12-01T00:00:00Z"
        );
        assert_eq!(fake.asked_once(), ("GET /api/v1/accounts?limit=1000".to_owned(), serde_json::Value::Null));
    }

    #[tokio::test]
    async fn no_accounts_are_a_sentence() {
        let fake = Fake::answering([(200, r#"{"items":[],"next":null}"#)]).await;
        assert_eq!(fake.run("account list").await.unwrap(), "No accounts.");
    }

    #[tokio::test]
    async fn an_account_is_shown_for_people_and_for_machines() {
        let fake = Fake::answering([(200, ACME), (200, ACME)]).await;
        assert_eq!(fake.run("account show acme").await.unwrap(), ACME_SHOWN);
        assert_eq!(fake.asked_once().0, "GET /api/v1/accounts/acme");
        let shown = fake.run("account show acme --json").await.unwrap();
        let without_space = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(without_space(&shown), without_space(ACME));
    }

    #[tokio::test]
    async fn an_account_is_made_with_its_plan() {
        let fake = Fake::answering([(201, ACME), (201, ACME)]).await;
        assert_eq!(fake.run("account create acme").await.unwrap(), ACME_SHOWN);
        assert_eq!(fake.asked_once(), ("POST /api/v1/accounts".to_owned(), json!({ "id": "acme", "plan": "free" })));
        fake.run("account create acme --plan pro").await.unwrap();
        assert_eq!(fake.asked_once().1, json!({ "id": "acme", "plan": "pro" }));
    }

    #[tokio::test]
    async fn an_account_is_put_on_another_plan() {
        let fake = Fake::answering([(200, ACME)]).await;
        assert_eq!(fake.run("account plan acme free").await.unwrap(), ACME_SHOWN);
        assert_eq!(fake.asked_once(), ("PATCH /api/v1/accounts/acme".to_owned(), json!({ "plan": "free" })));
    }

    #[tokio::test]
    async fn an_answer_of_another_shape_is_told_of() {
        let fake = Fake::answering([(200, "[]")]).await;
        let (line, exit) = fake.fail("account show acme").await;
        assert!(line.starts_with("the instance's answer is not understood (--json shows it)"), "{line}");
        assert_eq!(exit, crate::cli::exit::Exit::Failed);
    }
}
