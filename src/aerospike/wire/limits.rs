//! How many rows each node accepts in one batch. Shared by all workers.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::aerospike::limit::BatchLimit;

/// More names than a cluster has nodes. Beyond it, limits that no worker uses are forgotten.
const KEPT_MAX: usize = 256;

/// The limit of each node, by its name. A node keeps it under a new address.
#[derive(Debug, Default)]
pub struct NodeLimits {
    nodes: Mutex<Vec<(String, Arc<BatchLimit>)>>,
}

impl NodeLimits {
    pub(in crate::aerospike) fn of(&self, name: &str) -> Arc<BatchLimit> {
        let mut nodes = self.nodes.lock();
        if let Some((_, limit)) = nodes.iter().find(|(known, _)| known == name) {
            return limit.clone();
        }
        if nodes.len() >= KEPT_MAX {
            nodes.retain(|(_, limit)| Arc::strong_count(limit) > 1);
        }
        let limit = Arc::new(BatchLimit::default());
        nodes.push((name.to_owned(), limit.clone()));
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_limit_of_a_node_and_nodes_have_their_own() {
        let limits = NodeLimits::default();
        limits.of("A").refused(100);
        assert_eq!(limits.of("A").rows(), 50);
        assert_eq!(limits.of("B").rows(), usize::MAX);
    }

    #[test]
    fn limits_that_nobody_uses_are_forgotten_when_there_are_many() {
        let limits = NodeLimits::default();
        let used = limits.of("used");
        used.refused(100);
        for node in 0..10 * KEPT_MAX {
            limits.of(&node.to_string());
        }
        assert!(limits.nodes.lock().len() <= KEPT_MAX);
        assert_eq!(limits.of("used").rows(), 50);
    }
}
