//! `ledger`: looks at the database itself, beside a running instance or without one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    Environment, exit,
    output::{self, Column},
};
use crate::{
    billing::{Catalogue, Microcredits},
    config,
    store::{Disagreement, Durability, Ledger as Store, LedgerError, Verification},
};

/// The database's name in the data directory.
const FILE: &str = "ledger.db";

#[derive(Debug, Args)]
pub(super) struct Ledger {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Compute every balance anew from the transfers, and tell of all that does not agree.
    #[command(after_help = exit::CODES)]
    Verify {
        #[command(flatten)]
        place: Place,
        /// Print JSON and nothing else.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The configuration file, for its storage.data_dir.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory itself.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The database, which must be there: an audit makes none.
    fn find(self, environment: &Environment) -> anyhow::Result<PathBuf> {
        let directory = match (self.data_dir, self.config) {
            (Some(directory), _) => directory,
            (None, Some(path)) => config::from_file(&path, environment.clone())?.storage.data_dir,
            (None, None) => anyhow::bail!("either --config FILE or --data-dir DIR is needed"),
        };
        let path = directory.join(FILE);
        anyhow::ensure!(path.is_file(), "{}: there is no ledger", path.display());
        Ok(path)
    }
}

impl Ledger {
    /// Prints what it finds. That something does not agree is an error, after all of it is printed.
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<()> {
        let Action::Verify { place, json } = self.action;
        let path = place.find(environment)?;
        let found = audit(&path, Catalogue::shipped()?).await;
        // What a ledger's error comes from stands in its words already.
        let found = found.map_err(|error| anyhow!("{}: cannot be audited: {error}", path.display()))?;
        output::print(&if json { as_json(&found)? } else { for_people(&found) })?;
        anyhow::ensure!(found.agrees(), "{}: the ledger does not agree with itself", path.display());
        Ok(())
    }
}

async fn audit(path: &Path, catalogue: Catalogue) -> Result<Verification, LedgerError> {
    Store::open(path, catalogue, Durability::Disk).await?.verify().await
}

/// What was found, for machines.
#[derive(Debug, Serialize)]
struct Report<'v> {
    agrees: bool,
    transfers: u64,
    accounts: u64,
    issued: Microcredits,
    spent: Microcredits,
    expired: Microcredits,
    withdrawn: Microcredits,
    left: Microcredits,
    sum: Microcredits,
    disagreements: Vec<Wrong<'v>>,
}

#[derive(Debug, Serialize)]
struct Wrong<'v> {
    what: &'v str,
    kept: Microcredits,
    computed: Microcredits,
}

impl<'v> From<&'v Disagreement> for Wrong<'v> {
    fn from(wrong: &'v Disagreement) -> Self {
        Self { what: &wrong.what, kept: wrong.kept, computed: wrong.computed }
    }
}

fn as_json(found: &Verification) -> anyhow::Result<String> {
    let report = Report {
        agrees: found.agrees(),
        transfers: found.transfers,
        accounts: found.accounts,
        issued: found.issued,
        spent: found.spent,
        expired: found.expired,
        withdrawn: found.withdrawn,
        left: found.left,
        sum: found.sum,
        disagreements: found.disagreements.iter().map(Wrong::from).collect(),
    };
    serde_json::to_string_pretty(&report).context("JSON")
}

fn for_people(found: &Verification) -> String {
    let facts = output::facts([
        ("transfers", found.transfers.to_string()),
        ("ledger accounts", found.accounts.to_string()),
        ("issued", found.issued.to_string()),
        ("spent", found.spent.to_string()),
        ("expired", found.expired.to_string()),
        ("withdrawn", found.withdrawn.to_string()),
        ("left", found.left.to_string()),
        ("sum of all", found.sum.to_string()),
    ]);
    if found.agrees() {
        return format!("{facts}\n\nEverything agrees.");
    }
    let rows = found.disagreements.iter().map(|disagreement| {
        [disagreement.kept.to_string(), disagreement.computed.to_string(), disagreement.what.clone()]
    });
    let columns = [Column::Number("kept"), Column::Number("should be"), Column::Text("of")];
    let table = output::table_or("The sum of all balances is not zero.", columns, rows);
    format!("{facts}\n\nThis does not agree:\n\n{table}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use serde_json::{Value, json};

    use super::*;
    use crate::cli::exit::Exit;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        place: Place,
    }

    fn place(arguments: &[&str]) -> Place {
        Command::try_parse_from(["lightmeter"].iter().chain(arguments)).unwrap().place
    }

    fn found() -> Verification {
        let credits = |count: i64| Microcredits::new(count * 1_000_000);
        Verification {
            transfers: 12,
            accounts: 5,
            sum: credits(0),
            issued: credits(100),
            spent: credits(30),
            expired: credits(0),
            withdrawn: credits(10),
            left: credits(60),
            disagreements: Vec::new(),
        }
    }

    fn wrong() -> Verification {
        let account = "account/acme/monthly".to_owned();
        let (kept, computed) = (Microcredits::new(1_500_000), Microcredits::new(-2_000_000));
        Verification { disagreements: vec![Disagreement { what: account, kept, computed }], ..found() }
    }

    fn parsed(found: &Verification) -> Value {
        serde_json::from_str(&as_json(found).unwrap()).unwrap()
    }

    #[test]
    fn a_ledger_that_agrees_is_told_in_totals() {
        assert_eq!(
            for_people(&found()),
            "\
transfers        12
ledger accounts  5
issued           100
spent            30
expired          0
withdrawn        10
left             60
sum of all       0

Everything agrees."
        );
        assert_eq!(parsed(&found())["agrees"], true);
    }

    #[test]
    fn all_that_does_not_agree_is_named() {
        let shown = for_people(&wrong());
        assert!(
            shown.ends_with(
                "\
This does not agree:

kept  should be  of
-------------------------------------
 1.5         -2  account/acme/monthly"
            ),
            "{shown}"
        );
        let json = parsed(&wrong());
        assert_eq!(json["agrees"], false);
        let first = json!({ "what": "account/acme/monthly", "kept": "1.5", "computed": "-2" });
        assert_eq!(json["disagreements"], json!([first]));
        let shown = for_people(&Verification { sum: Microcredits::new(1), ..found() });
        assert!(shown.contains("sum of all       0.000001"), "{shown}");
        assert!(shown.ends_with("The sum of all balances is not zero."), "{shown}");
    }

    #[test]
    fn the_ledger_is_in_the_data_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let config = directory.path().join("lightmeter.toml");
        std::fs::write(&config, format!("[storage]\ndata_dir = '{}'", directory.path().display())).unwrap();
        std::fs::write(&path, "").unwrap();
        let (directory, config) = (directory.path().to_str().unwrap(), config.to_str().unwrap());
        assert_eq!(place(&["--data-dir", directory]).find(&Environment::new()).unwrap(), path);
        assert_eq!(place(&["--config", config]).find(&Environment::new()).unwrap(), path);
    }

    #[test]
    fn an_audit_makes_no_ledger() {
        let directory = tempfile::tempdir().unwrap();
        let error = place(&["--data-dir", directory.path().to_str().unwrap()]).find(&Environment::new()).unwrap_err();
        assert!(error.to_string().ends_with("ledger.db: there is no ledger"), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    fn verify(directory: &Path) -> Ledger {
        let place = Place { config: None, data_dir: Some(directory.to_owned()) };
        Ledger { action: Action::Verify { place, json: false } }
    }

    #[tokio::test]
    async fn a_ledger_is_audited_beside_the_instance_that_has_it_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let open = Store::open(&path, Catalogue::shipped().unwrap(), Durability::Process).await.unwrap();
        let now = "2026-11-01T00:00:00Z".parse().unwrap();
        open.create_account(None, &"acme".parse().unwrap(), "free", now).await.unwrap();
        verify(directory.path()).run(&Environment::new()).await.unwrap();

        let database = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        sqlx::query("UPDATE ledger_account SET balance = balance + 1 WHERE balance > 0")
            .execute(&database)
            .await
            .unwrap();
        let error = verify(directory.path()).run(&Environment::new()).await.unwrap_err();
        assert!(error.to_string().ends_with("the ledger does not agree with itself"), "{error}");
        assert_eq!(Exit::of(&error), Exit::Failed);
    }

    #[tokio::test]
    async fn what_is_no_database_is_told_of_once() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "x".repeat(4_096)).unwrap();
        let error = verify(directory.path()).run(&Environment::new()).await.unwrap_err();
        let line = format!("{error:#}");
        assert_eq!(line.matches("file is not a database").count(), 1, "{line}");
    }
}
