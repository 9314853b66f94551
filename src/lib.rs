//! Penstock: Kafka messages in, Aerospike records out.
pub mod config;
pub mod pipeline;
#[cfg(feature = "sim")]
pub mod sim;
