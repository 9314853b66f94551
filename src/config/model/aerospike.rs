//! `[aerospike]`: the database that records are written to.

use std::path::PathBuf;

use crate::config::model::login::LoginFiles;
use crate::config::model::secret::Secret;

/// `[aerospike]`.
#[derive(Debug, Clone)]
pub struct Aerospike {
    /// `host:port`, comma-separated: seed nodes of the cluster.
    pub hosts: String,
    /// The default namespace of every write.
    pub namespace: String,
    /// `user` and `password` together, or neither.
    pub credentials: Option<(String, Secret)>,
    /// The files of the credentials.
    pub login_files: LoginFiles,
    /// The cluster name that every node must report, if given.
    pub cluster_name: Option<String>,
    /// Ask the nodes for their alternate (for example public) addresses.
    pub use_services_alternate: bool,
    /// What sends the rows.
    pub writer: Writer,
    /// Every connection is encrypted, if given.
    pub tls: Option<Tls>,
}

/// `[aerospike.tls]`. The files are read when the service connects, not when the configuration is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The name in the certificates of the nodes of `hosts`. `None`: each has the name by which `hosts` calls it.
    pub name: Option<String>,
    /// A PEM file with the authorities that sign the nodes' certificates. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// The client's own certificate, if the nodes ask for one.
    pub own: Option<TlsOwn>,
}

/// The certificate that the client shows, and its key: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOwn {
    /// The certificate, and after it those that lead to an authority that the nodes know.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// `aerospike.writer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Our own, which writes rows straight into batch requests. Not for a cluster with a login.
    Native,
    /// The client library's.
    Client,
}
