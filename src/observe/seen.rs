//! Where the service shows its state. The program that runs the service passes this in.

use std::sync::Arc;
use std::time::SystemTime;

use super::counters::Counters;
use super::snapshot::{About, Board};

/// The counters to which the service adds, and the board for its snapshots.
#[derive(Debug, Clone)]
pub struct Seen {
    pub counters: Arc<Counters>,
    pub board: Arc<Board>,
}

impl Seen {
    pub fn new(about: About) -> Seen {
        Seen {
            counters: Arc::new(Counters::new()),
            board: Arc::new(Board::new(about)),
        }
    }
}

/// For a service without a status page: nobody reads the board.
impl From<&Arc<Counters>> for Seen {
    fn from(counters: &Arc<Counters>) -> Seen {
        let about = About {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("PENSTOCK_COMMIT"),
            started: SystemTime::now(),
            group: String::new(),
            topics: Vec::new(),
            sets: Vec::new(),
            settings: Vec::new(),
        };
        Seen {
            counters: counters.clone(),
            ..Seen::new(about)
        }
    }
}

impl From<&Seen> for Seen {
    fn from(seen: &Seen) -> Seen {
        seen.clone()
    }
}
