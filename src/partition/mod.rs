//! One partition: its worker, on an OS thread of its own, and what becomes of each batch.
//!
//! [`worker`] has the loop: READ FIRST. The files stand in the order of their use: each uses only those below it.

// The loop.
pub mod worker;
// A batch on its way.
mod batch;
// Done, but for what Kafka acknowledges.
mod pending;
// The log does not go on where it should.
mod gone;
// Offsets: what is finished, and commits.
mod offsets;
mod epochs;
// What surrounds a worker.
mod env;
// What a queue may keep in memory.
mod fetching;
// What a person is told of a partition that is held.
mod held;
// What all workers share.
pub mod shared;
// What others may know of a worker.
pub mod progress;
// How a worker ends, and its batches.
pub mod ends;
// Where tests step in.
pub mod hooks;

// A log, a database and rules that are made up.
#[cfg(test)]
pub mod made_up;
#[cfg(test)]
mod tests;
