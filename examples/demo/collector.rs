//! Reads the results in Kafka: the topic of purchases and the topic of dead letters. It reads while the service runs,
//! since a partition of the in-process broker keeps at most 5 MiB.
//!
//! A thread with its own consumer, which is in no group: all partitions are assigned to it from their beginning. Each
//! purchase is compared with its event at once, so nothing piles up. The dead letters are few and are kept.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::messages::{Messages, sequence_of};

const TIMEOUT: Duration = Duration::from_secs(30);
/// After the service has stopped, everything that it produced must be read within this time.
const DEADLINE: Duration = Duration::from_secs(120);
const PACE: Duration = Duration::from_millis(100);

/// The topics to read.
#[derive(Debug, Clone)]
pub struct Topics {
    pub brokers: String,
    pub purchases: String,
    pub dead: String,
    /// Number of partitions of the topic of purchases. The other topic has 1.
    pub partitions: i32,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Collected {
    pub purchases: Purchases,
    pub letters: Vec<Letter>,
}

/// The contents of the topic of purchases.
#[derive(Debug, Default)]
pub struct Purchases {
    /// How often each purchase came, by its event's sequence number.
    pub seen: Vec<u8>,
    /// Messages that no event asked for, or that differ from it in key or bytes.
    pub wrong: u64,
    /// Purchases that came before an earlier purchase of the same user.
    pub out_of_order: u64,
    last: HashMap<String, u64>,
}

impl Purchases {
    fn add(&mut self, messages: &mut Messages, key: Option<&[u8]>, payload: Option<&[u8]>) {
        let sequence = payload
            .and_then(sequence_of)
            .filter(|sequence| *sequence < self.seen.len() as u64);
        let Some(sequence) = sequence else {
            self.wrong += 1;
            return;
        };
        let sent = messages.message(sequence);
        if !sent.is_published() || sent.payload != payload || key != Some(sent.facts.user_id.as_bytes()) {
            self.wrong += 1;
            return;
        }
        let seen = &mut self.seen[sequence as usize];
        if *seen == 0 {
            let last = self.last.entry(sent.facts.user_id).or_default();
            self.out_of_order += u64::from(sequence < *last);
            *last = sequence.max(*last);
        }
        *seen = seen.saturating_add(1);
    }
}

/// A dead letter.
#[derive(Debug)]
pub struct Letter {
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    headers: HashMap<String, Option<Vec<u8>>>,
}

impl Letter {
    fn new(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers();
        Letter {
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .iter()
                .flat_map(|headers| headers.iter())
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?.as_deref()?).ok()
    }
}

/// Reads until it is told that no more messages will come.
pub struct Collector {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Result<Collected, String>>,
}

impl Collector {
    pub fn start(topics: Topics, seed: u64, messages: u64) -> Result<Self, Box<dyn Error>> {
        let ended = Arc::new(AtomicBool::new(false));
        let thread = {
            let ended = ended.clone();
            thread::Builder::new()
                .name("collector".into())
                .spawn(move || collect(&topics, seed, messages, &ended).map_err(|error| error.to_string()))?
        };
        Ok(Collector { ended, thread })
    }

    /// No more messages will be produced: reads the rest to the end.
    pub fn finish(self) -> Result<Collected, Box<dyn Error>> {
        self.ended.store(true, Relaxed);
        let collected = self.thread.join().map_err(|_| "the collector panicked")?;
        collected.map_err(|error| format!("reading what was produced: {error}").into())
    }
}

fn collect(topics: &Topics, seed: u64, messages: u64, ended: &AtomicBool) -> Result<Collected, Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &topics.brokers)
        // librdkafka requires the name of a group to assign partitions; nobody joins this group.
        .set("group.id", format!("{}-collector", topics.dead))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "4096")
        .create()?;
    let mut reading = Reading::new(topics, seed, messages)?;
    let mut assignment = TopicPartitionList::new();
    for (topic, partition) in reading.next.keys() {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;

    while !ended.load(Relaxed) {
        match consumer.poll(PACE) {
            Some(Ok(message)) => reading.read(&message),
            // The consumer recovers by itself, and unread messages are detected below.
            Some(Err(error)) => log::debug!("collector: {error}"),
            None => {}
        }
    }
    let partitions: Vec<(&str, i32)> = reading.next.keys().copied().collect();
    let deadline = Instant::now() + DEADLINE;
    for (topic, partition) in partitions {
        let (_, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
        while reading.next[&(topic, partition)] < end {
            if Instant::now() > deadline {
                return Err(format!("{topic}:{partition} is not read up to {end} within {DEADLINE:?}").into());
            }
            if let Some(Ok(message)) = consumer.poll(PACE) {
                reading.read(&message);
            }
        }
    }
    Ok(reading.collected)
}

struct Reading<'t> {
    topics: &'t Topics,
    messages: Messages,
    collected: Collected,
    /// The next offset of each partition.
    next: BTreeMap<(&'t str, i32), i64>,
}

impl<'t> Reading<'t> {
    fn new(topics: &'t Topics, seed: u64, messages: u64) -> Result<Self, Box<dyn Error>> {
        let partitions = (0..topics.partitions).map(|partition| (topics.purchases.as_str(), partition));
        Ok(Reading {
            topics,
            messages: Messages::new(seed),
            collected: Collected {
                purchases: Purchases {
                    seen: vec![0; usize::try_from(messages)?],
                    ..Purchases::default()
                },
                letters: Vec::new(),
            },
            next: partitions
                .chain([(topics.dead.as_str(), 0)])
                .map(|partition| (partition, 0))
                .collect(),
        })
    }

    fn read(&mut self, message: &BorrowedMessage<'_>) {
        if message.topic() == self.topics.purchases {
            let purchases = &mut self.collected.purchases;
            purchases.add(&mut self.messages, message.key(), message.payload());
        } else {
            self.collected.letters.push(Letter::new(message));
        }
        let partition = message.partition();
        // The keys of the map borrow the names in `topics`.
        let topic = [&self.topics.purchases, &self.topics.dead]
            .into_iter()
            .find(|topic| *topic == message.topic());
        if let Some(topic) = topic {
            self.next.insert((topic, partition), message.offset() + 1);
        }
    }
}
