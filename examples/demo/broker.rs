//! Kafka for the demo: the mock cluster in this process, or a real one. Each run has its own topics.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use penstock::observe::counters::Counters;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::collector::Topics;
use crate::messages::Messages;
use crate::service;

const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Broker {
    // Dropped last, because it is the broker.
    mock: Option<MockCluster<'static, rdkafka::producer::DefaultProducerContext>>,
    address: String,
    topic: String,
    partitions: i32,
}

impl Broker {
    pub fn start(real: Option<&str>, partitions: i32) -> Result<Self, Box<dyn Error>> {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
        let topic = format!("demo-{:x}-{nanos:x}", std::process::id());
        let (mock, address) = match real {
            Some(address) => (None, address.to_string()),
            None => {
                let mock = MockCluster::new(1)?;
                let address = mock.bootstrap_servers();
                (Some(mock), address)
            }
        };
        let broker = Broker {
            mock,
            address,
            topic,
            partitions,
        };
        let Topics { purchases, dead, .. } = broker.produced_topics();
        for (topic, partitions) in [(&broker.topic, partitions), (&purchases, partitions), (&dead, 1)] {
            match &broker.mock {
                Some(mock) => mock.create_topic(topic, partitions, 1)?,
                None => create_topic(&broker.address, topic, partitions)?,
            }
        }
        Ok(broker)
    }

    /// The topics that the service produces to.
    pub fn produced_topics(&self) -> Topics {
        Topics {
            brokers: self.address.clone(),
            purchases: format!("{}-purchases", self.topic),
            dead: format!("{}-dead", self.topic),
            partitions: self.partitions,
        }
    }

    pub fn is_real(&self) -> bool {
        self.mock.is_none()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub fn producer(&self) -> Result<EventProducer, Box<dyn Error>> {
        let failed = Arc::new(AtomicBool::new(false));
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .set("linger.ms", "5")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // Fewer, larger sets of messages, because the mock broker keeps only a limited number of sets.
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "20000")
            .create_with_context(Deliveries { failed: failed.clone() })?;
        Ok(EventProducer {
            producer,
            topic: self.topic.clone(),
            partitions: self.partitions,
            failed,
        })
    }

    /// The sum of the group's committed offsets, and the sum of the partitions' end offsets.
    pub fn committed(&self, group: &str) -> Result<(i64, i64), Box<dyn Error>> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .set("group.id", group)
            .create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, self.partitions - 1);
        let committed = consumer.committed_offsets(list, TIMEOUT)?;
        let mut sums = (0, 0);
        for element in committed.elements() {
            if let Offset::Offset(offset) = element.offset() {
                sums.0 += offset;
            }
            sums.1 += consumer.fetch_watermarks(&self.topic, element.partition(), TIMEOUT)?.1;
        }
        Ok(sums)
    }
}

fn create_topic(address: &str, topic: &str, partitions: i32) -> Result<(), Box<dyn Error>> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", address).create()?;
    let topics = [NewTopic::new(topic, partitions, TopicReplication::Fixed(1))];
    // rdkafka's admin calls are futures; we simply wait for this one.
    for result in
        futures_executor::block_on(admin.create_topics(&topics, &AdminOptions::new().operation_timeout(Some(TIMEOUT))))?
    {
        result.map_err(|(topic, code)| format!("cannot create {topic}: {code}"))?;
    }
    Ok(())
}

struct Deliveries {
    failed: Arc<AtomicBool>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.store(true, Relaxed);
        }
    }
}

/// Why the events are not all in Kafka.
#[derive(Debug)]
pub struct ProduceError(String);

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "producing failed: {}", self.0)
    }
}

impl Error for ProduceError {}

pub struct EventProducer {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    partitions: i32,
    failed: Arc<AtomicBool>,
}

impl EventProducer {
    /// Produces all messages. It is at most `lead_max` messages ahead of the finished ones.
    pub fn produce(
        &self,
        seed: u64,
        messages: u64,
        lead_max: u64,
        produced: &AtomicU64,
        counters: &Counters,
    ) -> Result<(), ProduceError> {
        let mut events = Messages::new(seed);
        let mut moved = (0, Instant::now());
        for sequence in 0..messages {
            while sequence.saturating_sub(service::done(counters)) >= lead_max {
                let done = service::done(counters);
                if done != moved.0 {
                    moved = (done, Instant::now());
                }
                if moved.1.elapsed() > Duration::from_secs(120) {
                    return Err(ProduceError("no message was done with for two minutes".into()));
                }
                thread::sleep(Duration::from_millis(1)); // pacing: the consumer decides how fast
            }
            let sent = events.message(sequence);
            let key = &sent.facts.key;
            let partition = partition_of(key, self.partitions);
            let mut record = BaseRecord::to(&self.topic).key(key).partition(partition);
            record.payload = sent.payload;
            while let Err((error, back)) = self.producer.send(record) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(ProduceError(error.to_string()));
                }
                record = back;
                thread::sleep(Duration::from_millis(1)); // a full queue is back-pressure
            }
            produced.store(sequence + 1, Relaxed);
        }
        self.producer
            .flush(Duration::from_secs(120))
            .map_err(|e| ProduceError(e.to_string()))?;
        if self.failed.load(Relaxed) {
            Err(ProduceError("a message was not delivered".into()))
        } else {
            Ok(())
        }
    }
}

/// The partition of a key: all events of a user are in one partition (FNV-1a).
pub fn partition_of(key: &str, partitions: i32) -> i32 {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    i32::try_from(hash % partitions.unsigned_abs()).unwrap_or(0)
}
