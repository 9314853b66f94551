//! What every part of a service may need, and what knows none of them.

// The stop flag, the waits that see it, and the signals that raise it.
pub mod stop;
// `run.start_timeout`: one clock for the whole start.
pub mod start_limit;
// Pauses that grow, lines that do not flood.
pub mod backoff;
pub mod throttle;
// Exit codes.
pub mod exit;
// The memory bound.
pub mod memory;
