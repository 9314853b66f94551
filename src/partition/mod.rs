//! One partition: its worker, which has its own OS thread, and what it does with each batch.
//!
//! [`worker`] has the loop: READ FIRST. The files are in the order of their use: each uses only those below it.

// The loop.
pub mod worker;
// One batch, from its rules to publishing.
mod batch;
// Messages that wait only for Kafka's acknowledgements.
mod pending;
// Messages that come again and have dead letters.
mod lettered;
// The next offset is not in the log.
mod gone;
// Offsets: what is finished, and what is committed.
mod offsets;
mod epochs;
// What a worker works with.
mod env;
// How much memory a queue may hold back.
mod fetching;
// Log lines for partitions that are held.
mod held;
// What all workers share.
pub mod shared;
// What other threads can see of a worker.
pub mod progress;
// How workers and batches end.
pub mod ends;
// Where tests can intervene.
pub mod hooks;

// Test doubles for a log, a database and rules.
#[cfg(test)]
pub mod made_up;
#[cfg(test)]
mod tests;
