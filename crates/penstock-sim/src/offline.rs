//! A node without sockets and threads: bytes in, bytes out. For fuzz targets, which need a new node thousands of times a
//! second.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::auth::Auth;
use super::cluster::Cluster;
use super::engine::Engine;
use super::faults::{Faults, NodeFaults};
use super::nodes::Presence;
use super::server::answer_all;
use super::stats::Counters;
use super::store::Store;
use super::{Node, SimConfig};

/// Makes nodes of one configuration. What takes long, and no request changes, is made once.
pub struct Offline {
    config: Arc<SimConfig>,
    cluster: Arc<Cluster>,
    auth: Auth,
}

/// A cluster of one node, without a socket.
pub struct OfflineNode(Arc<Engine>);

impl Offline {
    /// The addresses, the number of nodes and TLS do not matter. The error: the password is not possible.
    pub fn new(config: SimConfig) -> io::Result<Self> {
        let login = config
            .login
            .as_ref()
            .map(|(user, password)| (user.as_str(), password.as_str()));
        let auth = Auth::new(login, config.security_off, config.seed)?;
        Ok(Offline {
            config: Arc::new(config),
            cluster: Arc::new(Cluster::new(1)),
            auth,
        })
    }

    /// A node with empty namespaces.
    pub fn node(&self) -> OfflineNode {
        let presence = Arc::new(Presence::new(self.config.listen));
        OfflineNode(Arc::new(Engine {
            node: Node {
                number: 0,
                name: self.config.node_name.clone(),
                presence: presence.clone(),
            },
            cluster: self.cluster.clone(),
            presences: vec![presence],
            store: Arc::new(Store::new(self.config.namespaces.clone())),
            faults: NodeFaults::new(Faults::new(Vec::new(), self.config.seed), None),
            counters: Counters::default(),
            auth: self.auth.copy(),
            tls: None,
            batch_rows_max: Arc::new(self.config.batch_rows_max.into()),
            config: self.config.clone(),
        }))
    }
}

impl OfflineNode {
    /// Everything that the node answers to what a client sends on one connection.
    pub fn converse(&self, sent: &[u8]) -> Vec<u8> {
        let mut stream = Bytes {
            sent,
            answered: Vec::new(),
        };
        answer_all(&self.0, &mut stream);
        stream.answered
    }
}

/// A connection: what the client sends before it ends, and what it gets.
struct Bytes<'b> {
    sent: &'b [u8],
    answered: Vec<u8>,
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.sent.read(buffer)
    }
}

impl Write for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answered.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
