//! One service in mid-stream with a backlog, for the states of scenario 5; how long they last, and when the service
//! counts as recovered.

use std::time::Duration;

use super::fleet::Fleet;
use super::load::{Messages, ROUTES};
use crate::support::interrupted::{Scale, Source, number};
use crate::support::process::SimProgram;
use crate::support::{Kafka, Setup};

pub const PARTITIONS: i32 = 8;
const KEYS: usize = 2000;
const RUN: &str = "batch_rows_max = 100\nwrite_timeout = \"1s\"\nmemory = \"160MiB\"";
/// How long a rate is measured.
pub const WINDOW: Duration = Duration::from_secs(4);
/// Share of the earlier rate.
pub const RECOVERED: f64 = 0.9;
/// Share of a core, while nothing can be done.
pub const CPU_MAX: f64 = 0.05;
/// Ratio of resident memory to the limit.
pub const MEMORY_MAX: f64 = 1.1;

pub struct Scenario {
    pub fleet: Fleet,
    pub messages: Messages,
    pub bound_mib: u64,
}

impl Scenario {
    /// A backlog of messages of `bytes` bytes, a database with `nodes` nodes, and the service.
    pub fn new(kafka: &Kafka, scale: &Scale, bytes: usize, nodes: &str, consumer: &str) -> Scenario {
        let mut source = Source::new(kafka, "state", PARTITIONS);
        let mut messages = Messages::new(scale.seed, KEYS, PARTITIONS, bytes);
        messages.send(&mut source, scale.messages);
        source.flush();
        let sim = SimProgram::start(&["--seed", &scale.seed.to_string(), "--nodes", nodes]);
        let setup = Setup::new(kafka, &source.topic, sim.addr)
            .run(RUN)
            .consumer(consumer)
            .routes(ROUTES);
        let mut fleet = Fleet::new(sim, source.topic.clone(), &setup, 1);
        // The database determines the rate, not the other load on this machine.
        fleet.say(&["delay 20ms"]);
        fleet.start(0);
        let bound_mib = fleet.bound_mib(0);
        Scenario {
            fleet,
            messages,
            bound_mib,
        }
    }

    pub fn assert_memory(&self, peak_mib: u64) {
        let bound_mib = self.bound_mib;
        assert!(
            peak_mib as f64 <= MEMORY_MAX * bound_mib as f64,
            "{peak_mib} MiB resident, bound {bound_mib} MiB"
        );
    }
}

/// How long a state lasts.
pub fn outage() -> Duration {
    Duration::from_secs(number("OUTAGE_S", 12))
}

/// Used in place of ten minutes: longer than every backoff, and than the clients' own time-outs.
pub fn away() -> Duration {
    Duration::from_secs(number("AWAY_S", 60))
}
