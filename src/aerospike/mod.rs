//! The database's side: the only code that knows the `aerospike` crate.
//!
//! [`Store::connect`] waits for the cluster in a way that the main thread can leave. [`Store`] turns planned rows into
//! one batch call and gives each row its own answer. The call is the client's (`request`, `batch`) or our own (`native`,
//! `wire`). It retries nothing: `delivery::write` does. A client that has lost its cluster is replaced (`connection`).
//! [`health`] logs the database's state for operators.

mod ask;
mod batch;
mod condition;
mod connection;
mod limit;
// A login that changes in its files.
mod rotation;
mod lookout;
// The store's part of the native writer.
mod native;
// What both writers report.
mod report;
mod request;
// TLS to the nodes.
mod tls;
// Which writer a call goes to.
mod writer;
// Batch writes without the client.
pub mod wire;
// What the fuzz targets call.
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod info;
pub mod members;
pub mod refusal;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aerospike::{
    AdminPolicy, AuthMode, BatchPolicy, Client, ClientPolicy, Concurrency, Host, Key, ReadPolicy, TlsPolicy,
    ToHosts as _,
};
use crossbeam_channel::{RecvTimeoutError, bounded};
use log::{info, warn};
use parking_lot::RwLock;

use crate::config::model::{Aerospike, Writer};
use crate::delivery::result_codes::Told;
use crate::observe::counters::Counters;
use crate::util::logging::pairs::Text;
use crate::util::retry::{AttemptError, Retry, RetryError};
use crate::util::seconds::Seconds;
use crate::util::stop::Stop;
use ask::{Login, Manner, Place, Stranger};
use connection::Connection;
use health::Health;
use limit::BatchLimit;
use lookout::Lookout;
use members::{Asking, Gaps, Look, look};
use native::Native;
use refusal::Refusal;
use rotation::Rotation;
pub use tls::BadFile;
use tls::{Tls, Trouble};
use wire::partitions::Map;

/// Time-out of one attempt to connect, in addition to the client's own limits. Afterwards the failure is reported and
/// the next attempt begins.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Minimum of that time-out, however near `run.start_timeout` is.
const ATTEMPT_MIN: Duration = Duration::from_secs(5);
/// Time limit for finding the reason of a failure, or nodes that are not reached.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Minimum of that limit: an address that does not answer takes two seconds.
const LOOK_MIN: Duration = Duration::from_secs(3);
/// Pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A reason names at most this many addresses of the configuration.
const SEEDS_MAX: usize = 3;

/// Why an attempt to connect failed, and the cure.
#[derive(Debug)]
pub struct Failed {
    pub why: String,
    pub cure: String,
}

impl Failed {
    fn of(why: impl Into<String>) -> Failed {
        Failed {
            why: why.into(),
            cure: "start it, or correct aerospike.hosts, cluster_name and use_services_alternate".into(),
        }
    }

    fn strange(strangers: &[(String, Stranger)]) -> Failed {
        let told = |(address, stranger): &(String, Stranger)| {
            format!(
                "{address}: this port answers, but is no Aerospike node's: {}",
                stranger.what()
            )
        };
        Failed {
            why: strangers.iter().map(told).collect::<Vec<_>>().join("; "),
            cure: match strangers.iter().any(|(_, stranger)| *stranger == Stranger::Tls) {
                true => "write [aerospike.tls], or correct aerospike.hosts: the port of a node's service without TLS is 3000 by \
                         default"
                    .into(),
                false => "correct aerospike.hosts: the host and port of a node's service, 3000 by default".into(),
            },
        }
    }

    fn tls(troubles: &[(String, Trouble)]) -> Failed {
        let told: Vec<String> = troubles
            .iter()
            .map(|(address, trouble)| format!("{address}: {}", trouble.what()))
            .collect();
        Failed {
            why: told.join("; "),
            cure: troubles.first().map_or("", |(_, trouble)| trouble.cure()).into(),
        }
    }

    /// The failure if nobody answers at any of these addresses.
    fn silent(silent: &[(String, String)]) -> Failed {
        let mut told: Vec<String> = silent
            .iter()
            .take(SEEDS_MAX)
            .map(|(address, why)| format!("{address}, {why}"))
            .collect();
        if silent.len() > SEEDS_MAX {
            told.push(format!("and {} more", silent.len() - SEEDS_MAX));
        }
        Failed {
            why: format!("no node answers: {}", told.join("; ")),
            cure: "start it, or correct aerospike.hosts".into(),
        }
    }

    fn by(gaps: &Gaps) -> Failed {
        Failed {
            why: gaps.to_string(),
            cure: gaps.cure(),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.cure)
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The cluster refuses the user.
    Credentials(Refusal),
    /// The cluster does not have a namespace that the configuration writes to.
    NoNamespace { missing: String, present: String },
    /// Something else answers at each address.
    NotAerospike(Failed),
    /// A file of `[aerospike.tls]` cannot be used.
    TlsFile(BadFile),
    /// TLS fails at each address.
    Tls(Failed),
    /// Not reachable within `run.start_timeout`.
    Unreachable(Failed),
    /// The stop flag was raised first.
    Stopped,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Credentials(refusal) => write!(f, "aerospike: {refusal}: {}", refusal.cure()),
            ConnectError::NoNamespace { missing, present } => write!(
                f,
                "the aerospike cluster has no namespace \"{missing}\" (it has: {present}); correct aerospike.namespace or the write's namespace"
            ),
            ConnectError::NotAerospike(failed) | ConnectError::Tls(failed) => write!(f, "aerospike: {failed}"),
            ConnectError::TlsFile(bad) => write!(f, "{bad}"),
            ConnectError::Unreachable(failed) => {
                write!(f, "aerospike was not reachable within run.start_timeout: {failed}")
            }
            ConnectError::Stopped => f.write_str("stopped while connecting to aerospike"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Options of the connection besides `[aerospike]`.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Time-out of one batch call.
    pub write_timeout: Duration,
    /// How many threads call at once. Sets the size of the connection pool.
    pub workers: usize,
    /// `None`: no time limit.
    pub start_timeout: Option<Duration>,
    /// Every namespace that a rule writes to.
    pub namespaces: Vec<String>,
    /// Wait until every node of the cluster is reached. If false, [`Store::gaps`] tells which are not, and the store is
    /// for questions: it has no native writer.
    pub whole: bool,
}

/// A connected cluster. Shared by all workers.
pub struct Store {
    connection: Arc<Connection>,
    /// For a cluster of several nodes.
    batch_policy: BatchPolicy,
    /// For a cluster of one node: a call does all its work on the calling thread.
    batch_policy_one_node: BatchPolicy,
    limit: BatchLimit,
    counters: Arc<Counters>,
    health: Health,
    asking: RwLock<Asking>,
    /// `None`: no part of the login is in a file.
    rotation: Option<Rotation>,
    lookout: Lookout,
    /// `None`: the client writes.
    native: Option<Native>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("nodes", &self.client().node_names())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Connects. Waits until the cluster answers and accepts the credentials, until `start_timeout`, or until the stop
    /// flag is raised. Logs every 10 seconds what it is waiting for.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(
        config: &Aerospike,
        options: &StoreOptions,
        counters: Arc<Counters>,
        stop: &Stop,
    ) -> Result<Store, ConnectError> {
        let deadline = options.start_timeout.map(|limit| Instant::now() + limit);
        let tls = match &config.tls {
            Some(tls) => Some(Tls::load(tls).map_err(ConnectError::TlsFile)?),
            None => None,
        };
        let asking = Asking {
            manner: Manner {
                login: Login::of(config),
                tls,
            },
            use_services_alternate: config.use_services_alternate,
            namespaces: options.namespaces.clone(),
        };
        let connected = Retry::new(stop, RETRY_INTERVAL).until(deadline).run(
            || {
                let client = match attempt(config, options, &asking, deadline, stop)? {
                    Ok(client) => client,
                    Err(why) => {
                        let why = why_not_connected(&why, config, &asking, deadline, stop)?;
                        return Err(AttemptError::Passing(why));
                    }
                };
                if let Err(error) = check_cluster(&client, &asking, options, deadline, stop) {
                    // Otherwise its background task would continue to poll the cluster.
                    let _ = client.close();
                    return Err(error);
                }
                Ok(client)
            },
            |failed, waited, repeated| {
                warn!(
                    "aerospike: waiting for the cluster hosts={} waited={waited} reason=\"{failed}\"{repeated}",
                    Text(&config.hosts),
                    waited = Seconds(waited)
                );
            },
        );
        match connected {
            Ok(client) => {
                let mut store = Self::new(client, config, options, asking, counters);
                if options.whole {
                    store.choose_writer(config, stop);
                }
                match stop.requested() {
                    true => Err(ConnectError::Stopped),
                    false => Ok(store),
                }
            }
            Err(RetryError::Stopped) => Err(ConnectError::Stopped),
            Err(RetryError::TooLate(failed)) => Err(ConnectError::Unreachable(failed)),
            Err(RetryError::Final(error)) => Err(error),
        }
    }

    fn new(
        client: Client,
        config: &Aerospike,
        options: &StoreOptions,
        asking: Asking,
        counters: Arc<Counters>,
    ) -> Store {
        let timeout_ms = u32::try_from(options.write_timeout.as_millis()).unwrap_or(u32::MAX);
        // Not `BatchPolicy::default()`: that is a read policy with retries.
        let mut batch_policy = BatchPolicy::write_default();
        batch_policy.base_policy.total_timeout = timeout_ms;
        batch_policy.base_policy.socket_timeout = timeout_ms;
        let mut batch_policy_one_node = batch_policy.clone();
        batch_policy_one_node.concurrency = Concurrency::Sequential;
        info!("aerospike: connected nodes={}", client.nodes().len());
        Store {
            connection: Connection::new(
                client,
                client_policy(config, options, asking.manner.tls.as_ref()),
                seeds(config, asking.manner.tls.as_ref()),
            ),
            batch_policy,
            batch_policy_one_node,
            limit: BatchLimit::default(),
            counters,
            health: Health::default(),
            asking: RwLock::new(asking),
            rotation: Rotation::of(config),
            lookout: Lookout::default(),
            native: None,
        }
    }

    /// Starts the native writer, if the configuration asks for it and the cluster needs neither TLS nor a login.
    fn choose_writer(&mut self, config: &Aerospike, stop: &Stop) {
        let reason = match config.writer {
            Writer::Client => "configured".to_owned(),
            Writer::Native if config.tls.is_some() => "TLS is configured".to_owned(),
            Writer::Native if config.credentials.is_some() => "a user is configured".to_owned(),
            Writer::Native => match Native::start(&self.connection, stop) {
                Ok(native) => {
                    self.native = Some(native);
                    info!("aerospike: writer=native");
                    return;
                }
                Err(error) => format!("cannot start a thread: {error}"),
            },
        };
        info!("aerospike: writer=client reason=\"{reason}\"");
    }

    /// The partition map that the native writer uses now. `None`: the client writes.
    pub fn partition_map(&self) -> Option<Arc<Map>> {
        self.native.as_ref().map(Native::map)
    }

    /// The client in use now, for each call and for reading back (the demo, the tests). If it loses the cluster,
    /// another one takes its place.
    pub fn client(&self) -> Arc<Client> {
        self.connection.client()
    }

    /// How many node addresses are remembered for the case that all nodes are lost.
    pub fn remembers(&self) -> usize {
        self.connection.remembers()
    }

    fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.batch_policy.base_policy.total_timeout.into())
    }

    /// The policy for reads with [`Self::client`], bounded by the write time-out.
    pub fn read_policy(&self) -> ReadPolicy {
        let mut policy = ReadPolicy::default();
        policy.base_policy.total_timeout = self.batch_policy.base_policy.total_timeout;
        policy
    }

    /// What the nodes say of each other, compared with the nodes that are reached. Blocks for some seconds if an
    /// address does not answer.
    pub fn gaps(&self, namespaces: &[String]) -> Look {
        let (addresses, names) = nodes_of(&self.client());
        let asking = Asking {
            namespaces: namespaces.to_vec(),
            ..self.asking()
        };
        look(&addresses, &names, &asking)
    }

    /// The login and the options of questions, as they are now.
    fn asking(&self) -> Asking {
        self.asking.read().clone()
    }

    /// How long no call has gone to the database, because it refuses the login.
    pub fn refused_for(&self) -> Option<Duration> {
        self.connection.held_for()
    }

    /// Why the database is away, if that was found out.
    pub fn why_away(&self) -> Option<String> {
        self.lookout.told()
    }

    /// The state of the database, for the progress line.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.connection.close();
    }
}

/// One attempt to connect. `Client::new` itself has no time limit.
fn attempt(
    config: &Aerospike,
    options: &StoreOptions,
    asking: &Asking,
    deadline: Option<Instant>,
    stop: &Stop,
) -> Result<Result<Client, String>, ConnectError> {
    let policy = client_policy(config, options, asking.manner.tls.as_ref());
    let hosts = seeds(config, asking.manner.tls.as_ref());
    let longest = Instant::now() + ATTEMPT_TIMEOUT;
    let until = deadline.map_or(longest, |deadline| {
        deadline.clamp(Instant::now() + ATTEMPT_MIN, longest)
    });
    let connect = move || Client::new(&policy, &hosts).map_err(|e| chain(&e));
    // Nobody waits for this client any more. If it stayed open, it would poll the cluster for ever.
    let late = |made: Result<Client, String>| {
        if let Ok(client) = made {
            let _ = client.close();
        }
    };
    match apart(connect, late, until, stop) {
        Apart::Done(made) => Ok(made),
        Apart::Late => Ok(Err("the client does not come to an end".into())),
        Apart::Stopped => Err(ConnectError::Stopped),
        Apart::Failed(why) => Ok(Err(why)),
    }
}

/// The result of work on a thread of its own.
enum Apart<T> {
    Done(T),
    /// Not done before `until`.
    Late,
    Stopped,
    Failed(String),
}

/// Runs `act` on a separate thread, because it has no time limit. The caller stops waiting at a stop or at `until`; the
/// thread goes on. A later result goes to `late`.
fn apart<T: Send + 'static>(
    act: impl FnOnce() -> T + Send + 'static,
    late: impl FnOnce(T) + Send + 'static,
    until: Instant,
    stop: &Stop,
) -> Apart<T> {
    let (sender, receiver) = bounded(1);
    let spawned = thread::Builder::new().name("aerospike-start".into()).spawn(move || {
        if let Err(unsent) = sender.send(act()) {
            late(unsent.into_inner());
        }
    });
    if let Err(error) = spawned {
        return Apart::Failed(format!("cannot start a thread: {error}"));
    }
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(done) => return Apart::Done(done),
            Err(RecvTimeoutError::Disconnected) => return Apart::Failed("a thread of the client panicked".into()),
            Err(RecvTimeoutError::Timeout) if stop.requested() => return Apart::Stopped,
            Err(RecvTimeoutError::Timeout) if Instant::now() >= until => return Apart::Late,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Asks about the cluster on a thread of its own, so that a stop need not wait for it. `None`: it took too long.
fn look_apart(
    places: Vec<Place>,
    names: Vec<String>,
    asking: &Asking,
    deadline: Option<Instant>,
    stop: &Stop,
) -> Result<Option<Look>, ConnectError> {
    let asking = asking.clone();
    let (shortest, longest) = (Instant::now() + LOOK_MIN, Instant::now() + LOOK_TIMEOUT);
    let until = deadline.map_or(longest, |deadline| deadline.clamp(shortest, longest));
    match apart(move || look(&places, &names, &asking), drop, until, stop) {
        Apart::Done(found) => Ok(Some(found)),
        Apart::Stopped => Err(ConnectError::Stopped),
        Apart::Late | Apart::Failed(_) => Ok(None),
    }
}

/// Why the client has no connection, in clearer words than its own if possible.
fn why_not_connected(
    why: &str,
    config: &Aerospike,
    asking: &Asking,
    deadline: Option<Instant>,
    stop: &Stop,
) -> Result<Failed, ConnectError> {
    let has_user = config.credentials.is_some();
    if let Some(code) = refusal::in_text(why) {
        return Err(ConnectError::Credentials(Refusal { code, has_user }));
    }
    let seeds: Vec<Place> = seeds(config, asking.manner.tls.as_ref()).iter().map(place).collect();
    let asked = seeds.len();
    let Some(found) = look_apart(seeds, Vec::new(), asking, deadline, stop)? else {
        return Ok(Failed::of(why));
    };
    let codes = found.refusals.iter().map(|(_, code)| *code);
    if let Some(code) = codes.into_iter().find(|code| refusal::is_refusal(*code)) {
        return Err(ConnectError::Credentials(Refusal { code, has_user }));
    }
    if found.answered == 0 && !found.troubles.is_empty() {
        let failed = Failed::tls(&found.troubles);
        return match found.troubles.len() == asked {
            true => Err(ConnectError::Tls(failed)),
            false => Ok(failed),
        };
    }
    if found.answered == 0 && !found.strangers.is_empty() {
        let is_certain = found
            .strangers
            .iter()
            .all(|(_, stranger)| *stranger != Stranger::Unknown);
        let failed = Failed::strange(&found.strangers);
        return match is_certain && found.strangers.len() == asked {
            true => Err(ConnectError::NotAerospike(failed)),
            false => Ok(failed),
        };
    }
    if found.answered == 0 && found.silent.len() == asked {
        return Ok(Failed::silent(&found.silent));
    }
    Ok(match found.gaps.is_whole() {
        true => Failed::of(why),
        false => Failed::by(&found.gaps),
    })
}

/// The nodes of `aerospike.hosts`.
fn seeds(config: &Aerospike, tls: Option<&Tls>) -> Vec<Host> {
    let mut hosts = config.hosts.to_hosts().unwrap_or_default();
    if let Some(tls) = tls {
        for host in &mut hosts {
            host.tls_name = Some(tls.name_of_seed(&host.name).to_owned());
        }
    }
    hosts
}

fn place(host: &Host) -> Place {
    Place {
        address: match host.name.contains(':') {
            true => format!("[{}]:{}", host.name, host.port),
            false => host.address(),
        },
        tls_name: host.tls_name.clone(),
    }
}

fn client_policy(config: &Aerospike, options: &StoreOptions, tls: Option<&Tls>) -> ClientPolicy {
    let mut policy = ClientPolicy::default();
    if let Some((user, password)) = &config.credentials {
        policy.auth_mode = AuthMode::Internal(user.clone(), password.0.clone());
    }
    policy.tls_policy = tls.map(|tls| TlsPolicy::new(tls.config()));
    policy.cluster_name.clone_from(&config.cluster_name);
    policy.use_services_alternate = config.use_services_alternate;
    // The client's circuit breaker rejects calls within microseconds without sending them, and it counts KEY_BUSY. The
    // backoff of the write loop replaces it.
    policy.max_error_rate = 0;
    policy.max_conns_per_node = options.workers.saturating_add(16).max(64);
    policy.application_id = Some("penstock".into());
    policy
}

type NotConnected = AttemptError<Failed, ConnectError>;

fn check_cluster(
    client: &Client,
    asking: &Asking,
    options: &StoreOptions,
    deadline: Option<Instant>,
    stop: &Stop,
) -> Result<(), NotConnected> {
    let has_user = asking.manner.login.is_some();
    check_namespaces(client, &options.namespaces, has_user)?;
    options
        .namespaces
        .iter()
        .try_for_each(|namespace| check_login(client, namespace, has_user))?;
    if !options.whole {
        return Ok(());
    }
    let (addresses, names) = nodes_of(client);
    let found = look_apart(addresses, names, asking, deadline, stop).map_err(AttemptError::Final)?;
    if whole(found).map_err(AttemptError::Passing)?.is_security_off {
        warn!(
            "aerospike: the cluster has security switched off: aerospike.user and aerospike.password are not checked; remove \
             them, or switch security on"
        );
    }
    Ok(())
}

/// The result of a look, if every node is reached. `None` as argument: the look took too long, as it does if an address
/// or a name server does not answer. There may be a node at that address.
fn whole(found: Option<Look>) -> Result<Look, Failed> {
    match found {
        Some(found) if found.gaps.is_whole() => Ok(found),
        Some(found) => Err(Failed::by(&found.gaps)),
        None => Err(Failed {
            why: "whether all of the cluster's nodes are reached is not found out in time: an address of theirs, or the name \
                  server, does not answer"
                .into(),
            cure: "correct access-address in the configuration of the nodes, or the name server".into(),
        }),
    }
}

/// The places and names of the nodes that the client has.
fn nodes_of(client: &Client) -> (Vec<Place>, Vec<String>) {
    let nodes = client.nodes();
    let of = |node: &Arc<aerospike::Node>| (place(&node.host()), node.name().to_owned());
    nodes.iter().map(of).unzip()
}

/// Reads a record, since a cluster may answer questions about itself and still refuse access to its data. Only the
/// first write shows whether the user may *write*: a role may allow writing without reading.
fn check_login(client: &Client, namespace: &str, has_user: bool) -> Result<(), NotConnected> {
    const ROLE_VIOLATION: u8 = 81;
    let key = Key::with_digest(namespace, "", None, [0; 20]);
    let Err(error) = client.exists(&ReadPolicy::default(), &key) else {
        return Ok(());
    };
    match error.server_result_code().map(u8::from) {
        Some(ROLE_VIOLATION) => Ok(()),
        Some(code) if refusal::is_refusal(code) => Err(AttemptError::Final(ConnectError::Credentials(Refusal {
            code,
            has_user,
        }))),
        Some(_) => Ok(()),
        None => Err(AttemptError::Passing(Failed::of(chain(&error)))),
    }
}

fn check_namespaces(client: &Client, wanted: &[String], has_user: bool) -> Result<(), NotConnected> {
    let answer = client
        .info(&AdminPolicy::default(), &["namespaces"])
        .map_err(|e| AttemptError::Passing(Failed::of(chain(&e))))?;
    // A refusal comes in place of the names, or as the answer to them.
    if let Some(code) = answer
        .iter()
        .flat_map(|(name, value)| [name, value])
        .find_map(|text| ask::error_code(text))
    {
        return Err(match refusal::is_refusal(code) {
            true => AttemptError::Final(ConnectError::Credentials(Refusal { code, has_user })),
            false => AttemptError::Passing(Failed::of(format!("the namespaces are not told ({})", Told(code)))),
        });
    }
    let present = answer.get("namespaces").map(String::as_str).unwrap_or_default();
    match wanted
        .iter()
        .find(|name| !present.split(';').any(|p| p == name.as_str()))
    {
        None => Ok(()),
        Some(missing) => Err(AttemptError::Final(ConnectError::NoNamespace {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_which_it_was_not_found_out_in_time_is_not_whole() {
        assert!(whole(Some(Look::default())).is_ok());
        let mut gaps = Look::default();
        gaps.gaps.nameless = 1;
        assert!(whole(Some(gaps)).is_err());
        let failed = whole(None).unwrap_err();
        assert!(failed.why.contains("not found out in time"), "{failed}");
    }
}
