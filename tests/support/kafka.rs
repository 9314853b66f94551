//! Brokers, in this process or real ones; topics, and the messages that are sent to them and read from them.

use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::bindings::{
    rd_kafka_handle_mock_cluster, rd_kafka_mock_broker_push_request_error_rtts, rd_kafka_mock_cluster_t,
    rd_kafka_mock_get_requests, rd_kafka_mock_group_initial_rebalance_delay_ms, rd_kafka_mock_request_api_key,
    rd_kafka_mock_request_destroy_array, rd_kafka_mock_request_t, rd_kafka_mock_set_apiversion,
    rd_kafka_mock_start_request_tracking,
};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders, ToBytes};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::{DEADLINE, PACE, unique, wait_until};

/// The Kafka that has the topics.
pub struct Kafka {
    pub brokers: String,
    /// Owns the broker if it is in this process.
    mock: Option<BaseProducer>,
}

impl Kafka {
    /// One broker in this process. Its groups do not wait for more members before their first rebalance.
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
        // SAFETY: the cluster belongs to the client, which is alive; the call sets a number under its own lock.
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

    /// A broker that a test started.
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
        self.topic_named(unique(name), partitions)
    }

    /// A topic of this name. For tests with a broker of their own whose pages or lines people read.
    pub fn topic_named(&self, name: String, partitions: i32) -> Topic {
        self.topic_with(name, partitions, &[])
    }

    /// A topic with settings, which a mock broker does not have.
    pub fn topic_with(&self, name: String, partitions: i32, settings: &[(&str, &str)]) -> Topic {
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
                let topic = settings
                    .iter()
                    .fold(topic, |topic, (name, value)| topic.set(name, value));
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

    /// Gives access to the mock brokers, to control them.
    pub fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.mock
            .as_ref()
            .expect("a mock broker")
            .client()
            .mock_cluster()
            .unwrap()
    }

    /// Makes the mock broker refuse all commits, or accept them again. What was written meanwhile is delivered again to
    /// the next service, as after a crash. (The mock broker accepts no commit from a non-member of a group that it
    /// knows.)
    pub fn refuse_commits(&self, refuse: bool) {
        const ERRORS: usize = 10_000;
        let cluster = self.cluster();
        cluster.clear_request_errors(RDKafkaApiKey::OffsetCommit);
        if refuse {
            let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE;
            cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[error; ERRORS]);
        }
    }

    /// Makes the mock broker say that this topic does not exist.
    pub fn fail_topic(&self, name: &str) {
        self.topic_error(name, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    }

    /// Makes the mock broker say that this topic exists.
    pub fn heal_topic(&self, name: &str) {
        self.topic_error(name, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    fn topic_error(&self, name: &str, error: RDKafkaRespErr) {
        let mock = self.mock.as_ref().expect("a mock broker");
        mock.client().mock_cluster().unwrap().topic_error(name, error).unwrap();
    }

    /// Makes the mock broker remember which requests it gets from now on.
    pub fn track_requests(&self) {
        // SAFETY: the cluster belongs to the client, which is alive.
        unsafe { rd_kafka_mock_start_request_tracking(self.native_cluster()) };
    }

    /// The kinds of requests since then (`RDKafkaApiKey`).
    pub fn requests(&self) -> Vec<i16> {
        let mut count = 0;
        // SAFETY: the cluster belongs to the client, which is alive, and `count` is there for the answer.
        let requests = unsafe { rd_kafka_mock_get_requests(self.native_cluster(), &raw mut count) };
        if requests.is_null() {
            return Vec::new();
        }
        // SAFETY: the answer is an array of so many requests, which is ours until it is destroyed below.
        let each = unsafe { std::slice::from_raw_parts(requests, count) };
        let keys = each
            .iter()
            // SAFETY: the request is alive.
            .map(|request| unsafe { rd_kafka_mock_request_api_key(*request) })
            .collect();
        // SAFETY: nothing borrows from the array any more.
        unsafe { rd_kafka_mock_request_destroy_array(requests, count) };
        keys
    }

    /// The mock broker answers the next questions for a group's offsets with an error that clients do not retry.
    pub fn fail_offset_fetches(&self, requests: usize) {
        let mock = self.mock.as_ref().expect("a mock broker");
        let errors = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN; requests];
        mock.client()
            .mock_cluster()
            .unwrap()
            .request_errors(RDKafkaApiKey::OffsetFetch, &errors);
    }

    /// The mock broker answers the next question for a group's offsets as one that is not the coordinator yet.
    pub fn delay_coordinator(&self) {
        let mock = self.mock.as_ref().expect("a mock broker");
        mock.client().mock_cluster().unwrap().request_errors(
            RDKafkaApiKey::OffsetFetch,
            &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR],
        );
    }

    /// The mock broker answers like one that stores no leader epochs with committed offsets. (Otherwise it always
    /// returns the current epoch of the partition.)
    pub fn forget_committed_epochs(&self) {
        /// The last version of OffsetFetch whose answers contain no epoch.
        const VERSION_MAX: i16 = 4;
        let cluster = self.native_cluster();
        let key = RDKafkaApiKey::OffsetFetch as i16;
        // SAFETY: the cluster belongs to the client, which is alive.
        let code = unsafe { rd_kafka_mock_set_apiversion(cluster, key, 0, VERSION_MAX) };
        assert_eq!(code, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    /// The mock broker has removed this member from the group, and says so at its next heartbeat.
    pub fn forget_a_member(&self) {
        let mock = self.mock.as_ref().expect("a mock broker");
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
        mock.client()
            .mock_cluster()
            .unwrap()
            .request_errors(RDKafkaApiKey::Heartbeat, &[error]);
    }

    fn native_cluster(&self) -> *mut rd_kafka_mock_cluster_t {
        let mock = self.mock.as_ref().expect("a mock broker");
        // SAFETY: the client lives as long as `self`, and was created with a mock cluster.
        unsafe { rd_kafka_handle_mock_cluster(mock.client().native_ptr()) }
    }

    /// The mock broker delays its answers to the next commits by this time.
    pub fn delay_commits(&self, commits: usize, delay: Duration) {
        let cluster = self.native_cluster();
        let delay_ms = i32::try_from(delay.as_millis()).unwrap();
        for _ in 0..commits {
            // SAFETY: the cluster belongs to the client, which is alive; one pair follows the count of one.
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

/// Waits for a future of rdkafka's admin client. It is the only client of rdkafka without a blocking form.
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

/// The listener of this name of the broker that `scripts/with-kafka.sh` started (`scripts/kafka/server.properties`).
pub fn listener(name: &str) -> String {
    let folder = std::env::var("KAFKA_DIR").expect("KAFKA_DIR is not set: run the test by its make target");
    let properties = std::fs::read_to_string(Path::new(&folder).join("server.properties")).unwrap();
    let listeners = properties
        .lines()
        .find_map(|line| line.strip_prefix("listeners="))
        .unwrap();
    let found = listeners
        .split(',')
        .find_map(|each| each.strip_prefix(name)?.strip_prefix("://"));
    found.unwrap_or_else(|| panic!("no {name} in {listeners}")).to_owned()
}

/// Runs Kafka's own kafka-consumer-groups.sh, from the broker's jars (`scripts/kafka.sh` has fetched them). What it prints.
pub fn consumer_groups(arguments: &[&str]) -> String {
    let jars = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/kafka/jars/*");
    // The same Java as in `scripts/with-kafka.sh`.
    let java = std::env::var("KAFKA_JAVA").unwrap_or_else(|_| "java".to_owned());
    let tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let output = Command::new(java)
        .args(["-cp", jars, tool])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && !said.contains("Error"),
        "{arguments:?}\n{output:?}"
    );
    said
}

/// A topic with a fixed number of partitions.
#[derive(Clone)]
pub struct Topic {
    pub client: ClientConfig,
    pub name: String,
    pub partitions: i32,
}

impl Topic {
    /// The group's committed offset of each partition; `None` if it has none.
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

    /// The group's offsets, with the metadata of their commits.
    pub fn commits(&self, group: &str) -> TopicPartitionList {
        let consumer: BaseConsumer = self.client.clone().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.name, 0, self.partitions - 1);
        // A broker that has just started must find its coordinators first.
        wait_until(
            "the group's offsets",
            || consumer.committed_offsets(list.clone(), DEADLINE),
            Result::is_ok,
        )
        .unwrap()
    }

    /// Sets the group's offset, as `kafka-consumer-groups.sh --reset-offsets` does while the group has no members.
    pub fn commit(&self, group: &str, partition: i32, offset: i64) {
        self.commit_with(group, partition, offset, "");
    }

    /// The same, with this metadata.
    pub fn commit_with(&self, group: &str, partition: i32, offset: i64, metadata: &str) {
        let consumer: BaseConsumer = self.client.clone().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset))
            .unwrap();
        if !metadata.is_empty() {
            list.find_partition(&self.name, partition)
                .unwrap()
                .set_metadata(metadata);
        }
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }

    /// The oldest offset of each partition.
    pub fn beginnings(&self) -> Vec<i64> {
        self.watermarks().into_iter().map(|(beginning, _)| beginning).collect()
    }

    /// Sends these messages to one partition, each with a timestamp that is one higher than the previous one. They are
    /// acknowledged when this returns.
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

    /// The first `messages` messages of all partitions, in order within each partition. Fails if there are not enough
    /// in time.
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
        self.watermarks().into_iter().map(|(_, end)| Some(end)).collect()
    }

    fn watermarks(&self) -> Vec<(i64, i64)> {
        let consumer: BaseConsumer = self.client.create().unwrap();
        // A broker that has just started does not lead its partitions yet.
        let of = |partition| {
            let fetch = || consumer.fetch_watermarks(&self.name, partition, DEADLINE);
            wait_until("a partition's offsets", fetch, Result::is_ok).unwrap()
        };
        (0..self.partitions).map(of).collect()
    }
}

/// A message to send, with the content that it has in the topic.
#[derive(Clone, Copy)]
pub struct Sent<'s> {
    pub key: Option<&'s str>,
    pub payload: Option<&'s [u8]>,
    pub headers: &'s [(&'s str, Option<&'s [u8]>)],
}

/// A message with a key and a payload.
pub fn sent<'s>(key: &'s str, payload: &'s str) -> Sent<'s> {
    Sent {
        key: Some(key),
        payload: Some(payload.as_bytes()),
        headers: &[],
    }
}

/// The timestamp of the first message of [`Topic::produce`]: the start time of the test, since a real broker deletes
/// messages that are older than a topic's retention.
pub fn timestamp_ms() -> i64 {
    static BEGUN: OnceLock<i64> = OnceLock::new();
    *BEGUN.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    })
}

/// A message as it is in a topic.
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

/// Sends one message. If the producer is full, waits until it is not.
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
