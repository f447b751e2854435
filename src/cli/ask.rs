//! The subcommands that ask a running instance.

use clap::Subcommand;

use super::{
    Environment, account::Account, audit::Audit, credits::Credits, estimate::Estimate, exit, key::Key, plan::Plan,
    purge::Purge, site::Site, transfers::Transfers, usage::Usage,
};

#[derive(Debug, Subcommand)]
pub(super) enum Ask {
    /// Accounts of a running instance: who pays.
    #[command(after_help = exit::CODES)]
    Account(Account),
    /// Give credits to an account, or take them back.
    #[command(after_help = exit::CODES)]
    Credits(Credits),
    /// Sites of a running instance, and what is allocated to them.
    #[command(after_help = exit::CODES)]
    Site(Site),
    /// What a site used.
    #[command(after_help = exit::CODES)]
    Usage(Usage),
    /// Movements of credits, the latest first.
    #[command(after_help = exit::CODES)]
    Transfers(Transfers),
    /// API keys of an account.
    #[command(after_help = exit::CODES)]
    Key(Key),
    /// The plans that accounts can have, and the packs of credits.
    #[command(after_help = exit::CODES)]
    Plan(Plan),
    /// What images would cost a site, before they do.
    #[command(after_help = exit::CODES)]
    Estimate(Estimate),
    /// Purge what is cached of a site: URLs, prefixes, surrogate keys, or everything.
    #[command(after_help = exit::CODES)]
    Purge(Purge),
    /// Who purged what, the latest first.
    #[command(after_help = exit::CODES)]
    Audit(Audit),
}

impl Ask {
    /// Asks, and gives what is to be printed.
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<String> {
        match self {
            Self::Account(account) => account.run(environment).await,
            Self::Credits(credits) => credits.run(environment).await,
            Self::Site(site) => site.run(environment).await,
            Self::Usage(usage) => usage.run(environment).await,
            Self::Transfers(transfers) => transfers.run(environment).await,
            Self::Key(key) => key.run(environment).await,
            Self::Plan(plan) => plan.run(environment).await,
            Self::Estimate(estimate) => estimate.run(environment).await,
            Self::Purge(purge) => purge.run(environment).await,
            Self::Audit(audit) => audit.run(environment).await,
        }
    }
}
