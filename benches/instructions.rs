//! Counts the instructions of a message: `make count`, or `cargo bench --bench instructions`. Needs valgrind.
//!
//! A count does not depend on what else the machine does, so it shows a change of a few percent, where a time does not.
//! This program starts itself under valgrind (`cachegrind`, without caches), with some messages and with twice as many.
//! The difference is what the messages cost; the start of the program falls out. Three steps are counted:
//!
//! - `decode`: one pass over the JSON, the conditions, and the mapping to a row of five bins.
//! - `write`: the plan, and all else of a batch until it is handed to the writer, and after it.
//! - `encode`: the rows as the native writer sends them.
//!
//! The exit code is 1 if a step takes more instructions than its limit. The limits are for x86-64: for a release build, and
//! for the build of `make check` (`PENSTOCK_COUNT_BUILD=check`), in which only the dependencies are optimised. Other
//! machines print the counts only.

// It prints its results, and panics only if its own rules or events are wrong.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

#[path = "events/batch.rs"]
#[allow(dead_code, reason = "tests count what became of the messages")]
mod batch;
#[allow(dead_code, reason = "other benchmarks need medians")]
mod events;

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use batch::Worker;
use penstock::aerospike::wire::frame::Frame;
use penstock::delivery::plan::OutgoingRow;
use penstock::delivery::pressure::Pressure;
use penstock::delivery::write::{Answer, RowWriter, Stored};
use penstock::message::Message;
use penstock::observe::counters::Counters;
use penstock::output::Output;
use penstock::processor::Processor as _;

/// Step, the limit of a release build, and the limit in the build of `make check`; instructions a message.
const STEPS: [(&str, f64, f64); 3] = [
    ("decode", 15_400.0, 100_000.0),
    ("write", 4_600.0, 19_600.0),
    ("encode", 1_080.0, 4_900.0),
];
/// Messages of a batch.
const BATCH: usize = 200;
/// Batches in the shorter of the two runs.
const BATCHES: usize = 20;

/// Encodes each batch so many times, and sends nothing.
struct Encoder {
    times: usize,
}

impl RowWriter for Encoder {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let mut frame = Frame::default();
        for _ in 0..self.times {
            frame.begin(Duration::from_secs(1));
            for (index, row) in (0..).zip(rows) {
                frame.row(index, row).unwrap();
            }
            black_box(frame.finish());
        }
        vec![Answer::Code(0); rows.len()]
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        vec![None; rows.len()]
    }

    fn rows_max(&self) -> usize {
        usize::MAX
    }

    fn lacks_namespace(&self, _: &str) -> bool {
        false
    }
}

/// Does this step with so many batches of messages that no rule filters.
fn run(step: &str, batches: usize) {
    let (rules, pressure) = (batch::rules(""), Pressure::new(10_000, None, Arc::new(Counters::new())));
    let (topic, worker) = (rules.topic("t").unwrap(), Worker::new());
    let events: Vec<String> = (0..2 * BATCH).map(events::event).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let kept = events.iter().copied().filter(|event| !batch::is_filtered(event));
    let kept: Vec<&str> = kept.take(BATCH).collect();
    match step {
        "encode" => {
            worker.batch(topic, &pressure, &kept, &Encoder { times: batches });
        }
        "batch" => {
            for _ in 0..batches {
                worker.batch(topic, &pressure, &kept, &Encoder { times: 0 });
            }
        }
        _ => {
            let mut output = Output::default();
            for _ in 0..batches {
                for payload in &kept {
                    let message = Message {
                        topic: "t",
                        partition: 0,
                        offset: 0,
                        timestamp_ms: None,
                        key: None,
                        payload: Some(payload.as_bytes()),
                        headers: Vec::new(),
                    };
                    output.begin(0);
                    black_box(topic.process(black_box(&message), 0, &mut output).unwrap());
                    output.rows.clear();
                }
            }
        }
    }
}

/// The instructions of this step with so many batches.
fn count(step: &str, batches: usize) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let valgrind = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(["--run", step, &batches.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}; on Debian: apt-get install valgrind"))?;
    let said = String::from_utf8_lossy(&valgrind.stderr);
    if !valgrind.status.success() {
        return Err(format!("valgrind: {}\n{said}", valgrind.status));
    }
    // ==1234== I refs:        12,345,678
    let line = said.lines().find(|line| line.contains("I ") && line.contains("refs:"));
    let digits = line
        .and_then(|line| line.rsplit(':').next())
        .map(|count| count.replace(',', ""));
    digits
        .and_then(|digits| digits.trim().parse().ok())
        .ok_or_else(|| format!("no count of instructions in:\n{said}"))
}

/// Instructions a message.
fn per_message(step: &str) -> Result<f64, String> {
    let (few, many) = (count(step, BATCHES)?, count(step, 2 * BATCHES)?);
    Ok((many - few) / (BATCHES * BATCH) as f64)
}

fn compare() -> Result<bool, String> {
    let decode = per_message("decode")?;
    let counts = [decode, per_message("batch")? - decode, per_message("encode")?];
    let is_check = std::env::var_os("PENSTOCK_COUNT_BUILD").is_some_and(|build| build == "check");
    let is_limited = cfg!(target_arch = "x86_64");
    println!("instructions a message, of 575 bytes, with a row of five bins");
    let mut is_right = true;
    for ((step, release, check), count) in STEPS.into_iter().zip(counts) {
        let limit = if is_check { check } else { release };
        println!("{step:<8} {count:>8.0}, at most {limit:.0}");
        is_right &= count <= limit;
    }
    if !is_limited {
        println!("The limits are for x86-64, and this is another machine.");
    }
    Ok(is_right || !is_limited)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [run_it, step, batches] = arguments.as_slice()
        && run_it == "--run"
    {
        run(step, batches.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` also runs this.
    if arguments.iter().any(|argument| argument == "--test") {
        for step in ["decode", "batch", "encode"] {
            run(step, 1);
        }
        return ExitCode::SUCCESS;
    }
    match compare() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("more instructions than the limit: find out why, or state another limit, with its reason");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}
