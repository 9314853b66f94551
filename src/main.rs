//! The binary: calls the library and nothing else.

use std::process::ExitCode;

/// Serves librdkafka too, if the platform allows it: `docs/architecture/decisions-memory-and-speed.md`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    penstock::cli::main().into()
}
