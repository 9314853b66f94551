//! Compares designs for the same work: other programs as their advocates would write them, beside this service.
//!
//! Each design runs in a process of its own, on a real broker and with a simulator of its own, and is watched from
//! outside. `make bench-designs` starts the broker. `work.rs` has the work, `design.rs` the list of designs. If a gate
//! does not hold, the exit code is 1. What the figures mean is in `docs/benchmarks/designs.md`.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for a terminal
#![allow(clippy::expect_used)] // as short as their advocates would write them

#[path = "../common/mod.rs"]
mod common;
// The designs, and what they share.
mod work;
mod serial;
mod rayon_batches;
mod tasks;
mod spawn_blocking;
mod num_workers;
mod mpsc;
mod flume_workers;
mod async_channel_workers;
// What is measured of them.
mod design;
mod process;
mod rate;
mod silence;
mod order;
mod outcome;
mod gates;
mod driver;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use common::database;
use work::{Form, Setup};

/// As in the program, `src/main.rs`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Compares designs: rate, CPU, memory, losses, order.
#[derive(Debug, Parser)]
#[command(name = "designs")]
pub struct Arguments {
    /// Brokers of a real Kafka.
    #[arg(long, value_name = "HOST:PORT", default_value = "")]
    kafka: String,
    /// Only these designs: 1 to 8, or 5a.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Tries all of it in some two minutes. The gates are not checked.
    #[arg(long)]
    short: bool,
    /// How often rates are measured.
    #[arg(long)]
    rounds: Option<u32>,
    /// Write table and charts into docs/benchmarks.
    #[arg(long)]
    docs: bool,
    /// Run as a design (this program starts it as a process of its own).
    #[arg(long, hide = true)]
    run: Option<String>,
    #[arg(long, hide = true, default_value = "single")]
    form: Form,
    #[arg(long, hide = true, default_value = "")]
    topic: String,
    #[arg(long, hide = true, default_value = "")]
    group: String,
    #[arg(long, hide = true, default_value = "")]
    hosts: String,
    /// Run as the simulator (this program starts it as a process of its own).
    #[arg(long, hide = true)]
    simulator: bool,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(
        env_logger::Env::default().default_filter_or("warn,librdkafka=off,aerospike_core=off"),
    )
    .init();
    let arguments = Arguments::parse();
    let result = if arguments.simulator {
        database::run_simulator().map(|()| true).map_err(Into::into)
    } else if let Some(id) = &arguments.run {
        run(id, &arguments)
    } else {
        driver::compare(&arguments)
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("designs: {error}");
            ExitCode::from(1)
        }
    }
}

fn run(id: &str, arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let setup = Setup {
        brokers: arguments.kafka.clone(),
        topic: arguments.topic.clone(),
        group: arguments.group.clone(),
        hosts: arguments.hosts.clone(),
        form: arguments.form,
    };
    design::run(id, &setup)?;
    Ok(true)
}
