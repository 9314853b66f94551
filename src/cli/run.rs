//! `penstock run`: the service, from its signals to its exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use log::{error, info};

use super::guards::guards;
use super::load_to_connect;
use crate::observe::seen::Seen;
use crate::service::supervisor;
use crate::util::exit::Exit;
use crate::util::stop::{Stop, leave_now, stop_on_signals};
use crate::web;
use crate::web::about::about;

/// Runs the service until it is told to stop.
pub(super) fn run(file: &Path) -> Exit {
    // This comes first, so that an early stop is not missed.
    let stop = Stop::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        error!("cannot install the signal handlers error=\"{error}\"");
        return Exit::Panic;
    }
    let Some(config) = load_to_connect(file) else {
        return Exit::Configuration;
    };
    info!(
        "penstock version={} file={} pid={}",
        env!("CARGO_PKG_VERSION"),
        file.display(),
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
    // The panic hook has already printed the panic.
    let exit = catch_unwind(AssertUnwindSafe(|| supervisor::run(&config, &stop, &seen))).unwrap_or(Exit::Panic);
    drop(endpoints);
    info!("exit code={} meaning={exit:?}", exit.code());
    // Threads of the clients may still run. Exit handlers would remove data that these threads use.
    leave_now(exit)
}
