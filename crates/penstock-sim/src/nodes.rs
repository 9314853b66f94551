//! The nodes of the cluster, which can leave and join: each one's address, connections and faults, and what happens to
//! the records meanwhile.
//!
//! All nodes share one store, as if every record were copied at once when it is written and migrated at once when a
//! node joins. So a record survives its node unless `Leave::lossy` is set, and no read ever sees an old copy. Tests and
//! the control port call this module; the connection threads only read a node's [`Presence`].

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::auth::Auth;
use super::engine::Engine;
use super::faults::Faults;
use super::server::{self, Connections, Listener, Threads};
use super::stats::Stats;

/// How long the other nodes miss heartbeats before they continue without a node: 10 intervals of 150 ms
/// (`heartbeat.interval`, `heartbeat.timeout`).
const UNNOTICED: Duration = Duration::from_millis(1500);

/// How a node leaves. By default its process dies, and the other nodes have its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// What its clients experience from now on.
    pub gone: Gone,
    /// How long (or until `settle`) the other nodes do not notice: their partition map still names it, and rows that
    /// they forward to it time out. Zero: it left in order.
    pub unnoticed: Duration,
    /// The records of which it was master are lost too, as with one copy per record and a node that comes back empty.
    pub lossy: bool,
}

impl Default for Leave {
    fn default() -> Self {
        Leave {
            gone: Gone::Refusing,
            unnoticed: UNNOTICED,
            lossy: false,
        }
    }
}

/// How a node comes back. By default at once, at the same address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Join {
    /// How long (or until `settle`) it is not in the cluster yet: it answers rows with 11, and clients do not use it.
    pub after: Duration,
    /// Comes back at another port.
    pub elsewhere: bool,
}

/// What clients experience at the address of a node that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// A machine without its process: connections are closed, and new ones are refused.
    Refusing,
    /// No machine: connections stay open but are never answered. The system still accepts new ones, but they are not
    /// answered either.
    Silent,
}

/// Whether a node is present, for its connection threads.
pub struct Presence {
    addr: Mutex<SocketAddr>,
    announced: Mutex<Announced>,
    /// How often it left and came back. The last bit says whether it is away.
    turns: AtomicU64,
    /// The generation of the partition map when it joined. Each node counts its own generations.
    generation_joined: AtomicU64,
}

/// The addresses that a node announces (`access-address`, `alternate-access-address`).
#[derive(Default)]
struct Announced {
    /// `None`: the address at which it listens.
    ordinary: Option<String>,
    /// Empty: no alternate address, as by default.
    alternate: String,
    /// How often the announcement changed.
    changes: u64,
}

/// A life of a node, between joining and leaving, in which a message arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life(u64);

impl Presence {
    pub fn new(addr: SocketAddr) -> Self {
        Presence {
            addr: Mutex::new(addr),
            announced: Mutex::default(),
            turns: AtomicU64::new(0),
            generation_joined: AtomicU64::new(0),
        }
    }

    /// The address at which it listens, or did.
    pub fn addr(&self) -> SocketAddr {
        *self.addr.lock()
    }

    /// The addresses that it announces, separated by commas.
    pub fn announced(&self) -> String {
        let announced = self.announced.lock().ordinary.clone();
        announced.unwrap_or_else(|| self.addr().to_string())
    }

    /// Its alternate addresses. Empty: it has none.
    pub fn announced_alternate(&self) -> String {
        self.announced.lock().alternate.clone()
    }

    /// How often its announcement changed.
    pub fn announcements(&self) -> u64 {
        self.announced.lock().changes
    }

    /// Announces these addresses from now on. `None`: the address at which it listens.
    pub fn announce(&self, addresses: Option<&str>) {
        let announced = &mut *self.announced.lock();
        announced.ordinary = addresses.map(str::to_owned);
        announced.changes += 1;
    }

    /// Announces these alternate addresses from now on.
    pub fn announce_alternate(&self, addresses: &str) {
        let announced = &mut *self.announced.lock();
        addresses.clone_into(&mut announced.alternate);
        announced.changes += 1;
    }

    pub fn is_here(&self) -> bool {
        self.turns.load(Ordering::SeqCst).is_multiple_of(2)
    }

    pub fn life(&self) -> Life {
        Life(self.turns.load(Ordering::SeqCst))
    }

    /// Whether the node has not left since the beginning of this life.
    pub fn is_still(&self, life: Life) -> bool {
        self.is_here() && self.life() == life
    }

    pub fn generation(&self, view: u64) -> u64 {
        view.saturating_sub(self.generation_joined.load(Ordering::SeqCst))
    }

    fn turn(&self) {
        self.turns.fetch_add(1, Ordering::SeqCst);
    }
}

/// The listening socket of a node. Locked while the node leaves or joins, including the opening and closing of sockets.
/// So a leave and a join at the same time run one after the other.
struct Door {
    listener: Option<Listener>,
    /// Holds the port while nobody listens: bound, so that no other program gets it, and connections are refused.
    kept: Option<Socket>,
    /// Connections of former lives. They may be waiting out a fault; joined at the end.
    former: Vec<Threads>,
}

/// All nodes of a simulator.
pub struct Nodes {
    pub engines: Vec<Arc<Engine>>,
    connections: Vec<Connections>,
    doors: Vec<Mutex<Door>>,
}

impl Nodes {
    /// Starts to listen for each engine's node.
    pub fn start(
        engines: Vec<Arc<Engine>>,
        sockets: Vec<TcpListener>,
        connections: Vec<Connections>,
    ) -> io::Result<Self> {
        let mut doors = Vec::with_capacity(sockets.len());
        for ((engine, socket), connections) in engines.iter().zip(sockets).zip(&connections) {
            let listener = listen(engine, socket, connections.clone())?;
            doors.push(Mutex::new(Door {
                listener: Some(listener),
                kept: None,
                former: Vec::new(),
            }));
        }
        Ok(Nodes {
            engines,
            connections,
            doors,
        })
    }

    /// Who may log in, of each node.
    pub fn auths(&self) -> impl Iterator<Item = &Auth> {
        self.engines.iter().map(|engine| &engine.auth)
    }

    pub fn leave(&self, number: usize, how: Leave) -> io::Result<()> {
        let (engine, mut door) = (&self.engines[number], self.doors[number].lock());
        if !engine.node.presence.is_here() {
            return Err(io::Error::other(format!("{} is away already", engine.node.name)));
        }
        let view = engine.cluster.view();
        engine.node.presence.turn();
        if how.gone == Gone::Refusing
            && let Some(listener) = door.listener.take()
        {
            // Its connections are closed with it.
            door.former.push(listener.stop());
            // If this fails, the port is not held; that is all.
            door.kept = keep(engine.node.presence.addr()).ok();
        }
        engine.faults.own().forget_late();
        if how.lossy {
            engine.store.retain(|digest| view.master(digest) != Some(number));
        }
        engine.cluster.change(number, false, how.unnoticed);
        Ok(())
    }

    pub fn join(&self, number: usize, how: Join) -> io::Result<()> {
        let (engine, mut door) = (&self.engines[number], self.doors[number].lock());
        let node = &engine.node;
        if node.presence.is_here() {
            return Err(io::Error::other(format!("{} is here already", node.name)));
        }
        let mut addr = node.presence.addr();
        if how.elsewhere {
            addr.set_port(0);
            // A silent node still has its listener; its connections are closed with it.
            if let Some(listener) = door.listener.take() {
                door.former.push(listener.stop());
            }
        }
        let socket = match door.listener {
            Some(_) => None,
            None => Some(TcpListener::bind(addr)?),
        };
        if let Some(socket) = &socket {
            *node.presence.addr.lock() = socket.local_addr()?;
        }
        let cluster = &engine.cluster;
        if !self.engines.iter().any(|engine| engine.node.presence.is_here()) {
            // No node is present that could regard others as members.
            (0..self.engines.len()).for_each(|other| cluster.change(other, false, Duration::ZERO));
        }
        cluster.change(number, false, Duration::ZERO);
        node.presence
            .generation_joined
            .store(cluster.view().generation + 1, Ordering::SeqCst);
        cluster.change(number, true, how.after);
        node.presence.turn();
        // Clients of a silent node must reconnect. This is done after the turn, so that no connection is accepted into
        // the former life.
        self.connections[number].close_all();
        if let Some(socket) = socket {
            door.kept = None;
            door.listener = Some(listen(engine, socket, self.connections[number].clone())?);
        }
        Ok(())
    }

    /// The counts of all nodes together.
    pub fn stats(&self) -> Stats {
        let stats = self.engines.iter().map(|engine| engine.counters.snapshot());
        stats.fold(Stats::default(), Stats::plus)
    }

    /// Every node forgets everything and closes its connections.
    pub fn restart_empty(&self) {
        for engine in &self.engines {
            engine.store.clear();
            engine.faults.cluster().forget_late();
            engine.faults.own().forget_late();
        }
        self.connections.iter().for_each(Connections::close_all);
    }

    /// Ends all waits, closes all sockets and joins all threads.
    pub fn stop(&self) {
        self.engines.iter().for_each(|engine| engine.faults.stop());
        for door in &self.doors {
            let mut door = door.lock();
            door.listener = None;
            door.former.clear();
        }
    }
}

fn listen(engine: &Arc<Engine>, socket: TcpListener, connections: Connections) -> io::Result<Listener> {
    let (accepting, serving) = (engine.clone(), engine.clone());
    let accept = move || !accepting.faults.is_refusing();
    let handler = move |stream| server::converse(&serving, stream);
    Listener::serve(socket, "sim", connections, accept, handler)
}

/// A socket that is bound but does not listen: the system refuses connections. `SO_REUSEADDR` allows a listener to be
/// bound beside it.
fn keep(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(addr))?;
    Ok(socket)
}

/// A handle for one node of a running simulator.
#[derive(Clone)]
pub struct SimNode {
    nodes: Arc<Nodes>,
    number: usize,
}

impl SimNode {
    pub(super) fn new(nodes: Arc<Nodes>, number: usize) -> Self {
        assert!(number < nodes.engines.len(), "there is no node {number}");
        SimNode { nodes, number }
    }

    fn engine(&self) -> &Engine {
        &self.nodes.engines[self.number]
    }

    /// The name of the node.
    pub fn name(&self) -> &str {
        &self.engine().node.name
    }

    /// The address for clients.
    pub fn addr(&self) -> SocketAddr {
        self.engine().node.presence.addr()
    }

    /// Announces these addresses from now on (`host:port`, separated by commas), which may be wrong. `None`: the
    /// address at which it listens.
    pub fn announce(&self, addresses: Option<&str>) {
        self.engine().node.presence.announce(addresses);
    }

    /// Announces these alternate addresses from now on. Empty: none.
    pub fn announce_alternate(&self, addresses: &str) {
        self.engine().node.presence.announce_alternate(addresses);
    }

    /// The faults of this node alone. They are used only if no fault of the whole cluster applies.
    pub fn faults(&self) -> Faults {
        self.engine().faults.own().clone()
    }

    /// The same as [`Simulator::set_password`](super::Simulator::set_password), at this node alone.
    pub fn set_password(&self, name: &str, password: &str) -> io::Result<()> {
        self.engine().auth.set_password(name, password)
    }

    /// The counts of this node so far.
    pub fn stats(&self) -> Stats {
        self.engine().counters.snapshot()
    }

    /// Whether it is present.
    pub fn is_here(&self) -> bool {
        self.engine().node.presence.is_here()
    }

    /// The number of the 4096 partitions of which it is master.
    pub fn partitions(&self) -> usize {
        self.engine().cluster.view().mastered(self.number)
    }

    /// Whether it is master of a record.
    pub fn masters(&self, digest: &super::Digest) -> bool {
        self.engine().cluster.view().master(digest) == Some(self.number)
    }

    /// Makes it leave. The error: it has already left.
    pub fn leave(&self, how: Leave) -> io::Result<()> {
        self.nodes.leave(self.number, how)
    }

    /// Ends the waiting time now: the others notice that it left, or accept it into the cluster.
    pub fn settle(&self) {
        self.engine().cluster.settle(self.number);
    }

    /// Brings it back. The error: it is present, or its port is taken.
    pub fn join(&self, how: Join) -> io::Result<()> {
        self.nodes.join(self.number, how)
    }
}
