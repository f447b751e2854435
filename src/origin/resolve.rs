//! Name resolution that gives out only addresses that may be connected to. A connection is made to what this returns and to
//! nothing else: no name is looked up a second time between the check and the connection, so that an answer which changes
//! meanwhile gains nothing. Addresses written into URLs are never resolved; [`super::url_guard`] vets those.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::address::{AddressPolicy, RefusedAddress, vet_address};

/// Lookups under way at once: each holds a blocking thread as long as the system tries, and the disk needs those too. Beyond
/// it lookups wait, and their timeout runs.
const MAX_LOOKUPS: usize = 64;

/// The system's resolver, without what may not be connected to.
#[derive(Debug, Clone)]
pub struct VettingResolver {
    policy: AddressPolicy,
    timeout: Duration,
    lookups: Arc<Semaphore>,
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("{name} cannot be resolved: {cause}")]
    Failed { name: String, cause: io::Error },
    #[error("{name} has no address")]
    NoAddress { name: String },
    #[error("{name} was not resolved within {} ms", after.as_millis())]
    TimedOut { name: String, after: Duration },
    #[error("no address may be connected to")]
    Refused(#[source] RefusedAddress),
}

impl VettingResolver {
    /// A resolver for origins under `policy`, which gives up after `timeout`.
    #[must_use]
    pub fn new(policy: AddressPolicy, timeout: Duration) -> Self {
        Self { policy, timeout, lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }

    async fn lookup(self, name: String) -> Result<Vec<SocketAddr>, ResolveError> {
        match tokio::time::timeout(self.timeout, self.lookup_in_turn(&name)).await {
            Ok(Ok(found)) => keep_allowed(found, &name, self.policy),
            Ok(Err(cause)) => Err(ResolveError::Failed { name, cause }),
            Err(_) => Err(ResolveError::TimedOut { name, after: self.timeout }),
        }
    }

    /// The system's lookup cannot be stopped: it is a task of its own, which keeps its turn until it really ends.
    async fn lookup_in_turn(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let turn = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let lookup = tokio::spawn(async move {
            let _turn = turn;
            // Port 0: the connector sets the URL's.
            tokio::net::lookup_host((name, 0)).await.map(Iterator::collect)
        });
        lookup.await.map_err(io::Error::other)?
    }
}

impl Resolve for VettingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.clone().lookup(name.as_str().to_owned());
        Box::pin(async move {
            let allowed: Addrs = Box::new(lookup.await?.into_iter());
            Ok(allowed)
        })
    }
}

/// Drops what may not be connected to. A name that leads nowhere else is refused for its first address.
fn keep_allowed(found: Vec<SocketAddr>, name: &str, policy: AddressPolicy) -> Result<Vec<SocketAddr>, ResolveError> {
    let mut refused = None;
    let mut allowed = found;
    allowed.retain(|address| match vet_address(address.ip(), policy) {
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
        let allowed = keep_allowed(found, "x.example", AddressPolicy::PublicOnly).unwrap();
        assert_eq!(allowed, addresses(&["8.8.8.8", "2606:4700::1111"]));
    }

    #[test]
    fn a_name_of_nothing_but_refused_addresses_is_refused_by_name() {
        let found = addresses(&["10.0.0.1", "127.0.0.1"]);
        let error = keep_allowed(found, "x.example", AddressPolicy::PublicOnly).unwrap_err();
        assert!(refused_in_chain(&error).unwrap().starts_with("x.example resolves to 10.0.0.1"));
    }

    #[test]
    fn a_name_without_addresses_is_not_refused() {
        let error = keep_allowed(Vec::new(), "x.example", AddressPolicy::PublicOnly).unwrap_err();
        assert_eq!(refused_in_chain(&error), None);
    }

    #[tokio::test]
    async fn localhost_resolves_only_where_private_addresses_are_allowed() {
        let resolve = |policy| VettingResolver::new(policy, TIMEOUT).resolve("localhost".parse().unwrap());
        let found: Vec<_> = resolve(AddressPolicy::PrivateAllowed).await.unwrap().collect();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
        let Err(error) = resolve(AddressPolicy::PublicOnly).await else { panic!("localhost passed") };
        assert!(refused_in_chain(&*error).is_some(), "{error}");
    }

    #[tokio::test]
    async fn lookups_wait_their_turn_but_no_longer_than_the_timeout() {
        let resolver = VettingResolver::new(AddressPolicy::PrivateAllowed, Duration::from_millis(20));
        let all = Arc::clone(&resolver.lookups).acquire_many_owned(MAX_LOOKUPS as u32).await.unwrap();
        let Err(error) = resolver.resolve("localhost".parse().unwrap()).await else { panic!("jumped the queue") };
        assert_eq!(error.to_string(), "localhost was not resolved within 20 ms");
        drop(all);
        let resolver = VettingResolver { timeout: TIMEOUT, ..resolver };
        assert!(resolver.resolve("localhost".parse().unwrap()).await.is_ok());
        assert_eq!(resolver.lookups.available_permits(), MAX_LOOKUPS);
    }

    #[tokio::test]
    async fn a_client_connects_to_no_refused_address_and_says_why() {
        crate::tls::install_provider();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let resolver = VettingResolver::new(AddressPolicy::PublicOnly, TIMEOUT);
        let client = reqwest::Client::builder().no_proxy().dns_resolver(resolver).build().unwrap();
        let error = client.get(url).send().await.unwrap_err();
        assert!(refused_in_chain(&error).unwrap().starts_with("localhost resolves to "), "{error:?}");
        let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(connected.is_err(), "a connection was made");
    }
}
