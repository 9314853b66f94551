//! `penstock completions`: a script that teaches a shell this command line, on standard output.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::Arguments;
use crate::util::exit::Exit;

/// Prints it.
pub(super) fn completions(shell: Shell) -> Exit {
    // In memory first: a pipe that is closed early must not cause a panic.
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "penstock", &mut script);
    let _ = io::stdout().lock().write_all(&script);
    Exit::Stopped
}
