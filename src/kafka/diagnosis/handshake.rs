//! Looks behind TLS: what is wrong with a broker's certificate, and what the listener says once it is encrypted.
//!
//! OpenSSL's texts do not tell an expired certificate from one of an unknown authority or of another host. So after
//! librdkafka has refused a certificate, this code makes a handshake of its own. It goes on with a certificate that it
//! does not trust, since it only asks and never sends a login. It shows no client certificate.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Why a broker's certificate is not trusted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    Expired,
    NotYetValid,
    OtherHost,
    UnknownAuthority,
}

impl Distrust {
    fn of(error: &CertificateError) -> Option<Distrust> {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Some(Distrust::Expired),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Some(Distrust::NotYetValid),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some(Distrust::OtherHost)
            }
            CertificateError::UnknownIssuer => Some(Distrust::UnknownAuthority),
            _ => None,
        }
    }
}

/// The authorities that `ssl.ca.*` names. `location`: a file or a folder; `pem`: the certificates themselves. Without
/// either, the system's. What cannot be read is left out: librdkafka reports it.
pub fn authorities(location: Option<&str>, pem: Option<&str>) -> RootCertStore {
    let certificates: Vec<CertificateDer<'static>> = match (pem, location.filter(|path| *path != "probe")) {
        (Some(pem), _) => CertificateDer::pem_slice_iter(pem.as_bytes())
            .filter_map(Result::ok)
            .collect(),
        (None, Some(path)) => {
            let path = Path::new(path);
            let (file, folder) = if path.is_dir() {
                (None, Some(path))
            } else {
                (Some(path), None)
            };
            rustls_native_certs::load_certs_from_paths(file, folder).certs
        }
        (None, None) => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let _ = roots.add_parsable_certificates(certificates);
    roots
}

/// Whether a certificate is not valid now. `location`: its file; `pem`: the certificate itself.
pub fn validity(location: Option<&str>, pem: Option<&str>) -> Option<Distrust> {
    let certificates: Vec<CertificateDer<'static>> = match (pem, location) {
        (Some(pem), _) => CertificateDer::pem_slice_iter(pem.as_bytes())
            .filter_map(Result::ok)
            .collect(),
        (None, Some(path)) => CertificateDer::pem_file_iter(path)
            .ok()?
            .filter_map(Result::ok)
            .collect(),
        (None, None) => return None,
    };
    let certificate = certificates.first()?;
    let mut roots = RootCertStore::empty();
    // Any authority will do: the time is checked before the signature.
    roots.add(certificate.clone()).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    match judge.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()) {
        Err(rustls::Error::InvalidCertificate(error)) => {
            Distrust::of(&error).filter(|why| matches!(why, Distrust::Expired | Distrust::NotYetValid))
        }
        _ => None,
    }
}

/// Makes a handshake as a client that trusts these authorities.
#[derive(Debug, Clone)]
pub struct Handshake {
    roots: Arc<RootCertStore>,
}

/// An encrypted connection, and what is wrong with the certificate of the other side.
pub struct Encrypted {
    connection: ClientConnection,
    stream: TcpStream,
    pub distrust: Option<Distrust>,
}

impl Handshake {
    pub fn new(roots: RootCertStore) -> Handshake {
        Handshake { roots: Arc::new(roots) }
    }

    /// Encrypts the connection. `host`: the name or the number that the certificate must have. The stream has
    /// time-outs of its own.
    ///
    /// # Errors
    /// The handshake failed, for instance because the other side wants a client certificate.
    pub fn with(&self, mut stream: TcpStream, host: &str, deadline: Instant) -> io::Result<Encrypted> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Without authorities there is nothing to judge by.
        let inner = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), provider.clone()).build();
        let judge = Arc::new(Judge {
            inner: inner.ok(),
            provider: provider.clone(),
            found: Mutex::new(None),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(judge.clone())
            .with_no_client_auth();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            while connection.wants_write() {
                connection.write_tls(&mut stream)?;
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if connection.read_tls(&mut stream)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            connection.process_new_packets().map_err(io::Error::other)?;
        }
        let distrust = *judge.found.lock();
        Ok(Encrypted {
            connection,
            stream,
            distrust,
        })
    }
}

impl Encrypted {
    /// Sends `question`, and reads until `is_whole` or the end of the connection.
    ///
    /// # Errors
    /// The connection broke, or there was no answer in time.
    pub fn ask(&mut self, question: &[u8], deadline: Instant, is_whole: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        let mut stream = rustls::Stream::new(&mut self.connection, &mut self.stream);
        stream.write_all(question)?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 2048]);
        while !is_whole(&answer) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.sock.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer)? {
                0 => break,
                count => answer.extend(buffer.iter().take(count)),
            }
        }
        Ok(answer)
    }
}

/// Notes what is wrong with a certificate, and accepts it.
#[derive(Debug)]
struct Judge {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    found: Mutex<Option<Distrust>>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self
            .inner
            .as_ref()
            .map(|inner| inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now));
        *self.found.lock() = match judged {
            Some(Err(rustls::Error::InvalidCertificate(error))) => Distrust::of(&error),
            Some(_) => None,
            // No authority is known.
            None => Some(Distrust::UnknownAuthority),
        };
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
