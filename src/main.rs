//! The binary: a thin use of the library.

use std::process::ExitCode;

/// What librdkafka allocates is elsewhere then, with the system's allocator: `docs/ARCHITECTURE.md`, Decisions.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    penstock::cli::main().into()
}
