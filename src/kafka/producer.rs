//! The only producer of the service. All workers share it: everything they publish goes through its queue.
//!
//! Workers send from their own threads, without blocking. Delivery reports come on a separate thread
//! (`produce-reports`), which passes each to the worker that waits for it. Our own byte count bounds the queue. It
//! includes keys, headers and librdkafka's overhead; librdkafka's own count includes only payloads (`rdkafka_msg.c`,
//! `rd_kafka_msg_new0`). Topics that accept no messages are logged here, once for all workers. `delivery::publish`
//! decides what a report means for a message, and what is sent again.
//!
//! A message stays in the queue until it is stored, refused, or purged (`message.timeout.ms` is 0). librdkafka resends
//! it with its sequence number, so that a partition's messages stay in order and none is duplicated. A worker that ends
//! while it has messages in the queue purges the queue, including requests in flight, since librdkafka would resend
//! those later. Other workers' messages are also purged, and are sent again. A message that is already in the network,
//! or in a broker that is frozen, cannot be called back. Behind newer messages of this producer the broker would refuse
//! it, because of the epoch. But the broker would not refuse it behind messages of the partition's next owner in
//! another process.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};

use super::connection_config_of;
use super::log::tell_error;
use super::login::Login;
use crate::config::model::Kafka;
use crate::delivery::publish::{Place, Publisher, Reports, SendFailure, Unsent};
use crate::delivery::report_outcomes::{Meaning, meaning};
use crate::kafka::letters::log::LetterLog;
use crate::kafka::log::tell_line;
use crate::output::publication::OutgoingMessage;
use crate::util::memory::{MemoryPlan, PRODUCED_MESSAGE_BYTES};
use crate::util::seconds::Seconds;
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;
use crate::util::throttle::{Repeated, Throttle};

/// How long the thread waits for reports before it checks whether it must end.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// If a topic has messages in flight and stores none for this long, it accepts none.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// How long after its last failure a topic counts as failing if nothing is in flight. Longer than any pause between
/// attempts.
const FAILING_FOR: Duration = Duration::from_secs(12);
/// Interval between two lines about a topic that refuses batches because of their size.
const SIZE_LINE_INTERVAL: Duration = Duration::from_secs(600);
/// The largest `message.max.bytes` that librdkafka accepts. So the topic's own limit decides.
const MESSAGE_BYTES_MAX: u64 = 1_000_000_000;
/// Time-out of one request for metadata.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a topic is asked for at the start. If all attempts fail, the first message finds out.
const METADATA_ATTEMPTS: usize = 3;

/// librdkafka's settings for the producer. The user's settings replace our defaults; the settings that delivery depends
/// on replace both.
pub fn producer_config(kafka: &Kafka, memory: &MemoryPlan) -> ClientConfig {
    let mut config = delivery_config(kafka);
    // Never reached before our own limit, which counts more.
    let queue_bytes = memory.producer_queue_bytes;
    config.set(
        "queue.buffering.max.messages",
        (queue_bytes / PRODUCED_MESSAGE_BYTES + 1).to_string(),
    );
    config.set("queue.buffering.max.kbytes", (queue_bytes / 1024 + 1).to_string());
    config
}

/// The same without the size of the queue.
pub(super) fn delivery_config(kafka: &Kafka) -> ClientConfig {
    let mut config = connection_config_of(kafka, &kafka.producer_properties, &kafka.producer_login);
    let mut default = |name: &str, value: &str| {
        if kafka.producer_property(name).is_none() {
            config.set(name, value);
        }
    };
    // The Java client's choice of the partition for a key.
    default("partitioner", "murmur2_random");
    // A worker puts its whole batch into the queue at once and waits for it. So a longer linger would only delay each
    // batch.
    default("linger.ms", "1");
    // A dead letter must fit where its message did, which may have been compressed.
    default("compression.type", "lz4");
    // After this time, a missing topic is reported, and then tried again; librdkafka's default is 30 seconds.
    default("topic.metadata.propagation.max.ms", "5000");
    default("message.max.bytes", &MESSAGE_BYTES_MAX.to_string());

    // Delivery and the memory bound depend on these settings; `[kafka.producer]` refuses their names.
    config.set("enable.idempotence", "true");
    config.set("acks", "all");
    config.set("message.timeout.ms", "0");
    config.set("allow.auto.create.topics", "false");
    config
}

/// A topic that accepts no messages, for the progress line and the watchdog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// The topic; if there are several, the one that has been failing for longest.
    pub topic: String,
    /// How long it has been failing.
    pub since: Duration,
    pub why: String,
}

/// A topic that cannot be produced to, according to its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproducible {
    pub topic: String,
    pub why: WhyNot,
}

/// Why a topic cannot be produced to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    Absent,
    Unauthorized,
    /// Its metadata could not be read: the reason.
    Unknown(String),
}

/// The producer. When it is dropped, its thread ends it and purges what is in the queue. Nobody waits for that:
/// librdkafka then waits for its own threads, and those may be looking up a host name.
pub struct Producer {
    /// The thread has the other reference, and checks whether it is the last one.
    client: Arc<BaseProducer<Callbacks>>,
    flow: Arc<Flow>,
    message_bytes_max: u64,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("flow", &self.flow)
            .finish_non_exhaustive()
    }
}

/// Why there is no producer.
#[derive(Debug)]
pub enum ProducerError {
    /// librdkafka refuses the settings.
    Configuration(KafkaError),
    /// No thread could be started.
    Thread(io::Error),
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProducerError::Configuration(error) => write!(f, "kafka producer settings are refused: {error}"),
            ProducerError::Thread(error) => write!(f, "cannot start a thread error=\"{error}\""),
        }
    }
}

impl std::error::Error for ProducerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ProducerError::Configuration(error) => Some(error),
            ProducerError::Thread(error) => Some(error),
        }
    }
}

impl Producer {
    /// Creates the producer. It connects when it needs to.
    ///
    /// # Errors
    /// If librdkafka refuses the settings, or no thread can be started.
    pub fn new(kafka: &Kafka, memory: &MemoryPlan) -> Result<Producer, ProducerError> {
        let config = producer_config(kafka, memory);
        let message_bytes_max = config
            .get("message.max.bytes")
            .and_then(|bytes| bytes.trim().parse().ok())
            .unwrap_or(MESSAGE_BYTES_MAX);
        let flow = Arc::new(Flow::new(memory.producer_queue_bytes, memory.partitions));
        let client: BaseProducer<Callbacks> = config
            .create_with_context(Callbacks {
                flow: flow.clone(),
                letters: OnceLock::new(),
                login: Login::of("producer", &config, &kafka.producer_login),
            })
            .map_err(ProducerError::Configuration)?;
        let client = Arc::new(client);
        {
            let (client, flow) = (client.clone(), flow.clone());
            thread::Builder::new()
                .name("produce-reports".into())
                .spawn(move || {
                    while Arc::strong_count(&client) > 1 {
                        client.poll(POLL_WAIT);
                        if let Some(login) = &client.context().login {
                            // SAFETY: the client is alive.
                            unsafe { login.renew(client.client().native_ptr()) };
                        }
                        flow.look_for_silence(Instant::now());
                    }
                })
                .map_err(ProducerError::Thread)?;
        }
        Ok(Producer {
            client,
            flow,
            message_bytes_max,
        })
    }

    /// Tells `letters` of each message that is stored, from now on. Must be called at most once.
    pub fn tell_stored(&self, letters: Arc<LetterLog>) {
        let _ = self.client.context().letters.set(letters);
    }

    /// The topic that has been failing for longest, while somebody has messages for it; `None` if all is well.
    pub fn failing(&self) -> Option<Failing> {
        self.flow.failing(Instant::now())
    }

    /// Number of messages stored since the start.
    pub fn stored(&self) -> u64 {
        self.flow.stored.load(Relaxed)
    }

    /// Size of the queue by our count, in bytes.
    pub fn queued_bytes(&self) -> u64 {
        self.flow.state.lock().in_use
    }

    /// Asks the brokers which of these topics do not exist or may not be produced to. Logs them as WARN; the start
    /// continues. If no broker answers, blocks for some seconds at most, and not longer than the start's time limit.
    pub fn check_topics<'t>(
        &self,
        topics: impl IntoIterator<Item = &'t str>,
        limit: &StartLimit,
        stop: &Stop,
    ) -> Vec<Unproducible> {
        let mut unproducible = Vec::new();
        for topic in topics {
            // At least one topic is tried, even after the time limit.
            if stop.requested() || (limit.is_over() && !unproducible.is_empty()) {
                break;
            }
            if let Some(why) = self.check_topic(topic, limit, stop) {
                match &why {
                    WhyNot::Absent => warn!(
                        "kafka: there is no topic to produce to; what is to go there waits, and its partitions with it; \
                         create the topic topic={topic}"
                    ),
                    WhyNot::Unauthorized => warn!(
                        "kafka: the topic may not be produced to; grant the user WRITE and DESCRIBE on it topic={topic}"
                    ),
                    WhyNot::Unknown(error) => warn!(
                        "kafka: the brokers do not say whether the topic can be produced to topic={topic} error=\"{error}\""
                    ),
                }
                unproducible.push(Unproducible {
                    topic: topic.to_owned(),
                    why,
                });
            }
        }
        unproducible
    }

    fn check_topic(&self, topic: &str, limit: &StartLimit, stop: &Stop) -> Option<WhyNot> {
        let mut why = WhyNot::Unknown(String::new());
        for _ in 0..METADATA_ATTEMPTS {
            let timeout = limit.bound(METADATA_TIMEOUT);
            let metadata = match self.client.client().fetch_metadata(Some(topic), timeout) {
                Ok(metadata) => metadata,
                Err(error) => {
                    why = WhyNot::Unknown(error.to_string());
                    if limit.is_over() {
                        return Some(why);
                    }
                    if stop.wait(POLL_WAIT) {
                        return None;
                    }
                    continue;
                }
            };
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            why = match found.map(|found| found.error().map(RDKafkaErrorCode::from)) {
                Some(None) => return None,
                Some(Some(RDKafkaErrorCode::UnknownTopicOrPartition)) | None => return Some(WhyNot::Absent),
                Some(Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => return Some(WhyNot::Unauthorized),
                Some(Some(code)) => WhyNot::Unknown(code.to_string()),
            };
            if stop.wait(POLL_WAIT) {
                return None;
            }
        }
        Some(why)
    }

    /// librdkafka's fatal error, as what it means for a message.
    fn fatal(&self) -> Unsent {
        match self.client.client().fatal_error() {
            // Not every user may be an idempotent producer.
            Some((code, why)) if meaning(code as i32) == Meaning::Unauthorized => {
                Unsent::Failed(SendFailure { code: code as i32, why })
            }
            Some((code, why)) => Unsent::Fatal(format!("{code}: {why}")),
            None => Unsent::Fatal("no reason is given".to_owned()),
        }
    }
}

impl Publisher for Producer {
    fn send(
        &self,
        topic: &str,
        message: &OutgoingMessage,
        place: Place,
        reports: &Arc<Reports>,
        alone: bool,
    ) -> Result<(), Unsent> {
        let bytes = message.weight() + PRODUCED_MESSAGE_BYTES + HEADER_BYTES * message.headers().len() as u64;
        self.flow.enter(topic, bytes, reports, alone)?;
        let mut record: BaseRecord<'_, [u8], [u8], Box<Ticket>> = BaseRecord::with_opaque_to(
            topic,
            Box::new(Ticket {
                reports: reports.clone(),
                place,
                bytes,
                alone,
            }),
        );
        record.key = message.key();
        record.payload = message.payload();
        record.timestamp = message.timestamp_ms();
        let headers = message.headers();
        if headers.len() > 0 {
            let owned = OwnedHeaders::new_with_capacity(headers.len());
            record.headers = Some(headers.fold(owned, |headers, (key, value)| headers.insert(Header { key, value })));
        }
        let Err((error, _)) = self.client.send(record) else {
            return Ok(());
        };
        let code = error.rdkafka_error_code();
        let unsent = match code {
            // Our own limit is reached first. If not, the worker tries again.
            Some(RDKafkaErrorCode::QueueFull) => Unsent::Busy,
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Unsent::TooLarge {
                limit_bytes: self.message_bytes_max,
                limit: "message.max.bytes in [kafka.producer]",
            },
            Some(RDKafkaErrorCode::Fatal) => self.fatal(),
            // The client cannot encode this topic name.
            _ => Unsent::Failed(SendFailure {
                code: code.map_or(RDKafkaErrorCode::InvalidTopic as i32, |code| code as i32),
                why: code.map_or_else(|| error.to_string(), |code| code.to_string()),
            }),
        };
        let failure = match &unsent {
            Unsent::Failed(failure) => Some(failure),
            _ => None,
        };
        self.flow
            .leave(topic, bytes, alone, reports, failure.map_or(Left::Unsent, Left::Failed));
        Err(unsent)
    }

    fn withdraw(&self, reports: &Arc<Reports>) {
        self.flow.withdraw(reports);
    }

    fn purge(&self) {
        // A blocking purge would wait for a broker thread that looks up a host name.
        self.client
            .purge(PurgeConfig::default().queue().inflight().non_blocking());
    }
}

/// librdkafka's overhead per header, beside its text (`rdkafka_header.c`), in bytes.
const HEADER_BYTES: u64 = 96;

/// What is remembered about a message in the queue.
struct Ticket {
    reports: Arc<Reports>,
    place: Place,
    bytes: u64,
    alone: bool,
}

struct Callbacks {
    flow: Arc<Flow>,
    /// Who is told of stored messages.
    letters: OnceLock<Arc<LetterLog>>,
    /// `None`: it does not change.
    login: Option<Login>,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(login) = &self.login {
            login.hear(&error);
        }
        tell_error(&error, reason);
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let (message, result) = match result {
            Ok(message) => (message, Ok(())),
            Err((error, message)) => {
                let code = error.rdkafka_error_code();
                let failure = SendFailure {
                    code: code.map_or(RDKafkaErrorCode::Unknown as i32, |code| code as i32),
                    why: code.map_or_else(|| error.to_string(), |code| code.to_string()),
                };
                (message, Err(failure))
            }
        };
        let Ticket {
            reports,
            place,
            bytes,
            alone,
        } = *ticket;
        // Before the worker knows that it is stored.
        if let (Ok(()), Some(letters)) = (&result, self.letters.get()) {
            letters.stored(message.topic(), message.partition(), message.offset());
        }
        let left = match &result {
            Ok(()) => Left::Stored,
            Err(failure) => Left::Failed(failure),
        };
        self.flow.leave(message.topic(), bytes, alone, &reports, left);
        reports.report(place, result);
    }
}

/// How a message left the queue.
enum Left<'f> {
    Stored,
    Failed(&'f SendFailure),
    /// It was never in the queue.
    Unsent,
}

/// What is in the queue, who waits for room in it, and the state of each topic.
#[derive(Debug)]
struct Flow {
    queue_bytes: u64,
    /// How much one worker may have in the queue, unless it is a single message. So a topic that accepts nothing does
    /// not block the messages of other workers.
    share_bytes: u64,
    stored: AtomicU64,
    state: Mutex<FlowState>,
}

#[derive(Debug, Default)]
struct FlowState {
    /// Bytes in the queue, by our count.
    in_use: u64,
    /// Workers that had no room, in order of arrival. So a large message does not wait for ever.
    waiting: VecDeque<Arc<Reports>>,
    topics: HashMap<String, TopicFlow>,
}

#[derive(Debug)]
struct TopicFlow {
    /// Number of messages in the queue.
    under_way: usize,
    /// The worker that has the topic for itself, or waits for that until the topic's messages have left the queue.
    reserved: Option<Arc<Reports>>,
    /// When a message was last stored, or when the first of those in the queue was sent.
    heard: Instant,
    trouble: Option<Trouble>,
    size_lines: Throttle,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    last: Instant,
    why: String,
}

impl Flow {
    fn new(queue_bytes: u64, workers: u64) -> Flow {
        Flow {
            queue_bytes,
            share_bytes: queue_bytes / workers.max(1),
            stored: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Takes room for a message, if there is enough.
    fn enter(&self, topic: &str, bytes: u64, reports: &Arc<Reports>, alone: bool) -> Result<(), Unsent> {
        if bytes > self.queue_bytes {
            return Err(Unsent::TooLarge {
                limit_bytes: self.queue_bytes,
                limit: "run.memory, a part of which is the producer's queue",
            });
        }
        let mut state = self.state.lock();
        let FlowState {
            in_use,
            waiting,
            topics,
        } = &mut *state;
        if !topics.contains_key(topic) {
            topics.insert(topic.to_owned(), TopicFlow::new());
        }
        // Was inserted just above.
        let Some(flow) = topics.get_mut(topic) else {
            return Err(Unsent::Busy);
        };
        let is_anothers = flow.reserved.as_ref().is_some_and(|by| !Arc::ptr_eq(by, reports));
        if alone && !is_anothers {
            flow.reserved = Some(reports.clone());
        }
        if is_anothers || (alone && flow.under_way > 0) {
            // The worker that has the topic may be waiting for room behind this one.
            waiting.retain(|each| !Arc::ptr_eq(each, reports));
            let next = waiting.front().cloned();
            drop(state);
            if let Some(next) = next {
                next.room();
            }
            return Err(Unsent::Busy);
        }
        let own = reports.queued_bytes();
        if own > 0 && own + bytes > self.share_bytes {
            // This worker's own reports wake it. Meanwhile others may have the topic.
            flow.reserved = None;
            return Err(Unsent::NoRoom);
        }
        let place = waiting.iter().position(|each| Arc::ptr_eq(each, reports));
        let is_next = waiting.is_empty() || place == Some(0);
        if !is_next || *in_use + bytes > self.queue_bytes {
            if place.is_none() {
                waiting.push_back(reports.clone());
            }
            flow.reserved = None;
            return Err(Unsent::NoRoom);
        }
        if place.is_some() {
            waiting.pop_front();
        }
        *in_use += bytes;
        reports.add_queued(bytes);
        if flow.under_way == 0 {
            flow.heard = Instant::now();
        }
        flow.under_way += 1;
        let next = waiting.front().filter(|_| place.is_some()).cloned();
        drop(state);
        if let Some(next) = next {
            next.room();
        }
        Ok(())
    }

    /// Returns a message's room, and logs what is new about its topic.
    fn leave(&self, topic: &str, bytes: u64, alone: bool, reports: &Arc<Reports>, left: Left<'_>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.in_use -= bytes;
        reports.sub_queued(bytes);
        let next = state.waiting.front().cloned();
        let mut edge = None;
        if let Some(flow) = state.topics.get_mut(topic) {
            flow.under_way -= 1;
            if alone && flow.reserved.as_ref().is_some_and(|by| Arc::ptr_eq(by, reports)) {
                flow.reserved = None;
            }
            edge = match left {
                Left::Stored => {
                    self.stored.fetch_add(1, Relaxed);
                    flow.heard = now;
                    flow.trouble.take().map(Edge::Again)
                }
                Left::Failed(failure) => flow.failed(failure, alone, now),
                Left::Unsent => None,
            };
        }
        drop(state);
        if let Some(edge) = edge {
            edge.tell(topic, now);
        }
        if let Some(next) = next {
            next.room();
        }
    }

    fn withdraw(&self, reports: &Arc<Reports>) {
        let mut state = self.state.lock();
        state.waiting.retain(|each| !Arc::ptr_eq(each, reports));
        for flow in state.topics.values_mut() {
            if flow.reserved.as_ref().is_some_and(|by| Arc::ptr_eq(by, reports)) {
                flow.reserved = None;
            }
        }
        let next = state.waiting.front().cloned();
        drop(state);
        if let Some(next) = next {
            next.room();
        }
    }

    /// Finds topics that store none of the messages in the queue. librdkafka does not report a message that waits.
    fn look_for_silence(&self, now: Instant) {
        let mut silent = Vec::new();
        for (topic, flow) in &mut self.state.lock().topics {
            if flow.trouble.is_some() && !flow.is_failing(now) {
                // The worker that had messages has left. If another one has some, the failure is logged again.
                flow.trouble = None;
            }
            let is_silent = flow.under_way > 0 && now.saturating_duration_since(flow.heard) >= SILENT_AFTER;
            if !is_silent {
                continue;
            }
            match &mut flow.trouble {
                Some(trouble) => trouble.last = now,
                None => {
                    let why = "no message is acknowledged".to_owned();
                    silent.push((topic.clone(), why.clone()));
                    flow.trouble = Some(Trouble {
                        since: flow.heard,
                        last: now,
                        why,
                    });
                }
            }
        }
        for (topic, why) in silent {
            Edge::Stops { why }.tell(&topic, now);
        }
    }

    fn failing(&self, now: Instant) -> Option<Failing> {
        let state = self.state.lock();
        let failing = state.topics.iter().filter_map(|(topic, flow)| {
            let trouble = flow.trouble.as_ref().filter(|_| flow.is_failing(now))?;
            Some((trouble.since, topic, trouble))
        });
        let (since, topic, trouble) = failing.min_by_key(|(since, ..)| *since)?;
        Some(Failing {
            topic: topic.clone(),
            since: now.saturating_duration_since(since),
            why: trouble.why.clone(),
        })
    }
}

impl TopicFlow {
    fn new() -> TopicFlow {
        TopicFlow {
            under_way: 0,
            reserved: None,
            heard: Instant::now(),
            trouble: None,
            size_lines: Throttle::new(SIZE_LINE_INTERVAL),
        }
    }

    /// It accepts nothing, and somebody has messages for it.
    fn is_failing(&self, now: Instant) -> bool {
        self.trouble
            .as_ref()
            .is_some_and(|trouble| self.under_way > 0 || now.saturating_duration_since(trouble.last) < FAILING_FOR)
    }

    fn failed(&mut self, failure: &SendFailure, alone: bool, now: Instant) -> Option<Edge> {
        let meaning = meaning(failure.code);
        match meaning {
            Meaning::Retry | Meaning::Unknown => {}
            Meaning::TooLarge if !alone => {
                return self.size_lines.pass_at(now).map(Edge::Size);
            }
            // The worker that sent the message logs it.
            _ => return None,
        }
        let why = failure.why.clone();
        match &mut self.trouble {
            Some(trouble) => {
                trouble.last = now;
                let is_news = meaning == Meaning::Unknown && trouble.why != why;
                trouble.why = why.clone();
                is_news.then_some(Edge::Unknown {
                    code: failure.code,
                    why,
                })
            }
            None => {
                self.trouble = Some(Trouble {
                    since: now,
                    last: now,
                    why: why.clone(),
                });
                Some(match meaning {
                    Meaning::Unknown => Edge::Unknown {
                        code: failure.code,
                        why,
                    },
                    _ => Edge::Stops { why },
                })
            }
        }
    }
}

/// What is logged about a topic.
enum Edge {
    Stops {
        why: String,
    },
    Unknown {
        code: i32,
        why: String,
    },
    Again(Trouble),
    /// Batches are larger than the topic accepts.
    Size(Repeated),
}

impl Edge {
    fn tell(self, topic: &str, now: Instant) {
        match self {
            Edge::Stops { why } => warn!(
                "publish: the topic takes no messages, what is to go there waits; nothing is lost topic={topic} \
                 reason=\"{why}\" cure=\"see that the topic is there and the brokers are reached; it goes on by itself\""
            ),
            Edge::Unknown { code, why } => error!(
                "publish: a message is refused with a code that is not expected, and is sent again until it is taken \
                 topic={topic} code={code} reason=\"{why}\""
            ),
            Edge::Again(trouble) => info!(
                "publish: the topic takes messages again topic={topic} after={:.1}",
                Seconds(now.saturating_duration_since(trouble.since))
            ),
            Edge::Size(repeated) => warn!(
                "publish: the topic refuses a request as too large, its messages are sent in smaller ones topic={topic} \
                 cure=\"set batch.size in [kafka.producer] below the topic's max.message.bytes\"{repeated}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::publication::Publication;
    use crate::util::stop::Stop;

    /// With no broker, and with a message in its queue.
    #[test]
    fn a_producer_that_is_dropped_is_ended_by_its_thread() {
        const TEXT: &str = "[kafka]\nbrokers = \"127.0.0.1:1\"\ntopics = [\"in\"]\ngroup = \"g\"\n\
            [aerospike]\nhosts = \"127.0.0.1:1\"\nnamespace = \"test\"\n\
            [[route]]\n[[route.write]]\nset = \"s\"\nkey = \"k\"\nbins = [\"b\"]\n";
        let config = crate::config::parse(TEXT, "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
        let memory = crate::util::memory::plan(256 << 20, 1 << 20, 1, 1, true).unwrap();
        let producer = Producer::new(&config.kafka, &memory).unwrap();
        let client = Arc::downgrade(&producer.client);
        let message = OutgoingMessage::from(&Publication {
            message: 0,
            topic: "t",
            key: None,
            payload: None,
            headers: Vec::new(),
            timestamp_ms: None,
        });
        let worker = reports();
        producer.send("t", &message, Place::FIRST, &worker, false).unwrap();
        assert!(worker.queued_bytes() > 0);
        drop(producer);
        let deadline = Instant::now() + Duration::from_secs(60);
        while client.upgrade().is_some() || worker.queued_bytes() > 0 {
            assert!(Instant::now() < deadline, "{worker:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn reports() -> Arc<Reports> {
        Reports::new(&Stop::new())
    }

    fn enter(flow: &Flow, topic: &str, bytes: u64, reports: &Arc<Reports>) -> Result<(), Unsent> {
        flow.enter(topic, bytes, reports, false)
    }

    #[test]
    fn room_is_given_in_the_order_in_which_it_was_asked_for() {
        let flow = Flow::new(100, 1);
        let (first, large, small) = (reports(), reports(), reports());
        enter(&flow, "t", 60, &first).unwrap();
        assert_eq!(enter(&flow, "t", 50, &large), Err(Unsent::NoRoom));
        // There would be room for it, but it came later.
        assert_eq!(enter(&flow, "t", 10, &small), Err(Unsent::NoRoom));
        flow.leave("t", 60, false, &first, Left::Stored);
        assert_eq!(enter(&flow, "t", 10, &small), Err(Unsent::NoRoom));
        enter(&flow, "t", 50, &large).unwrap();
        enter(&flow, "t", 10, &small).unwrap();
        assert_eq!(flow.state.lock().in_use, 60);
    }

    #[test]
    fn who_leaves_gives_its_turn_away() {
        let flow = Flow::new(100, 1);
        let (first, gone, next) = (reports(), reports(), reports());
        enter(&flow, "t", 100, &first).unwrap();
        assert_eq!(enter(&flow, "t", 50, &gone), Err(Unsent::NoRoom));
        assert_eq!(enter(&flow, "t", 50, &next), Err(Unsent::NoRoom));
        flow.withdraw(&gone);
        flow.leave("t", 100, false, &first, Left::Stored);
        enter(&flow, "t", 50, &next).unwrap();
    }

    #[test]
    fn a_worker_has_its_share_of_the_queue_or_one_message() {
        let flow = Flow::new(100, 4);
        let (first, second) = (reports(), reports());
        enter(&flow, "dead", 20, &first).unwrap();
        assert_eq!(enter(&flow, "dead", 20, &first), Err(Unsent::NoRoom));
        enter(&flow, "t", 60, &second).unwrap();
        assert_eq!(enter(&flow, "t", 1, &second), Err(Unsent::NoRoom));
        flow.leave("dead", 20, false, &first, Left::Stored);
        enter(&flow, "dead", 20, &first).unwrap();
    }

    /// Otherwise each of them would wait for the other.
    #[test]
    fn who_waits_for_a_topic_gives_its_turn_for_room_away() {
        let flow = Flow::new(100, 1);
        let (full, other, alone, next) = (reports(), reports(), reports(), reports());
        enter(&flow, "t", 50, &full).unwrap();
        enter(&flow, "u", 10, &full).unwrap();
        assert_eq!(enter(&flow, "u", 50, &other), Err(Unsent::NoRoom));
        assert_eq!(enter(&flow, "t", 50, &next), Err(Unsent::NoRoom));
        assert_eq!(flow.enter("u", 50, &alone, true), Err(Unsent::Busy));
        assert_eq!(enter(&flow, "u", 50, &other), Err(Unsent::Busy));
        flow.leave("t", 50, false, &full, Left::Stored);
        enter(&flow, "t", 50, &next).unwrap();
    }

    #[test]
    fn who_waits_for_room_keeps_no_topic_from_others() {
        let flow = Flow::new(100, 4);
        let (alone, other) = (reports(), reports());
        enter(&flow, "dead", 20, &alone).unwrap();
        assert_eq!(flow.enter("t", 20, &alone, true), Err(Unsent::NoRoom));
        enter(&flow, "t", 20, &other).unwrap();
    }

    #[test]
    fn what_is_larger_than_the_queue_is_never_taken() {
        let flow = Flow::new(100, 1);
        assert!(matches!(
            enter(&flow, "t", 101, &reports()),
            Err(Unsent::TooLarge { limit_bytes: 100, .. })
        ));
        enter(&flow, "t", 100, &reports()).unwrap();
    }

    #[test]
    fn a_message_that_goes_alone_has_its_topic_for_itself() {
        let flow = Flow::new(1000, 1);
        let (other, alone) = (reports(), reports());
        enter(&flow, "t", 10, &other).unwrap();
        assert_eq!(flow.enter("t", 10, &alone, true), Err(Unsent::Busy));
        // A worker that waits to be alone is not delayed by newer messages.
        assert_eq!(enter(&flow, "t", 10, &other), Err(Unsent::Busy));
        enter(&flow, "another", 10, &other).unwrap();
        flow.leave("t", 10, false, &other, Left::Stored);
        flow.enter("t", 10, &alone, true).unwrap();
        assert_eq!(enter(&flow, "t", 10, &other), Err(Unsent::Busy));
        flow.leave("t", 10, true, &alone, Left::Stored);
        enter(&flow, "t", 10, &other).unwrap();
    }

    #[test]
    fn a_topic_that_stores_nothing_is_failing_until_it_does() {
        let flow = Flow::new(1000, 1);
        let worker = reports();
        enter(&flow, "t", 10, &worker).unwrap();
        enter(&flow, "t", 10, &worker).unwrap();
        let began = Instant::now();
        flow.look_for_silence(began + SILENT_AFTER / 2);
        assert_eq!(flow.failing(began), None);
        flow.look_for_silence(began + SILENT_AFTER);
        let failing = flow.failing(began + 2 * SILENT_AFTER).unwrap();
        assert_eq!(failing.topic, "t");
        assert!(failing.since >= SILENT_AFTER, "{failing:?}");
        flow.leave("t", 10, false, &worker, Left::Stored);
        assert_eq!(flow.failing(began + 2 * SILENT_AFTER), None);
    }

    #[test]
    fn a_failure_is_forgotten_when_nobody_sends_any_more() {
        let flow = Flow::new(1000, 1);
        let worker = reports();
        enter(&flow, "t", 10, &worker).unwrap();
        let failure = SendFailure {
            code: RDKafkaErrorCode::UnknownTopic as i32,
            why: "unknown topic".into(),
        };
        flow.leave("t", 10, false, &worker, Left::Failed(&failure));
        let now = Instant::now();
        assert_eq!(flow.failing(now).unwrap().why, "unknown topic");
        assert_eq!(flow.failing(now + FAILING_FOR), None);
    }

    #[test]
    fn a_purge_is_nobodys_failure() {
        let flow = Flow::new(1000, 1);
        let worker = reports();
        enter(&flow, "t", 10, &worker).unwrap();
        let failure = SendFailure {
            code: RDKafkaErrorCode::PurgeQueue as i32,
            why: "purged".into(),
        };
        flow.leave("t", 10, false, &worker, Left::Failed(&failure));
        assert_eq!(flow.failing(Instant::now()), None);
    }
}
