//! Events, and a batch of them, as the benchmarks have them: what the counting tests count.

#[path = "../../../benches/events/batch.rs"]
pub mod batch;
#[path = "../../../benches/events/mod.rs"]
#[allow(dead_code, reason = "the benchmarks also need medians")]
pub mod events;
