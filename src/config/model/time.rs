//! Numbers that mean instants, and their units.

use crate::config::model::instant::Instant;

/// The unit of such a number. It counts from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// `epoch_s`.
    Seconds,
    /// `epoch_ms`.
    Milliseconds,
    /// `epoch_us`.
    Microseconds,
    /// `epoch_ns`.
    Nanoseconds,
}

impl TimeUnit {
    /// All of them.
    pub const ALL: [TimeUnit; 4] = [
        TimeUnit::Seconds,
        TimeUnit::Milliseconds,
        TimeUnit::Microseconds,
        TimeUnit::Nanoseconds,
    ];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            TimeUnit::Seconds => "epoch_s",
            TimeUnit::Milliseconds => "epoch_ms",
            TimeUnit::Microseconds => "epoch_us",
            TimeUnit::Nanoseconds => "epoch_ns",
        }
    }

    /// The plural, for texts.
    pub fn plural(self) -> &'static str {
        match self {
            TimeUnit::Seconds => "seconds",
            TimeUnit::Milliseconds => "milliseconds",
            TimeUnit::Microseconds => "microseconds",
            TimeUnit::Nanoseconds => "nanoseconds",
        }
    }

    /// Number of nanoseconds in one unit.
    fn nanoseconds(self) -> i128 {
        match self {
            TimeUnit::Seconds => 1_000_000_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Microseconds => 1_000,
            TimeUnit::Nanoseconds => 1,
        }
    }

    /// The instant in this unit, without its fraction; `None` if that does not fit into 64 bits.
    pub fn count(self, instant: Instant) -> Option<i64> {
        i64::try_from(instant.nanoseconds() / self.nanoseconds()).ok()
    }

    /// The instant that this number means; `None` outside of the calendar (the years -9999 to 9999).
    pub fn instant(self, number: i64) -> Option<Instant> {
        Instant::of_calendar(i128::from(number) * self.nanoseconds())
    }

    /// Whether this number means an instant before 2001. No record ends then, so the number is a length of time or has
    /// another unit.
    pub fn is_before_2001(self, number: i64) -> bool {
        i128::from(number) * self.nanoseconds() < Instant::ENDS_FROM.nanoseconds()
    }

    /// The unit in which this number is an instant between 2001-09-09 and 2286-11-20. That can be true for at most one
    /// unit. The largest 64-bit integer is not a time.
    pub fn of_look(number: i64) -> Option<TimeUnit> {
        match number {
            1_000_000_000..10_000_000_000 => Some(TimeUnit::Seconds),
            1_000_000_000_000..10_000_000_000_000 => Some(TimeUnit::Milliseconds),
            1_000_000_000_000_000..10_000_000_000_000_000 => Some(TimeUnit::Microseconds),
            1_000_000_000_000_000_000..=9_223_372_036_854_775_806 => Some(TimeUnit::Nanoseconds),
            _ => None,
        }
    }
}
