//! Restarts partitions that this process keeps. There are two reasons: a message did not reach the partition's worker,
//! or a worker asks to continue at another offset. Runs on the main thread, outside of librdkafka's callbacks.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use rdkafka::error::KafkaError;

use crate::kafka::Partition;
use crate::kafka::consumer::group::Assignment;
use crate::service::assignment::Workers;
use crate::util::exit::Exit;

/// The shortest time between two restarts of a partition that its workers ask for.
const INTERVAL: Duration = Duration::from_secs(1);
/// If one partition has more strays than this within [`STRAYS_WITHIN`], each after a restart, the process ends.
const STRAYS_MAX: u32 = 5;
const STRAYS_WITHIN: Duration = Duration::from_secs(60);

/// When each partition was restarted.
#[derive(Debug, Default)]
pub struct Restarts(HashMap<Partition, Restarted>);

#[derive(Debug)]
struct Restarted {
    last: Instant,
    /// The number of restarts because of strays, since `first`.
    strays: u32,
    first: Instant,
}

impl Restarts {
    /// Restarts the partitions whose workers have ended to continue at another offset.
    pub fn serve(&mut self, now: Instant, assignment: &impl Assignment, workers: &Workers) -> Exit {
        let mut exit = Exit::Stopped;
        for (partition, at) in workers.to_begin_again() {
            let last = self.0.get(&partition).map(|restarted| restarted.last);
            if last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
                continue;
            }
            self.note(now, &partition, false);
            exit = exit.or_worse(begin(assignment, workers, &partition, Some(at), i64::MAX));
        }
        exit
    }

    /// Restarts `partition` after one of its messages came to the main queue. If the worker went on, it would process
    /// messages out of order, and commit past this one.
    pub fn stray(
        &mut self,
        now: Instant,
        assignment: &impl Assignment,
        workers: &Workers,
        partition: &Partition,
        offset: i64,
    ) -> Exit {
        if !workers.has(partition) {
            warn!(
                "kafka: a message outside of its partition's queue, whose worker is gone {partition} offset={offset}"
            );
            return Exit::Stopped;
        }
        warn!("kafka: a message outside of its partition's queue; its worker begins again {partition} offset={offset}");
        if self.note(now, partition, true) > STRAYS_MAX {
            error!("kafka: messages come outside of their partition's queue again and again; restarting {partition}");
            return Exit::Restart;
        }
        begin(assignment, workers, partition, None, offset)
    }

    /// Notes a restart. Returns the number of restarts because of strays within [`STRAYS_WITHIN`].
    fn note(&mut self, now: Instant, partition: &Partition, stray: bool) -> u32 {
        let restarted = self.0.entry(partition.clone()).or_insert(Restarted {
            last: now,
            strays: 0,
            first: now,
        });
        restarted.last = now;
        if now.saturating_duration_since(restarted.first) > STRAYS_WITHIN {
            (restarted.strays, restarted.first) = (0, now);
        }
        restarted.strays += u32::from(stray);
        restarted.strays
    }
}

fn begin(
    assignment: &impl Assignment,
    workers: &Workers,
    partition: &Partition,
    at: Option<i64>,
    at_most: i64,
) -> Exit {
    match workers.restart(assignment, partition, at, at_most) {
        Ok(Some(from)) => {
            info!("kafka: begun again {partition} from={from}");
            Exit::Stopped
        }
        // The partition was revoked in the meantime.
        Ok(None) => Exit::Stopped,
        Err(error) => cannot(partition, &error),
    }
}

fn cannot(partition: &Partition, error: &KafkaError) -> Exit {
    error!("kafka: the partition cannot be begun again; restarting {partition} error=\"{error}\"");
    Exit::Restart
}
