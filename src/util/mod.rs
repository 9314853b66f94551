//! Tools that every part of a service may use. They depend on none of the parts.

// The stop flag, waits that watch it, and the signals that raise it.
pub mod stop;
// `run.start_timeout`: one time limit for the whole start.
pub mod start_limit;
// Growing pauses, a limit on repeated log lines, and trying until it works.
pub mod backoff;
pub mod throttle;
pub mod retry;
// Times in log lines.
pub mod seconds;
// The log, and the line at the end of the screen.
pub mod logging;
pub mod screen;
// Exit codes.
pub mod exit;
// Version and commit of this program.
pub mod version;
// The memory bound.
pub mod memory;
pub mod process;
// No core files, which have secrets in them.
pub mod core_dumps;
// systemd's notifications.
pub mod notify;
