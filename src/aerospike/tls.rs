//! TLS to the nodes: reads the files of `[aerospike.tls]`, and says in plain words why a handshake failed.
//!
//! The client library gets the finished `rustls` configuration, and so do our own questions (`ask`). The client keeps
//! only a text about a handshake that failed. So the reason comes from a question of our own, and not from that text.
//!
//! The client's own certificate is read again when its files have changed, at the next connection: certificates are
//! renewed while the service runs. The authorities are read when the service connects.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::warn;
use parking_lot::Mutex;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, RootCertStore, SignatureScheme};

use crate::config::model;

/// Time-out of a whole handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// An encrypted connection.
pub type Stream = rustls::StreamOwned<ClientConnection, TcpStream>;

/// What is wrong with a file of `[aerospike.tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// `aerospike.tls.ca`, for example, with the path where it is known.
    pub what: String,
    pub cure: String,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.cure)
    }
}

/// How to encrypt, and which name a node's certificate must have.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: Option<String>,
    has_own: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file is not there, cannot be read, or does not hold what it should; or key and certificate do not belong
    /// together.
    pub fn load(tls: &model::Tls) -> Result<Tls, BadFile> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| bad("aerospike.tls", None, &error.to_string(), "report it: this is a defect"))?;
        let builder = builder.with_root_certificates(authorities(tls.ca.as_deref())?);
        let mut config = match &tls.own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_cert_resolver(Arc::new(Own::load(own.clone(), provider)?)),
        };
        // A resumed session would go on with the certificates of its first handshake, also when they are renewed or have
        // expired. Connections live long, so there is little to gain from it.
        config.resumption = Resumption::disabled();
        Ok(Tls {
            config: Arc::new(config),
            name: tls.name.clone(),
            has_own: tls.own.is_some(),
        })
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// The name that the certificate of a node of `aerospike.hosts` must have.
    pub fn name_of_seed<'a>(&'a self, host: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(host)
    }

    /// Whether the client shows a certificate if a node asks for one.
    pub fn has_own(&self) -> bool {
        self.has_own
    }

    /// Encrypts a connection to a node whose certificate must have this name. The stream's own time-outs apply to each
    /// step.
    ///
    /// # Errors
    /// The handshake failed: [`Trouble::of`] says why.
    pub fn encrypt(&self, mut stream: TcpStream, name: &str) -> io::Result<Stream> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        let until = Instant::now() + HANDSHAKE_TIMEOUT;
        while connection.is_handshaking() {
            while connection.wants_write() {
                connection.write_tls(&mut stream)?;
            }
            // A server may send its part byte by byte, each of them in time.
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if connection.read_tls(&mut stream)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = connection.process_new_packets() {
                // Tells the node why, in its log. If it does not hear it, the error is the same.
                let _ = connection.write_tls(&mut stream);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        Ok(Stream::new(connection, stream))
    }
}

/// The authorities in the file, or those of the system.
fn authorities(file: Option<&Path>) -> Result<RootCertStore, BadFile> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        let found = rustls_native_certs::load_native_certs();
        let (known, _) = roots.add_parsable_certificates(found.certs);
        return match known {
            0 => Err(bad(
                "aerospike.tls",
                None,
                "the system has no certificates of authorities",
                "set aerospike.tls.ca, or install the package ca-certificates",
            )),
            _ => Ok(roots),
        };
    };
    const KEY: &str = "aerospike.tls.ca";
    for certificate in certificates(KEY, path)? {
        roots.add(certificate).map_err(|error| {
            let why = format!("a certificate in it cannot be used: {error}");
            bad(
                KEY,
                Some(path),
                &why,
                "name a PEM file with the certificate of an authority",
            )
        })?;
    }
    Ok(roots)
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    const CURE: &str = "name a PEM file with a line -----BEGIN CERTIFICATE-----";
    let pem = read(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(bad(key, Some(path), "it holds no PEM certificate", CURE)),
        Err(error) => Err(bad(key, Some(path), &format!("it is no PEM: {error}"), CURE)),
    }
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, BadFile> {
    fs::read(path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => format!("the file cannot be read: {error}"),
        };
        bad(key, Some(path), &why, "name a file that this user may read")
    })
}

fn bad(key: &str, path: Option<&Path>, why: &str, cure: &str) -> BadFile {
    BadFile {
        what: match path {
            Some(path) => format!("{key} = \"{}\": {why}", path.display()),
            None => format!("{key}: {why}"),
        },
        cure: cure.to_owned(),
    }
}

/// The client's own certificate. Its files are read again when their times change.
struct Own {
    files: model::TlsOwn,
    provider: Arc<CryptoProvider>,
    current: Mutex<(Times, Arc<CertifiedKey>)>,
}

/// When the files were modified. `None`: unknown.
type Times = [Option<SystemTime>; 2];

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Own {
    fn load(files: model::TlsOwn, provider: Arc<CryptoProvider>) -> Result<Own, BadFile> {
        // The times first: a file that changes in between is read once more.
        let times = times(&files);
        let key = certified(&files, &provider)?;
        Ok(Own {
            files,
            provider,
            current: Mutex::new((times, Arc::new(key))),
        })
    }
}

fn times(files: &model::TlsOwn) -> Times {
    [&files.certificate, &files.key].map(|path| fs::metadata(path).and_then(|found| found.modified()).ok())
}

fn certified(files: &model::TlsOwn, provider: &CryptoProvider) -> Result<CertifiedKey, BadFile> {
    const KEY: &str = "aerospike.tls.key";
    let chain = certificates("aerospike.tls.certificate", &files.certificate)?;
    let pem = read(KEY, &files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        // Not the parser's own words: they could repeat a part of the key.
        let why = match String::from_utf8_lossy(&pem).contains("ENCRYPTED PRIVATE KEY") {
            true => "it holds a key with a pass phrase",
            false => "it holds no PEM private key",
        };
        let cure = "name a PEM file with a line -----BEGIN PRIVATE KEY----- (openssl pkcs8 -topk8 -nocrypt -in …)";
        bad(KEY, Some(&files.key), why, cure)
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => bad(
            KEY,
            Some(&files.key),
            "it is not the key of aerospike.tls.certificate",
            "name the key and the certificate that belong together",
        ),
        error => bad(
            KEY,
            Some(&files.key),
            &format!("the key cannot be used: {error}"),
            "name an RSA, ECDSA or Ed25519 key",
        ),
    })
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let now = times(&self.files);
        let current = &mut *self.current.lock();
        if now != current.0 {
            match certified(&self.files, &self.provider) {
                Ok(key) => *current = (now, Arc::new(key)),
                // They may be half written. The old certificate goes on, and the next connection looks again.
                Err(error) => warn!("aerospike: the new client certificate is not taken; the old one is used: {error}"),
            }
        }
        Some(current.1.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The port speaks no TLS.
    NoTls,
    /// Our side does not accept the node's certificate.
    Certificate(String, &'static str),
    /// The node does not accept ours, or wants one.
    Refused(String, &'static str),
}

impl Trouble {
    /// `None`: not an error of TLS. `name`: what the certificate had to name. `has_own`: the client shows a certificate.
    pub fn of(error: &io::Error, name: &str, has_own: bool) -> Option<Trouble> {
        use rustls::Error;
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        Some(match error {
            Error::InvalidCertificate(why) => Trouble::certificate(why, name),
            Error::AlertReceived(alert) => Trouble::refused(*alert, has_own),
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => Trouble::NoTls,
            Error::PeerIncompatible(why) => Trouble::Refused(
                format!("client and node have no version or cipher of TLS in common ({why:?})"),
                "allow TLS 1.2 or 1.3 in the node's configuration (protocols, cipher-suite)",
            ),
            other => Trouble::Refused(format!("the TLS handshake failed ({other})"), "look at the node's log"),
        })
    }

    fn certificate(why: &CertificateError, name: &str) -> Trouble {
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Trouble::Certificate(
                "its certificate has expired".into(),
                "renew the node's certificate, or correct this machine's clock",
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Trouble::Certificate(
                "its certificate is not valid yet".into(),
                "correct this machine's clock, or the node's certificate",
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Trouble::Certificate(
                    format!("its certificate does not have the name {name:?}"),
                    "set aerospike.tls.name to the nodes' tls-name, or correct the certificate",
                )
            }
            CertificateError::UnknownIssuer => Trouble::Certificate(
                "its certificate is signed by an authority that is not known here".into(),
                "set aerospike.tls.ca to the certificate (PEM) of the authority that has signed it",
            ),
            other => Trouble::Certificate(
                format!("its certificate cannot be used ({other})"),
                "correct the node's certificate, or aerospike.tls.ca",
            ),
        }
    }

    fn refused(alert: AlertDescription, has_own: bool) -> Trouble {
        const OWN: &str =
            "set aerospike.tls.certificate and aerospike.tls.key to what an authority of the node has signed";
        match alert {
            AlertDescription::CertificateRequired => Trouble::Refused("it wants a client certificate".into(), OWN),
            // TLS 1.2 has no alert of its own for that.
            AlertDescription::HandshakeFailure | AlertDescription::BadCertificate if !has_own => Trouble::Refused(
                format!("it ends the handshake ({alert:?}), as one does that wants a client certificate"),
                OWN,
            ),
            AlertDescription::CertificateExpired => Trouble::Refused(
                "it says that the client's certificate has expired".into(),
                "renew aerospike.tls.certificate",
            ),
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => {
                Trouble::Refused(format!("it refuses the client's certificate ({alert:?})"), OWN)
            }
            other => Trouble::Refused(
                format!("it ends the TLS handshake ({other:?})"),
                "look at the node's log",
            ),
        }
    }

    /// Completes "its port answers: ".
    pub fn what(&self) -> &str {
        match self {
            Trouble::NoTls => "what answers on this port speaks no TLS",
            Trouble::Certificate(why, _) | Trouble::Refused(why, _) => why,
        }
    }

    /// What a person can do.
    pub fn cure(&self) -> &'static str {
        match self {
            Trouble::NoTls => "name the node's port with TLS (4333 by default), or remove [aerospike.tls]",
            Trouble::Certificate(_, cure) | Trouble::Refused(_, cure) => cure,
        }
    }
}

/// A connection with TLS or without.
pub enum Socket {
    Plain(TcpStream),
    Encrypted(Box<Stream>),
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(stream) => stream.read(buffer),
            Socket::Encrypted(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(stream) => stream.write(bytes),
            Socket::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Plain(stream) => stream.flush(),
            Socket::Encrypted(stream) => stream.flush(),
        }
    }
}

/// Whether what answers at this open port speaks TLS: answers a greeting of TLS with a record of TLS.
pub fn speaks_tls(mut stream: TcpStream) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let Ok(builder) = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() else {
        return false;
    };
    let config = builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let Ok(name) = ServerName::try_from("node.invalid") else {
        return false;
    };
    let Ok(mut greeting) = ClientConnection::new(Arc::new(config), name) else {
        return false;
    };
    let mut first = [0; 2];
    let sent = greeting
        .write_tls(&mut stream)
        .and_then(|_| stream.read_exact(&mut first));
    // A handshake record, or an alert.
    sent.is_ok() && matches!(first, [0x15 | 0x16, 0x03])
}
