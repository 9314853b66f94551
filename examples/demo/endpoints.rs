//! The HTTP endpoints, as the binary has them with `[http]`.

use std::error::Error;
use std::net::SocketAddr;

use penstock::config::http::PORT;
use penstock::observe::seen::Seen;
use penstock::web;
use penstock::web::server::{Limits, Running, Server};

/// At the port of the documents, or at a free one if that is taken.
pub fn start(seen: &Seen) -> Result<Running, Box<dyn Error>> {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let limits = Limits::default();
    let server = Server::bind(at(PORT), limits).or_else(|_| Server::bind(at(0), limits))?;
    Ok(web::serve(server, seen)?)
}
