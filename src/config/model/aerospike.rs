//! `[aerospike]`: the database that records are written to.

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
    /// The cluster name that every node must report, if given.
    pub cluster_name: Option<String>,
    /// Ask the nodes for their alternate (for example public) addresses.
    pub use_services_alternate: bool,
    /// What sends the rows.
    pub writer: Writer,
}

/// `aerospike.writer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Our own, which writes rows straight into batch requests. Not for a cluster with a login.
    Native,
    /// The client library's.
    Client,
}
