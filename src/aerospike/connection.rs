//! The client in use, and its replacement if it has lost the cluster.
//!
//! A client follows nodes that come and go as long as it knows at least one live node. If all are gone, it looks only
//! for `aerospike.hosts` and for the nodes that it knew when it was created (`aerospike-core` 3.0.0, `cluster/mod.rs`:
//! `seed_nodes`, and `merge_seeds`, which is called once). It never finds a node that joined later, even if that node
//! is the first one to come back. So we remember the address of each node. A client without a node is replaced by one
//! that looks at these addresses too, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use aerospike::{AuthMode, Client, ClientPolicy, Host};
use log::{debug, info};
use parking_lot::{Mutex, RwLock};

use super::ask::Place;
use super::{chain, place};
use crate::config::model::Secret;

/// After this time without a node, a new client is created; and again after the same time.
const LOST_MAX: Duration = Duration::from_secs(5);
/// How many addresses are remembered. Most clusters have fewer nodes.
const KNOWN_MAX: usize = 64;
/// Interval between two updates of the nodes' addresses.
const REMEMBER_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    policy: RwLock<ClientPolicy>,
    /// The nodes of `aerospike.hosts`.
    seeds: Vec<Host>,
    client: RwLock<Current>,
    /// See [`Connection::hold`].
    is_held: AtomicBool,
    state: Mutex<State>,
}

/// The client in use.
#[derive(Clone)]
pub(super) struct Current {
    pub client: Arc<Client>,
    /// How many clients were there before it. What was learnt from another one may be wrong.
    pub epoch: u64,
}

#[derive(Default)]
struct State {
    /// Since when the client has no node, or when its replacement was last attempted.
    lost: Option<Instant>,
    /// A new client is being created.
    is_making: bool,
    /// Known addresses of nodes, the latest ones first, and when they were updated.
    known: Vec<Host>,
    known_at: Option<Instant>,
    is_closed: bool,
    /// Since when it is held.
    held: Option<Instant>,
}

/// A client is being created. The drop says that it is not any more, also after a panic; otherwise none would ever be
/// created again.
struct Making<'s>(Option<&'s Mutex<State>>);

impl<'s> Making<'s> {
    fn new(state: &'s Mutex<State>) -> Self {
        Making(Some(state))
    }

    /// Ends it under the lock that the caller has. A drop would wait for that lock.
    fn end(mut self, state: &mut State) {
        state.is_making = false;
        self.0 = None;
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.0 {
            state.lock().is_making = false;
        }
    }
}

impl Connection {
    pub fn new(client: Client, policy: ClientPolicy, seeds: Vec<Host>) -> Arc<Self> {
        Arc::new(Connection {
            policy: RwLock::new(policy),
            seeds,
            client: RwLock::new(Current {
                client: Arc::new(client),
                epoch: 0,
            }),
            is_held: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    pub fn client(&self) -> Arc<Client> {
        self.client.read().client.clone()
    }

    pub fn current(&self) -> Current {
        self.client.read().clone()
    }

    /// Remembers where the nodes are now. Called from time to time while calls are answered.
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
        self.remember_in(&mut state);
    }

    fn remember_in(&self, state: &mut State) {
        let nodes = self.client().nodes();
        let mut known: Vec<Host> = nodes.iter().map(|node| node.host()).collect();
        // Nodes may go one by one, and the first one to come back need not be the last one that was there.
        for before in std::mem::take(&mut state.known) {
            if known.len() < KNOWN_MAX && !known.contains(&before) {
                known.push(before);
            }
        }
        state.known = known;
    }

    /// The addresses of the nodes. Without a node: `aerospike.hosts` and the remembered addresses.
    pub fn places(&self) -> Vec<Place> {
        let nodes = self.client().nodes();
        if !nodes.is_empty() {
            return nodes.iter().map(|node| place(&node.host())).collect();
        }
        let mut places: Vec<Place> = Vec::new();
        for place in self.seeds.iter().chain(&self.state.lock().known).map(place) {
            if !places.iter().any(|known| known.address == place.address) {
                places.push(place);
            }
        }
        places
    }

    pub fn remembers(&self) -> usize {
        self.state.lock().known.len()
    }

    /// Closes the client: no node accepts its login. Left open, it would log in at every node every second, and every
    /// millisecond while a call waits for a connection (`aerospike-core` 3.0.0, `batch_operate_command.rs`). Calls must
    /// not go to the client until [`Self::renew`] has made another one.
    pub fn hold(&self) {
        {
            let mut state = self.state.lock();
            if self.is_held.swap(true, SeqCst) {
                return;
            }
            state.held = Some(Instant::now());
            self.remember_in(&mut state);
        }
        close(&self.client());
    }

    /// How long calls have not gone to the client. `None`: they go.
    pub fn held_for(&self) -> Option<Duration> {
        let since = self.is_held().then(|| self.state.lock().held)?;
        since.map(|since| since.elapsed())
    }

    /// Whether the client has lost a node, or all of them: it connects to it again, and again where that fails.
    pub fn is_losing_nodes(&self) -> bool {
        let nodes = self.client().nodes();
        nodes.is_empty() || nodes.iter().any(|node| node.failures() > 0)
    }

    /// Whether the client reaches no node.
    pub fn has_lost_all_nodes(&self) -> bool {
        self.client().nodes().iter().all(|node| node.failures() > 0)
    }

    /// Whether calls must not go to the client.
    pub fn is_held(&self) -> bool {
        self.is_held.load(SeqCst)
    }

    /// Makes a client with this login, or with the one so far, and uses it from now on. Blocks, mostly for some
    /// milliseconds.
    ///
    /// # Errors
    /// There is no new client: why. The old one stays in use.
    pub fn renew(&self, login: Option<(&Secret, &Secret)>) -> Result<(), String> {
        let mut policy = self.policy.read().clone();
        if let Some((user, password)) = login {
            policy.auth_mode = AuthMode::Internal(user.0.clone(), password.0.clone());
        }
        let hosts = {
            let mut state = self.state.lock();
            if state.is_making || state.is_closed {
                return Err("another client is being made, or none is needed any more".to_owned());
            }
            self.remember_in(&mut state);
            state.is_making = true;
            self.seeds.iter().chain(&state.known).cloned().collect::<Vec<Host>>()
        };
        let making = Making::new(&self.state);
        let made = Client::new(&policy, &hosts);
        let mut state = self.state.lock();
        making.end(&mut state);
        let client = made.map_err(|error| chain(&error))?;
        if state.is_closed {
            close(&client);
            return Err("the service ends".to_owned());
        }
        *self.policy.write() = policy;
        state.lost = None;
        let before = self.replace(client);
        self.is_held.store(false, SeqCst);
        drop(state);
        close(&before);
        Ok(())
    }

    /// Puts another client in the place of the present one, and returns that. Calls in flight keep it until they end.
    fn replace(&self, client: Client) -> Arc<Client> {
        let mut current = self.client.write();
        current.epoch += 1;
        std::mem::replace(&mut current.client, Arc::new(client))
    }

    /// Called after a call in which no row was answered. Does not wait for the new client.
    pub fn look_for_cluster(self: &Arc<Self>) {
        if self.is_held() {
            return;
        }
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
            self.seeds.iter().chain(&state.known).cloned().collect::<Vec<Host>>()
        };
        let connection = self.clone();
        let spawned = thread::Builder::new().name("aerospike-anew".into()).spawn(move || {
            let making = Making::new(&connection.state);
            debug!("aerospike: no node is left, looking for hosts={hosts:?}");
            let policy = connection.policy.read().clone();
            let made = Client::new(&policy, &hosts);
            connection.made(making, made.map_err(|error| chain(&error)));
        });
        if let Err(error) = spawned {
            debug!("aerospike: cannot start a thread error=\"{error}\"");
            self.state.lock().is_making = false;
        }
    }

    fn made(&self, making: Making<'_>, made: Result<Client, String>) {
        let mut state = self.state.lock();
        making.end(&mut state);
        match made {
            // The old client has found its nodes meanwhile, or the connection is closed.
            Ok(client) if state.is_closed || self.is_held() || !self.client().nodes().is_empty() => close(&client),
            Ok(client) => {
                info!("aerospike: the cluster is found again nodes={}", client.nodes().len());
                close(&self.replace(client));
            }
            Err(why) => debug!("aerospike: not found error=\"{why}\""),
        }
    }

    /// After this, no new client is created.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        close(&self.client());
    }
}

/// A client that is not closed keeps polling its cluster for ever.
fn close(client: &Client) {
    if let Err(error) = client.close() {
        debug!("aerospike: closing the client failed error=\"{}\"", chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn making() -> Mutex<State> {
        Mutex::new(State {
            is_making: true,
            ..State::default()
        })
    }

    #[test]
    fn a_client_whose_creation_panics_is_not_being_created_any_more() {
        let state = making();
        let create = || {
            let _making = Making::new(&state);
            panic!("as in the client");
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(create)).is_err());
        assert!(!state.lock().is_making);
    }

    #[test]
    fn a_creation_ends_under_the_lock_of_its_caller() {
        let state = making();
        let making = Making::new(&state);
        let mut locked = state.lock();
        making.end(&mut locked);
        assert!(!locked.is_making);
    }
}
