//! The table of what a delivery report means for its message, for every code of the brokers and of librdkafka.
//! `docs/reference/delivery-reports.md` has the same table, and a test compares the two.
//!
//! The numbers are those of `rd_kafka_resp_err_t` (librdkafka 2.12.1, `rdkafka.h`): the protocol's codes from 0 on, the
//! client's below 0. A message with an unknown code is sent again, and an ERROR line names the code. So a message waits
//! rather than being lost.

/// What a report means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Stored on all replicas that must have it.
    Stored,
    /// Neither topic nor message has a problem: sent again at once.
    Again,
    /// The brokers or the network have a problem, not the message: sent again, with growing pauses.
    Retry,
    /// The code has no known meaning for a message: handled like `Retry`, and an ERROR line names the code.
    Unknown,
    /// Too large for its topic. Believed only if the message was alone in its request: brokers accept or refuse all
    /// messages of a request for one partition together.
    TooLarge,
    /// The topic refuses the message because of its content. Believed only if the message was alone in its request.
    Refused,
    /// The user may not write there.
    Unauthorized,
    /// The producer cannot go on.
    Fatal,
}

impl Meaning {
    /// Its name in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Meaning::Stored => "done",
            Meaning::Again => "send again",
            Meaning::Retry => "retry",
            Meaning::Unknown => "retry, with an ERROR line",
            Meaning::TooLarge | Meaning::Refused => "alone, then fatal (65)",
            Meaning::Unauthorized => "fatal (77)",
            Meaning::Fatal => "fatal (75)",
        }
    }
}

/// The meaning of a delivery report's code.
pub fn meaning(code: i32) -> Meaning {
    match code {
        0 => Meaning::Stored,
        // Purged in flight or from the queue (a worker has left), to be retried, refused because of another message of
        // its request.
        -151 | -152 | -153 | -138 => Meaning::Again,
        // Of the client: answer unreadable, broker going away, generic failure, transport, host name, timed out in the
        // queue and in flight, unknown partition, unknown topic, no broker, TLS, queue full, authentication.
        -199 | -197 | -196 | -195 | -193 | -192 | -190 | -188 | -187 | -185 | -184 | -181 | -169 | -166 | -137 => {
            Meaning::Retry
        }
        // Of the brokers: checksum, unknown topic, leader moves, time-out, broker and replica away, network, too few
        // replicas (before and after the append), storage.
        2 | 3 | 5 | 6 | 7 | 8 | 9 | 13 | 19 | 20 | 56 | 57 => Meaning::Retry,
        // The producer's sequence numbers: librdkafka has begun a new epoch.
        45 | 46 | 47 | 59 => Meaning::Retry,
        // SASL, listener, leader epochs, broker epoch, quota, topic id.
        58 | 72 | 74 | 75 | 77 | 89 | 100 => Meaning::Retry,
        4 | 10 | 18 => Meaning::TooLarge,
        // Topic's name, timestamp, the topic's message format, policy, compression type, record.
        17 | 32 | 43 | 44 | 76 | 87 => Meaning::Refused,
        29 | 31 | 53 => Meaning::Unauthorized,
        // Fatal, gap, fenced; the brokers cannot do what is asked (idempotence needs 0.11).
        -150 | -149 | -148 | -144 | -165 | 35 | 90 => Meaning::Fatal,
        _ => Meaning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/reference/delivery-reports.md");

    /// The documentation lists every number that librdkafka defines, and some beyond, with what we do.
    #[test]
    fn the_documented_table_is_the_one_in_the_code() {
        let (_, table) = DOCUMENT.split_once("<!-- delivery codes -->").unwrap();
        let (table, _) = table.split_once("<!-- end -->").unwrap();
        let mut documented = std::collections::BTreeMap::new();
        let mut others = None;
        for line in table.lines().filter(|line| line.starts_with('|')).skip(2) {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            let [codes, _meaning, what] = cells[..] else {
                panic!("three cells: {line}");
            };
            if codes == "any other" {
                others = Some(what);
                continue;
            }
            for code in codes.split(',') {
                let code: i32 = code.trim().parse().unwrap_or_else(|_| panic!("a code: {line}"));
                assert!(documented.insert(code, what).is_none(), "{code} twice");
            }
        }
        for code in -200..=200 {
            let what = documented.get(&code).copied().or(others).unwrap();
            assert_eq!(meaning(code).as_str(), what, "code {code}");
        }
    }

    /// librdkafka retries these codes itself. They reach us only when it has given up, and never end the service.
    #[test]
    fn what_librdkafka_itself_calls_retriable_is_never_the_end() {
        for code in [-195, -185, -166, 3, 5, 6, 7, 13, 19, 20, 56] {
            assert!(matches!(meaning(code), Meaning::Retry | Meaning::Again), "code {code}");
        }
    }
}
