//! Keeps the partition map up to date, while workers write by it.
//!
//! The client finds the nodes and notices changes. One thread (`aerospike-map`) looks at what the client knows, and asks
//! nodes what they own. Each question runs on a thread of its own (`aerospike-ask`), because a node may not answer: no
//! node waits for another one, and workers wait for none. They take the map that is there ([`Cluster::map`]), and say
//! so if a call failed because of it ([`Cluster::doubt`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{debug, warn};
use parking_lot::RwLock;

use super::partitions::{Claim, Map, NodeAddress, Part};
use crate::aerospike::ask::{Manner, Place, Silence, ask};
use crate::util::stop::Stop;
use crate::util::throttle::{LINES, Throttle};

/// Interval at which the client's nodes and their generations are looked at. The client asks its nodes once a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Minimum time between two rounds of questions that doubts cause. Within it, a call that fails costs no question.
const DOUBT_INTERVAL: Duration = Duration::from_millis(100);
/// The time doubles up to this, as long as one round follows the other: what a new map does not cure may last for hours.
const DOUBT_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// After this time, a node that did not answer, or whose answer another node contradicts, is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How many answers may wait for the thread. It takes them at once.
const EVENTS_MAX: usize = 64;
/// What a node is asked. The generation comes before the map: if the map changes in between, the generation is too old
/// and not too new, and the node is asked again. (The server answers in the order of the names.)
const QUESTIONS: [&str; 4] = ["node", "partition-generation", "peers-clear-std", "replicas"];
/// The client has no generation of a node: it has not asked it yet, or it lost it and will ask again.
const NO_GENERATION: i64 = -1;

/// What the client knows now.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Changes when the client is replaced.
    pub epoch: u64,
    pub nodes: Vec<Seen>,
}

/// A node that the client has.
#[derive(Debug, Clone)]
pub struct Seen {
    pub address: NodeAddress,
    /// Number of the partition map that the client has of it, or −1.
    pub generation: i64,
}

/// The answer of one node.
#[derive(Debug, Clone)]
pub struct Told {
    /// The name of the node that answered.
    pub name: String,
    pub generation: i64,
    /// It says that it has no peers: it is alone, or cut off.
    pub is_alone: bool,
    pub part: Part,
}

/// Why a node's answer is not there.
#[derive(Debug)]
pub enum Unknown {
    Silent(Silence),
    /// It answered, and not as it should.
    Wrong(String),
}

/// The partition map that is in use, and the thread that renews it. Its drop ends the thread.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    map: RwLock<Arc<Map>>,
    is_doubted: AtomicBool,
    is_over: AtomicBool,
    /// Every node has answered or failed once.
    is_complete: AtomicBool,
    events: Sender<Event>,
}

#[derive(Debug)]
enum Event {
    /// Something in [`Shared`] has changed.
    Wake,
    Answer {
        ticket: u64,
        answer: Result<Told, Unknown>,
    },
}

impl Shared {
    fn wake(&self) {
        // If the channel is full, the thread has something to wake up for.
        let _ = self.events.try_send(Event::Wake);
    }
}

impl Cluster {
    /// Starts the thread. `view`: what the client knows now; must not block.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(view: impl Fn() -> View + Send + 'static) -> std::io::Result<Cluster> {
        let (events, received) = bounded(EVENTS_MAX);
        let shared = Arc::new(Shared {
            map: RwLock::default(),
            is_doubted: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_complete: AtomicBool::new(false),
            events,
        });
        let refresher = Refresher {
            shared: shared.clone(),
            view,
            known: Known::default(),
            lines: Throttle::new(LINES),
        };
        let thread = thread::Builder::new()
            .name("aerospike-map".into())
            .spawn(move || refresher.run(&received))?;
        Ok(Cluster {
            shared,
            thread: Some(thread),
        })
    }

    /// The map to write by now.
    pub fn map(&self) -> Arc<Map> {
        self.shared.map.read().clone()
    }

    /// The map may be old: a call failed in a way that a newer one may cure. All nodes are asked, at most every
    /// 100 ms, and more and more seldom if that changes nothing. Does not wait.
    pub fn doubt(&self) {
        if !self.shared.is_doubted.swap(true, Relaxed) {
            self.shared.wake();
        }
    }

    /// Waits until every node that the client has was asked once, and answered or failed. Returns whether that was so
    /// before `until`, and before a stop.
    pub fn wait_complete(&self, until: Instant, stop: &Stop) -> bool {
        while !self.shared.is_complete.load(Relaxed) {
            if stop.requested() || Instant::now() >= until {
                return false;
            }
            stop.wait(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Relaxed);
        self.shared.wake();
        // The thread itself never waits for a node. Questions in flight end by their time-outs.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread `aerospike-map`.
struct Refresher<V> {
    shared: Arc<Shared>,
    view: V,
    known: Known,
    lines: Throttle,
}

impl<V: Fn() -> View> Refresher<V> {
    fn run(mut self, events: &Receiver<Event>) {
        while !self.shared.is_over.load(Relaxed) {
            let now = Instant::now();
            let may_doubt = self.known.may_doubt(now);
            let is_doubted = may_doubt && self.shared.is_doubted.swap(false, Relaxed);
            for (ticket, address) in self.known.look((self.view)(), is_doubted, now) {
                self.ask(ticket, address);
            }
            self.publish();
            // A doubt that comes too early is looked at again after the interval.
            match events.recv_timeout(LOOK_INTERVAL) {
                Ok(first) => {
                    // One map for all answers that are there.
                    for event in std::iter::once(first).chain(events.try_iter()) {
                        if let Event::Answer { ticket, answer } = event {
                            self.take(ticket, answer);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn ask(&mut self, ticket: u64, address: NodeAddress) {
        let events = self.shared.events.clone();
        let spawned = thread::Builder::new().name("aerospike-ask".into()).spawn(move || {
            let answer = ask_node(&address);
            // Nobody waits for the answer if the store is gone.
            let _ = events.send(Event::Answer { ticket, answer });
        });
        if let Err(error) = spawned {
            let wrong = Unknown::Wrong(format!("cannot start a thread: {error}"));
            self.take(ticket, Err(wrong));
        }
    }

    fn take(&mut self, ticket: u64, answer: Result<Told, Unknown>) {
        let Some((node, unknown)) = self.known.answered(ticket, answer, Instant::now()) else {
            return;
        };
        match unknown {
            Unknown::Silent(silence) => {
                debug!(
                    "aerospike: partition map: no answer node={} reason=\"{silence}\"",
                    node.name
                );
            }
            Unknown::Wrong(why) => {
                if let Some(repeated) = self.lines.pass() {
                    warn!(
                        "aerospike: a node's partition map cannot be read, what it told before is used node={} reason=\"{why}\"{repeated}",
                        node.name
                    );
                }
            }
        }
    }

    fn publish(&mut self) {
        let before = self.shared.map.read().clone();
        if let Some(map) = self.known.map(&before) {
            debug!(
                "aerospike: partition map renewed nodes={} holes={} epoch={}",
                map.nodes().len(),
                map.holes(),
                map.epoch()
            );
            *self.shared.map.write() = Arc::new(map);
        }
        if self.known.is_complete() {
            self.shared.is_complete.store(true, Relaxed);
        }
    }
}

/// What is known of the nodes. Decides whom to ask; uses no clock and no socket.
#[derive(Debug, Default)]
struct Known {
    epoch: u64,
    nodes: Vec<Node>,
    /// Something has changed since the last map was made.
    is_changed: bool,
    /// The last number that was given to a question or an answer.
    number: u64,
    doubted: Option<Instant>,
    /// How many rounds that doubts caused have followed one another without a change of the map.
    doubts: u32,
}

#[derive(Debug)]
struct Node {
    address: NodeAddress,
    told: Option<Told>,
    /// Number of its answer.
    order: u64,
    /// The question in flight.
    ticket: Option<u64>,
    /// The question in flight may be answered with what is doubted: ask again afterwards.
    again: bool,
    /// When it last answered or failed.
    heard: Option<Instant>,
    has_failed: bool,
    /// Another node claims what it claims, and answered later.
    is_contradicted: bool,
    /// The client's generation when it was last asked.
    generation: i64,
}

impl Node {
    fn new(address: NodeAddress) -> Node {
        Node {
            address,
            told: None,
            order: 0,
            ticket: None,
            again: false,
            heard: None,
            has_failed: false,
            is_contradicted: false,
            generation: NO_GENERATION,
        }
    }

    /// Whether the client has another map of it than we. A client that lost its generation (-1) reads the map again, so
    /// we do, when it has one.
    fn has_moved(&mut self, generation: i64) -> bool {
        if generation == NO_GENERATION {
            self.generation = NO_GENERATION;
            return false;
        }
        let is_told = self.told.as_ref().is_some_and(|told| told.generation == generation);
        if is_told && self.generation != NO_GENERATION {
            // The client has caught up. The next generation may be one that it had before.
            self.generation = generation;
        }
        generation != self.generation
    }
}

impl Known {
    fn may_doubt(&self, now: Instant) -> bool {
        self.doubted
            .is_none_or(|at| now.saturating_duration_since(at) >= self.doubt_interval())
    }

    fn doubt_interval(&self) -> Duration {
        (DOUBT_INTERVAL * (1 << self.doubts.min(8))).min(DOUBT_INTERVAL_MAX)
    }

    /// Follows the client, and returns whom to ask now, each with the number of the question.
    fn look(&mut self, view: View, is_doubted: bool, now: Instant) -> Vec<(u64, NodeAddress)> {
        if is_doubted {
            let follows = |at: Instant| now.saturating_duration_since(at) < 2 * DOUBT_INTERVAL_MAX;
            self.doubts = if self.doubted.is_some_and(follows) {
                self.doubts + 1
            } else {
                0
            };
            self.doubted = Some(now);
        }
        let is_replaced = view.epoch != self.epoch;
        let is_same = |known: &Node, seen: &Seen| known.address == seen.address;
        let moved = self.nodes.len() != view.nodes.len()
            || self
                .nodes
                .iter()
                .zip(&view.nodes)
                .any(|(known, seen)| !is_same(known, seen));
        self.is_changed |= is_replaced || moved;
        self.epoch = view.epoch;
        let mut before = std::mem::take(&mut self.nodes);
        let mut asked = Vec::new();
        for seen in view.nodes {
            let place = before.iter().position(|known| known.address == seen.address);
            let mut node = match place {
                Some(place) => before.swap_remove(place),
                None => Node::new(seen.address.clone()),
            };
            let has_moved = node.has_moved(seen.generation);
            let is_due = node
                .heard
                .is_none_or(|at| now.saturating_duration_since(at) >= RETRY_INTERVAL);
            let is_wanted = is_doubted || is_replaced || node.again || has_moved;
            let is_retried = is_due && (node.told.is_none() || node.has_failed || node.is_contradicted);
            if node.ticket.is_some() {
                node.again |= is_doubted || is_replaced;
            } else if is_wanted || is_retried {
                self.number += 1;
                node.ticket = Some(self.number);
                node.again = false;
                node.generation = seen.generation;
                asked.push((self.number, seen.address));
            }
            self.nodes.push(node);
        }
        asked
    }

    /// Takes an answer. Returns why there is none.
    fn answered(&mut self, ticket: u64, answer: Result<Told, Unknown>, now: Instant) -> Option<(NodeAddress, Unknown)> {
        // Otherwise the client has dropped the node meanwhile.
        let node = self.nodes.iter_mut().find(|node| node.ticket == Some(ticket))?;
        node.ticket = None;
        node.heard = Some(now);
        let name = &node.address.name;
        let answer = answer.and_then(|told| match told.name == *name {
            true => Ok(told),
            false => Err(Unknown::Wrong(format!("node {} answers there", told.name))),
        });
        // A node that fails may change who else counts.
        self.is_changed |= answer.is_ok() || !node.has_failed;
        node.has_failed = answer.is_err();
        match answer {
            Ok(told) => {
                self.number += 1;
                node.order = self.number;
                node.is_contradicted = false;
                node.told = Some(told);
                None
            }
            // What it told before is kept.
            Err(unknown) => Some((node.address.clone(), unknown)),
        }
    }

    /// Every node has answered or failed once.
    fn is_complete(&self) -> bool {
        self.nodes.iter().all(|node| node.heard.is_some())
    }

    /// The map, if it differs from the one before.
    fn map(&mut self, before: &Map) -> Option<Map> {
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        // A node that is cut off, or has just started, is a cluster of its own and claims everything. It does not count
        // as long as another node answers that has peers.
        let has_peers = |node: &Node| !node.has_failed && node.told.as_ref().is_some_and(|told| !told.is_alone);
        let is_cluster = self.nodes.iter().any(has_peers);
        let claims: Vec<Claim<'_>> = self
            .nodes
            .iter()
            .map(|node| Claim {
                address: &node.address,
                part: node
                    .told
                    .as_ref()
                    .filter(|told| !(told.is_alone && is_cluster))
                    .map(|told| &told.part),
                order: node.order,
            })
            .collect();
        let (map, stale) = Map::merge(self.epoch, &claims, before);
        for place in stale {
            self.nodes[place].is_contradicted = true;
        }
        let is_new = map != *before;
        if is_new {
            self.doubts = 0;
        }
        is_new.then_some(map)
    }
}

/// Asks a node what it owns, on a connection of its own.
fn ask_node(node: &NodeAddress) -> Result<Told, Unknown> {
    let answers = ask(&Place::at(&node.address), &Manner::default(), &QUESTIONS).map_err(Unknown::Silent)?;
    let wrong = |what: &str| Unknown::Wrong(what.to_owned());
    let generation = answers.get("partition-generation").parse();
    let part = Part::parse(answers.get("replicas"));
    Ok(Told {
        name: answers.get("node").to_owned(),
        generation: generation.map_err(|_| wrong("no partition-generation"))?,
        // `generation,default port,[]` (the server's `service_list.c`).
        is_alone: answers.get("peers-clear-std").ends_with(",[]"),
        part: part.map_err(|malformed| Unknown::Wrong(malformed.to_string()))?,
    })
}

#[cfg(test)]
mod tests;
