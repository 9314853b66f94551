//! `penstock bench` on embedded services: a broker in this process, and the simulator, a process of its own, with several
//! latencies. Prints the result of each, and all side by side. `make bench-sweep` builds what it starts.
//!
//! All of it shares this machine. So the figures say how the latency of a database changes what is enough, and not how
//! fast a real database is.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for a terminal

#[path = "../demo/database.rs"]
#[allow(dead_code)] // the demo's faults
mod database;
#[path = "../../benches/events/mod.rs"]
#[allow(dead_code)] // the benchmarks' medians
mod events;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs};

use clap::Parser;
use penstock_sim::control_command;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use serde_json::Value;

use database::Database;

const TOPIC: &str = "events";
const TIMEOUT: Duration = Duration::from_secs(60);

/// Measures with several latencies of the database.
#[derive(Debug, Parser)]
#[command(name = "sweep")]
struct Arguments {
    /// Latencies of the database, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "0,1,5,20")]
    latencies: Vec<u64>,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=64))]
    partitions: i32,
    /// Number of messages in the topic.
    #[arg(long, default_value_t = 40_000)]
    messages: usize,
    /// How long a step lasts (`penstock bench --step`).
    #[arg(long, default_value = "1s")]
    step: String,
    /// Run as the simulator (this program starts it as a process of its own).
    #[arg(long, hide = true)]
    simulator: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.simulator {
        database::run_simulator().map_err(Into::into)
    } else {
        sweep(&arguments)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sweep: {error}");
            ExitCode::from(1)
        }
    }
}

fn sweep(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let penstock = penstock()?;
    let broker: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1)?;
    broker.create_topic(TOPIC, arguments.partitions, 1)?;
    produce(&broker.bootstrap_servers(), arguments)?;
    let database = Database::start(None)?;
    let Database::Simulated { addr, control, .. } = &database else {
        return Err("no simulator".into());
    };
    let folder = env::temp_dir().join(format!("penstock-sweep-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let file = folder.join("sweep.toml");
    fs::write(&file, configuration(&broker.bootstrap_servers(), addr))?;
    let mut rows = Vec::new();
    let mut measured = Ok(());
    for latency in &arguments.latencies {
        control_command(*control, &format!("delay {latency}ms"))?;
        println!("\n=== a database that takes {latency} ms for each request\n");
        let json = folder.join(format!("{latency}.json"));
        match measure(&penstock, &file, &json, &arguments.step) {
            Ok(figures) => rows.push(row(*latency, &figures)),
            Err(error) => {
                measured = Err(error);
                break;
            }
        }
    }
    fs::remove_dir_all(&folder)?;
    if !rows.is_empty() {
        println!("\n=== side by side, {} partitions\n", arguments.partitions);
        println!("latency  messages/s  p50 ms  p99 ms  CPU µs  batch knee  thread knee  limit");
        rows.iter().for_each(|row| println!("{row}"));
    }
    measured
}

/// The program, built with the profile of this one.
fn penstock() -> Result<PathBuf, Box<dyn Error>> {
    let own = env::current_exe()?;
    let folder = own
        .parent()
        .and_then(Path::parent)
        .ok_or("this program has no folder")?;
    let program = folder.join("penstock");
    if program.exists() {
        return Ok(program);
    }
    Err(format!("there is no {}: build it with the same profile", program.display()).into())
}

fn produce(brokers: &str, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "5")
        // Fewer, larger sets of messages, because the mock broker keeps only a limited number of sets.
        .set("batch.num.messages", "10000")
        .create()?;
    for number in 0..arguments.messages {
        let payload = events::event(number);
        let partition = i32::try_from(number)? % arguments.partitions;
        let mut record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&payload);
        while let Err((error, back)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            record = back;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(TIMEOUT)?;
    Ok(())
}

/// The rules of `examples/events.toml`, for these services.
fn configuration(brokers: &str, database: &str) -> String {
    format!(
        r#"[kafka]
brokers = "{brokers}"
topics = ["{TOPIC}"]
group = "penstock"

[aerospike]
hosts = "{database}"
namespace = "test"

[[route]]
  [[route.write]]
  set = "users"
  key = "user.id"
  bins = {{ country = "user.country", seen = "ts", source = {{ value = "web" }} }}
  add = {{ events = 1 }}

  [[route.write]]
  set = "events"
  key = "id"
  bins = {{ type = "type", user = "user.id", ts = "ts" }}
  ttl = "30d"
"#
    )
}

/// Runs the command, whose result goes to this program's output. Returns its figures.
fn measure(penstock: &Path, file: &Path, json: &Path, step: &str) -> Result<Value, Box<dyn Error>> {
    let status = Command::new(penstock)
        .arg("bench")
        .arg(file)
        .arg("--yes")
        .args(["--step", step, "--max-latency", "1s", "--json"])
        .arg(json)
        .status()?;
    if !status.success() {
        return Err(format!("penstock bench: {status}").into());
    }
    Ok(serde_json::from_slice(&fs::read(json)?)?)
}

fn row(latency: u64, figures: &Value) -> String {
    let best = match &figures["then"] {
        Value::Null => &figures["now"],
        then => then,
    };
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let knee = |sweep: &str, setting: &str| {
        let sweep = &figures["sweeps"][sweep];
        let place = sweep["knee"].as_u64().and_then(|place| usize::try_from(place).ok());
        place.map_or_else(String::new, |place| {
            sweep["points"][place]["settings"][setting].to_string()
        })
    };
    format!(
        "{latency:>4} ms  {:>10.0}  {:>6.2}  {:>6.2}  {:>6.2}  {:>10}  {:>11}  {}",
        number(&best["messages_per_s"]),
        number(&best["call_p50_ms"]),
        number(&best["call_p99_ms"]),
        number(&best["cpu_us_per_message"]),
        knee("batch_rows_max", "batch_rows_max"),
        knee("threads", "threads"),
        figures["limit"].as_str().unwrap_or("?"),
    )
}
