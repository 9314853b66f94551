//! Delivery latency: the age of a message, by its own timestamp, when everything that it asks for is acknowledged.
//!
//! Some timestamps do not say when the message was produced for us. Their messages are counted separately, by
//! [`CAUSES`], and are not in the histogram.

use super::histogram::{AGES, Gathered, Histogram};
use super::numbers::CounterByWord;

/// Why a message's latency is not measured. It has no timestamp. Its timestamp is in the future. Or its timestamp is so
/// old that the message is probably read again, or read for the first time long after it was produced.
pub const CAUSES: [&str; 3] = ["missing", "future", "replayed"];

/// A timestamp at most this many milliseconds in the future counts as now, because the clocks of two machines rarely
/// agree.
const AHEAD_MAX_MS: i64 = 1_000;
/// A message that is older than this (one day, in milliseconds) counts as replayed. Its group starts at the oldest
/// message, or somebody has set its offsets back.
const AGE_MAX_MS: i64 = 24 * 60 * 60 * 1_000;

/// What a timestamp says about the latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Ms(u64),
    Missing,
    Future,
    Replayed,
}

fn age(timestamp_ms: Option<i64>, now_ms: i64) -> Age {
    let Some(timestamp_ms) = timestamp_ms else {
        return Age::Missing;
    };
    let age_ms = now_ms.saturating_sub(timestamp_ms);
    if age_ms < -AHEAD_MAX_MS {
        Age::Future
    } else if age_ms > AGE_MAX_MS {
        Age::Replayed
    } else {
        Age::Ms(u64::try_from(age_ms).unwrap_or(0))
    }
}

/// The latencies of one worker's messages, collected until they are added to the metrics.
#[derive(Debug)]
pub struct DeliveryLatencies {
    gathered: Gathered,
    missing: u64,
    future: u64,
    replayed: u64,
}

impl DeliveryLatencies {
    pub fn for_histogram(histogram: &Histogram) -> DeliveryLatencies {
        DeliveryLatencies {
            gathered: histogram.gather(),
            missing: 0,
            future: 0,
            replayed: 0,
        }
    }

    /// Records that a message with this timestamp is acknowledged now. Both times are in milliseconds since the epoch.
    pub fn acknowledged(&mut self, timestamp_ms: Option<i64>, now_ms: i64) {
        match age(timestamp_ms, now_ms) {
            Age::Ms(ms) => self.gathered.record(ms),
            Age::Missing => self.missing += 1,
            Age::Future => self.future += 1,
            Age::Replayed => self.replayed += 1,
        }
    }

    /// Adds the collected latencies to the metrics.
    pub fn add_to(&self, histogram: &Histogram, unmeasured: &CounterByWord) {
        histogram.add(&self.gathered);
        for (cause, count) in CAUSES.into_iter().zip([self.missing, self.future, self.replayed]) {
            if count > 0 {
                unmeasured.add(cause, count);
            }
        }
    }
}

/// The histogram of delivery latencies: ages in milliseconds, up to the age that counts as replayed.
pub fn histogram() -> Histogram {
    Histogram::of(&AGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    #[test]
    fn an_age_is_measured_up_to_a_day_and_clocks_may_differ_by_a_second() {
        for (timestamp_ms, expected) in [
            (NOW_MS, Age::Ms(0)),
            (NOW_MS - 1, Age::Ms(1)),
            (NOW_MS + 1_000, Age::Ms(0)),
            (NOW_MS + 1_001, Age::Future),
            (i64::MAX, Age::Future),
            (NOW_MS - 86_400_000, Age::Ms(86_400_000)),
            (NOW_MS - 86_400_001, Age::Replayed),
            (0, Age::Replayed),
        ] {
            assert_eq!(age(Some(timestamp_ms), NOW_MS), expected, "{timestamp_ms}");
        }
        assert_eq!(age(None, NOW_MS), Age::Missing);
    }

    #[test]
    fn what_is_not_measured_is_counted_by_its_cause_and_is_not_in_the_histogram() {
        let (histogram, unmeasured) = (histogram(), CounterByWord::of(&CAUSES));
        let mut latencies = DeliveryLatencies::for_histogram(&histogram);
        for timestamp_ms in [Some(NOW_MS - 7), Some(NOW_MS - 40), None, Some(NOW_MS + 5_000), Some(1)] {
            latencies.acknowledged(timestamp_ms, NOW_MS);
        }
        latencies.add_to(&histogram, &unmeasured);
        let counts = histogram.counts();
        assert_eq!((counts.count(), counts.sum()), (2, 0.047));
        assert_eq!(unmeasured.by_word(), [("future", 1), ("missing", 1), ("replayed", 1)]);
    }
}
