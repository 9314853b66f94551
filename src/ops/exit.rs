//! The exit codes, as supervisors see them (`docs/OPERATION` in one enum).

use std::process::ExitCode;

/// How the process ends. The numbers follow `sysexits.h` where it has one.
/// Supervisors should not restart after 64, 65, 77 and 78: a person must act first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was asked to stop, and did so in order.
    Stopped = 0,
    /// `check` found something.
    Found = 1,
    /// The command line is wrong.
    Usage = 64,
    /// A message was rejected and holds its partition; everything else was finished.
    Rejected = 65,
    /// Kafka or Aerospike could not be reached within `run.start_timeout`.
    Unreachable = 69,
    /// A bug of ours: a worker panicked, or an invariant broke.
    Panic = 70,
    /// The orderly end took longer than `run.shutdown_grace`, or the state cannot go on: restart it.
    Restart = 75,
    /// Kafka or Aerospike refused the credentials or the authorisation.
    Credentials = 77,
    /// The configuration is wrong.
    Configuration = 78,
}

impl Exit {
    /// Every code, for documents and tests.
    pub const ALL: [Exit; 9] = [
        Exit::Stopped,
        Exit::Found,
        Exit::Usage,
        Exit::Rejected,
        Exit::Unreachable,
        Exit::Panic,
        Exit::Restart,
        Exit::Credentials,
        Exit::Configuration,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(codes, [0, 1, 64, 65, 69, 70, 75, 77, 78]);
    }
}
