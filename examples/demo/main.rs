//! Everything in one command: events into Kafka, the service, records out of Aerospike, purchases and dead letters out
//! of Kafka, and a ledger of all of it.
//!
//! It runs the same pipeline as the binary (`supervisor::run`, from a configuration text), with a broker and a database
//! in this process or with real ones (`--kafka`, `AEROSPIKE_HOSTS`). Heartbeats are filtered, purchases are forwarded
//! to a topic, and one event in a thousand is broken and becomes a dead letter. In the middle, the database is silent
//! for ten seconds; the effect is measured and printed. At the end, every record and every published message is
//! compared with the events. If anything is missing or wrong, the exit code is 1.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for a terminal

mod broker;
mod collector;
mod database;
mod endpoints;
mod events;
mod ledger;
mod messages;
mod report;
mod service;
mod stall;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use penstock::observe::seen::Seen;
use penstock::util::memory::resident_bytes;
use penstock::util::throttle::Throttle;
use penstock::util::{logging, screen};
use penstock::web::about::about;

use broker::Broker;
use collector::Collector;
use database::Database;
use report::{Outcome, Row};
use service::{Service, Settings};
use stall::Watch;

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
    /// Maximum number of rows per batch.
    #[arg(long, default_value_t = 200)]
    batch_rows_max: usize,
    /// Run as the simulator (the demo starts this as a process of its own).
    #[arg(long, hide = true)]
    simulator: bool,
    /// Seed of the events.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// How far the producer may be ahead with the in-process broker. It keeps few messages and silently drops the oldest
/// ones.
const LEAD_MAX_IN_PROCESS: u64 = 30_000;
/// The demo has failed if there is no progress for this time outside of the silence.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    // Warnings about broken messages and about the silence would break up the table, which counts them anyway.
    // RUST_LOG=warn shows them.
    logging::start("error,librdkafka=off,aerospike_core=off,aerospike=off");
    logging::tell_panics();
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

/// Prints a line above the one that renews itself.
macro_rules! say {
    ($($text:tt)*) => { screen::without_status(|| println!($($text)*)) };
}

/// The line that renews itself on a terminal: how much of something is done.
struct Bar {
    what: &'static str,
    all: u64,
    began: Instant,
    pace: Throttle,
}

impl Bar {
    fn new(what: &'static str, all: u64) -> Bar {
        Bar {
            what,
            all,
            began: Instant::now(),
            pace: Throttle::new(Duration::from_millis(200)),
        }
    }

    fn show(&mut self, done: u64) {
        if screen::has_status() && self.pace.pass().is_some() {
            screen::show(&report::bar(self.what, done, self.all, self.began.elapsed()));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        screen::erase();
    }
}

fn demo(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let messages = arguments
        .messages
        .unwrap_or(if arguments.kafka.is_some() { 1_000_000 } else { 400_000 });
    let broker = Broker::start(arguments.kafka.as_deref(), arguments.partitions)?;
    let database = Database::start(arguments.aerospike.as_deref())?;
    let silence_s = if database.is_simulated() {
        arguments.stall_seconds
    } else {
        0
    };
    say!(
        "{}",
        report::intro(messages, arguments.partitions, silence_s).join("\n")
    );
    say!(
        "  kafka      {}",
        if broker.is_real() {
            broker.address()
        } else {
            "in this process (mock)"
        }
    );
    say!(
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
        // A real cluster is shared, so this run uses its own sets.
        set_prefix: if database.is_simulated() {
            String::new()
        } else {
            format!("{}-", broker.topic())
        },
        batch_rows_max: arguments.batch_rows_max,
        topics: Some(broker.produced_topics()),
    };
    let config = settings.config()?;
    let seen = Seen::new(about(&config));
    let counters = seen.counters.clone();
    let endpoints = endpoints::start(&seen)?;
    println!(
        "  look       http://{0}/ and curl http://{0}/status",
        endpoints.address()
    );

    // On a real broker everything is produced first, so that the rate is that of the service alone.
    let produced = Arc::new(AtomicU64::new(0));
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
        say!(
            "  produced {messages} events in {:.1} s",
            started.elapsed().as_secs_f64()
        );
        compare_batches(&settings, messages)?;
    }

    say!("\nJoining the consumer group, which takes some seconds …\n");
    let collector = Collector::start(broker.produced_topics(), arguments.seed, messages)?;
    let service = Service::start(config, seen)?;
    let mut watch = Watch::new(&counters, &database, messages, arguments.stall_seconds);
    let mut bar = Bar::new("events", messages);
    let mut last_line = Instant::now();
    let mut last_done = 0;
    let mut has_begun = false;
    let mut progress = (0, Instant::now());
    let mut peak = 0;
    while service::done(&counters) < messages {
        thread::sleep(Duration::from_millis(50)); // the pace of observation; nothing waits for it
        peak = peak.max(resident_bytes().unwrap_or(0));
        watch.observe()?;
        if service.ended() {
            return Err("the service ended by itself; RUST_LOG=info shows why".into());
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
        // There is nothing to see before the group has assigned its partitions.
        if !has_begun && counters.messages_consumed.get() > 0 {
            say!("{}", report::head());
            (has_begun, last_line) = (true, Instant::now());
            bar.began = last_line;
        }
        if has_begun {
            bar.show(done);
        }
        if has_begun && last_line.elapsed() >= Duration::from_secs(1) {
            let row = Row {
                elapsed: watch.elapsed(),
                written: counters.messages_written.get(),
                filtered: counters.messages_filtered.get(),
                dead: counters.messages_dead_lettered.get(),
                published: counters.messages_published.get(),
                rate: (done - last_done) as f64 / last_line.elapsed().as_secs_f64(),
                waiting: produced.load(Relaxed).saturating_sub(done),
                resident_bytes: resident_bytes().unwrap_or(0),
                silent_for: watch.silent_for(),
            };
            say!("{}", row.text());
            last_line = Instant::now();
            last_done = done;
        }
    }
    drop(bar);
    watch.finish()?;
    let exit = service.stop()?;
    join_producer(&mut producer)?;

    say!("\nReading every record back …");
    let collected = collector.finish()?;
    let mut bar = Bar::new("events compared", messages);
    let compared = |events| bar.show(events);
    let ledger = ledger::check(
        &settings,
        arguments.seed,
        messages,
        arguments.partitions,
        &collected,
        compared,
    )?;
    drop(bar);
    let committed = broker.committed(&settings.group)?;
    let (lines, is_balanced) = report::account(&Outcome {
        messages,
        rates: (watch.rate(messages), watch.rate(counters.rows_written.get())),
        stall: watch.report(),
        counters: &counters,
        peak_bytes: peak,
        ledger,
        committed,
        exit,
        is_real_broker: broker.is_real(),
    });
    say!("{}", lines.join("\n"));
    if is_balanced {
        let (demo, from) = (std::env::current_exe().ok(), std::env::current_dir().ok());
        say!("{}", report::try_next(demo.as_deref(), from.as_deref()).join("\n"));
    }
    Ok(is_balanced)
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

/// Compares batches of one row with batches as configured, with the same build and the same messages.
fn compare_batches(settings: &Settings, messages: u64) -> Result<(), Box<dyn Error>> {
    const RATIO_MIN: f64 = 3.0;
    let limit = messages.min(100_000);
    say!(
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
            // Only the main run's output is collected.
            topics: None,
            ..settings.clone()
        };
        let rate = service::rate(&settings, limit)?;
        say!("  batch_rows_max = {batch_rows_max:<5} {rate:>8.0} messages/s");
        rates.push(rate);
    }
    let ratio = (rates[1] + rates[3]) / (rates[0] + rates[2]);
    say!("  ratio {ratio:.1} (at least {RATIO_MIN:.0})");
    if ratio < RATIO_MIN {
        return Err(format!("batches make it only {ratio:.1} times as fast").into());
    }
    Ok(())
}
