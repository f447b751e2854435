//! The API under `/api/v1`: what it needs, and its routes.

use std::sync::Arc;

use axum::{Extension, Router};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    accounts, allocations, audit, auth::OperatorToken, clock, credits, estimate, keys, openapi, plans, problem, purge,
    sites, transfers, usage,
};
use crate::{cache::purge::Purges, clock::Clock, directory::Directory, store::Ledger};

/// What the API works on.
#[derive(Debug, Clone)]
pub struct Api {
    /// The books.
    pub ledger: Arc<Ledger>,
    /// The sites.
    pub directory: Arc<Directory>,
    /// What is purged of the cache.
    pub purges: Arc<Purges>,
    /// The time.
    pub clock: Clock,
    /// Who the operator is.
    pub operator: OperatorToken,
}

impl Api {
    /// The routes, each under its whole path.
    pub(super) fn router(self) -> Router {
        let routes = OpenApiRouter::new()
            .routes(routes!(openapi::document))
            .routes(routes!(plans::list))
            .routes(routes!(accounts::list, accounts::create))
            .routes(routes!(accounts::show, accounts::change))
            .routes(routes!(credits::give))
            .routes(routes!(credits::withdraw))
            .routes(routes!(keys::list, keys::create))
            .routes(routes!(keys::revoke))
            .routes(routes!(transfers::of_account))
            .routes(routes!(transfers::list))
            .routes(routes!(sites::list, sites::create))
            .routes(routes!(sites::show, sites::change, sites::remove))
            .routes(routes!(allocations::show, allocations::assign, allocations::take_back))
            .routes(routes!(purge::purge))
            .routes(routes!(audit::list))
            .routes(routes!(usage::show))
            .routes(routes!(estimate::estimate))
            .routes(routes!(clock::show, clock::set));
        let (router, document) = OpenApiRouter::with_openapi(openapi::head()).nest("/api/v1", routes).split_for_parts();
        router
            .layer(Extension(Arc::new(openapi::completed(&document))))
            .fallback(problem::no_such_path)
            .method_not_allowed_fallback(problem::no_such_method)
            .with_state(self)
    }
}
