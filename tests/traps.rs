//! What goes wrong silently with an Aerospike cluster, trap by trap.
#![cfg(feature = "sim")]
// A test may fail by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

#[path = "traps/bench.rs"]
mod bench;
#[path = "traps/guards.rs"]
mod guards;
#[path = "traps/calls.rs"]
mod calls;
#[path = "traps/late.rs"]
mod late;
#[path = "traps/outcomes.rs"]
mod outcomes;
#[path = "traps/service.rs"]
mod service;
