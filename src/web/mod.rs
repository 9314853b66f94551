//! What the service shows of itself. The HTTP endpoints, if `[http]` turns them on: `/metrics`, `/livez`, `/readyz`,
//! `/status`, and a page for people (`docs/reference/http.md`). And the heartbeat for supervisors, if one asks for it
//! (`docs/reference/heartbeat.md`).
//!
//! They run on a thread each, `http` and `heartbeat`. These read the board and the counters, and change nothing. Know
//! nothing of Kafka or Aerospike.

// A small HTTP server.
pub mod server;
// Which path gets which answer.
pub mod routes;
// The JSON of `/status`.
mod status;
// The decisions of `/livez` and `/readyz`.
pub mod health;
// The heartbeat for supervisors, which follows `/livez`.
pub mod heartbeat;
// The text of `/metrics`.
pub mod metrics;
// What does not change while the process runs: settings, topics, sets.
pub mod about;

use std::io;

use log::{error, info};

use crate::config::model::Config;
use crate::observe::seen::Seen;
use crate::util::exit::Exit;
use routes::Routes;
use server::{Limits, Running, Server};

/// Starts the endpoints of a service with this configuration, if its `[http]` turns them on. Call it before the service
/// starts: the endpoints then show what the service waits for, such as Kafka or Aerospike. They end when the returned
/// value is dropped.
///
/// # Errors
/// The exit code. The reason has been logged: for example, the address is in use.
pub fn start(config: &Config, seen: &Seen) -> Result<Option<Running>, Exit> {
    let Some(http) = &config.http else {
        return Ok(None);
    };
    let server = Server::bind(http.listen, Limits::default()).map_err(|error| {
        error!("{error}");
        Exit::Configuration
    })?;
    let running = serve(server, seen).map_err(|error| {
        error!("http: cannot start a thread error=\"{error}\"");
        Exit::Restart
    })?;
    info!("http: listening address=http://{}/", running.address());
    Ok(Some(running))
}

/// Serves the endpoints until the returned value is dropped.
///
/// # Errors
/// If the operating system cannot start the thread.
pub fn serve(server: Server, seen: &Seen) -> io::Result<Running> {
    let routes = Routes::new(seen.clone());
    server.start(move |request| routes.answer(request))
}
