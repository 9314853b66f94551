//! The command line: what was asked for, and the exit code that answers it.

use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand};
use log::{error, info};

use crate::config;
use crate::config::model::{Config, Name, StallAction};
use crate::ops::counters::Counters;
use crate::ops::exit::Exit;
use crate::pipeline::map::Mapping;
use crate::shutdown::{Stop, leave_now, stop_on_signals};
use crate::supervisor;

/// Kafka topics into Aerospike records: one thread a partition, nothing lost, nothing reordered.
#[derive(Debug, Parser)]
#[command(
    name = "penstock",
    version,
    arg_required_else_help = true,
    after_help = "\
Exit codes: 0 asked to stop, 1 check found something, 64 usage, 65 a message is rejected and holds its partition,
69 unreachable past run.start_timeout, 70 a bug, 75 restart me, 77 credentials refused, 78 configuration,
130/143 second signal. Do not restart after 64, 65, 77, 78.

The log goes to standard error; RUST_LOG sets what is shown (info by default; e.g. RUST_LOG=penstock=debug)."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until it is told to stop (SIGINT, SIGTERM).
    #[command(after_help = "Example:\n  penstock run examples/events.toml")]
    Run {
        /// The configuration, a TOML file.
        file: PathBuf,
    },
    /// Check a configuration and say everything that is wrong with it; contacts nobody.
    #[command(after_help = "Example:\n  penstock check examples/events.toml")]
    Check {
        /// The configuration, a TOML file.
        file: PathBuf,
    },
}

/// Runs the command of this process's arguments.
pub fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Stopped };
            // Where it cannot be shown, the exit code still tells.
            let _ = error.print();
            return exit;
        }
    };
    start_log();
    match arguments.command {
        Command::Run { file } => run(&file),
        Command::Check { file } => check(&file),
    }
}

fn start_log() {
    // The client calls every attempt that it will repeat an error; what it means for us is said by `store`.
    let filter = env_logger::Env::default().default_filter_or("info,aerospike_core=off");
    env_logger::Builder::from_env(filter).format_timestamp_millis().init();
}

fn load(file: &Path) -> Option<Config> {
    match config::load(file) {
        Ok(config) => Some(config),
        Err(faults) => {
            // A report for a person, not a log line.
            let _ = writeln!(io::stderr().lock(), "{faults}");
            None
        }
    }
}

fn check(file: &Path) -> Exit {
    match load(file) {
        Some(config) => {
            let writes: usize = config.routes.iter().map(|route| route.writes.len()).sum();
            let _ = writeln!(
                io::stdout().lock(),
                "{}: ok: {} topic(s), {} route(s), {writes} write(s)",
                file.display(),
                config.kafka.topics.len(),
                config.routes.len()
            );
            for line in guards(&config) {
                let _ = writeln!(io::stdout().lock(), "{line}");
            }
            Exit::Stopped
        }
        None => Exit::Configuration,
    }
}

fn run(file: &Path) -> Exit {
    // Before anything else: a stop that comes early is a stop.
    let stop = Stop::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        error!("cannot install the signal handlers error=\"{error}\"");
        return Exit::Panic;
    }
    let Some(config) = load(file) else {
        return Exit::Configuration;
    };
    info!(
        "penstock version={} file={} pid={}",
        env!("CARGO_PKG_VERSION"),
        file.display(),
        std::process::id()
    );
    for line in effective_settings(&config) {
        info!("settings: {line}");
    }
    for line in guards(&config) {
        info!("{line}");
    }
    let counters = Arc::new(Counters::new());
    // The panic itself was printed by the panic hook.
    let exit = catch_unwind(AssertUnwindSafe(|| supervisor::run(&config, &stop, &counters))).unwrap_or(Exit::Panic);
    info!("exit code={} meaning={exit:?}", exit.code());
    // Threads of the clients may still run, and must not meet exit handlers that take away what they use.
    leave_now(exit)
}

fn name(name: &Name) -> &str {
    match name {
        Name::Fixed(name) if name.is_empty() => "none",
        Name::Fixed(name) => name,
        Name::FromMessage { value, .. } => &value.written,
    }
}

/// Which writes are guarded, why, and what that costs.
fn guards(config: &Config) -> Vec<String> {
    // A rule that cannot be compiled is told by whoever runs it.
    let Ok(mapping) = Mapping::compile(config) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (topic, rules) in mapping.topics() {
        for write in rules.guards() {
            let line = write.line;
            lines.push(match write.reason {
                Some(reason) => format!(
                    "guards: topic={topic} line={line} guarded=yes reason=\"{}\"",
                    reason.as_str()
                ),
                None if write.takes_guards_along => format!(
                    "guards: topic={topic} line={line} guarded=no note=\"replace ends the guards and counters of records that \
                     another write guards\""
                ),
                None => format!("guards: topic={topic} line={line} guarded=no"),
            });
        }
    }
    if mapping.is_guarded() {
        lines.push(
            "guards: cost: in each record of a guarded write one more bin (a name of 15 bytes, an integer) for each \
             partition that writes it, and a condition to check; see \"Guards\" in docs/ARCHITECTURE.md"
                .to_owned(),
        );
    }
    lines
}

/// What the service will do, without secrets: values of librdkafka properties are not shown, since any may be one.
fn effective_settings(config: &Config) -> Vec<String> {
    let run = &config.run;
    let kafka = &config.kafka;
    let names = |properties: &[(String, config::model::Secret)]| {
        properties
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut lines = vec![
        format!(
            "run memory={}MiB partitions_max={} batch_rows_max={} batch_bytes_max={}KiB commit_interval={:?} \
             write_timeout={:?} shutdown_grace={:?} start_timeout={} stall_after={:?} stall_action={} \
             rows_in_flight_max={} rows_per_second_max={} guard_epoch={}",
            run.memory_bytes / (1024 * 1024),
            run.partitions_max,
            run.batch_rows_max,
            run.batch_bytes_max / 1024,
            run.commit_interval,
            run.write_timeout,
            run.shutdown_grace,
            run.start_timeout.map_or_else(|| "none".into(), |t| format!("{t:?}")),
            run.stall_after,
            match run.stall_action {
                StallAction::Report => "report",
                StallAction::Exit => "exit",
            },
            run.rows_in_flight_max,
            run.rows_per_second_max.unwrap_or(0),
            run.guard_epoch,
        ),
        format!(
            "kafka brokers={} topics={} group={} start={:?} offset_gone={:?} format={:?} properties=[{}]",
            kafka.brokers,
            kafka.topics.join(","),
            kafka.group,
            kafka.start,
            kafka.offset_gone,
            kafka.format,
            names(&kafka.consumer_properties),
        ),
        format!(
            "aerospike hosts={} namespace={} user={}",
            config.aerospike.hosts,
            config.aerospike.namespace,
            config.aerospike.credentials.as_ref().map_or("none", |(user, _)| user),
        ),
    ];
    for route in &config.routes {
        for write in &route.writes {
            lines.push(format!(
                "write line={} topics={} namespace={} set={} key={} each={}",
                write.line,
                route.topics.join(","),
                name(&write.namespace),
                name(&write.set),
                write.key.written,
                write.each.is_some(),
            ));
        }
    }
    lines
}
