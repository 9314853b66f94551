//! The group's consumer: its callbacks, the start offsets of partitions, and what the group has committed.

pub mod context;
pub mod group;
pub mod source;
pub mod queue;
pub mod intake;
pub mod fetched;
pub mod awaiting_group;
pub mod joining;
pub mod leaders;
pub mod committed;
pub mod commits;
pub mod origin;
pub mod latest;
pub mod cut;
pub mod epoch;
