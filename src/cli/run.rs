//! `penstock run`: the service, from its signals to its exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use log::{error, info};

use super::guards::guards;
use super::status_line::StatusLine;
use super::{read_to_connect, report};
use crate::observe::seen::Seen;
use crate::service::supervisor;
use crate::util::exit::Exit;
use crate::util::logging::pairs::Text;
use crate::util::logging::{self, Format as LogFormat};
use crate::util::stop::{Stop, leave_now, stop_on_signals};
use crate::util::version;
use crate::web;
use crate::web::about::about;
use crate::web::heartbeat;

/// The arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration, a TOML file; - is standard input.
    file: PathBuf,
    /// Lines as text or json.
    #[arg(long, env = "PENSTOCK_LOG_FORMAT", value_name = "FORMAT", hide_env_values = true, hide_possible_values = true,
        value_parser = PossibleValuesParser::new(LogFormat::WORDS).map(|word| LogFormat::of(&word)))]
    log_format: Option<LogFormat>,
    /// No line that renews itself, on a terminal either.
    #[arg(short, long)]
    quiet: bool,
    /// A file whose time moves while the service is well.
    #[arg(long, env = "PENSTOCK_HEARTBEAT_FILE", value_name = "PATH", hide_env = true)]
    heartbeat_file: Option<PathBuf>,
}

/// Runs the service until it is told to stop.
pub(super) fn run(arguments: &Run) -> Exit {
    let Run {
        file,
        log_format,
        quiet,
        heartbeat_file,
    } = arguments;
    logging::tell_panics();
    if let Some(format) = log_format {
        logging::set_format(*format);
    }
    // This comes first, so that an early stop is not missed.
    let stop = Stop::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        error!("cannot install the signal handlers error=\"{error}\"");
        return Exit::Panic;
    }
    let mut config = match read_to_connect(file) {
        Ok(config) => config,
        Err(faults) => {
            match log_format {
                Some(LogFormat::Json) => error!("the configuration is refused: {faults}"),
                _ => report(&faults),
            }
            return Exit::Configuration;
        }
    };
    if heartbeat_file.is_some() {
        config.run.heartbeat_file.clone_from(heartbeat_file);
    }
    logging::set_format(log_format.unwrap_or(config.log.format));
    info!(
        "penstock version={} commit={} file={} pid={}",
        version::NUMBER,
        version::COMMIT,
        Text(&file.display().to_string()),
        std::process::id()
    );
    let about = about(&config);
    for (name, values) in &about.settings {
        info!("settings: {name} {values}");
    }
    for line in guards(&config) {
        info!("{line}");
    }
    let seen = Seen::new(about);
    let endpoints = match web::start(&config, &seen) {
        Ok(endpoints) => endpoints,
        Err(exit) => return exit,
    };
    let heartbeat = match heartbeat::start(&config, file, &stop, &seen) {
        Ok(heartbeat) => heartbeat,
        Err(exit) => return exit,
    };
    let status = (!quiet).then(|| StatusLine::start(seen.board.clone()));
    // The panic hook has already printed the panic.
    let exit = catch_unwind(AssertUnwindSafe(|| supervisor::run(&config, &stop, &seen))).unwrap_or(Exit::Panic);
    drop(status);
    drop(endpoints);
    drop(heartbeat);
    info!("exit code={} meaning={exit:?}", exit.code());
    // Threads of the clients may still run. Exit handlers would remove data that these threads use.
    leave_now(exit)
}
