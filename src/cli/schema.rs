//! `penstock schema`: the JSON Schema of the configuration, on standard output.

use std::io::{self, Write as _};

use crate::config::schema;
use crate::util::exit::Exit;

/// Prints the schema.
pub(super) fn schema() -> Exit {
    let _ = writeln!(io::stdout().lock(), "{:#}", schema::schema());
    Exit::Stopped
}
