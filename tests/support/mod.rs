//! What the tests of the whole service share: brokers, databases, messages whose records are known in advance, the
//! service on a thread, programs as processes, and the ledger that compares records with messages.
//!
//! Waits are for a condition, with a deadline ([`wait_until`]); a wait that fails prints the state.

// Each of the three test programs (it, live, scenarios) compiles this module and uses a part of it.
#![allow(dead_code, unused_imports)]
// A test may fail by panicking, and prints which database it uses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

// The two sides of the service.
mod kafka;
mod database;
// Messages, the expected records, and what runs between them.
mod stream;
mod ledger;
mod service;
pub mod process;
// Only for some groups of tests.
pub mod advertising;
pub mod certificates;
pub mod connect;
pub mod http;
pub mod interrupted;
pub mod lines;
pub mod provoke;
pub mod publishing;
pub mod replays;
pub mod schema;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use database::{Database, Target, is_native, read_records, simulator, simulator_with_records_of, writer_line};
pub use kafka::{Kafka, Read, Sent, Topic, consumer_groups, listener, send, sent, timestamp_ms, wait_for};
pub use ledger::{Records, assert_ledger};
pub use service::{Ended, Service, Setup, summary};
pub use stream::{ROUTES, Stream};

/// Time limit for every wait, sufficient on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Interval between observations.
const PACE: Duration = Duration::from_millis(5);

/// A name that no other test, and no other run, uses.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{:x}-{nanos:x}-{number}", std::process::id())
}

/// The configurations in examples/, in alphabetical order.
pub fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    examples.sort();
    assert!(!examples.is_empty(), "no example");
    examples
}

/// Waits until `reached` is true for what `observe` returns, and returns that.
///
/// # Panics
/// After [`DEADLINE`], with the last observation.
pub fn wait_until<T: Debug>(what: &str, observe: impl FnMut() -> T, reached: impl Fn(&T) -> bool) -> T {
    wait_within(DEADLINE, what, observe, reached)
}

/// The same with another deadline, for what is slow by itself.
pub fn wait_within<T: Debug>(
    limit: Duration,
    what: &str,
    mut observe: impl FnMut() -> T,
    reached: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        let seen = observe();
        if reached(&seen) {
            return seen;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} for {what}; last seen: {seen:?}"
        );
        thread::sleep(PACE);
    }
}
