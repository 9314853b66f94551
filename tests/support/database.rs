//! The database of a test: a simulator in this process, or the cluster in `AEROSPIKE_HOSTS`.
//!
//! A test that needs no fault of the database uses [`Database::from_env`], so it can run with real servers, too. It may
//! use any set names (`set = "all"`): each [`Database`] adds its own suffix to them, in the configuration ([`Target`])
//! and when it reads. So tests, and several runs, can share a cluster. Records are read with the client that users
//! have.
//!
//! A test that needs a fault, or numbers that only the simulator counts, starts a simulator itself ([`simulator`],
//! `process::SimProgram`), and always uses that.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use aerospike::{
    AdminPolicy, AuthMode, BatchOperation, BatchPolicy, BatchReadPolicy, Bins, Client, ClientPolicy, Key, Record,
    ResultCode, Value,
};
use penstock::config;
use penstock_sim::{NamespaceConfig, SimConfig, Simulator};

use super::ledger::Records;
use super::unique;

/// The namespace of the simulators, and of a real cluster if no other is named.
const NAMESPACE: &str = "test";
/// Time limit for reaching a node of a real cluster.
const CONNECT_TIMEOUT_MS: u32 = 5000;
/// How often the client is asked for a node, which it chooses itself, before a node that it never chose is given up.
const ATTEMPTS_EACH: usize = 40;
/// Number of records in one batch read.
const BATCH: usize = 1000;

/// A simulator with the namespace `test`, which executes rows of one batch for the same key concurrently.
pub fn simulator() -> Simulator {
    Simulator::start(SimConfig::default()).unwrap()
}

/// A simulator whose records have at most `bytes_max` bytes.
pub fn simulator_with_records_of(bytes_max: usize) -> Simulator {
    let namespace = NamespaceConfig {
        max_record_bytes: bytes_max,
        ..NamespaceConfig::new(NAMESPACE)
    };
    Simulator::start(SimConfig {
        namespaces: vec![namespace],
        ..SimConfig::default()
    })
    .unwrap()
}

// ---- where a configuration writes to

/// Whether the writer under test is the native one.
pub fn is_native() -> bool {
    env::var("PENSTOCK_TEST_WRITER").map_or(true, |writer| writer == "native")
}

/// The line of `[aerospike]` that chooses the writer: `PENSTOCK_TEST_WRITER`, or nothing (the default).
pub fn writer_line() -> String {
    match env::var("PENSTOCK_TEST_WRITER") {
        Ok(writer) => format!("writer = \"{writer}\"\n"),
        Err(_) => String::new(),
    }
}

/// What a configuration says about its database.
#[derive(Clone)]
pub struct Target {
    pub hosts: String,
    namespace: String,
    /// Lines of `[aerospike]`.
    login: &'static str,
    /// Suffix of the name of each set.
    set_suffix: String,
}

impl Target {
    /// The lines of `[aerospike]`.
    pub fn lines(&self) -> String {
        let Target {
            hosts,
            namespace,
            login,
            ..
        } = self;
        let writer = writer_line();
        format!("hosts = \"{hosts}\"\nnamespace = \"{namespace}\"\n{writer}{login}")
    }

    /// Routes whose sets have this database's suffix. Each write must have a line `set = "…"` for that.
    pub fn routes(&self, routes: &str) -> String {
        if self.set_suffix.is_empty() {
            return routes.to_owned();
        }
        let mut sets = 0;
        let lines: Vec<String> = routes
            .lines()
            .map(|line| {
                let is_set = line
                    .trim_start()
                    .strip_prefix("set")
                    .is_some_and(|rest| rest.trim_start().starts_with('='));
                match line.rsplit_once('"') {
                    Some((name, rest)) if is_set => {
                        sets += 1;
                        format!("{name}{}\"{rest}", self.set_suffix)
                    }
                    _ => line.to_owned(),
                }
            })
            .collect();
        let writes = routes.matches("[[route.write]]").count();
        assert_eq!(sets, writes, "lines with a set, and writes, in:\n{routes}");
        lines.join("\n")
    }
}

impl From<&str> for Target {
    fn from(hosts: &str) -> Target {
        Target {
            hosts: hosts.to_owned(),
            namespace: NAMESPACE.to_owned(),
            login: "",
            set_suffix: String::new(),
        }
    }
}

impl From<SocketAddr> for Target {
    fn from(addr: SocketAddr) -> Target {
        Target::from(addr.to_string().as_str())
    }
}

impl From<&Database> for Target {
    fn from(database: &Database) -> Target {
        let (hosts, login) = match &database.servers {
            Servers::Simulated { simulator, .. } => (simulator.addr().to_string(), ""),
            Servers::Real(real) => (real.hosts.clone(), real.login_lines()),
        };
        Target {
            hosts,
            namespace: database.namespace().to_owned(),
            login,
            set_suffix: database.set_suffix.clone(),
        }
    }
}

// ---- the database

/// A simulator, or a real cluster, with its own set names. Records can be read.
pub struct Database {
    servers: Servers,
    set_suffix: String,
}

enum Servers {
    Simulated {
        simulator: Simulator,
        /// Created when something is read.
        client: OnceLock<Client>,
    },
    Real(Arc<Real>),
}

impl Database {
    /// The cluster in `AEROSPIKE_HOSTS`; a simulator if that is not set.
    ///
    /// # Panics
    /// If that cluster cannot be used. It is tried only once: afterwards every other test fails at once with the same
    /// text.
    pub fn from_env() -> Database {
        static REAL: OnceLock<Option<Result<Arc<Real>, String>>> = OnceLock::new();
        match REAL.get_or_init(Real::from_env) {
            None => Database::simulated(),
            Some(Ok(real)) => Database::of(Servers::Real(real.clone())),
            Some(Err(why)) => panic!("{why}"),
        }
    }

    /// The cluster at these hosts.
    ///
    /// # Errors
    /// Why the cluster cannot be used.
    pub fn at(hosts: &str, namespace: &str) -> Result<Database, String> {
        let real = Real::connect(hosts, namespace, None)?;
        Ok(Database::of(Servers::Real(Arc::new(real))))
    }

    /// A simulator, whatever the environment says.
    pub fn simulated() -> Database {
        Database::of(Servers::Simulated {
            simulator: simulator(),
            client: OnceLock::new(),
        })
    }

    fn of(servers: Servers) -> Database {
        let database = Database {
            servers,
            set_suffix: unique(""),
        };
        println!("database: {database}");
        database
    }

    fn client(&self) -> &Client {
        match &self.servers {
            Servers::Simulated { simulator, client } => {
                client.get_or_init(|| Client::new(&ClientPolicy::default(), &simulator.addr().to_string()).unwrap())
            }
            Servers::Real(real) => &real.client,
        }
    }

    fn namespace(&self) -> &str {
        match &self.servers {
            Servers::Simulated { .. } => NAMESPACE,
            Servers::Real(real) => &real.namespace,
        }
    }

    fn set(&self, name: &str) -> String {
        format!("{name}{}", self.set_suffix)
    }

    /// The bins of each of these records; `None` if there is no record.
    pub fn bins(&self, set: &str, keys: &[impl AsRef<str>]) -> Vec<Option<HashMap<String, Value>>> {
        read_records(self.client(), self.namespace(), &self.set(set), keys, bins)
    }
}

impl Records for Database {
    fn ints(&self, set: &str, keys: &[&str]) -> Vec<Option<i64>> {
        let found = read_records(self.client(), self.namespace(), &self.set(set), keys, int_n);
        found.into_iter().map(Option::flatten).collect()
    }

    fn count(&self, set: &str) -> u64 {
        count(self.client(), self.namespace(), &self.set(set))
    }
}

impl Display for Database {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.servers {
            Servers::Simulated { simulator, .. } => write!(f, "a simulator in this process, {}", simulator.addr())?,
            Servers::Real(real) => write!(f, "{real}")?,
        }
        write!(f, "; sets end with {}", self.set_suffix)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Servers::Simulated { client, .. } = &self.servers
            && let Some(client) = client.get()
        {
            let _ = client.close();
        }
    }
}

/// A real cluster: one client for all tests of this process.
struct Real {
    client: Client,
    hosts: String,
    namespace: String,
    has_login: bool,
}

impl Real {
    /// The cluster in the environment, if it names one. Prints which database the tests use.
    fn from_env() -> Option<Result<Arc<Real>, String>> {
        let connect = |hosts: String| {
            let namespace = variable("AEROSPIKE_NAMESPACE").unwrap_or_else(|| NAMESPACE.to_owned());
            let login = match (variable("AEROSPIKE_USER"), variable("AEROSPIKE_PASSWORD")) {
                (Some(user), Some(password)) => Some((user, password)),
                (None, None) => None,
                _ => return Err("AEROSPIKE_USER and AEROSPIKE_PASSWORD belong together: one is not set".to_owned()),
            };
            Ok(Arc::new(Real::connect(&hosts, &namespace, login)?))
        };
        let real = variable("AEROSPIKE_HOSTS").map(connect);
        let told = match &real {
            None => "a simulator in this process for each test (AEROSPIKE_HOSTS is not set)".to_owned(),
            Some(Ok(real)) => format!("{real}, for each test that asks for no fault of it"),
            Some(Err(why)) => why.clone(),
        };
        // Bypasses the capture of a test's output.
        io::stderr()
            .write_all(format!("database: {told}\n").as_bytes())
            .unwrap();
        real
    }

    fn connect(hosts: &str, namespace: &str, login: Option<(String, String)>) -> Result<Real, String> {
        // The client's error text has several lines.
        let failed = |why: &dyn Display| {
            let why = why.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
            format!(
                "AEROSPIKE_HOSTS={hosts}: {why}; start the cluster, or correct AEROSPIKE_HOSTS, AEROSPIKE_NAMESPACE, \
                 AEROSPIKE_USER and AEROSPIKE_PASSWORD"
            )
        };
        // If the port is not a number, the client silently uses its usual port.
        let text = format!(
            "[aerospike]\nhosts = \"{hosts}\"\nnamespace = \"{namespace}\"\n\
             [kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n\
             [[route]]\n[[route.write]]\nkey = \"k\"\nbins = [\"b\"]\n"
        );
        config::parse(&text, "its configuration").map_err(|faults| failed(&faults))?;
        let has_login = login.is_some();
        let policy = ClientPolicy {
            timeout: CONNECT_TIMEOUT_MS,
            connect_timeout: CONNECT_TIMEOUT_MS,
            auth_mode: login.map_or(AuthMode::None, |(user, password)| AuthMode::Internal(user, password)),
            ..ClientPolicy::default()
        };
        let client = Client::new(&policy, &hosts.to_owned()).map_err(|error| failed(&error))?;
        let answer = client
            .info(&AdminPolicy::default(), &["namespaces"])
            .map_err(|error| failed(&error))?;
        let namespaces = answer.get("namespaces").map(String::as_str).unwrap_or_default();
        if !namespaces.split(';').any(|name| name == namespace) {
            return Err(failed(&format!("it has no namespace {namespace}, but {namespaces}")));
        }
        Ok(Real {
            client,
            hosts: hosts.to_owned(),
            namespace: namespace.to_owned(),
            has_login,
        })
    }

    /// The services also read the login from the environment: it is in no file.
    fn login_lines(&self) -> &'static str {
        if self.has_login {
            "user = \"${env:AEROSPIKE_USER}\"\npassword = \"${env:AEROSPIKE_PASSWORD}\""
        } else {
            ""
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.client.close();
    }
}

impl Display for Real {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster at {}, namespace {}", self.hosts, self.namespace)
    }
}

/// A variable of the environment. An empty one counts as not set.
fn variable(name: &str) -> Option<String> {
    match env::var(name) {
        Ok(value) => Some(value).filter(|value| !value.is_empty()),
        Err(env::VarError::NotPresent) => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

// ---- records, as the client that users have reads them

/// The result of `what` for each of these records; `None` if there is no record.
pub fn read_records<T>(
    client: &Client,
    namespace: &str,
    set: &str,
    keys: &[impl AsRef<str>],
    what: impl Fn(&Record) -> T,
) -> Vec<Option<T>> {
    let policy = BatchReadPolicy::default();
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(BATCH) {
        let mut reads: Vec<BatchOperation> = keys
            .iter()
            .map(|key| {
                let key = Key::new(namespace, set, key.as_ref().into()).unwrap();
                BatchOperation::read(&policy, key, Bins::All)
            })
            .collect();
        client.batch(&BatchPolicy::default(), &mut reads).unwrap();
        for (key, read) in keys.iter().zip(&reads) {
            let record = read.batch_record();
            let code = record.result_code();
            assert!(
                matches!(code, Some(ResultCode::Ok | ResultCode::KeyNotFoundError)),
                "{set}/{} is not read: {code:?} {:?}",
                key.as_ref(),
                record.error()
            );
            found.push(record.record.as_ref().map(&what));
        }
    }
    found
}

/// A record's bins.
pub fn bins(record: &Record) -> HashMap<String, Value> {
    record.bins.clone().into_iter().collect()
}

/// Its bin `n`, if it has one.
pub fn int_n(record: &Record) -> Option<i64> {
    match record.bins.get("n")? {
        Value::Int(n) => Some(*n),
        other => panic!("n is {other:?}"),
    }
}

/// Number of records of a set, as the nodes count them: each node counts its copies.
fn count(client: &Client, namespace: &str, set: &str) -> u64 {
    let (of_set, of_namespace) = (format!("sets/{namespace}/{set}"), format!("namespace/{namespace}"));
    let commands = ["node", &of_set, &of_namespace];
    let nodes = client.node_names();
    let mut objects: BTreeMap<String, u64> = BTreeMap::new();
    let mut copies = 1;
    for _ in 0..nodes.len() * ATTEMPTS_EACH {
        let answer = client.info(&AdminPolicy::default(), &commands).unwrap();
        let of = |command: &str| answer.get(command).map(String::as_str).unwrap_or_default();
        objects.insert(of("node").to_owned(), field(of(&of_set), ':', "objects").unwrap_or(0));
        copies = field(of(&of_namespace), ';', "effective_replication_factor").unwrap_or(1);
        if nodes.iter().all(|node| objects.contains_key(node)) {
            return objects.values().sum::<u64>() / copies.max(1);
        }
    }
    panic!("{set}: only {objects:?} of {nodes:?} were counted, {copies} copies");
}

/// A number in an answer of `name=value` pairs.
fn field(answer: &str, separator: char, name: &str) -> Option<u64> {
    let value = answer
        .split(separator)
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    value.trim_end_matches(';').parse().ok()
}
