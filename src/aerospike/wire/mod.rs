//! Batch writes without the client: rows go straight into a frame, and answers are read in place.
//!
//! The protocol is the one that the client speaks (`aerospike-core` 3.0.0, `commands/buffer.rs`); the server's side is
//! `as/src/base/batch.c` of 8.1. `docs/architecture/native-writer.md` has the reasons.

// The types of values.
mod particle;
// Values in MessagePack.
mod msgpack;
// Operations on bins.
mod operations;
// Rows as bytes.
pub mod frame;
// The server's answers.
pub mod answers;
// One socket with a deadline.
pub mod connection;
// How many rows a node accepts in one batch.
pub mod limits;
// Which node has the master of a partition.
pub mod partitions;
// The map in use, and the thread that renews it.
pub mod cluster;
// One call to all nodes that have rows.
pub mod call;
