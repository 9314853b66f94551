//! Messages whose records are known in advance.

use std::collections::BTreeMap;

use rdkafka::producer::{BaseProducer, Producer as _};

use super::DEADLINE;
use super::kafka::{Topic, send};
use super::ledger::{Records, assert_ledger};

/// The two writes for [`Stream`]'s messages: the last message of each key, and every message by its own id.
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

/// Writes numbered messages to every partition of a topic, and knows the records that must result.
pub struct Stream {
    pub topic: Topic,
    producer: BaseProducer,
    /// Number of keys in each partition. It is small, so that a batch contains a key many times.
    keys: i64,
    /// Prefix of each id and key, so that records of several streams can be distinguished.
    prefix: &'static str,
    /// Number of messages in each partition so far.
    sent: i64,
    /// Messages that were sent but must not become records, as pairs of partition and number.
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

    /// The same, with this prefix for ids and keys.
    pub fn prefixed(mut self, prefix: &'static str) -> Stream {
        self.prefix = prefix;
        self
    }

    /// Sends the next `messages` messages to each partition. The broker has acknowledged them when this returns.
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

    /// Sends one more message to each partition: `payload`, which must not become a record, to partition `bad`, and a
    /// normal one to the others.
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

    /// Number of messages sent to all partitions.
    pub fn total(&self) -> u64 {
        u64::try_from(self.sent * i64::from(self.topic.partitions)).unwrap()
    }

    /// The expected end of each partition, in a topic whose messages have no gaps.
    pub fn ends(&self) -> Vec<Option<i64>> {
        vec![Some(self.sent); usize::try_from(self.topic.partitions).unwrap()]
    }

    /// Every record that all messages together ask for: set, key and `n`.
    pub fn records(&self) -> BTreeMap<(&'static str, String), i64> {
        self.records_below(&vec![self.sent; usize::try_from(self.topic.partitions).unwrap()])
    }

    /// The records of the messages below an offset in each partition, in a topic without gaps.
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

    /// Fails unless the records are exactly those that the messages ask for.
    pub fn assert_ledger(&self, records: &impl Records) {
        assert_ledger(&self.records(), records);
    }
}
