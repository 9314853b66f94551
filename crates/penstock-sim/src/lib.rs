//! An Aerospike server in the process, for the demo and the tests: the server's side of the wire protocol, in memory,
//! on a loopback port, in a millisecond, with faults on command.
//!
//! A test double: the service never runs on it. It answers as a real server answered in
//! `tests/data/aerospike-transcript.txt` (`tests/sim/golden.rs` compares byte by byte), and where that is silent as the
//! server's source does (community edition 8.1.2.0). One node, which owns every partition, or up to three, which share
//! them out, pass rows on to each other, leave and come back. Blocking threads and sockets; nothing in it is async, and
//! it uses nothing of the client that it is made for, and nothing of Penstock.
//!
//! Several nodes are several addresses with one store behind them: copies and migrations take no time and are never
//! out of date. There are no split clusters and no versions of a record to be resolved.
//!
//! It does not do queries, scans, UDFs, transactions, TLS, compression, secondary indexes, or writing to disk.
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

// In reading order: bytes, what they ask for, records, what is done to them, who does it.
mod wire;
mod message;
mod msgpack;
mod store;
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
mod control;

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
pub use random::Share;
pub use stats::Stats;
pub use store::NamespaceConfig;

use auth::Auth;
use cluster::Cluster;
use engine::Engine;
use faults::NodeFaults;
use nodes::{Nodes, Presence};
use server::{Connections, Listener};
use stats::Counters;
use store::{Record, Store};

/// The most nodes a cluster has.
pub const NODES_MAX: usize = 3;

/// How a simulator starts.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where the first node listens, and the others at the ports that follow. Port 0 takes free ones.
    pub listen: SocketAddr,
    /// How many nodes the cluster has, 1 to [`NODES_MAX`].
    pub nodes: usize,
    /// Where control commands are heard, if anywhere (`control_command` says what they look like).
    pub control: Option<SocketAddr>,
    /// What the first node calls itself. The others are called B2 and C3.
    pub node_name: String,
    /// What its cluster is called.
    pub cluster_name: String,
    /// The namespaces it has.
    pub namespaces: Vec<NamespaceConfig>,
    /// Rows of one batch on one key run in their order, as in a namespace in memory that allows it. Else they race.
    pub inline: bool,
    /// `batch-max-requests`; 0: no limit.
    pub batch_rows_max: u32,
    /// User and password that connections must log in with; without them there is no security, as in the community
    /// edition.
    pub login: Option<(String, String)>,
    /// What a login is answered where there is no security: 51 by the community edition, 52 by an enterprise edition that is
    /// configured so.
    pub security_off: u8,
    /// Nodes by name, and where they say they are (`host:port`, at commas) in place of where they listen.
    pub announce: Vec<(String, String)>,
    /// The same of their alternate addresses; by default they have none.
    pub announce_alternate: Vec<(String, String)>,
    /// Where races and shares start from.
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

/// Who answers: one node of the cluster.
pub struct Node {
    /// Its place among all.
    number: usize,
    name: String,
    presence: Arc<Presence>,
}

/// A running simulator. Dropping it closes its sockets and joins its threads.
pub struct Simulator {
    // Control first: nothing may change what is being taken down.
    control: Option<Listener>,
    nodes: Arc<Nodes>,
    /// Of the whole cluster.
    faults: Faults,
    store: Arc<Store>,
}

impl Simulator {
    /// Listens and serves. Fails where an address cannot be had.
    pub fn start(config: SimConfig) -> io::Result<Self> {
        if !(1..=NODES_MAX).contains(&config.nodes) {
            let fault = format!("{} nodes: there can be 1 to {NODES_MAX}", config.nodes);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, fault));
        }
        let config = Arc::new(config);
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
        let auth = Arc::new(Auth::new(login, config.security_off, config.seed)?);
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
                    auth: auth.clone(),
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

    /// Where clients connect: the first node's address.
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
    /// Where there are not so many.
    pub fn node(&self, number: usize) -> SimNode {
        SimNode::new(self.nodes.clone(), number)
    }

    /// Where control commands are heard.
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(Listener::addr)
    }

    /// What is to go wrong, at whichever node; may be kept and used from any thread.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// From now on clients must log in as this user, and all sessions are over. The error: no such password can be.
    pub fn set_user(&self, name: &str, password: &str) -> io::Result<()> {
        self.nodes.engines[0].auth.set_user(name, password)
    }

    /// From now on every login is refused with this code; `None`: no longer.
    pub fn refuse_logins(&self, code: Option<u8>) {
        self.nodes.engines[0].auth.refuse(code);
    }

    /// All connections have to log in anew.
    pub fn end_sessions(&self) {
        self.nodes.engines[0].auth.end_sessions();
    }

    /// What was counted so far, at all nodes together.
    pub fn stats(&self) -> Stats {
        self.nodes.stats()
    }

    /// The live records of a set, by digest. The empty name is the records without a set.
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
        let digest = key.into().digest(set);
        let namespace = self.store.namespace(namespace.as_bytes())?;
        let now = self.store.now();
        let shard = namespace.shard(&digest);
        shard
            .get(&digest)
            .filter(|record| !record.is_expired(now))
            .map(|record| RecordView::new(record, now))
    }

    /// Stores a record as it is, past every limit and fault: these bins and no others, without a ttl or a user key. For
    /// states that a client cannot make, or not as fast. The error says what no server could hold.
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

    /// Takes a record away, as an eviction does. `false`: it was not there.
    pub fn remove<'k>(&self, namespace: &str, set: &str, key: impl Into<RecordKey<'k>>) -> bool {
        let digest = key.into().digest(set);
        self.find(namespace).is_ok_and(|namespace| namespace.remove(&digest))
    }

    /// Changes a namespace's settings while it serves; all but its name can be. The error: there is no such namespace.
    pub fn configure(&self, namespace: &str, change: impl FnOnce(&mut NamespaceConfig)) -> Result<(), String> {
        change(&mut self.find(namespace)?.config.write());
        Ok(())
    }

    fn find(&self, namespace: &str) -> Result<&store::Namespace, String> {
        let found = self.store.namespace(namespace.as_bytes());
        found.ok_or_else(|| format!("no namespace {namespace:?}"))
    }

    /// Forgets every record, as servers in memory do that are all restarted: connections are closed, too.
    pub fn restart_empty(&self) {
        self.nodes.restart_empty();
    }

    /// Lets so many seconds pass for the records' times to live.
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

/// The listening sockets of all nodes.
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

/// A record as tests look at it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordView {
    /// The bins by name.
    pub bins: BTreeMap<String, Value>,
    /// How often it was written, from 1.
    pub generation: u32,
    /// Seconds it has left; `None`: for ever.
    pub ttl: Option<u32>,
    /// The user key, where it was sent.
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

/// How a record is asked for.
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
