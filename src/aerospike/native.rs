//! The native writer's part of the store: the partition map, and a caller for each worker that writes now.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Store;
use super::connection::Connection;
use super::report::Waiting;
use super::wire::call::Caller;
use super::wire::cluster::{Cluster, Seen, View};
use super::wire::limits::NodeLimits;
use super::wire::partitions::{Map, NodeAddress};
use crate::delivery::plan::OutgoingRow;
use crate::delivery::row_outcomes::PARAMETER;
use crate::delivery::write::Answer;
use crate::util::stop::Stop;

/// How long the start waits for the first partition map. A node that does not answer then is asked again later, and
/// rows of its partitions wait.
const FIRST_MAP_MAX: Duration = Duration::from_secs(5);
/// A caller that was not used for this time is dropped, with its connections: the member has fewer partitions now.
const UNUSED_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Native {
    cluster: Cluster,
    callers: Mutex<Callers>,
}

/// Callers that no worker uses now. There are never more than workers.
#[derive(Debug, Default)]
struct Callers {
    /// Of the cluster that they are connected to.
    epoch: u64,
    /// With the time of the last call. The last one is taken first, so those that are not needed are in front.
    idle: Vec<(Instant, Caller)>,
    /// How many rows each node takes in one batch.
    limits: Arc<NodeLimits>,
}

impl Callers {
    /// One that is connected to this cluster, or a new one. Drops those of another cluster.
    fn take(&mut self, epoch: u64) -> Caller {
        if epoch > self.epoch {
            (self.epoch, self.idle) = (epoch, Vec::new());
        }
        let idle = if epoch == self.epoch { self.idle.pop() } else { None };
        idle.map_or_else(|| Caller::new(self.limits.clone()), |(_, caller)| caller)
    }

    fn give_back(&mut self, epoch: u64, caller: Caller, now: Instant) {
        if epoch == self.epoch {
            let is_unused = |(at, _): &(Instant, Caller)| now.saturating_duration_since(*at) > UNUSED_MAX;
            let unused = self.idle.iter().take_while(|idle| is_unused(idle)).count();
            self.idle.drain(..unused);
            self.idle.push((now, caller));
        }
    }
}

impl Native {
    /// Waits for the first map, until the stop flag is raised or for a few seconds.
    pub fn start(connection: &Arc<Connection>, stop: &Stop) -> io::Result<Native> {
        let connection = connection.clone();
        let cluster = Cluster::start(move || view(&connection))?;
        cluster.wait_complete(Instant::now() + FIRST_MAP_MAX, stop);
        Ok(Native {
            cluster,
            callers: Mutex::default(),
        })
    }

    pub fn map(&self) -> Arc<Map> {
        self.cluster.map()
    }
}

/// What the client knows of the cluster now.
fn view(connection: &Connection) -> View {
    let current = connection.current();
    let nodes = current.client.nodes();
    View {
        epoch: current.epoch,
        nodes: nodes
            .iter()
            .map(|node| Seen {
                address: NodeAddress {
                    name: node.name().to_owned(),
                    address: node.address().to_owned(),
                },
                generation: i64::try_from(node.partition_generation()).unwrap_or(-1),
            })
            .collect(),
    }
}

impl Store {
    /// Writes with the native writer.
    pub(super) fn write_natively(&self, native: &Native, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let started = Instant::now();
        let map = native.map();
        let mut caller = native.callers.lock().take(map.epoch());
        let called = caller.call(&map, rows, started + self.write_timeout());
        native.callers.lock().give_back(map.epoch(), caller, Instant::now());
        self.counters.batch(rows.len(), started.elapsed());
        if called.is_map_doubtful {
            native.cluster.doubt();
        }

        if called.answers == [Answer::Code(PARAMETER)] && !called.failures.is_empty() {
            // The node cannot read the row, or does not have its namespace: the end of a batch does not say which, and
            // nothing was applied. The client sends a lone row as a single command, and then the code is the row's own.
            return self.write_by_client(rows);
        }
        let answers = &called.answers;
        let left = self.count(rows, answers);
        if left.is_troubled {
            let cause = |waiting| match waiting {
                Waiting::Row(row) => match answers[row] {
                    Answer::Failed { failure, .. } => called.cause(failure),
                    Answer::Code(_) => None,
                },
                Waiting::None => None,
            };
            self.failed(started, answers, &left, cause);
        } else if !left.is_too_big {
            self.health.succeeded();
        }
        self.follow_nodes(answers);
        called.answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_used_again_and_dropped_when_the_client_is_replaced() {
        let mut callers = Callers::default();
        let now = Instant::now();
        let (one, other) = (callers.take(0), callers.take(0));
        callers.give_back(0, one, now);
        callers.give_back(0, other, now);
        assert_eq!(callers.idle.len(), 2);
        let one = callers.take(0);
        assert_eq!(callers.idle.len(), 1);
        // Another worker has the new map already.
        let new = callers.take(1);
        assert_eq!(callers.idle.len(), 0);
        callers.give_back(0, one, now);
        assert_eq!(callers.idle.len(), 0);
        callers.give_back(1, new, now);
        // A worker that still has the old map.
        let old = callers.take(0);
        callers.give_back(0, old, now);
        assert_eq!(callers.idle.len(), 1);
    }

    #[test]
    fn callers_that_nobody_needs_any_more_are_dropped() {
        let mut callers = Callers::default();
        let began = Instant::now();
        let many: Vec<Caller> = (0..5).map(|_| callers.take(0)).collect();
        for caller in many {
            callers.give_back(0, caller, began);
        }
        for seconds in [30, 59, 61] {
            let caller = callers.take(0);
            callers.give_back(0, caller, began + Duration::from_secs(seconds));
        }
        assert_eq!(callers.idle.len(), 1);
    }
}
