//! `penstock completions`: prints the completion script for a shell.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::Arguments;
use crate::util::exit::Exit;

/// Prints the script.
pub(super) fn completions(shell: Shell) -> Exit {
    // Written to memory first: a pipe that is closed early must not cause a panic.
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "penstock", &mut script);
    let _ = io::stdout().lock().write_all(&script);
    Exit::Stopped
}
