//! The configuration: what the file may say, and the checked values it becomes.
pub mod model;
