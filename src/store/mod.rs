//! The database's side: the only code that knows the `aerospike` crate.
//!
//! [`Store::connect`] waits for the cluster where the main thread can leave it; [`Store`] turns planned rows into
//! one batch call (`request`, `batch`) and gives each row the answer that is its own. It retries nothing:
//! that is `pipeline::write`'s. A client that has lost its cluster is replaced (`connection`). What operators are told of the database's state is [`health`]'s.

mod batch;
mod condition;
mod connection;
mod limit;
mod request;
pub mod health;
pub mod info;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aerospike::{AdminPolicy, AuthMode, BatchPolicy, Client, ClientPolicy, Concurrency, Key, ReadPolicy};
use crossbeam_channel::{RecvTimeoutError, bounded};
use log::{info, warn};

use crate::config::model::Aerospike;
use crate::ops::counters::Counters;
use crate::pipeline::disposition::{CREDENTIALS, NOT_AUTHENTICATED};
use crate::shutdown::Stop;
use connection::Connection;
use health::Health;
use limit::BatchLimit;

/// How long one attempt to connect may take before it is reported and the next begins, beside the client's own
/// bounds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The least of it, where `start_timeout` leaves less: logging in takes a while.
const ATTEMPT_MIN: Duration = Duration::from_secs(5);
/// Between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Between two lines that say that the cluster is not reachable yet.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The user or password is refused. `String`: the cluster's words.
    Credentials(String),
    /// A namespace that the configuration writes to is not on the cluster.
    NoNamespace { missing: String, present: String },
    /// Not reachable within `run.start_timeout`. `String`: the last failure.
    Unreachable(String),
    /// Told to stop first.
    Stopped,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Credentials(why) => {
                write!(
                    f,
                    "aerospike refuses the credentials: {why}; correct aerospike.user and aerospike.password, or leave both out where the \
                     server has no security (code 51, the community edition)"
                )
            }
            ConnectError::NoNamespace { missing, present } => write!(
                f,
                "the aerospike cluster has no namespace \"{missing}\" (it has: {present}); correct aerospike.namespace or the write's namespace"
            ),
            ConnectError::Unreachable(why) => {
                write!(
                    f,
                    "aerospike was not reachable within run.start_timeout: {why}; check aerospike.hosts"
                )
            }
            ConnectError::Stopped => f.write_str("stopped while connecting to aerospike"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// What the connection needs to know beside `[aerospike]`.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bounds one batch call.
    pub write_timeout: Duration,
    /// How many threads call at once: sizes the connection pool.
    pub workers: usize,
    /// `None`: wait for ever.
    pub start_timeout: Option<Duration>,
    /// Every namespace that a rule writes to.
    pub namespaces: Vec<String>,
}

/// A connected cluster. Shared by all workers.
pub struct Store {
    connection: Arc<Connection>,
    /// For a cluster of several nodes.
    batch_policy: BatchPolicy,
    /// For a cluster of one node: all work of a call then stays on the calling thread.
    batch_policy_one_node: BatchPolicy,
    limit: BatchLimit,
    counters: Arc<Counters>,
    health: Health,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("nodes", &self.client().node_names())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Connects, waiting for the cluster: until it answers and accepts the credentials, until `start_timeout`, or
    /// until told to stop. Says every 10 seconds what it is waiting for.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(
        config: &Aerospike,
        options: &StoreOptions,
        counters: Arc<Counters>,
        stop: &Stop,
    ) -> Result<Store, ConnectError> {
        let started = Instant::now();
        let mut last_line: Option<Instant> = None;
        loop {
            let left = options
                .start_timeout
                .map(|limit| limit.saturating_sub(started.elapsed()));
            let timeout = left.map_or(ATTEMPT_TIMEOUT, |left| left.clamp(ATTEMPT_MIN, ATTEMPT_TIMEOUT));
            let failure = match attempt(config, options, timeout, stop)? {
                Ok(client) => match check_cluster(&client, &options.namespaces) {
                    Ok(()) => return Ok(Self::new(client, config, options, counters)),
                    Err(refused) => {
                        // Or its background task goes on tending the cluster.
                        let _ = client.close();
                        match refused {
                            ClusterCheck::Refused(error) => return Err(error),
                            ClusterCheck::Failed(why) => why,
                        }
                    }
                },
                Err(why) => why,
            };
            if credentials_refused(&failure) {
                return Err(ConnectError::Credentials(failure));
            }
            if options.start_timeout.is_some_and(|limit| started.elapsed() >= limit) {
                return Err(ConnectError::Unreachable(failure));
            }
            if last_line.is_none_or(|at| at.elapsed() >= LINE_INTERVAL) {
                warn!(
                    "aerospike: waiting for the cluster hosts={} waited={:.0?} reason=\"{failure}\"",
                    config.hosts,
                    started.elapsed()
                );
                last_line = Some(Instant::now());
            }
            if stop.wait(RETRY_INTERVAL) {
                return Err(ConnectError::Stopped);
            }
        }
    }

    fn new(client: Client, config: &Aerospike, options: &StoreOptions, counters: Arc<Counters>) -> Store {
        let timeout_ms = u32::try_from(options.write_timeout.as_millis()).unwrap_or(u32::MAX);
        // Not `BatchPolicy::default()`, which is a read policy with retries of its own.
        let mut batch_policy = BatchPolicy::write_default();
        batch_policy.base_policy.total_timeout = timeout_ms;
        batch_policy.base_policy.socket_timeout = timeout_ms;
        let mut batch_policy_one_node = batch_policy.clone();
        batch_policy_one_node.concurrency = Concurrency::Sequential;
        info!("aerospike: connected nodes={}", client.nodes().len());
        Store {
            connection: Connection::new(client, client_policy(config, options), config.hosts.clone()),
            batch_policy,
            batch_policy_one_node,
            limit: BatchLimit::default(),
            counters,
            health: Health::default(),
        }
    }

    /// The client in use now: for each call, and for reading back (the demo, the tests). Where it has lost the cluster
    /// another one takes its place.
    pub fn client(&self) -> Arc<Client> {
        self.connection.client()
    }

    /// So many nodes are remembered, to be looked for when all are lost.
    pub fn remembers(&self) -> usize {
        self.connection.remembers()
    }

    /// The policy for [`Self::client`]'s reads, bounded by the write time-out.
    pub fn read_policy(&self) -> ReadPolicy {
        let mut policy = ReadPolicy::default();
        policy.base_policy.total_timeout = self.batch_policy.base_policy.total_timeout;
        policy
    }

    /// What the database is like, for the progress line.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.connection.close();
    }
}

/// One attempt, on a thread of its own: `Client::new` has no bound, and a stop must not wait for it.
fn attempt(
    config: &Aerospike,
    options: &StoreOptions,
    timeout: Duration,
    stop: &Stop,
) -> Result<Result<Client, String>, ConnectError> {
    let policy = client_policy(config, options);
    let hosts = config.hosts.clone();
    let (sender, receiver) = bounded(1);
    let spawned = thread::Builder::new().name("aerospike-start".into()).spawn(move || {
        if let Err(late) = sender.send(Client::new(&policy, &hosts).map_err(|e| chain(&e))) {
            // Nobody waits for it any more; open, it would tend the cluster for ever.
            if let Ok(client) = late.into_inner() {
                let _ = client.close();
            }
        }
    });
    if let Err(error) = spawned {
        return Ok(Err(format!("cannot start a thread: {error}")));
    }
    let deadline = Instant::now() + timeout;
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Ok(Err("the client panicked while connecting".into())),
            Err(RecvTimeoutError::Timeout) if stop.requested() => return Err(ConnectError::Stopped),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                return Ok(Err(format!("no answer within {timeout:.0?}")));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn client_policy(config: &Aerospike, options: &StoreOptions) -> ClientPolicy {
    let mut policy = ClientPolicy::default();
    if let Some((user, password)) = &config.credentials {
        policy.auth_mode = AuthMode::Internal(user.clone(), password.0.clone());
    }
    policy.cluster_name.clone_from(&config.cluster_name);
    policy.use_services_alternate = config.use_services_alternate;
    // The client's circuit breaker rejects in microseconds without sending, and counts KEY_BUSY: the back-off of
    // the write loop is the breaker here.
    policy.max_error_rate = 0;
    policy.max_conns_per_node = options.workers.saturating_add(16).max(64);
    policy.application_id = Some("penstock".into());
    policy
}

/// At start also a connection that is not authenticated is refused.
fn is_refusal(code: u8) -> bool {
    code == NOT_AUTHENTICATED || CREDENTIALS.contains(&code)
}

enum ClusterCheck {
    Refused(ConnectError),
    Failed(String),
}

fn check_cluster(client: &Client, namespaces: &[String]) -> Result<(), ClusterCheck> {
    check_namespaces(client, namespaces)?;
    namespaces
        .iter()
        .try_for_each(|namespace| check_login(client, namespace))
}

/// Asks for a record, since a cluster can answer who it is and still let nobody at its data. Whether the user may
/// *write* shows with the first write: a role may well allow that and no reading.
fn check_login(client: &Client, namespace: &str) -> Result<(), ClusterCheck> {
    const ROLE_VIOLATION: u8 = 81;
    let key = Key::with_digest(namespace, "", None, [0; 20]);
    let Err(error) = client.exists(&ReadPolicy::default(), &key) else {
        return Ok(());
    };
    match error.server_result_code().map(u8::from) {
        Some(ROLE_VIOLATION) => Ok(()),
        Some(code) if is_refusal(code) => Err(ClusterCheck::Refused(ConnectError::Credentials(chain(&error)))),
        Some(_) => Ok(()),
        None => Err(ClusterCheck::Failed(chain(&error))),
    }
}

fn check_namespaces(client: &Client, wanted: &[String]) -> Result<(), ClusterCheck> {
    let answer = client
        .info(&AdminPolicy::default(), &["namespaces"])
        .map_err(|e| ClusterCheck::Failed(chain(&e)))?;
    let present = answer.get("namespaces").map(String::as_str).unwrap_or_default();
    match wanted
        .iter()
        .find(|name| !present.split(';').any(|p| p == name.as_str()))
    {
        None => Ok(()),
        Some(missing) => Err(ClusterCheck::Refused(ConnectError::NoNamespace {
            missing: missing.clone(),
            present: present.replace(';', ", "),
        })),
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A server without security (the community edition) answers this to a login; the client does not go on without one.
const SECURITY_NOT_SUPPORTED: u8 = 51;

/// Whether a failed connection failed for its credentials.
///
/// `Client::new` keeps no error of its seeds but their text (`cluster/mod.rs`, `format_init_error`), where a server
/// code stands as `Error 65, …`: the one place where a decision hangs on a text, pinned by a test with a simulator
/// that refuses a password.
fn credentials_refused(failure: &str) -> bool {
    let codes = CREDENTIALS.iter().chain([&NOT_AUTHENTICATED, &SECURITY_NOT_SUPPORTED]);
    codes.into_iter().any(|code| {
        failure
            .match_indices(&format!("Error {code}"))
            .any(|(at, found)| !failure[at + found.len()..].starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_credentials_are_told_from_other_failures_by_their_code() {
        for refused in [
            "Error 65, iter=1: Invalid credential",
            "x Error 60: y",
            "Error 80",
            "Error 51: x",
        ] {
            assert!(credentials_refused(refused), "{refused}");
        }
        for other in ["Error 651", "Error 9, timeout", "connection refused", "Error -8: 65"] {
            assert!(!credentials_refused(other), "{other}");
        }
    }
}
