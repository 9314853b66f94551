//! What operators see of the service: its counters, and the progress line that is made of them.
//!
//! Knows nothing of Kafka or Aerospike; the other parts count here.

pub mod counters;
pub mod progress;
