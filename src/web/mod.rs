//! What the service shows over HTTP. Changes nothing.

pub mod metrics;
