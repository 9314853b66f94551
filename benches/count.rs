//! Measures what counting costs, in one run: `cargo bench --bench count`.
//!
//! A batch of 200 messages is counted as a worker counts it: a latency for each message, and every counter and
//! histogram that a batch adds to. First by one thread alone, then by several at once, which share the counters. The
//! results are medians of many rounds. The exit code is 1 if one thread alone takes more than `LIMIT_NS` per message.
//!
//! `PENSTOCK_BENCH_ROUNDS` changes the number of rounds.

// It prints its results.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use penstock::observe::counters::Counters;
use penstock::observe::metrics::delivery_latency::DeliveryLatencies;

/// One percent of what a message costs on the way from Kafka to Aerospike: about 3 µs.
const LIMIT_NS: f64 = 30.0;
const MESSAGES: usize = 200;
const THREADS: usize = 4;
/// Batches in a turn.
const TURN: u32 = 100;

/// What a worker counts of one batch whose messages have these timestamps.
fn count(counters: &Counters, timestamps_ms: &[i64]) {
    let messages = timestamps_ms.len() as u64;
    let began = Instant::now();
    counters.messages_consumed.add(messages);
    counters.messages_in_hand.add(MESSAGES as i64);
    counters.batch(MESSAGES, began.elapsed());
    for counter in [
        &counters.rows_written,
        &counters.rows_merged,
        &counters.rows_stale,
        &counters.rows_guard_refused,
        &counters.rows_ignored,
        &counters.condition_errors_ignored,
        &counters.ttl_past_skipped,
        &counters.ttl_past_deleted,
    ] {
        counter.add(black_box(messages));
    }
    counters.decoded_to_written(messages, began.elapsed());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let mut latencies = DeliveryLatencies::for_histogram(&counters.delivery_latency);
    for timestamp_ms in timestamps_ms {
        latencies.acknowledged(black_box(Some(*timestamp_ms)), now_ms);
    }
    latencies.add_to(&counters.delivery_latency, &counters.delivery_latency_unmeasured);
    counters.messages_written.add(messages);
    counters.messages_filtered.add(0);
    counters.messages_published.add(0);
    counters.messages_in_hand.add(-(MESSAGES as i64));
}

/// Nanoseconds per message of a turn.
fn turn(counters: &Counters, timestamps_ms: &[i64]) -> f64 {
    let began = Instant::now();
    for _ in 0..TURN {
        count(counters, timestamps_ms);
    }
    ns_per_message(began.elapsed())
}

fn ns_per_message(took: Duration) -> f64 {
    took.as_nanos() as f64 / f64::from(TURN) / MESSAGES as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    let rounds = std::env::var("PENSTOCK_BENCH_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let rounds: usize = rounds.unwrap_or(200).max(1);
    let counters = Counters::new();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    // Of a few seconds, in order, as a batch has them; and all over the buckets, which no batch has.
    let near: Vec<i64> = (0..MESSAGES as i64).map(|n| now_ms - 500 + n).collect();
    let far: Vec<i64> = (0..MESSAGES as i64).map(|n| now_ms - (n * 7_919) % 100_000).collect();
    let alone = median((0..rounds).map(|_| turn(&counters, &near)).collect());
    let scattered = median((0..rounds).map(|_| turn(&counters, &far)).collect());
    let together: Vec<f64> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..rounds).map(|_| turn(&counters, &near)).collect::<Vec<f64>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    });
    println!("one worker                     {alone:>6.2} ns/message");
    println!("the same, scattered timestamps {scattered:>6.2} ns/message");
    println!(
        "{THREADS} workers at once, each        {:>6.2} ns/message",
        median(together)
    );
    println!("batch calls counted            {}", counters.batches.get());
    if alone > LIMIT_NS {
        println!("more than {LIMIT_NS} ns/message");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
