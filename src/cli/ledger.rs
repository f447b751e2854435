//! `ledger`: looks at the database itself, beside a running instance or without one.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Environment, exit,
    output::{self, Column},
};
use crate::{
    billing::Catalogue,
    config,
    store::{Durability, Ledger as Store, Verification},
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
        let place = || format!("{}: cannot be audited", path.display());
        let store = Store::open(&path, Catalogue::shipped()?, Durability::Disk).await.with_context(place)?;
        let found = store.verify().await.with_context(place)?;
        output::print(&if json { output::json(&as_json(&found).to_string()) } else { for_people(&found) })?;
        anyhow::ensure!(found.agrees(), "{}: the ledger does not agree with itself", path.display());
        Ok(())
    }
}

fn as_json(found: &Verification) -> Value {
    let disagreements = found.disagreements.iter().map(|disagreement| {
        json!({ "what": disagreement.what, "kept": disagreement.kept, "computed": disagreement.computed })
    });
    json!({
        "agrees": found.agrees(),
        "transfers": found.transfers,
        "accounts": found.accounts,
        "sum": found.sum,
        "issued": found.issued,
        "spent": found.spent,
        "expired": found.expired,
        "withdrawn": found.withdrawn,
        "left": found.left,
        "disagreements": disagreements.collect::<Vec<_>>(),
    })
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

    use super::*;
    use crate::{billing::Microcredits, store::Disagreement};

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
        assert_eq!(as_json(&found())["agrees"], true);
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
        let json = as_json(&wrong());
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
}
