//! What operators see of the service: exit codes, counters, the memory bound, the progress line.
//!
//! Knows nothing of Kafka or Aerospike; the stages report numbers here.

pub mod exit;
pub mod counters;
pub mod memory;
pub mod start_limit;
pub mod progress;
