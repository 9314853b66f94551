//! The command line: what was asked for, and the exit code that answers it.
//!
//! Here stand the arguments and what the commands share; each command has a file. Results go to standard output, what is
//! wrong with the call or the configuration to standard error, and so does the log. Nothing is coloured but on a terminal.

// `penstock run`: the service.
mod run;
// `penstock check`: what is wrong with a configuration.
mod check;
// `penstock schema`: the configuration's JSON Schema.
mod schema;
// `penstock completions`: what a shell needs.
mod completions;
// What is said of a configuration's guards, by more than one command.
mod guards;

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

Exit codes: 0 asked to stop, 1 check found something, 64 usage, 65 a message is rejected and holds its partition,
69 unreachable past run.start_timeout, 70 a bug, 75 restart me, 77 credentials refused, 78 configuration,
130/143 second signal. Do not restart after 64, 65, 77, 78.

A FILE that is - is read from standard input. The log goes to standard error; RUST_LOG sets what is shown (info by
default; e.g. RUST_LOG=penstock=debug)."
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
    /// Check a configuration and say everything that is wrong with it; contacts nobody.
    #[command(after_help = "Example:\n  penstock check examples/events.toml")]
    Check {
        /// The configuration, a TOML file; - is standard input.
        file: PathBuf,
    },
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
    start_log();
    match arguments.command {
        Command::Run { file } => run::run(&file),
        Command::Check { file } => check::check(&file),
        Command::Schema => schema::schema(),
        Command::Completions { shell } => completions::completions(shell),
    }
}

fn start_log() {
    // The client calls every attempt that it will repeat an error; what it means for us is said by `store`.
    let filter = env_logger::Env::default().default_filter_or("info,aerospike_core=off");
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
