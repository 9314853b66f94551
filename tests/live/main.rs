//! The tests against a real Kafka broker. `make test-kafka` starts a broker, sets `KAFKA_BROKERS` to its address, and
//! runs them. Tests that need no fault of the database run on the cluster in `AEROSPIKE_HOSTS`, if it is set.

// A test may fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod advertised;
mod bench;
mod connect;
mod cut;
mod kafka_faults;
mod lettered;
mod members;
mod producer;
mod publish;
mod replay;
mod security;
mod service;
mod skip;
