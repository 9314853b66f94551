//! An Aerospike server in the process, for the demo and the tests. It has the server's side of the wire protocol, in
//! memory, on a loopback port. It starts in a millisecond and has faults on command.
//!
//! It is a test double: the service never runs on it. It answers as a real server answered in
//! `tests/data/aerospike-transcript.txt` (`tests/sim/golden.rs` compares byte by byte). What is not recorded there
//! follows the server's source (community edition 8.1.2.0). It has one node, which owns every partition, or up to
//! three. These share the partitions, forward rows to each other, leave and come back. It uses blocking threads and
//! sockets and no async code. It uses nothing of the client for which it is made, and nothing of Penstock.
//!
//! Several nodes are several addresses with one shared store: copies and migrations take no time and are never out of
//! date. There are no split clusters and no conflicting versions of a record.
//!
//! Not implemented: queries, scans, UDFs, transactions, TLS, compression, secondary indexes, writing to disk.
//!
//! ```no_run
//! use penstock_sim::{Share, SimConfig, Simulator};
//!
//! let sim = Simulator::start(SimConfig::default())?;
//! sim.faults().fail_rows(18, Share::Fraction(0.2));
//! println!("a client may connect to {}", sim.addr());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! ```no_run
//! use penstock_sim::{Join, Leave, SimConfig, Simulator};
//!
//! let sim = Simulator::start(SimConfig { nodes: 3, ..SimConfig::default() })?;
//! sim.node(1).leave(Leave { lossy: true, ..Leave::default() })?;
//! sim.node(1).join(Join::default())?;
//! # Ok::<(), std::io::Error>(())
//! ```

// In reading order: bytes, what they ask for, records, operations on them, and who does it.
mod wire;
mod message;
mod msgpack;
mod store;
mod tls;
mod ops;
mod cdt;
mod expression;
mod execute;
mod batch;
mod info;
mod auth;
mod random;
mod faults;
mod stats;
mod cluster;
mod engine;
mod server;
mod nodes;
mod shown;
mod control;
mod offline;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ripemd::{Digest as _, Ripemd160};

pub use control::{COMMANDS as CONTROL_COMMANDS, command as control_command};
pub use faults::{EarlyEnd, Faults, Stalled};
pub use message::Digest;
pub use msgpack::Value;
pub use nodes::{Gone, Join, Leave, SimNode};
pub use offline::{Offline, OfflineNode};
pub use random::Share;
pub use stats::Stats;
pub use store::NamespaceConfig;
pub use tls::SimTls;

use auth::Auth;
use cluster::Cluster;
use engine::Engine;
use faults::NodeFaults;
use nodes::{Nodes, Presence};
use server::{Connections, Listener};
use stats::Counters;
use store::{Record, Store};

/// The maximum number of nodes in a cluster.
pub const NODES_MAX: usize = 3;

/// How a simulator starts.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// The address of the first node; the other nodes use the ports that follow. Port 0 chooses free ports.
    pub listen: SocketAddr,
    /// The number of nodes in the cluster, 1 to [`NODES_MAX`].
    pub nodes: usize,
    /// The address of the control port, if any (`control_command` describes the commands).
    pub control: Option<SocketAddr>,
    /// The name of the first node. The others have the names B2 and C3.
    pub node_name: String,
    /// The name of the cluster.
    pub cluster_name: String,
    /// The namespaces.
    pub namespaces: Vec<NamespaceConfig>,
    /// Rows of one batch on one key run in order, as in a namespace in memory that allows it. Otherwise they race.
    pub inline: bool,
    /// `batch-max-requests`; 0: no limit.
    pub batch_rows_max: u32,
    /// User and password that connections must log in with. `None`: no security, as in the community edition.
    pub login: Option<(String, String)>,
    /// The answer to a login if there is no security: 51 by the community edition, 52 by an enterprise edition without
    /// security.
    pub security_off: u8,
    /// All ports of nodes have TLS. `None`: none has.
    pub tls: Option<SimTls>,
    /// Names of nodes, with the addresses that they announce (`host:port`, separated by commas) instead of their own.
    pub announce: Vec<(String, String)>,
    /// The same for their alternate addresses. By default they have none.
    pub announce_alternate: Vec<(String, String)>,
    /// The seed of races and shares.
    pub seed: u64,
}

impl Default for SimConfig {
    fn default() -> Self {
        SimConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            nodes: 1,
            control: None,
            node_name: "A1".to_owned(),
            cluster_name: "penstock-sim".to_owned(),
            namespaces: vec![
                "test".into(),
                NamespaceConfig {
                    storage_engine: "device".to_owned(),
                    ..NamespaceConfig::new("disk")
                },
            ],
            inline: false,
            batch_rows_max: 0,
            login: None,
            security_off: wire::code::SECURITY_NOT_SUPPORTED,
            tls: None,
            announce: Vec::new(),
            announce_alternate: Vec::new(),
            seed: 0,
        }
    }
}

impl SimConfig {
    fn node_name(&self, number: usize) -> &str {
        match number {
            0 => &self.node_name,
            1 => "B2",
            _ => "C3",
        }
    }
}

/// One node of the cluster, for its answers.
pub struct Node {
    /// Its number among all nodes.
    number: usize,
    name: String,
    presence: Arc<Presence>,
}

/// A running simulator. Dropping it closes its sockets and joins its threads.
pub struct Simulator {
    // Control first: nothing may be changed while the rest is shut down.
    control: Option<Listener>,
    nodes: Arc<Nodes>,
    /// The faults of the whole cluster.
    faults: Faults,
    store: Arc<Store>,
}

impl Simulator {
    /// Starts to listen and serve. Fails if an address is not available.
    pub fn start(config: SimConfig) -> io::Result<Self> {
        if !(1..=NODES_MAX).contains(&config.nodes) {
            let fault = format!("{} nodes: there can be 1 to {NODES_MAX}", config.nodes);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, fault));
        }
        let config = Arc::new(config);
        let tls = config.tls.as_ref().map(tls::Tls::load).transpose()?;
        let sockets = bind(&config)?;
        let addrs = sockets
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        let connections: Vec<Connections> = addrs.iter().map(|_| Connections::default()).collect();
        let presences: Vec<Arc<Presence>> = addrs.into_iter().map(|addr| Arc::new(Presence::new(addr))).collect();
        let presence = |name: &str| {
            let number = (0..config.nodes).find(|number| config.node_name(*number) == name);
            let fault = || io::Error::new(io::ErrorKind::InvalidInput, format!("there is no node {name}"));
            number.map(|number| &presences[number]).ok_or_else(fault)
        };
        for (name, addresses) in &config.announce {
            presence(name)?.announce(Some(addresses));
        }
        for (name, addresses) in &config.announce_alternate {
            presence(name)?.announce_alternate(addresses);
        }
        let login = config
            .login
            .as_ref()
            .map(|(user, password)| (user.as_str(), password.as_str()));
        let auth = Auth::new(login, config.security_off, config.seed)?;
        let cluster = Arc::new(Cluster::new(config.nodes));
        let store = Arc::new(Store::new(config.namespaces.clone()));
        let faults = Faults::new(connections.clone(), config.seed);
        let batch_rows_max = Arc::new(AtomicU32::new(config.batch_rows_max));
        let engines = (0..config.nodes)
            .map(|number| {
                let own = (config.nodes > 1).then(|| Faults::new(vec![connections[number].clone()], config.seed));
                Arc::new(Engine {
                    node: Node {
                        number,
                        name: config.node_name(number).to_owned(),
                        presence: presences[number].clone(),
                    },
                    cluster: cluster.clone(),
                    presences: presences.clone(),
                    store: store.clone(),
                    faults: NodeFaults::new(faults.clone(), own),
                    counters: Counters::default(),
                    auth: auth.copy(),
                    tls: tls.clone(),
                    batch_rows_max: batch_rows_max.clone(),
                    config: config.clone(),
                })
            })
            .collect();
        let nodes = Arc::new(Nodes::start(engines, sockets, connections)?);
        let control = match config.control {
            Some(addr) => {
                let nodes = nodes.clone();
                let handler = move |stream| control::converse(&nodes, stream);
                let socket = TcpListener::bind(addr)?;
                Some(Listener::serve(
                    socket,
                    "sim-ctl",
                    Connections::default(),
                    || true,
                    handler,
                )?)
            }
            None => None,
        };
        Ok(Simulator {
            control,
            nodes,
            faults,
            store,
        })
    }

    /// The address for clients: the first node's.
    pub fn addr(&self) -> SocketAddr {
        self.node(0).addr()
    }

    /// The addresses of all nodes.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        let engines = self.nodes.engines.iter();
        engines.map(|engine| engine.node.presence.addr()).collect()
    }

    /// One of the nodes, from 0.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn node(&self, number: usize) -> SimNode {
        SimNode::new(self.nodes.clone(), number)
    }

    /// The address of the control port.
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(Listener::addr)
    }

    /// The faults of the whole cluster. The handle may be kept and used from any thread.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Sets the user that clients must log in as, and ends all sessions. The error: the password is not possible.
    pub fn set_user(&self, name: &str, password: &str) -> io::Result<()> {
        self.nodes.auths().try_for_each(|auth| auth.set_user(name, password))
    }

    /// Gives the user another password, or puts another user in its place. Connections that have logged in go on. The
    /// error: the password is not possible.
    pub fn set_password(&self, name: &str, password: &str) -> io::Result<()> {
        self.nodes
            .auths()
            .try_for_each(|auth| auth.set_password(name, password))
    }

    /// Refuses every login with this code. `None`: accepts logins again.
    pub fn refuse_logins(&self, code: Option<u8>) {
        self.nodes.auths().for_each(|auth| auth.refuse(code));
    }

    /// Ends all sessions: all connections must log in again.
    pub fn end_sessions(&self) {
        self.nodes.auths().for_each(Auth::end_sessions);
    }

    /// The counts so far, of all nodes together.
    pub fn stats(&self) -> Stats {
        self.nodes.stats()
    }

    /// The live records of a set, by digest. The empty name means the records without a set.
    pub fn records(&self, namespace: &str, set: &str) -> BTreeMap<Digest, RecordView> {
        let mut records = BTreeMap::new();
        let Some(namespace) = self.store.namespace(namespace.as_bytes()) else {
            return records;
        };
        let Some(set) = namespace.find_set(set.as_bytes()) else {
            return records;
        };
        let now = self.store.now();
        namespace.for_each(|digest, record| {
            if record.set == set && !record.is_expired(now) {
                records.insert(*digest, RecordView::new(record, now));
            }
        });
        records
    }

    /// A live record by its user key or digest.
    pub fn get<'k>(&self, namespace: &str, set: &str, key: impl Into<RecordKey<'k>>) -> Option<RecordView> {
        find_record(&self.store, namespace, set, key.into())
    }

    /// Stores a record with exactly these bins, without a ttl or a user key. Ignores all limits and faults. For states
    /// that a client cannot create, or not as fast. The error says what no server could hold.
    pub fn put<'k>(
        &self,
        namespace: &str,
        set: &str,
        key: impl Into<RecordKey<'k>>,
        bins: &[(&str, Value)],
    ) -> Result<(), String> {
        let digest = key.into().digest(set);
        let namespace = self.find(namespace)?;
        let set = namespace
            .set_id(set.as_bytes())
            .map_err(|code| format!("set {set:?}: {code}"))?;
        let mut stored: Vec<store::Bin> = Vec::with_capacity(bins.len());
        for (name, value) in bins {
            let name = store::BinName::new(name.as_bytes()).ok_or(format!("bin name {name:?}"))?;
            stored.retain(|bin| bin.name != name);
            if *value != Value::Nil {
                let particle = store::Particle::from_value(value);
                stored.push(store::Bin { name, particle });
            }
        }
        if stored.is_empty() {
            return Err("a record without bins".to_owned());
        }
        namespace.insert(&digest, set, stored);
        Ok(())
    }

    /// Removes a record, as an eviction does. `false`: there was none.
    pub fn remove<'k>(&self, namespace: &str, set: &str, key: impl Into<RecordKey<'k>>) -> bool {
        let digest = key.into().digest(set);
        self.find(namespace).is_ok_and(|namespace| namespace.remove(&digest))
    }

    /// Changes a namespace's settings at run time; everything but its name can be changed. The error: there is no such
    /// namespace.
    pub fn configure(&self, namespace: &str, change: impl FnOnce(&mut NamespaceConfig)) -> Result<(), String> {
        change(&mut self.find(namespace)?.config.write());
        Ok(())
    }

    fn find(&self, namespace: &str) -> Result<&store::Namespace, String> {
        let found = self.store.namespace(namespace.as_bytes());
        found.ok_or_else(|| format!("no namespace {namespace:?}"))
    }

    /// Forgets every record and closes all connections, as if all servers were in memory and restarted.
    pub fn restart_empty(&self) {
        self.nodes.restart_empty();
    }

    /// Moves the clock forward by `seconds`, for the ttls of records.
    pub fn advance_clock(&self, seconds: i64) {
        self.store.advance_clock(seconds);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.control = None;
        self.nodes.stop();
    }
}

/// Opens the listening sockets of all nodes.
fn bind(config: &SimConfig) -> io::Result<Vec<TcpListener>> {
    let listener = |number: usize| {
        let mut addr = config.listen;
        if addr.port() != 0 {
            let port = u16::try_from(usize::from(addr.port()) + number);
            addr.set_port(port.map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no port is left for a node"))?);
        }
        TcpListener::bind(addr)
    };
    (0..config.nodes).map(listener).collect()
}

fn find_record(store: &Store, namespace: &str, set: &str, key: RecordKey<'_>) -> Option<RecordView> {
    let digest = key.digest(set);
    let namespace = store.namespace(namespace.as_bytes())?;
    let now = store.now();
    let shard = namespace.shard(&digest);
    shard
        .get(&digest)
        .filter(|record| !record.is_expired(now))
        .map(|record| RecordView::new(record, now))
}

/// A record for tests.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordView {
    /// The bins by name.
    pub bins: BTreeMap<String, Value>,
    /// How often it was written, from 1.
    pub generation: u32,
    /// The seconds left. `None`: it never expires.
    pub ttl: Option<u32>,
    /// The user key, if it was sent.
    pub key: Option<Value>,
}

impl RecordView {
    fn new(record: &Record, now: u32) -> Self {
        let bin = |bin: &store::Bin| {
            (
                String::from_utf8_lossy(bin.name.as_bytes()).into_owned(),
                bin.particle.to_value(),
            )
        };
        let key = record
            .key
            .as_deref()
            .and_then(|key| key.split_first())
            .map(|(&kind, bytes)| {
                store::Particle::from_wire(kind, bytes).map_or_else(
                    |_| Value::Particle(kind, bytes.to_vec()),
                    |particle| particle.to_value(),
                )
            });
        RecordView {
            bins: record.bins.iter().map(bin).collect(),
            generation: record.generation.into(),
            ttl: (record.void_time != 0).then(|| record.void_time.saturating_sub(now)),
            key,
        }
    }

    /// The value in a bin.
    pub fn bin(&self, name: &str) -> Option<&Value> {
        self.bins.get(name)
    }

    /// The integer in a bin.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.bin(name).and_then(Value::as_int)
    }

    /// The string in a bin.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.bin(name).and_then(Value::as_str)
    }
}

/// How to address a record.
#[derive(Debug, Clone, Copy)]
pub enum RecordKey<'a> {
    /// By an integer key.
    Int(i64),
    /// By a string key.
    Str(&'a str),
    /// By a key of bytes.
    Blob(&'a [u8]),
    /// By the digest.
    Digest(Digest),
}

impl RecordKey<'_> {
    fn digest(self, set: &str) -> Digest {
        let (kind, key): (u8, Vec<u8>) = match self {
            RecordKey::Digest(digest) => return digest,
            RecordKey::Int(key) => (1, key.to_be_bytes().to_vec()),
            RecordKey::Str(key) => (3, key.as_bytes().to_vec()),
            RecordKey::Blob(key) => (4, key.to_vec()),
        };
        let digest = Ripemd160::new()
            .chain_update(set)
            .chain_update([kind])
            .chain_update(key)
            .finalize();
        digest.into()
    }
}

impl From<i64> for RecordKey<'_> {
    fn from(key: i64) -> Self {
        RecordKey::Int(key)
    }
}

impl<'a> From<&'a str> for RecordKey<'a> {
    fn from(key: &'a str) -> Self {
        RecordKey::Str(key)
    }
}

impl<'a> From<&'a String> for RecordKey<'a> {
    fn from(key: &'a String) -> Self {
        RecordKey::Str(key)
    }
}

impl<'a> From<&'a [u8]> for RecordKey<'a> {
    fn from(key: &'a [u8]) -> Self {
        RecordKey::Blob(key)
    }
}

impl From<Digest> for RecordKey<'_> {
    fn from(digest: Digest) -> Self {
        RecordKey::Digest(digest)
    }
}
