//! The progress line, logged every 10 seconds: its keys and their format.
//!
//! Plain numbers go in and one line comes out. The main thread (`supervisor.rs`) collects the numbers.
//! `docs/guide/progress-line.md` explains every key and every state; a test compares its glossary with [`KEYS`] and
//! [`STATES`].

use std::fmt;
use std::time::Duration;

/// The keys of the line, in order. A key in [`OPTIONAL`] is left out while its number is 0.
pub const KEYS: [&str; 21] = [
    "messages/s",
    "rows/s",
    "refused/s",
    "consumed",
    "written",
    "filtered",
    "refused",
    "stale",
    "ignored",
    "dead",
    "dropped",
    "held",
    "returned",
    "published",
    "lag",
    "behind_open_transaction",
    "partitions",
    "in_hand",
    "pressure",
    "rss",
    "state",
];

/// Keys that appear only if their number is not 0.
pub const OPTIONAL: [&str; 7] = [
    "refused/s",
    "stale",
    "ignored",
    "dropped",
    "held",
    "returned",
    "behind_open_transaction",
];

/// All words with which `state=` can begin.
pub const STATES: [&str; 9] = [
    "ok",
    "no-partitions",
    "held",
    "stalled",
    "waiting-for-kafka",
    "waiting-for-aerospike",
    "waiting-for-topic",
    "record-held",
    "namespace-closed",
];

/// What the service does or waits for. If several apply, the first one in this order counts, and `Ok` last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// These namespaces refuse rows.
    NamespaceClosed(Vec<String>),
    /// Writes fail, since this long, and why, if that is known.
    WaitingForAerospike(Duration, Option<String>),
    /// A record waits because of an unexpected answer.
    RecordHeld,
    /// An output topic accepts no messages, since this long.
    WaitingForTopic(String, Duration),
    /// How many partitions make no progress without a known cause.
    Stalled(usize),
    /// A partition waits at a rejected message.
    Held,
    /// No broker can be reached.
    WaitingForKafka,
    /// The group has assigned no partition to this process.
    NoPartitions,
    Ok,
}

impl State {
    /// One of [`STATES`].
    pub fn word(&self) -> &'static str {
        match self {
            State::NamespaceClosed(_) => "namespace-closed",
            State::WaitingForAerospike(..) => "waiting-for-aerospike",
            State::RecordHeld => "record-held",
            State::WaitingForTopic(..) => "waiting-for-topic",
            State::Stalled(_) => "stalled",
            State::Held => "held",
            State::WaitingForKafka => "waiting-for-kafka",
            State::NoPartitions => "no-partitions",
            State::Ok => "ok",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            State::NamespaceClosed(list) => write!(f, " list={}", list.join(",")),
            State::WaitingForAerospike(since, None) => write!(f, " since={:.0}s", since.as_secs_f64()),
            State::WaitingForAerospike(since, Some(why)) => {
                write!(f, " since={:.0}s reason=\"{why}\"", since.as_secs_f64())
            }
            State::WaitingForTopic(topic, since) => write!(f, " topic={topic} since={:.0}s", since.as_secs_f64()),
            State::Stalled(partitions) => write!(f, " partitions={partitions}"),
            State::RecordHeld | State::Held | State::WaitingForKafka | State::NoPartitions | State::Ok => Ok(()),
        }
    }
}

/// The state of the service at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Messages taken from Kafka per second, since the previous line.
    pub messages_per_s: f64,
    /// Rows applied per second, since the previous line.
    pub rows_per_s: f64,
    /// Rows refused by guards per second, since the previous line.
    pub refused_per_s: f64,
    pub totals: Totals,
    /// `None`: unknown.
    pub lag: Option<u64>,
    pub behind_open_transaction: u64,
    pub partitions: i64,
    /// Partitions that are held now.
    pub held: usize,
    pub in_hand: i64,
    pub pressure: String,
    pub resident_bytes: u64,
    pub bound_bytes: u64,
    pub state: State,
}

/// Totals since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub consumed: u64,
    pub written: u64,
    pub filtered: u64,
    /// Rows.
    pub refused: u64,
    /// Rows.
    pub stale: u64,
    /// Rows.
    pub ignored: u64,
    pub dead: u64,
    pub dropped: u64,
    pub returned: u64,
    pub published: u64,
}

impl Progress {
    /// The value of each key, in the order of [`KEYS`].
    fn values(&self) -> [String; KEYS.len()] {
        const MIB: u64 = 1024 * 1024;
        let totals = &self.totals;
        [
            format!("{:.0}", self.messages_per_s),
            format!("{:.0}", self.rows_per_s),
            format!("{:.0}", self.refused_per_s),
            totals.consumed.to_string(),
            totals.written.to_string(),
            totals.filtered.to_string(),
            totals.refused.to_string(),
            totals.stale.to_string(),
            totals.ignored.to_string(),
            totals.dead.to_string(),
            totals.dropped.to_string(),
            self.held.to_string(),
            totals.returned.to_string(),
            totals.published.to_string(),
            self.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
            self.behind_open_transaction.to_string(),
            self.partitions.to_string(),
            self.in_hand.to_string(),
            self.pressure.clone(),
            format!("{}MiB/{}MiB", self.resident_bytes / MIB, self.bound_bytes / MIB),
            self.state.to_string(),
        ]
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("progress")?;
        for (key, value) in KEYS.iter().zip(self.values()) {
            if value != "0" || !OPTIONAL.contains(key) {
                write!(f, " {key}={value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Progress {
        Progress {
            messages_per_s: 0.0,
            rows_per_s: 0.0,
            refused_per_s: 0.0,
            totals: Totals::default(),
            lag: None,
            behind_open_transaction: 0,
            partitions: 0,
            held: 0,
            in_hand: 0,
            pressure: "open".to_owned(),
            resident_bytes: 61 << 20,
            bound_bytes: 298 << 20,
            state: State::NoPartitions,
        }
    }

    #[test]
    fn a_lag_that_nobody_knows_is_a_dash_and_what_is_not_there_is_left_out() {
        assert_eq!(
            quiet().to_string(),
            "progress messages/s=0 rows/s=0 consumed=0 written=0 filtered=0 refused=0 dead=0 published=0 lag=- \
             partitions=0 in_hand=0 pressure=open rss=61MiB/298MiB state=no-partitions"
        );
    }

    #[test]
    fn after_a_kill_the_line_says_that_guards_refuse_the_rows() {
        let progress = Progress {
            messages_per_s: 85.2,
            refused_per_s: 170.4,
            totals: Totals {
                consumed: 850,
                written: 800,
                refused: 1704,
                dead: 3,
                published: 40,
                ..Totals::default()
            },
            lag: Some(12),
            partitions: 4,
            in_hand: 47,
            state: State::Ok,
            ..quiet()
        };
        assert_eq!(
            progress.to_string(),
            "progress messages/s=85 rows/s=0 refused/s=170 consumed=850 written=800 filtered=0 refused=1704 dead=3 \
             published=40 lag=12 partitions=4 in_hand=47 pressure=open rss=61MiB/298MiB state=ok"
        );
    }

    #[test]
    fn every_key_has_its_own_number() {
        let progress = Progress {
            messages_per_s: 1.0,
            rows_per_s: 2.0,
            refused_per_s: 3.0,
            totals: Totals {
                consumed: 4,
                written: 5,
                filtered: 6,
                refused: 7,
                stale: 8,
                ignored: 9,
                dead: 10,
                dropped: 11,
                returned: 13,
                published: 14,
            },
            lag: Some(15),
            behind_open_transaction: 16,
            partitions: 17,
            held: 12,
            in_hand: 18,
            pressure: "closed:3s".to_owned(),
            resident_bytes: 0,
            bound_bytes: 0,
            state: State::Held,
        };
        let line = progress.to_string();
        let told: Vec<&str> = line
            .split(' ')
            .skip(1)
            .map(|word| word.split('=').next().unwrap())
            .collect();
        assert_eq!(told, KEYS);
        for (number, key) in (1..=18).zip(KEYS) {
            assert!(line.contains(&format!(" {key}={number} ")), "{key} in {line}");
        }
    }

    #[test]
    fn every_state_has_its_word() {
        let second = Duration::from_secs(1);
        let words = [
            (State::Ok, "ok"),
            (State::NoPartitions, "no-partitions"),
            (State::Held, "held"),
            (State::Stalled(2), "stalled partitions=2"),
            (State::WaitingForKafka, "waiting-for-kafka"),
            (
                State::WaitingForAerospike(second, None),
                "waiting-for-aerospike since=1s",
            ),
            (
                State::WaitingForTopic("t".into(), second),
                "waiting-for-topic topic=t since=1s",
            ),
            (State::RecordHeld, "record-held"),
            (
                State::NamespaceClosed(vec!["a".into(), "b".into()]),
                "namespace-closed list=a,b",
            ),
        ];
        assert_eq!(words.clone().map(|(state, _)| state.word()), STATES);
        let short = State::WaitingForAerospike(Duration::from_nanos(1900), None);
        assert_eq!(short.to_string(), "waiting-for-aerospike since=0s");
        let refused = State::WaitingForAerospike(second, Some("refused".into()));
        assert_eq!(refused.to_string(), "waiting-for-aerospike since=1s reason=\"refused\"");
        for (state, text) in words {
            assert_eq!(state.to_string(), text);
        }
    }
}
