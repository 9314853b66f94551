//! TLS on the nodes' ports, as a node with `tls-port` and without `port` has it.
//!
//! The enterprise edition ends its side with OpenSSL; this is `rustls`. What a client sees of a failed handshake is the
//! same: an alert, and the end of the connection.

use std::io::{self, Read as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// How long a connection whose handshake failed is read on, so that its last alert arrives before the end.
const LINGER: Duration = Duration::from_millis(500);

/// The certificate of all nodes, in PEM files.
#[derive(Debug, Clone)]
pub struct SimTls {
    /// `tls-name`: what the nodes say of each other.
    pub name: String,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authorities of the clients' certificates. `None`: clients need none (`tls-authenticate-client false`).
    pub client_ca: Option<PathBuf>,
}

/// The server's side of TLS, ready to use.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    pub fn load(config: &SimTls) -> io::Result<Tls> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &config.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(io::Error::other)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&config.key).map_err(io::Error::other)?;
        let config = builder.with_single_cert(certificates(&config.certificate)?, key);
        Ok(Tls(Arc::new(config.map_err(io::Error::other)?)))
    }

    /// Does the handshake. `None`: it failed, and the client knows.
    pub fn accept(&self, mut stream: TcpStream) -> Option<StreamOwned<ServerConnection, TcpStream>> {
        let mut connection = ServerConnection::new(self.0.clone()).ok()?;
        while connection.is_handshaking() {
            if connection.complete_io(&mut stream).is_err() {
                linger(stream);
                return None;
            }
        }
        Some(StreamOwned::new(connection, stream))
    }
}

fn certificates(path: &PathBuf) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(io::Error::other)?.collect();
    found.map_err(io::Error::other)
}

/// Ends our half, and reads what is still on its way: unread bytes would take the alert with them.
fn linger(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(LINGER));
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest), Ok(bytes) if bytes > 0) {}
}
