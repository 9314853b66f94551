//! Each record ends with its last message, on a real broker, although rows race in the database, some are refused and
//! retried, and the service is restarted in mid-stream. With `newer`, it ends with the greatest version, although its
//! messages come in any order and from all partitions. `make test-order`.
//!
//! `MESSAGES` and `SEED` in the environment scale it.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::support::Kafka;
use crate::support::interrupted::{Interrupted, Scale, Source, Watched as _, partition_of};
use aerospike::Value;
use fastrand::Rng;

const PARTITIONS: i32 = 8;
const KEYS: usize = 50;
/// Besides the key's record, each stretch of this many messages of a key has its own record. So the order is checked at
/// the end of each stretch, not only at the very end.
const WINDOW: i64 = 50;

/// Half of the messages replace the record and half update it. These cannot be merged into one row, and must wait for
/// each other.
const LAST: &str = r#"
[[route]]
  [[route.write]]
  set = "last"
  key = { path = "update", missing = "skip" }
  bins = ["n", "text"]

  [[route.write]]
  set = "last"
  key = { path = "replace", missing = "skip" }
  bins = ["n", "text"]
  mode = "replace"

  [[route.write]]
  set = "windows"
  key = "window"
  bins = ["n", "text"]
"#;

const NEWEST: &str = r#"
[[route]]
  [[route.write]]
  set = "last"
  key = "key"
  bins = ["text"]
  newer = { path = "n", bin = "n" }

  [[route.write]]
  set = "windows"
  key = "window"
  bins = ["text"]
  newer = { path = "n", bin = "n" }
"#;

/// Row errors: 14 busy, 18 overload, 9 time-out, 12 refused (in a batch or alone; a second refusal is believed).
const ROW_ERRORS: [&str; 6] = [
    "clear",
    "delay 5ms",
    "rows 14 0.5%",
    "rows 18 0.1%",
    "rows 9 0.1%",
    "rows 12 0.1%",
];

/// Writes that arrive after their retry, and after later ones; answers that get lost. A `put` without a version is not
/// safe against this.
const LATE: [&str; 4] = ["silence 0.3%", "lose 0.1%", "late 0.3%", "late 0.3% 400ms"];

/// Records, each with its expected final number and text.
type Expected = BTreeMap<(&'static str, String), (i64, String)>;

fn text(n: i64, rng: &mut Rng) -> String {
    format!("message {n} {}", "x".repeat(rng.usize(..40)))
}

/// Each key is in one partition, and its messages are numbered in order.
fn produce_in_order(source: &mut Source, messages: u64, rng: &mut Rng) -> Expected {
    let mut expected = Expected::new();
    let mut numbers = [0; KEYS];
    for _ in 0..messages {
        let key = rng.usize(..KEYS);
        let n: i64 = numbers[key];
        numbers[key] += 1;
        let (key, mode, text) = (
            format!("k{key:02}"),
            if rng.bool() { "update" } else { "replace" },
            text(n, rng),
        );
        let window = format!("{key}:{}", n / WINDOW);
        source.send(
            partition_of(&key, PARTITIONS),
            &format!(r#"{{"{mode}":"{key}","window":"{window}","n":{n},"text":"{text}"}}"#),
        );
        expected.insert(("last", key), (n, text.clone()));
        expected.insert(("windows", window), (n, text));
    }
    expected
}

/// The versions of each key are out of order, each in a random partition. For half of the keys the order is random. For
/// the others it is nearly right, so that up to the end a newer version could be lost.
fn produce_in_any_order(source: &mut Source, messages: u64, rng: &mut Rng) -> Expected {
    let mut expected = Expected::new();
    let last = (messages / KEYS as u64) as i64;
    let mut versions: Vec<(i64, u64, i64)> = (0..messages)
        .map(|version| {
            let (key, n) = (version % KEYS as u64, (version / KEYS as u64) as i64);
            let place = match key % 2 {
                0 => rng.i64(0..=last),
                _ => n + rng.i64(0..2 * WINDOW),
            };
            (place, key, n)
        })
        .collect();
    rng.shuffle(&mut versions);
    versions.sort_by_key(|(place, _, _)| *place);
    for (_, key, n) in versions {
        let (key, text) = (format!("k{key:02}"), text(n, rng));
        let window = format!("{key}:{}", n / WINDOW);
        source.send(
            rng.i32(0..PARTITIONS),
            &format!(r#"{{"key":"{key}","window":"{window}","n":{n},"text":"{text}"}}"#),
        );
        for record in [("last", key), ("windows", window)] {
            let newest = expected.entry(record).or_insert_with(|| (n, text.clone()));
            if newest.0 < n {
                *newest = (n, text.clone());
            }
        }
    }
    expected
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Ledger {
    exact: usize,
    /// Records with the number of an earlier message.
    behind: usize,
    /// Records that do not exist, or whose text does not belong to their number.
    wrong: usize,
    unexpected: i64,
}

fn ledger(interrupted: &Interrupted, expected: &Expected) -> Ledger {
    let mut ledger = Ledger::default();
    for set in ["last", "windows"] {
        let expected: Vec<_> = expected.iter().filter(|((of, _), _)| *of == set).collect();
        let keys: Vec<String> = expected.iter().map(|((_, key), _)| key.clone()).collect();
        let stored: i64 = interrupted.sim.say(&format!("count test {set}")).parse().unwrap();
        ledger.unexpected += stored - i64::try_from(keys.len()).unwrap();
        for ((_, (n, text)), bins) in expected.iter().zip(interrupted.read(set, &keys)) {
            let bins = bins.unwrap_or_default();
            match (bins.get("n"), bins.get("text")) {
                (Some(Value::Int(found)), Some(Value::String(there))) if found == n && there == text => {
                    ledger.exact += 1;
                }
                (Some(Value::Int(found)), Some(Value::String(there)))
                    if found != n && there.starts_with(&format!("message {found} ")) =>
                {
                    ledger.behind += 1;
                }
                _ => ledger.wrong += 1,
            }
        }
    }
    ledger
}

/// A SIGKILL and a SIGTERM in mid-stream, then to the end. Prints the figures, and compares the records with the
/// messages.
fn run(
    name: &str,
    routes: &str,
    faults: &[&str],
    rows_a_message: u64,
    produce: impl FnOnce(&mut Source, u64, &mut Rng) -> Expected,
) -> Interrupted {
    let began = Instant::now();
    let scale = Scale::from_env(200_000, 1);
    let mut rng = Rng::with_seed(scale.seed);
    let kafka = Kafka::real();
    let mut source = Source::new(&kafka, "order", PARTITIONS);
    let expected = produce(&mut source, scale.messages, &mut rng);
    println!("\n{name}: seed={} messages={}", scale.seed, scale.messages);
    let write_timeout = if faults.is_empty() { "5s" } else { "200ms" };
    let run = format!("batch_rows_max = 40\nwrite_timeout = \"{write_timeout}\"\nshutdown_grace = \"30s\"");
    let mut interrupted = Interrupted::new(&kafka, source, scale.seed, &run, routes);
    interrupted.say(&ROW_ERRORS);
    interrupted.say(faults);
    let total = interrupted.total() as f64;
    let ends = interrupted.ends.clone();

    for (from, to, kill) in [(0.1, 0.4, true), (0.5, 0.8, false)] {
        interrupted.start();
        let target = (total * (from + (to - from) * rng.f64())) as i64;
        let seen = interrupted.wait("the moment of the signal", |seen| {
            seen.messages() >= target || seen.is_stuck_or_done(&ends)
        });
        assert!(
            seen.messages() < interrupted.total(),
            "the signal comes after the last message"
        );
        if kill {
            interrupted.kill();
        } else {
            interrupted.stop();
        }
        // Delayed writes arrive while others write.
        interrupted.sim.say("release-late");
    }
    interrupted.start();
    interrupted.drain();
    interrupted.sim.say("release-late");
    interrupted.say(&["clear"]);

    let found = ledger(&interrupted, &expected);
    let (happened, results) = (&interrupted.happened, interrupted.results());
    let result = |code: u8| results.get(&code).copied().unwrap_or(0);
    println!(
        "  messages     {} on {KEYS} keys, {PARTITIONS} partitions\n\
         \x20 ends         {} by SIGKILL, {} by SIGTERM (of which {} with a held partition)\n\
         \x20 rows         {} asked for, {} sent (merged); {} busy (14), {} overload (18), {} time-out (9), {} refused (12), {} stale (27)\n\
         \x20 records      {}, of which {} exact, {} with an earlier value, {} wrong; {} unexpected\n\
         \x20 took         {:.1?}",
        scale.messages,
        happened.kills,
        happened.stops + happened.stops_held,
        happened.stops_held,
        rows_a_message * scale.messages,
        interrupted.rows_sent(),
        result(14),
        result(18),
        result(9),
        result(12),
        result(27),
        expected.len(),
        found.exact,
        found.behind,
        found.wrong,
        found.unexpected,
        began.elapsed()
    );
    assert_eq!(
        interrupted.sim.stat("duplicate_rows"),
        0,
        "a batch named a record twice"
    );
    for code in [9, 12, 14, 18] {
        assert!(result(code) > 0, "no row was answered with {code}");
    }
    let all_exact = Ledger {
        exact: expected.len(),
        ..Ledger::default()
    };
    assert_eq!(found, all_exact, "records, and the messages they must end with");
    interrupted
}

#[test]
#[ignore = "needs a Kafka broker: make test-order"]
fn every_record_ends_with_its_last_message() {
    run("in order", LAST, &[], 2, produce_in_order);
    println!("  balanced: every record is its last message");
}

#[test]
#[ignore = "needs a Kafka broker: make test-order"]
fn with_newer_every_record_ends_with_its_greatest_version() {
    let interrupted = run("newer", NEWEST, &LATE, 2, produce_in_any_order);
    assert!(
        interrupted.results()[&27] > 0,
        "no older version came after a newer one"
    );
    println!("  balanced: every record is its greatest version");
}
