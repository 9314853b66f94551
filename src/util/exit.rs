//! The exit codes that supervisors see (`docs/reference/exit-codes.md` as an enum).

use std::process::ExitCode;

/// How the process ends. The numbers follow `sysexits.h` if it defines one. Supervisors should not restart after 64,
/// 65, 77 and 78: a person must act first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was asked to stop and ended in order.
    Stopped = 0,
    /// Another command than `run` found a problem, or did not do what it was asked for.
    Found = 1,
    /// The command line is wrong.
    Usage = 64,
    /// A message was rejected and holds its partition, or an offset that had to be read is gone and `kafka.offset_gone`
    /// says stop. Everything else was finished.
    Rejected = 65,
    /// Kafka or Aerospike could not be reached within `run.start_timeout`.
    Unreachable = 69,
    /// A bug of ours: a worker panicked, or an invariant broke.
    Panic = 70,
    /// The orderly end took longer than `run.shutdown_grace`, or the process cannot continue in its state: restart it.
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

    /// The more important of two codes for a supervisor: a problem that a person must solve comes before one that a
    /// restart solves.
    pub fn or_worse(self, other: Exit) -> Exit {
        let rank = |exit: Exit| match exit {
            Exit::Stopped => 0,
            Exit::Found => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Restart => 4,
            Exit::Rejected => 5,
            Exit::Configuration => 6,
            Exit::Credentials => 7,
            Exit::Panic => 8,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// What it means, in the words of the documents.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Stopped => "it was asked to stop, and did",
            Exit::Found => "a command other than run found something, or refused",
            Exit::Usage => "the command line is wrong",
            Exit::Rejected => "a rejected message, or a next offset that is not in the log",
            Exit::Unreachable => "Kafka or Aerospike was not reachable in time",
            Exit::Panic => "a bug: a worker panicked",
            Exit::Restart => "the orderly stop took too long, or the process could not go on",
            Exit::Credentials => "Kafka or Aerospike refuses the credentials or the rights",
            Exit::Configuration => "the configuration is wrong, or does not fit what answers",
        }
    }

    /// Whether a person must act before it is started again.
    pub fn needs_person(self) -> bool {
        matches!(
            self,
            Exit::Usage | Exit::Rejected | Exit::Credentials | Exit::Configuration
        )
    }

    /// The number.
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
    fn what_a_person_must_act_on_is_told_before_what_a_restart_cures() {
        assert_eq!(Exit::Restart.or_worse(Exit::Credentials), Exit::Credentials);
        assert_eq!(Exit::Credentials.or_worse(Exit::Restart), Exit::Credentials);
        assert_eq!(Exit::Rejected.or_worse(Exit::Restart), Exit::Rejected);
        assert_eq!(Exit::Stopped.or_worse(Exit::Restart), Exit::Restart);
        assert_eq!(Exit::Rejected.or_worse(Exit::Panic), Exit::Panic);
    }

    #[test]
    fn the_codes_are_the_documented_ones() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(codes, [0, 1, 64, 65, 69, 70, 75, 77, 78]);
    }
}
