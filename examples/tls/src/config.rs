//! Configurations of rustls as most need them: TLS 1.3 alone, certificates for clients if wanted. Any other that has TLS 1.3 will do.

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, RootCertStore, ServerConfig};
use std::sync::Arc;

/// Who a broker is, and whom it lets in.
///
/// `chain` begins with the broker's own certificate. With `client_roots` each client must show a certificate that one of these has
/// signed, which is then in [`Peer::certificate`](msglib_proto::transport::Peer::certificate); without it, none is asked for.
///
/// # Errors
///
/// When the key does not fit the certificate, or there are no roots in `client_roots`.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    client_roots: Option<RootCertStore>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ClientCertVerifier> = match client_roots {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(roots) => WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .build()
            .map_err(|error| Error::General(format!("the roots for clients' certificates: {error}")))?,
    };
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    // Tickets for later connections are sent before a client has asked for anything. One that publishes, reads nothing and closes has
    // them unread then, and its system resets the connection: what it had published is lost. Connections live long here anyway.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Whom a client trusts, and who it is, if it says so.
///
/// # Errors
///
/// When the key does not fit the certificate.
pub fn client_config(
    roots: RootCertStore,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13])?.with_root_certificates(roots);
    Ok(Arc::new(match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    }))
}
