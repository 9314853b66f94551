//! What the service shows of itself over HTTP, where `[http]` says so: `/metrics`, `/livez`, `/readyz`, `/status`, and a
//! page for people. `docs/reference/http.md` describes them.
//!
//! One thread, `http`. It reads the board and the counters, and changes nothing. Knows nothing of Kafka or Aerospike.

// A small server: sockets in, answers out.
pub mod server;
// Which path gets which answer.
pub mod routes;
// The JSON of `/status`.
mod status;
// The decisions of `/livez` and `/readyz`.
pub mod health;
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

/// The endpoints of a service with this configuration, where its `[http]` asks for them. Call it before the service: who
/// waits for Kafka or Aerospike can be asked for what. They end when the answer is dropped.
///
/// # Errors
/// The exit code, once the reason is logged: the address is taken, for example.
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

/// Serves the endpoints until the answer is dropped.
///
/// # Errors
/// If the operating system refuses the thread.
pub fn serve(server: Server, seen: &Seen) -> io::Result<Running> {
    let routes = Routes::new(seen.clone());
    server.start(move |request| routes.answer(request))
}
