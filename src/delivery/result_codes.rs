//! The words for each result code of the server, for log lines, dead letters and commands.
//! [`mod@crate::delivery::row_outcomes`] decides what to do about a code.
//!
//! The numbers are those of the server (`as/include/base/proto.h`, 8.1.2.0). `docs/reference/result-codes.md` has the
//! same words for every code that can answer a write, and a test compares the two.

use std::fmt;

/// A result code as people read it: its number and its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told(pub u8);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, meaning(self.0).unwrap_or("unknown"))
    }
}

/// The words for a code. `None`: the server has no such code, or only a later version has it.
pub fn meaning(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "written",
        1 => "the server failed, and its log says why",
        2 => "there is no such record",
        3 => "the record's generation is another",
        4 => "the server cannot make sense of the request (parameter error)",
        5 => "the record is there already",
        6 => "the bin is there already",
        7 => "the node was in another cluster when the request was made (cluster key mismatch)",
        8 => "the namespace is full, or at one of its stop-writes limits",
        9 => "the server's own time-out",
        10 => "the namespace's configuration never allows it",
        11 => "the record's partition is not available now",
        12 => "the bin holds another type",
        13 => "the record is too big (max-record-size of the namespace)",
        14 => "too many requests for one record at once (key busy)",
        15 => "the query was aborted",
        16 => "the server does not support it",
        17 => "there is no such bin",
        18 => "the device cannot keep up with the writes (device overload)",
        19 => "the record is stored with another key of the same digest",
        20 => "there is no such namespace",
        21 => "the bin's name is longer than 15 bytes, or the namespace has too many bin names",
        22 => "not allowed now: clocks apart, a set's limit, a ttl where nsup-period is 0, or an XDR filter",
        23 => "the element of the list or map is not there",
        24 => "the element of the list or map is there already",
        25 => "only the enterprise edition can do it",
        26 => "the operation does not fit what the bin holds",
        27 => "the row's condition does not hold",
        28 => "the write lost a conflict with XDR",
        29 => "a text in the request is not UTF-8",
        32 => "the record waits for XDR (key busy)",
        50 => "no more answers follow",
        51 => "the server has no security (community edition)",
        52 => "security is off in the server's configuration",
        53 => "the server does not support this kind of login",
        54 => "the server does not know this security command",
        55 => "the server cannot read the login",
        56 => "the server did not expect this security command",
        60 => "there is no such user",
        61 => "the user is there already",
        62 => "the password is missing or cannot be used",
        63 => "the password is expired",
        64 => "the password is not allowed",
        65 => "the password does not match",
        66 => "the login's session is over",
        70 => "there is no such role",
        71 => "the role is there already",
        72 => "there is no such privilege",
        73 => "the allowlist cannot be read",
        74 => "quotas are off",
        75 => "the quota cannot be read",
        80 => "not authenticated",
        81 => "the user's roles do not allow it (role violation)",
        82 => "the user's roles do not allow this client's address (allowlist)",
        83 => "the user's quota is used up",
        90 => "LDAP is not configured",
        91 => "LDAP cannot be set up",
        92 => "TLS to LDAP cannot be set up",
        93 => "LDAP refuses the user or the password",
        94 => "LDAP cannot be asked",
        100 => "the UDF failed",
        120 => "the record is in another transaction",
        121 => "the transaction's version of the record is another",
        122 => "the transaction is over",
        123 => "the transaction has too many writes",
        124 => "the transaction is committed already",
        125 => "the transaction is aborted already",
        126 => "the record is locked by this transaction",
        127 => "the transaction's monitor is there already",
        150 => "batches are off",
        151 => "the batch has more rows than batch-max-requests",
        152 => "the batch queues are full",
        160 => "the GeoJSON cannot be read",
        200 => "the secondary index is there already",
        201 => "there is no such secondary index",
        202 => "the secondary index has no memory left",
        203 => "the secondary index cannot be read now",
        204 => "the secondary index failed",
        205 => "the secondary index's name is too long",
        206 => "there are too many secondary indexes",
        210 => "the query was aborted",
        211 => "the query queue is full",
        212 => "the query timed out",
        213 => "the query failed",
        214 => "the query's connection failed",
        215 => "the query is there already",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_told_by_its_number_and_its_words() {
        assert_eq!(
            Told(13).to_string(),
            "13: the record is too big (max-record-size of the namespace)"
        );
        assert_eq!(Told(99).to_string(), "99: unknown");
    }
}
