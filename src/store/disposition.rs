//! What a result code means for the row that carries it: the one table, over every code.
//!
//! The codes are those of the server (`as_proto_result`, 8.1) as the `aerospike` crate names them. What we do not
//! know is retried, and so holds its partition and is visible, rather than being lost.

/// Codes by which a server refuses who asks: not authenticated, wrong user or password, not allowed. Not among them is
/// 66, an expired session: the client logs in again by itself.
pub const CREDENTIALS: [u8; 8] = [60, 61, 62, 63, 64, 65, 80, 81];

/// What a row's result means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The row is written.
    Done,
    /// The row may be sent again: the database or the network, not the row.
    Retry,
    /// The row is refused for what it is, and would be again.
    Refuse,
    /// Nobody's rows can be written with these credentials.
    Credentials,
}

/// The disposition of a server's result code for a row of writes.
pub fn disposition(code: u8) -> Disposition {
    match code {
        0 => Disposition::Done,
        // Parameter error (no operations, a set name too long), bin type error, record too big, bin name too long,
        // key mismatch (the stored key is another one), operation not applicable, invalid CDT element.
        4 | 12 | 13 | 19 | 21 | 23 | 26 => Disposition::Refuse,
        // A node that restarts may say so for a moment, so it is no refusal once writes have run (at start it is one).
        80 => Disposition::Retry,
        code if CREDENTIALS.contains(&code) => Disposition::Credentials,
        // 8 full or stop-writes, 9 time-out, 11 partition unavailable, 14 key busy, 18 device overload, 20 unknown
        // namespace (checked at start; an empty partition map looks the same), 22 forbidden now, 150-152 whole
        // batch refused, and whatever a later server answers.
        _ => Disposition::Retry,
    }
}

/// The disposition for a row that only removes bins: on a record that is not there, there is nothing to remove.
pub fn disposition_of_removal(code: u8) -> Disposition {
    if code == 2 {
        Disposition::Done
    } else {
        disposition(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_disposition_and_the_unknown_ones_are_retried() {
        for code in 0..=255u8 {
            let expected = match code {
                0 => Disposition::Done,
                4 | 12 | 13 | 19 | 21 | 23 | 26 => Disposition::Refuse,
                60..=65 | 81 => Disposition::Credentials,
                _ => Disposition::Retry,
            };
            assert_eq!(disposition(code), expected, "{code}");
        }
        assert_eq!(disposition_of_removal(2), Disposition::Done);
        assert_eq!(disposition_of_removal(4), Disposition::Refuse);
    }
}
