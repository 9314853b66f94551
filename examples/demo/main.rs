//! The whole way in one command: events into Kafka, the service, records out of Aerospike, purchases and dead letters out of
//! Kafka, and a ledger of all of it.
//!
//! Runs the very pipeline the binary runs (`supervisor::run`, from a configuration text), with a broker and a database
//! in this process, or with real ones (`--kafka`, `AEROSPIKE_HOSTS`). Heartbeats are filtered, purchases go on to a topic,
//! and one event of a thousand is broken, which makes it a dead letter. In the middle the database goes silent for ten
//! seconds; what that does is measured and printed. At the end every record is read back, and it and every message that
//! was published is compared with what the events said. Anything missing or wrong: exit code 1.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for a terminal

mod broker;
mod collector;
mod database;
mod events;
mod ledger;
mod messages;
mod service;
mod stall;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use penstock::ops::counters::Counters;
use penstock::ops::exit::Exit;
use penstock::ops::memory::resident_bytes;

use broker::Broker;
use collector::Collector;
use database::Database;
use ledger::Ledger;
use service::{Service, Settings};
use stall::{StallReport, Watch};

/// As in the program, `src/main.rs`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Kafka to Aerospike in one process, with a database that goes silent in the middle, checked to the last record.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// How many events [default: 400000 in the process, 1000000 on a real broker].
    #[arg(long)]
    messages: Option<u64>,
    /// Brokers of a real Kafka instead of the one in the process.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// A real Aerospike instead of the simulator (namespace test; no fault is asked of it).
    #[arg(long, env = "AEROSPIKE_HOSTS", value_name = "HOST:PORT")]
    aerospike: Option<String>,
    /// Partitions of the topic; each gets a thread.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=1000))]
    partitions: i32,
    /// How long the database goes silent; 0: not at all.
    #[arg(long, default_value_t = 10)]
    stall_seconds: u64,
    /// Rows a batch.
    #[arg(long, default_value_t = 200)]
    batch_rows_max: usize,
    /// Be the simulator (what the demo starts as a process of its own).
    #[arg(long, hide = true)]
    simulator: bool,
    /// Of the events.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// How far the producer may be ahead in the process: the mock broker keeps little and drops the oldest silently.
const LEAD_MAX_IN_PROCESS: u64 = 30_000;
/// Without progress for so long, outside of the stall, the demo has failed.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    // A line for each reason of a dead letter would tear the table apart, which counts them: RUST_LOG=warn shows them.
    env_logger::Builder::from_env(
        env_logger::Env::default()
            .default_filter_or("warn,penstock::worker::batch=error,librdkafka=off,aerospike_core=off,aerospike=off"),
    )
    .format_timestamp_millis()
    .init();
    let arguments = Arguments::parse();
    if arguments.simulator {
        return match database::run_simulator() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("demo: simulator: {error}");
                ExitCode::from(1)
            }
        };
    }
    match demo(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::from(1)
        }
    }
}

fn demo(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let messages = arguments
        .messages
        .unwrap_or(if arguments.kafka.is_some() { 1_000_000 } else { 400_000 });
    let broker = Broker::start(arguments.kafka.as_deref(), arguments.partitions)?;
    let database = Database::start(arguments.aerospike.as_deref())?;
    println!(
        "penstock demo: {messages} events, {} partitions; heartbeats are filtered, of the others each makes two records,\n\
         purchases are published, one of {} is broken and dead-lettered",
        arguments.partitions,
        messages::BROKEN_EVERY
    );
    println!(
        "  kafka      {}",
        if broker.is_real() {
            broker.address()
        } else {
            "in this process (mock)"
        }
    );
    println!(
        "  aerospike  {}",
        if database.is_simulated() {
            "simulator, in a process of its own"
        } else {
            database.hosts()
        }
    );

    let settings = Settings {
        brokers: broker.address().to_string(),
        topic: broker.topic().to_string(),
        group: format!("{}-demo", broker.topic()),
        aerospike: database.hosts().to_string(),
        // A real cluster is shared: sets of this run's own.
        set_prefix: if database.is_simulated() {
            String::new()
        } else {
            format!("{}-", broker.topic())
        },
        batch_rows_max: arguments.batch_rows_max,
        topics: Some(broker.produced_topics()),
    };

    // On a real broker everything is produced first, so that the rate is the service's alone.
    let produced = Arc::new(AtomicU64::new(0));
    let counters = Arc::new(Counters::new());
    let lead_max = if broker.is_real() {
        u64::MAX
    } else {
        LEAD_MAX_IN_PROCESS
    };
    let producer = {
        let (broker, produced, counters, seed) =
            (broker.producer()?, produced.clone(), counters.clone(), arguments.seed);
        thread::Builder::new()
            .name("producer".into())
            .spawn(move || broker.produce(seed, messages, lead_max, &produced, &counters))?
    };
    let mut producer = Some(producer);
    if broker.is_real() {
        let started = Instant::now();
        join_producer(&mut producer)?;
        println!(
            "  produced {messages} events in {:.1} s",
            started.elapsed().as_secs_f64()
        );
        compare_batches(&settings, messages)?;
    }

    println!("\n  time   produced    written  filtered  dead  published       rate  waiting  resident  database");
    let collector = Collector::start(broker.produced_topics(), arguments.seed, messages)?;
    let service = Service::start(&settings, counters.clone())?;
    let mut watch = Watch::new(&counters, &database, messages, arguments.stall_seconds);
    let mut last_line = Instant::now();
    let mut last_done = 0;
    let mut progress = (0, Instant::now());
    let mut peak = 0;
    while service::done(&counters) < messages {
        thread::sleep(Duration::from_millis(50)); // the pace of observation; nothing waits for it
        peak = peak.max(resident_bytes().unwrap_or(0));
        watch.observe()?;
        if service.ended() {
            return Err("the service ended by itself; its log says why".into());
        }
        if producer.as_ref().is_some_and(thread::JoinHandle::is_finished) {
            join_producer(&mut producer)?;
        }
        let done = service::done(&counters);
        if watch.stalled() || done > progress.0 {
            progress = (done, Instant::now());
        }
        if progress.1.elapsed() > PROGRESS_DEADLINE {
            return Err(format!("no progress for {PROGRESS_DEADLINE:?} at {done} of {messages}").into());
        }
        if last_line.elapsed() >= Duration::from_secs(1) {
            println!(
                "  {:>2.0} s {:>10} {:>10} {:>9} {:>5} {:>10} {:>8.0}/s {:>8} {:>5} MiB  {}",
                watch.elapsed().as_secs_f64(),
                produced.load(Relaxed),
                counters.messages_written.get(),
                counters.messages_filtered.get(),
                counters.messages_dead_lettered.get(),
                counters.messages_published.get(),
                (done - last_done) as f64 / last_line.elapsed().as_secs_f64(),
                produced.load(Relaxed).saturating_sub(done),
                resident_bytes().unwrap_or(0) / (1024 * 1024),
                if watch.stalled() { "SILENT" } else { "ok" },
            );
            last_line = Instant::now();
            last_done = done;
        }
    }
    watch.finish()?;
    let exit = service.stop()?;
    join_producer(&mut producer)?;

    println!("\nReading every record back …");
    let collected = collector.finish()?;
    let ledger = ledger::check(&settings, arguments.seed, messages, arguments.partitions, &collected)?;
    let committed = broker.committed(&settings.group)?;
    Ok(report(&Outcome {
        messages,
        watch: &watch,
        counters: &counters,
        peak,
        ledger,
        committed,
        exit,
        real_broker: broker.is_real(),
    }))
}

fn join_producer(
    producer: &mut Option<thread::JoinHandle<Result<(), broker::ProduceError>>>,
) -> Result<(), Box<dyn Error>> {
    match producer.take().map(thread::JoinHandle::join) {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) => Err(error.into()),
        Some(Err(_)) => Err("the producer panicked".into()),
    }
}

/// The same build, the same messages, side by side: batches of one row against batches as configured.
fn compare_batches(settings: &Settings, messages: u64) -> Result<(), Box<dyn Error>> {
    const RATIO_MIN: f64 = 3.0;
    let limit = messages.min(100_000);
    println!(
        "\nThe same {limit} messages with batches of one row, and of {}:",
        settings.batch_rows_max
    );
    let mut rates = Vec::new();
    for (name, batch_rows_max) in [
        ("one", 1),
        ("many", settings.batch_rows_max),
        ("one", 1),
        ("many", settings.batch_rows_max),
    ] {
        let settings = Settings {
            group: format!("{}-{name}-{}", settings.topic, rates.len()),
            set_prefix: format!("{}ratio-", settings.set_prefix),
            batch_rows_max,
            // What is collected is the main run's alone.
            topics: None,
            ..settings.clone()
        };
        let rate = service::rate(&settings, limit)?;
        println!("  batch_rows_max = {batch_rows_max:<5} {rate:>8.0} messages/s");
        rates.push(rate);
    }
    let ratio = (rates[1] + rates[3]) / (rates[0] + rates[2]);
    println!("  ratio {ratio:.1} (at least {RATIO_MIN:.0})");
    if ratio < RATIO_MIN {
        return Err(format!("batches make it only {ratio:.1} times as fast").into());
    }
    Ok(())
}

struct Outcome<'a> {
    messages: u64,
    watch: &'a Watch<'a>,
    counters: &'a Counters,
    peak: u64,
    ledger: Ledger,
    /// (committed, end) over all partitions.
    committed: (i64, i64),
    exit: Exit,
    real_broker: bool,
}

/// Prints the table; `true` when everything balances.
fn report(outcome: &Outcome<'_>) -> bool {
    let Outcome {
        messages,
        watch,
        counters,
        peak,
        ledger,
        committed,
        exit,
        real_broker,
    } = outcome;
    let rows = counters.batch_rows();
    let write = counters.batch_write_us();
    let ms = |us: u64| us as f64 / 1000.0;
    println!();
    println!(
        "  rate              {:.0} messages/s, {:.0} rows/s (without the silence)",
        watch.rate(*messages),
        watch.rate(counters.rows_written.get())
    );
    println!(
        "  batches           {} calls, rows p50 {} p99 {} max {}",
        counters.batches.get(),
        rows.p50,
        rows.p99,
        rows.max
    );
    println!(
        "  write latency     p50 {:.1} ms  p99 {:.1} ms  max {:.1} ms",
        ms(write.p50),
        ms(write.p99),
        ms(write.max)
    );
    println!(
        "  peak memory       {} MiB resident, with the {} in the same process; the service's bound is {} MiB",
        peak / (1024 * 1024),
        if *real_broker {
            "producer"
        } else {
            "producer and the broker"
        },
        counters.memory_bound_bytes.get() / (1024 * 1024),
    );
    let stall_ok = match watch.report() {
        Some(stall) => print_stall(&stall),
        None => {
            println!("  silence           none was asked for");
            true
        }
    };
    println!("  offsets           {} committed of {}", committed.0, committed.1);
    let account_ok = print_account(*messages, counters, ledger);

    let balanced =
        ledger.is_balanced() && committed.0 == committed.1 && account_ok && *exit == Exit::Stopped && stall_ok;
    if balanced {
        println!(
            "  balanced: every event is in its records, in its topic or a dead letter; nothing twice, nothing lost"
        );
        println!("\nTry next:");
        println!("  make demo ARGS=\"--batch-rows-max 1\"      what batches are worth");
        println!("  make demo-kafka                          the same on a real Apache Kafka");
        println!("  penstock check examples/events.toml      your own configuration: README.md");
    } else {
        println!("  NOT BALANCED (service exit code {})", exit.code());
    }
    balanced
}

/// What became of the messages, as the service counts and as the events say; `true` where both agree.
fn print_account(messages: u64, counters: &Counters, ledger: &Ledger) -> bool {
    let Ledger {
        expected,
        records,
        purchases,
        out_of_order,
        letters,
    } = ledger;
    let reasons: Vec<String> = expected
        .dead_lettered
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    let lines = [
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
            expected.published + expected.letters(),
            "purchases and dead letters",
        ),
    ];
    println!("\n  account               counted    expected");
    for (name, counted, expected, what) in lines {
        println!("  {name:<18} {counted:>10} {expected:>11}   {what}");
    }
    println!("  dead letters by reason: {}", reasons.join(", "));
    println!("\n  ledger            expected      found  missing  wrong  unexpected  again");
    for (name, sums) in [
        ("records", records),
        ("purchases", purchases),
        ("dead letters", letters),
    ] {
        println!(
            "  {name:<15} {:>10} {:>10} {:>8} {:>6} {:>11} {:>6}",
            sums.expected, sums.found, sums.missing, sums.wrong, sums.unexpected, sums.again
        );
    }
    if *out_of_order > 0 {
        println!("  {out_of_order} purchases came before an earlier one of their user");
    }
    let rest = [
        counters.messages_dropped.get(),
        counters.messages_held.get(),
        counters.messages_returned.get(),
        counters.messages_in_hand.get().unsigned_abs(),
    ];
    if rest != [0; 4] {
        println!("  dropped, held, returned, in hand: {rest:?}");
    }
    lines.iter().all(|(_, counted, expected, _)| counted == expected) && rest == [0; 4]
}

fn print_stall(stall: &StallReport) -> bool {
    println!(
        "  silence           {:.1} s; what the service did meanwhile:",
        stall.lasted.as_secs_f64()
    );
    println!(
        "    consumption     {} messages taken after the first second",
        stall.consumed
    );
    println!(
        "    memory          {:+.1} MiB resident",
        stall.memory_growth as f64 / (1024.0 * 1024.0)
    );
    println!("    rebalances      {}", stall.rebalances);
    match stall.caught_up_after {
        Some(after) => println!("    then            first write after {:.1} s", after.as_secs_f64()),
        None => println!("    then            NO write after it"),
    }
    stall.is_right()
}
