//! The demo's output in lines of at most 80 columns: a table while it runs, and the account at the end.
//!
//! Takes numbers and returns text; prints nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use penstock::observe::counters::Counters;
use penstock::util::exit::Exit;

use crate::ledger::Ledger;
use crate::messages::BROKEN_EVERY;
use crate::stall::StallReport;

const MIB: u64 = 1024 * 1024;

/// The introduction.
pub fn intro(messages: u64, partitions: i32, silence_s: u64) -> Vec<String> {
    let mut lines = vec![
        format!("penstock demo: {messages} events on {partitions} partitions."),
        "Heartbeats are filtered; each of the others makes two records; purchases are".to_owned(),
        format!("published; one event in {BROKEN_EVERY} is broken and becomes a dead letter."),
    ];
    if silence_s > 0 {
        lines.push(format!("In the middle the database falls silent for {silence_s} s."));
    }
    lines.push("rate/s: events per second. waiting: events in Kafka that are not done yet.".to_owned());
    lines
}

/// The header of the table.
pub fn head() -> String {
    row_of(
        [
            "time",
            "written",
            "filtered",
            "dead",
            "published",
            "rate/s",
            "waiting",
            "memory",
        ]
        .map(str::to_owned),
        "database",
    )
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub elapsed: Duration,
    pub written: u64,
    pub filtered: u64,
    pub dead: u64,
    pub published: u64,
    pub rate: f64,
    pub waiting: u64,
    pub resident_bytes: u64,
    /// How long the database will still be silent.
    pub silent_for: Option<Duration>,
}

impl Row {
    pub fn text(&self) -> String {
        let database = match self.silent_for {
            // A countdown: the last second is shown as 1.
            Some(left) => format!("silent {:.0}s", left.as_secs_f64().ceil()),
            None => "ok".to_owned(),
        };
        row_of(
            [
                format!("{:.0} s", self.elapsed.as_secs_f64()),
                self.written.to_string(),
                self.filtered.to_string(),
                self.dead.to_string(),
                self.published.to_string(),
                format!("{:.0}", self.rate),
                self.waiting.to_string(),
                format!("{} MiB", self.resident_bytes / MIB),
            ],
            &database,
        )
    }
}

/// The line that renews itself: how much is done, and how long the rest takes at this rate.
pub fn bar(what: &str, done: u64, all: u64, elapsed: Duration) -> String {
    const WIDTH: usize = 20;
    let share = done as f64 / all.max(1) as f64;
    let full = ((share * WIDTH as f64) as usize).min(WIDTH);
    let bar = "#".repeat(full) + &"-".repeat(WIDTH - full);
    let left = if done > 0 {
        format!("{:.0} s left", elapsed.as_secs_f64() * (1.0 - share) / share)
    } else {
        "…".to_owned()
    };
    format!("  [{bar}] {:.0} %  {done} of {all} {what}  {left}", share * 100.0)
}

fn row_of([time, written, filtered, dead, published, rate, waiting, memory]: [String; 8], database: &str) -> String {
    format!(
        "{time:>6} {written:>8} {filtered:>8} {dead:>5} {published:>9} {rate:>8} {waiting:>8} {memory:>8}  {database}"
    )
}

/// Everything that is printed at the end.
pub struct Outcome<'a> {
    pub messages: u64,
    /// Messages and rows per second, without the silence.
    pub rates: (f64, f64),
    pub stall: Option<StallReport>,
    pub counters: &'a Counters,
    pub peak_bytes: u64,
    pub ledger: Ledger,
    /// (committed, end) over all partitions.
    pub committed: (i64, i64),
    pub exit: Exit,
    pub is_real_broker: bool,
}

/// The account, and whether everything balances.
pub fn account(outcome: &Outcome<'_>) -> (Vec<String>, bool) {
    let Outcome {
        messages,
        rates,
        stall,
        counters,
        peak_bytes,
        ledger,
        committed,
        exit,
        is_real_broker,
    } = outcome;
    let (rows, write) = (counters.batch_rows(), counters.batch_write_us());
    let ms = |us: u64| us as f64 / 1000.0;
    let beside = if *is_real_broker {
        "the producer"
    } else {
        "producer and broker"
    };
    let mut lines = vec![
        String::new(),
        format!(
            "  rate           {:.0} messages/s, {:.0} rows/s (without the silence)",
            rates.0, rates.1
        ),
        format!(
            "  batches        {} calls; rows: p50 {} p99 {} max {}",
            counters.batches.get(),
            rows.p50,
            rows.p99,
            rows.max
        ),
        format!(
            "  write latency  p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            ms(write.p50),
            ms(write.p99),
            ms(write.max)
        ),
        format!(
            "  peak memory    {} MiB resident, with {beside} in the same process",
            peak_bytes / MIB
        ),
        format!(
            "                 (the service's own bound: {} MiB)",
            counters.memory_bound_bytes.get().unsigned_abs() / MIB
        ),
    ];
    lines.extend(silence(stall.as_ref()));
    lines.push(format!("  offsets        {} committed of {}", committed.0, committed.1));
    let is_counted_right = counted(*messages, counters, ledger, &mut lines);
    let is_balanced = ledger.is_balanced()
        && committed.0 == committed.1
        && is_counted_right
        && *exit == Exit::Stopped
        && stall.as_ref().is_none_or(StallReport::is_right);
    lines.push(String::new());
    if is_balanced {
        lines.push("  balanced: every event is in its records, in its topic or a dead letter;".to_owned());
        lines.push("  nothing twice, nothing lost".to_owned());
    } else {
        lines.push(format!("  NOT BALANCED (service exit code {})", exit.code()));
    }
    (lines, is_balanced)
}

fn silence(stall: Option<&StallReport>) -> Vec<String> {
    let Some(stall) = stall else {
        return vec!["  silence        none was asked for".to_owned()];
    };
    vec![
        format!(
            "  silence        {:.1} s; what the service did meanwhile:",
            stall.lasted.as_secs_f64()
        ),
        format!(
            "    consumption  {} messages taken after the first second",
            stall.consumed
        ),
        format!(
            "    memory       {:+.1} MiB resident",
            stall.memory_growth as f64 / MIB as f64
        ),
        format!("    rebalances   {}", stall.rebalances),
        match stall.caught_up_after {
            Some(after) => format!("    then         first write after {:.1} s", after.as_secs_f64()),
            None => "    then         NO write after it".to_owned(),
        },
    ]
}

/// The outcome of the messages, as counted by the service and as computed from the events. Returns whether both agree.
fn counted(messages: u64, counters: &Counters, ledger: &Ledger, lines: &mut Vec<String>) -> bool {
    let Ledger {
        expected,
        records,
        purchases,
        out_of_order,
        letters,
    } = ledger;
    let counts = [
        ("  consumed", counters.messages_consumed.get(), messages, "events"),
        (
            "= written",
            counters.messages_written.get(),
            expected.written,
            "two records each",
        ),
        (
            "+ filtered",
            counters.messages_filtered.get(),
            expected.filtered,
            "heartbeats",
        ),
        (
            "+ dead-lettered",
            counters.messages_dead_lettered.get(),
            expected.letters(),
            "broken events",
        ),
        (
            "  published",
            counters.messages_published.get(),
            expected.published,
            "purchases",
        ),
    ];
    lines.push("\n  account               counted    expected".to_owned());
    for (name, counted, expected, what) in counts {
        lines.push(format!("  {name:<18} {counted:>10} {expected:>11}   {what}"));
    }
    lines.push("\n  dead letters, by reason".to_owned());
    for (reason, count) in &expected.dead_lettered {
        lines.push(format!("    {reason:<16} {count:>10}"));
    }
    lines.push("\n  ledger            expected      found  missing  wrong  unexpected  again".to_owned());
    for (name, sums) in [
        ("records", records),
        ("purchases", purchases),
        ("dead letters", letters),
    ] {
        lines.push(format!(
            "  {name:<15} {:>10} {:>10} {:>8} {:>6} {:>11} {:>6}",
            sums.expected, sums.found, sums.missing, sums.wrong, sums.unexpected, sums.again
        ));
    }
    if *out_of_order > 0 {
        lines.push(format!(
            "  {out_of_order} purchases came before an earlier one of their user"
        ));
    }
    let rest = [
        counters.messages_dropped.get(),
        counters.messages_held.get(),
        counters.messages_returned.get(),
        counters.messages_in_hand.get().unsigned_abs(),
    ];
    if rest != [0; 4] {
        lines.push(format!("  dropped, held, returned, in hand: {rest:?}"));
    }
    counts.iter().all(|(_, counted, expected, _)| counted == expected) && rest == [0; 4]
}

/// Suggests what to do next, with the program that was built together with this one.
pub fn try_next(demo: Option<&Path>, from: Option<&Path>) -> Vec<String> {
    let program = program(demo, from);
    let program = program.display();
    vec![
        String::new(),
        "Try next (README.md: a configuration of your own):".to_owned(),
        format!("  {program} check examples/events.toml"),
        "  echo '{\"id\": \"e1\", \"user\": {\"id\": \"u1\"}}' | \\".to_owned(),
        format!("      {program} try examples/events.toml"),
        "And: make demo-kafka (the same on a real Apache Kafka),".to_owned(),
        "     make demo ARGS=\"--batch-rows-max 1\" (what batches are worth)".to_owned(),
    ]
}

/// `target/release/penstock`, as called from the folder in which the demo was started. `demo`:
/// `target/release/examples/demo`.
fn program(demo: Option<&Path>, from: Option<&Path>) -> PathBuf {
    let beside = demo.and_then(|demo| Some(demo.parent()?.parent()?.join("penstock")));
    let program = beside.unwrap_or_else(|| PathBuf::from("target/release/penstock"));
    match from.and_then(|from| program.strip_prefix(from).ok()) {
        Some(relative) => relative.to_owned(),
        None => program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Expected, Sums};

    fn assert_fits(lines: &[String]) {
        for line in lines.iter().flat_map(|line| line.lines()) {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
    }

    #[test]
    fn the_table_fits_80_columns_and_counts_the_silence_down() {
        let mut row = Row {
            elapsed: Duration::from_millis(123_400),
            written: 99_999_999,
            filtered: 99_999_999,
            dead: 99_999,
            published: 999_999_999,
            rate: 999_999.0,
            waiting: 99_999_999,
            resident_bytes: 9_999 * MIB,
            silent_for: Some(Duration::from_millis(9_900)),
        };
        assert_fits(&[head(), row.text()]);
        assert_fits(&intro(99_999_999, 1000, 9_999));
        assert!(row.text().ends_with("  silent 10s"), "{}", row.text());
        row.silent_for = Some(Duration::from_millis(400));
        assert!(row.text().ends_with("  silent 1s"), "{}", row.text());
        row.silent_for = None;
        assert!(row.text().ends_with("  ok"), "{}", row.text());
        // A value of a column ends where its header ends.
        let end = |text: &str, word: &str| text.find(word).unwrap() + word.len();
        assert_eq!(end(&head(), "published"), end(&row.text(), "999999999"));
    }

    #[test]
    fn the_line_that_renews_itself_says_how_far_it_is_and_how_long_the_rest_takes() {
        let bar = |done| bar("events", done, 400_000, Duration::from_secs(5));
        assert_eq!(
            bar(100_000),
            "  [#####---------------] 25 %  100000 of 400000 events  15 s left"
        );
        assert_eq!(bar(0), "  [--------------------] 0 %  0 of 400000 events  …");
        assert_eq!(
            bar(400_000),
            "  [####################] 100 %  400000 of 400000 events  0 s left"
        );
        assert_fits(&[super::bar("events compared", 99_999_999, 99_999_999, Duration::ZERO)]);
    }

    #[test]
    fn the_account_fits_80_columns_with_a_line_for_each_reason() {
        let sums = || Sums {
            expected: 99_999_999,
            found: 99_999_999,
            missing: 999_999,
            wrong: 9_999,
            unexpected: 999_999,
            again: 9_999,
        };
        let ledger = Ledger {
            expected: Expected {
                written: 99_999_999,
                dead_lettered: [("not_json", 12), ("registry_prefix", 99_999)].into(),
                ..Expected::default()
            },
            records: sums(),
            purchases: sums(),
            letters: sums(),
            out_of_order: 3,
        };
        let (lines, is_balanced) = account(&Outcome {
            messages: 99_999_999,
            rates: (999_999.0, 1_999_999.0),
            stall: Some(StallReport {
                lasted: Duration::from_secs(10),
                consumed: 0,
                memory_growth: 1 << 20,
                rebalances: 0,
                caught_up_after: Some(Duration::from_millis(300)),
            }),
            counters: &Counters::new(),
            peak_bytes: 9_999 * MIB,
            ledger,
            committed: (99_999_999, 99_999_999),
            exit: Exit::Stopped,
            is_real_broker: false,
        });
        assert_fits(&lines);
        assert!(!is_balanced, "nothing was consumed");
        for reason in ["    not_json                 12", "    registry_prefix       99999"] {
            assert!(lines.iter().any(|line| line == reason), "no {reason:?} in {lines:#?}");
        }
    }

    #[test]
    fn what_to_try_next_is_the_program_that_was_just_built() {
        let demo = Path::new("/work/penstock/target/release/examples/demo");
        let lines = try_next(Some(demo), Some(Path::new("/work/penstock")));
        assert_fits(&lines);
        assert!(
            lines.contains(&"  target/release/penstock check examples/events.toml".to_owned()),
            "{lines:?}"
        );
        let elsewhere = try_next(Some(demo), Some(Path::new("/tmp")));
        assert!(
            elsewhere[2].starts_with("  /work/penstock/target/release/penstock check"),
            "{elsewhere:?}"
        );
    }
}
