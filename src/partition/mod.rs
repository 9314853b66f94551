//! One partition: its worker, on an OS thread of its own, and what becomes of each batch.
//!
//! [`worker`] has the loop: READ FIRST.

// The loop.
pub mod worker;
// What others may know of it.
pub mod progress;
// Where tests step in.
pub mod hooks;
// What a queue may keep in memory.
mod fetching;
// A batch on its way.
mod batch;
// Done, but for what Kafka acknowledges.
mod pending;
// Commits, and a log that does not go on as it should.
mod offsets;
mod epochs;
mod gone;
// What a person is told of a partition that is held.
mod held;
