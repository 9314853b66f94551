//! The tests against a real Kafka broker: `make test-kafka`, which starts one and names it in `KAFKA_BROKERS`. Those that
//! ask for no fault of the database run on the cluster that `AEROSPIKE_HOSTS` names, if it names one.

// A test may fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod advertised;
mod connect;
mod cut;
mod kafka_faults;
mod members;
mod producer;
mod publish;
mod service;
