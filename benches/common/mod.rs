//! What the programs that measure share: the benchmarks of the service and of designs, and the comparisons of rates.

// No program uses all of it.
#![allow(dead_code)]

#[path = "../../examples/demo/database.rs"]
pub mod database;
#[path = "../../examples/demo/events.rs"]
#[allow(unused_imports)] // by its own tests, which only the demo runs
pub mod events;
// What is sent.
pub mod messages;
pub mod workload;
// What is measured.
pub mod cpu;
pub mod turns;
// What comes out.
pub mod machine;
pub mod report;
pub mod charts;
