//! What the service shows of itself, as whoever runs it hands it in.

use std::sync::Arc;
use std::time::SystemTime;

use super::counters::Counters;
use super::snapshot::{About, Board};

/// Where the service counts, and where it puts its snapshots.
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

/// For a service that nobody looks at: its board says nothing of itself.
impl From<&Arc<Counters>> for Seen {
    fn from(counters: &Arc<Counters>) -> Seen {
        let about = About {
            version: env!("CARGO_PKG_VERSION"),
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
