//! What the tests of publishing share: a producer without the service, workers that publish, and the resulting content
//! of a topic.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use penstock::config;
use penstock::delivery::publish::{Outbox, PublishCalls, PublishEnd};
use penstock::kafka::producer::Producer;
use penstock::output::publication::Publication;
use penstock::util::memory::{self, MemoryPlan};
use penstock::util::stop::{Stop, StopKind};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::lines::Lines;
use super::{DEADLINE, Kafka, Topic, wait_until};
pub use publish_all::{Published, publish};

// The unit tests of the outbox call it, too.
mod publish_all;

pub const MIB: u64 = 1024 * 1024;

/// The memory size that gives the producer its smallest queue, 8 MiB, shared by this number of workers.
pub fn small_memory(workers: usize) -> MemoryPlan {
    memory::plan(128 * MIB, 64 * 1024, workers, 1, true).unwrap()
}

pub fn producer(kafka: &Kafka, memory: &MemoryPlan, properties: &str) -> Arc<Producer> {
    Lines::gather();
    let text = format!(
        "[kafka]\nbrokers = \"{}\"\ntopics = [\"in\"]\ngroup = \"g\"\n[kafka.producer]\n{properties}\n\
         [aerospike]\nhosts = \"127.0.0.1:1\"\nnamespace = \"test\"\n\
         [[route]]\n[[route.write]]\nset = \"s\"\nkey = \"k\"\nbins = [\"b\"]\n",
        kafka.brokers
    );
    let config = config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
    Arc::new(Producer::new(&config.kafka, memory).unwrap())
}

/// Reconnects at once, so that a test does not wait for reconnection pauses.
pub const QUICK: &str = "\"reconnect.backoff.ms\" = 50\n\"reconnect.backoff.max.ms\" = 100\n\"retry.backoff.ms\" = 20";

/// `messages` numbered payloads for 10 keys.
pub fn numbered(topic: &str, messages: usize, prefix: &str) -> Vec<Publication<'static>> {
    let topic: &'static str = topic.to_owned().leak();
    (0..messages)
        .map(|n| Publication {
            message: n,
            topic,
            key: Some(Cow::Owned(format!("{prefix}{}", n % 10).into_bytes())),
            payload: Some(Cow::Owned(format!("{prefix}-{n}").into_bytes())),
            headers: Vec::new(),
            timestamp_ms: None,
        })
        .collect()
}

pub fn run(producer: &Producer, publications: &[Publication<'_>], stop: &Stop) -> Published {
    publish(publications, &calls(producer, stop, &|| {}))
}

pub fn calls<'c>(producer: &'c Producer, stop: &'c Stop, meanwhile: &'c dyn Fn()) -> PublishCalls<'c> {
    PublishCalls {
        publisher: producer,
        stop,
        finish_max: Duration::from_millis(300),
        ends_since: None,
        meanwhile,
    }
}

/// Publishes on a separate thread; [`Worker::end`] waits for it.
pub struct Worker {
    pub stop: Stop,
    /// How often its wait loop has run.
    glances: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<Published>>,
}

impl Worker {
    pub fn start(producer: &Arc<Producer>, publications: Vec<Publication<'static>>) -> Worker {
        let (stop, glances) = (Stop::new(), Arc::new(AtomicU64::new(0)));
        let thread = {
            let (producer, stop, glances) = (producer.clone(), stop.clone(), glances.clone());
            thread::spawn(move || {
                let meanwhile = || {
                    glances.fetch_add(1, Ordering::Relaxed);
                };
                publish(&publications, &calls(&producer, &stop, &meanwhile))
            })
        };
        Worker {
            stop,
            glances,
            thread: Some(thread),
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until its wait loop has run a few more times and it is still waiting.
    pub fn wait_while_it_waits(&self) {
        let before = self.glances.load(Ordering::Relaxed);
        wait_until(
            "the worker to look around",
            || self.glances.load(Ordering::Relaxed),
            |glances| *glances > before + 3,
        );
        assert!(self.is_waiting());
    }

    pub fn stop(self) -> Published {
        self.stop.request(StopKind::Drain);
        self.end()
    }

    pub fn end(mut self) -> Published {
        let thread = self.thread.take().unwrap();
        wait_until("the worker to end", || thread.is_finished(), |finished| *finished);
        thread.join().unwrap()
    }
}

/// A stored message.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
}

/// All messages of the topic.
pub fn stored(topic: &Topic) -> Vec<Stored> {
    let consumer: BaseConsumer = topic.client.clone().set("group.id", "reader").create().unwrap();
    let ends: Vec<i64> = topic.ends().into_iter().map(Option::unwrap).collect();
    let mut list = TopicPartitionList::new();
    for partition in 0..topic.partitions {
        list.add_partition_offset(&topic.name, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let total = usize::try_from(ends.iter().sum::<i64>()).unwrap();
    let mut found = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while found.len() < total {
        assert!(Instant::now() < deadline, "read {} of {total}", found.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.unwrap();
        found.push(Stored {
            partition: message.partition(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().map_or_else(Vec::new, |headers| {
                headers
                    .iter()
                    .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect()
            }),
            timestamp_ms: message.timestamp().to_millis(),
        });
    }
    found
}

/// Fails unless all of them are there, and the messages of each key are in order. If a message is there twice, its last
/// occurrence counts.
pub fn assert_in_order(topic: &Topic, expected: &[Publication<'_>]) {
    let found = stored(topic);
    let mut last: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (place, message) in found.iter().enumerate() {
        last.insert(message.payload.clone().unwrap(), place);
    }
    let mut by_key: BTreeMap<&[u8], usize> = BTreeMap::new();
    for publication in expected {
        let payload = publication.payload.as_deref().unwrap();
        let place = *last
            .get(payload)
            .unwrap_or_else(|| panic!("{} is not there", String::from_utf8_lossy(payload)));
        let before = by_key.insert(publication.key.as_deref().unwrap(), place);
        assert!(
            before.is_none_or(|before| before < place),
            "{} is out of order",
            String::from_utf8_lossy(payload)
        );
    }
}

pub fn assert_finished(published: &Published, messages: usize) {
    assert_eq!(published.end, PublishEnd::Finished);
    assert_eq!(published.done, messages);
}
