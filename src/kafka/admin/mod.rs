//! Questions to the brokers outside of the group: whether they are reachable, which topics exist, and what is in them.

pub mod advertised;
mod asking;
pub mod probe;
pub mod survey;
pub mod newest;
pub mod reading_rate;
pub mod topic_id;
pub mod topic_ids;
pub mod topic_ends;
mod describe_topics;
mod describe_group;
pub mod describe_configs;
pub mod skipping;
pub mod rights;
mod request;
