//! `[log]`.

use crate::util::logging::Format;

/// `[log]`: how the log is written.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// The form of a line, unless the command line says it.
    pub format: Format,
}
