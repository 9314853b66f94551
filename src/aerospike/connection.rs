//! The client in use, and its successor where it has lost the cluster.
//!
//! A client follows nodes that come and go as long as it knows one that is there. When all are gone it looks for
//! `aerospike.hosts` and for the nodes that it knew when it was made, and for no others (`aerospike-core` 3.0.0,
//! `cluster/mod.rs`: `seed_nodes`, and `merge_seeds`, which is called once): nodes that joined since, and are the first to be
//! back, it never finds. So where each node was is remembered, and a client without a node is replaced by one that looks
//! there too, again and again.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aerospike::{Client, ClientPolicy};
use log::{debug, info};
use parking_lot::{Mutex, RwLock};

use super::chain;

/// Without a node for so long, a client is made anew; and again after as long.
const LOST_MAX: Duration = Duration::from_secs(5);
/// How many addresses are remembered: more than most clusters have nodes.
const KNOWN_MAX: usize = 64;
/// Between two looks at where the nodes are.
const REMEMBER_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    policy: ClientPolicy,
    hosts: String,
    client: RwLock<Arc<Client>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since when the client has no node, or was last tried to be replaced.
    lost: Option<Instant>,
    /// A new one is being made.
    is_making: bool,
    /// Where nodes were, those seen last in front, and when that was looked at.
    known: Vec<String>,
    known_at: Option<Instant>,
    is_closed: bool,
}

impl Connection {
    pub fn new(client: Client, policy: ClientPolicy, hosts: String) -> Arc<Self> {
        Arc::new(Connection {
            policy,
            hosts,
            client: RwLock::new(Arc::new(client)),
            state: Mutex::default(),
        })
    }

    pub fn client(&self) -> Arc<Client> {
        self.client.read().clone()
    }

    /// To be called now and then while calls are answered: where the nodes are now.
    pub fn remember_nodes(&self) {
        let mut state = self.state.lock();
        let now = Instant::now();
        if state
            .known_at
            .is_some_and(|at| now.duration_since(at) < REMEMBER_INTERVAL)
        {
            return;
        }
        state.known_at = Some(now);
        let nodes = self.client().nodes();
        let mut known: Vec<String> = nodes.iter().map(|node| node.address().to_owned()).collect();
        // Nodes may go one by one, and the first to be back need not be the last that was there.
        for before in std::mem::take(&mut state.known) {
            if known.len() < KNOWN_MAX && !known.contains(&before) {
                known.push(before);
            }
        }
        state.known = known;
    }

    /// Where nodes are, or without one, where they were and `aerospike.hosts`.
    pub fn addresses(&self) -> Vec<String> {
        let nodes = self.client().nodes();
        if !nodes.is_empty() {
            return nodes.iter().map(|node| node.address().to_owned()).collect();
        }
        let mut addresses = super::seeds(&self.hosts);
        addresses.extend(self.state.lock().known.iter().cloned());
        addresses.dedup();
        addresses
    }

    pub fn remembers(&self) -> usize {
        self.state.lock().known.len()
    }

    /// To be called when a call was answered for none of its rows. Does not wait for the new client.
    pub fn look_for_cluster(self: &Arc<Self>) {
        if !self.client().nodes().is_empty() {
            self.state.lock().lost = None;
            return;
        }
        let now = Instant::now();
        let hosts = {
            let mut state = self.state.lock();
            let lost = *state.lost.get_or_insert(now);
            if state.is_making || state.is_closed || now.duration_since(lost) < LOST_MAX {
                return;
            }
            state.is_making = true;
            state.lost = Some(now);
            std::iter::once(self.hosts.clone())
                .chain(state.known.iter().cloned())
                .collect::<Vec<_>>()
                .join(",")
        };
        let connection = self.clone();
        let spawned = thread::Builder::new().name("aerospike-anew".into()).spawn(move || {
            debug!("aerospike: no node is left, looking for hosts={hosts}");
            let made = Client::new(&connection.policy, &hosts);
            connection.made(made.map_err(|error| chain(&error)));
        });
        if let Err(error) = spawned {
            debug!("aerospike: cannot start a thread error=\"{error}\"");
            self.state.lock().is_making = false;
        }
    }

    fn made(&self, made: Result<Client, String>) {
        let mut state = self.state.lock();
        state.is_making = false;
        match made {
            // The old one has found its nodes meanwhile, or nobody wants any.
            Ok(client) if state.is_closed || !self.client().nodes().is_empty() => close(&client),
            Ok(client) => {
                info!("aerospike: the cluster is found again nodes={}", client.nodes().len());
                let before = std::mem::replace(&mut *self.client.write(), Arc::new(client));
                // Calls under way keep it until they end.
                close(&before);
            }
            Err(why) => debug!("aerospike: not found error=\"{why}\""),
        }
    }

    /// No client is made any more.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        close(&self.client());
    }
}

/// Open it would tend its cluster for ever.
fn close(client: &Client) {
    if let Err(error) = client.close() {
        debug!("aerospike: closing the client failed error=\"{}\"", chain(&error));
    }
}
