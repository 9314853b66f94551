//! The command line: the arguments, and the exit code.
//!
//! This file has the arguments and what the commands share; each command has a file of its own. Results go to standard
//! output. The log, and errors of the call or the configuration, go to standard error. Colours appear only on a
//! terminal.

// `penstock run`: the service.
mod run;
// `penstock check`: what is wrong with a configuration.
mod check;
// `penstock check --connect`: asks Kafka and Aerospike about it.
mod connect;
// `penstock try`: what messages would cause.
mod try_;
// `penstock replay`: dead letters once more.
mod replay;
// `penstock dead`: what is in a topic of dead letters.
mod dead;
// `penstock skip`: the group goes on past one message.
mod skip;
// `penstock test`: compares that with what is expected.
mod test;
// `penstock bench`: how fast it is on these services.
mod bench;
// `penstock health`: asks a running service whether it is well.
mod health;
// `penstock schema`: the configuration's JSON Schema.
mod schema;
// `penstock completions`: completions for a shell.
mod completions;
// `penstock man`: the manual pages.
mod man;
// `penstock init`: writes a configuration.
mod init;
// The newest messages of a topic.
mod newest;
// Settings that are probably not what the author wants.
mod advice;
// The description of a configuration's guards, for several commands.
mod guards;
// Messages that do not come from Kafka.
mod message;
// What a message would cause, by the rules alone.
mod outcome;
// The totals of all messages, by rule.
mod totals;
// JSON for people, and the difference of two JSON texts.
mod json;
// Text of others, without what a terminal obeys.
mod visible;
// Colours.
mod terminal;
// The line of `run` that renews itself.
mod status_line;
// What the fuzz targets call.
#[doc(hidden)]
pub mod fuzzing;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use log::warn;

use crate::config;
use crate::config::model::Config;
use crate::util::core_dumps::{self, CoreDumps};
use crate::util::exit::Exit;
use crate::util::logging::{self, as_error};
use crate::util::version;

/// Kafka topics into Aerospike records: one thread per partition, nothing lost.
// Every line of help fits 80 columns: clap does not wrap it.
#[derive(Debug, Parser)]
#[command(
    name = "penstock",
    version = version::LONG,
    arg_required_else_help = true,
    after_help = "\
Example:
  penstock check examples/events.toml && penstock run examples/events.toml

Exit codes:
  0    asked to stop, or nothing was found
  1    a command other than run found something, or refused
  64   the command line is wrong
  65   a message is rejected and holds its partition or stops the service,
       or the next offset is gone (kafka.offset_gone)
  69   Kafka or Aerospike is not reached within run.start_timeout
  70   a bug
  75   start it again: the end took too long, or it could not go on
  77   credentials or rights are refused
  78   the configuration is wrong
  130  a second signal
Do not restart after 64, 65, 77 and 78: a person must act first.

A FILE that is - is read from standard input. The log goes to standard error.
PENSTOCK_LOG, or RUST_LOG where that is not set, says what is logged, e.g.
PENSTOCK_LOG=penstock=debug; without both it is info for run, warn for replay,
and error for the others."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until it is told to stop (SIGINT, SIGTERM).
    #[command(after_help = "\
Examples:
  penstock run examples/events.toml
  penstock run --log-format json examples/events.toml

On a terminal the last line shows the state, and renews itself. PENSTOCK_LOG,
or RUST_LOG where that is not set, says what is logged: a level, or levels by
module (info,penstock=debug). Without both it is info. The variable
PENSTOCK_HEARTBEAT_FILE does what --heartbeat-file does, for supervisors.
PENSTOCK_CORE_DUMPS=1 allows core dumps, which have passwords in them.")]
    Run(run::Run),
    /// Say everything that is wrong with a configuration.
    #[command(after_help = "\
Examples:
  penstock check examples/events.toml
  penstock check examples/events.toml --connect

Without --connect nobody is contacted. With it each finding is a line: ok,
warning or error, what it is about and what was found; the cure is on the next
line. Nothing is written, no group is joined.

Exit codes:
  0   no error, perhaps warnings
  1   --connect found an error
  69  Kafka or Aerospike is not reached within run.start_timeout (10 s if it
      sets none)
  77  access is refused
  78  the configuration is wrong")]
    Check {
        /// The configuration, a TOML file; - is standard input.
        file: PathBuf,
        /// Ask Kafka and Aerospike, too, and say what would go wrong.
        #[arg(long)]
        connect: bool,
    },
    /// Show what messages would cause; joins no group, writes nothing.
    #[command(after_help = "\
Examples:
  echo '{\"user\": {\"id\": \"u1\"}, \"id\": \"e1\"}' | penstock try examples/events.toml
  penstock try examples/events.toml --input messages.jsonl --json
  penstock try examples/events.toml --from-topic 10

Each line of MESSAGES is one message: its payload as it is (JSON, or whatever
else comes). With --envelope each line is an object with the members topic,
partition, offset, timestamp, key, headers and payload; each may be left out.
Lines need --topic where the configuration has several topics. TIME is
RFC 3339, or milliseconds since 1970. Exit code 1: a message is rejected.")]
    Try(try_::Try),
    /// Compare what configurations do with their fixtures.
    #[command(after_help = "\
Examples:
  penstock test examples/profile.toml
  penstock try orders.toml --input messages.jsonl --json > orders.fixtures.json

Fixtures are messages with what the rules are to make of them. A fixture has
the form of a line of `penstock try --json`, and can have a name. --update
replaces what the fixtures expect: read the difference before you keep it.
Exit code 1: a fixture differs.")]
    Test(test::Test),
    /// Replay dead letters through today's configuration.
    #[command(after_help = "\
Examples:
  penstock replay events.toml --dry-run
  penstock replay events.toml --reason field_missing
  penstock replay events.toml --since 2h --keep-newer

It writes what the letters list as not done, and each row once, however often
it is started. The service may run meanwhile. A write that sets or deletes is
done only where no later message of its partition has written the record;
where nobody can tell, it is left, and the rest of its message is written.
What fails again becomes a new letter. TIME is RFC 3339, a date, or how long
ago (2h, 3d); it is compared with the time when the letter was made.

Exit codes:
  0   all selected letters are done
  1   some failed again, or are refused
  64  the command line is wrong, or there is no such topic or reason
  69  Kafka or Aerospike is not reached within run.start_timeout (10 s if it
      sets none)
  75  stopped before the end: start it again
  77  access is refused
  78  the configuration is wrong")]
    Replay(replay::Replay),
    /// Count the dead letters of a topic by reason, write and day.
    #[command(after_help = "\
Examples:
  penstock dead events.toml
  penstock dead events.toml --since 2h --reason field_missing
  penstock dead events.toml --show 5 | penstock try events.toml --envelope

Each group has one example: the place of the message, the letter's own place,
and the detail. A message with several letters counts once, in the group of
its newest letter. Keys and payloads are shown only with --show: a line is an
envelope for `penstock try --envelope`, and the counts go to standard error.
TIME is RFC 3339, a date, or how long ago (2h, 3d); it is compared with the
time when the letter was made. No group is joined, nothing is committed.

Exit codes:
  0   letters were found
  1   none were found, or a part of the topic could not be read
  64  no topic is configured or named, or there is no such topic or reason
  69  Kafka is not reached within run.start_timeout (10 s if it sets none)
  77  access is refused
  78  the configuration is wrong")]
    Dead(dead::Dead),
    /// Let a held partition go on past one message, and keep the message.
    #[command(after_help = "\
Examples:
  penstock skip events.toml events:3:77
  penstock skip events.toml events:3:77 --yes --to-file events-3-77.json
  penstock skip events.toml events:3:77 --to-topic=events.skipped
  penstock skip events.toml --from-file events-3-77.json

Stop the service first: Kafka refuses it while the group has members. The
message is shown (key and payload only with --show), and kept: as a dead
letter in [reject].topic, or in a file that `penstock try --envelope` reads.
Then the group's offset is set behind it. A call that is killed in between
has skipped nothing: call again. The message may then be kept twice.

To apply a kept message later, when the cause is mended: `penstock replay`
takes the dead letter. A file becomes one with --from-file, which skips
nothing and may run beside the service.

Exit codes:
  0   it is skipped; with --from-file: the letter is made
  1   it is not: the group has members, or its next message is another one
  64  the command line is wrong, or the file cannot be written
  69  Kafka is not reached in time, or has not taken the message
  77  access is refused
  78  the configuration is wrong")]
    Skip(skip::Skip),
    /// Measure how fast it is on your own services, and what limits it.
    #[command(after_help = "\
Examples:
  penstock bench events.toml
  penstock bench events.toml --max-rate 20000 --yes --json figures.json
  penstock bench events.toml --messages-from messages.jsonl --partitions 12
  penstock bench events.toml --clean

It reads the newest messages of the topics outside of the group, and takes
them again and again through the rules and into the set penstock_bench of the
same namespaces. It writes nothing else, commits nothing and produces nothing.
Before it writes, it says how much, and asks. The records are deleted at the
end; if it is killed, the next call deletes them. It stops at the first sign
that the database has enough.

Exit codes:
  0   measured
  1   stopped before the end, or refused: nothing to measure, the database has
      enough, or the answer was no
  64  the command line is wrong, or a file cannot be read or written
  69  Kafka or Aerospike is not reached within run.start_timeout (10 s if it
      sets none)
  77  access is refused
  78  the configuration is wrong")]
    Bench(bench::Bench),
    /// Ask a running service on this machine whether it is well.
    #[command(after_help = "\
Examples:
  penstock health 127.0.0.1:7367
  penstock health --ready /etc/penstock/events.toml

It asks there, or at the http.listen of the file, for at most 4 seconds. For
the health check of a container, which has no curl.

Exit codes:
  0   it is alive; with --ready: messages can flow
  1   it is not; each line says why
  69  nobody answers there
  78  the configuration is wrong, or has no [http]")]
    Health(health::Health),
    /// Write a first configuration, from answers or from sample messages.
    #[command(after_help = "\
Examples:
  penstock init events.toml
  penstock init events.toml --topic events --from-topic
  penstock init --topic events --from messages.jsonl > events.toml

On a terminal it asks for what the options leave open; Enter takes the default.
With --yes, or without a terminal, it asks nothing and takes the defaults.
From samples it proposes a key, bins and more: types are shown, values are not.
A secret is given as a reference: --property 'sasl.password=${file:kafka.pw}'.
Only what `penstock check` accepts is written, and no file is overwritten.")]
    Init(init::Init),
    /// Print the JSON Schema of the configuration, for editors.
    #[command(after_help = "\
Example:
  penstock schema > penstock.schema.json

Editors complete and check a configuration with it. Those that read TOML with
taplo find it by the first line of the configuration:
  #:schema ./penstock.schema.json")]
    Schema,
    /// Print completions of this command line for a shell.
    #[command(after_help = "Example:\n  penstock completions bash > /etc/bash_completion.d/penstock")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write all of them into a folder.
    #[command(after_help = "\
Examples:
  penstock man | man -l -
  penstock man /usr/local/share/man/man1

With FOLDER it writes penstock.1 and a page for each command.")]
    Man {
        /// Where the pages are written to; it is made if it is missing.
        folder: Option<PathBuf>,
    },
}

/// Runs the command in this process's arguments.
pub fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Stopped };
            // If it cannot be printed, the exit code still tells.
            let _ = error.print();
            return exit;
        }
    };
    // The client logs every failed attempt as an error, even if it repeats the attempt; our module `aerospike` logs
    // what matters. The other commands report their findings themselves.
    logging::start(match arguments.command {
        Command::Run(_) => "info,aerospike_core=off",
        Command::Replay(_) => "warn,penstock::util::stop=info,aerospike_core=off",
        _ => "error,aerospike_core=off,librdkafka=off,rdkafka=off",
    });
    match core_dumps::forbid() {
        Ok(CoreDumps::Forbidden) => {}
        Ok(CoreDumps::AsTheyWere) => warn!(
            "core dumps: allowed by {}; a core file has the passwords and messages in memory",
            core_dumps::VARIABLE
        ),
        Err(error) => {
            warn!(
                "core dumps: cannot be forbidden; a core file has the passwords and messages in memory error=\"{error}\""
            );
        }
    }
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check { file, connect } => check::check(&file, connect),
        Command::Try(arguments) => try_::try_messages(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Replay(arguments) => replay::replay_letters(&arguments),
        Command::Dead(arguments) => dead::dead_letters(&arguments),
        Command::Skip(arguments) => skip::skip_message(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Health(arguments) => health::health(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Schema => schema::schema(),
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { folder } => man::man(folder.as_deref()),
    }
}

/// Whether this argument means standard input.
fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The name of this file in texts for people, on one line.
fn shown(file: &Path) -> String {
    if is_stdin(file) {
        "standard input".to_owned()
    } else {
        visible::visible(&file.display().to_string())
    }
}

/// Prints what is wrong with the call.
fn refuse(problem: &str) -> Exit {
    let _ = writeln!(io::stderr().lock(), "{}", as_error(problem));
    Exit::Usage
}

/// Like [`load`], for commands that connect: the TLS files must exist.
fn load_to_connect(file: &Path) -> Option<Config> {
    read_to_connect(file).map_err(|faults| report(&faults)).ok()
}

/// The configuration in `file`, for commands that connect.
fn read_to_connect(file: &Path) -> Result<Config, config::Faults> {
    let config = read(file)?;
    let faults = config::kafka::tls_files::look(&config.kafka);
    if faults.is_empty() {
        return Ok(config);
    }
    Err(config::Faults {
        file: shown(file),
        faults,
    })
}

/// The configuration in `file`. If it has faults, prints them.
fn load(file: &Path) -> Option<Config> {
    read(file).map_err(|faults| report(&faults)).ok()
}

fn read(file: &Path) -> Result<Config, config::Faults> {
    if is_stdin(file) {
        config::load_from(io::stdin().lock(), &shown(file))
    } else {
        config::load(file)
    }
}

/// Prints what is wrong with a configuration: a report for a person, not a log line.
fn report(faults: &config::Faults) {
    let _ = writeln!(io::stderr().lock(), "{}", as_error(&faults.to_string()));
}
