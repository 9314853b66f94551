//! What a cluster tells about itself, for `check --connect`: editions, namespaces and their settings, clocks, roles.
//!
//! It only asks; it reads and writes no record. The client chooses the node that it asks, so it is asked until every
//! node that it knows has answered.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aerospike::{AdminPolicy, Bins, Key, ReadPolicy, Value};

use super::ask::error_code;
use super::{Store, chain};
use crate::delivery::result_codes::Told;
use crate::output::row::{RecordKey, Target};

const NO_RECORD: u8 = 2;

/// Aerospike counts seconds from the start of 2010, UTC.
const EPOCH_2010_S: i64 = 1_262_304_000;
/// How often the client is asked for each node before we give up. By chance, it may skip a node for a while, but hardly
/// this often.
const ATTEMPTS_EACH: usize = 40;

/// What one node tells.
#[derive(Debug, Clone, Default)]
pub struct NodeInfo {
    /// Its name in the cluster.
    pub name: String,
    /// For example `8.1.2.0`.
    pub build: String,
    /// For example `Aerospike Community Edition`.
    pub edition: String,
    /// The namespaces asked for. `None`: the node does not have the namespace.
    pub namespaces: BTreeMap<String, Option<Settings>>,
    /// Statistics of the whole node.
    pub statistics: Settings,
    /// Our clock when the node answered, in milliseconds since the epoch.
    pub at_ms: i64,
}

impl NodeInfo {
    /// How far the node's clock is ahead of ours, in seconds. Taken from one of its namespaces.
    pub fn clock_ahead_s(&self) -> Option<i64> {
        let told = self.namespaces.values().flatten();
        let time = told.filter_map(|settings| settings.number("current_time")).next()?;
        Some(time + EPOCH_2010_S - self.at_ms.div_euclid(1000))
    }
}

/// Names and values from the answer of an info command.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    fn parse(text: &str) -> Settings {
        let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        Settings(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The value as it was answered.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value as an integer.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Whether the value is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
}

/// What the user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The user may read a record.
    Granted,
    /// Reading is refused, with the server's words. Whether writes are allowed is unknown.
    NoReads(String),
    /// It cannot be found out now.
    Unknown(String),
}

impl Store {
    /// What each node tells, sorted by name. Nodes that did not answer are left out.
    ///
    /// # Errors
    /// If no node answers.
    pub fn survey(&self, namespaces: &[String]) -> Result<Vec<NodeInfo>, String> {
        let client = self.client();
        let known = client.node_names();
        let questions: Vec<String> = namespaces.iter().map(|name| format!("namespace/{name}")).collect();
        let mut commands = vec!["node", "build", "edition", "statistics"];
        commands.extend(questions.iter().map(String::as_str));
        let mut found: BTreeMap<String, NodeInfo> = BTreeMap::new();
        let mut failure = "the client knows no node".to_owned();
        for _ in 0..known.len() * ATTEMPTS_EACH {
            if known.iter().all(|name| found.contains_key(name)) {
                break;
            }
            let answer = match client.info(&AdminPolicy::default(), &commands) {
                Ok(answer) => answer,
                Err(error) => {
                    failure = words(&error);
                    continue;
                }
            };
            let get = |name: &str| answer.get(name).cloned().unwrap_or_default();
            // The node refuses the whole question, in one line without names.
            if get("node").is_empty() {
                let code = answer.keys().find_map(|line| error_code(line));
                failure = code.map_or_else(|| "an answer without names".to_owned(), |code| Told(code).to_string());
                continue;
            }
            let of_namespace = |name: &String| {
                let text = get(&format!("namespace/{name}"));
                let is_there = text.contains('=') && !text.starts_with("ERROR") && !text.starts_with("type=unknown");
                (name.clone(), is_there.then(|| Settings::parse(&text)))
            };
            let node = NodeInfo {
                name: get("node"),
                build: get("build"),
                edition: get("edition"),
                namespaces: namespaces.iter().map(of_namespace).collect(),
                statistics: Settings::parse(&get("statistics")),
                at_ms: now_ms(),
            };
            found.insert(node.name.clone(), node);
        }
        if found.is_empty() {
            return Err(failure);
        }
        Ok(found.into_values().collect())
    }

    /// Whether the user may read a record of the namespace. This is the check that the start makes: it shows a refused
    /// authorisation. Only the first write shows whether the user may write.
    pub fn access(&self, namespace: &str) -> Access {
        const ROLE_VIOLATION: u8 = 81;
        let key = Key::with_digest(namespace, "", None, [0; 20]);
        match self.client().exists(&ReadPolicy::default(), &key) {
            Ok(_) => Access::Granted,
            Err(error) => match error.server_result_code().map(u8::from) {
                Some(ROLE_VIOLATION) => Access::NoReads(words(&error)),
                Some(NO_RECORD) => Access::Granted,
                _ => Access::Unknown(words(&error)),
            },
        }
    }

    /// The integer in a bin of a record. `None` if the record does not exist or the bin holds something else.
    ///
    /// # Errors
    /// The server's words, or the client's.
    pub fn integer(&self, target: &Target, key: &RecordKey<'_>, bin: &str) -> Result<Option<i64>, String> {
        let key = client_key(target, key)?;
        match self.client().get(&self.read_policy(), &key, [bin]) {
            Ok(record) => Ok(match record.bins.get(bin) {
                Some(Value::Int(number)) => Some(*number),
                _ => None,
            }),
            Err(error) if error.server_result_code().map(u8::from) == Some(NO_RECORD) => Ok(None),
            Err(error) => Err(words(&error)),
        }
    }

    /// The names of a record's bins. Empty if the record does not exist.
    ///
    /// # Errors
    /// The server's words, or the client's.
    pub fn bins(&self, target: &Target, key: &RecordKey<'_>) -> Result<Vec<String>, String> {
        let key = client_key(target, key)?;
        match self.client().get(&self.read_policy(), &key, Bins::All) {
            Ok(record) => Ok(record.bins.keys().map(ToString::to_string).collect()),
            Err(error) if error.server_result_code().map(u8::from) == Some(NO_RECORD) => Ok(Vec::new()),
            Err(error) => Err(chain(&error)),
        }
    }

    /// The roles of this user, if the cluster has security and tells them.
    ///
    /// # Errors
    /// The cluster's words.
    pub fn roles(&self, user: &str) -> Result<Vec<String>, String> {
        let users = self
            .client()
            .query_users(&AdminPolicy::default(), Some(user))
            .map_err(|error| words(&error))?;
        Ok(users.into_iter().flat_map(|user| user.roles).collect())
    }
}

/// The words for the server's code; without a code, the client's text.
fn words(error: &aerospike::Error) -> String {
    match error.server_result_code() {
        Some(code) => Told(code.into()).to_string(),
        None => chain(error),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn client_key(target: &Target, key: &RecordKey<'_>) -> Result<Key, String> {
    let key = match key {
        RecordKey::String(text) => Value::String(text.to_string()),
        RecordKey::Integer(number) => Value::Int(*number),
        RecordKey::Bytes(bytes) => Value::Blob(bytes.to_vec()),
    };
    Key::new(&target.namespace, &target.set, key).map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_the_server_writes_them() {
        // crates/penstock-sim/tests/data/aerospike-transcript.txt
        let settings =
            Settings::parse("stop_writes=false;current_time=533058912;allow-ttl-without-nsup=true;nsup-period=0;x");
        assert_eq!(settings.number("nsup-period"), Some(0));
        assert!(settings.is_true("allow-ttl-without-nsup") && !settings.is_true("stop_writes"));
        assert_eq!(settings.get("x"), None);
        let node = NodeInfo {
            namespaces: [("test".to_owned(), Some(settings))].into(),
            at_ms: 1_795_362_902_900,
            ..NodeInfo::default()
        };
        assert_eq!(node.clock_ahead_s(), Some(10));
    }
}
