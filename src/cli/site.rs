//! `site`: sites, and what of their account's credits is allocated to them (`billing.md` rules 10 and 11).

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::Method;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Environment,
    account::Balance,
    client::{Client, List, Once, Query, query},
    instance::Instance,
    output::{self, Column},
};
use crate::billing::{AccountId, Microcredits, SiteId};

#[derive(Debug, Args)]
pub(super) struct Site {
    #[command(flatten)]
    instance: Instance,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All sites, or those of one account.
    List {
        /// Of this account only.
        #[arg(long)]
        account: Option<AccountId>,
    },
    /// One site: its hosts, its tariff and what it may draw on.
    Show {
        /// Its name.
        id: SiteId,
    },
    /// Make a site, from a file with all its settings or from the most important ones.
    Create {
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        once: Once,
    },
    /// Remove a site that was made through the API. What is left of its allocation returns to its account.
    Remove {
        /// Its name.
        id: SiteId,
    },
    /// Allocate credits of its account to a site: so many in all, what it has used of them included.
    Allocate {
        /// Its name.
        id: SiteId,
        #[command(flatten)]
        credits: Allocation,
        #[command(flatten)]
        once: Once,
    },
    /// Take a site's allocation back: it then draws on what its account has unallocated.
    Unallocate {
        /// Its name.
        id: SiteId,
        #[command(flatten)]
        once: Once,
    },
}

#[derive(Debug, Args)]
struct Settings {
    /// A file with the site's settings as JSON: the keys of [[site]] in the configuration.
    #[arg(value_name = "FILE", conflicts_with_all = ["id", "account", "host", "origin", "tariff"])]
    file: Option<PathBuf>,
    /// Its name: letters, digits and -._
    #[arg(long, required_unless_present = "file")]
    id: Option<SiteId>,
    /// The account that pays.
    #[arg(long, required_unless_present = "file")]
    account: Option<AccountId>,
    /// A host name that it serves; may be given several times.
    #[arg(long, required_unless_present = "file")]
    host: Vec<String>,
    /// Where its originals are.
    #[arg(long, value_name = "URL", required_unless_present = "file")]
    origin: Option<Url>,
    /// How usage becomes credits [default: variants].
    #[arg(long, value_parser = ["variants", "egress"])]
    tariff: Option<String>,
}

impl Settings {
    fn read(self) -> anyhow::Result<Value> {
        if let Some(path) = self.file {
            let place = || path.display().to_string();
            let text = fs::read(&path).with_context(|| format!("{}: cannot be read", place()))?;
            let site = serde_json::from_slice::<Map<String, Value>>(&text);
            return Ok(Value::Object(site.with_context(|| format!("{}: expected a JSON object", place()))?));
        }
        let mut site = json!({ "id": self.id, "account": self.account, "hosts": self.host, "origin": self.origin });
        if let Some(tariff) = self.tariff {
            site["tariff"] = Value::String(tariff);
        }
        Ok(site)
    }
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Allocation {
    /// Monthly credits of each period: a cap [default: as it is].
    #[arg(long, value_name = "CREDITS", value_parser = amount)]
    monthly: Option<Microcredits>,
    /// One-time credits [default: as they are].
    #[arg(long, value_name = "CREDITS", value_parser = amount)]
    one_time: Option<Microcredits>,
}

impl Allocation {
    /// Both kinds, for the API takes the whole: what is not given stays as it is.
    async fn whole(self, client: &Client, id: &SiteId) -> anyhow::Result<Value> {
        let (monthly, one_time) = match (self.monthly, self.one_time) {
            (Some(monthly), Some(one_time)) => (monthly, one_time),
            (monthly, one_time) => {
                let site = client.get(&["sites", id.as_str()], &Query::new()).await?;
                let now = site.parse::<SiteView>()?.allocation.unwrap_or_default();
                (monthly.unwrap_or(now.monthly), one_time.unwrap_or(now.one_time))
            }
        };
        Ok(json!({ "monthly": monthly, "one_time": one_time }))
    }
}

fn amount(text: &str) -> Result<Microcredits, String> {
    text.parse::<Microcredits>().and_then(Microcredits::not_negative).map_err(|error| error.to_string())
}

impl Site {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let Self { instance, action } = self;
        let client = instance.client(environment)?;
        let answer = match action {
            Action::List { account } => {
                let query = query([("account", account.map(|id| id.to_string()))]);
                return instance.show(&client.list(&["sites"], &query, "after").await?, table);
            }
            Action::Remove { id } => {
                let answer = client.write_without_key(Method::DELETE, &["sites", id.as_str()], None).await?;
                return instance.show(&answer, |_: &IgnoredAny| format!("The site {id} is removed."));
            }
            Action::Show { id } => client.get(&["sites", id.as_str()], &Query::new()).await?,
            Action::Create { settings, once } => {
                client.write(Method::POST, &["sites"], Some(&settings.read()?), &once).await?
            }
            Action::Allocate { id, credits, once } => {
                let body = credits.whole(&client, &id).await?;
                client.write(Method::PUT, &["sites", id.as_str(), "allocation"], Some(&body), &once).await?
            }
            Action::Unallocate { id, once } => {
                client.write(Method::DELETE, &["sites", id.as_str(), "allocation"], None, &once).await?
            }
        };
        instance.show(&answer, SiteView::facts)
    }
}

/// A site, as the API tells of it.
#[derive(Debug, Deserialize)]
struct SiteView {
    id: SiteId,
    account: Option<AccountId>,
    hosts: Vec<String>,
    tariff: String,
    entitlement: String,
    allocation: Option<Allocated>,
    balance: Option<Balance>,
    origin: String,
    from: String,
    /// Why it is not served, if it is not.
    problem: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Allocated {
    monthly: Microcredits,
    one_time: Microcredits,
}

impl SiteView {
    fn facts(&self) -> String {
        let allocation = match (&self.allocation, &self.account) {
            (Some(allocated), _) => format!("{} monthly, {} one-time", allocated.monthly, allocated.one_time),
            (None, Some(_)) => "none: it draws on what its account has unallocated".to_owned(),
            (None, None) => "none: it has no account, and nothing is counted".to_owned(),
        };
        output::facts([
            ("site", self.id.to_string()),
            ("account", output::or_dash(self.account.as_ref())),
            ("hosts", self.hosts.join(", ")),
            ("origin", self.origin.clone()),
            ("tariff", self.tariff.clone()),
            ("entitlement", self.entitlement.clone()),
            ("allocation", allocation),
            ("credits", output::or_dash(self.balance.as_ref())),
            ("from", self.from.clone()),
            ("problem", output::or_dash(self.problem.as_ref())),
        ])
    }
}

fn table(sites: &List<SiteView>) -> String {
    let columns = [
        Column::Text("site"),
        Column::Text("account"),
        Column::Text("tariff"),
        Column::Text("entitlement"),
        Column::Number("monthly allocated"),
        Column::Number("one-time allocated"),
        Column::Number("credits"),
        Column::Text("from"),
        Column::Text("hosts"),
    ];
    let row = |site: &SiteView| {
        [
            site.id.to_string(),
            output::or_dash(site.account.as_ref()),
            site.tariff.clone(),
            site.entitlement.clone(),
            output::or_dash(site.allocation.as_ref().map(|allocated| allocated.monthly)),
            output::or_dash(site.allocation.as_ref().map(|allocated| allocated.one_time)),
            output::or_dash(site.balance.as_ref().map(|balance| balance.total)),
            site.from.clone(),
            site.hosts.join(", "),
        ]
    };
    let mut table = output::table_or("No sites.", columns, sites.items.iter().map(row));
    for site in &sites.items {
        if let Some(problem) = &site.problem {
            table += &format!("\n{} is not served: {}", site.id, output::clean(problem));
        }
    }
    sites.with_rest(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake::{Fake, run};

    const SHOP: &str = r#"{"id":"shop","account":"acme","hosts":["a.example","b.example"],
        "tariff":"variants","entitlement":"optimize","allocation":{"monthly":"40","one_time":"5"},
        "balance":{"monthly":"30","one_time":"5","total":"35"},"origin":"https://shop.example/","from":"api",
        "problem":null}"#;

    const FREE: &str = r#"{"id":"free","account":"acme","hosts":["free.example"],"tariff":"egress",
        "entitlement":"optimize","allocation":null,"balance":null,"origin":"https://free.example/","from":"file",
        "problem":null}"#;

    const SHOP_SHOWN: &str = "\
site         shop
account      acme
hosts        a.example, b.example
origin       https://shop.example/
tariff       variants
entitlement  optimize
allocation   40 monthly, 5 one-time
credits      30 monthly + 5 one-time = 35
from         api
problem      -";

    #[tokio::test]
    async fn sites_are_a_table() {
        let page = format!(r#"{{"items":[{FREE},{SHOP}],"next":null}}"#);
        let fake = Fake::answering([(200, &page), (200, &page)]).await;
        assert_eq!(
            fake.run("site list").await.unwrap(),
            "\
site  account  tariff    entitlement  monthly allocated  one-time allocated  credits  from  hosts
----------------------------------------------------------------------------------------------------------------
free  acme     egress    optimize                     -                   -        -  file  free.example
shop  acme     variants  optimize                    40                   5       35  api   a.example, b.example"
        );
        assert_eq!(fake.asked_once().0, "GET /api/v1/sites?limit=1000");
        fake.run("site list --account acme").await.unwrap();
        assert_eq!(fake.asked_once().0, "GET /api/v1/sites?account=acme&limit=1000");
    }

    #[tokio::test]
    async fn a_site_is_shown() {
        let nobody = FREE.replace(r#""account":"acme""#, r#""account":null"#);
        let fake = Fake::answering([(200, SHOP), (200, FREE), (200, &nobody)]).await;
        assert_eq!(fake.run("site show shop").await.unwrap(), SHOP_SHOWN);
        assert_eq!(fake.asked_once().0, "GET /api/v1/sites/shop");
        let shown = fake.run("site show free").await.unwrap();
        assert!(shown.contains("allocation   none: it draws on what its account has unallocated"), "{shown}");
        let shown = fake.run("site show nobody").await.unwrap();
        assert!(shown.contains("allocation   none: it has no account"), "{shown}");
    }

    #[tokio::test]
    async fn a_site_that_is_not_served_says_why() {
        let left_out = SHOP.replace(r#""problem":null"#, r#""problem":"a.example belongs to another""#);
        let fake = Fake::answering([(200, format!(r#"{{"items":[{left_out}],"next":null}}"#)), (200, left_out)]).await;
        let shown = fake.run("site list").await.unwrap();
        assert!(shown.ends_with("\nshop is not served: a.example belongs to another"), "{shown}");
        let shown = fake.run("site show shop").await.unwrap();
        assert!(shown.ends_with("problem      a.example belongs to another"), "{shown}");
    }

    #[tokio::test]
    async fn a_site_is_made_from_options() {
        let fake = Fake::answering([(201, SHOP), (201, SHOP)]).await;
        let options =
            "site create --id shop --account acme --host a.example --host b.example --origin https://shop.example";
        assert_eq!(fake.run(options).await.unwrap(), SHOP_SHOWN);
        let site = json!({
            "id": "shop", "account": "acme", "hosts": ["a.example", "b.example"], "origin": "https://shop.example/",
        });
        assert_eq!(fake.asked_once(), ("POST /api/v1/sites".to_owned(), site));
        fake.run(&format!("{options} --tariff egress")).await.unwrap();
        assert_eq!(fake.asked_once().1["tariff"], "egress");
    }

    #[tokio::test]
    async fn a_site_is_made_from_a_file_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site.json");
        let fake = Fake::answering([(201, SHOP)]).await;
        fs::write(&path, r#"{"id":"shop","quality":70,"essential":"local"}"#).unwrap();
        run(["site", "create", path.to_str().unwrap()], &fake.environment()).await.unwrap();
        let asked = fake.asked_once();
        assert_eq!(
            asked,
            ("POST /api/v1/sites".to_owned(), json!({"id": "shop", "quality": 70, "essential": "local"}))
        );

        fs::write(&path, "id = 'shop'").unwrap();
        let error = run(["site", "create", path.to_str().unwrap()], &fake.environment()).await.unwrap_err();
        assert!(error.to_string().ends_with("site.json: expected a JSON object"), "{error}");
        assert!(fake.run("site create /nonexistent.json").await.unwrap_err().to_string().contains("/nonexistent.json"));
        assert!(fake.asked().is_empty());
    }

    #[tokio::test]
    async fn a_site_is_removed() {
        let fake = Fake::answering([(204, ""), (204, ""), (200, SHOP)]).await;
        assert_eq!(fake.run("site remove shop").await.unwrap(), "The site shop is removed.");
        assert_eq!(fake.asked_once().0, "DELETE /api/v1/sites/shop");
        assert_eq!(fake.run("site remove shop --json").await.unwrap(), "");
        assert_eq!(fake.run("site remove shop").await.unwrap(), "The site shop is removed.");
    }

    #[tokio::test]
    async fn credits_of_both_kinds_are_allocated_at_once() {
        let fake = Fake::answering([(200, SHOP)]).await;
        assert_eq!(fake.run("site allocate shop --monthly 40 --one-time 0").await.unwrap(), SHOP_SHOWN);
        let body = json!({ "monthly": "40", "one_time": "0" });
        assert_eq!(fake.asked_once(), ("PUT /api/v1/sites/shop/allocation".to_owned(), body));
    }

    #[tokio::test]
    async fn a_kind_that_is_not_given_stays_as_it_is() {
        let unallocated = SHOP.replace(r#"{"monthly":"40","one_time":"5"}"#, "null");
        for (site, arguments, body) in [
            (SHOP, "site allocate shop --monthly 60", json!({ "monthly": "60", "one_time": "5" })),
            (SHOP, "site allocate shop --one-time 7", json!({ "monthly": "40", "one_time": "7" })),
            (&unallocated, "site allocate shop --monthly 60", json!({ "monthly": "60", "one_time": "0" })),
        ] {
            let fake = Fake::answering([(200, site), (200, SHOP)]).await;
            fake.run(arguments).await.unwrap();
            let asked = fake.asked();
            assert_eq!(asked[0].line, "GET /api/v1/sites/shop");
            assert_eq!(asked[1].line, "PUT /api/v1/sites/shop/allocation");
            assert_eq!(asked[1].json(), body, "{arguments}");
        }
    }

    #[tokio::test]
    async fn more_than_is_free_is_refused_with_what_is_free() {
        let problem = r#"{"title":"Conflict","status":409,"kind":"monthly","free":"80",
            "detail":"90 monthly credits are more than the 80 that are free"}"#;
        let fake = Fake::answering([(409, problem)]).await;
        let (line, exit) = fake.fail("site allocate shop --monthly 90 --one-time 0").await;
        assert!(line.ends_with("more than the 80 that are free (free: 80, kind: monthly)"), "{line}");
        assert_eq!(exit, crate::cli::exit::Exit::Conflict);
    }

    #[tokio::test]
    async fn an_allocation_is_taken_back() {
        let fake = Fake::answering([(200, SHOP)]).await;
        assert_eq!(fake.run("site unallocate shop").await.unwrap(), SHOP_SHOWN);
        assert_eq!(fake.asked_once().0, "DELETE /api/v1/sites/shop/allocation");
    }
}
