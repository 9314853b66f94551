//! `[aerospike]`: where records go.

use crate::config::model::secret::Secret;

/// `[aerospike]`.
#[derive(Debug, Clone)]
pub struct Aerospike {
    /// `host:port`, comma-separated: seeds of the cluster.
    pub hosts: String,
    /// The default namespace of every write.
    pub namespace: String,
    /// `user` and `password` together, or neither.
    pub credentials: Option<(String, Secret)>,
    /// The name every node must report, if given.
    pub cluster_name: Option<String>,
    /// Ask nodes for their alternate (for example public) addresses.
    pub use_services_alternate: bool,
}
