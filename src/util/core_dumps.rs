//! Core dumps are switched off: a core file has the passwords, the private keys and the messages in memory.
//!
//! By the soft limit for core files, `RLIMIT_CORE`. It is set to 1 byte, not to 0: a pipe in the kernel's `core_pattern`
//! gets a dump in spite of 0 (core(5)), and does not in spite of 1 (`fs/coredump.c` takes it for a crash of the pipe's
//! program). A file needs more than 1 byte, so none is written. Nothing else changes: debuggers can attach, and `/proc`
//! has its owner (`PR_SET_DUMPABLE` would change both). The hard limit stays, so that `prlimit` can allow a dump of a
//! process that runs.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Anything but `0` in this variable leaves the limit as it is.
pub const VARIABLE: &str = "PENSTOCK_CORE_DUMPS";

const NONE_BYTES: u64 = 1;

/// What became of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreDumps {
    Forbidden,
    /// The user wants them.
    AsTheyWere,
}

/// Forbids core dumps of this process. Call it before a secret is read.
///
/// # Errors
/// If the operating system refuses it.
pub fn forbid() -> io::Result<CoreDumps> {
    if std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty() && value != "0") {
        return Ok(CoreDumps::AsTheyWere);
    }
    let hard = getrlimit(Resource::Core).maximum;
    let soft = hard.map_or(NONE_BYTES, |hard| hard.min(NONE_BYTES));
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(soft),
            maximum: hard,
        },
    )?;
    Ok(CoreDumps::Forbidden)
}
