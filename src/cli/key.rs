//! `key`: API keys, with which an account asks for itself only.

use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{
    Environment,
    client::Query,
    instance::Instance,
    output::{self, Column},
};
use crate::billing::AccountId;

#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(flatten)]
    instance: Instance,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// An account's keys, without what opens the door.
    List {
        /// The account's name.
        account: AccountId,
    },
    /// Make a key. It is shown this once.
    Create {
        /// The account's name.
        account: AccountId,
        /// What the key is called, such as the program that will use it.
        name: String,
    },
    /// Make a key worthless, at once and for ever.
    Revoke {
        /// The account's name.
        account: AccountId,
        /// The key's id, as the list has it.
        #[arg(value_parser = key_id)]
        key_id: String,
    },
}

/// An id that is one segment of a URL's path.
fn key_id(text: &str) -> Result<String, &'static str> {
    let is_id = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) && !text.is_empty();
    is_id.then(|| text.to_owned()).ok_or("expected a key's id, as `lightmeter key list` shows it")
}

impl Key {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let client = self.instance.client(environment)?;
        match &self.action {
            Action::List { account } => {
                let answer = client.get(&["accounts", account.as_str(), "keys"], &Query::new()).await?;
                self.instance.show(&answer, table)
            }
            Action::Create { account, name } => {
                let body = json!({ "name": name });
                let path = ["accounts", account.as_str(), "keys"];
                let answer = client.write_without_key(Method::POST, &path, Some(&body)).await?;
                self.instance.show(&answer, |key: &NewKey| key.once(account))
            }
            Action::Revoke { account, key_id } => {
                let path = ["accounts", account.as_str(), "keys", key_id];
                let answer = client.write_without_key(Method::DELETE, &path, None).await?;
                self.instance.show(&answer, |_: &IgnoredAny| format!("The key {key_id} of {account} is revoked."))
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Keys {
    items: Vec<KeyView>,
}

/// A key, as the API tells of it.
#[derive(Debug, Deserialize)]
struct KeyView {
    id: String,
    name: String,
    created: Timestamp,
    revoked: Option<Timestamp>,
}

/// A key that was just made. It has no `Debug`: what opens the door is in it.
#[derive(Deserialize)]
struct NewKey {
    id: String,
    name: String,
    key: String,
}

impl NewKey {
    fn once(&self, account: &AccountId) -> String {
        format!(
            "{}\n\nThis is the key {} ({}) of {account}. It is shown this once and never again: keep it safe.",
            output::clean(&self.key),
            output::clean(&self.id),
            output::clean(&self.name),
        )
    }
}

fn table(keys: &Keys) -> String {
    let columns = [Column::Text("key"), Column::Text("name"), Column::Text("created"), Column::Text("revoked")];
    let row = |key: &KeyView| [key.id.clone(), key.name.clone(), key.created.to_string(), output::or_dash(key.revoked)];
    output::table_or("No keys.", columns, keys.items.iter().map(row))
}

#[cfg(test)]
mod tests {
    use crate::cli::fake::{Fake, run};

    const KEY: &str = r#"{"id":"k1","name":"ci","key":"lm_opens-the-door","created":"2026-11-01T00:00:00Z"}"#;

    #[tokio::test]
    async fn keys_are_a_table() {
        let keys = r#"{"items":[{"id":"k1","name":"ci","created":"2026-11-01T00:00:00Z","revoked":null},
            {"id":"k2","name":"old","created":"2026-10-01T00:00:00Z","revoked":"2026-10-02T00:00:00Z"}]}"#;
        let fake = Fake::answering([(200, keys)]).await;
        assert_eq!(
            fake.run("key list acme").await.unwrap(),
            "\
key  name  created               revoked
-----------------------------------------------------
k1   ci    2026-11-01T00:00:00Z  -
k2   old   2026-10-01T00:00:00Z  2026-10-02T00:00:00Z"
        );
        assert_eq!(fake.asked_once().0, "GET /api/v1/accounts/acme/keys");
    }

    #[tokio::test]
    async fn a_new_key_is_shown_once_and_that_is_said() {
        let fake = Fake::answering([(201, KEY), (201, KEY)]).await;
        let shown = run(["key", "create", "acme", "the shop's"], &fake.environment()).await.unwrap();
        assert_eq!(shown.lines().next(), Some("lm_opens-the-door"));
        assert_eq!(shown.matches("lm_opens-the-door").count(), 1);
        assert!(shown.contains("It is shown this once"), "{shown}");
        let (line, body) = fake.asked_once();
        assert_eq!((line.as_str(), &body["name"]), ("POST /api/v1/accounts/acme/keys", &"the shop's".into()));
        let shown = fake.run("key create acme ci --json").await.unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["key"], "lm_opens-the-door");
    }

    #[tokio::test]
    async fn a_key_is_revoked() {
        let fake = Fake::answering([(204, "")]).await;
        assert_eq!(fake.run("key revoke acme k1").await.unwrap(), "The key k1 of acme is revoked.");
        assert_eq!(fake.asked_once().0, "DELETE /api/v1/accounts/acme/keys/k1");
    }
}
