//! An edge between visitors, an origin and a certificate authority.

use std::{net::SocketAddr, path::PathBuf};

use rustls::{RootCertStore, pki_types::CertificateDer};

use crate::{
    authority::{Asked, Authority, Manner},
    harness::{Edge, Origin, Reply, Setup, ports::free_address},
    visitor,
};

/// A name that the edge's site lists.
pub(crate) const NAME: &str = "img.shop.test";

pub(crate) struct World {
    pub(crate) edge: Edge,
    pub(crate) https: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) origin: Origin,
}

impl World {
    /// A site that lists [`NAME`] and an authority that does its work.
    pub(crate) async fn new() -> Self {
        Self::with(Manner::default(), |setup| setup).await
    }

    /// Likewise, with a manner of the authority's and changes of the configuration.
    pub(crate) async fn with(manner: Manner, change: impl FnOnce(Setup) -> Setup) -> Self {
        let origin = Origin::with("/text", Reply::ok("text/plain", "hello")).await;
        let mut authority = Authority::new(manner);
        let https = free_address();
        let setup = Setup::empty().with_site("shop", &[NAME], &origin.url());
        let edge = Edge::start(change(with_acme(setup, &authority, https))).await;
        authority.start(Asked { http: edge.http.port(), https: https.port() }).await;
        Self { edge, https, authority, origin }
    }

    /// What the edge shows to who asks for `name` and is content with.
    pub(crate) async fn visit(&self, name: &str) -> Result<CertificateDer<'static>, String> {
        self.visit_trusting(name, &self.authority.roots().await).await
    }

    /// Likewise, where the authority is not there to be asked for its root.
    pub(crate) async fn visit_trusting(
        &self,
        name: &str,
        roots: &RootCertStore,
    ) -> Result<CertificateDer<'static>, String> {
        visitor::get(self.https, name, roots, "/text").await.map(|(_, certificate)| certificate)
    }

    /// The directory of the authority, in the store.
    pub(crate) fn store(&self) -> PathBuf {
        store_below(&self.edge.data_dir().join("certificates"))
    }
}

/// The one directory of a store that is at `root`.
pub(crate) fn store_below(root: &std::path::Path) -> PathBuf {
    let mut entries = std::fs::read_dir(root).unwrap();
    entries.next().unwrap().unwrap().path()
}

/// Has an edge serve https there, with certificates of this authority.
pub(crate) fn with_acme(setup: Setup, authority: &Authority, https: SocketAddr) -> Setup {
    setup
        .set("edge.tls.https", &format!("'{https}'"))
        .set("edge.tls.acme.accept_terms", "true")
        .set("edge.tls.acme.directory", &format!("'{}'", authority.directory()))
        .set("edge.tls.acme.ca_root", &format!("'{}'", authority.root_file()))
}
