//! The ledger: what the events say must be in the database, and what is there.
//!
//! The events are generated anew from their seed; nothing of the service is used to compute what is expected.

use std::collections::HashMap;
use std::error::Error;

use aerospike::{
    BatchOperation, BatchPolicy, BatchReadPolicy, Bins, Client, ClientPolicy, FloatValue, Key, Record, Value,
};

use crate::events::{EventFacts, EventGenerator};
use crate::service::Settings;

const BATCH: usize = 1000;

#[derive(Debug, Default)]
pub struct Ledger {
    pub expected: u64,
    pub found: u64,
    /// Records that are not there.
    pub missing: u64,
    /// Records of which a bin is not what the events say.
    pub wrong: u64,
    /// Records that no event asked for (as far as the database counts its sets).
    pub unexpected: u64,
}

impl Ledger {
    pub fn is_balanced(&self) -> bool {
        self.missing == 0 && self.wrong == 0 && self.unexpected == 0 && self.found == self.expected
    }
}

/// Reads back the record of every user and of every event.
pub fn check(settings: &Settings, seed: u64, messages: u64) -> Result<Ledger, Box<dyn Error>> {
    let client = Client::new(&ClientPolicy::default(), &settings.aerospike)?;
    let mut ledger = Ledger::default();
    let mut generator = EventGenerator::new(seed);
    let mut payload = Vec::new();
    let mut users: HashMap<String, EventFacts> = HashMap::new();
    let mut pending: Vec<(Key, Vec<(&str, Value)>)> = Vec::with_capacity(BATCH);
    let (user_set, event_set) = (settings.users(), settings.events());
    for sequence in 0..messages {
        let facts = generator.event(sequence, &mut payload);
        pending.push((
            Key::new("test", event_set.as_str(), facts.event_id.clone().into())?,
            event_bins(&facts),
        ));
        if pending.len() == BATCH {
            compare(&client, &mut pending, &mut ledger)?;
        }
        users.insert(facts.user_id.clone(), facts);
    }
    for facts in users.values() {
        pending.push((
            Key::new("test", user_set.as_str(), facts.user_id.clone().into())?,
            user_bins(facts),
        ));
        if pending.len() == BATCH {
            compare(&client, &mut pending, &mut ledger)?;
        }
    }
    compare(&client, &mut pending, &mut ledger)?;
    let stored = objects(&client, &[&user_set, &event_set])?;
    ledger.unexpected = stored.saturating_sub(ledger.expected);
    client.close()?;
    Ok(ledger)
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
    ledger: &mut Ledger,
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
        ledger.expected += 1;
        match &read.batch_record().record {
            None => ledger.missing += 1,
            Some(record) => {
                ledger.found += 1;
                if !bins.iter().all(|(name, value)| is(record, name, value)) {
                    ledger.wrong += 1;
                }
            }
        }
    }
    Ok(())
}

fn is(record: &Record, bin: &str, expected: &Value) -> bool {
    record.bins.get(bin) == Some(expected)
}

/// How many records the sets hold, as the node counts them.
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
