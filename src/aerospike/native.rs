//! The native writer's part of the store: the partition map, and a caller for each worker that writes now.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Store;
use super::connection::Connection;
use super::report::Waiting;
use super::wire::call::{Caller, NodeFailure};
use super::wire::cluster::{Cluster, Seen, View};
use super::wire::limits::NodeLimits;
use super::wire::partitions::{Map, NodeAddress};
use crate::delivery::plan::OutgoingRow;
use crate::delivery::write::Answer;
use crate::util::stop::Stop;

/// How long the start waits for the first partition map. A node that does not answer then is asked again later, and
/// rows of its partitions wait.
const FIRST_MAP_MAX: Duration = Duration::from_secs(5);

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
    idle: Vec<Caller>,
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
        idle.unwrap_or_else(|| Caller::new(self.limits.clone()))
    }

    fn give_back(&mut self, epoch: u64, caller: Caller) {
        if epoch == self.epoch {
            self.idle.push(caller);
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
        native.callers.lock().give_back(map.epoch(), caller);
        self.counters.batch(rows.len(), started.elapsed());
        if called.is_map_doubtful {
            native.cluster.doubt();
        }

        let answers = called.answers;
        let left = self.count(rows, &answers);
        if left.is_troubled {
            self.failed(started, &answers, &left, |row| cause(row, &answers, &called.failures));
        } else if !left.is_too_big {
            self.health.succeeded();
        }
        self.follow_nodes(&answers);
        answers
    }
}

/// Which node failed, and how. Of several, the first that failed in the way of the row.
fn cause(waiting: Waiting, answers: &[Answer], failures: &[NodeFailure]) -> Option<String> {
    let found = match waiting {
        Waiting::None => failures.first(),
        Waiting::Row(row) => {
            let Answer::Failed { failure, .. } = answers.get(row)? else {
                return None;
            };
            failures.iter().find(|node| node.failure == *failure)
        }
    };
    found.map(|NodeFailure { address, error, .. }| format!("{address}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_used_again_and_dropped_when_the_client_is_replaced() {
        let mut callers = Callers::default();
        let (one, other) = (callers.take(0), callers.take(0));
        callers.give_back(0, one);
        callers.give_back(0, other);
        assert_eq!(callers.idle.len(), 2);
        let one = callers.take(0);
        assert_eq!(callers.idle.len(), 1);
        // Another worker has the new map already.
        let new = callers.take(1);
        assert_eq!(callers.idle.len(), 0);
        callers.give_back(0, one);
        assert_eq!(callers.idle.len(), 0);
        callers.give_back(1, new);
        // A worker that still has the old map.
        let old = callers.take(0);
        callers.give_back(0, old);
        assert_eq!(callers.idle.len(), 1);
    }
}
