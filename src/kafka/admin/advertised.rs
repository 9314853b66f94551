//! The addresses that brokers announce for themselves (`advertised.listeners`), and whether each broker answers there.
//!
//! A client learns these addresses from the first broker that it reaches, and from then on uses only them. If they
//! cannot be reached from here, the configured addresses answer, but nothing is ever read. librdkafka reports this in
//! its own terms, if at all.
//!
//! With its first answer, librdkafka 2.12.1 drops the configured addresses. It uses them again only after it has tried
//! all others (`metadata.recovery.strategy`); until then nobody answers at all. So this code keeps what it learned from
//! the first answer, and the start asks again with a new client.
//!
//! librdkafka decides: a broker that answers a request is reachable, whatever is in between. Only if a broker does not
//! answer, this code examines its address (its name, a connection, what answers there), to say what is wrong with it.
//! Called at the start, by `check --connect` and by code that waits for a broker; never by a worker.
//!
//! If the announced addresses lead nowhere at all, librdkafka may never pass on an answer: it asks again at those
//! addresses, and waits. So the addresses are also read from its statistics ([`Learned`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use log::debug;
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::metadata::Metadata;

use crate::config::kafka::together::Security;
use crate::kafka::admin::describe_topics::{Reply, reply, request};
use crate::kafka::diagnosis::listener::{self, Listener, Login};
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;

/// Time limit for the answers of all brokers together.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit for then examining the addresses of all brokers that did not answer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of one request for metadata.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the stop flag is checked.
const GLANCE: Duration = Duration::from_millis(50);
/// Maximum number of silent brokers whose addresses are examined.
const LOOKED_AT_MAX: usize = 32;
/// Maximum number of them that one line names.
const NAMED_MAX: usize = 3;

/// What is wrong with an address, seen from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    DoesNotResolve,
    NoRoute,
    Refused,
    TimesOut,
    /// It accepts connections, but does not answer.
    Silent,
    /// Something else than a listener for this client answers.
    Strange(&'static str),
    /// Another error, in the operating system's words.
    Other(String),
}

impl Trouble {
    fn of(error: &io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Trouble::Refused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
                Trouble::NoRoute
            }
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Trouble::TimesOut,
            _ => Trouble::Other(error.to_string()),
        }
    }

    fn what(&self) -> String {
        match self {
            Trouble::DoesNotResolve => "which does not resolve".to_owned(),
            Trouble::NoRoute => "to which there is no route".to_owned(),
            Trouble::Refused => "which refuses connections".to_owned(),
            Trouble::TimesOut => "to which connections time out".to_owned(),
            Trouble::Silent => "which takes connections and does not answer".to_owned(),
            Trouble::Strange(what) => format!("where {what} answers"),
            Trouble::Other(why) => format!("which cannot be reached ({why})"),
        }
    }

    fn cure(&self) -> &'static str {
        match self {
            Trouble::DoesNotResolve | Trouble::Strange(_) => "correct advertised.listeners",
            Trouble::Refused | Trouble::Silent => "correct advertised.listeners, or look at the broker",
            Trouble::NoRoute | Trouble::TimesOut | Trouble::Other(_) => {
                "correct advertised.listeners, or the network and its firewalls"
            }
        }
    }
}

/// A broker that does not answer at the address that it announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    pub id: i32,
    /// `host:port`.
    pub address: String,
    pub trouble: Trouble,
    /// The partitions that it leads, of the topics that were asked about: `events[0,2-3]`. Empty: none.
    pub leads: String,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "broker {} says its address is {}, {}: {}",
            self.id,
            self.address,
            self.trouble.what(),
            self.trouble.cure()
        )
    }
}

/// Several unreachable brokers as the text of one line.
pub fn line(unreached: &[Unreached]) -> String {
    let mut named: Vec<String> = unreached.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if unreached.len() > NAMED_MAX {
        named.push(format!("and {} brokers more", unreached.len() - NAMED_MAX));
    }
    named.join("; ")
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The cluster's brokers, and the partitions of some topics that each leads.
#[derive(Debug, Clone, Default)]
pub struct Brokers {
    addresses: BTreeMap<i32, Address>,
    /// Partition numbers by broker and topic.
    leads: BTreeMap<i32, BTreeMap<String, BTreeSet<i32>>>,
    /// How the client connects to them. `None`: not known; then every kind of Kafka listener is accepted.
    security: Option<Security>,
}

/// The brokers that a client has learned of by itself, as in its last statistics. Shared with the client's context.
#[derive(Debug, Clone, Default)]
pub struct Learned(Arc<Mutex<BTreeMap<i32, Address>>>);

impl Learned {
    /// How often a client must produce statistics, for `statistics.interval.ms`.
    pub const INTERVAL_MS: &str = "500";

    /// Must be called with each of the client's statistics (librdkafka's `STATISTICS.md`).
    pub fn hear(&self, statistics: &[u8]) {
        match addresses(statistics) {
            Ok(addresses) => *self.0.lock() = addresses,
            Err(error) => debug!("kafka: statistics that cannot be read error=\"{error}\""),
        }
    }
}

fn addresses(statistics: &[u8]) -> Result<BTreeMap<i32, Address>, serde_json::Error> {
    let statistics: serde_json::Value = serde_json::from_slice(statistics)?;
    let brokers = statistics.get("brokers").and_then(serde_json::Value::as_object);
    let address = |broker: &serde_json::Value| {
        // Brokers with negative numbers are librdkafka's own entries: the configured addresses, and the coordinator.
        let id = i32::try_from(broker.get("nodeid")?.as_i64()?)
            .ok()
            .filter(|id| *id >= 0)?;
        let (host, port) = broker.get("nodename")?.as_str()?.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = port.parse().ok()?;
        Some((id, Address { host, port }))
    };
    Ok(brokers
        .into_iter()
        .flat_map(|brokers| brokers.values())
        .filter_map(address)
        .collect())
}

/// Which brokers answer, and which do not.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    pub answering: BTreeSet<i32>,
    pub unreached: Vec<Unreached>,
}

impl Brokers {
    /// No brokers yet, for a client that connects in this way.
    pub fn new(security: Security) -> Brokers {
        Brokers {
            security: Some(security),
            ..Brokers::default()
        }
    }

    /// The brokers that a client has learned of. It is not known what they lead.
    pub fn learned(learned: &Learned, security: Security) -> Brokers {
        Brokers {
            addresses: learned.0.lock().clone(),
            ..Brokers::new(security)
        }
    }

    /// Adds the content of a broker's answer.
    pub fn take(&mut self, metadata: &Metadata) {
        for broker in metadata.brokers() {
            let address = Address {
                host: broker.host().to_owned(),
                port: u16::try_from(broker.port()).unwrap_or(0),
            };
            self.addresses.insert(broker.id(), address);
        }
        for topic in metadata.topics() {
            for partition in topic.partitions().iter().filter(|partition| partition.leader() >= 0) {
                let led = self.leads.entry(partition.leader()).or_default();
                led.entry(topic.name().to_owned()).or_default().insert(partition.id());
            }
        }
    }

    /// The address that the broker announces.
    pub fn address(&self, id: i32) -> Option<String> {
        self.addresses.get(&id).map(ToString::to_string)
    }

    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    pub fn all(&self) -> BTreeSet<i32> {
        self.addresses.keys().copied().collect()
    }

    /// The brokers that lead at least one partition.
    pub fn leaders(&self) -> BTreeSet<i32> {
        self.leads.keys().copied().collect()
    }

    /// The leader of a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        let leads = |led: &BTreeMap<String, BTreeSet<i32>>| led.get(topic).is_some_and(|led| led.contains(&partition));
        let found = self.leads.iter().find(|(_, led)| leads(led));
        found.map(|(id, _)| *id)
    }

    /// Asks these brokers about `topics`, each at its own address and all at once. For those that do not answer, finds
    /// out what is wrong with their addresses.
    pub fn ask<C: ConsumerContext>(
        &self,
        client: &BaseConsumer<C>,
        ids: &BTreeSet<i32>,
        topics: &[&str],
        limit: &StartLimit,
        stop: &Stop,
    ) -> Answers {
        let timeout = limit.bound(ANSWER_TIMEOUT);
        let names: Vec<CString> = topics.iter().filter_map(|name| CString::new(*name).ok()).collect();
        let requests: Vec<_> = ids
            .iter()
            .map(|id| (*id, request(client, &names, *id, timeout, false).ok()))
            .collect();
        let deadline = Instant::now() + timeout;
        let mut answers = Answers::default();
        let (mut silent, mut doubtful) = (Vec::new(), Vec::new());
        for (id, request) in &requests {
            // At its own time-out, librdkafka produces an answer itself. A refusal with one of Kafka's own codes is an
            // answer of the broker, too.
            let said = request.as_ref().map(|queue| reply(queue, deadline, stop));
            match said.unwrap_or(Reply::Silent) {
                Reply::Answered => {
                    answers.answering.insert(*id);
                }
                Reply::Unknown => doubtful.push(*id),
                Reply::Silent => silent.push(*id),
            }
        }
        if !stop.requested() {
            let timeout = limit.bound(LOOK_TIMEOUT);
            // The existence of a listener does not mean that it has answered.
            let silent_where_fit = |found: Option<Trouble>| Some(found.unwrap_or(Trouble::Silent));
            answers.unreached = self.look_at(&silent, timeout, stop, silent_where_fit);
            let if_strange = |found: Option<Trouble>| found.filter(|found| matches!(found, Trouble::Strange(_)));
            answers
                .unreached
                .extend(self.look_at(&doubtful, timeout, stop, if_strange));
        }
        let Answers { answering, unreached } = &mut answers;
        let is_unreached = |id: &i32| unreached.iter().any(|unreached| unreached.id == *id);
        answering.extend(doubtful.into_iter().filter(|id| !is_unreached(id)));
        answers
    }

    /// Examines the addresses of all brokers without asking them through a client. Returns those where there is no
    /// listener for this client, and what is wrong.
    pub fn look_over(&self, limit: &StartLimit, stop: &Stop) -> Vec<Unreached> {
        let ids: Vec<i32> = self.addresses.keys().copied().collect();
        self.look_at(&ids, limit.bound(LOOK_TIMEOUT), stop, |found| found)
    }

    /// Examines the addresses of these brokers. `judged` turns what was found at an address (`None`: a listener for
    /// this client) into what is wrong with it.
    fn look_at(
        &self,
        ids: &[i32],
        timeout: Duration,
        stop: &Stop,
        judged: impl Fn(Option<Trouble>) -> Option<Trouble>,
    ) -> Vec<Unreached> {
        // Each thread sends at most two findings.
        let (sender, found) = bounded(2 * LOOKED_AT_MAX);
        let deadline = Instant::now() + timeout;
        let mut troubles: BTreeMap<i32, Option<Trouble>> = BTreeMap::new();
        let mut outstanding = 0;
        for id in ids.iter().take(LOOKED_AT_MAX) {
            let Some(address) = self.addresses.get(id) else {
                continue;
            };
            outstanding += usize::from(look(*id, address.clone(), self.security, deadline, sender.clone()));
        }
        while outstanding > 0 && !stop.requested() && Instant::now() < deadline {
            if let Ok(finding) = found.recv_timeout(GLANCE) {
                troubles.insert(finding.id, finding.trouble);
                outstanding -= usize::from(finding.is_last);
            }
        }
        let unreached = ids.iter().filter_map(|id| {
            Some(Unreached {
                id: *id,
                address: self.addresses.get(id)?.to_string(),
                // A name server that does not answer takes longer than the time limit.
                trouble: judged(troubles.remove(id).unwrap_or(Some(Trouble::TimesOut)))?,
                leads: self.led_by(*id),
            })
        });
        unreached.collect()
    }

    /// The partitions that a broker leads: `events[0,2-3], orders[1]`.
    pub fn led_by(&self, id: i32) -> String {
        let of_topic = |(topic, partitions): (&String, &BTreeSet<i32>)| format!("{topic}[{}]", runs(partitions));
        let led = self
            .leads
            .get(&id)
            .map(|led| led.iter().map(of_topic).collect::<Vec<_>>());
        led.unwrap_or_default().join(", ")
    }
}

/// Numbers as ranges: `0,2-3`.
fn runs(numbers: &BTreeSet<i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let run = |(first, last): &(i32, i32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

/// What was found at a broker's address.
struct Finding {
    id: i32,
    /// What is wrong; `None`: it is a listener for this client.
    trouble: Option<Trouble>,
    is_last: bool,
}

/// Examines one address on a separate thread, since a name lookup has no time limit. `false`: no thread could be
/// started.
fn look(id: i32, address: Address, security: Option<Security>, deadline: Instant, sender: Sender<Finding>) -> bool {
    let thread = thread::Builder::new().name("look-at-broker".into()).spawn(move || {
        let tell = |trouble, is_last| {
            // The receiver may have stopped waiting.
            let _ = sender.try_send(Finding { id, trouble, is_last });
        };
        let trouble = trouble(&address, deadline);
        let is_silent = trouble == Trouble::Silent;
        tell(Some(trouble), !is_silent);
        if is_silent {
            // The finding just sent is used if this takes too long.
            tell(misfit(&listener::look(&address.to_string(), None), security), true);
        }
    });
    thread.is_ok()
}

/// What is wrong with an address that accepts connections; `None`: as far as can be seen, it is a listener for this
/// client.
fn misfit(listener: &Listener, security: Option<Security>) -> Option<Trouble> {
    let client = security.unwrap_or(Security {
        tls: false,
        sasl: false,
    });
    let strange = |what| Some(Trouble::Strange(what));
    match listener {
        Listener::Http => strange("a web server"),
        Listener::Aerospike => strange("an Aerospike node"),
        Listener::ZooKeeper => strange("ZooKeeper"),
        Listener::Ssh => strange("an SSH server"),
        Listener::Controller => strange("a KRaft controller"),
        Listener::Tls | Listener::KafkaTls { .. } if security.is_some() && !client.tls => {
            strange("a listener with TLS")
        }
        Listener::Kafka(_) if client.tls => strange("a listener without TLS"),
        Listener::Kafka(Login::Wanted(_)) if security.is_some() && !client.sasl => {
            strange("a listener that wants a login")
        }
        Listener::Kafka(Login::None) if client.sasl => strange("a listener without a login"),
        Listener::Tls | Listener::Kafka(_) | Listener::KafkaTls { .. } => None,
        Listener::Silent | Listener::Unknown | Listener::Unreached(_) | Listener::Unresolved(_) => {
            Some(Trouble::Silent)
        }
    }
}

fn trouble(address: &Address, deadline: Instant) -> Trouble {
    let Ok(addresses) = (address.host.as_str(), address.port).to_socket_addrs() else {
        return Trouble::DoesNotResolve;
    };
    let mut trouble = Trouble::DoesNotResolve;
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Trouble::TimesOut;
        }
        trouble = match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Trouble::Silent,
            Err(error) => Trouble::of(&error),
        };
    }
    trouble
}

/// What is wrong with the addresses of the cluster's brokers. For code that waits for a broker that does not answer.
/// `None`: all brokers answer, or none can be asked.
pub fn why<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topics: &[&str],
    limit: &StartLimit,
    stop: &Stop,
) -> Option<String> {
    let mut brokers = Brokers::default();
    for topic in topics {
        brokers.take(&client.fetch_metadata(Some(topic), limit.bound(METADATA_TIMEOUT)).ok()?);
    }
    let unreached = brokers.ask(client, &brokers.all(), topics, limit, stop).unreached;
    (!unreached.is_empty()).then(|| line(&unreached))
}

// ---- librdkafka's complaints

/// librdkafka's name for the coordinator (`rdkafka_cgrp.c`).
pub const COORDINATOR: &str = "GroupCoordinator";

/// Whether a line of librdkafka's log says that a broker belongs to another cluster than the earlier ones
/// (`rdkafka_metadata.c`, `rd_kafka_parse_Metadata`). Its answers must not be used.
pub fn is_other_cluster(line: &str) -> bool {
    line.contains("reports different ClusterId")
}

/// The cure for it.
pub const OTHER_CLUSTER_CURE: &str = "name brokers of one cluster in kafka.brokers, and correct advertised.listeners where it \
     leads to another one; after a cluster was made anew, start again";

/// Whether a complaint of librdkafka is about a broker at the address that the broker announces.
pub fn is_about_given(text: &str) -> bool {
    let text = match text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((_, text)) => text,
        None => text,
    };
    let name = text.split_once(": ").map_or(text, |(name, _)| name);
    name.rsplit_once('/')
        .is_some_and(|(address, id)| address.contains(':') && id.parse::<i32>().is_ok())
}

/// A complaint of librdkafka about one broker, with a readable name of the broker. Other complaints are unchanged.
///
/// Such complaints begin with librdkafka's name of the broker: `host:port/1: …`, with `sasl_ssl://` in front if it is
/// not plain (`rdkafka_broker.c`, `rd_kafka_mk_brokername`), and `GroupCoordinator: host:port: …`.
pub fn named(reason: &str) -> String {
    let Some((name, rest)) = reason.split_once(": ") else {
        return reason.to_owned();
    };
    if name == COORDINATOR {
        return match rest.split_once(": ") {
            Some((address, why)) if address.contains(':') && !address.contains(' ') => {
                format!("the group's coordinator at {address}: {}", plain(why))
            }
            _ => format!("the group's coordinator: {}", plain(rest)),
        };
    }
    let address = name.split_once("://").map_or(name, |(_, address)| address);
    let broker = address
        .rsplit_once('/')
        .filter(|(address, _)| !address.contains(char::is_whitespace))
        .and_then(|(address, id)| Some((address, id.parse::<i32>().ok()?)));
    match broker {
        Some((address, id)) => format!("broker {id} at {address}: {}", plain(rest)),
        None => reason.to_owned(),
    }
}

/// A name that does not resolve is the only complaint whose cure is certain.
fn plain(why: &str) -> String {
    if why.starts_with("Failed to resolve") {
        format!("{why}: the address that the broker gives does not resolve, correct advertised.listeners")
    } else {
        why.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address {
            host: host.to_owned(),
            port,
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn an_address_is_told_by_what_is_wrong_with_it() {
        // This domain is reserved for names that do not resolve (RFC 6761).
        assert_eq!(
            trouble(&address("broker.invalid", 9092), soon()),
            Trouble::DoesNotResolve
        );
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        assert_eq!(trouble(&address("127.0.0.1", port), soon()), Trouble::Silent);
        drop(silent);
        assert_eq!(trouble(&address("127.0.0.1", port), soon()), Trouble::Refused);
        assert_eq!(trouble(&address("127.0.0.1", port), Instant::now()), Trouble::TimesOut);
    }

    #[test]
    fn the_systems_errors_are_told_apart() {
        const NETWORK_UNREACHABLE: i32 = 101;
        const HOST_UNREACHABLE: i32 = 113;
        const TIMED_OUT: i32 = 110;
        let of = |code| Trouble::of(&io::Error::from_raw_os_error(code));
        if cfg!(target_os = "linux") {
            assert_eq!(of(NETWORK_UNREACHABLE), Trouble::NoRoute);
            assert_eq!(of(HOST_UNREACHABLE), Trouble::NoRoute);
            assert_eq!(of(TIMED_OUT), Trouble::TimesOut);
        }
    }

    #[test]
    fn a_broker_that_is_not_reached_is_named_with_its_address_and_the_cure() {
        let unreached = |trouble| Unreached {
            id: 1,
            address: address("kafka-int", 29092).to_string(),
            trouble,
            leads: String::new(),
        };
        assert_eq!(
            unreached(Trouble::DoesNotResolve).to_string(),
            "broker 1 says its address is kafka-int:29092, which does not resolve: correct advertised.listeners"
        );
        let many = vec![unreached(Trouble::NoRoute); 5];
        let text = line(&many);
        assert_eq!(
            text.matches("to which there is no route: correct advertised.listeners")
                .count(),
            3
        );
        assert!(text.ends_with("; and 2 brokers more"), "{text}");
        assert_eq!(address("fe80::1", 9092).to_string(), "[fe80::1]:9092");
    }

    #[test]
    fn what_answers_at_an_address_is_told_where_it_is_no_listener_for_this_client() {
        let security = |protocol| Some(Security::of(Some(protocol)));
        let wanted = Listener::Kafka(Login::Wanted(vec!["PLAIN".to_owned()]));
        let open = Listener::Kafka(Login::None);
        for (listener, security, expected) in [
            (Listener::Http, None, Some(Trouble::Strange("a web server"))),
            (
                Listener::Controller,
                security("plaintext"),
                Some(Trouble::Strange("a KRaft controller")),
            ),
            (
                Listener::Tls,
                security("plaintext"),
                Some(Trouble::Strange("a listener with TLS")),
            ),
            (Listener::Tls, security("sasl_ssl"), None),
            (Listener::Tls, None, None),
            (
                wanted.clone(),
                security("plaintext"),
                Some(Trouble::Strange("a listener that wants a login")),
            ),
            (wanted.clone(), security("sasl_plaintext"), None),
            (wanted, None, None),
            (
                open.clone(),
                security("sasl_plaintext"),
                Some(Trouble::Strange("a listener without a login")),
            ),
            (
                open.clone(),
                security("ssl"),
                Some(Trouble::Strange("a listener without TLS")),
            ),
            (open, security("plaintext"), None),
            (Listener::Unknown, None, Some(Trouble::Silent)),
        ] {
            assert_eq!(misfit(&listener, security), expected, "{listener:?}");
        }
    }

    #[test]
    fn the_brokers_that_a_client_has_learned_of_are_read_from_its_statistics() {
        let json = br#"{"brokers":{
            "127.0.0.1:1/bootstrap":{"nodeid":-1,"nodename":"127.0.0.1:1"},
            "GroupCoordinator":{"nodeid":-1,"nodename":""},
            "kafka-int:29092/1":{"nodeid":1,"nodename":"kafka-int:29092"},
            "[fe80::1]:9092/2":{"nodeid":2,"nodename":"[fe80::1]:9092"}}}"#;
        let found = addresses(json).unwrap();
        assert_eq!(
            found,
            [(1, address("kafka-int", 29092)), (2, address("fe80::1", 9092))].into()
        );
        assert!(addresses(b"{}").unwrap().is_empty());
    }

    #[test]
    fn a_complaint_about_the_address_that_a_broker_gives_is_told_from_one_of_the_configuration() {
        for (text, expected) in [
            ("[thrd:k:1/1]: k:1/1: Connection refused", true),
            ("sasl_ssl://k:1/12: Connection refused", true),
            ("[thrd:k:1/bootstrap]: k:1/bootstrap: Connection refused", false),
            ("GroupCoordinator: k:1: Connection refused", false),
            ("2/2 brokers are down", false),
        ] {
            assert_eq!(is_about_given(text), expected, "{text}");
        }
    }

    #[test]
    fn partitions_are_named_in_runs() {
        assert_eq!(runs(&[0, 2, 3, 4, 9].into()), "0,2-4,9");
        assert_eq!(runs(&BTreeSet::new()), "");
    }

    #[test]
    fn a_complaint_of_librdkafkas_names_the_broker_as_people_do() {
        for (reason, told) in [
            (
                "127.0.0.1:29092/1: Connect to ipv4#127.0.0.1:29092 failed: Connection refused (after 0ms in state CONNECT)",
                "broker 1 at 127.0.0.1:29092: Connect to ipv4#127.0.0.1:29092 failed: Connection refused (after 0ms in state CONNECT)",
            ),
            (
                "sasl_ssl://kafka-int:9093/12: Failed to resolve 'kafka-int:9093': Name or service not known (after 1ms in state CONNECT)",
                "broker 12 at kafka-int:9093: Failed to resolve 'kafka-int:9093': Name or service not known (after 1ms in state CONNECT): \
                 the address that the broker gives does not resolve, correct advertised.listeners",
            ),
            (
                "GroupCoordinator: 10.0.0.9:9092: Connection setup timed out in state CONNECT",
                "the group's coordinator at 10.0.0.9:9092: Connection setup timed out in state CONNECT",
            ),
            (
                "kafka:9092/bootstrap: Failed to resolve 'kafka:9092': x",
                "kafka:9092/bootstrap: Failed to resolve 'kafka:9092': x",
            ),
            ("2/2 brokers are down", "2/2 brokers are down"),
            (
                "Failed to acquire idempotence PID from broker 127.0.0.1:9092/1: Broker: Coordinator load in progress: retrying",
                "Failed to acquire idempotence PID from broker 127.0.0.1:9092/1: Broker: Coordinator load in progress: retrying",
            ),
        ] {
            assert_eq!(named(reason), told);
        }
    }

    #[test]
    fn the_leader_is_that_of_the_partition_and_not_of_its_topic() {
        let led = |partitions: &[i32]| BTreeMap::from([("t".to_owned(), partitions.iter().copied().collect())]);
        let brokers = Brokers {
            leads: BTreeMap::from([(1, led(&[0, 2])), (2, led(&[1]))]),
            ..Brokers::default()
        };
        let leader = |topic, partition| brokers.leader(topic, partition);
        assert_eq!(
            (leader("t", 0), leader("t", 1), leader("t", 2)),
            (Some(1), Some(2), Some(1))
        );
        assert_eq!((leader("t", 3), leader("u", 0)), (None, None));
        assert_eq!(brokers.led_by(1), "t[0,2]");
    }

    #[test]
    fn each_trouble_has_a_cure_that_can_help() {
        for (trouble, cure) in [
            (Trouble::DoesNotResolve, "correct advertised.listeners"),
            (Trouble::Refused, "correct advertised.listeners, or look at the broker"),
            (Trouble::Silent, "correct advertised.listeners, or look at the broker"),
            (
                Trouble::TimesOut,
                "correct advertised.listeners, or the network and its firewalls",
            ),
        ] {
            assert_eq!(trouble.cure(), cure, "{trouble:?}");
        }
    }
}
