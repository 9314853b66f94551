//! The binary: a thin use of the library.

use std::process::ExitCode;

/// For librdkafka, too, where the platform lets it: `docs/architecture/decisions-memory-and-speed.md`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    penstock::cli::main().into()
}
