//! What operators are told of the database: its state at the edges, and a line every 10 seconds while it is bad.
//!
//! Shared by all workers, so that hundreds of blocked partitions make a few lines and not thousands.

use std::time::{Duration, Instant};

use log::{info, warn};
use parking_lot::Mutex;

const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Whether writes succeed, and since when not.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    outage: Option<Outage>,
    last_line: Option<Instant>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    announced: bool,
    calls_failed: u64,
    rows_failed: u64,
}

impl Health {
    /// A call that began at `began` left `rows_failed` of `rows` rows unresolved, for `reason`.
    pub fn failed(&self, began: Instant, rows: usize, rows_failed: usize, reason: &str) {
        let mut state = self.0.lock();
        let now = Instant::now();
        let quiet = state.last_line.is_none_or(|at| now.duration_since(at) >= LINE_INTERVAL);
        let outage = state.outage.get_or_insert(Outage {
            since: began,
            announced: false,
            calls_failed: 0,
            rows_failed: 0,
        });
        outage.calls_failed += 1;
        outage.rows_failed += rows_failed as u64;
        if quiet {
            outage.announced = true;
            warn!(
                "aerospike: writes fail, sending again until they succeed; nothing is lost, consumption waits \
                 reason=\"{reason}\" rows={rows_failed}/{rows} calls_failed={} rows_failed={} since={:.1?}",
                outage.calls_failed,
                outage.rows_failed,
                now.duration_since(outage.since)
            );
            outage.calls_failed = 0;
            outage.rows_failed = 0;
            state.last_line = Some(now);
        }
    }

    /// A call succeeded to its last row.
    pub fn succeeded(&self) {
        let mut state = self.0.lock();
        if let Some(outage) = state.outage.take()
            && outage.announced
        {
            info!("aerospike: writes succeed again after={:.1?}", outage.since.elapsed());
        }
    }

    /// `Some` while writes fail: for how long.
    pub fn failing_for(&self) -> Option<Duration> {
        self.0.lock().outage.as_ref().map(|outage| outage.since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_first_full_success() {
        let health = Health::default();
        assert!(health.failing_for().is_none());
        health.failed(Instant::now(), 200, 20, "code 18");
        health.failed(Instant::now(), 200, 10, "code 18");
        assert!(health.failing_for().is_some());
        health.succeeded();
        assert!(health.failing_for().is_none());
    }
}
