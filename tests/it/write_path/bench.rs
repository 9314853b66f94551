//! Rules and a database, without Kafka. Messages are mapped, planned and written as in a worker, through a writer that
//! remembers every call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use penstock::aerospike::{Store, StoreOptions};
use penstock::config;
use penstock::delivery::guard::{Guard, GuardIdentity, sequence};
use penstock::delivery::plan::{OutgoingRow, Plan};
use penstock::delivery::pressure::Pressure;
use penstock::delivery::write::{Answer, Calls, Limits, Refusal, RowWriter, Stored, Tally, WriteEnd, write};
use penstock::message::{Message, Rejection};
use penstock::observe::counters::Counters;
use penstock::output::Output;
use penstock::output::row::RecordKey;
use penstock::processor::Processor as _;
use penstock::rules::mapping::Mapping;
use penstock::util::stop::{Stop, StopKind};
use penstock_sim::{NamespaceConfig, RecordView, SimConfig, Simulator};

use crate::support::lines::Lines;
use crate::support::{DEADLINE, writer_line};

/// Time-out for tests whose answers always come. No attempt takes this long.
pub const PATIENT: Duration = Duration::from_secs(30);
/// Time-out for tests with missing answers. A slow answer may also cause a retry; these tests assert nothing that a
/// retry changes.
pub const IMPATIENT: Duration = Duration::from_millis(150);
/// The set that all tests write to.
pub const SET: &str = "s";

/// The owner of partition 0 of the topic `t`.
pub const OWNER: GuardIdentity<'static> = GuardIdentity {
    group: "g",
    topic_id: [0; 16],
    topic: "t",
    partition: 0,
    epoch: 0,
};

/// One message: its offset and its payload.
#[derive(Debug, Clone)]
pub struct Sent {
    pub offset: i64,
    pub key: Option<String>,
    pub payload: Option<String>,
}

pub fn at(offset: i64, payload: impl Into<String>) -> Sent {
    Sent {
        offset,
        key: None,
        payload: Some(payload.into()),
    }
}

/// Messages that all have the same payload.
pub fn all(offsets: impl IntoIterator<Item = i64>, payload: &str) -> Vec<Sent> {
    offsets.into_iter().map(|offset| at(offset, payload)).collect()
}

pub fn tombstone(offset: i64, key: &str) -> Sent {
    Sent {
        offset,
        key: Some(key.into()),
        payload: None,
    }
}

/// A simulator, and a store that is connected to it.
pub struct Bench {
    pub sim: Arc<Simulator>,
    pub store: Arc<Store>,
    pub counters: Arc<Counters>,
    /// The time for the next writes.
    pub now_ms: i64,
    pub pressure: Arc<Pressure>,
    mapping: Mapping,
}

/// Options of a bench.
#[derive(Clone)]
pub struct Make {
    pub sim: SimConfig,
    pub timeout: Duration,
    pub workers: usize,
}

impl Default for Make {
    fn default() -> Self {
        Make {
            sim: SimConfig::default(),
            timeout: PATIENT,
            workers: 1,
        }
    }
}

impl Make {
    pub fn impatient() -> Make {
        Make {
            timeout: IMPATIENT,
            ..Make::default()
        }
    }

    /// With additional namespaces beside `test`, so that a test recognises its own lines in the log.
    pub fn namespaces(names: &[&str]) -> Make {
        let names = names.iter().map(|name| NamespaceConfig::new(*name));
        Make {
            sim: SimConfig {
                namespaces: std::iter::once("test".into()).chain(names).collect(),
                ..SimConfig::default()
            },
            ..Make::default()
        }
    }

    pub fn bench(self, writes: &str) -> Bench {
        Bench::on(
            Arc::new(Simulator::start(self.sim).unwrap()),
            writes,
            self.timeout,
            self.workers,
        )
    }
}

/// `writes`: the lines of one write, or of several, each after its `[[route.write]]`. Their topics are `t` and `u`.
fn compile(addr: &str, writes: &str) -> (config::Config, Mapping) {
    let head = match writes.trim_start().starts_with("[[") {
        true => "[[route]]\n",
        false => "[[route]]\n[[route.write]]\n",
    };
    let text = format!(
        "[kafka]\nbrokers = \"127.0.0.1\"\ntopics = [\"t\", \"u\"]\n\
         [aerospike]\nhosts = \"{addr}\"\nnamespace = \"test\"\n{}{head}{writes}",
        writer_line()
    );
    let config = config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
    let mapping = Mapping::compile(&config).unwrap();
    (config, mapping)
}

impl Bench {
    pub fn new(writes: &str) -> Bench {
        Make::default().bench(writes)
    }

    pub fn on(sim: Arc<Simulator>, writes: &str, timeout: Duration, workers: usize) -> Bench {
        Lines::gather();
        let (config, mapping) = compile(&sim.addr().to_string(), writes);
        let counters = Arc::new(Counters::new());
        let options = StoreOptions {
            write_timeout: timeout,
            workers,
            start_timeout: Some(PATIENT),
            namespaces: vec!["test".into()],
            whole: true,
        };
        let store = Store::connect(&config.aerospike, &options, counters.clone(), &Stop::new()).unwrap();
        Bench {
            sim,
            store: Arc::new(store),
            pressure: Arc::new(Pressure::new(4000, None, counters.clone())),
            counters,
            now_ms: 0,
            mapping,
        }
    }

    /// Another service with other rules on the same database.
    pub fn beside(&self, writes: &str) -> Bench {
        Bench::on(self.sim.clone(), writes, PATIENT, 1)
    }

    /// Writes these messages as one batch of the default owner.
    #[track_caller]
    pub fn write(&self, messages: &[Sent]) -> Done {
        self.write_as(&OWNER, messages)
    }

    #[track_caller]
    pub fn write_as(&self, owner: &GuardIdentity<'_>, messages: &[Sent]) -> Done {
        self.write_until(owner, messages, usize::MAX, &Stop::new())
    }

    #[track_caller]
    pub fn write_until(&self, owner: &GuardIdentity<'_>, messages: &[Sent], rows_max: usize, stop: &Stop) -> Done {
        let spy = Spy::new(&self.store);
        self.write_with(owner, messages, rows_max, stop, &spy)
    }

    #[track_caller]
    pub fn write_with(
        &self,
        owner: &GuardIdentity<'_>,
        messages: &[Sent],
        rows_max: usize,
        stop: &Stop,
        spy: &Spy<'_>,
    ) -> Done {
        let topic = self.mapping.topic(owner.topic).unwrap();
        let mut plan = Plan::default();
        let mut output = Output::default();
        for (index, sent) in messages.iter().enumerate() {
            output.begin(index);
            topic.process(&message(owner, sent), self.now_ms, &mut output).unwrap();
            for row in output.rows.drain(..) {
                let sequence = sequence(sent.offset, row.number).unwrap();
                plan.push(row, sequence);
            }
        }
        let before = self.sim.stats();
        let limits = Limits {
            rows: rows_max,
            bytes: usize::MAX,
            finish_max: Duration::from_secs(2),
        };
        let calls = Calls {
            writer: spy,
            pressure: &self.pressure,
            stop,
            meanwhile: &|| {},
        };
        let written = write(&plan, &limits, &Guard::new(owner), &calls);
        let after = self.sim.stats();
        let offset = |row: usize| messages[plan.message(row)].offset;
        let mut open: Vec<i64> = written.open.iter().map(|row| offset(*row)).collect();
        open.sort_unstable();
        Done {
            end: written.end,
            refused: written
                .refused
                .iter()
                .map(|refused| (offset(refused.row), refused.refusal))
                .collect(),
            open,
            tally: written.tally,
            rows: plan.rows(),
            calls: std::mem::take(&mut *spy.calls.lock()),
            reads: std::mem::take(&mut *spy.reads.lock()),
            messages: after.messages - before.messages,
        }
    }

    /// Why a message cannot be mapped to records.
    pub fn rejection(&self, sent: &Sent) -> Option<Rejection> {
        let topic = self.mapping.topic(OWNER.topic).unwrap();
        topic.process(&message(&OWNER, sent), 0, &mut Output::default()).err()
    }

    pub fn record(&self, key: &str) -> Option<RecordView> {
        self.sim.get("test", SET, key)
    }

    /// An integer bin of a record. `None` if there is no record, no such bin, or no integer in it.
    pub fn int(&self, key: &str, bin: &str) -> Option<i64> {
        self.record(key)?.int(bin)
    }

    /// The names of a record's bins.
    pub fn bins(&self, key: &str) -> Vec<String> {
        self.record(key)
            .map(|record| record.bins.into_keys().collect())
            .unwrap_or_default()
    }
}

fn message<'m>(owner: &GuardIdentity<'m>, sent: &'m Sent) -> Message<'m> {
    Message {
        topic: owner.topic,
        partition: owner.partition,
        offset: sent.offset,
        timestamp_ms: None,
        key: sent.key.as_deref().map(str::as_bytes),
        payload: sent.payload.as_deref().map(str::as_bytes),
        headers: Vec::new(),
    }
}

/// The result of a batch.
#[derive(Debug)]
pub struct Done {
    pub end: WriteEnd,
    /// By offset of the message.
    pub refused: Vec<(i64, Refusal)>,
    pub open: Vec<i64>,
    pub tally: Tally,
    /// Number of rows that the messages asked for.
    pub rows: usize,
    pub calls: Vec<Call>,
    /// Number of rows in each read of guards.
    pub reads: Vec<usize>,
    /// Number of messages that the server received meanwhile.
    pub messages: u64,
}

impl Done {
    /// Fails unless every row is done.
    #[track_caller]
    pub fn assert_all_done(&self) -> &Done {
        assert_eq!(self.end, WriteEnd::Finished, "{self:?}");
        assert!(self.refused.is_empty() && self.open.is_empty(), "{self:?}");
        let tally = &self.tally;
        let done = tally.written + tally.stale + tally.guard_refused + tally.ignored;
        assert_eq!(done, self.rows as u64, "every row is counted, once: {self:?}");
        self
    }

    /// Fails unless exactly the rows of these messages are refused, and those of `open` are left for later.
    #[track_caller]
    pub fn assert_refused(&self, refused: &[(i64, Refusal)], open: &[i64]) -> &Done {
        assert_eq!(self.end, WriteEnd::Finished, "{self:?}");
        assert_eq!((&*self.refused, &*self.open), (refused, open), "{self:?}");
        self
    }
}

/// One call: the key and the result of each row.
#[derive(Debug, Clone)]
pub struct Call {
    pub keys: Vec<String>,
    pub answers: Vec<Answer>,
}

/// The store. Records what passes between it and the write loop.
pub struct Spy<'s> {
    store: &'s Store,
    began: Instant,
    pub calls: Mutex<Vec<Call>>,
    pub reads: Mutex<Vec<usize>>,
}

impl<'s> Spy<'s> {
    pub fn new(store: &'s Store) -> Self {
        Spy {
            store,
            began: Instant::now(),
            calls: Mutex::default(),
            reads: Mutex::default(),
        }
    }
}

impl RowWriter for Spy<'_> {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let answers = self.store.write(rows);
        assert!(self.began.elapsed() < DEADLINE, "it goes on for ever: {answers:?}");
        let key = |row: &OutgoingRow<'_>| match row.key {
            RecordKey::String(key) => key.to_string(),
            other => format!("{other:?}"),
        };
        self.calls.lock().push(Call {
            keys: rows.iter().map(key).collect(),
            answers: answers.clone(),
        });
        answers
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        self.reads.lock().push(rows.len());
        self.store.stored(rows)
    }

    fn rows_max(&self) -> usize {
        self.store.rows_max()
    }

    fn codes_are_exact(&self) -> bool {
        self.store.codes_are_exact()
    }

    fn lacks_namespace(&self, namespace: &str) -> bool {
        self.store.lacks_namespace(namespace)
    }
}

/// Stops what a test has started, even if the test fails.
pub struct StopOnDrop<'s>(pub &'s Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.request(StopKind::Drain);
    }
}
