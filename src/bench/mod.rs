//! Measures a configuration on the user's own services, for `penstock bench`.
//!
//! Messages of the user's topics are read outside of the group and kept in memory (`sample`). They go again and again
//! through the service's own stages: rules, plan, write (`load`). Every row is redirected into a scratch set first
//! (`scratch`). One setting after the other is changed (`run`), and the figures say which settings are enough and what
//! limits the rate (`figures`, `verdict`).
//!
//! What must stay true: nothing outside of the scratch set is written, nothing is produced or committed, no group is
//! joined, and the first sign of distress of the database ends the measurement. The scratch set is emptied at the end,
//! or by the next call.

// What one step has measured, and the knee of a curve.
pub mod figures;
// Messages to measure with.
pub mod sample;
// The set that is written, and how it is emptied.
pub mod scratch;
// What the database answers while it is measured.
mod watched;
// One step: threads that process messages for a while.
pub mod load;
// What limits the rate, and which settings are enough.
pub mod verdict;
// All of it in its order.
pub mod run;
