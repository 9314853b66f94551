//! What an answer means for the row that it answers: the one table, over every code of the server and every failure
//! of the client. It stands in `docs/reference/result-codes.md` too, and a test holds the two against each other.
//!
//! The codes are those of the server (`proto.h`, 8.1), by the names that the `aerospike` crate has for them. What we do
//! not know is sent again and said aloud: it holds its record, and so its partition, rather than being lost.
//! Three codes depend on what was asked, and `write` looks at them first: 2 (no such record), 5 (the record
//! exists), 27 (a condition does not hold). Where they come unasked for they are unknown.

/// Codes by which a server refuses who asks: wrong user or password, not allowed. Not among them is 66, an expired
/// session: the client logs in again by itself; and 80, which a node that restarts may answer for a moment
/// (at start it is a refusal).
pub const CREDENTIALS: [u8; 8] = [60, 61, 62, 63, 64, 65, 81, 82];
/// Not authenticated.
pub const NOT_AUTHENTICATED: u8 = 80;
/// No such record.
pub const NOT_FOUND: u8 = 2;
/// A request that the server cannot make sense of; also how it ends a batch early.
pub const PARAMETER: u8 = 4;
/// The record exists.
pub const EXISTS: u8 = 5;
/// A condition does not hold.
pub const FILTERED_OUT: u8 = 27;
/// The whole batch is refused, and nothing of it was applied: batches off, too many rows, queues full.
pub const BATCH_REFUSED: [u8; 3] = [150, 151, 152];

/// Whether a whole batch that is answered so was refused before anything of it was applied: for what it is, or for who
/// asks.
pub fn refuses_all(code: u8) -> bool {
    /// The client logs in again.
    const SESSION_EXPIRED: u8 = 66;
    let is_of_asker = CREDENTIALS.contains(&code) || matches!(code, SESSION_EXPIRED | NOT_AUTHENTICATED);
    BATCH_REFUSED.contains(&code) || is_of_asker || is_login(code)
}

/// Whether a code is about how a login is made, and not whose it is.
fn is_login(code: u8) -> bool {
    matches!(code, 51..=56 | 90..=94)
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The row is applied.
    Done,
    /// The database or the network, not the row: sent again, this worker's other rows with it.
    Retry,
    /// The batch is sent again in halves.
    Halve,
    /// The record is busy: sent again, while other records go on.
    RetryRecord,
    /// The row is refused for what it is, and would be again. Believed of a row that was alone in its call.
    Reject,
    /// The record waits, and is tried again, slower; an ERROR line names the code. What we do not know.
    HoldRecord,
    /// All rows for its namespace wait, and one is tried again, until an operator has acted.
    HoldNamespace,
    /// Either the cluster is not there yet or the namespace is not in it: asked, and the end if it is not.
    NoNamespace,
    /// Nobody's rows can be written with these credentials: the end.
    Credentials,
}

impl Disposition {
    /// As the documentation calls it.
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
        // Parameter, bin type, record too big, key mismatch (the stored key is another), bin name, element not found,
        // element exists, operation not applicable.
        4 | 12 | 13 | 19 | 21 | 23 | 24 | 26 => Disposition::Reject,
        // Cluster key mismatch, time-out, partition unavailable, device overload, lost conflict, expired session, not
        // authenticated, quota exceeded, batches disabled, batch queues full. Of a login that the cluster cannot make sense of
        // (security switched on or off while the service runs) a connection can be the cause: whether it stays so, the
        // lookout finds.
        7 | 9 | 11 | 18 | 28 | 66 | NOT_AUTHENTICATED | 83 | 150 | 152 => Disposition::Retry,
        code if is_login(code) => Disposition::Retry,
        // Key busy, key busy with XDR, record in somebody's transaction.
        14 | 32 | 120 => Disposition::RetryRecord,
        // Out of space or stop-writes; never and not now allowed in this namespace (clock skew, set limit, ttl without
        // nsup, XDR filter).
        8 | 10 | 22 => Disposition::HoldNamespace,
        20 => Disposition::NoNamespace,
        151 => Disposition::Halve,
        code if CREDENTIALS.contains(&code) => Disposition::Credentials,
        _ => Disposition::HoldRecord,
    }
}

/// Whether a server that answers so has too much to do: fewer rows at once are its cure. Its own time-out, the write
/// queue of a device, a quota, the queues of batches.
pub fn is_overload(code: u8) -> bool {
    matches!(code, 9 | 18 | 83 | 152)
}

/// Whether a row that was answered so may have been applied all the same.
pub fn may_be_applied(code: u8) -> bool {
    match disposition(code) {
        Disposition::Done => true,
        // A server's time-out may come after the write on the master. What we do not know may be anything.
        Disposition::Retry => code == 9,
        Disposition::HoldRecord => ![NOT_FOUND, EXISTS, FILTERED_OUT].contains(&code),
        _ => false,
    }
}

/// Why a row has no answer of the server's: by the cause, not by what the client makes of it.
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
    /// The client's map of the cluster does not have the namespace.
    NoNamespace,
    /// The client cannot make a request of it.
    Unsendable,
    /// An answer that the client cannot read.
    BadAnswer,
    /// The call ended without a word on this row.
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

    /// As the documentation and the log call it.
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

    /// Every number from 0 to 255 and every failure of the client stands in the documentation with what we do about it.
    #[test]
    fn the_documented_table_is_the_one_in_the_code() {
        let (_, table) = DOCUMENT.split_once("<!-- result codes -->").unwrap();
        let (table, _) = table.split_once("<!-- end -->").unwrap();
        let mut documented = [None; 256];
        let mut others = None;
        let mut failures = 0;
        // Each disposition has tables of its own, below the line that names it.
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
