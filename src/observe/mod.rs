//! What operators see of the service: its counters, and the progress line that is made from them.
//!
//! Knows nothing of Kafka or Aerospike. The other modules count here.

pub mod counters;
pub mod metrics;
pub mod progress;
pub mod snapshot;
pub mod seen;
