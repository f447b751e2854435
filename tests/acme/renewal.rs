//! Certificates are renewed while they are used.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::Validity, parse_x509_certificate};

use crate::{
    authority::Manner,
    harness::wait::DEADLINE,
    world::{NAME, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pebble: make acme"]
async fn a_short_lived_certificate_is_renewed_while_visitors_come_and_none_of_them_notices() {
    let world = World::with(Manner { validity_seconds: Some(15), ..Manner::default() }, |setup| setup).await;
    let roots = world.authority.roots().await;
    let mut seen = vec![world.visit_trusting(NAME, &roots).await.unwrap()];
    let started = std::time::Instant::now();
    while seen.len() < 3 {
        let shown = world.visit_trusting(NAME, &roots).await.unwrap();
        if !seen.contains(&shown) {
            let (before, after) = (validity(&seen[seen.len() - 1]), validity(&shown));
            assert!(after.not_before < before.not_after, "the visitor waited for it: the one before had expired");
            seen.push(shown);
        }
        assert!(started.elapsed() < DEADLINE, "no renewal came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(world.authority.orders() >= 3);
}

/// From when until when a certificate is valid.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Validity {
    parse_x509_certificate(certificate).unwrap().1.validity().clone()
}
