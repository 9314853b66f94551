//! The workloads A to F: messages with a fixed seed, the rules for them, and the account that must come out.
//!
//! Their messages are the demo's events. A number determines a message, so all runs and all programs send the same ones.

use std::fmt;

use super::events::{EventFacts, EventGenerator, EventType, USERS};
use super::messages::Keyed;

const SEED: u64 = 23;
/// The size of E's messages.
const LARGE_BYTES: usize = 2048;
/// One message of F in this many is poisoned.
pub const POISONED_OF: u64 = 100;

const ONE_RECORD: &str = r#"
[[route.write]]
set = "events"
key = "id"
bins = { type = "type", user = "user.id", country = "user.country", ts = "ts", amount = { path = "amount", as = "float" } }
"#;
/// Of each user, and no longer of each event.
const BY_USER: &str = r#"
[[route.write]]
set = "users"
key = "user.id"
bins = { type = "type", user = "user.id", country = "user.country", ts = "ts", amount = { path = "amount", as = "float" } }
"#;
/// The keys are those of A, so no rows are merged, and the difference to A is the guard.
const COUNTERS: &str = r#"
[[route.write]]
set = "counters"
key = "id"
add = { events = 1, amount = { path = "amount", as = "float", missing = "skip" } }
"#;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Workload {
    A,
    B,
    C,
    D,
    E,
    F,
}

impl Workload {
    pub const ALL: [Workload; 6] = [
        Workload::A,
        Workload::B,
        Workload::C,
        Workload::D,
        Workload::E,
        Workload::F,
    ];

    /// What it is, in words.
    pub fn about(self) -> &'static str {
        match self {
            Workload::A => "562-byte events, 20 % filtered, one record of 5 bins",
            Workload::B => "A with two records, and 5 % published to another topic",
            Workload::C => "A with Zipf keys (10,000 users)",
            Workload::D => "A as guarded counters",
            Workload::E => "A with 2-KB events",
            Workload::F => "A with 1 % poison (dead letters)",
        }
    }

    /// The workload whose messages it has. B and D are other rules for the messages of A.
    pub fn messages_of(self) -> Workload {
        match self {
            Workload::B | Workload::D => Workload::A,
            other => other,
        }
    }

    /// The sections of the configuration behind `[aerospike]`. `published` and `dead` are topics.
    pub fn rules(self, published: &str, dead: &str) -> String {
        let write = match self {
            Workload::A | Workload::E | Workload::F => ONE_RECORD.to_owned(),
            Workload::B => format!(
                "{ONE_RECORD}{BY_USER}\n[[route.publish]]\ntopic = \"{published}\"\n\
                 when = \"type == 'purchase' && user.plan == 'free'\"\n"
            ),
            Workload::C => BY_USER.to_owned(),
            Workload::D => COUNTERS.to_owned(),
        };
        let reject = match self {
            Workload::F => format!("\n[reject]\naction = \"dead_letter\"\ntopic = \"{dead}\"\n"),
            _ => String::new(),
        };
        format!("[[route]]\nwhen = \"type != 'heartbeat'\"\n{write}{reject}")
    }

    /// What becomes of a message, for the account.
    fn fate(self, number: u64, facts: &EventFacts) -> Account {
        let mut fate = Account {
            consumed: 1,
            ..Account::default()
        };
        if self == Workload::F && is_poisoned(number) {
            fate.dead_lettered = 1;
        } else if facts.event_type == EventType::Heartbeat {
            fate.filtered = 1;
        } else {
            fate.written = 1;
            fate.rows = if self == Workload::B { 2 } else { 1 };
            let is_published = facts.event_type == EventType::Purchase && facts.plan == "free";
            fate.published = u64::from(self == Workload::B && is_published);
        }
        fate
    }

    /// The account of the messages with these numbers.
    pub fn account(self, numbers: impl IntoIterator<Item = u64>) -> Account {
        let mut events = EventGenerator::new(SEED);
        let mut out = Vec::new();
        let mut sum = Account::default();
        for number in numbers {
            sum.add(self.fate(number, &events.event(number, &mut out)));
        }
        sum
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How many messages had which end, and what they asked for: the service's counters of these names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    pub consumed: u64,
    pub written: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
    pub published: u64,
    pub rows: u64,
}

impl Account {
    pub fn add(&mut self, other: Account) {
        self.consumed += other.consumed;
        self.written += other.written;
        self.filtered += other.filtered;
        self.dead_lettered += other.dead_lettered;
        self.published += other.published;
        self.rows += other.rows;
    }
}

/// Makes the messages of a workload.
#[derive(Debug)]
pub struct Maker {
    workload: Workload,
    partitions: i32,
    events: EventGenerator,
    /// For each user, the share of the messages of this user and of those before.
    zipf: Vec<f64>,
}

impl Maker {
    pub fn new(workload: Workload, partitions: i32) -> Maker {
        let zipf = match workload {
            Workload::C => zipf(),
            _ => Vec::new(),
        };
        Maker {
            workload,
            partitions,
            events: EventGenerator::new(SEED),
            zipf,
        }
    }

    /// The message with this number.
    pub fn message(&mut self, number: u64) -> Keyed {
        let mut payload = Vec::new();
        let mut key = self.events.event(number, &mut payload).key;
        match self.workload {
            Workload::A | Workload::B | Workload::D => {}
            Workload::C => {
                let at = random(number).f64();
                let user = self.zipf.partition_point(|share| *share < at);
                let own = format!("u{user:05}");
                replace(&mut payload, &key, &own);
                key = own;
            }
            Workload::E => enlarge(&mut payload, number),
            Workload::F if is_poisoned(number) => poison(&mut payload, number),
            Workload::F => {}
        }
        Keyed {
            partition: partition_of(&key, self.partitions),
            key,
            payload: Some(payload),
        }
    }

    /// The messages with the numbers from 0 on.
    pub fn messages(mut self, count: u64) -> impl Iterator<Item = Keyed> {
        (0..count).map(move |number| self.message(number))
    }
}

/// The partition of a key (FNV-1a). So all messages of a user are in one partition.
pub fn partition_of(key: &str, partitions: i32) -> i32 {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    i32::try_from(hash % partitions.unsigned_abs()).unwrap_or(0)
}

fn random(number: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(SEED ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Zipf's law: the second user has half as many messages as the first one, the third a third.
fn zipf() -> Vec<f64> {
    let all: f64 = (1..=USERS).map(|rank| 1.0 / rank as f64).sum();
    let mut sum = 0.0;
    let below = (1..=USERS).map(|rank| {
        sum += 1.0 / rank as f64 / all;
        sum
    });
    below.collect()
}

/// Replaces a text by another of the same length, wherever it is.
fn replace(payload: &mut [u8], old: &str, new: &str) {
    let mut at = 0;
    while let Some(found) = payload[at..].windows(old.len()).position(|part| part == old.as_bytes()) {
        at += found;
        payload[at..at + old.len()].copy_from_slice(new.as_bytes());
        at += old.len();
    }
}

/// Adds what the user did before: an array of objects, which no rule reads.
fn enlarge(payload: &mut Vec<u8>, number: u64) {
    let mut random = random(number);
    payload.pop();
    payload.extend_from_slice(b",\"trail\":[");
    while payload.len() < LARGE_BYTES - 60 {
        let step = format!(
            "{{\"path\":\"/products/{}\",\"ms\":{}.{},\"seen\":{}}},",
            random.u32(1000..10_000),
            random.u32(10..1000),
            random.u32(0..10),
            random.bool()
        );
        payload.extend_from_slice(step.as_bytes());
    }
    payload.extend_from_slice(b"null]}");
}

fn is_poisoned(number: u64) -> bool {
    // A different place in each hundred.
    number % POISONED_OF == number / POISONED_OF * 37 % POISONED_OF
}

/// Either the second half is missing, or a byte is not UTF-8.
fn poison(payload: &mut Vec<u8>, number: u64) {
    let half = payload.len() / 2;
    if (number / POISONED_OF).is_multiple_of(2) {
        payload.truncate(half);
    } else {
        payload[half] = 0xff;
    }
}
