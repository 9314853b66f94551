//! The command line: what was asked for, and the exit code that answers it.
//!
//! Here stand the arguments and what the commands share; each command has a file. Results go to standard output, what is
//! wrong with the call or the configuration to standard error, and so does the log. Nothing is coloured but on a terminal.

// `penstock run`: the service.
mod run;
// `penstock check`: what is wrong with a configuration.
mod check;
// `penstock check --connect`: what Kafka and Aerospike say to it.
mod connect;
// `penstock try`: what messages would cause.
mod try_;
// `penstock test`: what they are to cause.
mod test;
// `penstock schema`: the configuration's JSON Schema.
mod schema;
// `penstock completions`: what a shell needs.
mod completions;
// What a configuration does that its author may not want.
mod advice;
// What is said of a configuration's guards, by more than one command.
mod guards;
// Messages that do not come from Kafka.
mod message;
// What a message would cause, by the rules alone.
mod outcome;
// What all messages together came to, by rule.
mod totals;
// JSON for people, and the difference of two.
mod json;
// Colours.
mod terminal;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::config;
use crate::config::model::Config;
use crate::ops::exit::Exit;

/// Kafka topics into Aerospike records: one thread a partition, nothing lost, nothing reordered.
#[derive(Debug, Parser)]
#[command(
    name = "penstock",
    version,
    arg_required_else_help = true,
    after_help = "\
Example:
  penstock check examples/events.toml && penstock run examples/events.toml

Exit codes: 0 asked to stop, 1 try, test or check found something, 64 usage, 65 a message is rejected and holds its partition,
69 unreachable past run.start_timeout, 70 a bug, 75 restart me, 77 credentials refused, 78 configuration,
130/143 second signal. Do not restart after 64, 65, 77, 78.

A FILE that is - is read from standard input. The log goes to standard error; RUST_LOG sets what is shown (info by
default of run, error of the others; e.g. RUST_LOG=penstock=debug)."
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
        /// The configuration, a TOML file; - is standard input.
        file: PathBuf,
    },
    /// Check a configuration and say everything that is wrong with it; contacts nobody unless told to.
    #[command(after_help = "\
Examples:
  penstock check examples/events.toml
  penstock check examples/events.toml --connect

With --connect each finding is a line: ok, warning or error, what it is about, what was found; and a line with the cure. Nothing is
written, no group is joined. Exit code 1: there is an error; 69: Kafka or Aerospike is not reachable within run.start_timeout (10 s, if it
sets none); 77: access is refused; 78: the configuration is wrong.")]
    Check {
        /// The configuration, a TOML file; - is standard input.
        file: PathBuf,
        /// Ask Kafka and Aerospike, too, and say what would go wrong.
        #[arg(long)]
        connect: bool,
    },
    /// Say of messages what they would cause: verdict, records, messages to be produced. Joins no group, writes nothing.
    #[command(after_help = "\
Examples:
  echo '{\"user\": {\"id\": \"u1\"}, \"id\": \"e1\"}' | penstock try examples/events.toml
  penstock try examples/events.toml --input messages.jsonl --json
  penstock try examples/events.toml --from-topic 10

Each line of MESSAGES is a payload as it is (JSON, or whatever else comes); with --envelope it is an object with the members
topic, partition, offset, timestamp, key, headers and payload, all of which can be left out. Exit code 1: one is rejected.")]
    Try(try_::Try),
    /// Hold configurations against their fixtures: messages, and what the rules are to make of them.
    #[command(after_help = "\
Examples:
  penstock test examples/profile.toml
  penstock try examples/events.toml --input messages.jsonl --json > events.fixtures.json

A fixture has the form of a line of `penstock try --json`, and can have a name. Exit code 1: one differs.")]
    Test(test::Test),
    /// Print the JSON Schema of the configuration, for editors that complete and check it as it is written.
    #[command(after_help = "Example:\n  penstock schema > penstock.schema.json\n\n\
                      Name it in the first line of a configuration, for editors that read TOML with taplo:\n  \
                      #:schema ./penstock.schema.json")]
    Schema,
    /// Print a shell's completions of this command line.
    #[command(after_help = "Example:\n  penstock completions bash > /etc/bash_completion.d/penstock")]
    Completions {
        /// Whose completions.
        shell: Shell,
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
    let is_service = matches!(arguments.command, Command::Run { .. });
    start_log(is_service);
    match arguments.command {
        Command::Run { file } => run::run(&file),
        Command::Check { file, connect } => check::check(&file, connect),
        Command::Try(arguments) => try_::try_messages(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Schema => schema::schema(),
        Command::Completions { shell } => completions::completions(shell),
    }
}

fn start_log(is_service: bool) {
    // The client calls every attempt that it will repeat an error; what it means for us is said by `store`. What a command
    // finds, it says itself.
    let shown = if is_service {
        "info,aerospike_core=off"
    } else {
        "error,aerospike_core=off,librdkafka=off,rdkafka=off"
    };
    let filter = env_logger::Env::default().default_filter_or(shown);
    env_logger::Builder::from_env(filter).format_timestamp_millis().init();
}

/// Whether this argument stands for standard input.
fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// What a person calls this argument.
fn shown(file: &Path) -> String {
    if is_stdin(file) {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

/// Says what is wrong with the call.
fn refuse(problem: &str) -> Exit {
    let _ = writeln!(io::stderr().lock(), "{problem}");
    Exit::Usage
}

/// As [`load`], for whoever is to connect with it: the files of TLS have to be there.
fn load_to_connect(file: &Path) -> Option<Config> {
    let config = load(file)?;
    let faults = config::tls_files::look(&config.kafka);
    if faults.is_empty() {
        return Some(config);
    }
    let faults = config::Faults {
        file: shown(file),
        faults,
    };
    let _ = writeln!(io::stderr().lock(), "{faults}");
    None
}

/// The configuration in `file`, or its faults told.
fn load(file: &Path) -> Option<Config> {
    let loaded = if is_stdin(file) {
        config::load_from(io::stdin().lock(), &shown(file))
    } else {
        config::load(file)
    };
    match loaded {
        Ok(config) => Some(config),
        Err(faults) => {
            // A report for a person, not a log line.
            let _ = writeln!(io::stderr().lock(), "{faults}");
            None
        }
    }
}
