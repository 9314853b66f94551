//! Two places of a running service where a test may step in, to provoke the worst that Kafka's clients and our own
//! bugs can do. The programs use [`NoHooks`].

use crate::kafka::{Consumer, Partition};

/// What is called, and when. Each does nothing unless a test says otherwise.
pub trait Hooks: Send + Sync {
    /// On the main thread, after each poll. `reads`: whether a partition has a worker here.
    fn polled(&self, _consumer: &Consumer, _reads: &dyn Fn(&Partition) -> bool) {}

    /// On a worker's thread, with at least one message in hand and none of them looked at.
    fn batch_in_hand(&self, _partition: &Partition) {}
}

/// Does nothing: what the programs use.
#[derive(Debug, Clone, Copy)]
pub struct NoHooks;

impl Hooks for NoHooks {}
