//! Puts the parts together and runs them until the process is told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::{net::TcpListener, sync::mpsc, sync::watch, task::JoinSet};

use crate::{
    admin::Admin,
    cache::tiers::Cache,
    config::Config,
    develop::{
        Developer, Sources,
        pool::Pool,
        refine::{self, RefineJob},
        variants::Tools,
    },
    edge::{handler::Edge, server::Server, sites::SiteTable},
    image,
    origin::fetch::Origins,
    telemetry::metrics::Metrics,
};

/// Of the memory budget, the part that originals under way take; codec jobs take the rest.
const ORIGINALS_PART: u64 = 4;

/// How long the process waits, drained, for what is still being made or stored.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// How often it is asked whether all work is done, at the end.
const QUIET_POLL: Duration = Duration::from_millis(10);

/// The parts, put together, and nothing listening yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    edge: Arc<Edge>,
    admin: Admin,
    refinements: mpsc::Receiver<RefineJob>,
    stop: watch::Sender<bool>,
}

/// Listeners, bound: from here on connections are taken, if not yet served.
#[derive(Debug)]
pub struct Listeners {
    edge: Vec<TcpListener>,
    admin: TcpListener,
}

impl App {
    /// Opens the cache and sets everything up. Must be called inside a runtime.
    ///
    /// # Errors
    /// Where the cache directory cannot be used, or the system gives no threads or certificates.
    pub fn assemble(config: Config) -> anyhow::Result<Self> {
        // Who embeds the library may have chosen another one before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = Arc::new(Metrics::new().context("metrics")?);
        let cache_dir = config.storage.data_dir.join("cache");
        let cache = Cache::open(&cache_dir, &config.cache)
            .with_context(|| format!("storage.data_dir: {} cannot be used", cache_dir.display()))?;
        let cache = Arc::new(cache);
        let origins = Arc::new(
            Origins::new(config.origin.clone(), &config.edge.name, Arc::clone(&metrics))
                .context("origin connections")?,
        );
        let budget = config.images.memory_budget.0;
        let originals = budget / ORIGINALS_PART;
        let undevelopable_ttl = config.images.undevelopable_ttl.0;
        let sources = Sources::new(Arc::clone(&cache), Arc::clone(&origins), originals, undevelopable_ttl);
        let sources = Arc::new(sources);
        let pool = Pool::start(config.images.threads, budget - originals, config.images.max_queue)
            .context("images.threads: codec threads could not be started")?;
        let pool = Arc::new(pool);
        let (sender, refinements) = mpsc::channel(refine::MAX_WAITING);
        let tools = Tools {
            cache: Arc::clone(&cache),
            sources: Arc::clone(&sources),
            pool: Arc::clone(&pool),
            metrics: Arc::clone(&metrics),
            refinements: config.images.refine.then_some(sender),
        };
        let settings = image::Settings::new(&config.images);
        let developer = Arc::new(Developer::new(tools, settings, undevelopable_ttl));
        let edge = Arc::new(Edge {
            sites: ArcSwap::from_pointee(SiteTable::new(&config, &metrics)),
            cache: Arc::clone(&cache),
            origins,
            sources: Arc::clone(&sources),
            developer,
            metrics: Arc::clone(&metrics),
            name: config.edge.name.clone(),
            access_log: config.log.access,
        });
        let (stop, stopped) = watch::channel(false);
        let admin = Admin { metrics, cache, sources, pool, stop: stopped };
        Ok(Self { config, edge, admin, refinements, stop })
    }

    /// The edge, to be called without a socket.
    #[must_use]
    pub fn edge(&self) -> Arc<Edge> {
        Arc::clone(&self.edge)
    }

    /// A switch that stops [`Self::run`].
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// What takes a new configuration in while [`Self::run`] runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { edge: Arc::clone(&self.edge), running: self.config.clone() }
    }

    /// Binds all listeners.
    ///
    /// # Errors
    /// Naming the address that cannot be had.
    pub async fn bind(&self) -> anyhow::Result<Listeners> {
        let mut edge = Vec::new();
        for address in &self.config.edge.http {
            edge.push(bind(*address, "edge.http").await?);
        }
        Ok(Listeners { edge, admin: bind(self.config.admin.listen, "admin.listen").await? })
    }

    /// Serves until stopped, and drains.
    ///
    /// # Errors
    /// Where a part of it failed.
    pub async fn run(self, listeners: Listeners) -> anyhow::Result<()> {
        let Self { config, edge, admin, refinements, stop } = self;
        let mut parts = JoinSet::new();
        parts.spawn(refine::run(Arc::clone(&edge.developer), refinements));
        parts.spawn(async move {
            if let Err(error) = admin.run(listeners.admin).await {
                tracing::error!(%error, "the admin listener failed");
            }
        });
        let drain_timeout = config.edge.drain_timeout.0;
        Server::new(Arc::clone(&edge), &config.edge, stop.subscribe()).run(listeners.edge, drain_timeout).await;
        let quiet = async {
            while !(edge.sources.is_quiet() && edge.developer.is_quiet()) {
                tokio::time::sleep(QUIET_POLL).await;
            }
        };
        // What visitors have got is stored before the process ends.
        let _ = tokio::time::timeout(STORE_PATIENCE, quiet).await;
        // Whether stopped or out of listeners: the other parts have nothing left to do.
        stop.send_replace(true);
        parts.shutdown().await;
        Ok(())
    }
}

impl Listeners {
    /// Where visitors are served; ports that were asked for as 0 are known by now.
    ///
    /// # Errors
    /// What the system says.
    pub fn edge_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.edge.iter().map(TcpListener::local_addr).collect()
    }

    /// Where metrics and health are served.
    ///
    /// # Errors
    /// What the system says.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{key}: cannot listen on {address}"))
}

/// Stops an [`App`].
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Lets it finish what it is at.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Takes a new configuration in.
#[derive(Debug)]
pub struct Reloader {
    edge: Arc<Edge>,
    running: Config,
}

impl Reloader {
    /// Swaps the sites. Requests under way go on with the site that they began with. Returns the sections that differ
    /// from what runs and need a restart.
    #[must_use]
    pub fn reload(&self, config: &Config) -> Vec<String> {
        self.edge.sites.store(Arc::new(SiteTable::new(config, &self.edge.metrics)));
        changed_sections(&self.running, config)
    }
}

fn changed_sections(running: &Config, new: &Config) -> Vec<String> {
    let (Ok(running), Ok(new)) = (toml::Table::try_from(running), toml::Table::try_from(new)) else {
        return Vec::new();
    };
    new.iter()
        .filter(|(section, value)| {
            !matches!(section.as_str(), "site" | "account") && running.get(section.as_str()) != Some(*value)
        })
        .map(|(section, _)| section.clone())
        .collect()
}
