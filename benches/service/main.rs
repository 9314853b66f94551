//! The whole service on a real broker: six workloads, their parts alone, delivery latencies, and what must hold.
//!
//! `make bench` starts the broker. The database is the simulator, a process of its own that is empty in each run, or the
//! cluster of `AEROSPIKE_HOSTS` (the sets `events`, `users` and `counters` of its namespace `test`). All of it shares this
//! machine, so only ratios are gated. Each round runs all workloads and their parts, so they see the same changes of the
//! machine. The exit code is 1 if a ratio is below its limit, or if an account does not balance.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for a terminal

#[path = "../common/mod.rs"]
mod common;
// The service from outside.
mod metrics;
mod program;
// What is measured.
mod whole;
mod parts;
mod latency;
mod overhead;
// What comes out.
mod gates;
mod results;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use common::machine::Machine;
use common::workload::{Maker, Workload};
use common::{database, messages, turns};
use gates::Gates;
use program::Place;
use results::Results;
use whole::{Figures, MESSAGE_BYTES_MAX, Work};

/// As in the program, `src/main.rs`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PARTITIONS: i32 = 8;
const MANY_PARTITIONS: i32 = 64;

/// Measures the whole service, and its parts.
#[derive(Debug, Parser)]
#[command(name = "service")]
struct Arguments {
    /// Brokers of a real Kafka.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Number of messages of a run; half of them for E.
    #[arg(long, default_value_t = 1_500_000)]
    messages: u64,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How often the service runs with and without metrics, by turns.
    #[arg(long, default_value_t = 8)]
    pairs: u32,
    /// How long a latency is measured, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only these workloads; gates of the others are left out.
    #[arg(long, value_delimiter = ',', ignore_case = true)]
    only: Vec<Workload>,
    /// Delivery latencies of all workloads; otherwise only of A.
    #[arg(long)]
    all_latencies: bool,
    /// All of it on few messages, to see that it works. The figures mean nothing, and no gate fails.
    #[arg(long)]
    short: bool,
    /// Write the tables and charts to docs/benchmarks.
    #[arg(long)]
    docs: bool,
    /// Run as the simulator (this program starts it as a process of its own).
    #[arg(long, hide = true)]
    simulator: bool,
    /// Run as the service (this program starts it as a process of its own).
    #[arg(long, hide = true)]
    service: bool,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(
        env_logger::Env::default().default_filter_or("warn,librdkafka=off,aerospike_core=off,aerospike=off"),
    )
    .init();
    let arguments = Arguments::parse().shortened();
    let result = if arguments.simulator {
        database::run_simulator().map(|()| true).map_err(Into::into)
    } else if arguments.service {
        turns::run_service(arguments.messages).map(|()| true)
    } else {
        bench(&arguments)
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(1)
        }
    }
}

impl Arguments {
    fn shortened(self) -> Arguments {
        match self.short {
            true => Arguments {
                messages: 20_000,
                rounds: 1,
                pairs: 1,
                seconds: 1,
                ..self
            },
            false => self,
        }
    }

    fn wants(&self, workload: Workload) -> bool {
        self.only.is_empty() || self.only.contains(&workload)
    }

    fn command(&self) -> String {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let own = given.iter().filter(|argument| *argument != "--bench");
        let own: Vec<&str> = own
            .map(String::as_str)
            .skip_while(|argument| *argument == "--kafka")
            .skip(1)
            .collect();
        match own.as_slice() {
            [] => "make bench".to_owned(),
            own => format!("make bench ARGS=\"{}\"", own.join(" ")),
        }
    }
}

fn bench(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let began = Instant::now();
    let brokers = arguments
        .kafka
        .clone()
        .ok_or("--kafka is needed: make bench starts one")?;
    let place = Place {
        brokers,
        hosts: std::env::var("AEROSPIKE_HOSTS").ok(),
        name: format!("bench-{:x}", std::process::id()),
    };
    let database = match &place.hosts {
        Some(hosts) => format!("the cluster at {hosts}"),
        None => "a simulator on this machine".to_owned(),
    };
    let machine = Machine::here(&database, &arguments.command());
    println!("{}", machine.text());

    let works = works(&place, arguments)?;
    let mut figures: BTreeMap<String, Figures> = BTreeMap::new();
    // Not counted: the broker compiles what it does often.
    if let Some((_, work)) = works.first() {
        whole::measure(&place, work, "warm", &mut Figures::new())?;
    }
    for round in 0..arguments.rounds {
        println!("{:>4.0?}  round {} of {}", began.elapsed(), round + 1, arguments.rounds);
        for (name, work) in &works {
            let figures = figures.entry(name.clone()).or_default();
            whole::measure(&place, work, &format!("{round}-{name}"), figures)?;
            if work.partitions == PARTITIONS {
                let lasts = Duration::from_millis(1500).min(Duration::from_secs(arguments.seconds));
                parts::measure(&place, work, work.messages.min(200_000), lasts, figures)?;
            }
        }
    }
    let mut latencies = Vec::new();
    for (name, work) in works.iter().filter(|(_, work)| work.partitions == PARTITIONS) {
        if work.workload == Workload::A || arguments.all_latencies {
            println!("{:>4.0?}  delivery latency of {name}", began.elapsed());
            let (lasts, slow) = match arguments.seconds {
                seconds @ 0..5 => (Duration::from_secs(seconds), Duration::from_secs(3)),
                seconds => (Duration::from_secs(seconds), Duration::from_secs(15)),
            };
            latencies.push((name.clone(), latency::measure(&place, work.workload, lasts, slow)?));
        }
    }
    let mut overhead = None;
    if let Some((_, work)) = works.iter().find(|(name, _)| name == "A") {
        println!("{:>4.0?}  with and without metrics", began.elapsed());
        overhead = Some(overhead::measure(&place, work, arguments.pairs)?);
    }
    let results = Results {
        machine,
        rounds: arguments.rounds,
        works: works.iter().map(|(name, work)| (name.clone(), about(work))).collect(),
        figures,
        latencies,
        overhead,
    };
    let gates = Gates::of(&results);
    println!(
        "{:>4.0?}  done; every account balances\n\n{}",
        began.elapsed(),
        results.text(&gates)
    );
    results.write(&gates, arguments.docs)?;
    println!("figures and charts: {}", results::JSON_FILE);
    Ok(arguments.short || gates.hold())
}

fn about(work: &Work) -> String {
    match work.partitions {
        PARTITIONS => work.workload.about().to_owned(),
        partitions => format!("{} on {partitions} partitions", work.workload),
    }
}

/// The works by name, with their topics, which are filled here. Workloads with the same messages share a topic.
fn works(place: &Place, arguments: &Arguments) -> Result<Vec<(String, Work)>, Box<dyn Error>> {
    let mut works: Vec<(String, Work)> = Vec::new();
    let wanted = Workload::ALL.into_iter().filter(|workload| arguments.wants(*workload));
    let mut all: Vec<(Workload, i32)> = wanted.map(|workload| (workload, PARTITIONS)).collect();
    if arguments.wants(Workload::A) {
        all.push((Workload::A, MANY_PARTITIONS));
    }
    for (workload, partitions) in all {
        let messages = match workload {
            Workload::E => arguments.messages / 2,
            _ => arguments.messages,
        };
        let kind = workload.messages_of();
        let topic = format!("{}-{kind}-{partitions}", place.name);
        if !works.iter().any(|(_, work)| work.topic == topic) {
            messages::create_topic(&place.brokers, &topic, partitions, MESSAGE_BYTES_MAX)?;
            let made = Maker::new(kind, partitions).messages(messages);
            messages::send(&place.brokers, &topic, MESSAGE_BYTES_MAX, made)?;
        }
        let name = match partitions {
            PARTITIONS => workload.to_string(),
            _ => format!("{workload}{partitions}"),
        };
        works.push((
            name,
            Work {
                workload,
                topic,
                partitions,
                messages,
                expected: workload.account(0..messages),
            },
        ));
    }
    Ok(works)
}
