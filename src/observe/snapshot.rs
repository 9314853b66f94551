//! What the service shows of itself: a snapshot that the main thread takes every second.
//!
//! Plain data. The main thread fills it, and whoever shows it (`/status`, the page, the health answers, the metrics by
//! partition) reads it from the [`Board`]. It has no payload, no key and no secret. `docs/reference/http.md` explains
//! every field of the JSON that is made of it: a field is added, and never changes its meaning.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// How long a history goes back.
pub const HISTORY: Duration = Duration::from_secs(15 * 60);
/// Between two samples of it.
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
    /// The same in a sentence, with the cause, and with what to do where a person must act.
    pub why: String,
    /// `None`: not known yet.
    pub is_kafka_connected: Option<bool>,
    /// The group has given this process its share, which may be no partition.
    pub has_joined: bool,
    /// All writes have failed for this long.
    pub aerospike_failing_for: Option<Duration>,
    /// Namespaces that refuse rows.
    pub closed_namespaces: Vec<String>,
    pub pressure: PressureView,
    /// Since the last snapshot.
    pub messages_per_s: f64,
    /// Since the last snapshot.
    pub rows_per_s: f64,
    /// Messages up to the ends of the logs that are not finished; `None`: unknown.
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

/// How many rejected messages a snapshot has.
pub const RECENT_REJECTS_MAX: usize = 20;

/// How far the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Kafka and Aerospike are being reached.
    Starting,
    /// Partitions are read as the group gives them.
    Running,
    /// It was told to stop, or cannot go on.
    Draining,
}

/// What the database takes.
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
    /// Why, where the state is not `Ok`. A held partition: place, reason and cure.
    pub why: String,
    /// The first offset that is not finished.
    pub next_offset: Option<i64>,
    pub lag: Option<u64>,
    /// How long the first unfinished message has been in hand; `None`: there is none.
    pub oldest_in_hand: Option<Duration>,
}

/// What a partition does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionState {
    /// Its worker finds out where to begin.
    Starting,
    /// It has nothing to do, or goes on.
    Ok,
    /// It waits until a person acts.
    Held,
    /// The watchdog sees no progress though nothing excuses it.
    Stalled,
    /// The broker that leads it is not reached.
    NoLeader,
    /// Its worker has ended; another one follows.
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

/// A message that was rejected: where it is and why, and nothing of what is in it.
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
    /// Milliseconds a batch call took, of the calls since the sample before; `None`: there was none.
    pub write_p50_ms: Option<f64>,
    pub write_p99_ms: Option<f64>,
}

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct About {
    pub version: &'static str,
    pub started: SystemTime,
    pub group: String,
    pub topics: Vec<String>,
    /// `namespace.set`, as the file has them; a set that comes from the message is `namespace.*`.
    pub sets: Vec<String>,
    /// The lines that are logged at the start, without secrets: a name, and the rest of the line.
    pub settings: Vec<(String, String)>,
}

/// Where the last snapshot hangs. The main thread puts it there; readers take a reference, and nobody waits for long.
#[derive(Debug)]
pub struct Board {
    pub about: About,
    last: Mutex<Arc<Snapshot>>,
}

impl Board {
    pub fn new(about: About) -> Board {
        Board {
            about,
            last: Mutex::new(Arc::new(Snapshot::starting())),
        }
    }

    pub fn put(&self, snapshot: Snapshot) {
        *self.last.lock() = Arc::new(snapshot);
    }

    pub fn last(&self) -> Arc<Snapshot> {
        self.last.lock().clone()
    }
}

impl Snapshot {
    /// Before anything is reached.
    pub fn starting() -> Snapshot {
        Snapshot {
            at: Instant::now(),
            wall_clock: SystemTime::now(),
            stage: Stage::Starting,
            state: "no-partitions",
            why: "starting: Kafka and Aerospike are being reached".to_owned(),
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
