//! Name resolution that gives out only addresses that may be connected to. A connection is made to what this returns and to
//! nothing else: no name is looked up a second time between the check and the connection, so that an answer which changes
//! meanwhile gains nothing. Addresses written into URLs are never resolved; [`super::url_guard`] vets those.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{
    address::{AddressPolicy, RefusedAddress, vet_address},
    lookups::Lookups,
    own::OwnListeners,
};

tokio::task_local! {
    /// The client hands a resolver a name and no more, but asks for it within the task that sends the request.
    static PURPOSE: Purpose;
}

/// What a connection is wanted for.
#[derive(Debug, Clone)]
pub struct Purpose {
    /// The site whose request it is.
    pub site: Arc<str>,
    /// The port that it goes to.
    pub port: u16,
}

/// Sends what `work` sends, over connections that are made for this: without a purpose, no name is resolved.
pub fn connecting_for<T>(purpose: Purpose, work: impl Future<Output = T>) -> impl Future<Output = T> {
    PURPOSE.scope(purpose, work)
}

/// The system's resolver, without what may not be connected to.
#[derive(Debug, Clone)]
pub struct VettingResolver {
    policy: AddressPolicy,
    own: OwnListeners,
    timeout: Duration,
    lookups: Lookups,
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("{name} cannot be resolved: {cause}")]
    Failed { name: String, cause: Arc<io::Error> },
    #[error("{name} has no address")]
    NoAddress { name: String },
    #[error("{name} was not resolved within {} ms", after.as_millis())]
    TimedOut { name: String, after: Duration },
    #[error("no address may be connected to")]
    Refused(#[source] RefusedAddress),
    #[error("{name} was asked for by no site")]
    NoPurpose { name: String },
}

impl VettingResolver {
    /// A resolver for origins under `policy`, which gives up after `timeout`.
    #[must_use]
    pub const fn new(policy: AddressPolicy, own: OwnListeners, timeout: Duration, lookups: Lookups) -> Self {
        Self { policy, own, timeout, lookups }
    }

    async fn lookup(self, purpose: Option<Purpose>, name: String) -> Result<Vec<SocketAddr>, ResolveError> {
        let Some(Purpose { site, port }) = purpose else { return Err(ResolveError::NoPurpose { name }) };
        let vet = |address| {
            vet_address(address, self.policy)?;
            self.own.vet(SocketAddr::new(address, port))
        };
        match tokio::time::timeout(self.timeout, self.lookups.look_up(&site, &name)).await {
            Ok(Ok(found)) => keep_allowed(found, &name, vet),
            Ok(Err(cause)) => Err(ResolveError::Failed { name, cause }),
            Err(_) => Err(ResolveError::TimedOut { name, after: self.timeout }),
        }
    }
}

impl Resolve for VettingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let purpose = PURPOSE.try_with(Clone::clone).ok();
        let lookup = self.clone().lookup(purpose, name.as_str().to_owned());
        Box::pin(async move {
            let allowed: Addrs = Box::new(lookup.await?.into_iter());
            Ok(allowed)
        })
    }
}

/// Drops what may not be connected to. A name that leads nowhere else is refused for its first address.
fn keep_allowed(
    found: Vec<SocketAddr>,
    name: &str,
    vet: impl Fn(IpAddr) -> Result<(), RefusedAddress>,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let mut refused = None;
    let mut allowed = found;
    allowed.retain(|address| match vet(address.ip()) {
        Ok(()) => true,
        Err(why) => {
            refused.get_or_insert(why);
            false
        }
    });
    match refused {
        Some(refused) if allowed.is_empty() => Err(ResolveError::Refused(refused.under_name(name))),
        None if allowed.is_empty() => Err(ResolveError::NoAddress { name: name.to_owned() }),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    fn vet_public(address: IpAddr) -> Result<(), RefusedAddress> {
        vet_address(address, AddressPolicy::PublicOnly)
    }

    fn refused_in_chain(error: &(dyn Error + 'static)) -> Option<String> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(refused) = error.downcast_ref::<RefusedAddress>() {
                return Some(refused.to_string());
            }
            cause = error.source();
        }
        None
    }

    #[test]
    fn refused_addresses_are_dropped_from_among_others() {
        let found = addresses(&["10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1", "2606:4700::1111", "169.254.169.254"]);
        let allowed = keep_allowed(found, "x.example", vet_public).unwrap();
        assert_eq!(allowed, addresses(&["8.8.8.8", "2606:4700::1111"]));
    }

    #[test]
    fn a_name_of_nothing_but_refused_addresses_is_refused_by_name() {
        let found = addresses(&["10.0.0.1", "127.0.0.1"]);
        let error = keep_allowed(found, "x.example", vet_public).unwrap_err();
        assert!(refused_in_chain(&error).unwrap().starts_with("x.example resolves to 10.0.0.1"));
    }

    #[test]
    fn a_name_without_addresses_is_not_refused() {
        let error = keep_allowed(Vec::new(), "x.example", vet_public).unwrap_err();
        assert_eq!(refused_in_chain(&error), None);
    }

    const PORT: u16 = 8080;

    fn resolver(policy: AddressPolicy) -> VettingResolver {
        VettingResolver::new(policy, OwnListeners::default(), TIMEOUT, Lookups::by_system())
    }

    fn to_port(port: u16) -> Purpose {
        Purpose { site: "shop".into(), port }
    }

    async fn resolve(resolver: &VettingResolver, name: &str) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let resolving = async { resolver.resolve(name.parse().unwrap()).await };
        connecting_for(to_port(PORT), resolving).await.map(Iterator::collect)
    }

    #[tokio::test]
    async fn localhost_resolves_only_where_private_addresses_are_allowed() {
        let found = resolve(&resolver(AddressPolicy::PrivateAllowed), "localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
        let error = resolve(&resolver(AddressPolicy::PublicOnly), "localhost").await.unwrap_err();
        assert!(refused_in_chain(&*error).is_some(), "{error}");
    }

    #[tokio::test]
    async fn a_name_that_leads_to_an_own_listener_is_refused_on_its_port() {
        let resolver = resolver(AddressPolicy::PrivateAllowed);
        resolver.own.are(vec![SocketAddr::from(([0; 8], PORT + 1))]);
        assert!(resolve(&resolver, "localhost").await.is_ok());
        let own = OwnListeners::default();
        own.are(vec![SocketAddr::from(([0; 8], PORT))]);
        let error = resolve(&VettingResolver { own, ..resolver }, "localhost").await.unwrap_err();
        let refused = refused_in_chain(&*error).unwrap();
        assert!(refused.starts_with("localhost resolves to ") && refused.contains("itself listens"), "{refused}");
    }

    #[tokio::test]
    async fn a_lookup_is_waited_for_no_longer_than_the_timeout() {
        let lookups = Lookups::by(|_| Box::pin(std::future::pending()));
        let patience = Duration::from_millis(20);
        let resolver = VettingResolver::new(AddressPolicy::PrivateAllowed, OwnListeners::default(), patience, lookups);
        let error = resolve(&resolver, "localhost").await.unwrap_err();
        assert_eq!(error.to_string(), "localhost was not resolved within 20 ms");
    }

    #[tokio::test]
    async fn a_name_that_no_site_asks_for_is_not_resolved() {
        let resolving = resolver(AddressPolicy::PrivateAllowed).resolve("localhost".parse().unwrap());
        let Err(error) = resolving.await else { panic!("it was resolved") };
        assert_eq!(error.to_string(), "localhost was asked for by no site");
    }

    #[tokio::test]
    async fn a_client_connects_to_no_refused_address_and_says_why() {
        crate::tls::install_provider();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("http://localhost:{port}/");
        let client = reqwest::Client::builder().no_proxy().dns_resolver(resolver(AddressPolicy::PublicOnly));
        let request = client.build().unwrap().get(url);
        let error = connecting_for(to_port(port), request.send()).await.unwrap_err();
        assert!(refused_in_chain(&error).unwrap().starts_with("localhost resolves to "), "{error:?}");
        let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(connected.is_err(), "a connection was made");
    }
}
