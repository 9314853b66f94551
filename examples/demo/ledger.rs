//! The ledger: compares what must have become of each message, what the events require in the database and in the
//! topics, and what is there.
//!
//! The messages are generated again from their seed. Nothing of the service is used to compute what is expected.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;

use aerospike::{
    BatchOperation, BatchPolicy, BatchReadPolicy, Bins, Client, ClientPolicy, FloatValue, Key, Record, Value,
};

use crate::broker::partition_of;
use crate::collector::{Collected, Letter};
use crate::events::EventFacts;
use crate::messages::{Fate, Messages};
use crate::service::Settings;

const BATCH: usize = 1000;

/// The expected outcome of the messages.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Expected {
    pub written: u64,
    pub filtered: u64,
    pub published: u64,
    /// Number of dead letters by reason.
    pub dead_lettered: BTreeMap<&'static str, u64>,
}

impl Expected {
    pub fn letters(&self) -> u64 {
        self.dead_lettered.values().sum()
    }
}

/// Counts of one kind of thing, expected and found.
#[derive(Debug, Default)]
pub struct Sums {
    pub expected: u64,
    pub found: u64,
    /// Expected, but not found.
    pub missing: u64,
    /// Found, but with wrong contents.
    pub wrong: u64,
    /// Found, but not expected.
    pub unexpected: u64,
    /// Found more than once: delivered again, which "at least once" allows.
    pub again: u64,
}

impl Sums {
    fn is_balanced(&self) -> bool {
        self.missing == 0 && self.wrong == 0 && self.unexpected == 0 && self.found == self.expected
    }
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub expected: Expected,
    /// Unexpected ones are counted only as far as the database counts its sets.
    pub records: Sums,
    pub purchases: Sums,
    /// Purchases that came before an earlier purchase of the same user.
    pub out_of_order: u64,
    pub letters: Sums,
}

impl Ledger {
    pub fn is_balanced(&self) -> bool {
        self.records.is_balanced()
            && self.purchases.is_balanced()
            && self.out_of_order == 0
            && self.letters.is_balanced()
    }
}

/// Reads back the record of every user and of every event, and compares the collected messages with the expected ones.
pub fn check(
    settings: &Settings,
    seed: u64,
    messages: u64,
    partitions: i32,
    collected: &Collected,
    mut compared: impl FnMut(u64),
) -> Result<Ledger, Box<dyn Error>> {
    let client = Client::new(&ClientPolicy::default(), &settings.aerospike)?;
    let mut ledger = Ledger::default();
    let (expected, records, purchases) = (&mut ledger.expected, &mut ledger.records, &mut ledger.purchases);
    let mut made = Messages::new(seed);
    let mut users: HashMap<String, EventFacts> = HashMap::new();
    let mut pending: Vec<(Key, Vec<(&str, Value)>)> = Vec::with_capacity(BATCH);
    let (user_set, event_set) = (settings.users(), settings.events());
    let mut offsets = vec![0_i64; usize::try_from(partitions)?];
    // By partition and offset: the sequence number and the reason.
    let mut letters: HashMap<(i32, i64), (u64, &'static str)> = HashMap::new();
    for sequence in 0..messages {
        compared(sequence);
        let sent = made.message(sequence);
        let partition = partition_of(&sent.facts.key, partitions);
        // The topic belongs to this run, and its only producer sends in this order.
        let next = &mut offsets[usize::try_from(partition)?];
        let offset = *next;
        *next += 1;
        let is_published = sent.is_published();
        let seen = collected.purchases.seen.get(usize::try_from(sequence)?).copied();
        if is_published {
            expected.published += 1;
            match seen.unwrap_or_default() {
                0 => purchases.missing += 1,
                times => {
                    purchases.found += 1;
                    purchases.again += u64::from(times) - 1;
                }
            }
        }
        match sent.fate {
            Fate::Filtered => expected.filtered += 1,
            Fate::DeadLettered(reason) => {
                *expected.dead_lettered.entry(reason).or_default() += 1;
                letters.insert((partition, offset), (sequence, reason));
            }
            Fate::Written => {
                expected.written += 1;
                let facts = sent.facts;
                pending.push((
                    Key::new("test", event_set.as_str(), facts.event_id.clone().into())?,
                    event_bins(&facts),
                ));
                if pending.len() == BATCH {
                    compare(&client, &mut pending, records)?;
                }
                users.insert(facts.user_id.clone(), facts);
            }
        }
    }
    for facts in users.values() {
        pending.push((
            Key::new("test", user_set.as_str(), facts.user_id.clone().into())?,
            user_bins(facts),
        ));
        if pending.len() == BATCH {
            compare(&client, &mut pending, records)?;
        }
    }
    compare(&client, &mut pending, records)?;
    let stored = objects(&client, &[&user_set, &event_set])?;
    records.unexpected = stored.saturating_sub(records.expected);
    client.close()?;
    purchases.expected = expected.published;
    purchases.wrong = collected.purchases.wrong;
    ledger.out_of_order = collected.purchases.out_of_order;
    ledger.letters = dead_letters(&collected.letters, &settings.topic, &mut made, letters);
    Ok(ledger)
}

/// Compares the dead letters with the broken messages, by their partitions and offsets.
fn dead_letters(
    found: &[Letter],
    topic: &str,
    messages: &mut Messages,
    expected: HashMap<(i32, i64), (u64, &'static str)>,
) -> Sums {
    let mut sums = Sums {
        expected: expected.len() as u64,
        ..Sums::default()
    };
    let mut open = expected.clone();
    for letter in found {
        let number = |name: &str| letter.header(name).and_then(|digits| digits.parse::<i64>().ok());
        let place = number("penstock.partition")
            .and_then(|partition| i32::try_from(partition).ok())
            .zip(number("penstock.offset"));
        let Some((place, (sequence, reason))) = place.and_then(|place| Some((place, *expected.get(&place)?))) else {
            sums.unexpected += 1;
            continue;
        };
        let sent = messages.message(sequence);
        let is_right = letter.header("penstock.topic") == Some(topic)
            && letter.header("penstock.reason") == Some(reason)
            && letter.key.as_deref() == Some(sent.facts.key.as_bytes())
            && letter.payload.as_deref() == sent.payload;
        if !is_right {
            sums.wrong += 1;
        }
        match open.remove(&place) {
            Some(_) => sums.found += 1,
            None => sums.again += 1,
        }
    }
    sums.missing = open.len() as u64;
    sums
}

fn user_bins(facts: &EventFacts) -> Vec<(&'static str, Value)> {
    vec![
        ("country", facts.country.into()),
        ("plan", facts.plan.into()),
        ("os", facts.os.into()),
        ("seen", facts.ts_ms.into()),
        ("last", facts.event_id.clone().into()),
    ]
}

fn event_bins(facts: &EventFacts) -> Vec<(&'static str, Value)> {
    let mut bins = vec![
        ("type", facts.event_type.name().into()),
        ("user", facts.user_id.clone().into()),
        ("ts", facts.ts_ms.into()),
    ];
    if let Some(amount) = facts.amount() {
        bins.push(("amount", Value::Float(FloatValue::from(amount))));
    }
    bins
}

fn compare(
    client: &Client,
    pending: &mut Vec<(Key, Vec<(&str, Value)>)>,
    sums: &mut Sums,
) -> Result<(), Box<dyn Error>> {
    if pending.is_empty() {
        return Ok(());
    }
    let policy = BatchReadPolicy::default();
    let mut reads: Vec<BatchOperation> = pending
        .iter()
        .map(|(key, _)| BatchOperation::read(&policy, key.clone(), Bins::All))
        .collect();
    client.batch(&BatchPolicy::default(), &mut reads)?;
    for ((_, bins), read) in pending.drain(..).zip(&reads) {
        sums.expected += 1;
        match &read.batch_record().record {
            None => sums.missing += 1,
            Some(record) => {
                sums.found += 1;
                if !bins.iter().all(|(name, value)| is(record, name, value)) {
                    sums.wrong += 1;
                }
            }
        }
    }
    Ok(())
}

fn is(record: &Record, bin: &str, expected: &Value) -> bool {
    record.bins.get(bin) == Some(expected)
}

/// How many records the sets hold, according to the node.
fn objects(client: &Client, sets: &[&str]) -> Result<u64, Box<dyn Error>> {
    let answer = client.info(&aerospike::AdminPolicy::default(), &["sets/test"])?;
    let text = answer.get("sets/test").map(String::as_str).unwrap_or_default();
    let mut count = 0;
    for line in text.split(';') {
        let field = |name: &str| {
            line.split(':')
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        if field("set").is_some_and(|set| sets.contains(&set)) {
            count += field("objects").and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(count)
}
