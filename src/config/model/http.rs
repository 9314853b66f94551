//! `[http]`.

use std::net::SocketAddr;

/// `[http]`: what the service shows of itself.
#[derive(Debug, Clone)]
pub struct Http {
    /// An address of this machine, or of all its interfaces (`0.0.0.0`); port 0: a free one.
    pub listen: SocketAddr,
}
