//! Puts the parts together and runs them until the process is told to stop.

mod reload;

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    acme::{
        eligible::Names,
        issuer::{Issuer, IssuerError, Surroundings},
    },
    admin::{Admin, Api, OperatorToken},
    cache::tiers::Cache,
    clock::Clock,
    coalesce::budget::Budget,
    config::{ChallengeKind, Config},
    develop::{
        Developer, Sources,
        pool::Pool,
        refine::{self, RefineJob},
        sizes::Sizes,
        variants::Tools,
    },
    directory::Directory,
    edge::{
        handler::Edge,
        limits::Limits,
        server::{Listener, Server},
        sites::SiteTable,
    },
    http::{scheme::Scheme, time::UnixSeconds},
    meter::{Background, Meter},
    origin::fetch::Origins,
    relay::Relay,
    store::{Durability, Ledger},
    telemetry::metrics::Metrics,
    tls::{
        self,
        acceptor::Acceptor,
        challenge::Challenges,
        files::{Files, Loaded},
        shelf::Shelf,
    },
};

pub use reload::Reloader;

/// Of the memory budget, the part that originals under way take; codec jobs take the rest.
const ORIGINALS_PART: u64 = 4;

/// Of that, the part that bodies which only pass through take on their way into the cache: they must not starve images.
const PASSING_PART: u64 = 4;

/// How long the process waits, drained, for what is still being made or stored.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// How often it is asked whether all work is done, at the end.
const QUIET_POLL: Duration = Duration::from_millis(10);

/// The parts, put together, and nothing listening yet.
#[derive(Debug)]
pub struct App {
    config: Arc<ArcSwap<Config>>,
    edge: Arc<Edge>,
    tls: Arc<Acceptor>,
    certificates: Arc<Files>,
    admin: Admin,
    refinements: mpsc::Receiver<RefineJob>,
    background: Background,
    stop: watch::Sender<bool>,
}

/// Listeners, bound: from here on connections are taken, if not yet served.
#[derive(Debug)]
pub struct Listeners {
    edge: Vec<Listener>,
    admin: TcpListener,
}

impl App {
    /// Opens cache and ledger and sets everything up.
    ///
    /// # Errors
    /// Where the data directory or the operator's token cannot be used, or the system gives no threads or certificates.
    pub async fn assemble(config: Config) -> anyhow::Result<Self> {
        tls::install_provider();
        let metrics = Arc::new(Metrics::new().context("metrics")?);
        let clock = clock_of(&config);
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
        let passing = originals / PASSING_PART;
        let sources = Sources::new(
            Arc::clone(&cache),
            Arc::clone(&origins),
            originals - passing,
            undevelopable_ttl,
            clock.clone(),
        );
        let sources = Arc::new(sources);
        let relay = Relay::new(
            Arc::clone(&cache),
            Arc::clone(&origins),
            Budget::new(passing),
            origins.limits().max_body_bytes.0,
            clock.clone(),
        );
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
            clock: clock.clone(),
        };
        let operator = OperatorToken::of(&config.admin)?;
        let ledger = open_ledger(&config).await?;
        let (meter, mut background) = Meter::open(&config.storage.data_dir, &config.billing, &ledger, &clock, &metrics)
            .context("storage.data_dir: the counters cannot be used")?;
        let directory = Arc::new(Directory::new(Arc::clone(&ledger), &config));
        let shelf = Arc::new(Shelf::default());
        let certificates = Arc::new(Files::new(Arc::clone(&shelf)));
        certificates.show(Loaded::read(&config.edge.tls.certificates).context("edge.tls.certificate")?);
        let challenges = Arc::new(Challenges::default());
        let around = Surroundings {
            shelf: Arc::clone(&shelf),
            challenges: Arc::clone(&challenges),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
        };
        let issuer = issuer(&config, around).context("edge.tls.acme")?;
        let tls = acceptor(&config, &shelf, &challenges, issuer.as_ref(), &clock).context("edge.tls")?;
        let settings = config.images.settings();
        let developer = Arc::new(Developer::new(tools, settings, undevelopable_ttl));
        let edge = Arc::new(Edge {
            sites: ArcSwap::default(),
            cache: Arc::clone(&cache),
            origins,
            sources: Arc::clone(&sources),
            relay: Arc::new(relay),
            developer,
            sizes: Sizes::new(config.images.max_sizes),
            challenges,
            issuer,
            https_port: config.edge.tls.visible_port(),
            limits: Limits::new(&config.edge),
            meter: Arc::clone(&meter),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            name: config.edge.name.clone(),
            access_log: config.log.access,
        });
        let config = Arc::new(ArcSwap::from_pointee(config));
        let sites =
            Sites { edge: Arc::clone(&edge), config: Arc::clone(&config), directory: Arc::downgrade(&directory) };
        sites.serve(&directory);
        directory.set_on_change(Box::new(move || sites.changed()));
        directory.load(clock.timestamp()).await.context("accounts and sites cannot be taken into the ledger")?;
        // Before the first request, sites know what they may do.
        background.begin().await.context("storage.data_dir: the ledger cannot be read")?;
        let (stop, stopped) = watch::channel(false);
        let purges = Arc::clone(cache.purges());
        let api = Api { ledger, directory, purges, clock, operator };
        let (sources, relay) = (Arc::clone(&edge.sources), Arc::clone(&edge.relay));
        let is_exposed = config.load().admin.is_exposed();
        let admin = Admin { metrics, cache, sources, relay, pool, meter, shelf, stop: stopped, is_exposed, api };
        Ok(Self { config, edge, tls, certificates, admin, refinements, background, stop })
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
        Reloader {
            api: self.admin.api.clone(),
            certificates: Arc::clone(&self.certificates),
            config: Arc::clone(&self.config),
            running: self.config.load_full(),
        }
    }

    /// Binds all listeners; from here on no origin is asked that would be one of them.
    ///
    /// # Errors
    /// Naming the address that cannot be had.
    pub async fn bind(&self) -> anyhow::Result<Listeners> {
        let config = self.config.load();
        let mut edge = Vec::new();
        for address in &config.edge.http {
            edge.push(Listener { socket: bind(*address, "edge.http").await?, scheme: Scheme::Http });
        }
        for address in &config.edge.tls.https {
            edge.push(Listener { socket: bind(*address, "edge.tls.https").await?, scheme: Scheme::Https });
        }
        let listeners = Listeners { edge, admin: bind(config.admin.listen, "admin.listen").await? };
        self.edge.origins.own_listeners().are(listeners.addresses()?);
        Ok(listeners)
    }

    /// Serves until stopped, and drains.
    ///
    /// # Errors
    /// Where a part of it failed.
    pub async fn run(self, listeners: Listeners) -> anyhow::Result<()> {
        let Self { config, edge, tls, certificates, admin, refinements, background, stop } = self;
        let (finish, finished) = oneshot::channel::<()>();
        let metering = tokio::spawn(background.run(async move {
            // Told, or left alone: either way it is over.
            let _ = finished.await;
        }));
        let mut parts = JoinSet::new();
        parts.spawn(refine::run(Arc::clone(&edge.developer), refinements));
        parts.spawn(certificates.watch());
        parts.spawn(admin.run(listeners.admin));
        if let Some(issuer) = &edge.issuer {
            parts.spawn(Arc::clone(issuer).run());
        }
        let limits = config.load().edge.clone();
        let drain_timeout = limits.drain_timeout.0;
        Server::new(Arc::clone(&edge), tls, &limits, stop.subscribe()).run(listeners.edge, drain_timeout).await;
        let quiet = async {
            while !(edge.sources.is_quiet() && edge.relay.is_quiet() && edge.developer.is_quiet()) {
                tokio::time::sleep(QUIET_POLL).await;
            }
        };
        // What visitors have got is stored before the process ends.
        let _ = tokio::time::timeout(STORE_PATIENCE, quiet).await;
        // What connections took is counted by now, and posted before the process ends. What those had in hand that were cut off
        // counts at the next start.
        drop(finish);
        let _ = tokio::time::timeout(STORE_PATIENCE, metering).await;
        // Whether stopped or out of listeners: the other parts have nothing left to do.
        stop.send_replace(true);
        parts.shutdown().await;
        Ok(())
    }
}

impl Listeners {
    /// Where visitors are served, and what is spoken there; ports that were asked for as 0 are known by now.
    ///
    /// # Errors
    /// What the system says.
    pub fn edge_addresses(&self) -> std::io::Result<Vec<(Scheme, SocketAddr)>> {
        self.edge.iter().map(|listener| Ok((listener.scheme, listener.socket.local_addr()?))).collect()
    }

    fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        let edge = self.edge_addresses()?.into_iter().map(|(_, address)| address);
        Ok(edge.chain([self.admin_address()?]).collect())
    }

    /// Where metrics and health are served.
    ///
    /// # Errors
    /// What the system says.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }
}

/// The sites that the edge serves, made anew whenever the directory's change.
struct Sites {
    edge: Arc<Edge>,
    config: Arc<ArcSwap<Config>>,
    directory: Weak<Directory>,
}

impl Sites {
    fn changed(&self) {
        if let Some(directory) = self.directory.upgrade() {
            self.serve(&directory);
            self.edge.meter.refresh();
        }
    }

    /// Each site with an account is metered.
    fn serve(&self, directory: &Directory) {
        let Edge { metrics, meter, sites, issuer, .. } = &*self.edge;
        let directory = directory.sites();
        let table =
            SiteTable::new(directory.iter().map(AsRef::as_ref), &self.config.load(), metrics, &sites.load(), |site| {
                let id = site.account.as_ref().and_then(|_| site.id.parse().ok())?;
                Some(meter.site(&id))
            });
        sites.store(Arc::new(table));
        if let Some(issuer) = issuer {
            issuer.set_names(Names::of(&directory));
        }
    }
}

fn acceptor(
    config: &Config,
    shelf: &Arc<Shelf>,
    challenges: &Arc<Challenges>,
    issuer: Option<&Arc<Issuer>>,
    clock: &Clock,
) -> Result<Arc<Acceptor>, rustls::Error> {
    let (version, patience) = (config.edge.tls.min_version, config.edge.header_timeout.0);
    let (shelf, challenges) = (Arc::clone(shelf), Arc::clone(challenges));
    Acceptor::new(shelf, challenges, issuer.cloned(), version, patience, clock.clone()).map(Arc::new)
}

/// What issues certificates on demand, where that is configured.
fn issuer(config: &Config, around: Surroundings) -> Result<Option<Arc<Issuer>>, IssuerError> {
    let Some(mut acme) = config.edge.tls.acme.clone() else { return Ok(None) };
    // Nobody could ask for what is answered in the clear.
    acme.challenges.retain(|kind| *kind != ChallengeKind::Http01 || !config.edge.http.is_empty());
    Issuer::open(&acme, &config.storage.data_dir, around).map(Some)
}

/// A test's clock begins at the time of the start.
fn clock_of(config: &Config) -> Clock {
    if config.dev.test_clock { Clock::standing_at(UnixSeconds::now()) } else { Clock::system() }
}

async fn open_ledger(config: &Config) -> anyhow::Result<Arc<Ledger>> {
    let path = config.storage.data_dir.join("ledger.db");
    let ledger = Ledger::open(&path, config.plans.catalogue()?, Durability::Disk).await;
    Ok(Arc::new(ledger.with_context(|| format!("storage.data_dir: {} cannot be used", path.display()))?))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, StatusCode, header::CACHE_CONTROL};
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{
        config,
        edge::{handler::handle, peer::Peer},
    };

    const PICTURE: &[u8] = include_bytes!("../demo/pictures/raccoon.jpg");

    /// An origin whose pictures are fresh for a minute, and how often it was asked.
    async fn origin() -> (url::Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let picture = move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            ([(CACHE_CONTROL, "max-age=60")], PICTURE)
        };
        tokio::spawn(axum::serve(listener, axum::Router::new().fallback(picture)).into_future());
        (url, asked)
    }

    /// Gets a picture; returns its age.
    async fn get(edge: &Arc<Edge>) -> Duration {
        let request = Request::get("/photo.jpg?format=original").header("host", "img.example").body(None).unwrap();
        let response = handle(Arc::clone(edge), request, &Peer::plain(SocketAddr::from(([127, 0, 0, 1], 1)))).await;
        assert_eq!(response.status(), StatusCode::OK);
        let age = response.headers().get("age").map_or(0, |age| age.to_str().unwrap().parse().unwrap());
        // As a connection does: no further piece comes before the last one is let go of.
        let mut body = response.into_body();
        while let Some(piece) = body.frame().await {
            drop(piece.unwrap());
        }
        Duration::from_secs(age)
    }

    #[tokio::test]
    async fn metrics_that_others_can_reach_are_for_the_operator() {
        use tower::ServiceExt as _;

        const TOKEN: &str = "0123456789abcdef0123456789abcdef";
        for (listen, without) in [("0.0.0.0:0", StatusCode::UNAUTHORIZED), ("127.0.0.1:0", StatusCode::OK)] {
            let home = tempfile::tempdir().unwrap();
            let mut config = config::from_origin(&"http://127.0.0.1:9".parse().unwrap(), []).unwrap();
            config.storage.data_dir = home.path().to_owned();
            config.admin =
                config::Admin { listen: listen.parse().unwrap(), token: Some(TOKEN.into()), token_file: None };
            let router = App::assemble(config).await.unwrap().admin.router();
            let ask = async |path: &str, token: &str| {
                let request = Request::get(path).header("authorization", format!("Bearer {token}"));
                router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap().status()
            };
            assert_eq!(ask("/metrics", "another").await, without, "{listen}");
            assert_eq!(ask("/metrics", TOKEN).await, StatusCode::OK, "{listen}");
            assert_eq!(ask("/healthz", "another").await, StatusCode::OK, "{listen}");
        }
    }

    #[tokio::test]
    async fn what_is_cached_ages_by_the_test_clock() {
        let (url, asked) = origin().await;
        let home = tempfile::tempdir().unwrap();
        let mut config = config::from_origin(&url, []).unwrap();
        config.storage.data_dir = home.path().to_owned();
        config.dev.test_clock = true;
        let edge = App::assemble(config).await.unwrap().edge();
        let start = edge.clock.now();

        get(&edge).await;
        let stored = async {
            while !edge.sources.is_quiet() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), stored).await.unwrap();
        edge.clock.set(start.plus(Duration::from_secs(59))).unwrap();
        assert_eq!(get(&edge).await, Duration::from_secs(59));
        assert_eq!(asked.load(Ordering::SeqCst), 1);

        edge.clock.set(start.plus(Duration::from_secs(61))).unwrap();
        get(&edge).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn without_a_test_clock_the_systems_is_told() {
        let home = tempfile::tempdir().unwrap();
        let mut config = config::from_origin(&"http://127.0.0.1:9".parse().unwrap(), []).unwrap();
        config.storage.data_dir = home.path().to_owned();
        assert!(!App::assemble(config).await.unwrap().edge().clock.is_standing());
    }
}
