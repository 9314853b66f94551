//! The members of the cluster, and the partition map: which node has which partition, and when that changes. All nodes
//! agree on it.
//!
//! It models an AP namespace of the server (8.1.2.0) whose migrations take no time. Each of the 4096 partitions has a
//! master and, with at least two nodes, one replica. Each partition has its own order of all nodes, and uses the first
//! ones that are in the cluster. When a node leaves, only its partitions move, evenly to the other nodes; when it joins
//! again, it gets the same ones. This module knows nothing of sockets and records. A change that is due later is made
//! by the next caller after that time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::message::Digest;

/// The number of partitions in every namespace.
pub const PARTITIONS: usize = 4096;
/// Copies of a record, if there are enough nodes.
pub const REPLICATION_FACTOR: usize = 2;
const NOBODY: usize = usize::MAX;

/// One bit per partition.
pub type Bitmap = [u8; PARTITIONS / 8];

/// The partition of a record (`as_partition_getid`).
pub fn partition(digest: &Digest) -> usize {
    usize::from(u16::from_le_bytes([digest[0], digest[1]])) % PARTITIONS
}

/// The state on which the nodes agree at one time. Nodes are numbered.
pub struct View {
    /// Number of changes.
    pub generation: u64,
    is_member: Vec<bool>,
    /// For each partition, its master and its replica.
    owners: Vec<[usize; REPLICATION_FACTOR]>,
}

impl View {
    fn new(generation: u64, is_member: Vec<bool>) -> Self {
        let owners = |partition| {
            let mut owners = [NOBODY; REPLICATION_FACTOR];
            let members = succession(partition, is_member.len()).filter(|node| is_member[*node]);
            owners.iter_mut().zip(members).for_each(|(owner, node)| *owner = node);
            owners
        };
        View {
            generation,
            owners: (0..PARTITIONS).map(owners).collect(),
            is_member,
        }
    }

    pub fn is_member(&self, node: usize) -> bool {
        self.is_member[node]
    }

    /// The nodes in the cluster.
    pub fn members(&self) -> impl Iterator<Item = usize> {
        (0..self.is_member.len()).filter(|node| self.is_member[*node])
    }

    /// The number of copies of each record.
    pub fn replication_factor(&self) -> usize {
        self.members().count().clamp(1, REPLICATION_FACTOR)
    }

    /// Whether it is the only node.
    pub fn is_alone(&self, node: usize) -> bool {
        self.members().eq([node])
    }

    pub fn master(&self, digest: &Digest) -> Option<usize> {
        let [master, _] = self.owners[partition(digest)];
        (master != NOBODY).then_some(master)
    }

    /// Whether a node has a copy of a record.
    pub fn has(&self, node: usize, digest: &Digest) -> bool {
        self.owners[partition(digest)].contains(&node)
    }

    /// The partitions of which a node is master (0) or replica (1).
    pub fn bitmap(&self, node: usize, replica: usize) -> Bitmap {
        let mut bitmap = [0; PARTITIONS / 8];
        for (partition, owners) in self.owners.iter().enumerate() {
            if owners[replica] == node {
                bitmap[partition / 8] |= 0x80 >> (partition % 8);
            }
        }
        bitmap
    }

    /// The number of partitions of which a node is master.
    pub fn mastered(&self, node: usize) -> usize {
        self.owners.iter().filter(|[master, _]| *master == node).count()
    }
}

/// All nodes in this partition's order. All possible orders occur equally often.
fn succession(partition: usize, nodes: usize) -> impl Iterator<Item = usize> {
    let mut left: Vec<usize> = (0..nodes).collect();
    let mut number = partition;
    std::iter::from_fn(move || {
        let count = left.len();
        let at = number.checked_rem(count)?;
        number /= count;
        Some(left.remove(at))
    })
}

/// The current view and its planned changes.
pub struct Cluster {
    state: RwLock<State>,
}

struct State {
    view: Arc<View>,
    /// The planned changes: which node joins or leaves, and when.
    due: Vec<Change>,
}

struct Change {
    at: Instant,
    node: usize,
    is_member: bool,
}

impl State {
    fn apply(&mut self, change: &Change) {
        if self.view.is_member(change.node) != change.is_member {
            let mut is_member = self.view.is_member.clone();
            is_member[change.node] = change.is_member;
            self.view = Arc::new(View::new(self.view.generation + 1, is_member));
        }
    }
}

impl Cluster {
    /// A cluster with all nodes.
    pub fn new(nodes: usize) -> Self {
        let state = State {
            view: Arc::new(View::new(0, vec![true; nodes])),
            due: Vec::new(),
        };
        Cluster {
            state: RwLock::new(state),
        }
    }

    /// The current view.
    pub fn view(&self) -> Arc<View> {
        {
            let state = self.state.read();
            if state.due.is_empty() || state.due.iter().all(|change| Instant::now() < change.at) {
                return state.view.clone();
            }
        }
        let state = &mut *self.state.write();
        let now = Instant::now();
        let mut due: Vec<Change> = state.due.extract_if(.., |change| change.at <= now).collect();
        due.sort_by_key(|change| change.at);
        due.iter().for_each(|change| state.apply(change));
        state.view.clone()
    }

    /// Makes the planned change of a node now.
    pub fn settle(&self, node: usize) {
        let state = &mut *self.state.write();
        let due: Vec<Change> = state.due.extract_if(.., |change| change.node == node).collect();
        due.iter().for_each(|change| state.apply(change));
    }

    /// Plans that a node joins or leaves after this time. Replaces an earlier plan for this node.
    pub fn change(&self, node: usize, is_member: bool, after: Duration) {
        let state = &mut *self.state.write();
        state.due.retain(|change| change.node != node);
        let now = Instant::now();
        // A time that is too large happens in a year.
        let at = now.checked_add(after).unwrap_or(now + Duration::from_secs(31_536_000));
        let change = Change { at, node, is_member };
        if after.is_zero() {
            state.apply(&change);
        } else {
            state.due.push(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masters(view: &View) -> Vec<usize> {
        view.owners.iter().map(|[master, _]| *master).collect()
    }

    #[test]
    fn one_node_has_all_partitions() {
        let view = Cluster::new(1).view();
        assert_eq!(view.bitmap(0, 0), [0xff; 512]);
        assert_eq!((view.is_alone(0), view.replication_factor()), (true, 1));
    }

    #[test]
    fn partitions_are_shared_out_evenly_and_move_only_from_and_to_the_node_that_leaves_and_joins() {
        let cluster = Cluster::new(3);
        let all = cluster.view();
        assert_eq!([0, 1, 2].map(|node| all.mastered(node)), [1366, 1365, 1365]);
        cluster.change(1, false, Duration::ZERO);
        let two = cluster.view();
        assert_eq!((two.mastered(1), two.generation), (0, 1));
        assert!([0, 2].iter().all(|node| (2047..=2049).contains(&two.mastered(*node))));
        for (before, after) in masters(&all).into_iter().zip(masters(&two)) {
            assert!(before == after || before == 1);
        }
        for owners in &two.owners {
            assert!(owners[0] != owners[1] && !owners.contains(&1) && !owners.contains(&NOBODY));
        }
        cluster.change(1, true, Duration::ZERO);
        assert_eq!(cluster.view().owners, all.owners);
    }

    #[test]
    fn the_replica_of_a_partition_is_its_next_master() {
        let cluster = Cluster::new(3);
        let before = cluster.view();
        cluster.change(2, false, Duration::ZERO);
        let after = cluster.view();
        for (before, after) in before.owners.iter().zip(&after.owners) {
            assert_eq!(after[0], if before[0] == 2 { before[1] } else { before[0] });
        }
    }

    #[test]
    fn bitmaps_hold_each_partition_once_a_replica() {
        let view = Cluster::new(3).view();
        for replica in 0..REPLICATION_FACTOR {
            let mut sum = [0u8; PARTITIONS / 8];
            for node in 0..3 {
                for (sum, byte) in sum.iter_mut().zip(view.bitmap(node, replica)) {
                    assert_eq!(*sum & byte, 0);
                    *sum |= byte;
                }
            }
            assert_eq!(sum, [0xff; 512]);
        }
    }

    #[test]
    fn a_change_comes_when_it_is_due_and_the_last_word_on_a_node_counts() {
        let cluster = Cluster::new(2);
        cluster.change(1, false, Duration::from_secs(600));
        assert!(cluster.view().is_member(1));
        cluster.change(1, false, Duration::from_nanos(1));
        let begun = Instant::now();
        while cluster.view().is_member(1) {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        cluster.change(1, true, Duration::from_secs(600));
        cluster.settle(0);
        assert!(!cluster.view().is_member(1));
        cluster.settle(1);
        assert!(cluster.view().is_member(1));
        cluster.change(1, true, Duration::from_secs(600));
        cluster.change(1, false, Duration::ZERO);
        assert!(cluster.state.read().due.is_empty());
        cluster.change(0, false, Duration::ZERO);
        assert_eq!(cluster.view().master(&[0; 20]), None);
    }
}
