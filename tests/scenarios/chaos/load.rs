//! Messages with an id and a number within their key, the records that they ask for, and the ledger that compares the
//! database with what was sent.
//!
//! A message's id consists of its partition and its offset. So for any offset it is known which records must exist
//! below it.

use fastrand::Rng;

use crate::support::interrupted::{Scene, Source, partition_of};

/// Three records per message: its own (a put, so a repetition does no harm but shows in the record's generation), its
/// key's last message, and its key's count (guarded, since a repetition would be counted).
pub const ROUTES: &str = r#"
[[route]]
  [[route.write]]
  set = "all"
  key = "id"
  bins = ["n"]

  [[route.write]]
  set = "last"
  key = "key"
  bins = ["n"]

  [[route.write]]
  set = "sums"
  key = "key"
  add = { events = 1 }
"#;

/// The messages that can be sent, and those sent so far.
pub struct Messages {
    rng: Rng,
    keys: Vec<KeyOf>,
    /// Pads a message to its length.
    pad: String,
    /// Number of messages in each partition.
    pub ends: Vec<i64>,
}

struct KeyOf {
    name: String,
    partition: i32,
    /// Its messages so far; they are numbered from 0.
    sent: i64,
}

impl Messages {
    /// Messages of about `bytes` bytes each. Each key belongs to one partition.
    pub fn new(seed: u64, keys: usize, partitions: i32, bytes: usize) -> Messages {
        let key = |number| {
            let name = format!("k{number:05}");
            let partition = partition_of(&name, partitions);
            KeyOf {
                name,
                partition,
                sent: 0,
            }
        };
        Messages {
            rng: Rng::with_seed(seed),
            keys: (0..keys).map(key).collect(),
            pad: "x".repeat(bytes.saturating_sub(60)),
            ends: vec![0; usize::try_from(partitions).unwrap()],
        }
    }

    /// Sends this number of messages, on random keys. They are on their way when this returns.
    pub fn send(&mut self, source: &mut Source, messages: u64) {
        for _ in 0..messages {
            let key = self.rng.usize(..self.keys.len());
            let key = &mut self.keys[key];
            let end = &mut self.ends[usize::try_from(key.partition).unwrap()];
            let payload = format!(
                r#"{{"id":"{}-{end}","key":"{}","n":{},"pad":"{}"}}"#,
                key.partition, key.name, key.sent, self.pad
            );
            source.send(key.partition, &payload);
            key.sent += 1;
            *end += 1;
        }
    }

    pub fn total(&self) -> i64 {
        self.ends.iter().sum()
    }

    /// The ids of the messages between two offsets in each partition.
    pub fn ids_between(from: &[i64], to: &[i64]) -> Vec<String> {
        (0..)
            .zip(from.iter().zip(to))
            .flat_map(|(partition, (from, to))| (*from..*to).map(move |offset| format!("{partition}-{offset}")))
            .collect::<Vec<String>>()
    }

    /// The ids of the messages below an offset in each partition.
    pub fn ids_below(ends: &[i64]) -> Vec<String> {
        Self::ids_between(&vec![0; ends.len()], ends)
    }

    /// The keys, each with its partition.
    pub fn keys(&self) -> Vec<(String, i32)> {
        self.keys.iter().map(|key| (key.name.clone(), key.partition)).collect()
    }

    /// Compares the records with what was sent.
    pub fn ledger(&self, scene: &Scene) -> Ledger {
        let mut ledger = Ledger {
            messages: self.total(),
            keys: self.keys.len(),
            ..Ledger::default()
        };
        let generations = scene.read_as("all", &Self::ids_below(&self.ends), |record| record.generation);
        for generation in generations {
            match generation {
                None => ledger.lost += 1,
                Some(generation) => ledger.repeated_puts += i64::from(generation) - 1,
            }
        }
        let names: Vec<String> = self.keys.iter().map(|key| key.name.clone()).collect();
        let last = scene.read_as("last", &names, |record| int(record, "n"));
        let counted = scene.read_as("sums", &names, |record| int(record, "events"));
        for ((key, last), counted) in self.keys.iter().zip(last).zip(counted) {
            ledger.last_wrong += i64::from(last.unwrap_or(-1) != key.sent - 1);
            let more = counted.unwrap_or(0) - key.sent;
            ledger.repeated_adds += more.max(0);
            ledger.adds_missing += (-more).max(0);
        }
        let used = self.keys.iter().filter(|key| key.sent > 0).count();
        for (set, records) in [
            ("all", self.total()),
            ("last", i64::try_from(used).unwrap()),
            ("sums", i64::try_from(used).unwrap()),
        ] {
            let stored: i64 = scene.sim.say(&format!("count test {set}")).parse().unwrap();
            ledger.unexpected += (stored - records).max(0);
        }
        ledger
    }
}

fn int(record: &aerospike::Record, bin: &str) -> i64 {
    match record.bins.get(bin) {
        Some(aerospike::Value::Int(n)) => *n,
        other => panic!("{bin} is {other:?}"),
    }
}

/// What the database contains, compared with what it should contain.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Ledger {
    pub messages: i64,
    pub keys: usize,
    /// Messages without a record.
    pub lost: i64,
    /// Keys whose record does not come from their last message.
    pub last_wrong: i64,
    /// Repeated puts of the same message: allowed, since they change nothing.
    pub repeated_puts: i64,
    /// Messages that were counted more than once: not allowed, since they are guarded.
    pub repeated_adds: i64,
    pub adds_missing: i64,
    /// Records that no message asked for.
    pub unexpected: i64,
}

impl Ledger {
    pub fn tell(&self) {
        println!(
            "  messages     {} on {} keys\n\
             \x20 duplicates   {} puts repeated (unguarded, harmless), {} guarded adds repeated\n\
             \x20 lost         {} messages, {} adds\n\
             \x20 last         {} keys whose last value is not their last message",
            self.messages,
            self.keys,
            self.repeated_puts,
            self.repeated_adds,
            self.lost,
            self.adds_missing,
            self.last_wrong
        );
    }

    pub fn assert_balances(&self) {
        let balanced = Ledger {
            messages: self.messages,
            keys: self.keys,
            repeated_puts: self.repeated_puts,
            ..Ledger::default()
        };
        assert_eq!(*self, balanced, "the ledger, and how it would balance");
    }
}
