//! Compares rates: runs the whole service over messages of a real broker, again and again in one run.
//!
//! There are three comparisons. `poison`: the cost of messages that become dead letters, with the same rules and one message
//! in a hundred changed. `writers`: the CPU of the two writers of `aerospike.writer`. `scale`: what a second process of the
//! group costs, and what more partitions cost; only when it is asked for. `make rates`, `make bench-service` and
//! `make bench-scale` start the broker. The simulator is a process of its own. Both share the machine with the service, so
//! only the ratios matter. If a ratio is beyond its limit, or the account does not balance, the exit code is 1.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for a terminal

// Messages, the service that consumes them by turns, and its CPU time by thread.
#[path = "../../benches/common/mod.rs"]
mod common;
mod poison;
mod writers;
mod scale;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use common::{database, turns};

/// As in the program, `src/main.rs`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Side by side: one set of rules or of messages against another.
#[derive(Debug, Parser)]
#[command(name = "rates")]
struct Arguments {
    /// Brokers of a real Kafka.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Number of messages.
    #[arg(long, default_value_t = 600_000)]
    messages: u64,
    /// How often clean and poisoned messages, and the two writers, are run, in turns.
    #[arg(long, default_value_t = 16)]
    pairs: u32,
    /// One message in this many is poisoned; the limit for the cost of poison applies only at 100.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    poisoned_of: u64,
    /// Number of poisoned messages of 5 MB, and of clean ones of that size; the limit for the cost of poison applies only
    /// at 3.
    #[arg(long, default_value_t = 3)]
    huge: u64,
    /// How often each number of partitions and processes is run.
    #[arg(long, default_value_t = 5)]
    scale_rounds: u32,
    /// Only this comparison.
    #[arg(long)]
    only: Option<Comparison>,
    /// Run as the simulator (this program starts it as a process of its own).
    #[arg(long, hide = true)]
    simulator: bool,
    /// Run as the service (this program starts it as a process of its own).
    #[arg(long, hide = true)]
    service: bool,
    /// Run as one of several members of a group (this program starts it as a process of its own).
    #[arg(long, hide = true)]
    member: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Comparison {
    Poison,
    Writers,
    Scale,
}

fn main() -> ExitCode {
    // A log line for each reason of a dead letter would break the tables.
    env_logger::Builder::from_env(
        env_logger::Env::default().default_filter_or(
            "warn,penstock::partition::pending=error,librdkafka=off,aerospike_core=off,aerospike=off",
        ),
    )
    .init();
    let arguments = Arguments::parse();
    let result = if arguments.simulator {
        database::run_simulator().map(|()| true).map_err(Into::into)
    } else if arguments.service {
        turns::run_service(arguments.messages).map(|()| true)
    } else if arguments.member {
        scale::run_member().map(|()| true)
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

fn rates(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let brokers = arguments
        .kafka
        .as_deref()
        .ok_or("--kafka is needed: make rates starts one")?;
    let messages = arguments.messages;
    let wanted = |comparison| arguments.only.is_none_or(|only| only == comparison);
    let mut all_right = true;
    if wanted(Comparison::Poison) {
        let mix = poison::Mix {
            messages,
            poisoned_of: arguments.poisoned_of,
            huge: arguments.huge,
        };
        all_right &= poison::compare(brokers, mix, arguments.pairs)?;
    }
    if wanted(Comparison::Writers) {
        all_right &= writers::compare(brokers, messages, arguments.pairs)?;
    }
    if arguments.only == Some(Comparison::Scale) {
        scale::compare(brokers, messages, arguments.scale_rounds)?;
    }
    Ok(all_right)
}
