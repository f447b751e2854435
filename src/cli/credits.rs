//! `credits`: credits that the operator gives, and takes back (`billing.md` rules 8 and 19).

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::{Environment, account::AccountView, client::Once, instance::Instance};
use crate::billing::{AccountId, Kind as BillingKind, Microcredits};

#[derive(Debug, Args)]
pub(super) struct Credits {
    #[command(flatten)]
    instance: Instance,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give credits to an account: so many, or a pack.
    Grant {
        /// The account's name.
        account: AccountId,
        /// How many credits, such as 500 or 99.5.
        #[arg(required_unless_present = "pack", value_parser = amount)]
        amount: Option<Microcredits>,
        /// Which kind of credits.
        #[arg(long, value_enum, default_value_t)]
        kind: Kind,
        /// A pack in place of an amount; `lightmeter plan list` shows them. Its credits are one-time.
        #[arg(long, value_name = "PACK", conflicts_with_all = ["amount", "kind"])]
        pack: Option<String>,
        /// What for, such as an invoice's number.
        #[arg(long, value_name = "TEXT")]
        reference: Option<String>,
        #[command(flatten)]
        once: Once,
    },
    /// Take credits back that are not allocated to a site.
    Withdraw {
        /// The account's name.
        account: AccountId,
        /// How many credits, such as 500 or 99.5.
        #[arg(value_parser = amount)]
        amount: Microcredits,
        /// Which kind of credits.
        #[arg(long, value_enum, default_value_t)]
        kind: Kind,
        /// What for.
        #[arg(long, value_name = "TEXT")]
        reference: Option<String>,
        #[command(flatten)]
        once: Once,
    },
}

/// A kind of credits, as arguments name it: `one_time` and `one-time` are the same.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Kind {
    /// They end with the period.
    Monthly,
    /// They never end.
    #[default]
    #[value(name = "one_time", alias = "one-time")]
    OneTime,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Monthly => BillingKind::Monthly.name(),
            Self::OneTime => BillingKind::OneTime.name(),
        }
    }
}

fn amount(text: &str) -> Result<Microcredits, String> {
    text.parse::<Microcredits>().and_then(Microcredits::positive).map_err(|error| error.to_string())
}

impl Credits {
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        let client = self.instance.client(environment)?;
        let (account, list, mut body, reference, once) = match self.action {
            Action::Grant { account, amount, kind, pack, reference, once } => {
                let body = match pack {
                    Some(pack) => json!({ "pack": pack }),
                    None => json!({ "kind": kind.name(), "amount": amount }),
                };
                (account, "credits", body, reference, once)
            }
            Action::Withdraw { account, amount, kind, reference, once } => {
                (account, "withdrawals", json!({ "kind": kind.name(), "amount": amount }), reference, once)
            }
        };
        if let Some(reference) = reference {
            body["reference"] = Value::String(reference);
        }
        let path = ["accounts", account.as_str(), list];
        let answer = client.write(Method::POST, &path, Some(&body), &once).await?;
        self.instance.show(&answer, AccountView::facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        account::tests::{ACME, ACME_SHOWN},
        fake::{Fake, run},
    };

    #[tokio::test]
    async fn credits_are_given_and_taken_back() {
        let grants = "POST /api/v1/accounts/acme/credits";
        let withdrawals = "POST /api/v1/accounts/acme/withdrawals";
        for (arguments, line, body) in [
            ("credits grant acme 500", grants, json!({ "kind": "one_time", "amount": "500" })),
            ("credits grant acme 99.50 --kind monthly", grants, json!({ "kind": "monthly", "amount": "99.5" })),
            (
                "credits grant acme 1 --kind one-time --reference invoice-7",
                grants,
                json!({ "kind": "one_time", "amount": "1", "reference": "invoice-7" }),
            ),
            ("credits grant acme --pack pack-10k", grants, json!({ "pack": "pack-10k" })),
            (
                "credits grant acme --pack pack-10k --reference invoice-8",
                grants,
                json!({ "pack": "pack-10k", "reference": "invoice-8" }),
            ),
            ("credits withdraw acme 5", withdrawals, json!({ "kind": "one_time", "amount": "5" })),
            (
                "credits withdraw acme 5 --kind monthly --reference mistake",
                withdrawals,
                json!({ "kind": "monthly", "amount": "5", "reference": "mistake" }),
            ),
        ] {
            let fake = Fake::answering([(200, ACME)]).await;
            assert_eq!(fake.run(arguments).await.unwrap(), ACME_SHOWN);
            assert_eq!(fake.asked_once(), (line.to_owned(), body), "{arguments}");
        }
    }

    #[tokio::test]
    async fn a_reference_may_have_several_words() {
        let fake = Fake::answering([(200, ACME)]).await;
        let arguments = ["credits", "grant", "acme", "1", "--reference", "for the trouble"];
        run(arguments, &fake.environment()).await.unwrap();
        assert_eq!(fake.asked_once().1["reference"], "for the trouble");
    }
}
