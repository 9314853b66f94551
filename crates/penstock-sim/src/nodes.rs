//! The nodes as things that come and go: each one's address, connections and faults; leaving, joining, and what becomes
//! of the records meanwhile.
//!
//! All nodes share one store, as if every record were copied the moment it is written and migrated the moment a node
//! joins: a record survives its node unless it is told otherwise (`Leave::lossy`), and no read ever sees an old copy.
//! Called from tests and the control port; the connection threads only look at a node's [`Presence`].

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::engine::Engine;
use super::faults::Faults;
use super::server::{self, Connections, Listener, Threads};
use super::stats::Stats;

/// The other nodes' heartbeats are missed for so long before they go on without one: 10 intervals of 150 ms
/// (`heartbeat.interval`, `heartbeat.timeout`).
const UNNOTICED: Duration = Duration::from_millis(1500);

/// How a node leaves. The default: its process dies, and the others have its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// What its clients meet from now on.
    pub gone: Gone,
    /// So long the others have not noticed, or until `settle`: their partition map names it, and what they pass on to it
    /// times out. Zero: it left in order.
    pub unnoticed: Duration,
    /// The records it was master of are gone, too, as with one copy of each and a node that comes back empty.
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

/// How a node comes back. The default: at once, where it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Join {
    /// So long it is not in the cluster yet, or until `settle`: it answers rows with 11, and clients do not take it for one
    /// of the cluster.
    pub after: Duration,
    /// At another port.
    pub elsewhere: bool,
}

/// What clients meet where a node was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// A machine without its process: connections are closed, new ones refused.
    Refusing,
    /// No machine: connections stay open, and nothing is answered. New ones are still accepted, by the system, and not
    /// answered either.
    Silent,
}

/// Whether a node is there, for its connection threads.
pub struct Presence {
    addr: Mutex<SocketAddr>,
    announced: Mutex<Announced>,
    /// How often it left and came back, and in the last bit whether it is away.
    turns: AtomicU64,
    /// The generation of the partition map when it joined: a node counts its own.
    generation_joined: AtomicU64,
}

/// Where a node says it is (`access-address`, `alternate-access-address`).
#[derive(Default)]
struct Announced {
    /// `None`: where it listens.
    ordinary: Option<String>,
    /// Empty: nowhere else, as by default.
    alternate: String,
    /// How often that changed.
    changes: u64,
}

/// The life of a node that a message arrived in.
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

    /// Where it listens, or did.
    pub fn addr(&self) -> SocketAddr {
        *self.addr.lock()
    }

    /// Where it says it is, at commas.
    pub fn announced(&self) -> String {
        let announced = self.announced.lock().ordinary.clone();
        announced.unwrap_or_else(|| self.addr().to_string())
    }

    /// The same of its alternate addresses; empty: it has none.
    pub fn announced_alternate(&self) -> String {
        self.announced.lock().alternate.clone()
    }

    /// How often what it says changed.
    pub fn announcements(&self) -> u64 {
        self.announced.lock().changes
    }

    /// From now on it says that it is there; `None`: where it listens.
    pub fn announce(&self, addresses: Option<&str>) {
        let announced = &mut *self.announced.lock();
        announced.ordinary = addresses.map(str::to_owned);
        announced.changes += 1;
    }

    /// The same of its alternate addresses.
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

    /// Whether a node has not left since.
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

/// Where a node listens. Locked while it leaves or joins, over opening and closing sockets too: who asks for both at once
/// gets one after the other.
struct Door {
    listener: Option<Listener>,
    /// Has the port while nobody listens: bound, so that it is no other program's, and refusing.
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
    /// Lets each engine's node listen.
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
            // If not, the port is merely not kept.
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
            // Of a silent one it is still there; its connections are closed with it.
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
            // Nobody is there who could hold others for members.
            (0..self.engines.len()).for_each(|other| cluster.change(other, false, Duration::ZERO));
        }
        cluster.change(number, false, Duration::ZERO);
        node.presence
            .generation_joined
            .store(cluster.view().generation + 1, Ordering::SeqCst);
        cluster.change(number, true, how.after);
        node.presence.turn();
        // What it was silent to must connect anew. After the turn, so that nothing is accepted into the former life.
        self.connections[number].close_all();
        if let Some(socket) = socket {
            door.kept = None;
            door.listener = Some(listen(engine, socket, self.connections[number].clone())?);
        }
        Ok(())
    }

    /// What was counted at all nodes together.
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

/// A socket that is bound and does not listen: the system refuses who connects. `SO_REUSEADDR`, so that a listener can be
/// bound beside it.
fn keep(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(addr))?;
    Ok(socket)
}

/// One node of a running simulator. A handle: it keeps nothing alive but itself.
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

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.engine().node.name
    }

    /// Where clients connect to it.
    pub fn addr(&self) -> SocketAddr {
        self.engine().node.presence.addr()
    }

    /// From now on it says that it is at these addresses (`host:port`, at commas), which need not be so; `None`: where it
    /// listens.
    pub fn announce(&self, addresses: Option<&str>) {
        self.engine().node.presence.announce(addresses);
    }

    /// The same of its alternate addresses; empty: it has none.
    pub fn announce_alternate(&self, addresses: &str) {
        self.engine().node.presence.announce_alternate(addresses);
    }

    /// What is to go wrong at this node alone. Where a fault of the whole cluster strikes, its own is not asked.
    pub fn faults(&self) -> Faults {
        self.engine().faults.own().clone()
    }

    /// What was counted at this node so far.
    pub fn stats(&self) -> Stats {
        self.engine().counters.snapshot()
    }

    /// Whether it has not left.
    pub fn is_here(&self) -> bool {
        self.engine().node.presence.is_here()
    }

    /// Of how many of the 4096 partitions it is master.
    pub fn partitions(&self) -> usize {
        self.engine().cluster.view().mastered(self.number)
    }

    /// Whether it is master of a record.
    pub fn masters(&self, digest: &super::Digest) -> bool {
        self.engine().cluster.view().master(digest) == Some(self.number)
    }

    /// It is gone. The error: it is already.
    pub fn leave(&self, how: Leave) -> io::Result<()> {
        self.nodes.leave(self.number, how)
    }

    /// The others notice now that it is gone, or take it into the cluster now.
    pub fn settle(&self) {
        self.engine().cluster.settle(self.number);
    }

    /// It is back. The error: it is here, or its port is taken.
    pub fn join(&self, how: Join) -> io::Result<()> {
        self.nodes.join(self.number, how)
    }
}
