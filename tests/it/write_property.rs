//! Property: however messages for a few records are divided into batches, merged, refused, interrupted and sent again,
//! the records end as if each message had been applied alone, one after another.
//!
//! The code under test is the real one: a configuration's text, `Mapping`, `Plan`, `write`, `Store`, and a simulator
//! that executes rows concurrently. The expected result comes from a second simulator that gets one plain command per
//! row ([`oracle`]).

mod chaos;
mod oracle;
mod spec;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, TestError, TestRunner};

use penstock::aerospike::{Store, StoreOptions};
use penstock::config;
use penstock::delivery::guard::{Guard, GuardIdentity, mark};
use penstock::delivery::plan::Plan;
use penstock::delivery::pressure::Pressure;
use penstock::delivery::write::{Calls, Limits, Refused, Tally, WriteEnd, Written, write};
use penstock::message::Message;
use penstock::observe::counters::Counters;
use penstock::output::Output;
use penstock::output::row::{RecordKey, Row};
use penstock::processor::Processor as _;
use penstock::rules::mapping::{Mapping, TopicMapping};
use penstock::util::stop::Stop;
use penstock_sim::{NamespaceConfig, SimConfig, Simulator};

use chaos::{Chaos, Trouble};
use oracle::{Oracle, Outcome, Record, Step, View, view};
use spec::{ANY, Shape, Write};

/// Time-out that a busy machine does not reach.
const PATIENCE: Duration = Duration::from_secs(30);

// ---- the content of a case

#[derive(Debug, Clone)]
struct Case {
    writes: Vec<Write>,
    messages: Vec<spec::Message>,
    /// Number of messages in each batch; repeated from the start at its end.
    cuts: Vec<usize>,
    rows_max: usize,
    /// The offset of the first message.
    offset: i64,
    /// The seed for the faults.
    seed: u64,
}

fn case(shape: Shape) -> impl Strategy<Value = Case> {
    let cut = prop_oneof![1 => Just(1usize), 2 => 2usize..6, 2 => 6usize..41];
    (
        spec::writes(shape),
        spec::messages(shape),
        vec(cut, 1..4),
        1usize..12,
        0i64..1000,
        any::<u64>(),
    )
        .prop_map(|(writes, messages, cuts, rows_max, offset, seed)| Case {
            writes,
            messages,
            cuts,
            rows_max,
            offset,
            seed,
        })
}

/// Runs `check` on `cases` cases, or on as many as `PROPTEST_CASES` says.
fn hold<S: Strategy>(cases: u32, strategy: &S, check: impl Fn(S::Value)) {
    let config = RunnerConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 2000,
        max_shrink_time: 60_000,
        ..RunnerConfig::default()
    };
    let result = TestRunner::new(config).run(strategy, |value| {
        check(value);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, value)) => panic!("{why}\nof the smallest case found: {value:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

// ---- the environment

fn simulator() -> Simulator {
    let namespace = NamespaceConfig {
        default_ttl: spec::DEFAULT_TTL,
        ..NamespaceConfig::new("test")
    };
    Simulator::start(SimConfig {
        namespaces: vec![namespace],
        inline: false,
        ..SimConfig::default()
    })
    .unwrap()
}

/// A simulator with the service's own client, and the oracle. Cases share them; each has its own keys.
struct Bench {
    simulator: Simulator,
    store: Store,
    pressure: Pressure,
    oracle: Oracle,
}

impl Bench {
    fn new(write_timeout: Duration) -> Bench {
        let simulator = simulator();
        let text = spec::config(&[], &simulator.addr().to_string());
        let any_write = "[[route]]\n[[route.write]]\nkey = \"k\"\ntouch = true\n";
        let config = config::parse(&format!("{text}{any_write}"), "test.toml").unwrap();
        let options = StoreOptions {
            write_timeout,
            workers: 1,
            start_timeout: Some(PATIENCE),
            namespaces: vec!["test".into()],
            whole: true,
        };
        let store = Store::connect(&config.aerospike, &options, Arc::new(Counters::new()), &Stop::new()).unwrap();
        Bench {
            simulator,
            store,
            pressure: Pressure::new(4000, None, Arc::new(Counters::new())),
            oracle: Oracle::new(self::simulator()),
        }
    }

    fn case(&self, case: &mut Case) -> Running<'_> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let text = spec::config(&case.writes, &self.simulator.addr().to_string());
        let config = config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        let mapping = Mapping::compile(&config).unwrap();
        let guards: Vec<_> = mapping.topic("t").unwrap().guards().collect();
        let guarded: Vec<bool> = guards.iter().map(|write| write.reason.is_some()).collect();
        if spec::may_confuse_equal_versions(&case.writes, &guarded) {
            for (place, message) in (0..).zip(&mut case.messages) {
                message.version = message.version * 1000 + place;
            }
        }
        Running {
            bench: self,
            number,
            guarded,
            lines: guards.iter().map(|write| write.line).collect(),
            mapping,
            messages: case
                .messages
                .iter()
                .map(|message| spec::render(message, &case.writes, number))
                .collect(),
            offset: case.offset,
            guard: Guard::new(&GuardIdentity {
                group: "penstock",
                topic_id: [7; 16],
                topic: "t",
                partition: 0,
                epoch: 0,
            }),
            text,
        }
    }
}

/// A case that is running.
struct Running<'b> {
    bench: &'b Bench,
    number: u64,
    /// For each write: its line, and whether its rows are guarded.
    lines: Vec<usize>,
    guarded: Vec<bool>,
    mapping: Mapping,
    messages: Vec<(String, Option<String>)>,
    offset: i64,
    guard: Guard,
    text: String,
}

/// The result of a delivery.
#[derive(Debug, Default)]
struct Delivered {
    /// Refused rows: their record, message and write.
    refused: Vec<(Record, usize, usize)>,
    tally: Tally,
    rows: usize,
    /// The first message that is not done, if the delivery was stopped.
    stopped_at: Option<usize>,
}

impl Running<'_> {
    fn topic(&self) -> &TopicMapping {
        self.mapping.topic("t").unwrap()
    }

    fn message(&self, number: usize) -> Message<'_> {
        let (key, payload) = &self.messages[number];
        Message {
            topic: "t",
            partition: 0,
            offset: self.offset + number as i64,
            timestamp_ms: None,
            key: Some(key.as_bytes()),
            payload: payload.as_deref().map(str::as_bytes),
            headers: Vec::new(),
        }
    }

    fn rows(&self, batch: &Range<usize>, held: &HashSet<Record>) -> Plan<'_> {
        let mut plan = Plan::with_capacity(batch.len());
        let mut output = Output::default();
        for number in batch.clone() {
            let message = self.message(number);
            // Rows borrow from the payload and the mapping, not from the message.
            output.begin(number);
            let mapped = self.topic().process(&message, 0, &mut output);
            mapped.unwrap_or_else(|rejection| panic!("{rejection}\n{}", self.text));
            for row in output.rows.drain(..) {
                if !held.contains(&record(&row)) {
                    let sequence = sequence(message.offset, row.number).unwrap();
                    plan.push(row, sequence);
                }
            }
        }
        plan
    }

    /// Sends messages in batches like a worker. Nothing is sent to a record behind a refused row. Ends when `stop` is
    /// raised.
    fn deliver(&self, messages: Range<usize>, cuts: &[usize], rows_max: usize, chaos: &Chaos<'_>) -> Delivered {
        let mut delivered = Delivered::default();
        let mut held: HashSet<Record> = HashSet::new();
        let mut begin = messages.start;
        for cut in cuts.iter().cycle() {
            if begin >= messages.end {
                break;
            }
            let batch = begin..messages.end.min(begin + cut);
            begin = batch.end;
            let plan = self.rows(&batch, &held);
            let calls = Calls {
                writer: chaos,
                pressure: &self.bench.pressure,
                stop: chaos.stop(),
                meanwhile: &|| {},
            };
            let written = write(&plan, &limits(rows_max), &self.guard, &calls);
            self.count(&plan, &written, &mut delivered);
            for Refused { row, .. } in &written.refused {
                let row = &plan.row(*row).row;
                held.insert(record(row));
                let place = self.lines.iter().position(|line| *line == row.rules.line).unwrap();
                delivered.refused.push((record(row), row.message, place));
            }
            match written.end {
                WriteEnd::Finished => {
                    for row in &written.open {
                        let row = &plan.row(*row).row;
                        assert!(held.contains(&record(row)), "left open without a reason: {row:?}");
                    }
                }
                WriteEnd::Stopped => {
                    let open = written.open.iter().map(|row| plan.message(*row)).min();
                    delivered.stopped_at = Some(open.unwrap_or(batch.end));
                    break;
                }
                WriteEnd::Fatal(fatal) => panic!("{fatal:?}"),
            }
        }
        delivered
    }

    fn count(&self, plan: &Plan<'_>, written: &Written, delivered: &mut Delivered) {
        let tally = written.tally;
        let done = plan.rows() - written.refused.len() - written.open.len();
        let counted = tally.written + tally.stale + tally.guard_refused + tally.ignored;
        assert_eq!(counted, done as u64, "every row is counted once: {written:?}");
        delivered.rows += plan.rows();
        delivered.tally.written += tally.written;
        delivered.tally.merged += tally.merged;
        delivered.tally.stale += tally.stale;
        delivered.tally.guard_refused += tally.guard_refused;
        delivered.tally.ignored += tally.ignored;
    }

    fn expected(&self, case: &Case) -> BTreeMap<Record, Vec<Step>> {
        self.bench
            .oracle
            .apply(self.number, &case.writes, &self.guarded, &case.messages)
    }

    fn assert_records(&self, steps: &BTreeMap<Record, Vec<Step>>) {
        for (record, steps) in steps {
            let found = view(&self.bench.simulator, record.0, &record.1);
            let expected = self.bench.oracle.view(record);
            assert!(
                View::is(expected.as_ref(), found.clone()),
                "{record:?}: found {found:?}, expected {expected:?}\n{}\nmessages: {:#?}\none after another: {steps:?}",
                self.text,
                self.messages
            );
        }
        let stats = self.bench.simulator.stats();
        assert_eq!(stats.duplicate_rows, 0, "a call held a record twice");
    }
}

fn record(row: &Row<'_>) -> Record {
    let RecordKey::String(key) = &row.key else {
        panic!("a key that is no string: {:?}", row.key);
    };
    let set = if row.target.set == "p" { "p" } else { "q" };
    (set, key.to_string())
}

// ---- the properties

const ONE_BIN: Shape = Shape { one_bin: true, ..ANY };

#[test]
fn whatever_is_asked_of_records_ends_as_if_each_message_were_applied_alone() {
    let bench = Bench::new(PATIENCE);
    hold(180, &prop_oneof![2 => case(ANY), 1 => case(ONE_BIN)], |mut case| {
        let running = bench.case(&mut case);
        let chaos = Chaos::new(&bench.store, &bench.simulator, case.seed, Trouble::ANY);
        let delivered = running.deliver(0..case.messages.len(), &case.cuts, case.rows_max, &chaos);
        assert_eq!(delivered.refused, [], "{}", running.text);
        running.assert_records(&running.expected(&case));
    });
}

#[test]
fn a_row_that_the_database_refuses_is_refused_and_holds_its_record_and_no_other() {
    let bench = Bench::new(PATIENCE);
    let shape = Shape {
        contradicts: true,
        ..ANY
    };
    hold(120, &case(shape), |mut case| {
        let running = bench.case(&mut case);
        let chaos = Chaos::new(&bench.store, &bench.simulator, case.seed, Trouble::ANY);
        let delivered = running.deliver(0..case.messages.len(), &case.cuts, case.rows_max, &chaos);
        let expected = running.expected(&case);
        for (record, steps) in &expected {
            let refused: Vec<(usize, usize)> = delivered
                .refused
                .iter()
                .filter(|(of, ..)| of == record)
                .map(|(_, message, write)| (*message, *write))
                .collect();
            let found = view(&bench.simulator, record.0, &record.1);
            let about = || format!("{record:?}\n{}\n{:#?}\n{steps:?}", running.text, running.messages);
            let Some(first) = steps.iter().find(|step| matches!(step.outcome, Outcome::Refused(_))) else {
                assert_eq!(refused, [], "{}", about());
                let expected = bench.oracle.view(record);
                assert!(
                    View::is(expected.as_ref(), found.clone()),
                    "found {found:?}, expected {expected:?}, {}",
                    about()
                );
                continue;
            };
            // What one message asks of a record may be sent as one row, and is then refused as one.
            assert!(
                refused.contains(&(first.message, first.write)),
                "{refused:?} of {}",
                about()
            );
            assert!(
                refused.iter().all(|(message, _)| *message == first.message),
                "{refused:?} of {}",
                about()
            );
            let step = steps
                .iter()
                .find(|step| (step.message, step.write) == refused[0])
                .unwrap();
            assert!(
                View::is(step.before.as_ref(), found.clone()),
                "found {found:?}, {refused:?} of {}",
                about()
            );
        }
    });
}

const GUARDED: Shape = Shape {
    all_guarded: true,
    ..ANY
};

#[test]
fn guarded_messages_that_come_again_change_nothing() {
    let bench = Bench::new(PATIENCE);
    let again = (case(GUARDED), vec((any::<prop::sample::Index>(), 1usize..20), 1..3));
    hold(100, &again, |(mut case, again)| {
        let running = bench.case(&mut case);
        let chaos = Chaos::new(&bench.store, &bench.simulator, case.seed, Trouble::ANY);
        let all = case.messages.len();
        running.deliver(0..all, &case.cuts, case.rows_max, &chaos);
        let expected = running.expected(&case);
        running.assert_records(&expected);
        for (from, cut) in again {
            let delivered = running.deliver(from.index(all)..all, &[cut], case.rows_max, &chaos);
            assert_eq!(delivered.refused, []);
            running.assert_records(&expected);
        }
    });
}

#[test]
fn after_a_crash_guarded_messages_are_applied_exactly_once() {
    let bench = Bench::new(PATIENCE);
    let crash = (1usize..12, any::<prop::sample::Index>(), 1usize..20);
    hold(100, &(case(GUARDED), vec(crash, 1..4)), |(mut case, crashes)| {
        let running = bench.case(&mut case);
        let all = case.messages.len();
        let (mut from, mut cut) = (0, case.cuts.clone());
        for (number, (calls, back, next_cut)) in crashes.into_iter().enumerate() {
            let trouble = Trouble {
                crash_in: Some(calls),
                ..Trouble::ANY
            };
            let chaos = Chaos::new(&bench.store, &bench.simulator, case.seed ^ number as u64, trouble);
            let delivered = running.deliver(from..all, &cut, case.rows_max, &chaos);
            assert_eq!(delivered.refused, []);
            // The committed offset is at most what is done. The next owner may start anywhere before it.
            from = back.index(delivered.stopped_at.unwrap_or(all) + 1);
            cut = vec![next_cut];
        }
        let chaos = Chaos::new(&bench.store, &bench.simulator, case.seed, Trouble::ANY);
        running.deliver(from..all, &cut, case.rows_max, &chaos);
        running.assert_records(&running.expected(&case));
    });
}

#[test]
fn guarded_messages_are_applied_exactly_once_by_a_database_that_falls_silent() {
    let bench = Bench::new(Duration::from_millis(50));
    // A request that timed out may arrive late: it would create a record again that is deleted by then.
    let shape = Shape {
        keeps_records: true,
        messages_max: 12,
        ..GUARDED
    };
    hold(20, &case(shape), |mut case| {
        let running = bench.case(&mut case);
        let chaos = Chaos::new(&bench.store, &bench.simulator, case.seed, Trouble::SILENCE);
        let delivered = running.deliver(0..case.messages.len(), &case.cuts, case.rows_max, &chaos);
        assert_eq!(delivered.refused, []);
        running.assert_records(&running.expected(&case));
    });
}

#[test]
fn of_the_versions_of_a_record_the_greatest_wins_in_whatever_order_they_come() {
    let bench = Bench::new(PATIENCE);
    let versions = vec(-3i64..12, 1..25).prop_shuffle();
    let how = (prop::option::of(any::<bool>()), vec(1usize..10, 1..3), any::<u64>());
    hold(60, &(versions, how), |(versions, (guard, cuts, seed))| {
        let mut case = Case {
            writes: vec![spec::versioned(guard)],
            messages: (0u8..)
                .zip(&versions)
                .map(|(place, version)| spec::message_of(*version, 1 + place % 15))
                .collect(),
            cuts,
            rows_max: 10,
            offset: 0,
            seed,
        };
        let running = bench.case(&mut case);
        // If it were sent again, an applied row would also be stale.
        let trouble = Trouble {
            lost_answers: false,
            ..Trouble::ANY
        };
        let chaos = Chaos::new(&bench.store, &bench.simulator, case.seed, trouble);
        let delivered = running.deliver(0..versions.len(), &case.cuts, case.rows_max, &chaos);
        let greatest = versions.iter().max().unwrap();
        let first = versions.iter().position(|version| version == greatest).unwrap();
        let stored = bench
            .simulator
            .get("test", "p", &spec::record_key(running.number, 0))
            .unwrap();
        assert_eq!(stored.int("_v"), Some(*greatest), "{versions:?}");
        assert_eq!(
            stored.int("i0"),
            Some(spec::Op::int(1 + first as u8 % 15)),
            "{versions:?}"
        );
        let stale = |(place, version): (usize, &i64)| versions[..place].iter().any(|before| before >= version);
        let stale = versions.iter().enumerate().filter(|each| stale(*each)).count() as u64;
        assert_eq!(delivered.tally.stale, stale, "{versions:?}");
        assert_eq!(delivered.tally.written, versions.len() as u64 - stale, "{versions:?}");
    });
}

fn limits(rows: usize) -> Limits {
    Limits {
        rows,
        bytes: usize::MAX,
        finish_max: Duration::from_secs(2),
    }
}
