//! The order of a key: each record gets several messages, close to each other, whose `ts` grows. A record that does not end
//! with the newest one was written in another order than that of its partition.

use std::collections::HashMap;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use aerospike::{Bins, Client, ClientPolicy, Key, ReadPolicy, Value};

use crate::common::database::Database;
use crate::common::events::{EventGenerator, EventType};
use crate::common::messages::{Keyed, PARTITIONS};
use crate::common::workload::partition_of;
use crate::process::{Case, GLANCE, Process, records, rows_written, wait_for_rows};
use crate::work::Setup;

const SEED: u64 = 23;
/// So many messages come between two of a record.
const KEYS_AT_ONCE: u64 = 16;
/// Messages of a record.
const VERSIONS: u64 = 5;
const START_MAX: Duration = Duration::from_secs(120);
const END_MAX: Duration = Duration::from_secs(240);
/// All is written when no row comes for so long.
const IDLE_MAX: Duration = Duration::from_millis(2500);

/// The topic, and what its records must end with.
#[derive(Debug, Default)]
pub struct Versions {
    pub messages: Vec<Keyed>,
    /// The newest `ts` of each record that any message writes.
    newest: HashMap<String, i64>,
}

impl Versions {
    pub fn new(count: u64) -> Versions {
        let mut versions = Versions::default();
        let mut events = EventGenerator::new(SEED);
        for number in 0..count {
            let mut payload = Vec::new();
            let facts = events.event(number, &mut payload);
            let key = number / (KEYS_AT_ONCE * VERSIONS) * KEYS_AT_ONCE + number % KEYS_AT_ONCE;
            let id = format!("r{key:023}");
            // The same length, so the event keeps its size.
            let at = payload
                .windows(id.len())
                .position(|part| part == facts.event_id.as_bytes());
            if let Some(at) = at {
                payload[at..at + id.len()].copy_from_slice(id.as_bytes());
            }
            if facts.event_type != EventType::Heartbeat {
                versions.newest.insert(id.clone(), facts.ts_ms);
            }
            versions.messages.push(Keyed {
                partition: partition_of(&id, PARTITIONS),
                key: id,
                payload: Some(payload),
            });
        }
        versions
    }

    pub fn records(&self) -> usize {
        self.newest.len()
    }

    /// How many records do not end with their newest message.
    pub fn measure(&self, case: Case, setup: &Setup) -> Result<u64, Box<dyn Error>> {
        let database = Database::start(None)?;
        let setup = Setup {
            hosts: database.hosts().to_owned(),
            ..setup.clone()
        };
        let mut process = Process::start(case, &setup)?;
        let (mut moved, mut written) = wait_for_rows(&database, &mut process, 1, START_MAX)?;
        let deadline = Instant::now() + END_MAX;
        while records(&database)? < self.newest.len() as u64 || moved.elapsed() < IDLE_MAX {
            process.check()?;
            if Instant::now() > deadline {
                return Err(format!("{} of {} records", records(&database)?, self.newest.len()).into());
            }
            thread::sleep(5 * GLANCE); // the pace of observation
            let now = rows_written(&database)?;
            if now != written {
                (written, moved) = (now, Instant::now());
            }
        }
        let client = Client::new(&ClientPolicy::default(), &setup.hosts)?;
        let mut wrong = 0;
        for (id, newest) in &self.newest {
            let key = Key::new("test", "events", Value::from(id.as_str()))?;
            let record = client.get(&ReadPolicy::default(), &key, Bins::from(["ts"]))?;
            wrong += u64::from(record.bins.get("ts") != Some(&Value::Int(*newest)));
        }
        client.close()?;
        Ok(wrong)
    }
}
