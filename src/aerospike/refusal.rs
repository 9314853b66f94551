//! A cluster that refuses the user: what the code says about user, password and rights, and the cure.
//!
//! The code can come as the answer to a login, as a row's own code, as a header for a whole batch, or as text in an
//! info answer (`ERROR:80:not authenticated`). It always means the same.

use std::fmt;

use crate::delivery::result_codes::Told;
use crate::delivery::row_outcomes::{CREDENTIALS, NOT_AUTHENTICATED};

/// The user is refused, and waiting does not help. The code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub code: u8,
    /// Whether the configuration names a user.
    pub has_user: bool,
}

/// Whether a code refuses the user. It counts at the start, or if it lasts for a while; a restarting node may answer it
/// for a moment. 52 is not a refusal: the server has security switched off, and the client continues without a login.
/// 66 and 83 are temporary.
pub fn is_refusal(code: u8) -> bool {
    matches!(code, 51 | 53..=56 | NOT_AUTHENTICATED | 90..=94) || CREDENTIALS.contains(&code)
}

/// Whether a code refuses the login itself: another password or user may be accepted.
pub fn is_of_login(code: u8) -> bool {
    matches!(code, 60..=65 | NOT_AUTHENTICATED | 90..=94)
}

impl Refusal {
    /// What a person can do.
    pub fn cure(self) -> &'static str {
        match (self.code, self.has_user) {
            (51, _) => "remove aerospike.user and aerospike.password",
            (NOT_AUTHENTICATED, false) => "set aerospike.user and aerospike.password",
            (53..=56, _) => "look at the server's log and version",
            (60, _) => "correct aerospike.user, or create the user",
            (62 | 64 | 65, _) => "correct aerospike.password",
            (63, _) => "give the user a new password, and set it as aerospike.password",
            (81, _) => "grant the user read-write",
            (82, _) => "add this machine's address to the allowlist of the user's roles",
            (90..=94, _) => "look at the server's LDAP settings",
            _ => "correct aerospike.user and aerospike.password",
        }
    }

    fn what(self) -> &'static str {
        match (self.code, self.has_user) {
            (51, _) => "the cluster has no security, and aerospike.user is set",
            (NOT_AUTHENTICATED, false) => "the cluster wants a login",
            (NOT_AUTHENTICATED, true) => "the cluster does not accept the login any more",
            (60..=65 | 90..=94, _) => "the cluster refuses the login",
            (53..=56, _) => "the cluster does not understand the login",
            (82, _) => "the cluster refuses this machine's address",
            _ => "the cluster refuses this user",
        }
    }
}

/// The text without the cure.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what(), Told(self.code))
    }
}

/// The code for which a connection failed, if it refuses the user.
///
/// `Client::new` keeps only the text of its seeds' errors (`cluster/mod.rs`, `format_init_error`), in which a server
/// code appears as `Error 65, …`. This is the only place where a decision depends on a text. A test with a simulator
/// that refuses a password checks it.
pub fn in_text(failure: &str) -> Option<u8> {
    let codes = failure.match_indices("Error ").filter_map(|(at, found)| {
        let rest = &failure[at + found.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<u8>().ok()
    });
    codes.into_iter().find(|code| is_refusal(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_credentials_are_told_from_other_failures_by_their_code() {
        for (refused, code) in [
            ("Error 65, iter=1: Invalid credential", 65),
            ("x Error 60: y", 60),
            ("Error 9, timeout; Error 80", 80),
            ("Error 51: x", 51),
            ("Error 82: Not allowlisted", 82),
        ] {
            assert_eq!(in_text(refused), Some(code), "{refused}");
        }
        for other in [
            "Error 651",
            "Error 9, timeout",
            "connection refused",
            "Error -8: 65",
            "Error 52: Security not enabled",
            "Error during an I/O operation: 65",
        ] {
            assert_eq!(in_text(other), None, "{other}");
        }
    }

    #[test]
    fn every_refusal_says_what_it_is_and_its_own_cure() {
        let text = |code, has_user| {
            let refusal = Refusal { code, has_user };
            format!("{refusal}: {}", refusal.cure())
        };
        assert_eq!(
            text(80, false),
            "the cluster wants a login (80: not authenticated): set aerospike.user and aerospike.password"
        );
        assert_eq!(
            text(51, true),
            "the cluster has no security, and aerospike.user is set (51: the server has no security (community edition)): \
             remove aerospike.user and aerospike.password"
        );
        assert!(text(82, true).contains("allowlist of the user's roles"));
        for code in (0..=255u8).filter(|code| is_refusal(*code)) {
            assert!(!text(code, true).contains("unknown"), "{code}");
        }
        for passes in [0, 2, 9, 11, 52, 66, 83] {
            assert!(!is_refusal(passes), "{passes}");
        }
    }

    #[test]
    fn a_code_is_told_by_whom_or_what_it_refuses() {
        for (code, what, cure) in [
            (53, "does not understand the login", "look at the server's log"),
            (60, "refuses the login", "or create the user"),
            (62, "refuses the login", "correct aerospike.password"),
            (63, "refuses the login", "a new password"),
            (65, "refuses the login", "correct aerospike.password"),
            (80, "does not accept the login any more", "correct aerospike.user and"),
            (81, "refuses this user", "grant the user read-write"),
            (82, "refuses this machine's address", "allowlist"),
            (91, "refuses the login", "LDAP"),
        ] {
            let refusal = Refusal { code, has_user: true };
            let told = refusal.to_string();
            assert!(told.contains(what), "{code}: {told}");
            assert!(refusal.cure().contains(cure), "{code}: {}", refusal.cure());
        }
    }
}
