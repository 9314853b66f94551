//! Two points of a running service where a test can intervene, to provoke the worst that Kafka's clients and our own
//! bugs can do. The programs use [`NoHooks`].

use crate::kafka::{Consumer, Partition};

/// The hooks and when they are called. By default they do nothing.
pub trait Hooks: Send + Sync {
    /// Called on the main thread, after each poll. `reads`: whether a partition has a worker in this process.
    fn polled(&self, _consumer: &Consumer, _reads: &dyn Fn(&Partition) -> bool) {}

    /// Called on a worker's thread, when it has taken at least one message and applied the rules to none of them.
    fn batch_in_hand(&self, _partition: &Partition) {}
}

/// Does nothing. The programs use it.
#[derive(Debug, Clone, Copy)]
pub struct NoHooks;

impl Hooks for NoHooks {}
