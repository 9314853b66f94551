//! What the tests of the whole service share: a broker in the process, messages whose records can be told in advance,
//! the service on a thread, programs as processes, and the ledger that holds records against messages.
//!
//! Waits are for a condition, with a deadline ([`wait_until`]); a wait that fails prints the state.

// Each of the three test programs (it, live, scenarios) compiles this module and uses a part of it.
#![allow(dead_code)]
// A test may fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod advertising;
pub mod connect;
pub mod lines;
pub mod interrupted;
pub mod process;
pub mod provoke;
pub mod publishing;
pub mod schema;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lines::Lines;
use penstock::config;
use penstock::observe::counters::Counters;
use penstock::partition::hooks::Hooks;
use penstock::rules::code::Processors;
use penstock::rules::mapping::Mapping;
use penstock::service::supervisor;
use penstock::util::exit::Exit;
use penstock::util::stop::{Stop, StopKind};
use penstock_sim::{NamespaceConfig, SimConfig, Simulator};
use provoke::Provoked;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::bindings::{
    rd_kafka_handle_mock_cluster, rd_kafka_mock_broker_push_request_error_rtts,
    rd_kafka_mock_group_initial_rebalance_delay_ms, rd_kafka_mock_set_apiversion,
};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders, ToBytes};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tempfile::NamedTempFile;

/// How long anything here may take, on a machine that is busy.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// The pace of observation.
const PACE: Duration = Duration::from_millis(5);

/// A name that no other test, nor another run, uses.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{:x}-{nanos:x}-{number}", std::process::id())
}

/// The configurations in examples/, in alphabetical order.
pub fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    examples.sort();
    assert!(!examples.is_empty(), "no example");
    examples
}

/// Waits until `reached` holds of what `observe` sees, and returns that.
///
/// # Panics
/// After [`DEADLINE`], with the last observation.
pub fn wait_until<T: Debug>(what: &str, mut observe: impl FnMut() -> T, reached: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let seen = observe();
        if reached(&seen) {
            return seen;
        }
        assert!(
            Instant::now() < deadline,
            "waited {DEADLINE:?} for {what}; last seen: {seen:?}"
        );
        thread::sleep(PACE);
    }
}

// ---- Kafka

/// Where the topics are.
pub struct Kafka {
    pub brokers: String,
    /// Owns the broker in the process, if it is that.
    mock: Option<BaseProducer>,
}

impl Kafka {
    /// One broker in this process, whose groups do not wait for more members before their first rebalance.
    pub fn mock() -> Kafka {
        Self::mock_of(1)
    }

    /// The same with several brokers.
    pub fn mock_of(brokers: i32) -> Kafka {
        let owner: BaseProducer = ClientConfig::new()
            .set("test.mock.num.brokers", brokers.to_string())
            .create()
            .unwrap();
        let brokers = owner.client().mock_cluster().unwrap().bootstrap_servers();
        // SAFETY: the client lives in this scope, and was created with a mock cluster.
        let cluster = unsafe { rd_kafka_handle_mock_cluster(owner.client().native_ptr()) };
        assert!(
            !cluster.is_null(),
            "a client with test.mock.num.brokers has a mock cluster"
        );
        // SAFETY: the cluster is that of the living client; the call sets a number under its own lock.
        unsafe { rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 50) };
        Kafka {
            brokers,
            mock: Some(owner),
        }
    }

    /// The broker that `scripts/with-kafka.sh` started.
    pub fn real() -> Kafka {
        let brokers =
            std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS is not set: run the test by its make target");
        Self::at(&brokers)
    }

    /// One that a test started.
    pub fn at(brokers: &str) -> Kafka {
        Kafka {
            brokers: brokers.to_owned(),
            mock: None,
        }
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// A topic that no other test uses.
    pub fn topic(&self, name: &str, partitions: i32) -> Topic {
        let name = unique(name);
        match &self.mock {
            Some(mock) => mock
                .client()
                .mock_cluster()
                .unwrap()
                .create_topic(&name, partitions, 1)
                .unwrap(),
            None => {
                let admin: AdminClient<_> = self.client().create().unwrap();
                let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
                let results = wait_for(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
                assert_eq!(results, [Ok(name.clone())]);
            }
        }
        Topic {
            client: self.client(),
            name,
            partitions,
        }
    }

    /// The mock brokers, to be commanded.
    pub fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.mock
            .as_ref()
            .expect("a mock broker")
            .client()
            .mock_cluster()
            .unwrap()
    }

    /// The mock broker refuses all commits, or takes them again: what was written meanwhile is delivered again to
    /// the next service, as after a crash. (It takes no commit from outside of a group that it knows.)
    pub fn refuse_commits(&self, refuse: bool) {
        const ERRORS: usize = 10_000;
        let cluster = self.cluster();
        cluster.clear_request_errors(RDKafkaApiKey::OffsetCommit);
        if refuse {
            let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE;
            cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[error; ERRORS]);
        }
    }

    /// The mock broker says of this topic that it is not there.
    pub fn fail_topic(&self, name: &str) {
        self.topic_error(name, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    }

    /// And that it is.
    pub fn heal_topic(&self, name: &str) {
        self.topic_error(name, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    fn topic_error(&self, name: &str, error: RDKafkaRespErr) {
        let mock = self.mock.as_ref().expect("a mock broker");
        mock.client().mock_cluster().unwrap().topic_error(name, error).unwrap();
    }

    /// The mock broker answers the next questions for a group's offsets with an error that clients do not ask again after.
    pub fn fail_offset_fetches(&self, requests: usize) {
        let mock = self.mock.as_ref().expect("a mock broker");
        let errors = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN; requests];
        mock.client()
            .mock_cluster()
            .unwrap()
            .request_errors(RDKafkaApiKey::OffsetFetch, &errors);
    }

    /// The mock broker answers as one that keeps no leader epochs with committed offsets. (It always says that they have the
    /// partition's present one, otherwise.)
    pub fn forget_committed_epochs(&self) {
        /// The last version of OffsetFetch whose answers have none.
        const VERSION_MAX: i16 = 4;
        let mock = self.mock.as_ref().expect("a mock broker");
        // SAFETY: the client lives in this scope, and was created with a mock cluster.
        let cluster = unsafe { rd_kafka_handle_mock_cluster(mock.client().native_ptr()) };
        let key = RDKafkaApiKey::OffsetFetch as i16;
        // SAFETY: the cluster is that of the living client.
        let code = unsafe { rd_kafka_mock_set_apiversion(cluster, key, 0, VERSION_MAX) };
        assert_eq!(code, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    /// The mock broker has given this member up, and says so at its next heartbeat.
    pub fn forget_a_member(&self) {
        let mock = self.mock.as_ref().expect("a mock broker");
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
        mock.client()
            .mock_cluster()
            .unwrap()
            .request_errors(RDKafkaApiKey::Heartbeat, &[error]);
    }

    /// The mock broker answers the next commits after this time.
    pub fn delay_commits(&self, commits: usize, delay: Duration) {
        let mock = self.mock.as_ref().expect("a mock broker");
        let delay_ms = i32::try_from(delay.as_millis()).unwrap();
        for _ in 0..commits {
            // SAFETY: the client lives in this scope, and was created with a mock cluster.
            let cluster = unsafe { rd_kafka_handle_mock_cluster(mock.client().native_ptr()) };
            // SAFETY: the cluster is that of the living client; one pair follows the count of one.
            let code = unsafe {
                rd_kafka_mock_broker_push_request_error_rtts(
                    cluster,
                    1,
                    RDKafkaApiKey::OffsetCommit as i16,
                    1,
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
                    delay_ms,
                )
            };
            assert_eq!(code, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future of rdkafka's admin client, the only one of its clients without a blocking form.
pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no answer from the broker within {DEADLINE:?}");
        thread::park_timeout(left);
    }
}

/// A topic with a fixed number of partitions.
#[derive(Clone)]
pub struct Topic {
    pub client: ClientConfig,
    pub name: String,
    pub partitions: i32,
}

impl Topic {
    /// The group's committed offset of each partition; `None` where it has none.
    pub fn committed(&self, group: &str) -> Vec<Option<i64>> {
        let committed = self.commits(group);
        let offset = |partition| match committed.find_partition(&self.name, partition).unwrap().offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        (0..self.partitions).map(offset).collect()
    }

    /// Waits until the group's offsets are these.
    pub fn wait_committed(&self, group: &str, offsets: &[Option<i64>]) {
        wait_until(
            "the offsets to be committed",
            || self.committed(group),
            |committed| committed == offsets,
        );
    }

    /// The group's offsets, with what was committed with them.
    pub fn commits(&self, group: &str) -> TopicPartitionList {
        let consumer: BaseConsumer = self.client.clone().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.name, 0, self.partitions - 1);
        // A broker that has just started finds its coordinators first.
        wait_until(
            "the group's offsets",
            || consumer.committed_offsets(list.clone(), DEADLINE),
            Result::is_ok,
        )
        .unwrap()
    }

    /// Sets the group's offset, as `kafka-consumer-groups.sh --reset-offsets` does while nobody is in the group.
    pub fn commit(&self, group: &str, partition: i32, offset: i64) {
        let consumer: BaseConsumer = self.client.clone().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset))
            .unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }

    /// The oldest offset of each partition.
    pub fn beginnings(&self) -> Vec<i64> {
        let consumer: BaseConsumer = self.client.create().unwrap();
        let beginning = |partition| consumer.fetch_watermarks(&self.name, partition, DEADLINE).unwrap().0;
        (0..self.partitions).map(beginning).collect()
    }

    /// Sends these to one partition, each with a timestamp one above that before it; acknowledged when this returns.
    pub fn produce(&self, partition: i32, messages: &[Sent<'_>]) {
        let producer: BaseProducer = self
            .client
            .clone()
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "10000000")
            .create()
            .unwrap();
        for (number, message) in (0..).zip(messages) {
            let mut headers = OwnedHeaders::new();
            for (key, value) in message.headers {
                headers = headers.insert(Header { key, value: *value });
            }
            let mut record = BaseRecord::<str, [u8]>::to(&self.name)
                .partition(partition)
                .timestamp(timestamp_ms() + number)
                .headers(headers);
            if let Some(key) = message.key {
                record = record.key(key);
            }
            if let Some(payload) = message.payload {
                record = record.payload(payload);
            }
            send_record(&producer, record);
        }
        producer.flush(DEADLINE).unwrap();
    }

    /// Its first `messages` messages, of all partitions, each partition's in order; fails where there are not so many in time.
    pub fn read(&self, messages: usize) -> Vec<Read> {
        let consumer: BaseConsumer = self.client.clone().set("group.id", unique("reader")).create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition_offset(&self.name, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut read = Vec::new();
        wait_until(
            "messages to be read",
            || {
                while read.len() < messages
                    && let Some(Ok(message)) = consumer.poll(PACE)
                {
                    read.push(Read::from(&message));
                }
                read.len()
            },
            |read| *read == messages,
        );
        read.sort_by_key(|read| (read.partition, read.offset));
        read
    }

    /// The end of each partition.
    pub fn ends(&self) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = self.client.create().unwrap();
        let end = |partition| Some(consumer.fetch_watermarks(&self.name, partition, DEADLINE).unwrap().1);
        (0..self.partitions).map(end).collect()
    }
}

/// A message to be sent, as it is to stand in a topic.
#[derive(Clone, Copy)]
pub struct Sent<'s> {
    pub key: Option<&'s str>,
    pub payload: Option<&'s [u8]>,
    pub headers: &'s [(&'s str, Option<&'s [u8]>)],
}

/// With a key and a payload.
pub fn sent<'s>(key: &'s str, payload: &'s str) -> Sent<'s> {
    Sent {
        key: Some(key),
        payload: Some(payload.as_bytes()),
        headers: &[],
    }
}

/// The timestamp of the first message of [`Topic::produce`]: that of the test's begin, since a real broker deletes what is
/// older than a topic's retention.
pub fn timestamp_ms() -> i64 {
    static BEGUN: OnceLock<i64> = OnceLock::new();
    *BEGUN.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    })
}

/// A message as it stands in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl From<&BorrowedMessage<'_>> for Read {
    fn from(message: &BorrowedMessage<'_>) -> Read {
        let headers = message.headers().map(|headers| {
            let owned =
                |header: rdkafka::message::Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
            headers.iter().map(owned).collect()
        });
        Read {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
    }
}

impl Read {
    /// The last header of this name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(each, _)| each == name)?;
        Some(std::str::from_utf8(value.as_deref()?).unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(self.payload.as_deref().unwrap()).unwrap()
    }

    pub fn key_text(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().unwrap()).unwrap()
    }
}

/// Sends one message and, where the producer is full, waits until it is not.
pub fn send(producer: &BaseProducer, topic: &str, partition: i32, payload: &[u8]) {
    send_record(
        producer,
        BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(payload),
    );
}

fn send_record<K: ToBytes + ?Sized>(producer: &BaseProducer, mut record: BaseRecord<'_, K, [u8]>) {
    let deadline = Instant::now() + DEADLINE;
    while let Err((error, back)) = producer.send(record) {
        assert_eq!(
            error,
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
            "producing"
        );
        assert!(Instant::now() < deadline, "the producer is full for {DEADLINE:?}");
        record = back;
        producer.poll(PACE);
    }
}

// ---- messages, and the records they become

/// The two writes of [`Stream`]'s messages: the last of each key, and every message by its own id.
pub const ROUTES: &str = r#"
[[route]]
  [[route.write]]
  set = "last"
  key = "key"
  bins = ["n"]

  [[route.write]]
  set = "all"
  key = "id"
  bins = ["n"]
"#;

/// Writes numbered messages to every partition of a topic, and knows the records that must come out.
pub struct Stream {
    pub topic: Topic,
    producer: BaseProducer,
    /// Keys in each partition. Few of them: a batch then holds a key many times.
    keys: i64,
    /// Begins each id and key: records of several streams are told apart.
    prefix: &'static str,
    /// Messages in each partition so far.
    sent: i64,
    /// (partition, number) of messages that were sent, and must not become records.
    unwritten: Vec<(i32, i64)>,
}

impl Stream {
    pub fn new(topic: &Topic, keys: i64) -> Stream {
        Self::with(topic, keys, &[])
    }

    pub fn with(topic: &Topic, keys: i64, properties: &[(&str, &str)]) -> Stream {
        let mut client = topic.client.clone();
        client.set("enable.idempotence", "true").set("linger.ms", "2");
        for (name, value) in properties {
            client.set(*name, *value);
        }
        Stream {
            topic: topic.clone(),
            producer: client.create().unwrap(),
            keys,
            prefix: "",
            sent: 0,
            unwritten: Vec::new(),
        }
    }

    /// The same, with ids and keys that begin with this.
    pub fn prefixed(mut self, prefix: &'static str) -> Stream {
        self.prefix = prefix;
        self
    }

    /// The next `messages` of each partition, acknowledged by the broker when this returns.
    pub fn produce(&mut self, messages: i64) {
        for n in self.sent..self.sent + messages {
            for partition in 0..self.topic.partitions {
                send(
                    &self.producer,
                    &self.topic.name,
                    partition,
                    self.payload(partition, n).as_bytes(),
                );
            }
        }
        self.sent += messages;
        self.producer.flush(DEADLINE).unwrap();
    }

    /// One message more in each partition: `payload` in this one, which must not become a record, and a usual one in
    /// the others.
    pub fn produce_bad(&mut self, bad: i32, payload: &str) {
        for partition in 0..self.topic.partitions {
            let payload = if partition == bad {
                payload.to_owned()
            } else {
                self.payload(partition, self.sent)
            };
            send(&self.producer, &self.topic.name, partition, payload.as_bytes());
        }
        self.unwritten.push((bad, self.sent));
        self.sent += 1;
        self.producer.flush(DEADLINE).unwrap();
    }

    fn payload(&self, partition: i32, n: i64) -> String {
        format!(
            r#"{{"id":"{}","key":"{}","n":{n}}}"#,
            self.id(partition, n),
            self.key(partition, n)
        )
    }

    fn id(&self, partition: i32, n: i64) -> String {
        format!("{}{partition}-{n}", self.prefix)
    }

    fn key(&self, partition: i32, n: i64) -> String {
        format!("{}{partition}-{}", self.prefix, n % self.keys)
    }

    /// Messages sent over all partitions.
    pub fn total(&self) -> u64 {
        u64::try_from(self.sent * i64::from(self.topic.partitions)).unwrap()
    }

    /// Where each partition must end, in a topic whose messages have no gaps.
    pub fn ends(&self) -> Vec<Option<i64>> {
        vec![Some(self.sent); usize::try_from(self.topic.partitions).unwrap()]
    }

    /// Every record that all messages together ask for: (set, key) and `n`.
    pub fn records(&self) -> BTreeMap<(&'static str, String), i64> {
        self.records_below(&vec![self.sent; usize::try_from(self.topic.partitions).unwrap()])
    }

    /// Those that the messages below an offset in each partition ask for, in a topic without gaps.
    pub fn records_below(&self, ends: &[i64]) -> BTreeMap<(&'static str, String), i64> {
        let mut records = BTreeMap::new();
        for (partition, end) in (0..).zip(ends) {
            for n in 0..*end {
                if !self.unwritten.contains(&(partition, n)) {
                    records.insert(("last", self.key(partition, n)), n);
                    records.insert(("all", self.id(partition, n)), n);
                }
            }
        }
        records
    }

    /// Fails unless the records are those that the messages ask for, all and no others.
    pub fn assert_ledger(&self, records: &impl Records) {
        assert_ledger(&self.records(), records);
    }
}

/// Where records are looked up.
pub trait Records {
    /// The bin `n` of each record of a set; `None` where there is no record.
    fn ints(&self, set: &str, keys: &[&str]) -> Vec<Option<i64>>;
    /// How many records the set has.
    fn count(&self, set: &str) -> u64;
}

impl Records for Simulator {
    fn ints(&self, set: &str, keys: &[&str]) -> Vec<Option<i64>> {
        keys.iter().map(|key| self.get("test", set, *key)?.int("n")).collect()
    }

    fn count(&self, set: &str) -> u64 {
        self.records("test", set).len() as u64
    }
}

/// Fails unless `records` holds what is expected, and nothing else in the same sets.
pub fn assert_ledger(expected: &BTreeMap<(&'static str, String), i64>, records: &impl Records) {
    let mut faults = Vec::new();
    let mut sets: BTreeMap<&str, Vec<(&str, i64)>> = BTreeMap::new();
    for ((set, key), n) in expected {
        sets.entry(*set).or_default().push((key, *n));
    }
    for (set, expected) in sets {
        let keys: Vec<&str> = expected.iter().map(|(key, _)| *key).collect();
        for ((key, n), found) in expected.iter().zip(records.ints(set, &keys)) {
            if found != Some(*n) {
                faults.push(format!("{set}/{key}: expected {n}, found {found:?}"));
            }
        }
        let count = records.count(set);
        if count != expected.len() as u64 {
            faults.push(format!("{set}: expected {} records, it has {count}", expected.len()));
        }
    }
    faults.truncate(20);
    assert!(faults.is_empty(), "the ledger does not balance:\n{}", faults.join("\n"));
}

// ---- the service

/// A configuration's text, part by part; what a test does not care about is set for tests.
#[derive(Clone)]
pub struct Setup {
    pub brokers: String,
    pub topic: String,
    /// Read beside it.
    pub more_topics: Vec<String>,
    pub group: String,
    pub hosts: String,
    /// More lines of `[kafka]`.
    pub kafka: String,
    pub commit_interval: &'static str,
    /// More lines of `[run]`.
    pub run: String,
    /// `kafka.start`.
    pub start: &'static str,
    /// More lines of `[kafka.consumer]`.
    pub consumer: String,
    /// More lines of `[aerospike]`.
    pub aerospike: String,
    pub routes: String,
}

impl Setup {
    pub fn new(kafka: &Kafka, topic: &Topic, hosts: impl ToString) -> Setup {
        Setup {
            brokers: kafka.brokers.clone(),
            topic: topic.name.clone(),
            more_topics: Vec::new(),
            group: unique("group"),
            hosts: hosts.to_string(),
            kafka: String::new(),
            // Commits are frequent, so that tests can wait for them.
            commit_interval: "50ms",
            run: "batch_rows_max = 40\nwrite_timeout = \"300ms\"\n".into(),
            // The mock broker lets a group that was left be joined again after this less a second.
            start: "earliest",
            consumer: "session.timeout.ms = 3000\nheartbeat.interval.ms = 300".into(),
            aerospike: String::new(),
            routes: ROUTES.into(),
        }
    }

    pub fn run(mut self, lines: &str) -> Setup {
        self.run = lines.into();
        self
    }

    pub fn kafka(mut self, lines: &str) -> Setup {
        self.kafka = lines.into();
        self
    }

    pub fn consumer(mut self, lines: &str) -> Setup {
        self.consumer = lines.into();
        self
    }

    pub fn aerospike(mut self, lines: &str) -> Setup {
        self.aerospike = lines.into();
        self
    }

    pub fn routes(mut self, routes: &str) -> Setup {
        self.routes = routes.into();
        self
    }

    /// The configuration in a file, which goes when this is dropped.
    pub fn file(&self) -> NamedTempFile {
        let file = NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), self.text()).unwrap();
        file
    }

    pub fn text(&self) -> String {
        let Setup {
            brokers,
            topic,
            more_topics,
            group,
            hosts,
            kafka,
            commit_interval,
            run,
            start,
            consumer,
            aerospike,
            routes,
        } = self;
        let topics: Vec<String> = [topic]
            .into_iter()
            .chain(more_topics)
            .map(|topic| format!("\"{topic}\""))
            .collect();
        let topics = topics.join(", ");
        format!(
            "[run]\ncommit_interval = \"{commit_interval}\"\n{run}\n\
             [kafka]\nbrokers = \"{brokers}\"\ntopics = [{topics}]\ngroup = \"{group}\"\nstart = \"{start}\"\n{kafka}\n\
             [kafka.consumer]\n{consumer}\n\
             [aerospike]\nhosts = \"{hosts}\"\nnamespace = \"test\"\n{aerospike}\n{routes}"
        )
    }
}

/// The service on a thread, as the binary runs it.
pub struct Service {
    pub counters: Arc<Counters>,
    /// What may be made to happen in it.
    pub provoke: Provoked,
    stop: Stop,
    thread: Option<JoinHandle<Exit>>,
}

impl Service {
    pub fn start(setup: &Setup) -> Service {
        Self::start_with(setup, None)
    }

    /// The same with rules in code, if there are some.
    pub fn start_with(setup: &Setup, processors: Option<Processors>) -> Service {
        Lines::gather();
        let config = config::parse(&setup.text(), "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
        let counters = Arc::new(Counters::new());
        let stop = Stop::new();
        let provoke = Provoked::default();
        let processors = processors.unwrap_or_else(|| Mapping::compile(&config).unwrap().into());
        let thread = {
            let (counters, stop) = (counters.clone(), stop.clone());
            let hooks: Arc<dyn Hooks> = Arc::new(provoke.clone());
            thread::Builder::new()
                .name("service".into())
                .spawn(move || supervisor::run_hooked(&config, &processors, &stop, &counters, &hooks))
        };
        Service {
            counters,
            provoke,
            stop,
            thread: Some(thread.unwrap()),
        }
    }

    /// Runs it until the topic's ends are committed, and stops it; fails unless it ends so, with everything accounted for.
    pub fn run_to_the_ends_of(topic: &Topic, setup: &Setup) -> Ended {
        let service = Service::start(setup);
        topic.wait_committed(&setup.group, &topic.ends());
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        ended
    }

    /// Waits until this many messages are written.
    pub fn wait_written(&self, messages: u64) {
        self.wait_for("messages to be written", |counters| {
            counters.messages_written.get() >= messages
        });
    }

    /// Waits for a condition on the counters, as long as the service runs.
    pub fn wait_for(&self, what: &str, reached: impl Fn(&Counters) -> bool) {
        wait_until(
            what,
            || {
                let (running, reached) = (self.is_running(), reached(&self.counters));
                let state = summary(&self.counters);
                assert!(running || reached, "the service ended; waited for {what}: {state}");
                (reached, state)
            },
            |(reached, _)| *reached,
        );
    }

    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Asks for an end, and does not wait for it.
    pub fn request_stop(&self) {
        self.stop.request(StopKind::Drain);
    }

    /// Stops it and waits for its end.
    pub fn stop(self) -> Ended {
        self.request_stop();
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let thread = self.thread.take().unwrap();
        wait_until("the service to end", || thread.is_finished(), |finished| *finished);
        Ended {
            exit: thread.join().expect("the service panicked"),
            counters: self.counters.clone(),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.request_stop();
    }
}

/// A service that has ended.
pub struct Ended {
    pub exit: Exit,
    pub counters: Arc<Counters>,
}

impl Ended {
    /// Fails unless it ended so without a stray, and what it consumed is accounted for to the last message.
    pub fn assert(&self, exit: Exit) -> &Ended {
        self.assert_no_stray().assert_accounted(exit)
    }

    /// The same where strays were provoked.
    pub fn assert_accounted(&self, exit: Exit) -> &Ended {
        assert_eq!(self.exit, exit, "{}", summary(&self.counters));
        let counters = &self.counters;
        let accounted = counters.messages_written.get()
            + counters.messages_filtered.get()
            + counters.messages_dead_lettered.get()
            + counters.messages_dropped.get()
            + counters.messages_held.get()
            + counters.messages_returned.get();
        assert_eq!(
            counters.messages_consumed.get(),
            accounted,
            "consumed and accounted for: {}",
            summary(counters)
        );
        let rejected =
            counters.messages_dead_lettered.get() + counters.messages_dropped.get() + counters.messages_held.get();
        assert_eq!(counters.messages_rejected.get(), rejected, "{}", summary(counters));
        assert_eq!(counters.messages_in_hand.get(), 0, "in hand: {}", summary(counters));
        self
    }

    /// Fails if a message came outside of its partition's queue.
    pub fn assert_no_stray(&self) -> &Ended {
        assert_eq!(self.counters.messages_stray.get(), 0, "{}", summary(&self.counters));
        self
    }
}

/// The counters of messages and rows, on a line.
pub fn summary(counters: &Counters) -> String {
    format!(
        "consumed={} written={} filtered={} dead_lettered={} dropped={} held={} returned={} in_hand={} stray={} rows_sent={} rows_written={} rows_retried={} \
         batches={} rebalances={} partitions={} lag={} commit_errors={} offsets_lost={}",
        counters.messages_consumed.get(),
        counters.messages_written.get(),
        counters.messages_filtered.get(),
        counters.messages_dead_lettered.get(),
        counters.messages_dropped.get(),
        counters.messages_held.get(),
        counters.messages_returned.get(),
        counters.messages_in_hand.get(),
        counters.messages_stray.get(),
        counters.rows_sent.get(),
        counters.rows_written.get(),
        counters.rows_retried.get(),
        counters.batches.get(),
        counters.rebalances.get(),
        counters.partitions_assigned.get(),
        counters.consumer_lag.get(),
        counters.commit_errors.get(),
        counters.offsets_lost.get(),
    )
}

/// A simulator with the namespace `test`, in which rows of one batch on one key race.
pub fn simulator() -> Simulator {
    Simulator::start(SimConfig::default()).unwrap()
}

/// One whose records have at most so many bytes.
pub fn simulator_with_records_of(bytes_max: usize) -> Simulator {
    let namespace = NamespaceConfig {
        max_record_bytes: bytes_max,
        ..NamespaceConfig::new("test")
    };
    Simulator::start(SimConfig {
        namespaces: vec![namespace],
        ..SimConfig::default()
    })
    .unwrap()
}
