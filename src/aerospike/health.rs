//! Logs the state of the database for operators: when it changes, and every 10 seconds while it is bad.
//!
//! All workers share it. So hundreds of blocked partitions write only a few lines.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use log::{error, info, warn};
use parking_lot::Mutex;

use crate::delivery::result_codes::meaning;
use crate::util::seconds::Seconds;
use crate::util::throttle::{LINES, Repeated, Throttle};

/// A namespace counts as open again when it has refused nothing for this time. It is longer than the longest pause of a
/// refused row.
const QUIET_MIN: Duration = Duration::from_secs(11);

/// Whether writes succeed; and if not, since when.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    /// Some namespace is closed. Read without the lock, for every row that is written.
    any_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    outage: Option<Outage>,
    lines: Throttle,
    /// Problems that were logged, by kind and namespace.
    troubles: Vec<(Trouble, String, Told)>,
}

#[derive(Debug)]
struct Told {
    since: Instant,
    lines: Throttle,
    /// When the last answer of this kind came.
    seen: Instant,
    /// A row of the namespace was written since.
    taken: bool,
}

/// A problem that a person must look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A namespace accepts no writes now. The code.
    NamespaceClosed(u8),
    /// A code that this version does not expect for a write.
    UnknownCode(u8),
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    /// When the last call failed.
    last: Instant,
    announced: bool,
    rows_failed: u64,
}

impl Health {
    /// A call that began at `began` left `rows_failed` of its `rows` rows unresolved, because of `reason`.
    pub fn failed(&self, began: Instant, rows: usize, rows_failed: usize, reason: &str) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let due = state.lines.pass_at(now);
        let outage = state.outage.get_or_insert(Outage {
            since: began,
            last: now,
            announced: false,
            rows_failed: 0,
        });
        outage.last = now;
        outage.rows_failed += rows_failed as u64;
        if let Some(repeated) = due {
            outage.announced = true;
            warn!(
                "aerospike: writes fail, retrying; nothing is lost, consumption is paused \
                 reason=\"{reason}\" rows={rows_failed}/{rows} rows_failed={} since={:.1}s{repeated}",
                outage.rows_failed,
                now.duration_since(outage.since).as_secs_f64()
            );
            outage.rows_failed = 0;
        }
    }

    /// A call succeeded for all its rows.
    pub fn succeeded(&self) {
        let mut state = self.state.lock();
        if let Some(outage) = state.outage.take()
            && outage.announced
        {
            info!(
                "aerospike: writes succeed again after={:.1}",
                Seconds(outage.since.elapsed())
            );
        }
    }

    /// A read was answered, and no worker has rows left that failed.
    pub fn answers_again(&self) {
        let mut state = self.state.lock();
        if let Some(outage) = state.outage.take()
            && outage.announced
        {
            info!(
                "aerospike: answers again, and no row waits for it; the partitions' next owners write the failed rows after={:.1}",
                Seconds(outage.since.elapsed())
            );
        }
    }

    /// `Some` while writes fail: the time since the last failure.
    pub fn last_failed(&self) -> Option<Duration> {
        self.state.lock().outage.as_ref().map(|outage| outage.last.elapsed())
    }

    /// Forgets namespaces that have refused no row for `quiet` plus the longest pause of a refused row: no worker has
    /// rows for them any more. Must not be called while calls wait for the database.
    pub fn forget_closed(&self, quiet: Duration) {
        if self.any_closed.load(Relaxed) {
            self.forget_closed_at(Instant::now(), quiet);
        }
    }

    fn forget_closed_at(&self, now: Instant, quiet: Duration) {
        let mut state = self.state.lock();
        state.troubles.retain(|(trouble, namespace, told)| {
            let is_closed = matches!(trouble, Trouble::NamespaceClosed(_));
            let is_left = is_closed && now.saturating_duration_since(told.seen) > QUIET_MIN + quiet;
            if is_left {
                info!(
                    "aerospike: no row waits for the namespace any more; the next one will show whether it takes writes again \
                     namespace={namespace} last_refused={}",
                    Seconds(now.saturating_duration_since(told.seen))
                );
            }
            !is_left
        });
        self.settle(&mut state, now);
    }

    /// A row for `namespace` got an answer that a person must look at. Logs it at once and then every 10 seconds.
    pub fn trouble(&self, trouble: &Trouble, namespace: &str) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let known = state
            .troubles
            .iter_mut()
            .find(|(known, of, _)| known == trouble && of == namespace);
        let (since, repeated) = match known {
            Some((_, _, told)) => {
                told.seen = now;
                told.taken = false;
                let Some(repeated) = told.lines.pass_at(now) else {
                    return;
                };
                (told.since, repeated)
            }
            None => {
                let told = Told {
                    since: now,
                    lines: Throttle::default().first_at(now + LINES),
                    seen: now,
                    taken: false,
                };
                state.troubles.push((*trouble, namespace.to_owned(), told));
                (now, Repeated(1))
            }
        };
        let since = now.duration_since(since).as_secs_f64();
        match trouble {
            Trouble::NamespaceClosed(code) => {
                self.any_closed.store(true, Relaxed);
                error!(
                    "aerospike: the namespace refuses these writes now; they wait, and one is retried from time to time \
                     namespace={namespace} code={code} meaning=\"{}\" since={since:.0}s cure=\"{}\"{repeated}",
                    meaning(*code).unwrap_or("unknown"),
                    match code {
                        8 => "make room, or raise the limit",
                        22 => "look at the nodes' clocks, the set's limits, nsup-period and the XDR filters",
                        _ => "look at the namespace's configuration",
                    }
                );
            }
            Trouble::UnknownCode(code) => error!(
                "aerospike: unexpected result code for a row; the row is retried, and its record and partition wait \
                 partition={} namespace={namespace} code={code} meaning=\"{}\" \
                 since={since:.0}s cure=\"look at the server's log; to pass over the message, stop the service and set the group's offset \
                 of this partition behind the committed one\"{repeated}",
                // A worker's thread has the name of its partition.
                std::thread::current().name().unwrap_or("?"),
                meaning(*code).unwrap_or("unknown"),
            ),
        }
    }

    /// A row for `namespace` was written. The namespace counts as open when it has refused no row for longer than a
    /// refused row pauses. It may accept some rows and refuse others (those with a ttl, those of one set).
    pub fn taken(&self, namespace: &str) {
        if !self.any_closed.load(Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        for (_, of, told) in &mut state.troubles {
            told.taken |= of == namespace;
        }
        self.settle(&mut state, Instant::now());
    }

    /// How many kinds of unexpected answers hold records now.
    pub fn unexpected(&self) -> usize {
        self.unexpected_at(Instant::now())
    }

    fn unexpected_at(&self, now: Instant) -> usize {
        let mut state = self.state.lock();
        self.settle(&mut state, now);
        let unexpected = |(trouble, ..): &&(Trouble, String, Told)| matches!(trouble, Trouble::UnknownCode(_));
        state.troubles.iter().filter(unexpected).count()
    }

    /// The namespaces that refuse rows now.
    pub fn closed(&self) -> Vec<String> {
        if !self.any_closed.load(Relaxed) {
            return Vec::new();
        }
        self.closed_at(Instant::now())
    }

    fn closed_at(&self, now: Instant) -> Vec<String> {
        let mut state = self.state.lock();
        self.settle(&mut state, now);
        let closed = state
            .troubles
            .iter()
            .filter(|(trouble, ..)| matches!(trouble, Trouble::NamespaceClosed(_)));
        closed.map(|(_, namespace, _)| namespace.clone()).collect()
    }

    /// Forgets the namespaces that have accepted rows and refused none for long enough.
    fn settle(&self, state: &mut State, now: Instant) {
        state.troubles.retain(|(trouble, namespace, told)| {
            let is_quiet = now.saturating_duration_since(told.seen) > QUIET_MIN;
            let is_closed = matches!(trouble, Trouble::NamespaceClosed(_));
            let is_over = is_quiet && (told.taken || !is_closed);
            if is_over && is_closed {
                let after = told.seen.duration_since(told.since).as_secs_f64();
                info!("aerospike: the namespace takes writes again namespace={namespace} after={after:.1}s");
            }
            !is_over
        });
        let closed = |(trouble, ..): &(Trouble, String, Told)| matches!(trouble, Trouble::NamespaceClosed(_));
        self.any_closed.store(state.troubles.iter().any(closed), Relaxed);
    }

    /// `Some` while writes fail: the time since the first failure.
    pub fn failing_for(&self) -> Option<Duration> {
        self.state.lock().outage.as_ref().map(|outage| outage.since.elapsed())
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

    #[test]
    fn a_namespace_is_closed_until_a_row_of_it_is_written() {
        let health = Health::default();
        health.trouble(&Trouble::NamespaceClosed(8), "full");
        health.trouble(&Trouble::UnknownCode(99), "other");
        assert_eq!(health.closed(), ["full"]);
        let later = Instant::now() + QUIET_MIN + Duration::from_secs(1);
        health.taken("other");
        assert_eq!(health.closed_at(later), ["full"], "nothing of it was written");
        health.taken("full");
        assert_eq!(health.closed(), ["full"], "others of its rows may still be refused");
        health.trouble(&Trouble::NamespaceClosed(8), "full");
        assert_eq!(health.closed_at(later), ["full"]);
        health.taken("full");
        assert!(health.closed_at(later).is_empty());
    }

    #[test]
    fn a_code_that_is_not_seen_any_more_holds_nothing() {
        let health = Health::default();
        health.trouble(&Trouble::UnknownCode(99), "test");
        assert_eq!(health.unexpected(), 1);
        assert_eq!(
            health.unexpected_at(Instant::now() + QUIET_MIN + Duration::from_secs(1)),
            0
        );
    }
}
