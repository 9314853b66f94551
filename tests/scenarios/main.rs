//! The long tests: the service as processes that are killed, frozen and restarted, with a real Kafka broker and a
//! simulator that fails in every way. `make test-exactly-once`, `make test-order` and `make test-chaos` run them, one
//! at a time.

// A test may fail by panicking, and these print their figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod chaos;
mod exactly_once;
mod order;
