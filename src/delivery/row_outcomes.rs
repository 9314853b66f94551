//! The table of what an answer means for its row, for every code of the server and every failure of the client.
//! `docs/reference/result-codes.md` has the same table, and a test compares the two.
//!
//! The codes are those of the server (`proto.h`, 8.1), with the names that the `aerospike` crate gives them. A row with
//! an unknown code is sent again, and an ERROR line names the code. The row then holds up its record, and so its
//! partition, rather than being lost.
//!
//! Three codes depend on the request, and `write` handles them first: 2 (no such record), 5 (the record exists), 27 (a
//! condition does not hold). If they come for a row that did not ask for them, they count as unknown.

/// Codes with which a server refuses the user: wrong user or password, or not allowed. Two codes are not in the list:
/// 66, an expired session, because the client logs in again by itself; and 80, because a restarting node may answer it
/// for a moment (at start it is a refusal).
pub const CREDENTIALS: [u8; 8] = [60, 61, 62, 63, 64, 65, 81, 82];
/// Not authenticated.
pub const NOT_AUTHENTICATED: u8 = 80;
/// No such record.
pub const NOT_FOUND: u8 = 2;
/// A request that the server does not understand. The server also uses it to end a batch early.
pub const PARAMETER: u8 = 4;
/// The record exists.
pub const EXISTS: u8 = 5;
/// The record's partition has no node that accepts writes.
pub const UNAVAILABLE: u8 = 11;
/// The batch has more rows than the node accepts.
pub const TOO_MANY_ROWS: u8 = 151;
/// The map does not have the key.
pub const ELEMENT_NOT_FOUND: u8 = 23;
/// The map has the key already.
pub const ELEMENT_EXISTS: u8 = 24;
/// A condition does not hold.
pub const FILTERED_OUT: u8 = 27;
/// The whole batch is refused, and no row of it was applied: batches are disabled, too many rows, queues full.
pub const BATCH_REFUSED: [u8; 3] = [150, TOO_MANY_ROWS, 152];

/// Whether a batch with this code was refused as a whole, before any row was applied: because of the batch itself, or
/// because of the user.
pub fn refuses_all(code: u8) -> bool {
    /// The client logs in again.
    const SESSION_EXPIRED: u8 = 66;
    let is_of_asker = CREDENTIALS.contains(&code) || matches!(code, SESSION_EXPIRED | NOT_AUTHENTICATED);
    BATCH_REFUSED.contains(&code) || is_of_asker || is_login(code)
}

/// Whether a code says that the login request itself is wrong, rather than the user or the password.
fn is_login(code: u8) -> bool {
    matches!(code, 51..=56 | 90..=94)
}

/// What an answer means for its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The row is applied.
    Done,
    /// The database or the network has a problem, not the row: sent again, and this worker's other rows wait too.
    Retry,
    /// The batch is sent again in halves.
    Halve,
    /// The record is busy: sent again, while other records go on.
    RetryRecord,
    /// The row is refused because of its content, and would be refused again. Believed only if the row was alone in its
    /// call.
    Reject,
    /// An unknown code: the record is retried, more slowly, and an ERROR line names the code.
    HoldRecord,
    /// All rows for the namespace wait, and one row is tried again, until an operator has acted.
    HoldNamespace,
    /// Either the cluster is not ready or the namespace does not exist. The worker asks the nodes, and the service ends
    /// if it does not exist.
    NoNamespace,
    /// Nobody can write rows with these credentials: the service ends, unless another login may be in its files.
    Credentials,
}

impl Disposition {
    /// Its name in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Disposition::Done => "done",
            Disposition::Retry => "retry",
            Disposition::Halve => "halve the batch",
            Disposition::RetryRecord => "retry the record",
            Disposition::Reject => "reject",
            Disposition::HoldRecord => "hold the record",
            Disposition::HoldNamespace => "hold the namespace",
            Disposition::NoNamespace => "retry, or fatal (78)",
            Disposition::Credentials => "fatal (77)",
        }
    }
}

/// The disposition of a server's result code.
pub fn disposition(code: u8) -> Disposition {
    match code {
        0 => Disposition::Done,
        // Parameter, bin type, record too big, key mismatch (the stored key differs), bin name, element not found,
        // element exists, operation not applicable.
        4 | 12 | 13 | 19 | 21 | 23 | 24 | 26 => Disposition::Reject,
        // Cluster key mismatch, time-out, partition unavailable, device overload, lost conflict, expired session, not
        // authenticated, quota exceeded, batches disabled, batch queues full. Login codes can come from a connection,
        // if security was switched on or off while the service runs. The lookout finds out whether they persist.
        7 | 9 | 11 | 18 | 28 | 66 | NOT_AUTHENTICATED | 83 | 150 | 152 => Disposition::Retry,
        code if is_login(code) => Disposition::Retry,
        // Key busy, key busy with XDR, record in another client's transaction.
        14 | 32 | 120 => Disposition::RetryRecord,
        // Out of space or stop-writes; never or not now allowed in this namespace (clock skew, set limit, ttl without
        // nsup, XDR filter).
        8 | 10 | 22 => Disposition::HoldNamespace,
        20 => Disposition::NoNamespace,
        TOO_MANY_ROWS => Disposition::Halve,
        code if CREDENTIALS.contains(&code) => Disposition::Credentials,
        _ => Disposition::HoldRecord,
    }
}

/// Whether the code means that the server is overloaded, so that sending fewer rows helps: its own time-out, a device's
/// write queue, a quota, the batch queues.
pub fn is_overload(code: u8) -> bool {
    matches!(code, 9 | 18 | 83 | 152)
}

/// Whether a row with this code may have been applied all the same.
pub fn may_be_applied(code: u8) -> bool {
    match disposition(code) {
        Disposition::Done => true,
        // A server's time-out may come after the write on the master. With an unknown code anything may have happened.
        Disposition::Retry => code == 9,
        Disposition::HoldRecord => ![NOT_FOUND, EXISTS, FILTERED_OUT].contains(&code),
        _ => false,
    }
}

/// Why a row has no answer from the server. Named by the cause, not by the client's error type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFailure {
    /// No answer within `run.write_timeout`.
    TimedOut,
    /// The connection was refused, reset or lost.
    Connection,
    /// No connection left in the pool.
    NoConnection,
    /// The client knows no node for the record's partition.
    NoNode,
    /// The client's map of the cluster does not contain the namespace.
    NoNamespace,
    /// The client cannot build a request from the row.
    Unsendable,
    /// The client cannot read the answer.
    BadAnswer,
    /// The call ended without an answer for this row.
    Unanswered,
}

impl CallFailure {
    pub const ALL: [CallFailure; 8] = [
        CallFailure::TimedOut,
        CallFailure::Connection,
        CallFailure::NoConnection,
        CallFailure::NoNode,
        CallFailure::NoNamespace,
        CallFailure::Unsendable,
        CallFailure::BadAnswer,
        CallFailure::Unanswered,
    ];

    /// Its name in the documentation and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            CallFailure::TimedOut => "time-out",
            CallFailure::Connection => "connection lost or refused",
            CallFailure::NoConnection => "no connection in the pool",
            CallFailure::NoNode => "no node for the record",
            CallFailure::NoNamespace => "namespace not in the cluster map",
            CallFailure::Unsendable => "request cannot be made",
            CallFailure::BadAnswer => "answer cannot be read",
            CallFailure::Unanswered => "no answer for the row",
        }
    }

    /// Its word in the metrics, in place of a result code.
    pub fn label(self) -> &'static str {
        match self {
            CallFailure::TimedOut => "timed_out",
            CallFailure::Connection => "connection",
            CallFailure::NoConnection => "no_connection",
            CallFailure::NoNode => "no_node",
            CallFailure::NoNamespace => "no_namespace",
            CallFailure::Unsendable => "unsendable",
            CallFailure::BadAnswer => "bad_answer",
            CallFailure::Unanswered => "unanswered",
        }
    }

    pub fn disposition(self) -> Disposition {
        match self {
            CallFailure::NoNamespace => Disposition::NoNamespace,
            CallFailure::Unsendable => Disposition::Reject,
            _ => Disposition::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::result_codes as words_of;

    const DOCUMENT: &str = include_str!("../../docs/reference/result-codes.md");

    fn cells(line: &str) -> Vec<&str> {
        line.trim().trim_matches('|').split('|').map(str::trim).collect()
    }

    /// The documentation lists every number from 0 to 255 and every failure of the client, with what we do about it.
    #[test]
    fn the_documented_table_is_the_one_in_the_code() {
        let (_, table) = DOCUMENT.split_once("<!-- result codes -->").unwrap();
        let (table, _) = table.split_once("<!-- end -->").unwrap();
        let mut documented = [None; 256];
        let mut others = None;
        let mut failures = 0;
        // Each disposition has its own tables, below the line that names it.
        let mut named = None;
        for line in table.lines() {
            if let Some(rest) = line.strip_prefix("What is done: **") {
                named = rest.split_once("**").map(|(what, _)| what);
            }
            if !line.starts_with('|') || line.starts_with("| code |") || line.starts_with("|---") {
                continue;
            }
            let what = named.unwrap_or_else(|| panic!("nothing says what is done: {line}"));
            let [codes, meaning, applied] = cells(line)[..] else {
                panic!("three cells: {line}");
            };
            let applied = match applied {
                "no" => false,
                "perhaps" | "yes" => true,
                other => panic!("{other} in {line}"),
            };
            if codes == "any other" {
                others = Some((what, applied));
            } else if let Some(failure) = CallFailure::ALL.into_iter().find(|f| f.as_str() == codes) {
                assert_eq!(failure.disposition().as_str(), what, "{line}");
                failures += 1;
            } else {
                for code in codes.split(',') {
                    let code: usize = code.trim().parse().unwrap_or_else(|_| panic!("a code: {line}"));
                    assert!(documented[code].is_none(), "{code} twice");
                    let words = words_of::meaning(u8::try_from(code).unwrap());
                    assert_eq!(words, Some(meaning), "the words for {code}");
                    documented[code] = Some((what, applied));
                }
            }
        }
        assert_eq!(
            failures,
            CallFailure::ALL.len(),
            "every failure of the client has its line"
        );
        for code in 0..=255u8 {
            let (what, applied) = documented[usize::from(code)].or(others).unwrap();
            assert_eq!(disposition(code).as_str(), what, "code {code}");
            assert_eq!(may_be_applied(code), applied, "code {code}");
        }
    }

    #[test]
    fn every_word_in_place_of_a_code_is_documented() {
        const METRICS: &str = include_str!("../../docs/reference/metrics.md");
        let is_retried = |failure: &CallFailure| failure.disposition() != Disposition::Reject;
        for failure in CallFailure::ALL.into_iter().filter(is_retried) {
            assert!(METRICS.contains(&format!("`{}`", failure.label())), "{failure:?}");
        }
    }

    #[test]
    fn every_code_that_something_is_decided_for_has_words() {
        let decided = |code: u8| disposition(code) != Disposition::HoldRecord;
        for code in (0..=255).filter(|code| decided(*code)) {
            assert!(words_of::meaning(code).is_some(), "{code}");
        }
    }

    #[test]
    fn what_a_refused_batch_answers_is_never_in_doubt() {
        assert!(
            (0..=255)
                .filter(|code| refuses_all(*code))
                .all(|code| !may_be_applied(code))
        );
    }
}
