//! A visitor who comes by https and checks what he is shown.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::harness::raw::sent;

/// Gets `path` over a connection of its own. Returns the response, and the certificate that was shown.
pub(crate) async fn get(
    address: SocketAddr,
    name: &str,
    roots: &RootCertStore,
    path: &str,
) -> Result<(String, CertificateDer<'static>), String> {
    let (mut stream, certificate) = shake_hands(address, name, roots).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    // A task with many visitors is not always let through to its socket.
    sent(&mut stream, request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut response = Vec::new();
    // Who closes without a word has sent all it wanted to.
    let end = stream.read_to_end(&mut response).await;
    let response = String::from_utf8_lossy(&response).into_owned();
    if !response.starts_with("HTTP/1.1 200") {
        return Err(format!("{:?}, {end:?}", response.lines().next()));
    }
    Ok((response, certificate))
}

/// Shakes hands. Returns the certificate that was shown, if it is for this name and by an authority that is trusted.
pub(crate) async fn shake_hands(
    address: SocketAddr,
    name: &str,
    roots: &RootCertStore,
) -> Result<(TlsStream<TcpStream>, CertificateDer<'static>), String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots.clone()).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| error.to_string())?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((stream, shown))
}
