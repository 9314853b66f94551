//! The simulator, from outside: against a recorded conversation with a real server, and as the real client sees it.

// A test may fail by panicking, and some tell what they counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod client;
mod golden;
