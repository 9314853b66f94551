//! The state of the service: a snapshot that the main thread takes every second.
//!
//! Plain data. The main thread fills it and puts it on the [`Board`]. `/status`, the page, the health answers and the
//! metrics by partition read it from there. It contains no payload, no key and no secret. `docs/reference/http.md`
//! explains every field of the JSON that is made from it. New fields may be added. A field never changes its meaning.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// How long a history goes back.
pub const HISTORY: Duration = Duration::from_secs(15 * 60);
/// The time between two samples of the history.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

/// The service at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Instant,
    pub wall_clock: SystemTime,
    pub stage: Stage,
    /// One of [`STATES`](crate::observe::progress::STATES).
    pub state: &'static str,
    /// Since when `state` has lasted. An ending service: since when it has been ending. The [`Board`] fills this in.
    pub state_since: Instant,
    /// The state in a sentence, with the cause, and with what to do if a person must act.
    pub why: String,
    /// `None`: not known yet.
    pub is_kafka_connected: Option<bool>,
    /// Whether the group has sent this process its assignment, which may contain no partition.
    pub has_joined: bool,
    /// How long all writes have failed.
    pub aerospike_failing_for: Option<Duration>,
    /// Namespaces that refuse rows.
    pub closed_namespaces: Vec<String>,
    pub pressure: PressureView,
    /// Since the last snapshot.
    pub messages_per_s: f64,
    /// Since the last snapshot.
    pub rows_per_s: f64,
    /// Number of unfinished messages up to the ends of the logs. `None`: unknown.
    pub lag: Option<u64>,
    /// Sorted by topic and number.
    pub partitions: Vec<PartitionView>,
    /// Rejected messages since the start, by reason.
    pub rejects: Vec<(String, u64)>,
    /// The last rejected messages, the newest first. At most [`RECENT_REJECTS_MAX`].
    pub recent_rejects: Vec<RecentReject>,
    /// Samples of the last [`HISTORY`], the oldest first.
    pub history: VecDeque<Sample>,
}

/// A snapshot has at most this many rejected messages.
pub const RECENT_REJECTS_MAX: usize = 20;

/// The stage of the service's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It connects to Kafka and Aerospike.
    Starting,
    /// It reads the partitions that the group assigns.
    Running,
    /// It was told to stop, or cannot go on. It ends in order.
    Draining,
}

/// How much the database accepts now.
#[derive(Debug, Clone, PartialEq)]
pub struct PressureView {
    /// `open`, `limited` or `closed`.
    pub state: &'static str,
    /// How long it has been closed.
    pub closed_for: Option<Duration>,
    /// Rows that may be in flight at once; 0 while it is closed.
    pub limit_rows: u64,
    pub in_flight_rows: u64,
    /// Why it is not open: an answer of the database, in words. Empty while it is open.
    pub cause: String,
}

/// One assigned partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionView {
    pub topic: Arc<str>,
    pub number: i32,
    pub state: PartitionState,
    /// The reason if the state is not `Ok`. For a held partition: place, reason and cure.
    pub why: String,
    /// The first offset that is not finished.
    pub next_offset: Option<i64>,
    pub lag: Option<u64>,
    /// How long the first unfinished message has been in hand. `None`: no message is in hand.
    pub oldest_in_hand: Option<Duration>,
}

/// The state of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionState {
    /// Its worker finds out where to start.
    Starting,
    /// It makes progress, or has nothing to do.
    Ok,
    /// It waits until a person acts.
    Held,
    /// The watchdog sees no progress, without a known reason.
    Stalled,
    /// The broker that leads it cannot be reached.
    NoLeader,
    /// Its worker has ended. Another one will start.
    Restarting,
}

impl PartitionState {
    /// The word for `/status` and the metrics.
    pub fn word(self) -> &'static str {
        match self {
            PartitionState::Starting => "starting",
            PartitionState::Ok => "ok",
            PartitionState::Held => "held",
            PartitionState::Stalled => "stalled",
            PartitionState::NoLeader => "no-leader",
            PartitionState::Restarting => "restarting",
        }
    }

    pub const ALL: [PartitionState; 6] = [
        PartitionState::Starting,
        PartitionState::Ok,
        PartitionState::Held,
        PartitionState::Stalled,
        PartitionState::NoLeader,
        PartitionState::Restarting,
    ];
}

/// A rejected message: its place and the reason, but nothing of its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentReject {
    pub at: SystemTime,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub reason: String,
}

/// One point of the charts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub at: SystemTime,
    pub messages_per_s: f64,
    pub lag: Option<u64>,
    /// How many milliseconds a batch call took, for the calls since the previous sample. `None`: no row was answered.
    pub write_p50_ms: Option<f64>,
    pub write_p99_ms: Option<f64>,
}

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct About {
    pub version: &'static str,
    /// The commit that the program was built from, or `unknown`.
    pub commit: &'static str,
    pub started: SystemTime,
    pub group: String,
    pub topics: Vec<String>,
    /// `namespace.set`, as in the file. A set that comes from the message is shown as `namespace.*`.
    pub sets: Vec<String>,
    /// The settings that are logged at the start, without secrets: a name, and the rest of the line.
    pub settings: Vec<(String, String)>,
}

/// Holds the last snapshot. The main thread puts it here, and readers take a reference. No thread waits for long.
#[derive(Debug)]
pub struct Board {
    pub about: About,
    last: Mutex<Arc<Snapshot>>,
    is_watched: AtomicBool,
}

impl Board {
    pub fn new(about: About) -> Board {
        Board {
            about,
            last: Mutex::new(Arc::new(Snapshot::starting())),
            is_watched: AtomicBool::new(false),
        }
    }

    pub fn put(&self, mut snapshot: Snapshot) {
        let mut last = self.last.lock();
        let kind = |snapshot: &Snapshot| (snapshot.state, snapshot.stage == Stage::Draining);
        snapshot.state_since = if kind(&last) == kind(&snapshot) {
            last.state_since
        } else {
            snapshot.at
        };
        *last = Arc::new(snapshot);
    }

    pub fn last(&self) -> Arc<Snapshot> {
        self.last.lock().clone()
    }

    /// The service starts, and waits for this.
    pub fn starting(&self, why: String) {
        self.put(Snapshot {
            why,
            ..Snapshot::starting()
        });
    }

    /// The main thread is alive but waits for something, and cannot take a snapshot. The last one stays; only its `why`
    /// and its time change.
    pub fn waiting(&self, why: &str) {
        if !self.is_watched() {
            return;
        }
        self.put(Snapshot {
            at: Instant::now(),
            wall_clock: SystemTime::now(),
            why: why.to_owned(),
            ..Snapshot::clone(&self.last())
        });
    }

    /// From now on somebody looks at the board, so a running service takes snapshots.
    pub fn watch(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }
}

impl Snapshot {
    /// The snapshot before the service is connected to anything.
    pub fn starting() -> Snapshot {
        let now = Instant::now();
        Snapshot {
            at: now,
            wall_clock: SystemTime::now(),
            stage: Stage::Starting,
            state: "no-partitions",
            state_since: now,
            why: "Kafka and Aerospike are not reached yet.".to_owned(),
            is_kafka_connected: None,
            has_joined: false,
            aerospike_failing_for: None,
            closed_namespaces: Vec::new(),
            pressure: PressureView {
                state: "open",
                closed_for: None,
                limit_rows: 0,
                in_flight_rows: 0,
                cause: String::new(),
            },
            messages_per_s: 0.0,
            rows_per_s: 0.0,
            lag: None,
            partitions: Vec::new(),
            rejects: Vec::new(),
            recent_rejects: Vec::new(),
            history: VecDeque::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::seen::Seen;

    #[test]
    fn a_state_lasts_until_another_one_begins_and_an_end_is_another_one() {
        let seen = Seen::from(&Arc::default());
        let board = &seen.board;
        let began = board.last().state_since;
        let since = |after_s: u64, stage, state| {
            board.put(Snapshot {
                at: began + Duration::from_secs(after_s),
                stage,
                state,
                ..Snapshot::starting()
            });
            board.last().state_since.duration_since(began).as_secs()
        };
        // Whoever joins has no partition: nothing has changed since the start.
        assert_eq!(since(3, Stage::Running, "no-partitions"), 0);
        assert_eq!(since(5, Stage::Running, "ok"), 5);
        assert_eq!(since(9, Stage::Running, "ok"), 5);
        assert_eq!(since(11, Stage::Running, "held"), 11);
        assert_eq!(since(12, Stage::Running, "ok"), 12);
        assert_eq!(since(20, Stage::Draining, "ok"), 20);
        assert_eq!(since(22, Stage::Draining, "ok"), 20);
    }

    #[test]
    fn a_main_thread_that_waits_says_what_for_and_changes_nothing_else() {
        let seen = Seen::from(&Arc::default());
        let board = &seen.board;
        board.put(Snapshot {
            stage: Stage::Running,
            state: "ok",
            lag: Some(7),
            ..Snapshot::starting()
        });
        let before = board.last();
        board.waiting("nobody looks");
        assert_eq!(board.last().at, before.at);
        board.watch();
        board.waiting("for a worker");
        let last = board.last();
        assert!(last.at > before.at);
        assert_eq!(
            (last.why.as_str(), last.state, last.lag),
            ("for a worker", "ok", Some(7))
        );
        assert_eq!(last.state_since, before.state_since);
    }
}
