//! What guards cost and what merging gains: the whole service over the same messages of a real broker, side by side in one
//! run, with the rules alone changed.
//!
//! `make rates` starts the broker. The simulator is a process of its own; both share the machine with the service, so
//! only the ratios count. Messages on 100 keys must be taken at least 1.5 times as fast as messages on distinct keys:
//! below that, exit code 1.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for a terminal

#[path = "demo/database.rs"]
#[allow(dead_code)] // the demo's faults
mod database;

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use penstock::config;
use penstock::ops::counters::Counters;
use penstock::ops::exit::Exit;
use penstock::shutdown::{Stop, StopKind};
use penstock::supervisor;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use database::Database;

/// Side by side: one set of rules against another, over the same messages.
#[derive(Debug, Parser)]
#[command(name = "rates")]
struct Arguments {
    /// Brokers of a real Kafka.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// How many messages.
    #[arg(long, default_value_t = 300_000)]
    messages: u64,
    /// How often each is run.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Be the simulator (what this program starts as a process of its own).
    #[arg(long, hide = true)]
    simulator: bool,
}

const PARTITIONS: i32 = 8;
const HOT_KEYS: u64 = 100;
const HOT_RATIO_MIN: f64 = 1.5;
const TIMEOUT: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_secs(300);

/// One set of rules: a name, and the write.
const RULES: [(&str, &str); 5] = [
    (
        "distinct keys",
        "key = \"id\"\nbins = { a = \"a\", b = \"b\", c = \"c\", d = \"d\", seen = \"seen\" }",
    ),
    (
        "100 keys",
        "key = \"hot\"\nbins = { a = \"a\", b = \"b\", c = \"c\", d = \"d\", seen = \"seen\" }",
    ),
    (
        "distinct keys, add, no guard",
        "key = \"id\"\nguard = false\nadd = { n = 1, sum = { path = \"b\", as = \"integer\" } }",
    ),
    (
        "distinct keys, add, guarded",
        "key = \"id\"\nadd = { n = 1, sum = { path = \"b\", as = \"integer\" } }",
    ),
    (
        "100 keys, add, guarded",
        "key = \"hot\"\nadd = { n = 1, sum = { path = \"b\", as = \"integer\" } }",
    ),
];

fn main() -> ExitCode {
    env_logger::Builder::from_env(
        env_logger::Env::default().default_filter_or("warn,librdkafka=off,aerospike_core=off,aerospike=off"),
    )
    .init();
    let arguments = Arguments::parse();
    let result = if arguments.simulator {
        database::run_simulator().map(|()| true).map_err(Into::into)
    } else {
        rates(&arguments)
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("rates: {error}");
            ExitCode::from(1)
        }
    }
}

/// What one run came to.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    messages_per_second: f64,
    cpu_us: f64,
    rows_sent: u64,
    rows_written: u64,
}

fn rates(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let brokers = arguments
        .kafka
        .as_deref()
        .ok_or("--kafka is needed: make rates starts one")?;
    let topic = format!("rates-{:x}", std::process::id());
    produce(brokers, &topic, arguments.messages)?;
    let mut sums = [Run::default(); RULES.len()];
    println!(
        "{:<30} {:>12} {:>18} {:>14}",
        "", "messages/s", "CPU µs a message", "rows sent"
    );
    for round in 0..arguments.rounds {
        for (number, (name, rules)) in RULES.iter().enumerate() {
            // Empty each time, so that every run makes its records anew.
            let database = Database::start(None)?;
            let group = format!("{topic}-{round}-{number}");
            let run = run(brokers, &topic, &group, database.hosts(), rules, arguments.messages)?;
            println!(
                "{name:<30} {:>12.0} {:>18.2} {:>14}",
                run.messages_per_second, run.cpu_us, run.rows_sent
            );
            if number == 1 && run.rows_sent >= run.rows_written {
                return Err("rows on 100 keys were not merged".into());
            }
            let sum = &mut sums[number];
            sum.messages_per_second += run.messages_per_second;
            sum.cpu_us += run.cpu_us;
        }
    }
    let rate = |over: usize, under: usize| sums[over].messages_per_second / sums[under].messages_per_second;
    let cpu = |over: usize, under: usize| sums[over].cpu_us / sums[under].cpu_us;
    println!(
        "\n100 keys against distinct keys:   {:.2} times the rate (at least {HOT_RATIO_MIN})",
        rate(1, 0)
    );
    println!(
        "guarded against not, distinct:    {:.2} times the rate, {:.2} times the CPU",
        rate(3, 2),
        cpu(3, 2)
    );
    println!("guarded, 100 keys against distinct: {:.2} times the rate", rate(4, 3));
    Ok(rate(1, 0) >= HOT_RATIO_MIN)
}

fn run(
    brokers: &str,
    topic: &str,
    group: &str,
    aerospike: &str,
    rules: &str,
    messages: u64,
) -> Result<Run, Box<dyn Error>> {
    let text = format!(
        "[kafka]\nbrokers = \"{brokers}\"\ntopics = [\"{topic}\"]\ngroup = \"{group}\"\n\
         [aerospike]\nhosts = \"{aerospike}\"\nnamespace = \"test\"\n\
         [[route]]\n[[route.write]]\nset = \"s\"\n{rules}\n"
    );
    let config = config::parse(&text, "rates.toml").map_err(|faults| faults.to_string())?;
    let stop = Stop::new();
    let counters = Arc::new(Counters::new());
    let service = {
        let (stop, counters) = (stop.clone(), counters.clone());
        thread::spawn(move || supervisor::run(&config, &stop, &counters))
    };
    let deadline = Instant::now() + DEADLINE;
    let wait_for = |count: u64| {
        while counters.messages_written.get() < count {
            if service.is_finished() || Instant::now() > deadline {
                return Err(format!(
                    "{} of {count} messages written",
                    counters.messages_written.get()
                ));
            }
            thread::sleep(Duration::from_millis(1)); // the pace of observation
        }
        Ok((Instant::now(), cpu_ticks(), counters.messages_written.get()))
    };
    let (begin, cpu_begin, first) = wait_for(1)?;
    let (end, cpu_end, last) = wait_for(messages)?;
    stop.request(StopKind::Drain);
    let exit = service.join().map_err(|_| "the service panicked")?;
    if exit != Exit::Stopped {
        return Err(format!("the service ended with {exit:?}").into());
    }
    let taken = (last - first) as f64;
    Ok(Run {
        messages_per_second: taken / (end - begin).as_secs_f64(),
        cpu_us: (cpu_end - cpu_begin) as f64 * TICK_US / taken,
        rows_sent: counters.rows_sent.get(),
        rows_written: counters.rows_written.get(),
    })
}

/// Of `/proc/self/stat`: 100 ticks a second on every Linux of today.
const TICK_US: f64 = 10_000.0;

/// CPU time of this process, the fields `utime` and `stime` of proc(5).
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    behind_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

/// Messages of about 560 bytes; `id` is each one's own, `hot` one of 100, and decides the partition.
fn produce(brokers: &str, topic: &str, messages: u64) -> Result<(), Box<dyn Error>> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let topics = [NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1))];
    for result in futures_executor::block_on(admin.create_topics(&topics, &AdminOptions::new()))? {
        result.map_err(|(topic, code)| format!("cannot create {topic}: {code}"))?;
    }
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .create()?;
    let padding = "x".repeat(440);
    for id in 0..messages {
        let hot = id * 2_654_435_761 % HOT_KEYS;
        let payload = format!(
            "{{\"id\":\"m{id}\",\"hot\":\"k{hot}\",\"a\":\"country\",\"b\":{id},\"c\":{}.5,\"d\":true,\"seen\":{id},\"padding\":\"{padding}\"}}",
            id % 97
        );
        let key = hot.to_string();
        loop {
            match producer.send(BaseRecord::to(topic).key(&key).payload(&payload)) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(TIMEOUT)?;
    Ok(())
}
