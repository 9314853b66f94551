//! The binary: a thin use of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    penstock::cli::main().into()
}
